"""Descriptions that point at a URDF: a user's own robot, and those that come with PyBullet."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from scipy.spatial.transform import Rotation

from robotps.description import RobotDescription, load_description
from robotps.errors import RobotpsError
from robotps.files import read_table
from robotps.gait import gait_cycle, initial_gait
from robotps.kinematics import LegKinematics
from robotps.legs import LEGS

A1 = Path(__file__).parents[2] / "docs" / "a1.toml"
Table = dict[str, Any]


@pytest.fixture
def table() -> Table:
    return read_table(A1)


@pytest.fixture
def own_urdf(tmp_path: Path) -> Path:
    """The A1's URDF as a user's own file, to be changed."""
    file = tmp_path / "own.urdf"
    file.write_text(Path(str(load_description(A1).urdf)).read_text())
    return file


def _load(tmp_path: Path, table: Table) -> RobotDescription:
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(table))
    return load_description(file)


def _told(tmp_path: Path, table: Table) -> str:
    with pytest.raises(RobotpsError) as error:
        _load(tmp_path, table)
    assert str(error.value).startswith((str(tmp_path / "mine.toml"), str(tmp_path / "own.urdf")))
    return str(error.value)


def test_masses_are_those_of_the_urdf() -> None:
    description = load_description(A1)
    root = ElementTree.parse(str(description.urdf)).getroot()
    assert description.mass == pytest.approx(sum(float(mass.get("value", "")) for mass in root.iter("mass")))
    assert description.mass == pytest.approx(12.458)
    hip, thigh, calf = description.legs["front_left"].joints
    # a hip with the link that is fixed to it, a calf with its toe, the trunk with its IMU
    assert (hip.mass, thigh.mass, calf.mass) == pytest.approx((0.696 + 0.001, 1.013, 0.166 + 0.06))
    assert description.body.mass == pytest.approx(4.713 + 0.001)


def test_limits_are_those_of_the_urdf_unless_the_description_gives_its_own(tmp_path: Path, table: Table) -> None:
    calf = _load(tmp_path, table).legs["rear_left"].joints[2]
    assert (calf.lower, calf.upper) == pytest.approx((-2.69653369433, -0.916297857297))
    table["legs"]["rear_left"]["joints"][2] |= {"lower": -2.0, "upper": -1.0}
    calf = _load(tmp_path, table).legs["rear_left"].joints[2]
    assert (calf.lower, calf.upper) == (-2.0, -1.0)


def test_a_urdf_is_found_beside_its_description(tmp_path: Path, table: Table, own_urdf: Path) -> None:
    description = _load(tmp_path, {**table, "urdf": "own.urdf"})
    assert description.urdf == str(own_urdf)
    assert description.legs == load_description(A1).legs


@pytest.mark.parametrize("robot", ["mini_cheetah", "vision60", "laikago"])
def test_other_quadrupeds_that_come_with_pybullet_stand_by_their_urdf(tmp_path: Path, table: Table, robot: str) -> None:
    # joint and foot names as their URDFs have them: body outwards, in the order of LEGS
    ends: dict[str, tuple[str, list[list[str]], list[str], list[float], float]] = {
        "mini_cheetah": (
            "mini_cheetah/mini_cheetah.urdf",
            [
                [f"torso_to_abduct_{leg}_j", f"abduct_{leg}_to_thigh_{leg}_j", f"thigh_{leg}_to_knee_{leg}_j"]
                for leg in ("fl", "fr", "hl", "hr")
            ],
            ["toe_fl", "toe_fr", "toe_hl", "toe_hr"],
            [0.0, -0.8, 1.6],
            0.28,
        ),
        "vision60": (
            "quadruped/vision60.urdf",
            [["8", "0", "1"], ["10", "4", "5"], ["9", "2", "3"], ["11", "6", "7"]],
            ["toe0", "toe2", "toe1", "toe3"],
            [0.0, 0.8, 1.4],
            0.4,
        ),
        "laikago": (
            "laikago/laikago_toes_zup.urdf",
            [
                [f"{leg}_hip_motor_2_chassis_joint", f"{leg}_upper_leg_2_hip_motor_joint",
                 f"{leg}_lower_leg_2_upper_leg_joint"]
                for leg in ("FL", "FR", "RL", "RR")
            ],
            ["toeFL", "toeFR", "toeRL", "toeRR"],
            [0.0, 0.6, -1.2],
            0.4,
        ),
    }  # fmt: skip
    urdf, joints, feet, rest, height = ends[robot]
    table["urdf"] = f"pybullet_data:{urdf}"
    for leg, names, foot in zip(LEGS, joints, feet, strict=True):
        table["legs"][leg] = {
            "rest": rest,
            "foot": {"urdf": foot, "radius": 0.02},
            "joints": [{"name": f"j{i}", "urdf": name, "lower": -3.0, "upper": 3.0} for i, name in enumerate(names)],
        }
    for end in ("front", "rear"):
        table["gait"]["parameters"][f"{end}_body_height"] |= {"initial": height, "upper": 0.6}
    description = _load(tmp_path, table)
    assert all(leg.sideways for leg in description.legs.values())
    cycle = gait_cycle(description, initial_gait(description))
    assert cycle.unreachable == 0.0
    standing = cycle.standing.reshape(4, 3)
    depth = [
        LegKinematics(description.legs[leg]).forward(q[None, :])[0, 2] for leg, q in zip(LEGS, standing, strict=True)
    ]
    hips = [description.legs[leg].joints[0].origin[2] for leg in LEGS]
    np.testing.assert_allclose(np.array(hips) - depth, height - 0.02, atol=1e-6)


def test_joints_fixed_in_between_are_followed_also_where_they_are_turned(
    tmp_path: Path, table: Table, own_urdf: Path
) -> None:
    root = ElementTree.fromstring(own_urdf.read_text())
    mount = ElementTree.SubElement(root, "link", name="mount")
    assert mount is not None
    fixed = ElementTree.SubElement(root, "joint", name="mount_joint", type="fixed")
    ElementTree.SubElement(fixed, "origin", xyz="0.02 0.01 -0.03", rpy="0.3 -0.2 0.5")
    ElementTree.SubElement(fixed, "parent", link="trunk")
    ElementTree.SubElement(fixed, "child", link="mount")
    hip = next(joint for joint in root.iter("joint") if joint.get("name") == "FL_hip_joint")
    hip.find("parent").set("link", "mount")  # type: ignore[union-attr]
    own_urdf.write_text(ElementTree.tostring(root, encoding="unicode"))
    moved = LegKinematics(_load(tmp_path, {**table, "urdf": "own.urdf"}).legs["front_left"])
    straight = LegKinematics(load_description(A1).legs["front_left"])
    poses = np.random.default_rng(0).uniform(-0.5, 0.5, size=(20, 3))
    turned = Rotation.from_euler("xyz", [0.3, -0.2, 0.5]).apply(straight.forward(poses))
    np.testing.assert_allclose(moved.forward(poses), turned + np.array([0.02, 0.01, -0.03]), atol=1e-9)


def _replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_replace("</robot>", ""), ["own.urdf cannot be read"]),
        (_replace('xyz="0.183 0.047 0"', 'xyz="0.183 left 0"'), ["own.urdf", "number", "left"]),
        (_replace('xyz="0.183 0.047 0"', 'xyz="0.183 0.047"'), ["own.urdf", "number"]),
        (_replace('<mass value="1.013"/>', '<mass value="heavy"/>'), ["own.urdf", "number", "heavy"]),
        (_replace('name="FL_hip_joint" type="revolute"', 'name="FL_hip_joint" type="prismatic"'), ["prismatic"]),
        (_replace('name="FL_toe_fixed" type="fixed"', 'name="FL_toe_fixed" type="revolute"'), ["FL_toe"]),
        (_replace('name="imu_joint" type="fixed"', 'name="imu_joint" type="continuous"'), ["no leg", "imu_joint"]),
        (_replace('<parent link="FL_hip"/>', '<parent link="FL_lower"/>'), ["FL_"]),
        (_replace('<link name="trunk">', '<link name="a"/><link name="trunk">'), ["own.urdf", "a, trunk"]),
    ],
)
def test_a_broken_urdf_is_told(
    tmp_path: Path, table: Table, own_urdf: Path, change: Callable[[str], str], told: list[str]
) -> None:
    own_urdf.write_text(change(own_urdf.read_text()))
    message = _told(tmp_path, {**table, "urdf": "own.urdf"})
    for part in told:
        assert part in message


def test_links_that_hang_on_each_other_are_told(tmp_path: Path, table: Table, own_urdf: Path) -> None:
    ring = "".join(
        f'<link name="{a}"/><joint name="{a}{b}" type="fixed"><parent link="{a}"/><child link="{b}"/></joint>'
        for a, b in (("p", "q"), ("q", "p"))
    )
    own_urdf.write_text(own_urdf.read_text().replace("</robot>", f"{ring}</robot>"))
    assert "hangs on itself" in _told(tmp_path, {**table, "urdf": "own.urdf"})


def test_a_robot_is_the_same_wherever_its_urdf_lies_and_another_where_that_has_changed(
    tmp_path: Path, table: Table, own_urdf: Path
) -> None:
    here = _load(tmp_path, {**table, "urdf": "own.urdf"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "own.urdf").write_bytes(own_urdf.read_bytes())
    there = _load(tmp_path / "elsewhere", {**table, "urdf": "own.urdf"})
    assert (here.urdf == there.urdf, here.fingerprint == there.fingerprint) == (False, True)
    own_urdf.write_text(own_urdf.read_text().replace('ixx="', 'ixx="1', 1))  # nothing that a description holds
    assert _load(tmp_path, {**table, "urdf": "own.urdf"}).fingerprint != here.fingerprint


def test_a_foot_may_lie_inside_its_link(tmp_path: Path, table: Table, own_urdf: Path) -> None:
    legs = {
        name: {**leg, "foot": {**leg["foot"], "urdf": leg["joints"][2]["urdf"].replace("_joint", "")}}
        for name, leg in table["legs"].items()
    }
    for leg in legs.values():
        leg["foot"]["position"] = [0.0, 0.0, -0.2]
    found = _load(tmp_path, {**table, "urdf": "own.urdf", "legs": legs})
    assert found.legs["front_left"].foot.position == pytest.approx((0.0, 0.0, -0.2))


def test_axes_are_brought_to_length_one_and_other_programs_elements_left_alone(
    tmp_path: Path, table: Table, own_urdf: Path
) -> None:
    text = own_urdf.read_text()
    axis = '<axis xyz="1 0 0"/>'
    assert axis in text
    text = text.replace(axis, '<axis xyz="0.70711 0.70711 0"/>', 1)
    extra = '<gazebo><link name="ball"/><joint name="ball_joint" type="ball"><child>ball</child></joint></gazebo>'
    own_urdf.write_text(text.replace("</robot>", f"{extra}</robot>"))
    found = _load(tmp_path, {**table, "urdf": "own.urdf"})
    turned = [joint.axis for joint in found.joints if joint.axis[1] > 0.7 and joint.axis[0] > 0.7]
    assert turned == [pytest.approx((np.sqrt(0.5), np.sqrt(0.5), 0.0))]


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (
            '<joint name="eye" type="fixed"><parent link="trunk"/><child link="camera"/></joint>',
            "is no link here: 'camera'",
        ),
        (
            '<link name="sky"/><joint name="free" type="floating"><parent link="sky"/><child link="trunk"/></joint>',
            "joint 'free' is floating: make it fixed",
        ),
    ],
)
def test_what_a_urdf_may_not_hold_is_told_with_the_mend(
    tmp_path: Path, table: Table, own_urdf: Path, extra: str, told: str
) -> None:
    own_urdf.write_text(own_urdf.read_text().replace("</robot>", f"{extra}</robot>"))
    assert told in _told(tmp_path, {**table, "urdf": "own.urdf"})


def test_a_missing_urdf_is_told_with_the_place_it_was_looked_for(tmp_path: Path, table: Table) -> None:
    assert f"there is no file {tmp_path / 'none.urdf'}" in _told(tmp_path, {**table, "urdf": "none.urdf"})
    assert "a2.urdf" in _told(tmp_path, {**table, "urdf": "pybullet_data:a1/a2.urdf"})
    assert "cannot be read" in _told(tmp_path, {**table, "urdf": "."})


def test_names_that_the_urdf_does_not_have_are_told_with_those_it_has(tmp_path: Path, table: Table) -> None:
    leg = table["legs"]["rear_left"]
    leg["joints"][1]["urdf"] = "RL_thigh_joint"
    message = _told(tmp_path, table)
    assert "legs.rear_left" in message
    assert "no joint 'RL_thigh_joint'" in message
    assert "RL_upper_joint" in message
    leg["joints"][1]["urdf"] = "RL_upper_joint"
    leg["foot"]["urdf"] = "RL_foot"
    message = _told(tmp_path, table)
    assert "no link 'RL_foot'" in message
    assert "RL_toe" in message


def test_joints_in_no_leg_are_told(tmp_path: Path, table: Table) -> None:
    leg = table["legs"]["rear_left"]
    leg["joints"] = leg["joints"][:2]
    leg["rest"] = [0.0, 0.9]
    leg["foot"]["urdf"] = "RL_upper"
    message = _told(tmp_path, table)
    assert "in no leg" in message
    assert "RL_lower_joint" in message


def test_a_missing_leg_is_told_as_such(tmp_path: Path, table: Table) -> None:
    del table["legs"]["rear_right"]
    assert "'rear_right' is missing" in _told(tmp_path, table)


@pytest.mark.parametrize(
    ("leg", "told"),
    [
        ({"joints": [{"name": "hip"}]}, "with a URDF a leg needs"),
        ({"joints": ["FL_hip_joint"]}, "with a URDF a leg needs"),
        ({"joints": [{"name": "hip", "urdf": ["FL_hip_joint"]}]}, "with a URDF a leg needs"),
        ({"foot": {"radius": 0.02}}, "with a URDF a leg needs"),
        ({"joints": [{"name": "hip", "urdf": "FL_hip_joint", "mass": 1.0}]}, "'mass' of joint 'FL_hip_joint'"),
        (
            {"joints": [{"name": "a", "urdf": "FL_hip_joint"}, {"name": "b", "urdf": "FL_hip_joint"}]},
            "joint 'FL_hip_joint' is named twice",
        ),
        (
            {"joints": [{"name": "a", "urdf": "FL_hip_joint"}, {"name": "b", "urdf": "FL_lower_joint"}]},
            "'FL_lower_joint' does not follow on link 'FL_hip'",
        ),
        ({"joints": [{"name": "a", "urdf": "FL_toe_fixed"}]}, "fixed, not a hinge"),
        ({"foot": {"urdf": "FR_toe", "radius": 0.02}}, "does not follow"),
    ],
)
def test_a_leg_that_does_not_fit_its_urdf_is_told(tmp_path: Path, table: Table, leg: Table, told: str) -> None:
    table["legs"]["front_left"] |= leg
    message = _told(tmp_path, table)
    assert "legs.front_left" in message
    assert told in message


def test_a_body_beside_a_urdf_is_refused_rather_than_ignored(tmp_path: Path, table: Table) -> None:
    assert "'body' comes from the URDF" in _told(tmp_path, {**table, "body": {"mass": 3.0}})


def test_the_a1_as_its_user_described_it_can_make_its_gait() -> None:
    description = load_description(A1)
    assert gait_cycle(description, initial_gait(description)).unreachable == 0.0
    assert (description.servo.stall_torque, description.servo.no_load_speed) == (33.5, 21.0)
