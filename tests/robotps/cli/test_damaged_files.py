"""Damaged files under every verb that reads a run: a message or a part of the answer, and never a change."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.database import DATABASE
from robotps.result import result_of
from robotps.run import Run, add_note

MakeRun = Callable[..., Path]
RANGE = 1536
EVERY = slice(None)
SMALL = {"iterations": 1, "confirm": 2, "finalists": 1, "options": {"policies": 3}}


def _verbs(path: Path, elsewhere: Path) -> list[list[str]]:
    """Everything that reads a run, writing elsewhere where it writes at all."""
    return [
        ["report", str(path), "--out", str(elsewhere / "report.html")],
        ["replay", str(path), "--json"],
        ["replay", str(path), "--trial", "4", "--plot", str(elsewhere / "sheet.png")],
        ["watch", str(path), "--json"],
        ["notes", str(path)],
        ["runs", "--in", str(path.parent)],
        ["runs", "archive", str(path), "--out", str(elsewhere / "packed.robotps")],
        ["export", str(path), "--format", "csv", "--out", str(elsewhere)],
        ["export", str(path), "--format", "mcap", "--out", str(elsewhere)],
        ["tune", "--from", str(path), "--robot", "bittle", "--show"],
    ]


@pytest.fixture
def run_path(make_run: MakeRun, gliding: Any, monkeypatch: pytest.MonkeyPatch, request: Any) -> Path:
    """A small run; what would be simulated glides."""
    monkeypatch.setattr("robotps.cli.simulation.simulation", gliding)
    monkeypatch.setattr("robotps.sheet.draw_sheet", lambda replay, file, *_: file.write_bytes(b""))
    world = None if request.param == "physical" else {"floor": {"friction": 0.7}}
    path = make_run("logs/run", robot="bittle", world=world, trial={"seconds": 0.05, "warm_up": 0.02}, **SMALL)
    add_note(path, "slipped", trial=2)
    with Run.open(path) as run:
        result = result_of(run)
        assert result is not None
        from robotps.gait import save_gait

        save_gait(path / "best_gait.toml", result.gait, run.description)
    return path


def _check(path: Path, elsewhere: Path, what: str, verbs: slice = EVERY) -> tuple[int, int]:
    """Verbs on a run as it is now; how many answered, and how many said why they could not."""
    before = {file: file.read_bytes() for file in path.iterdir()}
    answered = told = 0
    for verb in _verbs(path, elsewhere)[verbs]:
        shutil.rmtree(elsewhere, ignore_errors=True)
        elsewhere.mkdir()
        result = CliRunner().invoke(app, verb)
        said = f"{what}: {' '.join(verb[:2])}: {result.exception!r} {result.stderr}"
        assert result.exception is None or isinstance(result.exception, SystemExit), said
        assert result.exit_code in (0, 1), said
        assert "Traceback" not in result.stderr, said
        if result.exit_code == 1 and "identical" not in result.stderr + result.stdout:
            assert "run" in result.stderr, said
            told += 1
        else:
            answered += 1
        assert {file: file.read_bytes() for file in path.iterdir()} == before, said
    return answered, told


def _damages(good: bytes, step: int) -> Iterator[tuple[str, bytes]]:
    for start in range(0, len(good), step):
        yield f"bytes {start} to {start + RANGE} zeroed", good[:start] + bytes(RANGE) + good[start + RANGE :]
        yield f"cut at {start}", good[:start]


def _each(path: Path, elsewhere: Path, step: int, share: int = 1) -> None:
    """share: every damage meets one verb in so many, another one than the damage before."""
    answered = told = number = 0
    for name in (DATABASE, "best_gait.toml", "settings.toml", "lock"):
        file = path / name
        good = file.read_bytes()
        for what, bad in _damages(good, step if name == DATABASE else RANGE):
            file.write_bytes(bad[: len(good)])
            one, other = _check(path, elsewhere, f"{name}, {what}", slice(number % share, None, share))
            answered, told, number = answered + one, told + other, number + 1
        file.write_bytes(good)
    assert answered > 0
    assert told > 0
    assert _check(path, elsewhere, "whole")[1] == 0


@pytest.mark.parametrize("run_path", ["physical", "simulated"], indirect=True)
def test_a_few_damages_are_told(run_path: Path, tmp_path: Path) -> None:
    _each(run_path, tmp_path / "elsewhere", 16 * RANGE, share=2)


@pytest.mark.slow
@pytest.mark.parametrize("run_path", ["physical", "simulated"], indirect=True)
def test_every_range_of_bytes_zeroed_and_every_cut_is_told(run_path: Path, tmp_path: Path) -> None:
    _each(run_path, tmp_path / "elsewhere", RANGE, share=3)


@pytest.mark.parametrize("run_path", ["physical"], indirect=True)
def test_another_version_is_told_by_every_verb(run_path: Path, tmp_path: Path) -> None:
    import sqlite3

    for version, words in ((99, "upgrade robotps"), (0, "not a run of robotps")):
        database = sqlite3.connect(run_path / DATABASE)
        database.execute(f"PRAGMA user_version = {version}")
        database.close()
        for verb in _verbs(run_path, tmp_path):
            result = CliRunner().invoke(app, verb)
            assert words in result.stderr, verb
            assert result.exit_code == (0 if verb[:2] == ["runs", "--in"] else 1), verb
