"""`robotps gap`: how far simulation is from reality over the same gaits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    Seconds,
    Seed,
    World,
    Yes,
    answer,
    say,
)

if TYPE_CHECKING:
    from calibration.gap import GaitPair, Gap
    from robotps.cli.place import PhysicalFlags
    from robotps.description import RobotDescription
    from robotps.tuning import Progress
    from sim.world import World as SimulatedWorld


GAITS, SPREAD = 8, 3.0


def gap(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Runs with physical trials, or none: see --on.")
    ] = None,
    robot: Robot = None,
    on: On = None,
    world: World = None,
    randomize: Randomize = None,
    gait: Annotated[
        str | None,
        typer.Option(help="With --on: the gait to spread around: FILE.toml, a RUN or initial. Default: initial."),
    ] = None,
    gaits: Annotated[
        int | None,
        typer.Option(help=f"With --on: how many gaits, the given one among them. Default: {GAITS}.", min=2),
    ] = None,
    spread: Annotated[
        float | None,
        typer.Option(help=f"With --on: how far around it, in steps of each parameter. Default: {SPREAD:g}.", min=0),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Trials of each gait, real (with --on) and simulated.", min=1)] = 3,
    seconds: Seconds = None,
    odometer: Odometer = None,
    yes: Yes = False,
    assistant: Assistant = None,
    pace: Pace = "wall",
    plot: Annotated[Path | None, typer.Option(help="Draw speeds, trajectories and errors to FILE.png.")] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Measure how far a simulated world is from reality, over the same gaits."""
    from calibration.gap import gap_of, in_words
    from calibration.logged import logged_trials
    from robotps.cli.place import PhysicalFlags, only_with_robot, serial_port
    from robotps.cli.simulation import randomization_table, simulation, world_table, worlds
    from robotps.description import load_description
    from robotps.errors import RobotpsError
    from sim.world import World as SimulatedWorld

    port = serial_port(on)
    folders = list(runs or [])
    if (port is None) == (not folders):
        raise RobotpsError(
            "name runs that hold physical trials, or the robot to take gaits on with --on serial:PORT"
            if port is None
            else "either runs are compared, or gaits are taken with --on: leave out one of them"
        )
    if port is None:
        asked = {"--gait": gait, "--gaits": gaits, "--spread": spread, "--seconds": seconds}
        only_with_robot(asked, PhysicalFlags(odometer, yes, assistant, pace))
    description = (
        load_description(DEFAULT_ROBOT if robot is None else robot)
        if port is not None or robot is not None
        else _robot_of(folders[0])
    )
    table = world_table(world, description)
    begun = SimulatedWorld.model_validate(table)
    draw = worlds(description, table, randomization_table(randomize, description, table))
    if port is not None:
        flags = PhysicalFlags(odometer, yes, assistant, pace)
        count, steps = GAITS if gaits is None else gaits, SPREAD if spread is None else spread
        if not math.isfinite(steps):
            raise RobotpsError(f"--spread must be a number of steps, it is {steps}")
        folders = [_take(description, begun, port, flags, gait or "initial", count, steps, repeats, seconds, seed or 0)]

    def told(pair: GaitPair) -> None:
        say(f"real {pair.real.mean():.3f} m/s ({len(pair.real)} trials), simulated {pair.simulated.mean():.3f} m/s")

    found = gap_of(
        description,
        logged_trials(folders, description),
        open_robot=simulation(description),
        draw_world=draw,
        nominal=begun,
        repeats=repeats,
        seed=seed or 0,
        tell=told,
    )
    for number, line in enumerate(in_words(found)):
        say(line, style="bold" if number == 0 else None)
    if plot is not None:
        from calibration.gap_figure import draw_gap

        draw_gap(found, plot)
        say(f"wrote {plot}")
    if json:
        answer({"robot": description.name, "runs": [str(folder) for folder in folders], **_table(found, plot)})


def _robot_of(run: Path) -> RobotDescription:
    from robotps.run import Run

    with Run.open(run) as record:
        return record.description


def _take(
    description: RobotDescription,
    world: SimulatedWorld,
    port: str,
    flags: PhysicalFlags,
    gait: str,
    gaits: int,
    spread: float,
    repeats: int,
    seconds: float | None,
    seed: int,
) -> Path:
    """Take gaits spread around one on the robot, into a run of their own; those it would refuse are left out."""
    from calibration.choice import rehearsed, spread_around
    from robotps.cli.gaits import chosen_gait
    from robotps.cli.place import physical
    from robotps.cli.tune import new_folder
    from robotps.files import parse
    from robotps.run import Run
    from robotps.settings import TuneSettings, search_space
    from robotps.trial import Trial, TrialSettings

    start = chosen_gait(gait, description)
    trial = parse({} if seconds is None else {"seconds": seconds}, TrialSettings, "--seconds")
    asked = TuneSettings(
        search="random",
        family=start.family,
        start=dict(start.parameters),
        seed=seed,
        repeats=repeats,
        iterations=1,
        trial=trial,
    )
    space = search_space(description, asked)
    vectors = rehearsed(description, start.family, space, spread_around(space, spread, seed), trial, gaits, world)

    def heard(progress: Progress) -> None:
        done = Trial(**progress.latest.metrics)
        say(
            f"trial {progress.done}: {done.ending}, {done.speed:.3f} m/s" + (f" ({done.reason})" if done.reason else "")
        )

    folder = new_folder(description.name, "gap")
    with (
        physical(description, port, flags) as place,  # no run is made for a robot that is not there
        Run.create(folder, asked.model_dump(mode="json"), description, {"verb": "gap"}) as run,
    ):
        place.tuning(run, asked, heard).evaluate("search", vectors, repeats)
        run.set_meta("finished", True)
    say(f"run    {folder}")
    return folder


def _table(found: Gap, plot: Path | None) -> dict[str, Any]:
    from calibration.gap_measures import MEASURES

    measures = found.measures or {}
    prediction, lemma = found.prediction, found.lemma
    return {
        "pairs": [
            {
                "gait": {"family": pair.gait.family, **pair.gait.parameters},
                "real": pair.real.tolist(),
                "simulated": pair.simulated.tolist(),
            }
            for pair in found.pairs
        ],
        "size": found.size,
        "relative_error": found.relative_error,
        **{name: _number(measures[name].value) if measures else None for name in MEASURES},
        "intervals": {name: [_number(each.low), _number(each.high)] for name, each in measures.items()},
        "one_step_error": None if prediction is None else prediction.one_step_error,
        "n_step_errors": None if prediction is None else {n: e.tolist() for n, e in prediction.quantities.items()},
        "n_step_shares": None if prediction is None else {n: e.tolist() for n, e in prediction.shares.items()},
        "worst_joints": dict(found.worst_joints()),
        "worst_quantities": dict(found.worst_quantities()),
        "value_gap": None if lemma is None else lemma.value_gap,
        "value_gap_by_disagreement": None if lemma is None else lemma.by_disagreement,
        "value_gap_bound": None if lemma is None else lemma.bound,
        "value_gap_bound_held": None if lemma is None else [lemma.held, lemma.windows],
        "plot": None if plot is None else str(plot),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
