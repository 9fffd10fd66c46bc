"""What a robot looks like to a viewer: frames that move with the joints, boxes, capsules and balls fixed to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from robotps.description import RobotDescription, Triple
from robotps.feet import feet_in_body
from robotps.gait import chains
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.robot import Telemetry
from robotps.rotations import Quaternion, quaternion_of, rotation_matrices, rotation_of, times

BODY = "body"
Colour = tuple[float, float, float]
BODY_COLOUR: Colour = (0.30, 0.34, 0.40)
LEG_COLOURS: tuple[Colour, ...] = ((0.93, 0.56, 0.16), (0.72, 0.75, 0.79), (0.35, 0.38, 0.42))
FOOT_COLOUR: Colour = (0.13, 0.13, 0.14)


@dataclass(frozen=True)
class Frame:
    """A link's frame in its parent's: at `origin`, turned by `fixed` and then about `axis` by the joint's angle."""

    name: str
    parent: str
    origin: Triple
    fixed: Quaternion
    axis: Triple

    def turn(self, angles: FloatArray) -> FloatArray:
        """Quaternions x, y, z, w (T, 4) at angles (T,), rad."""
        half = angles[:, None] / 2
        about = np.concatenate([np.sin(half) * np.array(self.axis), np.cos(half)], axis=1)
        return times(np.array(self.fixed), about)


@dataclass(frozen=True)
class Shape:
    """A solid fixed to a frame. size, m: box: x, y, z; cylinder along its own z: radius, length; ball: radius."""

    frame: str
    kind: Literal["box", "cylinder", "ball"]
    size: tuple[float, ...]
    position: Triple
    turn: Quaternion
    colour: Colour


def frames(description: RobotDescription) -> list[Frame]:
    """A frame for every joint, in the order of `joint_names`; the first of each leg hangs on the body."""
    found = []
    for leg in LEGS:
        parent = BODY
        for joint in description.legs[leg].joints:
            name = f"{leg}_{joint.name}"
            found.append(Frame(name, parent, joint.origin, quaternion_of(rotation_of(joint.rpy)), joint.axis))
            parent = name
    return found


def shapes(description: RobotDescription) -> list[Shape]:
    """The body's box, a cylinder and a ball for each link, a ball for each foot."""
    found = [_trunk(description)]
    for name in LEGS:
        leg = description.legs[name]
        ends = [joint.origin for joint in leg.joints[1:]] + [leg.foot.position]
        for depth, (joint, end) in enumerate(zip(leg.joints, ends, strict=True)):
            colour = LEG_COLOURS[min(depth, len(LEG_COLOURS) - 1)]
            frame = f"{name}_{joint.name}"
            found.append(Shape(frame, "ball", (joint.radius,), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), colour))
            length = math.sqrt(sum(value * value for value in end))
            if length > 1e-6:
                middle = (end[0] / 2, end[1] / 2, end[2] / 2)
                found.append(Shape(frame, "cylinder", (joint.radius, length), middle, _from_z(end), colour))
        last = f"{name}_{leg.joints[-1].name}"
        foot = leg.foot
        found.append(Shape(last, "ball", (foot.radius,), foot.position, (0.0, 0.0, 0.0, 1.0), FOOT_COLOUR))
    return found


def _trunk(description: RobotDescription) -> Shape:
    """The body's box; a robot described by a URDF gets one that reaches from hip to hip."""
    size: tuple[float, ...] = description.body.size
    if description.urdf is not None:
        hips = np.array([description.legs[leg].joints[0].origin for leg in LEGS])
        reach = np.ptp(hips, axis=0)
        size = (float(reach[0]), float(max(reach[1], 0.05)), float(max(reach[2], 0.3 * reach[0])))
    return Shape(BODY, "box", size, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), BODY_COLOUR)


@dataclass(frozen=True)
class Poses:
    """What to draw at each moment; readings that are missing hold their last value.

    joints: (T, n_joints). position (T, 3), orientation (T, 4): of the body on the floor. measured: whether the position
    was; where it was not, the robot walks on the spot with its lowest foot on the floor.
    """

    time: FloatArray
    joints: FloatArray
    position: FloatArray
    orientation: FloatArray
    measured: bool


def poses(description: RobotDescription, telemetry: Telemetry) -> Poses:
    """The robot at every moment; a robot that senses no joints is drawn where it was sent."""
    joints = held(telemetry.sent if telemetry.position is None else telemetry.position)
    level = np.tile([0.0, 0.0, 0.0, 1.0], (len(joints), 1))
    orientation = level if telemetry.orientation is None else held(telemetry.orientation)
    if not np.isfinite(orientation).all():
        orientation = level
    if telemetry.base_position is not None and np.isfinite(position := held(telemetry.base_position)).all():
        return Poses(telemetry.time, joints, position, orientation, measured=True)
    feet = np.einsum("tij,ltj->lti", rotation_matrices(orientation), feet_in_body(description, joints))
    radii = np.array([chain.foot_radius for chain in chains(description)])[:, None]
    height = -np.min(feet[:, :, 2] - radii, axis=0)
    nowhere = np.zeros_like(height)
    return Poses(telemetry.time, joints, np.stack([nowhere, nowhere, height], axis=1), orientation, measured=False)


def held(values: FloatArray) -> FloatArray:
    """Values (T, k) with each missing one replaced by the last before it, or the first after where there is none."""
    filled: FloatArray = values.copy()
    for column in filled.T:
        known = np.flatnonzero(np.isfinite(column))
        if len(known):
            last = np.maximum(np.searchsorted(known, np.arange(len(column)), side="right") - 1, 0)
            column[:] = column[known[last]]
    return filled


def _from_z(direction: Sequence[float]) -> Quaternion:
    """The shortest turn that brings the z axis along a direction."""
    x, y, z = np.array(direction) / np.linalg.norm(direction)
    if z < -1 + 1e-9:
        return 1.0, 0.0, 0.0, 0.0
    turn = np.array([-y, x, 0.0, 1.0 + z])
    a, b, c, d = (turn / np.linalg.norm(turn)).tolist()
    return a, b, c, d
