"""One Feetech STS3215 servo: its registers, what writing them does, and its protection of itself."""

from __future__ import annotations

from hardware.virtual.feetech_table import (
    ACCELERATION_UNIT,
    BAUD_RATES,
    BY_NAME,
    CURRENT_UNIT,
    EEPROM_END,
    FACTORY_P,
    RADIANS_A_STEP,
    REGISTERS,
    SIZE,
    STEPS,
    TIME_UNIT,
)
from hardware.virtual.plant import Plant
from hardware.virtual.servo import UNLIMITED, Mode

POSITION_MODE, SPEED_MODE, DUTY_MODE, STEP_MODE = range(4)
MODES = {
    POSITION_MODE: Mode.POSITION,
    SPEED_MODE: Mode.VELOCITY,
    DUTY_MODE: Mode.DUTY,
    STEP_MODE: Mode.POSITION,
}
GOAL_OF_MODE = {SPEED_MODE: "goal_speed", DUTY_MODE: "goal_time"}
GOALS = ("goal_position", "goal_time", "goal_speed")
VOLTAGE_BIT, SENSOR_BIT, TEMPERATURE_BIT, CURRENT_BIT, OVERLOAD_BIT = 0, 1, 2, 3, 5
"""Of the status register, which is also the error byte of every answer."""
CALIBRATE = 128
"""Written to the torque switch: call the present position 2048."""
LOOP_TIME = 0.001
"""s between two passes of the servo's control loop (assumption)."""
STANDSTILL = 50 * RADIANS_A_STEP
"""rad/s; slower, a servo at full effort is stuck (assumption)."""
PRESENT_AT, PRESENT_END = 56, 71
NOMINAL_OF_SMALL_BATTERY = 8.0
"""V; servos for more come with a higher voltage limit."""


class FeetechServo:
    """Joint `index` of the plant, as the bus sees it. `zero`: encoder steps at shaft angle 0.

    Position registers are encoder steps minus the homing offset.
    """

    def __init__(self, plant: Plant, index: int, id_: int, baud: int, zero: int) -> None:
        self.plant = plant
        self.index = index
        self.zero = zero
        self.boot_time = 0.0  # s that a restart takes; set by whoever knows whether time passes
        self.silenced = False  # a wire is broken, say
        self.bytes = bytearray(SIZE)
        self.value: dict[str, int] = {}
        for register in REGISTERS:
            self._put(register.name, register.initial)
        self._put("id", id_)
        self._put("baud_rate", BAUD_RATES.index(baud))
        if plant.description.servo.voltage > NOMINAL_OF_SMALL_BATTERY:
            self._put("max_voltage_limit", 140)
        self._eeprom = bytes(self.bytes[:EEPROM_END])
        self._factory = self._eeprom
        self._registered: tuple[int, bytes] | None = None
        self._since: dict[int, float] = {}
        self._latched = 0
        self.boot()

    @property
    def id(self) -> int:
        return self.value["id"]

    @property
    def baud(self) -> int:
        return BAUD_RATES[self.value["baud_rate"]]

    @property
    def return_delay(self) -> float:
        """s."""
        return self.value["return_delay_time"] * 2e-6

    @property
    def answers_writes(self) -> bool:
        return self.value["status_return_level"] == 1

    @property
    def status(self) -> int:
        """Error byte of every answer."""
        return self.value["status"]

    @property
    def awake(self) -> bool:
        return not self.silenced and self.plant.time >= self._awake_at

    def read(self, address: int, length: int) -> bytes:
        """Bytes of registers; beyond the table there are zeros."""
        if address < PRESENT_END and address + length > PRESENT_AT:
            self._refresh()
        return bytes(self.bytes[address : address + length]).ljust(length, b"\x00")

    def write(self, address: int, data: bytes) -> bool:
        """Write registers and act on them; True where a goal was among them. What is not writable stays as it is."""
        written = []
        for register in REGISTERS:
            start = register.address - address
            if register.writable and start >= 0 and start + register.size <= len(data):
                value = register.decode(data[start : start + register.size])
                self._put(register.name, max(register.low, min(register.high, value)))
                written.append(register.name)
        if self.value["lock"] == 0:
            self._eeprom = bytes(self.bytes[:EEPROM_END])
        for name in written:
            self._act(name)
        return self._goal_register in written

    def register(self, address: int, data: bytes) -> None:
        """Keep a write for the next action."""
        self._registered = (address, data)
        self._put("registered_write", 1)

    def act(self) -> bool:
        """Carry out the registered write, if there is one; True where it had a goal."""
        if self._registered is None:
            return False
        (address, data), self._registered = self._registered, None
        self._put("registered_write", 0)
        return self.write(address, data)

    def boot(self) -> None:
        """Power up: RAM as from the factory, EEPROM as kept, limp."""
        self.plant.servos.switch(self.index, False, self._shaft)
        self._awake_at = self.plant.time + self.boot_time
        self._registered, self._since, self._latched = None, {}, 0
        for register in REGISTERS:
            if register.address >= EEPROM_END:
                self._put(register.name, register.initial)
            else:
                self._put(register.name, register.decode(self._eeprom[register.address : register.end]))
        self._put("torque_limit", self.value["max_torque"])
        self._put("goal_position", self._present_position())
        self._set_mode()

    def factory_reset(self) -> None:
        """Everything but the id as from the factory."""
        id_ = self.id
        self._eeprom = self._factory
        self.boot()
        self._put("id", id_)
        self._eeprom = bytes(self.bytes[:EEPROM_END])

    def supervise(self) -> None:
        """Look after itself: voltage, temperature, current, load. Called every control period."""
        motors, i, value = self.plant.motors, self.index, self.value
        current, duty = abs(float(motors.current[i])), abs(float(self.plant.servos.duty[i]))
        limit = value["protection_current"] * CURRENT_UNIT
        stuck = 100 * duty > value["overload_torque"] and abs(float(self.plant.speed[i])) < STANDSTILL
        wrong = (
            (
                VOLTAGE_BIT,
                not value["min_voltage_limit"] <= round(10 * motors.voltage) <= value["max_voltage_limit"],
                0,
            ),
            (TEMPERATURE_BIT, float(motors.temperature[i]) > value["temperature_limit"], 0),
            (CURRENT_BIT, 0 < limit < current, value["overcurrent_time"]),
            (OVERLOAD_BIT, stuck, value["protection_time"]),
        )
        bits = self._latched
        for bit, is_wrong, patience in wrong:
            if not is_wrong:
                self._since.pop(bit, None)
            elif self.plant.time - self._since.setdefault(bit, self.plant.time) >= patience * TIME_UNIT:
                bits |= 1 << bit
                self._unload(bit)
        self._latched = bits & (1 << CURRENT_BIT | 1 << OVERLOAD_BIT)
        if bits != value["status"]:
            self._put("status", bits)

    def fail(self, bit: int) -> None:
        """A fault that stays until the torque switch is written."""
        self._latched |= 1 << bit
        self._put("status", self._latched)
        self._unload(bit)

    def _unload(self, bit: int) -> None:
        """Overload: little torque. Heat or current: none. Only where the unloading condition lists it."""
        if not self.value["unloading_condition"] & (1 << bit):
            return
        if bit == OVERLOAD_BIT:
            self.plant.servos.duty_limit[self.index] = self.value["protective_torque"] / 100
            self.plant.servos.changed()
        else:
            self._put("torque_enable", 0)
            self.plant.servos.switch(self.index, False, self._shaft)

    def _put(self, name: str, value: int) -> None:
        register = BY_NAME[name]
        self.bytes[register.address : register.end] = register.encode(value)
        self.value[name] = value

    @property
    def _goal_register(self) -> str:
        return GOAL_OF_MODE.get(self.value["mode"], "goal_position")

    def _act(self, name: str) -> None:
        if name == "torque_enable":
            self._switch_torque()
        elif name == "mode":
            self._set_mode()
        elif name in ("goal_speed", "acceleration") and self.value["mode"] in (POSITION_MODE, STEP_MODE):
            self._set_profile()
        elif name == self._goal_register:
            self._aim()
        elif name not in GOALS:
            self._set_loop()

    def _switch_torque(self) -> None:
        if self.value["torque_enable"] == CALIBRATE:
            offset = (self._encoder() - STEPS // 2 + STEPS // 2) % STEPS - STEPS // 2
            self._put("homing_offset", max(-2047, min(2047, offset)))
            self._eeprom = bytes(self.bytes[:EEPROM_END])
            self._put("torque_enable", int(self.plant.servos.on[self.index]))
            return
        self._latched, self._since = 0, {}
        self._put("status", 0)
        self._set_loop()
        on = self.value["torque_enable"] == 1
        self.plant.servos.switch(self.index, on, self._shaft)
        if on and self.value["mode"] != STEP_MODE:
            self._aim()

    def _set_mode(self) -> None:
        servos, i = self.plant.servos, self.index
        servos.mode[i] = MODES[self.value["mode"]]
        servos.halt(i, self._shaft)
        self._set_loop()
        self._set_profile()

    def _set_loop(self) -> None:
        servos, i, value = self.plant.servos, self.index, self.value
        step = self.plant.gain / FACTORY_P  # duty/rad at a P of 1
        servos.kp[i] = step * value["p_gain"]
        servos.kd[i] = step * value["d_gain"] * LOOP_TIME
        servos.ki[i] = step * value["i_gain"]
        servos.velocity_p[i] = value["speed_p_gain"] / 100
        servos.velocity_i[i] = value["speed_i_gain"] / 20
        servos.duty_limit[i] = min(value["torque_limit"], 1000) / 1000
        servos.changed()

    def _set_profile(self) -> None:
        """A speed or acceleration of 0 means as fast as it goes."""
        servos, i = self.plant.servos, self.index
        speed = abs(self.value["goal_speed"]) * RADIANS_A_STEP
        acceleration = self.value["acceleration"] * ACCELERATION_UNIT
        by_position = self.value["mode"] in (POSITION_MODE, STEP_MODE)
        servos.speed[i] = speed if by_position and speed > 0 else UNLIMITED
        servos.acceleration[i] = acceleration if acceleration > 0 else UNLIMITED
        servos.changed()

    def _aim(self) -> None:
        servos, i, mode = self.plant.servos, self.index, self.value["mode"]
        if mode == SPEED_MODE:
            servos.aim(i, self.value["goal_speed"] * RADIANS_A_STEP)
        elif mode == DUTY_MODE:
            servos.aim(i, self.value["goal_time"] / 1000)
        elif mode == STEP_MODE:
            servos.aim(i, float(servos.aimed[i]) + self.value["goal_position"] * RADIANS_A_STEP)
        else:
            servos.aim(i, self._angle(self.value["goal_position"]))

    @property
    def _shaft(self) -> float:
        return self.plant.shaft(self.index)

    def _encoder(self) -> int:
        return self.zero + round(self._shaft / RADIANS_A_STEP)

    @property
    def _multi_turn(self) -> bool:
        return self.value["min_position_limit"] == self.value["max_position_limit"] == 0

    def _present_position(self) -> int:
        position = self._encoder() - self.value["homing_offset"]
        return position if self._multi_turn else position % STEPS

    def _angle(self, position: int) -> float:
        """Shaft angle of a goal within the limits, rad, in the turn that the shaft is in."""
        turns = 0
        if not self._multi_turn:
            position = max(self.value["min_position_limit"], min(self.value["max_position_limit"], position))
            turns = (self._encoder() - self.value["homing_offset"]) // STEPS
        return (position + turns * STEPS + self.value["homing_offset"] - self.zero) * RADIANS_A_STEP

    def _refresh(self) -> None:
        """Bring registers 56 to 70 up to date."""
        plant, i = self.plant, self.index
        servos, motors = plant.servos, plant.motors
        speed = round(float(plant.speed[i]) / RADIANS_A_STEP)
        on_the_way = bool(servos.on[i]) and bool(servos.setpoint[i] != servos.aimed[i])
        self._put("present_position", self._present_position())
        self._put("present_speed", speed)
        self._put("present_load", round(1000 * float(servos.duty[i])))
        self._put("present_voltage", max(0, min(255, round(10 * motors.voltage))))
        self._put("present_temperature", max(0, min(255, round(float(motors.temperature[i])))))
        self._put("moving", int(on_the_way or abs(speed) > 10 * self.value["moving_threshold"]))
        self._put("present_goal", self.value["goal_position"])
        self._put("present_current", round(float(motors.current[i]) / CURRENT_UNIT))
