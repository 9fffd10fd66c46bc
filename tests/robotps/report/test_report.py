"""Reports: complete, self-contained, legible by eye and by screen reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import figure, page_of

from robotps.history import history
from robotps.run import Run, add_note

MakeRun = Callable[..., Path]


def test_every_trial_of_the_search_is_a_point_named_by_its_number(make_run: MakeRun) -> None:
    path = make_run(world={}, repeats=2)
    curve = figure(page_of(path), "Learning curve")
    with Run.open(path) as run:
        searched = run.trials("search")
    points = re.findall(r'<circle class="trial"[^>]*><title>trial (\d+), iteration (\d+): ([\d.]+)', curve)
    assert [(int(number), int(iteration), float(score)) for number, iteration, score in points] == [
        (trial.id, trial.candidate.iteration + 1, pytest.approx(trial.score, abs=5e-4)) for trial in searched
    ]


def test_a_report_says_speeds_with_intervals_and_every_parameter_of_start_and_best(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=6)
    page = page_of(path)
    from robotps.result import result_of

    with Run.open(path) as run:
        result = result_of(run)
        space = run.description.gait_space
    assert result is not None
    assert result.improved
    for speed, (low, high) in (
        (result.initial_speed, result.initial_speed_ci),
        (result.best_speed, result.best_speed_ci),
    ):
        assert f"<strong>{speed:.3f} <span>m/s</span></strong>" in page
        assert f"{low:.3f} to {high:.3f}" in page
    rows = dict(re.findall(r"<tr><td>(\w+)</td><td class=\"number\">[^<]*</td><td class=\"number\">([^<]*)</td>", page))
    for parameter in space:
        assert float(rows[parameter.name]) == pytest.approx(result.gait.parameters[parameter.name], rel=1e-3, abs=1e-4)
        assert f">{parameter.name} over the iterations</title>" in page


def test_every_picture_has_a_name_and_nothing_is_loaded_from_elsewhere(make_run: MakeRun) -> None:
    page = page_of(make_run(world={}))
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) > 15
    for picture in pictures:
        name = re.search(r'aria-labelledby="(t\d+)', picture)
        assert name is not None
        assert re.search(rf'<title id="{name[1]}">[^<]+</title>', picture)
    assert "nan" not in re.sub(r"<title>.*?</title>", "", "".join(pictures))
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", page)
    assert "<script" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_words_of_a_person_are_shown_not_run(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    add_note(path, "<script>alert('x')</script> & more")
    page = page_of(path)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more" in page
    assert "<script" not in page


def test_failures_are_counted_by_kind_with_their_reason(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    import sqlite3

    database = sqlite3.connect(path / "run.sqlite")
    for number, height in ((7, 31), (9, 44)):
        database.execute(
            "UPDATE trial SET ending = 'fell', metrics = json_set(metrics, '$.reason', ?) WHERE id = ?",
            (f"body sank to {height} mm at 1.{number} s", number),
        )
    database.execute("UPDATE trial SET ending = 'fault', score = NULL WHERE id = 8")
    database.commit()
    database.close()
    page = page_of(path)
    rows = re.findall(r"<tr><td>(fell|fault)</td><td>([^<]*)</td><td class=\"number\">(\d+)</td>", page)
    assert rows == [("fell", "body sank to … mm at … s", "2"), ("fault", "", "1")]


def test_a_physical_run_shows_timing_and_bus(make_run: MakeRun) -> None:
    path = make_run(world=None, iterations=1)
    page = page_of(path)
    with Run.open(path) as run:
        count = run.count()
    assert "Timing and bus" in page
    assert f"{min(count, 60)} trials on the robot" in page
    assert re.search(r"<td class=\"number\">100\.0</td><td class=\"number\">10\.0</td>", page)
    assert "Timing and bus" not in page_of(make_run("simulated", world={}, iterations=1))


def test_runs_are_compared_over_trials_and_over_minutes(make_run: MakeRun) -> None:
    one, two = make_run("one", world={}), make_run("two", world={}, search="hill-climbing", repeats=2)
    page = page_of(one, two)
    for title in ("Runs compared over trials of the search", "Runs compared over minutes the robot walked"):
        assert len(re.findall(r'<path class="line s\d"', figure(page, title))) == 2
    assert "hill-climbing" in page
    assert 'id="run-2"' in page


def test_minutes_are_those_the_robot_walked(make_run: MakeRun) -> None:
    with Run.open(make_run(world={}, iterations=2)) as run:
        past = history(run.trials())
    assert past.minutes[-1] == pytest.approx(sum(t.metrics["duration"] for t in past.trials) / 60)
    assert past.iterations[-1].minutes == past.minutes[-1]
    assert past.iterations[-1].trials == len(past.trials)
    scores = [entry.score.value for entry in past.candidates if entry.iteration == 1]
    assert past.iterations[1].mean == pytest.approx(np.mean(np.array(scores, dtype=float)))


def test_a_run_in_progress_is_reported_as_such(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=2)
    with Run.resume(path):
        assert "in progress." in page_of(path)
    assert "finished." in page_of(path)


def test_a_run_without_a_single_trial_has_a_report(tmp_path: Path) -> None:
    from robotps.description import load_description
    from robotps.settings import TuneSettings

    with Run.create(tmp_path / "run", TuneSettings(family="trot").model_dump(mode="json"), load_description("bittle")):
        pass
    assert "No trial of the search has ended yet" in page_of(tmp_path / "run")


def test_a_page_opens_in_a_browser_in_light_and_dark_and_asks_the_network_for_nothing(
    make_run: MakeRun, browser: Any
) -> None:
    path = make_run(world={})
    page_of(path)
    browser.open((path.parent / "report.html").as_uri())
    paper = {}
    for scheme in ("light", "dark"):
        browser.emulate("prefers-color-scheme", scheme)
        paper[scheme] = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper["light"] != paper["dark"]
    width, height = browser.run("const b = document.querySelector('svg').getBBox(); return [b.width, b.height]")
    assert width > 300
    assert height > 100
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    assert [address for address in browser.requests() if not address.startswith(("file:", "data:"))] == []
    assert browser.complaints() == []
