"""The policy gradient of Kohl & Stone (2004), figure 2, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robotps.parameters import Parameter, ParameterSpace
from robotps.search import Score
from robotps.search.kohl_stone import KohlStone

# perturbations of three parameters, in units of eps, and what the gaits scored
SIGNS = np.array(
    [
        [+1, +1, 0],
        [+1, 0, -1],
        [0, -1, 0],
        [0, +1, 0],
        [-1, 0, -1],
        [-1, -1, -1],
    ],
    dtype=np.float64,
)
SPEEDS = [0.30, 0.26, 0.20, 0.22, 0.10, 0.18]


def space(reach: float = 1.0) -> ParameterSpace:
    return ParameterSpace(
        (
            Parameter("height", "m", 0.04, 0.0035, 0.04 - reach, 0.04 + reach),
            Parameter("length", "m", 0.05, 0.0035, 0.05 - reach, 0.05 + reach),
            Parameter("period", "s", 0.7, 0.016, 0.7 - reach, 0.7 + reach),
        )
    )


def told(speeds: list[float | None], signs: np.ndarray = SIGNS, **options: float) -> KohlStone:
    search = KohlStone(space(), **options)
    search.tell(signs, [Score(speed) for speed in speeds])
    return search


def test_the_adjustment_is_the_difference_of_the_groups_means() -> None:
    adjustment = KohlStone(space()).gradient(SIGNS, np.array(SPEEDS))
    # height: Avg+ = (0.30 + 0.26) / 2, Avg0 = (0.20 + 0.22) / 2, Avg- = (0.10 + 0.18) / 2
    # length: Avg+ = 0.26, Avg0 = 0.18, Avg- = 0.19: Avg0 is below both
    # period: no gait has it raised, so that there is no slope
    np.testing.assert_allclose(adjustment, [0.28 - 0.14, 0.26 - 0.19, 0.0], atol=1e-12)


def test_a_parameter_stays_where_leaving_it_alone_scored_best() -> None:
    speeds = [0.30, 0.26, 0.40, 0.42, 0.10, 0.18]  # height: 0.41 unperturbed, against 0.28 and 0.14
    assert KohlStone(space()).gradient(SIGNS, np.array(speeds))[0] == 0.0


def test_without_an_unperturbed_group_its_comparison_is_left_out() -> None:
    signs = np.array([[+1.0], [-1.0]])
    narrow = ParameterSpace((Parameter("height", "m", 0.0, 1.0, -9.0, 9.0),))
    assert KohlStone(narrow).gradient(signs, np.array([0.3, 0.1])) == pytest.approx([0.2])


def test_the_step_is_eta_long_in_units_of_each_parameters_own_eps() -> None:
    search = told(SPEEDS, eta=2.0)
    length = math.hypot(0.14, 0.07)
    np.testing.assert_allclose(search.recommended, [2 * 0.14 / length, 2 * 0.07 / length, 0.0])
    values = space().values(search.recommended)
    assert values["height"] == pytest.approx(0.04 + 2 * 0.0035 * 0.14 / length)
    assert values["period"] == 0.7


def test_gaits_without_a_score_are_left_out_of_the_means() -> None:
    speeds: list[float | None] = [*SPEEDS]
    speeds[1] = None
    kept = [0, 2, 3, 4, 5]
    expected = told([SPEEDS[i] for i in kept], SIGNS[kept]).recommended
    np.testing.assert_array_equal(told(speeds).recommended, expected)


def test_nothing_learnt_moves_nothing() -> None:
    np.testing.assert_array_equal(told([0.2] * 6).recommended, np.zeros(3))
    np.testing.assert_array_equal(told([None] * 6).recommended, np.zeros(3))


def test_every_gait_is_the_centre_with_each_parameter_raised_left_or_lowered_equally_often() -> None:
    search = KohlStone(space(), policies=3000, seed=3)
    search.tell(SIGNS, [Score(speed) for speed in SPEEDS])
    signs = search.ask() - search.recommended
    assert signs.shape == (3000, 3)
    rounded = np.round(signs)
    np.testing.assert_allclose(signs, rounded, atol=1e-9)
    for sign in (-1, 0, 1):
        np.testing.assert_allclose((rounded == sign).mean(axis=0), 1 / 3, atol=0.04)


def test_steps_stop_at_the_bounds() -> None:
    search = KohlStone(space(reach=0.0035), eta=8.0)
    search.tell(search.clip(SIGNS), [Score(speed) for speed in SPEEDS])
    assert search.recommended[0] == pytest.approx(1.0)
    assert (search.ask() <= search.space.upper).all()


@pytest.mark.parametrize(("option", "value"), [("policies", 1), ("eta", 0.0), ("eta", -1.0)])
def test_an_option_that_makes_no_sense_is_told_with_its_value(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be .*, it is {value:g}"):
        KohlStone(space(), **{option: value})
