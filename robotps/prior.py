"""What another run found, as what a search expects before it has tried anything: simulation's word on a robot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robotps.description import Family
from robotps.errors import RobotpsError
from robotps.files import FileModel
from robotps.parameters import FloatArray, ParameterSpace
from robotps.run import Run, TrialRecord
from robotps.scores import score_of
from robotps.search.gaussian_process import GaussianProcess
from robotps.search.replication import Scatter

LATEST = 200
"""Gaits that are kept, the latest: those of the run's own search when it knew most."""


class Prior(FileModel):
    """Gaits in steps from the start of the run that expects them, their mean scores and the trials behind each."""

    points: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]
    trials: tuple[int, ...]

    @classmethod
    def of(cls, run: Run, own: ParameterSpace, space: ParameterSpace, family: Family) -> Prior:
        """What a run found of a family of gaits. own: its space; space: that of the search.

        Raises RobotpsError where they do not match, or nothing was found.
        """
        if [parameter.name for parameter in own.free] != [parameter.name for parameter in space.free]:
            raise RobotpsError(f"{run.path}: its gaits have other parameters: give a run of the same kind of robot")
        trials: dict[int, list[TrialRecord]] = {}
        for trial in run.trials():
            if trial.candidate.family == family:
                trials.setdefault(trial.candidate.id, []).append(trial)
        known = [(group[0].candidate.vector, score_of(group)) for _, group in sorted(trials.items())]
        found = [(vector, score.value, score.trials) for vector, score in known if score.value is not None][-LATEST:]
        if len(found) < 2:
            raise RobotpsError(f"{run.path}: no {family} was scored in this run: there is nothing to expect from it")
        return cls(
            points=tuple(tuple(space.vector(own.values(vector)).tolist()) for vector, _, _ in found),
            values=tuple(value for _, value, _ in found),
            trials=tuple(count for _, _, count in found),
        )

    def mean(self) -> Callable[[FloatArray], FloatArray]:
        """Expected scores (m,) of gaits (m, n); far from those that were tried, their mean."""
        trials = np.array(self.trials, dtype=np.float64)
        return GaussianProcess(np.array(self.points), np.array(self.values), trials, Scatter()).mean
