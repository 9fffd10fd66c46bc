"""What must hold for every search, whatever its algorithm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from robotps.parameters import FloatArray, Parameter, ParameterSpace
from robotps.search import SEARCHES, Score, Search
from robotps.search.families import FamilyPolicy, with_families
from robotps.search.finite_difference import FiniteDifference
from robotps.search.kohl_stone import KohlStone

MakeSearch = Callable[..., Search]


def in_families(space: ParameterSpace, *, seed: int = 0, **options: Any) -> Search:
    def within(space: ParameterSpace, seed: int) -> Search:
        return SEARCHES["reinforce"](space, seed=seed, **options)

    return FamilyPolicy(with_families(space, 3), within, seed=seed)


ALL: dict[str, MakeSearch] = {**SEARCHES, "families": in_families}

every_search = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())


def rough(candidates: FloatArray, iteration: int) -> list[Score]:
    """Scores of a bumpy hill; some gaits fall, some cannot be scored, some were tried more than once."""
    scores = []
    for number, x in enumerate(candidates):
        kind = (7 * iteration + number) % 9
        value = float(1 - 0.01 * ((x - 1.5) ** 2).sum() + 0.05 * np.sin(9 * x).sum())
        if kind == 3:
            scores.append(Score(None, trials=0, unreachable=1.0))
        elif kind == 5:
            scores.append(Score(0.3 * value, fell=1))
        elif kind == 7:
            scores.append(Score(value, std_error=0.02, trials=3))
        else:
            scores.append(Score(value))
    return scores


Record = list[tuple[FloatArray, Sequence[Score]]]


def go_on(search: Search, iterations: int) -> Record:
    record: Record = []
    for _ in range(iterations):
        candidates = search.ask()
        scores = rough(candidates, search.iteration)
        search.tell(candidates, scores)
        record.append((candidates, scores))
    return record


def same(a: Record, b: Record) -> bool:
    return all(np.array_equal(x, y) and s == t for (x, s), (y, t) in zip(a, b, strict=True))


@every_search
def test_the_same_seed_searches_alike_and_another_seed_does_not(make: MakeSearch, space: ParameterSpace) -> None:
    assert same(go_on(make(space, seed=3), 12), go_on(make(space, seed=3), 12))
    if make not in (SEARCHES["nelder-mead"], SEARCHES["finite-difference"]):  # these draw nothing
        assert not same(go_on(make(space, seed=3), 12), go_on(make(space, seed=4), 12))


@every_search
def test_asking_changes_nothing(make: MakeSearch, space: ParameterSpace) -> None:
    asked, twice = make(space, seed=1), make(space, seed=1)
    for iteration in range(12):
        for _ in range(3):
            candidates = twice.ask()
            _ = twice.recommended
        np.testing.assert_array_equal(asked.ask(), candidates)
        scores = rough(candidates, iteration)
        asked.tell(candidates, scores)
        twice.tell(candidates, scores)
    np.testing.assert_array_equal(asked.recommended, twice.recommended)


@every_search
@pytest.mark.parametrize("told", [1, 7, 12])
def test_telling_the_record_again_rebuilds_it_bit_for_bit(make: MakeSearch, space: ParameterSpace, told: int) -> None:
    whole = go_on(make(space, seed=2), 18)
    rebuilt = make(space, seed=2)
    for candidates, scores in whole[:told]:  # never asked: the candidates are those of the record
        rebuilt.tell(candidates, scores)
    assert same(whole[told:], go_on(rebuilt, 18 - told))


@every_search
def test_candidates_are_learnt_from_as_recorded_not_as_asked(make: MakeSearch, space: ParameterSpace) -> None:
    """Another machine's arithmetic shifts candidates by a rounding error: what was recorded is what was tried."""
    search, rebuilt = make(space, seed=2), make(space, seed=2)
    for iteration in range(12):
        candidates = np.clip(search.ask() * (1 + 1e-13), space.lower.min(), space.upper.max())
        if make is in_families:
            candidates[:, 0] = np.rint(candidates[:, 0])
        scores = rough(candidates, iteration)
        search.tell(candidates, scores)
        rebuilt.tell(candidates, scores)
    np.testing.assert_array_equal(search.ask(), rebuilt.ask())
    np.testing.assert_array_equal(search.recommended, rebuilt.recommended)


@pytest.mark.parametrize("kind", [KohlStone, FiniteDifference])
def test_a_rounding_error_between_centre_and_candidates_changes_no_slope(
    kind: type[KohlStone | FiniteDifference], space: ParameterSpace
) -> None:
    search = kind(space, seed=2)
    search.tell(search.ask(), rough(search.ask(), 0))  # away from the start, where everything is exact
    candidates = search.ask()
    values = np.arange(len(candidates), dtype=float)
    expected = search.gradient(candidates, values)
    assert expected.any()
    for towards in (-np.inf, np.inf):
        shifted = search.gradient(np.nextafter(candidates, towards), values)
        np.testing.assert_allclose(shifted, expected, rtol=1e-9)


@every_search
def test_a_last_iteration_cut_short_by_a_budget_is_taken(make: MakeSearch, space: ParameterSpace) -> None:
    search, rebuilt = make(space, seed=2), make(space, seed=2)
    record = go_on(search, 6)
    candidates = search.ask()[:1]
    record.append((candidates, rough(candidates, 6)))
    search.tell(*record[-1])
    for told in record:
        rebuilt.tell(*told)
    assert same(go_on(search, 4), go_on(rebuilt, 4))


@every_search
def test_telling_leaves_the_callers_lists_as_they_are(make: MakeSearch, space: ParameterSpace) -> None:
    search = make(space)
    candidates = search.ask()
    scores = rough(candidates, 0)
    before = candidates.copy(), list(scores)
    search.tell(candidates, scores)
    candidates_again = search.ask()
    candidates[:] = 0  # nor does the search keep them
    np.testing.assert_array_equal(search.ask(), candidates_again)
    assert scores == before[1]


@every_search
@pytest.mark.parametrize("n", [1, 2, 12])
def test_bounds_are_honoured_in_any_number_of_parameters(make: MakeSearch, n: int) -> None:
    tight = ParameterSpace(tuple(Parameter(f"p{i}", "m", 0.0, 1.0, -0.5 - i, 2.0) for i in range(n)))
    search = make(tight, seed=1)
    for iteration in range(25):
        candidates = search.ask()
        assert candidates.ndim == 2
        assert len(candidates) > 0
        np.testing.assert_array_equal(candidates, search.clip(candidates))
        values = candidates[:, -n:].sum(axis=1)  # uphill is into the corner
        search.tell(candidates, [Score(float(value) + 0.1 * iteration) for value in values])
        assert np.isfinite(search.recommended).all()
        np.testing.assert_array_equal(search.recommended, search.clip(search.recommended))


@every_search
def test_a_start_on_a_bound_and_a_parameter_without_room_are_searched_all_the_same(make: MakeSearch) -> None:
    odd = ParameterSpace(
        (
            Parameter("at_upper", "m", 1.0, 0.1, 0.0, 1.0),
            Parameter("no_room", "m", 1.0, 0.1, 1.0, 1.0),
            Parameter("free", "m", 0.5, 0.1, 0.0, 1.0),
        )
    )
    search = make(odd, seed=1)
    with np.errstate(all="raise", under="ignore"):
        go_on(search, 20)
    assert odd.values(search.recommended[-3:])["no_room"] == 1.0


@every_search
def test_frozen_parameters_stay_as_they_are(make: MakeSearch) -> None:
    parameters = [Parameter(f"p{i}", "m", 0.5 * i, 0.1, -5.0, 5.0, frozen=i == 1) for i in range(4)]
    space = ParameterSpace(tuple(parameters))
    search = make(space, seed=1)
    (candidates, _), *_ = go_on(search, 5)
    assert candidates.shape[1] - (make is in_families) == 3
    for vector in [*candidates, search.recommended]:
        assert space.values(vector[-3:])["p1"] == 0.5


LEAST_POLICIES = {
    "kohl-stone": 2,
    "finite-difference": 2,
    "genetic": 2,
    "cem": 2,
    "cma-es": 4,
    "es": 2,
    "reinforce": 2,
    "families": 2,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("policies", [None, 13, 100])
def test_it_works_with_few_candidates_at_once_and_with_many(
    name: str, policies: int | None, space: ParameterSpace
) -> None:
    least = LEAST_POLICIES.get(name, 1)
    search = ALL[name](space, seed=1, policies=policies or least)
    for candidates, _ in go_on(search, 6 if policies else 20):
        assert len(candidates) <= (policies or least)
    assert np.isfinite(search.recommended).all()


@pytest.mark.parametrize("name", ALL)
def test_too_few_candidates_are_refused_with_argument_value_and_mend(name: str, space: ParameterSpace) -> None:
    least = LEAST_POLICIES.get(name, 1)
    with pytest.raises(ValueError, match=f"policies must be at least {least}, it is {least - 1}"):
        ALL[name](space, policies=least - 1)


@every_search
def test_an_iteration_of_which_nothing_could_be_scored_does_no_harm(make: MakeSearch, space: ParameterSpace) -> None:
    search = make(space, seed=1)
    with np.errstate(all="raise", under="ignore"):
        for _ in range(3):
            candidates = search.ask()
            search.tell(candidates, [Score(None, trials=0, unreachable=1.0)] * len(candidates))
        go_on(search, 10)
    assert np.isfinite(search.recommended).all()


@every_search
def test_a_flat_landscape_and_equal_scores_do_no_harm(make: MakeSearch, space: ParameterSpace) -> None:
    search = make(space, seed=1)
    with np.errstate(all="raise", under="ignore"):
        for _ in range(15):
            candidates = search.ask()
            search.tell(candidates, [Score(0.2)] * len(candidates))
    assert np.isfinite(search.recommended).all()


@every_search
@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])  # exact in binary: ties stay ties
def test_the_unit_of_the_score_does_not_matter(make: MakeSearch, space: ParameterSpace, scale: float) -> None:
    metres, others = make(space, seed=1), make(space, seed=1)
    for iteration in range(8):
        candidates = metres.ask()
        np.testing.assert_allclose(others.ask(), candidates, rtol=1e-6, atol=1e-6)
        scores = rough(candidates, iteration)
        metres.tell(candidates, scores)
        others.tell(candidates, [rescaled(score, scale) for score in scores])


def rescaled(score: Score, scale: float) -> Score:
    return Score(
        None if score.value is None else score.value * scale,
        None if score.std_error is None else score.std_error * scale,
        score.trials,
        score.fell,
        score.unreachable,
    )


def test_misuse_is_told_with_its_mend(space: ParameterSpace) -> None:
    search = SEARCHES["kohl-stone"](space)
    candidates = search.ask()
    scores = rough(candidates, 0)
    tell = partial(pytest.raises, ValueError)
    with tell(match=r"15 candidates came with 14 scores"):
        search.tell(candidates, scores[1:])
    with tell(match=r"shape \(m, 12\), not \(15, 11\): tell what ask gave"):
        search.tell(candidates[:, 1:], scores)
    with tell(match="inside the space's bounds"):
        search.tell(candidates + 1000, scores)
    with tell(match="must be finite"):
        search.tell(candidates * np.nan, scores)
    with tell(match="finite number"):
        Score(float("nan"))
    assert search.iteration == 0


def test_importing_the_searches_needs_no_optional_package() -> None:
    code = "import sys, robotps.search; sys.exit(any(m in sys.modules for m in ('cmaes', 'sklearn', 'scipy.stats')))"
    subprocess.run([sys.executable, "-c", code], check=True)
