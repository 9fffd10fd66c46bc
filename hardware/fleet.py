"""Several physical robots in one run: a trial goes to whichever is free, and a robot may leave and come back.

One thread a robot; the run has one writer still, and each robot's ticks go into it through a connection of its own.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

from hardware import emergency
from hardware.person import Person, Request
from hardware.robot import SerialRobot
from hardware.session import Session
from robotps.errors import RobotpsError
from robotps.odometer import Odometer, Travel
from robotps.robot import Robot, Telemetry
from robotps.trial import RobotElsewhere
from robotps.workers import InThisProcess

Result = TypeVar("Result")

PATIENCE = 600.0
"""s without any robot before a run gives up; it can be resumed."""
_LOOK_AGAIN = 2.0
"""s between two attempts to reach a robot that has left."""
_WIND_DOWN, _HALTED = 20.0, 2.0
"""s that the robots' threads may take to end: to finish and lie down, and once their motors were told to let go."""
_SWITCH = 0.0005
"""s after which a thread that computes lets another go on: a control period is not to wait for the search."""


class RobotAway(RobotpsError):
    """A robot could not be made ready: the trial has not begun, and another robot may walk it."""


class Member(Protocol):
    """A robot of a fleet."""

    name: str
    odometer: Odometer | None
    runner: Executor
    """Runs a trial in the robot's thread, and asks a person about it where there is one."""

    def make_ready(self) -> None:
        """Reached, charged and cool; raises RobotpsError where it is not."""

    def open(self) -> contextlib.AbstractContextManager[Robot | RobotElsewhere]:
        """Ready for one trial; raises RobotpsError where it is not."""

    def halt(self, why: str) -> None:
        """Torque off at once, from any thread."""

    def close(self) -> None:
        """Lie down, torque off, let go."""


class AtPort:
    """A robot at a serial port of this machine."""

    def __init__(
        self, robot: SerialRobot, person: Person, odometer: Odometer | None, runner: Executor | None = None
    ) -> None:
        self.name = robot.identity
        self.odometer = odometer
        self.runner = runner or InThisProcess()
        self._robot = robot
        self._session = Session(robot, person)

    def make_ready(self) -> None:
        self._session.make_ready()

    def open(self) -> contextlib.AbstractContextManager[Robot]:
        return self._session()

    def halt(self, why: str) -> None:
        self._robot.halt(why)

    def close(self) -> None:
        self._session.close()


class Fleet(Executor):
    """Runs each trial on whichever robot is free. Use as a context manager: no servo holds torque after it.

    A robot that cannot be made ready is left out and looked for until it is back, and its trial goes to another; a
    trial that has begun is never begun again here: how it ended is told, and the run decides. patience: s without any
    robot before the trials that wait fail. tell: called with what a person should know.
    """

    def __init__(self, members: Sequence[Member], tell: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._tell = tell
        self._patience = patience
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._news = threading.Condition()
        self._closed = threading.Event()
        self._own = threading.local()
        self._threads: dict[str, threading.Thread] = {}
        self._members: dict[str, Member] = {member.name: member for member in members}
        self._away: dict[str, str] = {}
        self._alone_since = time.monotonic()
        self._interval = sys.getswitchinterval()
        self.odometer = _OwnOdometer(lambda: self._member.odometer)
        if len(self._members) < len(members):
            raise RobotpsError("the same port twice: each robot of a fleet has a port of its own")

    @property
    def ahead(self) -> int:
        """As many trials at a time as robots are there: none waits for one robot while another is free."""
        return max(1, len(self._members) - len(self._away))

    def __enter__(self) -> Fleet:
        emergency.watch(self._on_signal)  # here, in the main thread: only it can set up what signals do
        sys.setswitchinterval(_SWITCH)
        try:
            for member in self._members.values():
                member.make_ready()
        except BaseException:
            self.shutdown(cancel_futures=True)
            raise
        for member in list(self._members.values()):
            self._start(member)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=kind is not None)

    def add(self, member: Member) -> None:
        """Another robot is there from now on; one of the same name takes the other's place."""
        with self._news:
            self._members[member.name] = member
            self._away.pop(member.name, None)
        thread = self._threads.get(member.name)
        if thread is None or not thread.is_alive():
            self._start(member)

    @contextlib.contextmanager
    def open_robot(self, world: Mapping[str, Any] | None = None, seed: int = 0) -> Iterator[Robot | RobotElsewhere]:
        """The robot of this thread, ready for one trial; raises RobotAway where it is not."""
        with contextlib.ExitStack() as stack:
            try:
                robot = stack.enter_context(self._member.open())
            except RobotpsError as error:
                raise RobotAway(str(error)) from error
            yield robot

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` in the thread of the first robot that is free."""
        future: Future[Result] = Future()
        with self._news:
            self._jobs.append((partial(fn, *args, **kwargs), future))
            self._news.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Every robot lies down and lets go, with `cancel_futures` in the middle of a trial; all threads end."""
        self._closed.set()
        with self._news:
            self._news.notify_all()
        for member in self._members.values():
            if cancel_futures:
                member.halt("the run has ended")
        until = time.monotonic() + (_HALTED if cancel_futures else _WIND_DOWN)
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))  # some may wait for a person who will not answer any more
        for member in self._members.values():
            with contextlib.suppress(RobotpsError):
                member.close()
        emergency.unwatch(self._on_signal)
        sys.setswitchinterval(self._interval)

    @property
    def _member(self) -> Member:
        member: Member = self._members[self._own.name]
        return member

    def _start(self, member: Member) -> None:
        thread = threading.Thread(target=self._serve, args=(member.name,), name=member.name, daemon=True)
        self._threads[member.name] = thread
        thread.start()

    def _serve(self, name: str) -> None:
        """The life of one robot's thread."""
        self._own.name = name
        while not self._closed.is_set():
            if name in self._away and not self._is_back(name):
                self._give_up_when_alone()
                self._closed.wait(_LOOK_AGAIN)
                continue
            with self._news:
                if not self._jobs:
                    self._news.wait(_LOOK_AGAIN)
                    continue
                job, future = self._jobs.popleft()
            if future.running() or future.set_running_or_notify_cancel():
                self._do(name, job, future)

    def _do(self, name: str, job: Callable[[], Any], future: Future[Any]) -> None:
        try:
            result = self._member.runner.submit(job).result()
        except RobotAway as away:
            with self._news:
                if len(self._away) + 1 == len(self._members):
                    self._alone_since = time.monotonic()
                self._away[name] = str(away)
                self._jobs.appendleft((job, future))
                self._news.notify()
            if not self._closed.is_set():
                self._tell(f"{name} has left: {away}; it is waited for")
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _is_back(self, name: str) -> bool:
        try:
            self._member.make_ready()
        except RobotpsError as error:
            self._away[name] = str(error)
            return False
        with self._news:
            self._away.pop(name, None)
        self._tell(f"{name} is back")
        return True

    def _give_up_when_alone(self) -> None:
        """Trials that wait fail once there was no robot for too long."""
        with self._news:
            alone = len(self._away) == len(self._members)
            if not alone or time.monotonic() - self._alone_since < self._patience:
                return
            left = "; ".join(f"{name}: {why}" for name, why in self._away.items())
            while self._jobs:
                _, future = self._jobs.popleft()
                future.set_exception(
                    RobotpsError(f"no robot was there for {self._patience:.0f} s ({left}): go on with --resume")
                )

    def _on_signal(self, why: str) -> None:
        """Each robot has its own word with the signal; nothing is begun any more."""
        self._closed.set()


class _OwnOdometer:
    """The odometer of the robot whose thread asks."""

    def __init__(self, own: Callable[[], Odometer | None]) -> None:
        self._own = own

    @property
    def asks(self) -> bool:
        return self._mine().asks

    def start(self) -> None:
        self._mine().start()

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        return self._mine().travel(telemetry, begin, end)

    def _mine(self) -> Odometer:
        odometer = self._own()
        if odometer is None:
            raise RobotpsError("this robot has no odometer")
        return odometer


class Named:
    """A person who looks after several robots: one question at a time, and it says which robot it is about."""

    def __init__(self, person: Person, robot: str, turn: threading.Lock) -> None:
        self._person = person
        self._robot = robot
        self._turn = turn

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """See Person."""
        with self._turn:
            return self._person.ask(what, f"{self._robot}: {message}", robot=self._robot, **details)

    def presses(self, since: float) -> list[float]:
        return self._person.presses(since)

    def tell(self, message: str) -> None:
        self._person.tell(f"{self._robot}: {message}")
