"""Runs of every format that there ever was: they open, replay, report, and can be gone on with."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from robotps.database import DATABASE, SCHEMA_VERSION
from robotps.description import RobotDescription
from robotps.replay import again_in_simulation, find
from robotps.report import write_report
from robotps.robot import Robot
from robotps.run import CUT_SHORT, Run, add_note

OLD = Path(__file__).parent / "runs"
Gliding = Callable[[RobotDescription], Callable[[Mapping[str, Any] | None, int], Robot]]


def _version(file: Path) -> int:
    database = sqlite3.connect(file)
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    database.close()
    return version


def test_a_run_of_every_format_is_kept() -> None:
    kept = {(_version(file), file.stem.rpartition("_")[2]) for file in OLD.glob("*.robotps")}
    assert kept == {(v, kind) for v in range(1, SCHEMA_VERSION + 1) for kind in ("physical", "simulated")}


@pytest.mark.parametrize("file", sorted(OLD.glob("*.robotps")), ids=lambda file: file.stem)
def test_it_opens_replays_and_reports_and_stays_as_it_is(file: Path, gliding: Gliding, tmp_path: Path) -> None:
    before = file.read_bytes()
    with Run.open(file) as run:
        physical = file.stem.endswith("physical")
        trials = run.trials()
        assert [note.trial for note in run.notes()] == [None, 2]
        assert trials[-1].ending == (CUT_SHORT if physical else "finished")
        for trial in trials:
            telemetry = run.telemetry(trial.id)
            assert (telemetry is not None) == physical
            assert (telemetry is not None and telemetry.late is not None) == (physical and _version(file) > 1)
            assert run.equipment(trial.id).get("port") == ("/dev/ttyUSB0" if physical and _version(file) > 1 else None)
            result = again_in_simulation(find(run, trial.id), gliding(run.description))
            if result.recorded_speed is not None:
                assert result.trial.speed == pytest.approx(result.recorded_speed, abs=1e-6)
        write_report([run], tmp_path / "report.html")
    assert "Parts of the record could not be read" not in (tmp_path / "report.html").read_text()
    assert file.read_bytes() == before


@pytest.mark.parametrize("file", sorted(OLD.glob("*.robotps")), ids=lambda file: file.stem)
def test_it_can_be_gone_on_with_and_is_of_todays_format_then(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    shutil.copy(file, path / DATABASE)
    add_note(path, "found again")
    with Run.open(file) as old:
        trials = [str(trial) for trial in old.trials()]
    with Run.resume(path) as run:
        assert [str(trial) for trial in run.trials()] == trials
        assert [note.text for note in run.notes()][-1] == "found again"
    assert _version(path / DATABASE) == SCHEMA_VERSION
    with Run.open(path) as run:
        assert [str(trial) for trial in run.trials()] == trials
