"""The Dynamixel codec against the manual's example packets, the vendor's SDK, and whatever bytes there are."""

from __future__ import annotations

import dynamixel_sdk
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hardware import protocol2

IDS = st.integers(0, 252) | st.just(254)
PARAMETERS = st.lists(st.sampled_from([0x00, 0x7F, 0xFD, 0xFE, 0xFF]) | st.integers(0, 255), max_size=60).map(bytes)

MANUAL = {
    "ping": (protocol2.ping(1), "FF FF FD 00 01 03 00 01 19 4E"),
    "ping all": (protocol2.ping(254), "FF FF FD 00 FE 03 00 01 31 42"),
    "read": (protocol2.read(1, 132, 4), "FF FF FD 00 01 07 00 02 84 00 04 00 1D 15"),
    "write": (protocol2.write(1, 116, bytes([0, 2, 0, 0])), "FF FF FD 00 01 09 00 03 74 00 00 02 00 00 CA 89"),
    "reboot": (protocol2.reboot(1), "FF FF FD 00 01 03 00 08 2F 4E"),
    "sync read": (protocol2.sync_read([1, 2], 132, 4), "FF FF FD 00 FE 09 00 82 84 00 04 00 01 02 CE FA"),
    "sync write": (
        protocol2.sync_write(116, {1: bytes([150, 0, 0, 0]), 2: bytes([170, 0, 0, 0])}),
        "FF FF FD 00 FE 11 00 83 74 00 04 00 01 96 00 00 00 02 AA 00 00 00 82 87",
    ),
}
"""Instruction packets as the ROBOTIS e-manual prints them ("Protocol 2.0", examples)."""


@pytest.mark.parametrize("name", MANUAL)
def test_instructions_are_the_manuals_byte_for_byte(name: str) -> None:
    packet, printed = MANUAL[name]
    assert packet == bytes.fromhex(printed)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("FF FF FD 00 01 07 00 55 00 06 04 26 65 5D", (1, 0, bytes([6, 4, 0x26]))),
        ("FF FF FD 00 02 07 00 55 00 06 04 26 6F 6D", (2, 0, bytes([6, 4, 0x26]))),
        ("FF FF FD 00 01 08 00 55 00 A6 00 00 00 8C C0", (1, 0, bytes([0xA6, 0, 0, 0]))),
        ("FF FF FD 00 02 08 00 55 00 1F 08 00 00 BA BE", (2, 0, bytes([0x1F, 8, 0, 0]))),
        ("FF FF FD 00 01 04 00 55 00 A1 0C", (1, 0, b"")),
    ],
)
def test_the_manuals_status_packets_are_understood(printed: str, expected: tuple[int, int, bytes]) -> None:
    assert protocol2.statuses(bytearray.fromhex(printed)) == [expected]


@given(st.binary(max_size=200))
def test_the_checksum_is_the_vendors(data: bytes) -> None:
    assert protocol2.crc16(data) == dynamixel_sdk.Protocol2PacketHandler().updateCRC(0, list(data), len(data))


@given(IDS, st.integers(0, 255), PARAMETERS)
def test_every_packet_survives_encoding_and_decoding(id_: int, instruction: int, parameters: bytes) -> None:
    assert protocol2.decode(bytearray(protocol2.encode(id_, instruction, parameters))) == [
        (id_, instruction, parameters)
    ]


@given(IDS, PARAMETERS)
def test_the_vendors_own_stuffing_is_undone(id_: int, parameters: bytes) -> None:
    packet = [0xFF, 0xFF, 0xFD, 0x00, id_, (len(parameters) + 4) & 0xFF, 0, 0x55, 0, *parameters, 0, 0]
    handler = dynamixel_sdk.Protocol2PacketHandler()
    stuffed = handler.addStuffing(packet) or packet
    crc = handler.updateCRC(0, stuffed, len(stuffed) - 2)
    stuffed[-2:] = [crc & 0xFF, crc >> 8]
    assert protocol2.statuses(bytearray(stuffed)) == [(id_, 0, parameters)]


@given(st.binary(max_size=300), st.booleans())
def test_no_byte_sequence_crashes_or_is_kept_for_ever(noise: bytes, final: bool) -> None:
    buffer = bytearray(noise)
    protocol2.statuses(buffer, final)
    assert buffer == b"" if final else len(buffer) <= len(noise)


@given(PARAMETERS, st.data())
def test_a_damaged_packet_is_refused(parameters: bytes, data: st.DataObject) -> None:
    assume(b"\xff\xff\xfd" not in parameters)  # a packet may hold another one
    packet = bytearray(protocol2.encode(7, 0x55, parameters))
    place = data.draw(st.integers(0, len(packet) - 1))
    packet[place] ^= data.draw(st.integers(1, 255))
    assert protocol2.decode(packet, final=True) == []


@given(st.binary(max_size=40), st.lists(PARAMETERS, min_size=1, max_size=4), st.integers(1, 30))
def test_packets_are_found_behind_noise_however_they_arrive(noise: bytes, bodies: list[bytes], slice_: int) -> None:
    assume(b"\xff\xff\xfd\x00" not in noise and not noise.endswith((b"\xff", b"\xff\xff", b"\xff\xff\xfd")))
    stream = noise + b"".join(protocol2.encode(n, 0x55, b"\x00" + body) for n, body in enumerate(bodies))
    buffer, found = bytearray(), []
    for start in range(0, len(stream), slice_):
        buffer += stream[start : start + slice_]
        found += protocol2.statuses(buffer)
    assert found == [(n, 0, body) for n, body in enumerate(bodies)]


@given(st.integers(1, 70), st.integers(1, 13), st.data())
def test_whole_answers_come_in_rows_and_anything_else_does_not(size: int, count: int, data: st.DataObject) -> None:
    bodies = [data.draw(st.binary(min_size=size + 1, max_size=size + 1)) for _ in range(count)]
    stream = b"".join(protocol2.encode(n, 0x55, body) for n, body in enumerate(bodies))
    rows = protocol2.rows(stream, bytes(range(count)), size)
    if count > 1 and size <= 53 and len(stream) == count * (size + 11):  # else stuffed, or left to the other way
        assert rows is not None
        assert [row.tobytes() for row in rows] == bodies
    else:
        assert rows is None
    damaged = bytearray(stream)
    damaged[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    assert protocol2.rows(bytes(damaged), bytes(range(count)), size) is None
    assert protocol2.rows(stream[:-1], bytes(range(count)), size) is None
    assert protocol2.rows(stream, bytes(range(1, count + 1)), size) is None


def test_a_packet_behind_a_false_beginning_is_found_when_time_is_up() -> None:
    false, real = bytes.fromhex("FF FF FD 00 05 F0 00 55"), protocol2.encode(3, 0x55, b"\x00abc")
    buffer = bytearray(false + real)
    assert protocol2.statuses(buffer) == []
    assert protocol2.statuses(buffer, final=True) == [(3, 0, b"abc")]


def test_an_echoed_instruction_is_no_answer() -> None:
    assert protocol2.statuses(bytearray(protocol2.read(1, 132, 4))) == []


@pytest.mark.parametrize("id_", [-1, 253, 255, 300])
def test_an_impossible_id_is_an_error(id_: int) -> None:
    with pytest.raises(ValueError, match="id"):
        protocol2.ping(id_)
