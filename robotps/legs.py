"""The four legs of a quadruped, in the order that every array over legs has."""

from __future__ import annotations

from typing import Literal

LegName = Literal["front_left", "front_right", "rear_left", "rear_right"]
LEGS: tuple[LegName, ...] = ("front_left", "front_right", "rear_left", "rear_right")
MIRRORED: dict[LegName, LegName] = {"front_right": "front_left", "rear_right": "rear_left"}
