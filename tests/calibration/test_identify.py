"""A virtual robot of a reality of its own is identified through the command line, which never sees that reality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration.identification import IdentifiedParameter
from calibration.identify import _Fitting, identify, split
from calibration.logged import LoggedTrial, logged_trials
from hardware.virtual.reality import Reality
from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.robot import Telemetry
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from sim.randomization import Randomization, load_randomization
from sim.world import World, load_world

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
        (["nowhere", "--no-stand", "--odometer", "stopwatch"], "--no-stand, --odometer: for motions of the robot"),
        (["--excite", "--no-stand", "--no-floor"], "leave no motion"),
    ):
        result = CliRunner().invoke(app, ["identify", *arguments])
        assert result.exit_code == 1, arguments
        assert message in result.stderr


def test_runs_of_another_robot_are_told_before_anything_moves(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", TuneSettings(family="trot").model_dump(mode="json"), load_description("bittle")):
        pass
    there = ["--excite", "--on", "serial:/dev/ttyNOPE", "--odometer", "video:walk.mp4", "--robot", "dkitty"]
    result = CliRunner().invoke(app, ["identify", str(tmp_path / "run"), *there])
    assert result.exit_code == 1
    assert "a run of 'bittle', not of 'dkitty'" in result.stderr


def fitting(belief: dict[str, Any]) -> _Fitting:
    return _Fitting(DKITTY, World(), Randomization.model_validate(belief), 0, None, lambda text: None)


def test_what_was_believed_is_the_world_that_a_fit_is_judged_against() -> None:
    doubled = {"uniform": [1.5, 2.5], "relative": "times"}
    begun = fitting({"servo": {"strength_scale": {"uniform": [0.6, 0.9]}, "coulomb_friction": doubled}})
    assert begun.base.servo.strength_scale == begun.priors["servo.strength_scale"].prior == 0.75
    assert begun.base.servo.coulomb_friction == pytest.approx(2 * DKITTY.servo.coulomb_friction)
    # drawn around the new world as around the old one
    assert begun.belief is not None
    draws = [begun.belief.draw(DKITTY, begun.base, seed).servo.coulomb_friction or 0.0 for seed in range(50)]
    assert max(draws) <= 2.5 * DKITTY.servo.coulomb_friction
    assert begun.base.joints == {}


@pytest.mark.parametrize("left", ["servo.strength_scale", "joints.rear_left_thigh.strength_scale"])
def test_strength_is_shared_out_among_what_was_identified_alone(left: str) -> None:
    names = ["servo.strength_scale", *(f"joints.{name}.strength_scale" for name in DKITTY.joint_names)]
    for skipped in (left, ""):
        fit = fitting({})
        for name in names:
            known = name != skipped
            value = 0.9 if known and name != names[0] else 1.0
            fit.found[name] = IdentifiedParameter(name, "1", 1.0, value, 0.8, 1.0, at_bound=False, informative=known)
        fit._share_strength()
        values = [fit.found[name].value for name in names]
        if skipped:
            assert values[0] == 1.0
            assert fit.found[skipped].value == 1.0
        else:
            assert values == pytest.approx([0.9, *[1.0] * 12])
