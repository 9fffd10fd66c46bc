"""A run that is killed (kill -9, its workers with it) goes on, and ends bit for bit as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.database import DATABASE
from robotps.errors import RobotpsError
from robotps.result import result_of
from robotps.run import Run

KILLS = 20
QUICKLY = """
robot = "bittle"
search = "kohl-stone"
iterations = 4
repeats = 2
confirm = 4
finalists = 2
seed = 7
options = { policies = 3 }
trial = { seconds = 0.2, warm_up = 0.1 }
"""


def _tune(*arguments: object) -> None:
    result = CliRunner().invoke(app, ["tune", *map(str, arguments)])
    assert result.exit_code == 0, (result.stderr, result.exception)


def _content(path: Path) -> tuple[Any, list[Any]]:
    """What a run found, and of every trial what was tried, its score, and a digest of every bit of its telemetry."""
    with Run.open(path) as run:
        trials = [
            (t.candidate.stage, t.candidate.iteration, t.candidate.position, t.repeat, t.seed, t.ending, t.score,
             t.digest, t.candidate.vector.tobytes())
            for t in run.trials()
        ]  # fmt: skip
        return result_of(run), sorted(trials)


def _trials(path: Path) -> int:
    try:
        with Run.open(path) as run:
            return run.count()
    except RobotpsError:
        return -1  # not there yet


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_killed_at_any_moment_and_resumed_with_any_workers_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    config = tmp_path / "tune.toml"
    config.write_text(QUICKLY)
    _tune("--config", config, "--run", tmp_path / "whole", "--workers", 2)
    whole = _content(tmp_path / "whole")
    assert whole[0].trials == len(whole[1]) == 4 + 4 * 3 * 2 + 3 * 2 + 4
    generator = np.random.default_rng(20)
    for number in range(KILLS):
        path = tmp_path / f"killed{number}"
        moment = int(generator.integers(-1, len(whole[1])))  # -1: about when the run is made
        process = subprocess.Popen(
            [sys.executable, "-m", "robotps.cli.app", "tune", "--config", config, "--run", path, "--workers", "2"],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while _trials(path) < moment or not path.exists():
            assert process.poll() is None, "it ended before its time"
            time.sleep(0.002)
        time.sleep(generator.uniform(0.0, 0.02))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        done = _trials(path)
        if not (path / DATABASE).exists():  # killed before there was a run
            _tune("--config", config, "--run", path, "--workers", 1 + number % 3)
        else:
            _tune("--resume", "--run", path, "--workers", 1 + number % 3)
        assert _content(path) == whole, f"killed after {done} trials"
