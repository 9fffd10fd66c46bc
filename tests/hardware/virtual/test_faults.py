from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from hardware.virtual.dynamixel import DynamixelBus
from hardware.virtual.dynamixel_packet import Parser, packet
from hardware.virtual.faults import Bus, Fault, Faults, FaultyDevice
from hardware.virtual.feetech import FeetechBus
from hardware.virtual.feetech import packet as feetech_packet
from hardware.virtual.opencat import OpenCatBoard
from hardware.virtual.plant import Plant
from hardware.virtual.robot import VirtualRobot
from hardware.virtual.terminal import Terminal
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.files import read_toml

BAUD = 1_000_000
IDS = [20, 21, 22, 10, 11, 12, 30, 31, 32, 40, 41, 42]
SYNC_READ = packet(0xFE, bytes((0x82,)) + struct.pack("<HH", 132, 4) + bytes(IDS))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def faulty(terminal: Terminal, *faults: dict[str, Any], seed: int = 0, lockstep: bool = True) -> FaultyDevice:
    plan = Faults.model_validate({"seed": seed, "fault": faults})
    return FaultyDevice(DynamixelBus(Plant(load_description("dkitty")), lockstep=lockstep), terminal, plan, lockstep)


def answers(device: FaultyDevice) -> list[bytes]:
    return [reply.data for reply in device.feed(SYNC_READ, BAUD)]


def goal(device: FaultyDevice, times: int = 1) -> None:
    """Let control periods pass."""
    data = b"".join(struct.pack("<Bi", id_, 2048) for id_ in IDS)
    for _ in range(times):
        device.feed(packet(0xFE, bytes((0x83,)) + struct.pack("<HH", 116, 4) + data) + SYNC_READ, BAUD)
        device.settle()


def status(device: FaultyDevice, id_: int, address: int, form: str) -> tuple[int, int] | None:
    """Error byte and value of a register, or None for silence."""
    replies = device.feed(packet(id_, b"\x02" + struct.pack("<HH", address, struct.calcsize(form))), BAUD)
    if not replies:
        return None
    ((_, body, _),) = Parser().feed(replies[-1].data)
    return body[1], struct.unpack("<" + form, body[2:])[0]


def test_without_faults_nothing_is_changed(terminal: Terminal) -> None:
    device = faulty(terminal)
    clean = DynamixelBus(Plant(load_description("dkitty")), lockstep=True)
    assert answers(device) == [reply.data for reply in clean.feed(SYNC_READ, BAUD)]


def test_a_status_packet_is_dropped_as_often_as_it_says(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "dropped_status", "probability": 0.01})
    counts = [len(answers(device)) for _ in range(400)]
    assert 12 * 400 - sum(counts) == pytest.approx(48, abs=25)
    assert sum(count < 12 for count in counts) / 400 == pytest.approx(0.11, abs=0.06)
    assert len(device.happened) == 12 * 400 - sum(counts)


def test_the_same_seed_makes_the_same_faults(terminal: Terminal) -> None:
    def happened(seed: int) -> list[Any]:
        device = faulty(terminal, {"kind": "flipped_crc", "probability": 0.05}, seed=seed)
        for _ in range(30):
            answers(device)
        return device.happened

    assert happened(1) == happened(1) != happened(2)


def test_only_the_servos_that_are_named_suffer(terminal: Terminal) -> None:
    fault = {"kind": "dropped_status", "probability": 1.0, "servos": [10, "rear_right_shank"]}
    heard = [data[4] for data in answers(faulty(terminal, fault))]
    assert sorted(heard) == sorted(set(IDS) - {10, 42})


@pytest.mark.parametrize("kind", ["flipped_crc", "lost_byte"])
def test_a_damaged_answer_cannot_pass_for_a_whole_one(terminal: Terminal, kind: str) -> None:
    device = faulty(terminal, {"kind": kind, "probability": 1.0})
    for data in answers(device):
        assert not any(right for _, _, right in Parser().feed(data + bytes(64)))


def test_garbage_comes_before_an_answer_that_is_whole(terminal: Terminal) -> None:
    clean = answers(faulty(terminal))
    for noisy, data in zip(answers(faulty(terminal, {"kind": "garbage", "probability": 1.0})), clean, strict=True):
        assert noisy.endswith(data)
        assert len(noisy) > len(data)


def test_an_answer_under_a_wrong_id_has_a_right_checksum(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "wrong_id", "probability": 1.0, "servos": [10]})
    (reply,) = device.feed(packet(10, b"\x01"), BAUD)
    ((id_, body, right),) = Parser().feed(reply.data)
    assert right
    assert id_ in set(IDS) - {10}
    assert body[2:4] == b"\x06\x04"


def test_a_late_reply_comes_with_the_next_one_in_lockstep_and_after_a_while_in_real_time(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "late_reply", "at_s": 0.0})
    assert device.feed(packet(10, b"\x01"), BAUD) == []
    assert [reply.data[4] for reply in device.feed(packet(11, b"\x01"), BAUD)] == [10, 11]
    device = faulty(terminal, {"kind": "late_reply", "at_s": 0.0, "duration_s": 0.2}, lockstep=False)
    (reply,) = device.feed(packet(10, b"\x01"), BAUD)
    assert reply.delay == pytest.approx(0.2005)


def test_a_silent_servo_says_nothing_for_as_long_as_it_says(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "silent_servo", "at_s": 0.02, "servos": [10], "duration_s": 0.05})
    seen = []
    for _ in range(10):
        goal(device)
        seen.append(len(answers(device)))
    assert seen == [12, 11, 11, 11, 11, 11, 12, 12, 12, 12]


def test_an_alert_shows_but_does_not_switch_off(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "alert", "at_s": 0.02, "servos": [11]})
    device.feed(packet(11, b"\x03\x40\x00\x01"), BAUD)
    goal(device, 3)
    assert status(device, 11, 70, "B") == (0x80, 8)
    assert status(device, 11, 64, "B") == (0x80, 1)
    assert status(device, 12, 70, "B") == (0, 0)


@pytest.mark.parametrize(("kind", "bit"), [("overheating", 4), ("overload", 32)])
def test_a_servo_that_protects_itself_goes_limp_and_says_why(terminal: Terminal, kind: str, bit: int) -> None:
    device = faulty(terminal, {"kind": kind, "at_s": 0.02, "servos": [11]})
    device.feed(packet(11, b"\x03\x40\x00\x01"), BAUD)
    goal(device, 4)
    assert status(device, 11, 70, "B") == (0x80, bit)
    assert status(device, 11, 64, "B") == (0x80, 0)


def test_a_brownout_leaves_the_servo_limp_with_its_clock_set_back(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "brownout", "at_s": 0.1, "servos": [11]})
    device.feed(packet(11, b"\x03\x40\x00\x01"), BAUD)
    goal(device, 9)
    before = status(device, 11, 120, "H")
    goal(device, 3)
    after = status(device, 11, 120, "H")
    assert before is not None
    assert after is not None
    assert after[1] < before[1]
    assert status(device, 11, 64, "B") == (0, 0)


def test_a_tripped_watchdog_holds_and_reads_minus_one(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "watchdog_trip", "at_s": 0.02, "servos": [11]})
    goal(device, 3)
    assert status(device, 11, 98, "b") == (0, -1)


def test_an_echo_comes_before_the_answer(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "half_duplex_echo", "at_s": 0.0})
    goal(device)
    asked = packet(10, b"\x01")
    heard = b"".join(reply.data for reply in device.feed(asked, BAUD))
    assert heard.startswith(asked)
    assert heard[len(asked) + 4] == 10


def test_a_hanging_device_neither_answers_nor_obeys_until_it_is_over(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "device_hang", "at_s": 0.01, "duration_s": 0.2})
    goal(device, 2)
    assert answers(device) == []
    goal(device, 5)
    assert device.time == pytest.approx(0.01)
    time.sleep(0.25)
    assert len(answers(device)) == 12


def test_a_pulled_cable_comes_back_by_itself_or_when_somebody_plugs_it_in(terminal: Terminal) -> None:
    device = faulty(
        terminal,
        {"kind": "unplugged_cable", "at_s": 0.01, "duration_s": 0.1},
        {"kind": "unplugged_cable", "at_s": 0.02},
    )
    before = terminal.path
    goal(device)
    assert not terminal.plugged
    time.sleep(0.15)
    device.spontaneous()
    assert terminal.plugged
    assert terminal.path != before
    goal(device)
    time.sleep(0.15)
    device.spontaneous()
    assert not terminal.plugged


def test_a_port_that_another_program_has_cannot_be_opened(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "port_taken", "at_s": 0.01, "duration_s": 0.2})
    goal(device)
    with pytest.raises(serial.SerialException):
        serial.Serial(terminal.port, BAUD, exclusive=True)
    time.sleep(0.25)
    device.spontaneous()
    serial.Serial(terminal.port, BAUD, exclusive=True).close()


def test_faults_by_chance_strike_a_second(terminal: Terminal) -> None:
    device = faulty(terminal, {"kind": "alert", "probability": 0.3, "servos": [10, 11]}, lockstep=False)
    device.advance(10.0)
    assert 1 <= len(device.happened) <= 14


def test_feetech_servos_and_boards_suffer_as_well(terminal: Terminal) -> None:
    plan = Faults.model_validate({"fault": [{"kind": "wrong_id", "probability": 1.0}, {"kind": "alert", "at_s": 0.01}]})
    bus: Bus = FeetechBus(Plant(load_description("dkitty")), lockstep=True)
    device = FaultyDevice(bus, terminal, plan, True)
    device.feed(feetech_packet(0xFE, 0x83, b"\x2a\x02\x0a\x00\x08"), BAUD)
    (reply,) = device.feed(feetech_packet(10, 1), BAUD)
    assert reply.data[2] != 10
    assert reply.data[4] == 2
    assert ~sum(reply.data[2:-1]) & 0xFF == reply.data[-1]
    plan = Faults.model_validate({"fault": [{"kind": "brownout", "at_s": 0.5}]})
    bus = OpenCatBoard(Plant(load_description("bittle")), lockstep=True)
    device = FaultyDevice(bus, terminal, plan, True)
    heard = b"".join(reply.data for _ in range(60) for reply in device.feed(b"gp\n", 115200))
    assert heard.count(b"Ready!") == 2


def test_what_a_bus_cannot_suffer_is_said(terminal: Terminal) -> None:
    with pytest.raises(RobotpsError, match="there is no servo 99"):
        faulty(terminal, {"kind": "alert", "at_s": 1.0, "servos": [99]})
    with pytest.raises(RobotpsError, match="whole line"):
        faulty(terminal, {"kind": "device_hang", "at_s": 1.0, "servos": [10]})
    board = OpenCatBoard(Plant(load_description("bittle")), lockstep=True)
    with pytest.raises(RobotpsError, match="cannot happen"):
        FaultyDevice(board, terminal, Faults(fault=(Fault(kind="overload", at_s=1.0),)), True)


def test_a_file_of_faults_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('seed = 1\n[[fault]]\nkind = "dropped_status"\nprobability = 0.01\nservos = [10]\n')
    assert read_toml(path, Faults).fault[0].servos == (10,)
    for wrong in ('kind = "droped_status"\nprobability = 0.1', 'kind = "alert"', 'kind = "alert"\nprob = 0.1'):
        path.write_text(f"[[fault]]\n{wrong}\n")
        with pytest.raises(RobotpsError, match=r"faults\.toml"):
            read_toml(path, Faults)


def test_a_served_robot_loses_its_cable_in_the_middle_of_a_motion() -> None:
    plan = Faults.model_validate({"fault": [{"kind": "unplugged_cable", "at_s": 0.05, "duration_s": 0.3}]})
    data = packet(0xFE, bytes((0x83,)) + struct.pack("<HH", 116, 4) + struct.pack("<Bi", 10, 2048))
    with VirtualRobot(load_description("dkitty"), faults=plan, realtime=False) as robot:
        port = serial.Serial(robot.port, BAUD, timeout=30)
        for _ in range(6):  # with the sixth the fifth period is over
            port.write(data)
        with pytest.raises(serial.SerialException):
            port.read(1)
        port.close()
        deadline = time.monotonic() + 30
        while not robot.terminal.link.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with serial.Serial(robot.port, BAUD, timeout=30) as again:
            again.write(packet(10, b"\x01"))
            assert again.read(14)[:4] == b"\xff\xff\xfd\x00"
