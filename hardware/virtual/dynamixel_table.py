"""Control tables of Dynamixel X-series servos as data (ROBOTIS e-manual, "Control Table" of each model)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

EEPROM_END = 64
"""Registers below are kept without power, and locked while the torque is on."""
STEPS = 4096
"""Encoder steps a turn."""
RADIANS_A_STEP = 2 * math.pi / STEPS
VELOCITY_UNIT = 0.229 * 2 * math.pi / 60
"""rad/s."""
ACCELERATION_UNIT = 214.577 * 2 * math.pi / 3600
"""rad/s^2."""
FULL_PWM = 885
"""Register value of 100 % duty."""
MULTI_TURN = 1_048_575
"""Goals of the multi-turn modes, steps either way."""
WATCHDOG_UNIT = 0.02
"""s."""
TRIPPED = 255
"""Bus watchdog register after it has tripped: -1."""

BAUD_RATES = (9600, 57600, 115200, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 4_500_000)


@dataclass(frozen=True)
class Register:
    """low and high: the range of values that may be written; writable registers have one. Signed where low < 0."""

    name: str
    address: int
    size: int
    initial: int = 0
    low: int = 0
    high: int = 0
    writable: bool = True
    signed: bool = field(init=False)
    end: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signed", self.low < 0)
        object.__setattr__(self, "end", self.address + self.size)


def _read_only(name: str, address: int, size: int, initial: int = 0) -> Register:
    return Register(name, address, size, initial, writable=False)


@dataclass(frozen=True)
class Model:
    """One model: its table, and what its units mean. current_unit: A, or None for a model that senses load only."""

    name: str
    number: int
    modes: frozenset[int]
    current_unit: float | None
    indirect: tuple[tuple[int, int, int], ...]
    """Blocks of indirection: address of the first indirect address, of the first indirect data, how many."""
    registers: tuple[Register, ...]
    by_name: dict[str, Register] = field(init=False)
    by_address: dict[int, Register] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        indirect = []
        for addresses, data, count in self.indirect:
            last = max(start + n - 1 for _, start, n in self.indirect)
            for i in range(count):
                indirect.append(Register(f"indirect_address_{addresses}_{i}", addresses + 2 * i, 2, data + i, 64, last))
                indirect.append(Register(f"indirect_data_{data}_{i}", data + i, 1, 0, 0, 255))
        registers = self.registers + tuple(indirect)
        object.__setattr__(self, "registers", registers)
        object.__setattr__(self, "by_name", {register.name: register for register in registers})
        object.__setattr__(self, "by_address", {register.address: register for register in registers})
        object.__setattr__(self, "size", max(register.end for register in registers))


def _table(
    *,
    number: int,
    bauds: int,
    temperature: int,
    volts: tuple[int, int, int, int],
    current: int | None,
    velocity: tuple[int, int],
    shutdown: int,
    velocity_gains: tuple[int, int],
    position_gains: tuple[int, int],
    pwm_slope: bool,
) -> tuple[Register, ...]:
    """volts: lowest and highest limit, initial minimum and maximum; velocity: initial and highest limit;
    velocity_gains: I, P; position_gains: D, P."""
    lowest, highest, least, most = volts
    eeprom = [
        _read_only("model_number", 0, 2, number),
        _read_only("model_information", 2, 4),
        _read_only("firmware_version", 6, 1, 47),
        Register("id", 7, 1, 1, 0, 252),
        Register("baud_rate", 8, 1, 1, 0, bauds),
        Register("return_delay_time", 9, 1, 250, 0, 254),
        Register("drive_mode", 10, 1, 0, 0, 13),
        Register("operating_mode", 11, 1, 3, 0, 16),
        Register("secondary_id", 12, 1, 255, 0, 255),
        Register("protocol_type", 13, 1, 2, 1, 2),
        Register("homing_offset", 20, 4, 0, -1_044_479, 1_044_479),
        Register("moving_threshold", 24, 4, 10, 0, 1023),
        Register("temperature_limit", 31, 1, temperature, 0, 100),
        Register("max_voltage_limit", 32, 2, most, lowest, highest),
        Register("min_voltage_limit", 34, 2, least, lowest, highest),
        Register("pwm_limit", 36, 2, FULL_PWM, 0, FULL_PWM),
        Register("velocity_limit", 44, 4, velocity[0], 0, velocity[1]),
        Register("max_position_limit", 48, 4, STEPS - 1, 0, STEPS - 1),
        Register("min_position_limit", 52, 4, 0, 0, STEPS - 1),
        Register("startup_configuration", 60, 1, 0, 0, 3),
        Register("shutdown", 63, 1, shutdown, 0, 255),
    ]
    if pwm_slope:
        eeprom.append(Register("pwm_slope", 62, 1, 140, 1, 255))
    ram = [
        Register("torque_enable", 64, 1, 0, 0, 1),
        Register("led", 65, 1, 0, 0, 1),
        Register("status_return_level", 68, 1, 2, 0, 2),
        _read_only("registered_instruction", 69, 1),
        _read_only("hardware_error_status", 70, 1),
        Register("velocity_i_gain", 76, 2, velocity_gains[0], 0, 16383),
        Register("velocity_p_gain", 78, 2, velocity_gains[1], 0, 16383),
        Register("position_d_gain", 80, 2, position_gains[0], 0, 16383),
        Register("position_i_gain", 82, 2, 0, 0, 16383),
        Register("position_p_gain", 84, 2, position_gains[1], 0, 16383),
        Register("feedforward_2nd_gain", 88, 2, 0, 0, 16383),
        Register("feedforward_1st_gain", 90, 2, 0, 0, 16383),
        Register("bus_watchdog", 98, 1, 0, 0, 127),
        Register("goal_pwm", 100, 2, FULL_PWM, -FULL_PWM, FULL_PWM),
        Register("goal_velocity", 104, 4, velocity[0], -velocity[1], velocity[1]),
        Register("profile_acceleration", 108, 4, 0, 0, 32767),
        Register("profile_velocity", 112, 4, 0, 0, 32767),
        Register("goal_position", 116, 4, 0, -MULTI_TURN, MULTI_TURN),
        _read_only("realtime_tick", 120, 2),
        _read_only("moving", 122, 1),
        _read_only("moving_status", 123, 1),
        _read_only("present_pwm", 124, 2),
        _read_only("present_load" if current is None else "present_current", 126, 2),
        _read_only("present_velocity", 128, 4),
        _read_only("present_position", 132, 4),
        _read_only("velocity_trajectory", 136, 4),
        _read_only("position_trajectory", 140, 4),
        _read_only("present_input_voltage", 144, 2),
        _read_only("present_temperature", 146, 1),
        _read_only("backup_ready", 147, 1),
    ]
    if current is not None:
        eeprom.append(Register("current_limit", 38, 2, current, 0, current))
        ram.append(Register("goal_current", 102, 2, current, -current, current))
    return tuple(sorted(eeprom + ram, key=lambda register: register.address))


MODELS = {
    model.name: model
    for model in (
        Model(
            "XM430-W210",
            1030,
            frozenset({0, 1, 3, 4, 5, 16}),
            0.00269,
            ((168, 224, 28), (578, 634, 28)),
            _table(
                number=1030,
                bauds=7,
                temperature=80,
                volts=(95, 160, 95, 160),
                current=1193,
                velocity=(330, 1023),
                shutdown=0b110100,
                velocity_gains=(1920, 100),
                position_gains=(0, 800),
                pwm_slope=False,
            ),
        ),
        Model(
            "XL430-W250",
            1060,
            frozenset({1, 3, 4, 16}),
            None,
            ((168, 224, 28), (578, 634, 28)),
            _table(
                number=1060,
                bauds=7,
                temperature=72,
                volts=(60, 140, 60, 140),
                current=None,
                velocity=(265, 1023),
                shutdown=0b110100,
                velocity_gains=(1000, 100),
                position_gains=(4000, 640),
                pwm_slope=False,
            ),
        ),
        Model(
            "XL330-M288",
            1200,
            frozenset({0, 1, 3, 4, 5, 16}),
            0.001,
            ((168, 208, 20),),
            _table(
                number=1200,
                bauds=6,
                temperature=70,
                volts=(31, 70, 35, 70),
                current=1750,
                velocity=(445, 2047),
                shutdown=0b110101,
                velocity_gains=(1600, 180),
                position_gains=(0, 400),
                pwm_slope=True,
            ),
        ),
    )
}
DEFAULT_MODEL = "XM430-W210"
