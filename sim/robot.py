"""The simulated robot: a description's body in PyBullet, driven by torque-level servos, in one world."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.kinematics import LegKinematics
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot, RobotFault
from sim.body import body_of
from sim.engine import bullet
from sim.floor import lay_floor
from sim.links import principal
from sim.push import Pushes
from sim.rotor import Rotors
from sim.servo import CommandLine, Servos
from sim.world import STANDARD_GRAVITY, World

LONGEST_STEP = 0.002
"""s; the physics step is the longest one up to this that divides the control period.

The engine's own settings are left alone: 5 to 50 solver iterations, self-collision off or a residual threshold change a
trial's cost by a tenth at most.
"""
SETTLE = 0.2
"""s from being placed on the floor until a trial may begin."""
CLEARANCE = 0.001
"""m between the feet and the floor when placed."""
STAND = 1.0
"""m from the floor to the body's centre on the stand."""

FAR = 1000.0
"""m; a body that is farther away, or nowhere, was thrown there by a simulation that broke."""

Numbers = tuple[float, ...]

_idle_clients: list[int] = []
"""PyBullet clients of this process that no robot uses; they are kept, as connecting costs more than resetting."""

_built_in_contacts: dict[str, list[tuple[int, int]]] = {}
"""Pairs of links that touch by construction, by the description's fingerprint."""


class SimulatedRobot(Robot):
    """One robot in one world; `seed` decides its start, sensor noise, pushes and terrain, each by a stream of its own.

    Every `stand` rebuilds the simulation (a restored state is not bit-identical to a fresh one), so that description,
    world, seed and motion fix the telemetry bit for bit. Base pose, base velocity and orientation are the truth in the
    frame of the floor, which a slope tilts against gravity; the body's centre starts above its origin.
    torque: of the motors, before the joints' own friction. voltage: of the battery under load.
    """

    senses = frozenset(
        {
            "position",
            "velocity",
            "torque",
            "orientation",
            "angular_velocity",
            "acceleration",
            "base_position",
            "base_velocity",
            "voltage",
        }
    )

    def __init__(
        self,
        description: RobotDescription,
        world: World | None = None,
        seed: int = 0,
        *,
        visible: bool = False,
        on_stand: bool = False,
    ) -> None:
        """visible: load what a renderer needs; physics is the same without, and faster to load.

        on_stand: the trunk is held level in the air, and the legs swing free.

        Raises RobotpsError for a world that names a joint the robot does not have.
        """
        self.description = description
        self.world = world or World()
        self.world.check_joints(description)
        self.seed = seed
        self.visible = visible
        self.on_stand = on_stand
        self._steps = math.ceil(description.control_period / LONGEST_STEP - 1e-9)
        self._step = description.control_period / self._steps
        self._servos = Servos(description, self.world, self._step)
        self._lower = np.array([joint.lower for joint in description.joints])
        self._upper = np.array([joint.upper for joint in description.joints])
        self._client: int | None = None
        self._body = -1
        self._limp = True

    def connect(self) -> None:
        """Take a physics client; raises RobotpsError for a body that cannot be built."""
        if self._client is not None:
            return
        self._p: Any = bullet()
        self._links = body_of(self.description).in_world(self.world.body, self._servos.armature)
        self._client = _idle_clients.pop() if _idle_clients else self._p.connect(self._p.DIRECT)
        if self.description.fingerprint not in _built_in_contacts:
            _built_in_contacts[self.description.fingerprint] = self._touching_at_rest()

    def stand(self, joints: FloatArray) -> None:
        """Build the world afresh, place the robot in it at these joint angles, rad, and let it settle."""
        if self._client is None:
            raise ValueError("connect the robot first: use it as a context manager")
        streams = np.random.SeedSequence(self.seed).spawn(4)
        self._start, self._noise, self._push, self._terrain = (np.random.default_rng(stream) for stream in streams)
        self._servos.hold_voltage(None)
        self._build()
        placed = np.asarray(joints) + np.array(self._servos.zeros)
        noise = self._start.normal(0.0, self.world.start.joint_noise_rad, len(placed))
        self._place(np.clip(placed + noise, self._lower, self._upper))
        self._sent = self._clipped(joints)
        self._commands = self._command_line(self._sent)
        self._pushes = Pushes(self.world.push, self._push, self._step)
        self._rotors = Rotors(self._links, self._servos.armature, placed, self._step)
        self._limp = False
        self._states = self._p.getJointStates(self._body, self._joints, physicsClientId=self._client)
        for _ in range(math.ceil(SETTLE / self.description.control_period)):
            self._advance(self._sent, None)
        self._base_velocity = self._base()[3]

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        """Play a motion from where the robot is, then hold the last target; RobotFault where physics breaks."""
        if self._body < 0:
            raise ValueError("the robot does not stand yet: call stand first")
        self._limp = False
        last: Observation | None = None
        period = self.description.control_period
        for tick in range(max(1, round(seconds / period))):
            self._sent = self._clipped(motion(tick * period, last))
            drive = self._advance(self._sent, self._pushes)
            last = self._observe((tick + 1) * period, self._sent, drive)
            yield last

    def relax(self) -> None:
        """Take the torque off every joint, and let the robot sink for a moment."""
        if self._body < 0:
            return
        self._limp = True
        for _ in range(math.ceil(SETTLE / self.description.control_period)):
            self._advance(self._sent, None)

    def close(self) -> None:
        """Give the physics client back."""
        if self._client is not None:
            _idle_clients.append(self._client)
        self._client, self._body = None, -1

    # building

    def _build(self) -> None:
        p, client = self._p, self._client
        p.resetSimulation(physicsClientId=client)
        p.setPhysicsEngineParameter(
            fixedTimeStep=self._step,
            numSubSteps=0,
            deterministicOverlappingPairs=1,
            enableFileCaching=0,  # or every trial's body is kept for ever, 19 kB of it
            physicsClientId=client,
        )
        slope, heading = math.radians(self.world.floor.slope_deg), math.radians(self.world.floor.slope_heading_deg)
        self._gravity = (
            -STANDARD_GRAVITY * math.sin(slope) * math.cos(heading),
            -STANDARD_GRAVITY * math.sin(slope) * math.sin(heading),
            -STANDARD_GRAVITY * math.cos(slope),
        )
        p.setGravity(*self._gravity, physicsClientId=client)
        lay_floor(p, client, self.world.floor, self._terrain)
        self._load()
        for one, other in _built_in_contacts[self.description.fingerprint]:
            p.setCollisionFilterPair(self._body, self._body, one, other, 0, physicsClientId=client)
        self._set_dynamics()
        inertial = p.getDynamicsInfo(self._body, -1, physicsClientId=client)
        self._com = (inertial[3], inertial[4])
        self._centre = p.invertTransform(*self._com)

    def _load(self) -> None:
        p, client = self._p, self._client
        flags = p.URDF_USE_INERTIA_FROM_FILE | p.URDF_USE_SELF_COLLISION | p.URDF_USE_SELF_COLLISION_EXCLUDE_PARENT
        if not self.visible:
            flags |= p.URDF_IGNORE_VISUAL_SHAPES
        # PyBullet loads files only
        handle, name = tempfile.mkstemp(suffix=".urdf", prefix="robotps-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self._links.urdf())
            self._body = p.loadURDF(name, flags=flags, useFixedBase=self.on_stand, physicsClientId=client)
        except p.error as error:
            raise RobotpsError(
                f"PyBullet cannot load the body of '{self.description.name}': {error} Do the meshes in its URDF exist?"
            ) from None
        finally:
            Path(name).unlink(missing_ok=True)
        index = {
            p.getJointInfo(self._body, i, physicsClientId=client)[1].decode(): i
            for i in range(p.getNumJoints(self._body, physicsClientId=client))
        }
        self._joints = [index[name] for name in self.description.joint_names]

    def _touching_at_rest(self) -> list[tuple[int, int]]:
        """Links that overlap where the legs are at rest, such as a hip's parts: only the others may collide."""
        p, client = self._p, self._client
        p.resetSimulation(physicsClientId=client)
        self._load()
        rest = (angle for name in LEGS for angle in self.description.legs[name].rest)
        for i, angle in zip(self._joints, rest, strict=True):
            p.resetJointState(self._body, i, angle, physicsClientId=client)
        p.performCollisionDetection(physicsClientId=client)
        contacts = p.getContactPoints(self._body, self._body, physicsClientId=client)
        pairs = sorted({(contact[3], contact[4]) for contact in contacts})
        self._body = -1
        return pairs

    def _set_dynamics(self) -> None:
        p, servos = self._p, self._servos
        for i, link in zip([-1, *self._joints], self._links.links, strict=True):
            body: dict[str, Any] = {"bodyUniqueId": self._body, "linkIndex": i, "physicsClientId": self._client}
            p.changeDynamics(**body, localInertiaDiagonal=principal(link.inertial)[0].tolist())
            # friction and damping in one call: PyBullet silently leaves the friction as it was
            p.changeDynamics(**body, lateralFriction=1.0)
            p.changeDynamics(**body, linearDamping=0.0, angularDamping=0.0)
            if i >= 0:
                p.changeDynamics(**body, jointDamping=servos.viscous_friction)
        # Coulomb friction: a velocity motor towards rest with this much force at most, solved with the contacts;
        # the drive's torque is applied on top of it
        p.setJointMotorControlArray(
            self._body,
            self._joints,
            p.VELOCITY_CONTROL,
            targetVelocities=[0.0] * len(self._joints),
            forces=[servos.coulomb_friction] * len(self._joints),
            physicsClientId=self._client,
        )

    def _place(self, joints: FloatArray) -> None:
        """Set joint angles, and the body so that its feet stand level just above the floor."""
        p, client = self._p, self._client
        for i, angle in zip(self._joints, joints.tolist(), strict=True):
            p.resetJointState(self._body, i, angle, physicsClientId=client)
        if self.on_stand:
            held = p.multiplyTransforms((0.0, 0.0, STAND), (0.0, 0.0, 0.0, 1.0), *self._com)
            p.resetBasePositionAndOrientation(self._body, *held, physicsClientId=client)
            return
        feet, radii, column = [], [], 0
        for leg in (self.description.legs[name] for name in LEGS):
            angles = joints[column : column + len(leg.joints)]
            column += len(leg.joints)
            feet.append(LegKinematics(leg).forward(angles[None, :])[0])
            radii.append(leg.foot.radius)
        points = np.array(feet)
        slopes = np.linalg.lstsq(np.column_stack([points[:, :2], np.ones(4)]), points[:, 2] - radii, rcond=None)[0]
        up = np.array([-slopes[0], -slopes[1], 1.0])
        up /= np.linalg.norm(up)
        # the shortest turn that brings `up` upright
        turn = np.array([up[1], -up[0], 0.0, 1.0 + up[2]])
        turn /= np.linalg.norm(turn)
        yaw = self._start.normal(0.0, self.world.start.yaw_noise_rad)
        about_z = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        _, turn = p.multiplyTransforms((0, 0, 0), about_z, (0, 0, 0), turn.tolist())
        lowest = min(rotated(turn, foot)[2] - radius for foot, radius in zip(points.tolist(), radii, strict=True))
        height = CLEARANCE + self.world.floor.roughness_m / 2 - lowest
        position, orientation = p.multiplyTransforms((0.0, 0.0, height), turn, *self._com)
        p.resetBasePositionAndOrientation(self._body, position, orientation, physicsClientId=client)

    # stepping

    def _clipped(self, target: FloatArray) -> list[float]:
        if not np.isfinite(target).all():
            raise ValueError(f"a motion's joint targets must be finite, not {target}")
        clipped: list[float] = np.minimum(np.maximum(target, self._lower), self._upper).tolist()
        return clipped

    def _command_line(self, standing: Sequence[float]) -> CommandLine:
        servos = self._servos
        speed, lead = servos.setpoint_speed, servos.derivative_time
        return CommandLine(servos.latency, speed, self._step, self._steps, self._goals(standing), lead)

    def _goals(self, sent: Sequence[float]) -> list[float]:
        return [target + zero for target, zero in zip(sent, self._servos.zeros, strict=True)]

    def _advance(self, sent: Sequence[float], pushes: Pushes | None) -> list[float]:
        """Physics for one control period; the drive torques of its last step."""
        p, client, body, joints = self._p, self._client, self._body, self._joints
        states, servos, rotors, control = self._states, self._servos, self._rotors, self._p.TORQUE_CONTROL
        rotors.follow([state[0] for state in states], self.description.control_period)
        # the trunk turns little within a control period
        turn = self._trunk_turn()
        back = (-turn[0], -turn[1], -turn[2], turn[3])
        drive: list[float] = []
        velocity = p.getBaseVelocity(body, client)
        for setpoint in self._commands.setpoints(self._goals(sent)):
            drive = [0.0] * len(joints) if self._limp else servos.drive(states, setpoint)
            push = None if pushes is None else pushes.force()
            place = p.getBasePositionAndOrientation(body, client)
            while True:
                rotor = rotors.force
                torques = [motor + inertia for motor, inertia in zip(drive, rotor[3:])]  # noqa: B905
                p.setJointMotorControlArray(body, joints, control, forces=torques, physicsClientId=client)
                p.applyExternalTorque(body, -1, rotated(turn, rotor[:3]), p.WORLD_FRAME, physicsClientId=client)
                if push is not None:
                    p.applyExternalForce(body, -1, push, place[0], p.WORLD_FRAME, physicsClientId=client)
                p.stepSimulation(client)
                after = p.getJointStates(body, joints, client)
                reached = p.getBaseVelocity(body, client)
                if rotors.settled([*rotated(back, reached[1]), *[state[1] for state in after]]):
                    break
                self._undo(place, velocity, states)
            states, velocity = after, reached
        self._states = states
        servos.load_battery(states, drive)
        return drive

    def _undo(self, place: Any, velocity: Any, states: Any) -> None:
        """Back to where a physics step began: the base's place and velocity, and the joints' states."""
        p, client = self._p, self._client
        p.resetBasePositionAndOrientation(self._body, *place, physicsClientId=client)
        p.resetBaseVelocity(self._body, *velocity, physicsClientId=client)
        angles, speeds = [state[:1] for state in states], [state[1:2] for state in states]
        p.resetJointStatesMultiDof(self._body, self._joints, angles, speeds, physicsClientId=client)

    def _trunk_turn(self) -> Numbers:
        """The trunk's orientation in the floor's frame; PyBullet gives that of its principal axes of inertia."""
        turn = self._p.getBasePositionAndOrientation(self._body, physicsClientId=self._client)[1]
        return product(turn, self._centre[1])

    def _base(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Of the body's centre, in the floor's frame: position, orientation, angular velocity, velocity."""
        p = self._p
        com, turn = p.getBasePositionAndOrientation(self._body, physicsClientId=self._client)
        (vx, vy, vz), (wx, wy, wz) = p.getBaseVelocity(self._body, physicsClientId=self._client)
        position, orientation = p.multiplyTransforms(com, turn, *self._centre)
        x, y, z = position[0] - com[0], position[1] - com[1], position[2] - com[2]
        velocity = (vx + wy * z - wz * y, vy + wz * x - wx * z, vz + wx * y - wy * x)
        return position, orientation, (wx, wy, wz), velocity

    def _observe(self, time: float, sent: list[float], drive: list[float]) -> Observation:
        position, orientation, spin, velocity = self._base()
        (x, y, z), (vx, vy, vz), (ux, uy, uz), (gx, gy, gz) = position, velocity, self._base_velocity, self._gravity
        if not (abs(x) < FAR and abs(y) < FAR and abs(z) < FAR):
            raise RobotFault(f"the simulation broke at {time:.2f} s: the body is at {position}")
        self._base_velocity = velocity
        period = self.description.control_period
        felt = ((vx - ux) / period - gx, (vy - uy) / period - gy, (vz - uz) / period - gz)
        back = (-orientation[0], -orientation[1], -orientation[2], orientation[3])
        angles = [state[0] - zero for state, zero in zip(self._states, self._servos.zeros, strict=True)]
        noise = self.world.sensor
        return Observation(
            time=time,
            sent=sent,
            position=self._noisy(angles, noise.position_noise_rad),
            velocity=self._noisy([state[1] for state in self._states], noise.velocity_noise_rad_s),
            torque=drive,
            orientation=orientation,
            angular_velocity=self._noisy(rotated(back, spin), noise.gyro_noise_rad_s),
            acceleration=self._noisy(rotated(back, felt), noise.accelerometer_noise_m_s2),
            base_position=position,
            base_velocity=velocity,
            voltage=self._servos.voltage,
        )

    def _noisy(self, values: Sequence[float], deviation: float) -> Sequence[float]:
        if deviation == 0.0:
            return values
        noisy: list[float] = (np.array(values) + self._noise.normal(0.0, deviation, len(values))).tolist()
        return noisy


def product(outer: Sequence[float], inner: Sequence[float]) -> Numbers:
    """The turn that is `inner` and then `outer`, unit quaternions x, y, z, w."""
    x, y, z, w = outer
    a, b, c, d = inner
    return (
        w * a + x * d + y * c - z * b,
        w * b - x * c + y * d + z * a,
        w * c + x * b - y * a + z * d,
        w * d - x * a - y * b - z * c,
    )


def rotated(quaternion: Sequence[float], vector: Sequence[float]) -> Numbers:
    """A vector turned by a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion
    a, b, c = vector
    # v + 2 w (u x v) + 2 u x (u x v)
    p, q, r = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return (a + w * p + y * r - z * q, b + w * q + z * p - x * r, c + w * r + x * q - y * p)
