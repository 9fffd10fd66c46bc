"""Dynamixel Protocol 2.0: packets to bytes and back. No I/O, no state.

FF FF FD 00, id, length (2), instruction, parameters, CRC (2); ROBOTIS e-manual, "Protocol 2.0".
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hardware.packets import Status

PING, READ, WRITE, REBOOT, STATUS, SYNC_READ, SYNC_WRITE = 0x01, 0x02, 0x03, 0x08, 0x55, 0x82, 0x83
BROADCAST = 0xFE
STATUS_OVERHEAD = 11
"""Bytes of a status packet around its data."""

_HEADER = b"\xff\xff\xfd\x00"
_PATTERN, _STUFFED = b"\xff\xff\xfd", b"\xff\xff\xfd\xfd"
_MAX_LENGTH = 4096
"""Longer packets than any control table could fill are noise."""


def _crc_table() -> array[int]:
    """What sixteen bits leave of a register of zeros."""
    word = np.arange(1 << 16)
    for _ in range(16):
        word = np.where(word & 0x8000, (word << 1) ^ 0x8005, word << 1) & 0xFFFF
    return array("H", word.astype(np.uint16).tobytes())


_TABLE = _crc_table()


def crc16(data: bytes | bytearray) -> int:
    """CRC-16 with polynomial 0x8005, start 0, not reflected (e-manual, "CRC Calculation"); two bytes at a time."""
    crc, table = 0, _TABLE
    even = data if len(data) % 2 == 0 else b"\0" + data  # zeros in front leave the register as it is
    for word in struct.unpack(f">{len(even) // 2}H", even):
        crc = table[crc ^ word]
    return crc


def _by_place(longest: int) -> NDArray[np.uint16]:
    """What each byte contributes to the CRC of a packet by its place, (longest, 256); the CRC itself comes last.

    A CRC is linear: the exclusive or of all contributions, the CRC's own among them, is zero.
    """
    byte = np.arange(256, dtype=np.uint16)
    rows = [byte << 8, byte, np.array(_TABLE[:256], dtype=np.uint16)]
    for _ in range(longest - len(rows)):
        rows.append((rows[-1] << 8) ^ rows[2][rows[-1] >> 8])
    return np.array(rows[::-1])


_LONGEST_ROW = 64
_BY_PLACE = _by_place(_LONGEST_ROW)
_PLACES = np.arange(_LONGEST_ROW) * 256


def encode(id_: int, instruction: int, parameters: bytes = b"") -> bytes:
    """One packet, stuffed: an FD is added after each FF FF FD from the instruction on. ValueError if too long."""
    body = (bytes([instruction]) + parameters).replace(_PATTERN, _STUFFED)
    length = len(body) + 2
    if length > _MAX_LENGTH:
        raise ValueError(f"a packet holds at most {_MAX_LENGTH} bytes, not {length}")
    if not 0 <= id_ <= BROADCAST or id_ == 0xFD:
        raise ValueError(f"an id is 0 to 252, or 254 for all, not {id_}")
    packet = _HEADER + bytes([id_, length & 0xFF, length >> 8]) + body
    crc = crc16(packet)
    return packet + bytes([crc & 0xFF, crc >> 8])


def decode(buffer: bytearray, final: bool = False) -> list[tuple[int, int, bytes]]:
    """Take whole packets (id, instruction, parameters) off the front of a buffer; what is damaged or noise is dropped.

    An unfinished packet stays in the buffer, unless `final`: then what looked like its beginning is skipped, and
    packets behind it are found.
    """
    packets: list[tuple[int, int, bytes]] = []
    start = 0
    while True:
        found = buffer.find(_HEADER, start)
        if found < 0:
            # a header may have arrived in part
            keep = 0 if final else next((n for n in (3, 2, 1) if buffer.endswith(_HEADER[:n])), 0)
            del buffer[: max(start, len(buffer) - keep)]
            return packets
        start = found
        if len(buffer) - start >= 7:
            length = buffer[start + 5] | buffer[start + 6] << 8
            end = start + 7 + length
            if not 3 <= length <= _MAX_LENGTH:
                start += 1
                continue
            if end <= len(buffer):
                packet = buffer[start:end]
                if crc16(packet[:-2]) == packet[-2] | packet[-1] << 8:
                    body = bytes(packet[7:-2]).replace(_STUFFED, _PATTERN)
                    packets.append((packet[4], body[0], body[1:]))
                    start = end
                else:
                    start += 1
                continue
        if not final:
            del buffer[:start]
            return packets
        start += 1


def statuses(buffer: bytearray, final: bool = False) -> list[Status]:
    """Take the status packets off a buffer; instructions (a half-duplex echo) are dropped."""
    return [
        Status(id_, parameters[0], parameters[1:])
        for id_, instruction, parameters in decode(buffer, final)
        if instruction == STATUS and parameters
    ]


def rows(data: bytes, ids: bytes, size: int) -> NDArray[np.uint8] | None:
    """The error byte and the data of every status, (n, 1 + size), where `data` is just what was asked for.

    That is one intact status of `size` data bytes from each of `ids`, in their order; None for anything else, which
    `statuses` sorts out.
    """
    count, length = len(ids), size + STATUS_OVERHEAD
    if not 1 < count == len(data) / length or length > _LONGEST_ROW or data[4::length] != ids or _STUFFED in data:
        return None
    alike = _HEADER + bytes([ids[0], size + 4 & 0xFF, size + 4 >> 8, STATUS])
    if any(data[place::length] != alike[place : place + 1] * count for place in (0, 1, 2, 3, 5, 6, 7)):
        return None
    packets = np.frombuffer(data, np.uint8).reshape(count, length)
    if np.bitwise_xor.reduce(_BY_PLACE.take(_PLACES[-length:] + packets), axis=1).any():
        return None
    return packets[:, 8:-2]


def _u16(value: int) -> bytes:
    return bytes([value & 0xFF, value >> 8 & 0xFF])


def ping(id_: int) -> bytes:
    return encode(id_, PING)


def reboot(id_: int) -> bytes:
    return encode(id_, REBOOT)


def read(id_: int, address: int, size: int) -> bytes:
    return encode(id_, READ, _u16(address) + _u16(size))


def write(id_: int, address: int, data: bytes) -> bytes:
    return encode(id_, WRITE, _u16(address) + data)


def sync_read(ids: Sequence[int], address: int, size: int) -> bytes:
    return encode(BROADCAST, SYNC_READ, _u16(address) + _u16(size) + bytes(ids))


def sync_write(address: int, data: Mapping[int, bytes]) -> bytes:
    """`data`: bytes for each id, all of the same length."""
    size = len(next(iter(data.values())))
    parts = b"".join([bytes((id_,)) + part for id_, part in data.items()])
    return encode(BROADCAST, SYNC_WRITE, _u16(address) + _u16(size) + parts)
