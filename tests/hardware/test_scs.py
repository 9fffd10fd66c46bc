"""The Feetech codec against the manual's example packets, the vendor's SDK, and whatever bytes there are."""

from __future__ import annotations

import pytest
import scservo_sdk
from hypothesis import assume, given
from hypothesis import strategies as st

from hardware import scs

IDS = st.integers(0, 253)
PARAMETERS = st.binary(max_size=60)


class Recorder:
    """A port that keeps what the vendor's SDK sends."""

    is_using = False

    def __init__(self) -> None:
        self.sent = b""

    def clearPort(self) -> None: ...

    def setPacketTimeout(self, length: int) -> None: ...

    def writePort(self, packet: list[int]) -> int:
        self.sent = bytes(packet)
        return len(packet)


@given(IDS, st.integers(0, 255), st.binary(min_size=2, max_size=2))
def test_single_requests_are_the_vendors_byte_for_byte(id_: int, address: int, data: bytes) -> None:
    vendor, port = scservo_sdk.PacketHandler(0), Recorder()
    vendor.readTx(port, id_, address, 4)
    assert scs.read(id_, address, 4) == port.sent
    port.is_using = False
    vendor.writeTxOnly(port, id_, address, 2, list(data))
    assert scs.write(id_, address, data) == port.sent


@given(st.lists(IDS, min_size=1, max_size=12, unique=True))
def test_group_requests_are_the_vendors_byte_for_byte(ids: list[int]) -> None:
    vendor, port = scservo_sdk.PacketHandler(0), Recorder()
    vendor.syncReadTx(port, 56, 15, ids, len(ids))
    assert scs.sync_read(ids, 56, 15) == port.sent
    port.is_using = False
    parameters = [byte for id_ in ids for byte in (id_, 0, 8)]
    vendor.syncWriteTxOnly(port, 42, 2, parameters, len(parameters))
    assert scs.sync_write(42, dict.fromkeys(ids, bytes([0, 8]))) == port.sent


def test_the_manuals_status_packet_is_understood() -> None:
    # position 0x0205 of servo 1; Feetech protocol manual, "read data"
    assert scs.statuses(bytearray.fromhex("FF FF 01 04 00 05 02 F3")) == [(1, 0, bytes([5, 2]))]


@given(IDS, st.integers(0, 255), PARAMETERS)
def test_every_packet_survives_encoding_and_decoding(id_: int, error: int, parameters: bytes) -> None:
    assert scs.statuses(bytearray(scs.encode(id_, error, parameters))) == [(id_, error, parameters)]


@given(st.binary(max_size=300), st.booleans())
def test_no_byte_sequence_crashes_or_is_kept_for_ever(noise: bytes, final: bool) -> None:
    buffer = bytearray(noise)
    scs.statuses(buffer, final)
    assert buffer == b"" if final else len(buffer) <= len(noise)


@given(st.lists(st.integers(0, 254), max_size=30).map(bytes), st.data())
def test_a_packet_with_one_damaged_byte_is_refused(parameters: bytes, data: st.DataObject) -> None:
    packet = bytearray(scs.encode(7, 0, parameters))
    place = data.draw(st.sampled_from([n for n in range(len(packet)) if n != 3]))
    packet[place] ^= data.draw(st.integers(1, 255))
    assert scs.decode(bytearray(packet), final=True) == []


@given(st.lists(st.integers(0, 254), max_size=30).map(bytes), st.integers(1, 255))
def test_a_damaged_length_yields_nothing_of_the_size_that_was_asked_for(parameters: bytes, flip: int) -> None:
    packet = bytearray(scs.encode(7, 0, parameters))
    packet[3] ^= flip
    assert all(len(data) != len(parameters) for _, _, data in scs.decode(packet, final=True))


@given(st.lists(PARAMETERS, min_size=1, max_size=4), st.integers(1, 30), st.binary(max_size=20))
def test_packets_are_found_behind_noise_however_they_arrive(bodies: list[bytes], slice_: int, noise: bytes) -> None:
    assume(b"\xff" not in noise)
    stream = noise + b"".join(scs.encode(n, 0, body) for n, body in enumerate(bodies))
    buffer, found = bytearray(), []
    for start in range(0, len(stream), slice_):
        buffer += stream[start : start + slice_]
        found += scs.statuses(buffer)
    assert found == [(n, 0, body) for n, body in enumerate(bodies)]


def test_too_long_a_packet_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most"):
        scs.encode(1, 3, bytes(300))


@given(st.integers(1, 70), st.integers(2, 13), st.data())
def test_whole_answers_come_in_rows_and_anything_else_does_not(size: int, count: int, data: st.DataObject) -> None:
    bodies = [data.draw(st.binary(min_size=size + 1, max_size=size + 1)) for _ in range(count)]
    stream = b"".join(scs.encode(n, body[0], body[1:]) for n, body in enumerate(bodies))
    rows = scs.rows(stream, bytes(range(count)), size)
    assert rows is not None
    assert [row.tobytes() for row in rows] == bodies
    damaged = bytearray(stream)
    damaged[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    assert scs.rows(bytes(damaged), bytes(range(count)), size) is None
    assert scs.rows(stream[:-1], bytes(range(count)), size) is None
    assert scs.rows(stream, bytes(range(1, count + 1)), size) is None
