"""`robotps trial`: run one gait and score it."""

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
    Return,
    Robot,
    Seconds,
    Seed,
    World,
    Yes,
    answer,
    say,
)

if TYPE_CHECKING:
    from robotps.cli.place import Place
    from robotps.description import RobotDescription
    from robotps.gait import Gait
    from robotps.trial import Objective, Trial, TrialSettings
    from robotps.tuning import Progress


def trial(
    robot: Robot = None,
    on: On = None,
    gait: Annotated[
        str | None, typer.Option(help="A gait FILE.toml, a RUN's folder (its best), or initial (the default).")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Trials, each with a seed of its own.", min=1)] = 1,
    seconds: Seconds = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Take this run's best gait (or --gait) to a physical robot, and log the trials there."),
    ] = None,
    world: World = None,
    randomize: Randomize = None,
    odometer: Odometer = None,
    yes: Yes = False,
    assistant: Assistant = None,
    pace: Pace = "wall",
    return_: Return = False,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Run one gait once, or several times, and say how fast it is."""
    import math

    import numpy as np

    from robotps.cli.gaits import chosen_gait
    from robotps.cli.place import PhysicalFlags, only_truth, physical, serial_port
    from robotps.description import load_description
    from robotps.errors import RobotpsError
    from robotps.files import parse
    from robotps.trial import Objective, TrialSettings

    port = serial_port(on)
    if run is not None:
        if port is None or seconds is not None or seed is not None:
            raise RobotpsError("--run is for --on serial:PORT, and for trials as long as that run's own")
        description, objective = _asked_by(run, robot)
        gait = gait or str(run)
    else:
        description, objective = load_description(DEFAULT_ROBOT if robot is None else robot), Objective()
    chosen = chosen_gait(gait, description)
    settings = parse({} if seconds is None else {"seconds": seconds}, TrialSettings, "--seconds")
    if port is None:
        only_truth([odometer] if odometer else [], [assistant] if assistant else [], pace, return_)
        trials = _simulated(description, chosen, settings, world, randomize, seed or 0, repeats)
    elif world is not None or randomize is not None:
        raise RobotpsError("--world and --randomize are for simulation: a physical robot is in the world it is in")
    else:
        flags = PhysicalFlags(odometer, yes, assistant, pace, return_)
        with physical(description, port, flags, objective) as place:
            if run is None:
                trials, run = on_robot(place, description, chosen, settings, seed or 0, repeats)
            else:
                trials = _into_run(run, place, chosen, repeats)
        say(f"run    {run}")
    speeds = [outcome.speed for outcome in trials]
    costs = [outcome.cost_of_transport for outcome in trials if outcome.cost_of_transport is not None]
    turns = [outcome.heading_change for outcome in trials if outcome.heading_change is not None]
    last = trials[-1]
    if len(trials) > 1:
        say(f"mean {np.mean(speeds):.3f} m/s, standard deviation {np.std(speeds, ddof=1):.3f} m/s")
    detail = [f"{last.distance:.2f} m forward"]
    if turns:
        detail.append(f"turned {math.degrees(float(np.mean(turns))):.0f} degrees")
    if costs:
        detail.append(f"cost of transport {np.mean(costs):.2f}")
    if last.unreachable > 0:
        detail.append(f"{last.unreachable:.0%} of the foot loci out of reach")
    say(", ".join(detail))
    if json:
        answer(
            {
                "robot": description.name,
                "outcome": next((o.ending for o in trials if o.ending != "finished"), "finished"),
                "speed": float(np.mean(speeds)),
                "speeds": speeds,
                "distance": float(np.mean([o.distance for o in trials])),
                "heading_change": float(np.mean(turns)) if turns else None,
                "fell": any(o.ending == "fell" for o in trials),
                "cost_of_transport": float(np.mean(costs)) if costs else None,
                "unreachable": last.unreachable,
                "telemetry": None if run is None else str(run),
            }
        )


def _simulated(
    description: RobotDescription,
    gait: Gait,
    settings: TrialSettings,
    world: str | None,
    randomize: str | None,
    seed: int,
    repeats: int,
) -> list[Trial]:
    import numpy as np

    from robotps.cli.simulation import randomization_table, simulation, world_table, worlds
    from robotps.trial import run_trial

    table = world_table(world, description)
    draw = worlds(description, table, randomization_table(randomize, description, table))
    trials = []
    for repeat in range(repeats):
        # the first repeat of seed S is the trial of seed S itself
        own = seed if repeat == 0 else int(np.random.SeedSequence((seed, repeat)).generate_state(1)[0])
        with simulation(description)(draw(own), own) as robot:
            trial, _ = run_trial(robot, gait, settings)
        _tell(repeat + 1, trial)
        trials.append(trial)
    return trials


def _asked_by(path: Path, robot: str | None) -> tuple[RobotDescription, Objective]:
    """The robot that a run is about, and what it scores; raises RobotpsError where another robot was asked for."""
    from robotps.description import load_description
    from robotps.errors import RobotpsError
    from robotps.run import Run
    from robotps.settings import settings_of

    with Run.open(path) as run:
        description, objective = run.description, settings_of(run).objective
    if robot is not None and load_description(robot).name != description.name:
        raise RobotpsError(f"{path}: this run is of '{description.name}', not of '{robot}'")
    return description, objective


def _into_run(path: Path, place: Place, gait: Gait, repeats: int) -> list[Trial]:
    """Physical trials beside the search in simulation that their gait came from."""
    from robotps.run import Run
    from robotps.settings import settings_of
    from robotps.trial import Trial

    trials: list[Trial] = []

    def heard(progress: Progress) -> None:
        trials.append(Trial(**progress.latest.metrics))
        _tell(len(trials), trials[-1])

    with Run.resume(path) as run:
        settings = settings_of(run)
        place.tuning(run, settings, heard).score_on_robot(gait, repeats)
    return _counted(trials, path)


def on_robot(
    place: Place, description: RobotDescription, gait: Gait, settings: TrialSettings, seed: int, repeats: int
) -> tuple[list[Trial], Path]:
    """Physical trials happen once: they are written into a run of their own, tick by tick."""
    from robotps.cli.tune import new_folder
    from robotps.run import Run
    from robotps.settings import TuneSettings
    from robotps.trial import Trial

    asked = TuneSettings(
        family=gait.family, start=dict(gait.parameters), seed=seed, confirm=repeats, iterations=1, trial=settings
    )
    trials: list[Trial] = []

    def heard(progress: Progress) -> None:
        trials.append(Trial(**progress.latest.metrics))
        _tell(len(trials), trials[-1])

    folder = new_folder(description.name, "trial")
    with Run.create(folder, asked.model_dump(mode="json"), description, {"verb": "trial"}) as run:
        place.tuning(run, asked, heard).score_start()
        run.set_meta("finished", True)
    return _counted(trials, folder), folder


def _counted(trials: list[Trial], run: Path) -> list[Trial]:
    """Trials without those that a fault ended and that were repeated, or that were skipped; raises RobotpsError where
    none is left."""
    from robotps.errors import RobotpsError
    from robotps.trial import UNSCORED

    counted = [trial for trial in trials if trial.ending not in UNSCORED]
    if not counted:
        raise RobotpsError(f"{run}: no trial counted: {trials[-1].ending}, {trials[-1].reason}")
    return counted


def _tell(number: int, trial: Trial) -> None:
    reason = f" ({trial.reason})" if trial.reason else ""
    say(f"trial {number}: {trial.ending}, {trial.speed:.3f} m/s{reason}")
