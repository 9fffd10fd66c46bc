"""What `tune` is asked for: its flags and the file of `--config`, put together. A flag wins over the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from robotps.cli.gaits import chosen_gait
from robotps.cli.options import DEFAULT_ROBOT
from robotps.cli.simulation import randomization_table, world_table
from robotps.description import Family, RobotDescription, load_description
from robotps.errors import RobotpsError
from robotps.files import FileModel, parse, read_toml
from robotps.measurement import MeasurementNoise
from robotps.parameters import ParameterSpace
from robotps.prior import Prior
from robotps.run import Run
from robotps.search.stopping import SURE
from robotps.settings import TuneSettings, Widening, check, first_iteration, make_search, search_space, settings_of
from robotps.trial import Objective, TrialSettings

BUDGET = 375
"""Trials of a run for which nobody says how long it may be: about 300 of the search, the others confirm its result."""

CONFIRM = 16


class TuneConfig(FileModel):
    """Keys of a tune file: the flags' names, and tables for what is too much for a flag."""

    model_config = ConfigDict(populate_by_name=True)

    robot: str = DEFAULT_ROBOT
    search: str = TuneSettings.model_fields["search"].default
    iterations: int | None = None
    policies: int | None = None
    budget: int | None = None
    seconds: float | None = None
    repeats: int | Literal["auto"] = 1
    ahead: int | None = None
    finalists: int = 4
    confirm: int | None = None
    seed: int = 0
    from_: str = Field("initial", alias="from")
    family: Family | None = None
    families: tuple[Family, ...] = ()
    prior: str | None = None
    stop: tuple[str, ...] = ()
    world: str | None = None
    randomize: str | None = None
    options: dict[str, float | int | str | bool] = {}  # noqa: RUF012 - pydantic copies it
    trial: TrialSettings = TrialSettings()
    objective: Objective = Objective()
    noise: MeasurementNoise = MeasurementNoise()
    tail: float = 1.0
    widen: Widening = Widening()


class AdaptConfig(FileModel):
    """Keys of a file for `adapt`: the tables of a tune file that have no flags."""

    trial: TrialSettings = TrialSettings()
    objective: Objective = Objective()


def asked_for(
    flags: dict[str, Any], config: Path | None, *, simulated: bool, robots: int = 1
) -> tuple[RobotDescription, TuneSettings]:
    """The robot and what to do. flags: those given, by name. Raises RobotpsError naming file, key and mend."""
    table = (
        read_toml(config, TuneConfig).model_dump(by_alias=True) if config else TuneConfig().model_dump(by_alias=True)
    )
    table |= flags
    for name, section in (("policies", "options"), ("seconds", "trial")):
        value = table.pop(name)
        if value is not None:
            table[section][name] = value
    description = load_description(table.pop("robot"))
    begin = table.pop("from")
    start = chosen_gait(begin, description)
    with _naming(None if begin == "initial" else begin):
        description.gait_space.starting_at(start.parameters)
    world, randomize = table.pop("world"), table.pop("randomize")
    if simulated:
        table["world"] = world_table(world, description)
        table["randomization"] = randomization_table(randomize, description, table["world"])
    elif world is not None or randomize is not None:
        raise RobotpsError("--world and --randomize are for simulation: a physical robot is in the world it is in")
    ends = any(rule.partition("=")[0].strip() in SURE for rule in table["stop"])
    if table["iterations"] is None and table["budget"] is None and not ends:
        table["budget"] = BUDGET
    unsaid = table["confirm"] is None
    table["confirm"] = 2 if unsaid else table["confirm"]
    if table["prior"] is not None:
        space, family = description.gait_space.starting_at(start.parameters), table["family"] or start.family
        table["prior"] = _prior(Path(table["prior"]), space, description.name, family, table["objective"])
    waits = table["ahead"] is not None
    table |= {"family": table["family"] or start.family, "start": dict(start.parameters), "ahead": table["ahead"] or 0}
    settings = parse(table, TuneSettings, "tune" if config is None else str(config), flags)
    if robots > 1 and not waits:
        settings = _without_waiting(description, settings, robots)
    if unsaid:
        settings = settings.model_copy(update={"confirm": _confirming(description, settings)})
    with _naming(f"{config} and the flags" if config and flags else config):
        check(description, settings)
    return description, settings


def _without_waiting(description: RobotDescription, settings: TuneSettings, robots: int) -> TuneSettings:
    """Gaits asked so far ahead that none of so many robots waits for the slowest, where the search allows that."""
    search = make_search(settings, search_space(description, settings))
    if settings.repeats == "auto" or not search.asynchronous:
        return settings
    return settings.model_copy(update={"ahead": robots - 1})


def _confirming(description: RobotDescription, settings: TuneSettings) -> int:
    """How often start and result are run where nobody says: few trials are for the search rather than for that."""
    if settings.budget is not None:
        return min(CONFIRM, max(2, settings.budget // 24))
    if settings.iterations is None:
        return CONFIRM
    each = first_iteration(make_search(settings, search_space(description, settings)), settings)
    return min(CONFIRM, max(2, settings.iterations * each // 20))


@contextmanager
def _naming(file: Path | str | None) -> Iterator[None]:
    """Say with an error which file it came from, where there is one."""
    try:
        yield
    except RobotpsError as error:
        raise RobotpsError(f"{file}: {error}" if file else str(error)) from None


def _prior(
    path: Path, space: ParameterSpace, robot: str, family: Family, objective: Mapping[str, float]
) -> dict[str, Any]:
    """What the run of `--prior` found; raises RobotpsError where that is about another robot, objective or family."""
    with Run.open(path) as run:
        settings = settings_of(run)
        if run.description.name != robot:
            raise RobotpsError(f"--prior {path}: this run is of '{run.description.name}', not of '{robot}'")
        if settings.objective.model_dump() != Objective.model_validate(objective).model_dump():
            raise RobotpsError(f"--prior {path}: this run had another objective, its scores say nothing here")
        return Prior.of(run, search_space(run.description, settings), space, family).model_dump()
