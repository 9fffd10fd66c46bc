"""A body as rigid links on hinges, each with mass, inertia and shapes, and its text as a URDF."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from robotps.parameters import FloatArray
from robotps.rotations import rotation_of
from sim.world import BodyWorld

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """A frame in another: rotation (3, 3) and position (3,), m."""

    rotation: Matrix
    position: FloatArray

    def __matmul__(self, inner: Place) -> Place:
        return Place(self.rotation @ inner.rotation, self.position + self.rotation @ inner.position)


def place(position: Sequence[float] | FloatArray = (0.0, 0.0, 0.0), rpy: Sequence[float] = (0.0, 0.0, 0.0)) -> Place:
    """A frame from position (m) and roll, pitch, yaw about fixed axes (rad)."""
    return Place(rotation_of((rpy[0], rpy[1], rpy[2])), np.array(position, dtype=np.float64))


@dataclass(frozen=True)
class Inertial:
    """mass kg; com: centre of mass (3,), m; inertia about it, (3, 3), kg m^2: all in the link's axes."""

    mass: float
    com: FloatArray
    inertia: Matrix

    def seen_from(self, frame: Place) -> Inertial:
        """The same mass in the outer frame in which this one's link has its place."""
        turn = frame.rotation
        return Inertial(self.mass, frame.position + turn @ self.com, turn @ self.inertia @ turn.T)


def combined(parts: Iterable[Inertial]) -> Inertial:
    """Rigidly joined masses as one, by the parallel axis theorem; parts share one frame."""
    parts = list(parts)
    mass = sum(part.mass for part in parts)
    if mass == 0:
        return Inertial(0.0, np.zeros(3), np.zeros((3, 3)))
    com = sum((part.mass * part.com for part in parts), np.zeros(3)) / mass
    inertia = np.zeros((3, 3))
    for part in parts:
        d = part.com - com
        inertia += part.inertia + part.mass * ((d @ d) * np.eye(3) - np.outer(d, d))
    return Inertial(mass, com, inertia)


@dataclass(frozen=True)
class Shape:
    """A URDF geometry element at its place in the link; colour: r g b a."""

    geometry: Element
    place: Place
    colour: str = "0.7 0.7 0.7 1"


@dataclass(frozen=True)
class Hinge:
    """How a link hangs on the one before it; axis (3,) in the link's frame, limits rad."""

    name: str
    parent: str
    place: Place
    axis: FloatArray
    lower: float
    upper: float


@dataclass(frozen=True)
class Link:
    """A rigid part. hinge: None for the trunk."""

    name: str
    inertial: Inertial
    collisions: tuple[Shape, ...]
    visuals: tuple[Shape, ...]
    hinge: Hinge | None = None


@dataclass(frozen=True)
class Body:
    """Links, the trunk first, then the joints' links in the order of `description.joint_names`."""

    links: tuple[Link, ...]

    @property
    def mass(self) -> float:
        """kg."""
        return sum(link.inertial.mass for link in self.links)

    def in_world(self, world: BodyWorld, armature: float) -> Body:
        """The body with the world's scales, and every rotor's reflected inertia added to the link that it moves.

        armature: kg m^2, added about the joint's axis.
        """
        return Body(tuple(_in_world(link, world, armature) for link in self.links))

    def urdf(self) -> str:
        """The body as URDF text, with the axes of inertia but not the moments: those come from `principal`.

        PyBullet would zero the moments of a thin link with a rotor ("bad inertia tensor properties").
        """
        robot = Element("robot", name="robot")
        for link in self.links:
            element = SubElement(robot, "link", name=link.name)
            moments, axes = principal(link.inertial)
            inertial = SubElement(element, "inertial")
            _origin(inertial, Place(axes, link.inertial.com))
            SubElement(inertial, "mass", value=repr(link.inertial.mass))
            ball = repr(float(moments.max()))
            SubElement(inertial, "inertia", ixx=ball, iyy=ball, izz=ball, ixy="0", ixz="0", iyz="0")
            for tag, shapes in (("collision", link.collisions), ("visual", link.visuals)):
                for shape in shapes:
                    holder = SubElement(element, tag)
                    _origin(holder, shape.place)
                    SubElement(holder, "geometry").append(shape.geometry)
                    if tag == "visual":
                        material = SubElement(holder, "material", name=shape.colour.replace(" ", "_"))
                        SubElement(material, "color", rgba=shape.colour)
        for link in self.links:
            if link.hinge is not None:
                _write_hinge(robot, link.name, link.hinge)
        ElementTree.indent(robot)  # PyBullet cannot read lines longer than 8 kB
        return ElementTree.tostring(robot, encoding="unicode")


def principal(inertial: Inertial) -> tuple[FloatArray, Matrix]:
    """Principal moments (3,), kg m^2, and axes as the columns of a rotation (3, 3)."""
    moments, axes = np.linalg.eigh(inertial.inertia)
    if np.linalg.det(axes) < 0:
        axes[:, 0] = -axes[:, 0]
    return moments, axes


def _in_world(link: Link, world: BodyWorld, armature: float) -> Link:
    scaled = link.inertial
    inertia = scaled.inertia * world.inertia_scale
    com = scaled.com
    if link.hinge is None:
        com = com + np.array(world.com_offset_m)
    else:
        inertia = inertia + armature * np.outer(link.hinge.axis, link.hinge.axis)
    return replace(link, inertial=Inertial(scaled.mass * world.mass_scale, com, inertia))


def _write_hinge(robot: Element, child: str, hinge: Hinge) -> None:
    joint = SubElement(robot, "joint", name=hinge.name, type="revolute")
    SubElement(joint, "parent", link=hinge.parent)
    SubElement(joint, "child", link=child)
    _origin(joint, hinge.place)
    SubElement(joint, "axis", xyz=spaced(hinge.axis))
    SubElement(joint, "limit", lower=repr(hinge.lower), upper=repr(hinge.upper), effort="1000", velocity="1000")


def _origin(element: Element, at: Place) -> None:
    r = at.rotation
    pitch = math.asin(max(-1.0, min(1.0, -float(r[2, 0]))))
    if abs(r[2, 0]) < 1 - 1e-9:
        rpy = (math.atan2(r[2, 1], r[2, 2]), pitch, math.atan2(r[1, 0], r[0, 0]))
    else:  # gimbal lock: all of the turn about the vertical goes into yaw
        rpy = (0.0, pitch, math.atan2(-r[0, 1], r[1, 1]))
    SubElement(element, "origin", xyz=spaced(at.position), rpy=spaced(rpy))


def spaced(values: Iterable[float]) -> str:
    """Numbers as URDF writes them."""
    return " ".join(repr(float(value)) for value in values)
