"""Tuning: a search proposes gaits, trials score them, the record keeps everything, and the best ones are run again.

The loop keeps no state of its own: what is on disk decides what comes next. A run that was interrupted anywhere
therefore goes on, and ends, exactly as if it had not been.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, count

import numpy as np

from robotps.errors import RobotpsError
from robotps.gait import Gait
from robotps.odometer import Odometer
from robotps.parameters import FloatArray
from robotps.performing import DrawWorld, Narrowing, OpenRobot, TrialReport, TrialTask, perform
from robotps.robot_effects import Measurement, RobotEffects, estimate
from robotps.run import CUT_SHORT, Candidate, Run, Stage, TrialRecord
from robotps.scores import measurements, score_of
from robotps.search import Score, Search
from robotps.search.replication import Race, Scatter
from robotps.search.stopping import History, stop_rule
from robotps.settings import MOST_REPEATS, TuneSettings, make_search, search_space
from robotps.trial import UNSCORED
from robotps.workers import run_all

FAULTS_BEFORE_GIVING_UP = 3
NOT_COUNTED = ("fault", CUT_SHORT)
_STAGES: tuple[Stage, ...] = ("start", "search", "finalist", "best", "robot")


@dataclass(frozen=True)
class Progress:
    """Where a tuning run is: its latest trial, and `done` of about `expected` trials."""

    latest: TrialRecord
    done: int
    expected: int


class Tuning:
    """A run being tuned: `go` until it is done, or was interrupted, and again later.

    executor: where trials run. open_robot, draw_world, odometer: see there. notify: called after each trial.
    search: another one than the settings name; it must depend on what the run records alone.
    """

    def __init__(
        self,
        run: Run,
        settings: TuneSettings,
        *,
        executor: Executor,
        open_robot: OpenRobot,
        draw_world: DrawWorld,
        odometer: Odometer | None = None,
        notify: Callable[[Progress], None] | None = None,
        search: Search | None = None,
    ) -> None:
        self.run = run
        self.settings = settings
        self.space = search_space(run.description, settings)
        self._given = search
        self._executor = executor
        self._perform = partial(perform, open_robot, settings.trial, odometer, run.path)
        self._draw_world = draw_world
        self._notify = notify
        self._done = run.count()
        self._expected = settings.budget or settings.trials_to_confirm
        self._trials: dict[int, list[TrialRecord]] = {}
        self._open: Counter[tuple[Stage, int]] = Counter()
        self._again: deque[TrialTask] = deque()
        self._faults = 0
        self._gaits = settings.gaits
        self._scatter = Scatter()
        self._past = _Past()
        self._rules = [stop_rule(text) for text in settings.stop]
        self.stopped = ""
        """Which rule ended the search, and why."""
        self._width = settings.widen.start
        self._compared: list[Measurement] = []
        self._effects = RobotEffects()

    @cached_property
    def search(self) -> Search:
        """Made when it is needed: who only takes a gait to the robot need not have what another search runs on."""
        return self._given or make_search(self.settings, self.space)

    def go(self) -> None:
        """Run what is still to be run: the start, the search, the finalists, the best."""
        self.score_start()
        self._run_trials(self._searching())
        if self.stopped:
            self.run.set_meta("stopped", self.stopped)
        finalists = self._finalists()
        scores = self.evaluate("finalist", finalists, self.settings.trials_per_finalist)
        best = _best_of(finalists, scores)
        if best is not None:
            self.evaluate("best", best[None, :], self.settings.confirm)

    def score_start(self) -> Score:
        """Run the gait begun with as often as a result is confirmed."""
        return self.evaluate("start", self.search.start[None, :], self.settings.confirm)[0]

    def score_on_robot(self, gait: Gait, repeats: int) -> Score:
        """Take a gait to the physical robot, into the record of the search that it came from."""
        vector, number = self.space.vector(gait.parameters), len(self.run.candidates("robot"))
        return self._complete(self.run.add_candidates("robot", number, gait.family, vector[None, :]), repeats)[0]

    def _searching(self) -> Iterator[TrialTask | None]:
        """The trials of the search, in order; None while those that decide the next ones are not known.

        Which iterations a candidate knows of depends on its number alone, never on who was done first: a run that was
        interrupted, or had other workers, asks for the same. (A run's record is told again by the same rule.)
        """
        settings, spent = self.settings, 0
        behind, early = divmod(settings.ahead, len(self.search.ask())) if settings.ahead else (0, 0)
        untold: deque[list[Candidate]] = deque()
        for number in count():
            if number == settings.iterations:
                yield from self._tell(untold, number)
                return
            asked = self._recorded("search", number)
            untold.append(asked)
            # the first candidates of an iteration may have to be asked when one iteration less is known
            portions = [(0, early, number - behind - 1)] if early else []
            for start, end, known in [*portions, (early, None, number - behind)]:
                yield from self._tell(untold, known)
                if len(asked) <= start:
                    vectors = self.search.ask(number - self.search.iteration)
                    if start == 0 and self._is_over(len(vectors), spent):
                        yield from self._tell(untold, number)
                        return
                    families, vectors = self._gaits.gaits(vectors)
                    asked[:] = self.run.add_candidates("search", number, families, vectors[start:end], start)
                if settings.repeats == "auto":
                    spent += yield from self._race(asked)
                else:
                    yield from self._hand_out(asked[start:end], settings.repeats)
                    spent += len(asked[start:end]) * settings.repeats

    def _race(self, asked: list[Candidate]) -> Generator[TrialTask | None, None, int]:
        """Trials of an iteration's candidates until the better ones stand out, no more; returns how many they were."""
        race = Race(best=max(1, len(asked) // 4), least=1, most=MOST_REPEATS)
        repeats = [1] * len(asked)
        while True:
            for candidate, count_ in zip(asked, repeats, strict=True):
                yield from self._hand_out([candidate], count_)
            yield from self._wait_for("search", asked[0].iteration)
            values = [self._values(candidate, n) or None for candidate, n in zip(asked, repeats, strict=True)]
            unclear = [i for i in race.undecided(values, self._scatter) if repeats[i] < race.most]
            if not unclear:
                self._scatter += Scatter.of([each for each in values if each is not None])
                return sum(repeats)
            for index in unclear:
                repeats[index] += 1

    def _values(self, candidate: Candidate, repeats: int) -> list[float]:
        """Scores of a candidate's first trials, as far as they count, in their order."""
        trials = sorted(self._trials.get(candidate.id, []), key=lambda trial: trial.repeat)
        return [
            trial.score - self._effects[trial.robot]
            for trial in trials
            if trial.score is not None and trial.repeat < repeats
        ]

    def _tell(self, untold: deque[list[Candidate]], known: int) -> Iterator[TrialTask | None]:
        """Wait until the first `known` iterations are complete, and let the search know of them and of no others."""
        while self.search.iteration < known:
            asked = untold[0]
            yield from self._wait_for("search", self.search.iteration)
            self._compare_robots(asked)
            self.search.tell(self._gaits.vectors(asked), self._scores(asked))
            untold.popleft()
            trials = [self._trials.pop(candidate.id, []) for candidate in asked]
            self._width = self.settings.widen.after(self._width, [trial.ending for group in trials for trial in group])
            self._past.add(trials)

    def _is_over(self, size: int, spent: int) -> bool:
        """Whether an iteration of `size` candidates is one too many after so many trials of the search."""
        settings = self.settings
        self.stopped = next(filter(None, (rule(self._past.told) for rule in self._rules)), "")
        if self.stopped:
            return True
        cost = size * settings.most_repeats
        if settings.budget is not None:
            # what the start's faults have cost is no reason not to search at all
            return spent > 0 and spent + self._faults + cost + settings.trials_to_confirm > settings.budget
        if settings.iterations is not None:
            self._expected = settings.iterations * cost + settings.trials_to_confirm
        return False

    def _finalists(self) -> FloatArray:
        """What the search recommends, then the best candidates by their score so far; each once, shape (k, n)."""
        recorded = self.run.candidates("finalist")
        if recorded:
            return self._gaits.vectors(recorded)
        trials = _by_candidate(self.run.trials("search"))
        scored = [
            (score.value, candidate.id, self._gaits.vectors([candidate])[0])
            for candidate in self.run.candidates("search")
            for score in (score_of(trials.get(candidate.id, []), self._effects, self.settings.tail),)
            if score.value is not None
        ]
        scored.sort(key=lambda entry: (-entry[0], entry[1]))
        chosen = [self.search.recommended]
        for _, _, vector in scored:
            if len(chosen) > self.settings.finalists:
                break
            if not any(np.array_equal(vector, other) for other in chosen):
                chosen.append(vector)
        return np.stack(chosen)

    def evaluate(self, stage: Stage, vectors: FloatArray, repeats: int) -> list[Score]:
        """Scores of a stage's candidates, running the trials that the record does not hold yet."""
        candidates = self._recorded(stage) or self.run.add_candidates(stage, 0, *self._gaits.gaits(vectors))
        return self._complete(candidates, repeats)

    def _complete(self, candidates: list[Candidate], repeats: int) -> list[Score]:
        stage, number = candidates[0].stage, candidates[0].iteration
        self._run_trials(chain(self._hand_out(candidates, repeats), self._wait_for(stage, number)))
        self._compare_robots(candidates)
        return self._scores(candidates)

    def _recorded(self, stage: Stage, iteration: int = 0) -> list[Candidate]:
        """The candidates that the record has of an iteration already; their trials are at hand from now on."""
        for trial in self.run.trials(stage, iteration):
            self._trials.setdefault(trial.candidate.id, []).append(trial)
            self._faults += stage in ("start", "search") and trial.ending in NOT_COUNTED
        return self.run.candidates(stage, iteration)

    def _hand_out(self, candidates: Iterable[Candidate], repeats: int) -> Iterator[TrialTask]:
        """The trials that these candidates lack; what an interruption left to be run again comes after all others."""
        for candidate in candidates:
            for repeat in range(repeats):
                if not self._settled(candidate, repeat):
                    self._open[candidate.stage, candidate.iteration] += 1
                    task = self._task(candidate, repeat)
                    if self._attempts(candidate, repeat):
                        self._again.append(task)
                    else:
                        yield task

    def _wait_for(self, stage: Stage, iteration: int) -> Iterator[TrialTask | None]:
        """Trials to be run again, and None while there are none, until all that was handed out is settled.

        A trial is not run again where what is left of the budget is needed for what is to come.
        """
        while self._open[stage, iteration]:
            task = self._again.popleft() if self._again else None
            if task is not None and self._is_overspent(task.candidate.stage):
                self._open[task.candidate.stage, task.candidate.iteration] -= 1
            else:
                yield task

    def _settled(self, candidate: Candidate, repeat: int) -> bool:
        """Whether this trial need not be run (again): it counts, was refused or skipped, or is at fault every time."""
        trials = self._attempts(candidate, repeat)
        if any(trial.score is not None or trial.ending in ("refused", "skipped") for trial in trials):
            return True
        return sum(trial.ending == "fault" for trial in trials) >= FAULTS_BEFORE_GIVING_UP

    def _attempts(self, candidate: Candidate, repeat: int) -> list[TrialRecord]:
        return [trial for trial in self._trials.get(candidate.id, []) if trial.repeat == repeat]

    def _is_overspent(self, stage: Stage) -> bool:
        """Whether trials made, not settled yet, and due after this stage are more than the budget."""
        settings = self.settings
        if settings.budget is None or stage == "robot":
            return False
        due = 0 if stage == "best" else settings.confirm
        if stage in ("start", "search"):
            due += (settings.finalists + 1) * settings.trials_per_finalist
        return self._done + self._open.total() + due > settings.budget

    def _scores(self, candidates: Iterable[Candidate]) -> list[Score]:
        tail = self.settings.tail
        return [score_of(self._trials.get(candidate.id, []), self._effects, tail) for candidate in candidates]

    def _compare_robots(self, candidates: Iterable[Candidate]) -> None:
        """Robots as all complete iterations show them, these candidates' included; a function of the record alone."""
        for candidate in candidates:
            self._compared += measurements(self._trials.get(candidate.id, []))
        self._effects = estimate(self._compared)

    def _run_trials(self, tasks: Iterable[TrialTask | None]) -> None:
        for task, report in run_all(self._executor, self._perform, tasks):
            self._write_down(task, report)

    def _task(self, candidate: Candidate, repeat: int) -> TrialTask:
        # all candidates of an iteration meet the same worlds and noise: common random numbers
        entropy = (self.settings.seed, _STAGES.index(candidate.stage), candidate.iteration, repeat)
        if candidate.stage == "best":
            entropy = (self.settings.seed, _STAGES.index("start"), 0, repeat)
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        gait = Gait(candidate.family, self.space.values(candidate.vector))
        draw = self._draw_world
        if candidate.stage == "search" and isinstance(draw, Narrowing):
            draw = draw.narrowed(self._width)
        return TrialTask(candidate, gait, repeat, seed, draw(seed))

    def _write_down(self, task: TrialTask, report: TrialReport) -> None:
        trial = report.trial
        if trial is not None and task.world is not None:  # a physical robot has noise of its own
            candidate = task.candidate
            drawn = (task.seed, _STAGES.index(candidate.stage), candidate.iteration, candidate.position)
            trial = self.settings.noise.measured(trial, drawn)
        counts = trial is not None and trial.ending not in UNSCORED
        score, wrong = None, ""
        if trial is not None and counts:
            try:
                score = self.settings.objective.score(trial)
                wrong = "" if math.isfinite(score) else f"its score is not a number: {score}"
            except RobotpsError as error:
                wrong = str(error)
        if trial is not None and wrong:
            trial, score = replace(trial, ending="fault", reason=wrong, speed=0.0, distance=0.0), None
        record = self.run.add_trial(
            task.candidate,
            repeat=task.repeat,
            robot=report.robot or self.run.description.name,
            seed=task.seed,
            world=task.world,
            trial=trial,
            score=score,
            digest=report.digest,
            started=report.started,
            seconds=report.seconds,
            refused=report.refused,
            number=report.number,
        )
        self._trials.setdefault(task.candidate.id, []).append(record)
        self._faults += record.candidate.stage in ("start", "search") and record.ending in NOT_COUNTED
        if self._settled(task.candidate, task.repeat):
            self._open[task.candidate.stage, task.candidate.iteration] -= 1
        else:
            self._again.append(task)
        self._done += 1
        if self._notify is not None:
            self._notify(Progress(record, self._done, max(self._expected, self._done)))


class _Past:
    """What a search was told so far, as stop rules see it."""

    def __init__(self) -> None:
        self.told = History()

    def add(self, candidates: list[list[TrialRecord]]) -> None:
        """One more iteration: the trials of each of its candidates."""
        trials = [trial for group in candidates for trial in group]
        # in the order of repeats, not of their ends: what follows must not depend on who was done first
        trials.sort(key=lambda trial: (trial.candidate.position, trial.repeat, trial.id))
        self.told = History(
            [*self.told.iterations, [trial.score for trial in trials if trial.score is not None]],
            self.told.trials + len(trials),
            self.told.seconds + sum(float(trial.metrics.get("duration") or trial.seconds) for trial in trials),
            [trial.metrics["speed"] for trial in trials if trial.score is not None],
        )


def _best_of(vectors: FloatArray, scores: list[Score]) -> FloatArray | None:
    scored = [(score.value, -index) for index, score in enumerate(scores) if score.value is not None]
    return vectors[-max(scored)[1]] if scored else None


def _by_candidate(trials: Iterable[TrialRecord]) -> dict[int, list[TrialRecord]]:
    result: dict[int, list[TrialRecord]] = {}
    for trial in trials:
        result.setdefault(trial.candidate.id, []).append(trial)
    return result
