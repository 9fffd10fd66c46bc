"""The report of an adaptation: gap and parameters by round, speed over trials on the robot beside direct tuning."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import figure, page_of

from robotps.rounds import Model, Round, tables, write_model, write_round
from robotps.run import Run

MakeRun = Callable[..., Path]


@pytest.fixture
def adapted(make_run: MakeRun) -> Path:
    """A physical run of three iterations with what an adaptation notes of them."""
    path = make_run("adapted", world=None, iterations=3, options={"policies": 4})
    with sqlite3.connect(path / "run.sqlite") as database:
        database.execute("""UPDATE meta SET value = replace(value, '"kohl-stone"', '"adapt"') WHERE key = 'settings'""")
        database.execute("""UPDATE meta SET value = replace(value, '"policies": 4', '') WHERE key = 'settings'""")
    with Run.resume(path) as run:
        for number in range(3):
            candidates = run.candidates("search", number)
            trials = run.trials("search", number)
            real = [np.mean([t.score for t in trials if t.candidate.id == c.id]) for c in candidates]
            table = {"value": 1.1 - 0.02 * number, "interval": [1.0, 1.2], "prior": 1.0, "unit": "1"}
            if number < 2:
                write_model(run, number, Model({}, {}, {"body.mass_scale": table}, 2.0, 1.0, True))
            write_round(
                run,
                Round(
                    number,
                    "round" if number < 2 else "fine-tuning",
                    [candidate.vector.tolist() for candidate in candidates],
                    ["fast"] * len(candidates),
                    simulated=[float(speed) + 0.05 / (number + 1) for speed in real],
                    corrected=[float(speed) + 0.01 for speed in real],
                    planning=100,
                ),
            )
    return path


def test_each_round_has_its_gap_and_its_trials(adapted: Path) -> None:
    with Run.open(adapted) as run:
        rows = tables(run)
        assert [row["robot_trials"] for row in rows] == [len(run.trials("search", n)) for n in range(3)]
    assert [row["error"] for row in rows] == pytest.approx([0.05, 0.025, 0.05 / 3])
    assert [row["bias"] for row in rows] == pytest.approx([0.05, 0.025, 0.05 / 3])
    assert [row["corrected_error"] for row in rows] == pytest.approx([0.01] * 3)
    page = page_of(adapted)
    assert "Rounds of the adaptation" in page
    assert "round 2: 0.025, corrected 0.010 m/s" in figure(page, "Gap by round")


def test_parameters_have_intervals_by_round(adapted: Path) -> None:
    drawn = figure(page_of(adapted), "body.mass_scale by round")
    assert "round 1: 1.1 (1 to 1.2); round 2: 1.08 (1 to 1.2)" in drawn
    assert drawn.count("<circle") == 2


def test_speed_over_physical_trials_stands_beside_a_run_tuned_directly(adapted: Path, make_run: MakeRun) -> None:
    direct = make_run("direct", world=None, iterations=6)
    page = page_of(adapted, direct)
    (both, alone) = [
        svg
        for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)
        if ">Speed on the robot over physical trials<" in svg
    ]
    with Run.open(direct) as run:
        count = run.count()
    assert f"after {count} trials" in both
    assert f"after {count} trials" not in alone
    assert 'class="line s0"' in both
    assert 'class="line s1"' in both
    simulated = page_of(make_run("one", world={}), make_run("two", world={}, seed=1))
    assert "Speed on the robot over physical trials" not in simulated
