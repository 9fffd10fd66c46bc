"""The Robot at the end of a serial port: it starts slowly, keeps its deadlines, and ends with every servo off."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from time import sleep
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hardware import emergency
from hardware.bus import Bus, Reading, ServoInfo, missing
from hardware.calibration_file import Calibration, disagreements, joint_ids
from hardware.dynamixel import DynamixelBus
from hardware.faults import HardwareFault
from hardware.feetech import FeetechBus
from hardware.joints import JointMap
from hardware.opencat import OpenCatBus
from hardware.port import Port, stable_name
from hardware.posture import along_feet, gathered, lowered
from hardware.register_bus import RegisterBus
from hardware.safety import Safety, SafetyLimits, let_go
from hardware.timing import Clock, DeviceClock, LoopTiming, Pace, WallClock, measured
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation, Robot, RobotFault

BUSES: dict[str, type[Bus]] = {"dynamixel": DynamixelBus, "feetech": FeetechBus, "opencat": OpenCatBus}
_DEVICE_PATIENCE = 0.4
_SETTLE = 0.3
_STOP = 0.25
"""s in which a motion that ends comes to rest."""
_SLOWING = 0.04

log = logging.getLogger(__name__)


@runtime_checkable
class Cyclic(Protocol):
    """A motion that repeats: joints (n_samples, n_joints), rad, at equal phases of `period` s."""

    joints: FloatArray
    period: float


def bus_of(description: RobotDescription, port: str) -> Bus:
    """The bus of a robot's wiring, its port not yet open; raises RobotpsError for a robot without wiring."""
    joints = {id_: name for name, id_ in joint_ids(description).items()}
    assert description.wiring is not None  # joint_ids has seen to it
    wiring = description.wiring
    return BUSES[wiring.protocol](Port(port, wiring.baud), joints, description.servo.model)


def answering(bus: Bus, tell: Callable[[str], None]) -> Bus:
    """The bus as described, or where only the other kind of servos answers to its ids at its rate, one of that kind.

    The port is open. A description's servo protocol and model are easily forgotten; nothing else depends on them.
    """
    if not isinstance(bus, RegisterBus) or bus.present() is not None:
        return bus
    for protocol, kind in (("dynamixel", DynamixelBus), ("feetech", FeetechBus)):
        if isinstance(bus, kind):
            continue
        probe = kind(bus.port, bus.joints, "")
        probe.patience = bus.patience
        id_ = probe.present()
        info = None if id_ is None else probe.about(id_)
        if info is not None:
            tell(
                f"servo {info.id} is a {info.model} and speaks {protocol}: going on with that; for good, set "
                f'wiring.protocol = "{protocol}" and servo.model = "{info.model}" in the description'
            )
            found = kind(bus.port, bus.joints, info.model)
            found.patience, found.own_time = bus.patience, bus.own_time
            return found
    return bus


class SerialRobot(Robot):
    """A robot of servos. Faults in a motion are RobotFaults, elsewhere RobotpsErrors; both leave every servo off.

    pace: "wall" keeps absolute deadlines; "device" steps as soon as the device has answered and takes its time.
    effort: of the servos' own limit. tell: called with what a person should know. timing: of the latest motion.
    servos: what they said they are.
    """

    effort = 1.0

    def __init__(
        self,
        description: RobotDescription,
        port: str,
        calibration: Calibration | None = None,
        pace: Pace = "wall",
        limits: SafetyLimits | None = None,
        tell: Callable[[str], None] = log.info,
    ) -> None:
        self.description = description
        self.port = port
        self._identity = f"{description.name} at {stable_name(port)}"
        self.calibration = calibration
        self.pace = pace
        self.limits = limits or SafetyLimits()
        self.timing = LoopTiming()
        self.servos: list[ServoInfo] = []
        self.tell = tell
        self._bus = bus_of(description, port)
        if pace == "device":
            self._bus.patience, self._bus.own_time = _DEVICE_PATIENCE, True
        self._safety: Safety | None = None
        self._prepared = False
        self._halted = ""
        self.senses = self._bus.senses

    @property
    def safety(self) -> Safety:
        """What guards the bus; raises ValueError before `connect`."""
        if self._safety is None:
            raise ValueError("the robot is not connected")
        return self._safety

    @property
    def energised(self) -> bool:
        """Whether any servo may hold torque."""
        return self._safety is not None and self._safety.energised

    @property
    def identity(self) -> str:
        return self._identity

    def halt(self, why: str) -> None:
        """Torque off at once, from any thread or a signal handler; a motion that runs ends as a fault."""
        self._halted = why
        if self._safety is not None:
            self._safety.stop_now(why)
        elif self._bus.port.is_open:
            let_go(self._bus)

    def connect(self) -> None:
        """Open the port, ask every servo what it is, compare the calibration, set what a trial needs; torque is off."""
        self.close()
        self._halted = ""
        self._bus.port.open()
        emergency.watch(self.halt)
        try:
            self._bus = answering(self._bus, self.tell)
            self._guard()
            self.senses, self.servos = self._bus.senses, self._bus.identify()
            changed = disagreements(self.calibration, self.servos) if self.calibration is not None else []
            if changed:
                raise RobotpsError("\n".join([*changed, "calibrate again, or set the servos back"]))
            self._prepare()
        except BaseException:
            self.halt("it was not connected")  # servos hold on after a lost link
            emergency.unwatch(self.halt)
            self._safety = None
            self._bus.port.close()
            raise

    def _guard(self) -> None:
        safety = Safety(self._bus, self._joint_map(), self.description.servo, self.limits)
        self._safety = safety
        if self._halted:  # meanwhile
            safety.stop_now(self._halted)

    def equipment(self) -> dict[str, Any]:
        """See Robot: the port, what every servo said it is, calibration and limits."""
        return {
            "port": self.port,
            "pace": self.pace,
            "servos": [{**asdict(servo), "settings": dict(servo.settings)} for servo in self.servos],
            "calibration": None if self.calibration is None else self.calibration.model_dump(mode="json"),
            "limits": self.limits.model_dump(mode="json", exclude_none=True),
        }

    def _joint_map(self) -> JointMap:
        return JointMap(self.description, self._bus.steps_per_turn, self._bus.step_limits, self.calibration)

    def _prepare(self) -> None:
        for change in self.safety.prepare():
            self.tell(f"set {change}")
        self.safety.limit_effort(self.effort)  # a servo keeps what a calibration before this has set
        self._prepared = True

    def read(self) -> Reading:
        """What the robot senses now, outside a motion; raises HardwareFault where a servo stays silent."""
        bus = self.safety.bus
        for _ in range(3):
            reading = bus.read()
            if reading.answered.all():
                return reading
        raise missing(bus, [id_ for id_, answered in zip(bus.ids, reading.answered, strict=True) if not answered])

    def move_to(self, port: str) -> None:
        """The robot is at the end of another port from now on; connect again."""
        self.close()
        self.port = port
        self._bus.port.name = stable_name(port)

    def rest(self, seconds: float) -> None:
        """Let time pass, the device's own where that is what counts, with the torque off."""
        if self.pace == "wall":
            sleep(seconds)
            return
        for _ in range(math.ceil(seconds / self.description.control_period)):
            self.safety.exchange(self.safety.sent, self.description.control_period)

    def stand(self, joints: FloatArray) -> None:
        """Get up slowly to the angles, rad, (n_joints,), on a way on which the feet stay under the body."""
        target = np.asarray(joints, dtype=np.float64)
        try:
            if not (self._prepared and self.safety.energised):
                self._hold()
                self._move(gathered(self.description))
            self._move(along_feet(self.description, self.safety.sent, target))
        except BaseException:
            self._let_go()
            raise

    def turn(self, joints: FloatArray) -> None:
        """Turn joints slowly to the angles, rad, (n_joints,), each by itself: of a robot that hangs on a stand."""
        try:
            if not (self._prepared and self.safety.energised):
                self._hold()
            self._move(joints)
        except BaseException:
            self._let_go()
            raise

    def _hold(self) -> None:
        """Torque on where the joints are."""
        if not self._prepared:
            self._prepare()
        self.safety.energise()

    def _move(self, way: FloatArray) -> None:
        """Slowly along joint angles (m, n_joints), or straight to (n_joints,), with speed rising and falling."""
        safety = self.safety
        safety.set_speed(slow=True)
        way = np.clip(np.vstack([safety.sent, way]), safety.joints.lower, safety.joints.upper)
        passed = np.concatenate([[0.0], np.abs(np.diff(way, axis=0)).max(axis=1).cumsum()])
        # the fastest moment of a minimum-jerk move is 15/8 of its mean speed
        seconds = max(float(passed[-1]) * 15 / 8 / self.limits.slow_speed, 1e-9)

        def motion(time: float, last: Observation | None) -> FloatArray:
            s = min(time / seconds, 1.0)
            done = float(np.interp(passed[-1] * s**3 * (10 - 15 * s + 6 * s * s), passed, np.arange(len(way))))
            before = min(int(done), len(way) - 2)
            target: FloatArray = way[before] + (done - before) * (way[before + 1] - way[before])
            return target

        for _ in self._cycles(motion, seconds + _SETTLE, LoopTiming(), slow=True):
            pass

    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        """See Robot. A cyclic motion is handed over whole to a device that runs it by itself."""
        safety = self.safety
        if seconds > self.limits.max_seconds:
            raise RobotpsError(f"a motion of {seconds:g} s is longer than the {self.limits.max_seconds:g} s allowed")
        if not safety.energised:
            raise ValueError("stand first")
        timing = self.timing = LoopTiming()
        try:
            safety.set_speed(slow=False)
            safety.start_watchdog()
            with measured(timing, realtime=self.pace == "wall"):
                if safety.bus.runs_cycles and isinstance(motion, Cyclic):
                    yield from self._on_board(motion, seconds, timing)
                else:
                    yield from self._cycles(motion, seconds, timing)
            safety.confirm()
        except GeneratorExit:
            # whoever iterates has broken off, or was interrupted
            if safety.stopped:
                self._let_go()
            else:
                self._come_to_rest()
            raise
        except BaseException:
            self._let_go()
            raise
        else:
            self._come_to_rest()
        finally:
            log.info("%s", timing)

    def _cycles(self, motion: Motion, seconds: float, timing: LoopTiming, slow: bool = False) -> Iterator[Observation]:
        """The control loop: a target out, a reading back, every control period."""
        safety = self.safety
        period = self.description.control_period
        clock = self._begin(seconds, timing)
        before, last = -period, None
        while (start := clock.start_cycle()) < seconds - 1e-6:
            passed = start - before
            before = start
            target = motion(start, last)
            sent, reading = safety.exchange(target, min(passed, 3 * period), slow)
            last = self._observe(clock.stamp(reading), target, sent, reading, clock.late)
            self._judge(reading, passed, timing)
            yield last
        if self.pace == "device":
            self.read()  # the last targets' period is over when it answers

    def _on_board(self, motion: Cyclic, seconds: float, timing: LoopTiming) -> Iterator[Observation]:
        """The device plays the cycle; what it senses is read every control period."""
        safety, bus = self.safety, self.safety.bus
        sent, period = safety.upload(motion.joints, motion.period)
        clock = self._begin(seconds, timing)
        before = -self.description.control_period
        while (start := clock.start_cycle()) < seconds - 1e-6:
            reading = bus.read()
            moment = clock.stamp(reading)
            phase = moment / period % 1.0
            self._judge(reading, start - before, timing)
            before = start
            commanded, frame = motion.joints[int(phase * len(motion.joints))], sent[int(phase * len(sent))]
            yield self._observe(moment, commanded, frame, reading, clock.late)

    def _begin(self, seconds: float, timing: LoopTiming) -> Clock:
        period = self.description.control_period
        self.safety.begin(round(seconds / period))
        clock: Clock = WallClock(period, timing)
        if self.pace == "device":
            bus = self.safety.bus
            clock = DeviceClock(period, bus.tick_period, lag=period if bus.runs_cycles else 0.0)
        clock.begin()
        return clock

    def _judge(self, reading: Reading, seconds: float, timing: LoopTiming) -> None:
        safety = self.safety
        try:
            safety.check(reading, seconds)
        finally:
            timing.cycles, timing.bad_cycles = safety.cycles, safety.bad_cycles
            if safety.bad_cycles:
                names = safety.joints.names
                timing.missing = {names[n]: int(safety.missing[n]) for n in np.flatnonzero(safety.missing)}

    def _observe(
        self, time: float, target: FloatArray, sent: FloatArray, reading: Reading, late: float | None
    ) -> Observation:
        joints = self.safety.joints
        return Observation(
            time=time,
            sent=sent,
            position=None if reading.position is None else joints.to_angles(reading.position),
            velocity=None if reading.velocity is None else joints.to_speeds(reading.velocity),
            current=reading.current,
            temperature=reading.temperature,
            orientation=reading.orientation,
            voltage=reading.voltage,
            load=reading.load,
            commanded=target,
            late=late,
        )

    def _come_to_rest(self) -> None:
        """Slow down within a moment and hold; a fault on the way ends with every servo off."""
        safety = self.safety
        place, run_on = safety.sent.copy(), safety.speed * _SLOWING

        def motion(time: float, last: Observation | None) -> FloatArray:
            target: FloatArray = place + run_on * (1 - math.exp(-time / _SLOWING))
            return target

        try:
            for _ in self._cycles(motion, _STOP, LoopTiming()):
                pass
            safety.stop_watchdog()
            safety.set_speed(slow=True)
        except BaseException:
            self._let_go()
            raise

    def relax(self) -> None:
        """Lie down where the robot stands, then torque off; raises HardwareFault naming servos that did not confirm."""
        if self._safety is None:
            return
        try:
            stands = self._prepared and self._safety.energised and not self._safety.stopped
            if stands and not self._safety.bus.lies_down:
                self._crouch()
        finally:
            failures = self._let_go()
        if failures:
            raise HardwareFault("torque may still be on: " + "; ".join(failures) + ": switch the power off")

    def _crouch(self) -> None:
        """Draw the feet in under the body as far as they go: a tall robot is not dropped."""
        now = self.safety.sent
        try:
            self._move(along_feet(self.description, now, lowered(self.description, now)))
        except RobotFault as fault:
            log.warning("could not lie down: %s", fault)

    def _let_go(self) -> list[str]:
        """Torque off everywhere, whatever else is wrong; what failed is logged and returned."""
        if self._safety is None:
            return []
        self._prepared = False
        failures = self._safety.release()
        for failure in failures:
            log.error("torque off not confirmed: %s", failure)
        return failures

    def close(self) -> None:
        """Lie down, torque off, port closed. May be called twice, and after the link was lost: it only tells then."""
        try:
            self.relax()
        except HardwareFault as fault:
            self.tell(str(fault))
        finally:
            emergency.unwatch(self.halt)
            self._bus.port.close()
            self._safety = None
