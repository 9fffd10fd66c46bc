"""What was measured on one particular robot: where its joints' zeros are and which way they turn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from pydantic import Field

from hardware.bus import ServoInfo
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.files import FileModel, parse, read_toml, write_atomically
from robotps.legs import LEGS

LEROBOT_FIELDS = ("id", "drive_mode", "homing_offset", "range_min", "range_max")


class JointCalibration(FileModel):
    """One joint. zero: servo steps at 0 rad. direction: +1 where steps grow with the angle, else -1.

    homing_offset, drive_mode: what the servo itself held then. range_min, range_max: the joint's limits in steps.
    """

    id: Annotated[int, Field(ge=0, le=252)]
    zero: int
    direction: Literal[-1, 1]
    homing_offset: int = 0
    drive_mode: int = 0
    range_min: int
    range_max: int


class Calibration(FileModel):
    """The joints that were calibrated, by name; those left out are as the description says."""

    robot: str
    joints: dict[str, JointCalibration] = {}  # noqa: RUF012 - pydantic copies it


def calibration_path(name: str) -> Path:
    """Where the calibration of the robot of this name is kept: in the working folder."""
    return Path(f"{name}.calibration.toml")


def load_calibration(path: Path, description: RobotDescription) -> Calibration:
    """Read a calibration; raises RobotpsError for one of another robot, an unknown joint or another servo's id."""
    calibration = read_toml(path, Calibration)
    if calibration.robot != description.name:
        raise RobotpsError(
            f"{path}: this is the calibration of '{calibration.robot}', not of '{description.name}': "
            f"move it away or run 'robotps calibrate'"
        )
    ids = joint_ids(description)
    for name, joint in calibration.joints.items():
        if name not in ids:
            raise RobotpsError(f"{path}: joints.{name}: {description.name} has no such joint")
        if joint.id != ids[name]:
            raise RobotpsError(
                f"{path}: joints.{name}: calibrated as servo {joint.id}, but the description's wiring says {ids[name]}"
            )
    return calibration


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration, whole or not at all."""
    write_atomically(path, tomli_w.dumps(calibration.model_dump(mode="json")))


def joint_ids(description: RobotDescription) -> dict[str, int]:
    """Bus id of every joint, in joint order; raises RobotpsError for a robot without wiring."""
    if description.wiring is None:
        raise RobotpsError(f"{description.name} has no [wiring] in its description: it cannot be reached over a port")
    ids = [id_ for leg in LEGS for id_ in description.wiring.legs[leg].ids]
    return dict(zip(description.joint_names, ids, strict=True))


def disagreements(calibration: Calibration, servos: Sequence[ServoInfo]) -> list[str]:
    """Where the servos no longer hold what they held when they were calibrated."""
    held = {info.id: info.settings for info in servos}
    return [
        f"{name} (servo {joint.id}): {setting.replace('_', ' ')} is {held[joint.id][setting]}, "
        f"it was {getattr(joint, setting)} when it was calibrated"
        for name, joint in calibration.joints.items()
        for setting in ("homing_offset", "drive_mode")
        if held.get(joint.id, {}).get(setting, getattr(joint, setting)) != getattr(joint, setting)
    ]


def to_lerobot(calibration: Calibration) -> str:
    """The calibration as LeRobot keeps it: JSON, five fields a motor. Zeros and directions are not among them."""
    joints = {name: joint.model_dump() for name, joint in calibration.joints.items()}
    return json.dumps({name: {key: joint[key] for key in LEROBOT_FIELDS} for name, joint in joints.items()}, indent=4)


class LeRobotMotor(FileModel):
    """One motor in a LeRobot calibration file."""

    id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int


def from_lerobot(path: Path, description: RobotDescription, steps_per_turn: int) -> Calibration:
    """A calibration from LeRobot's JSON file, joint by joint name.

    LeRobot knows a range, not a zero: the middle of the range is taken for the middle of the joint's limits, and the
    direction from the description. Raises RobotpsError for a file that does not fit the robot.
    """
    try:
        table: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RobotpsError(f"{path}: cannot be read as LeRobot's JSON: {error}") from None
    if not isinstance(table, Mapping):
        raise RobotpsError(f"{path}: a LeRobot calibration is a JSON object of motors by name")
    directions = wired_directions(description)
    limits = dict(zip(description.joint_names, description.joints, strict=True))
    gear = description.wiring.gear if description.wiring else 1.0
    joints = {}
    for name, entry in table.items():
        if name not in limits:
            raise RobotpsError(f"{path}: '{name}' is no joint of {description.name}: {', '.join(limits)}")
        if not isinstance(entry, Mapping):
            raise RobotpsError(f"{path}: '{name}' must be an object with {', '.join(LEROBOT_FIELDS)}")
        motor = parse(entry, LeRobotMotor, f"{path}: {name}")
        middle = (limits[name].lower + limits[name].upper) / 2
        offset = directions[name] * gear * middle * steps_per_turn / (2 * np.pi)
        zero = round((motor.range_min + motor.range_max) / 2 - offset)
        joints[name] = JointCalibration(zero=zero, direction=directions[name], **motor.model_dump())
    return Calibration(robot=description.name, joints=joints)


def wired_directions(description: RobotDescription) -> dict[str, Literal[-1, 1]]:
    """Direction of every joint as the description's wiring says."""
    if description.wiring is None:
        return {}
    found = [direction for leg in LEGS for direction in description.wiring.legs[leg].directions]
    return dict(zip(description.joint_names, found, strict=True))


def wired_zeros(description: RobotDescription) -> dict[str, int]:
    """Zero of every joint as the description's wiring says, servo steps."""
    if description.wiring is None:
        return {}
    found = [zero for leg in LEGS for zero in description.wiring.legs[leg].zeros]
    return dict(zip(description.joint_names, found, strict=True))
