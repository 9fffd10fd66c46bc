"""Least squares over segments of logged motions, with prior beliefs, and how sure the result is.

The interval of a parameter has three parts: what the prior and the data leave open; how much the estimate depends on
which segments there were (a sandwich of the Hessian around the segments' own gradients, which is what a block bootstrap
over segments comes to); and the simulator's own errors (`Unknown.discrepancy`), which no amount of data takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calibration.unknowns import Unknown
from robotps.parameters import FloatArray

INFORMATIVE = 0.5
"""A parameter is informative where the data leave less than this share of the prior's spread."""
AT_BOUND = 1e-3
"""Of the distance between the bounds: nearer than this is there."""
OUTLIER = 4.0
"""Standard deviations beyond which a reading counts as a straggler (soft L1 loss)."""
ROUNDS = 3
"""of fitting with the noise of each quantity as the fit before left it."""
NFEV = 12


class Problem(Protocol):
    """What a fit asks of a model. Values: (p,) in the parameters' units, in the order of `unknowns`."""

    @property
    def unknowns(self) -> Sequence[Unknown]:
        """What is fitted."""

    @property
    def channels(self) -> NDArray[np.int64]:
        """(m,): which quantity each column of the residuals is of, as an index into `floor`."""

    @property
    def floor(self) -> FloatArray:
        """Smallest standard deviation believed of each quantity's readings, in its unit."""

    @property
    def correlated(self) -> float:
        """So many readings of a segment count as one, as readings in a row and quantities of a joint say the same."""

    def residuals(self, values: FloatArray) -> FloatArray:
        """Predicted less observed, (segments, m); NaN where nothing was observed."""

    def jacobian(self, values: FloatArray, columns: Sequence[int], steps: FloatArray) -> FloatArray:
        """Derivatives (segments, m, len(columns)) by finite differences of `steps` (p,)."""


@dataclass(frozen=True)
class Estimate:
    """values, deviation: (p,), in units. free: which were fitted. sigma: noise of each quantity. rms: of what is left
    of the residuals, in these. covariance: of the free ones, (k, k), in units."""

    unknowns: tuple[Unknown, ...]
    values: FloatArray
    deviation: FloatArray
    free: tuple[int, ...]
    at_bound: tuple[bool, ...]
    informative: tuple[bool, ...]
    sigma: FloatArray
    rms: float
    covariance: FloatArray = field(repr=False)


def fit(
    problem: Problem,
    *,
    seed: int = 0,
    starts: int = 1,
    notify: Callable[[str], None] = lambda text: None,
    nfev: int = NFEV,
    rounds: int = ROUNDS,
    belief: FloatArray | None = None,
    begin: FloatArray | None = None,
    refine: bool = True,
) -> Estimate:
    """Fit all parameters, then again without those that ended at a bound, which keep their prior.

    Those without information stay in: the others' intervals would be too narrow without them.

    belief: covariance (p, p) of what is believed beforehand, where that is more than each parameter's own spread.
    begin: values (p,) to start from instead of the prior; other starts are drawn around them. refine: False leaves out
    the second fit.
    """
    everything = tuple(range(len(problem.unknowns)))
    generator = np.random.default_rng(seed)
    centre = np.array([u.prior for u in problem.unknowns]) if begin is None else begin
    found: list[Estimate] = []
    for start in range(starts):
        first = _start(problem.unknowns, centre, generator if start else None)
        found.append(_fit(problem, everything, first, nfev, rounds, belief))
        notify(f"start {start + 1} of {starts}: {found[-1].rms:.3f} standard deviations left")
    # each has made up its own mind on what is noise: they are compared under the least
    noise = np.min([estimate.sigma for estimate in found], axis=0)
    best = min(found, key=lambda estimate: rms(problem.channels, problem.residuals(estimate.values), noise))
    for _ in range(2 if refine else 0):
        keep = tuple(i for i in best.free if not best.at_bound[i])
        if keep == best.free or not keep:
            break
        again = _fit(problem, keep, best.values, nfev, rounds, belief, best.sigma)
        dropped = set(best.free) - set(keep)
        best = replace(
            again,
            at_bound=tuple(
                a or (i in dropped and b) for i, (a, b) in enumerate(zip(again.at_bound, best.at_bound, strict=True))
            ),
        )
        notify(
            f"{len(keep)} of {len(everything)} parameters are within bounds: {best.rms:.3f} standard deviations left"
        )
    return best


def scanned(problem: Problem, name: str, step: float) -> FloatArray:
    """The prior, but of one parameter the value between its bounds, in steps, that leaves the least residuals.

    For one with several valleys: least squares go down into the one in which they begin.
    """
    prior = np.array([unknown.prior for unknown in problem.unknowns])
    (place,) = (i for i, unknown in enumerate(problem.unknowns) if unknown.name == name)
    noise = _noise(problem, problem.residuals(prior))
    grid = np.arange(problem.unknowns[place].lower, problem.unknowns[place].upper, step)
    tried = np.tile(prior, (len(grid), 1))
    tried[:, place] = grid
    return min(tried, key=lambda values: rms(problem.channels, problem.residuals(values), noise))


def _start(unknowns: Sequence[Unknown], centre: FloatArray, generator: np.random.Generator | None) -> FloatArray:
    values = centre
    if generator is not None:
        values = values + np.array([u.spread for u in unknowns]) * generator.normal(size=len(values)) * 0.5
    # not on a bound, where nothing can be differentiated
    lower, upper = np.array([u.lower for u in unknowns]), np.array([u.upper for u in unknowns])
    room = 0.02 * (upper - lower)
    result: FloatArray = np.clip(values, lower + room, upper - room)
    return result


def _fit(
    problem: Problem,
    free: tuple[int, ...],
    begin: FloatArray,
    nfev: int,
    rounds: int,
    belief: FloatArray | None,
    sigma: FloatArray | None = None,
) -> Estimate:
    from scipy.optimize import least_squares

    unknowns = problem.unknowns
    columns = list(free)
    spread = np.array([u.spread for u in unknowns])
    prior = np.array([u.prior for u in unknowns])
    lower, upper = np.array([u.lower for u in unknowns]), np.array([u.upper for u in unknowns])
    values = begin.copy()
    fixed = [i for i in range(len(unknowns)) if i not in free]
    values[fixed] = prior[fixed]

    def full(x: FloatArray) -> FloatArray:
        whole: FloatArray = values.copy()
        whole[columns] = prior[columns] + x * spread[columns]
        return whole

    firm = _firmness(belief, columns, spread)
    residual = problem.residuals(values)
    noise = _noise(problem, residual) if sigma is None else sigma
    x = (values - prior)[columns] / spread[columns]
    low, high = ((bound - prior)[columns] / spread[columns] for bound in (lower, upper))
    steps = 0.02 * spread
    for _ in range(rounds):
        weight = 1.0 / (noise[problem.channels] * np.sqrt(problem.correlated))
        latest: dict[bytes, FloatArray] = {}

        def plainly(x: FloatArray, weight: FloatArray = weight, latest: dict[bytes, FloatArray] = latest) -> FloatArray:
            if x.tobytes() not in latest:
                latest.clear()
                latest[x.tobytes()] = np.asarray(problem.residuals(full(x)) * weight)
            return latest[x.tobytes()]

        def weighted(x: FloatArray, plainly: Callable[[FloatArray], FloatArray] = plainly) -> FloatArray:
            return np.concatenate([_soft(plainly(x), problem.correlated).ravel(), firm @ x])

        def slope(
            x: FloatArray, weight: FloatArray = weight, plainly: Callable[[FloatArray], FloatArray] = plainly
        ) -> FloatArray:
            whole, plain = full(x), plainly(x)
            jacobian = (
                problem.jacobian(whole, columns, steps) * (weight * _soft_slope(plain, problem.correlated))[..., None]
            )
            jacobian = np.nan_to_num(jacobian) * spread[columns]
            return np.concatenate([jacobian.reshape(-1, len(columns)), firm])

        solved = least_squares(
            weighted,
            np.clip(x, low, high),
            jac=slope,
            bounds=(low, high),
            max_nfev=nfev,
            xtol=1e-3,
            ftol=1e-4,
            tr_solver="lsmr",
        )
        moved = float(np.abs(solved.x - x).max()) if len(x) else 0.0
        x = solved.x
        before, noise = noise, _noise(problem, problem.residuals(full(x)))
        if moved < 0.02 and np.all(np.abs(noise / before - 1) < 0.1):
            break
    return _estimate(problem, full(x), free, noise, spread, steps, firm)


def _firmness(belief: FloatArray | None, columns: Sequence[int], spread: FloatArray) -> FloatArray:
    """(k, k): times a deviation from the prior in units of `spread` it has unit variance."""
    if belief is None:
        return np.eye(len(columns))
    scaled = belief[np.ix_(columns, columns)] / np.outer(spread[columns], spread[columns])
    result: FloatArray = np.linalg.cholesky(np.linalg.inv(scaled)).T
    return result


def _estimate(
    problem: Problem,
    values: FloatArray,
    free: tuple[int, ...],
    noise: FloatArray,
    spread: FloatArray,
    steps: FloatArray,
    firm: FloatArray,
) -> Estimate:
    unknowns, columns = problem.unknowns, list(free)
    weight = 1.0 / (noise[problem.channels] * np.sqrt(problem.correlated))
    plain = problem.residuals(values) * weight
    slope = _soft_slope(plain, problem.correlated)
    jacobian = np.nan_to_num(problem.jacobian(values, columns, steps) * (weight * slope)[..., None]) * spread[columns]
    soft = np.nan_to_num(_soft(plain, problem.correlated))
    flat = jacobian.reshape(-1, len(columns))
    hessian = flat.T @ flat + firm.T @ firm
    gradient = np.einsum("sm,smp->sp", soft, jacobian)
    inverse = np.linalg.inv(hessian)
    between = gradient - gradient.mean(axis=0)
    sandwich = inverse @ (between.T @ between) @ inverse
    left_open = inverse  # where the noise is as modelled this and the sandwich are about the same
    covariance = np.maximum(1.0, _ratio(sandwich, left_open))[:, None] ** 0.5 * left_open
    covariance = covariance * np.maximum(1.0, _ratio(sandwich, left_open))[None, :] ** 0.5
    covariance = covariance * np.outer(spread[columns], spread[columns])
    # before the prior pulls it back inside
    at_bound = [
        i in free and min(values[i] - u.lower, u.upper - values[i]) < AT_BOUND * (u.upper - u.lower)
        for i, u in enumerate(unknowns)
    ]
    deviation = spread.copy()
    for i, variance in zip(columns, np.diag(covariance).tolist(), strict=True):
        values[i], deviation[i] = _with_discrepancy(unknowns[i], values[i], variance)
    informative = [i in free and deviation[i] < INFORMATIVE * spread[i] for i in range(len(unknowns))]
    return Estimate(
        unknowns=tuple(unknowns),
        values=values,
        deviation=deviation,
        free=free,
        at_bound=tuple(at_bound),
        informative=tuple(informative),
        sigma=noise,
        rms=rms(problem.channels, problem.residuals(values), noise),
        covariance=covariance,
    )


def _with_discrepancy(unknown: Unknown, value: float, variance: float) -> tuple[float, float]:
    """Value and standard deviation of an estimate once the data count as no better than the simulator is.

    What the data alone say is taken out of the estimate, widened, and put together with the prior again.
    """
    prior = 1.0 / unknown.spread**2
    data = max(1.0 / variance - prior, 1e-9 * prior)
    alone = (value / variance - unknown.prior * prior) / data if variance < unknown.spread**2 else value
    widened = 1.0 / (1.0 / data + unknown.discrepancy**2)
    total = widened + prior
    if data < 1e-3 * prior:
        return value, float(1.0 / np.sqrt(total))
    return float((alone * widened + unknown.prior * prior) / total), float(1.0 / np.sqrt(total))


def _ratio(one: FloatArray, other: FloatArray) -> FloatArray:
    result: FloatArray = np.diag(one) / np.diag(other)
    return result


def rms(channels: NDArray[np.int64], residuals: FloatArray, noise: FloatArray) -> float:
    """Root mean square of residuals (segments, m) in standard deviations, stragglers softened; see Problem."""
    scaled = _soft(residuals / noise[channels], 1.0)
    return float(np.sqrt(np.nanmean(scaled**2)))


def _noise(problem: Problem, residual: FloatArray) -> FloatArray:
    """Robust standard deviation of each quantity's residuals."""
    noise: FloatArray = problem.floor.copy()
    for channel in range(len(noise)):
        own = np.abs(residual[:, problem.channels == channel])
        own = own[np.isfinite(own)]
        if len(own):
            noise[channel] = max(noise[channel], 1.4826 * float(np.median(own)), 0.5 * float(np.sqrt(np.mean(own**2))))
    return noise


def _soft(z: FloatArray, correlated: float) -> FloatArray:
    """z for small z, growing like its root beyond OUTLIER: its square is the soft L1 loss.

    z: in standard deviations over the root of `correlated`.
    """
    limit = OUTLIER / np.sqrt(correlated)
    soft: FloatArray = np.nan_to_num(np.sign(z) * limit * np.sqrt(2 * (np.sqrt(1 + (z / limit) ** 2) - 1)))
    return soft


def _soft_slope(z: FloatArray, correlated: float) -> FloatArray:
    limit = OUTLIER / np.sqrt(correlated)
    root = np.sqrt(1 + (z / limit) ** 2)
    soft = np.sqrt(2 * (root - 1))
    slope = np.where(np.abs(z) < 1e-6, 1.0, np.abs(z) / limit / root / np.maximum(soft, 1e-12))
    result: FloatArray = np.nan_to_num(slope)
    return result
