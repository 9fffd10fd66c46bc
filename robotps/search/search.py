"""What every policy search has in common: candidates are asked for, their scores are told.

A search is a pure function of what it was told: `ask` changes nothing, and the randomness of iteration g comes from
`SeedSequence((seed, g))`. Telling a new search the same candidates and scores therefore rebuilds it exactly, which is
how an interrupted run is resumed (nothing is pickled, nothing is asked twice).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace

ROUNDED = 1e-9
"""Steps; what is nearer than this is the same, worked out by another processor."""


@dataclass(frozen=True)
class Score:
    """What the trials of one candidate said; higher is better.

    value: mean objective over the trials that counted, or None where none did (every attempt was refused or faulty).
    std_error: standard error of that mean, None where one trial cannot tell.
    trials: number of trials behind the mean. fell: how many of them ended in a fall (their score is already the
    distance made before the fall over the full duration).
    unreachable: fraction of the commanded foot locus out of the legs' reach.
    """

    value: float | None
    std_error: float | None = None
    trials: int = 1
    fell: int = 0
    unreachable: float = 0.0

    def __post_init__(self) -> None:
        if self.value is not None and not np.isfinite(self.value):
            raise ValueError(
                f"a score is a finite number, or None for a candidate that could not be scored: {self.value}"
            )

    @property
    def comparable(self) -> float:
        """For comparisons, never for arithmetic: the value, or minus infinity where there is none."""
        return -np.inf if self.value is None else self.value


def ranking(scores: Sequence[Score]) -> list[int]:
    """Indices of the candidates, best first; one that could not be scored (value None) is worse than any that fell."""
    return sorted(range(len(scores)), key=lambda i: scores[i].comparable, reverse=True)


def scored(candidates: FloatArray, scores: Sequence[Score]) -> tuple[FloatArray, FloatArray]:
    """The candidates (k, n) that have a value, and their values (k,).

    A method that does arithmetic on values leaves the others out: they say where not to go, not how bad it is there.
    """
    values = [(i, score.value) for i, score in enumerate(scores) if score.value is not None]
    return candidates[[i for i, _ in values]], np.array([value for _, value in values])


def moved_from(centre: FloatArray, candidates: FloatArray) -> FloatArray:
    """How far recorded candidates (m, n) are from a centre (n,); 0 where it is what another machine may round off."""
    moved = candidates - centre
    moved[np.abs(moved) < ROUNDED] = 0.0
    return moved


def mirrored(generator: np.random.Generator, count: int, n: int) -> FloatArray:
    """Standard normal vectors, shape (count, n), each followed by its mirror image (antithetic samples)."""
    half: FloatArray = generator.standard_normal(((count + 1) // 2, n))
    return np.stack([half, -half], axis=1).reshape(-1, n)[:count]


def at_least(argument: str, value: float, minimum: float) -> None:
    """Raises ValueError where an option is too small (or not a number)."""
    if not value >= minimum:
        raise ValueError(f"{argument} must be at least {minimum:g}, it is {value:g}")


def above(argument: str, value: float, minimum: float) -> None:
    """Raises ValueError where an option is not above a limit (or not a number)."""
    if not value > minimum:
        raise ValueError(f"{argument} must be above {minimum:g}, it is {value:g}")


class Search(ABC):
    """Base of all searches. Candidates are vectors of the space, in units of step, inside its bounds.

    A subclass says what to try (`_propose`), what it learns (`_learn`) and what it would recommend (`recommended`).
    """

    name: ClassVar[str]
    asynchronous: ClassVar[bool] = False
    """Whether an iteration's candidates may be asked before those of the iterations before it are told."""
    races: bool = True
    """Whether an iteration's candidates compete, so that a race may decide how many trials each of them needs."""

    def __init__(self, space: ParameterSpace, *, seed: int = 0) -> None:
        if len(space) == 0:
            raise ValueError("every parameter is frozen: there is nothing to search")
        self.space = space
        self.seed = seed
        self.iteration = 0
        self.start: FloatArray = np.zeros(len(space))

    def ask(self, ahead: int = 0) -> FloatArray:
        """The candidates of this iteration, shape (m, n). Asking again before telling gives the same ones.

        ahead: those of a later iteration, as this search would try them knowing no more than now; raises ValueError
        where it is not asynchronous.
        """
        if ahead and not self.asynchronous:
            raise ValueError(f"{self.name} asks for an iteration only when it was told the one before it")
        generator = np.random.default_rng(np.random.SeedSequence((self.seed, self.iteration + ahead)))
        return self.clip(self._propose(generator))

    def tell(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        """Learn from scored candidates, shape (m, n): those of the last `ask`, or recorded ones to rebuild a search.

        Raises ValueError where they do not fit the space or each other.
        """
        candidates = np.array(candidates, dtype=np.float64)
        if candidates.ndim != 2 or candidates.shape[1] != len(self.space):
            raise ValueError(
                f"candidates have shape (m, {len(self.space)}), not {candidates.shape}: tell what ask gave"
            )
        if len(candidates) == 0 or len(candidates) != len(scores):
            raise ValueError(f"one score a candidate: {len(candidates)} candidates came with {len(scores)} scores")
        if not np.isfinite(candidates).all():
            raise ValueError("candidates must be finite: tell what ask gave")
        if (candidates != self.clip(candidates)).any():
            raise ValueError("candidates must lie inside the space's bounds: tell what ask gave, of the same space")
        self._learn(candidates, scores)
        self.iteration += 1

    def clip(self, candidates: FloatArray) -> FloatArray:
        """Candidates moved to the nearest point inside the bounds."""
        return np.clip(candidates, self.space.lower, self.space.upper)

    @property
    @abstractmethod
    def recommended(self) -> FloatArray:
        """The gait this search would settle on now, shape (n,): a centre or a mean, never a single lucky trial."""

    @abstractmethod
    def _propose(self, generator: np.random.Generator) -> FloatArray: ...

    @abstractmethod
    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None: ...
