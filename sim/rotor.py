"""What a geared servo's rotor does to the robot: it resists the joint's acceleration, and nothing else.

PyBullet has no armature, so each rotor's reflected inertia is added to the link that it moves (sim/body.py), about the
joint's axis. Alone that would be badly wrong: such a link also resists when the whole leg or trunk turns, and a small
robot's trunk would seem several times as hard to pitch. With v = (trunk's spin, joint speeds), J_i the row that gives
link i's spin about its joint's axis, A the reflected inertia and M what the engine integrates, rotors included,

    S = A sum_i J_i^T J_i        D = A on the diagonal of the joints        C = S - D

C is the surplus, and the force C dv/dt is given back. It is the last step's, mended by what the step comes to:
f <- f + B (C dv/dt - f). Where that is another force, as when a foot strikes the floor, the step is made again: given
back a step later, it would throw up feet that have landed, for the engine thinks them lighter or heavier by a factor of
up to 2.7.

In the eigenvectors of (C, M), with eigenvalues l < 1 (as M - C, the true mass matrix, is positive), B is diagonal:
1 where l >= 0 and 1 / (1 - l) where l < 0. With a constraint (a foot on the floor, a joint at rest) of projector P
the error is then multiplied by diag(-l / (1 - l) | l < 0) (1 - P) + diag(l | l >= 0) P, a contraction for every P.
B is taken at the standing pose; C follows the joints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robotps.parameters import FloatArray
from sim.links import Body, Matrix

FOLLOW = 0.05
"""s between updates of C; within it a joint moves by a fifth of a radian or so."""
CLOSE = 0.4
"""rad/s: a step is right when the impulse given back is wrong by no more than what turns one rotor as fast as this."""
MOST_TRIES = 8
"""of one step."""


class Rotors:
    """Gives the surplus back. Speeds and forces are (trunk's x, y, z; joints), in the trunk's frame; shape (3 + n,)."""

    def __init__(self, body: Body, armature: float, standing: FloatArray, step: float) -> None:
        """armature: kg m^2, already part of the body's inertias. standing: joint angles, rad, (n,)."""
        self._armature = armature
        self._step = step
        self._axes = JointAxes(body)
        surplus = self._surplus_at(standing)
        lower = np.linalg.cholesky(mass_matrix(body, standing))
        inverse = np.linalg.inv(lower)
        eigenvalues, vectors = np.linalg.eigh(inverse @ surplus @ inverse.T)
        share = 1.0 / (1.0 - np.minimum(eigenvalues, 0.0))
        self._blend = lower @ vectors @ np.diag(share) @ vectors.T @ inverse
        # (force; change of speed) to what has to be added to the force
        size = len(surplus)
        self._update = np.concatenate([-self._blend, self._blend @ surplus / step], axis=1)
        self._state = np.zeros(2 * size)
        self._force, self._change = self._state[:size], self._state[size:]
        self._close = (armature * CLOSE / step) ** 2
        self._tries = 0
        self._speed = np.zeros(size)
        self._age = 0.0

    def start_at(self, angles: Sequence[float], speeds: Sequence[float]) -> None:
        """Begin at joint angles, rad, (n,), with these speeds already there: nothing has accelerated yet."""
        self._update[:, len(self._speed) :] = self._blend @ self._surplus_at(np.array(angles)) / self._step
        self._force[:] = 0.0
        self._speed = np.array(speeds)
        self._age = 0.0

    def follow(self, angles: Sequence[float], seconds: float) -> None:
        """The joints are at these angles, rad, `seconds` after the last call."""
        self._age += seconds
        if self._age > FOLLOW:
            self._age = 0.0
            self._update[:, len(self._speed) :] = self._blend @ self._surplus_at(np.array(angles)) / self._step

    @property
    def force(self) -> list[float]:
        """The generalised force that the step has to be made with, N m."""
        force: list[float] = self._force.tolist()
        return force

    def settled(self, speeds: Sequence[float]) -> bool:
        """Whether the step that has led to these speeds was made with the right force; if not, make it again."""
        speed = np.array(speeds)
        np.subtract(speed, self._speed, out=self._change)
        off = self._update.dot(self._state)
        self._force += off
        self._tries += 1
        if off.dot(off) > self._close and self._tries < MOST_TRIES:
            return False
        self._speed, self._tries = speed, 0
        return True

    def _surplus_at(self, angles: FloatArray) -> Matrix:
        rows = self._axes.spin_rows(angles)
        surplus: Matrix = self._armature * (rows.T @ rows)
        joints = np.arange(3, len(surplus))
        surplus[joints, joints] -= self._armature
        return surplus


class JointAxes:
    """Joint axes in the trunk's frame: all joints that are equally far from the trunk at once."""

    def __init__(self, body: Body) -> None:
        names = [link.name for link in body.links]
        hinges = [link.hinge for link in body.links if link.hinge is not None]
        parents = [names.index(hinge.parent) - 1 for hinge in hinges]
        n = len(hinges)
        self._fixed = np.array([hinge.place.rotation for hinge in hinges])
        self._axis = np.array([hinge.axis for hinge in hinges])[:, :, None]
        self._cross = np.array([_cross(hinge.axis) for hinge in hinges])
        self._cross2 = self._cross @ self._cross
        self._moves = np.zeros((n, n))  # 1 where joint k moves link i
        for i, parent in enumerate(parents):
            if parent >= 0:
                self._moves[i] = self._moves[parent]
            self._moves[i, i] = 1.0
        depth = self._moves.sum(axis=1)
        self._levels: list[tuple[NDArray[np.intp], list[int]]] = []
        for level in range(2, int(depth.max()) + 1):
            members = np.flatnonzero(depth == level)
            self._levels.append((members, [parents[i] for i in members]))

    def spin_rows(self, angles: FloatArray) -> Matrix:
        """Rows J_i, shape (n, 3 + n): link i's spin about its own axis, for joint angles, rad, (n,)."""
        sin, versine = np.sin(angles)[:, None, None], (1.0 - np.cos(angles))[:, None, None]
        # Rodrigues: R = I + sin K + (1 - cos) K^2
        hinges = np.eye(3) + sin * self._cross + versine * self._cross2
        turns = self._fixed.copy()
        for members, parents in self._levels:
            turns[members] = turns[parents] @ hinges[parents] @ self._fixed[members]
        axes = (turns @ self._axis)[:, :, 0]
        return np.concatenate([axes, (axes @ axes.T) * self._moves], axis=1)


def mass_matrix(body: Body, angles: FloatArray) -> Matrix:
    """Of (trunk's spin, joint speeds) in the trunk's frame, free to drift: shape (3 + n, 3 + n); angles: rad, (n,)."""
    names = [link.name for link in body.links]
    n = len(names) - 1
    turns, spins = [np.eye(3)], [np.eye(3, 3 + n)]
    arms = [np.zeros((3, 3 + n))]  # speeds of the links' origins while the trunk's centre stands still
    total, drift, mass = np.zeros((3 + n, 3 + n)), np.zeros((3, 3 + n)), 0.0
    for i, link in enumerate(body.links):
        if link.hinge is not None:
            up = names.index(link.hinge.parent)
            frame, spin = turns[up] @ link.hinge.place.rotation, spins[up].copy()
            spin[:, 2 + i] += frame @ link.hinge.axis
            cross = _cross(link.hinge.axis)
            angle = float(angles[i - 1])
            turns.append(frame @ (np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross))
            arms.append(arms[up] - _cross(turns[up] @ link.hinge.place.position) @ spins[up])
            spins.append(spin)
        inertial = link.inertial
        speed = arms[i] - _cross(turns[i] @ inertial.com) @ spins[i]
        inertia = turns[i] @ inertial.inertia @ turns[i].T
        total += inertial.mass * speed.T @ speed + spins[i].T @ inertia @ spins[i]
        drift += inertial.mass * speed
        mass += inertial.mass
    matrix: Matrix = total - drift.T @ drift / mass
    return matrix


def _cross(v: FloatArray) -> Matrix:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
