"""Physical trials one after another, with the person's word after each: keep it, repeat it, skip it, pause, stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

from hardware.person import Person
from robotps.performing import TrialReport
from robotps.trial import Trial
from robotps.workers import InThisProcess

Result = TypeVar("Result")
PROMPT = "Enter keeps it, r repeats it, s skips it, p pauses, q saves and quits: "


class ByHand(InThisProcess):
    """Runs a trial at once, where it is asked for, and then asks the person."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._quitting = False

    def submit(self, task: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run it now; raises KeyboardInterrupt once the person wants to quit: the trial before is kept."""
        if self._quitting:
            raise KeyboardInterrupt
        future: Future[Result] = Future()
        future.set_result(self._until_kept(lambda: task(*args, **kwargs)))
        return future

    def _until_kept(self, run: Callable[[], Result]) -> Result:
        while True:
            result = run()
            report = result.trial if isinstance(result, TrialReport) else result
            if not isinstance(report, Trial):
                return result
            answer = self._judged(report)
            if answer == "s" and isinstance(result, TrialReport):
                return replace(result, trial=replace(report, ending="skipped", reason="by the person"))
            if answer != "r":
                return result

    def _judged(self, trial: Trial) -> str:
        told = f"{trial.ending}, {trial.speed:.3f} m/s" + (f" ({trial.reason})" if trial.reason else "")
        while True:
            answer = str(self._person.ask("confirm", f"{told}. {PROMPT}").get("text", "")).lower()[:1]
            if answer == "p":
                self._person.ask("pause", "paused, it lies down: Enter goes on ")
            elif answer in ("", "r", "s", "q"):
                self._quitting = answer == "q"
                return answer
