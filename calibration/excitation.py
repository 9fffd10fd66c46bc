"""Motions that teach what a robot is like: chirps and steps in the air, swaying and gaits on the floor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from robotps.description import RobotDescription
from robotps.gait import Gait, UnreachableGait, chains, gait_cycle, initial_gait
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.robot import Motion, Observation
from robotps.trial import TrialSettings

MARGIN = 0.05
"""rad kept from the joints' limits."""
SWING, SPREAD = 0.4, 0.15
"""rad to either side in the air: of joints that swing a leg fore and aft, and of those that move it sideways."""
SLOWEST, FASTEST = 0.2, 4.0
"""Hz; a chirp's ends."""
OF_NO_LOAD = 0.75
"""A chirp's amplitude shrinks so that no target moves faster than this share of the servo's no-load speed."""
HOLD = (0.2, 0.6)
"""s between two steps."""
SWAY = (0.2, 0.12, 0.1, 0.08, 0.1)
"""Of the body over its feet: ahead, sideways and down in parts of its height; roll and pitch in rad."""
SWAY_PACE = (0.43, 0.61, 0.29, 0.53, 0.37)
"""Hz of each."""
MOSTLY_OUT = 0.5
"""A gait of which more than this is out of reach is not played."""
RISE = 1.0
"""s in which a motion swells to its full size."""


@dataclass(frozen=True)
class Planned:
    """A motion to be made. motion: None for the gait's own. gait: also where a motion that is no gait begins."""

    name: str
    on_stand: bool
    gait: Gait
    settings: TrialSettings
    motion: Motion | None = None


class Sampled:
    """A motion through joint targets (m, n_joints), rad, at equal intervals of `step` s."""

    def __init__(self, targets: FloatArray, step: float) -> None:
        self._targets = targets
        self._step = step

    def __call__(self, time: float, last: Observation | None = None) -> FloatArray:
        """Joint targets, rad, (n_joints,), `time` s after the start; the last ones are held."""
        place = min(max(time / self._step, 0.0), len(self._targets) - 1.0)
        index = min(int(place), len(self._targets) - 2)
        here, there = self._targets[index], self._targets[index + 1]
        target: FloatArray = here + (place - index) * (there - here)
        return target


def plan(description: RobotDescription, seed: int = 0, *, stand: bool = True, floor: bool = True) -> list[Planned]:
    """All motions, gentle ones first."""
    gait = initial_gait(description)
    planned = []
    if stand:
        for name, motion, seconds in air_motions(description, seed):
            planned.append(Planned(name, True, gait, TrialSettings(seconds=seconds, warm_up=0.0), motion))
    if floor:
        planned.append(Planned("sway", False, gait, TrialSettings(seconds=8.0, warm_up=0.0), sway(description, 8.0)))
        settings = TrialSettings(seconds=3.0, warm_up=1.0)
        planned += [Planned(name, False, gait, settings) for name, gait in gaits(description)]
    return planned


def air_motions(description: RobotDescription, seed: int) -> Iterator[tuple[str, Motion, float]]:
    """Name, motion and seconds of what is made on a stand."""
    yield "chirp", chirp(description, 10.0), 10.0
    for number in range(2):
        yield f"steps {number + 1}", steps(description, 4.0, seed + number), 4.0
    yield "short chirp", chirp(description, 5.0), 5.0


def chirp(description: RobotDescription, seconds: float) -> Sampled:
    """All legs alike, so that they keep clear of each other; the joints of a leg a third of the sweep apart."""
    centre, room, kind = _around_standing(description)
    step = description.control_period
    time = np.arange(0.0, seconds + step, step)
    targets = np.empty((len(time), len(centre)))
    octaves = math.log(FASTEST / SLOWEST)
    for joint, (middle, most) in enumerate(zip(centre, room, strict=True)):
        # a logarithmic sweep whose starting point goes round with the joint
        along = (time / seconds + kind[joint] / 3.0) % 1.0
        frequency = SLOWEST * np.exp(octaves * np.minimum(along, 1.0 - along) * 2.0)
        phase = 2 * np.pi * np.cumsum(frequency) * step
        amplitude = np.minimum(most, OF_NO_LOAD * description.servo.no_load_speed / (2 * np.pi * frequency))
        targets[:, joint] = middle + np.minimum(time / RISE, 1.0) * amplitude * np.sin(phase)
    return Sampled(targets, step)


def steps(description: RobotDescription, seconds: float, seed: int) -> Sampled:
    """From one random pose to the next, all legs alike."""
    centre, room, kind = _around_standing(description)
    generator = np.random.default_rng(seed)
    step = description.control_period
    count = round(seconds / step) + 1
    share = np.zeros((count, int(kind.max()) + 1))
    at = round(0.2 / step)
    while at < count:
        share[at:] = generator.choice((-1.0, -0.5, 0.5, 1.0), share.shape[1])
        at += round(generator.uniform(*HOLD) / step)
    return Sampled(centre + room * share[:, kind], step)


def _around_standing(
    description: RobotDescription,
) -> tuple[FloatArray, FloatArray, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Centre and room to either side of every joint, rad, and which joint of its leg it is."""
    centre = gait_cycle(description, initial_gait(description)).standing.copy()
    room, kind = np.empty(len(centre)), np.empty(len(centre), dtype=np.int64)
    for index, joint in enumerate(description.joints):
        most = SPREAD if abs(joint.axis[0]) > 0.7 else SWING
        middle = min(max(centre[index], joint.lower + MARGIN + most), joint.upper - MARGIN - most)
        centre[index] = middle if joint.upper - joint.lower > 2 * (MARGIN + most) else (joint.lower + joint.upper) / 2
        room[index] = min(most, joint.upper - MARGIN - centre[index], centre[index] - joint.lower - MARGIN)
    column = 0
    for leg in LEGS:
        n = len(description.legs[leg].joints)
        kind[column : column + n] = np.arange(n)
        column += n
    return centre, room, kind


def sway(description: RobotDescription, seconds: float) -> Sampled:
    """The body moves over feet that stay where they are; what a leg cannot reach, it comes nearest to."""
    gait = initial_gait(description)
    cycle = gait_cycle(description, gait)
    step = 2 * description.control_period
    time = np.arange(0.0, seconds + step, step)
    sideways = all(leg.sideways for leg in description.legs.values())
    most = np.array(SWAY) * np.array([cycle.body_height] * 3 + [1.0, 1.0])
    if not sideways:
        most[[1, 3]] = 0.0
    wave = most * np.minimum(time / RISE, 1.0)[:, None] * np.sin(2 * np.pi * time[:, None] * np.array(SWAY_PACE))
    ahead, left, down, roll, pitch = wave.T
    down = np.abs(down)
    targets, column = np.empty((len(time), description.n_joints)), 0
    for chain in chains(description):
        n = len(chain.lower)
        standing = cycle.standing[column : column + n]
        foot = chain.forward(standing[None, :])[0]
        x, y, z = foot[0] - ahead, foot[1] - left, foot[2] + down
        # small turns of the body, seen from it
        feet = np.stack([x + pitch * z, y + roll * z, z - pitch * x - roll * y], axis=1)
        targets[:, column : column + n] = chain.inverse(feet, near=standing)[0]
        column += n
    return Sampled(targets, step)


def gaits(description: RobotDescription) -> list[tuple[str, Gait]]:
    """From the cautious one that the description begins with to faster ones, as far as legs reach."""
    start = initial_gait(description)
    found = [("slow gait", start)]
    for name, stride, period, lift in (
        ("gait 2", 1.5, 0.9, 1.2),
        ("gait 3", 2.0, 0.75, 1.4),
        ("gait 4", 1.3, 0.65, 1.2),
        ("gait 5", 2.4, 0.65, 1.6),
    ):
        factors = {
            "locus_length": stride,
            "period": period,
            "front_locus_height": lift,
            "rear_locus_height": lift,
        }
        parameters = dict(start.parameters)
        for key, factor in factors.items():
            bounds = description.gait.parameters[key]
            parameters[key] = min(max(parameters[key] * factor, bounds.lower), bounds.upper)
        gait = Gait(start.family, parameters)
        try:
            if gait_cycle(description, gait).unreachable < MOSTLY_OUT:
                found.append((name, gait))
        except UnreachableGait:
            continue
    return found


def names(planned: Sequence[Planned]) -> str:
    """For people."""
    return ", ".join(one.name for one in planned)
