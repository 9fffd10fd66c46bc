"""A gait: twelve parameters and a family of phase offsets, turned into joint targets over one cycle.

Parameters and half-ellipse loci after Kohl & Stone (ICRA 2004), table I and figure 3. "x" is sideways (outward) and "y"
forward there and in the parameters' names; everywhere else in robotps x is forward, y left, z up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tomli_w

from robotps.description import GAIT_UNITS, POSITIVE, Family, RobotDescription
from robotps.errors import RobotpsError
from robotps.files import FileModel, read_toml, write_atomically
from robotps.kinematics import REACHED, LegKinematics
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.robot import Observation

PHASES: dict[Family, tuple[float, float, float, float]] = {
    #         front left, front right, rear left, rear right
    "trot": (0.0, 0.5, 0.5, 0.0),
    "walk": (0.25, 0.75, 0.0, 0.5),
    "pace": (0.0, 0.5, 0.0, 0.5),
    "bound": (0.0, 0.0, 0.5, 0.5),
    "pronk": (0.0, 0.0, 0.0, 0.0),
}
"""When in the cycle each foot touches down, as a fraction of the period."""

SAMPLES = 64
"""Joint targets a cycle. Between 64 of them a 5 cm half stroke is kept within 0.3 mm over nine tenths of the cycle; the
corners where a foot lifts off and touches down are rounded by up to 3 mm."""


class UnreachableGait(RobotpsError):
    """Some leg can reach no point of its locus."""


@dataclass(frozen=True)
class Gait:
    """A family and the twelve parameters by name, SI units (see GAIT_UNITS)."""

    family: Family
    parameters: Mapping[str, float]

    def __post_init__(self) -> None:
        for name in GAIT_UNITS:
            value = self.parameters.get(name)
            if value is None:
                raise RobotpsError(f"gait parameter '{name}' is missing")
            if not math.isfinite(value):
                raise RobotpsError(f"gait parameter '{name}' must be a finite number, it is {value}")
        for name in POSITIVE:
            if self.parameters[name] <= 0:
                raise RobotpsError(f"gait parameter '{name}' must be above 0, it is {self.parameters[name]:g}")
        if self.parameters["ground_fraction"] >= 1:
            raise RobotpsError("gait parameter 'ground_fraction' must be below 1: a foot must also swing")

    def __hash__(self) -> int:
        return hash((self.family, frozenset(self.parameters.items())))


class GaitFile(FileModel):
    """A gait as people keep it: parameters left out take the description's start."""

    robot: str | None = None
    family: Family | None = None
    parameters: dict[str, float] = {}  # noqa: RUF012 - pydantic copies it


def initial_gait(description: RobotDescription, family: Family | None = None) -> Gait:
    """The description's own start."""
    space = description.gait_space
    return Gait(family or description.gait.family, {parameter.name: parameter.initial for parameter in space})


def load_gait(path: Path | str, description: RobotDescription) -> Gait:
    """A gait from a TOML file; raises RobotpsError naming the file and key, also for a gait of another robot."""
    file = read_toml(path, GaitFile)
    if file.robot is not None and file.robot != description.name:
        raise RobotpsError(
            f"{path}: this is a gait of '{file.robot}', not of '{description.name}': give --robot {file.robot}, "
            f"or remove the line 'robot = ...' to try it all the same"
        )
    try:
        space = description.gait_space
        space.vector(file.parameters)
        start = {parameter.name: parameter.initial for parameter in space}
        return Gait(file.family or description.gait.family, {**start, **file.parameters})
    except RobotpsError as error:
        raise RobotpsError(f"{path}: {error}") from None


def save_gait(path: Path | str, gait: Gait, description: RobotDescription) -> None:
    """Write a gait file, whole or not at all."""
    table = {"robot": description.name, "family": gait.family, "parameters": dict(gait.parameters)}
    units = ", ".join(f"{name} {unit}" for name, unit in GAIT_UNITS.items() if unit != "m")
    write_atomically(path, f"# lengths in m, fractions of 1; {units}\n{tomli_w.dumps(table)}")


@dataclass(frozen=True)
class GaitCycle:
    """Joint targets over one period; a motion that begins at the standing pose and swells to the full gait.

    joints: (SAMPLES, n_joints), rad, at equal phases from 0. standing: (n_joints,), every foot at the centre of its
    locus. period: s. unreachable: fraction of all feet's loci out of reach. body_height: of the body's centre, m.
    ramp: s until the full gait is played.
    """

    joints: FloatArray
    standing: FloatArray
    period: float
    unreachable: float
    body_height: float
    ramp: float

    def __call__(self, time: float, last: Observation | None = None) -> FloatArray:
        """Joint targets, shape (n_joints,), rad, `time` s after the start."""
        place = time / self.period % 1.0 * SAMPLES
        index = int(place)
        here, there = self.joints[index % SAMPLES], self.joints[(index + 1) % SAMPLES]
        target: FloatArray = here + (place - index) * (there - here)
        if time < self.ramp:
            target = self.standing + time / self.ramp * (target - self.standing)
        return target


def foot_loci(description: RobotDescription, gait: Gait, samples: int = SAMPLES) -> FloatArray:
    """Foot centres in the body's frame over one cycle, shape (4, samples, 3), m; legs in the order of LEGS.

    A body whose rear is higher than its front is pitched: the loci lie along the floor, not along the body.

    Skew is the curvature of the path, 1/m, left positive. Kohl & Stone call it "locus skew multiplier in the x-y plane
    (for turning)" and give no formula or unit; read so, their step of 0.175 turns an ERS-210 by 14 degrees over five
    seconds, about as mild a change as their other steps. Read as the slope of the locus it would turn it by 200.
    """
    p = gait.parameters
    centre, height, level = _centres(description, gait)
    g, length, skew = p["ground_fraction"], p["locus_length"], p["locus_skew"]
    loci = np.empty((len(LEGS), samples, 3))
    phase = np.arange(samples) / samples
    for i, offset in enumerate(PHASES[gait.family]):
        own = (phase - offset) % 1.0
        ground = own < g
        s = (own - g) / (1.0 - g)
        # half-ellipse: straight on the ground, an arc above it
        forward = np.where(ground, length * (1.0 - 2.0 * own / g), -length * np.cos(np.pi * s))
        lift = np.where(ground, 0.0, height[i] * np.sin(np.pi * s))
        # on a circle of curvature skew the foot at (x, y) moves with (1 - skew y, skew x) times the body's speed
        x, y = centre[i, 0], centre[i, 1]
        forward, sideways = forward * (1.0 - skew * y), forward * skew * x
        loci[i] = centre[i] + np.stack([forward, sideways, lift], axis=1)
    # from the floor's axes to the body's: a row times R is R^T times a column
    in_body: FloatArray = loci @ level
    return in_body


def _centres(description: RobotDescription, gait: Gait) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Locus centres (4, 3) along the floor's axes from the body's centre, swing heights (4,), body rotation (3, 3)."""
    p = gait.parameters
    hips = np.array([description.legs[leg].joints[0].origin for leg in LEGS])
    feet = np.array([chain.forward(_straight(chain)[None, :])[0] for chain in chains(description)])
    wheelbase = hips[0, 0] - hips[2, 0]
    pitch = math.asin(np.clip((p["rear_body_height"] - p["front_body_height"]) / wheelbase, -0.9, 0.9))
    cos, sin = math.cos(pitch), math.sin(pitch)
    level = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])  # nose down is positive about y
    centre, height = hips @ level.T, np.empty(len(LEGS))
    for i, leg in enumerate(LEGS):
        end = "front" if leg.startswith("front") else "rear"
        outward = math.copysign(1.0, hips[i, 1])
        radius = description.legs[leg].foot.radius
        centre[i, 0] += p[f"{end}_locus_y"]
        centre[i, 1] = feet[i, 1] + outward * p[f"{end}_locus_x"]
        centre[i, 2] -= p[f"{end}_body_height"] - radius
        height[i] = p[f"{end}_locus_height"]
    return centre, height, level


def _straight(chain: LegKinematics) -> FloatArray:
    angles: FloatArray = np.clip(0.0, chain.lower, chain.upper)
    return angles


@lru_cache(maxsize=8)
def chains(description: RobotDescription) -> tuple[LegKinematics, ...]:
    """Kinematics of every leg, in the order of LEGS."""
    return tuple(LegKinematics(description.legs[leg]) for leg in LEGS)


@lru_cache(maxsize=16)
def gait_cycle(description: RobotDescription, gait: Gait) -> GaitCycle:
    """Joint targets of a gait, by inverse kinematics; points out of reach become the nearest ones within it.

    Raises UnreachableGait where a leg reaches no point of its locus. The latest gaits are kept, for they are tried
    again: in repeats, in other worlds, to confirm.
    """
    loci = foot_loci(description, gait)
    centre, _, level = _centres(description, gait)
    joints, standing, distances = [], [], []
    for locus, middle, chain in zip(loci, centre @ level, chains(description), strict=True):
        stand, _ = chain.inverse(middle[None, :])
        angles, distance = chain.inverse(locus, near=stand[0])
        joints.append(angles)
        standing.append(stand[0])
        distances.append(distance)
    nearest = np.min(distances, axis=1)
    worst = int(nearest.argmax())
    if nearest[worst] > REACHED:
        raise UnreachableGait(
            f"{description.name}'s {LEGS[worst]} leg reaches no point of its locus (it misses by at least "
            f"{nearest[worst] * 1000:.0f} mm): check body heights, locus offsets and length"
        )
    p = gait.parameters
    targets, stands = np.concatenate(joints, axis=1), np.concatenate(standing)
    targets.setflags(write=False)
    stands.setflags(write=False)
    return GaitCycle(
        joints=targets,
        standing=stands,
        period=p["period"],
        unreachable=float((np.array(distances) > REACHED).mean()),
        body_height=(p["front_body_height"] + p["rear_body_height"]) / 2,
        ramp=p["period"] / 2,
    )
