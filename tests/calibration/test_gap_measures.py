"""Every measure equals an independent computation on synthetic pairs; the lemma holds on Markov chains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from calibration.gap_measures import (
    MEASURES,
    discounted,
    gaussian_distance,
    greatest_loss,
    measure_gap,
    mmrv,
    n_step_errors,
    pearson,
    regret_at,
    rmse,
    spearman,
    value_gap_bound,
    value_gap_by_disagreement,
)

SPEEDS = st.floats(-1, 1).map(lambda v: round(v, 3))
PAIRS = st.integers(2, 12).flatmap(
    lambda n: st.tuples(arrays(np.float64, n, elements=SPEEDS), arrays(np.float64, n, elements=SPEEDS))
)


@given(PAIRS)
def test_correlations_are_those_of_scipy(pair):
    simulated, real = pair
    if np.ptp(simulated) == 0 or np.ptp(real) == 0:
        assert np.isnan(pearson(simulated, real))
        assert np.isnan(spearman(simulated, real))
        return
    assert pearson(simulated, real) == pytest.approx(stats.pearsonr(simulated, real).statistic, abs=1e-6)
    assert spearman(simulated, real) == pytest.approx(stats.spearmanr(simulated, real).statistic, abs=1e-9)


@given(PAIRS)
def test_mmrv_is_the_mean_of_each_gaits_worst_misordering(pair):
    simulated, real = pair
    worst = []
    for i in range(len(real)):
        wrong = [0.0]
        for j in range(len(real)):
            if (simulated[i] < simulated[j] and real[i] > real[j]) or (
                simulated[i] > simulated[j] and real[i] < real[j]
            ):
                wrong.append(abs(real[i] - real[j]))
        worst.append(max(wrong))
    assert mmrv(simulated, real) == pytest.approx(sum(worst) / len(worst))


@given(PAIRS)
def test_the_gait_simulation_likes_best_loses_at_most_the_greatest_loss(pair):
    simulated, real = pair
    gaps = [s - r for s, r in zip(simulated, real, strict=True)]
    assert greatest_loss(simulated, real) == pytest.approx(max(gaps) - min(gaps))
    assert regret_at(1, simulated, real) <= greatest_loss(simulated, real) + 1e-12


@given(PAIRS)
def test_a_constant_bias_changes_no_measure_of_order(pair):
    simulated, real = pair
    shifted = simulated + 0.25
    for name in ("mmrv", "regret_at_1", "regret_at_3", "greatest_loss"):
        assert MEASURES[name](shifted, real) == pytest.approx(MEASURES[name](simulated, real), abs=1e-9)
    assert MEASURES["bias"](shifted, real) == pytest.approx(MEASURES["bias"](simulated, real) + 0.25)


def test_measures_of_a_small_example_worked_by_hand():
    simulated = np.array([0.4, 0.3, 0.2, 0.1])
    real = np.array([0.10, 0.25, 0.30, 0.05])
    assert MEASURES["bias"](simulated, real) == pytest.approx((0.30 + 0.05 - 0.10 + 0.05) / 4)
    assert rmse(simulated, real) == pytest.approx(np.sqrt((0.09 + 0.0025 + 0.01 + 0.0025) / 4))
    assert mmrv(simulated, real) == pytest.approx((0.20 + 0.15 + 0.20 + 0.0) / 4)
    assert [regret_at(k, simulated, real) for k in (1, 2, 3)] == pytest.approx([0.20, 0.05, 0.0])
    with pytest.raises(ValueError, match="between 1 and the 4 gaits"):
        regret_at(5, simulated, real)


def test_the_intervals_of_known_gaps_hold_the_true_gap_as_often_as_they_say():
    generator = np.random.default_rng(3)
    hits = 0
    for seed in range(100):
        gaps = generator.normal(0.1, 0.05, 15)
        speeds = generator.normal(0.3, 0.1, 15)
        real = [speed + generator.normal(0, 0.02, 3) for speed in speeds]
        simulated = [np.array([speed + gap]) for speed, gap in zip(speeds, gaps, strict=True)]
        estimate = measure_gap(simulated, real, seed=seed, resamples=200)["bias"]
        hits += estimate.low <= 0.1 <= estimate.high
    assert 0.88 <= hits / 100 <= 0.99


def test_the_interval_of_a_correlation_is_near_fishers():
    generator = np.random.default_rng(1)
    x = generator.normal(size=60)
    y = 0.8 * x + 0.6 * generator.normal(size=60)
    estimate = measure_gap([np.array([v]) for v in x], [np.array([v]) for v in y])["pearson"]
    exact = stats.pearsonr(x, y).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((exact.low, exact.high), abs=0.08)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_gaits_have_measures_and_no_intervals(count: int):
    scores = [np.array([0.1 * n]) for n in range(count)]
    for estimate in measure_gap(scores, scores).values():
        assert np.isfinite(estimate.value)
        assert np.isnan([estimate.low, estimate.high]).all()


def test_repeats_without_a_score_and_single_gaits_are_refused():
    one = [np.array([0.1])]
    with pytest.raises(ValueError, match="two or more"):
        measure_gap(one, one)
    with pytest.raises(ValueError, match="without a score"):
        measure_gap([*one, np.array([])], [*one, *one])


def test_n_step_errors_are_by_step_and_quantity():
    observed = np.zeros((2, 3, 2))
    predicted = np.zeros((2, 3, 2))
    predicted[:, 2, 1] = [3.0, 4.0]
    errors = n_step_errors(predicted, observed)
    assert errors.shape == (3, 2)
    assert errors[2, 1] == pytest.approx(np.sqrt(12.5))
    assert errors.sum() == errors[2, 1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.97])
def test_both_sides_of_the_simulation_lemma_agree_on_markov_chains_and_stay_below_the_bound(gamma, seed):
    generator = np.random.default_rng(seed)
    n, horizon = 2 + seed, 600
    p_real = generator.dirichlet(np.ones(n) * 0.5, n)
    alike = generator.uniform()  # from the same chain to one that has nothing to do with it
    p_sim = alike * p_real + (1 - alike) * generator.dirichlet(np.ones(n) * 0.5, n)
    rewards = generator.uniform(size=n)
    v_real = np.linalg.solve(np.eye(n) - gamma * p_real, rewards)
    v_sim = np.linalg.solve(np.eye(n) - gamma * p_sim, rewards)
    # where the real chain is after h steps, exactly; the lemma's expectations over s_h are then sums
    place = np.eye(n)[0]
    after_sim, after_real, distances, seen = [], [], [], []
    for _ in range(horizon):
        after_sim.append(place @ p_sim @ v_sim)
        after_real.append(place @ p_real @ v_sim)
        distances.append(place @ np.abs(p_sim - p_real).sum(axis=1))
        seen.append(place @ rewards)
        place = place @ p_real
    gap = v_sim[0] - v_real[0]
    assert discounted(np.array(seen), gamma) == pytest.approx(v_real[0])
    assert value_gap_by_disagreement(np.array(after_sim), np.array(after_real), gamma) == pytest.approx(gap)
    assert abs(gap) <= value_gap_bound(np.array(distances), gamma)


def test_the_distance_of_gaussians_is_the_integral_of_their_difference():
    x = np.linspace(-12, 12, 48001)
    for shift in (0.0, 0.3, 1.0, 4.0):
        numeric = integrate.trapezoid(np.abs(stats.norm.pdf(x) - stats.norm.pdf(x - shift)), x)
        assert gaussian_distance(np.array([[0.5 * shift]]), np.array([0.5]))[0] == pytest.approx(numeric, abs=1e-6)
    two = gaussian_distance(np.array([[3.0, 4.0]]), np.array([1.0, 1.0]))
    assert two == pytest.approx(gaussian_distance(np.array([[5.0]]), np.array([1.0])))
