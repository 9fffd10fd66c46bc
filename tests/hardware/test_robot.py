"""The serial robot against scripted servos: start, motion, stop, and every way a motion can end badly."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from contextlib import closing

import numpy as np
import pytest

from hardware import protocol2
from hardware.bus import Reading
from hardware.calibration_file import Calibration, JointCalibration
from hardware.faults import HardwareFault
from hardware.robot import SerialRobot
from hardware.safety import SafetyLimits
from hardware.timing import DeviceClock
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import gait_cycle, initial_gait
from robotps.robot import RobotFault, Telemetry
from robotps.trial import TrialSettings, run_trial

DKITTY = load_description("dkitty")
CYCLE = gait_cycle(DKITTY, initial_gait(DKITTY))
TORQUE_OFF = protocol2.write(254, 64, b"\x00")


@pytest.fixture
def robot(device, dkitty):
    robot = SerialRobot(DKITTY, device.name, pace="device", limits=SafetyLimits(slow_speed=5.0))
    yield robot
    robot.close()


def torques(dkitty) -> set[int]:
    return {memory[64] for memory in dkitty.memory.values()}


def test_a_gait_is_played_and_observed_in_the_devices_time(robot: SerialRobot, dkitty) -> None:
    with robot:
        robot.stand(CYCLE.standing)
        assert torques(dkitty) == {1}
        telemetry = Telemetry.of(list(robot.play(CYCLE, 1.0)))
        timing = robot.timing
    assert len(telemetry.time) == 100
    np.testing.assert_allclose(telemetry.time, np.arange(100) * 0.01, atol=1e-9)
    np.testing.assert_allclose(telemetry.position, telemetry.sent, atol=1e-9)  # these servos follow at once
    np.testing.assert_allclose(telemetry.sent[-1], CYCLE(0.99), atol=2e-3)
    np.testing.assert_allclose(telemetry.commanded, [CYCLE(time) for time in np.arange(100) * 0.01], atol=1e-9)
    assert set(telemetry.columns()) - {"time", "sent", "commanded"} == {
        "position",
        "velocity",
        "current",
        "temperature",
        "voltage",
    }
    assert (timing.cycles, timing.bad_cycles) == (100, 0)
    assert torques(dkitty) == {0}


def test_the_same_motion_gives_the_same_telemetry(device, dkitty) -> None:
    runs = []
    for _ in range(2):
        for memory in dkitty.memory.values():
            struct.pack_into("<i", memory, 132, 2048)
            struct.pack_into("<H", memory, 120, 0)
        with SerialRobot(DKITTY, device.name, pace="device", limits=SafetyLimits(slow_speed=5.0)) as robot:
            robot.stand(CYCLE.standing)
            runs.append(Telemetry.of(list(robot.play(CYCLE, 0.5))))
    for name, values in runs[0].columns().items():
        np.testing.assert_array_equal(values, runs[1].columns()[name])


def test_standing_up_is_slow_and_begins_where_the_joints_are(device, dkitty) -> None:
    for memory in dkitty.memory.values():
        struct.pack_into("<i", memory, 132, 2300)
    goals: list[tuple[int, int]] = []
    follow = dkitty.on_write

    def note(servo: int, address: int) -> None:
        follow(servo, address)
        if address == 116:
            goals.append((servo, struct.unpack_from("<i", dkitty.memory[servo], 116)[0]))

    dkitty.on_write = note
    with SerialRobot(DKITTY, device.name, pace="device") as robot:
        robot.stand(CYCLE.standing)
        thigh = np.array([steps for servo, steps in goals if servo == 21])
    assert thigh[0] == 2300
    assert np.abs(np.diff(thigh)).max() <= 1.0 * 0.01 * 4096 / (2 * np.pi) + 1.5  # 1 rad/s at 100 Hz
    assert np.abs(np.diff(thigh, 2)).max() <= 3  # and no jerk at either end


def test_a_limit_of_effort_that_a_calibration_left_is_lifted(robot: SerialRobot, dkitty) -> None:
    for memory in dkitty.memory.values():
        struct.pack_into("<H", memory, 100, 310)
    with robot:
        robot.stand(CYCLE.standing)
    assert {struct.unpack_from("<H", memory, 100)[0] for memory in dkitty.memory.values()} == {885}


def test_the_watchdog_is_on_during_a_motion_only(robot: SerialRobot, dkitty) -> None:
    with robot:
        robot.stand(CYCLE.standing)
        watchdogs = set()
        for _ in robot.play(CYCLE, 0.1):
            watchdogs |= {memory[98] for memory in dkitty.memory.values()}
        assert watchdogs == {15}
        assert {memory[98] for memory in dkitty.memory.values()} == {0}


def test_the_servos_own_speed_limit_is_never_unlimited_under_torque(robot: SerialRobot, dkitty) -> None:
    seen = set()
    follow = dkitty.on_write

    def note(servo: int, address: int) -> None:
        follow(servo, address)
        if dkitty.memory[servo][64]:
            seen.add(struct.unpack_from("<I", dkitty.memory[servo], 112)[0])

    dkitty.on_write = note
    with robot:
        robot.stand(CYCLE.standing)
        list(robot.play(CYCLE, 0.1))
    assert 0 not in seen
    assert len(seen) == 2


def test_whoever_breaks_off_leaves_a_robot_that_came_to_rest(robot: SerialRobot, dkitty) -> None:
    with robot:
        robot.stand(CYCLE.standing)
        with closing(robot.play(CYCLE, 5.0)) as play:
            for observation in play:
                if observation.time > 0.3:
                    break
        assert torques(dkitty) == {1}
        goals = [struct.unpack_from("<i", memory, 116)[0] for memory in dkitty.memory.values()]
        held = [struct.unpack_from("<i", memory, 132)[0] for memory in dkitty.memory.values()]
        assert goals == held
        robot.stand(CYCLE.standing)


def test_lying_down_comes_before_torque_off(robot: SerialRobot, dkitty) -> None:
    with robot:
        robot.stand(CYCLE.standing)
        standing = struct.unpack_from("<i", dkitty.memory[22], 132)[0]
    lying = struct.unpack_from("<i", dkitty.memory[22], 132)[0]
    assert abs(lying - standing) > 200  # the knees are folded
    assert torques(dkitty) == {0}


def play_until_fault(robot: SerialRobot, after: int, sabotage) -> str:
    robot.connect()
    robot.stand(CYCLE.standing)

    def play() -> None:
        for count, _ in enumerate(robot.play(CYCLE, 5.0)):
            if count == after:
                sabotage()

    with pytest.raises(RobotFault) as caught:
        play()
    return str(caught.value)


def test_a_servo_that_falls_silent_is_a_fault_naming_it(robot: SerialRobot, dkitty, monkeypatch) -> None:
    monkeypatch.setattr("hardware.robot._DEVICE_PATIENCE", 0.02)

    def silence() -> None:
        dkitty.tamper = lambda packets: [packet for packet in packets if packet[4] != 31]

    assert "rear_left_thigh (servo 31): no answer in 3 cycles" in play_until_fault(robot, 10, silence)
    assert torques(dkitty) == {0}


def test_an_overload_is_a_fault_naming_joint_and_reason(robot: SerialRobot, dkitty) -> None:
    def overload() -> None:
        dkitty.error[41], dkitty.memory[41][70], dkitty.memory[41][64] = 0x80, 0x20, 0

    assert "rear_right_thigh (servo 41): overload" in play_until_fault(robot, 10, overload)
    assert torques(dkitty) == {0}


def test_a_brownout_is_a_fault(robot: SerialRobot, dkitty) -> None:
    def restart() -> None:
        dkitty.memory[12][64:147] = bytes(83)
        dkitty.memory[12][68] = 2
        struct.pack_into("<H", dkitty.memory[12], 144, 121)
        struct.pack_into("<i", dkitty.memory[12], 132, 2048)

    for memory in dkitty.memory.values():
        struct.pack_into("<H", memory, 120, 20_000)
    assert "front_right_shank (servo 12): it restarted" in play_until_fault(robot, 10, restart)


def test_a_tripped_watchdog_is_a_fault(robot: SerialRobot, dkitty) -> None:
    def trip() -> None:
        dkitty.memory[30][98] = 0xFF

    assert "rear_left_abduction (servo 30): its watchdog stopped it" in play_until_fault(robot, 10, trip)


def test_a_pulled_cable_is_a_fault_and_closing_still_works(robot: SerialRobot, device) -> None:
    assert "cable" in play_until_fault(robot, 10, device.unplug)
    robot.close()


def test_a_device_whose_clock_stands_still_is_a_fault(robot: SerialRobot, dkitty) -> None:
    def hang() -> None:
        dkitty.on_write = lambda servo, address: None

    assert "clock stands still" in play_until_fault(robot, 10, hang)


def test_a_broken_motion_ends_with_every_servo_off(robot: SerialRobot, dkitty) -> None:
    def motion(time: float, last: object) -> np.ndarray:
        if time > 0.1:
            raise ZeroDivisionError
        return CYCLE.standing

    with robot:
        robot.stand(CYCLE.standing)
        with pytest.raises(ZeroDivisionError):
            list(robot.play(motion, 1.0))
        assert torques(dkitty) == {0}


def test_after_a_fault_the_robot_stands_up_again(robot: SerialRobot, dkitty) -> None:
    def overload() -> None:
        dkitty.error[41], dkitty.memory[41][70] = 0x80, 0x20

    play_until_fault(robot, 10, overload)
    dkitty.error[41] = dkitty.memory[41][70] = 0
    robot.stand(CYCLE.standing)
    assert len(list(robot.play(CYCLE, 0.2))) == 20


def test_a_fault_in_a_trial_is_an_outcome(robot: SerialRobot, dkitty) -> None:
    count = 0

    def overload(_: object) -> None:
        nonlocal count
        count += 1
        if count == 10:
            dkitty.error[41], dkitty.memory[41][70] = 0x80, 0x20

    class Nothing:
        asks = False

        def start(self) -> None: ...

        def travel(self, telemetry, begin, end):
            from robotps.odometer import Travel

            return Travel(0.0, 0.0)

    with robot:
        trial, _ = run_trial(robot, initial_gait(DKITTY), TrialSettings(seconds=1.0), Nothing(), overload)
    assert trial.ending == "fault"
    assert "overload" in trial.reason


def test_a_motion_longer_than_allowed_is_refused_before_it_begins(robot: SerialRobot) -> None:
    with robot:
        robot.stand(CYCLE.standing)
        with pytest.raises(RobotpsError, match="longer than the 300 s"):
            next(iter(robot.play(CYCLE, 400.0)))


def test_misuse_is_told(robot: SerialRobot) -> None:
    with pytest.raises(ValueError, match="not connected"):
        robot.stand(CYCLE.standing)
    robot.connect()
    with pytest.raises(ValueError, match="stand first"):
        next(iter(robot.play(CYCLE, 1.0)))


def test_servos_that_differ_from_the_calibration_are_refused(device, dkitty) -> None:
    joint = JointCalibration(id=21, zero=2048, direction=1, homing_offset=5, range_min=0, range_max=4095)
    calibration = Calibration(robot="dkitty", joints={"front_left_thigh": joint})
    robot = SerialRobot(DKITTY, device.name, calibration, pace="device")
    with pytest.raises(RobotpsError, match=r"front_left_thigh \(servo 21\): homing offset is 0, it was 5"):
        robot.connect()
    robot.close()


@pytest.mark.parametrize("trouble", ["silent servo", "other calibration"])
def test_a_robot_that_cannot_be_connected_again_is_let_go(device, dkitty, trouble: str) -> None:
    """After a lost link the servos hold on."""
    for memory in dkitty.memory.values():
        memory[64] = 1
    calibration = None
    if trouble == "silent servo":
        del dkitty.memory[42]
    else:
        joint = JointCalibration(id=20, zero=2048, direction=1, homing_offset=7, range_min=0, range_max=4095)
        calibration = Calibration(robot="dkitty", joints={"front_left_abduction": joint})
    with pytest.raises(RobotpsError):
        SerialRobot(DKITTY, device.name, calibration, pace="device").connect()
    _wait_until_limp(dkitty)


def _wait_until_limp(dkitty) -> None:
    """The packets for all servos are not answered."""
    until = time.monotonic() + 10
    while torques(dkitty) != {0}:
        assert time.monotonic() < until, "a servo is still on"
        time.sleep(0.01)


def test_a_signal_while_it_is_connected_again_leaves_no_servo_on(device, dkitty) -> None:
    for memory in dkitty.memory.values():
        memory[64] = 1
    program = f"""
        from hardware.robot import SerialRobot
        from robotps.description import load_description
        SerialRobot(load_description("dkitty"), "{device.name}", pace="device").connect()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.PIPE)
    done, answer = [], dkitty._do

    def interrupt(id_: int, instruction: int, parameters: bytes) -> list[bytes]:
        if not done and id_ == 30:
            done.append(id_)
            os.kill(process.pid, signal.SIGTERM)
            time.sleep(0.05)
        return answer(id_, instruction, parameters)

    dkitty._do = interrupt
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert done
    _wait_until_limp(dkitty)


def test_a_robot_without_wiring_cannot_be_reached() -> None:
    with pytest.raises(RobotpsError, match=r"ers210 has no \[wiring\]"):
        SerialRobot(load_description("ers210"), "/dev/null")


def test_a_servo_that_does_not_confirm_torque_off_is_named(robot: SerialRobot, dkitty) -> None:
    robot.connect()
    robot.stand(CYCLE.standing)

    def refuse(servo: int, address: int) -> None:
        if address == 64 and servo == 20:
            dkitty.tamper = lambda packets: [packet for packet in packets if packet[4] != 20]

    dkitty.on_write = refuse
    with pytest.raises(HardwareFault, match=r"torque may still be on: front_left_abduction \(servo 20\): no answer"):
        robot.relax()


WALK = """
import sys
from hardware.bus import Bus
from hardware.robot import SerialRobot
from hardware.safety import SafetyLimits
from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait

Bus.patience = 0.3  # a loaded machine is not a bad bus
description = load_description("dkitty")
cycle = gait_cycle(description, initial_gait(description))
with SerialRobot(description, sys.argv[1], limits=SafetyLimits(slow_speed=5.0)) as robot:
    robot.stand(cycle.standing)
    for observation in robot.play(cycle, 30.0):
        if observation.time < 0.05:
            print("walking", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_a_signal_puts_torque_off_on_the_wire_at_once(device, dkitty, number: int, status: int) -> None:
    """With one servo silent and one in overload; the packets of all servos, on the device's side of the line."""
    walk = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WALK), device.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert walk.stdout is not None
    assert walk.stdout.readline() == b"walking\n"
    heard = len(device.heard)
    os.kill(walk.pid, number)
    dkitty.tamper = lambda packets: [packet for packet in packets if packet[4] != 10]
    dkitty.error[11], dkitty.memory[11][70] = 0x80, 0b100000
    sent = time.monotonic()
    while device.heard.find(TORQUE_OFF, heard) < 0 and time.monotonic() < sent + 5:
        time.sleep(0.0005)
    delay = time.monotonic() - sent
    assert device.heard.find(TORQUE_OFF, heard) >= 0
    _, errors = walk.communicate(timeout=20)
    assert abs(walk.returncode) in (status, number)
    assert number != signal.SIGTERM or b"stopped by SIGTERM" in errors
    assert torques(dkitty) == {0}
    assert device.heard.count(TORQUE_OFF, heard) >= 3
    print(f"torque off {1000 * delay:.1f} ms after the signal")


def test_a_robot_in_a_scripts_background_stays_stopped(device, dkitty) -> None:
    """There Ctrl-C is ignored to begin with."""
    walk = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WALK), device.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert walk.stdout is not None
    assert walk.stdout.readline() == b"walking\n"
    os.kill(walk.pid, signal.SIGINT)
    _, errors = walk.communicate(timeout=20)
    assert walk.returncode == 130
    assert b"stopped by SIGINT" in errors
    assert torques(dkitty) == {0}


def test_a_stop_while_the_torque_is_switched_on_keeps_it_off(device, dkitty) -> None:
    follow, switched = dkitty.on_write, []

    def stop(servo: int, address: int) -> None:
        follow(servo, address)
        if address == 64 and dkitty.memory[servo][64] == 1:
            switched.append(servo)
            if len(switched) == 2:
                robot.halt("stopped from elsewhere")

    robot = SerialRobot(DKITTY, device.name, pace="device")
    robot.connect()
    dkitty.on_write = stop
    with pytest.raises(HardwareFault, match="stopped"):
        robot.stand(CYCLE.standing)
    assert len(switched) <= 3, "one packet may be on its way"
    assert torques(dkitty) == {0}
    robot.close()


def test_a_stop_while_connecting_is_not_forgotten(device, dkitty) -> None:
    robot = SerialRobot(DKITTY, device.name, pace="device")
    identify = robot._bus.identify

    def stop():
        robot.halt("stopped from elsewhere")
        return identify()

    robot._bus.identify = stop  # type: ignore[method-assign]
    robot.connect()
    with pytest.raises(HardwareFault, match="stopped from elsewhere"):
        robot.stand(CYCLE.standing)
    assert torques(dkitty) == {0}
    robot._bus.identify = identify  # type: ignore[method-assign]
    robot.connect()
    assert not robot.safety.stopped
    robot.close()


def test_the_devices_time_goes_on_evenly_where_the_first_servo_is_not_heard() -> None:
    clock = DeviceClock(0.01, 32.768)
    clock.begin()
    stamps = []
    for n in range(10):
        heard = n not in (3, 6, 7)
        tick = np.array([5.0 + 0.01 * n if heard else np.nan])
        stamps.append(clock.stamp(Reading(np.array([heard]), np.zeros(1, dtype=np.int64), tick=tick)))
    np.testing.assert_allclose(stamps, np.arange(10) * 0.01, atol=1e-9)
