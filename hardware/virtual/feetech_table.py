"""Memory table of the Feetech STS3215 as data (Feetech, "STS3215 memory table", version 3.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

EEPROM_END = 40
"""Registers below are kept without power, where the lock was open when they were written."""
SIZE = 87
STEPS = 4096
RADIANS_A_STEP = 2 * math.pi / STEPS
ACCELERATION_UNIT = 100 * RADIANS_A_STEP
"""rad/s^2."""
CURRENT_UNIT = 0.0065
"""A."""
TIME_UNIT = 0.01
"""s, of the protections."""
BAUD_RATES = (1_000_000, 500_000, 250_000, 128_000, 115_200, 57_600, 38_400, 19_200)
FACTORY_P = 32


@dataclass(frozen=True)
class Register:
    """sign: the bit that is the sign of a number given by its magnitude. Values beyond low..high are clipped."""

    name: str
    address: int
    size: int
    initial: int = 0
    high: int = 255
    low: int = 0
    sign: int | None = None
    writable: bool = True

    @property
    def end(self) -> int:
        return self.address + self.size

    def decode(self, data: bytes) -> int:
        raw = int.from_bytes(data, "little")
        if self.sign is None:
            return raw
        magnitude = raw & ((1 << self.sign) - 1)
        return -magnitude if raw >> self.sign & 1 else magnitude

    def encode(self, value: int) -> bytes:
        raw = min(abs(value), (1 << (8 * self.size)) - 1)
        if self.sign is not None:
            raw = min(raw, (1 << self.sign) - 1) | ((1 << self.sign) if value < 0 else 0)
        return raw.to_bytes(self.size, "little")


def _shown(name: str, address: int, size: int, initial: int = 0, sign: int | None = None) -> Register:
    return Register(name, address, size, initial, sign=sign, writable=False)


REGISTERS = (
    _shown("firmware_major", 0, 1, 3),
    _shown("firmware_minor", 1, 1, 10),
    _shown("model_number", 3, 2, 777),
    Register("id", 5, 1, 1, 253),
    Register("baud_rate", 6, 1, 0, 7),
    Register("return_delay_time", 7, 1, 250, 254),
    Register("status_return_level", 8, 1, 1, 1),
    Register("min_position_limit", 9, 2, 0, STEPS - 1),
    Register("max_position_limit", 11, 2, STEPS - 1, STEPS - 1),
    Register("temperature_limit", 13, 1, 70, 100),
    Register("max_voltage_limit", 14, 1, 80, 254),
    Register("min_voltage_limit", 15, 1, 40, 254),
    Register("max_torque", 16, 2, 1000, 1000),
    Register("phase", 18, 1, 12),
    Register("unloading_condition", 19, 1, 0b101100),
    Register("led_alarm_condition", 20, 1, 0b101111),
    Register("p_gain", 21, 1, FACTORY_P),
    Register("d_gain", 22, 1, 32),
    Register("i_gain", 23, 1, 0),
    Register("minimum_startup_force", 24, 2, 16, 1000),
    Register("cw_dead_zone", 26, 1, 1, 32),
    Register("ccw_dead_zone", 27, 1, 1, 32),
    Register("protection_current", 28, 2, 500, 511),
    Register("angular_resolution", 30, 1, 1, 100),
    Register("homing_offset", 31, 2, 0, 2047, -2047, sign=11),
    Register("mode", 33, 1, 0, 3),
    Register("protective_torque", 34, 1, 20, 100),
    Register("protection_time", 35, 1, 200, 254),
    Register("overload_torque", 36, 1, 80, 100),
    Register("speed_p_gain", 37, 1, 10, 100),
    Register("overcurrent_time", 38, 1, 200, 254),
    Register("speed_i_gain", 39, 1, 200, 254),
    Register("torque_enable", 40, 1, 0, 128),
    Register("acceleration", 41, 1, 0, 254),
    Register("goal_position", 42, 2, 0, 32767, -32767, sign=15),
    Register("goal_time", 44, 2, 0, 1023, -1023, sign=10),
    Register("goal_speed", 46, 2, 0, 3400, -3400, sign=15),
    Register("torque_limit", 48, 2, 1000, 1000),
    Register("lock", 55, 1, 1, 1),
    _shown("present_position", 56, 2, sign=15),
    _shown("present_speed", 58, 2, sign=15),
    _shown("present_load", 60, 2, sign=10),
    _shown("present_voltage", 62, 1),
    _shown("present_temperature", 63, 1),
    _shown("registered_write", 64, 1),
    _shown("status", 65, 1),
    _shown("moving", 66, 1),
    _shown("present_goal", 67, 2, sign=15),
    _shown("present_current", 69, 2, sign=15),
    Register("moving_threshold", 80, 1, 1),
    Register("speed_unit", 82, 1, 1),
    Register("speed_limit", 84, 1, 80),
    Register("acceleration_limit", 85, 1, 254),
    Register("acceleration_multiplier", 86, 1, 1),
)
BY_NAME = {register.name: register for register in REGISTERS}
BY_ADDRESS = {register.address: register for register in REGISTERS}
