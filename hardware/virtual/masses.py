"""Mass, centre of mass and inertia of every moving part, from a description's shapes or from its URDF."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.legs import LEGS
from robotps.parameters import FloatArray

LEAST_MASS = 1e-4
"""kg; a moving part of no mass cannot be simulated."""


@dataclass(frozen=True)
class LinkMass:
    """mass kg; com in the link's frame, m; inertia about the com in the link's axes, kg m^2: xx, yy, zz, xy, xz, yz."""

    mass: float
    com: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]


def link_masses(description: RobotDescription) -> dict[str, LinkMass]:
    """Of "trunk" and, as `<leg>_<joint>`, of the link that each joint moves. Raises RobotpsError for a URDF without."""
    return _from_urdf(description) if description.urdf else _from_shapes(description)


def _from_shapes(description: RobotDescription) -> dict[str, LinkMass]:
    trunk = description.body
    a, b, c = (side * side for side in trunk.size)
    box = np.diag([b + c, a + c, a + b]) * trunk.mass / 12
    masses = {"trunk": _link_mass(trunk.mass, np.array(trunk.com), box)}
    for name in LEGS:
        leg = description.legs[name]
        ends = [joint.origin for joint in leg.joints[1:]] + [leg.foot.position]
        for joint, end in zip(leg.joints, ends, strict=True):
            masses[f"{name}_{joint.name}"] = _capsule(max(joint.mass, LEAST_MASS), np.array(end), joint.radius)
    return masses


def _capsule(mass: float, end: FloatArray, radius: float) -> LinkMass:
    """A solid capsule from the origin to `end`: a cylinder and two half balls."""
    length = float(np.linalg.norm(end))
    ball, cylinder = 4 / 3 * radius, length  # volumes in units of pi r^2
    m_ball, m_cylinder = mass * ball / (ball + cylinder), mass * cylinder / (ball + cylinder)
    along = radius**2 * (2 / 5 * m_ball + 1 / 2 * m_cylinder)
    across = m_cylinder * (length**2 / 12 + radius**2 / 4)
    across += m_ball * (2 / 5 * radius**2 + length**2 / 4 + 3 / 8 * length * radius)
    direction = end / length if length > 0 else np.array([0.0, 0.0, 1.0])
    tensor = across * np.eye(3) + (along - across) * np.outer(direction, direction)
    return _link_mass(mass, end / 2, tensor)


def _from_urdf(description: RobotDescription) -> dict[str, LinkMass]:
    """Masses of the URDF's links; what hangs on a link by fixed joints, or by joints in no leg, counts to it."""
    root = ElementTree.parse(str(description.urdf)).getroot()
    joints = {str(joint.get("name")): joint for joint in root.iter("joint") if joint.find("child") is not None}
    links = {str(link.get("name")): link for link in root.iter("link")}
    driven = {
        str(joint.urdf): f"{name}_{joint.name}"
        for name in LEGS
        for joint in description.legs[name].joints
        if joint.urdf
    }
    children = {str(_end(joint, "child")) for joint in joints.values()}
    base = next(name for name in links if name not in children)
    starts = {"trunk": base} | {body: str(_end(joints[joint], "child")) for joint, body in driven.items()}
    masses = {}
    for body, link in starts.items():
        parts = list(_parts(link, np.zeros(3), np.eye(3), joints, links, set(driven)))
        masses[body] = _sum(parts)
        if masses[body].mass <= 0:
            raise RobotpsError(f"{description.urdf}: link '{link}' has no mass: it needs an <inertial>")
    return masses


def _parts(
    link: str,
    origin: FloatArray,
    turn: FloatArray,
    joints: dict[str, ElementTree.Element],
    links: dict[str, ElementTree.Element],
    driven: set[str],
) -> Iterable[tuple[float, FloatArray, FloatArray]]:
    """Mass, centre of mass and inertia tensor of a link and of all that moves with it, in the first link's frame."""
    inertial = links[link].find("inertial") if link in links else None
    if inertial is not None:
        at, rotation = _frame(inertial)
        mass = float(_attribute(inertial.find("mass"), "value"))
        tensor = np.zeros((3, 3))
        for (i, j), key in zip(
            [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)], ["ixx", "ixy", "ixz", "iyy", "iyz", "izz"], strict=True
        ):
            tensor[i, j] = tensor[j, i] = float(_attribute(inertial.find("inertia"), key))
        rotation = turn @ rotation
        yield mass, origin + turn @ at, rotation @ tensor @ rotation.T
    for name, joint in joints.items():
        if _end(joint, "parent") == link and name not in driven:
            at, rotation = _frame(joint)
            yield from _parts(_end(joint, "child"), origin + turn @ at, turn @ rotation, joints, links, driven)


def _sum(parts: list[tuple[float, FloatArray, FloatArray]]) -> LinkMass:
    mass = sum(part[0] for part in parts)
    if mass <= 0:
        return LinkMass(0.0, (0.0, 0.0, 0.0), (0.0,) * 6)
    com = sum((m * at for m, at, _ in parts), np.zeros(3)) / mass
    tensor = np.zeros((3, 3))
    for m, at, inertia in parts:
        arm = at - com
        tensor += inertia + m * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return _link_mass(mass, com, tensor)


def _link_mass(mass: float, com: FloatArray, tensor: FloatArray) -> LinkMass:
    x, y, z = com.tolist()
    inertia = [tensor[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    xx, yy, zz, xy, xz, yz = (float(value) for value in inertia)
    return LinkMass(mass, (x, y, z), (xx, yy, zz, xy, xz, yz))


def _end(joint: ElementTree.Element, end: str) -> str:
    return _attribute(joint.find(end), "link")


def _attribute(element: ElementTree.Element | None, name: str) -> str:
    value = None if element is None else element.get(name)
    return "0" if value is None else value


def _frame(element: ElementTree.Element) -> tuple[FloatArray, FloatArray]:
    """An element's <origin>: position and rotation matrix (fixed-axis roll, pitch, yaw)."""
    origin = element.find("origin")
    xyz = "0 0 0" if origin is None else origin.get("xyz", "0 0 0")
    rpy = "0 0 0" if origin is None else origin.get("rpy", "0 0 0")
    r, p, y = (float(part) for part in rpy.split())
    cr, sr, cp, sp, cy, sy = math.cos(r), math.sin(r), math.cos(p), math.sin(p), math.cos(y), math.sin(y)
    rotation = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    return np.array([float(part) for part in xyz.split()]), rotation
