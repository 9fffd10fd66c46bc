"""A comparison: one folder of ordinary runs, made one after the other, and what each had found on its way."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from robotps.comparison.checkpoints import run_again
from robotps.comparison.outcome import OUTCOME, Outcome
from robotps.comparison.settings import ComparisonSettings, Contestant
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.files import read_toml, without_none, write_atomically
from robotps.performing import DrawWorld, OpenRobot
from robotps.run import Run
from robotps.settings import TuneSettings, check, first_iteration, make_search, search_space
from robotps.tuning import Progress, Tuning

SETTINGS = "comparison.toml"


@dataclass(frozen=True)
class Arena:
    """Where a robot's runs take place: the robot, its world and the worlds drawn for trials, as tables."""

    description: RobotDescription
    world: dict[str, Any]
    randomization: dict[str, Any] | None
    open_robot: OpenRobot
    draw_world: DrawWorld

    @property
    def digest(self) -> str:
        """Of the robot and its worlds."""
        made_of = [self.description.fingerprint, self.world, self.randomization]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One run of a comparison."""

    robot: str
    contestant: Contestant
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.robot}-{self.contestant.folder}-{self.seed}"


class Comparison:
    """Searches x seeds x robots, seed after seed, so that a comparison cut short compares all the same.

    arenas: by the name of the robot, in the order of the settings. Use `create` or `resume`.
    """

    def __init__(self, folder: Path, settings: ComparisonSettings, arenas: Mapping[str, Arena]) -> None:
        self.folder = folder
        self.settings = settings
        self.arenas = arenas

    @classmethod
    def create(cls, folder: Path, settings: ComparisonSettings, arenas: Mapping[str, Arena]) -> Comparison:
        """Check that every run can be done, and write down what is asked; raises RobotpsError."""
        settings = settings.model_copy(update={"arenas": {name: arena.digest for name, arena in arenas.items()}})
        comparison = cls(folder, settings, arenas)
        if (folder / SETTINGS).exists():
            raise RobotpsError(f"{folder}: there is a comparison here already: go on with --resume, or choose another")
        folders = [entry.folder for entry in comparison.entries()]
        if len(set(folders)) < len(folders):
            raise RobotpsError("a search or a robot is named twice: name each once, or with other options")
        for arena in arenas.values():
            for contestant in settings.contestants:
                asked = comparison.asked(arena, contestant, settings.seed)
                try:
                    first = first_iteration(make_search(asked, search_space(arena.description, asked)), asked)
                    if first > settings.budget:
                        raise RobotpsError(
                            f"a budget of {settings.budget} trials is too small: the first iteration takes {first}"
                        )
                    check(arena.description, asked)
                except RobotpsError as error:
                    raise RobotpsError(f"{contestant.label} on {arena.description.name}: {error}") from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RobotpsError(f"{folder}: the comparison's folder cannot be made: {error.strerror}") from None
        write_atomically(folder / SETTINGS, tomli_w.dumps(without_none(settings.model_dump(mode="json"))))
        return comparison

    def entries(self) -> Iterator[Entry]:
        """All runs, in the order in which they are made."""
        for seed in range(self.settings.seed, self.settings.seed + self.settings.seeds):
            for robot in self.arenas:
                for contestant in self.settings.contestants:
                    yield Entry(robot, contestant, seed)

    def asked(self, arena: Arena, contestant: Contestant, seed: int) -> TuneSettings:
        """What the run of a search with a seed is asked to do."""
        return self.settings.tune(contestant, seed, arena.description, arena.world, arena.randomization)

    def go(self, executor: Executor, notify: Callable[[Entry, Progress], None] | None = None) -> None:
        """Make the runs that are not made yet, each to its end, and run again what each recommended on its way.

        Raises RobotpsError where a robot or its worlds are no longer what they were.
        """
        for name, arena in self.arenas.items():
            if self.settings.arenas.get(name, arena.digest) != arena.digest:
                raise RobotpsError(
                    f"{self.folder}: '{name}', or its world or randomization file, is not what it was when this "
                    "comparison was begun: put it back, or begin another comparison"
                )
        for entry in self.entries():
            if not (self.folder / entry.folder / OUTCOME).exists():
                self._make(entry, executor, notify)

    def _make(self, entry: Entry, executor: Executor, notify: Callable[[Entry, Progress], None] | None) -> None:
        arena, path = self.arenas[entry.robot], self.folder / entry.folder
        asked = self.asked(arena, entry.contestant, entry.seed)
        known = (path / "run.sqlite").exists()
        made = Run.resume(path) if known else Run.create(path, asked.model_dump(mode="json"), arena.description)
        with made as run:
            if run.description.fingerprint != arena.description.fingerprint:
                raise RobotpsError(f"{path}: '{entry.robot}' was described otherwise then: begin another comparison")
            before, began = float(run.meta("wall_seconds") or 0.0), time.monotonic()
            told = None if notify is None else lambda progress: notify(entry, progress)
            try:
                Tuning(
                    run,
                    asked,
                    executor=executor,
                    open_robot=arena.open_robot,
                    draw_world=arena.draw_world,
                    notify=told,
                ).go()
            finally:
                run.set_meta("wall_seconds", before + time.monotonic() - began)
            checkpoints = run_again(
                run,
                self.settings.checkpoints,
                self.settings.again,
                executor=executor,
                open_robot=arena.open_robot,
                draw_world=arena.draw_world,
            )
            outcome = Outcome(
                robot=entry.robot,
                search=entry.contestant.label,
                seed=entry.seed,
                wall_seconds=run.meta("wall_seconds"),
                checkpoints=tuple(checkpoints),
            )
        write_atomically(path / OUTCOME, json.dumps(outcome.model_dump(mode="json")))


def settings_in(folder: Path) -> ComparisonSettings:
    """What a comparison was asked to do; raises RobotpsError where there is none."""
    if not (folder / SETTINGS).exists():
        raise RobotpsError(f"{folder}: there is no comparison here (a folder with {SETTINGS})")
    return read_toml(folder / SETTINGS, ComparisonSettings)
