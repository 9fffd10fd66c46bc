"""The simulated body of a robot that comes as a URDF: its own masses, inertias and shapes, fixed joints merged."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.legs import LEGS
from robotps.urdf import digest_of
from sim.links import Body, Hinge, Inertial, Link, Place, Shape, combined, place


def read_urdf_body(description: RobotDescription) -> Body:
    """One link for the trunk and one for each joint that the description names.

    What hangs on such a link by any other joint (fixed, or a movable one that no leg names, held at zero) is part of
    it. Raises RobotpsError for a file that cannot be read or has changed, a missing mesh or a link without mass.
    """
    path = Path(str(description.urdf))
    try:
        content = path.read_bytes()
        root = ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError) as error:
        raise RobotpsError(f"{path}, the URDF of '{description.name}', cannot be read: {error}") from None
    if description.urdf_digest not in (None, digest_of(content)):
        raise RobotpsError(f"{path} is another URDF than that which '{description.name}' was made with: put it back")
    return _Reader(root, path).body(description)


class _Reader:
    def __init__(self, root: Element, path: Path) -> None:
        self.path = path
        self.links = {str(link.get("name")): link for link in root.findall("link")}
        self.colours = {
            str(material.get("name")): str(colour.get("rgba"))
            for material in [*root.iterfind("link/visual/material"), *root.findall("material")]
            for colour in material.iter("color")
        }
        self.joints = {str(joint.get("name")): joint for joint in root.findall("joint")}
        self.below: dict[str, list[Element]] = defaultdict(list)
        for joint in self.joints.values():
            self.below[_end(joint, "parent")].append(joint)
        children = {_end(joint, "child") for joint in self.joints.values()}
        self.base = next(name for name in self.links if name not in children)

    def body(self, description: RobotDescription) -> Body:
        hinged = {joint.urdf for joint in description.joints}
        links = [self.part("trunk", self.base, hinged, None)]
        for leg in LEGS:
            parent = "trunk"
            for joint in description.legs[leg].joints:
                name = f"{leg}_{joint.name}"
                hinge = Hinge(
                    name, parent, place(joint.origin, joint.rpy), np.array(joint.axis), joint.lower, joint.upper
                )
                parent = f"{name}_link"
                links.append(self.part(parent, _end(self.joints[str(joint.urdf)], "child"), hinged, hinge))
        return Body(tuple(links))

    def part(self, name: str, link: str, hinged: set[str | None], hinge: Hinge | None) -> Link:
        """A link and all that is rigidly joined to it."""
        inertials: list[Inertial] = []
        shapes: dict[str, list[Shape]] = {"collision": [], "visual": []}
        parts = [(link, place())]
        while parts:
            inner, frame = parts.pop(0)
            element = self.links[inner]
            if (found := element.find("inertial")) is not None:
                inertials.append(_inertial(found).seen_from(frame))
            for tag, kept in shapes.items():
                kept.extend(self.shape(shape, frame) for shape in element.findall(tag))
            parts.extend(
                (_end(joint, "child"), frame @ _origin(joint))
                for joint in self.below[inner]
                if joint.get("name") not in hinged
            )
        inertial = combined(inertials)
        if inertial.mass <= 0:
            raise RobotpsError(f"{self.path}: link '{link}' needs an <inertial> with a mass above 0 to be simulated")
        return Link(name, inertial, tuple(shapes["collision"]), tuple(shapes["visual"]), hinge)

    def shape(self, element: Element, frame: Place) -> Shape:
        geometry = element.find("geometry")
        inner = None if geometry is None else next(iter(geometry), None)
        if inner is None:
            raise RobotpsError(f"{self.path}: a <{element.tag}> has no geometry")
        inner = copy.deepcopy(inner)
        if inner.tag == "mesh":
            inner.set("filename", str(self.mesh(str(inner.get("filename")))))
        material, own, colour = element.find("material"), element.find("material/color"), "0.7 0.7 0.7 1"
        if own is not None:
            colour = str(own.get("rgba"))
        elif material is not None:
            colour = self.colours.get(str(material.get("name")), colour)
        return Shape(inner, frame @ _origin(element), colour)

    def mesh(self, filename: str) -> Path:
        """A mesh beside the URDF, or below one of the folders above it, as in ROS packages."""
        relative = filename.removeprefix("package://").removeprefix("file://")
        for folder in self.path.parents:
            if (folder / relative).exists():
                return folder / relative
        raise RobotpsError(f"{self.path}: its mesh '{filename}' is neither beside it nor below a folder above it")


def _inertial(element: Element) -> Inertial:
    mass = element.find("mass")
    tensor = element.find("inertia")
    kilograms = 0.0 if mass is None else float(mass.get("value", "0"))

    def moment(key: str) -> float:
        return 0.0 if tensor is None else float(tensor.get(key, "0"))

    keys = (("ixx", "ixy", "ixz"), ("ixy", "iyy", "iyz"), ("ixz", "iyz", "izz"))
    inertia = np.array([[moment(key) for key in row] for row in keys])
    return Inertial(kilograms, np.zeros(3), inertia).seen_from(_origin(element))


def _origin(element: Element) -> Place:
    found = element.find("origin")
    if found is None:
        return place()
    return place(*([float(part) for part in found.get(key, "0 0 0").split()] for key in ("xyz", "rpy")))


def _end(joint: Element, end: str) -> str:
    found = joint.find(end)
    return "" if found is None else str(found.get("link"))
