"""The servos' parameters from motions on a stand, as a least squares problem over segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.grid import Grid
from calibration.leg_model import SEGMENTS, StandModel, Variant
from calibration.unknowns import TILTS, Unknown
from robotps.description import RobotDescription
from robotps.legs import LEGS
from robotps.parameters import FloatArray

CORRELATED = 8.0
QUANTITIES = ("position", "velocity", "current")


class StandProblem:
    """See fit.Problem. unknowns: any of the servos', and body.mass_scale and inertia_scale."""

    def __init__(
        self,
        description: RobotDescription,
        grids: Sequence[Grid],
        unknowns: Sequence[Unknown],
        at_most: int = SEGMENTS,
    ) -> None:
        self.unknowns: Sequence[Unknown] = tuple(unknowns)
        self._description = description
        self.model = StandModel(description, grids, at_most)
        self._names = [name for name in QUANTITIES if name in self.model.observed]
        self._observed = self._flat({name: self.model.observed[name][None] for name in self._names})[0]
        size = self._observed.shape[1] // len(self._names)
        self.channels: NDArray[np.int64] = np.repeat(np.arange(len(self._names)), size).astype(np.int64)
        stall = description.servo.stall_torque * description.servo.no_load_speed / description.servo.voltage
        floors = {"position": 0.0005, "velocity": 0.01 * description.servo.no_load_speed, "current": 0.005 * stall}
        self.floor = np.array([floors[name] for name in self._names])
        self._place = {unknown.name: i for i, unknown in enumerate(self.unknowns)}
        self._kind = np.concatenate([np.arange(len(description.legs[leg].joints)) for leg in LEGS])

    def _flat(self, found: dict[str, FloatArray]) -> FloatArray:
        """(variants, segments, m)."""
        first = found[self._names[0]]
        return np.concatenate([found[name].reshape(*first.shape[:2], -1) for name in self._names], axis=2)

    @property
    def correlated(self) -> float:
        """See fit.Problem."""
        return CORRELATED

    def residuals(self, values: FloatArray) -> FloatArray:
        """See fit.Problem."""
        result: FloatArray = self._flat(self.model.predict([self._variant(values)]))[0] - self._observed
        return result

    def jacobian(self, values: FloatArray, columns: Sequence[int], steps: FloatArray) -> FloatArray:
        """See fit.Problem. Legs do not feel each other: the same joint of all legs is moved at once."""
        together: dict[str, list[int]] = {}
        for column in columns:
            name = self.unknowns[column].name
            joint = self._joint(name)
            key = name if joint is None else f"{self._kind[joint]} {name.rpartition('.')[2]}"
            together.setdefault(key, []).append(column)
        variants = [self._variant(values)]
        for members in together.values():
            moved = values.copy()
            moved[members] += steps[members]
            variants.append(self._variant(moved))
        found = self._flat(self.model.predict(variants))
        result = np.zeros((*found.shape[1:], len(columns)))
        place = {column: i for i, column in enumerate(columns)}
        of_joint = np.tile(np.arange(self._description.n_joints), found.shape[2] // self._description.n_joints)
        leg_of = np.repeat(np.arange(len(LEGS)), [len(self._description.legs[leg].joints) for leg in LEGS])
        for number, members in enumerate(together.values(), 1):
            change = found[number] - found[0]
            for column in members:
                joint = self._joint(self.unknowns[column].name)
                own = slice(None) if joint is None else leg_of[of_joint] == leg_of[joint]
                result[:, own, place[column]] = change[:, own] / steps[column]
        return result

    def _joint(self, name: str) -> int | None:
        section, _, rest = name.partition(".")
        return self._description.joint_names.index(rest.partition(".")[0]) if section == "joints" else None

    def _variant(self, values: FloatArray) -> Variant:
        def value(name: str, otherwise: float) -> float:
            return float(values[self._place[name]]) if name in self._place else otherwise

        names = self._description.joint_names
        servo = self._description.servo
        common = value("servo.strength_scale", 1.0)
        mass = value("body.mass_scale", 1.0)
        return Variant(
            strength=np.array([common * value(f"joints.{name}.strength_scale", 1.0) for name in names]),
            zero=np.array([value(f"joints.{name}.zero_offset_rad", 0.0) for name in names]),
            speed_scale=value("servo.speed_scale", 1.0),
            gain_scale=value("servo.gain_scale", 1.0),
            coulomb=value("servo.coulomb_friction", servo.coulomb_friction),
            viscous=value("servo.viscous_friction", servo.viscous_friction),
            armature=value("servo.armature", servo.armature),
            latency=value("servo.latency_s", servo.latency),
            mass_scale=mass,
            inertia_scale=value("body.inertia_scale", mass),
            tilt=(value(TILTS[0], 0.0), value(TILTS[1], 0.0)),
        )
