"""Dynamixel X-series servos on Protocol 2.0: their control table as data, and the bus."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hardware import protocol2
from hardware.bus import IntArray, Reading, ServoInfo
from hardware.faults import HardwareFault
from hardware.packets import Register
from hardware.port import Port
from hardware.register_bus import RegisterBus

TABLE = {
    # EEPROM: read-only while torque is on
    "model_number": Register(0, 2),
    "firmware": Register(6, 1),
    "id": Register(7, 1),
    "baud_rate": Register(8, 1),
    "return_delay": Register(9, 1),
    "drive_mode": Register(10, 1),
    "operating_mode": Register(11, 1),
    "homing_offset": Register(20, 4, "two"),
    "temperature_limit": Register(31, 1),
    "max_voltage_limit": Register(32, 2),
    "min_voltage_limit": Register(34, 2),
    "pwm_limit": Register(36, 2),
    "current_limit": Register(38, 2),
    "max_position_limit": Register(48, 4),
    "min_position_limit": Register(52, 4),
    "shutdown": Register(63, 1),
    # RAM: lost when the servo restarts
    "torque_enable": Register(64, 1),
    "status_return_level": Register(68, 1),
    "hardware_error": Register(70, 1),
    "position_d_gain": Register(80, 2),
    "position_i_gain": Register(82, 2),
    "position_p_gain": Register(84, 2),
    "bus_watchdog": Register(98, 1, "two"),
    "goal_pwm": Register(100, 2, "two"),
    "profile_acceleration": Register(108, 4),
    "profile_velocity": Register(112, 4),
    "goal_position": Register(116, 4, "two"),
    "realtime_tick": Register(120, 2),
    "present_velocity": Register(128, 4, "two"),
    "present_position": Register(132, 4, "two"),
    "present_voltage": Register(144, 2),
    "present_temperature": Register(146, 1),
}
"""ROBOTIS e-manual, control table of the X series (firmware 38 or later, for the bus watchdog)."""

BLOCK = np.dtype(
    [
        ("tick", "<u2"),
        ("moving", "u1"),
        ("moving_status", "u1"),
        ("pwm", "<i2"),
        ("current", "<i2"),
        ("velocity", "<i4"),
        ("position", "<i4"),
        ("velocity_trajectory", "<i4"),
        ("position_trajectory", "<i4"),
        ("voltage", "<u2"),
        ("temperature", "u1"),
    ]
)
"""Registers 120 to 146, all that a servo senses."""

STATE = np.dtype([("torque", "u1"), ("between", "V5"), ("hardware_error", "u1"), ("gains", "V27"), ("watchdog", "i1")])
"""Registers 64 to 98, for the slow poll."""


class Model(NamedTuple):
    """current_unit: A a count of register 126; None where it holds the load in 0.1 %."""

    name: str
    current_unit: float | None


MODELS = {
    1000: Model("XH430-W350", 2.69e-3),
    1010: Model("XH430-W210", 2.69e-3),
    1020: Model("XM430-W350", 2.69e-3),
    1030: Model("XM430-W210", 2.69e-3),
    1040: Model("XH430-V350", 1.34e-3),
    1050: Model("XH430-V210", 1.34e-3),
    1060: Model("XL430-W250", None),
    1070: Model("XC430-W150", None),
    1080: Model("XC430-W240", None),
    1100: Model("XH540-W270", 2.69e-3),
    1110: Model("XH540-W150", 2.69e-3),
    1120: Model("XM540-W270", 2.69e-3),
    1130: Model("XM540-W150", 2.69e-3),
    1190: Model("XL330-M077", 1.0e-3),
    1200: Model("XL330-M288", 1.0e-3),
    1210: Model("XC330-T181", 1.0e-3),
    1220: Model("XC330-T288", 1.0e-3),
    1230: Model("XC330-M181", 1.0e-3),
    1240: Model("XC330-M288", 1.0e-3),
}
"""By model number (e-manual; unit of Present Current)."""

BAUD_RATES = {57600: 1, 115200: 2, 1_000_000: 3, 2_000_000: 4, 3_000_000: 5, 4_000_000: 6, 4_500_000: 7}
VELOCITY_UNIT = 0.229 * 2 * np.pi / 60
"""rad/s a count."""
FASTEST = 32767
"""Counts that the profile velocity register takes."""
WATCHDOG_UNIT = 0.02
POSITION_MODE = 3
REVERSE, TIME_BASED, TORQUE_ON_BY_GOAL = 1, 4, 8
"""Bits of the drive mode: what a calibration depends on, and two that change what speed limits and goals mean."""
_ROLL_CALL = 0.8
"""s beyond the wire time that servos may take between two answers to a ping for all."""
_RESTART = 0.5
"""s that a servo takes to answer again after a reboot."""

HARDWARE_ERRORS = {
    0: "supply voltage out of its limits",
    2: "overheating",
    3: "encoder",
    4: "electrical shock",
    5: "overload",
}
REFUSALS = {
    1: "the servo failed to do it",
    2: "the servo does not know this instruction",
    3: "the servo received it damaged",
    4: "value out of range",
    5: "value of a wrong length",
    6: "value beyond the servo's own limit",
    7: "the register is read-only (EEPROM while torque is on?)",
}


class DynamixelBus(RegisterBus):
    """X-series servos."""

    codec = protocol2
    table = TABLE
    block = (120, BLOCK)
    alert_mask = 0x80
    ping_size = 3
    kept = ("homing_offset", "drive_mode")
    steps_per_turn = 4096
    step_limits = (0, 4095)
    tick_period = 32.768
    has_watchdog = True

    def __init__(self, port: Port, joints: Mapping[int, str], model: str) -> None:
        super().__init__(port, joints, model)
        unit = {known.name: known.current_unit for known in MODELS.values()}.get(model)
        self._current_unit = unit
        senses = {"position", "velocity", "temperature", "voltage"}
        self.senses = frozenset(senses | {"current"} if unit is not None else senses)
        self._energised = False
        self._watchdog = 0

    def about(self, id_: int) -> ServoInfo | None:
        """See RegisterBus."""
        answer = self.ping(id_)
        if answer is None:
            return None
        return ServoInfo(id_, _model(answer.data), str(answer.data[2]))

    def identify(self) -> list[ServoInfo]:
        """See Bus."""
        self.set_all("status_return_level", dict.fromkeys(self.ids, 2))  # a servo may be set not to answer
        infos = [
            replace(info, settings={**info.settings, "drive_mode": info.settings["drive_mode"] & REVERSE})
            for info in super().identify()
        ]
        if self._current_unit is not None:
            self.max_current = min(self.get("current_limit").values()) * self._current_unit
        return infos

    def refusal(self, error: int) -> str:
        """See RegisterBus."""
        return REFUSALS.get(error & 0x7F, f"error {error}")

    def prepare(self, lower: IntArray, upper: IntArray) -> list[str]:
        """See Bus. A latched hardware error is only cleared by restarting the servo."""
        self._energised = False
        self.put_all("torque_enable", dict.fromkeys(self.ids, 0))
        changes = self._clear_errors()
        self.stop_watchdog()
        for name, values in self.wanted(lower, upper).items():
            changes += self.put_where_different(name, values)
        self.return_delay = 10e-6
        return changes

    def wanted(self, lower: IntArray, upper: IntArray) -> dict[str, dict[int, int]]:
        """See RegisterBus. A profile velocity is a speed, and only torque enable switches torque on."""
        modes = self.get("drive_mode")
        return {
            "return_delay": dict.fromkeys(self.ids, 0),
            "drive_mode": {id_: mode & ~(TIME_BASED | TORQUE_ON_BY_GOAL) for id_, mode in modes.items()},
            "operating_mode": dict.fromkeys(self.ids, POSITION_MODE),
            "min_position_limit": dict(zip(self.ids, lower.tolist(), strict=True)),
            "max_position_limit": dict(zip(self.ids, upper.tolist(), strict=True)),
        }

    def scan(self) -> list[ServoInfo]:
        """See Bus: one ping to all, which answer one after the other."""
        everyone = list(range(253))
        answers = self.ask(protocol2.ping(protocol2.BROADCAST), everyone, self.ping_size, _ROLL_CALL)
        return [
            ServoInfo(id_, _model(answer.data), str(answer.data[2])) for id_, answer in answers.items() if answer.data
        ]

    def _clear_errors(self) -> list[str]:
        latched = {id_: error for id_, error in self.get("hardware_error").items() if error}
        for id_ in latched:
            self.port.write(protocol2.reboot(id_))
        if latched:
            time.sleep(_RESTART)
            self.set_all("status_return_level", dict.fromkeys(latched, 2))
            left = {id_: error for id_, error in self.get("hardware_error", latched).items() if error}
            if left:
                raise HardwareFault(
                    "; ".join(
                        f"{self.label(id_)}: {describe_error(error)}, also after a restart"
                        for id_, error in left.items()
                    )
                )
        return [f"{self.label(id_)}: restarted to clear {describe_error(error)}" for id_, error in latched.items()]

    def energise(self, speed: float) -> None:
        """See Bus."""
        super().energise(speed)
        self._energised = True

    def set_speed_limit(self, speed: float) -> None:
        """See Bus. A profile velocity of 0 would mean no limit at all."""
        counts = min(max(1, round(speed / VELOCITY_UNIT)), FASTEST)
        self.put_all("profile_velocity", dict.fromkeys(self.ids, counts))
        self.put_all("profile_acceleration", dict.fromkeys(self.ids, 0))

    def set_effort_limit(self, fraction: float) -> None:
        """See Bus. Goal PWM limits the output in position mode."""
        most = self.get("pwm_limit")
        self.put_all("goal_pwm", {id_: round(fraction * most[id_]) for id_ in self.ids})

    def sensed(self, request: bytes) -> Reading:
        """See RegisterBus."""
        reading, gaps, block = self.answers(request)
        reading.position = block["position"].astype(np.float64)
        reading.velocity = block["velocity"] * VELOCITY_UNIT
        reading.temperature = block["temperature"].astype(np.float64)
        reading.tick = block["tick"] * 1e-3
        effort = block["current"]
        if self._current_unit is None:
            reading.load = np.abs(effort) * 1e-3
        else:
            reading.current = effort * self._current_unit
        voltage = block["voltage"]
        if gaps is not None:
            voltage = voltage[reading.answered]
            for values in (reading.position, reading.velocity, reading.temperature, reading.tick):
                values += gaps
            reading.load = None if reading.load is None else reading.load + gaps
            reading.current = None if reading.current is None else reading.current + gaps
        reading.voltage = float(np.sort(voltage)[len(voltage) // 2]) * 0.1 if len(voltage) else float("nan")
        return reading

    def complaint(self, index: int, error: int = 0) -> str:
        """See Bus. Tells a restart (brownout), a tripped watchdog and latched hardware errors from each other."""
        id_ = self.ids[index]
        status = self.ask(protocol2.read(id_, 64, STATE.itemsize), [id_], STATE.itemsize).get(id_)
        if status is None or not status.data:
            return "it raised its alert, and does not say why" if error & self.alert_mask else ""
        state = np.frombuffer(status.data, dtype=STATE)[0]
        if state["hardware_error"]:
            return describe_error(int(state["hardware_error"]))
        if state["watchdog"] == -1:
            return "its watchdog stopped it: it heard nothing for too long"
        if (self._energised and not state["torque"]) or (self._watchdog and state["watchdog"] != self._watchdog):
            return "it restarted by itself: does the supply voltage break down under load?"
        return f"error {error}: {self.refusal(error)}" if error else ""

    def start_watchdog(self, seconds: float) -> None:
        """See Bus."""
        counts = min(127, max(1, round(seconds / WATCHDOG_UNIT)))
        self.put_all("bus_watchdog", dict.fromkeys(self.ids, counts))
        self._watchdog = counts

    def stop_watchdog(self) -> None:
        """See Bus."""
        self._watchdog = 0
        self.put_all("bus_watchdog", dict.fromkeys(self.ids, 0))

    def release_all(self) -> None:
        """See Bus."""
        self._energised = False
        super().release_all()


def _model(data: bytes) -> str:
    """The model in the answer to a ping."""
    number = data[0] | data[1] << 8
    return MODELS[number].name if number in MODELS else f"unknown model {number}"


def describe_error(bits: int) -> str:
    """The hardware error register in words."""
    return " and ".join(text for bit, text in HARDWARE_ERRORS.items() if bits >> bit & 1) or f"hardware error {bits}"
