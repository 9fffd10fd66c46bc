"""Distances, headings and tilts from where a body was and how it was turned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robotps.errors import RobotpsError
from robotps.odometer import Track, Travel, Truth, along_track, heading, travel_between, upright
from robotps.parameters import FloatArray
from robotps.robot import Telemetry

TIME = np.arange(1, 601) * 0.01


def _turned(yaw: FloatArray | float) -> FloatArray:
    return Rotation.from_rotvec(np.outer(np.broadcast_to(yaw, len(TIME)), [0.0, 0.0, 1.0])).as_quat()


def _straight(direction: float, speed: float) -> FloatArray:
    along = speed * TIME
    return np.stack([along * math.cos(direction), along * math.sin(direction), np.full(len(TIME), 0.2)], axis=1)


def test_forward_and_lateral_are_along_and_across_the_heading_at_the_start() -> None:
    # heading 0.7 rad, moving 0.3 rad to the left of it
    travel = travel_between(TIME, _straight(1.0, 0.25), _turned(0.7), 1.0, 6.0)
    assert travel.seconds == pytest.approx(5.0)
    assert travel.forward == pytest.approx(0.25 * 5 * math.cos(0.3))
    assert travel.lateral == pytest.approx(0.25 * 5 * math.sin(0.3))
    assert travel.heading_change == pytest.approx(0.0)


def test_to_the_right_and_backwards_are_negative() -> None:
    travel = travel_between(TIME, _straight(math.pi - 0.3, 0.2), _turned(0.0), 1.0, 6.0)
    assert travel.forward < 0
    assert travel_between(TIME, _straight(-0.3, 0.2), _turned(0.0), 1.0, 6.0).lateral == pytest.approx(
        -0.2 * 5 * math.sin(0.3)
    )


def test_on_a_circle_the_heading_at_the_start_of_the_window_counts_not_that_of_the_motion() -> None:
    speed, turn, first, last = 0.2, 0.4, 1.0, 6.0
    yaw = turn * TIME
    place = speed / turn * np.stack([np.sin(yaw), 1 - np.cos(yaw), 0 * yaw], axis=1)
    travel = travel_between(TIME, place, _turned(yaw), first, last)
    angle = turn * (last - first)
    assert travel.forward == pytest.approx(speed / turn * math.sin(angle))
    assert travel.lateral == pytest.approx(speed / turn * (1 - math.cos(angle)))
    assert travel.heading_change == pytest.approx(angle)


def test_a_heading_that_passes_backwards_goes_on_counting() -> None:
    travel = travel_between(TIME, _straight(0.0, 0.0), _turned(2.0 * TIME), 1.0, 6.0)
    assert travel.heading_change == pytest.approx(10.0)
    travel = travel_between(TIME, _straight(0.0, 0.0), _turned(-2.0 * TIME), 1.0, 6.0)
    assert travel.heading_change == pytest.approx(-10.0)


def test_a_track_that_ends_early_counts_up_to_its_end_and_one_before_the_window_not_at_all() -> None:
    place, turned = _straight(0.0, 0.2), _turned(0.0)
    cut = travel_between(TIME[:300], place[:300], turned[:300], 1.0, 6.0)
    assert (cut.forward, cut.seconds) == pytest.approx((0.2 * 2.0, 2.0))
    nothing = travel_between(TIME[:50], place[:50], turned[:50], 1.0, 6.0)
    assert nothing == Travel(forward=0.0, seconds=0.0, lateral=0.0, heading_change=0.0)


def test_heading_and_tilt_agree_with_another_implementation() -> None:
    rotations = Rotation.random(200, random_state=1)
    yaw = rotations.as_euler("ZYX")[:, 0]
    np.testing.assert_allclose(heading(rotations.as_quat()), yaw, atol=1e-9)
    np.testing.assert_allclose(upright(rotations.as_quat()), rotations.as_matrix()[:, 2, 2], atol=1e-12)


def test_truth_is_in_the_telemetry_of_a_robot_that_knows_where_it_is() -> None:
    truth = Truth()
    truth.start()
    sent = np.zeros((len(TIME), 12))
    known = Telemetry(time=TIME, sent=sent, base_position=_straight(0.0, 0.2), orientation=_turned(0.0))
    assert truth.travel(known, 1.0, 6.0).forward == pytest.approx(1.0)
    with pytest.raises(RobotpsError, match="choose another odometer"):
        truth.travel(Telemetry(time=TIME, sent=sent, orientation=_turned(0.0)), 1.0, 6.0)


def test_a_pose_between_two_of_a_track_is_between_them_the_shorter_way_and_unknown_beyond() -> None:
    turned = Rotation.from_rotvec([[0, 0, 0.2], [0, 0, 0.4], [0, 0, 0.6]]).as_quat()
    turned[1] *= -1
    track = Track(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 0, 1], [1.0, 0, 1], [3.0, 2, 1]]), turned)
    moments = np.array([0.5, 1.5, 2.004, 2.1])
    posed = along_track(Telemetry(time=moments, sent=np.zeros((4, 12))), track)
    assert posed.base_position is not None
    assert posed.orientation is not None
    np.testing.assert_allclose(posed.base_position[:3], [[0.5, 0, 1], [2.0, 1, 1], [3.0, 2, 1]])
    np.testing.assert_allclose(heading(posed.orientation[:3]), [0.3, 0.5, 0.6], atol=1e-3)
    assert np.isnan(posed.base_position[3]).all()
