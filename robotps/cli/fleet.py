"""Several physical robots for one run: at serial ports here, and at a scheduler where they wait on other machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from robotps.cli.options import say
from robotps.cli.place import NO_ODOMETER, PhysicalFlags, Place, calibration_of, reality, walking_back
from robotps.description import RobotDescription
from robotps.errors import RobotpsError

if TYPE_CHECKING:
    from hardware.fleet import AtPort, Member
    from robotps.trial import Objective


def is_physical(places: Sequence[str]) -> bool:
    """Whether `--on` names robots; raises RobotpsError for what it may not name, and for simulation among robots."""
    for place in places:
        kind, _, rest = place.partition(":")
        if place != "sim" and (kind not in ("serial", "dask") or not rest):
            raise RobotpsError(
                f"--on {place}: it is sim, serial:PORT (robotps ports lists them), or dask:HOST:PORT, the scheduler of "
                "robots on other machines"
            )
    if "sim" in places and len(places) > 1:
        raise RobotpsError("--on sim goes with nothing else: simulation has --workers")
    return "sim" not in places


def flags_of_each(
    ports: int, odometers: Sequence[str], assistants: Sequence[str], yes: bool, pace: str, walk_back: bool = False
) -> list[PhysicalFlags]:
    """What each robot at a port is told: flags in the order of `--on`, or one for all; raises RobotpsError."""
    if ports and not odometers:
        raise RobotpsError(NO_ODOMETER)
    if not ports and (odometers or assistants or yes or walk_back or pace != "wall"):
        raise RobotpsError(
            "--odometer, --assistant, --yes, --pace and --return are for --on serial:PORT: robots at a scheduler have "
            "their own"
        )
    for flag, given in (("--odometer", odometers), ("--assistant", assistants)):
        if len(given) not in ((0, 1, ports) if flag == "--assistant" else (1, ports)) and ports:
            raise RobotpsError(
                f"{flag}: give one for each of {ports} robots, in the order of --on; there are {len(given)}"
            )
    if ports > 1 and len(set(odometers)) < ports and not (set(odometers) == {"stopwatch"} and assistants):
        raise RobotpsError(
            f"--odometer: each of {ports} robots needs its own: one camera or stream sees one robot, and one person "
            "cannot stop the time of several"
        )
    return [
        PhysicalFlags(
            odometer=odometers[number if len(odometers) > 1 else 0],
            yes=yes,
            assistant=assistants[number if len(assistants) > 1 else 0] if assistants else None,
            pace="device" if pace == "device" else "wall",
            walk_back=walk_back,
        )
        for number in range(ports)
    ]


def member_at(
    description: RobotDescription,
    port: str,
    flags: PhysicalFlags,
    turn: threading.Lock | None,
    objective: Objective | None = None,
) -> AtPort:
    """A robot at a port with those who help it; turn: of a person who looks after several robots. objective: see
    `physical`."""
    from hardware.by_hand import ByHand
    from hardware.fleet import AtPort, Named
    from hardware.lies_down import LiesDown
    from hardware.odometer import make_odometer
    from hardware.person import find_person
    from hardware.robot import SerialRobot

    if flags.odometer is None:
        raise RobotpsError(NO_ODOMETER)
    person = find_person(flags.yes, flags.assistant)
    robot = SerialRobot(description, port, calibration_of(description), flags.pace, tell=say)
    flags.check(objective, robot.senses)
    if turn is not None:
        person = Named(person, robot.identity, turn)
    person = LiesDown(person, robot)
    runner = None if flags.yes or flags.assistant else ByHand(person)
    odometer = make_odometer(flags.odometer, person)
    if flags.walk_back:
        person = walking_back(person, robot, odometer)
    return AtPort(robot, person, odometer, runner)


@contextmanager
def fleet(
    description: RobotDescription,
    places: Sequence[str],
    flags: Sequence[PhysicalFlags],
    certificates: Path | None,
    patience: float,
    objective: Objective,
) -> Iterator[Place]:
    """All of these robots; however the block is left, the torque of each is off. objective: see `physical`."""
    from hardware.calibration_file import calibration_path
    from hardware.fleet import Fleet

    ports = [place.partition(":")[2] for place in places if place.startswith("serial:")]
    addresses = [place.partition(":")[2] for place in places if place.startswith("dask:")]
    if len(ports) > 1 and (shared := calibration_path(description.name)).exists():
        say(f"all of these robots use the zeros of {shared}; a robotps worker in a folder of its own has its own")
    turn = threading.Lock()
    with ExitStack() as stack:
        members: list[Member] = [
            member_at(description, port, own, turn, objective) for port, own in zip(ports, flags, strict=True)
        ]
        schedulers = []
        for address in addresses:
            from hardware.elsewhere import Scheduler

            scheduler = stack.enter_context(Scheduler(address, certificates, description))
            found = scheduler.members()
            if not found:
                say(f"no robot is at {address} yet: robotps worker --on serial:PORT --scheduler {address} brings one")
            members += found
            schedulers.append(scheduler)
        robots = stack.enter_context(Fleet(members, say, patience))
        for scheduler in schedulers:
            scheduler.watch(robots, say)
        yield Place(partial(robots.open_robot), reality, robots, robots.odometer)
