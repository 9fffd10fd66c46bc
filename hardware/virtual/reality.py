"""How a virtual robot differs from its description: the `--reality` file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.files import FileModel, read_toml

Scale = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class BodyReality(FileModel):
    """mass_scale: of every link, inertia with it. inertia_scale: of every link's inertia on top of that.
    com_offset_m: of the trunk's centre of mass."""

    mass_scale: Scale = 1.0
    inertia_scale: Scale = 1.0
    com_offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


class FloorReality(FileModel):
    """friction: Coulomb coefficient between feet and floor. slope_deg: uphill along x. roughness_m: height of bumps."""

    friction: NotNegative = 0.7
    slope_deg: Annotated[float, Field(ge=-45, le=45)] = 0.0
    roughness_m: NotNegative = 0.0


class ServoReality(FileModel):
    """Scales of the described stall torque, no-load speed and position gain; the others replace the described value."""

    strength_scale: Scale = 1.0
    speed_scale: Scale = 1.0
    gain_scale: Scale = 1.0
    coulomb_friction: NotNegative | None = None
    viscous_friction: NotNegative | None = None
    armature: NotNegative | None = None
    backlash_rad: NotNegative | None = None
    latency_s: NotNegative | None = None


class JointReality(FileModel):
    """zero_offset_rad: the angle at which the joint really stands when its servo says 0. strength_scale: on top of the
    servos' own."""

    zero_offset_rad: float = 0.0
    strength_scale: Scale = 1.0


class BatteryReality(FileModel):
    """volts: open circuit, full (default: the servos' nominal voltage). capacity_ah: left out, it never runs down."""

    volts: Scale | None = None
    resistance_ohm: NotNegative = 0.0
    capacity_ah: Scale | None = None


class SensorReality(FileModel):
    """Standard deviations: of a servo's position, rad; of the IMU's angles, rad (ten times that in m/s^2 for its
    accelerations); of the position stream, m (and as many rad)."""

    position_noise_rad: NotNegative = 0.0
    imu_noise: NotNegative = 0.0
    stream_noise_m: NotNegative = 0.0


class StartReality(FileModel):
    """yaw_noise_rad: standard deviation of the heading in which the robot is put down. seed: of everything random."""

    yaw_noise_rad: NotNegative = 0.0
    seed: Annotated[int, Field(ge=0)] = 0


class Reality(FileModel):
    """A particular robot on a particular floor; what is left out is as described."""

    body: BodyReality = BodyReality()
    floor: FloorReality = FloorReality()
    servo: ServoReality = ServoReality()
    joints: dict[str, JointReality] = Field(default_factory=dict)
    battery: BatteryReality = BatteryReality()
    sensor: SensorReality = SensorReality()
    start: StartReality = StartReality()


def load_reality(path: Path | str | None, description: RobotDescription) -> Reality:
    """The reality in a TOML file, or the described one for None; raises RobotpsError naming the file and key."""
    if path is None:
        return Reality()
    reality = read_toml(path, Reality)
    for name in reality.joints:
        if name not in description.joint_names:
            near = difflib.get_close_matches(name, description.joint_names, n=1, cutoff=0)
            raise RobotpsError(f"{path}: 'joints.{name}': {description.name} has no such joint; nearest: '{near[0]}'")
    return reality
