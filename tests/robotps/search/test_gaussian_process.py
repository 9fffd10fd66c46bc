"""The Gaussian process against another implementation, and what it makes of noise, repeats and falls."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search import Bayesian, Score
from robotps.search.gaussian_process import GaussianProcess
from robotps.search.replication import Scatter

Spaces = Callable[..., ParameterSpace]


def data(n: int = 60, d: int = 3) -> tuple[FloatArray, FloatArray, FloatArray]:
    generator = np.random.default_rng(2)
    points = generator.normal(0, 3, (n, d))
    trials = generator.integers(1, 4, n).astype(float)
    return points, np.sin(points[:, 0] / 3) + 0.1 * generator.standard_normal(n) / np.sqrt(trials), trials


def test_its_posterior_is_that_of_scikit_learn() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    points, values, trials = data()
    ours = GaussianProcess(points, values, trials, Scatter())
    kernel = ConstantKernel(ours.variance, "fixed") * RBF(ours.length, "fixed")
    theirs = GaussianProcessRegressor(kernel, alpha=ours.variance * ours.noise / trials, optimizer=None)
    offset = np.average(values, weights=trials)
    theirs.fit(points, values - offset)
    at = np.random.default_rng(3).normal(0, 3, (20, 3))
    mean, covariance = theirs.predict(at, return_cov=True)
    np.testing.assert_allclose(ours.mean(at), mean + offset, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.covariance(at), covariance, rtol=1e-5, atol=1e-8)


def test_its_length_and_noise_are_about_as_likely_as_an_optimisers() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    points, values, _ = data()
    ones = np.ones(len(values))
    ours = GaussianProcess(points, values, ones, Scatter())
    kernel = ConstantKernel() * RBF(3.0) + WhiteKernel(0.1)
    theirs = GaussianProcessRegressor(kernel, n_restarts_optimizer=3, random_state=0).fit(
        points, values - values.mean()
    )
    mine = np.log([ours.variance, ours.length, ours.variance * ours.noise])
    best = theirs.log_marginal_likelihood(theirs.kernel_.theta)
    assert theirs.log_marginal_likelihood(mine) > best - 1.5


def test_scatter_within_repeats_tells_noise_from_roughness() -> None:
    points, values, trials = data()
    quiet = GaussianProcess(points, values, trials, Scatter(1e-6, 50))
    loud = GaussianProcess(points, values, trials, Scatter(0.2, 50))
    assert quiet.noise * quiet.variance < loud.noise * loud.variance


def test_a_step_is_taken_within_the_scale_at_which_the_function_is_smooth(spaces: Spaces) -> None:
    """On a rough robot it looks near by, on a smooth one far away; nobody tells it which it is."""
    widths = {}
    for scale in (1.0, 30.0):
        generator = np.random.default_rng(0)
        search = Bayesian(spaces(6), seed=1)
        for _ in range(16):
            candidates = search.ask()
            values = scale * np.sin(candidates / scale).sum(axis=1) + 0.1 * generator.standard_normal(len(candidates))
            search.tell(candidates, [Score(value) for value in values.tolist()])
        widths[scale] = float(np.std(search.ask() - search.recommended))
    assert widths[30.0] > 2 * widths[1.0]


def test_how_deep_a_fall_is_does_not_bend_what_is_known(spaces: Spaces) -> None:
    space = spaces(3)
    searches = [Bayesian(space, seed=4) for _ in range(2)]
    for iteration in range(10):
        candidates = searches[0].ask()
        for search, depth in zip(searches, (-1.0, -50.0), strict=True):
            scores = [Score(float(1 - 0.02 * ((x - 2) ** 2).sum())) for x in candidates]
            if iteration == 3:
                scores[1] = Score(depth, fell=1)
            search.tell(candidates, scores)
    np.testing.assert_allclose(searches[0].recommended, searches[1].recommended)


def test_a_prior_mean_from_simulation_saves_trials(spaces: Spaces) -> None:
    space = spaces(12)
    summit = np.full(12, 3.0)

    def real(x: FloatArray) -> FloatArray:
        return np.asarray(1 - 0.005 * ((x - summit) ** 2).sum(axis=-1))

    def simulated(x: FloatArray) -> FloatArray:
        return 0.8 * real(x + 0.5)

    reached = []
    for prior in (None, simulated):
        search = Bayesian(space, seed=0, prior_mean=prior)
        for _ in range(5):
            candidates = search.ask()
            search.tell(candidates, [Score(float(real(x))) for x in candidates])
        reached.append(float(real(search.recommended)))
    assert reached[1] > reached[0] + 0.05


def test_after_two_thousand_trials_an_iteration_takes_less_than_a_second(spaces: Spaces) -> None:
    """Nor does it grow: only the latest scores are looked at. (A wide margin: machines differ.)"""
    search = Bayesian(spaces(12))
    generator = np.random.default_rng(0)
    points = generator.normal(0, 2, (2000, 12))
    search.tell(points, [Score(value) for value in (points.sum(axis=1) + generator.standard_normal(2000)).tolist()])
    began = time.process_time()
    search.tell(search.ask(), [Score(0.0)] * 5)
    search.ask()
    assert time.process_time() - began < 10.0


@pytest.mark.parametrize("wrong", [{"sigma": 0.0}, {"width": -1.0}, {"memory": 3}])
def test_a_wrong_option_is_named(spaces: Spaces, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Bayesian(spaces(3), **wrong)  # type: ignore[arg-type]
