"""A simulated robot behind the physical robot's own safety layer: what that would refuse, a rehearsal refuses first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hardware.bus import Bus, IntArray, Reading, ServoInfo
from hardware.calibration_file import joint_ids
from hardware.joints import JointMap
from hardware.port import Port
from hardware.robot import BUSES
from hardware.safety import Safety, SafetyLimits
from robotps.description import RobotDescription
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot
from sim.robot import SimulatedRobot
from sim.world import World


class GuardedRobot(Robot):
    """Plays a motion as the serial robot would: every target clipped, every reading judged, by the same Safety.

    A motion that the safety layer ends is a RobotFault here too, with its reason. What the simulation does not sense
    (currents, temperatures, packets) is not judged.
    """

    def __init__(
        self,
        description: RobotDescription,
        world: World | None = None,
        seed: int = 0,
        limits: SafetyLimits | None = None,
    ) -> None:
        """limits: of the safety layer. Raises RobotpsError for a robot without wiring."""
        self.description = description
        self._robot = SimulatedRobot(description, world, seed)
        self.senses = self._robot.senses
        self._bus = DryBus(description)
        joints = JointMap(description, self._bus.steps_per_turn, self._bus.step_limits)
        self._safety = Safety(self._bus, joints, description.servo, limits or SafetyLimits())

    def connect(self) -> None:
        self._robot.connect()

    def stand(self, joints: FloatArray) -> None:
        """See Robot."""
        self._bus.steps = self._safety.joints.to_steps(np.asarray(joints))
        self._safety.energise()
        self._robot.stand(joints)

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        """See Robot."""
        safety, period = self._safety, self.description.control_period
        safety.begin(round(seconds / period))

        def guarded(time: float, last: Observation | None) -> FloatArray:
            return safety.send(motion(time, last), period)

        for observation in self._robot.play(guarded, seconds):
            safety.check(self._reading(observation), period)
            yield observation

    def _reading(self, observation: Observation) -> Reading:
        n = len(self._safety.joints.ids)
        orientation = observation.orientation
        return Reading(
            answered=np.ones(n, dtype=bool),
            error=np.zeros(n, dtype=np.int64),
            position=self._safety.joints.to_steps(np.asarray(observation.position)).astype(np.float64),
            orientation=None if orientation is None else np.asarray(orientation),
            voltage=observation.voltage,
        )

    def relax(self) -> None:
        self._robot.relax()

    def close(self) -> None:
        self._robot.close()


def open_guarded(description: RobotDescription, world: Mapping[str, Any] | None, seed: int) -> Robot:
    """A guarded simulated robot for one trial, in the process that runs the trial."""
    return GuardedRobot(description, World.model_validate(world or {}), seed)


class DryBus(Bus):
    """No wire: servos that take every goal and say nothing."""

    senses = frozenset({"position"})

    def __init__(self, description: RobotDescription) -> None:
        joints = {id_: name for name, id_ in joint_ids(description).items()}
        assert description.wiring is not None  # joint_ids has seen to it
        kind = BUSES[description.wiring.protocol]
        self.steps_per_turn, self.step_limits = kind.steps_per_turn, kind.step_limits
        super().__init__(Port("none", description.wiring.baud), joints, description.servo.model)
        self.steps: IntArray = np.zeros(len(joints), dtype=np.int64)

    def write(self, steps: IntArray) -> None:
        self.steps = steps

    def held(self) -> IntArray:
        return self.steps

    def identify(self) -> list[ServoInfo]:
        return []

    def scan(self) -> list[ServoInfo]:
        return []

    def differences(self, lower: IntArray, upper: IntArray) -> list[str]:
        return []

    def prepare(self, lower: IntArray, upper: IntArray) -> list[str]:
        return []

    def energise(self, speed: float) -> None: ...

    def set_speed_limit(self, speed: float) -> None: ...

    def set_effort_limit(self, fraction: float) -> None: ...

    def read(self) -> Reading:
        raise NotImplementedError("a dry bus has nothing to read")

    def complaint(self, index: int, error: int = 0) -> str:
        return ""

    def release_all(self) -> None: ...

    def release(self) -> dict[int, str]:
        return {}
