"""Feetech's servo protocol (STS, SMS): packets to bytes and back. No I/O, no state.

FF FF, id, length, instruction or error, parameters, checksum; Feetech's communication protocol manual. There is no
stuffing: only length and checksum tell where a packet ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hardware.packets import Status

PING, READ, WRITE, SYNC_READ, SYNC_WRITE = 0x01, 0x02, 0x03, 0x82, 0x83
BROADCAST = 0xFE
STATUS_OVERHEAD = 6
"""Bytes of a status packet around its data."""

_HEADER = b"\xff\xff"
_MAX_LENGTH = 252


def checksum(data: bytes | bytearray) -> int:
    """The inverted sum of id, length, instruction and parameters."""
    return ~sum(data) & 0xFF


def encode(id_: int, instruction: int, parameters: bytes = b"") -> bytes:
    """One packet; raises ValueError where it would be too long."""
    length = len(parameters) + 2
    if length > _MAX_LENGTH:
        raise ValueError(f"a packet holds at most {_MAX_LENGTH - 2} parameter bytes, not {len(parameters)}")
    if not 0 <= id_ <= BROADCAST:
        raise ValueError(f"an id is 0 to 253, or 254 for all, not {id_}")
    body = bytes([id_, length, instruction]) + parameters
    return _HEADER + body + bytes([checksum(body)])


def decode(buffer: bytearray, final: bool = False) -> list[tuple[int, int, bytes]]:
    """Take whole packets (id, instruction or error, parameters) off a buffer's front; damage and noise are dropped.

    An unfinished packet stays in the buffer, unless `final`: then packets behind its beginning are found.
    """
    packets: list[tuple[int, int, bytes]] = []
    start = 0
    while True:
        found = buffer.find(_HEADER, start)
        if found < 0:
            keep = 1 if not final and buffer.endswith(b"\xff") else 0
            del buffer[: max(start, len(buffer) - keep)]
            return packets
        start = found
        if len(buffer) - start >= 4:
            id_, length = buffer[start + 2], buffer[start + 3]
            end = start + 4 + length
            if id_ == 0xFF or not 2 <= length <= _MAX_LENGTH:
                start += 1
                continue
            if end <= len(buffer):
                if checksum(buffer[start + 2 : end - 1]) == buffer[end - 1]:
                    packets.append((id_, buffer[start + 4], bytes(buffer[start + 5 : end - 1])))
                    start = end
                else:
                    start += 1
                continue
        if not final:
            del buffer[:start]
            return packets
        start += 1


def statuses(buffer: bytearray, final: bool = False) -> list[Status]:
    """Take the status packets off a buffer. An echo of an instruction looks alike: the bus must drop it before."""
    return [Status(*packet) for packet in decode(buffer, final) if packet[0] != BROADCAST]


def rows(data: bytes, ids: bytes, size: int) -> NDArray[np.uint8] | None:
    """The error byte and the data of every status, (n, 1 + size), where `data` is just what was asked for.

    That is one intact status of `size` data bytes from each of `ids`, in their order; None for anything else, which
    `statuses` sorts out.
    """
    count, length = len(ids), size + STATUS_OVERHEAD
    if not 1 < count == len(data) / length or data[2::length] != ids:
        return None
    packets = np.frombuffer(data, np.uint8).reshape(count, length)
    if (packets[:, (0, 1, 3)] != (0xFF, 0xFF, size + 2)).any() or (packets[:, 2:].sum(axis=1) % 256 != 0xFF).any():
        return None
    return packets[:, 4:-1]


def ping(id_: int) -> bytes:
    return encode(id_, PING)


def read(id_: int, address: int, size: int) -> bytes:
    return encode(id_, READ, bytes([address, size]))


def write(id_: int, address: int, data: bytes) -> bytes:
    return encode(id_, WRITE, bytes([address]) + data)


def sync_read(ids: Sequence[int], address: int, size: int) -> bytes:
    return encode(BROADCAST, SYNC_READ, bytes([address, size, *ids]))


def sync_write(address: int, data: Mapping[int, bytes]) -> bytes:
    """`data`: bytes for each id, all of the same length."""
    size = len(next(iter(data.values())))
    return encode(
        BROADCAST, SYNC_WRITE, bytes([address, size]) + b"".join(bytes([id_]) + part for id_, part in data.items())
    )
