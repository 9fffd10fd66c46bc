"""Logged readings come onto the grid of control periods; setpoints glide as the servos' do."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.grid import glide, on_grid
from robotps.robot import Telemetry
from sim.servo import CommandLine

PERIOD = 0.01


def moving(time: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(5 * time), np.cos(3 * time)], axis=1)


def test_a_robot_that_keeps_its_own_time_is_taken_as_it_is() -> None:
    time = PERIOD * np.arange(1, 51)
    sent = moving(time - PERIOD)
    grid = on_grid(Telemetry(time, sent, position=moving(time)), PERIOD)
    assert grid is not None
    assert grid.sent == pytest.approx(sent)
    assert grid.position == pytest.approx(moving(time))


@pytest.mark.parametrize("soon", [0.0, 0.0001, 0.003])
def test_a_robot_that_answers_before_it_moves_has_been_read_at_the_ends_of_the_periods_before(soon: float) -> None:
    begin = PERIOD * np.arange(50)
    grid = on_grid(Telemetry(begin + soon, moving(begin), position=moving(begin + soon)), PERIOD)
    assert grid is not None
    assert len(grid) == 49
    assert grid.sent == pytest.approx(moving(begin[:-1]))
    assert grid.position == pytest.approx(moving(begin[1:]), abs=2e-3 if soon else 1e-9)


def test_readings_by_the_walls_clock_are_moved_to_the_ends_of_periods() -> None:
    """Read 3 ms after each target was sent; one deadline was left out."""
    index = np.delete(np.arange(50), 20)
    time = PERIOD * index + 0.003
    grid = on_grid(Telemetry(time, moving(PERIOD * index), position=moving(time)), PERIOD)
    assert grid is not None
    ends = PERIOD * np.arange(1, len(grid) + 1)
    assert grid.position == pytest.approx(moving(ends), abs=2e-3)
    assert grid.sent[20] == pytest.approx(grid.sent[19])
    assert grid.sent[21] == pytest.approx(moving(np.array([21 * PERIOD]))[0])


def test_lost_readings_are_filled_in_and_other_senses_are_none() -> None:
    time = PERIOD * np.arange(1, 51)
    position = moving(time)
    position[10, 0] = np.nan
    grid = on_grid(Telemetry(time, position, position=position), PERIOD)
    assert grid is not None
    assert grid.position[10, 0] == pytest.approx(moving(time)[10, 0], abs=1e-3)
    assert grid.current is None
    assert grid.velocity == pytest.approx(np.gradient(grid.position, PERIOD, axis=0))
    assert on_grid(Telemetry(time, position), PERIOD) is None


def test_setpoints_glide_as_the_simulators_do() -> None:
    generator, steps = np.random.default_rng(1), 5
    sent = generator.uniform(-0.2, 0.2, (30, 3))
    line = CommandLine(0.0, 6.0, PERIOD / steps, steps, sent[0].tolist())
    means = np.concatenate([line.setpoints(target.tolist()) for target in sent])
    ends = glide(sent, 6.0, PERIOD, 1000 * steps)
    fine = ends[1:].reshape(-1, 1000, 3).mean(axis=1)
    assert fine == pytest.approx(means, abs=1e-4)
