"""Runs with physical trials: taken on after a search in simulation, killed in the middle of a trial, gone on with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description
from robotps.run import CUT_SHORT, Run

EXAMPLE = Path(__file__).parents[2] / "logs" / "example"
DKITTY = load_description("dkitty")
CONFIG = """
confirm = 1
finalists = 1
iterations = 1
[options]
policies = 2
[trial]
seconds = 1.0
warm_up = 0.5
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hardware.bus.Bus.patience", 0.3)  # a loaded machine is not a bad bus
    return tmp_path


def _robotps(*arguments: object) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    answer = json.loads(result.stdout.splitlines()[-1]) if result.stdout else {}
    return result.exit_code, answer, result.stderr


def _on(virtual: VirtualRobot) -> list[str]:
    device = ["--on", f"serial:{virtual.port}", "--pace", "device"]
    return [*device, "--assistant", virtual.assistant, "--odometer", f"stream:{virtual.position_stream}"]


def test_a_runs_best_gait_is_taken_to_the_robot_and_its_trials_join_the_run(here: Path) -> None:
    path = shutil.copytree(EXAMPLE, here / "run")
    with Run.open(path) as run:
        before = run.trials()
        best = run.trials("best")[0].candidate.vector
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        status, answer, said = _robotps("trial", "--run", path, *_on(virtual))
        assert (status, answer["telemetry"]) == (0, str(path)), said
        assert _robotps("trial", "--run", path, "--robot", "bittle", *_on(virtual))[0] == 1
        assert _robotps("trial", "--run", path)[0] == 1, "there is nothing to take to a simulation"
    with Run.open(path) as run:
        *old, new = run.trials()
        assert [str(trial) for trial in old] == [str(trial) for trial in before]
        assert new.candidate.stage == "robot"
        assert new.candidate.iteration == before[-1].candidate.iteration + 1
        np.testing.assert_allclose(new.candidate.vector, best, atol=1e-12)
        telemetry = run.telemetry(new.id)
        assert run.equipment(new.id)["port"] == virtual.port
    assert telemetry is not None
    assert telemetry.base_position is not None
    assert telemetry.commanded is not None


def test_trials_without_a_search_are_told_from_searches_and_are_finished_when_all_were_made(here: Path) -> None:
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        status, answer, said = _robotps("trial", "--robot", "dkitty", "--seconds", "0.5", *_on(virtual))
    assert status == 0, said
    path = Path(answer["telemetry"])
    _, listed, _ = _robotps("runs", "--in", path.parent)
    assert [(run["search"], run["state"], run["trials"]) for run in listed["runs"]] == [("trial", "finished", 1)]
    with Run.resume(path) as run:
        run.set_meta("finished", False)  # as a kill -9 would have left it
    assert _robotps("runs", "--in", path.parent)[1]["runs"][0]["state"] == "unfinished"
    status, answer, said = _robotps("report", path)
    assert status == 0, said
    assert "unfinished" in Path(answer["report"]).read_text()


@pytest.mark.parametrize("how", [[], ["--slow", "0.5", "--to", "1.5"]], ids=["whole", "slow and in part"])
def test_a_trial_is_replayed_on_the_robot_from_standing_into_a_run_of_its_own(here: Path, how: list[str]) -> None:
    with Run.open(EXAMPLE) as run:
        (taken,) = run.trials("robot")
        recorded = run.telemetry(taken.id)
    assert recorded is not None
    assert recorded.commanded is not None
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        status, answer, said = _robotps("replay", EXAMPLE, "--trial", taken.id, *how, *_on(virtual))
    assert status == 0, said
    assert answer["identical"] is None
    if how:  # a servo that is asked for less speed lags less, so the joints are elsewhere
        assert "played at 0.5 times its speed" in answer["remarks"]
    else:
        assert answer["agreement_by_quantity"]["joints"] > 0.8
    (path,) = (here / "logs").iterdir()
    with Run.open(path) as run:
        again = run.trials()[-1]  # a busy machine's faults are repeated
        telemetry = run.telemetry(again.id)
    assert telemetry is not None
    assert np.diff(telemetry.time).max() < 0.05  # in the device's time; a busy host may miss a tick
    assert telemetry.time[-1] == pytest.approx(3.0 if how else 4.0, abs=0.02)
    assert telemetry.commanded is not None
    scale = 0.5 if how else 1.0
    since, then = (seen.sent_at(DKITTY.control_period) for seen in (telemetry, recorded))
    for asked, before in zip(telemetry.commanded.T, recorded.commanded.T, strict=True):
        off = np.abs(asked - np.interp(scale * since, then, before))
        assert np.median(off) < 0.01
        assert off.max() < 0.1


def _killed_in_a_trial(path: Path, config: Path, virtual: VirtualRobot, ticks: int) -> int:
    """Tune on the robot, and kill -9 when the second trial has so many ticks; returns how many were on record then."""
    command = [sys.executable, "-m", "robotps.cli.app", "tune", "--run", str(path), "--config", str(config)]
    with subprocess.Popen([*command, *_on(virtual)], stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None:
                time.sleep(0.05)
                if not (path / "run.sqlite").is_file():
                    continue
                with Run.open(path) as run:
                    telemetry = run.telemetry(2)
                if telemetry is not None and len(telemetry.time) >= ticks:
                    process.send_signal(signal.SIGKILL)
                    return len(telemetry.time)
        finally:
            process.kill()
        raise AssertionError(f"it ended before it could be killed: {process.stderr and process.stderr.read()}")


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_a_trial_shows_it_as_cut_short_replays_it_and_goes_on(here: Path) -> None:
    path, config = here / "run", here / "config.toml"
    config.write_text(CONFIG)
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        seen = _killed_in_a_trial(path, config, virtual, ticks=30)
        with Run.open(path) as run:
            first, cut = run.trials()
            telemetry = run.telemetry(cut.id)
        assert (first.ending, cut.ending) == ("finished", CUT_SHORT)
        assert telemetry is not None
        assert len(telemetry.time) >= seen
        assert np.diff(telemetry.time).max() < 0.05

        status, answer, _ = _robotps("replay", path, "--trial", cut.id)
        assert (status, answer["ending"], answer["recorded_speed"]) == (0, CUT_SHORT, None)
        assert any("up to the last tick" in remark for remark in answer["remarks"])
        assert answer["agreement_by_quantity"]["joints"] > 0.3
        assert _robotps("report", path, "--out", here / "report.html")[0] == 0
        assert f"<td>{CUT_SHORT}</td>" in (here / "report.html").read_text()

        status, answer, said = _robotps("tune", "--resume", "--run", path, *_on(virtual))
        assert status == 0, said
    with Run.open(path) as run:
        endings = [(trial.candidate.stage, trial.ending) for trial in run.trials()]
    assert endings[:3] == [("start", "finished"), ("search", CUT_SHORT), ("search", "finished")]
    assert endings[-1] == ("best", "finished")
