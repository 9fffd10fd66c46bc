"""What can go wrong and be mended by the person who reads the message."""

from __future__ import annotations

import importlib
from types import ModuleType


class RobotpsError(Exception):
    """Something the person can mend; the message says what and how. The command line prints it and exits with 1."""


class MissingExtra(RobotpsError):
    """An optional part is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra of this package brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"this needs {module.partition('.')[0]}, which is not installed: pip install 'robotps[{extra}]'"
        ) from error
