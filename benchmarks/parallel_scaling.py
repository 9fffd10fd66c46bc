"""Trials per second of two workers against one, interleaved in one run. Prints one ratio a line and their median.

python benchmarks/parallel_scaling.py [--robot NAME] [--trials N] [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

from robotps.cli.simulation import simulation
from robotps.description import load_description
from robotps.gait import initial_gait
from robotps.performing import TrialTask, perform
from robotps.run import Candidate
from robotps.trial import TrialSettings
from robotps.workers import ProcessExecutor, run_all


def main() -> None:
    """Time the same trials on one worker and on two."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--robot", default="dkitty")
    arguments.add_argument("--trials", type=int, default=40)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    description = load_description(given.robot)
    gait = initial_gait(description)
    start = description.gait_space.vector(gait.parameters)
    candidate = Candidate(0, "search", 0, 0, gait.family, start)
    tasks = [TrialTask(candidate, gait, 0, seed, {}) for seed in range(given.trials)]
    function = partial(perform, simulation(description), TrialSettings(), None, Path())
    pools = {count: ProcessExecutor(count, time_limit=120) for count in (1, 2)}
    for count, pool in pools.items():  # start the workers and let each import the engine
        list(run_all(pool, function, tasks[: 4 * count]))
    ratios = []
    for _ in range(given.rounds):
        seconds = {}
        for count, pool in pools.items():
            begin = time.perf_counter()
            list(run_all(pool, function, tasks))
            seconds[count] = time.perf_counter() - begin
        ratios.append(seconds[1] / seconds[2])
        print(f"{ratios[-1]:.2f}  one worker {given.trials / seconds[1]:.2f}/s, two {given.trials / seconds[2]:.2f}/s")
    for pool in pools.values():
        pool.shutdown()
    print(f"{statistics.median(ratios):.2f}  median of {len(ratios)}")


if __name__ == "__main__":
    main()
