"""Body, motors and servo loops as one: what happens in the world while the bus is asked nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hardware.virtual.body import Body
from hardware.virtual.motor import Battery, Motors
from hardware.virtual.reality import Reality
from hardware.virtual.servo import Servos
from robotps.description import RobotDescription
from robotps.legs import LEGS
from robotps.parameters import FloatArray

LONGEST_TICK = 0.002
"""s; of the physics and of the servos' control loops. Against ticks of 0.25 ms, eight gaits of the D'Kitty go as fast
within 2 % (root mean square), with ticks of 1 ms no closer: contacts are chaotic."""
SETTLING = 1.0
"""s that the limp robot gets to come to rest before anybody looks."""


class Plant:
    """The robot in its world. Servo quantities are those of the servos' shafts, in their own sense of rotation.

    A shaft's angle is direction x gear x (joint angle - zero offset), in rad from the steps that the wiring calls
    zero. `listeners` are called after every control period, and when a person has put the robot somewhere.
    """

    def __init__(self, description: RobotDescription, reality: Reality | None = None, seed: int = 0) -> None:
        reality = reality or Reality()
        self.description = description
        self.reality = reality
        self.period = description.control_period
        self.ticks_a_period = math.ceil(self.period / LONGEST_TICK - 1e-9)
        self.tick = self.period / self.ticks_a_period
        self._seeds = np.random.SeedSequence((seed, reality.start.seed))
        floor, placing, sensing = self._seeds.spawn(3)
        self._placing = np.random.default_rng(placing)
        self._sensing = np.random.default_rng(sensing)
        servo, given = description.servo, reality.servo
        per_joint = [reality.joints.get(name) for name in description.joint_names]
        strength = np.array([1.0 if joint is None else joint.strength_scale for joint in per_joint])
        self._offset = np.array([0.0 if joint is None else joint.zero_offset_rad for joint in per_joint])
        self._ratio = _ratios(description)
        volts = reality.battery.volts or servo.voltage
        capacity = reality.battery.capacity_ah
        self.battery = Battery(volts, reality.battery.resistance_ohm, None if capacity is None else 3600 * capacity)
        self.motors = Motors(
            servo.stall_torque * given.strength_scale * strength,
            servo.no_load_speed * given.speed_scale * np.ones(description.n_joints),
            servo.voltage,
            self.battery,
        )
        latency = servo.latency if given.latency_s is None else given.latency_s
        self.servos = Servos(self.motors, self.tick, latency)
        self.gain = servo.gain * given.gain_scale / servo.stall_torque
        """Duty for a rad of error at the servos' factory gain: as described, at full strength."""
        self.body = Body(description, reality, self.tick, floor)
        self.listeners: list[Callable[[], None]] = []
        self.ticks = 0
        self._left_over = 0.0
        self._set_up()
        self._sense()
        self._run(round(SETTLING / self.tick))
        self.ticks = 0

    @property
    def time(self) -> float:
        """s since the robot was put down for the first time; the world lags behind by less than a tick."""
        return self.ticks * self.tick + self._left_over

    def advance(self, seconds: float) -> None:
        """Let time pass; what is shorter than a tick is kept for the next call."""
        self._left_over += seconds
        ticks = int(self._left_over / self.tick + 1e-9)
        self._left_over -= ticks * self.tick
        while ticks > 0:
            some = min(ticks, self.ticks_a_period - self.ticks % self.ticks_a_period)
            self._run(some)
            ticks -= some
            if self.ticks % self.ticks_a_period == 0:
                self.motors.pass_time(self.period)
                self._tell()

    def advance_period(self) -> None:
        """One control period."""
        self.advance(self.period)

    def seed_for_sensors(self) -> np.random.SeedSequence:
        """For the noise of another sensor; another one with every call."""
        (seed,) = self._seeds.spawn(1)
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)

    def put_at_start(self) -> None:
        """A person puts the robot on its feet at the start, as straight as a person does."""
        self.body.put_down(self.reality.start.yaw_noise_rad * float(self._placing.standard_normal()))
        self._placed()

    def put_on_feet(self) -> None:
        """A person puts the robot on its feet where it is, heading as it does."""
        self.body.put_down(self.body.yaw, *self.body.pose.position[:2].tolist())
        self._placed()

    def put_on_stand(self) -> None:
        self.body.put_on_stand()
        self._placed()

    def shaft(self, servo: int) -> float:
        """Measured angle of a servo's shaft, rad."""
        return self.position.item(servo)

    def _placed(self) -> None:
        self._sense()
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def _run(self, ticks: int) -> None:
        servos, body, ratio = self.servos, self.body, self._ratio
        if self._set_for != (servos.settings, self.battery.open_circuit):
            self._set_up()
        if servos.proportional and self.motors.ideal and self.reality.sensor.position_noise_rad == 0:
            self._run_proportional(ticks)
        else:
            for _ in range(ticks):
                torque = servos.step(self.position, self.speed)
                body.step((torque + self._braking * self.speed) * ratio)
                self._sense()
        self.ticks += ticks

    def _set_up(self) -> None:
        """Prepare for what the servos are set to, until they are set to something else."""
        servos, ratio = self.servos, self._ratio
        self._set_for = servos.settings, self.battery.open_circuit
        stall = self.motors.stall() * servos.on
        self._gain = servos.kp * stall * ratio * ratio
        self._most = servos.duty_limit * stall * np.abs(ratio)
        self._braking = self.motors.damping * servos.on
        # the back-EMF's part is in the body's damping, where it is integrated implicitly
        self.body.brake(self._braking * ratio * ratio)

    def _run_proportional(self, ticks: int) -> None:
        """The same with the loops left to the engine, in a fraction of the time: what most of a trial is like."""
        servos, ratio = self.servos, self._ratio
        setpoint = servos.setpoints(ticks)
        angle, speed = self.body.follow(setpoint / ratio + self._offset, self._gain, self._most)
        duty = servos.kp * (setpoint - (angle - self._offset) * ratio) * servos.on
        duty = np.minimum(np.maximum(duty, -servos.duty_limit), servos.duty_limit)
        servos.duty = duty[-1]
        self.motors.ran(duty, speed * ratio, servos.on)
        self._sense()

    def _sense(self) -> None:
        self.position: FloatArray = (self.body.angle - self._offset) * self._ratio
        self.speed: FloatArray = self.body.speed * self._ratio
        noise = self.reality.sensor.position_noise_rad
        if noise > 0:
            self.position += noise * self._sensing.standard_normal(len(self.position))


def _ratios(description: RobotDescription) -> FloatArray:
    """Shaft turns a joint turn, with the sign of the servo's direction, joint by joint."""
    if description.wiring is None:
        return np.ones(description.n_joints)
    wiring = description.wiring
    return np.array([wiring.gear * direction for leg in LEGS for direction in wiring.legs[leg].directions])
