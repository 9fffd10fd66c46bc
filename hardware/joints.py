"""From joint angles to servo steps and back: zeros, directions and gear of one robot."""

from __future__ import annotations

import numpy as np

from hardware.bus import IntArray
from hardware.calibration_file import Calibration, joint_ids, wired_directions, wired_zeros
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray


class JointMap:
    """steps = zero + direction * gear * steps_per_turn / 2 pi * angle; all arrays in joint order, (n,).

    lower, upper: the joints' limits, rad. lower_steps, upper_steps: the same in steps, in ascending order.
    """

    def __init__(
        self,
        description: RobotDescription,
        steps_per_turn: int,
        step_limits: tuple[int, int],
        calibration: Calibration | None = None,
    ) -> None:
        ids = joint_ids(description)
        directions, zeros = wired_directions(description), wired_zeros(description)
        measured = calibration.joints if calibration else {}
        self.names = description.joint_names
        self.ids = tuple(ids.values())
        gear = description.wiring.gear if description.wiring else 1.0
        self.zero = np.array([measured[n].zero if n in measured else zeros[n] for n in self.names], dtype=np.float64)
        direction = [measured[n].direction if n in measured else directions[n] for n in self.names]
        self.scale = np.array(direction) * gear * steps_per_turn / (2 * np.pi)
        self.lower = np.array([joint.lower for joint in description.joints])
        self.upper = np.array([joint.upper for joint in description.joints])
        self.gear = gear
        ends = np.sort(self.to_steps(np.array([self.lower, self.upper])), axis=0)
        self.lower_steps = np.maximum(ends[0], step_limits[0])
        self.upper_steps = np.minimum(ends[1], step_limits[1])
        if (self.lower_steps >= self.upper_steps).any():
            name = self.names[int(np.argmax(self.lower_steps >= self.upper_steps))]
            raise RobotpsError(
                f"{name}: no angle within its limits is within the servo's steps {step_limits}: its zero?"
            )

    @classmethod
    def bare(
        cls, description: RobotDescription, steps_per_turn: int, step_limits: tuple[int, int], held: IntArray
    ) -> JointMap:
        """The servos' shafts themselves: angles from the steps `held` (n,), growing with the steps, without a gear."""
        joints = cls(description, steps_per_turn, step_limits)
        joints.gear = 1.0
        joints.zero = held.astype(np.float64)
        joints.scale = np.full(len(held), steps_per_turn / (2 * np.pi))
        joints.lower_steps = np.full(len(held), step_limits[0])
        joints.upper_steps = np.full(len(held), step_limits[1])
        joints.lower = joints.to_angles(joints.lower_steps)
        joints.upper = joints.to_angles(joints.upper_steps)
        return joints

    def exact_steps(self, angles: FloatArray) -> FloatArray:
        """Servo steps and fractions of them, shape as given."""
        steps: FloatArray = self.zero + self.scale * angles
        return steps

    def to_steps(self, angles: FloatArray) -> IntArray:
        """The nearest servo steps, shape as given."""
        return np.rint(self.exact_steps(angles)).astype(np.int64)

    def to_angles(self, steps: IntArray | FloatArray) -> FloatArray:
        """Joint angles, rad, shape as given."""
        angles: FloatArray = (steps - self.zero) / self.scale
        return angles

    def to_speeds(self, speeds: FloatArray) -> FloatArray:
        """Joint speeds, rad/s, from those of the servos' shafts."""
        joints: FloatArray = np.sign(self.scale) * speeds / self.gear
        return joints
