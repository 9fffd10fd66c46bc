"""`robotps identify`: fit the simulated world to a physical robot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robotps.cli.options import (
    DEFAULT_ROBOT,
    Assistant,
    Json,
    Odometer,
    On,
    Pace,
    Randomize,
    Robot,
    Seed,
    Workers,
    World,
    Yes,
    answer,
    say,
)

if TYPE_CHECKING:
    from calibration.identification import Identification
    from robotps.cli.place import PhysicalFlags
    from robotps.description import RobotDescription
    from sim.world import World as SimulatedWorld


def identify(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs with physical trials to fit.")] = None,
    robot: Robot = None,
    on: On = None,
    excite: Annotated[
        bool, typer.Option("--excite", help="Have the robot make motions that tell most about it; needs --on serial.")
    ] = False,
    stand: Annotated[
        bool, typer.Option("--stand/--no-stand", help="Motions in the air, on a stand, among those of --excite.")
    ] = True,
    floor: Annotated[
        bool, typer.Option("--floor/--no-floor", help="Motions on the floor among those of --excite.")
    ] = True,
    world: World = None,
    randomize: Randomize = None,
    out: Annotated[Path | None, typer.Option(help="The world file. Default: identified.toml beside the run.")] = None,
    odometer: Odometer = None,
    yes: Yes = False,
    assistant: Assistant = None,
    pace: Pace = "wall",
    seed: Seed = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Fit the simulated world to logged physical trials, or to motions that the robot makes for it (--excite).

    The file it writes is for --world (the best fit) and --randomize (how sure it is).
    """
    from calibration.identify import identify as fit
    from calibration.logged import logged_trials
    from robotps.cli.options import worker_count
    from robotps.cli.place import PhysicalFlags, needed_port, only_with_robot, serial_port
    from robotps.cli.simulation import randomization_table, world_table
    from robotps.description import load_description
    from robotps.errors import RobotpsError
    from robotps.run import Run
    from robotps.workers import ProcessExecutor
    from sim.randomization import Randomization
    from sim.world import World as SimulatedWorld

    paths, flags = list(runs or []), PhysicalFlags(odometer, yes, assistant, pace)
    if not excite:
        if not paths:
            raise RobotpsError("name RUNs with physical trials, or have the robot make some: --excite --on serial:PORT")
        asked = {"--on": on if serial_port(on) else None, "--no-stand": stand and None, "--no-floor": floor and None}
        only_with_robot(asked, flags)
    elif not (stand or floor):
        raise RobotpsError("--no-stand and --no-floor leave no motion to make: leave out one of them, or --excite")
    if robot is None and paths:
        with Run.open(paths[0]) as run:
            description = run.description
    else:
        description = load_description(DEFAULT_ROBOT if robot is None else robot)
    if out is not None and not out.parent.is_dir():
        raise RobotpsError(f"--out {out}: there is no folder {out.parent}")
    table = world_table(world, description)
    begun = SimulatedWorld.model_validate(table)
    belief = randomization_table(randomize, description, table)
    # before anything moves: are these runs this robot's?
    trials = logged_trials(paths, description) if paths else []
    if excite:
        paths.append(_excite(description, begun, needed_port(on), flags, seed or 0, stand, floor))
        trials += logged_trials(paths[-1:], description)
    executor = ProcessExecutor(worker_count(workers), time_limit=600.0)
    try:
        found = fit(
            description,
            trials,
            begun,
            None if belief is None else Randomization.model_validate(belief),
            seed=seed or 0,
            executor=executor,
            progress=say,
        )
    finally:
        executor.shutdown(cancel_futures=True)
    file = out or (paths[-1] if paths[-1].is_dir() else paths[-1].parent) / "identified.toml"
    found.save(file)
    _tell(found, file)
    if json:
        answer(
            {
                "world": str(file),
                "robot": description.name,
                "runs": [str(path) for path in paths],
                "parameters": {name: parameter.table() for name, parameter in found.parameters.items()},
                "residual_before": found.residual_before,
                "residual_after": found.residual_after,
                "accepted": found.accepted,
                "speed_error_before": found.speed_error_before,
                "speed_error_after": found.speed_error_after,
                "held_out": list(found.held_out),
            }
        )


def _excite(
    description: RobotDescription,
    world: SimulatedWorld,
    port: str,
    flags: PhysicalFlags,
    seed: int,
    stand: bool,
    floor: bool,
) -> Path:
    from calibration.excitation import plan
    from calibration.excite import excite
    from hardware.session import Session
    from robotps.cli.place import physical
    from robotps.cli.tune import new_folder

    planned = plan(description, seed, stand=stand, floor=floor)
    path = new_folder(description.name, "identify")
    with physical(description, port, flags) as place:
        assert isinstance(place.open_robot, Session)
        assert place.odometer is not None
        excite(planned, description, world, place.open_robot, place.odometer, path, seed, say)
    say(f"run    {path}")
    return path


def _tell(found: Identification, file: Path) -> None:
    from rich.table import Column, Table

    from robotps.cli.options import console

    table = Table(
        Column("parameter", no_wrap=True, overflow="ignore"), "before", "found", "95 % interval", "unit", box=None
    )
    for name, parameter in found.parameters.items():
        if parameter.identified:
            value, interval = f"{parameter.value:.4g}", f"{parameter.low:.4g} to {parameter.high:.4g}"
        else:
            value = "at its bound: left" if parameter.at_bound else "no information: left"
            interval = ""
        table.add_row(name, f"{parameter.prior:.4g}", value, interval, parameter.unit)
    console().print(table)
    say(f"unexplained in held-out trials: {found.residual_before:.2f} before, {found.residual_after:.2f} after")
    if found.speed_error_before is not None and found.speed_error_after is not None:
        before, after = 100 * found.speed_error_before, 100 * found.speed_error_after
        say(f"error of held-out speeds: {before:.1f} cm/s before, {after:.1f} cm/s after")
    if not found.accepted:
        say("not accepted: the file holds the world as it was believed before")
    say(f"world  {file}")
