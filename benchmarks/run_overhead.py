"""What the record and the search cost a trial, without the trial: ask, write down, tell, at 0, 1,000 and 50,000 trials.

Prints milliseconds a trial at each size (median of iterations) and the ratio to an empty run.

    python benchmarks/run_overhead.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

from robotps.description import load_description
from robotps.performing import TrialReport, TrialTask
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import Trial
from robotps.tuning import Tuning


class Instantly(Executor):
    """Answers every trial at once with a score that costs nothing to make."""

    def submit(self, fn, /, *args, **kwargs):
        """A finished future."""
        future = Future()
        task: TrialTask = args[0]
        speed = 0.2 + 0.01 * float(np.sin(task.seed))
        trial = Trial("finished", speed, speed * 5, 6.0, 0.0, drift=0.01, heading_change=0.1, slip=0.02, shake=0.3)
        future.set_result(TrialReport(trial, "0" * 64, "2026-01-01T00:00:00.000+00:00", 0.3))
        return future


def main() -> None:
    """Fill a run and time iterations as it grows."""
    description = load_description("dkitty")
    settings = TuneSettings(
        search="kohl-stone", family="trot", iterations=2, repeats=3, options={"policies": 15}, confirm=2
    )
    per_iteration = 45
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", settings.model_dump(mode="json"), description)
        stamps: list[float] = []
        tuning = Tuning(
            run,
            settings.model_copy(update={"iterations": 51_000 // per_iteration}),
            executor=Instantly(),
            open_robot=lambda world, seed: None,
            draw_world=lambda seed: {},
            notify=lambda progress: stamps.append(time.perf_counter()),
        )
        tuning.go()
        size = (Path(folder) / "run" / "run.sqlite").stat().st_size
        run.close()
    stamps = stamps[settings.confirm :]
    first = None
    for trials in (0, 1_000, 50_000):
        begin = trials // per_iteration
        costs = [
            (stamps[(i + 1) * per_iteration] - stamps[i * per_iteration]) / per_iteration * 1000
            for i in range(begin, begin + 20)
        ]
        cost = statistics.median(costs)
        first = first or cost
        print(f"{cost / first:.2f}  {cost:.3f} ms a trial at {trials:,} trials")
    print(f"# {size / 51_000:.0f} bytes a trial on disk")


if __name__ == "__main__":
    main()
