"""What a tuning run is asked to do, whether it can be done, and the search that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from robotps.description import Family, RobotDescription
from robotps.errors import RobotpsError
from robotps.families import Families
from robotps.files import FileModel, parse
from robotps.gait import Gait, gait_cycle
from robotps.measurement import MeasurementNoise
from robotps.parameters import ParameterSpace
from robotps.prior import Prior
from robotps.run import Run
from robotps.search import SEARCHES, Search
from robotps.search.families import FamilyPolicy, with_families
from robotps.search.stopping import stop_rule
from robotps.trial import Objective, TrialSettings

MOST_REPEATS = 4
"""Trials of a candidate at most, where they are given by need."""


class Widening(FileModel):
    """Randomization that follows success, as automatic domain randomization does (Akkaya et al. 2019).

    start: width of the search's first iteration, in parts of the distributions' own; 1 from the start: no schedule.
    After an iteration in which at least `above` of the trials finished the width grows by `step`, up to 1; it shrinks
    by as much, down to `start`, where fewer than `below` did.
    """

    start: Annotated[float, Field(ge=0, le=1)] = 1.0
    step: Annotated[float, Field(gt=0, le=1)] = 0.1
    above: Annotated[float, Field(ge=0, le=1)] = 0.9
    below: Annotated[float, Field(ge=0, le=1)] = 0.6

    def after(self, width: float, endings: Sequence[str]) -> float:
        """The next iteration's width, from this one's and how its trials ended."""
        counted = [ending for ending in endings if ending in ("finished", "fell")]
        if not counted:
            return width
        finished = counted.count("finished") / len(counted)
        if finished >= self.above:
            return min(1.0, width + self.step)
        return max(self.start, width - self.step) if finished < self.below else width


class TuneSettings(FileModel):
    """What a tuning run is asked to do; kept in the run, so that it can be resumed.

    start: gait parameters to begin at, by name. options: of the search. budget: trials in all, or None.
    repeats: trials of each candidate, or auto: as many as it takes to tell the better ones. ahead: how many candidates
    may be asked before the iteration in front of theirs is known, so that no worker waits for the slowest. confirm:
    trials, on seeds of their own, of the start and of the final best gait; finalists: how many of the best candidates
    are run again before one of them is called best. stop: rules that end the search early (robotps.search.stopping).
    families: among which the search chooses; none: it stays in `family`. prior: what bayesian expects to begin with.
    noise: on the measurement of simulated trials. world, randomization: tables for the simulation; None: a physical
    robot. tail: share of a candidate's trials, the worst ones, whose mean is its score: 1 all, 0 the very worst.
    widen: how far worlds are drawn apart as time goes on.
    """

    search: str = "bayesian"
    options: dict[str, float | int | str | bool] = {}  # noqa: RUF012 - pydantic copies it
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    iterations: Annotated[int, Field(ge=1)] | None = None
    budget: Annotated[int, Field(ge=1)] | None = None
    repeats: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    ahead: Annotated[int, Field(ge=0)] = 0
    finalists: Annotated[int, Field(ge=1)] = 4
    confirm: Annotated[int, Field(ge=1)] = 16
    stop: tuple[str, ...] = ()
    family: Family
    families: tuple[Family, ...] = ()
    prior: Prior | None = None
    start: dict[str, float] = {}  # noqa: RUF012
    trial: TrialSettings = TrialSettings()
    objective: Objective = Objective()
    noise: MeasurementNoise = MeasurementNoise()
    world: dict[str, Any] | None = None
    randomization: dict[str, Any] | None = None
    tail: Annotated[float, Field(ge=0, le=1)] = 1.0
    widen: Widening = Widening()

    @property
    def most_repeats(self) -> int:
        """Trials that a candidate gets at most."""
        return MOST_REPEATS if self.repeats == "auto" else self.repeats

    @property
    def gaits(self) -> Families:
        """The families that the search is over."""
        return Families(list(dict.fromkeys((self.family, *self.families))))

    @property
    def trials_per_finalist(self) -> int:
        return max(2, self.confirm // 2)

    @property
    def trials_to_confirm(self) -> int:
        """Trials outside the search: the start, the finalists (the recommended gait is one more), the best."""
        return 2 * self.confirm + (self.finalists + 1) * self.trials_per_finalist


def search_space(description: RobotDescription, settings: TuneSettings) -> ParameterSpace:
    """The gait parameters of a robot, beginning where the run was asked to begin."""
    return description.gait_space.starting_at(settings.start)


def settings_of(run: Run) -> TuneSettings:
    """What a run was asked to do; raises RobotpsError where that is damaged or of another version."""
    return parse(run.meta("settings") or {}, TuneSettings, str(run.path))


def check(description: RobotDescription, settings: TuneSettings) -> None:
    """Raises RobotpsError where a run could not be done as asked; to be called before anything is made."""
    space = search_space(description, settings)
    search = make_search(settings, space)
    gait_cycle(description, Gait(settings.family, space.values(space.start)))
    for rule in settings.stop:
        stop_rule(rule)
    if settings.world is None and settings.noise != MeasurementNoise():
        raise RobotpsError("noise is added to simulated trials only: a physical robot has its own")
    if settings.tail < 1 and settings.repeats in (1, "auto"):
        raise RobotpsError(
            f"tail = {settings.tail:g} is the mean of the worst trials: that takes repeats of 2 or more, a number"
        )
    if settings.ahead and not search.asynchronous:
        able = ", ".join(name for name, kind in SEARCHES.items() if kind.asynchronous) or "none"
        raise RobotpsError(
            "the choice of families cannot ask ahead of what it was told: ahead must be 0"
            if len(settings.gaits.families) > 1
            else f"{settings.search} cannot ask ahead of what it was told: ahead must be 0 (able are: {able})"
        )
    if settings.widen != Widening() and settings.randomization is None:
        raise RobotpsError("widen is for worlds drawn from distributions: give randomize too, or leave widen out")
    if settings.repeats == "auto" and not search.races:
        raise RobotpsError(
            f"repeats by need compare the gaits of an iteration, and {settings.search} tries one after the other: give "
            "a number for repeats"
        )
    if settings.ahead and settings.repeats == "auto":
        raise RobotpsError("repeats by need are decided iteration by iteration: with repeats = auto, ahead must be 0")
    cost = first_iteration(search, settings)
    if settings.budget is not None and cost + settings.trials_to_confirm > settings.budget:
        raise RobotpsError(
            f"a budget of {settings.budget} trials is too small: the first iteration of {settings.search} takes {cost} "
            f"and confirming start and result {settings.trials_to_confirm}: "
            f"it takes {cost + settings.trials_to_confirm}"
        )


def first_iteration(search: Search, settings: TuneSettings) -> int:
    """Trials that the first iteration of a search takes at most."""
    return len(search.ask()) * settings.most_repeats


def make_search(settings: TuneSettings, space: ParameterSpace) -> Search:
    """The search that a run asks for; raises RobotpsError for an unknown name or option."""
    if settings.search not in SEARCHES:
        raise RobotpsError(f"no search is called '{settings.search}': known are {', '.join(SEARCHES)}")
    kind = SEARCHES[settings.search]
    hints = get_type_hints(kind.__init__)
    known = {n: hint for n, hint in hints.items() if n not in ("space", "seed", "prior_mean", "return")}
    for name, value in settings.options.items():
        if name not in known:
            raise RobotpsError(f"{settings.search} has no option '{name}': it has {', '.join(known) or 'none'}")
        try:
            TypeAdapter(known[name]).validate_python(value, strict=True)
        except ValidationError as error:
            raise RobotpsError(
                f"options.{name} of {settings.search}: {error.errors()[0]['msg']}, not {value!r}"
            ) from None
    families = settings.gaits.families
    expected: dict[str, Any] = {}
    if settings.prior is not None:
        if "prior_mean" not in hints or len(families) > 1:
            raise RobotpsError("a prior is for the search bayesian, in one family")
        expected = {"prior_mean": settings.prior.mean()}

    def within(space: ParameterSpace, seed: int) -> Search:
        return kind(space, seed=seed, **settings.options, **expected)

    try:
        if len(families) > 1:
            return FamilyPolicy(with_families(space, len(families)), within, seed=settings.seed)
        return within(space, settings.seed)
    except ValueError as error:
        raise RobotpsError(f"{settings.search}: {error}") from None
