"""Feetech STS and SMS servos: their control table as data, and the bus."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hardware import scs
from hardware.bus import IntArray, Reading, ServoInfo
from hardware.packets import Register
from hardware.port import Port
from hardware.register_bus import ATTEMPTS, RegisterBus

TABLE = {
    # EEPROM: behind the lock
    "firmware": Register(0, 2),
    "model_number": Register(3, 2),
    "id": Register(5, 1),
    "baud_rate": Register(6, 1),
    "return_delay": Register(7, 1),
    "status_return_level": Register(8, 1),
    "min_position_limit": Register(9, 2),
    "max_position_limit": Register(11, 2),
    "temperature_limit": Register(13, 1),
    "max_voltage_limit": Register(14, 1),
    "min_voltage_limit": Register(15, 1),
    "max_torque": Register(16, 2),
    "position_p_gain": Register(21, 1),
    "position_d_gain": Register(22, 1),
    "position_i_gain": Register(23, 1),
    "protection_current": Register(28, 2),
    "homing_offset": Register(31, 2, 11),
    "operating_mode": Register(33, 1),
    # RAM: lost when the servo restarts
    "torque_enable": Register(40, 1),
    "acceleration": Register(41, 1),
    "goal_position": Register(42, 2, 15),
    "goal_velocity": Register(46, 2, 15),
    "torque_limit": Register(48, 2),
    "lock": Register(55, 1),
    "present_position": Register(56, 2, 15),
    "present_velocity": Register(58, 2, 15),
    "present_load": Register(60, 2, 10),
    "present_voltage": Register(62, 1),
    "present_temperature": Register(63, 1),
    "status": Register(65, 1),
    "present_current": Register(69, 2, 15),
}
"""Feetech's memory table of the STS and SMS series; EEPROM below 40."""

BLOCK = np.dtype(
    [
        ("position", "<u2"),
        ("velocity", "<u2"),
        ("load", "<u2"),
        ("voltage", "u1"),
        ("temperature", "u1"),
        ("pending", "u1"),
        ("status", "u1"),
        ("moving", "u1"),
        ("goal", "<u2"),
        ("current", "<u2"),
    ]
)
"""Registers 56 to 70, all that a servo senses; numbers are sign and magnitude."""

MODELS = {777: "STS3215", 2825: "STS3250", 11272: "SM8512BL"}
BAUD_RATES = {1_000_000: 0, 500_000: 1, 250_000: 2, 128_000: 3, 115_200: 4, 57_600: 5, 38_400: 6, 19_200: 7}
FASTEST = 32767
"""Steps a second that the goal velocity register takes."""
CURRENT_UNIT = 6.5e-3
"""A a count."""
STEP = 2 * np.pi / 4096
STATUS_BITS = {
    0: "supply voltage out of its limits",
    1: "position sensor",
    2: "overheating",
    3: "overcurrent",
    5: "overload",
}


class FeetechBus(RegisterBus):
    """STS and SMS servos. They have no watchdog: only the host stops them."""

    codec = scs
    table = TABLE
    block = (56, BLOCK)
    alert_mask = 0xFF
    kept = ("homing_offset",)
    steps_per_turn = 4096
    step_limits = (0, 4095)
    senses = frozenset({"position", "velocity", "current", "temperature", "voltage"})

    def __init__(self, port: Port, joints: Mapping[int, str], model: str) -> None:
        super().__init__(port, joints, model)
        self._energised = False

    def about(self, id_: int) -> ServoInfo | None:
        """See RegisterBus."""
        if self.ping(id_) is None:
            return None
        for _ in range(ATTEMPTS):
            answer = self.ask(scs.read(id_, 0, 5), [id_], 5).get(id_)
            if answer is not None:
                major, minor, _, low, high = answer.data
                number = low | high << 8
                return ServoInfo(id_, MODELS.get(number, f"unknown model {number}"), f"{major}.{minor}")
        return None

    def identify(self) -> list[ServoInfo]:
        """See Bus."""
        infos = super().identify()
        limits = [limit for limit in self.get("protection_current").values() if limit]
        self.max_current = min(limits) * CURRENT_UNIT if limits else float("inf")
        return infos

    def refusal(self, error: int) -> str:
        """See RegisterBus."""
        return f"error {error}"

    def prepare(self, lower: IntArray, upper: IntArray) -> list[str]:
        """See Bus."""
        self._energised = False
        self.put_all("torque_enable", dict.fromkeys(self.ids, 0))
        changes = []
        self.put_all("lock", dict.fromkeys(self.ids, 0))
        try:
            for name, values in self.wanted(lower, upper).items():
                changes += self.put_where_different(name, values)
        finally:
            self.put_all("lock", dict.fromkeys(self.ids, 1))
        self.return_delay = 10e-6
        return changes

    def wanted(self, lower: IntArray, upper: IntArray) -> dict[str, dict[int, int]]:
        """See RegisterBus."""
        return {
            "return_delay": dict.fromkeys(self.ids, 0),
            "operating_mode": dict.fromkeys(self.ids, 0),
            "min_position_limit": dict(zip(self.ids, lower.tolist(), strict=True)),
            "max_position_limit": dict(zip(self.ids, upper.tolist(), strict=True)),
        }

    def energise(self, speed: float) -> None:
        """See Bus."""
        super().energise(speed)
        self._energised = True

    def set_speed_limit(self, speed: float) -> None:
        """See Bus. A goal velocity of 0 would mean no limit at all."""
        self.put_all("acceleration", dict.fromkeys(self.ids, 0))
        self.put_all("goal_velocity", dict.fromkeys(self.ids, min(max(1, round(speed / STEP)), FASTEST)))

    def set_effort_limit(self, fraction: float) -> None:
        """See Bus."""
        most = self.get("max_torque")
        self.put_all("torque_limit", {id_: round(fraction * most[id_]) for id_ in self.ids})

    def sensed(self, request: bytes) -> Reading:
        """See RegisterBus."""
        reading, gaps, block = self.answers(request)
        gap = 0.0 if gaps is None else gaps
        reading.position = _signed(block["position"], 15) + gap
        reading.velocity = _signed(block["velocity"], 15) * STEP + gap
        reading.load = np.abs(_signed(block["load"], 10)) * 1e-3 + gap
        reading.current = _signed(block["current"], 15) * CURRENT_UNIT + gap
        reading.temperature = block["temperature"] + gap
        voltage = block["voltage"][reading.answered]
        reading.voltage = float(np.sort(voltage)[len(voltage) // 2]) * 0.1 if len(voltage) else float("nan")
        return reading

    def complaint(self, index: int, error: int = 0) -> str:
        """See Bus."""
        id_ = self.ids[index]
        if error:
            return describe_status(error)
        register = TABLE["torque_enable"]
        answer = self.ask(scs.read(id_, register.address, 1), [id_], 1).get(id_)
        if answer is None or not answer.data:
            return ""
        if answer.error:
            return describe_status(answer.error)
        if self._energised and not answer.data[0]:
            return "its torque is off: it restarted, does the supply voltage break down under load?"
        return ""

    def release_all(self) -> None:
        """See Bus."""
        self._energised = False
        super().release_all()


def _signed(
    values: np.ndarray[tuple[int], np.dtype[np.uint16]], bit: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sign and magnitude, with the sign at `bit`."""
    magnitude = (values & ((1 << bit) - 1)).astype(np.float64)
    return np.where(values >> bit & 1, -magnitude, magnitude)


def describe_status(bits: int) -> str:
    """The status byte in words."""
    return " and ".join(text for bit, text in STATUS_BITS.items() if bits >> bit & 1) or f"status {bits}"
