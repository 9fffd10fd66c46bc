"""A model of legs on a stand, which are independent of each other: servo, friction and a leg's own inertia and weight.

It is the simulator's servo (sim/servo.py) on a leg whose inertia and weight are those along the logged motion, which
the predicted one stays close to. All segments, and all variants of the parameters, are integrated at once, a hundred
times as fast as the engine would.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration.grid import Grid, glide
from calibration.leg_dynamics import Dynamics, dynamics, leg_links
from robotps.description import RobotDescription
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from sim.body import body_of

LONGEST_STEP = 0.001
"""s."""
ASIDE = 1e-4
"""rad; for differences of a leg's weight."""
SEGMENT = 0.4
"""s predicted from each logged state."""
SEGMENTS = 45
"""at most, of all motions together: more of them take time, and tell little more."""
FORGET = 0.08
"""s at a segment's beginning that do not count: the errors of the state it starts from die out within them."""
SWEEPS = 2
"""of Gauss-Seidel over a leg's joints, for Coulomb friction."""


@dataclass(frozen=True)
class Variant:
    """Parameters of all legs at once. Joint quantities have shape (n_joints,).

    tilt: rad by which the stand makes the trunk lean forward, and to the left.
    """

    strength: FloatArray
    zero: FloatArray
    speed_scale: float
    gain_scale: float
    coulomb: float
    viscous: float
    armature: float
    latency: float
    mass_scale: float
    inertia_scale: float
    tilt: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class _Legs:
    """Legs of equally many joints, k. joints: (legs, k), their places among all.

    dynamics: along the logged motion, (segments, length + 1, legs, ...). slope: how weight changes with joint angles.
    """

    joints: NDArray[np.intp]
    dynamics: Dynamics
    slope: FloatArray


class StandModel:
    """Predicts segments of motions on a stand. grids: as logged, of one robot."""

    def __init__(self, description: RobotDescription, grids: Sequence[Grid], at_most: int = SEGMENTS) -> None:
        self.description = description
        self._period = description.control_period
        self._steps = int(np.ceil(self._period / LONGEST_STEP - 1e-9))
        self._dt = self._period / self._steps
        self.length = round(SEGMENT / self._period)
        self.skip = round(FORGET / self._period)
        self._grids = grids
        starts = [(g, k) for g, grid in enumerate(grids) for k in range(0, len(grid) - self.length, self.length)]
        # evenly out of all motions where there are more than needed
        self._starts = starts[:: max(1, math.ceil(len(starts) / at_most))]
        self._setpoints = [
            glide(grid.sent, description.servo.no_load_speed, self._period, self._steps) for grid in grids
        ]
        self._body = body_of(description)

    @property
    def n_segments(self) -> int:
        return len(self._starts)

    @cached_property
    def observed(self) -> dict[str, FloatArray]:
        """position, velocity and, where sensed, current: (segments, length - skip, n)."""
        found = {}
        for name in ("position", "velocity", "current"):
            if all(getattr(grid, name) is not None for grid in self._grids):
                found[name] = self._cut(name)[:, self.skip + 1 :]
        return found

    def _cut(self, name: str) -> FloatArray:
        """A logged quantity from each segment's start to its end, (segments, length + 1, ...)."""
        return np.stack([getattr(self._grids[g], name)[k : k + self.length + 1] for g, k in self._starts])

    @cached_property
    def _volts(self) -> FloatArray:
        """Voltage over nominal, (segments, length + 1)."""
        if any(grid.voltage is None for grid in self._grids):
            return np.ones((self.n_segments, self.length + 1))
        return self._cut("voltage") / self.description.servo.voltage

    @cached_property
    def _groups(self) -> list[_Legs]:
        """Legs with equally many joints are integrated together."""
        position, velocity = self._cut("position"), self._cut("velocity")
        by_size: dict[int, list[slice]] = {}
        column = 0
        for leg in LEGS:
            n = len(self.description.legs[leg].joints)
            by_size.setdefault(n, []).append(slice(column, column + n))
            column += n
        return [self._legs(own, position, velocity) for own in by_size.values()]

    def _legs(self, own: Sequence[slice], position: FloatArray, velocity: FloatArray) -> _Legs:
        parts, slopes = [], []
        for joints in own:
            links = leg_links(self._body, self.description.joint_names[joints])
            n = len(links)
            angles = position[:, :, joints].reshape(-1, n)
            parts.append(dynamics(links, angles, velocity[:, :, joints].reshape(-1, n)))
            still = np.zeros_like(angles)
            slope = np.empty((*angles.shape, n))
            for joint in range(n):
                aside = ASIDE * np.eye(n)[joint]
                ahead, back = dynamics(links, angles + aside, still), dynamics(links, angles - aside, still)
                slope[:, :, joint] = (ahead.load_of_mass - back.load_of_mass) / (2 * ASIDE)
            slopes.append(slope)

        def stacked(values: Sequence[FloatArray]) -> FloatArray:
            """(segments, length + 1, legs, ...)."""
            shaped = [one.reshape(self.n_segments, self.length + 1, *one.shape[1:]) for one in values]
            return np.stack(shaped, axis=2)

        together = (stacked([getattr(part, field.name) for part in parts]) for field in fields(Dynamics))
        return _Legs(np.array([np.arange(one.start, one.stop) for one in own]), Dynamics(*together), stacked(slopes))

    def predict(self, variants: Sequence[Variant]) -> dict[str, FloatArray]:
        """position rad, velocity rad/s and current A: (variants, segments, length - skip, n)."""
        shape = (len(variants), self.n_segments, self.length, self.description.n_joints)
        found = {name: np.empty(shape) for name in ("position", "velocity", "current")}
        for legs in self._groups:
            self._integrate(variants, legs, found)
        return {name: values[:, :, self.skip :] for name, values in found.items()}

    def _integrate(self, variants: Sequence[Variant], legs: _Legs, found: Mapping[str, FloatArray]) -> None:
        """Semi-implicit Euler steps; arrays are (variants, segments, legs, joints)."""
        servo, here, own, dt = self.description.servo, legs.dynamics, legs.joints, self._dt

        def each(values: Sequence[float]) -> FloatArray:
            return np.array(values, dtype=np.float64)[:, None, None, None]

        def later(values: FloatArray) -> FloatArray:
            """For values of every moment, (variants, segments, length + 1, legs, ...)."""
            return values[:, None]

        scale, spin = each([v.mass_scale for v in variants]), each([v.inertia_scale for v in variants])
        zero = np.array([v.zero[own] for v in variants])
        strength = np.array([v.strength[own] for v in variants])[:, None]
        armature = each([v.armature for v in variants])
        unit = np.eye(own.shape[1])
        inertia = later(scale)[..., None] * here.inertia_of_mass + later(spin)[..., None] * here.inertia_of_spin
        compliance: FloatArray = np.linalg.inv(inertia + later(armature)[..., None] * unit).astype(np.float64)
        tilt = np.array([v.tilt for v in variants])
        weight_of = here.load_of_mass + np.einsum("stlij,clj->cstli", legs.slope, zero)
        weight_of = weight_of + np.einsum("stlij,cj->cstli", here.load_of_tilt, tilt)
        load = later(scale) * weight_of + later(spin) * here.load_of_spin
        no_load = servo.no_load_speed * each([v.speed_scale for v in variants])
        stall = servo.stall_torque * strength
        line = stall / no_load
        kp = servo.gain * each([v.gain_scale for v in variants]) / servo.stall_torque
        viscous, most = each([v.viscous for v in variants]), each([v.coulomb * dt for v in variants])
        setpoints = self._delayed([v.latency for v in variants], own)
        # a rate of error is one of the setpoint less one of the joint
        late = servo.derivative_time
        setpoints = _flat(setpoints + late / dt * np.diff(setpoints, axis=0, prepend=setpoints[:1]))
        shape = (len(variants), self.n_segments, *own.shape)
        q, v = (
            _flat(np.broadcast_to(np.array([values[k][own] for values, k in self._logged(name)]), shape))
            for name in ("position", "velocity")
        )
        give = np.ascontiguousarray(
            np.moveaxis(compliance, (2, 4, 5), (0, 1, 2)).reshape(self.length + 1, *unit.shape, -1)
        )
        weight = _flat(np.moveaxis(load, 2, 0))
        full = _flat(stall * np.moveaxis(self._volts, 1, 0)[:, None, :, None, None] + np.zeros(shape))
        line, kp, viscous, most = (_flat(values + np.zeros(shape)) for values in (line, kp, viscous, most))
        for k in range(self.length):
            own_give = np.einsum("iim->im", give[k])
            for j in range(self._steps):
                motor = full[k] * _within(kp * (setpoints[k * self._steps + j] - q - late * v), 1.0) - line * v
                push = motor - viscous * v - weight[k]
                v = v + dt * sum(give[k, :, i] * push[i] for i in range(len(push)))
                v = _rubbed(v, give[k], own_give, most)
                q = q + dt * v
            for name, values in (("position", q), ("velocity", v), ("current", motor)):
                found[name][:, :, k, own] = np.moveaxis(values.reshape(len(values), *shape[:3]), 0, -1)
        found["current"][..., own] *= no_load[:, :, None] / servo.voltage

    def _logged(self, name: str) -> Iterator[tuple[FloatArray, int]]:
        """A logged quantity, and where in it a segment begins, segment by segment."""
        for g, k in self._starts:
            yield getattr(self._grids[g], name), k

    def _delayed(self, latencies: Sequence[float], own: NDArray[np.intp]) -> FloatArray:
        """Setpoints at every step of every segment, (length * steps, variants, segments, legs, joints)."""
        steps = self.length * self._steps
        result = np.empty((steps, len(latencies), self.n_segments, *own.shape))
        for i, latency in enumerate(latencies):
            late = latency / self._dt
            whole, part = int(late), late - int(late)
            for n, (g, k) in enumerate(self._starts):
                # the segment begins at the end of period k, with the target of the next
                ends = (k + 1) * self._steps + 1 + np.arange(steps) - whole
                line = self._setpoints[g]
                newer, older = line[np.clip(ends, 0, len(line) - 1)], line[np.clip(ends - 1, 0, len(line) - 1)]
                result[:, i, n] = ((1 - part) * newer + part * older)[:, own]
        return result


def _flat(values: FloatArray) -> FloatArray:
    """(..., variants, segments, legs, joints) as (..., joints, all others), which is how arithmetic is fast."""
    last = np.moveaxis(values, -1, -4)
    return np.ascontiguousarray(last.reshape(*last.shape[:-3], -1))


def _within(values: FloatArray, most: FloatArray | float) -> FloatArray:
    """np.clip to both sides, without its overhead."""
    result: FloatArray = np.minimum(np.maximum(values, -most), most)
    return result


def _rubbed(speed: FloatArray, give: FloatArray, own_give: FloatArray, most: FloatArray) -> FloatArray:
    """Speeds (k, m) after Coulomb friction took off impulses of at most `most`, N m s, at every joint."""
    impulse = [np.zeros_like(speed[0])] * len(speed)
    for _ in range(SWEEPS):
        for i in range(len(speed)):
            now = _within(impulse[i] - speed[i] / own_give[i], most[i])
            speed = speed + give[:, i] * (now - impulse[i])
            impulse[i] = now
    return speed
