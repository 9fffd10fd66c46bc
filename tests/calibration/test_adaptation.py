"""Adaptation on a made-up robot whose simulation is biased: few trials, only safe ones, and the record decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.adaptation import REHEARSALS, Adaptation, Schedule, identified
from calibration.choice import Walked
from calibration.identification import Identification, IdentifiedParameter
from calibration.planning import Judgement
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray
from robotps.rounds import Model, Plan, is_adaptation, plan_of, rounds_of, tables
from robotps.run import Candidate, Run
from robotps.search.search import Score
from robotps.settings import TuneSettings, search_space
from robotps.trial import Trial
from sim.randomization import Randomization
from sim.world import World

DKITTY = load_description("dkitty")
N = len(DKITTY.gait_space)
TOP = np.full(N, 2.0)
NOISE = 0.003


def real_speed(vector: FloatArray) -> float:
    """A hill that is highest, 0.5 m/s, seven steps from the start."""
    return float(0.5 - 0.007 * ((vector - TOP) ** 2).sum())


class BiasedSimulator:
    """Thinks the top is elsewhere, as far as its world says, and everything faster than it is.

    rare: a world in so many trips a gait whose second parameter is above 1; 0 none does.
    """

    def __init__(self, rare: int = 0) -> None:
        self.space = DKITTY.gait_space
        self.trials = 0
        self.rare = rare

    def judge(self, vectors: FloatArray, worlds: Sequence[Any], seeds: Sequence[int]) -> Judgement:
        self.trials += len(vectors) * len(worlds)
        scores = np.array([[real_speed(v - world["shift"]) + 0.1 for world in worlds] for v in vectors])
        trips = bool(self.rare) and any(seed % self.rare == 0 for seed in seeds)
        return Judgement(scores, (vectors[:, 0] < 2.5) & ~(trips & (vectors[:, 1] > 1.0)))


def draw_from(model: Model):
    def draw(seed: int) -> dict[str, Any]:
        return {"shift": np.random.default_rng(seed).normal(model.world["mean"], 0.3, N)}

    return draw


class Lab:
    """A run that is being adapted; `identified` counts."""

    def __init__(self, path: Path, *, planning: bool = True, seed: int = 4) -> None:
        plan = Plan(rounds=3, planning_trials=100 if planning else 0)
        self.settings = TuneSettings(search="adapt", family="trot", budget=40, confirm=2, finalists=1, seed=seed)
        self.run = (
            Run.resume(path)
            if path.exists()
            else Run.create(
                path, self.settings.model_dump(mode="json"), DKITTY, {"adaptation": plan.model_dump(mode="json")}
            )
        )
        self.identified = 0
        self.told: list[str] = []
        self.simulator = BiasedSimulator() if planning else None
        self.search = Adaptation(
            search_space(DKITTY, self.settings),
            self.run,
            self.settings,
            plan,
            simulator=self.simulator,  # type: ignore[arg-type]
            identify=self.identify,
            draw_from=draw_from,
            tell=self.told.append,
        )
        self.schedule = self.search.schedule

    def identify(self, trials: Sequence[Any]) -> Model:
        self.identified += 1
        return Model(world={"mean": 1.0 / self.identified}, randomization={}, accepted=True)

    def walk(self, candidate: Candidate, repeat: int = 0, *, fault: bool = False) -> None:
        noise = np.random.default_rng((candidate.id, repeat)).normal(0, NOISE)
        speed = real_speed(candidate.vector) + noise
        trial = Trial("fault" if fault else "finished", speed, 2 * speed, 2.0, 0.0)
        self.run.add_trial(
            candidate,
            repeat=repeat,
            robot="dkitty",
            seed=0,
            world=None,
            trial=trial,
            score=None if fault else speed,
            digest=None,
            started="now",
            seconds=3.0,
        )

    def start(self) -> None:
        for candidate in self.run.add_candidates("start", 0, ["trot"], np.zeros((1, N))):
            for repeat in range(2):
                self.walk(candidate, repeat)

    def iterate(self, count: int) -> None:
        for _ in range(count):
            number = self.search.iteration
            asked = self.run.candidates("search", number)
            if not asked:
                vectors = self.search.ask()
                asked = self.run.add_candidates("search", number, ["trot"] * len(vectors), vectors)
                for candidate in asked:
                    self.walk(candidate)
            scores = [Score(trial.score) for trial in self.run.trials("search", number)]
            self.search.tell(np.stack([candidate.vector for candidate in asked]), scores)


def test_few_trials_on_the_robot_suffice_with_a_biased_simulation_and_not_without(tmp_path: Path) -> None:
    ends = {}
    for planning in (True, False):
        lab = Lab(tmp_path / str(planning), planning=planning)
        lab.start()
        lab.iterate(len(lab.schedule.sizes))
        ends[planning] = real_speed(lab.search.recommended)
        assert lab.run.count() == 2 + sum(lab.schedule.sizes) <= 34
    assert ends[True] > 0.47
    assert 0.5 - ends[False] > 3 * (0.5 - ends[True])


@pytest.mark.parametrize("planning", [True, False])
def test_what_faults_have_taken_of_the_trials_the_last_iteration_does_without(tmp_path: Path, planning: bool) -> None:
    lab = Lab(tmp_path / "run", planning=planning)
    lab.start()
    lab.iterate(1)
    for candidate in lab.run.candidates("search", 0)[:3]:
        lab.walk(candidate, fault=True)
    lab.iterate(len(lab.schedule.sizes) - 1)
    assert lab.run.count() == 2 + sum(lab.schedule.sizes)
    last = lab.run.candidates("search", len(lab.schedule.sizes) - 1)
    assert len(last) == lab.schedule.sizes[-1] - 3


@pytest.mark.parametrize("planning", [True, False])
def test_no_round_is_planned_that_no_trial_is_left_for(tmp_path: Path, planning: bool) -> None:
    lab = Lab(tmp_path / "run", planning=planning)
    lab.start()
    lab.iterate(1)
    for _ in range(lab.settings.budget - lab.run.count() - (lab.settings.trials_to_confirm - lab.settings.confirm)):
        lab.walk(lab.run.candidates("search", 0)[0], fault=True)
    before = lab.identified
    assert len(lab.search.ask()) == 1  # what Tuning asks to see that it is one too many
    assert lab.identified == before
    assert len(rounds_of(lab.run)) == 1


def test_the_record_decides_what_comes_next_and_nothing_is_planned_twice(tmp_path: Path) -> None:
    once = Lab(tmp_path / "run")
    once.start()
    once.iterate(2)
    expected = once.search.ask()
    once.run.close()
    again = Lab(tmp_path / "run")
    again.iterate(2)
    np.testing.assert_array_equal(again.search.ask(), expected)
    assert again.identified == 0
    assert again.simulator is not None
    assert again.simulator.trials == 0
    assert is_adaptation(again.run)
    assert plan_of(again.run).planning_trials == 100


def test_only_gaits_that_are_safe_in_every_world_are_sent(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "run")
    lab.start()
    lab.iterate(len(lab.schedule.sizes))
    for candidate in lab.run.candidates("search"):
        assert candidate.vector[0] < 2.5


def test_a_gait_that_trips_in_one_world_of_ten_is_seldom_sent(tmp_path: Path) -> None:
    """In the three worlds that gaits are compared in it would be found out once in four times."""
    sent = []
    for rare in (0, 10):
        risky = 0
        for seed in range(8):
            lab = Lab(tmp_path / f"{rare}-{seed}", seed=seed)
            assert lab.simulator is not None
            lab.simulator.rare = rare
            lab.start()
            lab.iterate(1)
            risky += sum(candidate.vector[1] > 1.0 for candidate in lab.run.candidates("search"))
        sent.append(risky)
    assert sent[1] < 0.55 * sent[0]


def test_where_nothing_new_is_safe_the_best_gait_walked_goes_again_and_the_run_can_end(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "run")
    lab.start()
    lab.iterate(1)
    best = lab.search.recommended
    assert lab.simulator is not None
    lab.simulator.judge = lambda v, w, s: Judgement(  # type: ignore[method-assign]
        BiasedSimulator.judge(lab.simulator, v, w, s).scores, np.zeros(len(v), dtype=bool)
    )
    lab.iterate(1)
    (again,) = lab.run.candidates("search", 1)
    np.testing.assert_array_equal(again.vector, best)
    assert rounds_of(lab.run)[1][0].reasons == ["again"]
    assert any("goes again" in line for line in lab.told)
    lab.iterate(len(lab.schedule.sizes) - 2)
    assert lab.search.iteration == len(lab.schedule.sizes)


def test_only_what_was_refused_is_chosen_anew(tmp_path: Path) -> None:
    """Each gait that is sent was rehearsed once, and hardly any other."""
    lab = Lab(tmp_path / "run")
    assert lab.simulator is not None
    rehearsals: list[int] = []
    judge = lab.simulator.judge

    def counting(vectors: FloatArray, worlds: Sequence[Any], seeds: Sequence[int]) -> Judgement:
        if len(worlds) == REHEARSALS:
            rehearsals.append(len(vectors))
        return judge(vectors, worlds, seeds)

    lab.simulator.judge = counting  # type: ignore[method-assign]
    lab.start()
    lab.iterate(1)
    assert rehearsals == [lab.schedule.sizes[0]]


def test_each_round_identifies_once_and_sends_some_gaits_to_learn_from(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "run")
    lab.start()
    lab.iterate(len(lab.schedule.sizes))
    assert lab.identified == 3
    noted = rounds_of(lab.run)
    assert [round_.kind for round_, _ in noted] == ["round"] * 3 + ["fine-tuning"] * 2
    assert all("teaching" in round_.reasons for round_, _ in noted[:3])
    assert all(set(round_.reasons) == {"fast"} for round_, _ in noted[3:])
    assert all(len(round_.before) == 1 + sum(lab.schedule.sizes[:n]) for n, (round_, _) in enumerate(noted))
    rows = tables(lab.run)
    assert sum(row["robot_trials"] for row in rows) == sum(lab.schedule.sizes)
    assert rows[-1]["best_robot_speed"] > rows[0]["best_robot_speed"]
    # the simulation is 0.1 m/s too fast; what was learned of that is in the corrected expectation
    last = noted[-1][0]
    real = np.array([real_speed(vector) for vector in last.matrix()])
    assert np.abs(np.array(last.simulated) - real).mean() > 0.05
    assert np.abs(np.array(last.corrected) - real).mean() < 0.03


def test_what_was_identified_is_what_is_searched_in_and_nothing_identified_leaves_it_as_begun(monkeypatch) -> None:
    said: list[str] = []
    plan = Plan(randomization={"body": {"mass_scale": {"uniform": [0.8, 1.2]}}})
    mass = IdentifiedParameter("body.mass_scale", "1", 1.0, 1.1, 1.05, 1.15, False, True)
    friction = IdentifiedParameter("floor.friction", "1", 0.7, 0.7, 0.1, 1.3, False, False)
    narrow = Randomization.model_validate({"body": {"mass_scale": {"normal": [1.1, 0.025]}}})
    world = World.model_validate({"body": {"mass_scale": 1.1}})
    found = Identification(
        world, narrow, {"body.mass_scale": mass, "floor.friction": friction}, 2.0, 1.0, accepted=True
    )
    monkeypatch.setattr("calibration.adaptation.identify", lambda *_, **__: found)
    model = identified(DKITTY, plan, 0, None, said.append, [])  # type: ignore[arg-type]
    assert model.world == {"body": {"mass_scale": 1.1}}
    assert model.randomization == narrow.model_dump(mode="json", exclude_defaults=True)
    assert list(model.parameters) == ["body.mass_scale"]
    assert model.accepted
    monkeypatch.undo()
    begun = Model(world={}, randomization=plan.randomization)
    assert identified(DKITTY, plan, 0, None, said.append, []) == begun  # type: ignore[arg-type]
    assert "nothing is identified" in said[-1]
    alone = plan.model_copy(update={"identify": False})
    assert identified(DKITTY, alone, 0, None, said.append, []) == begun  # type: ignore[arg-type]


def test_a_schedule_spends_the_budget_and_says_when_it_is_too_small() -> None:
    for budget, rounds in ((40, 3), (100, 5), (20, 2)):
        settings = TuneSettings(search="adapt", family="trot", budget=budget, confirm=2, finalists=1)
        sizes = Schedule.of(settings, rounds).sizes
        assert sum(sizes) + settings.trials_to_confirm == budget
        assert min(sizes) >= 2
    with pytest.raises(RobotpsError, match="rounds need at least"):
        Schedule.of(TuneSettings(search="adapt", family="trot", budget=12, confirm=2, finalists=1), 3)


def test_a_gait_that_could_not_be_scored_teaches_nothing_of_the_difference() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, N))
    walked = Walked.of([(v, Score(0.3)) for v in vectors[:5]] + [(vectors[5], Score(None, trials=0))])
    process = walked.difference(np.full(6, 0.2))
    assert process is not None
    assert process.mean(vectors[:5]) == pytest.approx(np.full(5, 0.1), abs=0.01)
    assert walked.difference(np.array([0.2, 0.2, 0.2, np.nan, -np.inf, 0.2])) is None
