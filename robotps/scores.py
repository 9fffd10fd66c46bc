"""What a candidate's trials say together: its score, and what they tell about the robots that walked them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from robotps.parameters import FloatArray
from robotps.robot_effects import Measurement, RobotEffects
from robotps.run import TrialRecord
from robotps.search.search import Score


def score_of(trials: Iterable[TrialRecord], effects: RobotEffects | None = None, tail: float = 1.0) -> Score:
    """What the trials of one candidate said together; trials without a score do not count.

    effects: of the robots that walked them, taken off. tail: see `worst`; the standard error of such a mean is that of
    Manistre & Hancock, "Variance of the CTE Estimator" (North American Actuarial Journal 9(2), 2005).
    """
    effects = effects or RobotEffects()
    trials = sorted(trials, key=lambda trial: trial.repeat)
    counted = [trial for trial in trials if trial.score is not None]
    unreachable = max((trial.metrics.get("unreachable", 1.0) for trial in trials), default=1.0)
    if not counted:
        return Score(None, trials=0, unreachable=unreachable)
    values = np.array([(trial.score or 0.0) - effects[trial.robot] for trial in counted])
    lower = worst(values, tail)
    value, std_error = float(lower.mean()), None
    if len(lower) > 1:
        left_out = 1.0 - len(lower) / len(values)
        variance = lower.var(ddof=1) + (left_out * (value - lower.max()) ** 2 if left_out else 0.0)
        std_error = float(np.sqrt(variance / len(lower)))
    return Score(
        value=value,
        std_error=std_error,
        trials=len(counted),
        fell=sum(trial.ending == "fell" for trial in counted),
        unreachable=unreachable,
    )


def worst(scores: FloatArray, tail: float) -> FloatArray:
    """The share `tail` of scores that are the lowest, but at least one; all of them, as they are, where it is 1.

    Their mean is the conditional value at risk (Rockafellar & Uryasev 2000).
    """
    return scores if tail == 1.0 else np.sort(scores)[: max(1, round(tail * len(scores)))]


def measurements(trials: Iterable[TrialRecord], quantity: str | None = None) -> list[Measurement]:
    """What trials that count tell about their robots, in an order of its own: scores, or one of the metrics."""
    return [
        Measurement(
            (trial.candidate.stage, trial.candidate.iteration),
            trial.candidate.id,
            trial.robot,
            trial.score if quantity is None else float(trial.metrics[quantity]),
        )
        for trial in sorted(trials, key=lambda trial: (trial.candidate.id, trial.repeat))
        if trial.score is not None
    ]
