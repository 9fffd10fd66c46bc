"""A trial's motion as MCAP with Foxglove's protobuf schemas, for Foxglove, Rerun, PlotJuggler and the like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from robotps.description import RobotDescription
from robotps.errors import require
from robotps.feet import stance
from robotps.files import written_whole
from robotps.parameters import FloatArray
from robotps.robot import Telemetry
from robotps.rotations import rotation_matrices
from robotps.shapes import BODY, Shape, frames, poses, shapes

FLOOR = "floor"
CHUNK = 256 * 1024
"""Bytes before compression; viewers index a file by its chunks, and some import nothing from one without."""


def motion_mcap(
    description: RobotDescription, telemetry: Telemetry, started: str, path: Path, about: dict[str, str]
) -> None:
    """Write joint states and commands, transforms, the robot's shapes, feet on the floor and the other readings.

    started: the moment the trial began (ISO 8601). about: kept as the file's metadata. Raises RobotpsError where the
    file cannot be written.
    """
    for module in ("mcap", "mcap_protobuf.writer", "foxglove_schemas_protobuf.FrameTransform_pb2"):
        require(module, extra="export")
    from mcap_protobuf.writer import Writer

    begin = _nanoseconds(started)
    motion = _Motion(description, telemetry)
    with written_whole(path) as temporary, temporary.open("wb") as file, Writer(file, chunk_size=CHUNK) as writer:
        writer.add_metadata("robotps", about)
        _write(writer, "/scene", motion.scene(begin), begin)
        for tick, time in enumerate(telemetry.time.tolist()):
            moment = begin + round(time * 1e9)
            for topic, message in motion.messages(tick, moment):
                _write(writer, topic, message, moment)


def _write(writer: Any, topic: str, message: Any, moment: int) -> None:
    writer.write_message(topic=topic, message=message, log_time=moment, publish_time=moment)


def _nanoseconds(started: str) -> int:
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1e9)


class _Motion:
    """One trial's messages, tick by tick."""

    def __init__(self, description: RobotDescription, telemetry: Telemetry) -> None:
        self._description = description
        self._telemetry = telemetry
        self._names = description.joint_names
        self._poses = poses(description, telemetry)
        self._frames = frames(description)
        self._turns = [frame.turn(self._poses.joints[:, column]) for column, frame in enumerate(self._frames)]
        self._stance = stance(description, telemetry)

    def messages(self, tick: int, moment: int) -> list[tuple[str, Any]]:
        """Topic and message of everything at one tick."""
        found = [
            ("/joint_states", self._joint_states(tick, moment)),
            ("/joint_commands", self._joint_commands(tick, moment)),
            ("/tf", self._transforms(tick, moment)),
            ("/readings", self._reading(tick, moment)),
        ]
        if self._poses.measured:
            found.append(("/odometry", self._odometry(tick, moment)))
        return found

    def _joint_states(self, tick: int, moment: int) -> Any:
        from foxglove_schemas_protobuf.JointStates_pb2 import JointStates

        message = JointStates()
        message.timestamp.FromNanoseconds(moment)
        telemetry = self._telemetry
        for column, name in enumerate(self._names):
            joint = message.joints.add(name=name)
            for field, values in (
                ("position", telemetry.position),
                ("velocity", telemetry.velocity),
                ("effort", telemetry.torque),
            ):
                if values is not None and math.isfinite(value := float(values[tick, column])):
                    setattr(joint, field, value)
        return message

    def _joint_commands(self, tick: int, moment: int) -> Any:
        from foxglove_schemas_protobuf.JointStates_pb2 import JointStates

        message = JointStates()
        message.timestamp.FromNanoseconds(moment)
        for name, value in zip(self._names, self._telemetry.sent[tick].tolist(), strict=True):
            message.joints.add(name=name, position=value)
        return message

    def _transforms(self, tick: int, moment: int) -> Any:
        from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms

        message = FrameTransforms()
        _place(message.transforms.add(), moment, FLOOR, BODY, self._poses.position[tick], self._poses.orientation[tick])
        for frame, turns in zip(self._frames, self._turns, strict=True):
            _place(message.transforms.add(), moment, frame.parent, frame.name, frame.origin, turns[tick])
        return message

    def _odometry(self, tick: int, moment: int) -> Any:
        from foxglove_schemas_protobuf.Odometry_pb2 import Odometry

        message = Odometry(frame_id=FLOOR, body_frame_id=BODY)
        message.timestamp.FromNanoseconds(moment)
        _set(message.pose.position, "xyz", self._poses.position[tick])
        _set(message.pose.orientation, "xyzw", self._poses.orientation[tick])
        if self._telemetry.base_velocity is not None:
            # Foxglove has both velocities in the body's frame
            turn = rotation_matrices(self._poses.orientation[tick : tick + 1])[0]
            _set(message.linear_velocity, "xyz", turn.T @ self._telemetry.base_velocity[tick])
        if self._telemetry.angular_velocity is not None:
            _set(message.angular_velocity, "xyz", self._telemetry.angular_velocity[tick])
        return message

    def _reading(self, tick: int, moment: int) -> Any:
        message = _readings()()
        message.timestamp.FromNanoseconds(moment)
        for name, values in _others(self._telemetry).items():
            if values.ndim == 1:
                setattr(message, name, float(values[tick]))
            else:
                getattr(message, name).extend(values[tick].tolist())
        if self._stance is not None:
            message.foot_on_floor.extend(self._stance[:, tick].tolist())
        return message

    def scene(self, moment: int) -> Any:
        """The robot's solids, each fixed to its link's frame, and the floor: sent once, they last."""
        from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate

        message = SceneUpdate()
        for number, shape in enumerate(shapes(self._description)):
            entity = message.entities.add(id=f"{shape.frame}_{number}", frame_id=shape.frame, frame_locked=True)
            entity.timestamp.FromNanoseconds(moment)
            _add_solid(entity, shape)
        floor = message.entities.add(id=FLOOR, frame_id=FLOOR)
        floor.timestamp.FromNanoseconds(moment)
        slab = floor.cubes.add()
        _set(slab.size, "xyz", (4.0, 4.0, 0.002))
        _set(slab.pose.position, "xyz", (1.0, 0.0, -0.001))
        slab.pose.orientation.w = 1.0
        slab.color.r, slab.color.g, slab.color.b, slab.color.a = 0.85, 0.87, 0.89, 1.0
        return message


def _place(message: Any, moment: int, parent: str, child: str, position: Any, turn: Any) -> None:
    message.timestamp.FromNanoseconds(moment)
    message.parent_frame_id, message.child_frame_id = parent, child
    _set(message.translation, "xyz", position)
    _set(message.rotation, "xyzw", turn)


def _set(message: Any, fields: str, values: Sequence[float] | FloatArray) -> None:
    for field, value in zip(fields, values, strict=True):
        setattr(message, field, float(value))


def _add_solid(entity: Any, shape: Shape) -> None:
    if shape.kind == "box":
        solid = entity.cubes.add()
        _set(solid.size, "xyz", shape.size)
    elif shape.kind == "cylinder":
        solid = entity.cylinders.add(bottom_scale=1.0, top_scale=1.0)
        _set(solid.size, "xyz", (2 * shape.size[0], 2 * shape.size[0], shape.size[1]))
    else:
        solid = entity.spheres.add()
        _set(solid.size, "xyz", (2 * shape.size[0],) * 3)
    _set(solid.pose.position, "xyz", shape.position)
    _set(solid.pose.orientation, "xyzw", shape.turn)
    solid.color.r, solid.color.g, solid.color.b = shape.colour
    solid.color.a = 1.0


def _others(telemetry: Telemetry) -> dict[str, FloatArray]:
    """What no Foxglove schema has a place for, by the name and unit it has in `Readings`."""
    named = {
        "voltage_v": telemetry.voltage,
        "current_a": telemetry.current,
        "temperature_degc": telemetry.temperature,
        "acceleration_m_per_s2": telemetry.acceleration,
    }
    return {name: values for name, values in named.items() if values is not None}


@cache
def _readings() -> Any:
    """The message type `robotps.Readings`, which the file describes to whoever reads it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="robotps/Readings.proto",
        package="robotps",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    message = file.message_type.add(name="Readings")
    for number, (name, type_, label) in enumerate(
        (
            ("timestamp", kind.TYPE_MESSAGE, kind.LABEL_OPTIONAL),
            ("voltage_v", kind.TYPE_DOUBLE, kind.LABEL_OPTIONAL),
            ("current_a", kind.TYPE_DOUBLE, kind.LABEL_REPEATED),
            ("temperature_degc", kind.TYPE_DOUBLE, kind.LABEL_REPEATED),
            ("acceleration_m_per_s2", kind.TYPE_DOUBLE, kind.LABEL_REPEATED),
            ("foot_on_floor", kind.TYPE_BOOL, kind.LABEL_REPEATED),
        ),
        start=1,
    ):
        type_name = ".google.protobuf.Timestamp" if type_ == kind.TYPE_MESSAGE else None
        message.field.add(name=name, number=number, type=type_, label=label, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("robotps.Readings"))
