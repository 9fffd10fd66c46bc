"""`robotps watch` in the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.cli.dots import chart
from robotps.run import Run

_NUMBERS = st.floats(-1e3, 1e3)


def test_a_finished_run_is_shown_once_with_its_latest_trials(make_run: Callable[..., Path]) -> None:
    path = make_run(world={})
    result = CliRunner().invoke(app, ["watch", str(path), "--json"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    with Run.open(path) as run:
        last = run.trials()[-1]
    assert (answer["state"], answer["trials"]) == ("finished", last.id)
    row = next(line for line in result.stderr.splitlines() if line.split()[:2] == [str(last.id), "best"])
    assert f"{last.score:.3f}" in row


def test_what_is_no_run_is_an_error_not_a_wait(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["watch", str(tmp_path)]).exit_code == 1


@given(st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1), st.integers(20, 90), st.integers(2, 12))
def test_a_chart_keeps_to_its_size_and_shows_a_dot_at_the_highest_and_the_lowest_point(
    points: list[tuple[float, float]], width: int, height: int
) -> None:
    lines = chart(points, width, height)
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}
    blank = chr(0x2800)
    assert lines[-1].split(" ")[-1].strip(blank)
    if max(y for _, y in points) > min(y for _, y in points):
        assert lines[0].split(" ")[-1].strip(blank)


def test_points_rise_from_the_lower_left_to_the_upper_right() -> None:
    lines = chart([(x, x) for x in range(100)], 46, 10)
    first = [next(i for i, cell in enumerate(line[6:]) if cell != chr(0x2800)) for line in lines]
    assert first == sorted(first, reverse=True)
    assert lines[0].startswith("99.000 ")
    assert chart([], 40, 5) == []
    assert chart([(1.0, float("nan"))], 40, 5) == []
