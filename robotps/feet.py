"""Where the feet were, and when they stood on the floor: in the body's frame, and on the floor where that is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robotps.description import RobotDescription
from robotps.gait import chains
from robotps.parameters import FloatArray
from robotps.robot import Telemetry
from robotps.rotations import rotation_matrices

IN_CONTACT = 0.004
"""m; a foot whose lowest point is nearer than this to the floor is taken to stand on it."""


def feet_in_body(description: RobotDescription, joints: FloatArray) -> FloatArray:
    """Foot centres (4, T, 3), m, in the body's frame at joint angles (T, n_joints), rad; legs in the order of LEGS."""
    feet, column = [], 0
    for chain in chains(description):
        feet.append(chain.forward(joints[:, column : column + len(chain.lower)]))
        column += len(chain.lower)
    return np.stack(feet)


def feet_on_floor(description: RobotDescription, telemetry: Telemetry) -> FloatArray | None:
    """Foot centres (4, T, 3), m, in the floor's frame; None where joints or the body's pose were not sensed."""
    if telemetry.position is None or telemetry.orientation is None or telemetry.base_position is None:
        return None
    turn = rotation_matrices(telemetry.orientation)
    feet = feet_in_body(description, telemetry.position)
    placed: FloatArray = telemetry.base_position + np.einsum("tij,ltj->lti", turn, feet)
    return placed


def stance(description: RobotDescription, telemetry: Telemetry) -> NDArray[np.bool_] | None:
    """Which feet stood on the floor, (4, T); None where joints were not sensed.

    Where the body's height is not known, the lowest foot is taken to stand, and those as low as it (within IN_CONTACT)
    along the body's tilt, or along the body itself where its tilt is not sensed either.
    """
    placed = feet_on_floor(description, telemetry)
    radii = np.array([chain.foot_radius for chain in chains(description)])[:, None]
    if placed is not None:
        on_floor: NDArray[np.bool_] = placed[:, :, 2] - radii < IN_CONTACT
        return on_floor
    if telemetry.position is None:
        return None
    feet = feet_in_body(description, telemetry.position)
    if telemetry.orientation is not None:
        feet = np.einsum("tij,ltj->lti", rotation_matrices(telemetry.orientation), feet)
    lowest = feet[:, :, 2] - radii
    level: NDArray[np.bool_] = lowest < np.nanmin(lowest, axis=0) + IN_CONTACT
    return level
