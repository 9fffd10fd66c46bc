"""A virtual robot of a reality of its own is identified through the command line, which never sees that reality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration.identify import identify, split
from calibration.logged import LoggedTrial, logged_trials
from hardware.virtual.reality import Reality
from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.robot import Telemetry
from robotps.trial import TrialSettings
from sim.randomization import load_randomization
from sim.world import load_world

DKITTY = load_description("dkitty")
REALITY = Reality.model_validate(
    {
        "body": {"mass_scale": 1.1},
        "servo": {"strength_scale": 0.85, "speed_scale": 0.9, "gain_scale": 1.2, "latency_s": 0.02},
        "joints": {"rear_right_shank": {"strength_scale": 0.9}},
    }
)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_servos_of_a_virtual_robot_are_found_from_a_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hardware.bus.Bus.patience", 0.3)  # a loaded machine is not a bad bus
    with VirtualRobot(DKITTY, reality=REALITY, realtime=False) as virtual:
        on = ["--on", f"serial:{virtual.port}", "--pace", "device", "--assistant", virtual.assistant]
        found = run("identify", "--excite", "--no-floor", *on, "--odometer", f"stream:{virtual.position_stream}")
    assert found["accepted"]
    assert found["residual_after"] < 0.5 * found["residual_before"]
    values = {name: parameter["value"] for name, parameter in found["parameters"].items()}
    shank = values["joints.rear_right_shank.strength_scale"] * values["servo.strength_scale"]
    assert shank == pytest.approx(0.9 * 0.85, rel=0.05)
    assert values["servo.speed_scale"] == pytest.approx(0.9, rel=0.05)
    assert values["servo.gain_scale"] == pytest.approx(1.2, rel=0.05)
    assert values["servo.latency_s"] == pytest.approx(0.02, abs=0.003)
    assert values["body.mass_scale"] == pytest.approx(1.1, rel=0.05)
    # what motions in the air cannot tell keeps its prior, and is said to
    assert not found["parameters"]["floor.friction"]["informative"]
    assert values["floor.friction"] == 0.7
    world = load_world(found["world"])
    assert world.servo.latency_s == values["servo.latency_s"]
    assert load_randomization(found["world"], DKITTY).servo["latency_s"][0].normal is not None
    (path,) = found["runs"]
    logged = logged_trials([Path(path)], DKITTY)
    assert [trial.on_stand for trial in logged] == [True] * 4
    assert all(trial.gait is None for trial in logged)
    again = identify(DKITTY, logged)
    assert again.parameters["servo.latency_s"].value == pytest.approx(values["servo.latency_s"])


def trial(name: str, *, on_stand: bool = False, gait: bool = True) -> LoggedTrial:
    time = 0.01 * np.arange(1, 100)
    telemetry = Telemetry(time, np.zeros((99, 12)), position=np.zeros((99, 12)))
    return LoggedTrial(name, telemetry, initial_gait(DKITTY) if gait else None, TrialSettings(), on_stand)


def test_a_quarter_of_every_kind_is_held_out() -> None:
    stand = [trial(f"stand {i}", on_stand=True, gait=False) for i in range(4)]
    gaits = [trial(f"gait {i}") for i in range(9)]
    fitted, held_out = split([*stand, trial("sway", gait=False), *gaits])
    assert [one.name for one in held_out] == ["stand 3", "gait 3", "gait 7"]
    assert len(fitted) + len(held_out) == 14
    assert "sway" in [one.name for one in fitted]


def test_trials_that_cannot_tell_anything_are_one_message() -> None:
    with pytest.raises(RobotpsError, match="--excite"):
        identify(DKITTY, [trial("a"), trial("b")])


def test_what_is_missing_is_told_before_anything_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        ([], "name RUNs"),
        (["--excite"], "physical robot"),
        (["--excite", "--on", "serial:/dev/ttyNOPE"], "--odometer"),
        (["nowhere"], "nowhere"),
    ):
        result = CliRunner().invoke(app, ["identify", *arguments])
        assert result.exit_code == 1, arguments
        assert message in result.stderr
