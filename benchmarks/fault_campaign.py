"""Every fault that a servo bus really has, in the middle of physical trials: what becomes of trial and robot.

A virtual robot suffers one seeded fault a trial; the host runs trial after trial on it as in a tuning run. A trial is
as it must be when it ended within 2 s of its last observation without a traceback; either finished with the speed of
an undisturbed one, as far as chance lets those differ, or was put down as a fault whose reason names what happened;
when every servo that could hear it was told to let go after a fault; and when the robot then walked again as before.

    python benchmarks/fault_campaign.py --trials 208
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import numpy as np
from scipy import stats

from hardware.odometer import make_odometer
from hardware.person import Assistant
from hardware.robot import SerialRobot
from hardware.safety import SafetyLimits
from hardware.session import Session
from hardware.virtual.faults import NOT_FOR_A_BOARD, NOT_FOR_FEETECH, Fault, Faults, OfAnswers, OfServos, OfTheLine
from hardware.virtual.robot import Protocol, VirtualRobot
from robotps.description import RobotDescription, load_description
from robotps.errors import RobotpsError
from robotps.gait import Gait, gait_cycle, initial_gait
from robotps.odometer import Odometer
from robotps.robot import Observation
from robotps.trial import Trial, TrialSettings, run_trial

KINDS = get_args(OfAnswers) + get_args(OfServos) + get_args(OfTheLine)
CYCLES = 4
"""Of the gait in a trial's window, after one of warm-up. Over a single one, a step that slips counts a third."""
HANG = 2.0
"""s without an observation."""
UNDISTURBED, SAME, FALSE_ALARM = 20, 0.1, 0.01
"""Trials without a fault first; the relative distance from their mean speed that counts as none in any case; and the
probability that chance alone takes one of a whole campaign's trials farther from it than is allowed."""
REASONS = {
    "silent_servo": "no answer",
    "alert": "encoder|sensor",
    "overheating": "overheating|degC",
    "overload": "overload",
    "brownout": "restarted|watchdog|torque is off",
    "watchdog_trip": "watchdog",
    "unplugged_cable": "lost|hung up|cable|no answer",
    "device_hang": "no answer|acknowledge|takes no more|answers were missing",
}
"""What the reason of a trial's fault must say, any of them."""


@dataclass
class Row:
    """What came of all trials with one fault."""

    trials: int = 0
    tolerated: int = 0
    repeated: int = 0
    longest: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)


class Watch:
    """Sees every observation of a trial: how long it had to wait for one, and when the fault is to happen."""

    def __init__(self) -> None:
        self.begin(lambda: None, -1)

    def begin(self, strike: Callable[[], None], at: int) -> None:
        """A trial begins in which `strike` is to be called at an observation."""
        self._strike, self._at, self._seen = strike, at, 0
        self.longest, self._last = 0.0, time.monotonic()

    def __call__(self, _: Observation | None) -> None:
        now = time.monotonic()
        self.longest, self._last = max(self.longest, now - self._last), now
        self._seen += 1
        if self._seen == self._at:
            self._strike()
            self._last = time.monotonic()


def fault_of(kind: str, draw: np.random.Generator, ids: list[int]) -> Fault:
    """One fault of a kind, from now on: how many answers, or which servo."""
    if kind in get_args(OfAnswers):
        return Fault(kind=kind, probability=float(draw.choice([0.002, 0.02, 0.2, 1.0])))
    return Fault(kind=kind, at_s=0.0, servos=(int(draw.choice(ids)),) if kind in get_args(OfServos) and ids else None)


def same_speeds(undisturbed: Sequence[float], comparisons: int) -> tuple[float, float]:
    """The lowest and the highest speed, m/s, that may be an undisturbed trial's, with so many trials compared.

    A prediction interval from the speeds of undisturbed ones, of SAME to either side at least.
    """
    n, mean = len(undisturbed), float(np.mean(undisturbed))
    quantile = float(stats.t.ppf(1 - FALSE_ALARM / (2 * comparisons), n - 1))
    by_chance = quantile * float(np.std(undisturbed, ddof=1)) * math.sqrt(1 + 1 / n)
    apart = max(SAME * abs(mean), by_chance)
    return mean - apart, mean + apart


def trial_on(
    session: Session,
    gait: Gait,
    odometer: Odometer,
    watch: Watch,
    strike: Callable[[], None] = lambda: None,
    at: int = -1,
) -> Trial:
    """One trial, in which `strike` is called at an observation."""
    period = gait.parameters["period"]
    settings = TrialSettings(seconds=CYCLES * period, warm_up=period)
    with session() as robot:
        robot.stand(gait_cycle(robot.description, gait).standing)
        watch.begin(strike, at)
        trial, _ = run_trial(robot, gait, settings, odometer, record=watch)
        watch(None)
    return trial


def campaign(
    description: RobotDescription, protocol: Protocol, trials: int, seed: int, tell: bool = True
) -> dict[str, Row]:
    """Run it; a row for each fault that this bus can have."""
    unfit = {"feetech": NOT_FOR_FEETECH, "opencat": NOT_FOR_A_BOARD}.get(protocol, ())
    kinds = [kind for kind in KINDS if kind not in unfit]
    table = {kind: Row() for kind in kinds}
    draw = np.random.default_rng(seed)
    gait = initial_gait(description)
    observations = int((CYCLES + 0.5) * gait.parameters["period"] / description.control_period)
    assert description.wiring is not None
    ids = [] if protocol == "opencat" else [id_ for leg in description.wiring.legs.values() for id_ in leg.ids]
    with _robot(description, protocol, seed) as (virtual, session, odometer):
        watch = Watch()
        speeds = [trial_on(session, gait, odometer, watch).speed for _ in range(UNDISTURBED)]
        slowest, fastest = same_speeds(speeds, 2 * trials)
        if tell:
            print(f"undisturbed {np.mean(speeds):.4f} m/s, allowed {slowest:.4f} to {fastest:.4f}", file=sys.stderr)
        for number in range(trials):
            kind = kinds[number % len(kinds)]
            row = table[kind]
            row.trials += 1
            fault, at = fault_of(kind, draw, ids), int(draw.integers(5, observations))
            happened = len(virtual.faulty.happened)
            outcome = "tolerated"
            try:
                began = time.monotonic()
                trial = trial_on(session, gait, odometer, watch, partial(virtual.faulty.add, fault), at)
                row.longest = max(row.longest, watch.longest)
                if watch.longest > HANG:
                    row.wrong[f"hung for {watch.longest:.1f} s"] += 1
                if trial.ending == "fault":
                    outcome = "repeated"
                    if not re.search(REASONS.get(kind, "."), trial.reason):
                        row.wrong[f"named '{trial.reason}'"] += 1
                    if kind not in ("unplugged_cable", "device_hang") and _powered(virtual, fault):
                        row.wrong["a servo was left on"] += 1
                elif kind in REASONS and len(virtual.faulty.happened) > happened:
                    row.wrong[f"scored {trial.ending}"] += 1
                elif not slowest <= trial.speed <= fastest:
                    row.wrong[f"scored {trial.speed:.3f} m/s, not {slowest:.3f} to {fastest:.3f}"] += 1
                virtual.faulty.mend()
                virtual.plant.motors.temperature[:] = 30.0  # six minutes' cooling down are none of this
                again = trial_on(session, gait, odometer, watch)
                for _ in range(3):  # a fault may have left a servo too hot, or in error: as in a run, it is tried again
                    if again.ending == "finished":
                        break
                    again = trial_on(session, gait, odometer, watch)
                if again.ending != "finished" or not slowest <= again.speed <= fastest:
                    row.wrong[f"afterwards {again.ending}, {again.speed:.3f} m/s: {again.reason}"] += 1
            except RobotpsError as error:
                row.wrong[f"gave up: {error}"] += 1
                virtual.faulty.mend()
                session.close()
            except Exception:
                row.wrong["traceback"] += 1
                traceback.print_exc()
                virtual.faulty.mend()
            row.tolerated += outcome == "tolerated"
            row.repeated += outcome == "repeated"
            if tell:
                seconds = time.monotonic() - began
                print(f"{number + 1:4d} {kind}: {outcome}, {seconds:.0f} s {dict(row.wrong) or ''}", file=sys.stderr)
    return table


def _powered(virtual: VirtualRobot, fault: Fault) -> bool:
    """Whether a servo that could hear it still has its torque on."""
    on = virtual.plant.servos.on.astype(bool)
    deaf = fault.servos if fault.kind == "silent_servo" and fault.servos else ()
    servos = getattr(virtual.bus, "servos", ())
    return any(on[servo.index] for servo in servos if servo.id not in deaf) if servos else bool(on.any())


@contextlib.contextmanager
def _robot(
    description: RobotDescription, protocol: Protocol, seed: int
) -> Iterator[tuple[VirtualRobot, Session, Odometer]]:
    quiet = SafetyLimits(slow_speed=4.0)
    with VirtualRobot(description, protocol=protocol, faults=Faults(seed=seed), realtime=False, seed=seed) as virtual:
        person = Assistant(virtual.assistant)
        person.tell = lambda message: None  # type: ignore[method-assign]
        robot = SerialRobot(description, virtual.port, pace="device", limits=quiet, tell=lambda message: None)
        odometer = make_odometer(f"stream:{virtual.position_stream}", person)
        with Session(robot, person) as session:
            yield virtual, session, odometer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=208)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--protocol", choices=["dynamixel", "feetech", "opencat"], default="dynamixel")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    robot = "bittle" if arguments.protocol == "opencat" else "dkitty"
    table = campaign(load_description(robot), arguments.protocol, arguments.trials, arguments.seed)
    wrong = sum(sum(row.wrong.values()) for row in table.values())
    if arguments.json:
        print(json.dumps({kind: {**row.__dict__, "wrong": dict(row.wrong)} for kind, row in table.items()}))
    else:
        print(f"{'fault':18} trials  tolerated  repeated  longest pause, s  wrong")
        for kind, row in table.items():
            print(
                f"{kind:18} {row.trials:6d} {row.tolerated:10d} {row.repeated:9d} {row.longest:17.2f}  "
                f"{'; '.join(f'{count} x {what}' for what, count in row.wrong.items())}"
            )
        print(f"{arguments.trials} trials with a fault, {wrong} not as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
