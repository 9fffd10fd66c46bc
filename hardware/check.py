"""Pre-flight: everything about a connected robot that is known to go wrong, measured before it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from hardware import emergency
from hardware.bus import Bus, Reading, ServoInfo
from hardware.calibration_file import Calibration, disagreements
from hardware.faults import HardwareFault, LinkLost
from hardware.joints import JointMap
from hardware.robot import answering, bus_of
from hardware.safety import Safety, SafetyLimits
from robotps.description import RobotDescription

CYCLES = 200
LATENCY_TIMER_MS = 1
HEADROOM = 1.2
"""Times faster than the control rate that the bus must be."""


@dataclass(frozen=True)
class Check:
    """One finding. mend: what to do about it, where it did not pass."""

    name: str
    passed: bool
    found: str
    mend: str = ""


def check_robot(
    description: RobotDescription,
    port: str,
    calibration: Calibration | None,
    may_set: Callable[[str], bool],
    limits: SafetyLimits,
) -> Iterator[Check]:
    """Look at a robot that lies or hangs still. A finding at a time. may_set: whether to set what it is told differs.

    Raises RobotpsError where the port cannot be opened. A robot that does not answer ends the list.
    """
    bus = bus_of(description, port)
    bus.port.open()
    try:
        other: list[str] = []
        bus = answering(bus, other.append)
        for told in other:
            yield Check("protocol", True, told)
        yield _latency_timer(bus.port.name)
        servos = yield from _answers(bus)
        if servos is None:
            return
        joints = JointMap(description, bus.steps_per_turn, bus.step_limits, calibration)
        safety = Safety(bus, joints, description.servo, limits)
        yield _calibration(calibration, servos)
        so_far: list[Check] = []
        for found in chain(_settings(safety, may_set), _state(bus, safety)):
            so_far.append(found)
            yield found
        yield from _joints(bus, joints)
        if not bus.runs_cycles:
            yield _rate(bus, description.control_period)
        yield from _stop(safety, in_order=passed(so_far))
    except LinkLost as lost:
        yield Check("link", False, str(lost), "check the cable and the robot's power")
    finally:
        bus.port.close()


def _answers(bus: Bus) -> Generator[Check, None, list[ServoInfo] | None]:
    try:
        servos = bus.identify()
    except LinkLost:
        raise
    except HardwareFault as fault:
        yield Check("servos", False, str(fault), "run 'robotps ports' to see what answers, and where")
        return None
    kinds = {f"{info.model} (firmware {info.firmware})" for info in servos}
    yield Check("servos", True, f"{len(servos)} answer: {', '.join(sorted(kinds))}")
    return servos


def latency_timer(port: str) -> int | None:
    """The USB adapter's latency timer, ms; None for a port that has none, or does not tell."""
    device = Path("/sys/class/tty") / Path(port).resolve().name / "device" / "latency_timer"
    try:
        return int(device.read_text())
    except (OSError, ValueError):
        return None


def _latency_timer(port: str) -> Check:
    timer = latency_timer(port)
    if timer is None:
        return Check("latency timer", True, "the port has none")
    device = Path("/sys/class/tty") / Path(port).resolve().name / "device" / "latency_timer"
    return Check(
        "latency timer",
        timer <= LATENCY_TIMER_MS,
        f"{timer} ms",
        f"answers wait {timer} ms in the adapter: echo {LATENCY_TIMER_MS} | sudo tee {device}",
    )


def _calibration(calibration: Calibration | None, servos: list[ServoInfo]) -> Check:
    if calibration is None:
        moved = [info.id for info in servos if any(info.settings.values())]
        found = "none: zeros and directions are the description's"
        if moved:
            found += f"; servos {moved} hold a homing offset or drive mode of their own"
        return Check("calibration", not moved, found, "run 'robotps calibrate'")
    changed = disagreements(calibration, servos)
    return Check("calibration", not changed, "; ".join(changed) or "agrees with the servos", "run 'robotps calibrate'")


def _settings(safety: Safety, may_set: Callable[[str], bool]) -> Iterator[Check]:
    """Return delay, operating mode and position limits; a trial sets them before it moves anything, too."""
    differences = safety.bus.differences(safety.joints.lower_steps, safety.joints.upper_steps)
    if differences and may_set("; ".join(differences)):
        yield Check("settings", True, "set " + "; ".join(safety.prepare()))
    else:
        found = "; ".join(differences) or "as a trial needs them"
        yield Check("settings", not differences, found, "give --set to set them")


def _state(bus: Bus, safety: Safety) -> Iterator[Check]:
    complaints = [f"{bus.label(id_)}: {why}" for n, id_ in enumerate(bus.ids) if (why := bus.complaint(n))]
    yield Check(
        "hardware errors", not complaints, "; ".join(complaints) or "none", "let it cool down, check its supply"
    )
    reading = bus.read()
    if reading.voltage is not None and not np.isnan(reading.voltage):
        good = safety.rest_voltage <= reading.voltage <= safety.max_voltage
        expected = f"{safety.rest_voltage:.1f} to {safety.max_voltage:.1f} V"
        yield Check("voltage", good, f"{reading.voltage:.1f} V", f"expected {expected}: charge or change the battery")
    if reading.temperature is not None:
        hottest, limit = float(np.nanmax(reading.temperature)), safety.limits.cool_temperature
        yield Check(
            "temperature", hottest <= limit, f"hottest servo {hottest:.0f} degC", f"let it cool below {limit:.0f}"
        )


def _joints(bus: Bus, joints: JointMap) -> Iterator[Check]:
    """A joint outside its limits has a wrong zero or direction, or was assembled a spline tooth off."""
    reading = bus.read()
    if reading.position is None:
        return
    angles, slack = joints.to_angles(reading.position), 0.05
    outside = (angles < joints.lower - slack) | (angles > joints.upper + slack)
    found = "; ".join(f"{joints.names[n]} at {angles[n]:.2f} rad" for n in np.flatnonzero(outside))
    yield Check("zeros", not outside.any(), found or "every joint is within its limits", "run 'robotps calibrate'")


def _rate(bus: Bus, period: float) -> Check:
    """Readings a second as fast as they go (a goal more adds little), and answers lost on the way."""
    lost, began = 0, time.monotonic()
    for _ in range(CYCLES):
        reading: Reading = bus.read()
        lost += int((~reading.answered).sum())
    rate = CYCLES / (time.monotonic() - began)
    needed, share = HEADROOM / period, lost / (CYCLES * len(bus.ids))
    return Check(
        "loop rate",
        rate >= needed and share < 0.002,
        f"{rate:.0f} cycles/s (a trial needs {needed:.0f}), {100 * share:.2f} % of answers lost",
        "set the latency timer and the return delay, raise the baud rate, check the cables",
    )


def _stop(safety: Safety, in_order: bool) -> Iterator[Check]:
    """Torque off, confirmed by every servo; where all is in order, after a moment of torque on where the joints are."""
    trouble = ""
    emergency.watch(safety.stop_now)
    try:
        if in_order:
            safety.energise()
    except HardwareFault as fault:
        trouble = str(fault)
    finally:
        failures = safety.release()
        emergency.unwatch(safety.stop_now)
    if trouble:
        yield Check("torque", False, trouble, "check the servo's power and its hardware errors")
    found = "every servo let go" + ("" if in_order else " (torque was not switched on: see above)")
    yield Check("stop", not failures, "; ".join(failures) or found, "switch the power off by hand")


def passed(checks: list[Check]) -> bool:
    """Whether the robot may walk; raises ValueError for no checks at all."""
    if not checks:
        raise ValueError("nothing was checked")
    return all(check.passed for check in checks)
