"""The same gait, world and seed give the same telemetry, bit for bit."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from robotps.description import load_description
from robotps.gait import initial_gait
from robotps.trial import TrialSettings, digest, run_trial
from sim.robot import SimulatedRobot
from sim.world import Floor, Push, Sensor, World

EVENTFUL = World(
    floor=Floor(roughness_m=0.01), sensor=Sensor(position_noise_rad=0.01), push=Push(force_n=2, every_s=0.4)
)


def fingerprint(name: str = "dkitty", seed: int = 3, world: World = EVENTFUL) -> str:
    description = load_description(name)
    with SimulatedRobot(description, world, seed) as robot:
        _, telemetry = run_trial(robot, initial_gait(description), TrialSettings(seconds=0.8, warm_up=0.2))
    assert telemetry is not None
    return digest(telemetry)


def test_a_trial_repeats_bit_for_bit_in_this_process_whatever_ran_between() -> None:
    first = fingerprint()
    other = fingerprint("ers210")
    assert fingerprint() == first
    assert fingerprint("ers210") == other


def test_a_trial_repeats_bit_for_bit_in_another_process() -> None:
    command = [sys.executable, __file__]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1] == fingerprint()


@pytest.mark.parametrize("world", [World(), EVENTFUL])
def test_another_seed_is_another_trial(world: World) -> None:
    assert fingerprint(seed=3, world=world) != fingerprint(seed=4, world=world)


@pytest.mark.slow
def test_a_worker_does_not_grow_with_its_trials() -> None:
    """Bodies that the engine kept were 19 kB each: 200 MB in ten thousand trials."""
    description, settings = load_description("dkitty"), TrialSettings(seconds=0.01, warm_up=0.0)
    gait, sizes = initial_gait(description), []
    for number in range(250):
        with SimulatedRobot(description, World(), seed=number) as robot:
            run_trial(robot, gait, settings)
        if number in (49, 249):
            sizes.append(psutil.Process().memory_info().rss)
    assert sizes[1] - sizes[0] < 1.5e6


def test_a_robot_that_stands_again_starts_as_one_that_has_just_come() -> None:
    world = World.model_validate({"start": {"joint_noise_rad": 0.05}, "battery": {"resistance_ohm": 0.2}})
    settings = TrialSettings(seconds=0.4, warm_up=0.2)
    dkitty = load_description("dkitty")
    with SimulatedRobot(dkitty, world, 3) as robot:
        first, second = (run_trial(robot, initial_gait(dkitty), settings)[1] for _ in range(2))
    assert first is not None
    assert second is not None
    assert digest(first) == digest(second)


if __name__ == "__main__":
    print(fingerprint())
