"""Robots of other machines in a fleet: workers of a Dask scheduler that have a robot (see robot_worker).

A trial goes to one worker by name and is never begun again by Dask: no retries, no other worker, and the robot itself
refuses a trial that it has begun before. A worker that is lost meanwhile is a fault of that trial.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware import robot_worker
from hardware.fleet import Fleet
from robotps.cluster import connect_client, robots_code, run_with_code, workers_of
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait, UnreachableGait
from robotps.odometer import Odometer
from robotps.robot import RobotFault, Telemetry
from robotps.trial import RobotElsewhere, Trial, TrialSettings
from robotps.workers import InThisProcess

if TYPE_CHECKING:
    from distributed import Client

_LOOK = 1.0
"""s between two looks at whether the worker is still there."""
_MISSED, _SILENT = 3, 60
"""So many looks in a row at which the worker was not there, or nobody answered: then it is gone."""
_CLOSE = 30.0


class WorkerGone(RobotpsError):
    """The worker is not at the scheduler any more, or the scheduler itself is gone."""


class Elsewhere(RobotElsewhere):
    """A robot that a worker of the scheduler drives, by the worker's name."""

    odometer: Odometer | None = None

    def __init__(self, client: Client, name: str, description: RobotDescription) -> None:
        self.name = self.identity = name
        self.runner: Executor = InThisProcess()
        self._client = client
        self._description = description.fingerprint
        self._token = ""

    def make_ready(self) -> None:
        """See Member."""
        self._call(robot_worker.ready, self._description)

    @contextlib.contextmanager
    def open(self) -> Iterator[RobotElsewhere]:
        """See Member."""
        self._token = uuid.uuid4().hex
        self._call(robot_worker.prepare, self._token, self._description)
        yield self

    def run_trial(self, gait: Gait, settings: TrialSettings) -> tuple[Trial, Telemetry | None]:
        """See RobotElsewhere."""
        try:
            walked: tuple[Trial, Telemetry | None] = self._call(robot_worker.walk, self._token, gait, settings)
        except (WorkerGone, RobotFault) as error:
            return Trial("fault", 0.0, 0.0, 0.0, 0.0, reason=str(error)), None
        return walked

    def halt(self, why: str) -> None:
        """See Member; beside the trial that runs there."""
        with contextlib.suppress(Exception):
            self._client.run(robot_worker.halt, why, workers=[self._address()], wait=False)

    def close(self) -> None:
        """See Member."""
        with contextlib.suppress(RobotpsError):
            self._call(robot_worker.lie_down, patience=_CLOSE)

    def _address(self) -> str:
        for address, worker in (workers_of(self._client) or {}).items():
            if worker["name"] == self.name and worker["resources"].get(robot_worker.RESOURCE):
                return address
        raise WorkerGone(f"{self.name} is not at the scheduler: is its `robotps worker` running?")

    def _call(self, function: Callable[..., Any], *arguments: Any, patience: float | None = None) -> Any:
        """Call a function of robot_worker there; raises WorkerGone where the worker is lost before it answers."""
        address = self._address()
        task = self._client.submit(
            run_with_code,
            robots_code(),
            function,
            *arguments,
            workers=[address],
            allow_other_workers=False,
            resources={robot_worker.RESOURCE: 1},
            retries=0,
            pure=False,
        )
        waited, missed = 0.0, 0
        while True:
            try:
                # asked for again and again: what is done lies at the worker until it is fetched, and may be lost there
                return task.result(timeout=_LOOK)
            except (RobotpsError, RobotFault, UnreachableGait):
                raise
            except Exception as error:
                if task.status in ("error", "cancelled", "lost"):
                    raise WorkerGone(f"the connection to {self.name} was lost ({error})") from error
            waited += _LOOK
            there = workers_of(self._client)
            missed = 0 if there is not None and address in there else missed + 1
            # a busy scheduler answers late, and says nothing about the worker by that
            gone = missed > (_SILENT if there is None else _MISSED)
            if gone or (patience is not None and waited > patience):
                task.cancel(force=True)
                raise WorkerGone(f"the connection to {self.name} was lost")


class Scheduler:
    """The robots at a scheduler, those that come later included. Use as a context manager.

    Raises RobotpsError where it is not reached.
    """

    def __init__(self, address: str, certificates: Path | None, description: RobotDescription) -> None:
        self._client = connect_client(address, certificates)
        self._description = description
        self._known: set[str] = set()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def members(self) -> list[Elsewhere]:
        """Robots that were not returned before."""
        names = {
            str(worker["name"])
            for worker in (workers_of(self._client) or {}).values()
            if worker["resources"].get(robot_worker.RESOURCE)
        }
        new = sorted(names - self._known)
        self._known |= names
        return [Elsewhere(self._client, name, self._description) for name in new]

    def watch(self, fleet: Fleet, tell: Callable[[str], None]) -> None:
        """Let robots that come later join the fleet."""

        def look() -> None:
            while not self._closed.wait(_LOOK):
                with contextlib.suppress(RobotpsError):
                    for member in self.members():
                        tell(f"{member.name} has come")
                        fleet.add(member)

        self._thread = threading.Thread(target=look, name="robots elsewhere", daemon=True)
        self._thread.start()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()
