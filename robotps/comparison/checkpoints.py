"""How fast the gait is that a search recommends after so many trials: run again, without measurement noise."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from robotps.files import FileModel
from robotps.gait import Gait
from robotps.history import history
from robotps.parameters import FloatArray
from robotps.performing import DrawWorld, OpenRobot, TrialTask, perform
from robotps.retelling import retold
from robotps.run import Candidate, Run
from robotps.settings import search_space, settings_of
from robotps.workers import run_all

FRESH = 1_000_003
"""Part of the seeds on which gaits are run again, so that no search has met them."""


class Checkpoint(FileModel):
    """A recommended gait after `trials` of the search and `minutes` of walking; speed: m/s, mean of its runs."""

    trials: Annotated[int, Field(ge=0)]
    minutes: float
    speed: float


def recommendations(run: Run, numbers: FloatArray) -> list[tuple[int, float, FloatArray]]:
    """Trials, minutes and gait vector at the start, and at the last iteration's end up to each number of trials."""
    past = history(run.trials("search")).iterations
    ends = [(0, 0.0), *((iteration.trials, iteration.minutes) for iteration in past)]
    trials = np.array([end[0] for end in ends])
    chosen = {0, len(ends) - 1, *(np.searchsorted(trials, numbers, side="right") - 1).tolist()}
    return [
        (*ends[iteration], search.recommended) for iteration, search in enumerate(retold(run)) if iteration in chosen
    ]


def run_again(
    run: Run,
    numbers: FloatArray,
    again: int,
    *,
    executor: Executor,
    open_robot: OpenRobot,
    draw_world: DrawWorld,
) -> list[Checkpoint]:
    """The checkpoints of a run, each gait run `again` times; one that the robot refuses has speed 0."""
    settings = settings_of(run)
    space = search_space(run.description, settings)
    recommended = recommendations(run, numbers)
    seeds = [int(np.random.SeedSequence((settings.seed, FRESH, n)).generate_state(1)[0]) for n in range(again)]
    worlds: list[Mapping[str, Any] | None] = [draw_world(seed) for seed in seeds]
    families, vectors = settings.gaits.gaits(np.stack([vector for _, _, vector in recommended]))
    tasks = [
        TrialTask(
            Candidate(0, "best", 0, place, family, vector),
            Gait(family, space.values(vector)),
            repeat,
            seeds[repeat],
            worlds[repeat],
        )
        for place, (family, vector) in enumerate(zip(families, vectors, strict=True))
        for repeat in range(again)
    ]
    speeds = np.zeros((len(recommended), again))
    for task, report in run_all(executor, partial(perform, open_robot, settings.trial, None, run.path), tasks):
        speed = 0.0 if report.trial is None else report.trial.speed
        speeds[task.candidate.position, task.repeat] = speed if np.isfinite(speed) else 0.0
    return [
        Checkpoint(trials=trials, minutes=minutes, speed=float(speed))
        for (trials, minutes, _), speed in zip(recommended, speeds.mean(axis=1), strict=True)
    ]
