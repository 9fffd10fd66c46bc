"""`robotps tune`: search for a faster gait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotps.cli.options import (
    LOGS,
    Assistants,
    Certificates,
    Json,
    Odometers,
    Pace,
    Patience,
    Places,
    Randomize,
    Return,
    Robot,
    Seconds,
    Seed,
    Workers,
    World,
    Yes,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager, ExitStack

    from robotps.cli.place import Place
    from robotps.description import RobotDescription
    from robotps.run import Run
    from robotps.settings import TuneSettings


def tune(
    robot: Robot = None,
    on: Places = None,
    search: Annotated[str | None, typer.Option(help="Which search. Default: bayesian.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations of the search.")] = None,
    policies: Annotated[int | None, typer.Option(help="Gaits an iteration.")] = None,
    repeats: Annotated[
        str | None, typer.Option(help="Trials of each gait, or auto: as many as tell the better ones. Default: 1.")
    ] = None,
    ahead: Annotated[
        int | None,
        typer.Option(help="Gaits asked before the last iteration is known: nobody waits for the slowest."),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Trials in all, the confirming ones included. Default: 375.")
    ] = None,
    seconds: Seconds = None,
    from_: Annotated[str | None, typer.Option("--from", help="Gait to begin at: FILE.toml, RUN or initial.")] = None,
    family: Annotated[str | None, typer.Option(help="trot, walk, pace, bound or pronk. Default: the gait's.")] = None,
    families: Annotated[
        str | None, typer.Option(help="Learn which family to use, among the start's and these: trot,walk,... or all.")
    ] = None,
    prior: Annotated[
        str | None, typer.Option(help="bayesian: expect of gaits what RUN found, say the same search in simulation.")
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="Stop early: trials=N, minutes=M, speed=V (m/s) or no-gain=ITERATIONS; repeat for several."),
    ] = None,
    world: World = None,
    randomize: Randomize = None,
    odometer: Odometers = None,
    yes: Yes = False,
    assistant: Assistants = None,
    pace: Pace = "wall",
    return_: Return = False,
    seed: Seed = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a TOML file; flags win over it.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings that would be used, and stop.")] = False,
    run: Annotated[Path | None, typer.Option(help="The run's folder. Default: a new one under logs/.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run, the one begun last without --run.")
    ] = False,
    workers: Workers = None,
    executor: Annotated[
        str, typer.Option(help="Where simulated trials run: processes, dask:local, dask:HOST:PORT or slurm.")
    ] = "processes",
    certificates: Certificates = None,
    patience: Patience = 600.0,
    json: Json = False,
) -> None:
    """Search for a faster gait; every trial lands in a run that can be resumed, replayed and compared."""
    from contextlib import ExitStack
    from functools import partial

    from robotps.cli.executors import open_executor
    from robotps.cli.fleet import flags_of_each, fleet, is_physical
    from robotps.cli.options import answer, worker_count
    from robotps.cli.place import only_truth, physical, simulated
    from robotps.cli.tune_settings import asked_for
    from robotps.errors import RobotpsError
    from robotps.rounds import is_adaptation
    from robotps.run import Run
    from robotps.settings import settings_of

    flags = {
        "robot": robot,
        "search": search,
        "iterations": iterations,
        "policies": policies,
        "repeats": repeats if repeats is None or repeats == "auto" else _number(repeats),
        "ahead": ahead,
        "budget": budget,
        "seconds": seconds,
        "from": from_,
        "family": family,
        "families": None if families is None else _families(families),
        "prior": prior,
        "stop": stop or None,
        "world": world,
        "randomize": randomize,
        "seed": seed,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    places = on or ["sim"]
    on_robots = is_physical(places)
    open_workers = partial(open_executor, executor, worker_count(workers), certificates, patience=patience)
    ports = [where.partition(":")[2] for where in places if where.startswith("serial:")]
    if on_robots and executor != "processes":
        raise RobotpsError(f"--executor {executor} is for simulated trials: leave it out, or leave out --on")
    if not on_robots:
        only_truth(odometer or [], assistant or [], pace, return_)
    helped = flags_of_each(len(ports), odometer or [], assistant or [], yes, pace, return_) if on_robots else []

    def place(description: RobotDescription, settings: TuneSettings) -> AbstractContextManager[Place]:
        if on_robots and len(places) == len(ports) == 1:
            return physical(description, ports[0], helped[0], settings.objective)
        if on_robots:
            return fleet(description, places, helped, certificates, patience, settings.objective)
        return simulated(description, settings.world, settings.randomization, settings.trial, open_workers)

    if resume:
        if show:
            raise RobotpsError("--show is for a run that is to begin: robotps runs and report tell of one that has")
        if given or config is not None:
            named = ", ".join(f"--{name}" for name in [*given, *(["config"] if config else [])])
            raise RobotpsError(f"--resume goes on with the run's own settings: leave out {named}")
        with Run.resume(run or latest()) as record, ExitStack() as opened:
            settings = settings_of(record)
            if is_adaptation(record):
                raise RobotpsError(f"{record.path}: this run is an adaptation: robotps adapt --resume goes on with it")
            if record.meta("verb"):
                raise RobotpsError(f"{record.path}: these are trials of robotps {record.meta('verb')}, not a search")
            if (settings.world is None) != on_robots:
                where = (
                    "on a physical robot: give --on serial:PORT" if not on_robots else "in simulation: leave out --on"
                )
                raise RobotpsError(f"{record.path}: this run is {where}")
            _go(record, opened.enter_context(place(record.description, settings)), opened, json)
        return
    description, settings = asked_for(given, config, simulated=not on_robots, robots=len(places))
    if show:
        import tomli_w

        from robotps.files import without_none

        table = without_none({"robot": description.name, **settings.model_dump(mode="json")})
        if json:
            answer(table)
        else:
            print(tomli_w.dumps(table), end="")
        return
    folder = run or new_folder(description.name, settings.search)
    with ExitStack() as opened:
        there = opened.enter_context(place(description, settings))  # no run is made for a robot that is not there
        with Run.create(folder, settings.model_dump(mode="json"), description) as record:
            _go(record, there, opened, json)


def _go(record: Run, where: Place, opened: ExitStack, json: bool) -> None:
    """Tune, showing progress; whatever happens, let go of what was `opened`, say what was found and where it is."""
    from robotps.cli.progress import showing
    from robotps.settings import settings_of

    settings = settings_of(record)
    with showing(record, conclude, json) as progress, opened.pop_all():
        where.tuning(record, settings, progress).go()


def conclude(record: Run) -> dict[str, Any] | None:
    """Leave the best gait and the learning curve in the folder, and tell the person."""
    from robotps.cli.options import say
    from robotps.errors import MissingExtra
    from robotps.gait import save_gait
    from robotps.result import result_of
    from robotps.settings import settings_of
    from robotps.trial import Objective

    result = result_of(record)
    if result is None:
        return None
    settings = settings_of(record)
    save_gait(record.path / "best_gait.toml", result.gait, record.description)
    figure: Path | None = record.path / "learning_curve.png"
    try:
        from robotps.figures import learning_curve

        learning_curve([record], record.path / "learning_curve.png")
    except MissingExtra as error:
        say(f"no learning curve: {error}")
        figure = None
    say(f"start  {result.initial_speed:.3f} m/s  ({_interval(result.initial_speed_ci)})")
    say(f"best   {result.best_speed:.3f} m/s  ({_interval(result.best_speed_ci)})", style="bold")
    if settings.objective != Objective():
        say("best by the weighted objective: it need not be the fastest")
    if record.meta("stopped"):
        say(f"the search was stopped: {record.meta('stopped')}")
    if not result.improved:
        say("no gait was faster than the start when run again: the start is kept")
    say(f"gait   {record.path / 'best_gait.toml'}")
    if figure is not None:
        say(f"curve  {figure}")
    say(f"watch  robotps replay {record.path} --video {record.path / 'best.mp4'}")
    trials = record.trials()
    return {
        "run": str(record.path),
        "robot": record.description.name,
        "search": settings.search,
        "trials": result.trials,
        "seconds": round(sum(trial.seconds for trial in trials), 3),
        "initial_speed": result.initial_speed,
        "initial_speed_ci": list(result.initial_speed_ci),
        "best_speed": result.best_speed,
        "best_speed_ci": list(result.best_speed_ci),
        "best_gait": dict(result.gait.parameters),
        "family": result.gait.family,
        "improved": result.improved,
        "stopped": record.meta("stopped"),
        "learning_curve": None if figure is None else str(figure),
    }


def _interval(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"95 % interval {low:.3f} to {high:.3f}" if low > -float("inf") else "one trial, no interval"


def _number(text: str) -> int:
    """--repeats as a number."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is neither a number nor auto", param_hint="--repeats") from None


def _families(text: str) -> list[str]:
    """--families as a list."""
    from typing import get_args

    from robotps.description import Family

    return list(get_args(Family)) if text == "all" else [name.strip() for name in text.split(",")]


def new_folder(robot: str, what: str) -> Path:
    """A folder for a new run under logs/: when, which robot, what."""
    from datetime import datetime

    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    name = f"{stamp}-{robot}-{what}"
    path, count = LOGS / name, 1
    while path.exists():
        count += 1
        path = LOGS / f"{name}-{count}"
    return path


def latest(adaptation: bool = False) -> Path:
    """The search, or the adaptation, that was begun last under logs/."""
    from contextlib import suppress

    from robotps.errors import RobotpsError
    from robotps.rounds import SEARCH
    from robotps.summary import runs_in, summary

    found = []
    for path in filter(Path.is_dir, runs_in(LOGS)):
        with suppress(RobotpsError):  # robotps runs tells of those that cannot be read
            one = summary(path)
            if not one.verb and (one.search == SEARCH) == adaptation:
                found.append(one)
    if not found:
        what = "adaptation" if adaptation else "run"
        raise RobotpsError(f"there is no {what} under logs/ to go on with: give its folder with --run")
    return max(found, key=lambda each: each.created).path
