"""The position stream of a virtual motion capture: where the trunk is, a line every control period.

Each line is a JSON object: `t`, s of the robot's own time; `position` of the trunk's centre, m, and `quaternion` of
its frame, x, y, z, w, both in the floor's frame (x ahead at the start, z away from the floor).
"""

from __future__ import annotations

import numpy as np

from hardware.virtual.lines import LineServer
from hardware.virtual.plant import Plant
from robotps.parameters import FloatArray

BASELINE = 0.1
"""m between a rigid body's markers: how noise of their positions turns into noise of its orientation."""


class MotionCapture:
    """Streams to whoever connects to `server.address`."""

    def __init__(self, plant: Plant) -> None:
        self.server = LineServer()
        self._plant = plant
        self._sigma = plant.reality.sensor.stream_noise_m
        self._noise = np.random.default_rng(plant.seed_for_sensors())
        plant.listeners.append(self.send)
        self.send()

    def send(self) -> None:
        """Send where the trunk is now."""
        pose = self._plant.body.pose
        position, quaternion = pose.position, pose.quaternion
        if self._sigma > 0:
            noise = self._sigma * self._noise.standard_normal(6)
            position = position + noise[:3]
            quaternion = _turned(quaternion, noise[3:] / BASELINE)
        self.server.broadcast(
            {"t": round(self._plant.time, 9), "position": position.tolist(), "quaternion": quaternion.tolist()}
        )


def _turned(quaternion: FloatArray, rotation: FloatArray) -> FloatArray:
    """A quaternion x, y, z, w turned by a small rotation vector, rad."""
    x, y, z, w = quaternion
    a, b, c = rotation / 2
    turned: FloatArray = np.array(
        [x + w * a + y * c - z * b, y + w * b + z * a - x * c, z + w * c + x * b - y * a, w - x * a - y * b - z * c]
    )
    turned /= np.linalg.norm(turned)
    return turned
