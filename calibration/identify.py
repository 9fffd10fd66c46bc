"""Identification: which simulated world explains what a physical robot did.

Three stages, each with the one before as its prior: the servos (and how the trunk leans there) from motions on a stand;
the joints' zeros from feet that stood on the floor; body and floor from short shots along motions on the floor. Without
motions on a stand the last one also fits the servos.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from calibration.battery import battery_of
from calibration.fit import INFORMATIVE, Estimate, fit, rms, scanned
from calibration.floor_problem import FloorProblem
from calibration.grid import Grid, on_grid
from calibration.identification import NORMAL_95, Identification, IdentifiedParameter, distributions
from calibration.logged import LoggedTrial
from calibration.shots import Shot, shots_of
from calibration.speeds import speed_error
from calibration.stance import joint_zeros
from calibration.stand_problem import StandProblem
from calibration.unknowns import (
    NUISANCES,
    Unknown,
    believed,
    body_unknowns,
    servo_unknowns,
    sink_unknown,
    stand_unknowns,
    with_values,
)
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray
from sim.randomization import Randomization
from sim.world import World

HOLD_OUT = 4
"""Every so manieth motion of a kind is kept apart to judge the fit; the last one where there are fewer (but two)."""
SHOTS = 36
SHOTS_HELD_OUT = 16
FEWEST = 2
"""Shots of a trial that is used at all."""
MOTIONS = 8
"""Motions, at most, whose feet are looked at, or whose speeds are predicted."""
BY_CONTACTS, THROUGH_CONTACTS = 2.0, 6.0
"""How much farther off the simulator's own errors are where there is no motion on a stand: of body and floor, which are
fitted together with the servos then, and of the servos, which are seen through contacts only."""
COARSE = 12
"""Segments on which several starts are compared."""
STARTS = 3
LATENCY_STEP = 0.002
"""s; a part of any control period. A wrong latency fits better by a wrong gain than by a somewhat less wrong one."""

Tell = Callable[[str], None]

_NOTHING_TO_JUDGE = "no motion is left to judge the fit by: log two of a kind (on the stand, on the floor)"


def identify(
    description: RobotDescription,
    trials: Sequence[LoggedTrial],
    prior: World | None = None,
    belief: Randomization | None = None,
    *,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Tell = lambda text: None,
) -> Identification:
    """Fit a world to logged trials.

    prior: where to begin and what unidentified parameters keep. belief: what is known of it: distributions around the
    prior, whose means take its place, and whose spreads say how sure they are.
    executor: where worlds are simulated (None: here). progress: told what is being done. The same trials, prior and
    seed give the same result. Raises RobotpsError where the trials cannot tell anything: no joint positions, or
    neither a motion on a stand nor one in which the body was tracked.
    """
    return _Fitting(description, prior or World(), belief, seed, executor, progress).run(trials)


class _Fitting:
    def __init__(
        self,
        description: RobotDescription,
        base: World,
        belief: Randomization | None,
        seed: int,
        executor: Executor | None,
        tell: Tell,
    ) -> None:
        self.description = description
        self.seed = seed
        self.executor = executor
        self.tell = tell
        unknowns = [*servo_unknowns(description, base), *body_unknowns(base)]
        if belief is not None:
            plain, unknowns = unknowns, believed(unknowns, belief)
            # the means take the base's place, around which nothing may then be drawn any more
            belief = belief.absolute(description, base)
            means = {own.name: own.prior for own, one in zip(unknowns, plain, strict=True) if own.prior != one.prior}
            base = with_values(base, means)
        self.base = base
        self.belief = belief
        self.priors = {unknown.name: unknown for unknown in unknowns}
        self.now = dict(self.priors)
        """What is believed of each parameter after the stages so far."""
        self.found: dict[str, IdentifiedParameter] = {}

    def run(self, trials: Sequence[LoggedTrial]) -> Identification:
        fitted, held_out = split(trials)
        if not held_out:
            raise RobotpsError(_NOTHING_TO_JUDGE)
        stand = self._grids([trial for trial in fitted if trial.on_stand])
        floor = [trial for trial in fitted if not trial.on_stand]
        shots = self._shots(floor, SHOTS)
        if not stand and not shots:
            raise RobotpsError(
                "these trials tell too little: identification needs motions on a stand (--excite), or trials in which "
                "an odometer tracked the body (--odometer stream)"
            )
        zeros = None
        if stand:
            zeros = self._fit_servos(stand)
        self._fit_zeros(floor, zeros)
        if shots:
            self._fit_body(shots, with_servos=not stand)
        self.found |= battery_of(self.description, self.base, [*stand, *self._grids(floor)], self._values())
        for name, unknown in self.priors.items():
            self.found.setdefault(name, _untouched(unknown))
        world = with_values(self.base, self._values())
        before, after = self._judge(held_out, world)
        accepted = after < before
        if not accepted:
            self.tell("the fit explains held-out trials no better than the prior does: it is not accepted")
        ordered = {name: self.found[name] for name in (*self.priors, *self.found)}
        known = [self.priors.get(name) or _of_battery(parameter) for name, parameter in ordered.items()]
        gaits = thinned([t for t in held_out if t.gait is not None and t.speed is not None], MOTIONS)
        return Identification(
            world=world if accepted else self.base,
            randomization=distributions(known, ordered if accepted else {}, self.belief),
            parameters=ordered,
            residual_before=before,
            residual_after=after,
            accepted=accepted,
            trials=[trial.name for trial in fitted],
            held_out=[trial.name for trial in held_out],
            speed_error_before=speed_error(self.description, gaits, self.base),
            speed_error_after=speed_error(self.description, gaits, world),
        )

    def _fit_servos(self, grids: Sequence[Grid]) -> FloatArray:
        """The covariance of the joints' zeros that motions on a stand leave."""
        unknowns = [
            u for u in self.now.values() if u.name.startswith(("servo.", "joints.")) and "backlash" not in u.name
        ]
        unknowns += [*stand_unknowns(), self.now["body.mass_scale"]]
        self.tell(f"servos: {len(unknowns)} parameters from {len(grids)} motions on the stand")
        coarse = StandProblem(self.description, grids, unknowns, COARSE)
        begin = scanned(coarse, "servo.latency_s", LATENCY_STEP)
        first = fit(coarse, seed=self.seed, starts=STARTS, notify=self.tell, nfev=6, begin=begin, refine=False)
        estimate = fit(StandProblem(self.description, grids, unknowns), begin=first.values, notify=self.tell)
        self._learn(estimate)
        self._share_strength()
        return _covariance(estimate, self._zero_names())

    def _fit_zeros(self, trials: Sequence[LoggedTrial], covariance: FloatArray | None) -> None:
        """From motions that lift no foot, or from gaits where there are no others."""
        still = thinned([trial for trial in trials if trial.gait is None] or trials, MOTIONS)
        grids = [grid for grid in self._grids(still) if grid.base_position is not None and grid.orientation is not None]
        if not grids:
            return
        unknowns = [self.now[name] for name in self._zero_names()]
        unknowns += [self.now["servo.backlash_rad"], sink_unknown()]
        belief = np.diag([u.spread**2 for u in unknowns])
        if covariance is not None:
            belief[: len(covariance), : len(covariance)] = covariance
        self.tell(f"joint zeros from standing feet in {len(grids)} motions")
        self._learn(joint_zeros(self.description, grids, unknowns, belief))

    def _fit_body(self, shots: Sequence[Shot], with_servos: bool) -> None:
        unknowns = [unknown for unknown in self.now.values() if unknown.name.startswith(("body.", "floor."))]
        if with_servos:
            unknowns = [replace(u, discrepancy=BY_CONTACTS * u.discrepancy) for u in unknowns]
            servos = [u for u in self.now.values() if u.name.startswith("servo.") and "backlash" not in u.name]
            unknowns += [replace(u, discrepancy=THROUGH_CONTACTS * u.discrepancy) for u in servos]
        self.tell(f"body and floor: {len(unknowns)} parameters from {len(shots)} shots of {len(shots[0].sent)} periods")
        world = with_values(self.base, self._values())
        problem = FloorProblem(self.description, shots, unknowns, world, self.executor)
        begin = scanned(problem, "servo.latency_s", LATENCY_STEP) if with_servos else None
        self._learn(fit(problem, seed=self.seed, notify=self.tell, nfev=4, rounds=1, begin=begin))

    def _learn(self, estimate: Estimate) -> None:
        """Take over what a stage found, and let the next begin there."""
        for i, unknown in enumerate(estimate.unknowns):
            if unknown.name in NUISANCES:
                continue
            first = self.priors[unknown.name]
            value, deviation = float(estimate.values[i]), float(estimate.deviation[i])
            informative = bool(deviation < INFORMATIVE * first.spread)
            at_bound = bool(estimate.at_bound[i])
            parameter = IdentifiedParameter(
                name=unknown.name,
                unit=unknown.unit,
                prior=first.prior,
                value=value if informative and not at_bound else first.prior,
                low=max(value - NORMAL_95 * deviation, unknown.lower),
                high=min(value + NORMAL_95 * deviation, unknown.upper),
                at_bound=at_bound,
                informative=informative,
            )
            self.found[unknown.name] = parameter
            if parameter.identified:
                self.now[unknown.name] = replace(unknown, prior=value, spread=deviation)

    def _share_strength(self) -> None:
        """What all joints have in common is the servos' strength: the joints' own then have a mean of 1.

        That can only be said of all of them: what is left at its prior is not touched.
        """
        common = self.found["servo.strength_scale"]
        own = [self.found[f"joints.{name}.strength_scale"] for name in self.description.joint_names]
        if not all(parameter.identified for parameter in (common, *own)):
            return
        mean = float(np.mean([parameter.value for parameter in own]))
        for factor, parameters in ((mean, [common]), (1.0 / mean, own)):
            for parameter in parameters:
                scaled = replace(
                    parameter,
                    value=parameter.value * factor,
                    low=parameter.low * factor,
                    high=parameter.high * factor,
                )
                self.found[parameter.name] = scaled
                self.now[parameter.name] = replace(self.now[parameter.name], prior=scaled.value)

    def _values(self) -> dict[str, float]:
        return {name: parameter.value for name, parameter in self.found.items() if parameter.identified}

    def _zero_names(self) -> list[str]:
        return [f"joints.{name}.zero_offset_rad" for name in self.description.joint_names]

    def _grids(self, trials: Sequence[LoggedTrial]) -> list[Grid]:
        grids = (on_grid(trial.telemetry, self.description.control_period) for trial in trials)
        return [grid for grid in grids if grid is not None]

    def _shots(self, trials: Sequence[LoggedTrial], count: int) -> list[Shot]:
        trials = thinned(trials, count // FEWEST)
        each = max(FEWEST, round(count / max(1, len(trials))))
        found: list[Shot] = []
        for trial in trials:
            grid = on_grid(trial.telemetry, self.description.control_period)
            if grid is not None:
                found += shots_of(grid, min(trial.settings.warm_up, 0.2 * trial.seconds), each)
        return found

    def _judge(self, held_out: Sequence[LoggedTrial], world: World) -> tuple[float, float]:
        """Residuals of prior and fit in trials that were not fitted, in standard deviations of a reading."""
        scores: list[tuple[float, float, int]] = []
        stand = self._grids([trial for trial in held_out if trial.on_stand])
        if stand:
            unknowns = [u for u in self.priors.values() if u.name.startswith(("servo.", "joints."))]
            unknowns += [*stand_unknowns(), self.priors["body.mass_scale"]]
            scores.append(_before_and_after(StandProblem(self.description, stand, unknowns), self._values()))
        shots = self._shots([trial for trial in held_out if not trial.on_stand], SHOTS_HELD_OUT)
        if shots:
            problem = FloorProblem(self.description, shots, list(self.priors.values()), self.base, self.executor)
            scores.append(_before_and_after(problem, self._values()))
        if not scores:
            raise RobotpsError(_NOTHING_TO_JUDGE)
        total = sum(count for _, _, count in scores)
        before = sum(b * b * count for b, _, count in scores) / total
        after = sum(a * a * count for _, a, count in scores) / total
        return float(np.sqrt(before)), float(np.sqrt(after))


def thinned(trials: Sequence[LoggedTrial], most: int) -> Sequence[LoggedTrial]:
    """At most so many of them, evenly out of all."""
    return trials[:: max(1, math.ceil(len(trials) / most))]


def split(trials: Sequence[LoggedTrial]) -> tuple[list[LoggedTrial], list[LoggedTrial]]:
    """Trials to fit and trials to judge by: of motions on a stand, of gaits and of others each a quarter or so."""
    kinds: dict[tuple[bool, bool], list[LoggedTrial]] = {}
    for trial in trials:
        kinds.setdefault((trial.on_stand, trial.gait is None), []).append(trial)
    held_out: list[LoggedTrial] = []
    for kind in kinds.values():
        chosen = kind[HOLD_OUT - 1 :: HOLD_OUT] or kind[-1:]
        held_out += chosen if len(kind) > 1 else []
    apart = {id(trial) for trial in held_out}
    return [trial for trial in trials if id(trial) not in apart], held_out


def _before_and_after(problem: StandProblem | FloorProblem, fitted: Mapping[str, float]) -> tuple[float, float, int]:
    """Root mean squares of what the prior and the fit leave, and of how many readings."""
    prior = np.array([unknown.prior for unknown in problem.unknowns])
    values = np.array([fitted.get(unknown.name, unknown.prior) for unknown in problem.unknowns])
    before, after = (problem.residuals(each) for each in (prior, values))
    return (
        rms(problem.channels, before, problem.floor),
        rms(problem.channels, after, problem.floor),
        int(np.isfinite(before).sum()),
    )


def _covariance(estimate: Estimate, names: Sequence[str]) -> FloatArray:
    """Of some parameters, (k, k); those that were not fitted keep their spread.

    Where what is known beforehand keeps a deviation below what the fit alone would leave, its correlations stay.
    """
    place = {estimate.unknowns[index].name: row for row, index in enumerate(estimate.free)}
    index = {unknown.name: i for i, unknown in enumerate(estimate.unknowns)}
    deviations = np.array([estimate.deviation[index[name]] for name in names])
    result = np.zeros((len(names), len(names)))
    fitted = [k for k, name in enumerate(names) if name in place]
    rows = [place[names[k]] for k in fitted]
    of_fit = estimate.covariance[np.ix_(rows, rows)]
    kept = np.minimum(1.0, deviations[fitted] / np.sqrt(np.diag(of_fit)))
    result[np.ix_(fitted, fitted)] = of_fit * np.outer(kept, kept)
    np.fill_diagonal(result, deviations**2)
    return result


def _untouched(unknown: Unknown) -> IdentifiedParameter:
    reach = NORMAL_95 * unknown.spread
    return IdentifiedParameter(
        name=unknown.name,
        unit=unknown.unit,
        prior=unknown.prior,
        value=unknown.prior,
        low=max(unknown.prior - reach, unknown.lower),
        high=min(unknown.prior + reach, unknown.upper),
        at_bound=False,
        informative=False,
    )


def _of_battery(parameter: IdentifiedParameter) -> Unknown:
    return Unknown(parameter.name, parameter.unit, parameter.prior, 1.0, 0.0, 100.0, 0.0)
