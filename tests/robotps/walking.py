"""A robot without physics that other processes can import: the longer and quicker its strides, the faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from robotps.description import RobotDescription, load_description
from robotps.gait import GaitCycle, chains
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from robotps.tuning import Tuning

NOISE = 0.01
"""m/s, standard deviation of the speed from trial to trial; drawn from the trial's seed."""


class WalkingRobot(Robot):
    """Goes the farther the longer its strides; one gait's speed differs from trial to trial by its seed only."""

    senses = frozenset({"position", "orientation", "base_position"})

    def __init__(self, description: RobotDescription, seed: int) -> None:
        self.description = description
        self.noise = float(np.random.default_rng(seed).normal(0.0, NOISE))

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def relax(self) -> None: ...

    def stand(self, joints: FloatArray) -> None:
        self.standing = joints

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        assert isinstance(motion, GaitCycle)
        speed = stride_speed(self.description, motion) + self.noise
        period = self.description.control_period
        for number in range(1, round(seconds / period) + 1):
            time = number * period
            yield Observation(
                time=time,
                sent=self.standing,
                position=self.standing,
                orientation=(0.0, 0.0, 0.0, 1.0),
                base_position=(speed * time, 0.0, motion.body_height),
            )


def stride_speed(description: RobotDescription, cycle: GaitCycle) -> float:
    """The front left foot's stroke by the period, m/s."""
    chain = chains(description)[0]
    foot = chain.forward(cycle.joints[:, : len(chain.lower)])
    return float(np.ptp(foot[:, 0]) / cycle.period)


class OpenWalking:
    """What `open_robot` is to a tuning run."""

    def __init__(self, description: RobotDescription) -> None:
        self.description = description

    def __call__(self, world: Mapping[str, Any] | None, seed: int) -> Robot:
        return WalkingRobot(self.description, seed)


def same_world(seed: int) -> dict[str, Any]:
    return {}


def settings(**changed: Any) -> TuneSettings:
    """A run of a moment."""
    asked = {
        "family": "trot",
        "seed": 5,
        "iterations": 3,
        "repeats": 2,
        "confirm": 3,
        "finalists": 2,
        "options": {"policies": 4},
        "trial": TrialSettings(seconds=0.1, warm_up=0.0),
        **changed,
    }
    return TuneSettings.model_validate(asked)


def create(path: Path, asked: TuneSettings, robot: str = "bittle") -> Run:
    return Run.create(path, asked.model_dump(mode="json"), load_description(robot))


def tuning(run: Run, asked: TuneSettings, executor: Executor, **changed: Any) -> Tuning:
    given = {"open_robot": OpenWalking(run.description), "draw_world": same_world, **changed}
    return Tuning(run, asked, executor=executor, **given)
