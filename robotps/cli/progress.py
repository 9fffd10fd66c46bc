"""What a person sees while a run is tuned: how far, how fast, how good so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from robotps.cli.options import answer, console, say
from robotps.errors import RobotpsError
from robotps.run import Run, TrialRecord
from robotps.scores import score_of
from robotps.tuning import Progress

NAMES = {"start": "the start", "search": "searching", "finalist": "finalists again", "best": "the best again"}


class TuningProgress:
    """A progress bar on stderr, and a line for each iteration; called with the progress after every trial."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} trials"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            console=console(),
        )
        self._task = self._bar.add_task("getting ready", total=None, rate="", best="")
        self._iteration = -1
        self._best: float | None = None
        self._first = 0

    def __enter__(self) -> TuningProgress:
        say(f"run    {self._run.path}")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop drawing."""
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show the progress after a trial."""
        candidate = progress.latest.candidate
        if candidate.stage == "search" and candidate.iteration > self._iteration:
            if self._iteration >= 0:
                self._tell_iteration()
            self._iteration = candidate.iteration
        elif candidate.stage != "search" and self._iteration >= 0:
            self._tell_iteration()
            self._iteration = -1
        if self._bar.tasks[0].total is None:
            self._first = progress.done - 1
            self._bar.reset(self._task, total=progress.expected)
        elapsed = self._bar.tasks[0].elapsed or 0.0
        rate = (progress.done - self._first) / elapsed if elapsed > 0 else 0.0
        self._bar.update(
            self._task,
            description=NAMES[candidate.stage],
            completed=progress.done,
            total=progress.expected,
            rate=f"{rate:.1f}/s",
            best="" if self._best is None else f"best so far {self._best:.3f}",
        )

    def _tell_iteration(self) -> None:
        records = self._run.trials("search", self._iteration)
        groups: dict[int, list[TrialRecord]] = {}
        for record in records:
            groups.setdefault(record.candidate.id, []).append(record)
        values = [score.value for score in map(score_of, groups.values()) if score.value is not None]
        if not values:
            return
        mean, best = sum(values) / len(values), max(values)
        self._best = best if self._best is None else max(self._best, best)
        say(f"iteration {self._iteration + 1:3d}: mean score {mean:.3f}, best {best:.3f}")


@contextmanager
def showing(run: Run, conclude: Callable[[Run], dict[str, Any] | None], json: bool) -> Iterator[TuningProgress]:
    """Progress while a run goes on; however that ends, `conclude` tells what was found."""
    with TuningProgress(run) as progress:
        try:
            yield progress
        except BaseException:
            progress.close()
            with suppress(RobotpsError):  # what stopped the run is the news
                conclude(run)
            raise
    result = conclude(run)
    if result is None:
        last = run.trials()[-1:]
        why = f": {last[0].ending}, {last[0].metrics.get('reason', '')}" if last else ""
        raise RobotpsError(f"{run.path}: no trial of the gait begun with counted{why}")
    if json:
        answer(result)
