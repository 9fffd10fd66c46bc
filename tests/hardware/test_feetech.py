"""The Feetech bus against scripted servos: sign and magnitude, the EEPROM lock, status bits."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from hardware import scs
from hardware.faults import HardwareFault
from hardware.feetech import STEP, FeetechBus
from hardware.port import Port

IDS = (1, 2)
LOWER, UPPER = np.array([1000, 1000]), np.array([3000, 3000])


@pytest.fixture
def fake(servos: Callable):
    fake = servos(scs, IDS, lambda id_: b"")
    for id_, memory in fake.memory.items():
        memory[0:5] = bytes([3, 10, 0, 0x09, 0x03])
        memory[55] = 1
        memory[56:71] = struct.pack("<HHHBBBBBHH", 2000 + id_, 100 | 0x8000, 250 | 0x400, 74, 41, 0, 0, 1, 0, 20)
    return fake


@pytest.fixture
def bus(device, fake):
    port = Port(device.name, 1_000_000)
    port.open()
    yield FeetechBus(port, {1: "hip", 2: "knee"}, "STS3215")
    port.close()


def test_servos_say_what_they_are(bus: FeetechBus, fake) -> None:
    fake.memory[2][31:33] = struct.pack("<H", 5 | 0x800)
    infos = bus.identify()
    assert [(info.model, info.firmware) for info in infos] == [("STS3215", "3.10")] * 2
    assert infos[1].settings == {"homing_offset": -5}


def test_a_reading_is_in_si_units(bus: FeetechBus) -> None:
    reading = bus.read()
    np.testing.assert_allclose(reading.position, [2001, 2002])
    np.testing.assert_allclose(reading.velocity, [-100 * STEP] * 2)
    np.testing.assert_allclose(reading.load, [0.25] * 2)
    np.testing.assert_allclose(reading.current, [0.13] * 2)
    np.testing.assert_allclose(reading.temperature, [41] * 2)
    assert reading.voltage == pytest.approx(7.4)


def test_a_silent_servo_is_a_gap(bus: FeetechBus, fake) -> None:
    bus.patience = 0.05
    fake.tamper = lambda packets: [packet for packet in packets if packet[2] != 1]
    reading = bus.read()
    assert reading.answered.tolist() == [False, True]
    assert np.isnan(reading.current).tolist() == [True, False]


def test_an_echo_does_no_harm(bus: FeetechBus, fake, device) -> None:
    answer = device.answer
    device.answer = lambda request: request + answer(request)
    assert bus.read().error.tolist() == [0, 0]
    assert bus.get("torque_enable") == {1: 0, 2: 0}
    assert [info.model for info in bus.identify()] == ["STS3215"] * 2


def test_the_eeprom_is_unlocked_only_while_it_is_written(bus: FeetechBus, fake) -> None:
    assert bus.prepare(LOWER, UPPER) == [
        "min position limit 0 -> 1000: all servos",
        "max position limit 0 -> 3000: all servos",
    ]
    unlocked = False
    for _, address, data in fake.writes:
        if address == 55:
            unlocked = data == b"\x00"
        elif address < 40:
            assert unlocked
    assert [memory[55] for memory in fake.memory.values()] == [1, 1]


def test_torque_comes_on_only_after_every_goal_is_where_the_joint_is(bus: FeetechBus, fake) -> None:
    bus.energise(1.0)
    on = next(n for n, write in enumerate(fake.writes) if write[1] == 40)
    goals = {servo: data for servo, address, data in fake.writes[:on] if address == 42}
    assert goals == {id_: struct.pack("<H", 2000 + id_) for id_ in IDS}


def test_status_bits_are_in_the_reading_and_explained(bus: FeetechBus, fake) -> None:
    fake.error[2] = 0b100100
    reading = bus.read()
    assert reading.error.tolist() == [0, 0b100100]
    assert bus.complaint(1, 0b100100) == "overheating and overload"


def test_a_servo_that_lost_its_torque_is_noticed(bus: FeetechBus, fake) -> None:
    bus.energise(1.0)
    assert bus.complaint(0) == ""
    fake.memory[1][40] = 0
    assert "torque is off" in bus.complaint(0)


def test_releasing_reaches_a_servo_in_overload_and_names_a_silent_one(bus: FeetechBus, fake) -> None:
    fake.memory[2][40] = 1
    fake.error[2] = 0b100000
    fake.tamper = lambda packets: [packet for packet in packets if packet[2] != 1]
    assert bus.release() == {1: "no answer"}
    assert fake.memory[2][40] == 0


def test_another_model_is_named(bus: FeetechBus, fake) -> None:
    fake.memory[1][3:5] = struct.pack("<H", 2825)
    with pytest.raises(HardwareFault, match=r"hip \(servo 1\) is a STS3250, the description says STS3215"):
        bus.identify()
