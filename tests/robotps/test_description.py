"""Robot descriptions: what comes with robotps, and what people may get wrong in their own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from robotps.description import (
    GAIT_UNITS,
    LEGS,
    SIDEWAYS,
    RobotDescription,
    bundled_robots,
    load_description,
)
from robotps.errors import RobotpsError
from robotps.files import parse, read_table

FOLDER = Path(__file__).parents[2] / "robotps" / "robots"
Table = dict[str, Any]


@pytest.fixture
def table() -> Table:
    return read_table(FOLDER / "dkitty.toml")


def _told(table: Table) -> str:
    """What a person is told about a description, once."""
    with pytest.raises(RobotpsError) as error:
        parse(table, RobotDescription, "mine.toml")
    message = str(error.value)
    assert message.startswith("mine.toml: ")
    assert "pydantic" not in message
    return message


def test_the_bundled_robots_are_those_of_the_reference() -> None:
    assert bundled_robots() == ["bittle", "dkitty", "ers210"]


@pytest.mark.parametrize(("robot", "joints", "mass"), [("ers210", 12, 1.4), ("dkitty", 12, 1.82), ("bittle", 8, 0.275)])
def test_a_bundled_robot_has_its_published_joints_and_mass(robot: str, joints: int, mass: float) -> None:
    description = load_description(robot)
    assert description.n_joints == joints
    assert description.mass == pytest.approx(mass, rel=0.02)
    assert set(description.legs) == set(LEGS)


def test_joints_are_named_by_leg_in_the_order_of_the_legs() -> None:
    names = load_description("dkitty").joint_names
    assert names[:4] == ("front_left_abduction", "front_left_thigh", "front_left_shank", "front_right_abduction")
    assert [name.rsplit("_", 1)[0] for name in names[::3]] == list(LEGS)
    assert len(set(names)) == 12


def test_the_servos_of_the_reference_are_wired_as_it_says() -> None:
    wiring = load_description("dkitty").wiring
    assert wiring is not None
    assert {leg: wiring.legs[leg].ids for leg in LEGS} == {
        "front_right": (10, 11, 12),
        "front_left": (20, 21, 22),
        "rear_left": (30, 31, 32),
        "rear_right": (40, 41, 42),
    }


def test_the_gait_of_the_ers210_starts_as_published() -> None:
    space = load_description("ers210").gait_space
    start = {parameter.name: (parameter.initial, parameter.step) for parameter in space}
    assert start == {
        "front_locus_height": (0.042, 0.0035),
        "front_locus_x": (0.028, 0.0035),
        "front_locus_y": (0.049, 0.0035),
        "rear_locus_height": (0.056, 0.0035),
        "rear_locus_x": (0.0, 0.0035),
        "rear_locus_y": (-0.028, 0.0035),
        "locus_length": (0.04893, 0.0035),
        "locus_skew": (0.035, 0.175),
        "front_body_height": (0.077, 0.0035),
        "rear_body_height": (0.112, 0.0035),
        "period": (0.704, 0.016),
        "ground_fraction": (0.5, 0.05),
    }
    assert len(space) == 12


def test_a_robot_without_abduction_has_its_sideways_parameters_frozen_at_zero(table: Table) -> None:
    space = load_description("bittle").gait_space
    assert {parameter.name for parameter in space if parameter.frozen} == set(SIDEWAYS)
    assert len(space) == len(GAIT_UNITS) - len(SIDEWAYS)
    bittle = read_table(FOLDER / "bittle.toml")
    bittle["gait"]["parameters"]["front_locus_x"] = {"initial": 0.03, "step": 0.01, "lower": 0.02, "upper": 0.05}
    values = {p.name: p.initial for p in parse(bittle, RobotDescription, "x").gait_space}
    assert values["front_locus_x"] == 0.0


def test_a_hinge_turned_into_the_pitch_axis_is_no_abduction(table: Table) -> None:
    bittle = read_table(FOLDER / "bittle.toml")
    for leg in bittle["legs"].values():
        # frames turned about z there and back, the axis the other way: the same leg, written another way
        leg["joints"][0] |= {"rpy": [0.0, 0.0, math.pi / 2], "axis": [1.0, 0.0, 0.0]}
        leg["joints"][1] |= {"rpy": [0.0, 0.0, -math.pi / 2]}
    assert not parse(bittle, RobotDescription, "x").legs["front_left"].sideways
    assert parse(table, RobotDescription, "x").legs["rear_right"].sideways


def test_a_right_leg_left_out_is_the_left_one_mirrored(table: Table) -> None:
    description = parse(table, RobotDescription, "x")
    left, right = description.legs["front_left"], description.legs["front_right"]
    assert right.joints[0].origin == (0.122, -0.09, 0.0)
    assert right.joints[0].axis == (-1.0, 0.0, 0.0)
    assert right.joints[1].axis == left.joints[1].axis
    assert right.rest == left.rest
    table["legs"]["front_right"] = copy.deepcopy(table["legs"]["front_left"])
    table["legs"]["front_right"]["joints"][0]["origin"] = [0.1, -0.08, 0.0]
    assert parse(table, RobotDescription, "x").legs["front_right"].joints[0].origin == (0.1, -0.08, 0.0)


def test_what_was_written_comes_back_from_the_model(table: Table, tmp_path: Path) -> None:
    description = load_description("ers210")
    again = parse(description.model_dump(mode="json"), RobotDescription, "x")
    assert again == description
    assert again.fingerprint == description.fingerprint


def test_any_change_that_a_trial_may_feel_changes_the_fingerprint(table: Table) -> None:
    original = parse(table, RobotDescription, "x").fingerprint
    for path, value in (
        (["body", "mass"], 0.73),
        (["servo", "gain"], 13.9),
        (["legs", "rear_left", "joints"], [*table["legs"]["rear_left"]["joints"][:2], {"name": "shank", "mass": 0.05}]),
    ):
        changed = copy.deepcopy(table)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        assert parse(changed, RobotDescription, "x").fingerprint != original


def _set(*path: str | int, to: Any) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        inner: Any = table
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to

    return change


def _without(*path: str | int) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        inner: Any = table
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]

    return change


LEG = ("legs", "front_left")
WIRE = ("wiring", "legs", "front_left")
PERIOD = ("gait", "parameters", "period")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("servo", "stall_torqe", to=3.0), ["'servo.stall_torqe'", "'stall_torque'"]),
        (_set(*LEG, "jonts", to=[]), ["'legs.front_left.jonts'", "'joints'"]),
        (_set(*LEG, "joints", 1, "upperr", to=1.0), ["'legs.front_left.joints.1.upperr'", "'upper'"]),
        (_without(*LEG), ["'front_left' is missing"]),
        (_without(*LEG, "joints"), ["'legs.front_left.joints' is missing"]),
        (_set(*LEG, "joints", to=[]), ["'legs.front_left.joints'", "at least 1"]),
        (_without(*LEG, "foot"), ["'legs.front_left.foot' is missing"]),
        (_without(*LEG, "rest"), ["'legs.front_left.rest' is missing"]),
        (_set("legs", "left_front", to=3), ["'legs.left_front'", "'front_left'"]),
        (_set(*LEG, "joints", 0, "axis", to=[1.0, 1.0, 0.0]), ["joints.0", "abduction", "length 1"]),
        (_set(*LEG, "joints", 0, "axis", to=[0, 0, 0]), ["joints.0", "length 1"]),
        (_set(*LEG, "joints", 0, "axis", to=[1.0, 0.0]), ["joints.0.axis"]),
        (_set(*LEG, "joints", 0, "lower", to=4.0), ["abduction", "4.0 rad must be below"]),
        (_set(*LEG, "joints", 0, "mass", to=-0.1), ["joints.0.mass", "0"]),
        (_set(*LEG, "joints", 1, "name", to="abduction"), ["must differ"]),
        (_set(*LEG, "rest", to=[0.0, 0.7]), ["legs.front_left", "2 angles for 3 joints"]),
        (_set(*LEG, "rest", to=[0.0, 0.7, -2.0]), ["legs.front_left", "shank", "limits"]),
        (_set(*LEG, "joints", 0, "origin", to=[-0.1, 0.09, 0.0]), ["legs.front_left", "x points forward"]),
        (_set(*LEG, "joints", 0, "origin", to=[0.1, -0.09, 0.0]), ["legs.front_left", "y to the left"]),
        (_set(*WIRE, "ids", to=[20, 21, 22, 23]), ["wiring.legs.front_left", "one entry a joint"]),
        (
            _set(*WIRE, to={"ids": [20, 21, 22, 23], "directions": [1] * 4, "zeros": [0] * 4}),
            ["wiring.legs.front_left", "3 joints"],
        ),
        (_set(*WIRE, "ids", to=[10, 21, 22]), ["an id of its own", "10"]),
        (_set(*WIRE, "ids", to=[20, 21, 300]), ["wiring.legs.front_left.ids.2", "252"]),
        (_set(*WIRE, "directions", to=[1, 0, 1]), ["wiring.legs.front_left.directions.1"]),
        (_without(*WIRE), ["wiring.legs", "'front_left' is missing"]),
        (_set(*PERIOD, "initial", to=0), ["'period'", "initial 0"]),
        (_set(*PERIOD, "lower", to=0), ["'period'", "above 0"]),
        (_set("gait", "parameters", "front_body_height", "lower", to=-0.1), ["'front_body_height'", "above 0"]),
        (_set("gait", "parameters", "ground_fraction", "upper", to=1.0), ["'ground_fraction'", "below 1"]),
        (_set(*PERIOD, "step", to=0), ["period.step", "greater than 0"]),
        (_set(*PERIOD, "initial", to=float("nan")), ["period.initial", "finite"]),
        (_set(*PERIOD, "initial", to="0.7 s"), ["period.initial", "'0.7 s'"]),
        (_set("gait", "parameters", "perod", to={}), ["perod"]),
        (_without(*PERIOD), ["'period' is missing"]),
        (_set("gait", "family", to="gallop"), ["'gait.family'", "'trot'", "gallop"]),
        (_set("control_period", to=1.0), ["'control_period'", "0.1"]),
        (_set("name", to="my robot"), ["'name'", "my robot"]),
        (_set("body", "mass", to=0), ["'body.mass'", "greater than 0"]),
    ],
)
def test_a_mistake_is_told_with_the_key_and_the_mend(
    table: Table, change: Callable[[Table], None], told: list[str]
) -> None:
    change(table)
    message = _told(table)
    for part in told:
        assert part in message


def test_a_mistake_in_a_left_leg_is_told_once_and_not_for_its_mirror_image(table: Table) -> None:
    _set(*LEG, "joints", 0, "lower", to="low")(table)
    assert (
        _told(table)
        == "mine.toml: 'legs.front_left.joints.0.lower': must be a number, in SI units and without quotes (it is 'low')"
    )


def test_an_unknown_robot_is_told_with_the_nearest_name() -> None:
    with pytest.raises(RobotpsError, match=r"no robot is called 'dkity': did you mean 'dkitty'\?"):
        load_description("dkity")
    with pytest.raises(RobotpsError, match=r"bittle, dkitty, ers210, or give a FILE\.toml"):
        load_description("zzz")
    with pytest.raises(RobotpsError, match=r"mine\.toml: there is no such file"):
        load_description("mine.toml")


def test_a_persons_own_file_is_read_like_a_bundled_one(table: Table, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps({**table, "name": "mine"}))
    assert load_description(file).name == "mine"
    assert load_description(str(file)).joint_names == load_description("dkitty").joint_names


def test_a_changed_copy_is_another_robot() -> None:
    robot = load_description("dkitty")
    before, rear = robot.fingerprint, robot.legs["rear_left"]
    assert robot.joints[0] is robot.legs["front_left"].joints[0]
    front = robot.legs["front_left"].model_copy(update={"joints": rear.joints})
    other = robot.model_copy(update={"legs": {**robot.legs, "front_left": front}})
    assert other.fingerprint != before == robot.fingerprint
    assert other.joints[0] is rear.joints[0]
