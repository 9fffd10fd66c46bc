"""The Dynamixel bus against scripted servos: what is read and written, and every way an answer can go wrong."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import numpy as np
import pytest

from hardware import protocol2
from hardware.dynamixel import VELOCITY_UNIT, DynamixelBus
from hardware.faults import HardwareFault
from hardware.port import Port

IDS = (10, 11, 12)
LOWER, UPPER = np.array([1000, 1000, 1000]), np.array([3000, 3000, 3000])


def firmware_of_xm430_w210(id_: int) -> bytes:
    return bytes([0x06, 0x04, 46])


@pytest.fixture
def fake(servos: Callable):
    fake = servos(protocol2, IDS, firmware_of_xm430_w210)
    for id_, memory in fake.memory.items():
        memory[9], memory[68] = 250, 2
        struct.pack_into("<hii", memory, 126, -1, -3, 2000 + id_)
        struct.pack_into("<HB", memory, 144, 121, 33)
    return fake


@pytest.fixture
def bus(device, fake):
    port = Port(device.name, 1_000_000)
    port.open()
    yield DynamixelBus(port, {10: "hip", 11: "thigh", 12: "shank"}, "XM430-W210")
    port.close()


def test_servos_say_what_they_are(bus: DynamixelBus, fake) -> None:
    fake.memory[11][20:24] = struct.pack("<i", -7)
    infos = bus.identify()
    assert [(info.id, info.model, info.firmware) for info in infos] == [(id_, "XM430-W210", "46") for id_ in IDS]
    assert infos[1].settings == {"homing_offset": -7, "drive_mode": 0}


def test_a_reading_is_in_si_units(bus: DynamixelBus) -> None:
    reading = bus.read()
    assert reading.answered.all()
    np.testing.assert_allclose(reading.position, [2010, 2011, 2012])
    np.testing.assert_allclose(reading.velocity, [-3 * VELOCITY_UNIT] * 3)
    np.testing.assert_allclose(reading.current, [-2.69e-3] * 3)
    np.testing.assert_allclose(reading.temperature, [33] * 3)
    assert reading.voltage == pytest.approx(12.1)


def test_goals_reach_every_servo_in_one_packet(bus: DynamixelBus, fake, device) -> None:
    before = len(device.heard)
    bus.exchange(np.array([100, 200, 300]))
    goals = [struct.unpack_from("<i", fake.memory[id_], 116)[0] for id_ in IDS]
    assert goals == [100, 200, 300]
    assert device.heard[before:].startswith(
        protocol2.sync_write(116, dict(zip(IDS, map(goal, (100, 200, 300)), strict=True)))
    )


def goal(steps: int) -> bytes:
    return struct.pack("<i", steps)


def test_a_silent_servo_is_a_gap_and_the_others_are_read(bus: DynamixelBus, fake) -> None:
    bus.patience = 0.05
    fake.tamper = lambda packets: [packet for packet in packets if packet[4] != 11]
    reading = bus.read()
    assert reading.answered.tolist() == [True, False, True]
    assert np.isnan(reading.position).tolist() == [False, True, False]
    assert reading.voltage == pytest.approx(12.1)


def test_a_device_that_keeps_its_own_time_is_waited_for_but_not_for_the_rest_of_an_answer(
    bus: DynamixelBus, fake
) -> None:
    bus.patience, bus.own_time = 5.0, True
    fake.tamper = lambda packets: [packet for packet in packets if packet[4] != 11]
    begin = time.monotonic()
    assert bus.read().answered.tolist() == [True, False, True]
    assert time.monotonic() - begin < 2.5


def flipped(packet: bytes) -> bytes:
    return packet[:-3] + bytes([packet[-3] ^ 1]) + packet[-2:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda packets: [packets[0], flipped(packets[1]), packets[2]],
        lambda packets: [packets[0], packets[1][1:], packets[2]],
        lambda packets: [packets[0], packets[1][:-4], packets[2]],
        lambda packets: [packets[0], protocol2.encode(99, 0x55, b"\x00" + bytes(27)), packets[2]],
    ],
    ids=["flipped bit", "lost first byte", "lost last bytes", "wrong id"],
)
def test_a_damaged_answer_is_refused_and_its_neighbours_are_not(bus: DynamixelBus, fake, damage: Callable) -> None:
    bus.patience = 0.05
    fake.tamper = damage
    reading = bus.read()
    assert reading.answered.tolist() == [True, False, True]
    np.testing.assert_allclose(reading.position[[0, 2]], [2010, 2012])


def test_noise_before_an_answer_does_no_harm(bus: DynamixelBus, fake) -> None:
    fake.tamper = lambda packets: [b"\xff\xff\x00\xfd\xff", *packets]
    assert bus.read().answered.all()


def test_an_echo_does_no_harm(bus: DynamixelBus, fake, device) -> None:
    answer = device.answer
    device.answer = lambda request: request + answer(request)
    assert bus.read().answered.all()
    bus.put("torque_enable", {10: 1})
    assert fake.memory[10][64] == 1


def test_a_late_answer_is_not_taken_for_the_next_one(bus: DynamixelBus, fake, device) -> None:
    bus.patience = 0.05
    late: list[bytes] = []

    def hold_back(packets: list[bytes]) -> list[bytes]:
        if not late:
            late.append(packets[2])
            return packets[:2]
        return [late[0], *packets]

    fake.tamper = hold_back
    assert bus.read().answered.tolist() == [True, True, False]
    struct.pack_into("<i", fake.memory[12], 132, 777)
    assert bus.read().position[2] == 777


def test_an_alert_is_in_the_reading_and_explained(bus: DynamixelBus, fake) -> None:
    fake.error[11], fake.memory[11][70] = 0x80, 0b100000
    reading = bus.read()
    assert reading.error.tolist() == [0, 0x80, 0]
    assert reading.answered.all()
    assert "overload" in bus.complaint(1, 0x80)
    assert bus.complaint(0) == ""


def test_a_restart_and_a_tripped_watchdog_are_told_apart(bus: DynamixelBus, fake) -> None:
    bus.prepare(LOWER, UPPER)
    bus.energise(1.0)
    bus.start_watchdog(0.2)
    assert fake.memory[10][98] == 10
    assert bus.complaint(0) == ""
    fake.memory[10][98] = 0xFF
    assert "watchdog" in bus.complaint(0)
    fake.memory[10][98], fake.memory[10][64] = 0, 0
    assert "restarted" in bus.complaint(0)


def test_preparing_sets_what_a_trial_needs_and_wears_no_eeprom_twice(bus: DynamixelBus, fake) -> None:
    fake.memory[10][64] = 1
    changes = bus.prepare(LOWER, UPPER)
    assert changes == [
        "return delay 250 -> 0: all servos",
        "operating mode 0 -> 3: all servos",
        "min position limit 0 -> 1000: all servos",
        "max position limit 0 -> 3000: all servos",
    ]
    for memory in fake.memory.values():
        assert (memory[64], memory[9], memory[11]) == (0, 0, 3)
        assert struct.unpack_from("<II", memory, 48) == (3000, 1000)
    fake.writes.clear()
    assert bus.prepare(LOWER, UPPER) == []
    assert all(address >= 64 for _, address, _ in fake.writes)


def test_torque_comes_on_only_after_every_goal_is_where_the_joint_is(bus: DynamixelBus, fake) -> None:
    bus.energise(1.0)
    on = next(n for n, write in enumerate(fake.writes) if write[1] == 64)
    goals = {servo: data for servo, address, data in fake.writes[:on] if address == 116}
    assert goals == {id_: struct.pack("<i", 2000 + id_) for id_ in IDS}
    assert any(address == 112 and struct.unpack("<I", data)[0] > 0 for _, address, data in fake.writes[:on])


def test_releasing_tries_all_at_once_then_each_and_names_who_failed(bus: DynamixelBus, fake, device) -> None:
    for memory in fake.memory.values():
        memory[64] = 1
    fake.error[10] = 0x80
    fake.tamper = lambda packets: [packet for packet in packets if packet[4] != 11]
    before = len(device.heard)
    assert bus.release() == {11: "no answer"}
    assert device.heard[before:].startswith(3 * protocol2.write(254, 64, b"\x00"))
    assert [memory[64] for memory in fake.memory.values()] == [0, 0, 0]


def test_silent_and_wrong_servos_are_all_named(bus: DynamixelBus, fake) -> None:
    bus.patience = 0.01
    fake._ping = lambda id_: bytes([0x24, 0x04, 46]) if id_ == 10 else firmware_of_xm430_w210(id_)
    fake.tamper = lambda packets: [packet for packet in packets if packet[4] != 12]
    with pytest.raises(HardwareFault) as caught:
        bus.identify()
    assert "hip (servo 10) is a XL430-W250, the description says XM430-W210" in str(caught.value)
    assert "no answer from shank (servo 12)" in str(caught.value)


def test_two_servos_with_one_id_are_noticed(bus: DynamixelBus, fake) -> None:
    fake.tamper = lambda packets: packets * 2
    with pytest.raises(HardwareFault, match="two servos answer as id 10"):
        bus.identify()


def test_a_late_answer_is_not_taken_for_a_second_servo(bus: DynamixelBus, fake) -> None:
    once = iter([True])
    fake.tamper = lambda packets: packets * 2 if next(once, False) else packets
    assert len(bus.identify()) == 3


def test_colliding_answers_are_told_from_silence(bus: DynamixelBus, fake) -> None:
    bus.patience = 0.01
    fake.tamper = lambda packets: [flipped(packet) for packet in packets]
    with pytest.raises(HardwareFault, match="only noise"):
        bus.identify()


def test_a_refused_setting_names_servo_value_and_reason(bus: DynamixelBus, fake) -> None:
    fake.error[12] = 7
    with pytest.raises(HardwareFault, match=r"shank \(servo 12\): return delay = 0: .*read-only"):
        bus.put("return_delay", {12: 0})


def test_a_lost_answer_is_asked_for_again(bus: DynamixelBus, fake) -> None:
    bus.patience = 0.01
    lost = iter([True, True])
    fake.tamper = lambda packets: [] if next(lost, False) else packets
    assert bus.get("present_temperature") == dict.fromkeys(IDS, 33)


def test_a_latched_error_that_a_restart_does_not_clear_is_told(bus: DynamixelBus, fake, monkeypatch) -> None:
    monkeypatch.setattr("hardware.dynamixel._RESTART", 0.0)
    fake.memory[11][70] = 4
    with pytest.raises(HardwareFault, match=r"thigh \(servo 11\): overheating"):
        bus.prepare(LOWER, UPPER)
