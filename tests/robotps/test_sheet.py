"""The sheet of a replay."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robotps.description import RobotDescription
from robotps.feet import feet_in_body, feet_on_floor, stance
from robotps.gait import PHASES
from robotps.replay import again_in_simulation, find
from robotps.robot import Robot
from robotps.run import Run
from robotps.sheet import draw_sheet

MakeRun = Callable[..., Path]
Gliding = Callable[[RobotDescription], Callable[[Mapping[str, Any] | None, int], Robot]]


@pytest.mark.parametrize("world", [{}, None], ids=["simulated", "physical"])
def test_a_sheet_is_a_png_with_ink_in_every_panel(
    make_run: MakeRun, gliding: Gliding, world: Any, tmp_path: Path
) -> None:
    from matplotlib.image import imread

    with Run.open(make_run(world=world, iterations=1)) as run:
        replay = again_in_simulation(find(run), gliding(run.description))
    file = tmp_path / "sheet.png"
    draw_sheet(replay, file, begin=0.05, end=0.25)
    assert struct.unpack(">II", file.read_bytes()[16:24]) == (1430, 1320)
    dark = imread(file)[:, :, :3].min(axis=2) < 0.6
    for rows in np.array_split(dark, 6):
        for cell in np.array_split(rows, 4, axis=1):
            assert cell.mean() > 0.003


def test_stance_without_a_body_height_is_that_of_the_lowest_feet(make_run: MakeRun) -> None:
    with Run.open(make_run(world=None, iterations=1, trial={"seconds": 2.0, "warm_up": 0.1})) as run:
        description, logged = run.description, find(run, 1)
    telemetry = logged.telemetry
    assert telemetry is not None
    telemetry.__dict__.pop("base_position")
    object.__setattr__(telemetry, "base_position", None)
    assert feet_on_floor(description, telemetry) is None
    down = stance(description, telemetry)
    assert down is not None
    kept = telemetry.time > 0.8  # the whole gait is played from half a period on
    phase = telemetry.time[kept] / logged.gait.parameters["period"]
    for foot, offset in zip(down[:, kept], PHASES[logged.gait.family], strict=True):
        meant = (phase - offset) % 1.0 < logged.gait.parameters["ground_fraction"]
        assert (foot == meant).mean() > 0.85


def test_feet_on_the_floor_are_the_body_s_feet_moved_along_with_it(make_run: MakeRun) -> None:
    with Run.open(make_run(world=None, iterations=1)) as run:
        description, telemetry = run.description, find(run, 1).telemetry
    assert telemetry is not None
    assert telemetry.position is not None
    assert telemetry.base_position is not None
    placed = feet_on_floor(description, telemetry)
    assert placed is not None
    np.testing.assert_allclose(placed, feet_in_body(description, telemetry.position) + telemetry.base_position)
