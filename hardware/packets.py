"""What the servo protocols have in common: status packets, registers, and the functions that a codec module offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Status(NamedTuple):
    """A servo's answer. error: its error byte, 0 for none. data: what was read, empty for a write."""

    id: int
    error: int
    data: bytes


class Register(NamedTuple):
    """Where a quantity stands in a control table, little-endian.

    sign: None unsigned; "two" two's complement; an integer: sign and magnitude, with that bit as the sign.
    """

    address: int
    size: int
    sign: str | int | None = None

    def encode(self, value: int) -> bytes:
        """Bytes on the wire; raises ValueError for a value that does not fit."""
        if isinstance(self.sign, int):
            if abs(value) >= 1 << self.sign:
                raise ValueError(f"{value} does not fit the register at {self.address}")
            value = abs(value) | (1 << self.sign if value < 0 else 0)
        try:
            return value.to_bytes(self.size, "little", signed=self.sign == "two")
        except OverflowError:
            raise ValueError(f"{value} does not fit the register at {self.address}") from None

    def decode(self, data: bytes) -> int:
        """The value of `size` bytes."""
        value = int.from_bytes(data, "little", signed=self.sign == "two")
        if isinstance(self.sign, int):
            magnitude = value & ((1 << self.sign) - 1)
            return -magnitude if value >> self.sign & 1 else magnitude
        return value


class Codec(Protocol):
    """The functions of a codec module (protocol2, scs)."""

    BROADCAST: int
    STATUS_OVERHEAD: int

    def statuses(self, buffer: bytearray, final: bool = False) -> list[Status]: ...
    def rows(self, data: bytes, ids: bytes, size: int) -> NDArray[np.uint8] | None: ...
    def ping(self, id_: int) -> bytes: ...
    def read(self, id_: int, address: int, size: int) -> bytes: ...
    def write(self, id_: int, address: int, data: bytes) -> bytes: ...
    def sync_read(self, ids: Sequence[int], address: int, size: int) -> bytes: ...
    def sync_write(self, address: int, data: Mapping[int, bytes]) -> bytes: ...
