"""Random pushes: horizontal forces on the trunk, now and then."""

from __future__ import annotations

import math

import numpy as np

from sim.world import Push


class Pushes:
    """In every interval of `every_s` one push begins at a random moment, in a random direction."""

    def __init__(self, push: Push, generator: np.random.Generator, step: float) -> None:
        self._strength = push.force_n
        self._generator = generator
        self._interval = max(1, round(push.every_s / step))
        self._length = min(max(1, round(push.duration_s / step)), self._interval)
        self._now = 0
        self._begin = 0
        self._force = (0.0, 0.0, 0.0)

    def force(self) -> tuple[float, float, float] | None:
        """The force in the floor's frame at the next physics step, N; None for none."""
        if self._strength == 0.0:
            return None
        if self._now == 0:
            self._begin = int(self._generator.integers(0, self._interval - self._length + 1))
            heading = self._generator.uniform(0.0, 2 * math.pi)
            self._force = (self._strength * math.cos(heading), self._strength * math.sin(heading), 0.0)
        pushing = self._begin <= self._now < self._begin + self._length
        self._now = (self._now + 1) % self._interval
        return self._force if pushing else None
