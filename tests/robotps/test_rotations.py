"""Rotations agree with another implementation."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from robotps.rotations import rotation_matrices, rotation_of, times

_TURN = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(v * v for v in q) > 0.01)


def test_fixed_rotations_turn_about_roll_pitch_and_yaw_of_fixed_axes() -> None:
    for rpy in np.random.default_rng(3).uniform(-3, 3, size=(20, 3)):
        np.testing.assert_allclose(rotation_of(tuple(rpy)), Rotation.from_euler("xyz", rpy).as_matrix(), atol=1e-12)


def test_rotation_matrices_agree_with_another_implementation() -> None:
    rotations = Rotation.random(50, random_state=2)
    np.testing.assert_allclose(rotation_matrices(rotations.as_quat()), rotations.as_matrix(), atol=1e-12)


@given(_TURN, _TURN)
def test_the_product_of_quaternions_is_the_turn_after_the_other(
    one: tuple[float, ...], other: tuple[float, ...]
) -> None:
    a, b = Rotation.from_quat(one), Rotation.from_quat(other)
    product = Rotation.from_quat(times(a.as_quat(), b.as_quat()))
    np.testing.assert_allclose(product.as_matrix(), (a * b).as_matrix(), atol=1e-12)
