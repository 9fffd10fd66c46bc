"""Position servos at torque level: DC motors behind a gear, with gain, play, friction, a battery and late commands.

A servo turns the error into a duty of the battery's voltage, and the motor's back-EMF takes off what its speed says
(the torque-speed line between stall torque and no-load speed), as in Tan et al., "Sim-to-Real: Learning Agile
Locomotion For Quadruped Robots" (RSS 2018), section IV. Plain Python on floats: for the few joints of a leg robot
that is twice as fast as NumPy, and this runs at every physics step.
"""

from __future__ import annotations

from collections.abc import Sequence

from robotps.description import RobotDescription
from sim.world import World

JointState = tuple[float, float, object, float]
"""As PyBullet gives it: position, velocity, reaction forces, torque."""

STABLE = 0.5
"""What one explicit step may change of a joint's speed, as a part of what its inertia would let it keep."""


def lowest_armature(description: RobotDescription, world: World, step: float) -> float:
    """Reflected rotor inertia below which motor or gain would be unstable at this physics step, kg m^2.

    A small motor's rotor takes some 10 ms to come to speed, so real ones lie well above this floor; it matters where a
    description or a world gives no rotor. Damping c needs c dt < STABLE A, gain k needs k dt^2 < STABLE A.
    """
    servo, scale = description.servo, world.servo
    filled = world.filled_in(description).model_dump()
    strength = scale.strength_scale * max((joint.strength_scale for joint in world.joints.values()), default=1.0)
    volts = filled["battery"]["volts"] / servo.voltage
    line = strength * servo.stall_torque / (servo.no_load_speed * scale.speed_scale)
    stiffness = strength * volts * servo.gain * scale.gain_scale
    damping = line + stiffness * servo.derivative_time + filled["servo"]["viscous_friction"]
    lowest: float = max(damping * step, stiffness * step**2) / STABLE
    return lowest


class Servos:
    """All servos of a robot; joints in the description's order, quantities at the output shaft."""

    def __init__(self, description: RobotDescription, world: World, step: float) -> None:
        servo, scale = description.servo, world.servo
        joints = [world.joints.get(name) for name in description.joint_names]
        strength = [scale.strength_scale * (joint.strength_scale if joint else 1.0) for joint in joints]
        self.zeros = [joint.zero_offset_rad if joint else 0.0 for joint in joints]
        filled = world.filled_in(description).model_dump()
        self.coulomb_friction: float = filled["servo"]["coulomb_friction"]
        self.viscous_friction: float = filled["servo"]["viscous_friction"]
        self.armature: float = max(filled["servo"]["armature"], lowest_armature(description, world, step))
        self.play: float = filled["servo"]["backlash_rad"] / 2
        self.latency: float = filled["servo"]["latency_s"]
        self.setpoint_speed = servo.no_load_speed
        self.derivative_time = servo.derivative_time
        self._battery: tuple[float, float] = (filled["battery"]["volts"], world.battery.resistance_ohm)
        self.open_circuit, self.resistance = self._battery
        self.voltage = self.open_circuit
        self._nominal_voltage = servo.voltage
        self._gain = [servo.gain * scale.gain_scale * s for s in strength]
        self._stall = [servo.stall_torque * s for s in strength]
        self._line = [stall / (servo.no_load_speed * scale.speed_scale) for stall in self._stall]
        self._set_voltage(self.open_circuit)

    def _set_voltage(self, voltage: float) -> None:
        self.voltage = voltage
        ratio = voltage / self._nominal_voltage
        self._motors = [
            (gain * ratio, stall * ratio, line)
            for gain, stall, line in zip(self._gain, self._stall, self._line, strict=True)
        ]

    def hold_voltage(self, volts: float | None) -> None:
        """Run on a measured voltage instead of the world's battery; None: on that, rested."""
        self.open_circuit, self.resistance = self._battery if volts is None else (volts, 0.0)
        self._set_voltage(self.open_circuit)

    def drive(self, states: Sequence[JointState], goals: Sequence[float]) -> list[float]:
        """Torques of the motors, N m, at the joints' states and goals, rad (a CommandLine's)."""
        play, late = self.play, self.derivative_time
        torques = []
        for (position, velocity, _, _), goal, (gain, stall, line) in zip(states, goals, self._motors):  # noqa: B905
            error = goal - position - late * velocity
            if error > play:
                error -= play
            elif error < -play:
                error += play
            else:
                error = 0.0
            torque = gain * error
            if torque > stall:
                torque = stall
            elif torque < -stall:
                torque = -stall
            torque -= line * velocity
            if torque > stall:
                torque = stall
            elif torque < -stall:
                torque = -stall
            torques.append(torque)
        return torques

    def load_battery(self, states: Sequence[JointState], torques: Sequence[float]) -> None:
        """Let the battery sag under the current that these torques take.

        Electrical power is torque^2 R_motor / k^2 (heat) + torque * speed, never fed back into the battery.
        """
        if self.resistance == 0.0:
            return
        power = 0.0
        for (_, velocity, _, _), torque, line in zip(states, torques, self._line, strict=True):
            # the line is k^2 / R_motor: what back-EMF takes off the torque for each rad/s
            power += max(0.0, torque * torque / line + torque * velocity)
        # terminal voltage V of V = E - R P / V; where the pack cannot give that power it gives its utmost, at E / 2
        root = max(0.0, self.open_circuit**2 - 4 * self.resistance * power)
        self._set_voltage((self.open_circuit + root**0.5) / 2)


class CommandLine:
    """Commands on their way: each takes `latency` s to arrive, and is held until the next one does.

    The servo's setpoint then moves to it at `speed` rad/s: the host limits servos to their no-load speed, so that they
    glide over a control period where they would jump. `lead`: s by which a moving setpoint is put ahead of itself, a
    servo's derivative time.
    """

    def __init__(
        self, latency: float, speed: float, step: float, steps: int, standing: Sequence[float], lead: float = 0.0
    ) -> None:
        self._steps = steps
        self._lead = lead / step
        self._latest = list(standing)
        self._most = speed * step
        whole, self._part = divmod(latency / step, 1.0)
        self._periods, self._arrives = divmod(int(whole), steps)
        self._sent = [list(standing)] * (self._periods + 2)
        self._setpoint = list(standing)

    def setpoints(self, command: Sequence[float]) -> list[list[float]]:
        """The setpoint's mean over each physics step of the control period that begins with this command."""
        self._sent = [*self._sent[1:], list(command)]
        older, newer = self._sent[0], self._sent[1]
        before = [self._glide(older, 1.0) for _ in range(self._arrives)]
        # a command that arrives within a step acts for its share of it, so that latency acts smoothly
        first, second = self._glide(older, self._part), self._glide(newer, 1.0 - self._part)
        meeting = second
        if self._part > 0.0:
            meeting = [a * self._part + b * (1.0 - self._part) for a, b in zip(first, second, strict=True)]
        means = [*before, meeting, *(self._glide(newer, 1.0) for _ in range(self._steps - self._arrives - 1))]
        return means if self._lead == 0.0 else self._led(means)

    def _led(self, means: Sequence[list[float]]) -> list[list[float]]:
        led = []
        for mean in means:
            led.append([now + self._lead * (now - before) for now, before in zip(mean, self._latest, strict=True)])
            self._latest = mean
        return led

    def _glide(self, goal: Sequence[float], share: float) -> list[float]:
        """The setpoint's mean over this share of a step, at whose end it is nearer to the goal, or there."""
        most = self._most * share
        if most == 0.0 or goal == self._setpoint:
            return self._setpoint
        mean, reached, twice = [], [], 2.0 * most
        for now, there in zip(self._setpoint, goal):  # noqa: B905 - every physics step
            move = there - now
            if move > most:
                move = most
            elif move < -most:
                move = -most
            reached.append(now + move)
            # on the way for |move| / most of the time, half-way on average; there for the rest of it
            mean.append(now + move * (1.0 - (move if move > 0.0 else -move) / twice))
        self._setpoint = reached
        return mean
