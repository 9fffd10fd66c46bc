"""Speeds of logged gaits as a simulated world predicts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.logged import LoggedTrial
from robotps.description import RobotDescription
from robotps.trial import run_trial
from sim.robot import SimulatedRobot
from sim.world import Start, World


def predicted_speed(description: RobotDescription, trial: LoggedTrial, world: World) -> float:
    """m/s; a trial from the same start as the logged one, without anything random."""
    assert trial.gait is not None
    quiet = world.model_copy(update={"start": Start(joint_noise_rad=0.0, yaw_noise_rad=0.0)})
    with SimulatedRobot(description, quiet) as robot:
        outcome, _ = run_trial(robot, trial.gait, trial.settings)
    return outcome.speed


def speed_error(description: RobotDescription, trials: Sequence[LoggedTrial], world: World) -> float | None:
    """Root mean square error of predicted speeds, m/s; None where there is no gait whose speed was measured."""
    errors = [predicted_speed(description, t, world) - t.speed for t in trials if t.gait and t.speed is not None]
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None
