"""A trial against the bare engine: the same robot and joint targets, the same number of `stepSimulation` calls.

Both run in one process, interleaved, and are timed by this process's own CPU time, so that a machine whose speed drifts
or that does other work does not matter. Prints one ratio a line (trial / bare loop) and their median.

    python benchmarks/trial_throughput.py [--robot NAME] [--pairs N]
"""

from __future__ import annotations

import argparse
import statistics
import time

import pybullet

from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.trial import TrialSettings, run_trial
from sim.robot import SimulatedRobot


def bare_loop(robot: SimulatedRobot, settings: TrialSettings, cycle: object) -> float:
    """CPU seconds for the physics alone: position motors, a target once a control period, nothing read."""
    robot.stand(cycle.standing)
    client, body, joints, steps = robot._client, robot._body, robot._joints, robot._steps
    periods = round((settings.warm_up + settings.seconds) / robot.description.control_period)
    forces = [robot.description.servo.stall_torque] * len(joints)
    begin = time.process_time()
    for period in range(periods):
        target = cycle(period * robot.description.control_period, None)
        pybullet.setJointMotorControlArray(
            body, joints, pybullet.POSITION_CONTROL, target, forces=forces, physicsClientId=client
        )
        for _ in range(steps):
            pybullet.stepSimulation(physicsClientId=client)
    return time.process_time() - begin


def main() -> None:
    """Time pairs of trial and bare loop."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--robot", default="dkitty")
    arguments.add_argument("--pairs", type=int, default=10)
    given = arguments.parse_args()
    description = load_description(given.robot)
    gait, settings = initial_gait(description), TrialSettings()
    cycle = gait_cycle(description, gait)
    ratios = []
    for pair in range(given.pairs + 1):
        with SimulatedRobot(description, seed=pair) as robot:
            bare = bare_loop(robot, settings, cycle)
        begin = time.process_time()
        with SimulatedRobot(description, seed=pair) as robot:
            run_trial(robot, gait, settings)
        full = time.process_time() - begin
        if pair == 0:
            continue  # the first pair pays for imports and caches
        ratios.append(full / bare)
        print(f"{full / bare:.3f}  trial {full:.3f} s, bare loop {bare:.3f} s")
    print(f"{statistics.median(ratios):.3f}  median of {len(ratios)}")


if __name__ == "__main__":
    main()
