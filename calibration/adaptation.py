"""Adapting simulation to a robot and the robot's gait to what simulation learned, in rounds of few physical trials.

Each round identifies the simulation from all physical trials so far, searches in it, and sends the robot the gaits
that may be fastest and those that teach most: the model-based loop of policy search, with Dyna's planning between
physical trials (R. S. Sutton, "Dyna", 1991). The rounds end with fine-tuning on the robot: a Gaussian process of the
difference between real and simulated scores says how far simulation is to be trusted, as in J. P. Hanna and P. Stone,
"Grounded Action Transformation", AAAI 2017 (rounds), and M. Cutler and J. P. How, ICRA 2015 (simulation as prior).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from calibration.choice import Walked, chosen, correction, rehearsed, spread_around
from calibration.identify import identify
from calibration.logged import LoggedTrial, trials_of
from calibration.planning import Draw, Judgement, Simulator, draws, search_in_simulation
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray, ParameterSpace
from robotps.rounds import SEARCH, Model, Plan, Round, read_model, read_round, write_model, write_round
from robotps.run import Run
from robotps.scores import score_of
from robotps.search.bayesian import Bayesian
from robotps.search.gaussian_process import GaussianProcess
from robotps.search.search import Score, Search
from robotps.settings import TuneSettings
from sim.randomization import Randomization
from sim.world import World

Identify = Callable[[Sequence[LoggedTrial]], Model]
"""From all physical trials so far to the simulation that accounts for them."""

DrawFrom = Callable[[Model], Draw]
"""Worlds that a model holds possible."""

WORLDS = 3
"""Worlds in which the gaits that may be sent are compared."""
REHEARSALS = 9
"""Further worlds in which those chosen are rehearsed: what falls in one world of ten falls in one of these or of WORLDS
seven times in ten."""
POOL = 36
"""Gaits that the search in simulation puts up for choice."""
AROUND = 12
"""Gaits around the best one that are put up with them."""
TEACHING = 4
"""One in so many gaits of a round is sent for what it teaches."""
SIGMA_FIRST, SIGMA_LATER, SIGMA_AROUND = 2.0, 1.0, 0.7
"""Steps: how widely simulation is searched in the first round and later, and what is tried around the best gait."""
LATEST = 5
"""Trials that are identified from, the latest ones, beside one of the start: more cost more than they tell."""
SPARE = 6
"""Gaits that are asked for each one wanted where simulation is only used to tell which are safe."""
SPREAD = 4.0
"""Steps: how far the first round's teaching gaits lie from the start."""
_AGAIN = "The best one walked so far goes again"


def identified(
    description: RobotDescription,
    plan: Plan,
    seed: int,
    executor: Executor,
    tell: Callable[[str], None],
    trials: Sequence[LoggedTrial],
) -> Model:
    """The simulation that accounts best for physical trials, with what they leave open.

    Trials that tell nothing (the body was not tracked) leave it as it was begun with: only the difference to reality is
    learned then.
    """
    begun = Model(world=plan.world, randomization=plan.randomization)
    if not plan.identify:
        return begun
    tell("identifying")
    try:
        found = identify(
            description,
            [*trials[:1], *trials[1:][-LATEST:]],
            World.model_validate(plan.world),
            Randomization.model_validate(plan.randomization),
            seed=seed,
            executor=executor,
            progress=tell,
        )
    except RobotpsError as error:
        tell(f"nothing is identified: {error}")
        return begun
    drawn = found.randomization.model_dump(mode="json", exclude_defaults=True)
    return Model(
        world=found.world.model_dump(mode="json", exclude_defaults=True),
        randomization=drawn,
        parameters={name: each.table() for name, each in found.parameters.items() if each.identified},
        residual_before=found.residual_before,
        residual_after=found.residual_after,
        accepted=found.accepted,
    )


@dataclass(frozen=True)
class Schedule:
    """How many physical trials each iteration of the search has; the first `rounds` of them identify first."""

    sizes: tuple[int, ...]
    rounds: int

    @classmethod
    def of(cls, settings: TuneSettings, rounds: int) -> Schedule:
        """Two thirds of what a budget leaves for the rounds, the rest for fine-tuning, in shares about as large.

        Raises RobotpsError where that is too little.
        """
        assert settings.budget is not None  # an adaptation has one
        left = settings.budget - settings.trials_to_confirm
        if rounds < 1 or left < 3 * rounds:
            raise RobotpsError(
                f"{rounds} rounds need at least {settings.trials_to_confirm + 3 * max(rounds, 1)} physical trials, "
                f"{settings.trials_to_confirm} of them to confirm start and result: raise --robot-trials"
            )
        fine = left // 3
        return cls((*_shares(left - fine, rounds), *_shares(fine, max(1, round(rounds / 2)))), rounds)


class Adaptation(Search):
    """The search of an adaptation's run: like every search it is asked and told, and the record decides what is next.

    simulator: None switches simulation off; what is left is a Gaussian process on the robot's own scores. Gaits are
    rehearsed in the world begun with all the same before they are sent. identify, draw_from: see there. rest: called
    before anything that takes long, so that the robot need not stand. tell: progress for a person.
    """

    name = SEARCH

    def __init__(
        self,
        space: ParameterSpace,
        run: Run,
        settings: TuneSettings,
        plan: Plan,
        *,
        simulator: Simulator | None,
        identify: Identify,
        draw_from: DrawFrom,
        rest: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(space, seed=settings.seed)
        self.schedule = Schedule.of(settings, plan.rounds)
        self._plan = plan
        self._run = run
        self._settings = settings
        self._simulator = simulator
        self._identify = identify
        self._draw_from = draw_from
        self._rest = rest
        self._tell = tell
        self._alone = Bayesian(space, seed=settings.seed)
        self._tried: list[tuple[FloatArray, Score]] = []

    @property
    def recommended(self) -> FloatArray:
        """Of the gaits that the robot has walked, the one of which most is to be expected."""
        if self._simulator is None:
            return self._alone.recommended
        walked = self._walked()
        noted = read_round(self._run, self.iteration - 1) if self.iteration else None
        simulated = np.array([*noted.before, *noted.simulated]) if noted else np.zeros(len(walked.values))
        process = walked.difference(simulated)
        expected = walked.values if process is None else simulated + process.mean(walked.vectors)
        best: FloatArray = walked.vectors[int(np.where(np.isfinite(walked.values), expected, -np.inf).argmax())]
        return best

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        noted = read_round(self._run, self.iteration)
        if noted is None and self._size < 1:
            return self.start[None, :]  # never sent: the budget ends the search before that
        if noted is None:
            clock = time.perf_counter()
            noted = self._without_simulation() if self._simulator is None else self._planned(self._simulator, generator)
            write_round(self._run, replace(noted, seconds=round(time.perf_counter() - clock, 1)))
        return noted.matrix()

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        self._tried += list(zip(candidates, scores, strict=True))
        self._alone.tell(candidates, scores)

    @property
    def _size(self) -> int:
        """Physical trials of this iteration: as scheduled, or as many as faults before it have left, if any."""
        settings = self._settings
        assert settings.budget is not None  # an adaptation has one
        left = settings.budget - self._run.count() - (settings.trials_to_confirm - settings.confirm)
        # what faults of the start have cost is no reason not to search at all
        return min(self.schedule.sizes[self.iteration], left if self.iteration else max(1, left))

    @property
    def _kind(self) -> str:
        return "round" if self.iteration < self.schedule.rounds else "fine-tuning"

    def _walked(self) -> Walked:
        """All gaits that the robot was sent and their scores, the start first."""
        start = score_of(self._run.trials("start"))
        return Walked.of([(self.start, start), *self._tried])

    def _without_simulation(self) -> Round:
        """What a Gaussian process of the robot's scores would try; simulation only says what is safe."""
        run, settings = self._run, self._settings
        self._rest()
        self._alone.policies = SPARE * self._size
        gaits, world = iter(self._alone.ask()), World.model_validate(self._plan.world)
        try:
            sent = rehearsed(run.description, settings.family, self.space, gaits, settings.trial, self._size, world)
        except RobotpsError as error:
            self._tell(f"{error}. {_AGAIN}")
            return Round(self.iteration, self._kind, [self.recommended.tolist()], ["again"])
        return Round(self.iteration, self._kind, sent.tolist(), ["fast"] * len(sent))

    def _planned(self, simulator: Simulator, generator: np.random.Generator) -> Round:
        """Identify, search in simulation, choose."""
        number, before = self.iteration, simulator.trials
        self._rest()
        draw = self._draw_from(self._model())
        self._tell(f"{self._kind} {number + 1}: searching in simulation")
        seeds = draws(WORLDS, self.seed, number, 1)
        worlds = [draw(seed) for seed in seeds]
        walked = self._walked()
        again = simulator.judge(walked.vectors, worlds, seeds)
        process = walked.difference(again.expected)
        pool = self._pool(simulator, draw, process, generator)
        offered = simulator.judge(pool, worlds, seeds)
        reasons = self._chosen(simulator, draw, pool, offered, process, generator)
        if not reasons:
            self._tell(f"no gait that was found is safe in every simulated world. {_AGAIN}")
            best = int((walked.vectors == self.recommended).all(axis=1).argmax())
            pool, offered, reasons = walked.vectors, again, {best: "again"}
        picks = list(reasons)
        corrected = offered.expected + correction(process, pool)
        return Round(
            number=number,
            kind=self._kind,
            vectors=pool[picks].tolist(),
            reasons=list(reasons.values()),
            simulated=offered.expected[picks].tolist(),
            spread=offered.spread[picks].tolist(),
            corrected=corrected[picks].tolist(),
            before=again.expected.tolist(),
            planning=simulator.trials - before,
        )

    def _chosen(
        self,
        simulator: Simulator,
        draw: Draw,
        pool: FloatArray,
        offered: Judgement,
        process: GaussianProcess | None,
        generator: np.random.Generator,
    ) -> dict[int, str]:
        """Which gaits of the pool are sent, and why: none that falls in any of the worlds, nor in further ones."""
        teaching = max(1, self._size // TEACHING) if self._kind == "round" else 0
        seeds = draws(REHEARSALS, self.seed, self.iteration, 2)
        worlds = [draw(seed) for seed in seeds]
        same = int(generator.integers(2**63))  # so that only those refused are chosen anew
        safe, known = offered.safe.copy(), np.zeros(len(pool), dtype=bool)
        while safe.any():
            among = replace(offered, safe=safe)
            reasons = chosen(pool, among, process, self._size, teaching, np.random.default_rng(same))
            new = [pick for pick in reasons if not known[pick]]
            if not new:
                return reasons
            safe[new] = simulator.judge(pool[new], worlds, seeds).safe
            known[new] = True
        return {}

    def _model(self) -> Model:
        """The simulation of this round: identified in a round, that of the last round in fine-tuning."""
        number = min(self.iteration, self.schedule.rounds - 1)
        model = read_model(self._run, number)
        if model is None:
            clock = time.perf_counter()
            model = self._identify(trials_of(self._run))
            model = replace(model, seconds=round(time.perf_counter() - clock, 1))
            write_model(self._run, number, model)
        return model

    def _pool(
        self, simulator: Simulator, draw: Draw, process: GaussianProcess | None, generator: np.random.Generator
    ) -> FloatArray:
        """Gaits that may be sent, (m, n): the best that simulation finds, some around the best one walked so far, and
        in the first round some that are spread around the start."""
        first = self.iteration == 0
        centre = self.start if first else self.recommended
        found = search_in_simulation(
            simulator,
            draw,
            centre,
            correct=partial(correction, process),
            sigma=SIGMA_FIRST if first else SIGMA_LATER,
            trials=self._plan.planning_trials * self._size,
            seed=draws(1, self.seed, self.iteration)[0],
        )[:POOL]
        if first:
            spread = spread_around(self.space, SPREAD, self.seed)
            others = np.stack([next(spread) for _ in range(AROUND)])
        else:
            others = centre + SIGMA_AROUND * generator.standard_normal((AROUND, len(self.space)))
        pool: FloatArray = np.unique(np.concatenate([found, self.clip(others)]), axis=0)
        return pool


def _shares(total: int, parts: int) -> list[int]:
    """A number in parts that differ by one at most, the larger ones first; parts of nothing are left out."""
    return [share for share in (total // parts + (i < total % parts) for i in range(parts)) if share]
