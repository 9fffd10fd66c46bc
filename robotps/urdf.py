"""Geometry and masses of a robot whose description points at a URDF: each leg's chain of hinges, read from the XML."""

from __future__ import annotations

import hashlib
import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from robotps.errors import MissingExtra, RobotpsError
from robotps.legs import LEGS
from robotps.parameters import FloatArray

PYBULLET_DATA = "pybullet_data:"


def fill_in_from_urdf(table: dict[str, Any], description: Path) -> dict[str, Any]:
    """The tables of a description with `urdf` resolved to a path, and legs and masses read from it.

    A leg lists `joints = [{ name, urdf }, ...]` from the body outwards and `foot = { urdf, radius }`, its `position` in
    that link where the foot is not at its origin; everything else about them comes from the URDF, but limits given
    beside the name win. A link's mass counts for the joint that moves it, the rest for the body. Raises RobotpsError
    for a missing file, joint or link, and for a hinge in no leg.
    """
    path = urdf_path(table["urdf"], description)
    try:
        content = path.read_bytes()
        root = ElementTree.fromstring(content)
    except FileNotFoundError:
        raise RobotpsError(f"{description}: 'urdf': there is no file {path}") from None
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise RobotpsError(f"{description}: 'urdf': {path} cannot be read: {error}") from None
    if "body" in table:
        raise RobotpsError(f"{description}: 'body' comes from the URDF: remove it here")
    legs = table.get("legs")
    if not isinstance(legs, dict):
        return table
    try:
        tree = _Tree(root, path)
        filled = {name: tree.leg(f"{description}: legs.{name}", leg) for name, leg in legs.items()}
        mass = tree.mass_moved_by(None)
    except ValueError as error:
        raise RobotpsError(f"{description}: 'urdf': {path} holds what should be a number and is not: {error}") from None
    if tree.hinges and set(LEGS) <= set(legs):  # a missing leg is told as such
        raise RobotpsError(
            f"{description}: {path} has joints that are in no leg: {', '.join(sorted(tree.hinges))}; "
            f"list them in their legs, or make them fixed in the URDF"
        )
    own = {"urdf": str(path), "urdf_digest": digest_of(content)}
    return {**table, **own, "body": {"mass": mass}, "legs": filled}


def digest_of(urdf: bytes) -> str:
    """What a description knows its URDF by, wherever it lies."""
    return hashlib.sha256(urdf).hexdigest()[:16]


def urdf_path(urdf: str, description: Path) -> Path:
    """The file that a description's `urdf` names: absolute, beside the description, or `pybullet_data:PATH`."""
    if urdf.startswith(PYBULLET_DATA):
        spec = importlib.util.find_spec("pybullet_data")
        if spec is None or spec.origin is None:
            raise MissingExtra(f"{description}: '{urdf}' comes with PyBullet: pip install 'robotps[sim]'")
        return Path(spec.origin).parent / urdf.removeprefix(PYBULLET_DATA)
    return (description.parent / urdf).resolve()


class _Tree:
    """Links and joints of a URDF. `hinges`: names of the moving joints that no leg has taken yet."""

    def __init__(self, root: ElementTree.Element, path: Path) -> None:
        self.path = path
        self.joints = {str(joint.get("name")): joint for joint in root.findall("joint")}
        self.hinges = {name for name, joint in self.joints.items() if joint.get("type") != "fixed"}
        self.above = {_link(joint, "child"): joint for joint in self.joints.values()}
        self.masses = {str(link.get("name")): _mass(link) for link in root.findall("link")}
        for name, joint in self.joints.items():
            for end in ("parent", "child"):
                if _link(joint, end) not in self.masses:
                    raise RobotpsError(f"{path}: the {end} of joint '{name}' is no link here: '{_link(joint, end)}'")
            if joint.get("type") == "floating":
                raise RobotpsError(f"{path}: joint '{name}' is floating: make it fixed, or remove it and what is above")
        roots = [link for link in self.masses if link not in self.above]
        if len(roots) != 1:
            raise RobotpsError(f"{path}: one link hangs on no other; here these do: {', '.join(roots) or 'none'}")
        self.base = roots[0]
        for link in self.above:
            self._moved_by(link)

    def leg(self, where: str, leg: Any) -> Any:
        """One leg's table, completed."""
        try:
            names = [joint["urdf"] for joint in leg["joints"]]
            foot = leg["foot"]["urdf"]
            if not all(isinstance(name, str) for name in (*names, foot)):
                raise TypeError
        except (KeyError, TypeError):
            raise RobotpsError(
                f"{where}: with a URDF a leg needs joints = [{{ name = ..., urdf = JOINT }}, ...] and "
                f"foot = {{ urdf = LINK, radius = ... }}"
            ) from None
        joints, base = [], self.base
        for named, name in zip(leg["joints"], names, strict=True):
            for key in ("axis", "origin", "rpy", "mass"):
                if key in named:
                    raise RobotpsError(f"{where}: '{key}' of joint '{name}' comes from the URDF: remove it here")
            element = self._hinge(where, name)
            place = self._place(where, base, element)
            joints.append(
                {
                    **_axis_and_limits(element),
                    "origin": place[:3, 3].tolist(),
                    "rpy": Rotation.from_matrix(place[:3, :3]).as_euler("xyz").tolist(),
                    "mass": self.mass_moved_by(name),
                    **named,
                }
            )
            base = _link(element, "child")
        if foot not in self.above:
            raise RobotpsError(f"{where}: {self.path} has no link '{foot}'; it has {', '.join(sorted(self.above))}")
        place = np.eye(4) if foot == base else self._place(where, base, self.above[foot])
        position = place @ [*leg["foot"].get("position", (0.0, 0.0, 0.0)), 1.0]
        return {**leg, "joints": joints, "foot": {**leg["foot"], "position": position[:3].tolist()}}

    def mass_moved_by(self, joint: str | None) -> float:
        """Mass of the links that are fixed to each other and moved by a joint (None: the body's), kg."""
        return sum(mass for link, mass in self.masses.items() if self._moved_by(link) == joint)

    def _moved_by(self, link: str) -> str | None:
        passed = set()
        while link in self.above:
            joint = self.above[link]
            if joint.get("type") != "fixed":
                return joint.get("name")
            if link in passed:
                raise RobotpsError(f"{self.path}: link '{link}' hangs on itself")
            passed.add(link)
            link = _link(joint, "parent")
        return None

    def _hinge(self, where: str, name: str) -> ElementTree.Element:
        if name not in self.joints:
            raise RobotpsError(f"{where}: {self.path} has no joint '{name}'; it has {', '.join(sorted(self.joints))}")
        joint = self.joints[name]
        if joint.get("type") not in ("revolute", "continuous"):
            raise RobotpsError(f"{where}: joint '{name}' of {self.path} is {joint.get('type')}, not a hinge")
        if name not in self.hinges:
            raise RobotpsError(f"{where}: joint '{name}' is named twice")
        self.hinges.remove(name)
        return joint

    def _place(self, where: str, base: str, joint: ElementTree.Element) -> FloatArray:
        """A joint's frame in that of link `base`, (4, 4), through fixed joints in between."""
        place, between = _origin(joint), joint
        while (link := _link(between, "parent")) != base:
            if link not in self.above or self.above[link].get("type") != "fixed":
                raise RobotpsError(f"{where}: '{joint.get('name')}' does not follow on link '{base}' in {self.path}")
            between = self.above[link]
            place = _origin(between) @ place
        return place


def _link(joint: ElementTree.Element, end: str) -> str:
    element = joint.find(end)
    return "" if element is None else str(element.get("link"))


def _mass(link: ElementTree.Element) -> float:
    element = link.find("inertial/mass")
    return 0.0 if element is None else float(element.get("value", "0"))


def _numbers(element: ElementTree.Element | None, key: str, default: str) -> list[float]:
    text = default if element is None else element.get(key, default)
    return [float(part) for part in text.split()]


def _origin(joint: ElementTree.Element) -> FloatArray:
    element = joint.find("origin")
    place = np.eye(4)
    place[:3, :3] = Rotation.from_euler("xyz", _numbers(element, "rpy", "0 0 0")).as_matrix()  # about fixed axes
    place[:3, 3] = _numbers(element, "xyz", "0 0 0")
    return place


def _axis_and_limits(joint: ElementTree.Element) -> dict[str, Any]:
    limit = joint.find("limit")
    axis = np.array(_numbers(joint.find("axis"), "xyz", "1 0 0"))
    length = float(np.linalg.norm(axis))
    hinge: dict[str, Any] = {"axis": (axis / length if length > 0 else axis).tolist()}
    if limit is not None and joint.get("type") == "revolute":
        hinge |= {"lower": float(limit.get("lower", "-3.15")), "upper": float(limit.get("upper", "3.15"))}
    return hinge
