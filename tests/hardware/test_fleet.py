"""Several robots in one run: whichever is free walks, one may leave and come back, and nobody walks a trial twice."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets import DKITTY, SETTINGS, counted_once, tuning

from hardware.fleet import Fleet, Named
from robotps.cli.fleet import flags_of_each, is_physical
from robotps.cli.tune_settings import asked_for
from robotps.errors import RobotpsError
from robotps.gait import Gait
from robotps.result import result_of
from robotps.robot import RobotFault, Telemetry
from robotps.robot_effects import estimate
from robotps.run import Run, TrialRecord
from robotps.scores import measurements
from robotps.trial import RobotElsewhere, Trial, TrialSettings
from robotps.tuning import Progress
from robotps.workers import InThisProcess


class Somewhere(RobotElsewhere):
    """A member that walks by formula: longer strides are faster, and so is a robot with a `bonus`."""

    odometer = None

    def __init__(self, name: str, bonus: float = 0.0, pause: float = 0.0) -> None:
        self.name = self.identity = name
        self.bonus, self.pause = bonus, pause
        self.runner = InThisProcess()
        self.away = self.faulty = self.closed = False
        self.halted = ""
        self.walked = 0
        self._draw = np.random.default_rng(len(name))

    def make_ready(self) -> None:
        if self.away:
            raise RobotpsError("its cable is out")

    @contextlib.contextmanager
    def open(self) -> Iterator[RobotElsewhere]:
        self.make_ready()
        yield self

    def run_trial(self, gait: Gait, settings: TrialSettings) -> tuple[Trial, Telemetry | None]:
        time.sleep(self.pause)
        self.walked += 1
        if self.faulty or self.away:
            return Trial("fault", 0.0, 0.0, 0.0, 0.0, reason="its cable came out"), None
        speed = self.bonus + _worth(gait) + 0.002 * float(self._draw.standard_normal())
        return Trial("finished", speed, speed, 1.0, 0.0), None

    def halt(self, why: str) -> None:
        self.halted = why

    def close(self) -> None:
        self.closed = True


def _worth(gait: Gait) -> float:
    """Of a gait: up the steps of the first parameters."""
    steps = DKITTY.gait_space.vector(gait.parameters)
    return 0.2 + 0.01 * float(steps[:4].sum())


def tune(path: Path, fleet: Fleet, notify: Callable[[Progress], None] | None = None) -> list[TrialRecord]:
    with Run.create(path, SETTINGS.model_dump(mode="json"), DKITTY) as run:
        tuning(run, fleet, notify).go()
        return run.trials()


def test_whichever_robot_is_free_walks_and_the_record_says_which(tmp_path: Path) -> None:
    slow, fast = Somewhere("slow", pause=0.06), Somewhere("fast", pause=0.02)
    with Fleet([slow, fast], lambda _: None) as fleet:
        trials = tune(tmp_path / "run", fleet)
    assert counted_once(trials)
    by_robot = Counter(t.robot for t in trials)
    assert by_robot == {"slow": slow.walked, "fast": fast.walked}
    assert by_robot["fast"] > 1.5 * by_robot["slow"]
    assert slow.closed
    assert fast.closed
    assert not slow.halted + fast.halted  # they lie down, and are not dropped


def test_a_robot_leaves_and_comes_back_and_no_trial_is_lost_or_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.fleet._LOOK_AGAIN", 0.02)
    one, two = Somewhere("one", pause=0.01), Somewhere("two", pause=0.01)
    told: list[str] = []
    walked_at_return = []

    def unplug_and_return(progress: Progress) -> None:
        if progress.done == 10:
            two.away = True
        if progress.done == 30:
            walked_at_return.append(two.walked)
            two.away = False

    with Fleet([one, two], told.append) as fleet:
        trials = tune(tmp_path / "run", fleet, unplug_and_return)
    assert counted_once(trials)
    assert sum(t.ending == "fault" for t in trials) <= 1  # the one it was at
    assert two.walked > walked_at_return[0] + 3
    assert any("two has left: its cable is out" in line for line in told)
    assert "two is back" in told


def test_without_any_robot_the_run_ends_with_a_message_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.fleet._LOOK_AGAIN", 0.02)
    one, two = Somewhere("one"), Somewhere("two")

    def both_out(progress: Progress) -> None:
        one.away = two.away = progress.done == 12

    with (
        Fleet([one, two], lambda _: None, patience=0.3) as fleet,
        pytest.raises(RobotpsError, match=r"no robot was there for 0 s \(.*its cable is out.*--resume"),
    ):
        tune(tmp_path / "run", fleet, both_out)
    one.away = two.away = False
    with Fleet([one, two], lambda _: None) as fleet, Run.resume(tmp_path / "run") as run:
        tuning(run, fleet).go()
        assert counted_once(run.trials())


def test_a_fast_robot_makes_no_gait_look_good_to_the_search_nor_in_the_result(tmp_path: Path) -> None:
    members = [Somewhere("a", 0.1), Somewhere("bb", 0.0), Somewhere("ccc", -0.1)]
    for member in members:
        member.pause = 0.002
    with Fleet(members, lambda _: None) as fleet:
        trials = tune(tmp_path / "run", fleet)
    found = estimate(measurements(trials))
    np.testing.assert_allclose([found[m.name] - found["bb"] for m in members], [0.1, 0.0, -0.1], atol=0.02)
    with Run.open(tmp_path / "run") as run:
        result = result_of(run)
        assert result is not None
        assert result.best_speed == pytest.approx(_worth(result.gait), abs=0.02)
        assert result.best_speed_ci[1] - result.best_speed > 0.001
        # told again, the search recommends what it did: the effects follow from the record alone
        again = tuning(run, fleet)
        again._run_trials = lambda tasks: [None for task in tasks if task is not None]  # type: ignore[assignment]
        finalists = run.candidates("finalist")
        again.score_start()
        list(again._searching())
        np.testing.assert_array_equal(again.search.recommended, finalists[0].vector)


def test_a_robot_that_was_never_there_is_an_error_at_once() -> None:
    missing = Somewhere("one")
    missing.away = True
    other = Somewhere("two")
    with pytest.raises(RobotpsError, match="cable is out"), Fleet([other, missing], lambda _: None):
        pass
    assert other.closed
    with pytest.raises(RobotpsError, match="same port twice"):
        Fleet([Somewhere("one"), Somewhere("one")], lambda _: None)


def test_whatever_ends_the_run_every_robot_lets_go_and_the_interpreter_is_as_before() -> None:
    before = sys.getswitchinterval()
    one, two = Somewhere("one"), Somewhere("two")
    with pytest.raises(KeyboardInterrupt), Fleet([one, two], lambda _: None):
        raise KeyboardInterrupt
    assert one.halted
    assert two.halted
    assert one.closed
    assert two.closed
    assert sys.getswitchinterval() == before


def test_a_robot_that_comes_later_joins() -> None:
    with Fleet([], lambda _: None) as fleet:
        future = fleet.submit(lambda: threading.current_thread().name)
        assert not future.done()
        fleet.add(Somewhere("late"))
        assert future.result(timeout=10) == "late"


def test_an_error_in_a_trial_is_the_runs() -> None:
    def fail() -> None:
        raise RobotFault("broken")

    with Fleet([Somewhere("one")], lambda _: None) as fleet, pytest.raises(RobotFault, match="broken"):
        fleet.submit(fail).result(timeout=10)


def test_one_person_is_asked_one_question_at_a_time_about_a_robot_by_its_name() -> None:
    asked: list[str] = []
    open_now = []

    class Slow:
        def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
            open_now.append(1)
            assert len(open_now) == 1
            time.sleep(0.01)
            open_now.pop()
            asked.append(f"{details['robot']}|{message}")
            return {"done": True}

        def presses(self, since: float) -> list[float]:
            return []

        def tell(self, message: str) -> None: ...

    turn = threading.Lock()
    people = [Named(Slow(), name, turn) for name in ("one", "two")]
    slow = Slow()
    for person in people:
        person._person = slow
    threads = [threading.Thread(target=p.ask, args=("place_at_start", "put it there")) for p in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked) == ["one|one: put it there", "two|two: put it there"]


def test_no_robot_of_several_waits_for_the_slowest_where_the_search_allows(tmp_path: Path) -> None:
    config = tmp_path / "tune.toml"
    config.write_text("ahead = 0")

    def ahead(search: str, file: Path | None = None, **flags: object) -> int:
        return asked_for({"search": search, **flags}, file, simulated=True, robots=3)[1].ahead

    assert ahead("es") == 2
    assert ahead("es", ahead=5) == 5
    assert ahead("es", ahead=0) == ahead("es", config) == 0
    assert ahead("es", repeats="auto") == 0
    assert ahead("kohl-stone") == 0


def test_flags_are_one_for_each_robot_or_one_for_all() -> None:
    assert is_physical(["serial:/dev/a", "dask:pi:8786"])
    assert not is_physical(["sim"])
    with pytest.raises(RobotpsError, match="goes with nothing else"):
        is_physical(["sim", "serial:/dev/a"])
    with pytest.raises(RobotpsError, match="--on usb:1"):
        is_physical(["usb:1"])
    two = flags_of_each(2, ["stream:h:1", "stream:h:2"], ["h:3"], False, "device")
    assert [f.odometer for f in two] == ["stream:h:1", "stream:h:2"]
    assert [f.assistant for f in two] == ["h:3", "h:3"]
    assert two[0].pace == "device"
    with pytest.raises(RobotpsError, match="say how the distance"):
        flags_of_each(2, [], [], True, "wall")
    with pytest.raises(RobotpsError, match="one for each of 3 robots"):
        flags_of_each(3, ["stream:h:1", "stream:h:2"], [], True, "wall")
    with pytest.raises(RobotpsError, match="needs its own"):
        flags_of_each(2, ["camera:0"], [], True, "wall")
    assert flags_of_each(2, ["stopwatch"], ["h:1", "h:2"], False, "wall")[1].assistant == "h:2"
