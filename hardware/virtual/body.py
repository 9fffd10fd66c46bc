"""The robot's body in MuJoCo, put on a floor or a stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.virtual.mjcf import Builder
from hardware.virtual.reality import Reality
from robotps.description import RobotDescription
from robotps.errors import require
from robotps.legs import LEGS
from robotps.parameters import FloatArray

GRAVITY = 9.80665


@dataclass(frozen=True)
class Pose:
    """Of the trunk's frame in the floor's: position m (3,), quaternion x, y, z, w."""

    position: FloatArray
    quaternion: FloatArray


class Body:
    """The mechanics alone: joints take a torque, MuJoCo says where everything goes in the next tick.

    Every joint is two hinges about one axis: the servo's, which carries its armature and friction, and behind it the
    play of the gears, within which the link moves freely. `angle` (rad) and `speed` (rad/s) are those of the servo's
    side, in the order of the description's joints.
    """

    def __init__(self, description: RobotDescription, reality: Reality, tick: float, seed: np.random.SeedSequence):
        mujoco: Any = require("mujoco", "virtual")
        self._mujoco = mujoco
        self.reality = reality
        builder = Builder(description, reality, tick)
        self.model = mujoco.MjModel.from_xml_string(builder.xml())
        self._scale_masses()
        stride = 2 if builder.play > 0 else 1
        angles = slice(7, 7 + stride * description.n_joints, stride)
        dofs = slice(6, 6 + stride * description.n_joints, stride)
        self._viscous = builder.viscous
        self._roughness = reality.floor.roughness_m
        slope = math.radians(reality.floor.slope_deg)
        self.model.opt.gravity[:] = (-GRAVITY * math.sin(slope), 0.0, -GRAVITY * math.cos(slope))
        if reality.floor.roughness_m > 0:
            heights = np.random.default_rng(seed).random(len(self.model.hfield_data))
            self.model.hfield_data[:] = heights
        self.data = mujoco.MjData(self.model)
        mujoco.mj_setConst(self.model, self.data)
        # views, for MuJoCo keeps its arrays where they are
        self.angle: FloatArray = self.data.qpos[angles]
        self.speed: FloatArray = self.data.qvel[dofs]
        self._torque: FloatArray = self.data.qfrc_applied[dofs]
        self._damping: FloatArray = self.model.dof_damping[dofs]
        self._gain: FloatArray = self.model.actuator_gainprm[:, 0]
        self._bias: FloatArray = self.model.actuator_biasprm[:, 1]
        self._most: FloatArray = self.model.actuator_forcerange
        self._stand = self.model.equality("stand").id
        self.angle[:] = [angle for leg in LEGS for angle in description.legs[leg].rest]
        self.put_down(0.0)

    @property
    def mass(self) -> float:
        """kg."""
        return float(self.model.body_mass.sum())

    @property
    def pose(self) -> Pose:
        place = self.data.qpos
        return Pose(place[:3].copy(), place[[4, 5, 6, 3]])

    @property
    def angular_velocity(self) -> FloatArray:
        """Of the trunk, in its own frame, rad/s, (3,)."""
        result: FloatArray = self.data.qvel[3:6].copy()
        return result

    @property
    def specific_force(self) -> FloatArray:
        """What an accelerometer at the trunk's origin feels, in the trunk's frame, m/s^2, (3,)."""
        result: FloatArray = self._to_trunk(self.data.qacc[:3] - self.model.opt.gravity)
        return result

    @property
    def up(self) -> FloatArray:
        """The direction against gravity in the trunk's frame, (3,)."""
        result: FloatArray = self._to_trunk(-self.model.opt.gravity / GRAVITY)
        return result

    def step(self, torque: FloatArray) -> None:
        """One tick with torques at the servos' side of the joints, N m."""
        self._torque[:] = torque
        self._mujoco.mj_step(self.model, self.data)

    def follow(self, targets: FloatArray, gain: FloatArray, most: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ticks with torques of `gain` (N m/rad) times what is left to their targets, at most `most` N m.

        targets: rad, (ticks, n_joints). Returns angles, rad, and speeds, rad/s, at the beginning of each tick.
        """
        self._torque[:] = 0.0
        self._gain[:], self._bias[:] = gain, -gain
        self._most[:, 0], self._most[:, 1] = -most, most
        angles, speeds = np.empty_like(targets), np.empty_like(targets)
        step, model, data = self._mujoco.mj_step, self.model, self.data
        for tick, target in enumerate(targets):
            angles[tick], speeds[tick] = self.angle, self.speed
            data.ctrl[:] = target
            step(model, data)
        self._gain[:] = self._bias[:] = 0.0
        return angles, speeds

    def brake(self, damping: FloatArray) -> None:
        """Damping at the joints beside their own friction, N m s/rad (n_joints,): MuJoCo integrates it implicitly."""
        self._damping[:] = self._viscous + damping

    @property
    def yaw(self) -> float:
        """Heading of the trunk, rad."""
        w, x, y, z = self.data.qpos[3:7].tolist()
        return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    def put_down(self, yaw: float, x: float = 0.0, y: float = 0.0) -> None:
        """On the floor, level, heading `yaw`, the joints as they are, nothing moving."""
        self.data.eq_active[self._stand] = 0
        self.data.qpos[:7] = (x, y, 0.0, math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
        self._freeze()
        self.data.qpos[2] = -self._lowest() + self._roughness + 0.001
        self._freeze()

    def put_on_stand(self) -> None:
        """In the air, the trunk held; the legs swing free."""
        self.data.qpos[:7] = self.model.qpos0[:7]
        self.data.eq_active[self._stand] = 1
        self._freeze()

    def _to_trunk(self, vector: FloatArray) -> FloatArray:
        rotation = np.zeros(9)
        self._mujoco.mju_quat2Mat(rotation, self.data.qpos[3:7])
        result: FloatArray = rotation.reshape(3, 3).T @ vector
        return result

    def _freeze(self) -> None:
        self.data.qvel[:] = 0.0
        self._mujoco.mj_forward(self.model, self.data)

    def _lowest(self) -> float:
        """Height of the robot's lowest point above the floor's plane (of its bounding boxes: exact when level)."""
        lowest = math.inf
        for geom in range(self.model.ngeom):
            if self.model.geom_bodyid[geom] == 0:
                continue
            rotation = self.data.geom_xmat[geom].reshape(3, 3)
            kind, size = self.model.geom_type[geom], self.model.geom_size[geom]
            if kind == self._mujoco.mjtGeom.mjGEOM_SPHERE:
                reach = size[0]
            elif kind == self._mujoco.mjtGeom.mjGEOM_CAPSULE:
                reach = size[0] + abs(rotation[2, 2]) * size[1]
            else:
                reach = float(np.abs(rotation[2]) @ size)
            lowest = min(lowest, float(self.data.geom_xpos[geom][2] - reach))
        return lowest

    def _scale_masses(self) -> None:
        """MuJoCo keeps inertias in the bodies' principal axes, which scaling does not turn."""
        body = self.reality.body
        self.model.body_mass[:] *= body.mass_scale
        self.model.body_inertia[:] *= body.mass_scale * body.inertia_scale
        self.model.body_ipos[self.model.body("trunk").id] += body.com_offset_m
