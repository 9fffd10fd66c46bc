"""A robot without physics, and whole runs made with it in a moment."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robotps.description import RobotDescription, load_description
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from robotps.tuning import Tuning

sys.path.insert(0, str(Path(__file__).parent))  # for walking.py, also in the processes that tests start


class GlidingRobot(Robot):
    """Joints follow at once; the body glides forward, the faster the more the joints move, plus noise from the seed."""

    senses = frozenset({"position", "velocity", "torque", "orientation", "angular_velocity", "base_position"})

    def __init__(self, description: RobotDescription, seed: int) -> None:
        self.description = description
        self.noise = float(np.random.default_rng(seed).normal(0, 0.005))

    def connect(self) -> None: ...

    def stand(self, joints: FloatArray) -> None:
        self.standing = joints

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        period = self.description.control_period
        x, last = 0.0, self.standing
        for number in range(1, round(seconds / period) + 1):
            sent = motion((number - 1) * period, None)
            rate = (sent - last) / period
            last = sent
            x += (0.05 * float(np.abs(rate).mean()) + self.noise) * period
            yield Observation(
                time=number * period,
                sent=sent,
                position=sent,
                velocity=rate,
                torque=0.1 * np.sign(rate),
                orientation=(0.0, 0.0, 0.0, 1.0),
                angular_velocity=(0.0, 0.0, 0.0),
                base_position=(x, 0.0, 0.25),
            )

    def relax(self) -> None: ...

    def close(self) -> None: ...


class OpenGliding:
    """Opens a gliding robot; what `open_robot` is to a tuning run."""

    def __init__(self, description: RobotDescription) -> None:
        self.description = description

    def __call__(self, world: Mapping[str, Any] | None, seed: int) -> GlidingRobot:
        return GlidingRobot(self.description, seed)


class AtOnce(Executor):
    """Runs each task where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


MakeRun = Callable[..., Path]


@pytest.fixture
def gliding() -> Callable[[RobotDescription], OpenGliding]:
    return OpenGliding


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs tuned to their end, each made once; not to be written to."""
    folder = tmp_path_factory.mktemp("runs")
    made: dict[str, Path] = {}

    def make(robot: str, world: dict[str, Any] | None, settings: dict[str, Any]) -> Path:
        key = f"{robot} {world} {sorted(settings.items())}"
        if key not in made:
            made[key] = folder / str(len(made))
            tune(made[key], load_description(robot), world, settings)
        return made[key]

    return make


def tune(path: Path, description: RobotDescription, world: dict[str, Any] | None, settings: dict[str, Any]) -> None:
    """A whole run with gliding robots."""
    trial = TrialSettings(seconds=0.25, warm_up=0.05)
    given = {"family": "trot", "iterations": 3, "confirm": 4, "trial": trial, "world": world, **settings}
    asked = TuneSettings.model_validate(given)
    with Run.create(path, asked.model_dump(mode="json"), description) as run:
        open_robot = OpenGliding(description)
        Tuning(run, asked, executor=AtOnce(), open_robot=open_robot, draw_world=lambda _: world).go()


@pytest.fixture
def make_run(tmp_path: Path, finished_runs: Callable[..., Path]) -> MakeRun:
    """A run tuned to its end: `make_run(name, world={} or None for a physical one, **settings)`."""

    def make(name: str = "run", *, robot: str = "dkitty", world: dict[str, Any] | None = None, **settings: Any) -> Path:
        return shutil.copytree(finished_runs(robot, world, settings), tmp_path / name)

    return make
