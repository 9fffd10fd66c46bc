"""A session makes the robot ready before every trial: reachable, charged, cool, in its place."""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
import pytest

from hardware.by_hand import ByHand
from hardware.faults import HardwareFault
from hardware.lies_down import LiesDown
from hardware.robot import SerialRobot
from hardware.safety import SafetyLimits
from hardware.session import Session
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import gait_cycle, initial_gait
from robotps.performing import TrialReport
from robotps.robot import RobotFault
from robotps.trial import Trial

DKITTY = load_description("dkitty")
CYCLE = gait_cycle(DKITTY, initial_gait(DKITTY))


class Helper:
    """Does what is asked, as the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []
        self.does: dict[str, Any] = {}

    def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
        self.asked.append(what)
        return {"done": True, **(self.does[what]() or {} if what in self.does else {})}

    def presses(self, since: float) -> list[float]:
        return []

    def tell(self, message: str) -> None:
        self.told.append(message)


@pytest.fixture
def helper() -> Helper:
    return Helper()


@pytest.fixture
def session(device, dkitty, helper: Helper):
    robot = SerialRobot(DKITTY, device.name, pace="device", limits=SafetyLimits(slow_speed=5.0))
    with Session(robot, helper) as session:
        yield session


def volts(dkitty, tenths: int) -> None:
    for memory in dkitty.memory.values():
        struct.pack_into("<H", memory, 144, tenths)


def test_the_robot_is_put_in_its_place_before_every_trial(session: Session, helper: Helper) -> None:
    for _ in range(2):
        with session() as robot:
            robot.stand(CYCLE.standing)
    assert helper.asked == ["place_at_start"] * 2


def test_a_low_battery_is_changed_before_the_trial(session: Session, helper: Helper, dkitty) -> None:
    volts(dkitty, 100)
    helper.does["change_battery"] = lambda: volts(dkitty, 124)
    with session():
        pass
    assert helper.asked == ["change_battery", "place_at_start"]


def test_a_battery_that_stays_low_ends_the_session(session: Session, helper: Helper, dkitty) -> None:
    volts(dkitty, 100)
    with pytest.raises(HardwareFault, match=r"still low: 10.0 V, at least 10.6 V"), session():
        pass


def test_a_hot_robot_rests_with_its_torque_off(session: Session, helper: Helper, dkitty) -> None:
    dkitty.memory[21][146] = 62
    goals = 0
    follow = dkitty.on_write

    def cool(servo: int, address: int) -> None:
        nonlocal goals
        follow(servo, address)
        if address == 116 and servo == 21:
            goals += 1
            if goals == 700:  # seven seconds of the device's time
                dkitty.memory[21][146] = 50

    dkitty.on_write = cool
    with session():
        assert dkitty.memory[21][64] == 0
    assert goals == 1000
    assert helper.told == ["cooling down from 62 to 55 degC"]


def test_a_cable_that_was_pulled_is_asked_for_and_the_robot_found_elsewhere(
    session: Session, helper: Helper, device, dkitty
) -> None:
    with session() as robot:
        robot.stand(CYCLE.standing)
    replugged = type(device)()
    answer = device.answer

    def plug() -> dict[str, str]:
        replugged.answer = answer
        return {"port": replugged.name}

    helper.does["plug_cable"] = plug
    device.unplug()
    with session() as robot:
        robot.stand(CYCLE.standing)
        assert len(list(robot.play(CYCLE, 0.1))) == 10
    assert helper.asked == ["place_at_start", "plug_cable", "place_at_start"]
    session.close()
    replugged.unplug()


def test_a_robot_that_was_never_there_is_an_error_at_once(helper: Helper) -> None:
    with (
        pytest.raises(RobotpsError, match="no port /dev/ttyNOPE"),
        Session(SerialRobot(DKITTY, "/dev/ttyNOPE"), helper) as session,
        session(),
    ):
        pass
    assert helper.asked == []


def test_an_overload_between_trials_is_cleared_and_told(session: Session, helper: Helper, dkitty, monkeypatch) -> None:
    monkeypatch.setattr("hardware.dynamixel._RESTART", 0.0)
    with session() as robot:
        robot.stand(CYCLE.standing)
        dkitty.error[41], dkitty.memory[41][70] = 0x80, 0x20
        with pytest.raises(RobotFault, match="overload"):
            list(robot.play(CYCLE, 1.0))
    dkitty.error[41] = 0

    original = dkitty._do

    def restart(id_: int, instruction: int, parameters: bytes) -> list[bytes]:
        if instruction == 8:
            dkitty.memory[id_][70] = 0
            return []
        return original(id_, instruction, parameters)

    dkitty._do = restart
    with session() as robot:
        robot.stand(CYCLE.standing)
        assert len(list(robot.play(CYCLE, 0.1))) == 10


FINISHED = Trial("finished", 0.2, 1.0, 6.0, 0.0)


class Says(Helper):
    """Answers in turn."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self.answers = list(answers)

    def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
        self.asked.append(message)
        return {"done": True, "text": self.answers.pop(0)}


def run_by_hand(*answers: str) -> tuple[TrialReport, int]:
    count = 0

    def task() -> TrialReport:
        nonlocal count
        count += 1
        return TrialReport(FINISHED, None, "now", 1.0)

    return ByHand(Says(*answers)).submit(task).result(), count


def test_enter_keeps_a_trial_and_r_runs_it_again() -> None:
    assert run_by_hand("")[1] == 1
    assert run_by_hand("r", "r", "")[1] == 3
    assert run_by_hand("p", "", "what", "")[1] == 1


def test_a_skipped_trial_is_kept_as_such() -> None:
    report, _ = run_by_hand("s")
    assert report.trial is not None
    assert (report.trial.ending, report.trial.reason) == ("skipped", "by the person")


def test_a_robot_lies_down_for_a_pause_and_where_an_answer_takes_long(
    session: Session, helper: Helper, dkitty, monkeypatch
) -> None:
    def limp() -> bool:
        return not any(memory[64] for memory in dkitty.memory.values())

    def wait() -> None:
        until = time.monotonic() + 30
        while not limp():
            assert time.monotonic() < until, "it still stands"
            time.sleep(0.01)

    def asked(what: str) -> None:
        with session() as robot:
            robot.stand(CYCLE.standing)
            LiesDown(helper, session.robot).ask(what, "?")

    asked("confirm")
    assert not limp(), "it was answered at once"
    helper.does["pause"] = wait
    asked("pause")
    monkeypatch.setattr("hardware.lies_down.IDLE", 0.2)
    helper.does["stopwatch"] = wait
    asked("stopwatch")
    assert limp()


def test_a_servo_that_did_not_let_go_is_told_to_when_the_next_answer_takes_long(
    session: Session, helper: Helper, dkitty, monkeypatch
) -> None:
    monkeypatch.setattr("hardware.lies_down.IDLE", 0.0)
    with session() as robot:
        robot.stand(CYCLE.standing)
        broken = dkitty.memory.pop(42)  # a loose cable
        helper.does["confirm"] = lambda: time.sleep(0.5)
        person = LiesDown(helper, session.robot)
        person.ask("confirm", "?")
        assert "servo 42" in helper.told[-1]
        dkitty.memory[42] = broken
        assert broken[64] == 1
        person.ask("confirm", "?")
        assert broken[64] == 0


def test_q_keeps_the_trial_and_quits_before_the_next() -> None:
    by_hand = ByHand(Says("q"))
    assert by_hand.submit(lambda: TrialReport(FINISHED, None, "now", 1.0)).result().trial == FINISHED
    with pytest.raises(KeyboardInterrupt):
        by_hand.submit(lambda: TrialReport(FINISHED, None, "now", 1.0))


def test_q_at_the_start_quits_before_anything_moves(session: Session, helper: Helper) -> None:
    helper.does["place_at_start"] = lambda: {"text": "q"}
    with pytest.raises(KeyboardInterrupt), session():
        raise AssertionError("it must not come so far")


def test_what_the_control_loop_was_like_is_told_after_every_trial(device, dkitty, helper: Helper) -> None:
    told: list[str] = []
    robot = SerialRobot(DKITTY, device.name, pace="device", limits=SafetyLimits(slow_speed=5.0), tell=told.append)
    with Session(robot, helper) as session:
        for _ in range(2):
            with session() as ready:
                ready.stand(CYCLE.standing)
                list(ready.play(CYCLE, 0.2))
        with session():
            pass  # nothing was played, nothing is told
    loops = [line for line in told if line.startswith("loop")]
    assert len(loops) == 2
    assert "20 cycles at " in loops[0]
    assert "0 late" in loops[0]
    assert "0 bad" in loops[0]


def test_what_is_no_trial_is_not_asked_about() -> None:
    assert ByHand(Says()).submit(np.add, 1, 2).result() == 3
