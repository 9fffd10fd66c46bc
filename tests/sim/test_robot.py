"""The simulated robot is the description's: masses, limits, servos, latency, friction, gravity, self-collision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robotps.description import RobotDescription, load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.legs import LEGS
from robotps.odometer import heading
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Telemetry
from robotps.trial import TrialSettings, run_trial
from sim.robot import SimulatedRobot
from sim.world import World

Afloat = Callable[..., SimulatedRobot]
BUNDLED = ["bittle", "dkitty", "ers210"]
STILL = {"joint_noise_rad": 0.0, "yaw_noise_rad": 0.0}


def rest(description: RobotDescription) -> FloatArray:
    return np.concatenate([description.legs[leg].rest for leg in LEGS])


def hold(target: FloatArray) -> Motion:
    return lambda time, last: target


def world(**sections: object) -> World:
    return World.model_validate({"start": STILL, **sections})


def stood(name: str, seconds: float, **sections: object) -> Telemetry:
    """What a robot reports that stands on the floor in its start gait's stance."""
    description = load_description(name)
    standing = gait_cycle(description, initial_gait(description)).standing
    with SimulatedRobot(description, world(**sections)) as robot:
        robot.stand(standing)
        return Telemetry.of(list(robot.play(hold(standing), seconds)))


@pytest.mark.parametrize("name", BUNDLED)
def test_masses_and_joint_limits_in_the_engine_are_the_descriptions(name: str) -> None:
    description = load_description(name)
    with SimulatedRobot(description, World()) as robot:
        robot.stand(rest(description))
        p, where = robot._p, {"physicsClientId": robot._client}
        masses = [p.getDynamicsInfo(robot._body, i, **where)[0] for i in [-1, *robot._joints]]
        assert sum(masses) == pytest.approx(description.mass, rel=1e-9)
        assert masses[1:] == pytest.approx([joint.mass for joint in description.joints])
        for i, joint, joint_name in zip(robot._joints, description.joints, description.joint_names, strict=True):
            info = p.getJointInfo(robot._body, i, **where)
            assert info[1].decode() == joint_name
            assert info[8:10] == pytest.approx((joint.lower, joint.upper), abs=1e-9)


def test_the_worlds_mass_scale_reaches_every_link() -> None:
    description = load_description("dkitty")
    with SimulatedRobot(description, world(body={"mass_scale": 1.3})) as robot:
        robot.stand(rest(description))
        masses = [
            robot._p.getDynamicsInfo(robot._body, i, physicsClientId=robot._client)[0] for i in [-1, *robot._joints]
        ]
    assert sum(masses) == pytest.approx(1.3 * description.mass)


@pytest.mark.parametrize("name", BUNDLED)
def test_links_of_a_multibody_really_take_the_floors_friction(name: str) -> None:
    """On a slope of 20 degrees a robot stands with friction 0.7 and slides with 0.1."""
    for friction, slides in ((0.7, False), (0.1, True)):
        track = stood(name, 0.6, floor={"friction": friction, "slope_deg": 20.0, "slope_heading_deg": 90.0})
        assert (abs(track.base_position[-1, 1] - track.base_position[0, 1]) > 0.05) == slides


def test_a_slide_down_a_slope_is_as_steep_as_mechanics_says() -> None:
    """a = g (sin s - mu cos s); the robot goes downhill, which is where slope_heading does not point."""
    track = stood("dkitty", 0.4, floor={"friction": 0.1, "slope_deg": 15.0, "slope_heading_deg": 90.0})
    late = track.time > 0.2
    slope = np.radians(15)
    expected = -9.80665 * (np.sin(slope) - 0.1 * np.cos(slope))
    measured = np.polyfit(track.time[late], track.base_velocity[late, 1], 1)[0]
    assert measured == pytest.approx(expected, rel=0.05)


def test_standing_still_the_accelerometer_feels_gravity_and_the_gyroscope_nothing() -> None:
    track = stood("dkitty", 1.0)
    assert track.acceleration[-20:].mean(axis=0) == pytest.approx([0, 0, 9.80665], abs=0.15)
    assert np.abs(track.angular_velocity[-1]).max() < 0.02
    level = stood("dkitty", 1.0, floor={"slope_deg": 10.0}).acceleration[-20:].mean(axis=0)
    # uphill ahead: the nose is up against gravity, and the floor carries part of the weight from behind
    assert level[0] == pytest.approx(9.80665 * np.sin(np.radians(10)), abs=0.2)


def test_base_velocity_and_spin_are_the_derivatives_of_the_pose() -> None:
    description = load_description("ers210")
    with SimulatedRobot(description, World(), 3) as robot:
        _, track = run_trial(robot, initial_gait(description), TrialSettings(seconds=1.5, warm_up=0.2))
    assert track is not None
    step = np.diff(track.time)[:, None]
    mean = (track.base_velocity[1:] + track.base_velocity[:-1]) / 2
    assert np.median(np.abs(np.diff(track.base_position, axis=0) / step - mean)) < 0.01
    turns = Rotation.from_quat(track.orientation).as_matrix()
    relative = np.einsum("tji,tjk->tik", turns[:-1], turns[1:])
    spin = np.stack([relative[:, 2, 1], relative[:, 0, 2], relative[:, 1, 0]], axis=1) / step
    middle = (track.angular_velocity[1:] + track.angular_velocity[:-1]) / 2
    assert np.median(np.abs(spin - middle)) < 0.05
    assert np.corrcoef(spin.ravel(), middle.ravel())[0, 1] > 0.98


def test_time_is_an_exact_multiple_of_the_control_period() -> None:
    description = load_description("ers210")
    with SimulatedRobot(description, World()) as robot:
        robot.stand(rest(description))
        times = [observation.time for observation in robot.play(hold(rest(description)), 0.4)]
    assert times == [(k + 1) * description.control_period for k in range(50)]


def test_targets_are_clipped_to_the_limits_and_reported_as_sent() -> None:
    description = load_description("dkitty")
    with SimulatedRobot(description, World()) as robot:
        robot.stand(rest(description))
        seen = list(robot.play(hold(np.full(12, 9.0)), 0.02))
        assert seen[-1].sent == [joint.upper for joint in description.joints]
        with pytest.raises(ValueError, match="finite"):
            list(robot.play(hold(np.full(12, np.nan)), 0.02))


@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_a_free_joint_runs_at_the_no_load_speed_and_no_faster(afloat: Afloat, scale: float) -> None:
    robot = afloat("dkitty", servo={"speed_scale": scale, "coulomb_friction": 0.0, "viscous_friction": 0.0})
    far = rest(robot.description)
    far[2::3] = 1.5  # the shanks are light, and have 2.7 rad to come to speed
    track = Telemetry.of(list(robot.play(hold(far), 0.5)))
    limit = robot.description.servo.no_load_speed * scale
    assert np.abs(track.velocity).max() < 1.01 * limit
    assert track.velocity[:, 2].max() > 0.95 * limit


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, 1.0),
        ({"servo": {"strength_scale": 0.7}}, 0.7),
        ({"battery": {"volts": 9.0}}, 0.75),
        ({"joints": {"front_left_thigh": {"strength_scale": 0.5}}}, 0.5),
    ],
)
def test_torque_never_exceeds_what_stalls_the_servo(sections: dict[str, object], expected: float) -> None:
    """Held far from its goal a servo gives its scaled stall torque; in a trial none ever gives more."""
    description = load_description("dkitty")
    gait = initial_gait(description)
    with SimulatedRobot(description, world(**sections)) as robot:
        _, track = run_trial(robot, gait, TrialSettings(seconds=1, warm_up=0.2))
        assert track is not None
        assert np.abs(track.torque).max() <= description.servo.stall_torque
        stalled = robot._servos.drive([(2.0, 0.0, None, 0.0)] * 12, [-2.0] * 12)
    assert stalled[1] == pytest.approx(-expected * description.servo.stall_torque)


def test_torque_falls_to_nothing_at_the_no_load_speed_which_voltage_shifts() -> None:
    description = load_description("dkitty")
    for volts in (9.0, 12.0):
        servos = SimulatedRobot(description, world(battery={"volts": volts}))._servos
        fastest = description.servo.no_load_speed * volts / 12.0
        torques = [servos.drive([(0.0, part * fastest, None, 0.0)] * 12, [9.0] * 12)[0] for part in (0, 0.5, 1)]
        assert torques == pytest.approx(
            [part * description.servo.stall_torque * volts / 12 for part in (1, 0.5, 0)], abs=1e-9
        )


@pytest.mark.parametrize("latency", [0.0, 0.004, 0.013, 0.03])
def test_a_command_acts_after_exactly_the_latency(afloat: Afloat, latency: float) -> None:
    """The torque on a small step command comes `latency` later; a fraction of a step counts as that.

    The setpoint glides to it at the no-load speed, which takes effect half of its time later.
    """
    jump = 0.004
    robot = afloat("dkitty", servo={"latency_s": latency, "backlash_rad": 0.0, "coulomb_friction": 0.0})
    torques: list[list[float]] = []
    drive = robot._servos.drive

    def spy(states: object, goals: object) -> list[float]:
        torques.append(drive(states, goals))  # type: ignore[arg-type]
        return torques[-1]

    robot._servos.drive = spy  # type: ignore[method-assign,assignment]
    robot._commands = robot._command_line(rest(robot.description).tolist())
    target = rest(robot.description)
    target[0] += jump
    list(robot.play(hold(target), 0.06))
    first = np.array(torques)[:, 0]
    gain = robot.description.servo.gain
    begin = int(np.flatnonzero(first > 1e-3 * gain * jump)[0])
    share = min(1.0, first[begin] / (gain * jump))
    glide = jump / robot.description.servo.no_load_speed
    assert (begin + 1 - share) * robot._step == pytest.approx(latency + glide / 2, abs=1e-4)


def test_a_servos_setpoint_glides_to_a_far_command_at_its_no_load_speed(afloat: Afloat) -> None:
    robot = afloat("dkitty", servo={"latency_s": 0.0})
    standing = rest(robot.description)
    line = robot._command_line(standing.tolist())
    far = standing.copy()
    far[0] += 0.5
    means = np.array([step[0] for _ in range(10) for step in line.setpoints(far.tolist())]) - standing[0]
    speed, step = robot.description.servo.no_load_speed, robot._step
    on_the_way = means < 0.5 - speed * step
    assert np.diff(means[on_the_way]) == pytest.approx(speed * step)
    assert means[0] == pytest.approx(speed * step / 2)
    assert means[-1] == pytest.approx(0.5)


def test_a_derivative_time_answers_the_rate_of_the_error() -> None:
    known = load_description("dkitty")
    servo = known.servo.model_copy(update={"derivative_time": 0.005, "backlash": 0.0, "latency": 0.0})
    description = known.model_copy(update={"servo": servo})
    robot = SimulatedRobot(description)
    line = robot._command_line([0.0] * 12)
    far = [0.5] * 12
    *_, before, setpoint = [step[0] for _ in range(3) for step in line.setpoints(far)]
    rate = servo.no_load_speed
    assert setpoint - before == pytest.approx(rate * robot._step)
    place, speed = setpoint - 0.005 * rate, 2.0  # setpoints are ahead by what the joint is compared with
    (torque, *_) = robot._servos.drive([(place, speed, None, 0.0)] * 12, [setpoint] * 12)
    damped = servo.gain * 0.005 * (rate - speed) - servo.stall_torque / servo.no_load_speed * speed
    assert torque == pytest.approx(damped)


@pytest.mark.parametrize(("push", "moves"), [(0.04, False), (0.08, True)])
def test_coulomb_friction_holds_a_smaller_torque_and_yields_to_a_larger(
    afloat: Afloat, push: float, moves: bool
) -> None:
    robot = afloat("dkitty", servo={"coulomb_friction": 0.06})
    robot._servos.drive = lambda states, goals: [push, *[0.0] * 11]  # type: ignore[method-assign]
    track = Telemetry.of(list(robot.play(hold(rest(robot.description)), 0.2)))
    assert (abs(track.position[-1, 0] - track.position[0, 0]) > 0.01) == moves


def test_viscous_friction_slows_a_coasting_joint_as_fast_as_it_should(afloat: Afloat) -> None:
    """Of a joint that coasts freely, all momentum leaves through friction: the trunk's pitch stays nothing."""
    servo = {"coulomb_friction": 0.0, "viscous_friction": 0.05}
    speeds = []
    for drag in (0.0, 0.05):
        robot = afloat("dkitty", servo={**servo, "viscous_friction": drag})
        robot._servos.drive = lambda states, goals: [0.3, *[0.0] * 11]  # type: ignore[method-assign]
        list(robot.play(hold(rest(robot.description)), 0.05))
        robot._servos.drive = lambda states, goals: [0.0] * 12  # type: ignore[method-assign]
        coast = [state.velocity for state in robot.play(hold(rest(robot.description)), 0.1)]
        speeds.append(coast[-1][0] / coast[0][0])  # type: ignore[index]
    free, damped = speeds
    assert free == pytest.approx(1.0, abs=0.1)
    # I dw/dt = -c w, with at most twice the rotor's inertia to slow down
    assert damped < free * np.exp(-0.05 * 0.09 / (2 * 0.005))


def test_backlash_leaves_the_joint_free_within_its_play(afloat: Afloat) -> None:
    for play, expected in ((0.0, True), (0.1, False)):
        robot = afloat("dkitty", servo={"backlash_rad": play, "latency_s": 0.0, "coulomb_friction": 0.0})
        target = rest(robot.description)
        target[0] += 0.04
        track = Telemetry.of(list(robot.play(hold(target), 0.2)))
        assert (track.position[-1, 0] - track.position[0, 0] > 0.02) == expected


def test_a_joints_zero_is_the_true_angle_where_its_servo_reads_nothing(afloat: Afloat) -> None:
    plain = afloat("dkitty")
    shifted = afloat("dkitty", joints={"front_left_abduction": {"zero_offset_rad": 0.05}})
    for robot, true in ((plain, 0.0), (shifted, 0.05)):
        readings = list(robot.play(hold(rest(robot.description)), 0.5))
        assert readings[-1].position[0] == pytest.approx(0.0, abs=0.01)  # type: ignore[index]
        assert robot._states[0][0] == pytest.approx(true, abs=0.01)


def test_a_weak_battery_sags_under_load_and_recovers() -> None:
    description = load_description("dkitty")
    with SimulatedRobot(description, world(battery={"resistance_ohm": 0.5})) as robot:
        _, track = run_trial(robot, initial_gait(description), TrialSettings(seconds=1, warm_up=0.2))
    assert track is not None
    assert track.voltage.max() <= 12.0
    assert track.voltage.min() < 11.8
    full = stood("dkitty", 0.1)
    assert (full.voltage == 12.0).all()


def test_a_push_changes_momentum_by_force_times_time(afloat: Afloat) -> None:
    robot = afloat("dkitty", push={"force_n": 10.0, "duration_s": 0.05, "every_s": 0.2})
    robot._servos.drive = lambda states, goals: [0.0] * 12  # type: ignore[method-assign]
    list(robot.play(hold(rest(robot.description)), 0.2))
    p, where = robot._p, {"physicsClientId": robot._client}
    momentum = robot._links.links[0].inertial.mass * np.array(p.getBaseVelocity(robot._body, **where)[0])
    for i, link in zip(robot._joints, robot._links.links[1:], strict=True):
        state = p.getLinkState(robot._body, i, computeLinkVelocity=1, **where)
        momentum += link.inertial.mass * np.array(state[6])
    assert np.linalg.norm(momentum[:2]) == pytest.approx(10.0 * 0.05, rel=0.02)
    assert abs(momentum[2]) < 0.01


def test_legs_collide_with_each_other_but_not_with_their_own_hips() -> None:
    description = load_description("dkitty")
    target = rest(description)
    with SimulatedRobot(description, world()) as robot:
        robot.stand(target)
        own = robot._p.getContactPoints(robot._body, robot._body, physicsClientId=robot._client)
        assert len(own) == 0
        crossing = target.copy()
        names = description.joint_names
        for joint, angle in (("front_left_thigh", 1.4), ("rear_left_thigh", -1.4)):
            crossing[names.index(joint)] = angle
        for joint in ("front_left_shank", "rear_left_shank"):
            crossing[names.index(joint)] = 0.0
        list(robot.play(hold(crossing), 1.0))
        own = robot._p.getContactPoints(robot._body, robot._body, physicsClientId=robot._client)
    assert len(own) > 0


def test_a_robot_goes_limp_when_relaxed_and_stands_up_again() -> None:
    description = load_description("dkitty")
    standing = gait_cycle(description, initial_gait(description)).standing
    with SimulatedRobot(description, world()) as robot:
        robot.stand(standing)
        high = robot._base()[0][2]
        robot.relax()
        assert robot._base()[0][2] < 0.95 * high
        robot.stand(standing)
        assert robot._base()[0][2] == pytest.approx(high, abs=1e-9)


def test_two_robots_do_not_meet() -> None:
    description = load_description("bittle")
    standing = rest(description)
    with SimulatedRobot(description, world()) as one, SimulatedRobot(description, world()) as two:
        one.stand(standing)
        two.stand(standing)
        tracks = [Telemetry.of(list(robot.play(hold(standing), 0.1))) for robot in (one, two)]
    assert (tracks[0].base_position == tracks[1].base_position).all()


def test_a_motion_may_be_broken_off_and_another_played() -> None:
    description = load_description("dkitty")
    cycle = gait_cycle(description, initial_gait(description))
    with SimulatedRobot(description, world()) as robot:
        robot.stand(cycle.standing)
        seen: list[Observation] = []
        for observation in robot.play(cycle, 5.0):
            seen.append(observation)
            if len(seen) == 7:
                break
        again = next(iter(robot.play(hold(cycle.standing), 1.0)))
    assert again.time == description.control_period


def test_misuse_is_told() -> None:
    description = load_description("dkitty")
    robot = SimulatedRobot(description)
    with pytest.raises(ValueError, match="connect"):
        robot.stand(rest(description))
    with robot, pytest.raises(ValueError, match="stand"):
        next(iter(robot.play(hold(rest(description)), 1.0)))
    robot.close()


def test_uphill_a_robot_is_slower_than_downhill() -> None:
    description = load_description("dkitty")
    speeds = []
    for direction in (0.0, 180.0):
        tilted = world(floor={"slope_deg": 4.0, "slope_heading_deg": direction})
        with SimulatedRobot(description, tilted) as robot:
            trial, _ = run_trial(robot, initial_gait(description), TrialSettings(seconds=2, warm_up=0.5))
        speeds.append(trial.speed)
    assert speeds[0] < speeds[1] - 0.01


def test_the_start_heading_differs_from_seed_to_seed() -> None:
    description = load_description("bittle")
    headings = []
    for seed in range(2):
        with SimulatedRobot(description, World.model_validate({"start": {"yaw_noise_rad": 0.2}}), seed) as robot:
            robot.stand(rest(description))
            headings.append(float(heading(np.array([robot._base()[1]]))[0]))
    assert abs(headings[0] - headings[1]) > 0.01


def test_a_trunk_hardly_taller_than_wide_walks_like_one_hardly_wider_than_tall() -> None:
    # PyBullet keeps the base along its principal axes of inertia, which change places in between
    ers210 = load_description("ers210")
    cycle = gait_cycle(ers210, initial_gait(ers210))
    tracks = []
    for width in (0.08999, 0.09001):
        body = ers210.body.model_copy(update={"size": (0.16, width, 0.09)})
        with SimulatedRobot(ers210.model_copy(update={"body": body}), world()) as robot:
            robot.stand(cycle.standing)
            walked = Telemetry.of(list(robot.play(cycle, 0.8)))
        assert walked.base_position is not None
        assert walked.position is not None
        tracks.append((walked.base_position, walked.position))
    np.testing.assert_allclose(tracks[0][0], tracks[1][0], atol=2e-4)
    np.testing.assert_allclose(tracks[0][1], tracks[1][1], atol=2e-3)


def test_the_legs_of_an_ers210_reach_their_published_limit_inward_without_touching_the_trunk() -> None:
    ers210 = load_description("ers210")
    inward = np.array([joint.lower if joint.name == "elevator" else 0.0 for joint in ers210.joints])
    with SimulatedRobot(ers210, world()) as robot:
        robot.stand(inward)
        p, client = robot._p, robot._client
        for i, angle in zip(robot._joints, inward.tolist(), strict=True):
            p.resetJointState(robot._body, i, angle, physicsClientId=client)
        apart = [
            point[8]
            for i, joint in zip(robot._joints, ers210.joints, strict=True)
            if joint.name != "rotator"  # which hangs on the trunk
            for point in p.getClosestPoints(robot._body, robot._body, 0.05, -1, i, physicsClientId=client)
        ]
    assert 0.0 < min(apart) < 0.003
