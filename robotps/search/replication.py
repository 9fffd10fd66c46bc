"""Which gaits deserve another trial: a race that ends for a gait as soon as noise cannot change its place.

V. Heidrich-Meisner and C. Igel, "Hoeffding and Bernstein Races for Selecting Policies in Evolutionary Direct Policy
Search", ICML 2009; here with Student's t and the noise pooled over all gaits, which share one robot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robotps.search.search import above, at_least


@dataclass(frozen=True)
class Scatter:
    """What repeats have shown of the noise: variance of one trial, and its degrees of freedom (0: nothing yet)."""

    variance: float = 0.0
    freedom: int = 0

    @classmethod
    def of(cls, values: Sequence[Sequence[float]]) -> Scatter:
        """Pooled over gaits, from the values of each one's trials."""
        freedom = sum(len(trials) - 1 for trials in values if len(trials) > 1)
        squares = sum(float(np.var(trials)) * len(trials) for trials in values if len(trials) > 1)
        return cls(squares / freedom if freedom else 0.0, freedom)

    def __add__(self, other: Scatter) -> Scatter:
        freedom = self.freedom + other.freedom
        squares = self.variance * self.freedom + other.variance * other.freedom
        return Scatter(squares / freedom if freedom else 0.0, freedom)


@dataclass(frozen=True)
class Race:
    """Give trials to gaits until it is clear which are the `best` ones.

    best: how many are to be told from the rest. least, most: trials of a gait. confidence: that one gait is on the
    right side of the line between the best and the rest, by Student's t.
    """

    best: int
    least: int = 2
    most: int = 6
    confidence: float = 0.9

    def __post_init__(self) -> None:
        at_least("best", self.best, 1)
        at_least("least", self.least, 1)
        at_least("most", self.most, self.least)
        above("confidence", self.confidence, 0)
        if self.confidence >= 1:
            raise ValueError(f"confidence must be below 1, it is {self.confidence:g}")

    def undecided(self, values: Sequence[Sequence[float] | None], earlier: Scatter | None = None) -> list[int]:
        """Indices of the gaits that get one more trial each; none when the race is over.

        values: of the trials of each gait so far, in any number; None for a gait that cannot be scored, which gets no
        more. earlier: the noise as repeats of earlier races showed it. A function of its arguments alone.
        """
        from scipy.special import stdtrit  # Student's t quantile

        running = [index for index, trials in enumerate(values) if trials is not None]
        known = [trials for trials in values if trials is not None]
        started = [index for index, trials in zip(running, known, strict=True) if len(trials) < self.least]
        if started:
            return started
        if len(known) <= self.best:
            return []
        scatter = Scatter.of(known) + (earlier or Scatter())
        means = [float(np.mean(trials)) for trials in known]
        ordered = sorted(means, reverse=True)
        line = (ordered[self.best - 1] + ordered[self.best]) / 2
        margin = math.inf  # of one trial; nothing is known of the noise before anything was repeated
        if scatter.freedom > 0:
            margin = float(stdtrit(scatter.freedom, (1 + self.confidence) / 2)) * math.sqrt(scatter.variance)
        return [
            index
            for index, trials, mean in zip(running, known, means, strict=True)
            if len(trials) < self.most and abs(mean - line) <= margin / math.sqrt(len(trials))
        ]
