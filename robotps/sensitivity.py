"""Which parameters mattered: how the score changed with each of them among the gaits that were tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robotps.parameters import FloatArray

RESAMPLES = 500
PER_BLOCK = 12
"""At least this many candidates are compared with each other."""

CANDIDATES_PER_PARAMETER = 3


@dataclass(frozen=True)
class Sensitivity:
    """Change of the score for one step more of each parameter, all others equal, with 95 % bootstrap intervals.

    slope, low, high: (n,). explained: share of the score's variance within blocks that the slopes account for.
    candidates: how many gaits this rests on.
    """

    slope: FloatArray
    low: FloatArray
    high: FloatArray
    explained: float
    candidates: int


def sensitivity(
    vectors: FloatArray,
    scores: FloatArray,
    iterations: NDArray[np.int64],
    families: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> Sensitivity | None:
    """Linear regression of scores (m,) on vectors (m, n) in steps, given iteration and family (m,) of each candidate.

    Candidates are compared within blocks of neighbouring iterations of their family: the search moves and its gaits
    improve, and a slope across the whole run would mix what a parameter does with when it was tried. None where fewer
    than CANDIDATES_PER_PARAMETER candidates a parameter were scored.
    """
    m, n = vectors.shape
    if m < CANDIDATES_PER_PARAMETER * (n + 1):
        return None
    blocks = _blocks_by_family(iterations, np.zeros(m, dtype=np.str_) if families is None else families)
    x, y = _within(vectors, blocks), _within(scores[:, None], blocks)[:, 0]
    whole = np.ones((1, m))
    slope = _slopes(x, y, whole)[0]
    drawn = np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=RESAMPLES).astype(np.float64)
    low, high = np.percentile(_slopes(x, y, drawn), [2.5, 97.5], axis=0)
    total = float(y @ y)
    left = float(((y - x @ slope) ** 2).sum())
    return Sensitivity(slope, low, high, explained=1 - left / total if total > 0 else 0.0, candidates=m)


def _blocks_by_family(iterations: NDArray[np.int64], families: NDArray[np.str_]) -> NDArray[np.int64]:
    blocks, used = np.empty(len(iterations), dtype=np.int64), 0
    for family in np.unique(families):
        own = families == family
        blocks[own] = used + _blocks(iterations[own])
        used = int(blocks[own].max()) + 1
    return blocks


def _blocks(iterations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which block each candidate is in, (m,): whole iterations, neighbouring ones together until they are enough."""
    numbers, counts = np.unique(iterations, return_counts=True)
    block_of: dict[int, int] = {}
    block, held = 0, 0
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if held >= PER_BLOCK:
            block, held = block + 1, 0
        block_of[number] = block
        held += count
    if held < PER_BLOCK and block > 0:
        block_of = {number: min(b, block - 1) for number, b in block_of.items()}
    return np.array([block_of[number] for number in iterations.tolist()], dtype=np.int64)


def _within(values: FloatArray, blocks: NDArray[np.int64]) -> FloatArray:
    """Values (m, k) less the mean of their block."""
    counts = np.bincount(blocks)
    means = np.stack([np.bincount(blocks, weights=column) / counts for column in values.T], axis=1)
    within: FloatArray = values - means[blocks]
    return within


def _slopes(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted least squares for every row of weights (k, m): slopes (k, n).

    A trace of ridge keeps a direction in which nothing was tried at slope 0.
    """
    products = np.einsum("km,mi,mj->kij", weights, x, x, optimize=True)
    ridge = 1e-6 * np.trace(products, axis1=1, axis2=2) / x.shape[1] + 1e-300
    moments = np.einsum("km,mi->ki", weights, x * y[:, None], optimize=True)
    slopes: FloatArray = np.linalg.solve(products + ridge[:, None, None] * np.eye(x.shape[1]), moments[:, :, None])
    return slopes[:, :, 0]
