"""Worlds are drawn as the distributions say, each field on its own, and the same again for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from scipy import stats

from robotps.description import bundled_robots, load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.trial import TrialSettings, digest, run_trial
from sim.randomization import Randomization, load_randomization
from sim.robot import SimulatedRobot
from sim.world import World

DKITTY = load_description("dkitty")
FIELDS = [
    (section, field)
    for section, info in World.model_fields.items()
    if section != "joints"
    for field in info.annotation.model_fields  # type: ignore[union-attr]
]


def randomization(**sections: Any) -> Randomization:
    return Randomization.model_validate(sections)


def drawn(distribution: dict[str, Any], count: int = 2000, nominal: World | None = None) -> np.ndarray:
    """Values of the floor's friction."""
    source = randomization(floor={"friction": distribution})
    return np.array([source.draw(DKITTY, nominal or World(), seed).floor.friction for seed in range(count)])


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ({"uniform": [0.5, 1.25]}, stats.uniform(0.5, 0.75)),
        ({"log_uniform": [0.1, 1.0]}, stats.loguniform(0.1, 1.0)),
        ({"normal": [0.7, 0.1]}, stats.truncnorm(-3, 3, 0.7, 0.1)),
        ({"uniform": [0.8, 1.2], "relative": "times"}, stats.uniform(0.56, 0.28)),
        ({"normal": [0.0, 0.05], "relative": "plus"}, stats.truncnorm(-3, 3, 0.7, 0.05)),
    ],
)
def test_values_follow_their_distribution(distribution: dict[str, Any], expected: Any) -> None:
    assert stats.kstest(drawn(distribution), expected.cdf).pvalue > 1e-3


def test_a_choice_takes_each_value_equally_often() -> None:
    values, counts = np.unique(drawn({"choice": [0.2, 0.5, 0.9]}), return_counts=True)
    assert values.tolist() == [0.2, 0.5, 0.9]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_every_field_can_be_randomized_and_none_moves_another(section: str, field: str) -> None:
    values = {"armature": 0.006, "mass_scale": 0.9, "friction": 0.8, "slope_deg": 3.0, "volts": 11.0, "every_s": 2.0}
    value = values.get(field, 0.3)
    world = randomization(**{section: {field: {"choice": [value]}}}).draw(DKITTY, World(), 0)
    table, nominal = world.model_dump(), World().model_dump()
    assert table[section][field] == ((value,) * 3 if field == "com_offset_m" else value)
    nominal[section][field] = table[section][field]
    assert table == nominal


def test_relative_values_start_from_the_description_where_the_world_says_nothing() -> None:
    twice = {"choice": [2.0], "relative": "times"}
    source = randomization(servo={"coulomb_friction": twice, "latency_s": twice}, battery={"volts": twice})
    plain = source.draw(DKITTY, World(), 0)
    assert plain.servo.coulomb_friction == 2 * DKITTY.servo.coulomb_friction
    assert plain.battery.volts == 2 * DKITTY.servo.voltage
    given = source.draw(DKITTY, World.model_validate({"servo": {"latency_s": 0.007}}), 0)
    assert given.servo.latency_s == pytest.approx(0.014)


def test_every_joint_is_drawn_on_its_own_unless_it_has_its_own_distribution() -> None:
    source = randomization(
        each_joint={"zero_offset_rad": {"uniform": [-0.05, 0.05]}},
        joints={"rear_left_shank": {"zero_offset_rad": {"choice": [0.5]}}},
    )
    nominal = World.model_validate({"joints": {"front_left_thigh": {"strength_scale": 0.7}}})
    world = source.draw(DKITTY, nominal, 4)
    offsets = [world.joints[name].zero_offset_rad for name in DKITTY.joint_names]
    assert world.joints["rear_left_shank"].zero_offset_rad == 0.5
    assert len(set(offsets)) == 12
    assert sorted(map(abs, offsets))[-2] <= 0.05
    assert world.joints["front_left_thigh"].strength_scale == 0.7
    others = np.array(
        [
            [source.draw(DKITTY, World(), seed).joints[name].zero_offset_rad for name in DKITTY.joint_names[:2]]
            for seed in range(300)
        ]
    )
    assert abs(np.corrcoef(others.T)[0, 1]) < 0.2


def test_three_numbers_take_one_distribution_or_three() -> None:
    one = randomization(body={"com_offset_m": {"uniform": [-0.01, 0.01]}}).draw(DKITTY, World(), 0)
    assert len(set(one.body.com_offset_m)) == 3
    three = randomization(body={"com_offset_m": [{"choice": [v]} for v in (0.1, 0.2, 0.3)]})
    assert three.draw(DKITTY, World(), 0).body.com_offset_m == (0.1, 0.2, 0.3)


def test_another_field_does_not_reshuffle_the_first() -> None:
    alone = randomization(floor={"friction": {"uniform": [0.5, 1.0]}})
    beside = randomization(body={"mass_scale": {"uniform": [0.5, 1.0]}}, floor=alone.model_dump()["floor"])
    for seed in range(5):
        assert alone.draw(DKITTY, World(), seed).floor == beside.draw(DKITTY, World(), seed).floor
        world = beside.draw(DKITTY, World(), seed)
        assert world.floor.friction != world.body.mass_scale


def test_a_drawn_world_is_applied_again_exactly_after_it_was_stored() -> None:
    world = load_randomization("default", DKITTY).draw(DKITTY, World(), 7)
    assert world == load_randomization("default", DKITTY).draw(DKITTY, World(), 7)
    assert world != load_randomization("default", DKITTY).draw(DKITTY, World(), 8)
    stored = World.model_validate_json(world.model_dump_json(exclude_defaults=True))
    digests = []
    for each in (world, stored):
        with SimulatedRobot(DKITTY, each, 7) as robot:
            _, telemetry = run_trial(robot, initial_gait(DKITTY), TrialSettings(seconds=0.5, warm_up=0.1))
        assert telemetry is not None
        digests.append(digest(telemetry))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("name", bundled_robots())
def test_the_default_stays_within_what_is_published_and_walks(name: str) -> None:
    description = load_description(name)
    source = load_randomization("default", description)
    source.check(description, World(), "default")
    worlds = [source.draw(description, World(), seed) for seed in range(200)]
    assert 0.8 <= min(world.body.mass_scale for world in worlds) < 0.85
    assert 1.15 < max(world.body.mass_scale for world in worlds) <= 1.2
    assert min(world.floor.friction for world in worlds) >= 0.5
    assert max(world.floor.friction for world in worlds) <= 1.25
    assert max(world.push.force_n for world in worlds) <= 0.3 * description.mass * 9.81
    assert max(abs(joint.zero_offset_rad) for world in worlds for joint in world.joints.values()) <= 0.05
    with SimulatedRobot(description, worlds[0], 0) as robot:
        trial, _ = run_trial(robot, initial_gait(description), TrialSettings(seconds=1.5, warm_up=0.5))
    assert trial.ending == "finished"
    assert trial.speed > 0.03


def test_a_file_survives_its_table(tmp_path: Path) -> None:
    path = tmp_path / "randomization.toml"
    source = load_randomization("default", DKITTY)
    path.write_text(tomli_w.dumps(source.model_dump(mode="json", exclude_defaults=True)))
    assert load_randomization(path, DKITTY) == source


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[flor]\nfriction = { uniform = [0.5, 1.0] }", r"unknown key 'flor'; the nearest known key is 'floor'"),
        ("[floor]\nfrictoin = { uniform = [0.5, 1.0] }", r"'floor.frictoin'; the nearest known key is 'friction'"),
        ("[floor]\nfriction = { unifrom = [0.5, 1.0] }", r"friction.*unifrom'; the nearest known key is 'uniform'"),
        ("[floor]\nfriction = { uniform = [0.9, 0.5] }", r"floor.friction.*wrong way round"),
        ("[floor]\nfriction = { log_uniform = [0.0, 0.5] }", r"floor.friction.*above 0"),
        ("[floor]\nfriction = { normal = [0.5, -0.5] }", r"floor.friction.*standard deviation"),
        ("[floor]\nfriction = { normal = [0.5, 0.5] }", r"'floor.friction' could be drawn as -1.0.*narrow"),
        ("[floor]\nfriction = { uniform = [0.5, 1.0], choice = [1.0] }", r"floor.friction.*exactly one of"),
        ("[floor]\nfriction = { }", r"floor.friction.*exactly one of"),
        ("[floor]\nfriction = { choice = [] }", r"floor.friction.*choice"),
        ("[floor]\nfriction = 0.5", r"floor.friction.*table"),
        ("[floor]\nfriction = { uniform = [0.5, nan] }", r"floor.friction.*finite"),
        ("[servo]\nlatency_s = [{choice=[0.1]},{choice=[0.1]},{choice=[0.1]}]", r"latency_s' takes one distribution"),
        ("[joints.front_left_knee]\nzero_offset_rad = { choice = [0.1] }", r"no joint 'front_left_knee'"),
        ("[each_joint]\nzero = { choice = [0.1] }", r"unknown key 'each_joint.zero'"),
    ],
)
def test_a_bad_file_names_itself_the_key_and_the_mend(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "randomization.toml"
    path.write_text(text)
    with pytest.raises(RobotpsError, match=told) as error:
        load_randomization(path, DKITTY)
    assert str(path) in str(error.value)


def test_worlds_near_the_nominal_one_slope_in_all_directions() -> None:
    source = randomization(floor={"slope_deg": {"uniform": [0, 2]}, "slope_heading_deg": {"uniform": [0, 360]}})
    floors = [source.draw(DKITTY, World(), seed, width=0.3).floor for seed in range(200)]
    assert max(floor.slope_deg for floor in floors) < 0.6
    counts, _ = np.histogram([floor.slope_heading_deg for floor in floors], bins=4, range=(0, 360))
    assert counts.min() > 25


@pytest.mark.parametrize("relative", ["times", "plus"])
@pytest.mark.parametrize(
    "distribution",
    [{"uniform": [0.3, 0.6]}, {"normal": [0.4, 0.05]}, {"choice": [0.2, 0.5]}, {"log_uniform": [0.2, 0.6]}],
)
def test_absolute_distributions_draw_the_same_around_any_world(relative: str, distribution: dict[str, Any]) -> None:
    drawn = {**distribution, "relative": relative}
    source = randomization(
        floor={"friction": drawn}, each_joint={"strength_scale": drawn}, body={"com_offset_m": drawn}
    )
    nominal = World.model_validate({"floor": {"friction": 0.6}, "joints": {"rear_left_shank": {"strength_scale": 0.7}}})
    absolute = source.absolute(DKITTY, nominal)
    for seed in range(20):
        around = source.draw(DKITTY, nominal, seed)
        again = absolute.draw(DKITTY, World(), seed)
        if (relative, *distribution) == ("plus", "log_uniform"):
            assert 0.8 <= again.floor.friction <= 1.2
        else:
            assert again.floor.friction == pytest.approx(around.floor.friction)
            assert again.body.com_offset_m == pytest.approx(around.body.com_offset_m)
            for name in DKITTY.joint_names:
                assert again.joints[name].strength_scale == pytest.approx(around.joints[name].strength_scale)


def test_what_leaves_the_possible_around_another_world_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[floor]\nfriction = { uniform = [-0.3, 0.3], relative = "plus" }\n')
    load_randomization(path, DKITTY)
    with pytest.raises(RobotpsError, match=r"r\.toml: 'floor.friction' could be drawn as -0"):
        load_randomization(path, DKITTY, World.model_validate({"floor": {"friction": 0.1}}))
