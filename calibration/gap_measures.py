"""Measures of the gap between simulation and reality over the same gaits: formulas alone, nothing runs here.

Scores are paired gait by gait: `simulated` and `real` have shape (n,), higher is better, in one unit (m/s for speeds).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from robotps.parameters import FloatArray

Measure = Callable[[FloatArray, FloatArray], float]

RESAMPLES = 2000
FEWEST = 5
"""Gaits from which an interval is given: of fewer, resamples are too much alike (with three, a 95 % interval of a rank
correlation of 0.6 would hold it every other time)."""


def bias(simulated: FloatArray, real: FloatArray) -> float:
    """Mean of simulated less real."""
    return float(np.mean(simulated - real))


def rmse(simulated: FloatArray, real: FloatArray) -> float:
    """Root mean square of simulated less real."""
    return float(np.sqrt(np.mean((simulated - real) ** 2)))


def pearson(simulated: FloatArray, real: FloatArray) -> float:
    """Linear correlation, the "sim-vs-real correlation coefficient" of Kadian et al. (RA-L 2020).

    NaN where either side does not vary.
    """
    x, y = simulated - np.mean(simulated), real - np.mean(real)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    tiny = 1e-12 * len(x) * float(np.max(np.abs(simulated), initial=0) * np.max(np.abs(real), initial=0))
    return float(x @ y) / scale if scale > tiny else float("nan")


def spearman(simulated: FloatArray, real: FloatArray) -> float:
    """Correlation of ranks; equal scores share the mean of their ranks. NaN where either side does not vary."""
    return pearson(_ranks(simulated), _ranks(real))


def mmrv(simulated: FloatArray, real: FloatArray) -> float:
    """Mean maximum rank violation (Li et al., "SIMPLER", CoRL 2024): 0 is best, unit of the score.

    For each gait the largest real difference to a gait that simulation orders the other way; the mean of these.
    """
    by_simulation = np.subtract.outer(simulated, simulated)
    by_reality = np.subtract.outer(real, real)
    violations = np.where(by_simulation * by_reality < 0, np.abs(by_reality), 0.0)
    return float(violations.max(axis=1).mean())


def regret_at(k: int, simulated: FloatArray, real: FloatArray) -> float:
    """What is lost in reality by trying only the k gaits that simulation likes best."""
    if not 1 <= k <= len(real):
        raise ValueError(f"k must lie between 1 and the {len(real)} gaits, it is {k}")
    liked = np.argsort(-simulated, kind="stable")[:k]
    return float(real.max() - real[liked].max())


def greatest_loss(simulated: FloatArray, real: FloatArray) -> float:
    """The most that the gait simulation likes best can lose in reality: max G - min G, G = simulated - real.

    A constant bias is harmless: it cancels.
    """
    return float(np.ptp(simulated - real))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "bias": bias,
        "rmse": rmse,
        "pearson": pearson,
        "spearman": spearman,
        "mmrv": mmrv,
        "regret_at_1": lambda simulated, real: regret_at(1, simulated, real),
        "regret_at_3": lambda simulated, real: regret_at(min(3, len(real)), simulated, real),
        "greatest_loss": greatest_loss,
    }
)
"""All of them by name."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; NaN where the data cannot tell."""

    value: float
    low: float
    high: float


def measure_gap(
    simulated: Sequence[FloatArray], real: Sequence[FloatArray], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Every measure with a 95 % bootstrap interval, NaN for fewer gaits than FEWEST.

    simulated, real: the scores of each gait's repeats, as many as there are. Gaits are drawn with replacement, and
    repeats within each gait drawn, on either side (Efron & Tibshirani 1993, chapter 8). Raises ValueError where there
    are fewer than two gaits, or a gait without a score.
    """
    if len(simulated) != len(real) or len(real) < 2:
        raise ValueError(f"gaits are compared in pairs, two or more: got {len(simulated)} simulated, {len(real)} real")
    if any(len(scores) == 0 for scores in (*simulated, *real)):
        raise ValueError("a gait without a score cannot be compared")
    whole = np.array([np.mean(scores) for scores in simulated]), np.array([np.mean(scores) for scores in real])
    generator = np.random.default_rng(seed)
    n = len(real)
    resamples = resamples if n >= FEWEST else 0
    drawn = generator.integers(0, n, (resamples, n))
    side = [
        np.stack([_redrawn_means(np.asarray(scores, dtype=np.float64), resamples, generator) for scores in scored])
        for scored in (simulated, real)
    ]
    row = np.arange(resamples)[:, None]
    again = [means[drawn, row] for means in side]
    estimates = {}
    for name, measure in MEASURES.items():
        values = np.array([measure(x, y) for x, y in zip(*again, strict=True)])
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (float("nan"), float("nan"))
        estimates[name] = Estimate(measure(*whole), float(low), float(high))
    return estimates


def n_step_errors(predicted: FloatArray, observed: FloatArray) -> FloatArray:
    """Root mean square errors, shape (n, d), of predictions (m, n, d): m starts, n steps on, d quantities."""
    errors: FloatArray = np.sqrt(np.nanmean((predicted - observed) ** 2, axis=0))
    return errors


# The simulation lemma. A policy's discounted value from the start is V in reality and W in simulation; rewards depend
# on the state alone and lie in [0, 1]. Along the REAL trajectory s_0, s_1, ...:
#   W - V = sum_h gamma^(h+1) (E_sim W(s') - E_real W(s')) = gamma / (1 - gamma) E_d [E_sim W - E_real W]
#   |W - V| <= 1 / (1 - gamma)^2 E_d ||P_sim - P_real||_1
# with s' one step after s_h, and d the discounted distribution (1 - gamma) gamma^h of the real policy's states.


def discounted(rewards: FloatArray, gamma: float) -> float:
    """Discounted value of rewards (H,)."""
    return float(rewards @ gamma ** np.arange(len(rewards)))


def value_gap_by_disagreement(after_simulated: FloatArray, after_real: FloatArray, gamma: float) -> float:
    """The lemma's right side: what the values W, (H,), one simulated and one real step after each s_h, add up to."""
    steps = np.arange(1, len(after_real) + 1)
    return float((after_simulated - after_real) @ gamma**steps)


def value_gap_bound(distances: FloatArray, gamma: float) -> float:
    """The lemma's bound, from ||P_sim - P_real||_1 in [0, 2] at every real state s_h, (H,)."""
    return float(distances @ gamma ** np.arange(len(distances))) / (1.0 - gamma)


def gaussian_distance(difference: FloatArray, deviation: FloatArray) -> FloatArray:
    """L1 distance (H,) of Gaussians whose means differ by `difference` (H, d), of equal standard deviations (d,).

    2 (2 Phi(z / 2) - 1) with z the difference in standard deviations.
    """
    from scipy.special import erf

    z = np.sqrt(((difference / deviation) ** 2).sum(axis=1))
    distance: FloatArray = 2.0 * erf(z / np.sqrt(8.0))
    return distance


def _ranks(values: FloatArray) -> FloatArray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[place]
    return ranks


def _redrawn_means(scores: FloatArray, resamples: int, generator: np.random.Generator) -> FloatArray:
    picks = generator.integers(0, len(scores), (resamples, len(scores)))
    means: FloatArray = scores[picks].mean(axis=1)
    return means
