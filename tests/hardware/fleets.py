"""What tests of fleets share: a short run, and a member with a robot by formula that other processes can import."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from hardware.fleet import Fleet
from robotps.description import load_description
from robotps.gait import GaitCycle
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot
from robotps.run import Run, TrialRecord
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from robotps.tuning import Progress, Tuning
from robotps.workers import InThisProcess

DKITTY = load_description("dkitty")
SETTINGS = TuneSettings(
    family="trot", iterations=6, repeats=1, confirm=6, finalists=2, options={"policies": 6}, seed=3,
    trial=TrialSettings(seconds=0.1, warm_up=0.0),
)  # fmt: skip


def tuning(run: Run, fleet: Fleet, notify: Callable[[Progress], None] | None = None) -> Tuning:
    return Tuning(
        run,
        SETTINGS,
        executor=fleet,
        open_robot=fleet.open_robot,
        draw_world=lambda _: None,
        odometer=fleet.odometer,
        notify=notify,
    )


def counted_once(trials: list[TrialRecord]) -> bool:
    counted = Counter((t.candidate.id, t.repeat) for t in trials if t.score is not None)
    return set(counted.values()) == {1} and len(counted) == 6 + 36 + 3 * 3 + 6


class _Gliding(Robot):
    """Glides ahead at 0.1 m/s."""

    description = DKITTY
    senses = frozenset({"position", "base_position", "orientation"})

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def relax(self) -> None: ...

    def stand(self, joints: FloatArray) -> None:
        self.standing = joints

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        assert isinstance(motion, GaitCycle)
        time.sleep(seconds)
        for number in range(1, round(seconds / DKITTY.control_period) + 1):
            moment = number * DKITTY.control_period
            yield Observation(
                time=moment,
                sent=self.standing,
                position=self.standing,
                orientation=(0.0, 0.0, 0.0, 1.0),
                base_position=(0.1 * moment, 0.0, motion.body_height),
            )


class Walking:
    """What AtPort is, without a port."""

    odometer = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.halted = Path(f"{name}-halted")
        self.runner = InThisProcess()

    def make_ready(self) -> None: ...

    @contextlib.contextmanager
    def open(self) -> Iterator[Robot]:
        yield _Gliding()

    def halt(self, why: str) -> None:
        self.halted.touch()

    def close(self) -> None: ...
