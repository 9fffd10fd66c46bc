"""Kill every kind of process at random moments, and make the disk, the clock and the machine misbehave.

After each kill the run is resumed; what it had said was done must be on record, once, with the same score, and at the
end a simulated run must be what an undisturbed one is, bit for bit, and a robot's servos must be off. Prints a table.

    python benchmarks/endurance.py --seed 0 --kills 500 --trials 10000
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from hardware.robot import bus_of
from hardware.virtual.robot import VirtualRobot
from robotps.cli.place import PhysicalFlags, physical
from robotps.cli.simulation import SameWorld, simulation
from robotps.cluster import connect_cluster
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.run import Run
from robotps.settings import TuneSettings, settings_of
from robotps.trial import TrialSettings
from robotps.tuning import Progress, Tuning
from robotps.workers import InThisProcess, ProcessExecutor

DKITTY = load_description("dkitty")
SIMULATED = TuneSettings(
    search="kohl-stone",
    family="trot",
    iterations=20,
    options={"policies": 4},
    confirm=2,
    finalists=1,
    trial=TrialSettings(seconds=0.04, warm_up=0.0),
    world={},
)
PHYSICAL = SIMULATED.model_copy(update={"iterations": 6, "world": None, "trial": TrialSettings(seconds=0.2, warm_up=0)})
SHARES = {"host": 0.35, "worker": 0.3, "host at the robot": 0.13, "virtual robot": 0.12, "scheduler": 0.05}
"""Of all kills; what is left over goes to the workers of the scheduler."""
SCHEDULERS_WORKER = "scheduler's worker"
WAIT = 300.0


@dataclass
class Count:
    """What became of one kind of trouble."""

    blows: int = 0
    runs: int = 0
    done: int = 0
    lost: int = 0
    duplicated: int = 0
    corrupted: int = 0
    orphans: int = 0
    torque_on: int = 0
    remarks: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        """One line of the table."""
        cells = (self.blows, self.runs, self.done, self.lost, self.duplicated, self.corrupted, self.orphans)
        return f"| {name} | {' | '.join(map(str, cells))} | {self.torque_on} | {'; '.join(self.remarks)} |"


# --- hosts: forked from this process, which has everything imported, so that a kill costs little


def forked(task: Callable[[], None]) -> int:
    """Run `task` in a child; its exit status is 0 when it is done, 1 for a message to the person, 2 for a crash."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    status = 2
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        task()
        status = 0
    except RobotpsError:
        status = 1
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(status)


def ended(process: int, within: float) -> int | None:
    """The exit status of a child (128 + signal where it was killed), None where it still runs after so many s."""
    deadline = time.monotonic() + within
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)


def tune(path: Path, settings: TuneSettings, place: Callable[[], Any], journal: Path) -> None:
    """Begin a run or go on with it; every trial that is done is told to the journal, as to a person."""
    book = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(progress: Progress) -> None:
        trial = progress.latest
        os.write(book, f"{trial.id} {trial.candidate.id} {trial.repeat} {trial.score!r}\n".encode())

    exists = (path / "run.sqlite").exists()
    opened = Run.resume(path) if exists else Run.create(path, settings.model_dump(mode="json"), DKITTY)
    with opened as run, place() as (executor, open_robot, draw_world, odometer):
        Tuning(
            run,
            settings_of(run),
            executor=executor,
            open_robot=open_robot,
            draw_world=draw_world,
            odometer=odometer,
            notify=note,
        ).go()


@contextlib.contextmanager
def simulated(executor: Callable[[], Any] = InThisProcess):
    """Simulated trials on an executor."""
    workers = executor()
    try:
        yield workers, simulation(DKITTY), SameWorld({}), None
    finally:
        workers.shutdown(cancel_futures=True)


@contextlib.contextmanager
def at_robot(addresses: dict[str, str]):
    """Physical trials on the virtual robot at these addresses."""
    flags = PhysicalFlags(f"stream:{addresses['stream']}", False, addresses["assistant"], "device")
    with physical(DKITTY, addresses["port"], flags) as place:
        yield place.executor, place.open_robot, place.draw_world, place.odometer


def virtual_robot() -> tuple[int, dict[str, str]]:
    """A virtual robot in a child of its own, and where it is."""
    out, into = os.pipe()

    def serve() -> None:
        with contextlib.closing(VirtualRobot(DKITTY, realtime=False)) as robot:
            os.write(into, f"{robot.port} {robot.position_stream} {robot.assistant}\n".encode())
            robot.run()

    process = forked(serve)
    os.close(into)
    with open(out) as pipe:
        port, stream, assistant = pipe.readline().split()
    return process, {"port": port, "stream": stream, "assistant": assistant}


# --- what is on record


def content(path: Path) -> list[tuple[Any, ...]]:
    """What a run came to, in an order of its own, without times and without trials that do not count."""
    with Run.open(path) as run:
        return sorted(
            (t.candidate.stage, t.candidate.iteration, t.candidate.position, t.repeat, t.score, t.digest)
            for t in run.trials()
            if t.score is not None
        )


def examine(path: Path, journal: Path, count: Count, expected: list[tuple[Any, ...]] | None) -> None:
    """Compare a finished run with what it said meanwhile, and with the undisturbed one."""
    count.runs += 1
    try:
        with sqlite3.connect(path / "run.sqlite") as database:
            intact = database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        found = content(path)
        with Run.open(path) as run:
            trials = {t.id: t for t in run.trials()}
            for trial in trials.values():
                if trial.world is None and trial.score is not None and run.telemetry(trial.id) is None:
                    intact = False
    except (RobotpsError, sqlite3.Error) as error:
        count.corrupted += 1
        count.remarks.append(str(error))
        return
    said = [line.split() for line in journal.read_text().splitlines()]
    for number, candidate, repeat, score in said:
        trial = trials.get(int(number))
        if trial is None or (trial.candidate.id, trial.repeat, repr(trial.score)) != (
            int(candidate),
            int(repeat),
            score,
        ):
            count.lost += 1
    counted = Counter((t.candidate.id, t.repeat) for t in trials.values() if t.score is not None)
    count.duplicated += sum(times - 1 for times in counted.values())
    count.done += len(counted)
    if not intact or (expected is not None and found != expected):
        count.corrupted += 1


def torque(port: str) -> int:
    """Servos whose torque is on, as they say themselves."""
    bus = bus_of(DKITTY, port)
    bus.patience = 0.5
    bus.port.open()
    try:
        return sum(bool(value) for value in bus.get("torque_enable").values())
    finally:
        bus.port.close()


# --- kills


def kill_hosts(chance: random.Random, kills: int, folder: Path, expected: list[tuple[Any, ...]]) -> Count:
    """The process that owns the run, trials and all."""
    count = Count()
    while count.blows < kills:
        path, journal = folder / f"host-{count.runs}", folder / f"host-{count.runs}.txt"
        while True:
            host = forked(lambda path=path, journal=journal: tune(path, SIMULATED, simulated, journal))
            status = ended(host, chance.uniform(0.0, 1.0) if count.blows < kills else WAIT)
            if status is None:
                os.kill(host, signal.SIGKILL)
                ended(host, WAIT)
                count.blows += 1
            elif status == 0:
                break
            else:
                count.remarks.append(f"ended with {status}")
                break
        examine(path, journal, count, expected)
    return count


def kill_workers(chance: random.Random, kills: int, folder: Path, expected: list[tuple[Any, ...]]) -> Count:
    """Worker processes of the host."""
    count = Count()
    while count.blows < kills:
        path, journal = folder / f"worker-{count.runs}", folder / f"worker-{count.runs}.txt"
        while True:
            host = forked(lambda path=path, journal=journal: tune(path, SIMULATED, two_processes, journal))
            status = None
            while status is None:
                status = ended(host, chance.expovariate(1 / 0.7))
                workers = _workers_of(host)
                if status is None and workers and count.blows < kills:
                    with contextlib.suppress(psutil.Error):
                        chance.choice(workers).kill()
                        count.blows += 1
            if status == 0:
                break
            if status != 1:  # 1: three workers lost at one trial, which is said, and resumed
                count.remarks.append(f"ended with {status}")
                break
        count.orphans += len(_workers_of(host))
        examine(path, journal, count, expected)
    return count


def two_processes():
    """Two worker processes."""
    return simulated(lambda: ProcessExecutor(2, time_limit=60))


def _workers_of(host: int) -> list[psutil.Process]:
    try:
        children = psutil.Process(host).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def kill_at_the_robot(chance: random.Random, kills: int, folder: Path, whom: str) -> Count:
    """The host of a physical run, or the virtual robot itself."""
    count = Count()
    robot, where = virtual_robot()
    try:
        while count.blows < kills:
            name = f"{whom.replace(' ', '-')}-{count.runs}"
            path, journal = folder / name, folder / f"{name}.txt"
            tries = 0
            while True:
                host = forked(
                    lambda path=path, journal=journal, where=where: tune(
                        path, PHYSICAL, lambda: at_robot(where), journal
                    )
                )
                status = ended(host, chance.uniform(0.0, 4.0) if count.blows < kills else WAIT)
                if status is None:
                    count.blows += 1
                    os.kill(host if whom == "host at the robot" else robot, signal.SIGKILL)
                    if whom == "virtual robot":
                        ended(robot, WAIT)
                    status = ended(host, WAIT)
                    if status is None:
                        os.kill(host, signal.SIGKILL)
                        ended(host, WAIT)
                        count.remarks.append("the host hung")
                    if whom == "virtual robot":
                        robot, where = virtual_robot()
                elif status == 0:
                    break
                else:
                    tries += 1
                    if tries > 3:
                        count.remarks.append(f"ended with {status}")
                        break
            examine(path, journal, count, None)
            count.torque_on += torque(where["port"])
    finally:
        os.kill(robot, signal.SIGKILL)
        ended(robot, WAIT)
    return count


def kill_the_cluster(
    chance: random.Random, kills: int, folder: Path, expected: list[tuple[Any, ...]], whom: str
) -> Count:
    """The scheduler, or its workers; both are started again at once, as a service manager would."""
    count = Count()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    start = [sys.executable, "-m", "robotps.cli.app"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([*start, "scheduler", "--listen", address], **quiet)
    worker = subprocess.Popen([*start, "worker", "--scheduler", address, "--workers", "2"], **quiet)
    try:
        while count.blows < kills:
            name = f"{whom.replace(' ', '-')}-{count.runs}"
            path, journal = folder / name, folder / f"{name}.txt"
            while True:
                host = forked(
                    lambda path=path, journal=journal: tune(
                        path, SIMULATED, lambda: simulated(lambda: connect_cluster(address, None, 60.0)), journal
                    )
                )
                status = None
                while status is None:
                    status = ended(host, chance.uniform(1.0, 4.0))
                    if status is not None or count.blows >= kills:
                        continue
                    if whom == "scheduler":
                        scheduler.kill()
                        scheduler.wait()
                        scheduler = subprocess.Popen([*start, "scheduler", "--listen", address], **quiet)
                        count.blows += 1
                    else:
                        with contextlib.suppress(psutil.Error, IndexError):
                            chance.choice(_workers_of(worker.pid)).kill()
                            count.blows += 1
                if status == 0:
                    break
                if worker.poll() is not None:
                    count.remarks.append(f"robotps worker ended with {worker.returncode}")
                    worker = subprocess.Popen([*start, "worker", "--scheduler", address, "--workers", "2"], **quiet)
                if status != 1:  # 1: it said that the scheduler was lost
                    count.remarks.append(f"ended with {status}")
                    break
            examine(path, journal, count, expected)
    finally:
        for process in (worker, scheduler):
            _kill_all(process.pid)
    return count


def _kill_all(process: int) -> None:
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(process)
        for one in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.Error):
                one.kill()


# --- other trouble


def trouble(chance: random.Random, folder: Path, expected: list[tuple[Any, ...]], pause: float) -> dict[str, Count]:
    """Disk, clock and machine, one after the other; each is told or survived, and the run goes on to the same end."""
    found = {}
    for name, disturbed in {
        "full disk": _full_disk,
        "slow disk": _slow_disk,
        "clock jumping": _clock_jumps,
        "logs not writable": _not_writable,
        "two processes on one run": _two_at_once,
        f"stopped for {pause:.0f} s": lambda *given: _stopped(*given, pause),
    }.items():
        path, journal, count = folder / name.replace(" ", "-"), folder / f"{name}.txt", Count()
        disturbed(chance, path, journal, count)
        status = ended(forked(lambda path=path, journal=journal: tune(path, SIMULATED, simulated, journal)), WAIT)
        if status != 0:
            count.remarks.append(f"going on ended with {status}")
        examine(path, journal, count, expected)
        found[name] = count
        print(count.row(name), flush=True)
    return found


def _begin(path: Path, journal: Path, before: Callable[[], None] = lambda: None) -> int:
    def go() -> None:
        before()
        tune(path, SIMULATED, simulated, journal)

    return forked(go)


def _full_disk(chance: random.Random, path: Path, journal: Path, count: Count) -> None:
    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    count.blows += 1
    status = ended(_begin(path, journal, little_room), WAIT)
    count.remarks.append("told" if status == 1 else f"ended with {status}")


def _slow_disk(chance: random.Random, path: Path, journal: Path, count: Count) -> None:
    """Another connection holds the database for a second now and then: whoever writes has to wait, as for a disk."""
    host = _begin(path, journal)
    time.sleep(0.5)
    for _ in range(5):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path / "run.sqlite")) as database:
            database.execute("BEGIN IMMEDIATE")
            count.blows += 1
            time.sleep(1.0)
            database.rollback()
        if ended_already(host):
            break
        time.sleep(chance.uniform(0, 0.3))
    count.remarks.append("survived" if ended(host, WAIT) in (0, None) else "told")


def ended_already(process: int) -> bool:
    """Whether a child is over; it is not waited for."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _clock_jumps(chance: random.Random, path: Path, journal: Path, count: Count) -> None:
    def jump() -> None:
        import datetime

        import robotps.provenance
        import robotps.recorder

        class Jumping(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime.datetime:
                return datetime.datetime.now(tz) + datetime.timedelta(seconds=chance.uniform(-1e6, 1e6))

        robotps.provenance.datetime = Jumping
        truly = time.time
        time.time = lambda: truly() + chance.uniform(-1e6, 1e6)

    count.blows += 1
    status = ended(_begin(path, journal, jump), WAIT)
    count.remarks.append("survived" if status == 0 else f"ended with {status}")


def _not_writable(chance: random.Random, path: Path, journal: Path, count: Count) -> None:
    """The run's folder belongs to somebody else (root may write everywhere, so the host becomes nobody)."""
    host = _begin(path, journal)
    ended(host, 1.0)
    os.kill(host, signal.SIGKILL)
    ended(host, WAIT)
    for file in (path, *path.iterdir()):
        file.chmod(0o555 if file.is_dir() else 0o444)
    journal.chmod(0o666)
    path.parent.chmod(0o755)

    def nobody() -> None:
        if os.getuid() == 0:
            os.setuid(65534)

    count.blows += 1
    status = ended(_begin(path, journal, nobody), WAIT)
    count.remarks.append("told" if status == 1 else f"ended with {status}")
    for file in (path, *path.iterdir()):
        file.chmod(0o755 if file.is_dir() else 0o644)


def _two_at_once(chance: random.Random, path: Path, journal: Path, count: Count) -> None:
    host = _begin(path, journal)
    while not (path / "run.sqlite").exists():
        time.sleep(0.01)
    count.blows += 1
    refused = ended(_begin(path, journal), WAIT)
    count.remarks.append("refused" if refused == 1 else f"ended with {refused}")
    ended(host, WAIT)


def _stopped(chance: random.Random, path: Path, journal: Path, count: Count, pause: float) -> None:
    host = forked(lambda: tune(path, SIMULATED, two_processes, journal))
    ended(host, 2.5)
    stopped = [psutil.Process(host), *_workers_of(host)]
    for process in stopped:
        process.suspend()
    count.blows += len(stopped)
    time.sleep(pause)
    for process in stopped:
        process.resume()
    status = ended(host, WAIT)
    count.remarks.append("survived" if status == 0 else f"ended with {status}")


# --- memory


def memory(trials: int, folder: Path) -> str:
    """Growth of host and worker over so many simulated trials, after the first tenth has filled every cache."""
    policies = 50
    settings = SIMULATED.model_copy(
        update={
            "iterations": trials // policies,
            "options": {"policies": policies},
            "trial": TrialSettings(seconds=0.01, warm_up=0.0),
        }
    )
    me, sizes = psutil.Process(), []

    def look(progress: Progress) -> None:
        if progress.done % (trials // 10) == 0:
            workers = _workers_of(me.pid)
            sizes.append((me.memory_info().rss, max(worker.memory_info().rss for worker in workers)))

    begin = time.monotonic()
    with (
        Run.create(folder / "long", settings.model_dump(mode="json"), DKITTY) as run,
        simulated(lambda: ProcessExecutor(1, time_limit=60)) as (executor, open_robot, draw_world, _),
    ):
        Tuning(run, settings, executor=executor, open_robot=open_robot, draw_world=draw_world, notify=look).go()
        done = run.count()
    host, worker = ((last - first) / 1e6 for first, last in zip(sizes[0], sizes[-1], strict=True))
    return (
        f"memory over {done} trials in {time.monotonic() - begin:.0f} s, from the first tenth on: "
        f"host {host:+.1f} MB (to {sizes[-1][0] / 1e6:.0f}), worker {worker:+.1f} MB (to {sizes[-1][1] / 1e6:.0f})"
    )


def main() -> None:
    """The whole campaign."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--kills", type=int, default=500)
    arguments.add_argument("--trials", type=int, default=10_000, help="of the memory test; 0 leaves it out")
    arguments.add_argument("--pause", type=float, default=30.0, help="s for which processes are stopped")
    arguments.add_argument(
        "--only", choices=[*SHARES, SCHEDULERS_WORKER, "trouble", "memory"], help="one kind of trouble"
    )
    given = arguments.parse_args()
    chance = random.Random(given.seed)
    kills = {name: round(share * given.kills) for name, share in SHARES.items()}
    kills[SCHEDULERS_WORKER] = given.kills - sum(kills.values())
    if given.only:
        kills = {given.only: given.kills} if given.only in kills else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tune(folder / "undisturbed", SIMULATED, simulated, folder / "undisturbed.txt")
        expected = content(folder / "undisturbed")
        print("| what | blows | runs | trials done | lost | duplicated | corrupted | left over | torque on | |")
        print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
        total = Count()
        for whom, number in kills.items():
            begin = time.monotonic()
            if whom == "host":
                count = kill_hosts(chance, number, folder, expected)
            elif whom == "worker":
                count = kill_workers(chance, number, folder, expected)
            elif "robot" in whom:
                count = kill_at_the_robot(chance, number, folder, whom)
            else:
                count = kill_the_cluster(chance, number, folder, expected, whom)
            count.remarks.append(f"{time.monotonic() - begin:.0f} s")
            print(count.row(f"kill -9 of {whom}"), flush=True)
            for key in ("blows", "runs", "done", "lost", "duplicated", "corrupted", "orphans", "torque_on"):
                setattr(total, key, getattr(total, key) + getattr(count, key))
        print(total.row("all kills"), flush=True)
        if given.only in (None, "trouble"):
            trouble(chance, folder, expected, given.pause)
        if given.trials and given.only in (None, "memory"):
            print(memory(given.trials, folder), flush=True)


if __name__ == "__main__":
    main()
