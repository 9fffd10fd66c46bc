"""A simulated physical situation: everything about body, floor, servos and start that reality could disagree with."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from robotps.description import NotNegative, Positive, RobotDescription, Triple
from robotps.errors import RobotpsError
from robotps.files import FileModel, parse, read_table

STANDARD_GRAVITY = 9.80665


class BodyWorld(FileModel):
    """mass_scale, inertia_scale: of every link. com_offset_m: of the trunk's centre of mass, in the body's frame."""

    mass_scale: Positive = 1.0
    inertia_scale: Positive = 1.0
    com_offset_m: Triple = (0.0, 0.0, 0.0)


class Floor(FileModel):
    """friction: Coulomb coefficient between floor and robot. roughness_m: from the lowest to the highest point.

    slope_deg: how steep the floor is; slope_heading_deg: where uphill lies, left positive from ahead at the start.
    """

    friction: NotNegative = 0.7
    slope_deg: Annotated[float, Field(ge=0, lt=90)] = 0.0
    slope_heading_deg: float = 0.0
    roughness_m: NotNegative = 0.0


class ServoWorld(FileModel):
    """All servos. Scales multiply the description's stall torque, no-load speed and gain; the others replace its value
    (left out: as the description says) and have its units.
    """

    strength_scale: Positive = 1.0
    speed_scale: Positive = 1.0
    gain_scale: Positive = 1.0
    coulomb_friction: NotNegative | None = None
    viscous_friction: NotNegative | None = None
    armature: NotNegative | None = None
    backlash_rad: NotNegative | None = None
    latency_s: NotNegative | None = None


class JointWorld(FileModel):
    """One joint. zero_offset_rad: its true angle where its servo reads 0. strength_scale: on top of the servos'."""

    zero_offset_rad: float = 0.0
    strength_scale: Positive = 1.0


class Battery(FileModel):
    """volts: with no load (left out: the servo's nominal voltage). resistance_ohm: of pack and cables."""

    volts: Positive | None = None
    resistance_ohm: NotNegative = 0.0


class Sensor(FileModel):
    """Standard deviations of white noise on what the robot senses: joints, gyroscope and accelerometer."""

    position_noise_rad: NotNegative = 0.0
    velocity_noise_rad_s: NotNegative = 0.0
    gyro_noise_rad_s: NotNegative = 0.0
    accelerometer_noise_m_s2: NotNegative = 0.0


class Start(FileModel):
    """Standard deviations of how a trial begins: each joint's angle, and the heading."""

    joint_noise_rad: NotNegative = 0.01
    yaw_noise_rad: NotNegative = 0.01


class Push(FileModel):
    """Horizontal pushes on the trunk in random directions: force_n for duration_s, one in every every_s."""

    force_n: NotNegative = 0.0
    duration_s: Positive = 0.06
    every_s: Positive = 1.2


class World(FileModel):
    """One simulated situation. The default is nominal: what the description says, on a level floor."""

    body: BodyWorld = BodyWorld()
    floor: Floor = Floor()
    servo: ServoWorld = ServoWorld()
    joints: dict[str, JointWorld] = Field(default_factory=dict)
    battery: Battery = Battery()
    sensor: Sensor = Sensor()
    start: Start = Start()
    push: Push = Push()

    def filled_in(self, description: RobotDescription) -> World:
        """The same world with the description's values where it leaves them to it."""
        servo, own = self.servo, description.servo
        values = {
            "coulomb_friction": own.coulomb_friction,
            "viscous_friction": own.viscous_friction,
            "armature": own.armature,
            "backlash_rad": own.backlash,
            "latency_s": own.latency,
        }
        given = {name: getattr(servo, name) for name in values if getattr(servo, name) is not None}
        battery = self.battery if self.battery.volts else self.battery.model_copy(update={"volts": own.voltage})
        return self.model_copy(update={"servo": servo.model_copy(update={**values, **given}), "battery": battery})

    def check_joints(self, description: RobotDescription, source: str = "world") -> None:
        """Raises RobotpsError, naming the source (a file), for a joint that the robot does not have."""
        for name in self.joints:
            if name not in description.joint_names:
                near = difflib.get_close_matches(name, description.joint_names, n=1)
                raise RobotpsError(
                    f"{source}: '{description.name}' has no joint '{name}'"
                    + (f"; did you mean '{near[0]}'? " if near else "; ")
                    + f"It has {', '.join(description.joint_names)}"
                )


BESIDE_THE_WORLD = ("randomization", "identification")
"""Tables of an identified world's file: how sure it is, and where it comes from."""


def load_world(world: str | Path) -> World:
    """`nominal`, or a world from a TOML file, which holds what differs from nominal; see also BESIDE_THE_WORLD."""
    if str(world) == "nominal":
        return World()
    table = {key: value for key, value in read_table(world).items() if key not in BESIDE_THE_WORLD}
    return parse(table, World, str(world))
