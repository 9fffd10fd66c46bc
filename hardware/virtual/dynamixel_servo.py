"""One Dynamixel X-series servo: its registers, what writing them does, and its protection of itself."""

from __future__ import annotations

from hardware.virtual.dynamixel_drive import GAINS, GOALS, TORQUE_ON_BY_GOAL, Drive
from hardware.virtual.dynamixel_memory import (
    INSTRUCTION_ERROR,
    LIMIT_ERROR,
    RANGE_ERROR,
    RESULT_FAIL,
    DynamixelError,
    Memory,
)
from hardware.virtual.dynamixel_present import END, FIRST, MOVING_AT, Present
from hardware.virtual.dynamixel_table import (
    BAUD_RATES,
    EEPROM_END,
    MULTI_TURN,
    TRIPPED,
    WATCHDOG_UNIT,
    Register,
)
from hardware.virtual.plant import Plant

ALERT = 0x80
VOLTAGE_BIT, OVERHEATING_BIT, ENCODER_BIT, SHOCK_BIT, OVERLOAD_BIT = 0, 2, 3, 4, 5
"""Of the hardware error status."""

GOAL_AT = 116
"""Address of the goal position."""
SAME_BAUD = 0.03
"""Relative difference of baud rates that a receiver tolerates (e-manual, "Baud Rate")."""
OVERLOAD_PART, OVERLOAD_TIME = 0.8, 1.0
"""Current in parts of the stall current, and s of it, that the servo takes for an overload (assumption)."""


class DynamixelServo:
    """Joint `index` of the plant, as the bus sees it. `zero`: encoder steps at shaft angle 0."""

    def __init__(
        self, plant: Plant, index: int, memory: Memory, present: Present, id_: int, baud: int, zero: int
    ) -> None:
        self.plant = plant
        self.index = index
        self.memory = memory
        self.model = memory.model
        self.value = memory.value
        self.present = present
        self.drive = Drive(plant, index, memory, present, zero)
        self.fed_at = 0.0  # when an instruction went by and the watchdog was content
        self.boot_time = 0.0  # s that a reboot takes; set by whoever knows whether time passes
        self.silenced = False  # a wire is broken, say
        self._put("id", id_)
        self._put("baud_rate", BAUD_RATES.index(baud))
        self._eeprom = self.memory.eeprom
        self._backup: bytes | None = None
        self._registered: tuple[int, bytes] | None = None
        self._overloaded_since: float | None = None
        self.boot()

    # --- what the bus asks

    @property
    def id(self) -> int:
        return self.value["id"]

    @property
    def identity(self) -> bytes:
        """Model number and firmware version, the answer to a ping."""
        return self.memory.read(range(2)) + self.memory.read(range(6, 7))

    @property
    def secondary_id(self) -> int | None:
        return self.value["secondary_id"] if self.value["secondary_id"] <= 252 else None

    @property
    def baud(self) -> int:
        return BAUD_RATES[self.value["baud_rate"]]

    @property
    def return_delay(self) -> float:
        """s."""
        return self.value["return_delay_time"] * 2e-6

    @property
    def status_level(self) -> int:
        return self.value["status_return_level"]

    @property
    def alert(self) -> int:
        """What the hardware error adds to every status."""
        return ALERT if self.value["hardware_error_status"] else 0

    def hears(self, baud: int, now: float) -> bool:
        """Whether it understands what is sent at a baud rate at this moment, s."""
        if self.silenced or now < self.awake_at or self.value["protocol_type"] != 2:
            return False
        return abs(self.baud - baud) < SAME_BAUD * baud

    def read(self, address: int, length: int) -> bytes:
        """Registers' bytes; raises DynamixelError beyond the table."""
        targets = self.memory.targets(address, length)
        if not self.present.fresh and any(FIRST <= target < END for target in targets):
            self.present.refresh()
        return self.memory.read(targets)

    def write(self, address: int, data: bytes, *, ram_only: bool = False) -> bool:
        """Write registers, all or none, and act on them; True where a goal was among them. Raises DynamixelError."""
        if address == GOAL_AT and len(data) == 4 and self.drive.plain:
            self._write_goal(int.from_bytes(data, "little", signed=True))
            return True
        writes = self.memory.parse(address, data)
        for register, value in writes:
            self._check(register, value, ram_only)
        for register, value in writes:
            self._put(register.name, value)
        self.drive.settle()
        if any(register.address < EEPROM_END for register, _ in writes):
            self._eeprom = self.memory.eeprom
        for register, _ in writes:
            self._act(register.name)
        return any(register.name in GOALS for register, _ in writes)

    def _write_goal(self, value: int) -> None:
        """What else `write` would do, step by step, to the plain position mode's goal of every control period."""
        if self.value["bus_watchdog"] == TRIPPED or abs(value) > MULTI_TURN:
            raise DynamixelError(RANGE_ERROR)
        if not self.value["min_position_limit"] <= value <= self.value["max_position_limit"]:
            raise DynamixelError(LIMIT_ERROR)
        self._put("goal_position", value)
        self.drive.aim_at(value)

    def register(self, address: int, data: bytes) -> None:
        """Keep a write for the next action."""
        for register, value in self.memory.parse(address, data):
            self._check(register, value, False)
        self._registered = (address, data)
        self._put("registered_instruction", 1)

    def act(self) -> bool:
        """Carry out the registered write; True where it had a goal. Raises DynamixelError."""
        if self._registered is None:
            raise DynamixelError(INSTRUCTION_ERROR)
        (address, data), self._registered = self._registered, None
        self._put("registered_instruction", 0)
        return self.write(address, data)

    def boot(self) -> None:
        """Power up: RAM as from the factory, EEPROM as kept, limp."""
        self.drive.switch(False)
        self.present.booted_at[self.index] = self.plant.time
        self.awake_at = self.plant.time + self.boot_time
        self.memory.boot(self._eeprom)
        self._put("backup_ready", int(self._backup is not None))
        self._registered = None
        self._overloaded_since = None
        self.fed_at = self.plant.time
        self.drive.to_one_turn()
        if self.value["startup_configuration"] & 2 and self._backup is not None:
            self._restore_ram(self._backup)
        self.drive.reset_mode(gains=False)
        if self.value["startup_configuration"] & 1:
            self._put("torque_enable", 1)
            self._act("torque_enable")

    def factory_reset(self, option: int) -> None:
        keep = {0xFF: (), 0x01: ("id",), 0x02: ("id", "baud_rate")}.get(option)
        if keep is None:
            raise DynamixelError(RANGE_ERROR)
        self.memory.reset(keep)
        self._eeprom = self.memory.eeprom
        self.boot()

    def clear(self) -> None:
        """Forget whole turns; the shaft must be at rest."""
        self.present.refresh()
        if self.memory.bytes[MOVING_AT]:
            raise DynamixelError(RESULT_FAIL)
        self.drive.to_one_turn()

    def back_up(self) -> None:
        if self.value["torque_enable"]:
            raise DynamixelError(RESULT_FAIL)
        self._backup = bytes(self.memory.bytes)
        self._put("backup_ready", 1)

    def restore(self) -> None:
        if self.value["torque_enable"] or self._backup is None:
            raise DynamixelError(RESULT_FAIL)
        self._eeprom = self._backup[:EEPROM_END]
        self.boot()

    # --- what happens by itself

    def supervise(self, now: float, celsius: float, volts: int, strained: bool) -> None:
        """Look after itself: temperature, voltage (0.1 V), load, watchdog. Called every control period."""
        value = self.value
        if celsius > value["temperature_limit"]:
            self.fail(OVERHEATING_BIT)
        if not value["min_voltage_limit"] <= volts <= value["max_voltage_limit"]:
            self.fail(VOLTAGE_BIT)
        if not strained:
            self._overloaded_since = None
        elif self._overloaded_since is None:
            self._overloaded_since = now
        elif now - self._overloaded_since > OVERLOAD_TIME:
            self.fail(OVERLOAD_BIT)
        watchdog = value["bus_watchdog"]
        if 0 < watchdog < TRIPPED and value["torque_enable"] and now - self.fed_at > watchdog * WATCHDOG_UNIT:
            self.trip_watchdog()

    def fail(self, bit: int) -> None:
        """A hardware error; where the shutdown register lists it, the servo goes limp until it is rebooted."""
        self._put("hardware_error_status", self.value["hardware_error_status"] | 1 << bit)
        if self.value["shutdown"] & (1 << bit):
            self._put("torque_enable", 0)
            self.drive.switch(False)

    def trip_watchdog(self) -> None:
        """Stop, hold, take no goal until the register is written 0."""
        self._put("bus_watchdog", TRIPPED)
        self.drive.halt()

    # --- registers

    def _put(self, name: str, value: int) -> None:
        self.memory.put(name, value)

    def _check(self, register: Register, value: int, ram_only: bool) -> None:
        self.memory.check(register, value, eeprom_locked=bool(self.value["torque_enable"]) or ram_only)
        if register.name in GOALS:
            if self.value["bus_watchdog"] == TRIPPED:
                raise DynamixelError(RANGE_ERROR)
            low, high = self.drive.limits(register.name)
            if not low <= value <= high:
                raise DynamixelError(LIMIT_ERROR)
        failed = self.value["hardware_error_status"] & self.value["shutdown"]
        if register.name == "torque_enable" and value and failed:
            raise DynamixelError(RESULT_FAIL)

    # --- what registers do

    def _act(self, name: str) -> None:
        if name == "torque_enable":
            self.drive.switch(bool(self.value["torque_enable"]))
        elif name == "operating_mode":
            self.drive.reset_mode(gains=True)
        elif name == "bus_watchdog":
            self.fed_at = self.plant.time
        elif name in GOALS:
            if (
                self.value["drive_mode"] & TORQUE_ON_BY_GOAL
                and not self.value["torque_enable"]
                and not self.value["hardware_error_status"]
            ):
                self._put("torque_enable", 1)
                self.drive.switch(True)
            self.drive.aim(name)
        elif name in ("profile_velocity", "profile_acceleration", "drive_mode"):
            self.drive.set_profile()
        else:
            self.drive.set_loop()

    def _restore_ram(self, backup: bytes) -> None:
        for register in self.model.registers:
            if register.address in GAINS or register.name.startswith(("profile_", "indirect_address")):
                self.memory.load(register, backup)
