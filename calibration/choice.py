"""Which gaits are worth a physical trial, and which must not be tried at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from calibration.guarded import GuardedRobot
from calibration.planning import Judgement
from robotps.description import Family, RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait, UnreachableGait
from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.gaussian_process import GaussianProcess
from robotps.search.replication import Scatter
from robotps.search.search import Score
from robotps.trial import TrialSettings, run_trial
from sim.world import World

ENOUGH = 4
"""Gaits with a real score before a process of the difference is fitted."""
TRIES = 20
"""Gaits that are rehearsed for each one wanted before too few are safe."""


def spread_around(space: ParameterSpace, steps: float, seed: int) -> Iterator[FloatArray]:
    """The start, then gaits up to so many steps from it in every parameter, evenly spread (a Sobol sequence)."""
    from scipy.stats import qmc  # takes a second to import

    yield np.zeros(len(space))
    sobol = qmc.Sobol(len(space), seed=seed)
    while True:
        for point in sobol.random(8):
            yield np.clip(steps * (2 * point - 1), space.lower, space.upper)


def rehearse(
    description: RobotDescription, gait: Gait, settings: TrialSettings, world: World | None = None, seed: int = 0
) -> str:
    """Why the safety layer would not let this gait be tried, or nothing: it is played in simulation behind that layer.

    A gait that falls there is not tried either, nor one that no leg can reach.
    """
    try:
        with GuardedRobot(description, world, seed) as robot:
            trial, _ = run_trial(robot, gait, settings)
    except UnreachableGait as error:
        return str(error)
    return "" if trial.ending == "finished" else trial.reason


def rehearsed(
    description: RobotDescription,
    family: Family,
    space: ParameterSpace,
    gaits: Iterator[FloatArray],
    settings: TrialSettings,
    count: int,
    world: World | None = None,
) -> FloatArray:
    """The first `count` of some gaits that pass a rehearsal, (count, n), or all that do where there are no more.

    Raises RobotpsError where hardly any does.
    """
    passed: list[FloatArray] = []
    reason, tried = "", 0
    for vector in islice(gaits, TRIES * count):
        refusal = rehearse(description, Gait(family, space.values(vector)), settings, world)
        tried += 1
        if refusal:
            reason = refusal
        else:
            passed.append(vector)
        if len(passed) == count:
            return np.stack(passed)
    if not passed or tried == TRIES * count:
        raise RobotpsError(f"only {len(passed)} of {tried} gaits pass a rehearsal in simulation; the last: {reason}")
    return np.stack(passed)


@dataclass(frozen=True)
class Walked:
    """Gaits that the robot was sent, (n, d); their scores (NaN: it could not be scored), trials, noise of repeats."""

    vectors: FloatArray
    values: FloatArray
    trials: FloatArray
    scatter: Scatter

    @classmethod
    def of(cls, tried: Sequence[tuple[FloatArray, Score]]) -> Walked:
        """From gaits and their scores."""
        repeated = [
            Scatter(score.std_error**2 * score.trials, score.trials - 1)
            for _, score in tried
            if score.std_error is not None
        ]
        return cls(
            vectors=np.stack([vector for vector, _ in tried]),
            values=np.array([np.nan if score.value is None else score.value for _, score in tried]),
            trials=np.array([float(max(1, score.trials)) for _, score in tried]),
            scatter=sum(repeated, Scatter()),
        )

    def difference(self, simulated: FloatArray) -> GaussianProcess | None:
        """The process of real less simulated scores, (n,) each; None where too few are known to tell."""
        known = np.isfinite(self.values) & np.isfinite(simulated)
        if known.sum() < ENOUGH:
            return None
        return GaussianProcess(self.vectors[known], (self.values - simulated)[known], self.trials[known], self.scatter)


def correction(process: GaussianProcess | None, gaits: FloatArray) -> FloatArray:
    """What is known of the difference between real and simulated scores of gaits (m, n): (m,)."""
    return np.zeros(len(gaits)) if process is None else process.mean(gaits)


def chosen(
    pool: FloatArray,
    offered: Judgement,
    process: GaussianProcess | None,
    size: int,
    teaching: int,
    generator: np.random.Generator,
) -> dict[int, str]:
    """Which gaits of a pool are sent, and why; only safe ones.

    Fast ones by Thompson sampling: each is the best in one of the worlds that may be the real one, with a difference to
    it drawn from its process. Teaching ones are those on which the worlds and the process disagree most, among the
    better half.
    """
    worlds = offered.scores.shape[1]
    unsure = np.zeros(len(pool)) if process is None else np.diag(process.covariance(pool))
    drawn = offered.scores[:, generator.integers(worlds, size=size)].T
    drawn = np.where(np.isfinite(drawn), drawn, offered.expected)
    if process is not None:
        drawn = drawn + process.sample(pool, size, generator)
    doubt = np.sqrt(offered.spread**2 + np.maximum(unsure, 0.0))
    good = offered.safe & (offered.expected >= np.median(offered.expected[offered.safe]))
    reasons: dict[int, str] = {}
    for number in range(min(size, int(offered.safe.sum()))):
        teaches = number < teaching
        values = np.where(good if teaches else offered.safe, doubt if teaches else drawn[number], -np.inf)
        values[list(reasons)] = -np.inf
        if np.isfinite(values.max()):
            reasons[int(values.argmax())] = "teaching" if teaches else "fast"
    return reasons
