"""`robotps compare`: searches side by side on the same simulated robots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotps.cli.options import LOGS, Certificates, Json, Randomize, Seed, Workers, World

if TYPE_CHECKING:
    from robotps.comparison.comparison import Arena, Entry
    from robotps.comparison.settings import ComparisonSettings
    from robotps.tuning import Progress

DEFAULT = (
    "kohl-stone:repeats=3",
    "hill-climbing:repeats=3",
    "nelder-mead:repeats=3",
    "genetic:repeats=3",
    "finite-difference",
    "cem",
    "cma-es",
    "es",
    "reinforce",
    "bayesian",
    "random",
)
"""All of them; the four of AAAI 2004 with the three runs a gait that they had there."""


def compare(
    robot: Annotated[list[str] | None, typer.Option(help="Robot, name or FILE.toml; repeat for several.")] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(help="Search, NAME or NAME:OPTION=VALUE,... (repeats=3 too); repeat for several. Default: all."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each search on each robot. Default: 5.", min=1)] = None,
    budget: Annotated[int | None, typer.Option(help="Trials of each run. Default: 300.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Measured seconds of a trial. Default: 3.")] = None,
    noise_speed: Annotated[
        float | None, typer.Option(help="Standard deviation of a measured speed, as a fraction. Default: 0.03.")
    ] = None,
    noise_fall: Annotated[
        float | None, typer.Option(help="Chance of a trial being measured as a fall. Default: 0.02.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="Speed to reach, m/s. Default: what kohl-stone has at its end.")
    ] = None,
    again: Annotated[int | None, typer.Option(help="Noiseless trials of each recommended gait. Default: 2.")] = None,
    world: World = None,
    randomize: Randomize = None,
    seed: Seed = None,
    run: Annotated[Path | None, typer.Option(help="The comparison's folder. Default: a new one under logs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a comparison (the latest one).")] = False,
    table: Annotated[bool, typer.Option("--table", help="Only show what a comparison has found so far.")] = False,
    workers: Workers = None,
    executor: Annotated[
        str, typer.Option(help="Where trials run: processes, dask:local, dask:HOST:PORT or slurm.")
    ] = "processes",
    certificates: Certificates = None,
    json: Json = False,
) -> None:
    """Compare searches: how fast the gaits they recommend are, run again without noise, after how many trials."""
    from robotps.cli.executors import open_executor
    from robotps.cli.options import worker_count
    from robotps.comparison.comparison import Comparison, settings_in
    from robotps.comparison.settings import ComparisonSettings, Contestant
    from robotps.errors import RobotpsError
    from robotps.files import parse

    flags: dict[str, Any] = {
        "robots": robot or None,
        "seeds": seeds,
        "seed": seed,
        "budget": budget,
        "target": target,
        "again": again,
        "world": world,
        "randomize": randomize,
        "noise": {k: v for k, v in (("speed", noise_speed), ("fall", noise_fall)) if v is not None} or None,
        "trial": None if seconds is None else {"seconds": seconds},
    }
    given = {name: value for name, value in flags.items() if value is not None}
    if search:
        given["contestants"] = [Contestant.named(text).model_dump() for text in search]
    if resume or table:
        if given:
            flat = [n for name in given for n in (given[name] if name == "noise" else [name])]
            names = ", ".join(f"--{_FLAGS.get(name, name)}" for name in flat)
            raise RobotpsError(f"a comparison goes on with its own settings: leave out {names}")
        folder = run or _latest()
        settings = settings_in(folder)
        arenas = _arenas(settings)
        comparison: Comparison | None = Comparison(folder, settings, arenas)
    else:
        default = ComparisonSettings(robots=("dkitty",), contestants=tuple(map(Contestant.named, DEFAULT)))
        asked = default.model_dump()
        for name, value in given.items():
            asked[name] = asked[name] | value if isinstance(value, dict) else value
        settings = parse(asked, ComparisonSettings, "compare")
        arenas = _arenas(settings)
        folder = run or _new_folder(arenas)
        comparison = None
    try:
        if not table:
            limit = 60 + 20 * (settings.trial.seconds + settings.trial.warm_up)
            workers_ = open_executor(executor, worker_count(workers), certificates, limit)
            finished = False
            try:
                comparison = comparison or Comparison.create(folder, settings, arenas)
                with _progress(comparison) as notify:
                    comparison.go(workers_, notify)
                finished = True
            finally:
                workers_.shutdown(cancel_futures=not finished)
    finally:
        if comparison is not None:  # none is made where its workers cannot be reached
            answer_ = _conclude(folder, settings, list(arenas))
    if json:
        from robotps.cli.options import answer

        answer(answer_)


_FLAGS = {"robots": "robot", "contestants": "search", "trial": "seconds", "speed": "noise-speed", "fall": "noise-fall"}


def _arenas(settings: ComparisonSettings) -> dict[str, Arena]:
    from robotps.cli.simulation import randomization_table, simulation, world_table, worlds
    from robotps.comparison.comparison import Arena
    from robotps.description import load_description
    from robotps.errors import RobotpsError

    arenas = {}
    for name in settings.robots:
        description = load_description(name)
        if description.name in arenas:
            raise RobotpsError(f"--robot {name}: another one is called '{description.name}' too: give it another name")
        world = world_table(settings.world, description)
        randomization = randomization_table(settings.randomize, description, world)
        arenas[description.name] = Arena(
            description, world, randomization, simulation(description), worlds(description, world, randomization)
        )
    return arenas


@contextmanager
def _progress(comparison: Any) -> Iterator[Callable[[Entry, Progress], None]]:
    """A bar over all runs on stderr; every run counts as many trials as its budget."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from robotps.cli.options import console
    from robotps.comparison.outcome import OUTCOME

    entries = list(comparison.entries())
    done = [entry for entry in entries if (comparison.folder / entry.folder / OUTCOME).exists()]
    todo = [entry for entry in entries if entry not in done]
    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[runs]}"), TimeRemainingColumn(),
        console=console(),
    )  # fmt: skip
    budget = comparison.settings.budget
    task = bar.add_task("getting ready", total=budget * len(todo), runs="")

    def notify(entry: Entry, progress: Progress) -> None:
        number = todo.index(entry)
        completed = budget * (number + min(1.0, progress.done / max(progress.expected, 1)))
        runs = f"run {len(done) + number + 1} of {len(entries)}"
        bar.update(task, description=entry.folder, completed=completed, runs=runs)

    with bar:
        yield notify


def _conclude(folder: Path, settings: ComparisonSettings, robots: list[str]) -> dict[str, Any]:
    """Leave table, rows and picture in the folder, and show the table."""
    from dataclasses import asdict

    from robotps.cli.options import say
    from robotps.comparison.outcome import outcomes_in, summaries
    from robotps.comparison.output import aligned, as_csv, markdown, picture
    from robotps.errors import MissingExtra
    from robotps.files import write_atomically

    outcomes = outcomes_in(folder)
    labels = [contestant.label for contestant in settings.contestants]
    found = summaries(outcomes, robots, labels, settings.target)
    plot: Path | None = None
    say(f"folder {folder}")
    if outcomes:
        say(aligned(found))
        goals = ", ".join(f"{robot} {speed:.3f} m/s" for robot, speed in {e.robot: e.target for e in found}.items())
        say(f"trials, min: until as fast as the target ({goals}), median of the seeds; seeds: how many came there")
        write_atomically(folder / "comparison.md", markdown(found))
        write_atomically(folder / "comparison.csv", as_csv(outcomes))
        try:
            picture(outcomes, labels, {each.robot: each.target for each in found}, folder / "comparison.png")
            plot = folder / "comparison.png"
            say(f"plot   {plot}")
        except MissingExtra as error:
            say(f"no plot: {error}")
    by_robot: dict[str, dict[str, Any]] = {robot: {} for robot in robots}
    for each in found:
        by_robot[each.robot][each.search] = {
            **{key: value for key, value in asdict(each).items() if key not in ("robot", "search", "final")},
            "final_speed": each.final[1],
            "final_speed_quartiles": [each.final[0], each.final[2]],
        }
    return {
        "run": str(folder),
        "searches": by_robot[robots[0]],
        "robots": by_robot,
        "plot": None if plot is None else str(plot),
        "csv": str(folder / "comparison.csv") if outcomes else None,
    }


def _new_folder(arenas: dict[str, Arena]) -> Path:
    from robotps.cli.tune import new_folder

    return new_folder("-".join(arenas), "compare")


def _latest() -> Path:
    from robotps.comparison.comparison import SETTINGS
    from robotps.errors import RobotpsError

    found = sorted(LOGS.glob(f"*/{SETTINGS}"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise RobotpsError("there is no comparison under logs/: give its folder with --run")
    return found[-1].parent
