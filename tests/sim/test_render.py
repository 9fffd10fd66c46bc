"""A video shows the robot that was simulated, and drawing it changes nothing."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import GaitCycle, gait_cycle, initial_gait
from robotps.robot import Observation, Telemetry
from sim.render import HEIGHT, SKY, WIDTH, frames, record_video
from sim.robot import SimulatedRobot

DKITTY = load_description("dkitty")


@pytest.fixture(scope="module")
def cycle() -> GaitCycle:
    return gait_cycle(DKITTY, initial_gait(DKITTY))


def test_pictures_show_a_robot_in_their_middle_that_moves_over_a_floor(cycle: GaitCycle) -> None:
    with SimulatedRobot(DKITTY) as robot:
        pictures = list(frames(robot, cycle, 0.5, fps=4))
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.shape == (HEIGHT, WIDTH, 3)
        coloured = np.ptp(picture.astype(int), axis=2) > 40  # floor, shadow and sky are grey
        rows, columns = np.nonzero(coloured)
        assert 0.01 < coloured.mean() < 0.2
        assert 0.3 < columns.mean() / WIDTH < 0.7
        assert 0.25 < rows.mean() / HEIGHT < 0.75
        assert picture[0].mean() == pytest.approx(SKY, abs=4)
        assert np.ptp(picture[HEIGHT - 1].astype(int)) > 15  # chequers
    assert (pictures[0] != pictures[1]).mean() > 0.02


def test_under_the_robot_the_floor_is_in_shadow(cycle: GaitCycle) -> None:
    with SimulatedRobot(DKITTY) as robot:
        (picture,) = frames(robot, cycle, 0.05, fps=10)
    grey = np.ptp(picture.astype(int), axis=2) < 6
    dark = grey & (picture[:, :, 0] < 175) & (picture[:, :, 0] > 120)
    assert dark.mean() > 0.01


def test_a_drawn_robot_moves_as_one_that_nobody_looks_at(cycle: GaitCycle) -> None:
    seen: list[Observation] = []

    def watched(time: float, last: Observation | None) -> np.ndarray:
        if last is not None:
            seen.append(last)
        return cycle(time, last)

    with SimulatedRobot(DKITTY, seed=5) as robot:
        list(frames(robot, watched, 0.4, fps=10))
    with SimulatedRobot(DKITTY, seed=5) as robot:
        robot.stand(cycle.standing)
        unseen = list(robot.play(cycle, 0.4))
    assert (Telemetry.of(seen).base_position == Telemetry.of(unseen[: len(seen)]).base_position).all()


def test_a_video_has_its_frames_and_plays_anywhere(tmp_path: Path, cycle: GaitCycle) -> None:
    path = tmp_path / "walk.mp4"
    with SimulatedRobot(DKITTY) as robot:
        record_video(robot, cycle, 0.4, path, fps=10)
    with imageio.get_reader(path) as reader:
        form = reader.get_meta_data()
        pictures = list(reader.iter_data())
    assert (form["codec"], form["fps"]) == ("h264", 10)
    assert form["pix_fmt"].startswith("yuv420p")
    assert len(pictures) == 4
    assert pictures[0].shape == (HEIGHT, WIDTH, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["walk.mp4"]


def test_a_video_that_cannot_be_written_is_told(tmp_path: Path, cycle: GaitCycle) -> None:
    with SimulatedRobot(DKITTY) as robot:
        for path in (tmp_path / "none" / "walk.mp4", tmp_path / "walk.txt"):
            with pytest.raises(RobotpsError, match=path.name):
                record_video(robot, cycle, 0.1, path)
    assert list(tmp_path.iterdir()) == []
