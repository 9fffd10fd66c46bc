"""One gait on one robot once: every number that comes of it, reckoned by hand on a robot that moves as scripted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import UnreachableGait, initial_gait
from robotps.odometer import Track, Travel, Truth
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot, RobotFault, Telemetry
from robotps.trial import Objective, Trial, TrialSettings, digest, run_trial

DKITTY = load_description("dkitty")
GAIT = initial_gait(DKITTY)
SETTINGS = TrialSettings(seconds=5.0, warm_up=1.0)
PERIOD = DKITTY.control_period


class ScriptedRobot(Robot):
    """Moves its body as the script says, whatever its legs do: speeds in m/s and rad/s, moments in s."""

    def __init__(
        self,
        *,
        speed: float = 0.2,
        lateral: float = 0.0,
        yaw: float = 0.0,
        turn: float = 0.0,
        height: float = 0.27,
        tilts_at: float = math.inf,
        sinks_at: float = math.inf,
        fails_at: float = math.inf,
        fails_to_stand: bool = False,
        senses: frozenset[str] = frozenset({"position", "velocity", "torque", "angular_velocity"}),
        knows_its_place: bool = True,
    ) -> None:
        self.description = DKITTY
        self.script = locals()
        self.senses = senses
        self.standing: FloatArray | None = None
        self.played = 0.0
        self.stopped = False

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def relax(self) -> None: ...

    def stand(self, joints: FloatArray) -> None:
        if self.script["fails_to_stand"]:
            raise RobotFault("servo 12 does not answer")
        self.standing = joints

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        script = self.script
        try:
            for number in range(1, round(seconds / PERIOD) + 1):
                time = number * PERIOD
                if time >= script["fails_at"]:
                    raise RobotFault("the cable is off")
                self.played = time
                yield self._observation(time, motion(time, None))
        finally:
            self.stopped = True

    def _observation(self, time: float, sent: FloatArray) -> Observation:
        script = self.script
        yaw = script["yaw"] + script["turn"] * time
        velocity = Rotation.from_euler("z", script["yaw"]).apply([script["speed"], script["lateral"], 0.0])
        x, y, _ = velocity * time
        height = script["height"] if time < script["sinks_at"] else 0.05
        tilt = 0.0 if time < script["tilts_at"] else 1.2
        n = len(sent)
        readings = {
            "position": self.standing,
            "velocity": np.full(n, -2.0),
            "torque": np.full(n, 0.5),
            "angular_velocity": (0.3, -0.4, 7.0),
        }
        return Observation(
            time=time,
            sent=sent,
            orientation=Rotation.from_euler("ZYX", [yaw, 0.0, tilt]).as_quat(),
            base_position=(x, y, height) if script["knows_its_place"] else None,
            **{name: readings[name] for name in self.senses},  # type: ignore[arg-type]
        )


def _trial(robot: ScriptedRobot, settings: TrialSettings = SETTINGS) -> Trial:
    return run_trial(robot, GAIT, settings)[0]


def test_speed_is_along_the_heading_at_the_start_of_the_window() -> None:
    trial = _trial(ScriptedRobot(speed=0.2, lateral=-0.05, yaw=2.5))
    assert trial.ending == "finished"
    assert trial.speed == pytest.approx(0.2)
    assert trial.distance == pytest.approx(1.0)
    assert trial.drift == pytest.approx(0.05)
    assert trial.heading_change == pytest.approx(0.0)
    assert trial.duration == pytest.approx(6.0)
    assert trial.reason == ""


def test_the_robot_stands_first_and_plays_warm_up_and_window() -> None:
    robot = ScriptedRobot()
    trial, telemetry = run_trial(robot, GAIT, TrialSettings(seconds=2.0, warm_up=0.5))
    assert robot.standing is not None
    assert robot.played == pytest.approx(2.5)
    assert telemetry is not None
    assert len(telemetry.time) == 250
    np.testing.assert_allclose(telemetry.sent[0], robot.standing, atol=0.05)
    assert trial.distance == pytest.approx(0.4)


def test_a_turn_is_told_with_its_sign() -> None:
    assert _trial(ScriptedRobot(turn=0.3)).heading_change == pytest.approx(1.5)
    assert _trial(ScriptedRobot(turn=-0.3)).heading_change == pytest.approx(-1.5)


class Seen:
    """Tracks a body that walks 0.2 m/s and lies on its side from a moment on, s, where it slides on."""

    asks = False

    def __init__(self, falls_at: float) -> None:
        self.falls_at = falls_at

    def start(self) -> None: ...

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        time = np.arange(0, 601) / 100
        position = np.stack([0.2 * time, 0 * time, 0.27 + 0 * time], axis=1)
        lies = Rotation.from_euler("x", np.where(time < self.falls_at, 0.0, 1.4)[:, None]).as_quat()
        return Travel(1.0, 5.0, track=Track(time, position, lies))


def test_a_fall_that_only_the_odometer_sees_counts_as_one() -> None:
    robot = ScriptedRobot(knows_its_place=False)
    trial, _ = run_trial(robot, GAIT, SETTINGS, Seen(falls_at=3.0))
    assert trial.ending == "fell"
    assert "at 3.00 s, as the odometer saw it" in trial.reason
    assert trial.distance == pytest.approx(0.4)
    assert trial.speed == pytest.approx(0.4 / 5.0)


def test_a_physical_robot_that_fell_when_it_got_up_is_a_fault_and_no_score() -> None:
    class Lying(ScriptedRobot):
        relaxed = False

        def relax(self) -> None:
            self.relaxed = True

    robot = Lying(tilts_at=0.0, knows_its_place=False)
    trial, _ = run_trial(robot, GAIT, SETTINGS, Seen(falls_at=math.inf))
    assert trial.ending == "fault"
    assert "did not stand when the gait began" in trial.reason
    assert robot.played == pytest.approx(PERIOD)
    assert robot.relaxed
    assert _trial(ScriptedRobot(tilts_at=0.0)).ending == "fell"  # a simulated one is put on its feet


def test_a_robot_that_the_odometer_saw_lying_all_the_time_is_a_fault() -> None:
    trial, _ = run_trial(ScriptedRobot(knows_its_place=False), GAIT, SETTINGS, Seen(falls_at=0.0))
    assert trial.ending == "fault"
    assert "did not stand when the gait began" in trial.reason


@pytest.mark.parametrize(("how", "told"), [("tilts_at", "tilted"), ("sinks_at", "50 mm")])
def test_a_fall_scores_the_distance_before_it_over_the_full_duration(how: str, told: str) -> None:
    robot = ScriptedRobot(**{how: 3.0})  # type: ignore[arg-type]
    trial = _trial(robot)
    assert trial.ending == "fell"
    assert trial.distance == pytest.approx(0.2 * 2.0)
    assert trial.speed == pytest.approx(0.4 / 5.0)
    assert told in trial.reason
    assert "3.00 s" in trial.reason
    assert robot.played == pytest.approx(3.0)
    assert robot.stopped


def test_a_fall_in_the_warm_up_scores_nothing_and_every_objective_can_say_so() -> None:
    trial = _trial(ScriptedRobot(tilts_at=0.3))
    assert (trial.ending, trial.speed, trial.distance, trial.drift) == ("fell", 0.0, 0.0, 0.0)
    score = Objective(speed=1.0, drift=1.0, cost_of_transport=0.01, shake=0.1).score(trial)
    assert math.isfinite(score)
    assert score < 0


def test_the_limits_of_a_fall_are_those_of_the_settings() -> None:
    tolerant = TrialSettings(seconds=5.0, warm_up=1.0, max_tilt=1.3, min_height=0.1)
    assert _trial(ScriptedRobot(tilts_at=3.0), tolerant).ending == "finished"
    assert _trial(ScriptedRobot(sinks_at=3.0), tolerant).ending == "finished"
    assert _trial(ScriptedRobot(height=0.1)).ending == "fell"  # below 0.4 of the 0.27 m commanded
    assert _trial(ScriptedRobot(height=0.11)).ending == "finished"


def test_a_fault_is_an_outcome_with_its_reason_and_what_was_seen_before() -> None:
    robot = ScriptedRobot(fails_at=2.0)
    trial, telemetry = run_trial(robot, GAIT, SETTINGS)
    assert (trial.ending, trial.reason) == ("fault", "the cable is off")
    assert telemetry is not None
    assert telemetry.time[-1] == pytest.approx(1.99)
    assert robot.stopped


def test_a_fault_before_the_first_observation_has_no_telemetry() -> None:
    trial, telemetry = run_trial(ScriptedRobot(fails_to_stand=True), GAIT, SETTINGS)
    assert (trial.ending, trial.reason) == ("fault", "servo 12 does not answer")
    assert telemetry is None
    trial, telemetry = run_trial(ScriptedRobot(fails_at=0.0), GAIT, SETTINGS)
    assert (trial.ending, telemetry) == ("fault", None)


def test_an_odometer_that_fails_is_a_fault_too() -> None:
    class LostMarker(Truth):
        def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
            raise RobotFault("the camera lost the marker")

    trial, telemetry = run_trial(ScriptedRobot(), GAIT, SETTINGS, LostMarker())
    assert (trial.ending, trial.reason) == ("fault", "the camera lost the marker")
    assert telemetry is not None


def test_nobody_is_asked_to_measure_a_trial_that_the_robot_broke_off() -> None:
    class Asks(Truth):
        asks = True

        def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
            raise RobotFault("how many cm was it?")

    class Fails(Asks):
        asks = False

    for odometer in (Asks(), Fails()):
        trial, _ = run_trial(ScriptedRobot(fails_at=2.0), GAIT, SETTINGS, odometer)
        assert (trial.ending, trial.reason) == ("fault", "the cable is off")


def test_a_stopwatch_times_its_own_distance_and_its_uncertainty_is_kept() -> None:
    class Stopwatch(Truth):
        def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
            return Travel(forward=2.0, seconds=8.0, forward_std=0.04)

    trial = run_trial(ScriptedRobot(knows_its_place=False), GAIT, SETTINGS, Stopwatch())[0]
    assert (trial.speed, trial.speed_std, trial.distance) == pytest.approx((0.25, 0.005, 2.0))
    assert trial.drift is None
    assert trial.heading_change is None
    assert trial.slip is None


def test_every_observation_is_handed_on_as_it_comes() -> None:
    seen: list[float] = []
    run_trial(ScriptedRobot(tilts_at=1.0), GAIT, SETTINGS, record=lambda observation: seen.append(observation.time))
    np.testing.assert_allclose(seen, np.arange(1, 101) * PERIOD)


def test_an_interrupt_while_playing_stops_the_robot() -> None:
    def interrupt(observation: Observation) -> None:
        if observation.time > 0.5:
            raise KeyboardInterrupt

    robot = ScriptedRobot()
    with pytest.raises(KeyboardInterrupt):
        run_trial(robot, GAIT, SETTINGS, record=interrupt)
    assert robot.stopped


def test_cost_of_transport_is_power_by_weight_and_speed() -> None:
    # 12 joints at 0.5 N m and 2 rad/s: 12 W
    trial = _trial(ScriptedRobot(speed=0.2))
    assert trial.cost_of_transport == pytest.approx(12 * 0.5 * 2.0 / (DKITTY.mass * 9.80665 * 0.2))


@pytest.mark.parametrize("speed", [-0.2, 0.0, 0.003])
def test_a_robot_that_hardly_goes_forward_costs_as_if_it_went_a_centimetre_a_second(speed: float) -> None:
    trial = _trial(ScriptedRobot(speed=speed))
    assert trial.cost_of_transport == pytest.approx(12.0 / (DKITTY.mass * 9.80665 * 0.01))
    assert math.isfinite(Objective(cost_of_transport=0.1).score(trial))


def test_shake_is_the_root_mean_square_of_roll_and_pitch_rate() -> None:
    assert _trial(ScriptedRobot()).shake == pytest.approx(0.5)


def test_slip_is_the_speed_of_the_feet_that_stand_on_the_floor() -> None:
    # the legs keep still, so that every foot is dragged along with the body
    assert _trial(ScriptedRobot(speed=0.12, lateral=0.05)).slip == pytest.approx(0.13, rel=1e-3)
    assert _trial(ScriptedRobot(height=0.30)).slip is None


def test_what_the_robot_does_not_sense_is_none_and_never_made_up() -> None:
    trial = _trial(ScriptedRobot(senses=frozenset()))
    assert trial.speed == pytest.approx(0.2)
    assert (trial.cost_of_transport, trial.slip, trial.shake) == (None, None, None)


def test_readings_that_are_missing_are_left_out_of_the_means() -> None:
    class Flaky(ScriptedRobot):
        def _observation(self, time: float, sent: FloatArray) -> Observation:
            observation = super()._observation(time, sent)
            if round(time / PERIOD) % 3 == 0:
                observation.angular_velocity = (math.nan, math.nan, math.nan)
                observation.torque = np.full(len(sent), math.nan)
            return observation

    trial = _trial(Flaky())
    assert trial.shake == pytest.approx(0.5)
    assert trial.cost_of_transport == pytest.approx(12.0 / (DKITTY.mass * 9.80665 * 0.2))


def test_a_gait_out_of_reach_never_moves_the_robot() -> None:
    robot = ScriptedRobot()
    high = replace(GAIT, parameters={**GAIT.parameters, "front_body_height": 1.0})
    with pytest.raises(UnreachableGait):
        run_trial(robot, high, SETTINGS)
    assert robot.standing is None


def test_how_much_was_out_of_reach_is_told() -> None:
    long = replace(GAIT, parameters={**GAIT.parameters, "locus_length": 0.2})
    assert run_trial(ScriptedRobot(), GAIT, SETTINGS)[0].unreachable == 0.0
    assert 0.0 < run_trial(ScriptedRobot(), long, SETTINGS)[0].unreachable < 1.0


def test_the_objective_is_the_weighted_sum() -> None:
    trial = Trial(
        "finished", speed=0.3, distance=1.5, duration=6.0, unreachable=0.0, drift=0.1, cost_of_transport=2.0, shake=0.7
    )
    assert Objective().score(trial) == 0.3
    weighted = Objective(speed=2.0, drift=0.5, cost_of_transport=0.01, shake=0.1)
    assert weighted.score(trial) == pytest.approx(2 * 0.3 - 0.5 * 0.1 - 0.01 * 2.0 - 0.1 * 0.7)


@pytest.mark.parametrize("name", ["drift", "cost_of_transport", "shake"])
def test_an_objective_that_weighs_what_is_not_measured_is_told(name: str) -> None:
    trial = Trial("finished", speed=0.3, distance=1.5, duration=6.0, unreachable=0.0)
    with pytest.raises(RobotpsError, match=f"objective.{name}: this robot or odometer does not measure it"):
        Objective.model_validate({name: 0.1}).score(trial)


def test_a_fingerprint_changes_with_any_bit_of_the_telemetry() -> None:
    _, telemetry = run_trial(ScriptedRobot(), GAIT, SETTINGS)
    _, again = run_trial(ScriptedRobot(), GAIT, SETTINGS)
    assert telemetry is not None
    assert again is not None
    assert digest(telemetry) == digest(again)
    assert again.torque is not None
    again.torque[300, 5] = np.nextafter(again.torque[300, 5], 1.0)
    assert digest(telemetry) != digest(again)
    assert digest(telemetry) != digest(replace(telemetry, torque=None))
