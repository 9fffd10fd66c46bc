"""What a search itself costs: processor time of an iteration (ask, tell, recommend) at 2,000 trials, 12 parameters.

Prints milliseconds and, after the slash, how many of them the bound allows (20; bayesian 1,000).

    python benchmarks/search_cost.py [--trials 2000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from robotps.parameters import Parameter, ParameterSpace
from robotps.search import SEARCHES, Score

ITERATIONS = 10


def main() -> None:
    """Measure every search."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=2000)
    trials = arguments.parse_args().trials
    space = ParameterSpace(tuple(Parameter(f"p{i}", "m", 0.0, 1.0, -40.0, 40.0) for i in range(12)))
    for name, kind in SEARCHES.items():
        search, generator, done, spent = kind(space, seed=1), np.random.default_rng(0), 0, []
        if name == "bayesian":  # which looks at the latest scores only: no need to go the whole way
            points = np.clip(generator.normal(0, 2, (trials - 200, 12)), space.lower, space.upper)
            search.tell(points, [Score(value) for value in (1 - 0.002 * ((points - 3) ** 2).sum(axis=1)).tolist()])
            done = len(points)
        while done < trials or len(spent) < ITERATIONS:
            began = time.process_time()
            candidates = search.ask()
            asked = time.process_time() - began
            values = 1 - 0.002 * ((candidates - 3) ** 2).sum(axis=1) + 0.03 * generator.standard_normal(len(candidates))
            began = time.process_time()
            search.tell(candidates, [Score(value) for value in values.tolist()])
            _ = search.recommended
            done += len(candidates)
            if done > trials - 200:
                spent.append(asked + time.process_time() - began)
        bound = 1000 if name == "bayesian" else 20
        print(f"{1e3 * np.median(spent):8.2f} / {bound:4d} ms  {name}")


if __name__ == "__main__":
    main()
