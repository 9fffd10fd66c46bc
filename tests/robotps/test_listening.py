"""What robotps's verbs listen on while they run: nothing beyond this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import walking

from robotps.workers import InThisProcess

LOOPBACK = {"127.0.0.1", "::1"}


@contextlib.contextmanager
def running(*arguments: str, folder: Path) -> Iterator[psutil.Process]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "robotps.cli.app", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
        process.wait()


def heard_on(tree: psutil.Process, at_least: int, within: float = 120.0) -> set[Any]:
    """Addresses that a process and all its children listen on, once there are so many; all kinds of sockets."""
    deadline = time.monotonic() + within
    found: set[Any] = set()
    while True:
        for process in (tree, *tree.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                for connection in process.net_connections(kind="inet"):
                    waits = connection.status == psutil.CONN_LISTEN
                    # a datagram socket that is bound to nobody else hears everybody
                    if waits or (connection.status == psutil.CONN_NONE and connection.laddr and not connection.raddr):
                        found.add((connection.laddr.ip, connection.laddr.port))
        if len(found) >= at_least:
            return found
        assert time.monotonic() < deadline, found
        assert tree.status() != psutil.STATUS_ZOMBIE
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "ports"),
    [
        (("watch", "{run}", "--view"), 1),
        (("replay", "{run}", "--view"), 1),
        (("virtual", "--robot", "dkitty"), 2),
        (("scheduler", "--listen", "127.0.0.1:0"), 2),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_running_verb_listens_on_this_machine_only(
    tmp_path: Path, real_run: Path, verb: tuple[str, ...], ports: int
) -> None:
    with running(*(word.format(run=real_run) for word in verb), folder=tmp_path) as process:
        heard = heard_on(process, ports)
        time.sleep(1.0)
        heard |= heard_on(process, ports)
    assert {ip for ip, _ in heard} <= LOOPBACK


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one simulated trial, as `replay` needs one."""
    from robotps.cli.simulation import SameWorld, simulation

    path = tmp_path_factory.mktemp("real") / "run"
    asked = walking.settings(iterations=1, repeats=1, confirm=1, finalists=1, world={}, options={"policies": 2})
    with walking.create(path, asked, "dkitty") as run:
        walking.tuning(
            run, asked, InThisProcess(), open_robot=simulation(run.description), draw_world=SameWorld({})
        ).score_start()
    return path
