"""Angles to steps and back, with and without a calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.calibration_file import Calibration, JointCalibration
from hardware.joints import JointMap
from robotps.description import load_description
from robotps.errors import RobotpsError

DKITTY = load_description("dkitty")


def joint(**changes: int) -> Calibration:
    values = {"id": 21, "zero": 2100, "direction": -1, "range_min": 0, "range_max": 4095} | changes
    return Calibration(robot="dkitty", joints={"front_left_thigh": JointCalibration.model_validate(values)})


def test_joints_are_in_the_order_of_the_description() -> None:
    joints = JointMap(DKITTY, 4096, (0, 4095))
    assert joints.ids[:3] == (20, 21, 22)  # front left comes first
    assert joints.names == DKITTY.joint_names


@given(st.floats(-2.1, 2.1))
def test_an_angle_survives_to_half_a_step(angle: float) -> None:
    joints = JointMap(DKITTY, 4096, (0, 4095), joint())
    angles = np.full(12, angle)
    np.testing.assert_allclose(joints.to_angles(joints.to_steps(angles)), angles, atol=np.pi / 4096 + 1e-12)


def test_a_calibrated_joint_has_its_own_zero_and_direction() -> None:
    joints = JointMap(DKITTY, 4096, (0, 4095), joint())
    steps = joints.to_steps(np.full(12, np.pi / 2))
    assert steps[1] == 2100 - 1024
    assert steps[0] == 2048 + 1024
    assert joints.to_speeds(np.ones(12))[:2].tolist() == [1.0, -1.0]


def test_limits_are_ascending_and_within_what_the_servo_takes() -> None:
    joints = JointMap(DKITTY, 4096, (0, 4095), joint())
    assert (joints.lower_steps < joints.upper_steps).all()
    assert joints.lower_steps.min() >= 0
    assert joints.upper_steps.max() <= 4095


def test_a_zero_that_leaves_no_angle_is_an_error_naming_the_joint() -> None:
    with pytest.raises(RobotpsError, match="front_left_thigh"):
        JointMap(DKITTY, 4096, (0, 4095), joint(zero=9000))


def test_a_gear_turns_the_servo_more_than_the_joint() -> None:
    wiring = DKITTY.wiring.model_copy(update={"gear": 2.0})
    joints = JointMap(DKITTY.model_copy(update={"wiring": wiring}), 4096, (0, 4095))
    assert joints.to_steps(np.full(12, 0.5))[1] == round(2048 + 4096 / (2 * np.pi))
    assert joints.to_speeds(np.ones(12))[0] == 0.5
