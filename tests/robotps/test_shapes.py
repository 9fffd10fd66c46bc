"""What a robot looks like to viewers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robotps.description import bundled_robots, load_description
from robotps.shapes import frames, held, shapes


@pytest.mark.parametrize("robot", bundled_robots())
def test_solids_of_a_leg_reach_from_joint_to_joint_to_foot(robot: str) -> None:
    description = load_description(robot)
    found = shapes(description)
    known = {"body"} | {frame.name for frame in frames(description)}
    assert {shape.frame for shape in found} == known
    origin = {frame.name: np.array(frame.origin) for frame in frames(description)}
    below = {frame.parent: frame.name for frame in frames(description) if frame.parent != "body"}
    for shape in (shape for shape in found if shape.kind == "cylinder"):
        along = Rotation.from_quat(shape.turn).apply([0, 0, shape.size[1] / 2])
        ends = {tuple(np.round(np.array(shape.position) + sign * along, 9)) for sign in (-1, 1)}
        leg = shape.frame.rpartition("_")[0]
        foot = np.array(description.legs[leg].foot.position)
        assert ends == {(0, 0, 0), tuple(np.round(origin[below[shape.frame]] if shape.frame in below else foot, 9))}


def test_a_missing_reading_holds_the_last_one_and_the_first_ones_wait() -> None:
    nan = np.nan
    values = np.array([[nan, 1.0], [2.0, nan], [nan, nan], [3.0, 4.0]])
    np.testing.assert_array_equal(held(values), [[2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [3.0, 4.0]])
