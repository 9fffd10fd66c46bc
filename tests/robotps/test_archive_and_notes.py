"""A run in one file, and remarks in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.recorder import Recorder
from robotps.robot import Observation
from robotps.run import Run, add_note
from robotps.settings import TuneSettings


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    settings = TuneSettings(family="trot").model_dump(mode="json")
    with Run.create(path, settings, load_description("dkitty")) as run, Recorder(path) as recorder:
        candidate = run.add_candidates("start", 0, "trot", np.zeros((1, 12)))[0]
        recorder.begin(candidate.id, repeat=0, robot="dkitty", seed=3, started="now")
        recorder.tick(Observation(time=0.0, sent=np.zeros(12)))
    return path


def test_an_archive_holds_all_of_a_run_and_opens_like_its_folder(run_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "walk.robotps"
    with Run.open(run_path) as run:
        run.archive(file)
        trials, settings, telemetry = run.trials(), run.meta("settings"), run.telemetry(1)
    with Run.open(file) as archived:
        assert [str(trial) for trial in archived.trials()] == [str(trial) for trial in trials]
        assert archived.meta("settings") == settings
        again = archived.telemetry(1)
    assert telemetry is not None
    assert again is not None
    np.testing.assert_array_equal(again.sent, telemetry.sent)
    assert [entry.name for entry in tmp_path.iterdir() if entry != run_path] == ["walk.robotps"]


def test_an_archive_of_a_run_in_progress_is_whole(run_path: Path, tmp_path: Path) -> None:
    with Run.resume(run_path) as writer:
        writer.add_candidates("search", 0, "trot", np.ones((2, 12)))
        with Run.open(run_path) as reader:
            reader.archive(tmp_path / "walk.robotps")
    with Run.open(tmp_path / "walk.robotps") as archived:
        assert len(archived.candidates("search")) == 2


def test_an_archive_replaces_no_file_and_is_not_written_to(run_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "walk.robotps"
    file.write_text("mine")
    with Run.open(run_path) as run, pytest.raises(RobotpsError, match="already"):
        run.archive(file)
    assert file.read_text() == "mine"
    file.unlink()
    with Run.open(run_path) as run:
        run.archive(file)
    with pytest.raises(RobotpsError, match="only read"):
        Run.resume(file)


def test_notes_are_kept_in_order_also_while_another_process_writes(run_path: Path) -> None:
    with Run.resume(run_path) as writer:
        add_note(run_path, "new battery")
        writer.add_candidates("search", 0, "trot", np.ones((2, 12)))
        add_note(run_path, "slipped on the tape", trial=1)
    with Run.open(run_path) as run:
        assert [(note.trial, note.text) for note in run.notes()] == [(None, "new battery"), (1, "slipped on the tape")]


def test_a_note_about_a_trial_that_is_not_there_is_refused(run_path: Path) -> None:
    with pytest.raises(RobotpsError, match="no trial 7"):
        add_note(run_path, "what?", trial=7)
