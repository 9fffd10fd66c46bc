"""The calibration file: written and read back, refused where it belongs to another robot, exchanged with LeRobot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardware.bus import ServoInfo
from hardware.calibration_file import (
    Calibration,
    JointCalibration,
    calibration_path,
    disagreements,
    from_lerobot,
    load_calibration,
    save_calibration,
    to_lerobot,
)
from robotps.description import load_description
from robotps.errors import RobotpsError

DKITTY = load_description("dkitty")
THIGH = JointCalibration(id=21, zero=2100, direction=-1, homing_offset=-12, drive_mode=0, range_min=653, range_max=3443)
CALIBRATION = Calibration(robot="dkitty", joints={"front_left_thigh": THIGH})


def test_it_survives_the_disk(tmp_path: Path) -> None:
    save_calibration(tmp_path / "c.toml", CALIBRATION)
    assert load_calibration(tmp_path / "c.toml", DKITTY) == CALIBRATION


def test_it_lies_in_the_working_folder_under_the_robots_name() -> None:
    assert calibration_path("dkitty") == Path("dkitty.calibration.toml")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"robot": "rex"}, "calibration of 'rex', not of 'dkitty'"),
        ({"joints": {"tail": THIGH}}, "joints.tail: dkitty has no such joint"),
        ({"joints": {"front_left_shank": THIGH}}, "calibrated as servo 21, but .* wiring says 22"),
    ],
)
def test_the_calibration_of_another_robot_is_refused(tmp_path: Path, changed: dict, message: str) -> None:
    save_calibration(tmp_path / "c.toml", CALIBRATION.model_copy(update=changed))
    with pytest.raises(RobotpsError, match=message):
        load_calibration(tmp_path / "c.toml", DKITTY)


def test_servos_that_were_changed_since_are_named() -> None:
    kept = ServoInfo(21, "XM430-W210", settings={"homing_offset": -12, "drive_mode": 0})
    reset = ServoInfo(21, "XM430-W210", settings={"homing_offset": 0, "drive_mode": 1})
    assert disagreements(CALIBRATION, [kept]) == []
    assert disagreements(CALIBRATION, []) == []
    found = disagreements(CALIBRATION, [reset])
    assert found[0].startswith("front_left_thigh (servo 21): homing offset is 0, it was -12")
    assert found[1].startswith("front_left_thigh (servo 21): drive mode is 1, it was 0")


def test_lerobots_five_fields_go_out_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "lerobot.json"
    path.write_text(to_lerobot(CALIBRATION))
    assert json.loads(path.read_text()) == {
        "front_left_thigh": {"id": 21, "drive_mode": 0, "homing_offset": -12, "range_min": 653, "range_max": 3443}
    }
    joint = from_lerobot(path, DKITTY, 4096).joints["front_left_thigh"]
    assert joint.model_dump(exclude={"zero", "direction"}) == THIGH.model_dump(exclude={"zero", "direction"})
    assert joint.zero == 2048  # the thigh's limits are symmetric: its zero is the middle of the range
    assert joint.direction == 1  # the description's


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "JSON object"),
        ('{"elbow": {}}', "'elbow' is no joint of dkitty"),
        ('{"front_left_thigh": {"id": 21}}', "'drive_mode' is missing"),
        ('{"front_left_thigh": 3}', "must be an object"),
    ],
)
def test_a_lerobot_file_that_does_not_fit_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(RobotpsError, match=message):
        from_lerobot(tmp_path / "l.json", DKITTY, 4096)
