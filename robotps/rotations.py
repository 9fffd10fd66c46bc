"""Rotations: matrices, quaternions x, y, z, w, and roll, pitch, yaw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robotps.parameters import FloatArray

Quaternion = tuple[float, float, float, float]
"""x, y, z, w."""


def rotation_of(rpy: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rotation matrix of fixed-axis roll, pitch, yaw (URDF's convention), rad."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rotation_matrices(orientation: FloatArray) -> FloatArray:
    """Rotation matrices (T, 3, 3) of quaternions x, y, z, w (T, 4)."""
    x, y, z, w = orientation.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def times(one: FloatArray, other: FloatArray) -> FloatArray:
    """Product of quaternions x, y, z, w: the turn `other` and then `one`; either may be (4,) or (T, 4)."""
    ax, ay, az, aw = np.moveaxis(one, -1, 0)
    bx, by, bz, bw = np.moveaxis(other, -1, 0)
    product: FloatArray = np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )
    return product


def quaternion_of(rotation: FloatArray) -> Quaternion:
    """The quaternion x, y, z, w of a rotation matrix (3, 3)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat().tolist()
    return x, y, z, w
