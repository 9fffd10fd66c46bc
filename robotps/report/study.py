"""What a report says about one run, read from its record; what cannot be read is named, and the rest is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.history import History, history
from robotps.parameters import ParameterSpace
from robotps.report.health import Health, equipment_of, run_health
from robotps.result import TuneResult, conclude
from robotps.rounds import tables
from robotps.run import Note, Run, Stage, TrialRecord
from robotps.sensitivity import Sensitivity, sensitivity
from robotps.settings import TuneSettings, search_space, settings_of

Part = TypeVar("Part")


@dataclass(frozen=True)
class Study:
    """One run, as far as it could be read; `missing` says what could not, and why.

    verb: whose trials these are where nothing was searched for; finished: whether it has made all of them.
    """

    name: str
    settings: TuneSettings
    description: RobotDescription
    space: ParameterSpace
    trials: list[TrialRecord]
    history: History
    result: TuneResult | None
    sensitivity: Sensitivity | None
    verb: str
    finished: bool
    in_progress: bool
    created: str
    versions: dict[str, str]
    git: dict[str, Any] | None
    notes: list[Note]
    health: list[Health]
    equipment: list[str]
    rounds: list[dict[str, Any]] = field(default_factory=list)
    """Of an adaptation: see robotps.rounds.tables."""
    missing: list[str] = field(default_factory=list)

    @property
    def physical(self) -> bool:
        return any(trial.world is None and trial.ending != "refused" for trial in self.trials)

    @property
    def on_robot(self) -> dict[str, list[TrialRecord]]:
        """Scored trials of each gait that was taken to the robot after the search, by what to call it."""
        taken = [trial for trial in self.trials if trial.candidate.stage == "robot" and trial.score is not None]
        vectors = {trial.candidate.iteration: trial.candidate.vector for trial in taken}
        best = None if self.result is None else self.space.vector(self.result.gait.parameters)
        named: dict[str, list[TrialRecord]] = {}
        for trial in taken:
            of_best = best is not None and np.allclose(vectors[trial.candidate.iteration], best)
            name = "best, robot" if of_best else f"gait {trial.candidate.iteration + 1}, robot"
            named.setdefault(name, []).append(trial)
        return named

    @property
    def where(self) -> str:
        """In simulation, on the robot, or one after the other."""
        simulated = any(trial.world is not None for trial in self.trials)
        if self.physical:
            return "in simulation and then on the robot" if simulated else "on the robot"
        return "in simulation"

    @property
    def default_objective(self) -> bool:
        """Whether the score is the forward speed and nothing else."""
        return not self.settings.objective.model_dump(exclude_defaults=True)


def study(run: Run) -> Study:
    """Read a run for a report; raises RobotpsError where not even its settings and its robot can be read."""
    missing: list[str] = []

    def read(what: str, reader: Callable[[], Part], otherwise: Part) -> Part:
        try:
            return reader()
        except RobotpsError as error:
            missing.append(f"{what}: {error}")
            return otherwise

    settings = settings_of(run)
    space = search_space(run.description, settings)
    trials = _readable_trials(run, missing)
    health, unread = run_health(run, trials)
    missing += unread
    past = history(trials, settings.tail)
    scored = [entry for entry in past.candidates if entry.score.value is not None]
    return Study(
        name=run.path.resolve().name,
        settings=settings,
        description=run.description,
        space=space,
        trials=trials,
        history=past,
        result=conclude(settings, space, _of(trials, "start"), _of(trials, "best"), len(trials), trials),
        sensitivity=sensitivity(
            np.array([entry.vector for entry in scored]).reshape(len(scored), len(space)),
            np.array([entry.score.value for entry in scored], dtype=np.float64),
            np.array([entry.iteration for entry in scored], dtype=np.int64),
            np.array([entry.family for entry in scored], dtype=np.str_),
        ),
        verb=read("what the run was for", lambda: str(run.meta("verb") or ""), ""),
        finished=read("whether it was finished", lambda: bool(run.meta("finished")), False),
        in_progress=run.in_progress,
        created=read("when the run began", lambda: str(run.meta("created") or ""), ""),
        versions=read("versions", lambda: dict(run.meta("versions") or {}), {}),
        git=read("state of the source tree", lambda: run.meta("git"), None),
        notes=read("notes", run.notes, []),
        health=health,
        rounds=read("rounds", lambda: tables(run), []),
        equipment=read("what the robot was made of", lambda: equipment_of(run, trials), []),
        missing=missing,
    )


def _of(trials: list[TrialRecord], stage: Stage) -> list[TrialRecord]:
    return [trial for trial in trials if trial.candidate.stage == stage]


def _readable_trials(run: Run, missing: list[str]) -> list[TrialRecord]:
    """All trials, or where the record is damaged those that can be read one by one."""
    try:
        return run.trials()
    except RobotpsError as error:
        found, lost = [], 0
        for number in range(1, run.last_trial() + 1):
            try:
                found.append(run.trial(number))
            except RobotpsError:
                lost += 1
        missing.append(f"{lost} of {lost + len(found)} trials: {error}")
        return found
