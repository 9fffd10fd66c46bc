"""Robot descriptions: one TOML file a robot, from which the simulated body, the gait and the serial wiring all come."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError, model_validator
from typing_extensions import Self

from robotps.errors import RobotpsError
from robotps.files import FileModel, parse, read_table
from robotps.legs import LEGS, MIRRORED, LegName
from robotps.parameters import Parameter, ParameterSpace
from robotps.rotations import rotation_of
from robotps.urdf import fill_in_from_urdf

GAIT_UNITS = {
    "front_locus_height": "m",
    "front_locus_x": "m",
    "front_locus_y": "m",
    "rear_locus_height": "m",
    "rear_locus_x": "m",
    "rear_locus_y": "m",
    "locus_length": "m",
    "locus_skew": "1/m",
    "front_body_height": "m",
    "rear_body_height": "m",
    "period": "s",
    "ground_fraction": "1",
}
"""The twelve parameters of Kohl & Stone (2004), table I, and their units."""

SIDEWAYS = ("front_locus_x", "rear_locus_x", "locus_skew")
POSITIVE = (
    "front_locus_height",
    "rear_locus_height",
    "locus_length",
    "front_body_height",
    "rear_body_height",
    "period",
    "ground_fraction",
)

Family = Literal["trot", "walk", "pace", "bound", "pronk"]
Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Box(FileModel):
    """The trunk: a box around the body's centre. size: m. com: centre of mass from the body's centre, m."""

    size: tuple[Positive, Positive, Positive] = (0.1, 0.1, 0.1)
    mass: Positive = 1.0
    com: Triple = (0.0, 0.0, 0.0)


class Joint(FileModel):
    """A hinge and the link that it moves.

    origin: of the hinge in the link before it, m (rpy: its rotation there, rad). axis: in the joint's own frame.
    lower, upper: rad. mass: of the moved link, kg; radius: of its capsule, m. urdf: the joint's name in a URDF.
    """

    name: str
    axis: Triple = (0.0, 1.0, 0.0)
    origin: Triple = (0.0, 0.0, 0.0)
    rpy: Triple = (0.0, 0.0, 0.0)
    lower: float = -3.15
    upper: float = 3.15
    mass: NotNegative = 0.0
    radius: Positive = 0.01
    urdf: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Joint:
        if not self.lower < self.upper:
            raise ValueError(f"joint {self.name}: lower limit {self.lower} rad must be below upper {self.upper} rad")
        if not abs(sum(a * a for a in self.axis) - 1) < 1e-6:
            raise ValueError(f"joint {self.name}: axis must have length 1, it is {list(self.axis)}")
        return self


class Foot(FileModel):
    """The ball that touches the floor. position: its centre in the last joint's frame, m. urdf: its link in a URDF."""

    position: Triple = (0.0, 0.0, 0.0)
    radius: Positive = 0.01
    urdf: str | None = None


class Leg(FileModel):
    """A chain of joints from body to foot. rest: angles near which the leg is used, rad; the side of the knee."""

    joints: tuple[Joint, ...] = Field(min_length=1)
    foot: Foot
    rest: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Leg:
        if len(self.rest) != len(self.joints):
            raise ValueError(f"rest has {len(self.rest)} angles for {len(self.joints)} joints")
        names = [joint.name for joint in self.joints]
        if len(set(names)) != len(names):
            raise ValueError(f"joint names must differ within a leg: {', '.join(names)}")
        for joint, angle in zip(self.joints, self.rest, strict=True):
            if not joint.lower <= angle <= joint.upper:
                raise ValueError(f"rest angle {angle} rad of {joint.name} is beyond its limits")
        return self

    @property
    def sideways(self) -> bool:
        """Whether some joint moves the foot sideways (abduction): its axis is not the body's y."""
        turn = np.eye(3)
        for joint in self.joints:
            turn = turn @ rotation_of(joint.rpy)
            if abs((turn @ joint.axis)[1]) < 0.99:
                return True
        return False  # turning about y leaves later axes where they are

    def mirrored(self) -> Leg:
        """The leg on the other side: positions mirrored in the x-z plane, axes so that equal angles move it alike."""

        def across(v: Triple) -> Triple:
            return (v[0], -v[1], v[2])

        joints = tuple(
            joint.model_copy(
                update={
                    "origin": across(joint.origin),
                    "axis": (-joint.axis[0], joint.axis[1], -joint.axis[2]),
                    "rpy": (-joint.rpy[0], joint.rpy[1], -joint.rpy[2]),
                }
            )
            for joint in self.joints
        )
        foot = self.foot.model_copy(update={"position": across(self.foot.position)})
        return self.model_copy(update={"joints": joints, "foot": foot})


class Servo(FileModel):
    """A position servo at its output shaft, at the nominal voltage.

    stall_torque N m and no_load_speed rad/s: ends of the torque-speed line. gain: torque for each radian of error,
    N m/rad, up to the line; derivative_time, s: times how fast the error changes, added to the error. coulomb_friction
    N m, viscous_friction N m s/rad, armature kg m^2, backlash rad (all the play), latency s (from command to torque).
    """

    model: str
    stall_torque: Positive
    no_load_speed: Positive
    gain: Positive
    derivative_time: NotNegative = 0.0
    voltage: Positive
    coulomb_friction: NotNegative = 0.0
    viscous_friction: NotNegative = 0.0
    armature: NotNegative = 0.0
    backlash: NotNegative = 0.0
    latency: NotNegative = 0.0


class LegWiring(FileModel):
    """Bus ids (OpenCat: joint indices) of a leg's joints in order; directions: +-1; zeros: servo steps at 0 rad."""

    ids: tuple[Annotated[int, Field(ge=0, le=252)], ...]
    directions: tuple[Literal[-1, 1], ...]
    zeros: tuple[int, ...]

    @model_validator(mode="after")
    def _check(self) -> LegWiring:
        if not len(self.ids) == len(self.directions) == len(self.zeros):
            raise ValueError("ids, directions and zeros must have one entry a joint")
        return self


class Wiring(FileModel):
    """How the robot hangs on its serial bus. gear: servo turns a joint turn."""

    protocol: Literal["dynamixel", "feetech", "opencat"]
    baud: Annotated[int, Field(gt=0)]
    gear: Positive = 1.0
    legs: dict[LegName, LegWiring]


class GaitParameter(FileModel):
    """Start, step (epsilon) and bounds of one gait parameter, in its SI unit."""

    initial: float
    step: Positive
    lower: float
    upper: float


class GaitDefaults(FileModel):
    """Where the search for this robot's gait starts. Parameters not listed under `parameters` are an error."""

    family: Family = "trot"
    parameters: dict[str, GaitParameter]

    @model_validator(mode="after")
    def _check(self) -> GaitDefaults:
        for name in self.parameters:
            if name not in GAIT_UNITS:
                near = difflib.get_close_matches(name, GAIT_UNITS, n=1)
                raise ValueError(f"unknown gait parameter '{name}'" + (f"; nearest: '{near[0]}'" if near else ""))
        for name in GAIT_UNITS:
            if name not in self.parameters:
                raise ValueError(f"gait parameter '{name}' is missing")
        for name in POSITIVE:
            if self.parameters[name].lower <= 0:
                raise ValueError(f"gait parameter '{name}': lower must be above 0, it is {self.parameters[name].lower}")
        if self.parameters["ground_fraction"].upper >= 1:
            raise ValueError("gait parameter 'ground_fraction': upper must be below 1: a foot must also swing")
        for name, parameter in self.parameters.items():
            if not parameter.lower <= parameter.initial <= parameter.upper:
                raise ValueError(
                    f"gait parameter '{name}': initial {parameter.initial} must lie between {parameter.lower} "
                    f"and {parameter.upper}"
                )
        return self


class RobotDescription(FileModel):
    """All that is known of one kind of robot. Frame: x forward, y left, z up, origin at the body's centre; SI units.

    control_period: s between two joint targets. `urdf`: a file (relative to this one) or `pybullet_data:PATH` that
    replaces `body` and the legs' geometry; the joints then name theirs. urdf_digest: of that file, filled in.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    title: str
    source: str = ""
    control_period: Annotated[float, Field(ge=0.002, le=0.1)] = 0.01
    urdf: str | None = None
    urdf_digest: str | None = None
    body: Box = Box()
    legs: dict[LegName, Leg]
    servo: Servo
    gait: GaitDefaults
    wiring: Wiring | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_mirrored_legs(cls, table: Any) -> Any:
        """A right leg left out is the left one mirrored."""
        legs = table.get("legs") if isinstance(table, dict) else None
        if not isinstance(legs, dict) or table.get("urdf"):
            return table
        legs = dict(legs)
        for right, left in MIRRORED.items():
            if right not in legs and left in legs:
                with suppress(ValidationError):  # the left leg's mistakes are told once, where they are
                    legs[right] = Leg.model_validate(legs[left]).mirrored()
        return {**table, "legs": legs}

    @model_validator(mode="after")
    def _check(self) -> RobotDescription:
        for leg in LEGS:
            if leg not in self.legs:
                raise ValueError(f"leg '{leg}' is missing: a description has {', '.join(LEGS)}")
            x, y, _ = self.legs[leg].joints[0].origin
            if (x > 0) != leg.startswith("front") or (y > 0) != leg.endswith("left"):
                raise ValueError(
                    f"legs.{leg}: its first joint is at x = {x:g}, y = {y:g} m, but x points forward and y to the left"
                )
        if self.wiring is not None:
            for leg in LEGS:
                if leg not in self.wiring.legs:
                    raise ValueError(f"wiring.legs: '{leg}' is missing")
                if len(self.wiring.legs[leg].ids) != len(self.legs[leg].joints):
                    raise ValueError(f"wiring.legs.{leg}: one id for each of {len(self.legs[leg].joints)} joints")
            ids = [id_ for leg in LEGS for id_ in self.wiring.legs[leg].ids]
            if len(set(ids)) != len(ids):
                raise ValueError(f"wiring: every servo needs an id of its own: {ids}")
        return self

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """`<leg>_<joint>`, legs in the order of LEGS."""
        return tuple(f"{leg}_{joint.name}" for leg in LEGS for joint in self.legs[leg].joints)

    @property
    def n_joints(self) -> int:
        return len(self.joint_names)

    @cached_property
    def joints(self) -> tuple[Joint, ...]:
        """All joints in the order of `joint_names`."""
        return tuple(joint for leg in LEGS for joint in self.legs[leg].joints)

    @property
    def mass(self) -> float:
        """Total mass, kg (of a description with primitive shapes)."""
        return self.body.mass + sum(joint.mass for joint in self.joints)

    @cached_property
    def gait_space(self) -> ParameterSpace:
        """The gait's parameters; a robot whose legs cannot move sideways has its sideways ones frozen at 0."""
        stiff = () if all(leg.sideways for leg in self.legs.values()) else SIDEWAYS
        return ParameterSpace(
            tuple(
                Parameter(name, unit, 0.0, p.step, 0.0, 0.0, frozen=True)
                if name in stiff
                else Parameter(name, unit, p.initial, p.step, p.lower, p.upper)
                for name, unit in GAIT_UNITS.items()
                for p in (self.gait.parameters[name],)
            )
        )

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of everything that a trial depends on; two robots differ where it differs."""
        wherever = {"urdf"} if self.urdf_digest else None
        content = json.dumps(self.model_dump(mode="json", exclude=wherever), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See BaseModel; what was worked out from the original is worked out anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]
        return copy


def bundled_robots() -> list[str]:
    """Names of the descriptions that come with robotps."""
    folder = resources.files("robotps") / "robots"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_description(robot: str | Path) -> RobotDescription:
    """A bundled description by name, or one from a TOML file; raises RobotpsError naming the file, key and mend."""
    name = str(robot)
    if name in bundled_robots():
        with resources.as_file(resources.files("robotps") / "robots" / f"{name}.toml") as path:
            return _load(path, name)
    if not name.endswith(".toml"):
        near = difflib.get_close_matches(name, bundled_robots(), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise RobotpsError(
            f"no robot is called '{name}': {hint}known are {', '.join(bundled_robots())}, or give a FILE.toml"
        )
    return _load(Path(name), name)


def _load(path: Path, source: str) -> RobotDescription:
    table = read_table(path)
    if isinstance(table.get("urdf"), str):
        table = fill_in_from_urdf(table, path)
    return parse(table, RobotDescription, source)


def describe(model: BaseModel) -> dict[str, Any]:
    """A model as plain tables, without what was left at its default."""
    return model.model_dump(mode="json", exclude_defaults=True)
