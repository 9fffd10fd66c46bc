"""`robotps adapt` against a virtual robot: counted, resumable after kill -9, and nothing sent that safety would end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hardware.virtual.reality import Reality
from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.run import Run
from robotps.settings import TuneSettings

SHORT = """
[trial]
seconds = 0.6
warm_up = 0.3
"""
REALITY = Reality.model_validate({"body": {"mass_scale": 1.1}, "servo": {"strength_scale": 0.85, "latency_s": 0.02}})


def trials_in(run: Path) -> int:
    try:
        with Run.open(run) as record:
            return record.count("search")
    except RobotpsError:
        return 0


@pytest.mark.slow
def test_an_adaptation_that_is_killed_goes_on_and_counts_every_trial(tmp_path: Path) -> None:
    run, config = tmp_path / "run", tmp_path / "short.toml"
    config.write_text(SHORT)
    with VirtualRobot(load_description("dkitty"), reality=REALITY, realtime=False) as virtual:
        there = ["--on", f"serial:{virtual.port}", "--odometer", f"stream:{virtual.position_stream}"]
        there += ["--assistant", virtual.assistant, "--pace", "device", "--run", str(run), "--workers", "2"]
        asked = ["--config", str(config), "--robot-trials", "17", "--rounds", "1", "--planning-trials", "12"]
        asked += ["--no-identify"]
        process = subprocess.Popen(
            [sys.executable, "-m", "robotps.cli.app", "adapt", *there, *asked], cwd=tmp_path, stderr=subprocess.DEVNULL
        )
        while trials_in(run) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = trials_in(run)
        result = CliRunner().invoke(app, ["adapt", *there, "--resume", "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert {"rounds", "initial_speed", "best_speed", "robot_trials"} <= found.keys()
    with Run.open(run) as record:
        trials = record.trials()
        assert [trial.id for trial in trials[: 2 + before]] == list(range(1, 3 + before))
        endings = [trial.ending for trial in trials]
        faults = [trial.metrics["reason"] for trial in trials if trial.ending == "fault"]
        assert found["robot_trials"] == len(trials) <= 17 + len(faults), "those at the end are made up for"
        telemetry = record.telemetry(trials[-1].id)
    assert set(endings) <= {"finished", "cut short", "fault"}, "no gait fell"
    assert all("fell when it got up" in reason for reason in faults), "safety ended none"
    assert endings.count("cut short") <= 1
    assert telemetry is not None
    assert telemetry.base_position is not None
    assert sum(row["robot_trials"] for row in found["rounds"]) == sum(t.candidate.stage == "search" for t in trials)
    assert found["best_speed"] >= found["initial_speed"]


def test_what_cannot_be_done_is_one_message(make_run: Callable[..., Path], tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["adapt", *arguments])
        assert result.exit_code == 1
        return result.stderr

    here = ("--on", "serial:/dev/ttyNOPE")
    assert "needs a physical robot" in refused()
    assert "rounds need at least" in refused(*here, "--robot-trials", "12")
    gait = tmp_path / "gait.toml"
    gait.write_text("[parameters]\nfront_locus_y = -0.08\nrear_locus_y = 0.08\n")
    assert "not safe to try" in refused(*here, "--from", str(gait))
    assert "is no adaptation" in refused(*here, "--resume", "--run", str(make_run(world=None)))
    config = tmp_path / "tune.toml"
    config.write_text("repeats = 3\n[trial]\nseconds = 1.0\n")
    told = refused(*here, "--config", str(config))
    assert "tune.toml" in told
    assert "repeats" in told
    assert "leave out --rounds, --identify" in refused(*here, "--resume", "--rounds", "2", "--no-identify")


def test_tune_does_not_go_on_with_an_adaptation(tmp_path: Path) -> None:
    settings = TuneSettings(search="adapt", family="trot").model_dump(mode="json")
    with Run.create(tmp_path / "run", settings, load_description("dkitty"), {"adaptation": {}}):
        pass
    result = CliRunner().invoke(app, ["tune", "--resume", "--run", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "robotps adapt --resume" in result.stderr
