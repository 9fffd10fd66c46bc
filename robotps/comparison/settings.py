"""What is to be compared: searches with their options, robots, seeds, trials and how noisy they are."""

from __future__ import annotations

import re
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.files import FileModel, parse
from robotps.measurement import MeasurementNoise
from robotps.parameters import FloatArray
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings

Option = float | int | str | bool

CHECKPOINTS = 14
"""How often the recommended gait is run again, at numbers of trials that grow by a constant factor."""

FIRST_CHECKPOINT = 15


class Contestant(FileModel):
    """A search with its options. label: what a person called it. repeats: trials of each gait."""

    label: str
    search: str
    repeats: Annotated[int, Field(ge=1)] = 1
    options: dict[str, Option] = {}  # noqa: RUF012 - pydantic copies it

    @classmethod
    def named(cls, text: str) -> Contestant:
        """From NAME or NAME:OPTION=VALUE,...; raises RobotpsError naming what was expected."""
        name, _, rest = text.partition(":")
        options: dict[str, Option] = {}
        for part in filter(None, rest.split(",")):
            option, equals, value = part.partition("=")
            if not equals:
                raise RobotpsError(f"search '{text}': expected NAME:OPTION=VALUE,..., as in kohl-stone:repeats=3")
            options[option.strip()] = _value(value.strip())
        repeats = options.pop("repeats", 1)
        if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 1:
            raise RobotpsError(f"search '{text}': repeats must be a number from 1, not {repeats!r}")
        return parse({"label": text, "search": name, "repeats": repeats, "options": options}, cls, f"search '{text}'")

    @property
    def folder(self) -> str:
        """The label as a folder's name."""
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", self.label)


def _value(text: str) -> Option:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


class ComparisonSettings(FileModel):
    """What a comparison is asked to do; kept in its folder, so that it can be resumed.

    seeds: of each search on each robot, from `seed` on. budget: trials of each search. again: trials of a recommended
    gait, on seeds of their own and without measurement noise. target: speed to reach, m/s, the same on every robot;
    None: what kohl-stone has at the end, else nine tenths of the best. arenas: digest of each robot with its worlds, as
    they were when the comparison was begun.
    """

    robots: tuple[str, ...]
    contestants: tuple[Contestant, ...]
    seeds: Annotated[int, Field(ge=1)] = 5
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    budget: Annotated[int, Field(ge=1)] = 300
    again: Annotated[int, Field(ge=1)] = 2
    target: float | None = None
    trial: TrialSettings = TrialSettings(seconds=3.0)
    noise: MeasurementNoise = MeasurementNoise(speed=0.03, fall=0.02)
    world: str | None = None
    randomize: str | None = None
    arenas: dict[str, str] = {}  # noqa: RUF012

    @model_validator(mode="after")
    def _seeds_must_be_seeds(self) -> ComparisonSettings:
        if self.seed + self.seeds > 2**32:
            raise ValueError(f"seed + seeds must be {2**32} at most")
        return self

    @property
    def checkpoints(self) -> FloatArray:
        """Numbers of trials after which the recommended gait is run again, shape (k,)."""
        first = min(FIRST_CHECKPOINT, self.budget)
        return np.unique(np.rint(np.geomspace(first, self.budget, CHECKPOINTS)))

    def tune(
        self,
        contestant: Contestant,
        seed: int,
        description: RobotDescription,
        world: dict[str, Any],
        randomization: dict[str, Any] | None,
    ) -> TuneSettings:
        """The run of one search with one seed: an ordinary one, which confirms its result only briefly."""
        asked = TuneSettings(
            search=contestant.search,
            options=contestant.options,
            repeats=contestant.repeats,
            seed=seed,
            confirm=1,
            finalists=1,
            family=description.gait.family,
            trial=self.trial,
            noise=self.noise,
            world=world,
            randomization=randomization,
        )
        return asked.model_copy(update={"budget": self.budget + asked.trials_to_confirm})
