"""How a physical robot's trials went: timing of the control loop, missing readings, battery and temperature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robotps.errors import RobotpsError
from robotps.parameters import FloatArray
from robotps.robot import Telemetry
from robotps.run import Run, TrialRecord

TRIALS_READ = 60
"""Telemetry of at most this many trials, evenly spread, is read for a report."""


@dataclass(frozen=True)
class Health:
    """One trial's telemetry in figures; NaN: this robot has no such sense.

    rate: control periods a second, median. slowest: 99th percentile of a period, s. late: s that the latest period
    began after its deadline. missing: share of joint positions that did not come. voltage: lowest, V. temperature:
    highest, degC.
    """

    trial: int
    ending: str
    ticks: int
    rate: float
    slowest: float
    late: float
    missing: float
    voltage: float
    temperature: float


def health_of(trial: TrialRecord, telemetry: Telemetry) -> Health:
    """The figures of one trial."""
    periods = np.diff(telemetry.time)
    timed = len(periods) > 0 and np.median(periods) > 0
    position = telemetry.position
    return Health(
        trial=trial.id,
        ending=trial.ending,
        ticks=len(telemetry.time),
        rate=float(1 / np.median(periods)) if timed else np.nan,
        slowest=float(np.percentile(periods, 99)) if timed else np.nan,
        late=_highest(telemetry.late),
        missing=np.nan if position is None else float(np.isnan(position).mean()),
        voltage=-_highest(None if telemetry.voltage is None else -telemetry.voltage),
        temperature=_highest(telemetry.temperature),
    )


def run_health(run: Run, trials: Sequence[TrialRecord]) -> tuple[list[Health], list[str]]:
    """Figures of physical trials, at most TRIALS_READ of them, and what could not be read."""
    physical = [trial for trial in trials if trial.world is None and trial.ending != "refused"]
    chosen = np.unique(np.linspace(0, len(physical) - 1, min(len(physical), TRIALS_READ)).round().astype(int))
    found, missing = [], []
    for index in chosen.tolist():
        try:
            telemetry = run.telemetry(physical[index].id)
        except RobotpsError as error:
            missing.append(f"telemetry: {error}")
            continue
        if telemetry is not None:
            found.append(health_of(physical[index], telemetry))
    return found, missing


def equipment_of(run: Run, trials: Sequence[TrialRecord]) -> list[str]:
    """What the robots of the physical trials were made of, each once, in words."""
    found: dict[str, list[int]] = {}
    for trial in trials:
        if trial.world is None and (equipment := run.equipment(trial.id)):
            found.setdefault(_in_words(equipment), []).append(trial.id)
    return [f"{_numbers(ids)}: {words}" for words, ids in found.items()]


def _in_words(equipment: Mapping[str, Any]) -> str:
    servos = equipment.get("servos") or []
    kinds = Counter(
        f"{servo.get('model')}" + (f" (firmware {servo['firmware']})" if servo.get("firmware") else "")
        for servo in servos
    )
    parts = [f"{count} x {kind}" for kind, count in kinds.items()]
    if servos:
        parts.append(f"ids {', '.join(str(servo.get('id')) for servo in servos)}")
    if "calibration" in equipment:
        parts.append("calibrated" if equipment["calibration"] else "not calibrated")
    parts += [f"{name} {equipment[name]}" for name in ("port", "odometer", "pace") if equipment.get(name)]
    return "; ".join(parts)


def _numbers(ids: Sequence[int]) -> str:
    return f"trial {ids[0]}" if len(ids) == 1 else f"{len(ids)} trials from {ids[0]} to {ids[-1]}"


def _highest(values: FloatArray | None) -> float:
    if values is None or np.isnan(values).all():
        return np.nan
    return float(np.nanmax(values))
