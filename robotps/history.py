"""How a run went: its search iteration by iteration, over trials and over minutes that the robot walked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robotps.parameters import FloatArray
from robotps.run import TrialRecord
from robotps.scores import score_of
from robotps.search.search import Score


@dataclass(frozen=True)
class Scored:
    """A candidate of the search with what its trials said."""

    iteration: int
    family: str
    vector: FloatArray
    score: Score


@dataclass(frozen=True)
class Iteration:
    """One iteration of the search.

    middle: of its trials, counted from 1 over the whole search.
    trials, minutes: the search's trials, and minutes of walking, up to its end. mean, quartiles: of its candidates'
    scores, NaN where none counted. centre, lowest, highest: of its candidates, (n,), in steps from the start.
    """

    number: int
    middle: float
    trials: int
    minutes: float
    mean: float
    quartiles: tuple[float, float]
    centre: FloatArray
    lowest: FloatArray
    highest: FloatArray


@dataclass(frozen=True)
class History:
    """The search's trials in the order they ended, (T,) minutes walked at the end of each, and its iterations."""

    trials: tuple[TrialRecord, ...]
    minutes: FloatArray
    candidates: tuple[Scored, ...]
    iterations: tuple[Iteration, ...]


def history(trials: Sequence[TrialRecord], tail: float = 1.0) -> History:
    """The history that the trials of a run tell; tail: see `robotps.scores.worst`."""
    searched = tuple(trial for trial in trials if trial.candidate.stage == "search")
    minutes = np.cumsum([walked(trial) / 60 for trial in searched])
    candidates: list[Scored] = []
    iterations: list[Iteration] = []
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    groups: dict[int, dict[int, list[TrialRecord]]] = {}
    for index, trial in enumerate(searched):
        number = trial.candidate.iteration
        first.setdefault(number, index)
        last[number] = index
        groups.setdefault(number, {}).setdefault(trial.candidate.id, []).append(trial)
    for number in sorted(groups):
        scored = [
            Scored(number, group[0].candidate.family, group[0].candidate.vector, score_of(group, tail=tail))
            for _, group in sorted(groups[number].items())
        ]
        candidates += scored
        values = [entry.score.value for entry in scored if entry.score.value is not None]
        vectors = np.stack([entry.vector for entry in scored])
        low, high = np.percentile(values, [25, 75]) if values else (np.nan, np.nan)
        iterations.append(
            Iteration(
                number=number,
                middle=(first[number] + last[number]) / 2 + 1,
                trials=last[number] + 1,
                minutes=float(minutes[last[number]]),
                mean=float(np.mean(values)) if values else float("nan"),
                quartiles=(float(low), float(high)),
                centre=vectors.mean(axis=0),
                lowest=vectors.min(axis=0),
                highest=vectors.max(axis=0),
            )
        )
    return History(searched, minutes, tuple(candidates), tuple(iterations))


def walked(trial: TrialRecord) -> float:
    """Seconds that the robot walked in a trial."""
    return float(trial.metrics.get("duration") or 0.0)
