"""The fit is the textbook's on a linear problem, says what it does not know, and its intervals cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.fit import fit, scanned
from calibration.unknowns import Unknown
from robotps.parameters import FloatArray


class Linear:
    """Readings = design times values, and noise. segments: of `each` readings."""

    def __init__(
        self, unknowns: Sequence[Unknown], true: FloatArray, noise: float, seed: int, segments: int = 40, each: int = 30
    ) -> None:
        generator = np.random.default_rng(seed)
        self.unknowns = tuple(unknowns)
        self.design = generator.normal(size=(segments, each, len(true)))
        self.observed = self.design @ true + noise * generator.normal(size=(segments, each))
        self.channels: NDArray[np.int64] = np.zeros(each, dtype=np.int64)
        self.floor = np.array([1e-6])
        self.correlated = 8.0

    def residuals(self, values: FloatArray) -> FloatArray:
        result: FloatArray = self.design @ values - self.observed
        return result

    def jacobian(self, values: FloatArray, columns: Sequence[int], steps: FloatArray) -> FloatArray:
        return self.design[:, :, list(columns)]


def unknown(name: str, prior: float = 0.0, spread: float = 1.0, **changes: float) -> Unknown:
    limits = {"lower": -10.0, "upper": 10.0, "discrepancy": 0.0, **changes}
    return Unknown(name, "1", prior, spread, **limits)


def test_a_linear_problem_is_solved_as_a_gaussian_posterior() -> None:
    problem = Linear([unknown("a"), unknown("b", 1.0, 0.3)], np.array([0.7, 0.4]), 0.5, seed=1)
    found = fit(problem)
    design = problem.design.reshape(-1, 2)
    weight = 1 / (found.sigma[0] ** 2 * problem.correlated)
    precision = design.T @ design * weight + np.diag([1.0, 1 / 0.3**2])
    mean = np.linalg.solve(precision, design.T @ problem.observed.ravel() * weight + np.array([0.0, 1 / 0.3**2]))
    assert np.abs(found.values - mean).max() < 0.01
    assert np.all(found.deviation >= 0.99 * np.sqrt(np.diag(np.linalg.inv(precision))))


def test_a_parameter_without_information_is_said_so_and_left_at_its_prior() -> None:
    problem = Linear([unknown("a"), unknown("b", 0.3)], np.array([0.7, 0.0]), 0.1, seed=2)
    problem.design[:, :, 1] = 0.0
    found = fit(problem)
    assert found.informative == (True, False)
    assert found.values[1] == pytest.approx(0.3, abs=1e-3)
    assert found.deviation[1] == pytest.approx(1.0)


@pytest.mark.parametrize("discrepancy", [0.0, 0.1])
def test_a_parameter_at_its_bound_is_said_so(discrepancy: float) -> None:
    first = unknown("a", upper=0.5, discrepancy=discrepancy)
    problem = Linear([first, unknown("b", discrepancy=discrepancy)], np.array([0.9, 0.2]), 0.1, seed=3)
    found = fit(problem)
    assert found.at_bound == (True, False)
    assert found.values[0] == 0.0


def test_intervals_cover_the_truth_with_noise_that_is_the_same_within_a_segment() -> None:
    covered = []
    for seed in range(60):
        generator = np.random.default_rng((seed, 1))
        true = generator.normal(size=3)
        problem = Linear([unknown(name) for name in "abc"], true, 0.3, seed)
        problem.observed += 0.5 * generator.normal(size=(40, 1)) * np.abs(problem.design[:, :, 0])
        found = fit(problem)
        covered += (np.abs(found.values - true) < 1.96 * found.deviation).tolist()
    assert np.mean(covered) > 0.9


def test_the_simulators_own_errors_widen_an_interval_however_much_data_there_is() -> None:
    exact = fit(Linear([unknown("a")], np.array([0.7]), 0.01, seed=4))
    honest = fit(Linear([unknown("a", discrepancy=0.05)], np.array([0.7]), 0.01, seed=4))
    assert exact.deviation[0] < 0.005
    assert 0.045 < honest.deviation[0] < 0.055


def test_a_belief_in_a_difference_is_kept() -> None:
    """What is believed of a + b is vague, of a - b firm: data on a moves b along."""
    problem = Linear([unknown("a"), unknown("b")], np.array([0.8, 0.0]), 0.05, seed=5)
    problem.design[:, :, 1] = 0.0
    problem.observed = problem.design @ np.array([0.8, 0.0])
    found = fit(problem, belief=np.array([[1.0, 0.999], [0.999, 1.0]]))
    assert abs(found.values[1] - 0.8) < 0.05


class Wave:
    """Readings of a sine of unknown frequency, with noise: every frequency that slips by a whole wave is a valley."""

    def __init__(self, true: float, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.unknowns = (unknown("frequency", 3.0, 2.0, lower=0.0, upper=10.0), unknown("height", 1.0, 0.3))
        self.time = np.linspace(0.0, 4.0, 50)
        self.observed = np.sin(true * self.time) + 0.05 * generator.normal(size=(20, 50))
        self.channels: NDArray[np.int64] = np.zeros(50, dtype=np.int64)
        self.floor = np.array([1e-6])
        self.correlated = 1.0

    def residuals(self, values: FloatArray) -> FloatArray:
        result: FloatArray = values[1] * np.sin(values[0] * self.time) - self.observed
        return result

    def jacobian(self, values: FloatArray, columns: Sequence[int], steps: FloatArray) -> FloatArray:
        phase = values[0] * self.time
        slopes = np.stack([values[1] * self.time * np.cos(phase), np.sin(phase)], axis=1)[:, list(columns)]
        return np.broadcast_to(slopes, (*self.observed.shape, len(columns))).copy()


def test_a_parameter_with_several_valleys_is_looked_for_before_it_is_fitted() -> None:
    problem = Wave(7.0, seed=6)
    assert abs(fit(problem).values[0] - 7.0) > 1.0
    begin = scanned(problem, "frequency", 0.5)
    assert abs(begin[0] - 7.0) <= 0.5
    assert fit(problem, begin=begin).values[0] == pytest.approx(7.0, abs=0.02)


def test_of_several_starts_the_one_that_leaves_least_is_taken_whatever_each_takes_for_noise() -> None:
    for seed in range(6):
        assert fit(Wave(5.0, seed), starts=12, seed=seed).values[0] == pytest.approx(5.0, abs=0.02)
