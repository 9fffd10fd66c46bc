"""A motion as MCAP, read back by a reader that shares no code with the writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robotps.description import RobotDescription
from robotps.export import motion_mcap
from robotps.feet import feet_on_floor
from robotps.legs import LEGS
from robotps.replay import find
from robotps.robot import Telemetry
from robotps.run import Run

MakeRun = Callable[..., Path]
STARTED = "2026-01-02T03:04:05.000+00:00"
BEGIN = 1767323045 * 10**9


def _messages(file: Path) -> dict[str, list[tuple[int, Any]]]:
    """Messages by topic with their times, decoded with nothing but the schema that the file itself carries."""
    import small_mcap
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    found: dict[str, list[tuple[int, Any]]] = {}
    types: dict[int, Any] = {}
    with file.open("rb") as stream:
        for schema, channel, message in small_mcap.read_message(stream):
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("protobuf", "protobuf")
            if schema.id not in types:
                pool = descriptor_pool.DescriptorPool()
                for part in descriptor_pb2.FileDescriptorSet.FromString(bytes(schema.data)).file:
                    pool.Add(part)
                types[schema.id] = message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))
            decoded = types[schema.id].FromString(bytes(message.data))
            found.setdefault(channel.topic, []).append((message.log_time, decoded))
    return found


@pytest.fixture
def walk(make_run: MakeRun) -> tuple[RobotDescription, Telemetry]:
    with Run.open(make_run(world=None, iterations=1)) as run:
        logged = find(run, 4)
    assert logged.telemetry is not None
    return logged.description, logged.telemetry


@pytest.fixture
def written(walk: tuple[RobotDescription, Telemetry], tmp_path: Path) -> dict[str, list[tuple[int, Any]]]:
    motion_mcap(*walk, STARTED, tmp_path / "walk.mcap", {"trial": "4"})
    return _messages(tmp_path / "walk.mcap")


def test_joint_states_and_commands_are_those_of_the_trial_at_their_moments(
    walk: tuple[RobotDescription, Telemetry], written: dict[str, list[tuple[int, Any]]]
) -> None:
    description, telemetry = walk
    assert telemetry.position is not None
    states, commands = written["/joint_states"], written["/joint_commands"]
    assert [moment for moment, _ in states] == [BEGIN + round(time * 1e9) for time in telemetry.time.tolist()]
    for tick, ((_, state), (_, command)) in enumerate(zip(states, commands, strict=True)):
        assert [joint.name for joint in state.joints] == list(description.joint_names)
        assert [joint.position for joint in state.joints] == telemetry.position[tick].tolist()
        assert [joint.position for joint in command.joints] == telemetry.sent[tick].tolist()


def test_the_chain_of_transforms_leads_to_where_the_feet_are(
    walk: tuple[RobotDescription, Telemetry], written: dict[str, list[tuple[int, Any]]]
) -> None:
    description, telemetry = walk
    feet = feet_on_floor(description, telemetry)
    assert feet is not None
    for tick in (0, 11, 29):
        transforms = {t.child_frame_id: t for t in written["/tf"][tick][1].transforms}
        for number, leg in enumerate(LEGS):
            point = np.array(description.legs[leg].foot.position)
            frame = f"{leg}_{description.legs[leg].joints[-1].name}"
            while frame != "floor":
                transform = transforms[frame]
                r, t = transform.rotation, transform.translation
                point = Rotation.from_quat([r.x, r.y, r.z, r.w]).apply(point) + np.array([t.x, t.y, t.z])
                frame = transform.parent_frame_id
            np.testing.assert_allclose(point, feet[number, tick], atol=1e-12)


def test_every_solid_of_the_scene_is_fixed_to_a_frame_that_moves(
    walk: tuple[RobotDescription, Telemetry], written: dict[str, list[tuple[int, Any]]]
) -> None:
    ((_, scene),) = written["/scene"]
    frames = {t.child_frame_id for t in written["/tf"][0][1].transforms} | {"floor"}
    assert {entity.frame_id for entity in scene.entities} == frames
    robot = [entity for entity in scene.entities if entity.frame_id != "floor"]
    assert all(entity.frame_locked for entity in robot)
    assert sum(len(e.cubes) + len(e.cylinders) + len(e.spheres) for e in robot) == len(robot)


def test_the_speed_of_a_body_that_turned_left_is_ahead_in_its_own_frame(
    walk: tuple[RobotDescription, Telemetry], tmp_path: Path
) -> None:
    from dataclasses import replace

    description, telemetry = walk
    count = len(telemetry.time)
    turned = replace(
        telemetry,
        base_position=np.zeros((count, 3)),
        orientation=np.tile(Rotation.from_euler("z", 90, degrees=True).as_quat(), (count, 1)),
        base_velocity=np.tile([0.0, 0.5, 0.0], (count, 1)),
    )
    motion_mcap(description, turned, STARTED, tmp_path / "turned.mcap", {})
    _, message = _messages(tmp_path / "turned.mcap")["/odometry"][0]
    found = message.linear_velocity
    assert (found.x, found.y, found.z) == pytest.approx((0.5, 0.0, 0.0))


def test_the_file_is_chunked_and_indexed_as_viewers_need(
    walk: tuple[RobotDescription, Telemetry], tmp_path: Path
) -> None:
    import small_mcap

    file = tmp_path / "walk.mcap"
    motion_mcap(*walk, STARTED, file, {"trial": "4"})
    with file.open("rb") as stream:
        summary = small_mcap.get_summary(stream)
    assert summary is not None
    assert len(summary.chunk_indexes) >= 1
    assert summary.statistics is not None
    assert summary.statistics.message_count == 5 * len(walk[1].time) + 1


def test_missing_readings_are_left_out_and_a_body_nobody_saw_walks_on_the_spot(
    walk: tuple[RobotDescription, Telemetry], tmp_path: Path
) -> None:
    from dataclasses import replace

    description, telemetry = walk
    assert telemetry.position is not None
    holes = telemetry.position.copy()
    holes[7, 3] = np.nan
    blind = replace(
        telemetry,
        position=holes,
        base_position=None,
        orientation=None,
        voltage=np.full(len(holes), 11.1),
        temperature=np.full(holes.shape, 40.0),
    )
    motion_mcap(description, blind, STARTED, tmp_path / "blind.mcap", {})
    found = _messages(tmp_path / "blind.mcap")
    state = found["/joint_states"][7][1].joints[3]
    assert not state.HasField("position")
    assert found["/joint_states"][8][1].joints[3].HasField("position")
    assert "/odometry" not in found
    readings = found["/readings"][7][1]
    assert readings.voltage_v == 11.1
    assert list(readings.temperature_degc) == [40.0] * 12
    heights = []
    for _, message in found["/tf"]:
        transforms = {t.child_frame_id: t for t in message.transforms}
        assert (transforms["body"].translation.x, transforms["body"].rotation.w) == (0.0, 1.0)
        heights.append(transforms["body"].translation.z)
    assert 0.1 < min(heights) <= max(heights) < 0.35
