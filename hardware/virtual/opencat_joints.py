"""The joints of an OpenCat board: sixteen angles in whole degrees, some of them with a hobby servo behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hardware.virtual.plant import Plant
from robotps.errors import RobotpsError
from robotps.legs import LEGS

DOF = 16
WALKING = range(8, 16)
"""Shoulders 8 to 11, knees 12 to 15."""
MOST = 200
"""Degrees that the firmware lets a joint turn either way."""


class Joints:
    """`angle`: what every joint was last told, degrees. `offset`: its calibration, degrees. Servos are never felt."""

    def __init__(self, plant: Plant) -> None:
        wiring = plant.description.wiring
        if wiring is None:
            raise RobotpsError(f"{plant.description.name}: the description has no [wiring]: a board needs its joints")
        self.plant = plant
        self.angle = [0] * DOF
        self.offset = [0] * DOF
        self._ids = [id_ for leg in LEGS for id_ in wiring.legs[leg].ids]
        self._zeros = [zero for leg in LEGS for zero in wiring.legs[leg].zeros]
        self._gear = wiring.gear
        wrong = [id_ for id_ in self._ids if id_ >= DOF]
        if wrong:
            raise RobotpsError(f"{plant.description.name}: an OpenCat board has joints 0 to 15, the wiring {wrong}")
        plant.servos.kp[:] = plant.gain
        plant.servos.changed()

    @property
    def on(self) -> bool:
        return bool(self.plant.servos.on.any())

    def show(self, angles: Sequence[int], first: int = 0, lean: float = 0.0) -> None:
        """Tell joints from index `first` on, and switch on servos that are off. lean: degrees more at the shoulders."""
        for i, angle in enumerate(angles):
            self.angle[first + i] = max(-MOST, min(MOST, int(angle)))
        servos = self.plant.servos
        for servo, (id_, zero) in enumerate(zip(self._ids, self._zeros, strict=True)):
            degrees = self.angle[id_] + self.offset[id_] - zero + (lean if id_ < 12 else 0.0)
            if not servos.on[servo]:
                servos.switch(servo, True, self.plant.shaft(servo))
            servos.aim(servo, math.radians(degrees) * self._gear)

    def turn_to(self, target: Sequence[int], first: int, speed: int) -> Iterator[float]:
        """Turn joints from index `first` on together, rising and falling, `speed` degrees a step; yields pauses, s."""
        start = self.angle[first : first + len(target)]
        difference = [a - b for a, b in zip(start, target, strict=False)]
        steps = round(max((abs(d) for d in difference), default=0) / speed)
        for step in range(steps + 1):
            left = (1 + math.cos(math.pi * step / steps)) / 2 if steps else 0.0
            self.show([int(t + left * d) for t, d in zip(target, difference, strict=False)], first)
            yield (DOF - first) // 2 * 0.001

    def shut(self, index: int | None = None) -> None:
        """Switch servos off: that of one joint, or all."""
        for servo, id_ in enumerate(self._ids):
            if index is None or id_ == index:
                self.plant.servos.switch(servo, False, self.plant.shaft(servo))
