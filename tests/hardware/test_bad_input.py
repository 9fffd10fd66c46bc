"""What a person gets wrong with a physical robot: one clear message each, at the command line."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from typer.testing import CliRunner

from hardware.calibration_file import Calibration, JointCalibration, joint_ids, save_calibration
from hardware.stop import _is_robotps
from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description

DKITTY = load_description("dkitty")


@pytest.fixture(scope="module")
def virtual() -> Iterator[VirtualRobot]:
    with VirtualRobot(DKITTY, realtime=False) as robot:
        yield robot


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hardware.bus.Bus.patience", 0.3)  # a loaded machine is not a bad bus
    return tmp_path


def refused(virtual: VirtualRobot, *arguments: str, port: str | None = None) -> str:
    """The one message of a trial that could not be."""
    on = ("--on", f"serial:{port or virtual.port}", "--odometer", f"stream:{virtual.position_stream}")
    result = CliRunner().invoke(app, ["trial", *on, "--assistant", virtual.assistant, "--pace", "device", *arguments])
    assert result.exit_code == 1, result.stderr
    assert result.stderr.count("robotps: ") == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.partition("robotps: ")[2]


def changed(here: Path, old: str, new: str) -> str:
    """A description file that is D'Kitty's but for one thing."""
    shown = CliRunner().invoke(app, ["robots", "show", "dkitty"]).stdout
    assert old in shown
    (here / "mine.toml").write_text(shown.replace(old, new, 1))
    return str(here / "mine.toml")


def test_a_wrong_port(virtual: VirtualRobot) -> None:
    assert "there is no port /dev/ttyNOPE" in refused(virtual, port="/dev/ttyNOPE")


def test_what_is_no_port_at_all(virtual: VirtualRobot, here: Path) -> None:
    (here / "notes.txt").write_text("hello")
    assert "is not a serial port" in refused(virtual, port=str(here / "notes.txt"))


def test_a_port_in_use(virtual: VirtualRobot) -> None:
    with serial.Serial(virtual.port, 1_000_000, exclusive=True):
        assert "is in use by" in refused(virtual)


def test_no_permission_says_which_group(virtual: VirtualRobot, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise serial.SerialException(errno.EACCES, "denied")

    monkeypatch.setattr("serial.Serial", denied)
    message = refused(virtual)
    assert "no permission to open" in message
    assert "usermod -aG" in message


def test_a_wrong_baud_rate(virtual: VirtualRobot, here: Path) -> None:
    message = refused(virtual, "--robot", changed(here, "baud = 1000000", "baud = 57600"))
    assert "no answer from front_left_abduction (servo 20)" in message
    assert "at 57600 baud" in message
    assert "robotps ports" in message


def test_a_missing_servo_id(virtual: VirtualRobot, here: Path) -> None:
    message = refused(virtual, "--robot", changed(here, "    22,\n", "    99,\n"))
    assert "no answer from front_left_shank (servo 99)" in message
    assert "servo 20" not in message


def test_two_servos_with_one_id(virtual: VirtualRobot) -> None:
    second = virtual.bus.servos[1]  # type: ignore[union-attr]
    second.memory.put("id", 20)  # type: ignore[union-attr]
    try:
        message = refused(virtual)
    finally:
        second.memory.put("id", 21)  # type: ignore[union-attr]
    assert "two servos seem to have id 20: unplug one of them" in message


def test_a_wrong_model(virtual: VirtualRobot, here: Path) -> None:
    message = refused(virtual, "--robot", changed(here, "XM430-W210", "XL430-W250"))
    assert "front_left_abduction (servo 20), front_left_thigh (servo 21), " in message
    assert "are each a XM430-W210, the description says XL430-W250" in message
    assert message.count("XL430-W250") == 1


def test_a_calibration_of_another_robot(virtual: VirtualRobot, here: Path) -> None:
    joints = {
        name: JointCalibration(id=id_, zero=2048, direction=1, range_min=0, range_max=4095)
        for name, id_ in joint_ids(DKITTY).items()
    }
    save_calibration(here / "dkitty.calibration.toml", Calibration(robot="spot", joints=joints))
    assert "this is the calibration of 'spot', not of 'dkitty'" in refused(virtual)


def test_a_gait_beyond_the_joints_limits(virtual: VirtualRobot, here: Path) -> None:
    (here / "tall.toml").write_text("[parameters]\nfront_body_height = 0.9\nrear_body_height = 0.9\n")
    message = refused(virtual, "--gait", str(here / "tall.toml"))
    assert "leg" in message
    assert "check body heights" in message or "front_body_height" in message


@pytest.mark.parametrize(("name", "ours"), [("/opt/bin/robotps", True), ("minicom", False)])
def test_only_a_robotps_is_told_to_end_by_stop(name: str, ours: bool) -> None:
    """Not whoever has the word in its arguments, as in the name of a virtual robot's port."""
    wait = [name, "-c", "import sys; print(flush=True); sys.stdin.read()", "/tmp/robotps-virtual-x/usb-robotps_virtual"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(wait, executable=sys.executable, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()  # until then its command line may still be empty
        assert _is_robotps(process.pid) == ours
