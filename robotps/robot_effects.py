"""Differences between robots of one run, so that a fast robot does not make a gait look good.

The value of a trial of gait i, asked in iteration g, on robot j is taken to be

    y_gij = m_g + u_i + b_j + e_gij,   u_i ~ N(0, s_u^2),  b_j ~ N(0, s_b^2),  e_gij ~ N(0, s^2)

with a fixed mean for each iteration (the search moves on, robots do not follow it), and gaits and robots as crossed
random effects. The variances are those of greatest restricted likelihood; b_j is then predicted by

    b = (S + I s^2 / s_b^2)^-1 Z' P y,   S = Z' P Z

(Z: which robot walked each trial; P: the projection that takes out m_g, weighted for gaits that were repeated): its
mean difference shrunk towards 0, the more the fewer trials it has and the less robots differ. A trial counts as
y - b_j: as an average robot would have walked. G. K. Robinson, "That BLUP is a Good Thing", Statistical Science, 1991.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from robotps.parameters import FloatArray

_GAIT_RATIOS = np.concatenate([[0.0], np.logspace(-2, 3, 26)])
_ROBOT_RATIOS = np.concatenate([[0.0], np.logspace(-3, 4, 71)])
"""s_u^2 / s^2 and s_b^2 / s^2 that are compared: a grid, so that the same record gives the same bits."""
_LEAST = 1e-12
"""Of a sum of squares, relative: below it lie rounding errors."""


@dataclass(frozen=True)
class Measurement:
    """The value of one trial. group: the iteration; gait: unique within the run."""

    group: Hashable
    gait: int
    robot: str
    value: float


@dataclass(frozen=True)
class RobotEffects:
    """What each robot adds to a value, beyond an average robot; none for a robot that is not known.

    error: covariance of what is wrong in these effects, (k, k), in the order of `effects`.
    """

    effects: Mapping[str, float] = field(default_factory=dict)
    error: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __getitem__(self, robot: str) -> float:
        return self.effects.get(robot, 0.0)

    def variance(self, robots: Iterable[str]) -> float:
        """Variance that these effects leave in the mean over trials on so many robots."""
        known = list(self.effects)
        shares = np.zeros(len(known))
        count = 0
        for robot in robots:
            count += 1
            if robot in self.effects:
                shares[known.index(robot)] += 1
        return float(shares @ self.error @ shares) / max(count, 1) ** 2


def estimate(measurements: Sequence[Measurement]) -> RobotEffects:
    """The effects of the robots in a record; none where there is only one, or nothing to compare.

    A function of the measurements and their order alone.
    """
    robots = sorted({m.robot for m in measurements})
    if len(robots) < 2:
        return RobotEffects()
    y = np.array([m.value for m in measurements])
    gait = _numbered([m.gait for m in measurements])
    group = _numbered([m.group for m in measurements])
    walked = np.zeros((len(y), len(robots)))
    walked[np.arange(len(y)), [robots.index(m.robot) for m in measurements]] = 1
    freedom = len(y) - int(group.max()) - 1
    if freedom < 2:
        return RobotEffects()
    spread = float(((y - y.mean()) ** 2).sum())
    best: tuple[float, FloatArray, FloatArray, float, float] | None = None
    repeated = np.bincount(gait).max() > 1
    for ratio in _GAIT_RATIOS if repeated else _GAIT_RATIOS[:1]:
        projected, determinant = _projection(np.column_stack([walked, y]), gait, group, float(ratio))
        information, seen = walked.T @ projected[:, :-1], walked.T @ projected[:, -1]
        squares = float(y @ projected[:, -1])
        lengths, axes = np.linalg.eigh((information + information.T) / 2)
        lengths, along = np.maximum(lengths, 0.0), axes.T @ seen
        shrunk = _ROBOT_RATIOS[:, None] / (1 + _ROBOT_RATIOS[:, None] * lengths)
        left = np.maximum(squares - shrunk @ along**2, _LEAST * max(spread, _LEAST))
        # -2 log of the restricted likelihood, the residual variance profiled out
        deviance = freedom * np.log(left) + determinant + np.log1p(_ROBOT_RATIOS[:, None] * lengths).sum(axis=1)
        k = int(deviance.argmin())
        if best is None or deviance[k] < best[0]:
            prediction = axes @ (shrunk[k] * along)
            inverse = (axes * shrunk[k]) @ axes.T
            best = (float(deviance[k]), prediction, inverse, float(left[k]) / freedom, float(ratio))
    assert best is not None
    _, prediction, inverse, variance, _ = best
    return RobotEffects(dict(zip(robots, prediction.tolist(), strict=True)), variance * inverse)


def _projection(
    columns: FloatArray, gait: np.ndarray[tuple[int], np.dtype[np.int64]], group: np.ndarray, ratio: float
) -> tuple[FloatArray, float]:
    """P times each column, (N, c), and log |W| + log |X' W^-1 X|; W = I + ratio * (same gait), X: the group.

    A gait belongs to one group, so both matrices fall into blocks with closed forms.
    """
    count = np.bincount(gait).astype(np.float64)
    weight = 1 / (1 + count * ratio)  # of one trial of a gait that was run `count` times
    sums = np.stack([np.bincount(gait, column, len(count)) for column in columns.T], axis=1)
    whitened = columns - ratio * (weight[:, None] * sums)[gait]
    total = np.bincount(group, weight[gait])
    means = np.stack([np.bincount(group, column, len(total)) for column in whitened.T], axis=1) / total[:, None]
    determinant = float(np.log1p(count * ratio).sum() + np.log(total).sum())
    return whitened - weight[gait][:, None] * means[group], determinant


def _numbered(labels: Sequence[Hashable]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Equal labels as equal numbers from 0 on, in the order they come."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)
