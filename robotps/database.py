"""The file a run is kept in: opening it, one writer at a time, and its errors in the person's words."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from robotps.errors import RobotpsError

SCHEMA_VERSION = 2
"""1: the first. 2: what a physical robot was made of, gaits taken to one after a search."""
DATABASE = "run.sqlite"
LOCK = "lock"

_LOCK_ATTEMPTS = 10
_LOCK_PAUSE = 0.05
"""s; a reader that asks whether a run is being written to holds the lock for a moment."""


def database_file(path: Path) -> Path:
    """The database of a run: in its folder, or the file itself where a run was archived to one.

    Raises RobotpsError where there is no run.
    """
    file = path if is_archive(path) else path / DATABASE
    if not file.is_file():
        raise RobotpsError(f"{path}: this is not a run: a run's folder holds {DATABASE} (robotps runs lists them)")
    return file


def is_archive(path: Path) -> bool:
    """Whether this is a run in one file."""
    try:
        with open(path, "rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open the database of a run; raises RobotpsError for another format, and SQLite's errors as they are."""
    file = database_file(path).resolve()
    database = sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=10)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise RobotpsError(
                f"{path}: this run was made by a newer robotps (its format is {version}, this one reads up to "
                f"{SCHEMA_VERSION}): upgrade robotps to open it"
            )
        if version < 1:
            raise RobotpsError(f"{path}: {file.name} is not a run of robotps, or was cut short while it was made")
    except BaseException:
        database.close()
        raise
    return database


def locked(path: Path) -> IO[str]:
    """Take a run's lock, held until the file is closed; raises RobotpsError naming the process that holds it."""
    try:
        lock = open(path / LOCK, "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the run is written to
    except OSError as error:
        raise RobotpsError(f"{path}: the run's folder cannot be written: {error.strerror}") from None
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if attempt == _LOCK_ATTEMPTS - 1:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                lock.close()
                raise RobotpsError(f"{path}: {holder} is writing to this run; wait for it or stop it") from None
            time.sleep(_LOCK_PAUSE)
    try:
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}")
        lock.flush()
    except OSError as error:
        raise RobotpsError(f"{path}: the run's folder cannot be written: {error.strerror}") from None
    return lock


def is_locked(path: Path) -> bool:
    """Whether some process writes to the run now."""
    try:
        with open(path / LOCK, encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as the person's: what happened to which run and what to try."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            message = f"{path}: the disk is full or failing ({text}): free some space, then go on with --resume"
        elif "readonly" in text or "unable to open" in text:
            message = f"{path}: the run cannot be written or opened ({text}): check the permissions of the folder"
        elif "locked" in text:
            message = f"{path}: another process keeps the run's database busy ({text}): try again"
        else:
            message = damaged(path, text)
        raise RobotpsError(message) from error
    except sqlite3.DatabaseError as error:
        raise RobotpsError(damaged(path, error)) from error
    except OSError as error:
        raise RobotpsError(f"{path}: {error.strerror or error}") from error


def damaged(path: Path, why: object) -> str:
    """What to tell the person about a database that does not hold what it should."""
    return f"{path}: the run's database is damaged or was cut short ({why}): restore it from a copy, or begin a new run"


def decoded(text: Any, path: Path) -> Any:
    """A JSON value out of the database; raises RobotpsError where it is damaged."""
    try:
        return json.loads(text)
    except (ValueError, TypeError) as error:
        raise RobotpsError(damaged(path, error)) from None
