"""Logged telemetry on the grid of control periods: which target each began with, and what was sensed between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robotps.parameters import FloatArray
from robotps.robot import Telemetry

COARSE = 0.35
"""A reading taken nearer than this share of a period to a boundary is as good as one taken there."""


@dataclass(frozen=True)
class Grid:
    """sent: (T, n) targets, rad, each in force for one control period; the others, (T, ...), as they are at its end.

    Values that were not sensed are None; readings that were lost are filled in between their neighbours.
    """

    period: float
    sent: FloatArray
    position: FloatArray
    velocity: FloatArray
    current: FloatArray | None
    voltage: FloatArray | None
    base_position: FloatArray | None
    orientation: FloatArray | None

    def __len__(self) -> int:
        return len(self.sent)


def on_grid(telemetry: Telemetry, period: float) -> Grid | None:
    """The telemetry at the ends of control periods; None where joint positions were not sensed.

    One in simulation is read there. One on a bus is read soon after each target was sent, and its readings are
    interpolated.
    """
    if telemetry.position is None or len(telemetry.time) < 8 or not np.isfinite(telemetry.position).any():
        return None
    at_end = telemetry.sensed_at_end(period)
    first = np.floor(telemetry.time / period + (-0.05 if at_end else 0.05)).astype(int)
    count = int(first[-1]) + 1
    # a deadline that was left out: the target before it stayed in force
    sent = telemetry.sent[np.clip(np.searchsorted(first, np.arange(count), side="right") - 1, 0, None)]
    ends = period * np.arange(1, count + 1)
    ends = ends[ends <= telemetry.time[-1] + COARSE * period]
    time = telemetry.time

    def at_ends(values: FloatArray | None) -> FloatArray | None:
        if values is None:
            return None
        table = values.reshape(len(time), -1)
        columns = [_filled(time, column, ends) for column in table.T]
        result: FloatArray = np.stack(columns, axis=1).reshape(len(ends), *values.shape[1:])
        return result

    position = at_ends(telemetry.position)
    assert position is not None
    velocity = at_ends(telemetry.velocity)
    if velocity is None:
        velocity = np.gradient(position, period, axis=0)
    return Grid(
        period=period,
        sent=sent[: len(ends)],
        position=position,
        velocity=velocity,
        current=at_ends(telemetry.current),
        voltage=at_ends(telemetry.voltage),
        base_position=at_ends(telemetry.base_position),
        orientation=_unit(at_ends(telemetry.orientation)),
    )


def _filled(time: FloatArray, values: FloatArray, moments: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(moments), np.nan)
    result: FloatArray = np.interp(moments, time[known], values[known])
    return result


def _unit(quaternions: FloatArray | None) -> FloatArray | None:
    if quaternions is None:
        return None
    result: FloatArray = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    return result


def glide(sent: FloatArray, speed: float, period: float, steps: int) -> FloatArray:
    """Setpoints (T * steps + 1, n) that move to each target, (T, n), at `speed` rad/s: the host limits servos so.

    They begin at the first target; one at every end of a `steps`-th part of a period.
    """
    now = sent[0].copy()
    way = speed * period * np.arange(1, steps + 1)[:, None] / steps
    parts = [now[None, :]]
    for target in sent:
        move = target - now
        parts.append(now + np.clip(move, -way, way))
        now = parts[-1][-1]
    return np.concatenate(parts)
