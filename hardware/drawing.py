"""What a joint looks like at its zero, and which way positive is: in words, and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robotps.description import Leg, RobotDescription
from robotps.errors import require
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.rotations import rotation_of

_TURN = 0.35
"""rad; how far the picture's second, faint leg is turned."""
_WORDS = (("forward", "back"), ("left", "right"), ("up", "down"))


def leg_points(leg: Leg, angles: FloatArray) -> FloatArray:
    """Joints and foot of a leg in the body's frame, (k + 1, 3), m, at joint angles (k,), rad."""
    turn, place, points = np.eye(3), np.zeros(3), []
    for joint, angle in zip(leg.joints, angles, strict=True):
        place = place + turn @ np.array(joint.origin)
        turn = turn @ rotation_of(joint.rpy)
        points.append(place)
        x, y, z = joint.axis
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        turn = turn @ (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    points.append(place + turn @ np.array(leg.foot.position))
    return np.array(points)


def direction(vector: FloatArray) -> str:
    """The main direction of a vector in the body's frame, in words."""
    axis = int(np.argmax(np.abs(vector)))
    return _WORDS[axis][0 if vector[axis] > 0 else 1]


def in_words(description: RobotDescription, joint: str) -> str:
    """How the joint's leg hangs with all its joints at zero, and where the foot goes when this joint's angle grows."""
    leg, index = _find(description, joint)
    zero = _zero(leg)
    points = leg_points(leg, zero)
    turned = zero.copy()
    turned[index] += _TURN
    moved = leg_points(leg, turned)[-1] - points[-1]
    after = leg.joints[index].name
    return (
        f"{joint} at zero, with the leg's other joints at zero: from the {after} joint the leg points "
        f"{direction(points[-1] - points[index])}. When its angle grows, the foot moves {direction(moved)}."
    )


def grows_towards(description: RobotDescription, joint: str) -> str:
    """Where the foot moves when this joint's angle grows from zero, in a word."""
    leg, index = _find(description, joint)
    zero = _zero(leg)
    turned = zero.copy()
    turned[index] += _TURN
    return direction(leg_points(leg, turned)[-1] - leg_points(leg, zero)[-1])


def draw(description: RobotDescription, joint: str, path: Path) -> None:
    """A PNG of the robot from its left side and from the front, the joint's leg in colour, turned a little in faint."""
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    chosen, index = _find(description, joint)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    views = figure.subplots(1, 2)
    titles = (("from the left", 0, "forward", 1.0), ("from the front", 1, "its left", 1.0))
    for axes, (title, across, label, sign) in zip(views, titles, strict=True):
        for name in LEGS:
            leg = description.legs[name]
            points = leg_points(leg, _zero(leg))
            mine = leg is chosen
            axes.plot(
                sign * points[:, across],
                points[:, 2],
                "o-",
                color="#c2410c" if mine else "#94a3b8",
                linewidth=3 if mine else 1.5,
                zorder=3 if mine else 1,
            )
        turned = _zero(chosen)
        turned[index] += _TURN
        points = leg_points(chosen, turned)
        axes.plot(sign * points[:, across], points[:, 2], "o--", color="#c2410c", alpha=0.35, zorder=2)
        hips = np.array([description.legs[name].joints[0].origin for name in LEGS])
        axes.fill_between([hips[:, across].min(), hips[:, across].max()], -0.015, 0.015, color="#cbd5e1", zorder=0)
        axes.set(title=title, xlabel=f"{label} (m)", ylabel="up (m)", aspect="equal")
    figure.suptitle(f"{joint} at zero (solid) and at +{np.degrees(_TURN):.0f} degrees (faint)")
    figure.savefig(path, dpi=120)


def _find(description: RobotDescription, joint: str) -> tuple[Leg, int]:
    for name in LEGS:
        for index, part in enumerate(description.legs[name].joints):
            if f"{name}_{part.name}" == joint:
                return description.legs[name], index
    raise ValueError(f"{description.name} has no joint {joint}")


def _zero(leg: Leg) -> FloatArray:
    return np.array([min(max(0.0, joint.lower), joint.upper) for joint in leg.joints])
