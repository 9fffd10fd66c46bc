"""Noisy hills to climb: standard test functions, in units of step, best score 1, start at 0.45."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from robotps.parameters import FloatArray, Parameter, ParameterSpace
from robotps.search import Score, Search

START = 0.45


def make_space(n: int, reach: float = 80.0) -> ParameterSpace:
    return ParameterSpace(tuple(Parameter(f"p{i}", "m", 0.0, 1.0, -reach, reach) for i in range(n)))


@dataclass(frozen=True)
class Hill:
    """score = max(0, 1 - 0.55 cost / cost(start)); past the edge, where it has one, the gait falls and scores 0."""

    cost: Callable[[FloatArray], FloatArray]
    n: int = 12
    edge: tuple[FloatArray, float] | None = None
    noise: float = 0.1

    def true(self, points: FloatArray) -> FloatArray:
        points = np.atleast_2d(points)
        start = self.cost(np.zeros((1, self.n)))[0]
        height = np.maximum(0, 1 - (1 - START) * self.cost(points) / start)
        if self.edge is not None:
            normal, distance = self.edge
            height = np.where(points @ normal > distance, 0.0, height)
        return height

    def scores(self, points: FloatArray, generator: np.random.Generator) -> list[Score]:
        """Measured with multiplicative noise and a little of its own."""
        height = self.true(points)
        factor = 1 + self.noise * generator.standard_normal(len(height))
        measured = height * factor + self.noise / 5 * generator.standard_normal(len(height))
        return [Score(float(value), fell=int(at == 0)) for value, at in zip(measured, height, strict=True)]

    def climb(self, search: Search, trials: int, seed: int) -> float:
        """The true score of what a search recommends after so many trials (the last iteration may be cut)."""
        generator = np.random.default_rng((1, seed))
        while trials > 0:
            candidates = search.ask()[:trials]
            search.tell(candidates, self.scores(candidates, generator))
            trials -= len(candidates)
        return float(self.true(search.recommended)[0])


def top(n: int, distance: float) -> FloatArray:
    """Where a hill is highest: so many steps from the start, in a direction of no parameter's own."""
    direction = np.random.default_rng(5).standard_normal(n)
    return distance * direction / np.linalg.norm(direction)


def sphere(n: int = 12, **options: float) -> Hill:
    return Hill(lambda x: ((x - top(n, 12)) ** 2).sum(axis=1), n, **options)  # type: ignore[arg-type]


def ellipsoid(n: int = 12, **options: float) -> Hill:
    """Rotated, condition 30."""
    rotation, _ = np.linalg.qr(np.random.default_rng(6).standard_normal((n, n)))
    scales = np.geomspace(1, 30, n)
    return Hill(lambda x: (((x - top(n, 16)) @ rotation) ** 2) @ scales, n, **options)  # type: ignore[arg-type]


def rosenbrock(n: int = 12, **options: float) -> Hill:
    """The curved valley, its floor rising slowly from the start; 60 steps are one of its units."""

    def cost(x: FloatArray) -> FloatArray:
        z = x / 60
        return (100 * (z[:, 1:] - z[:, :-1] ** 2) ** 2 + (1 - z[:, :-1]) ** 2).sum(axis=1)

    return Hill(cost, n, **options)  # type: ignore[arg-type]


def cliff(n: int = 12, **options: float) -> Hill:
    """The sphere on a plateau of zero, and a cliff two steps behind the top."""
    summit = top(n, 12)
    normal = summit / np.linalg.norm(summit)
    return Hill(
        lambda x: ((x - summit) ** 2).sum(axis=1),
        n,
        (normal, 14.0),
        **options,
    )


HILLS = {"sphere": sphere, "ellipsoid": ellipsoid, "rosenbrock": rosenbrock, "cliff": cliff}


@pytest.fixture
def hills() -> dict[str, Callable[..., Hill]]:
    return dict(HILLS)


@pytest.fixture
def space() -> ParameterSpace:
    return make_space(12)


@pytest.fixture
def spaces() -> Callable[..., ParameterSpace]:
    return make_space
