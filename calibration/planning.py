"""Simulated trials between physical ones: gaits scored over worlds that may be the real one, and a search in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.guarded import open_guarded
from robotps.description import Family, RobotDescription
from robotps.gait import Gait, UnreachableGait
from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.cma_es import CMAES
from robotps.search.search import Score
from robotps.trial import Objective, TrialSettings, run_trial
from robotps.workers import run_all

World = Mapping[str, Any]
Draw = Callable[[int], World]
"""A world that may be the real one, from a seed."""

WORLDS = 1
"""Worlds that a gait meets in the search, drawn anew for each iteration and shared by its gaits: more iterations gain
more than more worlds in each."""
POPULATION = 12


@dataclass(frozen=True)
class SimulatedTask:
    """One simulated trial of a gait, by its place in a table of scores."""

    gait: int
    world: int
    parameters: Mapping[str, float]
    table: World
    seed: int


@dataclass(frozen=True)
class Judgement:
    """What simulation says of gaits. scores: (m, worlds), NaN where a trial does not count; safe: (m,), whether every
    trial of a gait came to its end on its feet and with the safety layer's consent."""

    scores: FloatArray
    safe: NDArray[np.bool_]

    @property
    def expected(self) -> FloatArray:
        """Mean score over the worlds, (m,); minus infinity for a gait that no world could score."""
        counted = np.isfinite(self.scores)
        total = np.where(counted, self.scores, 0.0).sum(axis=1)
        return np.where(counted.any(axis=1), total / np.maximum(counted.sum(axis=1), 1), -np.inf)

    @property
    def spread(self) -> FloatArray:
        """Standard deviation over the worlds, (m,): what is not known of a gait as long as the world is not."""
        filled = np.where(np.isfinite(self.scores), self.scores, np.where(self.safe, self.expected, 0.0)[:, None])
        spread: FloatArray = filled.std(axis=1)
        return spread


def simulate(
    description: RobotDescription, family: Family, settings: TrialSettings, objective: Objective, task: SimulatedTask
) -> tuple[float | None, bool]:
    """The score of a simulated trial behind the safety layer (None: it does not count), and whether it is safe."""
    try:
        with open_guarded(description, task.table, task.seed) as robot:
            trial, _ = run_trial(robot, Gait(family, task.parameters), settings)
    except UnreachableGait:
        return None, False
    if trial.ending == "fault":
        return None, False
    return objective.score(trial), trial.ending == "finished"


class Simulator:
    """Scores gaits of one robot in simulated worlds, many at a time. trials: how many have been made."""

    def __init__(
        self,
        description: RobotDescription,
        family: Family,
        space: ParameterSpace,
        settings: TrialSettings,
        objective: Objective,
        executor: Executor,
    ) -> None:
        self.space = space
        self.trials = 0
        self._run = partial(simulate, description, family, settings, objective)
        self._executor = executor

    def judge(self, vectors: FloatArray, worlds: Sequence[World], seeds: Sequence[int]) -> Judgement:
        """Every gait, (m, n) in steps, in every world."""
        scores = np.full((len(vectors), len(worlds)), np.nan)
        safe = np.ones(len(vectors), dtype=bool)
        tasks = (
            SimulatedTask(i, k, self.space.values(vector), world, seed)
            for i, vector in enumerate(vectors)
            for k, (world, seed) in enumerate(zip(worlds, seeds, strict=True))
        )
        for task, (score, was_safe) in run_all(self._executor, self._run, tasks):
            scores[task.gait, task.world] = np.nan if score is None else score
            safe[task.gait] &= was_safe
            self.trials += 1
        return Judgement(scores, safe)


def search_in_simulation(
    simulator: Simulator,
    draw: Draw,
    centre: FloatArray,
    *,
    correct: Callable[[FloatArray], FloatArray],
    sigma: float,
    trials: int,
    seed: int,
) -> FloatArray:
    """The most promising gaits that so many simulated trials find, best first, (m, n): CMA-ES from a centre.

    correct: what is known of the difference between real and simulated scores of gaits (m, n), (m,); it is added.
    Each iteration is scored in worlds of its own. The mean that the search ends with comes first; then what it tried
    late, by score, as what it tried early was scored in other worlds and lies farther off.
    """
    space = simulator.space
    search = CMAES(space.starting_at(space.values(centre)), seed=seed, policies=POPULATION, sigma=sigma)
    tried: list[tuple[float, FloatArray]] = []
    spent = 0
    while spent + search.policies * WORLDS <= trials:
        seeds = draws(WORLDS, seed, search.iteration)
        around = search.ask()
        judged = simulator.judge(centre + around, [draw(one) for one in seeds], seeds)
        scores = [
            Score(float(value) if ok and np.isfinite(value) else None)
            for value, ok in zip(judged.expected + correct(centre + around), judged.safe, strict=True)
        ]
        search.tell(around, scores)
        kept = [(s.value, centre + v) for s, v in zip(scores, around, strict=True) if s.value is not None]
        tried = tried[len(tried) // 3 :] + kept if search.iteration > 3 else tried + kept
        spent += search.policies * WORLDS
    tried.sort(key=lambda entry: -entry[0])
    best = [vector for _, vector in tried]
    return np.clip(np.stack([centre + search.recommended, *best]), space.lower, space.upper)


def draws(count: int, *entropy: int) -> list[int]:
    """Seeds that depend on some numbers alone."""
    return [int(np.random.SeedSequence((*entropy, k)).generate_state(1)[0]) for k in range(count)]
