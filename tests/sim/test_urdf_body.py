"""A robot that comes as a URDF is simulated with the masses, inertias and shapes in it."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pybullet
import pytest

from robotps.description import RobotDescription, load_description
from robotps.errors import RobotpsError
from robotps.legs import LEGS
from sim.body import body_of
from sim.robot import SimulatedRobot
from sim.rotor import mass_matrix
from sim.urdf_body import read_urdf_body
from sim.world import World

PREFIXES = {"front_left": "FL", "front_right": "FR", "rear_left": "RL", "rear_right": "RR"}


@pytest.fixture(scope="module")
def a1(tmp_path_factory: pytest.TempPathFactory) -> RobotDescription:
    """Unitree's A1, which comes with PyBullet, as a user would describe it."""
    lines = ['name = "a1"', 'title = "Unitree A1"', 'urdf = "pybullet_data:a1/a1.urdf"', "[servo]", 'model = "A1"']
    lines += ["stall_torque = 33.5", "no_load_speed = 21.0", "gain = 100.0", "voltage = 24.0", "armature = 0.01"]
    for leg, prefix in PREFIXES.items():
        joints = [("abduction", "hip"), ("thigh", "upper"), ("shank", "lower")]
        named = ", ".join(f'{{ name = "{name}", urdf = "{prefix}_{urdf}_joint" }}' for name, urdf in joints)
        lines += [f"[legs.{leg}]", "rest = [0.0, 0.8, -1.6]", f'foot = {{ urdf = "{prefix}_toe", radius = 0.02 }}']
        lines.append(f"joints = [{named}]")
    lines += ['[gait]\nfamily = "trot"', "[gait.parameters]"]
    for name, parameter in load_description("dkitty").gait.parameters.items():
        lines.append(f"{name} = {{ {', '.join(f'{k} = {v}' for k, v in parameter.model_dump().items())} }}")
    path = tmp_path_factory.mktemp("a1") / "a1.toml"
    path.write_text("\n".join(lines))
    return load_description(str(path))


def rest(description: RobotDescription) -> np.ndarray:
    return np.concatenate([description.legs[leg].rest for leg in LEGS])


def test_all_of_the_urdfs_mass_is_simulated(a1: RobotDescription) -> None:
    masses = [float(mass.get("value", "0")) for mass in ElementTree.parse(str(a1.urdf)).getroot().iter("mass")]
    assert body_of(a1).mass == pytest.approx(sum(masses))
    with SimulatedRobot(a1, World()) as robot:
        robot.stand(rest(a1))
        where = {"physicsClientId": robot._client}
        engine = [robot._p.getDynamicsInfo(robot._body, i, **where)[0] for i in [-1, *robot._joints]]
    assert sum(engine) == pytest.approx(sum(masses))


def test_merged_links_move_as_the_engines_own_reading_of_the_urdf_does(a1: RobotDescription) -> None:
    """Joint accelerations under joint torques, free to drift, against PyBullet's own import of the file."""
    client = pybullet.connect(pybullet.DIRECT)
    where = {"physicsClientId": client}
    try:
        robot = pybullet.loadURDF(str(a1.urdf), flags=pybullet.URDF_USE_INERTIA_FROM_FILE, **where)
        infos = [pybullet.getJointInfo(robot, i, **where) for i in range(pybullet.getNumJoints(robot, **where))]
        index = {info[1].decode(): info[0] for info in infos}
        joints = [index[str(joint.urdf)] for joint in a1.joints]
        for i in [-1, *index.values()]:
            pybullet.changeDynamics(robot, i, linearDamping=0, angularDamping=0, jointDamping=0, **where)
        for i, angle in zip(joints, rest(a1).tolist(), strict=True):
            pybullet.resetJointState(robot, i, angle, **where)
        n = len(joints)
        still = {"targetVelocities": [0.0] * n, "forces": [0.0] * n}
        pybullet.setJointMotorControlArray(robot, joints, pybullet.VELOCITY_CONTROL, **still, **where)
        torques = np.linspace(-1, 1, n)
        pybullet.setJointMotorControlArray(robot, joints, pybullet.TORQUE_CONTROL, forces=torques.tolist(), **where)
        pybullet.setTimeStep(1e-4, **where)
        pybullet.stepSimulation(**where)
        speeds = [pybullet.getJointState(robot, i, **where)[1] for i in joints]
        spin = pybullet.getBaseVelocity(robot, **where)[1]
    finally:
        pybullet.disconnect(client)
    expected = np.linalg.solve(mass_matrix(body_of(a1), rest(a1)), np.concatenate([np.zeros(3), torques]))
    assert np.array([*spin, *speeds]) / 1e-4 == pytest.approx(expected, rel=0.01, abs=0.01 * np.abs(expected).max())


def test_a_robot_from_a_urdf_stands_on_the_feet_that_it_names(a1: RobotDescription) -> None:
    with SimulatedRobot(a1, World()) as robot:
        robot.stand(rest(a1))
        touching = {
            contact[3]
            for contact in robot._p.getContactPoints(robot._body, physicsClientId=robot._client)
            if contact[2] != robot._body
        }
        assert touching == {robot._joints[2], robot._joints[5], robot._joints[8], robot._joints[11]}
        assert robot._base()[0][2] == pytest.approx(0.2 * np.cos(0.8) * 2 + 0.02, abs=0.02)


def test_a_missing_mesh_or_file_is_named(tmp_path: Path, a1: RobotDescription) -> None:
    urdf = tmp_path / "robot.urdf"
    urdf.write_text(
        '<robot name="r"><link name="base"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial>'
        '<collision><geometry><mesh filename="package://mine/none.stl"/></geometry></collision></link></robot>'
    )
    with pytest.raises(RobotpsError, match=r"none\.stl"):
        read_urdf_body(a1.model_copy(update={"urdf": str(urdf), "urdf_digest": None}))
    with pytest.raises(RobotpsError, match=r"gone\.urdf.*cannot be read"):
        read_urdf_body(a1.model_copy(update={"urdf": str(tmp_path / "gone.urdf"), "urdf_digest": None}))


def test_a_link_without_mass_is_refused(tmp_path: Path, a1: RobotDescription) -> None:
    urdf = tmp_path / "robot.urdf"
    urdf.write_text('<robot name="r"><link name="base"/></robot>')
    with pytest.raises(RobotpsError, match=r"'base' needs an <inertial>"):
        read_urdf_body(a1.model_copy(update={"urdf": str(urdf), "urdf_digest": None}))


def test_meshes_of_a_package_are_found_above_the_urdf(tmp_path: Path, a1: RobotDescription) -> None:
    mesh = tmp_path / "mine" / "meshes" / "trunk.stl"
    mesh.parent.mkdir(parents=True)
    mesh.write_text("")
    urdf = tmp_path / "mine" / "urdf" / "robot.urdf"
    urdf.parent.mkdir()
    text = Path(str(a1.urdf)).read_text()
    urdf.write_text(text.replace("meshes/trunk.obj", "package://mine/meshes/trunk.stl"))
    for name in {name for name in text.split('"') if name.startswith("meshes/")}:
        (urdf.parent / name).parent.mkdir(exist_ok=True)
        (urdf.parent / name).write_text("")
    body = read_urdf_body(a1.model_copy(update={"urdf": str(urdf), "urdf_digest": None}))
    assert body.links[0].visuals[0].geometry.get("filename") == str(mesh)


def test_a_urdf_that_has_changed_since_is_another_robots(tmp_path: Path, a1: RobotDescription) -> None:
    urdf = Path(shutil.copytree(Path(str(a1.urdf)).parent, tmp_path / "a1")) / "a1.urdf"
    same = a1.model_copy(update={"urdf": str(urdf)})
    read_urdf_body(same)
    urdf.write_text(urdf.read_text() + "<!-- heavier -->")
    with pytest.raises(RobotpsError, match="is another URDF than that which 'a1' was made with"):
        read_urdf_body(same)


def test_a_colour_given_on_the_spot_is_that_visuals_own(tmp_path: Path, a1: RobotDescription) -> None:
    urdf = Path(shutil.copytree(Path(str(a1.urdf)).parent, tmp_path / "a1")) / "a1.urdf"
    text = urdf.read_text()
    colours = iter(("1 0 0 1", "0 1 0 1", "0 0 1 1", *["0.5 0.5 0.5 1"] * 200))
    plain = re.sub(r"<material name=[^>]*/>|<material name=.*?</material>", "", text, flags=re.DOTALL)
    urdf.write_text(
        re.sub("</visual>", lambda _: f'<material name=""><color rgba="{next(colours)}"/></material></visual>', plain)
    )
    body = read_urdf_body(a1.model_copy(update={"urdf": str(urdf), "urdf_digest": None}))
    found = {shape.colour for link in body.links for shape in link.visuals}
    assert {"1 0 0 1", "0 1 0 1", "0 0 1 1"} <= found
