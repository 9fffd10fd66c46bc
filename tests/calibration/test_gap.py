"""The gap is small where reality is as described and large where it is not; the lemma's bound holds along logs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from calibration.choice import rehearse, rehearsed, spread_around
from calibration.gap import gap_of, in_words
from calibration.guarded import GuardedRobot
from calibration.logged import LoggedTrial
from calibration.moments import slopes, states_of, turning
from calibration.prediction import predict, simulation_lemma
from hardware.safety import SafetyLimits
from robotps.cli.simulation import SameWorld, simulation
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import Gait, initial_gait
from robotps.legs import LEGS
from robotps.robot import Telemetry
from robotps.trial import TrialSettings, run_trial
from sim.robot import SimulatedRobot
from sim.world import World

DKITTY = load_description("dkitty")
SETTINGS = TrialSettings(seconds=1.2, warm_up=0.4)
OTHER = World.model_validate(
    {
        "body": {"mass_scale": 1.3},
        "servo": {"strength_scale": 0.6, "speed_scale": 0.5, "latency_s": 0.03},
        "joints": {"rear_right_thigh": {"zero_offset_rad": 0.08}},
    }
)


def gaits() -> list[Gait]:
    initial = initial_gait(DKITTY)
    return [
        Gait(initial.family, {**initial.parameters, "locus_length": length, "period": period})
        for length, period in ((0.02, 0.5), (0.03, 0.5), (0.04, 0.4))
    ]


@cache
def walked(world: str) -> list[LoggedTrial]:
    """Logged trials whose reality is another simulation."""
    trials = []
    for gait in gaits():
        for seed in (100, 101):
            with SimulatedRobot(DKITTY, World() if world == "nominal" else OTHER, seed) as robot:
                trial, telemetry = run_trial(robot, gait, SETTINGS)
            assert telemetry is not None
            trials.append(LoggedTrial("x", telemetry, gait, SETTINGS, speed=trial.speed))
    return trials


def gap_to_nominal(world: str):
    return gap_of(
        DKITTY,
        walked(world),
        open_robot=simulation(DKITTY),
        draw_world=SameWorld({}),
        nominal=World(),
        repeats=2,
    )


def test_a_reality_as_described_has_a_small_gap_and_another_one_a_greater() -> None:
    same, other = gap_to_nominal("nominal"), gap_to_nominal("other")
    assert same.size == "small"
    assert "the gap is small" in in_words(same)[0]
    assert len(same.pairs) == 3
    assert [len(pair.real) for pair in same.pairs] == [2, 2, 2]
    assert other.relative_error > 3 * same.relative_error
    assert other.measures is not None
    assert same.prediction is not None
    assert other.prediction is not None
    assert other.prediction.one_step_error > 5 * same.prediction.one_step_error
    for gap in (same, other):
        assert gap.measures is not None
        real = np.array([pair.real.mean() for pair in gap.pairs])
        simulated = np.array([pair.simulated.mean() for pair in gap.pairs])
        assert gap.measures["bias"].value == pytest.approx(float((simulated - real).mean()))
        assert gap.lemma is not None
        assert gap.lemma.held == gap.lemma.windows == 6
        assert gap.lemma.by_disagreement == pytest.approx(gap.lemma.value_gap, abs=1e-9)
    assert same.lemma is not None
    assert other.lemma is not None
    assert abs(same.lemma.value_gap) < abs(other.lemma.value_gap)
    assert same.lemma.bound < other.lemma.bound


def test_the_leg_with_another_zero_is_the_worst() -> None:
    errors = []
    for joints in ({}, {"rear_right_thigh": {"zero_offset_rad": 0.15}}):
        with SimulatedRobot(DKITTY, World.model_validate({"joints": joints})) as robot:
            _, telemetry = run_trial(robot, gaits()[1], SETTINGS)
        assert telemetry is not None
        states = states_of(DKITTY, telemetry)
        assert states is not None
        errors.append(predict(DKITTY, World(), [states], shots=20).joints[-1].reshape(4, 3).sum(axis=1))
    nominal, odd = errors
    assert LEGS[int(odd.argmax())] == "rear_right"
    assert odd[LEGS.index("rear_right")] > 8 * nominal.max()


def test_a_trial_that_is_too_short_for_a_window_has_no_lemma() -> None:
    states = states_of(DKITTY, walked("nominal")[0].telemetry)
    assert states is not None
    assert simulation_lemma(DKITTY, World(), [states], horizon=len(states.time)) is None


def test_without_the_bodys_pose_speeds_are_compared_and_nothing_is_predicted() -> None:
    bare = [
        LoggedTrial(t.name, Telemetry(t.telemetry.time, t.telemetry.sent), t.gait, t.settings, speed=t.speed)
        for t in walked("nominal")[:1]
    ]
    gap = gap_of(DKITTY, bare, open_robot=simulation(DKITTY), draw_world=SameWorld({}), nominal=World(), repeats=1)
    assert gap.prediction is None
    assert gap.lemma is None
    assert gap.measures is None
    assert any("--odometer stream" in line for line in in_words(gap))


def test_velocities_come_from_poses_and_the_floor_from_the_feet() -> None:
    log = walked("nominal")[0].telemetry
    assert log.position is not None
    assert log.base_position is not None
    assert log.orientation is not None
    assert log.base_velocity is not None
    assert log.angular_velocity is not None
    raised = Telemetry(
        log.time,
        log.sent,
        position=log.position,
        base_position=log.base_position + np.array([5.0, -3.0, 0.4]),
        orientation=log.orientation,
    )
    states = states_of(DKITTY, raised)
    assert states is not None
    assert np.abs(states.base_position[:, 2] - log.base_position[:, 2]).max() < 0.003
    inside = slice(5, -5)
    assert np.abs(states.base_velocity - log.base_velocity)[inside].std() < 0.2 * log.base_velocity.std()
    assert np.abs(states.angular_velocity - log.angular_velocity)[inside].std() < 0.5 * log.angular_velocity.std()


def test_slopes_and_turning_are_exact_where_motion_is_uniform() -> None:
    time = np.arange(20) * 0.01
    assert slopes(time, np.outer(time, [2.0, -1.0])) == pytest.approx(np.tile([2.0, -1.0], (20, 1)))
    angle = 1.5 * time
    orientation = np.stack([np.sin(angle / 2), 0 * time, 0 * time, np.cos(angle / 2)], axis=1)
    assert turning(time, orientation) == pytest.approx(np.tile([1.5, 0.0, 0.0], (20, 1)), abs=1e-9)


def test_what_the_safety_layer_would_end_does_not_pass_a_rehearsal() -> None:
    gait = gaits()[0]
    with GuardedRobot(DKITTY, limits=SafetyLimits(max_tracking_error=0.02, patience=0.2)) as robot:
        trial, _ = run_trial(robot, gait, SETTINGS)
    assert trial.ending == "fault"
    assert "tracking error" in trial.reason
    assert rehearse(DKITTY, gait, SETTINGS) == ""
    high = Gait(gait.family, {**gait.parameters, "front_body_height": 0.6, "rear_body_height": 0.6})
    assert "reaches no point" in rehearse(DKITTY, high, SETTINGS)


def test_a_guarded_robot_walks_as_an_unguarded_one_where_nothing_is_clipped() -> None:
    speeds = []
    for kind in (SimulatedRobot, GuardedRobot):
        with kind(DKITTY, World(), 3) as robot:
            speeds.append(run_trial(robot, gaits()[0], SETTINGS)[0].speed)
    assert speeds[1] == pytest.approx(speeds[0], rel=0.1)


def test_gaits_are_spread_around_the_start_within_bounds_and_only_safe_ones_are_taken() -> None:
    space = DKITTY.gait_space
    some = spread_around(space, 3.0, 7)
    first = np.stack([next(some) for _ in range(33)])
    assert (first[0] == 0).all()
    assert (np.abs(first) <= 3).all()
    assert np.abs(first[1:].mean(axis=0)).max() < 0.4
    high = space.vector({"front_body_height": 0.295, "rear_body_height": 0.16, "period": 0.25})
    taken = rehearsed(DKITTY, "trot", space, iter([first[0], high, first[1]]), SETTINGS, 2)
    assert taken[0] == pytest.approx(first[0])
    with pytest.raises(RobotpsError, match="pass a rehearsal"):
        rehearsed(DKITTY, "trot", space, iter([high] * 50), SETTINGS, 1)


def test_where_no_gait_passes_a_rehearsal_that_is_said_and_where_some_do_these_are_sent() -> None:
    space = DKITTY.gait_space
    start = np.zeros(len(space))
    hopeless = np.clip(np.full(len(space), 60.0), space.lower, space.upper)
    with pytest.raises(RobotpsError, match="only 0 of 2 gaits pass"):
        rehearsed(DKITTY, "trot", space, iter([hopeless, hopeless]), SETTINGS, 2)
    stormy = World.model_validate({"push": {"force_n": 500.0, "duration_s": 0.3, "every_s": 0.3}})
    with pytest.raises(RobotpsError, match="only 0 of 1"):
        rehearsed(DKITTY, "trot", space, iter([start]), SETTINGS, 1, stormy)
    passed = rehearsed(DKITTY, "trot", space, iter([hopeless, start]), SETTINGS, 2)
    np.testing.assert_array_equal(passed, start[None])
