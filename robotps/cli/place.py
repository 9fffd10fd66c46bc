"""From `--on` to the place where trials run: simulated robots in worker processes, or a physical one right here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.odometer import Odometer
from robotps.performing import DrawWorld, OpenRobot
from robotps.trial import Objective, TrialSettings
from robotps.workers import InThisProcess

if TYPE_CHECKING:
    from hardware.calibration_file import Calibration
    from hardware.person import Person
    from hardware.robot import SerialRobot
    from robotps.run import Run
    from robotps.search import Search
    from robotps.settings import TuneSettings
    from robotps.tuning import Progress, Tuning


@dataclass(frozen=True)
class Place:
    """How trials are run there: what opens a robot for one trial, which world it meets, who runs it, who measures;
    and what to call before a robot has to wait for long."""

    open_robot: OpenRobot
    draw_world: DrawWorld
    executor: Executor
    odometer: Odometer | None = None
    rest: Callable[[], None] = lambda: None

    def tuning(
        self,
        run: Run,
        settings: TuneSettings,
        notify: Callable[[Progress], None] | None = None,
        search: Search | None = None,
    ) -> Tuning:
        """A run whose trials take place here; notify, search: see Tuning."""
        from robotps.tuning import Tuning

        return Tuning(
            run,
            settings,
            executor=self.executor,
            open_robot=self.open_robot,
            draw_world=self.draw_world,
            odometer=self.odometer,
            notify=notify,
            search=search,
        )


@dataclass(frozen=True)
class PhysicalFlags:
    """What a physical robot needs to be told: how the distance is measured, who helps, whose clock counts, ...

    walk_back: whether it walks back to its start by itself.
    """

    odometer: str | None = None
    yes: bool = False
    assistant: str | None = None
    pace: Literal["wall", "device"] = "wall"
    walk_back: bool = False

    def __post_init__(self) -> None:
        if self.yes and (self.odometer or "").startswith("stopwatch"):
            raise RobotpsError("--odometer stopwatch: somebody must press Enter: leave out --yes, or use another one")

    def check(self, objective: Objective | None, senses: Set[str]) -> None:
        """Raise RobotpsError where a robot with these senses cannot tell what its trials are scored by."""
        if objective is not None:
            objective.check(senses, sideways=not (self.odometer or "").startswith("stopwatch"))


NO_ODOMETER = "--odometer: say how the distance is measured: stopwatch, camera:INDEX or stream:HOST:PORT"


def serial_port(on: Sequence[str] | None) -> str | None:
    """The port of `--on serial:PORT`, None for `sim` or nothing; raises RobotpsError for anything else."""
    if on is not None and len(on) > 1:
        raise RobotpsError(f"--on {' --on '.join(on)}: one robot at a time; tune takes several")
    if on is None or list(on) == ["sim"]:
        return None
    kind, _, port = on[0].partition(":")
    if kind != "serial" or not port:
        raise RobotpsError(f"--on {on[0]}: it is sim, or serial:PORT (robotps ports lists them)")
    return port


def only_truth(odometer: Sequence[str], assistant: Sequence[str], pace: str, walk_back: bool) -> None:
    """Simulation needs no help; raises RobotpsError where it was given what only a physical robot has a use for."""
    for asked in odometer:
        if asked != "truth":
            raise RobotpsError(
                f"--odometer {asked} is for physical robots (--on serial:PORT): simulation has the truth"
            )
    for flag, given in (("--assistant", assistant), ("--pace device", pace != "wall"), ("--return", walk_back)):
        if given:
            raise RobotpsError(f"{flag} is for physical robots: give --on serial:PORT, or leave it out")


def only_with_robot(asked: Mapping[str, object], flags: PhysicalFlags) -> None:
    """Raises RobotpsError for flags, by name, that were given though no robot is to move."""
    moving = {
        "--odometer": flags.odometer,
        "--yes": flags.yes or None,
        "--assistant": flags.assistant,
        "--pace": None if flags.pace == "wall" else flags.pace,
    }
    given = [flag for flag, value in {**asked, **moving}.items() if value is not None]
    if given:
        raise RobotpsError(f"{', '.join(given)}: for motions of the robot; logged ones are what they are: leave it out")


def needed_port(on: Sequence[str] | None) -> str:
    """The port of `--on serial:PORT`, for verbs that need a physical robot."""
    port = serial_port(on)
    if port is None:
        raise RobotpsError("this needs a physical robot: --on serial:PORT (robotps ports lists them)")
    return port


def calibration_of(description: RobotDescription) -> Calibration | None:
    """What was measured on this robot, where there is such a file."""
    from hardware.calibration_file import calibration_path, load_calibration
    from robotps.cli.options import say

    path = calibration_path(description.name)
    if not path.exists():
        say(f"{description.name} is not calibrated: its description's zeros are used (robotps calibrate)")
        return None
    return load_calibration(path, description)


@contextmanager
def simulated(
    description: RobotDescription,
    world: dict[str, Any] | None,
    randomization: dict[str, Any] | None,
    trial: TrialSettings,
    open_workers: Callable[[float], Executor],
) -> Iterator[Place]:
    """Workers with a simulation each; stopped at once where the block is left by an exception.

    open_workers: from a time limit for a trial, s, to who runs them.
    """
    from robotps.cli.simulation import simulation, worlds

    draw = worlds(description, world or {}, randomization)
    executor = open_workers(60 + 20 * (trial.seconds + trial.warm_up))
    finished = False
    try:
        yield Place(simulation(description), draw, executor)
        finished = True
    finally:
        executor.shutdown(cancel_futures=not finished)


@contextmanager
def physical(
    description: RobotDescription, port: str, flags: PhysicalFlags, objective: Objective | None = None
) -> Iterator[Place]:
    """One robot at a serial port, connected before its first trial; however the block is left, its torque is off.

    objective: what its trials will be scored by; raises RobotpsError where it cannot be measured.
    """
    from hardware.by_hand import ByHand
    from hardware.lies_down import LiesDown
    from hardware.odometer import make_odometer
    from hardware.person import find_person
    from hardware.robot import SerialRobot
    from hardware.session import Session
    from robotps.cli.options import say

    if flags.odometer is None:
        raise RobotpsError(NO_ODOMETER)
    robot = SerialRobot(description, port, calibration_of(description), flags.pace, tell=say)
    flags.check(objective, robot.senses)
    person: Person = LiesDown(find_person(flags.yes, flags.assistant), robot)
    odometer = make_odometer(flags.odometer, person)
    executor = InThisProcess() if flags.yes or flags.assistant else ByHand(person)
    if flags.walk_back:
        person = walking_back(person, robot, odometer)
    with Session(robot, person) as session:
        yield Place(session, reality, executor, odometer, robot.relax)


def walking_back(person: Person, robot: SerialRobot, odometer: Odometer) -> Person:
    """The person, relieved of carrying the robot back; raises RobotpsError without a position stream."""
    from hardware.odometer import Stream
    from hardware.walk_back import WalksBack

    if not isinstance(odometer, Stream):
        raise RobotpsError("--return: the robot must know where it is: give --odometer stream:HOST:PORT")
    return WalksBack(person, robot, odometer)


def reality(seed: int) -> None:
    """No world is drawn: it is what it is."""
