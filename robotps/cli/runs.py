"""`robotps runs`: the runs on disk, listed, removed, or packed into one file."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotps.cli.options import LOGS, Json, answer, console, say

if TYPE_CHECKING:
    from robotps.summary import Summary

runs = typer.Typer(
    help="List the runs under logs/; `rm` removes runs, `archive` packs one into a file.", invoke_without_command=True
)


class Order(str, Enum):
    """What a list of runs is sorted by."""

    name = "name"
    created = "created"
    trials = "trials"
    speed = "speed"


@runs.callback()
def list_runs(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--in", help="The folder they are in.")] = LOGS,
    sort: Annotated[Order, typer.Option(help="By name, created, trials or speed: the most comes first.")] = Order.name,
    json: Json = False,
) -> None:
    """List the runs under logs/: robot, search, trials, speed at the start and of the best gait."""
    if context.invoked_subcommand is not None:
        return
    from robotps.errors import RobotpsError
    from robotps.summary import runs_in, summary

    if not folder.is_dir():
        raise RobotpsError(f"{folder}: there is no such folder")
    found = []
    for path in runs_in(folder):
        try:
            found.append(summary(path))
        except RobotpsError as error:
            say(f"cannot be read: {error}", style="red")
    if sort is Order.created:
        found.sort(key=lambda run: run.created, reverse=True)
    elif sort is Order.trials:
        found.sort(key=lambda run: run.trials, reverse=True)
    elif sort is Order.speed:
        found.sort(key=lambda run: -1.0 if run.best_speed is None else run.best_speed, reverse=True)
    if found:
        _show(found)
    else:
        say(f"no runs under {folder}: robotps tune makes one")
    if json:
        answer({"runs": [_row(run) for run in found]})


def _show(found: list[Summary]) -> None:
    """One line a run, as wide as it needs to be: the path stands last and is never cut short."""
    rows = [("robot", "search", "state", "trials", "start m/s", "best m/s", "notes", "run")]
    for run in found:
        start, best = ("" if speed is None else f"{speed:.3f}" for speed in (run.initial_speed, run.best_speed))
        notes = str(run.notes) if run.notes else ""
        rows.append((run.robot, run.search, run.state, str(run.trials), start, best, notes, str(run.path)))
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[3:7], widths[3:], strict=True)]
        console().print("  ".join([*words, *numbers, row[7]]), soft_wrap=True, markup=False)


def _row(run: Summary) -> dict[str, Any]:
    from dataclasses import asdict

    row = asdict(run)
    return {"run": str(row.pop("path")), **row}


@runs.command()
def rm(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs' folders or archives.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json: Json = False,
) -> None:
    """Remove runs for good, after asking."""
    import shutil

    from robotps.database import database_file, is_locked
    from robotps.errors import RobotpsError

    for path in paths:
        database_file(path)
        if is_locked(path):
            raise RobotpsError(f"{path}: another process writes to this run: stop it first")
        if path.is_symlink():
            raise RobotpsError(f"{path}: this is a link to {path.resolve()}: remove that, or the link by hand")
    removed = []
    for path in paths:
        if not yes and not _agreed(path):
            say(f"{path} is kept")
            continue
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            raise RobotpsError(f"{path}: cannot be removed: {error.strerror}") from None
        say(f"removed {path}")
        removed.append(str(path))
    if json:
        answer({"removed": removed})


def _agreed(path: Path) -> bool:
    """What would be lost, and a question; a damaged run may be removed too."""
    from robotps.errors import RobotpsError
    from robotps.summary import summary

    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files) / 1e6
    try:
        content = f"{summary(path).trials} trials, "
    except RobotpsError:
        content = ""
    try:
        return typer.confirm(f"remove {path} ({content}{len(files)} files, {size:.1f} MB)?", err=True)
    except typer.Abort:
        raise RobotpsError(f"{path}: nobody answered: --yes removes without asking") from None


@runs.command()
def archive(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    out: Annotated[Path | None, typer.Option(help="The file. Default: beside the folder, named after it.")] = None,
    json: Json = False,
) -> None:
    """Pack a run into one file: give it to somebody, and every verb opens it as it opens the folder."""
    from robotps.run import Run
    from robotps.summary import ARCHIVE_SUFFIX

    path = out or run.resolve().with_name(run.resolve().name + ARCHIVE_SUFFIX)
    with Run.open(run) as record:
        record.archive(path)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB): robotps report {path}")
    if json:
        answer({"archive": str(path)})
