"""Have a physical robot make the motions of an excitation, each rehearsed in simulation before, each logged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from calibration.excitation import Planned, names
from calibration.logged import MOTIONS
from hardware.session import Session
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.odometer import Odometer, Travel
from robotps.provenance import now
from robotps.recorder import Recorder
from robotps.robot import Robot, Telemetry
from robotps.run import Candidate, Run
from robotps.settings import TuneSettings, search_space
from robotps.trial import Trial, run_trial
from sim.robot import SimulatedRobot
from sim.world import World

TRIES = 2


class Unmeasured:
    """A robot on a stand goes nowhere."""

    asks = False

    def start(self) -> None: ...

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """See Odometer."""
        return Travel(forward=0.0, seconds=end - begin)


def rehearsed(planned: Sequence[Planned], description: RobotDescription, world: World) -> list[Planned]:
    """Those motions that the simulated robot makes in a world without falling; on a stand nothing falls."""
    safe = []
    for one in planned:
        ending = "finished"
        if not one.on_stand:
            with SimulatedRobot(description, world) as robot:
                ending = run_trial(robot, one.gait, one.settings, motion=one.motion)[0].ending
        if ending == "finished":
            safe.append(one)
    return safe


def excite(
    planned: Sequence[Planned],
    description: RobotDescription,
    world: World,
    session: Session,
    odometer: Odometer,
    path: Path,
    seed: int,
    tell: Callable[[str], None],
) -> None:
    """Write a run at `path` with a physical trial for every motion that simulation of `world` did not fall at.

    A motion that is at fault TRIES times is left out: it may be too much for this robot. Raises RobotpsError where none
    is left.
    """
    safe = rehearsed(planned, description, world)
    refused = [one for one in planned if one not in safe]
    if refused:
        tell(f"left out, as the simulated robot falls: {names(refused)}")
    if not safe:
        raise RobotpsError("the simulated robot falls at every motion: is the description right?")
    settings = TuneSettings(family=safe[0].gait.family, seed=seed, confirm=1, iterations=1, trial=safe[-1].settings)
    space = search_space(description, settings)
    with Run.create(path, settings.model_dump(mode="json"), description, {"verb": "identify"}) as run:
        vectors = np.stack([space.vector(one.gait.parameters) for one in safe])
        candidates = run.add_candidates("start", 0, settings.family, vectors)
        made = 0
        for one, candidate in zip(safe, candidates, strict=True):
            tell(f"{one.name}: {one.settings.warm_up + one.settings.seconds:g} s")
            for _ in range(TRIES):
                where = session.on_stand() if one.on_stand else session()
                trial = _log(run, candidate, one, where, odometer, seed)
                if trial.ending != "fault":
                    made += 1
                    break
                tell(f"{one.name}: {trial.reason}")
            else:
                tell(f"{one.name} is left out")
        if not made:
            raise RobotpsError(f"no motion could be made: {trial.reason}")
        run.set_meta("finished", True)


def _log(
    run: Run,
    candidate: Candidate,
    one: Planned,
    where: AbstractContextManager[Robot],
    odometer: Odometer,
    seed: int,
) -> Trial:
    started, clock = now(), time.perf_counter()
    measured_by = Unmeasured() if one.on_stand else odometer
    with where as robot, Recorder(run.path) as recorder:
        number = recorder.begin(candidate.id, repeat=0, robot=run.description.name, seed=seed, started=started)
        if one.motion is not None:  # before it is made: a trial without a note is taken for one of the gait
            noted = run.meta(MOTIONS) or {}
            run.set_meta(MOTIONS, {**noted, str(number): {"name": one.name, "on_stand": one.on_stand}})
        trial, telemetry = run_trial(robot, one.gait, one.settings, measured_by, recorder.tick, one.motion)
        if telemetry is not None:
            recorder.complete(telemetry)
    run.add_trial(
        candidate,
        repeat=0,
        robot=run.description.name,
        seed=seed,
        world=None,
        trial=trial,
        score=None if trial.ending == "fault" else trial.speed,
        digest=None,
        started=started,
        seconds=time.perf_counter() - clock,
        number=number,
    )
    return trial
