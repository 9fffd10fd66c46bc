"""`robotps export`: a run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robotps.cli.options import Json, answer, say

if TYPE_CHECKING:
    from robotps.replay import Logged
    from robotps.robot import Telemetry
    from robotps.run import Run

FORMATS = ("csv", "parquet", "mcap")


def export(
    run: Annotated[Path, typer.Argument(help="The run's folder or archive.")],
    format: Annotated[str, typer.Option(help="csv, parquet, or mcap (the motion of one trial).")] = "csv",
    trial: Annotated[
        int | None, typer.Option(help="Only this trial's telemetry; a simulated one is made again. mcap: default best.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A folder, or a file name. Default: in the run.")] = None,
    json: Json = False,
) -> None:
    """Write a run's trials and telemetry as tidy tables with units in the column names, or a motion as MCAP."""
    from robotps.errors import RobotpsError
    from robotps.run import Run

    if format not in FORMATS:
        raise RobotpsError(f"--format {format}: known are {', '.join(FORMATS)}")
    folder, name = _where(run, out, format)
    if folder.exists() and not folder.is_dir():
        raise RobotpsError(
            f"--out {folder}: there is a file of that name: give a folder, or a name that ends in .{format}"
        )
    with Run.open(run) as record:
        folder.mkdir(parents=True, exist_ok=True)
        if format == "mcap":
            files = [_write_motion(record, trial, folder, name)]
        elif trial is not None:
            files = [_write_telemetry(record, trial, format, folder, name)]
        else:
            files = _write_tables(record, format, folder, name)
    for file in files[:3]:
        say(f"wrote {file}")
    if len(files) > 3:
        say(f"and {len(files) - 3} more in {files[-1].parent}")
    if json:
        answer({"files": [str(file) for file in files]})


def _where(run: Path, out: Path | None, format: str) -> tuple[Path, str | None]:
    """The folder to write to, and the file's name where one was given."""
    from robotps.errors import RobotpsError

    if out is None:
        return (run.parent / f"{run.stem}-export" if run.is_file() else run), None
    if out.suffix == f".{format}":
        return out.parent, out.name
    if out.suffix in (".csv", ".parquet", ".mcap"):
        raise RobotpsError(f"--out {out}: give --format {out.suffix[1:]} with it; it is {format}")
    return out, None


def _write_tables(record: Run, format: str, folder: Path, name: str | None) -> list[Path]:
    """All trials, and the telemetry of each physical one in a file of its own."""
    from robotps.export import telemetry_table, trials_table, write_table

    files = [folder / (name or f"trials.{format}")]
    write_table(trials_table(record), files[0], format)
    names = record.description.joint_names
    for trial in record.trials():
        telemetry = record.telemetry(trial.id)
        if telemetry is not None:
            inner = folder / "telemetry"
            inner.mkdir(exist_ok=True)
            files.append(inner / f"trial_{trial.id:05d}.{format}")
            write_table(telemetry_table(names, trial.id, telemetry), files[-1], format)
    return files


def _write_telemetry(record: Run, trial: int | None, format: str, folder: Path, name: str | None) -> Path:
    from robotps.export import telemetry_table, write_table

    logged, telemetry = _motion(record, trial)
    file = folder / (name or f"trial_{logged.record.id:05d}.{format}")
    write_table(telemetry_table(logged.description.joint_names, logged.record.id, telemetry), file, format)
    return file


def _write_motion(record: Run, trial: int | None, folder: Path, name: str | None) -> Path:
    from robotps.export import motion_mcap

    logged, telemetry = _motion(record, trial)
    file = folder / (name or f"trial_{logged.record.id:05d}.mcap")
    about = {
        "run": record.path.resolve().name,
        "trial": str(logged.record.id),
        "robot": logged.description.name,
        "ending": logged.record.ending,
        "simulated": str(not logged.physical).lower(),
    }
    motion_mcap(logged.description, telemetry, logged.record.started, file, about)
    return file


def _motion(record: Run, trial: int | None) -> tuple[Logged, Telemetry]:
    """A trial and its telemetry, made again where it was simulated; raises RobotpsError where that is another one."""
    from robotps.cli.simulation import simulation
    from robotps.errors import RobotpsError
    from robotps.replay import again_in_simulation, find

    logged = find(record, trial)
    if logged.telemetry is not None:
        return logged, logged.telemetry
    replay = again_in_simulation(logged, simulation(logged.description))
    if replay.recorded is None:
        raise RobotpsError(
            f"trial {logged.record.id} comes out differently here than recorded: robotps replay says more"
        )
    return logged, replay.recorded
