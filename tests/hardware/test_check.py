"""Pre-flight leaves a robot as limp as it found it, whatever it finds and whoever breaks it off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware.check import Check, check_robot
from hardware.safety import SafetyLimits
from robotps.description import load_description

DKITTY = load_description("dkitty")
TORQUE, DRIVE_MODE, OPERATING_MODE, TEMPERATURE = 64, 10, 11, 146


def energised(fake: Any) -> list[int]:
    return [id_ for id_, memory in fake.memory.items() if memory[TORQUE]]


def ever_on(fake: Any) -> bool:
    return any(address == TORQUE and data[0] for _, address, data in fake.writes)


@pytest.fixture
def check(device: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Check]]:
    monkeypatch.setattr("hardware.check.CYCLES", 5)

    def checked(*, may_set: bool) -> dict[str, Check]:
        return {each.name: each for each in check_robot(DKITTY, device.name, None, lambda _: may_set, SafetyLimits())}

    return checked


def test_torque_is_tried_and_off_again_where_all_is_in_order(dkitty: Any, check: Callable[..., dict]) -> None:
    found = check(may_set=True)
    assert found["stop"].passed
    assert ever_on(dkitty)
    assert not energised(dkitty)


@pytest.mark.parametrize("address", [OPERATING_MODE, DRIVE_MODE, TEMPERATURE])
def test_torque_is_not_switched_on_while_something_is_wrong(
    dkitty: Any, check: Callable[..., dict], address: int
) -> None:
    check(may_set=True)
    dkitty.writes.clear()
    for memory in dkitty.memory.values():
        memory[address] = {OPERATING_MODE: 16, DRIVE_MODE: 4, TEMPERATURE: 79}[address]
    found = check(may_set=False)
    assert not ever_on(dkitty)
    assert found["stop"].passed
    assert "torque was not switched on" in found["stop"].found


def test_a_time_based_profile_is_told_and_set_back(dkitty: Any, check: Callable[..., dict]) -> None:
    """Its profile velocity would be a duration, and the slow limit none."""
    for memory in dkitty.memory.values():
        memory[DRIVE_MODE] = 1 | 4 | 8
    assert "drive mode 13 -> 1: all servos" in check(may_set=False)["settings"].found
    check(may_set=True)
    assert {memory[DRIVE_MODE] for memory in dkitty.memory.values()} == {1}


@pytest.fixture
def checking(device: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "robotps.cli.app", "check", "--on", f"serial:{device.name}", "--set"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_no_servo_on(
    dkitty: Any, checking: subprocess.Popen[bytes], number: signal.Signals, status: int
) -> None:
    follow = dkitty.on_write

    def interrupt(servo: int, address: int) -> None:
        follow(servo, address)
        if address == TORQUE and dkitty.memory[servo][TORQUE] and servo == 21:
            os.kill(checking.pid, number)
            time.sleep(0.05)

    dkitty.on_write = interrupt
    checking.communicate(timeout=30)
    assert checking.returncode == status
    assert ever_on(dkitty)
    assert not energised(dkitty)
