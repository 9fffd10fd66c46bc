"""A run's trials as a table: one row a trial."""

from __future__ import annotations

import json

from robotps.description import GAIT_UNITS
from robotps.export.tables import Table, with_unit
from robotps.run import Run
from robotps.settings import search_space, settings_of

_METRICS = {
    "speed": "speed_m_per_s",
    "speed_std": "speed_std_m_per_s",
    "distance": "distance_m",
    "duration": "duration_s",
    "drift": "drift_m_per_s",
    "heading_change": "heading_change_rad",
    "cost_of_transport": "cost_of_transport",
    "slip": "slip_m_per_s",
    "shake": "shake_rad_per_s",
    "unreachable": "unreachable_fraction",
}


def trials_table(run: Run) -> Table:
    """What was tried (gait parameters with units, world as JSON), how it ended, what was measured."""
    space = search_space(run.description, settings_of(run))
    trials = run.trials()
    gaits = [space.values(trial.candidate.vector) for trial in trials]
    table: Table = {
        "trial": [trial.id for trial in trials],
        "stage": [trial.candidate.stage for trial in trials],
        "iteration": [trial.candidate.iteration for trial in trials],
        "position": [trial.candidate.position for trial in trials],
        "repeat": [trial.repeat for trial in trials],
        "robot": [trial.robot for trial in trials],
        "seed": [trial.seed for trial in trials],
        "simulated": [trial.world is not None for trial in trials],
        "world": [None if trial.world is None else json.dumps(trial.world) for trial in trials],
        "ending": [trial.ending for trial in trials],
        "reason": [str(trial.metrics.get("reason") or "") for trial in trials],
        "score": [trial.score for trial in trials],
        "family": [trial.candidate.family for trial in trials],
    }
    for name, column in _METRICS.items():
        table[column] = [trial.metrics.get(name) for trial in trials]
    for name, unit in GAIT_UNITS.items():
        table[with_unit(name, unit)] = [gait[name] for gait in gaits]
    table["started_utc"] = [trial.started for trial in trials]
    table["wall_clock_s"] = [trial.seconds for trial in trials]
    return table
