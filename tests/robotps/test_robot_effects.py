"""Robots differ: what is theirs is told from what is the gait's."""

from __future__ import annotations

import numpy as np
import pytest

from robotps.robot_effects import Measurement, RobotEffects, estimate

ROBOTS = ("a", "b", "c")


def record(
    seed: int, effects: tuple[float, ...], *, iterations: int = 10, policies: int = 9, repeats: int = 1
) -> tuple[list[Measurement], dict[int, float]]:
    """Trials of a search that climbs, each on a robot drawn by lot, and what each gait is worth."""
    draw = np.random.default_rng(seed)
    worth, trials = {}, []
    for g in range(iterations):
        for i in range(policies):
            gait = g * policies + i
            worth[gait] = 0.2 + 0.01 * g + 0.02 * draw.standard_normal()
            for _ in range(repeats):
                j = int(draw.integers(len(effects)))
                trials.append(Measurement(g, gait, ROBOTS[j], worth[gait] + effects[j] + 0.01 * draw.standard_normal()))
    return trials, worth


def by_the_book(trials: list[Measurement], gait_ratio: float, robot_ratio: float) -> np.ndarray:
    """Henderson's mixed model equations, written out."""
    robots = sorted({t.robot for t in trials})
    groups, gaits = sorted({t.group for t in trials}), sorted({t.gait for t in trials})
    x = np.array([[t.group == g for g in groups] for t in trials], dtype=float)
    u = np.array([[t.gait == i for i in gaits] for t in trials], dtype=float)
    z = np.array([[t.robot == j for j in robots] for t in trials], dtype=float)
    y = np.array([t.value for t in trials])
    design = np.hstack([x, u, z])
    penalty = np.concatenate(
        [np.zeros(len(groups)), np.full(len(gaits), 1 / gait_ratio), np.full(len(robots), 1 / robot_ratio)]
    )
    return np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ y)[-len(robots) :]


def test_the_effects_solve_hendersons_equations(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, _ = record(0, (0.03, 0.0, -0.03), repeats=3)
    monkeypatch.setattr("robotps.robot_effects._GAIT_RATIOS", np.array([4.0]))
    monkeypatch.setattr("robotps.robot_effects._ROBOT_RATIOS", np.array([9.0]))
    found = estimate(trials)
    np.testing.assert_allclose([found[r] for r in ROBOTS], by_the_book(trials, 4.0, 9.0), atol=1e-12)


@pytest.mark.parametrize("repeats", [1, 3])
def test_what_is_the_robots_is_found(repeats: int) -> None:
    trials, _ = record(1, (0.05, 0.0, -0.05), repeats=repeats)
    found = estimate(trials)
    np.testing.assert_allclose([found[r] for r in ROBOTS], [0.05, 0.0, -0.05], atol=0.01)


def test_a_fast_robot_does_not_make_a_gait_look_good() -> None:
    raw, adjusted = [], []
    for seed in range(10):
        trials, worth = record(seed, (0.05, 0.0, -0.05))
        found = estimate(trials)
        truth = [worth[t.gait] for t in trials]
        raw.append(np.corrcoef([t.value for t in trials], truth)[0, 1])
        adjusted.append(np.corrcoef([t.value - found[t.robot] for t in trials], truth)[0, 1])
    assert np.mean(raw) < 0.75
    assert np.mean(adjusted) > 0.9


def test_robots_that_do_not_differ_are_left_alone() -> None:
    sizes = [max(abs(e) for e in estimate(record(seed, (0.0, 0.0, 0.0))[0]).effects.values()) for seed in range(20)]
    assert np.median(sizes) < 0.002
    assert max(sizes) < 0.01


def test_a_robot_seen_once_is_taken_for_an_average_one() -> None:
    often, once = [], []
    for seed in range(20):
        trials, _ = record(seed, (0.02, 0.0, -0.02))
        often.append(estimate(trials)["a"])
        once.append(estimate([t for t in trials if t.robot != "a"] + [t for t in trials if t.robot == "a"][:1])["a"])
    assert np.mean(often) > 0.015
    assert abs(np.mean(once)) < 0.7 * np.mean(often)


def test_the_stated_error_covers_the_real_one() -> None:
    """Of robots drawn from a population: their effects differ from the estimates by about what is stated."""
    ratios = []
    for seed in range(60):
        drawn = 0.03 * np.random.default_rng(1000 + seed).standard_normal(3)
        found = estimate(record(seed, tuple(drawn))[0])
        errors = np.array([found[r] for r in ROBOTS]) - drawn
        contrast = np.array([1.0, -0.5, -0.5])
        ratios.append((contrast @ errors) ** 2 / max(contrast @ found.error @ contrast, 1e-12))
    assert 0.5 < np.mean(ratios) < 2.0


def test_one_robot_or_nothing_to_compare_has_no_effects() -> None:
    assert not estimate([]).effects
    assert not estimate([Measurement(0, 0, "a", 0.1), Measurement(0, 1, "a", 0.2)]).effects
    assert not estimate([Measurement(0, 0, "a", 0.1), Measurement(1, 1, "b", 0.2)]).effects
    assert estimate([])["anybody"] == 0.0


def test_a_mean_over_robots_is_as_uncertain_as_they_are() -> None:
    effects = RobotEffects({"a": 0.1, "b": 0.0}, np.array([[4.0, 0.0], [0.0, 1.0]]))
    assert effects.variance(["a"]) == 4.0
    assert effects.variance(["a", "b"]) == pytest.approx(1.25)
    assert effects.variance(["a", "unknown"]) == pytest.approx(1.0)
    assert effects.variance([]) == 0.0
