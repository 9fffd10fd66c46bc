"""One trial of a run, wherever it is run: what is sent to a worker, what the worker does, what it sends back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from robotps.gait import Gait, UnreachableGait
from robotps.odometer import Odometer
from robotps.provenance import now
from robotps.recorder import Recorder
from robotps.robot import Robot
from robotps.run import Candidate
from robotps.trial import RobotElsewhere, Trial, TrialSettings, digest, run_trial

OpenRobot = Callable[[Mapping[str, Any] | None, int], AbstractContextManager[Robot | RobotElsewhere]]
"""From a simulated world (None: reality) and a seed to a robot that is ready for one trial."""

DrawWorld = Callable[[int], Mapping[str, Any] | None]
"""The world of a trial from its seed (None: reality)."""


@runtime_checkable
class Narrowing(Protocol):
    """A DrawWorld whose worlds can be drawn nearer to the nominal one."""

    def narrowed(self, width: float) -> DrawWorld:
        """The same draws, their distance from the nominal world multiplied by `width`, from 0 to 1."""


@dataclass(frozen=True)
class TrialTask:
    """One trial to run; small enough to send to a worker."""

    candidate: Candidate
    gait: Gait
    repeat: int
    seed: int
    world: Mapping[str, Any] | None


@dataclass(frozen=True)
class TrialReport:
    """What a worker sends back. robot: which one it was ("": the run's, simulated).

    number: of a physical trial, which is on record since it began.
    """

    trial: Trial | None
    digest: str | None
    started: str
    seconds: float
    refused: str = ""
    number: int | None = None
    robot: str = ""


def perform(
    open_robot: OpenRobot, settings: TrialSettings, odometer: Odometer | None, run: Path, task: TrialTask
) -> TrialReport:
    """Run one trial here and now; a gait that the robot cannot make is refused, not an error.

    A physical trial is written into the run, tick by tick; a simulated one can be made again.
    """
    started, clock = now(), time.perf_counter()
    number, record, recorder, name = None, None, None, ""
    try:
        with ExitStack() as stack:
            robot = stack.enter_context(open_robot(task.world, task.seed))
            if task.world is None:
                recorder = stack.enter_context(Recorder(run))
                name = robot.identity
                number = recorder.begin(
                    task.candidate.id,
                    repeat=task.repeat,
                    robot=name,
                    seed=task.seed,
                    started=started,
                    equipment={**robot.equipment(), "odometer": getattr(odometer, "kind", type(odometer).__name__)},
                )
                record = recorder.tick
            if isinstance(robot, RobotElsewhere):
                trial, telemetry = robot.run_trial(task.gait, settings)
            else:
                trial, telemetry = run_trial(robot, task.gait, settings, odometer, record)
            if recorder is not None and telemetry is not None:
                recorder.complete(telemetry)
    except UnreachableGait as error:
        return TrialReport(
            None, None, started, time.perf_counter() - clock, refused=str(error), number=number, robot=name
        )
    fingerprint = None if task.world is None or telemetry is None else digest(telemetry)
    return TrialReport(trial, fingerprint, started, time.perf_counter() - clock, number=number, robot=name)
