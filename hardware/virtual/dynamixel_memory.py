"""The memory of a Dynamixel servo: registers by address and by name, indirect addressing, what may be written."""

from __future__ import annotations

from collections.abc import Container

from hardware.virtual.dynamixel_table import EEPROM_END, Model, Register

RESULT_FAIL, INSTRUCTION_ERROR, CRC_ERROR, RANGE_ERROR, LENGTH_ERROR, LIMIT_ERROR, ACCESS_ERROR = range(1, 8)
"""Error numbers of a status packet (e-manual, Protocol 2.0, "Error")."""


class DynamixelError(Exception):
    """Why an instruction was not carried out; `number` goes into the status packet."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Memory:
    """`value`: every register by name, kept in step with the bytes, which are `image`, `model.size` of them.

    eeprom_writes: how often a register was put into EEPROM, or kept there over a restart.
    """

    def __init__(self, model: Model, image: memoryview) -> None:
        self.model = model
        self.bytes = image
        self.value: dict[str, int] = {}
        self.eeprom_writes = 0
        self.reset()

    @property
    def eeprom(self) -> bytes:
        return bytes(self.bytes[:EEPROM_END])

    def put(self, name: str, value: int) -> None:
        register = self.model.by_name[name]
        self.bytes[register.address : register.end] = value.to_bytes(register.size, "little", signed=value < 0)
        self.value[name] = value
        if register.address < EEPROM_END:
            self.eeprom_writes += 1

    def load(self, register: Register, image: bytes) -> None:
        """Take a register from an image of the memory."""
        data = image[register.address : register.end]
        self.put(register.name, int.from_bytes(data, "little", signed=register.signed))

    def reset(self, keep: Container[str] = ()) -> None:
        """Factory values for all registers but some."""
        for register in self.model.registers:
            if register.name not in keep:
                self.put(register.name, register.initial)

    def boot(self, eeprom: bytes) -> None:
        """Factory values in RAM, kept ones in EEPROM."""
        for register in self.model.registers:
            if register.address >= EEPROM_END:
                self.put(register.name, register.initial)
            else:
                self.load(register, eeprom)

    def targets(self, address: int, length: int) -> range | list[int]:
        """The addresses that a block stands for: itself, but where it holds indirect data what those point at.

        Raises DynamixelError beyond the table.
        """
        if length == 0 or address + length > self.model.size:
            raise DynamixelError(ACCESS_ERROR)
        if self.is_direct(address, length):
            return range(address, address + length)
        return [self._pointed_at(address + i) for i in range(length)]

    def is_direct(self, address: int, length: int) -> bool:
        """Whether a block stands for itself."""
        return address + length <= self.model.indirect[0][0]

    def read(self, targets: range | list[int]) -> bytes:
        if isinstance(targets, range):
            return bytes(self.bytes[targets.start : targets.stop])
        return bytes(self.bytes[target] for target in targets)

    def parse(self, address: int, data: bytes) -> list[tuple[Register, int]]:
        """The registers that a write covers, and their values. Raises DynamixelError unless they are whole."""
        if not data:
            raise DynamixelError(LENGTH_ERROR)
        single = self.model.by_address.get(address)
        if single is not None and single.size == len(data) and single.end <= self.model.indirect[0][0]:
            return [(single, int.from_bytes(data, "little", signed=single.signed))]  # what most writes are
        targets = self.targets(address, len(data))
        writes, at = [], 0
        while at < len(data):
            target = targets[at]
            register = self.model.by_address.get(target)
            if register is None:
                raise DynamixelError(ACCESS_ERROR)
            part = targets[at : at + register.size]
            if list(part) != list(range(target, target + len(part))):
                raise DynamixelError(ACCESS_ERROR)
            if len(part) < register.size:
                raise DynamixelError(LENGTH_ERROR)
            value = int.from_bytes(data[at : at + register.size], "little", signed=register.signed)
            writes.append((register, value))
            at += register.size
        return writes

    def check(self, register: Register, value: int, *, eeprom_locked: bool) -> None:
        """Raise DynamixelError where the register may not be written, or not with this value."""
        if not register.writable or (eeprom_locked and register.address < EEPROM_END):
            raise DynamixelError(ACCESS_ERROR)
        if not register.low <= value <= register.high:
            raise DynamixelError(RANGE_ERROR)
        if register.name == "operating_mode" and value not in self.model.modes:
            raise DynamixelError(RANGE_ERROR)

    def _pointed_at(self, address: int) -> int:
        for addresses, data, count in self.model.indirect:
            if data <= address < data + count:
                pointer = addresses + 2 * (address - data)
                return int.from_bytes(self.bytes[pointer : pointer + 2], "little")
        return address
