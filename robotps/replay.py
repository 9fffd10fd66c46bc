"""A logged trial again: made anew in simulation, or its commands given to a robot once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robotps.agreement import Agreement, agreement
from robotps.changes import differences
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait
from robotps.parameters import FloatArray
from robotps.result import result_of
from robotps.robot import Motion, Observation, Robot, Telemetry
from robotps.run import CUT_SHORT, Run, TrialRecord
from robotps.settings import search_space, settings_of
from robotps.trial import Trial, TrialSettings, digest, run_trial

OpenRobot = Callable[[Mapping[str, Any] | None, int], AbstractContextManager[Robot]]
World = Mapping[str, Any]

_DIFFERENTLY = (
    "the trial came out differently than recorded: software as noted, or in the last digits a processor with other "
    "vector instructions, can do that"
)

_MEASURED = "what was recorded was measured with the noise that this run asked for; the replay has none"


class Recording:
    """The targets that were sent in a trial, as a motion; linear between them, the last one held."""

    def __init__(self, telemetry: Telemetry, period: float) -> None:
        """period: s of the control loop."""
        self._since = telemetry.sent_at(period)
        self._sent = telemetry.sent

    def __call__(self, time: float, last: Observation | None = None) -> FloatArray:
        """Joint targets, rad, (n_joints,), `time` s after the start."""
        return np.array([np.interp(time, self._since, column) for column in self._sent.T])


@dataclass(frozen=True)
class Logged:
    """A trial of a run with what is needed to make it again. telemetry: of a physical trial."""

    record: TrialRecord
    description: RobotDescription
    gait: Gait
    settings: TrialSettings
    telemetry: Telemetry | None

    @property
    def physical(self) -> bool:
        return self.record.world is None

    @property
    def length(self) -> float:
        """s of motion."""
        if self.telemetry is not None:
            return float(self.telemetry.time[-1])
        return self.settings.warm_up + self.settings.seconds


@dataclass(frozen=True)
class Replay:
    """A trial beside its replay.

    recorded: telemetry as it was; of a simulated trial as it was made again, None where that failed. identical:
    whether a simulated trial came out bit for bit as recorded; None for a physical one, which never does.
    remarks: what has changed since, or differs on purpose.
    """

    logged: Logged
    recorded: Telemetry | None
    replayed: Telemetry | None
    trial: Trial
    identical: bool | None
    agreement: Agreement | None
    remarks: tuple[str, ...]

    @property
    def recorded_speed(self) -> float | None:
        """m/s; None for a trial that was cut short."""
        speed = self.logged.record.metrics.get("speed")
        return None if speed is None else float(speed)


def find(run: Run, number: int | None = None) -> Logged:
    """A trial by its number, by default the first of the best gait; raises RobotpsError where it cannot be replayed."""
    settings = settings_of(run)
    if number is None:
        result = result_of(run)
        candidates = run.trials("best" if result is not None and result.improved else "start") or run.trials()
        playable = [trial for trial in candidates if trial.ending not in ("refused", "running")]
        # in the order of repeats, not of their ends
        playable.sort(key=lambda trial: (trial.score is None, trial.repeat))
        if not playable:
            raise RobotpsError(f"{run.path}: this run has no trial yet that could be replayed")
        record = playable[0]
    else:
        record = run.trial(number)
    if record.ending == "refused":
        raise RobotpsError(f"{run.path}: trial {record.id} was refused and never ran: {record.metrics.get('reason')}")
    telemetry = run.telemetry(record.id)
    if record.world is None and telemetry is None:
        raise RobotpsError(f"{run.path}: nothing was recorded of trial {record.id}, which ended: {record.ending}")
    gait = Gait(record.candidate.family, search_space(run.description, settings).values(record.candidate.vector))
    return Logged(record, run.description, gait, settings.trial, telemetry)


def again_in_simulation(logged: Logged, open_robot: OpenRobot, world: World | None = None) -> Replay:
    """A simulated trial made again, or a physical one's commands in simulation.

    world: another one than the trial's own (a physical trial's is nominal unless said).
    """
    if logged.telemetry is not None:
        settings = _as_long_as(logged.telemetry, logged.settings)
        motion = Recording(logged.telemetry, logged.description.control_period)
        trial, replayed = _perform(logged, open_robot, world or {}, settings, motion)
        return _replay(logged, logged.telemetry, replayed, trial, None, _how_it_ended(logged.record))
    own = logged.record.world or {}
    trial, recorded = _perform(logged, open_robot, own, logged.settings)
    same = recorded is not None and digest(recorded) == logged.record.digest
    if world is None or world == own:
        if same:
            noisy = logged.record.score is not None and trial.speed != logged.record.metrics["speed"]
            return _replay(logged, recorded, recorded, trial, True, (_MEASURED,) if noisy else ())
        return _replay(logged, None, recorded, trial, False, (_DIFFERENTLY,))
    trial, replayed = _perform(logged, open_robot, world, logged.settings)
    remarks = [f"another world: {change}" for change in differences(own, world)]
    if not same:
        remarks.append("in its own world, too, the trial came out differently than recorded")
    return _replay(logged, recorded, replayed, trial, None if same else False, tuple(remarks))


def beside(logged: Logged, recorded: Telemetry | None, trial: Trial, replayed: Telemetry | None, slow: float) -> Replay:
    """A trial beside the same gait on a robot, played at `slow` times its speed and laid over it in its own time."""
    remarks = list(_how_it_ended(logged.record))
    if slow != 1.0:
        remarks.append(f"played at {slow:g} times its speed")
    if replayed is not None:
        replayed = replace(replayed, time=replayed.time * slow)
    return _replay(logged, recorded, replayed, trial, None, tuple(remarks))


def _perform(
    logged: Logged, open_robot: OpenRobot, world: World, settings: TrialSettings, motion: Motion | None = None
) -> tuple[Trial, Telemetry | None]:
    with open_robot(world, logged.record.seed) as robot:
        return run_trial(robot, logged.gait, settings, motion=motion)


def _replay(
    logged: Logged,
    recorded: Telemetry | None,
    replayed: Telemetry | None,
    trial: Trial,
    identical: bool | None,
    remarks: tuple[str, ...],
) -> Replay:
    compared = None if recorded is None or replayed is None else agreement(recorded, replayed)
    return Replay(logged, recorded, replayed, trial, identical, compared, remarks)


def _as_long_as(telemetry: Telemetry, settings: TrialSettings) -> TrialSettings:
    """A physical trial that ended early is replayed up to its last tick."""
    until = float(telemetry.time[-1])
    if until >= settings.warm_up + settings.seconds:
        return settings
    warm_up = settings.warm_up if until > settings.warm_up else 0.0
    return settings.model_copy(update={"warm_up": warm_up, "seconds": until - warm_up})


def _how_it_ended(record: TrialRecord) -> tuple[str, ...]:
    if record.ending == CUT_SHORT:
        return ("this trial was cut short: it is replayed up to the last tick that was recorded",)
    told = {"fell": "this trial ended with a fall", "fault": "this trial ended with a fault"}
    told["skipped"] = "a person skipped this trial: it does not count"
    return (told[record.ending],) if record.ending in told else ()


def excerpt(telemetry: Telemetry, begin: float | None, end: float | None) -> Telemetry:
    """The part of a motion between two moments, s; raises RobotpsError where there is none."""
    low = -np.inf if begin is None else begin
    high = np.inf if end is None else end
    kept = (telemetry.time >= low) & (telemetry.time <= high)
    if kept.sum() < 2:
        raise RobotpsError(f"between --from and --to lies nothing: the motion is {telemetry.time[-1]:.2f} s long")
    return replace(telemetry, **{name: values[kept] for name, values in telemetry.columns().items()})
