"""A run in one line, read without reading its trials: what a list of many runs shows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from robotps.database import DATABASE, connect, database_file, explained, is_locked
from robotps.result import result_of
from robotps.run import Run
from robotps.scores import worst

ARCHIVE_SUFFIX = ".robotps"

State = Literal["in progress", "finished", "unfinished"]


@dataclass(frozen=True)
class Summary:
    """Speeds are means over trials on fresh seeds, m/s, None where there were none yet.

    verb: whose trials these are where nothing was searched for, or empty. search: the search's name, or that verb.
    """

    path: Path
    robot: str
    verb: str
    search: str
    created: str
    state: State
    trials: int
    notes: int
    initial_speed: float | None
    best_speed: float | None


def runs_in(folder: Path) -> list[Path]:
    """The runs of a folder: folders that hold a run, and archives, by name."""
    return sorted([file.parent for file in folder.glob(f"*/{DATABASE}")] + list(folder.glob(f"*{ARCHIVE_SUFFIX}")))


def summary(path: Path) -> Summary:
    """Summarise a run's folder or archive; raises RobotpsError where it cannot be read."""
    database_file(path)
    with explained(path), closing(connect(path, "ro")) as database:
        robot = _value(database, "description", "$.name")
        verb = _value(database, "verb", "$")
        search = verb or _value(database, "settings", "$.search")
        settings = database.execute(
            "SELECT json_extract(value, '$.confirm'), json_extract(value, '$.tail') FROM meta WHERE key = 'settings'"
        )
        asked, tail = settings.fetchone() or (None, None)
        created = _value(database, "created", "$")
        start, best = (_again(database, stage, 1.0 if tail is None else tail) for stage in ("start", "best"))
        trials = database.execute("SELECT count(*) FROM trial").fetchone()[0]
        notes = database.execute("SELECT count(*) FROM note").fetchone()[0]
        finished = _value(database, "finished", "$") == "1"
    another = best.gait != start.gait
    improved = another and best.score is not None and start.score is not None and best.score > start.score
    initial, fastest = start.speed, best.speed if improved else start.speed
    if len(start.robots | best.robots) > 1:  # what is the robots' and not the gaits' takes reading all trials
        with Run.open(path) as run:
            result = result_of(run)
        if result is not None:
            initial, fastest = result.initial_speed, result.best_speed
    done = finished if verb else isinstance(asked, int) and best.trials >= asked
    return Summary(
        path=path,
        robot=robot,
        verb=verb,
        search=search,
        created=created,
        state="in progress" if is_locked(path) else "finished" if done else "unfinished",
        trials=int(trials),
        notes=int(notes),
        initial_speed=initial,
        best_speed=fastest,
    )


@dataclass(frozen=True)
class _Again:
    trials: int
    robots: frozenset[str]
    gait: tuple[str, bytes] | None
    score: float | None
    speed: float | None


def _again(database: sqlite3.Connection, stage: str, tail: float) -> _Again:
    """What the trials of the start, or of the best gait, said."""
    rows = database.execute(
        "SELECT score, json_extract(metrics, '$.speed'), robot, family, vector "
        "FROM trial JOIN candidate ON candidate.id = trial.candidate WHERE stage = ?",
        (stage,),
    ).fetchall()
    robots, gait = frozenset(row[2] for row in rows), rows[0][3:] if rows else None
    counted = np.array([row[:2] for row in rows if row[0] is not None], dtype=np.float64)
    if len(counted) == 0:
        return _Again(len(rows), robots, gait, None, None)
    return _Again(len(rows), robots, gait, float(worst(counted[:, 0], tail).mean()), float(counted[:, 1].mean()))


def _value(database: sqlite3.Connection, key: str, path: str) -> str:
    row = database.execute("SELECT json_extract(value, ?) FROM meta WHERE key = ?", (path, key)).fetchone()
    return "" if row is None or row[0] is None else str(row[0])
