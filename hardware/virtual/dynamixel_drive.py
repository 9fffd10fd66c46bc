"""What the registers of a Dynamixel servo do to its control loop."""

from __future__ import annotations

import numpy as np

from hardware.virtual.dynamixel_memory import Memory
from hardware.virtual.dynamixel_present import Present
from hardware.virtual.dynamixel_table import (
    ACCELERATION_UNIT,
    FULL_PWM,
    MULTI_TURN,
    RADIANS_A_STEP,
    STEPS,
    VELOCITY_UNIT,
)
from hardware.virtual.plant import Plant
from hardware.virtual.servo import UNLIMITED, Mode

CURRENT_MODE, VELOCITY_MODE, POSITION_MODE, EXTENDED_MODE, CURRENT_POSITION_MODE, PWM_MODE = 0, 1, 3, 4, 5, 16
MODES = {
    CURRENT_MODE: Mode.CURRENT,
    VELOCITY_MODE: Mode.VELOCITY,
    POSITION_MODE: Mode.POSITION,
    EXTENDED_MODE: Mode.POSITION,
    CURRENT_POSITION_MODE: Mode.CURRENT_BASED_POSITION,
    PWM_MODE: Mode.DUTY,
}
GOAL_OF_MODE = {VELOCITY_MODE: "goal_velocity", PWM_MODE: "goal_pwm", CURRENT_MODE: "goal_current"}
"""In the other modes it is the position."""
GOALS = ("goal_pwm", "goal_current", "goal_velocity", "goal_position")
GAINS = range(76, 92)
"""Addresses of the gains."""
REVERSE, TIME_BASED, TORQUE_ON_BY_GOAL = 1, 4, 8
"""Bits of the drive mode."""
LOOP_TIME = 0.001
"""s between two passes of the servo's control loop (assumption: the manual gives gains without it)."""


class Drive:
    """Joint `index` of the plant under the control of a servo's registers. `zero`: encoder steps at shaft angle 0.

    A position register is sign x encoder + whole turns + homing offset.
    """

    def __init__(self, plant: Plant, index: int, memory: Memory, present: Present, zero: int) -> None:
        self.plant = plant
        self.index = index
        self.memory = memory
        self.value = memory.value
        self.present = present
        self.zero = zero
        self.plain = False
        """Whether a goal position does nothing but be aimed at."""
        self._turns = 0
        self._sign = 1
        self._shift = 0
        """Steps from the encoder, signed, to a position register."""

    def settle(self) -> None:
        """Registers have been written: look up what positions mean now."""
        value = self.value
        mode, offset = value["operating_mode"], value["homing_offset"]
        self.plain = mode == POSITION_MODE and not value["drive_mode"] & (TIME_BASED | TORQUE_ON_BY_GOAL)
        self._sign = -1 if value["drive_mode"] & REVERSE else 1
        self._shift = self._turns + (0 if mode == POSITION_MODE and abs(offset) > STEPS // 4 else offset)
        unit = self.memory.model.current_unit or self.plant.motors.stall_current.item(self.index) / 1000
        units = np.array([1 / FULL_PWM, unit, VELOCITY_UNIT, RADIANS_A_STEP, VELOCITY_UNIT, RADIANS_A_STEP])
        self.present.scale[:, self.index] = self._sign / units
        self.present.shift[[3, 5], self.index] = self._sign * self.zero + self._shift

    def aim_at(self, position: int) -> None:
        """A goal position in the plain position mode."""
        self.plant.servos.aim(self.index, self._angle(position))

    def limits(self, goal: str) -> tuple[int, int]:
        """Of a goal, set by other registers."""
        if goal == "goal_position":
            if self.value["operating_mode"] == POSITION_MODE:
                return self.value["min_position_limit"], self.value["max_position_limit"]
            return -MULTI_TURN, MULTI_TURN
        most = self.value[goal.removeprefix("goal_") + "_limit"]
        return -most, most

    def switch(self, on: bool) -> None:
        if on and self.value["operating_mode"] == POSITION_MODE:
            self.to_one_turn()
        self.plant.servos.switch(self.index, on, self.plant.shaft(self.index))
        if on:
            self.aim(GOAL_OF_MODE.get(self.value["operating_mode"], "goal_position"))

    def reset_mode(self, *, gains: bool) -> None:
        """A mode starts with its own profile, goals and (when changed) gains."""
        mode = self.value["operating_mode"]
        if gains:
            for register in self.memory.model.registers:
                if register.address in GAINS:
                    self.memory.put(register.name, register.initial)
        self.memory.put("profile_velocity", 0)
        self.memory.put("profile_acceleration", 0)
        for goal in GOALS:
            if goal in self.memory.model.by_name and goal != "goal_position":
                self.memory.put(goal, 0 if goal == "goal_velocity" else self.limits(goal)[1])
        if mode == PWM_MODE:
            self.memory.put("goal_pwm", 0)
        if mode == CURRENT_MODE:
            self.memory.put("goal_current", 0)
        if mode == POSITION_MODE:
            self.to_one_turn()
        self.memory.put("goal_position", self._present_position())
        self.plant.servos.mode[self.index] = MODES[mode]
        self.halt()
        self.set_profile()
        self.set_loop()

    def halt(self) -> None:
        """Stop and hold."""
        self.plant.servos.halt(self.index, self.plant.shaft(self.index))

    def set_loop(self) -> None:
        servos, i, value = self.plant.servos, self.index, self.value
        step = 128 * self.plant.gain / self.memory.model.by_name["position_p_gain"].initial  # duty/rad at a P of 1
        servos.kp[i] = step * value["position_p_gain"] / 128
        servos.ki[i] = step * value["position_i_gain"] / 65536 / LOOP_TIME
        servos.kd[i] = step * value["position_d_gain"] / 16 * LOOP_TIME
        servos.feedforward[0, i] = step * value["feedforward_1st_gain"] / 4 * LOOP_TIME
        servos.feedforward[1, i] = step * value["feedforward_2nd_gain"] / 4 * LOOP_TIME**2
        servos.velocity_p[i] = value["velocity_p_gain"] / 128 / FULL_PWM / VELOCITY_UNIT
        servos.velocity_i[i] = value["velocity_i_gain"] / 65536 / FULL_PWM / VELOCITY_UNIT / LOOP_TIME
        limit = value["pwm_limit"]
        if value["operating_mode"] != PWM_MODE:
            limit = min(limit, abs(value["goal_pwm"]))
        servos.duty_limit[i] = limit / FULL_PWM
        unit = self.memory.model.current_unit
        if unit is not None:
            most = value["current_limit"]
            if value["operating_mode"] == CURRENT_POSITION_MODE:
                most = min(most, abs(value["goal_current"]))
            servos.current_limit[i] = most * unit
        servos.changed()

    def set_profile(self) -> None:
        """Velocity-based: limits as written. Time-based: computed for every new goal, see `aim`."""
        servos, i = self.plant.servos, self.index
        speed = self.value["profile_velocity"] * VELOCITY_UNIT
        acceleration = self.value["profile_acceleration"] * ACCELERATION_UNIT
        by_speed = not self.value["drive_mode"] & TIME_BASED
        in_velocity = self.value["operating_mode"] == VELOCITY_MODE
        servos.speed[i] = speed if by_speed and speed > 0 else UNLIMITED
        used = acceleration > 0 and by_speed and (speed > 0 or in_velocity)
        servos.acceleration[i] = acceleration if used else UNLIMITED
        servos.changed()

    def aim(self, name: str) -> None:
        servos, i = self.plant.servos, self.index
        mode = MODES[self.value["operating_mode"]]
        sign = self._sign
        value = self.value[name]
        if name in ("goal_pwm", "goal_current"):
            self.set_loop()  # they limit the other modes
        if name == "goal_position" and mode in (Mode.POSITION, Mode.CURRENT_BASED_POSITION):
            goal = self._angle(value)
            if self.value["drive_mode"] & TIME_BASED:
                self._set_timed_profile(goal)
            servos.aim(i, goal)
        elif name == "goal_velocity" and mode == Mode.VELOCITY:
            servos.aim(i, sign * value * VELOCITY_UNIT)
        elif name == "goal_pwm" and mode == Mode.DUTY:
            servos.aim(i, sign * value / FULL_PWM)
        elif name == "goal_current" and mode == Mode.CURRENT and self.memory.model.current_unit is not None:
            servos.aim(i, sign * value * self.memory.model.current_unit)

    def _set_timed_profile(self, goal: float) -> None:
        """Speed and acceleration that take the shaft to the goal in the profile's time (t3), accelerating for t1."""
        servos, i = self.plant.servos, self.index
        total = self.value["profile_velocity"] / 1000
        accelerating = min(self.value["profile_acceleration"] / 1000, total / 2)
        distance = abs(goal - float(servos.setpoint[i]))
        servos.speed[i] = servos.acceleration[i] = UNLIMITED
        if total > 0 and distance > 0:
            servos.speed[i] = distance / (total - accelerating)
            if accelerating > 0:
                servos.acceleration[i] = servos.speed[i] / accelerating
        servos.changed()

    def _encoder(self) -> int:
        return self.zero + round(self.plant.shaft(self.index) / RADIANS_A_STEP)

    def _present_position(self) -> int:
        return self._sign * self._encoder() + self._shift

    def _angle(self, position: float) -> float:
        """Shaft angle of a register's position, rad."""
        return (self._sign * (position - self._shift) - self.zero) * RADIANS_A_STEP

    def to_one_turn(self) -> None:
        """Forget whole turns."""
        turned = self._sign * self._encoder()
        self._turns = turned % STEPS - turned
        self.settle()
