"""PyBullet, imported quietly."""

from __future__ import annotations

import os
import sys
from functools import cache
from types import ModuleType

from robotps.errors import require


@cache
def bullet() -> ModuleType:
    """The engine. It prints a line on stdout as it is imported, which is kept for answers: that line goes to stderr.

    Raises MissingExtra where PyBullet is not installed.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        os.dup2(2, 1)
        return require("pybullet", "sim")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
