"""When to stop a search: rules that look at what was tried and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from robotps.errors import RobotpsError
from robotps.search.search import above, at_least


@dataclass(frozen=True)
class History:
    """What was tried so far. iterations: for each one the scores of its trials that counted.

    trials: how many were run, also those that did not count. seconds: how long the robot was busy with them.
    speeds: m/s, of the latest iteration's trials that counted.
    """

    iterations: Sequence[Sequence[float]] = field(default_factory=list)
    trials: int = 0
    seconds: float = 0.0
    speeds: Sequence[float] = ()


StopRule = Callable[[History], str]
"""Why to stop now, or nothing."""


@dataclass(frozen=True)
class Trials:
    """Stop when so many trials were run."""

    limit: float

    def __post_init__(self) -> None:
        at_least("trials", self.limit, 1)

    def __call__(self, history: History) -> str:
        return f"{history.trials} trials were run" if history.trials >= self.limit else ""


@dataclass(frozen=True)
class Minutes:
    """Stop when the robot was busy for so long."""

    limit: float

    def __post_init__(self) -> None:
        above("minutes", self.limit, 0)

    def __call__(self, history: History) -> str:
        minutes = history.seconds / 60
        return f"the robot was busy for {minutes:.1f} min" if minutes >= self.limit else ""


@dataclass(frozen=True)
class Speed:
    """Stop when the gaits of an iteration reach a speed, m/s, on average; one lucky trial does not count."""

    target: float

    def __call__(self, history: History) -> str:
        if len(history.speeds) == 0:
            return ""
        mean = float(np.mean(history.speeds))
        return f"the last iteration walked {mean:.3g} m/s on average" if mean >= self.target else ""


@dataclass(frozen=True)
class NoGain:
    """Stop when the last n iterations are not significantly better than the n before (one-sided Mann-Whitney U).

    A rank test, because falls make the scores anything but normal. The more iterations, the smaller the gain it sees;
    where so few scores could show none at all, it goes on. It also stops where none of the 2 n had a score.
    """

    iterations: float
    significance: float = 0.05

    def __post_init__(self) -> None:
        at_least("no-gain", self.iterations, 2)
        if self.iterations != int(self.iterations):
            raise ValueError(f"no-gain is a whole number of iterations, not {self.iterations:g}")

    def __call__(self, history: History) -> str:
        n = int(self.iterations)
        if len(history.iterations) < 2 * n:
            return ""
        before = np.concatenate([np.asarray(scores, dtype=float) for scores in history.iterations[-2 * n : -n]])
        after = np.concatenate([np.asarray(scores, dtype=float) for scores in history.iterations[-n:]])
        if len(before) == len(after) == 0:
            return f"nothing was scored in the last {2 * n} iterations"
        # the smallest p that so many scores can have: every one after above every one before
        if 1 / math.comb(len(before) + len(after), len(after)) >= self.significance:
            return ""
        from scipy.stats import mannwhitneyu

        p = float(mannwhitneyu(after, before, alternative="greater").pvalue)
        return "" if p < self.significance else f"no gain in the last {n} iterations (Mann-Whitney p = {p:.2f})"


RULES: dict[str, Callable[[float], StopRule]] = {
    "trials": Trials,
    "minutes": Minutes,
    "speed": Speed,
    "no-gain": NoGain,
}


SURE = ("trials", "minutes")
"""Rules that end a search whatever it finds: a speed may never be reached, and few scores may never show no gain."""


def stop_rule(text: str) -> StopRule:
    """A rule as a person writes it, RULE=NUMBER: trials=200, minutes=90, speed=0.3 or no-gain=5.

    Raises RobotpsError naming what was expected.
    """
    name, _, number = text.partition("=")
    try:
        rule, limit = RULES[name.strip()], float(number)
        if not math.isfinite(limit):
            raise ValueError("a finite number")
        return rule(limit)
    except KeyError:
        raise RobotpsError(f"no stop rule is called '{name}': known are {', '.join(RULES)}") from None
    except ValueError as error:
        raise RobotpsError(f"stop rule '{text}': expected RULE=NUMBER, as in trials=200 ({error})") from None
