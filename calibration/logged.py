"""Physical trials as they were logged in runs: what identification fits, and what a gap is measured against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait
from robotps.robot import Telemetry
from robotps.run import Run
from robotps.settings import search_space, settings_of
from robotps.trial import TrialSettings

MOTIONS = "motions"
"""Key under which an excitation writes down, by trial, which of its motions were no gaits or were made on a stand."""

USABLE = ("finished", "fell")


@dataclass(frozen=True)
class LoggedTrial:
    """One motion of a physical robot. name: for people. gait: None for a motion that is no gait.

    speed: as measured, m/s, with its standard deviation; None where it was not (a motion on a stand, or no gait).
    """

    name: str
    telemetry: Telemetry
    gait: Gait | None
    settings: TrialSettings
    on_stand: bool = False
    speed: float | None = None
    speed_std: float = 0.0

    @property
    def seconds(self) -> float:
        return float(self.telemetry.time[-1])


def logged_trials(runs: Iterable[Path], description: RobotDescription | None = None) -> list[LoggedTrial]:
    """All physical trials of runs that ended by themselves, in the order of the runs.

    description: the robot they must be of (its name). Raises RobotpsError where a run is another robot's, or where
    none of them has a physical trial.
    """
    found: list[LoggedTrial] = []
    paths = list(runs)
    for path in paths:
        with Run.open(path) as run:
            if description is not None and run.description.name != description.name:
                raise RobotpsError(f"{path}: a run of '{run.description.name}', not of '{description.name}'")
            found += trials_of(run)
    if not found:
        named = ", ".join(str(path) for path in paths)
        raise RobotpsError(f"{named}: no physical trial is logged there: simulated ones tell nothing about a robot")
    return found


def trials_of(run: Run) -> list[LoggedTrial]:
    """The physical trials of one run that ended by themselves."""
    settings = settings_of(run)
    space = search_space(run.description, settings)
    motions = run.meta(MOTIONS) or {}
    found = []
    for record in run.trials():
        if record.world is not None or record.ending not in USABLE:
            continue
        telemetry = run.telemetry(record.id)
        if telemetry is None:
            continue
        motion = motions.get(str(record.id))
        gait = None if motion else Gait(record.candidate.family, space.values(record.candidate.vector))
        found.append(
            LoggedTrial(
                name=f"{run.path.name} trial {record.id}" + (f" ({motion['name']})" if motion else ""),
                telemetry=telemetry,
                gait=gait,
                settings=settings.trial,
                on_stand=bool(motion and motion["on_stand"]),
                speed=None if motion else float(record.metrics["speed"]),
                speed_std=float(record.metrics.get("speed_std") or 0.0),
            )
        )
    return found
