"""Trials on a Dask cluster: the same results as here, only from the same code, and only for whom we know."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import psutil
import pytest

from robotps.certificates import AUTHORITY, KEY, make_certificates, security
from robotps.cli.simulation import SameWorld, simulation
from robotps.cluster import (
    ClusterExecutor,
    code_here,
    connect_cluster,
    differences,
    local_cluster,
    scheduler_at,
    slurm_cluster,
)
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.result import TuneResult, result_of
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from robotps.tuning import Progress, Tuning
from robotps.workers import ProcessExecutor, run_all

Record = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterExecutor]:
    executor = local_cluster(2)
    yield executor
    executor.shutdown()


def _tune(path: Path, executor: Executor, notify: Callable[[Progress], None] | None = None) -> tuple[Record, Any]:
    """A short real run; what is on record of its trials in an order of its own, and its result."""
    description = load_description("dkitty")
    settings = TuneSettings(
        family="trot", iterations=1, options={"policies": 4}, confirm=2, finalists=1, trial=TrialSettings(seconds=0.3)
    )
    with Run.create(path, settings.model_dump(mode="json"), description) as run:
        Tuning(
            run,
            settings,
            executor=executor,
            open_robot=simulation(description),
            draw_world=SameWorld({}),
            notify=notify,
        ).go()
        record = sorted(
            (t.candidate.stage, t.candidate.iteration, t.candidate.position, t.repeat, t.score, t.digest)
            for t in run.trials()
        )
        return record, result_of(run)


@pytest.fixture(scope="module")
def from_processes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, TuneResult | None]:
    executor = ProcessExecutor(2, time_limit=60)
    found = _tune(tmp_path_factory.mktemp("processes") / "run", executor)
    executor.shutdown()
    return found


def test_two_dask_workers_record_what_two_local_processes_do_to_the_last_bit(
    tmp_path: Path, cluster: ClusterExecutor, from_processes: tuple[Record, TuneResult | None]
) -> None:
    assert _tune(tmp_path / "run", cluster) == from_processes


def test_trials_of_a_killed_worker_run_again_elsewhere_and_count_once(
    tmp_path: Path, cluster: ClusterExecutor, from_processes: tuple[Record, TuneResult | None]
) -> None:
    done: list[Progress] = []

    def kill_one(progress: Progress) -> None:
        done.append(progress)
        if len(done) in (2, 5):
            os.kill(cluster.submit(os.getpid).result(), signal.SIGKILL)

    assert _tune(tmp_path / "run", cluster, kill_one) == from_processes
    assert len(done) == len(from_processes[0])


def test_a_trial_that_kills_every_worker_ends_the_run_with_a_message(cluster: ClusterExecutor) -> None:
    with pytest.raises(RobotpsError, match="lost 3 times at the same trial"):
        list(run_all(cluster, os._exit, [1]))


def test_a_worker_with_other_code_is_refused_and_the_difference_named(
    cluster: ClusterExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = code_here()
    monkeypatch.setattr("robotps.cluster.digest_here", lambda: "0" * 64)
    monkeypatch.setattr("robotps.cluster.code_here", lambda: {**there, "numpy": "1.0"})
    error = cluster.submit(os.getpid).exception()
    assert isinstance(error, RobotpsError)
    assert f"would not run the same trials: numpy {there['numpy']} instead of 1.0: install" in str(error)


def test_a_changed_source_file_changes_the_code() -> None:
    files = [name for name in code_here() if name.endswith(".py")]
    assert {"robotps/gait.py", "robotps/trial.py", "sim/robot.py"} <= set(files)
    assert "numpy" in code_here()
    changed = {**code_here(), "robotps/gait.py": "another"}
    del changed["sim/robot.py"]
    assert differences(code_here(), changed) == "robotps/gait.py is another one; sim/robot.py is missing"


def test_the_cluster_of_a_run_listens_on_this_machine_only(cluster: ClusterExecutor) -> None:
    cluster._client.wait_for_workers(1, timeout=60)  # an earlier test may have killed the other as it started
    me = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2  # the scheduler and a worker
    assert set(listening) <= {"127.0.0.1", "::1"}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "dask:local"])
def test_a_running_tune_listens_on_this_machine_only(tmp_path: Path, executor: str) -> None:
    command = [
        "tune",
        "--iterations",
        "2",
        "--policies",
        "4",
        "--seconds",
        "0.5",
        "--workers",
        "2",
        "--run",
        str(tmp_path / "run"),
    ]
    tune = psutil.Process(_robotps(*command, "--executor", executor).pid)
    heard, looked = set(), 0
    while tune.status() != psutil.STATUS_ZOMBIE:
        for process in (tune, *tune.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                heard |= {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
                looked += 1
        time.sleep(0.2)
    assert tune.wait() == 0
    assert looked > 20
    assert heard <= {"127.0.0.1", "::1"}
    assert bool(heard) == (executor != "processes")


@pytest.mark.parametrize("address", ["192.168.1.5:8786", "tcp://lab.example:8786", "[fe80::1]:8786", "0.0.0.0:8786"])
def test_plain_connections_beyond_this_machine_are_refused(address: str) -> None:
    with pytest.raises(RobotpsError, match="only with TLS"):
        scheduler_at(address, None)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder / "ours", ["host", "pi"], days=2)
    make_certificates(folder / "theirs", ["host"], days=2)
    return folder


def _robotps(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "robotps.cli.app", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def guarded(certificates: Path) -> Iterator[str]:
    """The address of a scheduler with TLS, and a worker at it."""
    address = f"127.0.0.1:{_port()}"
    scheduler = _robotps("scheduler", "--listen", address, "--certificates", str(certificates / "ours/host"), "--json")
    assert scheduler.stdout is not None
    assert scheduler.stdout.readline().strip() == f'{{"address": "{address}"}}'
    worker = _robotps(
        "worker", "--scheduler", address, "--certificates", str(certificates / "ours/pi"), "--workers", "1"
    )
    yield address
    for process in (worker, scheduler):
        process.send_signal(signal.SIGINT)
    for process in (worker, scheduler):
        process.communicate(timeout=60)


def test_machines_of_one_authority_work_together(certificates: Path, guarded: str) -> None:
    executor = connect_cluster(guarded, certificates / "ours/pi")
    try:
        assert executor.submit(os.getpid).result(timeout=60) != os.getpid()
    finally:
        executor.shutdown()


def test_a_certificate_of_another_authority_is_refused(certificates: Path, guarded: str) -> None:
    with pytest.raises(RobotpsError, match="no Dask scheduler could be talked to"):
        connect_cluster(guarded, certificates / "theirs/host", timeout=2)


def test_a_connection_without_a_certificate_is_refused_before_a_message_is_read(
    certificates: Path, guarded: str
) -> None:
    with pytest.raises(RobotpsError, match="no Dask scheduler could be talked to"):
        connect_cluster(guarded, None, timeout=2)
    host, port = guarded.split(":")
    context = ssl.create_default_context(cafile=certificates / "ours/authority.pem")
    context.check_hostname = False
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        assert _what_comes_back(context, plain) == b""


def _what_comes_back(context: ssl.SSLContext, plain: socket.socket) -> bytes:
    """Everything that the other side says in TLS until it closes the connection."""
    heard = b""
    try:
        with context.wrap_socket(plain) as tls:
            while said := tls.recv(1000):
                heard += said
    except (ssl.SSLError, ConnectionError):
        pass
    return heard


def test_a_scheduler_listens_beyond_this_machine_only_with_certificates() -> None:
    process = _robotps("scheduler", "--listen", f"0.0.0.0:{_port()}")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "only with TLS" in said


def _stand_in_for_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands sbatch and scancel that note each job and never start it, as in a full queue. Returns the notes."""
    jobs = folder / "jobs"
    for name, script in {
        "sbatch": f'cat "$1" >> {jobs}\necho "Submitted batch job 1"',
        "scancel": "true",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.chdir(folder)
    return jobs


def test_slurm_is_given_jobs_with_certificates_and_without_web_pages_and_not_waited_for_for_ever(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = _stand_in_for_slurm(tmp_path, monkeypatch)
    executor = slurm_cluster(1, certificates / "ours/host", patience=2)
    try:
        with pytest.raises(RobotpsError, match=r"no worker was there for 2 s.*--patience.*--resume"):
            executor.submit(os.getpid).result(timeout=60)
    finally:
        executor.shutdown(cancel_futures=True)
    script = jobs.read_text()
    assert f"--tls-key {certificates / 'ours/host' / KEY}" in script
    assert f"--tls-ca-file {certificates / 'ours/host' / AUTHORITY}" in script
    assert "--no-dashboard" in script
    assert "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]" in script
    assert " tls://" in script
    with pytest.raises(RobotpsError, match="need TLS"):
        slurm_cluster(1, None)


def test_losing_the_scheduler_is_told_as_such() -> None:
    address = f"127.0.0.1:{_port()}"
    scheduler = _robotps("scheduler", "--listen", address, "--json")
    assert scheduler.stdout is not None
    scheduler.stdout.readline()
    executor = connect_cluster(address, None)
    future = executor.submit(time.sleep, 60)
    scheduler.kill()
    with pytest.raises(RobotpsError, match=r"scheduler was lost.*--resume"):
        future.result(timeout=60)
    with pytest.raises(RobotpsError, match="scheduler was lost"):
        executor.submit(os.getpid).result(timeout=60)
    executor.shutdown()
    scheduler.communicate()


def test_a_key_that_others_can_read_is_refused(certificates: Path, tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "authority", ["pi"], days=2)[0]
    (folder / KEY).chmod(0o644)
    with pytest.raises(RobotpsError, match="chmod 600"):
        security(folder)


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "authority", ["pi"], days=0)[0]
    with pytest.raises(RobotpsError, match="expired on"):
        security(folder)


def test_keys_are_secret_from_the_start_and_never_made_twice(tmp_path: Path) -> None:
    place = make_certificates(tmp_path / "authority", ["pi"], days=2)[0]
    for key in (place / KEY, tmp_path / "authority/authority-key.pem"):
        assert key.stat().st_mode & 0o777 == 0o600
    assert not (place / "authority-key.pem").exists()
    with pytest.raises(RobotpsError, match="already"):
        make_certificates(tmp_path / "authority", ["pi"], days=2)
    with pytest.raises(RobotpsError, match="cannot be the name"):
        make_certificates(tmp_path / "authority", ["../pi"], days=2)
    with pytest.raises(RobotpsError, match="at most 64"):
        make_certificates(tmp_path / "authority", ["x" * 65], days=2)
    with pytest.raises(RobotpsError, match=r"authority .* is good for 36.. days more"):
        make_certificates(tmp_path / "authority", ["pi-2"], days=4_000_000)
    assert not (tmp_path / "authority" / "pi-2").exists()
