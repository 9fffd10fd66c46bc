"""Searches that ask ahead: nobody waits for the slowest, and who was slow changes nothing."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray
from robotps.result import result_of
from robotps.run import Run
from robotps.search import SEARCHES, Score, Search
from robotps.settings import TuneSettings, check
from robotps.trial import TrialSettings
from robotps.tuning import Progress, Tuning

POLICIES = 4
ITERATIONS = 4


class Following(Search):
    """Tries gaits around the best so far, whose history it also leaves in them: who knew what shows in every vector."""

    name = "following"
    asynchronous = True
    _centre: FloatArray
    known = 0

    def __init__(self, space: Any, *, seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        self._centre = self.start

    @property
    def recommended(self) -> FloatArray:
        return self._centre

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self._centre + 0.3 * generator.standard_normal((POLICIES, len(self.space))) + 0.01 * self.known

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        self.known += 1
        values = [-np.inf if score.value is None else score.value for score in scores]
        self._centre = candidates[int(np.argmax(values))]


class Impatient(Executor):
    """So many workers, each trial as long as chance has it."""

    def __init__(self, workers: int, seed: int) -> None:
        self.ahead = workers
        self._threads = ThreadPoolExecutor(workers)
        self._chance = random.Random(seed)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        pause = self._chance.choice([0.0, 0.001, 0.01])
        return self._threads.submit(lambda: (time.sleep(pause), fn(*args, **kwargs))[1])


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEARCHES, "following", Following)


def _settings(ahead: int) -> TuneSettings:
    return TuneSettings(
        search="following",
        family="trot",
        iterations=ITERATIONS,
        ahead=ahead,
        confirm=2,
        finalists=1,
        trial=TrialSettings(seconds=0.1, warm_up=0.02),
        world={},
    )


def _go(
    run: Run, open_robot: Any, executor: Executor, settings: TuneSettings, notify: Callable[[Progress], None] | None
) -> None:
    Tuning(run, settings, executor=executor, open_robot=open_robot, draw_world=lambda _: {}, notify=notify).go()


def _record(run: Run) -> list[tuple[Any, ...]]:
    found = [
        (t.candidate.stage, t.candidate.iteration, t.candidate.position, t.repeat, t.score, t.candidate.vector.tolist())
        for t in run.trials()
    ]
    assert len({entry[:4] for entry in found}) == len(found)
    return sorted(found)


@pytest.mark.parametrize("ahead", [0, 1, POLICIES, POLICIES + 2])
def test_the_record_is_the_same_whatever_the_workers_and_wherever_it_was_interrupted(
    tmp_path: Path, gliding: Any, ahead: int
) -> None:
    description, settings = load_description("dkitty"), _settings(ahead)
    meta = settings.model_dump(mode="json")
    with Run.create(tmp_path / "whole", meta, description) as run:
        _go(run, gliding(description), Impatient(1, 0), settings, None)
        expected, result = _record(run), result_of(run)
    assert len(expected) == 2 + ITERATIONS * POLICIES + 2 * 2 + 2
    for seed in range(2):
        with Run.create(tmp_path / f"run-{seed}", meta, description):
            pass
        left = [4 + 8 * seed, 6]

        def stop(_: Progress, left: list[int] = left) -> None:
            if left:
                left[0] -= 1
                if left[0] == 0:
                    del left[0]
                    raise KeyboardInterrupt

        for attempt in range(3):
            with Run.resume(tmp_path / f"run-{seed}") as run:
                try:
                    _go(run, gliding(description), Impatient(1 + attempt + seed, seed), settings, stop)
                except KeyboardInterrupt:
                    assert attempt < 2
                    continue
                assert attempt == 2
                assert _record(run) == expected
                assert result_of(run) == result


def test_asking_ahead_no_trial_waits_for_the_slowest_of_its_iteration(tmp_path: Path, gliding: Any) -> None:
    """The first trial of the search ends only when the whole next iteration is done: without asking ahead, never."""
    description, settings = load_description("dkitty"), _settings(POLICIES)
    others = threading.Semaphore(0)

    class OneIsSlow(Impatient):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            candidate, repeat = args[0].candidate, args[0].repeat
            if (candidate.stage, candidate.iteration, candidate.position, repeat) != ("search", 0, 0, 0):
                return super().submit(fn, *args, **kwargs)

            def slow() -> Any:
                for _ in range(2 * POLICIES - 1):
                    assert others.acquire(timeout=60)
                return fn(*args, **kwargs)

            return self._threads.submit(slow)

    def count(progress: Progress) -> None:
        if progress.latest.candidate.stage == "search":
            others.release()

    with Run.create(tmp_path / "run", settings.model_dump(mode="json"), description) as run:
        _go(run, gliding(description), OneIsSlow(3, 0), settings, count)
        assert run.count("search") == ITERATIONS * POLICIES


def test_candidates_asked_ahead_know_less_and_the_others_all_there_is(tmp_path: Path, gliding: Any) -> None:
    description, settings = load_description("dkitty"), _settings(2)
    with Run.create(tmp_path / "run", settings.model_dump(mode="json"), description) as run:
        _go(run, gliding(description), Impatient(2, 0), settings, None)
        space, candidates = description.gait_space, run.candidates("search")
        scores = {}
        for trial in run.trials("search"):
            scores.setdefault(trial.candidate.id, []).append(trial.score)
    search, by_iteration = Following(space), np.stack([c.vector for c in candidates]).reshape(ITERATIONS, POLICIES, -1)
    for number, vectors in enumerate(by_iteration):
        np.testing.assert_array_equal(vectors[2:], search.ask()[2:])
        if number + 1 < ITERATIONS:
            np.testing.assert_array_equal(by_iteration[number + 1, :2], search.ask(1)[:2])
        means = [float(np.mean(scores[c.id])) for c in candidates if c.iteration == number]
        search.tell(vectors, [Score(mean) for mean in means])


def test_a_search_that_needs_whole_iterations_cannot_be_asked_ahead() -> None:
    description = load_description("dkitty")
    with pytest.raises(RobotpsError, match=r"hill-climbing cannot ask ahead.*able are: .*following"):
        check(description, TuneSettings(search="hill-climbing", family="trot", iterations=2, ahead=3))
    with pytest.raises(ValueError, match="only when it was told"):
        SEARCHES["hill-climbing"](description.gait_space).ask(1)


@pytest.mark.parametrize("name", ["es", "bayesian", "random"])
def test_a_real_search_asked_ahead_records_the_same_whatever_the_workers(
    tmp_path: Path, gliding: Any, name: str
) -> None:
    description = load_description("dkitty")
    settings = _settings(POLICIES + 1).model_copy(update={"search": name, "options": {"policies": POLICIES}})
    check(description, settings)
    records = []
    for seed, workers in enumerate((1, 3, POLICIES + 1)):
        with Run.create(tmp_path / str(seed), settings.model_dump(mode="json"), description) as run:
            _go(run, gliding(description), Impatient(workers, seed), settings, None)
            records.append(_record(run))
    assert len(records[0]) == 2 + ITERATIONS * POLICIES + 2 * 2 + 2
    assert records[0] == records[1] == records[2]


def test_searches_that_rank_or_model_can_be_asked_ahead() -> None:
    """cma-es cannot: candidates around an earlier mean would pull the mean back to it."""
    assert {name for name, kind in SEARCHES.items() if kind.asynchronous} >= {"es", "bayesian", "random"}
    assert not SEARCHES["cma-es"].asynchronous
