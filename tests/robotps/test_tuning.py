"""A run's course: start, search, finalists, best; the same noise for all; what counts, and what is run again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import walking
from walking import OpenWalking, WalkingRobot, create, settings, stride_speed, tuning

import robotps.trial
from robotps.description import RobotDescription, load_description
from robotps.gait import Gait, GaitCycle, UnreachableGait, gait_cycle, initial_gait
from robotps.result import mean_and_interval, result_of
from robotps.robot import Robot, RobotFault
from robotps.run import Run, TrialRecord
from robotps.tuning import FAULTS_BEFORE_GIVING_UP
from robotps.workers import InThisProcess


def tuned(path: Path, open_robot: Any = None, executor: Executor | None = None, **changed: Any) -> list[TrialRecord]:
    asked = settings(**changed)
    with create(path, asked) as run:
        given = {} if open_robot is None else {"open_robot": open_robot(run.description)}
        tuning(run, asked, executor or InThisProcess(), **given).go()
        return run.trials()


def test_a_run_scores_the_start_searches_tries_finalists_again_and_confirms_the_best(tmp_path: Path) -> None:
    trials = tuned(tmp_path / "run", iterations=3, repeats=2, confirm=4, finalists=2, options={"policies": 5})
    assert Counter(t.candidate.stage for t in trials) == {
        "start": 4,
        "search": 3 * 5 * 2,
        "finalist": (2 + 1) * 2,  # what the search recommends is one more
        "best": 4,
    }
    assert list(dict.fromkeys(t.candidate.stage for t in trials)) == ["start", "search", "finalist", "best"]


def test_all_gaits_of_an_iteration_meet_the_same_noise_and_every_other_iteration_another(tmp_path: Path) -> None:
    trials = tuned(tmp_path / "run")
    seeds: dict[tuple[str, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for t in trials:
        seeds[t.candidate.stage, t.candidate.iteration][t.repeat].add(t.seed)
    assert all(len(own) == 1 for group in seeds.values() for own in group.values())
    # what is called best meets the noise that the start met, so that the two are compared, and none of the search's
    assert seeds["best", 0] == seeds["start", 0]
    drawn = [seed for stage, group in seeds.items() if stage[0] != "best" for own in group.values() for seed in own]
    assert len(drawn) == len(set(drawn))


def test_the_best_is_the_finalist_that_was_best_when_run_again(tmp_path: Path) -> None:
    tuned(tmp_path / "run", finalists=3)
    with Run.open(tmp_path / "run") as run:
        scores: dict[bytes, list[float]] = defaultdict(list)
        for t in run.trials("finalist"):
            assert t.score is not None
            scores[t.candidate.vector.tobytes()].append(t.score)
        best = run.trials("best")
        assert best[0].candidate.vector.tobytes() == max(scores, key=lambda vector: float(np.mean(scores[vector])))
        result = result_of(run)
        assert result is not None
        assert (result.best_speed, result.best_speed_ci) == mean_and_interval([t.metrics["speed"] for t in best])
        assert result.improved
        assert result.best_speed > result.initial_speed


def test_where_no_gait_is_faster_than_the_start_when_run_again_the_start_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = load_description("bittle")
    of_start = stride_speed(description, gait_cycle(description, initial_gait(description)))
    monkeypatch.setattr(walking, "stride_speed", lambda robot, motion: -abs(stride_speed(robot, motion) - of_start))
    tuned(tmp_path / "run", iterations=1)
    with Run.open(tmp_path / "run") as run:
        result = result_of(run)
    assert result is not None
    assert not result.improved
    assert result.gait == initial_gait(description)
    assert result.best_speed == result.initial_speed


class Loose(WalkingRobot):
    """Faulty in the first trials of each seed."""

    failed: ClassVar[Counter[int]] = Counter()
    times: ClassVar[int] = 1

    def __init__(self, description: Any, seed: int) -> None:
        super().__init__(description, seed)
        self.seed = seed

    def stand(self, joints: Any) -> None:
        Loose.failed[self.seed] += 1
        if Loose.failed[self.seed] <= Loose.times:
            raise RobotFault("a cable is loose")
        super().stand(joints)


class OpenLoose(OpenWalking):
    def __call__(self, world: Mapping[str, Any] | None, seed: int) -> Robot:
        return Loose(self.description, seed)


@pytest.mark.parametrize("times", [1, 2])
def test_a_trial_at_fault_is_on_record_without_a_score_and_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(Loose, "failed", Counter())
    monkeypatch.setattr(Loose, "times", times)
    trials = tuned(tmp_path / "run", OpenLoose)
    faults = [t for t in trials if t.ending == "fault"]
    assert faults
    assert all(t.score is None and t.metrics["reason"] == "a cable is loose" for t in faults)
    counted = Counter((t.candidate.id, t.repeat) for t in trials if t.score is not None)
    assert set(counted.values()) == {1}
    assert {(t.candidate.id, t.repeat) for t in faults} <= set(counted)


def test_a_trial_that_is_always_at_fault_is_given_up_and_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loose, "failed", Counter())
    monkeypatch.setattr(Loose, "times", 10**6)
    trials = tuned(tmp_path / "run", OpenLoose, iterations=1, repeats=1)
    attempts = Counter((t.candidate.id, t.repeat) for t in trials)
    assert set(attempts.values()) == {FAULTS_BEFORE_GIVING_UP}
    with Run.open(tmp_path / "run") as run:
        assert result_of(run) is None


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("draw", [1, 2])
def test_faults_are_made_up_for_within_the_budget_and_never_beyond_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, draw: int
) -> None:
    chance = np.random.default_rng(draw)
    stand = WalkingRobot.stand

    def loose(robot: WalkingRobot, joints: Any) -> None:
        if chance.random() < share:
            raise RobotFault("a cable is loose")
        stand(robot, joints)

    monkeypatch.setattr(WalkingRobot, "stand", loose)
    # 4 for the start, 5 gaits twice, 3 finalists twice, 4 for the best: nothing is left over for faults
    for spare in (0, 3):
        trials = tuned(
            tmp_path / f"spare{spare}", iterations=None, budget=24 + spare, confirm=4, repeats=2, finalists=2,
            options={"policies": 5},
        )  # fmt: skip
        stages = Counter(t.candidate.stage for t in trials)
        again = Counter((t.candidate.id, t.repeat) for t in trials if t.candidate.stage == "search")
        assert any(t.ending == "fault" for t in trials)
        assert stages["search"] >= 10
        assert len(trials) <= 24 + max(spare, stages["start"] - 4)
        assert (max(again.values()) > 1) <= (spare > 0)
        assert share > 0.5 or stages["best"] >= 4


def test_a_speed_that_is_no_number_is_a_fault_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(3)

    def lost(robot: RobotDescription, motion: GaitCycle) -> float:
        return float("nan") if chance.random() < 0.3 else stride_speed(robot, motion)

    monkeypatch.setattr(walking, "stride_speed", lost)
    trials = tuned(tmp_path / "run")
    faults = [t for t in trials if t.ending == "fault"]
    assert faults
    assert all("not a number" in t.metrics["reason"] and t.score is None for t in faults)
    with Run.open(tmp_path / "run") as run:
        assert result_of(run) is not None


def test_noise_of_simulated_trials_is_not_put_on_those_of_the_robot_and_its_faults_are_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loose, "failed", Counter())
    monkeypatch.setattr(Loose, "times", 1)
    asked = settings(noise={"speed": 0.5, "fall": 0.5}, iterations=None, budget=60, confirm=4, finalists=2)
    description = load_description("bittle")
    gait = initial_gait(description)
    with create(tmp_path / "run", asked) as run:
        tuning(run, asked, InThisProcess()).go()
        on_robot = tuning(run, asked, InThisProcess(), open_robot=OpenLoose(description), draw_world=lambda seed: None)
        on_robot.score_on_robot(gait, 6)
        trials = run.trials("robot")
    assert Counter(t.ending for t in trials) == {"fault": 6, "finished": 6}
    speeds = [t.metrics["speed"] for t in trials if t.ending == "finished"]
    assert speeds == pytest.approx([stride_speed(description, gait_cycle(description, gait))] * 6, abs=0.05)


class Skipping(InThisProcess):
    """A person skips every fourth trial."""

    def __init__(self) -> None:
        self.count = 0

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        report = task(*args, **kwargs)
        self.count += 1
        if self.count % 4 == 0:
            report = replace(report, trial=replace(report.trial, ending="skipped", reason="by the person"))
        future: Future[Any] = Future()
        future.set_result(report)
        return future


def test_a_trial_that_a_person_skipped_has_no_score_and_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = tuned(tmp_path / "run", executor=Skipping())
    skipped = [t for t in trials if t.ending == "skipped"]
    assert len(skipped) == len(trials) // 4
    assert all(t.score is None for t in skipped)
    assert set(Counter((t.candidate.id, t.repeat) for t in trials).values()) == {1}
    with Run.open(tmp_path / "run") as run:
        assert result_of(run) is not None


def test_gaits_that_the_robot_cannot_make_are_refused_once_and_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_quicker(description: RobotDescription, gait: Gait) -> GaitCycle:
        if gait.parameters["period"] < 0.399:
            raise UnreachableGait("the rear_left leg reaches no point of its locus")
        return gait_cycle(description, gait)

    monkeypatch.setattr(robotps.trial, "gait_cycle", no_quicker)
    trials = tuned(tmp_path / "run", options={"policies": 6})
    refused = [t for t in trials if t.ending == "refused"]
    assert {t.candidate.stage for t in refused} == {"search"}
    assert all(t.score is None and "rear_left" in t.metrics["reason"] for t in refused)
    assert set(Counter((t.candidate.id, t.repeat) for t in refused).values()) == {1}
    assert trials[-1].candidate.stage == "best"
    assert trials[-1].score is not None
