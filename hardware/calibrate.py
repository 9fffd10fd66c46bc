"""Zeros and directions, one joint at a time: slow, with little force, a person comparing the robot with a drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from hardware import drawing
from hardware.calibration_file import (
    Calibration,
    JointCalibration,
    load_calibration,
    save_calibration,
    wired_directions,
    wired_zeros,
)
from hardware.joints import JointMap
from hardware.person import Person
from hardware.robot import SerialRobot
from hardware.safety import SafetyLimits
from hardware.timing import Pace
from robotps.description import RobotDescription
from robotps.errors import MissingExtra, RobotpsError

EFFORT = 0.35
"""Of full: enough to lift a leg, too little to break one."""
SLOW = 0.5
NUDGE = 0.2
"""rad; how far a joint is turned to see which way it goes."""
SHOWN = 20
"""How often that is shown to somebody who does not say."""
MAX_JOG = 30.0
"""degrees at a time."""


class BareRobot(SerialRobot):
    """A robot whose zeros and directions are not known yet: its angles are the servos' own, from where they are."""

    effort = EFFORT

    def _joint_map(self) -> JointMap:
        return JointMap.bare(self.description, self._bus.steps_per_turn, self._bus.step_limits, self._bus.held())

    def _crouch(self) -> None:
        """A robot on a stand has nowhere to lie down to."""


def calibrate(
    description: RobotDescription,
    port: str,
    path: Path,
    person: Person,
    *,
    joint: str | None = None,
    resume: bool = False,
    pace: Pace = "wall",
    tell: Callable[[str], None],
) -> Calibration:
    """Calibrate all joints, or one, saving after each; `resume`: leave out those that the file has.

    Raises RobotpsError for an unknown joint, and whatever the robot has to complain about.
    """
    if joint is not None and joint not in description.joint_names:
        raise RobotpsError(f"{description.name} has no joint '{joint}': {', '.join(description.joint_names)}")
    kept = load_calibration(path, description) if path.exists() and (resume or joint) else None
    calibration = kept or Calibration(robot=description.name)
    names = [joint] if joint else [n for n in description.joint_names if n not in calibration.joints]
    if not names:
        tell(f"{path} has every joint already")
        return calibration
    person.ask("on_stand", "put the robot on a stand: no foot may touch anything")
    with BareRobot(description, port, pace=pace, limits=SafetyLimits(slow_speed=SLOW), tell=tell) as robot:
        start = np.zeros(description.n_joints)
        robot.turn(start)
        for name in names:
            one = _Joint(robot, name, person, path, tell)
            found = one.calibrate(calibration.joints.get(name))
            calibration = calibration.model_copy(update={"joints": {**calibration.joints, name: found}})
            save_calibration(path, calibration)
            tell(f"{name}: zero {found.zero}, direction {found.direction:+d}; saved in {path}")
            robot.turn(start)
    return calibration


class _Joint:
    """One joint being calibrated."""

    def __init__(self, robot: BareRobot, name: str, person: Person, path: Path, tell: Callable[[str], None]) -> None:
        self._robot = robot
        self._name = name
        self._index = robot.description.joint_names.index(name)
        wiring = robot.description.wiring
        self._gear = wiring.gear if wiring else 1.0
        """Turns of the servo's shaft, which is what the robot's angles are here, a turn of the joint."""
        self._person = person
        self._tell = tell
        self._angle = 0.0
        self._picture = path.with_name(f"{path.stem}.{name}.png")

    def calibrate(self, before: JointCalibration | None) -> JointCalibration:
        """Direction, then zero."""
        description, name = self._robot.description, self._name
        try:
            drawing.draw(description, name, self._picture)
            self._tell(f"{drawing.in_words(description, name)} Drawn in {self._picture}")
        except MissingExtra:
            self._tell(drawing.in_words(description, name))
        direction = self._direction()
        zero = self._zero(direction, before.zero if before else wired_zeros(description)[name])
        joints, part = self._robot.safety.joints, description.joints[self._index]
        scale = abs(float(joints.scale[self._index])) * self._gear
        ends = sorted(round(zero + direction * scale * end) for end in (part.lower, part.upper))
        settings = self._robot.servos[self._index].settings
        return JointCalibration(
            id=joints.ids[self._index],
            zero=zero,
            direction=direction,
            homing_offset=settings.get("homing_offset", 0),
            drive_mode=settings.get("drive_mode", 0),
            range_min=ends[0],
            range_max=ends[1],
        )

    def _direction(self) -> Literal[-1, 1]:
        towards = drawing.grows_towards(self._robot.description, self._name)
        expected = wired_directions(self._robot.description)[self._name]
        for _ in range(SHOWN):
            self._turn(expected * NUDGE)
            question = f"{self._name}: did the foot just move {towards}? y or n, or r to see it again? "
            answer = self._ask(question, "direction")
            self._turn(-expected * NUDGE)
            if answer.startswith("y"):
                return expected
            if answer.startswith("n"):
                return -1 if expected == 1 else 1
        raise RobotpsError(f"{self._name}: nobody said y or n; go on with --resume")

    def _zero(self, direction: int, guess: int) -> int:
        joints = self._robot.safety.joints
        scale = float(joints.scale[self._index])
        away = (guess - joints.to_steps(self._angles())[self._index]) / scale
        if abs(away) < math.radians(3 * MAX_JOG):
            self._turn(away)
        while True:
            answer = self._ask(
                f"{self._name}: is it at its zero, as drawn? Enter if so, or the degrees still to go, as 2.5 or -4? ",
                "zero",
            )
            if answer in ("", "y"):
                return int(joints.to_steps(self._angles())[self._index])
            try:
                degrees = float(answer)
            except ValueError:
                self._tell(f"'{answer}' is no number of degrees")
                continue
            degrees = min(max(degrees, -MAX_JOG), MAX_JOG)
            self._turn(direction * self._gear * math.radians(degrees))

    def _turn(self, angle: float) -> None:
        """Turn the servo by an angle, rad, slowly, from where it was sent last."""
        self._angle += angle
        self._robot.turn(self._angles())

    def _angles(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        angles = np.zeros(self._robot.description.n_joints)
        angles[self._index] = self._angle
        return angles

    def _ask(self, question: str, about: Literal["direction", "zero"]) -> str:
        answer = self._person.ask("confirm", question, joint=self._name, about=about)
        return str(answer.get("text", "")).strip().lower()
