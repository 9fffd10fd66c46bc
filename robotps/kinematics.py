"""Forward and inverse kinematics of a leg, for any chain of hinges, vectorised over many points at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from robotps.description import Leg
from robotps.parameters import FloatArray
from robotps.rotations import rotation_of

REACHED = 1e-4
"""m; a point farther than this from the nearest foot position is out of reach."""

_ITERATIONS = 60
_CONVERGED = 1e-9
_EXACT = 2e-7
"""m; what counts as no distance at all."""

_GRID = 5
_STARTS = 12
"""Angles of each joint, and how many of their poses are tried where the first one fails: enough that of 20,000 random
poses of any bundled robot none is missed, and of 3,000 points out of reach each gets the nearest pose."""


class LegKinematics:
    """One leg's chain in the body's frame. Angles have shape (m, k) for k joints, points (m, 3)."""

    def __init__(self, leg: Leg) -> None:
        self.lower = np.array([joint.lower for joint in leg.joints])
        self.upper = np.array([joint.upper for joint in leg.joints])
        self.rest = np.array(leg.rest)
        self.hip = np.array(leg.joints[0].origin)
        self.foot_radius = leg.foot.radius
        self._foot = np.array(leg.foot.position)
        self._origins = [np.array(joint.origin)[:, None] for joint in leg.joints]
        self._turns = [_turns_of(rotation_of(joint.rpy), np.array(joint.axis)) for joint in leg.joints]

    def forward(self, angles: FloatArray) -> FloatArray:
        """Foot centres, shape (m, 3), m, at joint angles (m, k), rad."""
        return self._derivatives(angles)[0]

    def inverse(self, points: FloatArray, near: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Joint angles (m, k) within the limits whose feet are nearest to points (m, 3), and the distances left (m,).

        `near` (k,) or (m, k): angles to start from, which choose the side of the knee; the leg's rest angles by
        default. Where the descent from there ends short of the point, it starts again from poses all over the leg's
        range.
        """
        start = np.broadcast_to(self.rest if near is None else near, (len(points), len(self.lower)))
        angles, distance = self._descend(points, start)
        missed = np.flatnonzero(distance > _EXACT)
        if len(missed) > 0:
            poses, feet = self._poses
            nearest = np.argsort(((points[missed, None] - feet) ** 2).sum(axis=2), axis=1)[:, :_STARTS]
            again = np.repeat(points[missed], nearest.shape[1], axis=0)
            others, left = self._descend(again, poses[nearest.ravel()])
            others, left = others.reshape(*nearest.shape, -1), left.reshape(nearest.shape)
            # of the poses that come equally near, the one most like the start
            apart = np.abs(others - start[missed, None]).max(axis=2)
            apart[left > left.min(axis=1, keepdims=True) + _EXACT] = np.inf
            best = np.arange(len(missed)), apart.argmin(axis=1)
            nearer = left[best] < distance[missed] - _EXACT
            angles[missed[nearer]], distance[missed[nearer]] = others[best][nearer], left[best][nearer]
        return angles, distance

    @cached_property
    def _poses(self) -> tuple[FloatArray, FloatArray]:
        """Joint angles (n, k) all over the leg's range, limits included, and their foot centres (n, 3)."""
        angles = np.linspace(self.lower, self.upper, _GRID).T
        poses = np.stack(np.meshgrid(*angles, indexing="ij"), axis=-1).reshape(-1, len(angles))
        return poses, self.forward(poses)

    def _descend(self, points: FloatArray, angles: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Angles (m, k) and distances (m,) of local minima of the distance to points (m, 3), from angles (m, k).

        Newton's method on half the squared distance, as Gauss-Newton alone crawls towards a point out of reach; damped
        as Levenberg and Marquardt do, and with the curvatures' absolute values, which drives it off saddle points
        (Dauphin et al., 2014). A joint at its limit that wants to go on is held there.
        """
        angles, distance = angles.copy(), np.empty(len(points))
        todo = np.arange(len(points))
        q, target, damping = angles.copy(), points, np.full(len(points), 1e-3)
        foot, jacobian, bend = self._derivatives(q)
        residual = target - foot
        error = (residual**2).sum(axis=1)
        for _ in range(_ITERATIONS):
            slope = np.einsum("mik,mi->mk", jacobian, residual)
            held = ((q <= self.lower) & (slope < 0)) | ((q >= self.upper) & (slope > 0))
            slope[held] = 0.0
            hessian = np.einsum("mik,mij->mkj", jacobian, jacobian) - np.einsum("mikj,mi->mkj", bend, residual)
            hessian[held[:, :, None] | held[:, None, :]] = 0.0
            # damping relative to the leg's own scale, so that a hand's-breadth robot and a large one converge alike
            scale = damping * np.einsum("mik,mik->m", jacobian, jacobian) + 1e-15
            curvature, axes = np.linalg.eigh(hessian)
            along = np.einsum("mkj,mk->mj", axes, slope) / (np.abs(curvature) + scale[:, None])
            step = np.einsum("mkj,mj->mk", axes, along)
            tried = np.clip(q + step, self.lower, self.upper)
            foot, tried_jacobian, tried_bend = self._derivatives(tried)
            tried_residual = target - foot
            tried_error = (tried_residual**2).sum(axis=1)
            better = tried_error <= error
            gain = error - tried_error
            q = np.where(better[:, None], tried, q)
            residual = np.where(better[:, None], tried_residual, residual)
            jacobian = np.where(better[:, None, None], tried_jacobian, jacobian)
            bend = np.where(better[:, None, None, None], tried_bend, bend)
            error = np.where(better, tried_error, error)
            damping = np.where(better, damping * 0.1, damping * 10.0)
            settled = better & (gain < 1e-6 * error)  # as near as it gets to a point out of reach
            done = (error < _CONVERGED**2) | settled | (damping > 1e6)
            if done.any():
                angles[todo[done]], distance[todo[done]] = q[done], np.sqrt(error[done])
                rest = ~done
                todo, q, target, damping = todo[rest], q[rest], target[rest], damping[rest]
                residual, jacobian, bend, error = residual[rest], jacobian[rest], bend[rest], error[rest]
                if len(todo) == 0:
                    return angles, distance
        angles[todo], distance[todo] = q, np.sqrt(error)
        return angles, distance

    def _derivatives(self, angles: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Foot centres (m, 3), and their first (m, 3, k) and second derivatives (m, 3, k, k) by the joint angles."""
        m, k = angles.shape
        sin, cos = np.sin(angles.T), np.cos(angles.T)
        # from the foot inwards: [:, i, j] is the foot, as the next joint sees it, derived by the i-th and the j-th of
        # the joints passed so far, counted from the foot; 0 stands for not deriving
        table = np.broadcast_to(self._foot[:, None, None, None], (3, 1, 1, m))
        for i in reversed(range(k)):
            # Rodrigues: R v = v + sin K v + (1 - cos) K^2 v
            plain, once, twice = (self._turns[i] @ table.reshape(3, -1)).reshape(3, *table.shape)
            size = table.shape[1]
            table = np.empty((3, size + 1, size + 1, m))
            table[:, :-1, :-1] = plain + sin[i] * once + (1.0 - cos[i]) * twice
            table[:, -1, :-1] = table[:, :-1, -1] = cos[i] * once[:, 0] + sin[i] * twice[:, 0]
            table[:, -1, -1] = cos[i] * twice[:, 0, 0] - sin[i] * once[:, 0, 0]
            table[:, 0, 0] += self._origins[i]
        foot, slope, bend = table[:, 0, 0], table[:, 0, :0:-1], table[:, :0:-1, :0:-1]
        return foot.T, slope.transpose(2, 0, 1), bend.transpose(3, 0, 1, 2)


def _turns_of(fixed: FloatArray, axis: FloatArray) -> FloatArray:
    """F, F K and F K^2 on top of each other, shape (9, 3), with K v = axis x v."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.concatenate([fixed, fixed @ cross, fixed @ cross @ cross])
