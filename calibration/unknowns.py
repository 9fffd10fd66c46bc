"""The parameters of a World that identification may find, with what is believed of them beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robotps.description import RobotDescription
from sim.randomization import Randomization
from sim.world import World

SLOPES = ("floor.slope_ahead", "floor.slope_left")
"""The floor's slope as two components, rad, as steepness and direction have no derivative on level ground."""

TILTS = ("stand.tilt_ahead", "stand.tilt_left")
"""How far a trunk on the stand leans, rad: of no further interest, but nobody hangs a robot up quite level."""

SINK = "stance.sink"
"""m by which feet stand lower than the floor is taken to be: soft feet, or a tracked centre that is a little off."""

NUISANCES = (*TILTS, SINK)

LOOP_TIME_ERROR = 0.0004
"""s; how well the time is known that a servo's own loop takes to act on its encoder. It passes for a gain: the more,
the faster joint and loop swing by themselves."""


@dataclass(frozen=True)
class Unknown:
    """One parameter: a World's path (of a triple with its index). prior, spread: mean and standard deviation believed
    beforehand; lower, upper: what is possible. discrepancy: standard deviation by which the simulator's own errors
    move the estimate, however much data there is (see docs/reality-gap.md).
    """

    name: str
    unit: str
    prior: float
    spread: float
    lower: float
    upper: float
    discrepancy: float


def servo_unknowns(description: RobotDescription, world: World) -> list[Unknown]:
    """Of all servos together, and of each joint."""
    own = world.filled_in(description).servo
    given, servo = world.servo, description.servo
    coulomb, viscous = float(own.coulomb_friction or 0.0), float(own.viscous_friction or 0.0)
    armature, latency = float(own.armature or 0.0), float(own.latency_s or 0.0)
    backlash = float(own.backlash_rad or 0.0)
    line = servo.stall_torque / servo.no_load_speed
    # rad/s, of a rotor by itself
    swing = math.sqrt(servo.gain / max(armature, 0.001 * servo.stall_torque))
    unknowns = [
        Unknown("servo.strength_scale", "1", given.strength_scale, 0.15, 0.4, 1.8, 0.02),
        Unknown("servo.speed_scale", "1", given.speed_scale, 0.15, 0.5, 1.8, 0.012),
        Unknown("servo.gain_scale", "1", given.gain_scale, 0.2, 0.3, 2.5, LOOP_TIME_ERROR * swing),
        Unknown("servo.coulomb_friction", "N m", coulomb, *_around(coulomb, 0.03 * servo.stall_torque)),
        Unknown("servo.viscous_friction", "N m s/rad", viscous, *_around(viscous, 0.05 * line)),
        Unknown("servo.armature", "kg m^2", armature, *_around(armature, 0.001 * servo.stall_torque)),
        Unknown("servo.backlash_rad", "rad", backlash, *_around(backlash, 0.003)[:3], 0.001),
        Unknown("servo.latency_s", "s", latency, 0.01, 0.0, 0.06, 0.0012),
    ]
    joints = world.joints
    for name in description.joint_names:
        scale = joints[name].strength_scale if name in joints else 1.0
        zero = joints[name].zero_offset_rad if name in joints else 0.0
        unknowns.append(Unknown(f"joints.{name}.strength_scale", "1", scale, 0.05, 0.5, 1.5, 0.006))
        unknowns.append(Unknown(f"joints.{name}.zero_offset_rad", "rad", zero, 0.03, -0.2, 0.2, 0.005))
    return unknowns


def body_unknowns(world: World) -> list[Unknown]:
    """Of the body and the floor."""
    body = world.body
    slope, heading = math.radians(world.floor.slope_deg), math.radians(world.floor.slope_heading_deg)
    x, y, _ = body.com_offset_m
    return [
        Unknown("body.mass_scale", "1", body.mass_scale, 0.2, 0.4, 2.0, 0.02),
        Unknown("body.com_offset_m.0", "m", x, 0.015, -0.08, 0.08, 0.006),
        Unknown("body.com_offset_m.1", "m", y, 0.015, -0.08, 0.08, 0.006),
        Unknown("floor.friction", "1", world.floor.friction, 0.3, 0.05, 2.0, 0.03),
        Unknown(SLOPES[0], "rad", slope * math.cos(heading), 0.03, -0.2, 0.2, 0.016),
        Unknown(SLOPES[1], "rad", slope * math.sin(heading), 0.03, -0.2, 0.2, 0.016),
    ]


def sink_unknown() -> Unknown:
    """Of feet and floor."""
    return Unknown(SINK, "m", 0.0, 0.001, -0.01, 0.01, 0.0)


def stand_unknowns() -> list[Unknown]:
    """Of the stand."""
    return [Unknown(name, "rad", 0.0, 0.03, -0.2, 0.2, 0.0) for name in TILTS]


def _around(value: float, spread: float) -> tuple[float, float, float, float]:
    """spread, lower, upper and discrepancy of a quantity that is not negative."""
    return max(spread, value), 0.0, value + 8 * max(spread, value), 0.25 * max(spread, value)


def believed(unknowns: Sequence[Unknown], prior: Randomization) -> list[Unknown]:
    """The same with mean and spread from a prior distribution, where that has the parameter."""
    result = []
    for unknown in unknowns:
        path = unknown.name.split(".")
        section: Any = prior.joints.get(path[1]) if path[0] == "joints" else getattr(prior, path[0])
        fields = (section or {}) if path[0] == "joints" else section
        field = path[1] if path[-1].isdigit() else path[-1]
        found = fields.get(field) or (prior.each_joint.get(field) if path[0] == "joints" else None)
        if not found:
            result.append(unknown)
            continue
        one = found[int(path[-1])] if path[-1].isdigit() and len(found) > 1 else found[0]
        low, high = one.lowest(unknown.prior), one.highest(unknown.prior)
        # the standard deviation of a uniform distribution, or a normal one's from its ends at three of them
        spread = (high - low) / (6 if one.normal is not None else math.sqrt(12))
        mean = min(max((low + high) / 2, unknown.lower), unknown.upper)
        result.append(
            Unknown(
                unknown.name,
                unknown.unit,
                mean,
                max(spread, 1e-3 * unknown.spread),
                unknown.lower,
                unknown.upper,
                unknown.discrepancy,
            )
        )
    return result


def with_values(world: World, values: Mapping[str, float]) -> World:
    """The world with parameters, by name, set to values; the rest as it was.

    A heavier link of the same shape has more inertia: inertia_scale follows mass_scale.
    """
    table = world.model_dump()
    if "body.mass_scale" in values:
        table["body"]["inertia_scale"] *= values["body.mass_scale"] / world.body.mass_scale
    for name, value in values.items():
        if name in SLOPES or name in NUISANCES:
            continue
        path = name.split(".")
        if path[-1].isdigit():
            triple = list(table[path[0]][path[1]])
            triple[int(path[-1])] = value
            table[path[0]][path[1]] = tuple(triple)
            continue
        section = table
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = value
    if any(name in values for name in SLOPES):
        before = dict(zip(SLOPES, _components(world), strict=True))
        ahead, left = (values.get(name, before[name]) for name in SLOPES)
        table["floor"]["slope_deg"] = math.degrees(math.hypot(ahead, left))
        table["floor"]["slope_heading_deg"] = math.degrees(math.atan2(left, ahead))
    return World.model_validate(table)


def _components(world: World) -> tuple[float, float]:
    slope, heading = math.radians(world.floor.slope_deg), math.radians(world.floor.slope_heading_deg)
    return slope * math.cos(heading), slope * math.sin(heading)
