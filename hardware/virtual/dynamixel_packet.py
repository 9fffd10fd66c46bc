"""Packets of Dynamixel Protocol 2.0 on the wire: stuffing, checksum, and finding them in a stream of bytes."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HEADER = b"\xff\xff\xfd"
BROADCAST = 0xFE
STATUS = 0x55
LONGEST = 1024
"""Bytes of a packet; a longer length field is noise."""
AROUND_DATA = 11
"""Bytes of a status packet beside its data."""


def _after(word: int) -> int:
    """The CRC of sixteen bits alone."""
    for _ in range(16):
        word = (word << 1 ^ 0x8005 if word & 0x8000 else word << 1) & 0xFFFF
    return word


CRC_TABLE = array("H", [0])
for _alone in [_after(1 << bit) for bit in range(16)]:  # a CRC is linear: that of an exclusive or is that of both
    CRC_TABLE.extend([_alone ^ other for other in CRC_TABLE])


def crc16(data: bytes) -> int:
    """CRC-16 with polynomial x^16 + x^15 + x^2 + 1, most significant bit first, from 0 (e-manual, "CRC")."""
    table = CRC_TABLE
    crc = 0
    padded = data if len(data) % 2 == 0 else b"\x00" + data  # a zero in front changes nothing
    for word in struct.unpack(f">{len(padded) // 2}H", padded):
        crc = table[crc ^ word]
    return crc


PLACES = 64
BY_PLACE = [np.array(CRC_TABLE[:256], dtype=np.uint16)]
"""CRC of a byte alone, then of a byte with a zero after it, with two, ..."""
for _ in range(PLACES - 1):
    BY_PLACE.append((BY_PLACE[-1] << 8) ^ BY_PLACE[0][BY_PLACE[-1] >> 8])
FROM_END = np.concatenate(BY_PLACE[::-1])
PLACE = 256 * np.arange(PLACES)


def crc16s(messages: Sequence[bytes]) -> list[int]:
    """The CRC of each; of short ones of equal length at once, since a CRC is the exclusive or of its bytes' own."""
    length = len(messages[0])
    if length > PLACES or len(messages) == 1 or any(len(message) != length for message in messages):
        return [crc16(message) for message in messages]
    rows = np.frombuffer(b"".join(messages), dtype=np.uint8).reshape(len(messages), length)
    crcs: list[int] = _crc_of_rows(rows).tolist()
    return crcs


def _crc_of_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Of messages (n, at most PLACES bytes)."""
    crcs: NDArray[np.uint16] = np.bitwise_xor.reduce(FROM_END.take(PLACE[-rows.shape[1] :] + rows), axis=1)
    return crcs


def stuff(body: bytes) -> bytes:
    """A 0xFD more after every header inside a packet's body."""
    return body.replace(HEADER, HEADER + b"\xfd")


def unstuff(body: bytes) -> bytes:
    return body.replace(HEADER + b"\xfd", HEADER)


def packet(id_: int, body: bytes) -> bytes:
    """A whole packet around its body (instruction and parameters)."""
    return packets([(id_, body)])[0]


def packets(bodies: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """A whole packet for each id and body."""
    heads = []
    for id_, body in bodies:
        stuffed = stuff(body)
        heads.append(HEADER + bytes((0, id_)) + (len(stuffed) + 2).to_bytes(2, "little") + stuffed)
    return [head + crc.to_bytes(2, "little") for head, crc in zip(heads, crc16s(heads), strict=True)]


def statuses(ids: bytes, errors: Sequence[int], data: NDArray[np.uint8]) -> list[bytes]:
    """A whole status packet from each id, with its error byte and its row of data, (n, size)."""
    count, size = data.shape
    rows = np.empty((count, size + AROUND_DATA), dtype=np.uint8)
    rows[:, :9] = (*HEADER, 0, 0, size + 4 & 0xFF, size + 4 >> 8, STATUS, 0)
    rows[:, 4], rows[:, 8], rows[:, 9:-2] = list(ids), errors, data
    if rows.shape[1] > PLACES or rows.tobytes().count(HEADER) > count:  # long, or something to be stuffed
        return packets([(id_, row[7:-2].tobytes()) for id_, row in zip(ids, rows, strict=True)])
    rows[:, -2:] = _crc_of_rows(rows[:, :-2]).astype("<u2").view(np.uint8).reshape(count, 2)
    wire, length = rows.tobytes(), rows.shape[1]
    return [wire[start : start + length] for start in range(0, len(wire), length)]


class Parser:
    """Finds packets in a stream of bytes, whatever else is in it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes, bool]]:
        """Id, unstuffed body and whether the CRC was right, of every packet that is now complete."""
        self._buffer += data
        found = []
        while (parsed := self._next()) is not None:
            found.append(parsed)
        return found

    def _next(self) -> tuple[int, bytes, bool] | None:
        buffer = self._buffer
        while True:
            start = buffer.find(HEADER)
            if start < 0:
                del buffer[: max(0, len(buffer) - 2)]
                return None
            del buffer[:start]
            if len(buffer) < 7:
                return None
            length = int.from_bytes(buffer[5:7], "little")
            if buffer[3] == 0 and buffer[4] not in (0xFD, 0xFF) and 3 <= length <= LONGEST:
                break
            del buffer[:3]
        end = 7 + length
        if len(buffer) < end:
            return None
        whole = bytes(buffer[:end])
        right = crc16(whole[:-2]) == int.from_bytes(whole[-2:], "little")
        del buffer[: end if right else 3]  # in a damaged packet the next one's header may have been swallowed
        return whole[4], unstuff(whole[7:-2]), right
