"""The host's own watchdog: a control loop that stands still ends with the torque off, one that runs is left alone."""

from __future__ import annotations

import struct
import time

import pytest

from hardware import scs
from hardware.faults import HardwareFault
from hardware.robot import SerialRobot
from hardware.safety import SafetyLimits
from hardware.watchdog import HostWatchdog
from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait

DKITTY = load_description("dkitty")
FEETECH = DKITTY.model_copy(
    update={
        "servo": DKITTY.servo.model_copy(update={"model": "STS3215"}),
        "wiring": DKITTY.wiring.model_copy(update={"protocol": "feetech"}),
    }
)
IDS = [id_ for leg in ("front_left", "front_right", "rear_left", "rear_right") for id_ in DKITTY.wiring.legs[leg].ids]


def test_it_waits_for_the_first_feed_and_then_stops_what_stands_still() -> None:
    stopped: list[str] = []
    watchdog = HostWatchdog(stopped.append, 0.1)
    time.sleep(0.25)
    assert not stopped
    for _ in range(20):
        watchdog.feed()
        time.sleep(0.02)
    assert not stopped
    deadline = time.monotonic() + 5
    while not stopped and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "stood still for" in stopped[0]


def test_it_is_quiet_once_it_has_ended() -> None:
    stopped: list[str] = []
    watchdog = HostWatchdog(stopped.append, 0.05)
    watchdog.feed()
    watchdog.end()
    time.sleep(0.2)
    assert not stopped


def test_servos_without_a_watchdog_are_let_go_when_the_loop_stands_still(device, servos) -> None:
    """A Feetech robot whose loop is held up in the middle of a gait; the device hears torque off meanwhile."""
    fake = servos(scs, IDS, lambda id_: b"")
    for memory in fake.memory.values():
        struct.pack_into("<H", memory, 3, 777)
        struct.pack_into("<H", memory, 56, 2048)
        memory[62], memory[63] = 121, 30

    def follow(servo: int, address: int) -> None:
        memory = fake.memory[servo]
        if address == 42:
            memory[56:58] = memory[42:44]

    fake.on_write = follow
    cycle = gait_cycle(DKITTY, initial_gait(DKITTY))
    robot = SerialRobot(
        FEETECH, device.name, limits=SafetyLimits(max_speed=100.0, slow_speed=5.0, max_tracking_error=3.0)
    )
    robot._bus.patience = 0.5
    with robot:
        robot.stand(cycle.standing)
        play = robot.play(cycle, 5.0)
        for _ in range(5):
            next(play)
        assert all(memory[40] for memory in fake.memory.values())
        deadline = time.monotonic() + 5
        while any(memory[40] for memory in fake.memory.values()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(memory[40] for memory in fake.memory.values())
        with pytest.raises(HardwareFault, match="watchdog: the control loop stood still"):
            next(play)
