"""Getting up and lying down: slow ways between postures on which a robot does not topple.

A straight line between joint angles sweeps the feet along arcs, far ahead of the hips or behind them, and may pitch the
robot over. Loaded feet therefore go along straight lines, found by inverse kinematics; a robot that lies gathers its
feet under its hips first, low, which takes it the same safe way up whatever gait comes next.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robotps.description import RobotDescription
from robotps.gait import chains, gait_cycle, initial_gait
from robotps.kinematics import REACHED, LegKinematics
from robotps.parameters import FloatArray

_STEPS = 24
"""Points of a way; between two of them the joints go straight."""
_JUMP = 0.5
"""rad from one point of a way to the next that are no way any more: the knee would change sides."""
_LOWEST = 0.4
"""Height of the body over its feet that is tried at the least, as a share of where it stands."""
_MARGIN = 0.06
"""rad kept from the joints' ends: the zeros of a robot that is not calibrated may be off by as much, and a servo that
pushes against a stop overloads."""


def gathered(description: RobotDescription) -> FloatArray:
    """Joint angles (n,), rad, with every foot under its hip and the body as low over the feet as that goes."""
    standing = gait_cycle(description, initial_gait(description)).standing
    return np.concatenate([_lowered(chain, _under_hip(chain, leg)) for chain, leg in _legs(description, standing)])


def lowered(description: RobotDescription, standing: FloatArray) -> FloatArray:
    """Joint angles (n,), rad, with the feet where they are under the body, and the body as low as that goes."""
    return np.concatenate([_lowered(chain, leg) for chain, leg in _legs(description, standing)])


def along_feet(description: RobotDescription, start: FloatArray, end: FloatArray) -> FloatArray:
    """Joint angles (m, n), rad, from start to end, (n,), with every foot on a straight line as seen from the body.

    A leg whose knee is on another side at the end turns its joints straight instead.
    """
    share = np.linspace(0.0, 1.0, _STEPS)[:, None]
    ways = []
    for (chain, first), (_, last) in zip(_legs(description, start), _legs(description, end), strict=True):
        feet, straight = chain.forward(np.stack([first, last])), first + share * (last - first)
        way, _ = chain.inverse(feet[0] + share * (feet[1] - feet[0]), near=straight)
        way[0], way[-1] = first, last
        smooth = np.abs(np.diff(way, axis=0)).max() < _JUMP
        ways.append(way if smooth else straight)
    return np.concatenate(ways, axis=1)


def _under_hip(chain: LegKinematics, angles: FloatArray) -> FloatArray:
    """The leg's angles with its foot under the hip, as high as it is or, where the leg cannot fold so far, deeper."""
    _, y, z = chain.forward(angles[None, :])[0]
    for deeper in np.linspace(1.0, 2.0, _STEPS):
        under = _reaching(chain, np.array([chain.hip[0], y, chain.hip[2] + deeper * (z - chain.hip[2])]), angles)
        if under is not None:
            return under
    return angles


def _lowered(chain: LegKinematics, angles: FloatArray) -> FloatArray:
    """The leg's angles with its foot drawn up straight towards the hip, as far as that goes without a jump."""
    foot = chain.forward(angles[None, :])[0]
    up = np.array([0.0, 0.0, chain.hip[2] - foot[2]])
    for share in np.linspace(0.0, 1 - _LOWEST, _STEPS)[1:]:
        higher = _reaching(chain, foot + share * up, angles)
        if higher is None or np.abs(higher - angles).max() > _JUMP:
            break
        angles = higher
    return angles


def _reaching(chain: LegKinematics, foot: FloatArray, near: FloatArray) -> FloatArray | None:
    """The leg's angles for a place of its foot; None where it is out of reach, or only with a joint at its end."""
    (angles,), (distance,) = chain.inverse(foot[None, :], near=near)
    room = np.minimum(angles - chain.lower, chain.upper - angles).min()
    return None if distance > REACHED or room < _MARGIN else angles


def _legs(description: RobotDescription, joints: FloatArray) -> Iterator[tuple[LegKinematics, FloatArray]]:
    """Every leg's chain, and its part of the joint angles (n,)."""
    first = 0
    for chain in chains(description):
        yield chain, joints[first : first + len(chain.lower)]
        first += len(chain.lower)
