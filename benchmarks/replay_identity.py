"""Whether every simulated trial of a run replays bit for bit: in a new process, and with another number of workers.

Tunes a run of about so many short trials in drawn worlds on two workers, then replays every one in worker processes of
their own: one, and three of them. Prints the share that came out identical, how many, and how fast. Exits with 1 where
one differs.

    python benchmarks/replay_identity.py [--trials 1000] [--robot dkitty] [--run RUN] [--workers 1 3]

With --run, the trials of a run that there is already are replayed.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from robotps.cli.place import simulated
from robotps.cli.simulation import randomization_table, simulation
from robotps.description import load_description
from robotps.gait import initial_gait
from robotps.replay import again_in_simulation, find
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from robotps.workers import ProcessExecutor, run_all

POLICIES, REPEATS = 15, 3


def tuned(path: Path, robot: str, trials: int) -> None:
    """A run of at least so many trials."""
    description = load_description(robot)
    gait = initial_gait(description)
    asked = {
        "family": gait.family,
        "start": dict(gait.parameters),
        "options": {"policies": POLICIES},
        "repeats": REPEATS,
        "confirm": 4,
        "finalists": 1,
        "trial": TrialSettings(seconds=0.4, warm_up=0.2),
        "world": {},
        "randomization": randomization_table("default", description, {}),
    }
    outside_the_search = TuneSettings.model_validate(asked).trials_to_confirm
    asked["iterations"] = max(1, math.ceil((trials - outside_the_search) / (POLICIES * REPEATS)))
    settings = TuneSettings.model_validate(asked)
    with (
        simulated(description, {}, settings.randomization, settings.trial, partial(ProcessExecutor, 2)) as place,
        Run.create(path, settings.model_dump(mode="json"), description) as run,
    ):
        place.tuning(run, settings).go()


def identical(path: Path, number: int) -> bool:
    """Whether one trial comes out as recorded, here."""
    with Run.open(path) as run:
        return bool(again_in_simulation(find(run, number), simulation(run.description)).identical)


def main() -> None:
    """Make the run, replay it twice."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=1000)
    arguments.add_argument("--robot", default="dkitty")
    arguments.add_argument("--run", type=Path)
    arguments.add_argument("--workers", type=int, nargs="+", default=[1, 3])
    given = arguments.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        path = given.run or Path(folder) / "run"
        if given.run is None:
            tuned(path, given.robot, given.trials)
        with Run.open(path) as run:
            numbers = [trial.id for trial in run.trials() if trial.digest is not None]
        for workers in given.workers:
            executor = ProcessExecutor(workers, time_limit=120)
            begin = time.perf_counter()
            same = sum(outcome for _, outcome in run_all(executor, partial(identical, path), numbers))
            seconds = time.perf_counter() - begin
            executor.shutdown()
            failed |= same < len(numbers)
            print(
                f"{same / len(numbers):.4f}  {same} of {len(numbers)} trials identical, replayed by {workers} "
                f"workers in new processes at {len(numbers) / seconds:.1f}/s",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
