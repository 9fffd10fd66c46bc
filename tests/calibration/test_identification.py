"""An identified world's file is one that --world and --randomize take, and says how sure it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from calibration.identification import Identification, IdentifiedParameter, distributions
from calibration.unknowns import believed, body_unknowns, servo_unknowns, with_values
from robotps.description import load_description
from robotps.errors import RobotpsError
from sim.randomization import Randomization, default_randomization, load_randomization
from sim.world import World, load_world

DKITTY = load_description("dkitty")
UNKNOWNS = [*servo_unknowns(DKITTY, World()), *body_unknowns(World())]


def parameter(name: str, value: float, deviation: float, *, informative: bool = True) -> IdentifiedParameter:
    prior = next(unknown.prior for unknown in UNKNOWNS if unknown.name == name)
    low, high = value - 1.96 * deviation, value + 1.96 * deviation
    return IdentifiedParameter(name, "1", prior, value, low, high, at_bound=False, informative=informative)


FOUND = {
    one.name: one
    for one in (
        parameter("servo.strength_scale", 0.9, 0.02),
        parameter("servo.coulomb_friction", 0.01, 0.01),
        parameter("joints.rear_left_thigh.zero_offset_rad", 0.03, 0.004),
        parameter("body.com_offset_m.0", 0.01, 0.002),
        parameter("floor.slope_ahead", -0.02, 0.004),
        parameter("floor.friction", 0.7, 0.3, informative=False),
    )
}


def test_values_go_where_the_world_has_them() -> None:
    values = {name: one.value for name, one in FOUND.items()} | {"body.mass_scale": 1.2}
    world = with_values(World(), values)
    assert world.servo.strength_scale == 0.9
    assert world.joints["rear_left_thigh"].zero_offset_rad == 0.03
    assert world.body.com_offset_m == (0.01, 0.0, 0.0)
    assert world.body.inertia_scale == 1.2
    assert world.floor.slope_deg == pytest.approx(math.degrees(0.02))
    assert abs(world.floor.slope_heading_deg) == pytest.approx(180.0)


def test_intervals_become_distributions_and_the_rest_stays_as_believed() -> None:
    drawn = distributions(UNKNOWNS, FOUND, default_randomization(DKITTY))
    assert drawn.servo["strength_scale"][0].normal == pytest.approx((0.9, 0.02))
    low, high = drawn.servo["coulomb_friction"][0].uniform or (1.0, 0.0)
    assert low == 0.0
    assert high == pytest.approx(0.01 + 1.96 * 0.01)
    assert drawn.floor["friction"] == default_randomization(DKITTY).floor["friction"]
    worlds = [drawn.draw(DKITTY, World(), seed) for seed in range(20)]
    assert all(world.body.com_offset_m[1] == 0.0 for world in worlds)
    assert len({world.body.com_offset_m[0] for world in worlds}) == 20
    assert all(abs(world.joints["rear_left_thigh"].zero_offset_rad - 0.03) < 0.0121 for world in worlds)


def test_a_floor_that_may_be_level_slopes_in_any_direction() -> None:
    nearly = {"floor.slope_ahead": parameter("floor.slope_ahead", 0.003, 0.014)}
    worlds = [distributions(UNKNOWNS, nearly, None).draw(DKITTY, World(), seed) for seed in range(400)]
    headings = np.radians([world.floor.slope_heading_deg for world in worlds])
    ahead = np.radians([world.floor.slope_deg for world in worlds]) * np.cos(headings)
    assert abs(ahead.mean()) < 0.003
    assert 0.4 < (ahead < 0).mean() < 0.6
    steep = {"floor.slope_ahead": parameter("floor.slope_ahead", 0.08, 0.014)}
    drawn = distributions(UNKNOWNS, steep, None)
    headings = np.array([drawn.draw(DKITTY, World(), seed).floor.slope_heading_deg for seed in range(100)])
    assert np.abs(headings).max() < 25
    assert headings.std() > 5


def test_what_is_believed_of_one_coordinate_outlives_the_others() -> None:
    prior = Randomization.model_validate({"body": {"com_offset_m": {"uniform": [-0.01, 0.01]}}})
    x, y, z = distributions(UNKNOWNS, FOUND, prior).body["com_offset_m"]
    assert x.normal == pytest.approx((0.01, 0.002))
    assert y.uniform == z.uniform == (-0.01, 0.01)


def test_the_file_is_for_both_flags(tmp_path: Path) -> None:
    world = with_values(World(), {name: one.value for name, one in FOUND.items() if one.identified})
    drawn = distributions(UNKNOWNS, FOUND, None)
    path = tmp_path / "identified.toml"
    Identification(world, drawn, FOUND, 9.0, 2.0, True, ["a"], ["b"]).save(path)
    assert load_world(path) == world
    assert load_randomization(path, DKITTY) == drawn
    path.write_text("[servo]\nstrenth_scale = 1.0\n")
    with pytest.raises(RobotpsError, match="strength_scale"):
        load_world(path)


def test_a_prior_distribution_says_mean_and_spread() -> None:
    prior = Randomization.model_validate(
        {
            "servo": {
                "strength_scale": {"uniform": [0.6, 1.0]},
                "viscous_friction": {"uniform": [0.0, 2.0], "relative": "times"},
            },
            "each_joint": {"zero_offset_rad": {"normal": [0.01, 0.02]}},
        }
    )
    by_name = {unknown.name: unknown for unknown in believed(UNKNOWNS, prior)}
    assert by_name["servo.strength_scale"].prior == pytest.approx(0.8)
    assert by_name["servo.strength_scale"].spread == pytest.approx(0.4 / math.sqrt(12))
    assert by_name["servo.viscous_friction"].prior == pytest.approx(DKITTY.servo.viscous_friction)
    zero = by_name["joints.front_left_shank.zero_offset_rad"]
    assert (zero.prior, zero.spread) == (pytest.approx(0.01), pytest.approx(0.02))
