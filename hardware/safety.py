"""The only way to the wire: whatever is sent to a servo passes here, and whatever it reports is judged here.

Nothing else in robotps calls a bus's `write`, `upload`, `energise` or `release`; a test holds that.
"""

from __future__ import annotations

import contextlib
import math
from typing import Annotated

import numpy as np
from pydantic import Field

from hardware.bus import Bus, IntArray, Reading, missing
from hardware.faults import HardwareFault, LinkLost
from hardware.joints import JointMap
from hardware.watchdog import HostWatchdog
from robotps.description import Servo
from robotps.files import FileModel
from robotps.parameters import FloatArray

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]

SILENT_CYCLES = 2
"""A joint may stay silent for so many cycles in a row."""
BAD_CYCLES = 0.05
"""More than this share of cycles with a missing joint, and what was measured is worth nothing."""
WATCHDOG = 0.3
POLL_EVERY = 5
"""Cycles from one servo's slow poll to the next servo's."""
CLOSED = 1e-3
"""rad that an uploaded cycle's end may be too far from its beginning: less than a servo's step."""


class SafetyLimits(FileModel):
    """Beyond these the robot stops. None: from the servo (see there).

    max_speed: rad/s of a joint (None: the servo's no-load speed); slow_speed: when it stands up or lies down.
    max_lead: rad that a target may run ahead of the joint. max_tracking_error (rad), min_voltage (V; None: 0.8 times
    nominal) and max_current (A; None: 0.9 times the servo's own limit) must be exceeded for `patience` s, max_load (a
    share of full duty, which a fast step takes for a moment) for four times as long.
    max_voltage: V (None: 1.3 times nominal). max_temperature degC. max_tilt rad. max_seconds: of one motion.
    A trial begins below `cool_temperature` degC, and above `rest_voltage` V (None: 0.88 times nominal).
    """

    max_speed: Positive | None = None
    slow_speed: Positive = 1.0
    max_lead: Positive = 0.8
    max_tracking_error: Positive = 0.6
    max_temperature: Positive = 70.0
    cool_temperature: Positive = 55.0
    min_voltage: Positive | None = None
    max_voltage: Positive | None = None
    rest_voltage: Positive | None = None
    max_current: Positive | None = None
    max_load: Fraction = 0.98
    max_tilt: Positive = 1.4
    max_seconds: Positive = 300.0
    patience: Positive = 0.5


class Safety:
    """Guards one bus. Angles in rad, (n,), joint order. Every refusal is a HardwareFault naming joint and servo."""

    def __init__(self, bus: Bus, joints: JointMap, servo: Servo, limits: SafetyLimits) -> None:
        self.bus = bus
        self.joints = joints
        self.limits = limits
        self.max_speed = limits.max_speed or servo.no_load_speed / joints.gear
        self.min_voltage = limits.min_voltage or 0.8 * servo.voltage
        self.max_voltage = limits.max_voltage or 1.3 * servo.voltage
        self.rest_voltage = limits.rest_voltage or 0.88 * servo.voltage
        self.energised = False
        self.stopped = ""
        self._sent = self._goal = np.zeros(len(joints.ids))
        self._speed = np.zeros(len(joints.ids))
        self._position = np.full(len(joints.ids), np.nan)
        self._over: dict[str, FloatArray] = {}
        self._tick: FloatArray | None = None
        self._watchdog: HostWatchdog | None = None
        self.begin(0)

    def begin(self, cycles: int) -> None:
        """A motion of so many cycles begins: counters at zero."""
        n = len(self.joints.ids)
        self.cycles = self.bad_cycles = 0
        self.missing = np.zeros(n, dtype=np.int64)
        self._silent = np.zeros(n, dtype=np.int64)
        self._allowed_bad = max(SILENT_CYCLES, math.floor(BAD_CYCLES * cycles))
        self._over = {}
        self._tick = None
        self._position = np.full(n, np.nan)

    @property
    def max_current(self) -> float:
        """A; the servos' own limit is known once they were identified."""
        return self.limits.max_current or 0.9 * self.bus.max_current

    @property
    def sent(self) -> FloatArray:
        """The targets that were really sent last."""
        return self._sent

    @property
    def speed(self) -> FloatArray:
        """How fast the targets were moving last, rad/s."""
        return self._speed

    def prepare(self) -> list[str]:
        """Torque off, and the servos set as a trial needs them, the joints' limits among it; what was changed."""
        return self.bus.prepare(self.joints.lower_steps, self.joints.upper_steps)

    def limit_effort(self, fraction: float) -> None:
        """The servos' own limit of effort, until they restart."""
        self.bus.set_effort_limit(fraction)

    def energise(self) -> None:
        """Hold every joint where it is, torque on, the servos' own speed limit low."""
        self._may_move()
        # before, not after: an interruption half-way leaves servos on
        self.energised = True
        self.bus.energise(self.limits.slow_speed * self.joints.gear)
        self._may_move()  # still, after all these packets
        self._goal = self._sent = self.joints.to_angles(self.bus.held())
        self._speed = np.zeros(len(self._sent))

    def set_speed(self, slow: bool) -> None:
        """The servos' own speed limit, beside ours: it also holds when the host does not."""
        self._may_move()
        speed = self.limits.slow_speed if slow else self.max_speed
        self.bus.set_speed_limit(speed * self.joints.gear)

    def send(self, target: FloatArray, seconds: float, slow: bool = False) -> FloatArray:
        """Send targets, clipped to limits, speed (over `seconds` since the last) and lead; what was really sent."""
        self.bus.write(self._allowed(target, seconds, slow))
        self._feed()
        return self._sent

    def exchange(self, target: FloatArray, seconds: float, slow: bool = False) -> tuple[FloatArray, Reading]:
        """See `send`; and what the servos report then."""
        reading = self.bus.exchange(self._allowed(target, seconds, slow))
        self._feed()
        return self._sent, reading

    def _allowed(self, target: FloatArray, seconds: float, slow: bool) -> IntArray:
        """See `send`: steps."""
        self._may_move()
        target = np.asarray(target, dtype=np.float64)
        if target.shape != self._sent.shape:
            raise ValueError(f"a target has one angle for each of {len(self._sent)} joints, not shape {target.shape}")
        self._must_be_numbers(target)
        step = (self.limits.slow_speed if slow else self.max_speed) * seconds
        target = np.minimum(np.maximum(target, self.joints.lower), self.joints.upper)
        target = np.minimum(np.maximum(target, self._goal - step), self._goal + step)
        lead = self.limits.max_lead
        target = np.fmin(np.fmax(target, self._position - lead), self._position + lead)
        lowest, highest = self.bus.step_limits
        wanted = self.joints.to_steps(target)
        steps = np.minimum(np.maximum(wanted, lowest), highest)
        self._sent = self.joints.to_angles(steps)
        # what was rounded off is kept for the next time: or a slow joint with coarse steps would never move
        goal = np.where(steps == wanted, target, self._sent)
        self._speed = (goal - self._goal) / max(seconds, 1e-3)
        self._goal = goal
        return steps

    def upload(self, cycle: FloatArray, period: float) -> tuple[FloatArray, float]:
        """Have the device play a cycle, (n_samples, n), every `period` s by itself, clipped like `send`.

        Returns what it really plays, rad, (n_frames, n), and how long once round really takes, s.
        """
        self._may_move()
        self._must_be_numbers(cycle)
        cycle = np.clip(cycle, self.joints.lower, self.joints.upper)
        cycle = followed(cycle, self.max_speed * period / len(cycle))
        steps, period = self.bus.upload(np.clip(self.joints.exact_steps(cycle), *self.bus.step_limits), period)
        return self.joints.to_angles(steps), period

    def start_watchdog(self) -> None:
        """From here on the servos stop when they hear nothing: by themselves, or the host sees to it.

        A device that keeps its own time does not move while it is asked nothing: the host need not watch it.
        """
        self._may_move()
        self.bus.start_watchdog(WATCHDOG)
        if not (self.bus.has_watchdog or self.bus.own_time):
            self._watchdog = HostWatchdog(self.stop_now, WATCHDOG)

    def stop_watchdog(self) -> None:
        """See `start_watchdog`."""
        self._end_host_watchdog()
        self.bus.stop_watchdog()

    def _end_host_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.end()
            self._watchdog = None

    def _feed(self) -> None:
        if self._watchdog is not None:
            self._watchdog.feed()

    def check(self, reading: Reading, seconds: float) -> None:
        """Judge a reading, `seconds` after the last one; raises HardwareFault where the motion must end."""
        if self.stopped:
            raise HardwareFault(self.stopped)
        self._feed()
        self.cycles += 1
        self._check_answers(reading)
        if reading.position is not None:
            self._position = self.joints.to_angles(reading.position)
            error = np.abs(self._position - self._sent)
            self._sustained("tracking error", "rad", error, self.limits.max_tracking_error, seconds)
        if reading.temperature is not None:
            hot = reading.temperature > self.limits.max_temperature
            if hot.any():
                raise HardwareFault(f"{self._label(hot)}: {np.nanmax(reading.temperature):.0f} degC, let it cool down")
        if reading.current is not None:
            self._sustained("current", "A", np.abs(reading.current), self.max_current, seconds)
        if reading.load is not None:
            self._sustained("load", "of full", reading.load, self.limits.max_load, seconds / 4)
        if reading.voltage is not None:
            self._check_voltage(reading.voltage, seconds)
        if reading.orientation is not None:
            x, y = reading.orientation[0], reading.orientation[1]
            if 1 - 2 * (x * x + y * y) < math.cos(self.limits.max_tilt):
                raise HardwareFault(f"the body tilted by more than {self.limits.max_tilt:.2f} rad")
        if self.cycles % POLL_EVERY == 0:
            self._complain((self.cycles // POLL_EVERY) % len(self.joints.ids))

    def confirm(self) -> None:
        """A motion is over: every servo is asked; raises HardwareFault for one that is limp or was stopped."""
        for index in range(len(self.joints.ids)):
            self._complain(index)

    def _check_answers(self, reading: Reading) -> None:
        if reading.error.any():
            for index in np.flatnonzero(reading.error):
                self._complain(int(index), int(reading.error[index]))
        if reading.answered.all():
            self._silent[:] = 0
        else:
            if self.bus.own_time and not reading.answered.any():
                raise missing(self.bus, list(self.joints.ids))  # it was waited for long enough
            self.bad_cycles += 1
            self.missing += ~reading.answered
            self._silent = np.where(reading.answered, 0, self._silent + 1)
            if (self._silent > SILENT_CYCLES).any():
                raise HardwareFault(
                    f"{self._label(self._silent > SILENT_CYCLES)}: no answer in {SILENT_CYCLES + 1} cycles"
                )
            if self.bad_cycles > self._allowed_bad:
                raise HardwareFault(
                    f"answers were missing in {self.bad_cycles} of {self.cycles} cycles, "
                    f"mostly from {self._label(self.missing == self.missing.max())}: check cables and baud rate"
                )
        if reading.tick is not None:
            self._check_ticks(reading.tick)

    def _check_ticks(self, tick: FloatArray) -> None:
        """A servo whose clock did not run like the others' has restarted: it is limp, and its limits are gone."""
        if self._tick is not None and self.bus.tick_period is not None:
            passed = (tick - self._tick) % self.bus.tick_period
            usual = np.fmin.reduce(passed)  # a clock that ran backwards seems to have run almost a whole turn
            restarted = passed - usual > 1.0
            if restarted.any():
                raise HardwareFault(
                    f"{self._label(restarted)}: it restarted by itself, does the supply voltage break down under load?"
                )
            tick = np.where(np.isnan(tick), self._tick + usual, tick)
        if not np.isnan(tick).any():
            self._tick = tick

    def _complain(self, index: int, error: int = 0) -> None:
        complaint = self.bus.complaint(index, error)
        if complaint:
            raise HardwareFault(f"{self.bus.label(self.joints.ids[index])}: {complaint}")

    def _check_voltage(self, voltage: float, seconds: float) -> None:
        if voltage > self.max_voltage:
            raise HardwareFault(f"supply voltage {voltage:.1f} V, at most {self.max_voltage:.1f} V: a wrong supply?")
        low = np.array([self.min_voltage - voltage])
        if self._seconds_over("voltage", low, 0.0, seconds)[0] >= self.limits.patience:
            raise HardwareFault(f"supply voltage {voltage:.1f} V, below {self.min_voltage:.1f} V: charge the battery")

    def _sustained(self, what: str, unit: str, values: FloatArray, limit: float, seconds: float) -> None:
        over = self._seconds_over(what, values, limit, seconds) >= self.limits.patience
        if over.any():
            worst = float(np.nanmax(np.where(over, values, np.nan)))
            raise HardwareFault(f"{self._label(over)}: {what} {worst:.2f} {unit}, at most {limit:.2f}: does it jam?")

    def _seconds_over(self, what: str, values: FloatArray, limit: float, seconds: float) -> FloatArray:
        """For how long each value has been over its limit; a missing one keeps its count."""
        before = self._over.get(what)
        before = np.zeros(len(values)) if before is None else before
        over = np.where(np.isnan(values), before, np.where(values > limit, before + seconds, 0.0))
        self._over[what] = over
        return over

    def _label(self, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
        return ", ".join(self.bus.label(self.joints.ids[index]) for index in np.flatnonzero(which))

    def _must_be_numbers(self, angles: FloatArray) -> None:
        rows = np.isfinite(angles).reshape(-1, len(self._sent))
        if not rows.all():
            wrong = self._label(~np.logical_and.reduce(rows))
            raise HardwareFault(f"the motion asks {wrong} for an angle that is not a number")

    def _may_move(self) -> None:
        if self.stopped:
            raise HardwareFault(self.stopped)

    def stop_now(self, why: str) -> None:
        """Torque off at once, from a signal handler too; nothing moves any more on this connection."""
        self.stopped = why
        let_go(self.bus)

    def release(self) -> list[str]:
        """Torque off everywhere, each servo asked to confirm; who did not, by joint and id, one line a reason."""
        self._end_host_watchdog()
        failures = released(self.bus)
        self.energised = bool(failures)
        return failures


def let_go(bus: Bus) -> None:
    """Torque off for all at once, without waiting for an answer; a lost link is not told."""
    with contextlib.suppress(LinkLost):
        bus.release_all()


def released(bus: Bus) -> list[str]:
    """See Safety.release: of a bus that nothing has moved yet."""
    by_reason: dict[str, list[str]] = {}
    for id_, why in bus.release().items():
        by_reason.setdefault(why, []).append(bus.label(id_))
    return [f"{', '.join(servos)}: {why}" for why, servos in by_reason.items()]


def followed(cycle: FloatArray, step: float) -> FloatArray:
    """A cycle as a joint follows it again and again that moves by `step` a sample at most; shape (n_samples, n)."""
    path = np.empty_like(cycle)
    last = cycle[-1]
    while True:
        for row, target in enumerate(cycle):
            path[row] = last = np.minimum(np.maximum(target, last - step), last + step)
        if np.abs(path[0] - last).max() <= step + CLOSED:
            return path
