"""What Dynamixel servos sense, in their registers 120 (realtime tick) to 146 (present temperature): all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.virtual.dynamixel_table import RADIANS_A_STEP, Model
from hardware.virtual.plant import Plant
from hardware.virtual.servo import UNLIMITED
from robotps.parameters import FloatArray

FIRST = 120
"""Address of the realtime tick."""
MOVING_AT = 122
MEASURED_AT = 124
"""Address of the present PWM: two words (PWM, current) and four double words (speed, position, and where the profile
is: speed, position) follow."""
VOLTAGE_AT = 144
END = 147
IN_POSITION = 10 * RADIANS_A_STEP
"""rad (assumption)."""
LAGGING = 10 * IN_POSITION


class Present:
    """Writes a plant's state into the servos' registers: `table` (n, bytes), one servo's memory a row.

    scale, shift (6, n): from what is measured, in SI units, to the registers from MEASURED_AT on. booted_at: s.
    """

    def __init__(self, plant: Plant, table: NDArray[np.uint8], model: Model) -> None:
        n, size = table.shape
        self.fresh = False
        """Whether nothing can have changed since the last refresh; whoever lets something happen sets it to False."""
        self.scale: FloatArray = np.zeros((6, n))
        self.shift: FloatArray = np.zeros((6, n))
        self.booted_at: FloatArray = np.zeros(n)
        self._plant = plant
        self._counts: FloatArray = np.zeros((6, n))
        self._set_for = -1

        def registers(address: int, form: str, count: int = 1) -> NDArray[Any]:
            step = np.dtype(form).itemsize
            columns: NDArray[Any] = np.ndarray((count, n), form, buffer=table, offset=address, strides=(step, size))
            return columns

        self._tick, self._state = registers(FIRST, "<u2")[0], registers(MOVING_AT, "u1", 2)
        self._words, self._longs = registers(MEASURED_AT, "<i2", 2), registers(MEASURED_AT + 4, "<i4", 4)
        self._voltage, self._temperature = registers(VOLTAGE_AT, "<u2")[0], registers(END - 1, "u1")[0]
        self._threshold = registers(model.by_name["moving_threshold"].address, "<u4")[0]
        self._torque = registers(model.by_name["torque_enable"].address, "u1")[0]

    def refresh(self) -> None:
        """Bring the registers up to date."""
        if self.fresh:
            return
        self.fresh = True
        plant, counts = self._plant, self._counts
        servos, motors, position = plant.servos, plant.motors, plant.position
        setpoint, aimed = servos.setpoint, servos.aimed
        if servos.settings != self._set_for:
            self._set_up()
        counts[0], counts[1], counts[2], counts[3] = servos.duty, motors.current, plant.speed, position
        counts[4], counts[5] = servos.setpoint_speed, setpoint
        counts *= self.scale
        counts += self.shift
        np.rint(counts, out=counts)
        self._words[:] = np.minimum(np.maximum(counts[:2], -32768), 32767)
        self._longs[:] = counts[2:]
        under_way = (setpoint != aimed) & (self._torque > 0)
        following = self._torque * (np.abs(setpoint - position) > LAGGING)
        self._state[0] = under_way | (np.abs(counts[2]) > self._threshold)
        self._state[1] = (
            self._profile + self._profiled * under_way + 8 * following + (np.abs(aimed - position) <= IN_POSITION)
        )
        self._tick[:] = ((plant.time - self.booted_at) * 1000 + 1e-6).astype(np.int64) % 32768
        self._voltage[:] = max(0, round(10 * motors.voltage))
        self._temperature[:] = np.rint(np.minimum(np.maximum(motors.temperature, 0), 255))

    def _set_up(self) -> None:
        """The part of the moving status that tells of the profile, until the servos are set to another one."""
        servos = self._plant.servos
        self._set_for = servos.settings
        limited = servos.speed < UNLIMITED
        self._profile = limited * np.where(servos.acceleration < UNLIMITED, 0x30, 0x10)
        self._profiled = 2 * limited
