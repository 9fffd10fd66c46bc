"""What a tuning run found: the start and the best gait as they were run again, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robotps.gait import Gait
from robotps.parameters import ParameterSpace
from robotps.robot_effects import RobotEffects, estimate
from robotps.run import Run, TrialRecord
from robotps.scores import measurements, score_of
from robotps.settings import TuneSettings, search_space, settings_of


@dataclass(frozen=True)
class TuneResult:
    """What a run found: speeds are means over trials on fresh seeds, m/s, each with a 95 % interval (Student's t)."""

    gait: Gait
    trials: int
    initial_speed: float
    initial_speed_ci: tuple[float, float]
    best_speed: float
    best_speed_ci: tuple[float, float]
    improved: bool


def result_of(run: Run) -> TuneResult | None:
    """The result of a run, also of an unfinished one: the best gait that was run again, else the start.

    A gait that scores no better than the start when both are run again is no improvement: the start is kept.
    None where the start was not scored yet.
    """
    settings = settings_of(run)
    space = search_space(run.description, settings)
    start, best = run.trials("start"), run.trials("best")
    return conclude(settings, space, start, best, run.count(), run.trials() if _several(start + best) else [])


def conclude(
    settings: TuneSettings,
    space: ParameterSpace,
    start: list[TrialRecord],
    best: list[TrialRecord],
    count: int,
    every: list[TrialRecord],
) -> TuneResult | None:
    """The result that trials of the start and of the best gait, of `count` trials in all, lead to (see result_of).

    every: all trials: where several robots walked start and best, scores and speeds are those of an average robot.
    """
    compared = every if _several(start + best) else []
    effects = estimate(measurements(compared))
    on_speed = estimate(measurements(compared, "speed"))
    initial = score_of(start, effects, settings.tail)
    if initial.value is None:
        return None
    score = score_of(best, effects, settings.tail)
    another = bool(best) and not best[0].candidate.same_gait(start[0].candidate)
    improved = another and score.value is not None and score.value > initial.value
    trials = best if improved else start
    vector = trials[0].candidate.vector
    return TuneResult(
        gait=Gait(trials[0].candidate.family, space.values(vector)),
        trials=count,
        initial_speed=_speeds(start, on_speed)[0],
        initial_speed_ci=_speeds(start, on_speed)[1],
        best_speed=_speeds(trials, on_speed)[0],
        best_speed_ci=_speeds(trials, on_speed)[1],
        improved=improved,
    )


def _several(trials: list[TrialRecord]) -> bool:
    """Whether more than one robot walked them."""
    return len({trial.robot for trial in trials}) > 1


def _speeds(trials: list[TrialRecord], effects: RobotEffects) -> tuple[float, tuple[float, float]]:
    # in the order of repeats, not of their ends: a sum of floats depends on it in its last bit
    counted = sorted((trial for trial in trials if trial.score is not None), key=lambda trial: trial.repeat)
    speeds = [trial.metrics["speed"] - effects[trial.robot] for trial in counted]
    return mean_and_interval(speeds, effects.variance(trial.robot for trial in counted))


def mean_and_interval(values: Sequence[float], variance: float = 0.0) -> tuple[float, tuple[float, float]]:
    """Mean and its 95 % confidence interval (Student's t); an interval of one value is unbounded.

    variance: of an error that all values share, beyond their scatter.
    """
    from scipy.special import stdtrit  # Student's t quantile; scipy.stats takes a second to import

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, (-math.inf, math.inf)
    std_error = math.sqrt(float(np.var(values, ddof=1)) / len(values) + variance)
    half = float(stdtrit(len(values) - 1, 0.975)) * std_error
    return mean, (mean - half, mean + half)
