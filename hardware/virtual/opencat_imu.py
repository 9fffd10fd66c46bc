"""The inertial sensor of an OpenCat board, in the board's own sense of rotation."""

from __future__ import annotations

import math

import numpy as np

from hardware.virtual.plant import Plant

GRAVITY = 9.80665
ACCELERATION_NOISE = 10.0
"""m/s^2 of noise for a rad of it in the angles."""


class Imu:
    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._noise = np.random.default_rng(plant.seed_for_sensors())
        self._sigma = plant.reality.sensor.imu_noise

    def angles(self) -> tuple[float, float, float]:
        """Yaw (positive clockwise), pitch (nose up) and roll (to the right), degrees."""
        x, y, z, w = self.plant.body.pose.quaternion
        forward, left, up = self.plant.body.up
        yaw = -math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        pitch = math.atan2(forward, math.hypot(left, up))
        roll = math.atan2(left, up)
        noise = (self._sigma * self._noise.standard_normal(3)).tolist()
        yaw, pitch, roll = (math.degrees(a + n) for a, n in zip((yaw, pitch, roll), noise, strict=True))
        return yaw, pitch, roll

    def line(self) -> str:
        """Acceleration without gravity along forward, left and up, m/s^2, then yaw, pitch and roll, degrees."""
        force = self.plant.body.specific_force - GRAVITY * self.plant.body.up
        force += ACCELERATION_NOISE * self._sigma * self._noise.standard_normal(3)
        yaw, pitch, roll = self.angles()
        return "MCU:" + "".join(f"{a:6.1f}" for a in force) + f"{yaw:7.1f}{pitch:7.1f}{roll:7.1f}"
