"""The gap between a simulated world and reality over the same gaits: paired, measured, and put into words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.gap_measures import FEWEST, Estimate, measure_gap
from calibration.logged import LoggedTrial
from calibration.moments import States, states_of
from calibration.prediction import Lemma, Prediction, predict, simulation_lemma
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait
from robotps.parameters import FloatArray
from robotps.robot import Robot, Telemetry
from robotps.trial import run_trial
from sim.world import World

OpenRobot = Callable[[Mapping[str, Any] | None, int], AbstractContextManager[Robot]]
DrawWorld = Callable[[int], Mapping[str, Any] | None]

SMALL, LARGE = 0.1, 0.3
"""Root mean square error of speed, as a share of the speed, up to which a gap is small, and from which it is large."""
IN_ORDER = 0.8
"""Rank correlation from which simulation is said to order the gaits as reality does."""
PREDICTED = 6
"""Trials along whose trajectories the simulation predicts, at most: one of a gait, the gaits spread over the speeds."""


@dataclass(frozen=True)
class GaitPair:
    """One gait in both: its real trials, and the speeds of its simulated ones, m/s. telemetry: of one of these."""

    gait: Gait
    trials: Sequence[LoggedTrial]
    simulated: FloatArray
    telemetry: Telemetry | None

    @property
    def real(self) -> FloatArray:
        return np.array([trial.speed for trial in self.trials], dtype=np.float64)


@dataclass(frozen=True)
class Gap:
    """measures: by name (None for fewer than two gaits). prediction, lemma: None where no trial's states are known."""

    pairs: Sequence[GaitPair]
    measures: Mapping[str, Estimate] | None
    prediction: Prediction | None
    lemma: Lemma | None
    joint_names: Sequence[str]

    @property
    def relative_error(self) -> float:
        """Root mean square error of the gaits' mean speeds, as a share of the real ones' root mean square."""
        simulated = np.array([pair.simulated.mean() for pair in self.pairs])
        real = np.array([pair.real.mean() for pair in self.pairs])
        return float(np.sqrt(((simulated - real) ** 2).mean() / max(float((real**2).mean()), 1e-12)))

    @property
    def size(self) -> str:
        """small, moderate or large."""
        return "small" if self.relative_error <= SMALL else "moderate" if self.relative_error < LARGE else "large"

    def worst_joints(self) -> list[tuple[str, float]]:
        """Joints by the error with which they are predicted the furthest ahead, rad, the worst first."""
        if self.prediction is None:
            return []
        errors = zip(self.joint_names, self.prediction.joints[-1].tolist(), strict=True)
        return sorted(errors, key=lambda entry: -entry[1])

    def worst_quantities(self) -> list[tuple[str, float]]:
        """Quantities by their error the furthest ahead as a share of how much they moved, the worst first."""
        if self.prediction is None:
            return []
        return sorted(((n, float(s[-1])) for n, s in self.prediction.shares.items()), key=lambda entry: -entry[1])


def gap_of(
    description: RobotDescription,
    trials: Sequence[LoggedTrial],
    *,
    open_robot: OpenRobot,
    draw_world: DrawWorld,
    nominal: World,
    repeats: int = 3,
    seed: int = 0,
    tell: Callable[[GaitPair], None] = lambda pair: None,
) -> Gap:
    """Simulate the gaits of physical trials again and compare.

    draw_world: the world of each simulated trial by its seed; nominal: the one that predicts along real trajectories.
    tell: called with each pair as it is known. Raises RobotpsError where no trial is of a gait and has a speed.
    """
    pairs = []
    for gait, own in _by_gait(trials):
        speeds, telemetry = [], None
        for repeat in range(repeats):
            # the same worlds for every gait: common random numbers, or worlds would pass for differences of gaits
            own_seed = int(np.random.SeedSequence((seed, repeat)).generate_state(1)[0])
            with open_robot(draw_world(own_seed), own_seed) as robot:
                trial, motion = run_trial(robot, gait, own[0].settings)
            telemetry = telemetry or motion
            if trial.ending != "fault":
                speeds.append(trial.speed)
        if speeds:
            pairs.append(GaitPair(gait, own, np.array(speeds), telemetry))
            tell(pairs[-1])
    if not pairs:
        raise RobotpsError("no physical trial of a gait has a speed that simulation could be compared with")
    measures = None
    if len(pairs) > 1:
        measures = measure_gap([pair.simulated for pair in pairs], [pair.real for pair in pairs], seed=seed)
    states = _walked(description, pairs)
    return Gap(
        pairs=pairs,
        measures=measures,
        prediction=predict(description, nominal, states) if states else None,
        lemma=simulation_lemma(description, nominal, states) if states else None,
        joint_names=description.joint_names,
    )


def _by_gait(trials: Sequence[LoggedTrial]) -> list[tuple[Gait, list[LoggedTrial]]]:
    """Trials with a speed, gait by gait (of the same length), in the order in which each gait came first."""
    groups: dict[tuple[Any, ...], list[LoggedTrial]] = {}
    for trial in trials:
        if trial.gait is not None and trial.speed is not None:
            key = (trial.gait.family, tuple(sorted(trial.gait.parameters.items())), trial.settings.model_dump_json())
            groups.setdefault(key, []).append(trial)
    return [(group[0].gait, group) for group in groups.values() if group[0].gait is not None]


def _walked(description: RobotDescription, pairs: Sequence[GaitPair]) -> list[States]:
    """The states of one trial of some gaits, from the slowest gait to the fastest."""
    ordered = sorted(pairs, key=lambda pair: float(pair.real.mean()))
    chosen = sorted({round(index) for index in np.linspace(0, len(ordered) - 1, min(PREDICTED, len(ordered)))})
    found = (states_of(description, ordered[index].trials[0].telemetry) for index in chosen)
    return [states for states in found if states is not None]


def in_words(gap: Gap) -> list[str]:
    """What a person should know of a gap, the most important first."""
    lines = [f"the gap is {gap.size}: simulated speeds are off by {gap.relative_error:.0%} of the real ones"]
    measures = gap.measures
    if measures is not None:
        bias, order = measures["bias"], measures["spearman"]
        side = "faster" if bias.value > 0 else "slower"
        sure = "" if bias.low > 0 or bias.high < 0 else ", which may be chance"
        lines.append(f"simulation is {abs(bias.value):.3f} m/s {side} ({_interval(bias)}{sure})")
        if np.isfinite(order.value):
            said = "orders the gaits as reality does" if order.value >= IN_ORDER else "orders the gaits differently"
            lines.append(f"simulation {said}: rank correlation {order.value:.2f} ({_interval(order)})")
        regret = measures["regret_at_1"]
        lines.append(f"the gait it likes best is {regret.value:.3f} m/s slower than the best real one")
    if gap.prediction is not None:
        joints = ", ".join(f"{name} {error:.3f} rad" for name, error in gap.worst_joints()[:3])
        ahead = len(gap.prediction.joints)
        lines.append(f"{ahead} control periods ahead the worst joints are {joints}")
        moved = ", ".join(f"{name} {share:.0%}" for name, share in gap.worst_quantities())
        lines.append(f"errors as a share of what moved meanwhile: {moved}")
    else:
        lines.append(
            "nothing can be predicted along these trials: that takes joints and the body's pose in the log (--odometer "
            "stream tracks it), for 20 control periods at least"
        )
    if gap.lemma is not None:
        lemma = gap.lemma
        lines.append(
            f"simulation lemma: value gap {lemma.value_gap:+.3f}, by one-step disagreement "
            f"{lemma.by_disagreement:+.3f}, bound {lemma.bound:.1f} (held in {lemma.held} of {lemma.windows} windows)"
        )
    return lines


def _interval(estimate: Estimate) -> str:
    if not np.isfinite(estimate.low):
        return f"{FEWEST} gaits or more would tell how sure that is"
    return f"95 % interval {estimate.low:.3f} to {estimate.high:.3f}"
