from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.virtual.dynamixel import DynamixelBus
from hardware.virtual.dynamixel_packet import Parser, packet
from hardware.virtual.dynamixel_table import MODELS
from hardware.virtual.plant import Plant
from robotps.description import RobotDescription, load_description

BAUD = 1_000_000
PING, READ, WRITE, REG_WRITE, ACTION, FACTORY_RESET, REBOOT, CLEAR, BACKUP = 1, 2, 3, 4, 5, 6, 8, 0x10, 0x20
SYNC_READ, SYNC_WRITE = 0x82, 0x83
TORQUE, WATCHDOG, GOAL, PRESENT = 64, 98, 116, 132


def ask(bus: DynamixelBus, id_: int, instruction: int, parameters: bytes = b"") -> tuple[int, bytes] | None:
    """Error byte and data of one servo's answer, or None for silence."""
    replies = bus.feed(packet(id_, bytes((instruction,)) + parameters), BAUD)
    if not replies:
        return None
    ((answered, body, right),) = Parser().feed(replies[0].data)
    assert len(replies) == 1
    assert right
    assert answered == id_
    assert body[0] == 0x55
    return body[1], body[2:]


def write(bus: DynamixelBus, id_: int, address: int, form: str, value: int) -> int:
    answer = ask(bus, id_, WRITE, struct.pack("<H" + form, address, value))
    assert answer is not None
    assert answer[1] == b""
    return answer[0]


def read(bus: DynamixelBus, id_: int, address: int, form: str) -> int:
    answer = ask(bus, id_, READ, struct.pack("<HH", address, struct.calcsize(form)))
    assert answer is not None
    assert answer[0] & 0x7F == 0
    return int(struct.unpack("<" + form, answer[1])[0])


def with_ids(*ids: int) -> RobotDescription:
    """D'Kitty with other bus ids for its first joints."""
    description = load_description("dkitty")
    assert description.wiring is not None
    legs = dict(description.wiring.legs)
    legs["front_left"] = legs["front_left"].model_copy(update={"ids": ids})
    return description.model_copy(update={"wiring": description.wiring.model_copy(update={"legs": legs})})


def hexes(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.fixture
def manual() -> DynamixelBus:
    """Servos 1, 2 and 3 in the state that the e-manual's examples assume: XM430-W210, firmware 38."""
    bus = DynamixelBus(Plant(with_ids(1, 2, 3)))
    for servo in bus.servos[:3]:
        servo.memory.bytes[6] = 38
    for servo, position in zip(bus.servos, (166, 2079), strict=False):
        bus.plant.position[servo.index] = (position - 2048) * 2 * 3.141592653589793 / 4096
    bus.plant.motors.voltage = 11.9
    bus.plant.motors.temperature[:] = 36.0
    return bus


MANUAL = {
    # name: (instruction packet, status packets), docs/en/dxl/protocol2
    "ping": ("FFFFFD00 01 0300 01 194E", ["FFFFFD00 01 0700 55 00 060426 655D"]),
    "read": ("FFFFFD00 01 0700 02 84000400 1D15", ["FFFFFD00 01 0800 55 00 A6000000 8CC0"]),
    "write": ("FFFFFD00 01 0900 03 7400 00020000 CA89", ["FFFFFD00 01 0400 55 00 A10C"]),
    "reg write": ("FFFFFD00 01 0900 04 6800 C8000000 AE8E", ["FFFFFD00 01 0400 55 00 A10C"]),
    "factory reset": ("FFFFFD00 01 0400 06 01 A1E6", ["FFFFFD00 01 0400 55 00 A10C"]),
    "reboot": ("FFFFFD00 01 0300 08 2F4E", ["FFFFFD00 01 0400 55 00 A10C"]),
    "clear": ("FFFFFD00 01 0800 10 0144584C22 B1DC", ["FFFFFD00 01 0400 55 00 A10C"]),
    "backup": ("FFFFFD00 01 0800 20 014354524C 16F5", ["FFFFFD00 01 0400 55 00 A10C"]),
    "sync read": (
        "FFFFFD00 FE 0900 82 84000400 0102 CEFA",
        ["FFFFFD00 01 0800 55 00 A6000000 8CC0", "FFFFFD00 02 0800 55 00 1F080000 BABE"],
    ),
    "sync write": ("FFFFFD00 FE 1100 83 74000400 0196000000 02AA000000 8287", []),
    "bulk read": (
        "FFFFFD00 FE 0D00 92 0190000200 0292000100 1A05",
        ["FFFFFD00 01 0600 55 00 7700 C369", "FFFFFD00 02 0500 55 00 24 8BA9"],
    ),
    "bulk write": ("FFFFFD00 FE 1000 93 0120000200A000 021F00010050 B768", []),
}


@pytest.mark.parametrize("name", MANUAL)
def test_example_packets_of_the_manual_match_byte_for_byte(manual: DynamixelBus, name: str) -> None:
    asked, answers = MANUAL[name]
    replies = manual.feed(hexes(asked), BAUD)
    assert [reply.data for reply in replies] == [hexes(answer) for answer in answers]


def test_example_of_a_broadcast_ping(manual: DynamixelBus) -> None:
    replies = manual.feed(hexes("FFFFFD00 FE 0300 01 3142"), BAUD)
    assert [reply.data for reply in replies[:2]] == [
        hexes("FFFFFD00 01 0700 55 00 060426 655D"),
        hexes("FFFFFD00 02 0700 55 00 060426 6F6D"),
    ]


def test_example_of_an_action_after_a_registered_write(manual: DynamixelBus) -> None:
    manual.feed(hexes("FFFFFD00 01 0900 04 6800 C8000000 AE8E"), BAUD)
    (reply,) = manual.feed(hexes("FFFFFD00 01 0300 05 02CE"), BAUD)
    assert reply.data == hexes("FFFFFD00 01 0400 55 00 A10C")
    assert read(manual, 1, 104, "i") == 200
    assert ask(manual, 1, ACTION) == (2, b""), "an action without a registered write is an instruction error"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (
            "FFFFFD00 FE 0A00 8A 84000400 030704 20F2",
            "FFFFFD00 FE 1900 55 00 03 A6000000 8408 00 07 1F080000 16CA 00 04 FF030000 D19E",
        ),
        (  # the manual prints another CRC for this instruction: that of the packet above
            "FFFFFD00 FE 1200 9A 0384000400 077C000200 0492000100 DA2D",
            "FFFFFD00 FE 1400 55 00 03 A6000000 67A4 00 07 A501 2474 00 04 1F D9C1",
        ),
    ],
)
def test_examples_of_fast_reads_in_one_unstuffed_packet(asked: str, answer: str) -> None:
    bus = DynamixelBus(Plant(with_ids(3, 7, 4)))
    for servo, position in zip(bus.servos, (166, 2079, 1023), strict=False):
        bus.plant.position[servo.index] = (position - 2048) * 2 * 3.141592653589793 / 4096
    bus.plant.servos.duty[1] = 421 / 885
    bus.plant.motors.temperature[:] = 31.0
    (reply,) = bus.feed(hexes(asked), BAUD)
    assert reply.data == hexes(answer)


def test_a_header_inside_a_packet_is_stuffed_both_ways(dkitty: DynamixelBus) -> None:
    data = b"\xff\xff\xfd\xff\xff\xff"  # goal current -1, goal velocity -3
    asked = packet(10, bytes((WRITE,)) + struct.pack("<H", 102) + data)
    assert asked.count(b"\xff\xff\xfd\xfd") == 1
    assert ask(dkitty, 10, WRITE, struct.pack("<H", 102) + data) == (0, b"")
    (reply,) = dkitty.feed(packet(10, bytes((READ,)) + struct.pack("<HH", 102, 6)), BAUD)
    assert reply.data[9:-2] == b"\xff\xff\xfd\xfd\xff\xff\xff"
    assert ask(dkitty, 10, READ, struct.pack("<HH", 102, 6)) == (0, data)


@pytest.mark.parametrize(
    ("address", "data", "error"),
    [
        (9, b"\xff", 4),  # return delay beyond 254
        (11, b"\x02", 4),  # no such operating mode
        (116, b"\x00\x10\x00\x00", 6),  # goal beyond the position limit
        (100, struct.pack("<h", 886), 4),
        (116, b"\x00\x08", 5),  # half a register
        (132, b"\x00\x00\x00\x00", 7),  # read only
        (66, b"\x00", 7),  # not defined
        (117, b"\x00", 7),  # the middle of a register
        (116, b"", 5),
    ],
)
def test_a_write_that_is_not_allowed_is_refused_with_its_reason(
    dkitty: DynamixelBus, address: int, data: bytes, error: int
) -> None:
    before = bytes(dkitty.servos[0].memory.bytes[:PRESENT])
    assert ask(dkitty, 20, WRITE, struct.pack("<H", address) + data) == (error, b"")
    assert bytes(dkitty.servos[0].memory.bytes[:PRESENT]) == before


def test_a_refused_write_of_several_registers_writes_none(dkitty: DynamixelBus) -> None:
    assert ask(dkitty, 10, WRITE, struct.pack("<Hii", 108, 5, -1)) == (4, b"")
    assert read(dkitty, 10, 108, "i") == 0


def test_reading_beyond_the_table_is_an_access_error(dkitty: DynamixelBus) -> None:
    assert ask(dkitty, 10, READ, struct.pack("<HH", 660, 3)) == (7, b"")
    assert ask(dkitty, 10, READ, struct.pack("<HH", 0, 662)) is not None


def test_an_unknown_instruction_is_an_error_and_a_status_is_none_of_our_business(dkitty: DynamixelBus) -> None:
    assert ask(dkitty, 10, 0x77) == (2, b"")
    assert ask(dkitty, 10, 0x55, b"\x00") is None


def test_eeprom_is_locked_while_torque_is_on_and_ram_is_not(dkitty: DynamixelBus) -> None:
    assert write(dkitty, 10, TORQUE, "B", 1) == 0
    assert write(dkitty, 10, 9, "B", 0) == 7
    assert write(dkitty, 10, 65, "B", 1) == 0
    assert write(dkitty, 10, TORQUE, "B", 0) == 0
    assert write(dkitty, 10, 9, "B", 0) == 0


def test_status_return_level_says_who_is_answered(dkitty: DynamixelBus) -> None:
    assert write(dkitty, 10, 68, "B", 1) == 0
    assert ask(dkitty, 10, WRITE, b"\x41\x00\x01") is None
    assert read(dkitty, 10, 65, "B") == 1
    assert ask(dkitty, 10, WRITE, b"\x44\x00\x00") is None
    assert ask(dkitty, 10, READ, b"\x41\x00\x01\x00") is None
    assert ask(dkitty, 10, PING) is not None


def test_indirect_data_stand_for_the_registers_that_they_point_at(dkitty: DynamixelBus) -> None:
    pointers = [PRESENT, PRESENT + 1, PRESENT + 2, PRESENT + 3, 70]
    for i, pointer in enumerate(pointers):
        assert write(dkitty, 10, 168 + 2 * i, "H", pointer) == 0
    answer = ask(dkitty, 10, READ, struct.pack("<HH", 224, 5))
    assert answer is not None
    assert struct.unpack("<iB", answer[1]) == (read(dkitty, 10, PRESENT, "i"), 0)
    assert ask(dkitty, 10, WRITE, struct.pack("<Hi", 224, 0)) == (7, b""), "present position is read only"
    for i in range(4):
        write(dkitty, 10, 168 + 2 * i, "H", GOAL + i)
    assert ask(dkitty, 10, WRITE, struct.pack("<Hi", 224, 1500)) == (0, b"")
    assert read(dkitty, 10, GOAL, "i") == 1500


def test_a_secondary_id_reaches_a_group_in_silence_and_only_its_ram(dkitty: DynamixelBus) -> None:
    for id_ in (10, 11):
        assert write(dkitty, id_, 12, "B", 100) == 0
    assert ask(dkitty, 100, WRITE, b"\x41\x00\x01") is None
    assert ask(dkitty, 100, WRITE, b"\x09\x00\x07") is None
    assert [read(dkitty, id_, 65, "B") for id_ in (10, 11, 12)] == [1, 1, 0]
    assert [read(dkitty, id_, 9, "B") for id_ in (10, 11, 12)] == [250] * 3


def test_two_servos_with_one_id_garble_each_other(dkitty: DynamixelBus) -> None:
    assert write(dkitty, 10, 7, "B", 11) == 0
    (reply,) = dkitty.feed(packet(11, bytes((READ,)) + struct.pack("<HH", PRESENT, 4)), BAUD)
    ((_, _, right),) = Parser().feed(reply.data)
    assert not right


def test_a_servo_at_another_baud_rate_is_deaf(dkitty: DynamixelBus) -> None:
    assert write(dkitty, 10, 8, "B", 1) == 0
    assert ask(dkitty, 10, PING) is None
    assert dkitty.feed(packet(10, bytes((PING,))), 57600) != []


def test_a_rebooting_servo_is_deaf_until_it_is_up(dkitty: DynamixelBus) -> None:
    dkitty.lockstep = False
    dkitty.servos[0].boot_time = 0.25
    assert ask(dkitty, 20, REBOOT) == (0, b"")
    assert ask(dkitty, 20, PING) is None
    dkitty.advance(0.3)
    assert ask(dkitty, 20, PING) is not None


def test_backup_is_restored_on_request(dkitty: DynamixelBus) -> None:
    write(dkitty, 10, 9, "B", 3)
    assert ask(dkitty, 10, BACKUP, b"\x01CTRL") == (0, b"")
    assert read(dkitty, 10, 147, "B") == 1
    write(dkitty, 10, 9, "B", 77)
    assert ask(dkitty, 10, BACKUP, b"\x02CTRL") == (0, b"")
    assert read(dkitty, 10, 9, "B") == 3
    write(dkitty, 10, TORQUE, "B", 1)
    assert ask(dkitty, 10, BACKUP, b"\x01CTRL") == (1, b"")


def test_homing_offset_and_reverse_mode_shift_and_mirror_positions(dkitty: DynamixelBus) -> None:
    plain = read(dkitty, 10, PRESENT, "i")
    write(dkitty, 10, 20, "i", 100)
    assert read(dkitty, 10, PRESENT, "i") == plain + 100
    write(dkitty, 10, 10, "B", 1)
    write(dkitty, 10, 20, "i", 0)
    ask(dkitty, 10, CLEAR, b"\x01DXL\x22")
    assert read(dkitty, 10, PRESENT, "i") == (-plain) % 4096
    write(dkitty, 10, TORQUE, "B", 1)
    start = float(dkitty.plant.position[3])
    write(dkitty, 10, GOAL, "i", (-plain) % 4096 + 100)
    dkitty.advance(0.5)
    assert dkitty.plant.position[3] < start - 0.1, "towards smaller encoder values"


def test_homing_offset_beyond_a_quarter_turn_is_ignored_in_position_mode(dkitty: DynamixelBus) -> None:
    plain = read(dkitty, 10, PRESENT, "i")
    write(dkitty, 10, 20, "i", 1025)
    assert read(dkitty, 10, PRESENT, "i") == plain


def test_the_watchdog_stops_the_servo_and_refuses_goals_until_it_is_cleared(dkitty: DynamixelBus) -> None:
    dkitty.lockstep = False
    write(dkitty, 10, TORQUE, "B", 1)
    write(dkitty, 10, 112, "i", 20)
    start = read(dkitty, 10, PRESENT, "i")
    write(dkitty, 10, GOAL, "i", start + 800)
    assert write(dkitty, 10, WATCHDOG, "B", 5) == 0
    dkitty.advance(0.08)
    assert read(dkitty, 12, 65, "B") == 0, "a packet to anybody feeds the watchdog"
    dkitty.advance(0.08)
    assert read(dkitty, 10, WATCHDOG, "b") == 5
    dkitty.advance(0.2)
    assert read(dkitty, 10, WATCHDOG, "b") == -1
    held = read(dkitty, 10, PRESENT, "i")
    assert start < held < start + 400
    assert write(dkitty, 10, GOAL, "i", start) == 4
    dkitty.feed(packet(0xFE, bytes((SYNC_WRITE,)) + struct.pack("<HHBi", GOAL, 4, 10, start)), BAUD)
    dkitty.advance(0.5)
    assert abs(read(dkitty, 10, PRESENT, "i") - held) < 10, "it holds, and a sync write is ignored in silence"
    assert read(dkitty, 10, TORQUE, "B") == 1, "it does not release the torque"
    assert write(dkitty, 10, WATCHDOG, "B", 0) == 0
    assert write(dkitty, 10, GOAL, "i", start) == 0


def test_the_watchdog_sleeps_while_torque_is_off(dkitty: DynamixelBus) -> None:
    dkitty.lockstep = False
    write(dkitty, 10, WATCHDOG, "B", 5)
    dkitty.advance(1.0)
    assert read(dkitty, 10, WATCHDOG, "b") == 5


def test_a_hardware_error_goes_limp_alerts_every_status_and_ends_only_with_a_reboot(dkitty: DynamixelBus) -> None:
    write(dkitty, 10, TORQUE, "B", 1)
    dkitty.plant.motors.temperature[3] = 90.0
    dkitty.advance(0.02)
    dkitty.plant.motors.temperature[3] = 40.0
    assert ask(dkitty, 10, PING) == (0x80, b"\x06\x04\x2f")
    assert ask(dkitty, 10, READ, struct.pack("<HH", 70, 1)) == (0x80, b"\x04")
    assert read(dkitty, 10, TORQUE, "B") == 0
    assert not dkitty.plant.servos.on[3]
    assert write(dkitty, 10, TORQUE, "B", 1) & 0x7F != 0
    assert read(dkitty, 10, TORQUE, "B") == 0
    ask(dkitty, 10, REBOOT)
    assert ask(dkitty, 10, PING) == (0, b"\x06\x04\x2f")
    assert write(dkitty, 10, TORQUE, "B", 1) == 0


def test_low_voltage_alerts_but_does_not_shut_down_as_the_factory_set_it(dkitty: DynamixelBus) -> None:
    write(dkitty, 10, TORQUE, "B", 1)
    dkitty.plant.battery.volts = 9.0
    dkitty.advance(0.05)
    assert ask(dkitty, 10, READ, struct.pack("<HH", 70, 1)) == (0x80, b"\x01")
    assert read(dkitty, 10, 144, "H") == 90
    assert read(dkitty, 10, TORQUE, "B") == 1


def test_profile_velocity_limits_the_speed_and_zero_means_none(dkitty: DynamixelBus) -> None:
    dkitty.plant.put_on_stand()
    write(dkitty, 10, TORQUE, "B", 1)
    start = read(dkitty, 10, PRESENT, "i")
    speeds = {}
    for profile, goal in ((20, start + 300), (0, start)):
        write(dkitty, 10, 112, "i", profile)
        fastest = 0
        for _ in range(150):
            write(dkitty, 10, GOAL, "i", goal)
            fastest = max(fastest, abs(read(dkitty, 10, 128, "i")))
        speeds[profile] = fastest
        assert abs(read(dkitty, 10, PRESENT, "i") - goal) < 60
    assert speeds[20] <= 40
    assert speeds[0] > 80


def test_a_time_based_profile_takes_its_time(dkitty: DynamixelBus) -> None:
    dkitty.plant.put_on_stand()
    write(dkitty, 10, 10, "B", 4)
    write(dkitty, 10, TORQUE, "B", 1)
    write(dkitty, 10, 112, "i", 1000)
    write(dkitty, 10, 108, "i", 300)
    start = read(dkitty, 10, PRESENT, "i")
    write(dkitty, 10, GOAL, "i", start + 300)
    servos = dkitty.plant.servos
    dkitty.advance(0.95)
    assert servos.setpoint[3] != servos.goal[3]
    dkitty.advance(0.07)
    assert servos.setpoint[3] == servos.goal[3]


def test_velocity_current_and_pwm_modes_drive_the_motor(dkitty: DynamixelBus) -> None:
    dkitty.plant.put_on_stand()
    shank = "front_right_shank"
    joint = dkitty.plant.description.joint_names.index(shank)
    for mode, address, form, goal in ((1, 104, "i", 40), (0, 102, "h", 60), (16, 100, "h", 120)):
        write(dkitty, 12, TORQUE, "B", 0)
        dkitty.advance(1.0)
        assert write(dkitty, 12, 11, "B", mode) == 0
        write(dkitty, 12, TORQUE, "B", 1)
        start = dkitty.plant.position[joint]
        assert write(dkitty, 12, address, form, goal) == 0
        dkitty.advance(0.25)
        assert dkitty.plant.position[joint] > start + 0.05, mode
        if mode == 1:
            assert read(dkitty, 12, 128, "i") == pytest.approx(40, abs=12)
        if mode == 0:
            assert read(dkitty, 12, 126, "h") == pytest.approx(60, abs=6)
        if mode == 16:
            assert read(dkitty, 12, 124, "h") == 120


def test_position_gain_acts(dkitty: DynamixelBus) -> None:
    def sag(gain: int) -> float:
        bus = DynamixelBus(Plant(load_description("dkitty")))
        bus.plant.put_on_stand()
        write(bus, 11, 84, "H", gain)
        write(bus, 11, TORQUE, "B", 1)
        write(bus, 11, GOAL, "i", 2048 + 1024)
        bus.advance(3.0)
        return abs(read(bus, 11, PRESENT, "i") - 3072)

    assert sag(200) > 2 * sag(800) > 0


def test_every_model_answers_with_its_own_number_and_table() -> None:
    for name, model in MODELS.items():
        description = load_description("dkitty")
        servo = description.servo.model_copy(update={"model": name, "voltage": 5.0 if "330" in name else 12.0})
        bus = DynamixelBus(Plant(description.model_copy(update={"servo": servo})))
        answer = ask(bus, 10, PING)
        assert answer == (0, struct.pack("<H", model.number) + b"\x2f")
        assert read(bus, 10, 84, "H") == model.by_name["position_p_gain"].initial
        write(bus, 10, TORQUE, "B", 1)
        if name == "XL430-W250":
            assert ask(bus, 10, WRITE, struct.pack("<Hh", 102, 0)) == (7, b""), "it has no current sensing"
        bus.advance(0.5)
        assert abs(read(bus, 10, 126, "h")) < 1000


packets_of_all_kinds = st.builds(
    lambda id_, instruction, parameters: packet(id_, bytes((instruction,)) + parameters),
    st.sampled_from([10, 11, 0xFE, 0, 252, 99]),
    st.sampled_from([1, 2, 3, 4, 5, 6, 8, 0x10, 0x20, 0x55, 0x82, 0x83, 0x8A, 0x92, 0x93, 0x9A, 0, 255]),
    st.one_of(
        st.binary(max_size=40),
        st.builds(lambda address, rest: struct.pack("<H", address) + rest, st.integers(0, 700), st.binary(max_size=12)),
        st.builds(
            lambda address, length, ids: struct.pack("<HH", address, length) + bytes(ids),
            st.integers(0, 700),
            st.integers(0, 30),
            st.lists(st.sampled_from([10, 11, 12, 99]), max_size=5),
        ),
    ),
)


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant(load_description("dkitty"))


@settings(max_examples=200, deadline=None)
@given(stream=st.lists(st.one_of(st.binary(max_size=60), packets_of_all_kinds), max_size=6))
def test_no_byte_sequence_crashes_or_hangs_the_bus(plant: Plant, stream: list[bytes]) -> None:
    plant.listeners.clear()
    bus = DynamixelBus(plant)
    for part in stream:
        bus.feed(part, BAUD)
    bus.feed(bytes(2048), BAUD)  # whatever a cut-off packet is still waiting for
    bus.advance(0.02)
    for servo in bus.servos:
        servo.factory_reset(0x02)
    assert [ask(bus, servo.id, PING) for servo in bus.servos if servo.baud == BAUD and servo.id not in (0, 252)]


@settings(max_examples=150, deadline=None)
@given(
    id_=st.integers(0, 252),
    body=st.binary(min_size=1, max_size=60).map(lambda rest: b"\x03" + rest.replace(b"\x00", b"\xff\xff\xfd")),
    cuts=st.lists(st.integers(1, 9), max_size=30),
)
def test_every_packet_survives_encoding_and_decoding_in_any_pieces(id_: int, body: bytes, cuts: list[int]) -> None:
    data = b"\xff\xff" + packet(id_, body) + b"\xff"
    parser, found = Parser(), []
    for cut in cuts:
        found += parser.feed(data[:cut])
        data = data[cut:]
    found += parser.feed(data)
    assert found == [(id_, body, True)]


@settings(max_examples=150, deadline=None)
@given(bit=st.integers(0, 8 * 16 - 1))
def test_a_packet_with_any_bit_flipped_is_refused(plant: Plant, bit: int) -> None:
    plant.listeners.clear()
    bus = DynamixelBus(plant)
    whole = bytearray(packet(10, bytes((WRITE,)) + struct.pack("<Hi", GOAL, 1234)))
    assert len(whole) == 16
    whole[bit // 8] ^= 1 << bit % 8
    before = [bytes(servo.memory.bytes) for servo in bus.servos]
    replies = bus.feed(bytes(whole) + bytes(1024), BAUD)
    assert [bytes(servo.memory.bytes) for servo in bus.servos] == before
    for reply in replies:
        ((_, status, _),) = Parser().feed(reply.data)
        assert status == b"\x55\x03", "if anything, then a CRC error"
