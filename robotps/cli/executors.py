"""`--executor`: from a word to where simulated trials run."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from robotps.cli.options import say
from robotps.errors import RobotpsError


def open_executor(
    where: str, workers: int, certificates: Path | None, time_limit: float, *, patience: float = 600.0
) -> Executor:
    """Worker processes here, or a Dask cluster's. time_limit: s, of a trial in a process here.

    patience: s without any of a cluster's workers before the run gives up.

    Raises RobotpsError for an unknown word and for a cluster that cannot be reached.
    """
    if certificates is not None and where in ("processes", "dask:local"):
        raise RobotpsError(f"--certificates are for clusters: with --executor {where} nothing leaves this machine")
    if where == "processes":
        from robotps.workers import ProcessExecutor

        return ProcessExecutor(workers, time_limit)
    from robotps.cluster import connect_cluster, local_cluster, slurm_cluster

    if where == "dask:local":
        return local_cluster(workers)
    if where == "slurm":
        return slurm_cluster(workers, certificates, patience)
    kind, _, address = where.partition(":")
    if kind != "dask" or not address:
        raise RobotpsError(f"--executor {where}: known are processes, dask:local, dask:HOST:PORT and slurm")
    executor = connect_cluster(address, certificates, patience=patience)
    if executor.threads == 0:
        say(f"no worker is there yet: robotps worker --scheduler {address} starts some")
    return executor
