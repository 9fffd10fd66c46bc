"""The body's and the floor's parameters from motions on the floor, as a least squares problem over short shots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration.shots import FORGET, Shot, shoot_table
from calibration.unknowns import Unknown, with_values
from robotps.description import RobotDescription
from robotps.parameters import FloatArray
from robotps.workers import InThisProcess, run_all
from sim.world import World

STEP = {
    "body.mass_scale": 0.05,
    "body.com_offset_m.0": 0.003,
    "body.com_offset_m.1": 0.003,
    "floor.friction": 0.05,
    "floor.slope_ahead": 0.01,
    "floor.slope_left": 0.01,
}
CORRELATED = 40.0
"""The engine errs alike throughout a shot: a contact that is too soft is so in all its periods and joints."""
QUANTITIES = ("position", "current", "travel", "turn")


class FloorProblem:
    """See fit.Problem. world: holds what is not among `unknowns`. executor: where worlds are simulated."""

    def __init__(
        self,
        description: RobotDescription,
        shots: Sequence[Shot],
        unknowns: Sequence[Unknown],
        world: World,
        executor: Executor | None = None,
    ) -> None:
        self.unknowns: Sequence[Unknown] = tuple(unknowns)
        self._world = world
        self._executor = executor or InThisProcess()
        self._skip = round(FORGET / description.control_period)
        self._names = [name for name in QUANTITIES if all(name in shot.quantities for shot in shots)]
        self._shoot = partial(shoot_table, description, list(shots))
        stacked = {name: np.stack([shot.quantities[name] for shot in shots]) for name in self._names}
        self._observed = self._flat(stacked)
        sizes = [stacked[name][0, self._skip :].size for name in self._names]
        self.channels: NDArray[np.int64] = np.repeat(np.arange(len(self._names)), sizes).astype(np.int64)
        stall = description.servo.stall_torque * description.servo.no_load_speed / description.servo.voltage
        floors = {"position": 0.001, "current": 0.01 * stall, "travel": 0.0005, "turn": 0.002}
        self.floor = np.array([floors[name] for name in self._names])

    def _flat(self, found: dict[str, FloatArray]) -> FloatArray:
        """(shots, m)."""
        parts = [found[name][:, self._skip :].reshape(len(found[name]), -1) for name in self._names]
        return np.concatenate(parts, axis=1)

    @property
    def correlated(self) -> float:
        """See fit.Problem."""
        return CORRELATED

    def residuals(self, values: FloatArray) -> FloatArray:
        """See fit.Problem."""
        return self._simulated([values])[0] - self._observed

    def jacobian(self, values: FloatArray, columns: Sequence[int], steps: FloatArray) -> FloatArray:
        """See fit.Problem. The steps are long ones: contacts make differences over short ones noisy."""
        moved, widths = [values], []
        for column in columns:
            unknown = self.unknowns[column]
            step = max(STEP.get(unknown.name, 0.0), steps[column])
            aside = values.copy()
            aside[column] += step if values[column] + step <= unknown.upper else -step
            moved.append(aside)
            widths.append(aside[column] - values[column])
        here, *found = self._simulated(moved)
        return np.stack([(there - here) / width for there, width in zip(found, widths, strict=True)], axis=2)

    def _simulated(self, many: Sequence[FloatArray]) -> list[FloatArray]:
        names = [unknown.name for unknown in self.unknowns]
        worlds = [
            (i, with_values(self._world, dict(zip(names, values.tolist(), strict=True))).model_dump(mode="json"))
            for i, values in enumerate(many)
        ]
        result: dict[int, FloatArray] = {}
        for (i, _), found in run_all(self._executor, partial(_second, self._shoot), worlds):
            result[i] = self._flat(found)
        return [result[i] for i in range(len(many))]


def _second(function: Callable[[object], dict[str, FloatArray]], task: tuple[int, object]) -> dict[str, FloatArray]:
    return function(task[1])
