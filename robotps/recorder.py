"""Physical trials, which happen once: every tick written down, and committed, as it comes."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from robotps.database import connect, damaged, explained
from robotps.errors import RobotpsError
from robotps.robot import Observation, Telemetry

Layout = dict[str, int]
"""What a tick holds, in order: the number of values of each quantity, 0 for a plain number."""


class Recorder:
    """Writes the ticks of one trial at a time into a run that another connection owns.

    Made where the robot is driven (a thread, a worker process): `path` is the run's folder. Use as a context manager.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            self._database = connect(path, "rw")
            # a checkpoint syncs the disk, which may take longer than a control period: the owner does it between trials
            self._database.execute("PRAGMA wal_autocheckpoint = 0")
            self._database.execute("PRAGMA synchronous = NORMAL")
        self._trial = 0
        self._layout: Layout = {}
        self._number = 0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def begin(
        self,
        candidate: int,
        *,
        repeat: int,
        robot: str,
        seed: int,
        started: str,
        equipment: Mapping[str, Any] | None = None,
    ) -> int:
        """Write down that a trial of a candidate (its id) begins, and with what; returns the trial's number.

        Until it is written down as ended it counts as running, or as cut short where nobody writes any more.
        """
        with explained(self.path):
            cursor = self._database.execute(
                "INSERT INTO trial (candidate, repeat, robot, seed, ending, metrics, started, seconds) "
                "VALUES (?, ?, ?, ?, 'running', '{}', ?, 0)",
                (candidate, repeat, robot, seed, started),
            )
            self._trial, self._layout, self._number = cursor.lastrowid or 0, {}, 0
            if equipment:
                self._database.execute(
                    "INSERT INTO equipment VALUES (?, ?)", (self._trial, json.dumps(equipment, default=str))
                )
        return self._trial

    def tick(self, observation: Observation) -> None:
        """Write down one observation of the trial that has begun; it is on record when this returns."""
        with explained(self.path):
            if not self._layout:
                self._layout = layout_of(observation)
                self._database.execute(
                    "INSERT INTO layout VALUES (?, ?)", (self._trial, json.dumps(list(self._layout.items())))
                )
            self._database.execute(
                "INSERT INTO tick VALUES (?, ?, ?)", (self._trial, self._number, pack(observation, self._layout))
            )
        self._number += 1

    def complete(self, telemetry: Telemetry) -> None:
        """Write the trial's ticks again, whole or not at all, with what became known of them after its end."""
        columns = telemetry.columns()
        layout = {name: values.shape[1] if values.ndim > 1 else 0 for name, values in columns.items()}
        if layout.keys() <= self._layout.keys():
            return
        table = np.column_stack(list(columns.values())).astype("<f8")
        rows = [(self._trial, number, row.tobytes()) for number, row in enumerate(table)]
        with explained(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.execute("DELETE FROM tick WHERE trial = ?", (self._trial,))
                self._database.execute(
                    "INSERT OR REPLACE INTO layout VALUES (?, ?)", (self._trial, json.dumps(list(layout.items())))
                )
                self._database.executemany("INSERT INTO tick VALUES (?, ?, ?)", rows)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        self._layout = layout


def read_ticks(database: sqlite3.Connection, path: Path, trial: int) -> Telemetry | None:
    """The telemetry of a trial as recorded, up to its last tick; None where it has none."""
    with explained(path):
        row = database.execute("SELECT quantities FROM layout WHERE trial = ?", (trial,)).fetchone()
        ticks = database.execute("SELECT reading FROM tick WHERE trial = ? ORDER BY number", (trial,)).fetchall()
    if row is None or not ticks:
        return None
    try:
        return unpack([reading for (reading,) in ticks], dict(json.loads(row[0])))
    except (ValueError, TypeError, struct.error) as error:
        raise RobotpsError(damaged(path, f"telemetry of trial {trial}: {error}")) from None


def layout_of(observation: Observation) -> Layout:
    """The quantities that an observation has."""
    layout = {}
    for field in fields(observation):
        value = getattr(observation, field.name)
        if value is not None:
            layout[field.name] = len(value) if np.ndim(value) else 0
    return layout


def pack(observation: Observation, layout: Layout) -> bytes:
    """One observation as float64, little-endian; a quantity that is missing this time is NaN."""
    values: list[float] = []
    for name, width in layout.items():
        value = getattr(observation, name)
        if value is None:
            values.extend([np.nan] * max(width, 1))
        elif width:
            values.extend(value)
        else:
            values.append(value)
    return struct.pack(f"<{len(values)}d", *values)


def unpack(readings: Sequence[bytes], layout: Layout) -> Telemetry:
    """Ticks as telemetry; raises ValueError or TypeError where they do not fit the layout."""
    known = [field.name for field in fields(Telemetry)]
    total = sum(max(width, 1) for width in layout.values())
    table = np.frombuffer(b"".join(readings), dtype="<f8").astype(np.float64).reshape(len(readings), total)
    columns, start = {}, 0
    for name, width in layout.items():
        values = table[:, start : start + width] if width else table[:, start]
        start += max(width, 1)
        if name in known:
            columns[name] = np.ascontiguousarray(values)
    return Telemetry(**columns)
