"""What tests have worker processes do: importable there, as tests are not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from robotps.errors import RobotpsError


def square(number: int) -> int:
    return number * number


def worker_of(number: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def die_once(marker: Path) -> str:
    """Kills its own worker the first time."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker.name


def hang_once(marker: Path) -> str:
    """Never ends the first time."""
    if not marker.exists():
        marker.touch()
        time.sleep(3600)
    return marker.name


def count_and_die(marker: Path) -> None:
    with open(marker, "a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int) -> int:
    raise RobotpsError(f"{number} cannot be done")
