"""How well one motion's telemetry accounts for another's: a figure for each quantity, and one for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robotps.odometer import heading
from robotps.parameters import FloatArray
from robotps.robot import Telemetry


@dataclass(frozen=True)
class Agreement:
    """The normalised root-mean-square fit of system identification (Ljung 1999, section 16.4), from 0 to 1.

    Of a quantity y as recorded and y' as replayed, at the times recorded: 1 - |y - y'| / |y - mean(y)|, not below 0,
    where |.| sums over time and over the quantity's components. 1: equal; 0: no better than a constant.
    `overall` is the mean over `quantities`, those that both sensed: `joints` (positions), `tilt` (roll and pitch),
    `path` (horizontal, from the start and along the heading there).
    """

    overall: float
    quantities: dict[str, float]


def agreement(recorded: Telemetry, replayed: Telemetry) -> Agreement | None:
    """Compare two motions that began at the same moment; None where they have no quantity or no time in common."""
    until = min(recorded.time[-1], replayed.time[-1])
    since = max(recorded.time[0], replayed.time[0])
    kept = (recorded.time >= since) & (recorded.time <= until)
    if kept.sum() < 2:
        return None
    fits = {}
    for name, one, other in zip(("joints", "tilt", "path"), _parts(recorded), _parts(replayed), strict=True):
        if one is not None and other is not None:
            resampled = np.stack([np.interp(recorded.time[kept], replayed.time, column) for column in other.T], axis=1)
            fits[name] = _fit(one[kept], resampled)
    if not fits:
        return None
    return Agreement(float(np.mean(list(fits.values()))), fits)


def _fit(recorded: FloatArray, replayed: FloatArray) -> float:
    """The fit of (T, k) by (T, k); readings that are missing in either do not count."""
    both = np.isfinite(recorded) & np.isfinite(replayed)
    recorded, replayed = np.where(both, recorded, np.nan), np.where(both, replayed, np.nan)
    if not both.any():
        return 0.0
    with np.errstate(invalid="ignore"):
        mean = np.where(both.any(axis=0), np.nansum(recorded, axis=0) / np.maximum(both.sum(axis=0), 1), 0.0)
    apart = float(np.sqrt(np.nansum((recorded - replayed) ** 2)))
    spread = float(np.sqrt(np.nansum((recorded - mean) ** 2)))
    if apart == 0.0:
        return 1.0
    return max(0.0, 1.0 - apart / spread) if spread > 0 else 0.0


def _parts(telemetry: Telemetry) -> tuple[FloatArray | None, FloatArray | None, FloatArray | None]:
    orientation = telemetry.orientation
    return (
        telemetry.position,
        None if orientation is None else tilt(orientation),
        None if telemetry.base_position is None or orientation is None else path(telemetry.base_position, orientation),
    )


def tilt(orientation: FloatArray) -> FloatArray:
    """Roll and pitch, rad, (T, 2), of quaternions x, y, z, w (T, 4)."""
    x, y, z, w = orientation.T
    roll = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2 * (w * y - z * x), -1.0, 1.0))
    return np.stack([roll, pitch], axis=1)


def path(position: FloatArray, orientation: FloatArray) -> FloatArray:
    """Forward and leftward from the first moment, m, (T, 2), along the heading there."""
    yaw = float(heading(orientation[:1])[0])
    moved = position[:, :2] - position[0, :2]
    ahead, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    return np.stack([moved @ ahead, moved @ left], axis=1)
