"""What limits a run on many workers: measured costs, what they predict, and clusters of sleeping workers to check it.

A sleeping worker is one to the scheduler (a connection, a name, one thread) but takes no processor: many fit on this
machine. Trials are written down, searched and handed out as in every run; only the walking is left out.

    python benchmarks/cluster_scaling.py [--workers 20 200] [--seconds 10] [--trials-each 6]
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from robotps.cli.simulation import simulation
from robotps.cluster import ClusterExecutor, connect_client, local_cluster, quietly
from robotps.description import load_description
from robotps.performing import TrialReport, TrialTask, perform
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import Trial, TrialSettings
from robotps.tuning import Tuning
from robotps.workers import InThisProcess, ProcessExecutor

DKITTY = load_description("dkitty")
WORKERS_A_PROCESS = 50
POLICIES = 100


def nap(seconds: float, task: TrialTask) -> TrialReport:
    """A trial without a robot."""
    time.sleep(seconds)
    trial = Trial("finished", 0.2, 1.0, 6.0, 0.0, drift=0.01, heading_change=0.1, slip=0.02, shake=0.3)
    return TrialReport(trial, "0" * 64, "2026-01-01T00:00:00.000+00:00", seconds)


def tuned(executor, trials: int, seconds: float) -> tuple[float, float]:
    """Seconds that so many napping trials of a search take, and bytes on disk for each."""
    policies = min(POLICIES, trials)
    settings = TuneSettings(
        search="random",
        family="trot",
        iterations=max(1, round(trials / policies)),
        options={"policies": policies},
        ahead=5 * policies,
        confirm=1,
        finalists=1,
        world={},
    )
    stamps = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Run.create(Path(folder) / "run", settings.model_dump(mode="json"), DKITTY) as run,
    ):

        def note(progress) -> None:
            if progress.latest.candidate.stage == "search":
                stamps.append(time.perf_counter())

        tuning = Tuning(run, settings, executor=executor, open_robot=None, draw_world=lambda _: {}, notify=note)
        tuning._perform = partial(nap, seconds)
        tuning.score_start()
        begin = time.perf_counter()
        tuning._run_trials(tuning._searching())
        run.close()
        size = (Path(folder) / "run" / "run.sqlite").stat().st_size
    return stamps[-1] - begin, size / (len(stamps) + 1)


@contextmanager
def sleepers(count: int):
    """A scheduler in a process of its own and so many workers, 50 to a process."""
    command = [sys.executable, "-m", "robotps.cli.app", "scheduler", "--listen", "127.0.0.1:0", "--json"]
    scheduler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert scheduler.stdout is not None
    address = scheduler.stdout.readline().split('"')[3]
    processes = []
    for begin in range(0, count, WORKERS_A_PROCESS):
        numbers = f"{begin}-{min(begin + WORKERS_A_PROCESS, count)}"
        processes.append(subprocess.Popen([sys.executable, __file__, "--sleep-for", address, numbers]))
    client = connect_client(address, None)
    client.wait_for_workers(count, timeout=600)
    executor = ClusterExecutor(client)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
        for process in (*processes, scheduler):
            process.terminate()
            process.wait()


async def sleep_for(address: str, begin: int, end: int) -> None:
    """Workers by number, until the scheduler is gone."""
    from distributed import Worker

    quietly()
    options = {"nthreads": 1, "host": "127.0.0.1", "memory_limit": 0, "dashboard": False}
    workers = [
        Worker(f"tcp://{address}", name=n, dashboard_address="127.0.0.1:0", silence_logs=40, **options)
        for n in range(begin, end)
    ]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))


def bytes_a_trial() -> tuple[int, int]:
    """What a trial's task and its report weigh on the way."""
    space = DKITTY.gait_space
    settings = TuneSettings(family="trot", iterations=1, world={})
    with tempfile.TemporaryDirectory() as folder, Run.create(Path(folder) / "run", {}, DKITTY) as run:
        (candidate,) = run.add_candidates("search", 0, "trot", space.vector(space.values(space.lower))[None, :])
        tuning = Tuning(run, settings, executor=None, open_robot=None, draw_world=lambda _: {})
        task = tuning._task(candidate, 0)
        function = partial(perform, simulation(DKITTY), TrialSettings(), None, Path(folder))
        return len(pickle.dumps((function, task))), len(pickle.dumps(nap(0.0, task)))


def overhead(trials: int, seconds: float) -> tuple[float, float]:
    """Seconds for napping trials on two local processes, and on two workers of a scheduler."""
    took = []
    for make in (lambda: ProcessExecutor(2, time_limit=60), lambda: local_cluster(2)):
        executor = make()
        tuned(executor, 4, 0.0)  # everything is imported and connected then
        took.append(tuned(executor, trials, seconds)[0])
        executor.shutdown()
    return took[0], took[1]


def main() -> None:
    """Costs, predictions, and what they are worth."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--workers", type=int, nargs="+", default=[20, 200])
    arguments.add_argument("--seconds", type=float, nargs="+", default=[10.0, 1.0], help="of a sleeping trial")
    arguments.add_argument("--trials-each", type=int, default=6, help="for each sleeping worker")
    arguments.add_argument("--sleep-for", nargs=2, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.sleep_for:
        begin, end = map(int, given.sleep_for[1].split("-"))
        asyncio.run(sleep_for(given.sleep_for[0], begin, end))
        return
    here, there = overhead(60, 0.3)
    print(f"{there / here:.3f}  two Dask workers to two local processes at 0.3 s a trial ({there:.1f} s, {here:.1f} s)")
    seconds, on_disk = tuned(InThisProcess(), 3000, 0.0)
    record = seconds / 3000
    print(f"# record and search: {1000 * record:.2f} ms a trial, {on_disk:.0f} bytes a trial on disk")
    asked, answered = bytes_a_trial()
    print(f"# on the way: {asked} bytes a task, {answered} bytes a report")
    with sleepers(4) as executor:
        tuned(executor, 50, 0.0)
        whole = tuned(executor, 2000, 0.0)[0] / 2000
    print(
        f"# handed out, scheduled, answered, recorded: {1000 * whole:.2f} ms a trial, {1 / whole:.0f} trials a second"
    )

    def predicted(workers: int, seconds: float, each: float) -> float:
        """Share of the time that workers walk: trials come no faster than they are handed out, nor does the first."""
        steady, filling = min(1.0, seconds / (workers * whole)), workers * whole
        return steady * each * seconds / (each * seconds + filling)

    print("| workers | s a trial | busy, predicted | busy, measured |\n|---|---|---|---|", flush=True)
    for workers in given.workers:
        with sleepers(workers) as executor:
            for seconds in given.seconds:
                trials = workers * given.trials_each
                took, _ = tuned(executor, trials, seconds)
                trials = max(1, round(trials / min(POLICIES, trials))) * min(POLICIES, trials)
                busy = trials * seconds / (workers * took)
                print(
                    f"| {workers} | {seconds:g} | {predicted(workers, seconds, given.trials_each):.0%} | {busy:.0%} |",
                    flush=True,
                )
    for workers, seconds in ((1000, 0.3), (1000, 10.0), (1000, 60.0)):
        busy = predicted(workers, seconds, 1e6 / workers)
        hours = 1e6 * seconds / (workers * busy) / 3600
        print(f"| {workers} | {seconds:g} | {busy:.0%} | a million trials: {hours:.1f} h, {on_disk / 1000:.1f} GB |")


if __name__ == "__main__":
    main()
