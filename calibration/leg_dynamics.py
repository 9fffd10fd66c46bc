"""Inertia and load of a leg that hangs from a trunk at rest: what its servos have to move.

Recursive Newton-Euler (Luh, Walker & Paul 1980; Featherstone 2008, chapter 5), for many moments at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robotps.parameters import FloatArray
from sim.links import Body, Link
from sim.world import STANDARD_GRAVITY

GRAVITY = np.array([0.0, 0.0, -STANDARD_GRAVITY])
AHEAD, LEFT = np.array([STANDARD_GRAVITY, 0.0, 0.0]), np.array([0.0, STANDARD_GRAVITY, 0.0])
"""What is added to gravity, seen from a trunk that leans forward or to the left by a small angle, for each rad."""
NONE = np.zeros(3)


@dataclass(frozen=True)
class Dynamics:
    """inertia (m, k, k) kg m^2 and load (m, k) N m (gravity and what speed adds) of k joints at m moments.

    Each is a sum that scales with the links' masses: of_mass from their centres, of_spin from their own inertias.
    load_of_tilt (m, k, 2): what weight adds for each rad that the trunk leans forward, and to the left.
    """

    inertia_of_mass: FloatArray
    inertia_of_spin: FloatArray
    load_of_mass: FloatArray
    load_of_spin: FloatArray
    load_of_tilt: FloatArray


def leg_links(body: Body, joints: Sequence[str]) -> list[Link]:
    """The links that a leg's joints move, from the trunk outwards."""
    by_name = {link.hinge.name: link for link in body.links if link.hinge is not None}
    return [by_name[name] for name in joints]


def dynamics(links: Sequence[Link], angles: FloatArray, speeds: FloatArray) -> Dynamics:
    """Of a leg at joint angles (m, k), rad, and speeds (m, k), rad/s."""
    n = angles.shape[1]
    inertia = np.empty((2, len(angles), n, n))
    still = np.zeros_like(angles)
    for joint in range(n):
        pushed = still.copy()
        pushed[:, joint] = 1.0
        for part in (0, 1):
            inertia[part, :, :, joint] = _torques(links, angles, still, pushed, NONE, part)
    load_of_mass = _torques(links, angles, speeds, still, GRAVITY, 0)
    load_of_spin = _torques(links, angles, speeds, still, NONE, 1)
    tilts = [_torques(links, angles, still, still, leaning, 0) for leaning in (AHEAD, LEFT)]
    return Dynamics(inertia[0], inertia[1], load_of_mass, load_of_spin, np.stack(tilts, axis=2))


def _torques(
    links: Sequence[Link], q: FloatArray, v: FloatArray, a: FloatArray, gravity: FloatArray, part: int
) -> FloatArray:
    """Torques (m, k) for a motion. part: 0 takes the links as points at their centres of mass, 1 their spin alone."""
    m = len(q)
    turn, at = np.broadcast_to(np.eye(3), (m, 3, 3)), np.zeros((m, 3))
    spin, spin_rate, rate = np.zeros((m, 3)), np.zeros((m, 3)), np.broadcast_to(-gravity, (m, 3))
    axes, places, centres, forces, moments = [], [], [], [], []
    for i, link in enumerate(links):
        assert link.hinge is not None  # only the trunk has none
        arm = turn @ link.hinge.place.position
        rate = rate + np.cross(spin_rate, arm) + np.cross(spin, np.cross(spin, arm))
        at = at + arm
        turn = turn @ link.hinge.place.rotation
        axis = turn @ link.hinge.axis
        spin_rate = spin_rate + axis * a[:, i : i + 1] + np.cross(spin, axis * v[:, i : i + 1])
        spin = spin + axis * v[:, i : i + 1]
        turn = turn @ _about(link.hinge.axis, q[:, i])
        axes.append(axis)
        places.append(at)
        arm = turn @ link.inertial.com
        centres.append(at + arm)
        if part == 0:
            here = rate + np.cross(spin_rate, arm) + np.cross(spin, np.cross(spin, arm))
            forces.append(link.inertial.mass * here)
            moments.append(np.zeros((m, 3)))
        else:
            tensor = turn @ link.inertial.inertia @ turn.transpose(0, 2, 1)
            turned = np.einsum("mij,mj->mi", tensor, spin)
            forces.append(np.zeros((m, 3)))
            moments.append(np.einsum("mij,mj->mi", tensor, spin_rate) + np.cross(spin, turned))
    result = np.empty_like(q)
    for i in range(len(links)):
        total = np.zeros((m, 3))
        for j in range(i, len(links)):
            total = total + moments[j] + np.cross(centres[j] - places[i], forces[j])
        result[:, i] = (axes[i] * total).sum(axis=1)
    return result


def _about(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """Rotations (m, 3, 3) about one axis by angles (m,), Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sin, versine = np.sin(angle)[:, None, None], (1.0 - np.cos(angle))[:, None, None]
    turn: FloatArray = np.eye(3) + sin * cross + versine * (cross @ cross)
    return turn
