"""The battery, from what the servos say of their currents and of the voltage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.battery import battery_of
from calibration.grid import Grid
from robotps.description import load_description
from sim.world import World

DKITTY = load_description("dkitty")
N, TICKS = len(DKITTY.joint_names), 400


def _grid(current: np.ndarray, voltage: np.ndarray) -> Grid:
    zeros = np.zeros((TICKS, N))
    return Grid(0.01, zeros, zeros, zeros, current, voltage, None, None)


def test_a_voltage_that_falls_with_the_current_tells_voltage_and_resistance() -> None:
    servo = DKITTY.servo
    motor = servo.voltage / servo.no_load_speed * servo.voltage / servo.stall_torque
    current = np.random.default_rng(0).uniform(0.0, 2.0, (TICKS, N))
    heat = (current**2 * motor).sum(axis=1)
    # V = E - r I with I = heat / V
    open_circuit, ohm = 12.3, 0.05
    voltage = (open_circuit + np.sqrt(open_circuit**2 - 4 * ohm * heat)) / 2
    found = battery_of(DKITTY, World(), [_grid(current, voltage)], {})
    assert found["battery.volts"].value == pytest.approx(open_circuit, rel=1e-6)
    assert found["battery.resistance_ohm"].value == pytest.approx(ohm, rel=1e-6)


def test_servos_whose_currents_say_nothing_tell_the_voltage_alone() -> None:
    silent = _grid(np.zeros((TICKS, N)), np.full(TICKS, 11.8))
    found = battery_of(DKITTY, World(), [silent], {})
    assert list(found) == ["battery.volts"]
    assert found["battery.volts"].value == pytest.approx(11.8)
    assert found == battery_of(DKITTY, World(), [replace(silent, current=None)], {})
