"""Robots on other machines: workers of a scheduler that have a robot, here in processes of their own without one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleets import DKITTY, SETTINGS, Walking, counted_once, tuning

from hardware.elsewhere import Elsewhere, Scheduler
from hardware.fleet import Fleet
from hardware.robot_worker import RobotHere
from robotps.cluster import connect_cluster, robots_code, run_with_code
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.robot import RobotFault
from robotps.run import Run
from robotps.tuning import Progress

WORKER = """
    import sys
    sys.path.insert(0, {tests!r})
    from hardware.robot_worker import RobotHere, serve
    from fleets import DKITTY, Walking
    name, scheduler, description = sys.argv[1:]
    member = Walking(name)
    serve(RobotHere(member, description or DKITTY.fingerprint), scheduler, None, None, print)
"""


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Lab:
    """A scheduler, and robots' workers by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{_port()}"
        command = [sys.executable, "-m", "robotps.cli.app", "scheduler", "--listen", self.address, "--json"]
        self.scheduler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.scheduler.stdout is not None
        self.scheduler.stdout.readline()
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, description: str = "") -> None:
        code = textwrap.dedent(WORKER.format(tests=str(Path(__file__).parent)))
        self.workers[name] = subprocess.Popen(
            [sys.executable, "-c", code, name, self.address, description],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.send_signal(signal.SIGINT)
        for process in (*self.workers.values(), self.scheduler):
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def robots_at(scheduler: Scheduler, count: int) -> list[Elsewhere]:
    found: list[Elsewhere] = []
    deadline = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < deadline
        found += scheduler.members()
        time.sleep(0.1)
    return found


def test_a_robots_worker_is_killed_and_started_again_and_no_trial_is_lost_or_counted_twice(
    tmp_path: Path, lab: Lab
) -> None:
    lab.start("one")
    lab.start("two")

    def kill_and_start(progress: Progress) -> None:
        if progress.done == 8:
            lab.workers["two"].kill()
            lab.workers["two"].wait()
            lab.start("two")

    told: list[str] = []
    with (
        Scheduler(lab.address, None, DKITTY) as scheduler,
        Fleet(robots_at(scheduler, 2), told.append) as fleet,
        Run.create(tmp_path / "run", SETTINGS.model_dump(mode="json"), DKITTY) as run,
    ):
        tuning(run, fleet, kill_and_start).go()
        trials = run.trials()
    assert counted_once(trials)
    by_robot = Counter(t.robot for t in trials if t.score is not None)
    assert set(by_robot) == {"one", "two"}
    lost = [t for t in trials if t.ending == "fault"]
    assert len(lost) <= 3  # the one it was at, and what a busy machine takes for lost
    for trial in lost:
        assert trial.robot == "two" or "not at the scheduler" in trial.metrics["reason"]
    with Run.open(tmp_path / "run") as run:
        telemetry = run.telemetry(next(t.id for t in trials if t.score is not None))
        assert telemetry is not None
        assert len(telemetry.time) == round(SETTINGS.trial.seconds / DKITTY.control_period)


def test_a_robot_of_another_description_and_one_with_other_code_are_refused_by_name(lab: Lab) -> None:
    lab.start("other", DKITTY.model_copy(update={"title": "Another"}).fingerprint)
    with Scheduler(lab.address, None, DKITTY) as scheduler:
        (robot,) = robots_at(scheduler, 1)
        with pytest.raises(RobotpsError, match="other is described otherwise than the robot of this run"):
            robot.make_ready()
        old = {**robots_code(), "robotps/gait.py": "0"}
        task = scheduler._client.submit(run_with_code, old, os.getpid, resources={"robot": 1}, pure=False)
        with pytest.raises(RobotpsError, match=r"other runs other code: robotps/gait.py is another one"):
            task.result(timeout=30)


def test_a_robot_refuses_a_trial_that_it_was_not_made_ready_for_or_has_begun_before(lab: Lab) -> None:
    lab.start("one")
    with Scheduler(lab.address, None, DKITTY) as scheduler:
        (robot,) = robots_at(scheduler, 1)
        gait, settings = initial_gait(DKITTY), SETTINGS.trial
        with robot.open() as ready:
            trial, _ = ready.run_trial(gait, settings)
            assert trial.ending == "finished"
            again, telemetry = ready.run_trial(gait, settings)
            assert (again.ending, telemetry) == ("fault", None)
            assert "not the one it was made ready for" in again.reason


def test_a_robot_elsewhere_is_told_to_let_go_in_the_middle_of_a_trial(lab: Lab) -> None:
    lab.start("one")
    with Scheduler(lab.address, None, DKITTY) as scheduler:
        (robot,) = robots_at(scheduler, 1)
        long = SETTINGS.trial.model_copy(update={"seconds": 4.0})
        with ThreadPoolExecutor() as threads, robot.open() as ready:
            walking = threads.submit(ready.run_trial, initial_gait(DKITTY), long)
            time.sleep(0.5)
            robot.halt("the run has ended")
            deadline = time.monotonic() + 3.0
            while not (lab.folder / "one-halted").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert not walking.done()


def test_simulated_trials_never_land_on_a_robots_worker(lab: Lab) -> None:
    lab.start("one")
    with Scheduler(lab.address, None, DKITTY) as scheduler:
        robots_at(scheduler, 1)
        executor = connect_cluster(lab.address, None, patience=1.0)
        assert executor.threads == 0
        with pytest.raises(RobotpsError, match="no worker was there for 1 s"):
            executor.submit(os.getpid).result(timeout=30)
        executor.shutdown(cancel_futures=True)
        patient = connect_cluster(lab.address, None)
        asked = [patient.submit(os.getpid) for _ in range(6)]  # before anybody is there who may
        command = [sys.executable, "-m", "robotps.cli.app", "worker", "--scheduler", lab.address, "--workers", "1"]
        lab.workers["simulates"] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert lab.workers["one"].pid not in {each.result(timeout=60) for each in asked}
        patient.shutdown()


def test_a_robots_worker_needs_neither_simulation_nor_its_engines() -> None:
    code = """
        import sys
        for engine in ("pybullet", "mujoco", "matplotlib", "cv2"):
            sys.modules[engine] = None
        from hardware.robot_worker import RobotHere, serve
        from robotps.cli.fleet import member_at
        from robotps.cli.place import PhysicalFlags
        from robotps.cluster import robots_code
        from robotps.description import load_description
        member = member_at(load_description("dkitty"), "/dev/null", PhysicalFlags("stopwatch"), None)
        assert robots_code() and RobotHere(member, "")
        assert not {"sim", "hardware.virtual"} & set(sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_robot_lies_down_when_its_host_has_said_nothing_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hardware.robot_worker.IDLE", 0.1)
    member = Walking("one")
    closed: list[float] = []
    monkeypatch.setattr(member, "close", lambda: closed.append(time.monotonic()))
    robot = RobotHere(member, "{}")
    robot.lie_down(if_idle=True)
    assert not closed  # it never stood up
    robot.prepare("token", "{}")
    robot.lie_down(if_idle=True)
    assert not closed
    time.sleep(0.15)
    robot.lie_down(if_idle=True)
    assert len(closed) == 1
    robot.lie_down(if_idle=True)
    assert len(closed) == 1
    trial = SETTINGS.trial
    with pytest.raises(RobotFault, match="not the one it was made ready for"):
        robot.walk("token", initial_gait(DKITTY), trial)  # what it was made ready for is over
    robot.prepare("another", "{}")
    assert robot.walk("another", initial_gait(DKITTY), trial)[0].ending == "finished"
