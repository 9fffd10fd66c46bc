"""Three virtual robots of different realities in one run, over their serial ports, by the command line."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hardware.fleet import Fleet
from hardware.virtual.reality import FloorReality, Reality, ServoReality
from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.run import Run

DKITTY = load_description("dkitty")
CONFIG = """
iterations = 1
confirm = 2
finalists = 1
options = {policies = 6}
trial = {seconds = 0.5, warm_up = 0.2}
"""


@pytest.mark.slow
def test_one_of_three_robots_is_unplugged_and_returns_and_no_trial_is_lost_or_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hardware.bus.Bus.patience", 0.5)
    config, path = tmp_path / "tune.toml", tmp_path / "run"
    config.write_text(CONFIG)
    realities = [
        Reality(),
        Reality(floor=FloorReality(friction=0.9), servo=ServoReality(strength_scale=0.9)),
        Reality(servo=ServoReality(speed_scale=0.9, latency_s=0.01)),
    ]
    with ExitStack() as stack:
        robots = [stack.enter_context(VirtualRobot(DKITTY, reality=it, realtime=False)) for it in realities]
        done = threading.Event()
        away = threading.Event()
        is_back = Fleet._is_back

        def look_for(fleet: Fleet, name: str) -> bool:
            away.set()
            return is_back(fleet, name)

        monkeypatch.setattr(Fleet, "_is_back", look_for)

        def pull_and_plug() -> None:
            while not done.is_set() and _counted(path) < 2:
                time.sleep(0.1)
            robots[2].unplug()
            away.wait(timeout=60.0)
            robots[2].plug()

        cable = threading.Thread(target=pull_and_plug)
        cable.start()
        arguments = ["tune", "--config", str(config), "--run", str(path), "--yes", "--pace", "device", "--json"]
        for robot in robots:
            arguments += ["--on", f"serial:{robot.port}", "--odometer", f"stream:{robot.position_stream}"]
        result = CliRunner().invoke(app, arguments)
        done.set()
        cable.join()
        assert result.exit_code == 0, result.stderr
        assert not any(one.bus.servos[0].value["torque_enable"] for one in robots)
    assert "has left" in result.stderr
    assert "is back" in result.stderr
    with Run.open(path) as run:
        trials = run.trials()
        counted = Counter((t.candidate.id, t.repeat) for t in trials if t.score is not None)
        assert set(counted.values()) == {1}
        assert len(counted) == 2 + 6 + 2 * 2 + 2
        assert len({t.robot for t in trials if t.score is not None}) == 3
        assert {t.ending for t in trials} <= {"finished", "fell", "fault"}
        for trial in trials:
            telemetry = run.telemetry(trial.id)
            assert telemetry is not None or trial.ending == "fault"
        assert json.loads(result.stdout.splitlines()[-1])["trials"] == len(trials)


def _counted(path: Path) -> int:
    try:
        with Run.open(path) as run:
            return sum(t.score is not None for t in run.trials())
    except RobotpsError:
        return 0
