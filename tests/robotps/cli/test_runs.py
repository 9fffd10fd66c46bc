"""`robotps runs`, `notes` and `report` as a person uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.result import result_of
from robotps.run import Run

MakeRun = Callable[..., Path]


def _robotps(*arguments: object, answer: str | None = None) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    last = (result.stdout.splitlines() or [""])[-1]
    data = json.loads(last[last.index("{") :]) if "{" in last else {}
    return result.exit_code, data, result.stderr


@pytest.fixture
def logs(make_run: MakeRun, tmp_path: Path) -> Path:
    make_run("logs/slow", world={}, iterations=1)
    make_run("logs/fast", world={}, iterations=6)
    return tmp_path / "logs"


def test_runs_lists_what_reading_every_trial_would_say(logs: Path) -> None:
    status, data, _ = _robotps("runs", "--in", logs, "--json")
    assert status == 0
    assert [Path(row["run"]).name for row in data["runs"]] == ["fast", "slow"]
    for row in data["runs"]:
        with Run.open(Path(row["run"])) as run:
            result = result_of(run)
            assert result is not None
            assert row["trials"] == run.count()
        assert row["initial_speed"] == pytest.approx(result.initial_speed)
        assert row["best_speed"] == pytest.approx(result.best_speed)
        assert row["state"] == "finished"


def test_runs_sorted_by_speed_begin_with_the_fastest(logs: Path) -> None:
    _, data, _ = _robotps("runs", "--in", logs, "--sort", "speed", "--json")
    speeds = [row["best_speed"] for row in data["runs"]]
    assert speeds == sorted(speeds, reverse=True)
    assert len(speeds) == 2


def test_runs_says_which_is_in_progress_and_which_was_left_unfinished(logs: Path) -> None:
    import sqlite3

    database = sqlite3.connect(logs / "slow" / "run.sqlite")
    last = "(SELECT max(id) FROM trial)"
    database.execute(f"DELETE FROM trial WHERE id = {last}")
    database.commit()
    database.close()
    with Run.resume(logs / "fast"):
        _, data, _ = _robotps("runs", "--in", logs, "--json")
    assert {Path(row["run"]).name: row["state"] for row in data["runs"]} == {
        "fast": "in progress",
        "slow": "unfinished",
    }


def test_a_damaged_run_is_named_and_the_others_are_listed(logs: Path) -> None:
    (logs / "slow" / "run.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    status, data, said = _robotps("runs", "--in", logs, "--json")
    assert status == 0
    assert [Path(row["run"]).name for row in data["runs"]] == ["fast"]
    assert "slow" in said


def test_removing_asks_and_a_no_keeps(logs: Path) -> None:
    status, data, _ = _robotps("runs", "rm", logs / "slow", "--json", answer="n\n")
    assert (status, data["removed"]) == (0, [])
    assert (logs / "slow").exists()
    status, data, _ = _robotps("runs", "rm", logs / "slow", "--json", answer="y\n")
    assert (status, data["removed"]) == (0, [str(logs / "slow")])
    assert not (logs / "slow").exists()


def test_removing_without_an_answer_removes_nothing(logs: Path) -> None:
    status, _, said = _robotps("runs", "rm", logs / "slow", answer="")
    assert status == 1
    assert "--yes" in said
    assert (logs / "slow").exists()


def test_what_is_no_run_or_is_being_written_to_is_not_removed(logs: Path) -> None:
    status, _, said = _robotps("runs", "rm", logs, "--yes")
    assert (status, logs.exists()) == (1, True)
    assert "not a run" in said
    with Run.resume(logs / "slow"):
        status, _, said = _robotps("runs", "rm", logs / "fast", logs / "slow", "--yes")
    assert status == 1
    assert "writes to this run" in said
    assert (logs / "fast").exists(), "nothing is removed where something may not be"


def test_an_archive_stands_for_the_run_in_every_verb(logs: Path, tmp_path: Path) -> None:
    file = tmp_path / "fast.robotps"
    status, data, _ = _robotps("runs", "archive", logs / "fast", "--out", file, "--json")
    assert (status, data["archive"]) == (0, str(file))
    assert _robotps("runs", "--in", tmp_path, "--json")[1]["runs"][0]["run"] == str(file)
    status, data, _ = _robotps("report", file, logs / "slow", "--json")
    assert status == 0
    assert Path(data["report"]).is_file()
    assert _robotps("runs", "archive", logs / "fast", "--out", file)[0] == 1


def test_notes_are_added_and_listed_by_trial(logs: Path) -> None:
    _robotps("notes", logs / "fast", "a new [battery]")
    _robotps("notes", logs / "fast", "it slipped", "--trial", 3)
    status, data, said = _robotps("notes", logs / "fast", "--json")
    assert status == 0
    assert [(note["trial"], note["text"]) for note in data["notes"]] == [(None, "a new [battery]"), (3, "it slipped")]
    assert "a new [battery]" in said
    _, data, _ = _robotps("notes", logs / "fast", "--trial", 3, "--json")
    assert [note["text"] for note in data["notes"]] == ["it slipped"]
    assert _robotps("notes", logs / "fast", "what?", "--trial", 9999)[0] == 1
