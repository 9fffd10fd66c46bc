"""A trial: one gait on one robot once, and what came of it."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Set
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.feet import IN_CONTACT, feet_on_floor
from robotps.files import FileModel
from robotps.gait import Gait, GaitCycle, chains, gait_cycle
from robotps.odometer import Odometer, Travel, Truth, along_track, travel_between, upright
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot, RobotFault, Telemetry

STANDARD_GRAVITY = 9.80665
SLOWEST = 0.01
"""m/s; what the cost of transport of a slower robot is reckoned with, or standing still would cost infinitely much."""

_LAY = "it did not stand when the gait began"
"""Of a robot that fell when it got up: nothing was seen of its gait. Simulated ones are put on their feet."""

Ending = Literal["finished", "fell", "fault", "skipped"]
"""A fault is tried again; a trial that a person skipped is not. Neither has a score."""
UNSCORED = ("fault", "skipped")


class TrialSettings(FileModel):
    """How a trial is run. warm_up, seconds: s before, and of, the measured window.

    max_tilt (rad) and min_height (fraction of the commanded body height): beyond them the robot has fallen.
    """

    seconds: Annotated[float, Field(gt=0, le=600)] = 5.0
    warm_up: Annotated[float, Field(ge=0, le=60)] = 1.0
    max_tilt: Annotated[float, Field(gt=0, le=math.pi)] = 0.9
    min_height: Annotated[float, Field(ge=0, lt=1)] = 0.4


class Objective(FileModel):
    """A trial's score is a weighted sum; by default the forward speed in m/s.

    drift (m/s sideways), cost_of_transport (1) and shake (rad/s) count against it.
    """

    speed: float = 1.0
    drift: Annotated[float, Field(ge=0)] = 0.0
    cost_of_transport: Annotated[float, Field(ge=0)] = 0.0
    shake: Annotated[float, Field(ge=0)] = 0.0

    def check(self, senses: Set[str], sideways: bool) -> None:
        """Raise RobotpsError where a weighted quantity cannot be measured by a robot with these senses.

        sideways: whether the odometer tells how far it went to the side.
        """
        self._must_be_measured("drift", sideways)
        self._must_be_measured("cost_of_transport", {"torque", "velocity"} <= senses)
        self._must_be_measured("shake", "angular_velocity" in senses)

    def score(self, trial: Trial) -> float:
        """The score of a trial; raises RobotpsError where a weighted quantity was not measured."""
        total = self.speed * trial.speed
        for name in ("drift", "cost_of_transport", "shake"):
            weight, value = getattr(self, name), getattr(trial, name)
            self._must_be_measured(name, value is not None)
            total -= weight * value if weight else 0.0
        return float(total)

    def _must_be_measured(self, name: str, measured: bool) -> None:
        if getattr(self, name) and not measured:
            raise RobotpsError(f"objective.{name}: this robot or odometer does not measure it: set its weight to 0")


@dataclass(frozen=True)
class Trial:
    """What came of a trial, SI units. None: not measured.

    speed: forward m/s along the heading at the start of the window; after a fall the distance made before it over
    the full duration. speed_std: the odometer's standard deviation. drift: sideways m/s, absolute. heading_change: rad.
    cost_of_transport: mechanical power by weight and forward speed (at least SLOWEST). slip: mean horizontal speed of
    feet on the floor, m/s. shake: root mean square of roll and pitch rate, rad/s. These three are of the window, or of
    all that was seen where the trial ended before it. unreachable: fraction of the locus out of reach.
    """

    ending: Ending
    speed: float
    distance: float
    duration: float
    unreachable: float
    speed_std: float = 0.0
    drift: float | None = None
    heading_change: float | None = None
    cost_of_transport: float | None = None
    slip: float | None = None
    shake: float | None = None
    reason: str = ""

    def metrics(self) -> dict[str, float | str | None]:
        """All of it by name; what is no number was not measured."""
        found = asdict(self).items()
        return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in found}


class RobotElsewhere(ABC):
    """A robot that another machine drives: it is handed a whole trial, as no control loop goes over a network.

    identity: see Robot.
    """

    identity: str

    def equipment(self) -> dict[str, Any]:
        """See Robot."""
        return {"elsewhere": self.identity}

    @abstractmethod
    def run_trial(self, gait: Gait, settings: TrialSettings) -> tuple[Trial, Telemetry | None]:
        """As `run_trial` there; a connection that was lost is a fault. Raises UnreachableGait."""


def run_trial(
    robot: Robot,
    gait: Gait,
    settings: TrialSettings,
    odometer: Odometer | None = None,
    record: Callable[[Observation], None] | None = None,
    motion: Motion | None = None,
) -> tuple[Trial, Telemetry | None]:
    """Stand, play the gait for warm-up and window, and measure.

    Telemetry is that of the robot, with the body's pose where the odometer tracked it.
    `record` is handed every observation as it comes; `motion` is played in place of the gait's own (a recording of it).
    A fault of the robot or the odometer is an outcome, not an exception; telemetry is None where not a single
    observation came. Raises UnreachableGait.
    """
    odometer = odometer or Truth()
    description = robot.description
    cycle = gait_cycle(description, gait)
    observations: list[Observation] = []
    ending: Ending = "finished"
    reason = ""
    try:
        robot.stand(cycle.standing)
        try:
            odometer.start()
        except RobotFault:
            robot.relax()
            raise
        with closing(robot.play(motion or cycle, settings.warm_up + settings.seconds)) as play:  # type: ignore[type-var]
            for observation in play:
                observations.append(observation)
                if record is not None:
                    record(observation)
                reason = _fall(observation, cycle, settings)
                if reason:
                    ending = "fell"
                    break
        if ending == "fell" and len(observations) == 1 and observation.base_position is None:
            robot.relax()
            raise RobotFault(f"{reason}: {_LAY}")
    except RobotFault as fault:
        ending, reason = "fault", str(fault)
    if not observations:
        return Trial("fault", 0.0, 0.0, 0.0, cycle.unreachable, reason=reason or "the robot reported nothing"), None
    telemetry = Telemetry.of(observations)
    travel = Travel(forward=0.0, seconds=0.0)
    if not (ending == "fault" and odometer.asks):
        try:
            travel = odometer.travel(telemetry, settings.warm_up, settings.warm_up + settings.seconds)
        except RobotFault as fault:
            ending, reason = "fault", reason or str(fault)
    if travel.track is not None and telemetry.base_position is None:
        telemetry = along_track(telemetry, travel.track)
        if ending == "finished":
            moment, reason = _fall_seen(telemetry, settings)
            if reason and moment <= telemetry.time[0]:
                ending, reason = "fault", f"{reason}: {_LAY}"
            elif reason:
                ending, track = "fell", travel.track
                before = travel_between(track.time, track.position, track.orientation, settings.warm_up, moment)
                travel = replace(before, forward_std=travel.forward_std)
    return _measure(description, cycle, settings, telemetry, travel, ending, reason), telemetry


def _fall(observation: Observation, cycle: GaitCycle, settings: TrialSettings) -> str:
    """Why this is a fall, or nothing."""
    if observation.orientation is not None:
        x, y = observation.orientation[0], observation.orientation[1]
        if 1 - 2 * (x * x + y * y) < math.cos(settings.max_tilt):
            return f"tilted by more than {settings.max_tilt:.2f} rad at {observation.time:.2f} s"
    if observation.base_position is not None:
        height = observation.base_position[2]
        if height < settings.min_height * cycle.body_height:
            return f"body sank to {height * 1000:.0f} mm at {observation.time:.2f} s"
    return ""


def _fall_seen(telemetry: Telemetry, settings: TrialSettings) -> tuple[float, str]:
    """When, and why this is a fall that the robot itself did not feel; no reason where there was none."""
    if telemetry.orientation is None:
        return 0.0, ""
    over = np.flatnonzero(upright(telemetry.orientation) < math.cos(settings.max_tilt))
    if not len(over):
        return 0.0, ""
    moment = float(telemetry.time[over[0]])
    return moment, f"tilted by more than {settings.max_tilt:.2f} rad at {moment:.2f} s, as the odometer saw it"


def _measure(
    description: RobotDescription,
    cycle: GaitCycle,
    settings: TrialSettings,
    telemetry: Telemetry,
    travel: Travel,
    ending: Ending,
    reason: str,
) -> Trial:
    window = telemetry.time > settings.warm_up
    if not window.any():
        window[:] = True
    # a stopwatch times its own distance; whatever ended early is held against the full duration
    seconds = settings.seconds if ending != "finished" or travel.seconds == 0 else travel.seconds
    return Trial(
        ending=ending,
        speed=travel.forward / seconds,
        speed_std=travel.forward_std / seconds,
        distance=travel.forward,
        duration=float(telemetry.time[-1]),
        unreachable=cycle.unreachable,
        drift=None if travel.lateral is None else abs(travel.lateral) / seconds,
        heading_change=travel.heading_change,
        cost_of_transport=_cost_of_transport(description, telemetry, window, travel),
        slip=_slip(description, telemetry, window),
        shake=_shake(telemetry, window),
        reason=reason,
    )


def _cost_of_transport(
    description: RobotDescription, telemetry: Telemetry, window: NDArray[np.bool_], travel: Travel
) -> float | None:
    """P / (m g v), with P the mean of sum |torque * joint speed|."""
    if telemetry.torque is None or telemetry.velocity is None:
        return None
    power = _mean(np.abs(telemetry.torque[window] * telemetry.velocity[window]).sum(axis=1))
    speed = travel.forward / travel.seconds if travel.seconds > 0 else 0.0
    return None if power is None else power / (description.mass * STANDARD_GRAVITY * max(speed, SLOWEST))


def _slip(description: RobotDescription, telemetry: Telemetry, window: NDArray[np.bool_]) -> float | None:
    placed = feet_on_floor(description, telemetry)
    if placed is None or window.sum() < 2:
        return None
    step = np.diff(telemetry.time[window])
    speeds = []
    for chain, place in zip(chains(description), placed[:, window], strict=True):
        down = place[:, 2] - chain.foot_radius < IN_CONTACT
        speed = np.linalg.norm(np.diff(place[:, :2], axis=0), axis=1) / step
        speeds.append(speed[down[1:] & down[:-1]])
    return _mean(np.concatenate(speeds))


def _shake(telemetry: Telemetry, window: NDArray[np.bool_]) -> float | None:
    if telemetry.angular_velocity is None:
        return None
    square = _mean((telemetry.angular_velocity[window, :2] ** 2).sum(axis=1))
    return None if square is None else math.sqrt(square)


def _mean(readings: FloatArray) -> float | None:
    """Their mean without those that are missing; None where all are."""
    present = readings[np.isfinite(readings)]
    return float(present.mean()) if len(present) else None


def digest(telemetry: Telemetry) -> str:
    """A fingerprint of telemetry, equal only where every bit is."""
    content = hashlib.sha256()
    for name, values in telemetry.columns().items():
        content.update(name.encode())
        content.update(np.ascontiguousarray(values).tobytes())
    return content.hexdigest()
