"""From twelve parameters to joint targets over a cycle."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robotps.description import GAIT_UNITS, POSITIVE, Family, RobotDescription, bundled_robots, load_description
from robotps.errors import RobotpsError
from robotps.gait import (
    PHASES,
    SAMPLES,
    Gait,
    UnreachableGait,
    chains,
    foot_loci,
    gait_cycle,
    initial_gait,
    load_gait,
    save_gait,
)
from robotps.legs import LEGS
from robotps.parameters import FloatArray

DKITTY = load_description("dkitty")
ERS210 = load_description("ers210")


def _gait(description: RobotDescription = DKITTY, family: Family = "trot", **parameters: float) -> Gait:
    return Gait(family, {**initial_gait(description).parameters, **parameters})


def _feet(description: RobotDescription, joints: FloatArray) -> FloatArray:
    """Foot centres (4, m, 3) of joint targets (m, n_joints)."""
    feet, column = [], 0
    for chain in chains(description):
        k = len(chain.lower)
        feet.append(chain.forward(joints[:, column : column + k]))
        column += k
    return np.array(feet)


def test_a_foot_follows_the_published_half_ellipse_point_by_point() -> None:
    g, length, height, samples = 0.55, 0.04, 0.03, 48
    gait = _gait(
        ground_fraction=g, locus_length=length, front_locus_height=height, front_locus_y=0.02, front_locus_x=0.01
    )
    locus = foot_loci(DKITTY, gait, samples)[0]
    # the hip, 2 cm ahead, 1 cm further out; the sole 0.27 m below
    centre = np.array([0.122 + 0.02, 0.09 + 0.01, -(0.27 - 0.0103)])
    for k in range(samples):
        p = k / samples
        if p < g:
            forward, up = length * (1 - 2 * p / g), 0.0
        else:
            s = (p - g) / (1 - g)
            forward, up = -length * math.cos(math.pi * s), height * math.sin(math.pi * s)
        np.testing.assert_allclose(locus[k], centre + np.array([forward, 0.0, up]), atol=1e-12)


@pytest.mark.parametrize(
    ("family", "together", "half_a_cycle_apart"),
    [
        ("trot", [(0, 3), (1, 2)], [(0, 1)]),
        ("pace", [(0, 2), (1, 3)], [(0, 1)]),
        ("bound", [(0, 1), (2, 3)], [(0, 2)]),
        ("pronk", [(0, 1), (1, 2), (2, 3)], []),
        ("walk", [], [(0, 1), (2, 3)]),
    ],
)
def test_each_family_moves_its_legs_together_as_its_name_says(
    family: Family, together: list[tuple[int, int]], half_a_cycle_apart: list[tuple[int, int]]
) -> None:
    gait = _gait(family=family, front_locus_height=0.03, rear_locus_height=0.03)
    loci = foot_loci(DKITTY, gait, 64)
    moves = (loci - loci.mean(axis=1, keepdims=True))[:, :, [0, 2]]
    for a, b in together:
        np.testing.assert_allclose(moves[a], moves[b], atol=1e-12)
    for a, b in half_a_cycle_apart:
        np.testing.assert_allclose(moves[a], np.roll(moves[b], 32, axis=0), atol=1e-12)


def test_a_walk_sets_its_feet_down_one_after_the_other_rear_before_front_on_each_side() -> None:
    touchdown = dict(zip(LEGS, PHASES["walk"], strict=True))
    order = sorted(LEGS, key=lambda leg: touchdown[leg])
    assert order == ["rear_left", "front_left", "rear_right", "front_right"]
    assert np.diff([touchdown[leg] for leg in order]) == pytest.approx([0.25] * 3)


@pytest.mark.parametrize("family", list(PHASES))
def test_the_share_of_time_on_the_ground_is_the_ground_fraction(family: Family) -> None:
    loci = foot_loci(DKITTY, _gait(family=family, ground_fraction=0.6), 1000)
    on_ground = np.isclose(loci[:, :, 2], loci[:, :, 2].min())
    np.testing.assert_allclose(on_ground.mean(axis=1), 0.6, atol=0.002)


def test_a_higher_rear_pitches_the_body_and_the_feet_still_move_along_the_floor() -> None:
    front, rear, radius = 0.077, 0.112, 0.0125
    gait = initial_gait(ERS210)
    loci = foot_loci(ERS210, gait, 64)
    pitch = math.asin((rear - front) / 0.119)  # hips 119 mm apart
    forward = np.array([math.cos(pitch), 0.0, math.sin(pitch)])  # the floor's axes in the body's frame
    up = np.array([-math.sin(pitch), 0.0, math.cos(pitch)])
    for i, leg in enumerate(LEGS):
        hip = np.array(ERS210.legs[leg].joints[0].origin)
        height, offset = (front, 0.049) if leg.startswith("front") else (rear, -0.028)
        below, ahead = (loci[i] - hip) @ up, (loci[i] - hip) @ forward
        assert below.min() == pytest.approx(-(height - radius))
        assert np.isclose(below, below.min()).mean() == pytest.approx(0.5, abs=0.02)
        assert (ahead.max() + ahead.min()) / 2 == pytest.approx(offset, abs=1e-3)
        assert np.ptp(ahead) == pytest.approx(2 * 0.04893, rel=0.01)
        assert np.ptp(below) == pytest.approx(0.042 if leg.startswith("front") else 0.056, rel=0.01)


def test_outward_is_outward_on_both_sides() -> None:
    inner, outer = (foot_loci(DKITTY, _gait(front_locus_x=x, rear_locus_x=x), 8)[:, 0, 1] for x in (0.0, 0.02))
    np.testing.assert_allclose(outer - inner, [0.02, -0.02, 0.02, -0.02], atol=1e-12)


def test_skew_is_the_curvature_of_the_path_and_turns_left_where_positive() -> None:
    curvature = 0.8
    loci = foot_loci(DKITTY, _gait(locus_skew=curvature, ground_fraction=0.5), 4096)
    for i, offset in enumerate(PHASES["trot"]):
        own = (np.arange(4096) / 4096 - offset) % 1.0
        middle = loci[i][np.argmin(np.abs(own - 0.25))]
        stance = np.flatnonzero(own < 0.499)
        step = loci[i][(stance + 1) % 4096] - loci[i][stance]
        # a foot at rest on the floor, seen from a body that moves with (v, 0) and turns by v * curvature
        expected = -np.array([1.0 - curvature * middle[1], curvature * middle[0]])
        np.testing.assert_allclose(step[:, 1] / step[:, 0], expected[1] / expected[0], rtol=1e-6)
        assert (step[:, 0] < 0).all()
    lengths = np.ptp(loci[:, :, 0], axis=1)
    assert lengths[0] < lengths[1]  # left feet are on the inside


def test_the_start_of_every_robot_is_within_its_joint_limits_and_reach() -> None:
    for robot, missed in (("dkitty", 0.0), ("bittle", 0.0), ("ers210", 0.25)):
        description = load_description(robot)
        cycle = gait_cycle(description, initial_gait(description))
        assert cycle.unreachable <= missed
        assert cycle.joints.shape == (SAMPLES, description.n_joints)
        lower, upper = (np.array([getattr(joint, end) for joint in description.joints]) for end in ("lower", "upper"))
        assert (cycle.joints >= lower).all()
        assert (cycle.joints <= upper).all()


@pytest.mark.parametrize("robot", bundled_robots())
def test_the_joint_targets_put_the_feet_on_their_loci(robot: str) -> None:
    description = load_description(robot)
    gait = initial_gait(description)
    cycle = gait_cycle(description, gait)
    missed = np.linalg.norm(_feet(description, cycle.joints) - foot_loci(description, gait), axis=2)
    assert (missed > 1e-4).mean() == pytest.approx(cycle.unreachable)
    assert missed[missed <= 1e-4].max() < 1e-6


def test_what_is_out_of_reach_is_counted() -> None:
    reachable = gait_cycle(DKITTY, _gait())
    long = gait_cycle(DKITTY, _gait(locus_length=0.2))
    longer = gait_cycle(DKITTY, _gait(locus_length=0.3))
    assert reachable.unreachable == 0.0
    assert 0.0 < long.unreachable < longer.unreachable < 1.0


def test_the_robot_stands_with_every_foot_at_the_centre_of_its_locus() -> None:
    gait = _gait(front_locus_y=0.03, rear_locus_y=-0.01, front_body_height=0.26, locus_skew=1.0, ground_fraction=0.5)
    cycle = gait_cycle(DKITTY, gait)
    loci = foot_loci(DKITTY, gait, 4)
    # half way through the stance, a quarter of the cycle after touchdown
    centres = [locus[round(4 * offset + 1) % 4] for locus, offset in zip(loci, PHASES["trot"], strict=True)]
    np.testing.assert_allclose(_feet(DKITTY, cycle.standing[None, :])[:, 0], centres, atol=1e-6)
    assert cycle.body_height == pytest.approx((0.26 + 0.27) / 2)


def test_the_motion_swells_from_the_standing_pose_to_the_cycle() -> None:
    cycle = gait_cycle(DKITTY, _gait())
    np.testing.assert_array_equal(cycle(0.0), cycle.standing)
    half = cycle.ramp / 2
    full = replace(cycle, ramp=0.0)
    np.testing.assert_allclose(cycle(half), (cycle.standing + full(half)) / 2, atol=1e-12)
    just_before, just_after = cycle(cycle.ramp - 1e-9), cycle(cycle.ramp)
    np.testing.assert_allclose(just_before, just_after, atol=1e-6)


@pytest.mark.parametrize("family", list(PHASES))
def test_the_cycle_repeats_without_a_jump(family: Family) -> None:
    cycle = gait_cycle(DKITTY, _gait(family=family))
    period = cycle.period
    for time in np.random.default_rng(0).uniform(period, 2 * period, size=50):
        np.testing.assert_allclose(cycle(time), cycle(time + 3 * period), atol=1e-9)
    np.testing.assert_allclose(cycle(2 * period - 1e-9), cycle(2 * period + 1e-9), atol=1e-6)
    for k in (0, 1, 17, 63):
        np.testing.assert_allclose(cycle(period * (5 + k / SAMPLES)), cycle.joints[k], atol=1e-9)
    between = cycle(period * (5 + 17.25 / SAMPLES))
    np.testing.assert_allclose(between, 0.75 * cycle.joints[17] + 0.25 * cycle.joints[18], atol=1e-9)
    steps = np.abs(np.diff(cycle.joints, axis=0, append=cycle.joints[:1]))
    assert steps.max() < 0.25


@settings(max_examples=40, deadline=None)
@given(
    shares=st.lists(st.floats(0, 1), min_size=12, max_size=12), robot=st.sampled_from(["dkitty", "bittle", "ers210"])
)
def test_any_gait_within_the_bounds_gives_finite_targets_within_the_limits_or_says_it_is_unreachable(
    shares: list[float], robot: str
) -> None:
    description = load_description(robot)
    values = {
        parameter.name: parameter.lower + share * (parameter.upper - parameter.lower)
        for parameter, share in zip(description.gait_space, shares, strict=True)
    }
    try:
        cycle = gait_cycle(description, Gait("trot", values))
    except UnreachableGait:
        return
    lower, upper = (np.array([getattr(joint, end) for joint in description.joints]) for end in ("lower", "upper"))
    assert np.isfinite(cycle.joints).all()
    assert ((cycle.joints >= lower) & (cycle.joints <= upper)).all()
    assert 0.0 <= cycle.unreachable < 1.0


@pytest.mark.parametrize("name", GAIT_UNITS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parameter_that_is_no_number_is_told(name: str, value: float) -> None:
    with pytest.raises(RobotpsError, match=f"'{name}' must be a finite number"):
        _gait(**{name: value})


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", [0.0, -0.1])
def test_a_parameter_that_must_be_positive_is_told(name: str, value: float) -> None:
    with pytest.raises(RobotpsError, match=f"'{name}' must be above 0"):
        _gait(**{name: value})


def test_a_foot_that_never_swings_or_a_missing_parameter_is_told() -> None:
    with pytest.raises(RobotpsError, match="'ground_fraction' must be below 1"):
        _gait(ground_fraction=1.0)
    with pytest.raises(RobotpsError, match="'period' is missing"):
        Gait("trot", {name: 0.1 for name in GAIT_UNITS if name != "period"})


@pytest.mark.parametrize("height", [0.6, 27.0, 270.0])
def test_a_locus_wholly_out_of_reach_names_the_leg_and_what_to_check(height: float) -> None:
    with pytest.raises(UnreachableGait, match=r"dkitty's rear_left leg reaches no point.*check body heights"):
        gait_cycle(DKITTY, _gait(rear_body_height=height))


def test_sideways_offsets_of_a_robot_without_abduction_are_out_of_reach() -> None:
    bittle = load_description("bittle")
    with pytest.raises(UnreachableGait, match="bittle's front_left"):
        gait_cycle(bittle, _gait(bittle, front_locus_x=0.02))


def test_a_gait_file_gives_back_the_gait(tmp_path: Path) -> None:
    gait = _gait(family="walk", period=0.123456789012345)
    save_gait(tmp_path / "gait.toml", gait, DKITTY)
    again = load_gait(tmp_path / "gait.toml", DKITTY)
    assert again == gait
    assert "period s" in (tmp_path / "gait.toml").read_text()


def test_what_a_gait_file_leaves_out_is_as_the_description_starts(tmp_path: Path) -> None:
    (tmp_path / "gait.toml").write_text("[parameters]\nperiod = 0.5\n")
    gait = load_gait(tmp_path / "gait.toml", DKITTY)
    assert gait == _gait(period=0.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[parameters]\nperod = 0.5", "unknown parameter 'perod'; the nearest is 'period'"),
        ("[paramters]\nperiod = 0.5", "unknown key 'paramters'; the nearest known key is 'parameters'"),
        ("[parameters]\nperiod = 0", "'period' must be above 0"),
        ("[parameters]\nfront_body_height = -0.2", "'front_body_height' must be above 0"),
        ("[parameters]\nperiod = nan", "'parameters.period': must be a finite number"),
        ('[parameters]\nperiod = "700 ms"', "'parameters.period': must be a number, in SI units"),
        ("family = 'gallop'", "'family': must be 'trot'"),
        ("robot = 'ers210'", "this is a gait of 'ers210', not of 'dkitty': give --robot ers210"),
        ("period = 0.5", "unknown key 'period'"),
    ],
)
def test_a_bad_gait_file_is_told_with_its_name(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "gait.toml"
    file.write_text(text)
    with pytest.raises(RobotpsError) as error:
        load_gait(file, DKITTY)
    assert str(error.value).startswith(f"{file}: ")
    assert told in str(error.value)


def test_a_gait_that_is_tried_again_is_not_worked_out_again() -> None:
    gait = _gait(locus_length=0.031)
    cycle = gait_cycle(DKITTY, gait)
    turned_round = Gait(gait.family, dict(reversed(gait.parameters.items())))
    assert gait_cycle(pickle.loads(pickle.dumps(DKITTY)), turned_round) is cycle
    for other in (
        gait_cycle(DKITTY, _gait(locus_length=0.0311)),
        gait_cycle(DKITTY, _gait(family="walk", locus_length=0.031)),
        gait_cycle(ERS210, _gait(ERS210, locus_length=0.031)),
    ):
        assert not np.array_equal(other.joints, cycle.joints)
    leg = DKITTY.legs["front_left"]
    moved = leg.model_copy(update={"foot": leg.foot.model_copy(update={"radius": leg.foot.radius + 0.01})})
    longer = DKITTY.model_copy(update={"legs": {**DKITTY.legs, "front_left": moved}})
    assert not np.array_equal(gait_cycle(longer, gait).joints, cycle.joints)
    with pytest.raises(ValueError, match="read-only"):
        cycle.joints[0, 0] = 0.0
