"""What a run depends on that is no longer as it was when it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import load_gait
from robotps.provenance import git_state, simulation_sources, versions
from robotps.result import result_of
from robotps.run import Run

BEST_GAIT = "best_gait.toml"
_NAMED = 3


def changed_files(run: Run) -> list[str]:
    """Files a person may have changed since: the robot's description, the best gait. The recorded ones count."""
    changes = []
    description = run.description
    try:
        now = load_description(description.name)
        if now.fingerprint != description.fingerprint:
            named = _first(differences(description.model_dump(mode="json"), now.model_dump(mode="json")))
            changes.append(
                f"the description of '{description.name}' has changed since ({named}); the recorded one counts"
            )
    except RobotpsError:
        pass  # a person's own description, which the run has kept
    file = run.path / BEST_GAIT
    result = result_of(run)
    if file.is_file() and result is not None:
        try:
            if load_gait(file, description) != result.gait:
                changes.append(f"{file} was changed since; the recorded gait counts (robotps trial --gait runs it)")
        except RobotpsError as error:
            changes.append(f"{error}; the recorded gait counts")
    return changes


def changed_software(run: Run) -> list[str]:
    """What else decides how a simulated trial comes out, and is another one here: the simulation, versions, machine."""
    changes = []
    before, here = run.meta("simulation") or {}, simulation_sources()
    files = [name for name in sorted({*before, *here}) if before.get(name) != here.get(name)]
    if before and files:
        changes.append(f"the simulation has changed since the run was made ({_first(files)}){_checkout(run)}")
    now = versions()
    for name, version in (run.meta("versions") or {}).items():
        if now.get(name) != version:
            changes.append(f"{name} was {version}, here it is {now.get(name, 'not installed')}")
    if not before:  # runs of the first format know the commit only
        was, is_now = run.meta("git"), git_state()
        if was and is_now and was.get("commit") != is_now["commit"]:
            changes.append(f"the source was at commit {str(was.get('commit'))[:10]}, here {is_now['commit'][:10]}")
    return changes


def _checkout(run: Run) -> str:
    """Where the simulation is as it was."""
    git = run.meta("git")
    if not git or not git.get("commit"):
        return ""
    return (
        f"; it was made at commit {str(git['commit'])[:10]}{' with changes of its own' if git.get('changed') else ''}"
    )


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Where two tables differ, as `key: was -> is`."""
    if isinstance(one, Mapping) or isinstance(other, Mapping):
        one, other = one or {}, other or {}
        return [
            change
            for key in sorted({*one, *other})
            for change in differences(one.get(key), other.get(key), f"{name}.{key}" if name else str(key))
        ]
    return [] if one == other else [f"{name}: {_short(one)} -> {_short(other)}"]


def _short(value: Any) -> str:
    text = "default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) < 40 else text[:37] + "..."
