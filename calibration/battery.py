"""The battery's voltage and resistance, from how the measured voltage falls with the current that the servos take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration.grid import Grid
from calibration.identification import NORMAL_95, IdentifiedParameter
from robotps.description import RobotDescription
from sim.world import World

RESOLUTION = 0.1
"""V; servos report no finer."""
CORRELATED = 20
"""Readings in a row that count as one."""
STEADY = 1e-3
"""A; currents that vary by less say nothing: some servos report none."""
LARGEST = 1.0
"""ohm; a pack beyond that could not move a robot."""


def battery_of(
    description: RobotDescription, world: World, grids: Sequence[Grid], fitted: Mapping[str, float]
) -> dict[str, IdentifiedParameter]:
    """battery.volts and, where currents were sensed, battery.resistance_ohm: V = E - r I, least squares.

    A servo takes duty times its motor's current from the battery: I = sum (i^2 R + i k w) / V.
    """
    grids = [grid for grid in grids if grid.voltage is not None and np.isfinite(grid.voltage).all()]
    if not grids:
        return {}
    servo = description.servo
    volts = np.concatenate([grid.voltage for grid in grids if grid.voltage is not None])
    many = max(len(volts) / CORRELATED, 2.0)
    rounding = RESOLUTION / np.sqrt(12.0)
    prior = world.battery.volts or servo.voltage
    volts_alone = {"battery.volts": _parameter("battery.volts", "V", prior, float(np.mean(volts)), rounding)}
    if any(grid.current is None for grid in grids):
        return volts_alone
    k = servo.voltage / (servo.no_load_speed * fitted.get("servo.speed_scale", world.servo.speed_scale))
    stall = servo.stall_torque * fitted.get("servo.strength_scale", world.servo.strength_scale)
    resistance = k * servo.voltage / stall
    amperes = np.concatenate(
        [
            (grid.current**2 * resistance + grid.current * k * grid.velocity).sum(axis=1)
            for grid in grids
            if grid.current is not None
        ]
    )
    amperes = np.maximum(amperes, 0.0) / volts
    if amperes.std() < STEADY:
        return volts_alone
    design = np.stack([np.ones_like(amperes), -amperes], axis=1)
    solution = np.linalg.lstsq(design, volts, rcond=None)[0]
    noise = max(float(np.std(volts - design @ solution)), rounding)
    covariance = np.linalg.inv(design.T @ design) * noise**2 * len(volts) / many
    open_circuit, ohm = float(solution[0]), float(solution[1])
    deviations = np.sqrt(np.diag(covariance))
    found = {
        "battery.volts": _parameter("battery.volts", "V", prior, open_circuit, float(np.hypot(deviations[0], rounding)))
    }
    # what falls by less than the resolution over the currents that there mostly are does not show
    hidden = rounding / max(2 * float(amperes.std()), 1e-3)
    spread = float(np.hypot(deviations[1], 0.1 * abs(ohm) + hidden))
    name = "battery.resistance_ohm"
    found[name] = _parameter(name, "ohm", world.battery.resistance_ohm, ohm, spread, 0.2 * LARGEST)
    return found


def _parameter(
    name: str, unit: str, prior: float, value: float, deviation: float, believed: float | None = None
) -> IdentifiedParameter:
    informative = bool(deviation < 0.5 * (believed or 0.1 * prior))
    at_bound = bool(value <= 0.0)
    return IdentifiedParameter(
        name=name,
        unit=unit,
        prior=prior,
        value=value if informative and not at_bound else prior,
        low=max(value - NORMAL_95 * deviation, 0.0),
        high=value + NORMAL_95 * deviation,
        at_bound=at_bound,
        informative=informative,
    )
