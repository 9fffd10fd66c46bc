"""Simulated trials on a Dask cluster: behind the same interface as local processes, and to the same last bit.

A trial's function and description travel with the task; the code they name must be there already, and the same as here:
every worker compares it before its first trial. Nobody is talked to beyond this machine but in TLS.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from concurrent.futures import wait as waiting
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robotps.certificates import security
from robotps.errors import RobotpsError, require
from robotps.provenance import sources, versions
from robotps.workers import WorkerLost

if TYPE_CHECKING:
    from distributed import Client, Security

Result = TypeVar("Result")
Code = dict[str, str]
"""What a simulated trial's last bit depends on: versions by package, digests by source file."""

LOOPBACK = "127.0.0.1"
SIMULATOR = {"simulator": 1}
"""Dask's resource of workers that simulate, so that none of those that have a robot is given a simulated trial."""
WORKER_SILENCE = "60s"
"""A worker that says nothing for so long is given up; its trials run elsewhere."""
NO_PAGES = "127.0.0.1:0"
"""Where Dask's web server listens, which it cannot do without; `quietly` leaves it nothing to show."""
_PACKAGES = ("python", "numpy", "pybullet")
_LOOK_AGAIN = 5.0
_CONNECT_AGAIN = 15.0
"""s without the scheduler after which its trials are given up: one that comes back does not know them."""
PATIENCE = 600.0
"""s without any worker before a run gives up; it can be resumed."""


class OtherCode(Exception):
    """A worker does not run the code of its host; `found` is what it runs."""

    def __init__(self, worker: str, found: Code) -> None:
        super().__init__(worker, found)
        self.worker = worker
        self.found = found


@cache
def code_here() -> Code:
    """The code that a simulated trial in this process would run."""
    present = versions()
    packages = {name: present[name] for name in _PACKAGES if name in present}
    packages["python"] = ".".join(packages["python"].split(".")[:2])
    return {**packages, **sources("robotps"), **sources("sim")}


@cache
def digest_here() -> str:
    """One digest of all of it."""
    return hashlib.sha256(json.dumps(code_here(), sort_keys=True).encode()).hexdigest()


@cache
def robots_code() -> Code:
    """The code that drives a physical robot in this process; its machine needs no simulation."""
    return {
        name: digest
        for name, digest in {**sources("robotps"), **sources("hardware")}.items()
        if not name.startswith(("robotps/cli/", "robotps/report/", "robotps/view/", "hardware/virtual/"))
    }


def differences(expected: Mapping[str, str], found: Mapping[str, str], most: int = 4) -> str:
    """How two codes differ, in the person's words."""
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        here, there = expected.get(name), found.get(name)
        if here == there:
            continue
        if name.endswith(".py"):
            lines.append(f"{name} is another one" if here and there else f"{name} is {'missing' if here else 'extra'}")
        else:
            lines.append(f"{name} {there or 'is missing'} instead of {here or 'none'}")
    more = len(lines) - most
    return "; ".join(lines[:most]) + (f"; and {more} more" if more > 0 else "")


def run_checked(expected: str, function: Callable[..., Result], /, *args: Any) -> Result:
    """Call a function on a worker; raises OtherCode where its code is not the host's."""
    if digest_here() != expected:
        from distributed import get_worker

        worker = get_worker()
        raise OtherCode(f"{worker.name} at {worker.address}", code_here())
    return function(*args)


def run_with_code(expected: Code, function: Callable[..., Result], /, *args: Any) -> Result:
    """Call a function on a robot's worker; raises RobotpsError where its code is not the host's."""
    if robots_code() != expected:
        from distributed import get_worker

        raise RobotpsError(
            f"{get_worker().name} runs other code: {differences(expected, robots_code())}: install the same as here"
        )
    return function(*args)


class ClusterExecutor(Executor):
    """The workers of a Dask scheduler as a standard executor. `cluster` is closed with it.

    A future raises WorkerLost where its workers died (Dask has tried its own number of times then), and RobotpsError
    where a worker runs other code, the scheduler is gone, or no worker was there for `patience` s.
    """

    def __init__(self, client: Client, cluster: Any = None, patience: float = PATIENCE) -> None:
        self._client = client
        self._cluster = cluster
        self._patience = patience
        self._threads, self._looked = 0, -math.inf
        self._open: set[Future[Any]] = set()
        self._closed = threading.Event()
        self._look_now_and_then()
        self._watch = threading.Thread(target=self._give_up_when_alone, name="workers", daemon=True)
        self._watch.start()

    @property
    def threads(self) -> int:
        """How many tasks the workers run at a time, as of some seconds ago; those that have a robot run none."""
        self._look_now_and_then()
        return self._threads

    @property
    def ahead(self) -> int:
        """How many tasks to hand over at a time: each worker's next one is with it before it is done."""
        return 8 + 2 * self.threads

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` on any worker that is there for simulation, now or later."""
        outer: Future[Result] = Future()
        if self._client.status != "running":
            outer.set_exception(_scheduler_gone())
            return outer
        self._open.add(outer)
        outer.add_done_callback(self._open.discard)
        task = partial(fn, *args, **kwargs)
        inner = self._client.submit(run_checked, digest_here(), task, pure=False, resources=SIMULATOR)
        outer.add_done_callback(partial(_cancel_too, inner))
        self._client.loop.add_callback(_hand_on, inner, outer)
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the scheduler; workers that were started for this run end."""
        if wait and not cancel_futures and self._client.status == "running":
            waiting(list(self._open))
        self._closed.set()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _look_now_and_then(self) -> None:
        if time.monotonic() - self._looked < _LOOK_AGAIN or self._client.status != "running":
            return
        workers = workers_of(self._client)
        if workers is None:
            return
        able = [worker for worker in workers.values() if worker["resources"].keys() >= SIMULATOR.keys()]
        self._threads = sum(worker["nthreads"] for worker in able)
        self._looked = time.monotonic()

    def _give_up_when_alone(self) -> None:
        """No trial waits for ever: not for workers, and not for a scheduler that Dask goes on looking for."""
        worked = connected = time.monotonic()
        while not self._closed.wait(1.0):
            now = time.monotonic()
            if self._client.status == "running":
                connected = now
                self._look_now_and_then()
            if self._threads > 0 or not self._open:
                worked = now
            if now - connected > _CONNECT_AGAIN:
                self._fail_all(_scheduler_gone())
            elif now - worked > self._patience:
                self._fail_all(
                    RobotpsError(
                        f"no worker was there for {self._patience:.0f} s: start one (robotps worker), or give the "
                        "queue more time with --patience; then go on with --resume"
                    )
                )

    def _fail_all(self, error: RobotpsError) -> None:
        for future in list(self._open):
            with suppress(InvalidStateError):
                future.set_exception(error)


def _cancel_too(inner: Any, outer: Future[Any]) -> None:
    if outer.cancelled():
        inner.cancel()


async def _hand_on(inner: Any, outer: Future[Any]) -> None:
    """Pass the outcome of a Dask future on, its exceptions in our words. Runs in the client's loop.

    Dask's own executor does the same, and trips over a worker that dies while a result is fetched from it.
    """
    from distributed.scheduler import KilledWorker

    error: BaseException
    try:
        result = await inner.result()
    except KilledWorker as killed:
        error = WorkerLost(f"the last one was at {killed.last_worker.address}")
    except OtherCode as other:
        error = RobotpsError(
            f"worker {other.worker} would not run the same trials: {differences(code_here(), other.found)}: "
            "install the same there as here"
        )
    except (asyncio.CancelledError, CancelledError):
        error = _scheduler_gone()
    except Exception as raised:
        error = raised
    else:
        with suppress(InvalidStateError):  # was given up, or cancelled
            outer.set_result(result)
        return
    with suppress(InvalidStateError):
        outer.set_exception(error)


def _scheduler_gone() -> RobotpsError:
    return RobotpsError("the connection to the Dask scheduler was lost: start it again, then go on with --resume")


def local_cluster(workers: int) -> ClusterExecutor:
    """A scheduler and worker processes of this machine, for this run; TLS with keys that are not kept."""
    require("distributed", "cluster")
    require("cryptography", "cluster")
    from distributed import Client, LocalCluster, Security

    quietly()
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        resources=SIMULATOR,
        security=Security.temporary(),
    )
    return ClusterExecutor(Client(cluster), cluster)


def slurm_cluster(workers: int, certificates: Path | None, patience: float = PATIENCE) -> ClusterExecutor:
    """A scheduler on this machine and each worker a job of SLURM's; queue, account and time limit are dask-jobqueue's.

    (Its settings: ~/.config/dask/jobqueue.yaml.) Jobs find the certificates under the same path as this process.
    """
    require("distributed", "cluster")
    require("dask_jobqueue", "slurm")
    if certificates is None:
        raise RobotpsError("slurm: workers on other machines need TLS: make certificates and give --certificates DIR")
    import dask
    from dask_jobqueue import SLURMCluster
    from distributed import Client

    quietly()
    defaults = {"cores": 1, "processes": 1, "memory": "2GB"}
    given = dask.config.get("jobqueue.slurm", {})
    chosen = {key: value for key, value in defaults.items() if given.get(key) is None}
    tls = security(certificates.resolve())
    cluster = SLURMCluster(
        security=tls,
        protocol="tls://",
        scheduler_options={"dashboard": False, "dashboard_address": NO_PAGES},
        worker_extra_args=["--no-dashboard", "--dashboard-address", NO_PAGES, "--resources", "simulator=1"],
        job_script_prologue=["export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]"],
        **chosen,
    )
    cluster.scale(jobs=workers)
    return ClusterExecutor(Client(cluster, security=tls), cluster, patience)


def connect_cluster(
    address: str, certificates: Path | None, timeout: float = 10.0, patience: float = PATIENCE
) -> ClusterExecutor:
    """The workers of a scheduler that runs already, HOST:PORT; RobotpsError where it is not reached in `timeout` s."""
    return ClusterExecutor(connect_client(address, certificates, timeout), patience=patience)


def connect_client(address: str, certificates: Path | None, timeout: float = 10.0) -> Client:
    """Dask's client of a scheduler that runs already; raises RobotpsError as `connect_cluster` does."""
    require("distributed", "cluster")
    from distributed import Client

    quietly()
    try:
        return Client(**scheduler_at(address, certificates), timeout=timeout)
    except OSError as error:
        raise RobotpsError(
            f"no Dask scheduler could be talked to at {address} ({error}): is it running, and with certificates "
            "of the same authority?"
        ) from None


def workers_of(client: Client) -> dict[str, dict[str, Any]] | None:
    """The workers at a scheduler by address: what Dask knows of each, its name and resources among it.

    None where the scheduler does not answer, which says nothing about its workers.
    """
    if client.status != "running":
        return None
    try:
        info = client.scheduler_info(n_workers=-1)
    except TypeError:  # before Dask 2025 it told of all of them
        info = client.scheduler_info()
    except OSError:
        return None
    found: dict[str, dict[str, Any]] = info["workers"]
    return found


def scheduler_at(address: str, certificates: Path | None) -> dict[str, Any]:
    """How to reach a scheduler: its address with the protocol, and what TLS needs; raises RobotpsError for plain
    connections beyond this machine."""
    tls: Security | None = security(certificates) if certificates is not None else None
    place = address.partition("://")[2] or address
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise RobotpsError(f"'{address}' is not an address: give HOST:PORT, such as 127.0.0.1:8786")
    if tls is None and not on_loopback(host):
        raise RobotpsError(
            f"{address}: beyond this machine only with TLS: make certificates (robotps certificates) and give "
            "--certificates DIR here, at the scheduler and at every worker"
        )
    return {"address": f"{'tcp' if tls is None else 'tls'}://{place}", "security": tls}


def worker_options(there: Mapping[str, Any], host: str | None) -> dict[str, Any]:
    """What every worker is started with. there: see scheduler_at. host: this machine's address as the others see it."""
    return {
        "nthreads": 1,
        "host": host,
        "security": there["security"],
        "memory_limit": 0,
        "dashboard": False,
        "dashboard_address": NO_PAGES,
        "death_timeout": 30,
    }


def on_loopback(host: str) -> bool:
    """Whether a host is this machine and nobody else can reach it there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def quietly() -> None:
    """Dask without its web pages, and with a worker's silence noticed within a minute."""
    import dask

    dask.config.set(
        {
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.scheduler.worker-ttl": WORKER_SILENCE,
            # a trial whose worker died is handed out again by the run, which counts how often
            "distributed.scheduler.allowed-failures": 0,
            "distributed.worker.profile.enabled": False,
        }
    )
