from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
import rustypot
import scservo_sdk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardware.virtual.feetech import FeetechBus, Parser, packet
from hardware.virtual.plant import Plant
from robotps.description import load_description

BAUD = 1_000_000
IDS = [10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42]
PING, READ, WRITE, REG_WRITE, ACTION, RESET, REBOOT, SYNC_READ, SYNC_WRITE = 1, 2, 3, 4, 5, 6, 8, 0x82, 0x83
TORQUE, GOAL, PRESENT, STATUS = 40, 42, 56, 65


@pytest.fixture
def bus() -> FeetechBus:
    return FeetechBus(Plant(load_description("dkitty")), lockstep=True)


def ask(bus: FeetechBus, id_: int, instruction: int, parameters: bytes = b"") -> tuple[int, bytes] | None:
    replies = bus.feed(packet(id_, instruction, parameters), BAUD)
    if not replies:
        return None
    ((answered, error, data),) = Parser().feed(replies[0].data)
    assert len(replies) == 1
    assert answered == id_
    return error, data


def write(bus: FeetechBus, id_: int, address: int, data: bytes) -> None:
    answer = ask(bus, id_, WRITE, bytes((address,)) + data)
    assert answer is not None
    assert answer[1] == b""


def read(bus: FeetechBus, id_: int, address: int, size: int) -> int:
    answer = ask(bus, id_, READ, bytes((address, size)))
    assert answer is not None
    return int.from_bytes(answer[1], "little")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [  # Feetech, "Communication Protocol User Manual", examples 1, 2 and 4 (with ours for the servo's position)
        ("FFFF 01 02 01 FB", "FFFF 01 02 00 FC"),
        ("FFFF 01 04 02 38 02 BE", "FFFF 01 04 00 18 05 DD"),
        ("FFFF 01 09 03 2A 0008 0000 E803 D5", "FFFF 01 02 00 FC"),
    ],
)
def test_example_packets_of_the_manual_match_byte_for_byte(bus: FeetechBus, asked: str, answer: str) -> None:
    assert ask(bus, 10, WRITE, b"\x05\x01") is not None
    bus.plant.position[3] = (0x0518 - 2048) * 2 * 3.141592653589793 / 4096
    (reply,) = bus.feed(bytes.fromhex(asked), BAUD)
    assert reply.data == bytes.fromhex(answer)


def test_feetech_sdk_pings_configures_moves_and_reads_back(serve: Callable[..., Any], bus: FeetechBus) -> None:
    port = scservo_sdk.PortHandler(serve(bus, realtime=False).port)
    packets = scservo_sdk.PacketHandler(0)
    assert port.openPort()
    assert port.setBaudRate(BAUD)
    try:
        ok = scservo_sdk.COMM_SUCCESS
        assert [packets.ping(port, id_) for id_ in IDS] == [(777, ok, 0)] * 12
        assert packets.ping(port, 13)[1] != ok
        for id_ in IDS:
            assert packets.write1ByteTxRx(port, id_, 7, 0) == (ok, 0)
            assert packets.write1ByteTxRx(port, id_, TORQUE, 1) == (ok, 0)
        start = [packets.read2ByteTxRx(port, id_, PRESENT)[0] for id_ in IDS]
        for _ in range(60):
            group = scservo_sdk.GroupSyncWrite(port, packets, GOAL, 2)
            for id_, position in zip(IDS, start, strict=True):
                assert group.addParam(id_, list(struct.pack("<H", position + 50)))
            assert group.txPacket() == ok
            packets.read1ByteTxRx(port, 10, 66)  # or the SDK would leave the physics behind
        sync = scservo_sdk.GroupSyncRead(port, packets, PRESENT, 2)
        for id_ in IDS:
            assert sync.addParam(id_)
        assert sync.txRxPacket() == ok
        now = [sync.getData(id_, PRESENT, 2) for id_ in IDS]
        assert now == [packets.read2ByteTxRx(port, id_, PRESENT)[0] for id_ in IDS]
        assert abs(now[IDS.index(10)] - start[IDS.index(10)] - 50) < 25
    finally:
        port.closePort()


def test_rustypot_reads_negative_numbers_and_writes_groups(serve: Callable[..., Any], bus: FeetechBus) -> None:
    controller = rustypot.Sts3215PyController(serve(bus, realtime=False).port, BAUD, 0.5)
    try:
        assert all(controller.ping(id_) for id_ in IDS)
        assert controller.read_model_number(10) == [777]
        controller.write_lock(10, False)
        controller.write_homing_offset(10, -0.1)
        assert controller.read_homing_offset(10) == pytest.approx([-0.1], abs=0.001)
        controller.sync_write_torque_enable(IDS, [True] * 12)
        assert controller.sync_read_torque_enable(IDS) == [True] * 12
        controller.sync_write_raw_goal_position(IDS, [2000 + i for i in range(12)])
        assert controller.sync_read_raw_goal_position(IDS) == [2000 + i for i in range(12)]
        assert len(controller.sync_read_raw_present_position(IDS)) == 12
    finally:
        controller.close()


def test_registers_are_where_rustypot_expects_them(bus: FeetechBus) -> None:
    ours = {
        register.address: register
        for register in __import__("hardware.virtual.feetech_table", fromlist=["REGISTERS"]).REGISTERS
    }
    for theirs in rustypot.Sts3215PyController.registers():
        if theirs.addr in (81, 83):  # named, but undocumented
            continue
        assert ours[theirs.addr].size == theirs.size, theirs.name
        if theirs.encoding == "sign_magnitude":
            assert ours[theirs.addr].sign is not None, theirs.name


def test_positions_are_encoder_minus_offset_and_negative_ones_have_their_sign_bit(bus: FeetechBus) -> None:
    plain = read(bus, 10, PRESENT, 2)
    write(bus, 10, 31, (100).to_bytes(2, "little"))
    assert read(bus, 10, PRESENT, 2) == plain - 100
    write(bus, 10, 31, (100 | 1 << 11).to_bytes(2, "little"))
    assert read(bus, 10, PRESENT, 2) == plain + 100
    assert read(bus, 10, 31, 2) == 100 | 1 << 11


def test_writing_128_to_the_torque_switch_calls_the_present_position_the_middle(bus: FeetechBus) -> None:
    write(bus, 11, TORQUE, b"\x80")
    assert read(bus, 11, PRESENT, 2) == 2048
    assert read(bus, 11, TORQUE, 1) == 0


def test_eeprom_written_behind_the_lock_is_gone_after_a_restart(bus: FeetechBus) -> None:
    write(bus, 10, 21, b"\x10")
    assert read(bus, 10, 21, 1) == 16
    ask(bus, 10, REBOOT)
    assert read(bus, 10, 21, 1) == 32
    write(bus, 10, 55, b"\x00")
    write(bus, 10, 21, b"\x10")
    ask(bus, 10, REBOOT)
    assert read(bus, 10, 21, 1) == 16
    assert read(bus, 10, 55, 1) == 1


def test_a_factory_reset_keeps_only_the_id(bus: FeetechBus) -> None:
    write(bus, 10, 55, b"\x00")
    write(bus, 10, 21, b"\x10")
    assert ask(bus, 10, RESET) == (0, b"")
    assert read(bus, 10, 21, 1) == 32
    assert ask(bus, 10, PING) == (0, b"")


def test_torque_limit_and_acceleration_act(bus: FeetechBus) -> None:
    bus.plant.put_on_stand()
    write(bus, 11, TORQUE, b"\x01")
    write(bus, 11, 48, (20).to_bytes(2, "little"))
    start = read(bus, 11, PRESENT, 2)
    for _ in range(50):
        write(bus, 11, GOAL, (start + 600).to_bytes(2, "little"))
    weak = read(bus, 11, PRESENT, 2)
    write(bus, 11, 48, (1000).to_bytes(2, "little"))
    write(bus, 11, 41, b"\x02")
    write(bus, 11, GOAL, (start + 600).to_bytes(2, "little"))
    gentle = read(bus, 11, PRESENT, 2)
    assert read(bus, 11, 66, 1) == 1
    for _ in range(250):
        write(bus, 11, GOAL, (start + 600).to_bytes(2, "little"))
    assert weak - start < 300
    assert gentle - weak < 20
    assert abs(read(bus, 11, PRESENT, 2) - start - 600) < 60


def test_goal_speed_limits_the_speed_and_goals_beyond_the_limits_are_clipped(bus: FeetechBus) -> None:
    bus.plant.put_on_stand()
    write(bus, 12, 11, (2200).to_bytes(2, "little"))
    write(bus, 12, TORQUE, b"\x01")
    write(bus, 12, 46, (400).to_bytes(2, "little"))
    fastest = 0
    for _ in range(350):
        write(bus, 12, GOAL, (3000).to_bytes(2, "little"))
        speed = read(bus, 12, 58, 2)
        fastest = max(fastest, speed & 0x7FFF)
    assert 300 < fastest < 600
    assert abs(read(bus, 12, PRESENT, 2) - 2200) < 40


def test_speed_and_duty_modes_drive_the_motor_both_ways(bus: FeetechBus) -> None:
    bus.plant.put_on_stand()
    for mode, address, forward, back in ((1, 46, 500, 500 | 1 << 15), (2, 44, 150, 150 | 1 << 10)):
        write(bus, 12, 33, bytes((mode,)))
        write(bus, 12, TORQUE, b"\x01")
        positions = []
        for goal in (forward, back):
            for _ in range(25):
                write(bus, 12, address, goal.to_bytes(2, "little"))
            positions.append(read(bus, 12, PRESENT, 2))
        assert positions[1] < positions[0] - 20, mode
        write(bus, 12, TORQUE, b"\x00")


def test_heat_makes_the_servo_limp_and_shows_in_every_answer(bus: FeetechBus) -> None:
    write(bus, 10, TORQUE, b"\x01")
    bus.plant.motors.temperature[3] = 75.0
    bus.advance(0.05)
    assert ask(bus, 10, PING) == (4, b"")
    assert read(bus, 10, STATUS, 1) == 4
    assert read(bus, 10, TORQUE, 1) == 0
    bus.plant.motors.temperature[3] = 40.0
    bus.advance(0.05)
    assert ask(bus, 10, PING) == (0, b"")


def test_a_stuck_servo_gives_in_after_its_protection_time(bus: FeetechBus) -> None:
    bus.plant.put_on_stand()
    write(bus, 12, 35, b"\x20")
    write(bus, 12, TORQUE, b"\x01")
    for _ in range(150):
        write(bus, 12, GOAL, (4000).to_bytes(2, "little"))  # far beyond the joint's stop
    answer = ask(bus, 12, PING)
    assert answer == (32, b"")
    assert abs(bus.plant.servos.duty[5]) <= 0.2
    write(bus, 12, GOAL, read(bus, 12, PRESENT, 2).to_bytes(2, "little"))
    write(bus, 12, TORQUE, b"\x01")
    assert ask(bus, 12, PING) == (0, b"")


def test_registered_writes_wait_for_the_action(bus: FeetechBus) -> None:
    assert ask(bus, 10, REG_WRITE, bytes((GOAL,)) + (1500).to_bytes(2, "little")) == (0, b"")
    assert read(bus, 10, 64, 1) == 1
    assert read(bus, 10, GOAL, 2) != 1500
    assert bus.feed(packet(0xFE, ACTION), BAUD) == []
    assert read(bus, 10, GOAL, 2) == 1500


def test_everybody_answers_a_broadcast_ping_and_nothing_else(bus: FeetechBus) -> None:
    replies = bus.feed(packet(0xFE, PING), BAUD)
    assert sorted(reply.data[2] for reply in replies) == IDS
    assert bus.feed(packet(0xFE, WRITE, b"\x28\x01"), BAUD) == []
    assert read(bus, 42, TORQUE, 1) == 1


def test_a_status_level_of_0_leaves_writes_unanswered(bus: FeetechBus) -> None:
    write(bus, 10, 8, b"\x01")
    assert ask(bus, 10, WRITE, b"\x08\x00") is None
    assert ask(bus, 10, WRITE, b"\x29\x05") is None
    assert read(bus, 10, 41, 1) == 5


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant(load_description("dkitty"))


kinds = st.builds(
    lambda id_, instruction, parameters: packet(id_, instruction, parameters),
    st.sampled_from([10, 11, 0xFE, 0, 99]),
    st.sampled_from([1, 2, 3, 4, 5, 6, 8, 0x82, 0x83, 0, 255]),
    st.binary(max_size=20),
)


@settings(max_examples=200, deadline=None)
@example(stream=[packet(0xFE, 0x82, b"\x00\xfe\x0a"), packet(10, 2, b"\x00\xff")])
@given(stream=st.lists(st.one_of(st.binary(max_size=40), kinds), max_size=8))
def test_no_byte_sequence_crashes_or_hangs_the_bus(plant: Plant, stream: list[bytes]) -> None:
    plant.listeners.clear()
    bus = FeetechBus(plant)
    for part in stream:
        bus.feed(part, BAUD)
    bus.feed(bytes(512), BAUD)
    bus.advance(0.02)
    for servo in bus.servos:
        servo.factory_reset()
    bus.advance(0.3)
    assert any(bus.feed(packet(servo.id, PING), BAUD) for servo in bus.servos)


@settings(max_examples=100, deadline=None)
@given(bit=st.integers(0, 8 * 9 - 1))
def test_a_packet_with_any_bit_flipped_is_refused(plant: Plant, bit: int) -> None:
    plant.listeners.clear()
    bus = FeetechBus(plant)
    whole = bytearray(packet(10, WRITE, bytes((GOAL,)) + (1234).to_bytes(2, "little")))
    assert len(whole) == 9
    whole[bit // 8] ^= 1 << bit % 8
    before = [bytes(servo.bytes) for servo in bus.servos]
    assert bus.feed(bytes(whole) + bytes(300), BAUD) == []
    assert [bytes(servo.bytes) for servo in bus.servos] == before


@settings(max_examples=100, deadline=None)
@given(
    id_=st.integers(0, 253),
    code=st.integers(0, 255),
    parameters=st.binary(max_size=60),
    cuts=st.lists(st.integers(1, 9), max_size=20),
)
def test_every_packet_survives_encoding_and_decoding_in_any_pieces(
    id_: int, code: int, parameters: bytes, cuts: list[int]
) -> None:
    data = b"\x00" + packet(id_, code, parameters)
    parser, found = Parser(), []
    for cut in cuts:
        found += parser.feed(data[:cut])
        data = data[cut:]
    found += parser.feed(data)
    assert (id_, code, parameters) in found
