"""Telemetry as a table: one row a tick, one column a quantity of a joint or an axis."""

from __future__ import annotations

from collections.abc import Sequence

from robotps.export.tables import Table, with_unit
from robotps.robot import Telemetry

_UNITS = {
    "time": "s",
    "sent": "rad",
    "commanded": "rad",
    "late": "s",
    "load": "1",
    "position": "rad",
    "velocity": "rad/s",
    "torque": "N m",
    "current": "A",
    "temperature": "degC",
    "orientation": "1",
    "angular_velocity": "rad/s",
    "acceleration": "m/s^2",
    "base_position": "m",
    "base_velocity": "m/s",
    "voltage": "V",
}
_AXES = ("x", "y", "z", "w")
_OF_JOINTS = ("sent", "commanded", "load", "position", "velocity", "torque", "current", "temperature")


def telemetry_table(joint_names: Sequence[str], trial: int, telemetry: Telemetry) -> Table:
    """The ticks of a trial: `<joint>_<quantity>_<unit>` and `<quantity>_<axis>_<unit>`; a missing reading is NaN."""
    table: Table = {"trial": [trial] * len(telemetry.time)}
    for name, values in telemetry.columns().items():
        unit = _UNITS[name]
        if values.ndim == 1:
            table[with_unit(name, unit)] = values
        elif name in _OF_JOINTS:
            for joint, column in zip(joint_names, values.T, strict=True):
                table[with_unit(f"{joint}_{name}", unit)] = column
        else:
            for axis, column in zip(_AXES, values.T, strict=False):
                table[with_unit(f"{name}_{axis}", unit)] = column
    return table
