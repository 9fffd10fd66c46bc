"""A run: one folder with everything that was asked, tried and found, from which it can be resumed and replayed.

`run.sqlite` holds settings, versions, candidates, trials and the telemetry of physical ones; every trial is committed
as it ends, a physical one also with every tick. Beside it: a readable copy of the settings, the best gait, figures. One
process writes at a time (a lock file); any number may read. An archive is the database alone.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, get_args

import numpy as np
import tomli_w
from typing_extensions import Self

from robotps.database import (
    DATABASE,
    SCHEMA_VERSION,
    connect,
    damaged,
    database_file,
    decoded,
    explained,
    is_locked,
    locked,
)
from robotps.description import Family, RobotDescription
from robotps.errors import RobotpsError
from robotps.files import parse, without_none, write_atomically
from robotps.parameters import FloatArray, ParameterSpace
from robotps.provenance import git_state, now, simulation_sources, versions
from robotps.recorder import read_ticks
from robotps.robot import Telemetry
from robotps.trial import Trial

Stage = Literal["start", "search", "finalist", "best", "robot"]
"""start: the gait begun with; search: candidates of the search; finalist, best: the best ones again on fresh seeds;
robot: gaits that were taken to a physical robot after a search in simulation."""

_SINCE_VERSION_2 = """
CREATE TABLE equipment (
  trial INTEGER PRIMARY KEY,
  content TEXT NOT NULL            -- JSON: the robot's port, servos, calibration and limits, the odometer
);
"""
_SCHEMA = f"""{_SINCE_VERSION_2}
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE candidate (
  id INTEGER PRIMARY KEY,
  stage TEXT NOT NULL,
  iteration INTEGER NOT NULL,
  position INTEGER NOT NULL,
  family TEXT NOT NULL,
  vector BLOB NOT NULL,            -- float64, little-endian, in steps from the start of the search
  UNIQUE (stage, iteration, position)
);
CREATE TABLE trial (
  id INTEGER PRIMARY KEY,
  candidate INTEGER NOT NULL REFERENCES candidate (id),
  repeat INTEGER NOT NULL,
  robot TEXT NOT NULL,
  seed INTEGER NOT NULL,
  world TEXT,                      -- JSON; NULL: a physical trial
  ending TEXT NOT NULL,            -- finished, fell, fault, skipped, refused; running: has not ended yet
  score REAL,                      -- NULL: does not count
  metrics TEXT NOT NULL,           -- JSON, SI units
  digest TEXT,                     -- of the telemetry, which a simulated trial reproduces bit for bit
  started TEXT NOT NULL,           -- UTC
  seconds REAL NOT NULL            -- wall clock
);
CREATE UNIQUE INDEX trial_counts_once ON trial (candidate, repeat) WHERE score IS NOT NULL OR ending = 'refused';
CREATE INDEX trial_of_candidate ON trial (candidate);
CREATE TABLE layout (
  trial INTEGER PRIMARY KEY,
  quantities TEXT NOT NULL         -- JSON: each one's name and number of values (0: a plain number)
);
CREATE TABLE tick (
  trial INTEGER NOT NULL,
  number INTEGER NOT NULL,
  reading BLOB NOT NULL,           -- float64, little-endian, as the trial's layout says
  PRIMARY KEY (trial, number)
) WITHOUT ROWID;
CREATE TABLE note (
  id INTEGER PRIMARY KEY,
  trial INTEGER,                   -- NULL: about the whole run
  written TEXT NOT NULL,           -- UTC
  text TEXT NOT NULL
);
"""

CUT_SHORT = "cut short"
"""How a trial ended that was running when its process was killed."""

_ENDINGS = ("finished", "fell", "fault", "skipped", "refused", "running", CUT_SHORT)


@dataclass(frozen=True)
class Candidate:
    """A gait to try: `vector` (n,) in steps of the run's space."""

    id: int
    stage: Stage
    iteration: int
    position: int
    family: Family
    vector: FloatArray

    def same_gait(self, other: Candidate) -> bool:
        """Whether both are one gait, whatever they were tried for."""
        return self.family == other.family and np.array_equal(self.vector, other.vector)


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it was logged; `id` counts from 1 within a run."""

    id: int
    candidate: Candidate
    repeat: int
    robot: str
    seed: int
    world: dict[str, Any] | None
    ending: str
    score: float | None
    metrics: dict[str, Any] = field(repr=False)
    digest: str | None
    started: str
    seconds: float


@dataclass(frozen=True)
class Note:
    """A remark about a trial by its number, or about the whole run; written: UTC."""

    trial: int | None
    written: str
    text: str


class Run:
    """A run's record. Use as a context manager; `create` and `resume` may write, `open` reads only."""

    def __init__(self, path: Path, database: sqlite3.Connection, lock: IO[str] | None) -> None:
        self.path = path
        self._database = database
        self._lock = lock
        self._meta: dict[str, Any] = {}

    @classmethod
    def create(
        cls,
        path: Path,
        settings: Mapping[str, Any],
        description: RobotDescription,
        more: Mapping[str, Any] | None = None,
    ) -> Run:
        """Make the folder and write down what is asked, with versions and git state, and whatever more by key.

        Raises RobotpsError where the folder holds a run already or cannot be written.
        """
        made = _make_folder(path)
        lock = locked(path)
        if (path / DATABASE).exists():
            lock.close()
            raise RobotpsError(f"{path}: there is a run here already: go on with --resume, or choose another --run")
        try:
            with explained(path):
                _write_new(path, settings, description, more or {})
                return cls(path, _for_writing(path), lock)
        except BaseException:
            lock.close()
            if made:
                shutil.rmtree(path, ignore_errors=True)  # nothing is left half made
            raise

    @classmethod
    def resume(cls, path: Path) -> Run:
        """Open to go on writing; raises RobotpsError where another process writes to it."""
        database_file(path)
        if path.is_file():
            raise RobotpsError(f"{path}: an archive is only read: to go on with it, copy it to NEW/{DATABASE}")
        lock = locked(path)
        try:
            with explained(path):
                database = _for_writing(path)
                _bring_up_to_date(database)
                # whoever held the lock before is gone, and so are its trials
                database.execute("UPDATE trial SET ending = ? WHERE ending = 'running'", (CUT_SHORT,))
                return cls(path, database, lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open to read, also while another process writes, or an archive; changes nothing."""
        with explained(path):
            return cls(path, connect(path, "ro"), None)

    def close(self) -> None:
        """Let go of the run; a writer leaves one plain database file behind."""
        if self._lock is not None:
            for order in ("wal_checkpoint(TRUNCATE)", "journal_mode = DELETE"):
                with suppress(sqlite3.Error):  # somebody reads, or the disk is full: the log stays, and nothing is lost
                    self._database.execute(f"PRAGMA {order}")
            self._lock.close()
            self._lock = None
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def meta(self, key: str) -> Any:
        """What was written down at the start or the end: settings, description, versions, git, created, result.

        Of trials without a search also the `verb` that made them, and whether it has `finished`.
        """
        if key not in self._meta:
            with explained(self.path):
                row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            self._meta[key] = None if row is None else decoded(row[0], self.path)
        return self._meta[key]

    def set_meta(self, key: str, value: Any) -> None:
        """Write down one thing about the whole run."""
        with explained(self.path):
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))
        self._meta[key] = value

    @cached_property
    def _space(self) -> ParameterSpace:
        return self.description.gait_space

    @cached_property
    def description(self) -> RobotDescription:
        """The robot as it was described when the run began."""
        return parse(self.meta("description") or {}, RobotDescription, str(self.path / DATABASE))

    def add_candidates(
        self, stage: Stage, iteration: int, family: Family | Sequence[Family], vectors: FloatArray, first: int = 0
    ) -> list[Candidate]:
        """Write down what a search asked to try, (m, n), before anything of it is tried; returns all of the iteration.

        family: of all of them, or one each. first: the position in its iteration of the first one.
        """
        families = [family] * len(vectors) if isinstance(family, str) else family
        rows = [
            (stage, iteration, first + index, families[index], vector.astype("<f8").tobytes())
            for index, vector in enumerate(vectors)
        ]
        with explained(self.path), self._transaction():
            self._database.executemany(
                "INSERT INTO candidate (stage, iteration, position, family, vector) VALUES (?, ?, ?, ?, ?)", rows
            )
        return self.candidates(stage, iteration)

    def candidates(self, stage: Stage, iteration: int | None = None) -> list[Candidate]:
        """Candidates of a stage, of one iteration or all, in order."""
        query = "SELECT id, stage, iteration, position, family, vector FROM candidate WHERE stage = ?"
        arguments: list[Any] = [stage]
        if iteration is not None:
            query += " AND iteration = ?"
            arguments.append(iteration)
        with explained(self.path):
            rows = self._database.execute(query + " ORDER BY iteration, position", arguments).fetchall()
        with self._undamaged():
            return [self._candidate(row) for row in rows]

    def add_trial(
        self,
        candidate: Candidate,
        *,
        repeat: int,
        robot: str,
        seed: int,
        world: Mapping[str, Any] | None,
        trial: Trial | None,
        score: float | None,
        digest: str | None,
        started: str,
        seconds: float,
        refused: str = "",
        number: int | None = None,
    ) -> TrialRecord:
        """Write down a trial that has ended (`trial` None: the gait was `refused`, with the reason).

        number: of a trial that a Recorder wrote down as begun.
        """
        ending, metrics = ("refused", {"reason": refused}) if trial is None else (trial.ending, trial.metrics())
        with explained(self.path):
            cursor = self._database.execute(
                "INSERT INTO trial (id, candidate, repeat, robot, seed, world, ending, score, metrics, digest, "
                "started, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "ending = excluded.ending, score = excluded.score, metrics = excluded.metrics, "
                "digest = excluded.digest, seconds = excluded.seconds",
                (
                    number,
                    candidate.id,
                    repeat,
                    robot,
                    seed,
                    None if world is None else json.dumps(world),
                    ending,
                    score,
                    json.dumps(metrics),
                    digest,
                    started,
                    seconds,
                ),
            )
        id_ = number or cursor.lastrowid or 0
        held = None if world is None else dict(world)
        return TrialRecord(id_, candidate, repeat, robot, seed, held, ending, score, metrics, digest, started, seconds)

    def trials(self, stage: Stage | None = None, iteration: int | None = None) -> list[TrialRecord]:
        """Trials in the order they ended; of one stage, or one iteration of it, or all."""
        conditions, arguments = [], []
        for column, value in (("stage", stage), ("iteration", iteration)):
            if value is not None:
                conditions.append(f"{column} = ?")
                arguments.append(value)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return list(self._select(f"{where} ORDER BY trial.id", arguments))

    def trial(self, number: int) -> TrialRecord:
        """One trial by its number; raises RobotpsError where there is none."""
        found = list(self._select("WHERE trial.id = ?", [number]))
        if not found:
            raise RobotpsError(f"{self.path}: there is no trial {number}; it has {self.count()} trials")
        return found[0]

    def telemetry(self, number: int) -> Telemetry | None:
        """What a physical trial recorded, up to its last tick; None where there is none (simulation makes it again)."""
        return read_ticks(self._database, self.path, number)

    def equipment(self, number: int) -> dict[str, Any]:
        """What the robot of a physical trial was made of; {} where that is not known."""
        if self._version < 2:
            return {}
        with explained(self.path):
            row = self._database.execute("SELECT content FROM equipment WHERE trial = ?", (number,)).fetchone()
        return {} if row is None else dict(decoded(row[0], self.path))

    @cached_property
    def _version(self) -> int:
        with explained(self.path):
            return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    @property
    def in_progress(self) -> bool:
        """Whether some process writes to this run now."""
        return self._lock is not None or is_locked(self.path)

    def notes(self) -> list[Note]:
        """What people remarked, in order."""
        with explained(self.path):
            rows = self._database.execute("SELECT trial, written, text FROM note ORDER BY id").fetchall()
        if not all(isinstance(written, str) and isinstance(text, str) for _, written, text in rows):
            raise RobotpsError(damaged(self.path, "a note without its words"))
        return [Note(*row) for row in rows]

    def archive(self, file: Path) -> None:
        """Write the whole run to one file, which opens like the run's folder; raises RobotpsError where it exists."""
        if file.exists():
            raise RobotpsError(f"{file}: there is a file of this name already: choose another with --out")
        unfinished = file.with_name(f".{file.name}.new")
        try:
            with explained(file):
                unfinished.unlink(missing_ok=True)
                self._database.execute("VACUUM INTO ?", (str(unfinished),))
                unfinished.rename(file)
        except RobotpsError:
            unfinished.unlink(missing_ok=True)
            raise

    def count(self, stage: Stage | None = None) -> int:
        """Number of trials so far, of one stage or all."""
        query, arguments = "SELECT count(*) FROM trial", []
        if stage is not None:
            query += " JOIN candidate ON candidate.id = trial.candidate WHERE stage = ?"
            arguments.append(stage)
        with explained(self.path):
            return int(self._database.execute(query, arguments).fetchone()[0])

    def counts(self) -> tuple[int, int, int]:
        """Numbers of trials that have ended, of those that run, and of notes: they tell whether anything is new."""
        with explained(self.path):
            row = self._database.execute(
                "SELECT (SELECT count(*) FROM trial WHERE ending != 'running'), "
                "(SELECT count(*) FROM trial WHERE ending = 'running'), (SELECT count(*) FROM note)"
            ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def last_trial(self) -> int:
        """Number of the latest trial, 0 where there is none."""
        with explained(self.path):
            return int(self._database.execute("SELECT max(id) FROM trial").fetchone()[0] or 0)

    def _select(self, where: str, arguments: Sequence[Any]) -> Iterator[TrialRecord]:
        query = f"""SELECT candidate.id, stage, iteration, position, family, vector, trial.id, repeat, robot, seed,
            world, ending, score, metrics, digest, started, seconds
            FROM trial JOIN candidate ON candidate.id = trial.candidate {where}"""
        with explained(self.path):
            rows = self._database.execute(query, arguments).fetchall()
        running = "running" if self.in_progress else CUT_SHORT
        with self._undamaged():
            for row in rows:
                ending = running if row[11] == "running" else row[11]
                if ending not in _ENDINGS:
                    raise ValueError(f"trial {row[6]} ended as {ending!r}")
                yield TrialRecord(
                    id=int(row[6]),
                    candidate=self._candidate(row[:6]),
                    repeat=int(row[7]),
                    robot=str(row[8]),
                    seed=int(row[9]),
                    world=None if row[10] is None else dict(decoded(row[10], self.path)),
                    ending=ending,
                    score=None if row[12] is None else float(row[12]),
                    metrics=dict(decoded(row[13], self.path)),
                    digest=row[14],
                    started=str(row[15]),
                    seconds=float(row[16]),
                )

    def _candidate(self, row: Sequence[Any]) -> Candidate:
        id_, stage, iteration, position, family, vector = row
        steps = np.frombuffer(vector, dtype="<f8").astype(np.float64)
        expected = len(self._space)
        if steps.shape != (expected,) or not np.isfinite(steps).all():
            raise ValueError(f"candidate {id_} is not {expected} finite numbers")
        if family not in get_args(Family) or stage not in get_args(Stage):
            raise ValueError(f"candidate {id_} is of family {family!r} and stage {stage!r}")
        return Candidate(id_, stage, iteration, position, family, steps)

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError) as error:
            raise RobotpsError(damaged(self.path, error)) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def add_note(path: Path, text: str, trial: int | None = None) -> None:
    """Write a remark into a run, also while another process writes to it, or into an archive."""
    with explained(path), closing(connect(path, "rw")) as database:
        if trial is not None and database.execute("SELECT 1 FROM trial WHERE id = ?", (trial,)).fetchone() is None:
            raise RobotpsError(f"{path}: there is no trial {trial} to write a note about")
        database.execute("INSERT INTO note (trial, written, text) VALUES (?, ?, ?)", (trial, now(), text))


def _make_folder(path: Path) -> bool:
    """Whether it had to be made."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        if path.is_dir():
            return False
        raise RobotpsError(f"{path}: the run's folder cannot be made: {error.strerror}") from None
    return True


def _write_new(path: Path, settings: Mapping[str, Any], description: RobotDescription, more: Mapping[str, Any]) -> None:
    """The files of a new run; the database last and by another name first: one that exists is whole."""
    meta = {
        "settings": settings,
        "description": description.model_dump(mode="json"),
        "versions": versions(),
        "git": git_state(),
        "simulation": simulation_sources(),
        "created": now(),
        **more,
    }
    copy = tomli_w.dumps(without_none(settings))
    write_atomically(path / "settings.toml", f"# a copy to read; the run itself is in {DATABASE}\n{copy}")
    unfinished = path / f"{DATABASE}.new"
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.executemany("INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in meta.items()])
    unfinished.rename(path / DATABASE)


def _for_writing(path: Path) -> sqlite3.Connection:
    database = connect(path, "rw")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """A run of an older format that is to be gone on with gets the tables it lacks; what it holds stays as it is."""
    if database.execute("PRAGMA user_version").fetchone()[0] < 2:
        database.executescript(f"BEGIN IMMEDIATE; {_SINCE_VERSION_2} PRAGMA user_version = 2; COMMIT;")
