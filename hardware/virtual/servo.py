"""What the firmware of n position servos does over and over: profile, control loop, limits."""

from __future__ import annotations

import math
from collections import deque
from enum import IntEnum

import numpy as np

from hardware.virtual.motor import Motors
from robotps.parameters import FloatArray

UNLIMITED = 1e9
"""Stands for no limit where infinity would make NaN."""


class Mode(IntEnum):
    POSITION = 0
    VELOCITY = 1
    DUTY = 2
    CURRENT = 3
    CURRENT_BASED_POSITION = 4


class Servos:
    """Control loops of n servos; arrays have shape (n,), in rad, s, A, and duty of the battery's voltage (-1..1).

    What a protocol sets: gains `kp` (duty/rad), `ki` (duty/rad s), `kd` (duty s/rad), velocity gains `velocity_p`,
    `velocity_i`, `feedforward` (duty s/rad, duty s^2/rad), limits, profile `speed` and `acceleration`. `latency`: s
    from a goal to the loop that acts on it. Call `changed` after setting any of them.
    """

    def __init__(self, motors: Motors, tick: float, latency: float) -> None:
        n = len(motors.k)
        self.motors = motors
        self.tick = tick
        self.on: FloatArray = np.zeros(n)
        self.mode = np.full(n, Mode.POSITION)
        self.kp, self.ki, self.kd = np.zeros(n), np.zeros(n), np.zeros(n)
        self.velocity_p, self.velocity_i = np.zeros(n), np.zeros(n)
        self.feedforward = np.zeros((2, n))
        self.duty_limit = np.ones(n)
        self.current_limit = np.full(n, UNLIMITED)
        self.speed = np.full(n, UNLIMITED)
        self.acceleration = np.full(n, UNLIMITED)
        self.goal: FloatArray = np.zeros(n)
        """Of the mode in force: rad, rad/s, duty or A."""
        self.aimed: FloatArray = np.zeros(n)
        """The goal that is in force once the latency is over."""
        self.setpoint: FloatArray = np.zeros(n)
        self.setpoint_speed: FloatArray = np.zeros(n)
        self.duty: FloatArray = np.zeros(n)
        self._setpoint_acceleration: FloatArray = np.zeros(n)
        self._integral: FloatArray = np.zeros(n)
        self._late: deque[tuple[float, int, float]] = deque()
        self._latency_ticks = round(latency / tick, 6)
        self._now = 0
        self.settings = 0
        """How often anything but a goal was set."""
        self.changed()

    def changed(self) -> None:
        """Settings have been written: look up which parts of the loop are in use."""
        self.settings += 1
        self._by_position = (self.mode == Mode.POSITION) | (self.mode == Mode.CURRENT_BASED_POSITION)
        self._plain = bool(np.all(self.mode == Mode.POSITION)) and not self.feedforward.any()
        rising = bool(np.any(self.acceleration < UNLIMITED))
        self._profiled = rising or bool(np.any(self.speed < UNLIMITED))
        self._damped = bool(self.kd.any())
        self._integrating = bool(self.ki[self._by_position].any() or self.velocity_i[self.mode == Mode.VELOCITY].any())
        self.proportional = self._plain and not (rising or self._damped or self._integrating)
        """Whether every duty is kp x (setpoint - position), limited, and setpoints know a speed limit at most."""

    def aim(self, servo: int, goal: float) -> None:
        """Give a servo a goal of its mode; it acts on it after the latency."""
        self.aimed[servo] = goal
        self._late.append((self._now + self._latency_ticks, servo, goal))

    def switch(self, servo: int, on: bool, position: float) -> None:
        """Switch a servo's bridge; the profile starts where the shaft is."""
        if bool(self.on[servo]) != on:
            self.on[servo] = on
            self.settings += 1
            self.halt(servo, position)

    def halt(self, servo: int, position: float) -> None:
        """Hold where it is: setpoint there, no motion, goals on their way forgotten."""
        self._late = deque(entry for entry in self._late if entry[1] != servo)
        self.goal[servo] = self.aimed[servo] = position if self._by_position[servo] else 0.0
        self.setpoint[servo] = position
        self.setpoint_speed[servo] = 0.0
        self._integral[servo] = 0.0

    def step(self, position: FloatArray, speed: FloatArray) -> FloatArray:
        """One tick: the motors' torques, N m, from the shafts' positions, rad, and speeds, rad/s."""
        self._take_goals()
        if self._profiled:
            self._follow_profile()
        else:
            self.setpoint = self.goal.copy()
        error = self.setpoint - position
        duty = self.kp * error
        if self._damped:
            duty += self.kd * (self.setpoint_speed - speed)
        if self._integrating:
            duty += self._integrate(error, speed)
        if not self._plain:
            duty = self._by_mode(duty, speed)
        np.maximum(duty, -self.duty_limit, out=duty)
        np.minimum(duty, self.duty_limit, out=duty)
        duty *= self.on
        self.duty = duty
        return self.motors.torque(duty, speed, self.on)

    def setpoints(self, ticks: int) -> FloatArray:
        """Setpoints of so many ticks, (ticks, n), while the servos are `proportional`; they have passed then."""
        rows = np.empty((ticks, len(self.goal)))
        done = 0
        while done < ticks:
            self._take_goals()
            # until the next goal comes into force
            some = (
                min(ticks - done, max(1, math.floor(self._late[0][0]) + 1 - self._now)) if self._late else ticks - done
            )
            way = np.arange(1, some + 1)[:, None] * (self.speed * self.tick)
            rows[done : done + some] = np.minimum(np.maximum(self.goal, self.setpoint - way), self.setpoint + way)
            before = rows[done + some - 2] if some > 1 else self.setpoint
            self.setpoint = rows[done + some - 1].copy()
            self.setpoint_speed = (self.setpoint - before) / self.tick * (self.setpoint != self.goal)
            self._now += some - 1
            done += some
        return rows

    def _take_goals(self) -> None:
        """A tick begins: goals whose latency is over come into force; one whose latency ends within it, in part."""
        self._now += 1
        late = self._late
        while late and late[0][0] <= self._now - 1:
            _, servo, goal = late.popleft()
            self.goal[servo] = goal
        for due, servo, goal in late:
            if due >= self._now:
                break
            self.goal[servo] += (self._now - due) * (goal - self.goal[servo])

    def _follow_profile(self) -> None:
        """Move the setpoints towards the goals as fast as speed and acceleration allow, so that they can stop there."""
        by_position = self._by_position
        before = self.setpoint_speed
        distance = self.goal - self.setpoint
        stopping = np.sqrt(2 * self.acceleration * np.abs(distance))
        wanted = np.sign(distance) * np.minimum(self.speed, stopping)
        wanted = np.where(by_position, wanted, self.goal)
        most = self.acceleration * self.tick
        self.setpoint_speed = before + np.clip(wanted - before, -most, most)
        move = self.setpoint_speed * self.tick
        arrived = by_position & (np.abs(move) >= np.abs(distance)) & (move * distance >= 0)
        self.setpoint = np.where(arrived, self.goal, self.setpoint + np.where(by_position, move, 0.0))
        self.setpoint_speed = np.where(arrived, 0.0, self.setpoint_speed)
        self._setpoint_acceleration = np.where(arrived, 0.0, (self.setpoint_speed - before) / self.tick)

    def _integrate(self, error: FloatArray, speed: FloatArray) -> FloatArray:
        in_velocity = self.mode == Mode.VELOCITY
        gain = np.where(in_velocity, self.velocity_i, self.ki)
        lag = np.where(in_velocity, self._wanted_speed - speed, error)
        room = self.duty_limit / np.maximum(gain, 1e-12)  # no further than the integral alone could saturate
        self._integral = np.clip(self._integral + lag * self.tick, -room, room) * self.on
        result: FloatArray = np.where(in_velocity, 0.0, gain * self._integral)
        return result

    @property
    def _wanted_speed(self) -> FloatArray:
        return self.setpoint_speed if self._profiled else self.goal

    def _by_mode(self, position_duty: FloatArray, speed: FloatArray) -> FloatArray:
        motors = self.motors
        first, second = self.feedforward
        position_duty = position_duty + first * self.setpoint_speed + second * self._setpoint_acceleration
        velocity_duty = self.velocity_p * (self._wanted_speed - speed) + self.velocity_i * self._integral
        wanted_current = np.where(self.mode == Mode.CURRENT, self.goal, position_duty * motors.stall_current)
        wanted_current = np.clip(wanted_current, -self.current_limit, self.current_limit)
        current_duty = (wanted_current * motors.resistance + motors.k * speed) / max(motors.voltage, 1e-6)
        result: FloatArray = np.select(
            [self.mode == Mode.POSITION, self.mode == Mode.VELOCITY, self.mode == Mode.DUTY],
            [position_duty, velocity_duty, self.goal],
            default=current_duty,
        )
        return result
