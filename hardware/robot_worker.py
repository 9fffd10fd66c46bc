"""A robot of this machine that walks trials for a run on another one: what its worker process does.

The worker is one of Dask's with the resource `robot`; whoever is at the scheduler hands it whole trials, one at a time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hardware import emergency
from hardware.fleet import AtPort
from robotps.cluster import LOOPBACK, quietly, scheduler_at, worker_options
from robotps.errors import RobotpsError, require
from robotps.gait import Gait
from robotps.robot import Robot, RobotFault, Telemetry
from robotps.trial import Trial, TrialSettings, run_trial

RESOURCE = "robot"
IDLE = 30.0
"""s without being asked for a trial after which the robot lies down: its host may be gone for good."""
_PAUSE = 2.0

Walked = tuple[Trial, Telemetry | None]


class RobotHere:
    """The robot of this process. description: its robot's fingerprint, which a run's must equal."""

    def __init__(self, member: AtPort, description: str) -> None:
        self.member = member
        self.description = description
        self._open: tuple[str, Robot, ExitStack] | None = None
        self._begun: set[str] = set()
        self._busy = threading.Lock()
        self._asked = time.monotonic()
        self._up = False

    def ready(self, description: str) -> None:
        """Reached, charged and cool; raises RobotpsError where not, or where the run is of another robot."""
        if description != self.description:
            raise RobotpsError(
                f"{self.member.name} is described otherwise than the robot of this run: "
                "give --robot there as here, from equal files"
            )
        with self._busy:
            self._note_asked()
            self.member.make_ready()
            self._note_asked()

    def prepare(self, token: str, description: str) -> None:
        """Make ready for the one trial of this token."""
        self.ready(description)
        with self._busy:
            self._finish()  # of a host that asked and never came back
            stack = ExitStack()
            self._open = (token, stack.enter_context(self.member.open()), stack)
            self._note_asked()

    def walk(self, token: str, gait: Gait, settings: TrialSettings) -> Walked:
        """Walk the trial that was prepared; raises RobotFault where it was begun before: no trial runs twice."""
        with self._busy:
            if self._open is None or self._open[0] != token or token in self._begun:
                raise RobotFault(f"{self.member.name}: this trial is not the one it was made ready for")
            self._begun.add(token)
            try:
                return run_trial(self._open[1], gait, settings, self.member.odometer)
            finally:
                self._finish()
                self._note_asked()

    def lie_down(self, if_idle: bool = False) -> None:
        """Torque off; with `if_idle` only where nothing was asked of the robot for a while."""
        with self._busy:
            if if_idle and not (self._up and time.monotonic() - self._asked > IDLE):
                return
            self._finish()
            self.member.close()
            self._up = False

    def _finish(self) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None

    def _note_asked(self) -> None:
        self._asked, self._up = time.monotonic(), True


_here: RobotHere | None = None


def here() -> RobotHere:
    """The robot of this process; raises RobotpsError in one that has none."""
    if _here is None:
        raise RobotpsError("this worker has no robot: robotps worker --on serial:PORT starts one that has")
    return _here


def ready(description: str) -> None:
    """See RobotHere; these are what travels to a worker by name."""
    here().ready(description)


def prepare(token: str, description: str) -> None:
    here().prepare(token, description)


def walk(token: str, gait: Gait, settings: TrialSettings) -> Walked:
    return here().walk(token, gait, settings)


def lie_down() -> None:
    here().lie_down()


async def halt(why: str) -> None:
    """Torque off at once; called beside a trial that runs, hence a coroutine: Dask waits for no answer then."""
    here().member.halt(why)


def serve(
    robot: RobotHere, scheduler: str, certificates: Path | None, host: str | None, tell: Callable[[str], None]
) -> None:
    """Walk trials for whoever is at the scheduler, until stopped; waits for the scheduler to come (back).

    host: this machine's address as the others see it. Raises RobotpsError where the robot is not reached at first.
    """
    global _here
    require("distributed", "cluster")
    quietly()
    there = scheduler_at(scheduler, certificates)
    _here = robot
    emergency.watch(_signalled)  # here, in the main thread: the robot is driven by another
    try:
        robot.member.make_ready()
        robot.lie_down()
        tell(f"{robot.member.name} is ready")
        asyncio.run(_serve(robot, there, LOOPBACK if certificates is None else host, tell))
    finally:
        robot.member.halt("the worker has ended")
        robot.lie_down()
        emergency.unwatch(_signalled)


def _signalled(why: str) -> None:
    """The robot has its own word with the signal."""


async def _serve(robot: RobotHere, there: dict[str, object], host: str | None, tell: Callable[[str], None]) -> None:
    from distributed import Worker

    while True:
        try:
            async with Worker(
                there["address"], name=robot.member.name, resources={RESOURCE: 1}, **worker_options(there, host)
            ) as worker:
                tell(f"working for {there['address']}")
                finished = asyncio.ensure_future(worker.finished())
                while not finished.done():
                    await asyncio.wait([finished], timeout=1.0)
                    await asyncio.to_thread(robot.lie_down, True)
        except (OSError, ValueError, RuntimeError, asyncio.TimeoutError) as error:
            # ValueError: the scheduler still knows a worker of this name
            tell(f"no scheduler at {there['address']} yet ({error}); trying again")
        await asyncio.to_thread(robot.lie_down)
        await asyncio.sleep(_PAUSE)
