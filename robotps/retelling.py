"""A search told its record again: what it would have recommended after each iteration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from robotps.run import Run, TrialRecord
from robotps.scores import score_of
from robotps.search import Search
from robotps.settings import make_search, search_space, settings_of


def retold(run: Run) -> Iterator[Search]:
    """The run's search before it was told anything, and again after each iteration."""
    settings = settings_of(run)
    search = make_search(settings, search_space(run.description, settings))
    yield search
    for iteration in count():
        candidates = run.candidates("search", iteration)
        if not candidates:
            return
        trials: dict[int, list[TrialRecord]] = {candidate.id: [] for candidate in candidates}
        for trial in run.trials("search", iteration):
            trials[trial.candidate.id].append(trial)
        vectors = settings.gaits.vectors(candidates)
        search.tell(vectors, [score_of(trials[candidate.id], tail=settings.tail) for candidate in candidates])
        yield search
