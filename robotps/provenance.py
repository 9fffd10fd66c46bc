"""What a result depends on besides its settings: versions of the software, and the state of the source tree."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("robotps", "numpy", "pybullet", "mujoco", "cmaes", "scikit-learn", "pyserial")


def now() -> str:
    """The moment, UTC, as runs write it down."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Versions of Python, the system and the packages that decide what a trial does."""
    processor, vectors = _processor()
    found = {"python": platform.python_version(), "system": platform.platform()}
    found |= {"processor": processor, "vectors": vectors}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> tuple[str, str]:
    """Its model and widest vectors: numerical libraries choose their instructions, and so the last bit, by them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    model, flags = told.get("model name", platform.machine()), told.get("flags", "").split()
    return model, next((vectors for vectors in ("avx512f", "avx2", "avx") if vectors in flags), "none")


def git_state() -> dict[str, Any] | None:
    """Commit of the source tree robotps runs from, and whether it was changed; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        # an installed copy may lie in somebody else's repository
        subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            timeout=5,
            check=True,
        )
        commit = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        status = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "-uno"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}


DECIDING = (
    *("description", "gait", "kinematics", "legs", "measurement", "odometer", "parameters", "robot", "rotations"),
    *("trial", "urdf"),
)
"""Modules of the core that decide, beside the simulation itself, how a simulated trial comes out."""


def simulation_sources() -> dict[str, str]:
    """Digests of the files that decide how a simulated trial comes out; {} where no simulation is installed."""
    core = {f"robotps/{name}.py" for name in DECIDING}
    found = sources("sim")
    return found and {**found, **{file: mark for file, mark in sources("robotps").items() if file in core}}


def sources(package: str) -> dict[str, str]:
    """Digest of every Python file of an installed package, by path; nothing is imported. {}: not installed."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return {}
    root = Path(next(iter(found.submodule_search_locations)))
    files = sorted(root.rglob("*.py"))
    return {str(file.relative_to(root.parent)): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}
