"""`robotps adapt`: few physical trials, a simulation that learns from them, and a search in it, in rounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotps.cli.options import (
    Assistant,
    Json,
    Odometer,
    On,
    Pace,
    Robot,
    Seconds,
    Seed,
    Workers,
    World,
    Yes,
    say,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import ExitStack

    from robotps.cli.place import Place
    from robotps.description import RobotDescription
    from robotps.rounds import Plan
    from robotps.run import Run
    from robotps.settings import TuneSettings

ROUNDS, ROBOT_TRIALS, PLANNING_TRIALS = 3, 40, 100


def adapt(
    robot: Robot = None,
    on: On = None,
    rounds: Annotated[int | None, typer.Option(help=f"Rounds before fine-tuning. Default: {ROUNDS}.", min=1)] = None,
    robot_trials: Annotated[
        int | None, typer.Option(help=f"Physical trials in all. Default: {ROBOT_TRIALS}.", min=1)
    ] = None,
    planning_trials: Annotated[
        int | None,
        typer.Option(
            help=f"Simulated trials for each physical one; 0: no simulation. Default: {PLANNING_TRIALS}.", min=0
        ),
    ] = None,
    identify: Annotated[
        bool | None,
        typer.Option(
            "--identify/--no-identify", help="Whether rounds identify the simulation, or learn its gap alone."
        ),
    ] = None,
    seconds: Seconds = None,
    from_: Annotated[str | None, typer.Option("--from", help="Gait to begin at: FILE.toml, RUN or initial.")] = None,
    family: Annotated[str | None, typer.Option(help="trot, walk, pace, bound or pronk. Default: the gait's.")] = None,
    world: World = None,
    randomize: Annotated[
        str | None, typer.Option(help="What is not known of the robot at first: default or FILE.toml.")
    ] = None,
    odometer: Odometer = None,
    yes: Yes = False,
    assistant: Assistant = None,
    pace: Pace = "wall",
    seed: Seed = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with the tables [trial] and [objective] of `tune`; flags win over it."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="The run's folder. Default: a new one under logs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run, the one begun last without --run.")
    ] = False,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Adapt simulation to the robot and the gait to both, with few trials on the robot."""
    from contextlib import ExitStack

    from robotps.cli.options import worker_count
    from robotps.cli.place import PhysicalFlags, needed_port, physical
    from robotps.cli.tune import latest, new_folder
    from robotps.cli.tune_settings import AdaptConfig, asked_for
    from robotps.errors import RobotpsError
    from robotps.files import read_toml
    from robotps.rounds import is_adaptation, plan_of
    from robotps.run import Run
    from robotps.settings import settings_of

    port, count = needed_port(on), worker_count(workers)
    flags = PhysicalFlags(odometer, yes, assistant, pace)
    named = {"robot": robot, "seconds": seconds, "from": from_, "family": family, "seed": seed}
    given = {name: value for name, value in named.items() if value is not None}
    own: dict[str, Any] = {
        "rounds": rounds,
        "identify": identify,
        "robot-trials": robot_trials,
        "planning-trials": planning_trials,
        "world": world,
    }
    own |= {"randomize": randomize, "config": config}
    if resume:
        asked = [*given, *(name for name, value in own.items() if value is not None)]
        if asked:
            listed = ", ".join(f"--{name}" for name in asked)
            raise RobotpsError(f"--resume goes on with the run's own settings: leave out {listed}")
        with Run.resume(run or latest(adaptation=True)) as record:
            if not is_adaptation(record):
                raise RobotpsError(f"{record.path}: this run is no adaptation: robotps tune --resume goes on with it")
            with ExitStack() as opened:
                settings = settings_of(record)
                where = opened.enter_context(physical(record.description, port, flags, settings.objective))
                _go(record, settings, plan_of(record), where, opened, count, json)
        return
    budget = robot_trials or ROBOT_TRIALS
    given |= {"iterations": 1, "confirm": max(2, budget // 24)}
    if config is not None:
        given |= read_toml(config, AdaptConfig).model_dump()
    description, settings = asked_for(given, None, simulated=False)
    if planning_trials == 0 and (randomize is not None or identify is not None):
        raise RobotpsError("--planning-trials 0 searches no simulation: leave out --randomize and --identify")
    plan = _plan(description, rounds, planning_trials, identify is not False, world, randomize)
    settings = _checked(description, settings, plan, budget)
    folder = run or new_folder(description.name, "adapt")
    written = {"adaptation": plan.model_dump(mode="json")}
    with ExitStack() as opened:
        # no run is made for a robot that is not there
        where = opened.enter_context(physical(description, port, flags, settings.objective))
        with Run.create(folder, settings.model_dump(mode="json"), description, written) as record:
            _go(record, settings, plan, where, opened, count, json)


def _plan(
    description: RobotDescription,
    rounds: int | None,
    planning_trials: int | None,
    identify: bool,
    world: str | None,
    randomize: str | None,
) -> Plan:
    """What is asked beside a tuning run's settings. What nobody can identify, pushes and bumps, is not drawn unless
    a file says so."""
    from robotps.cli.simulation import randomization_table, world_table
    from robotps.rounds import Plan

    table = world_table(world, description)
    prior = randomization_table(randomize or "default", description, table) or {}
    if randomize in (None, "default"):
        prior = {**prior, "floor": {"friction": prior["floor"]["friction"]}}
        del prior["push"]
    return Plan(
        rounds=rounds or ROUNDS,
        planning_trials=PLANNING_TRIALS if planning_trials is None else planning_trials,
        identify=identify,
        world=table,
        randomization=prior,
    )


def _checked(description: RobotDescription, settings: TuneSettings, plan: Plan, budget: int) -> TuneSettings:
    """The run's settings; raises RobotpsError for what could not be done, also a start that is not safe to try."""
    from calibration.adaptation import Schedule
    from calibration.choice import rehearse
    from robotps.errors import RobotpsError, require
    from robotps.gait import Gait
    from robotps.rounds import SEARCH
    from robotps.settings import search_space
    from sim.world import World as SimulatedWorld

    if plan.planning_trials:
        require("cmaes", "search")
    own: dict[str, Any] = {"search": SEARCH, "options": {}, "repeats": 1, "stop": (), "families": ()}
    own |= {"budget": budget, "finalists": max(1, budget // 40)}
    settings = settings.model_copy(update=own)
    sizes = Schedule.of(settings, plan.rounds).sizes
    settings = settings.model_copy(update={"iterations": len(sizes)})
    space = search_space(description, settings)
    start = Gait(settings.family, {parameter.name: parameter.initial for parameter in space})
    refusal = rehearse(description, start, settings.trial, SimulatedWorld.model_validate(plan.world))
    if refusal:
        raise RobotpsError(f"the gait to begin at is not safe to try: in simulation it ends with: {refusal}")
    return settings


def _go(
    record: Run,
    settings: TuneSettings,
    plan: Plan,
    where: Place,
    opened: ExitStack,
    workers: int,
    json: bool,
) -> None:
    """Adapt, showing progress; whatever happens, let go of what was `opened` and say what was found."""
    from functools import partial

    from calibration.adaptation import Adaptation, identified
    from calibration.planning import Draw, Simulator
    from robotps.cli.executors import open_executor
    from robotps.cli.progress import showing
    from robotps.cli.simulation import worlds
    from robotps.rounds import Model
    from robotps.settings import search_space

    description, space = record.description, search_space(record.description, settings)

    def draw_from(model: Model) -> Draw:
        return worlds(description, model.world, model.randomization)

    limit = 600 + 20 * (settings.trial.seconds + settings.trial.warm_up)
    pool = open_executor("processes", workers, None, limit)
    with showing(record, _conclude, json) as progress, stopping(pool), opened.pop_all():
        simulator = None
        if plan.planning_trials:
            simulator = Simulator(description, settings.family, space, settings.trial, settings.objective, pool)
        search = Adaptation(
            space,
            record,
            settings,
            plan,
            simulator=simulator,
            identify=partial(identified, description, plan, settings.seed, pool, say),
            draw_from=draw_from,
            rest=where.rest,
            tell=say,
        )
        where.tuning(record, settings, progress, search).go()


@contextmanager
def stopping(pool: Executor) -> Iterator[None]:
    """At the end, whatever it is like, without waiting for what is still to be done."""
    try:
        yield
    finally:
        pool.shutdown(cancel_futures=True)


def _conclude(record: Run) -> dict[str, Any] | None:
    """Leave what was found in the folder, and tell the person round by round."""
    from robotps.cli.tune import conclude
    from robotps.rounds import rounds_of, tables

    rounds = tables(record)
    for row in rounds:
        best = "" if row["best_robot_speed"] is None else f", best {row['best_robot_speed']:.3f} m/s"
        expected = "" if row["error"] is None else f", simulation was off by {row['error']:.3f} m/s"
        say(f"{row['kind']} {row['round']}: {row['robot_trials']} trials{best}{expected}")
    result: dict[str, Any] | None = conclude(record)
    if result is None:
        return None
    simulated = sum(noted.planning for noted, _ in rounds_of(record))
    return {**result, "rounds": rounds, "robot_trials": result["trials"], "simulated_trials": simulated}
