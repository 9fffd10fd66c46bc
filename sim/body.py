"""The simulated body of a description: its URDF's, or primitive shapes with the masses it gives."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np

from robotps.description import Leg, RobotDescription
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from sim.links import Body, Hinge, Inertial, Link, Matrix, Place, Shape, place, spaced
from sim.urdf_body import read_urdf_body

TRUNK_COLOUR = "0.30 0.34 0.40 1"
LEG_COLOURS = ("0.93 0.56 0.16 1", "0.80 0.82 0.85 1", "0.25 0.27 0.30 1")
FOOT_COLOUR = "0.12 0.12 0.13 1"


def body_of(description: RobotDescription) -> Body:
    """The body of a description: from its URDF, or from its primitive shapes."""
    if description.urdf is not None:
        return read_urdf_body(description)
    box = description.body
    trunk = Inertial(box.mass, np.array(box.com), _box_inertia(box.mass, box.size))
    shape = Shape(Element("box", size=spaced(box.size)), place(), TRUNK_COLOUR)
    x, y, z = box.size
    face = Shape(Element("box", size=spaced((x / 20, y * 0.7, z * 0.4))), place((x / 2, 0.0, z / 8)), LEG_COLOURS[0])
    links = [Link("trunk", trunk, (shape,), (shape, face))]
    for leg in LEGS:
        links.extend(_leg_links(leg, description.legs[leg]))
    return Body(tuple(links))


def _leg_links(name: str, leg: Leg) -> list[Link]:
    """Capsules from hinge to hinge; the last one ends in the ball of the foot."""
    links: list[Link] = []
    ends = [joint.origin for joint in leg.joints[1:]] + [leg.foot.position]
    parent = "trunk"
    for i, (joint, end) in enumerate(zip(leg.joints, ends, strict=True)):
        inertial, capsule = _capsule(joint.mass, joint.radius, np.array(end))
        colour = LEG_COLOURS[i % len(LEG_COLOURS)]
        collisions, visuals = [capsule], _smooth(capsule, joint.radius, i == 0, colour)
        if joint is leg.joints[-1]:
            foot = Shape(Element("sphere", radius=repr(leg.foot.radius)), place(leg.foot.position), FOOT_COLOUR)
            collisions.append(foot)
            visuals.append(foot)
        else:
            visuals.append(Shape(Element("sphere", radius=repr(joint.radius)), place(end), colour))
        joint_name = f"{name}_{joint.name}"
        hinge = Hinge(
            joint_name, parent, place(joint.origin, joint.rpy), np.array(joint.axis), joint.lower, joint.upper
        )
        parent = f"{joint_name}_link"
        links.append(Link(parent, inertial, tuple(collisions), tuple(visuals), hinge))
    return links


def _smooth(capsule: Shape, radius: float, first: bool, colour: str) -> list[Shape]:
    """What a capsule looks like, but for its far end: PyBullet's renderer draws a capsule's ends as cones."""
    ball = Shape(Element("sphere", radius=repr(radius)), place(), colour)
    if capsule.geometry.tag == "sphere":
        return []
    tube = Element("cylinder", radius=repr(radius), length=capsule.geometry.get("length", ""))
    return [Shape(tube, capsule.place, colour), *([ball] if first else [])]


def _capsule(mass: float, radius: float, end: FloatArray) -> tuple[Inertial, Shape]:
    """A solid capsule of even density from the origin to `end`; a ball where the two coincide."""
    length = float(np.linalg.norm(end))
    if length < 1e-6:
        ball = Inertial(mass, np.zeros(3), np.eye(3) * 0.4 * mass * radius**2)
        return ball, Shape(Element("sphere", radius=repr(radius)), place())
    along = end / length
    cylinder, balls = length, 4.0 / 3.0 * radius
    m_cylinder, m_balls = mass * cylinder / (cylinder + balls), mass * balls / (cylinder + balls)
    axial = m_cylinder * radius**2 / 2 + m_balls * 0.4 * radius**2
    # a half ball's centre of mass lies 3/8 r beyond the flat face
    across = m_cylinder * (radius**2 / 4 + length**2 / 12) + m_balls * (
        0.4 * radius**2 + length**2 / 4 + 3.0 / 8.0 * length * radius
    )
    inertia = across * np.eye(3) + (axial - across) * np.outer(along, along)
    geometry = Element("capsule", radius=repr(radius), length=repr(length))
    return Inertial(mass, end / 2, inertia), Shape(geometry, Place(_turn_z_to(along), end / 2))


def _box_inertia(mass: float, size: Sequence[float]) -> Matrix:
    x, y, z = size
    return np.diag([y * y + z * z, x * x + z * z, x * x + y * y]) * mass / 12


def _turn_z_to(along: FloatArray) -> Matrix:
    side = np.cross(along, [1.0, 0.0, 0.0] if abs(along[0]) < 0.9 else [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    return np.stack([np.cross(side, along), side, along], axis=1)
