"""Joint zeros from legs that stand on the floor: closing the kinematic chain.

Where the body's pose is tracked, the height over the floor of what a leg stands on is known: nothing. What the joints'
readings say instead is the error of their zeros (Hollerbach & Wampler 1996). A leg stands on its foot or, as the
ERS-210 does in front, on its elbow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.fit import Estimate, fit
from calibration.grid import Grid
from calibration.unknowns import SINK, Unknown
from robotps.description import Foot, Leg, RobotDescription
from robotps.kinematics import LegKinematics
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.rotations import rotation_matrices

NEAR = (0.02, 0.005)
"""m; a foot nearer to the floor is taken to stand there: at first, and once the zeros are about right."""
BACKLASH = "servo.backlash_rad"
UNLOADED = 0.02
"""Of the stall current: with less it is not sure which side of the play a gear lies at."""
RESTING = 0.06
"""m/s; a foot that is faster does not stand."""
CORRELATED = 8.0
CHUNK = 0.25
"""s of a segment."""
THIN = 2
"""Of so many control periods one is looked at."""


class StanceProblem:
    """See fit.Problem; the quantity is the height of the standing legs' lowest points, m.

    unknowns: the joints' zeros, in joint order; then, or not, the servos' backlash and how far feet sink in.
    """

    def __init__(self, description: RobotDescription, grids: Sequence[Grid], unknowns: Sequence[Unknown]) -> None:
        self.unknowns: Sequence[Unknown] = tuple(unknowns)
        self._legs = [_ends(description.legs[leg], of_links=description.urdf is None) for leg in LEGS]
        length = max(2, round(CHUNK / (THIN * grids[0].period)))
        names = [unknown.name for unknown in unknowns]
        known = all(grid.current is not None for grid in grids)
        self._play = names.index(BACKLASH) if known and BACKLASH in names else None
        self._sink = names.index(SINK) if SINK in names else None
        stall = description.servo.stall_torque * description.servo.no_load_speed / description.servo.voltage
        positions, bases, turns, sides = [], [], [], []
        for grid in grids:
            assert grid.base_position is not None
            assert grid.orientation is not None
            whole = len(grid) // (length * THIN) * length * THIN
            positions.append(grid.position[:whole:THIN].reshape(-1, length, grid.position.shape[1]))
            current = np.zeros_like(grid.position) if grid.current is None else grid.current
            sides.append((current / (np.abs(current) + UNLOADED * stall))[:whole:THIN].reshape(positions[-1].shape))
            bases.append(grid.base_position[:whole:THIN].reshape(-1, length, 3))
            turns.append(rotation_matrices(grid.orientation[:whole:THIN]).reshape(-1, length, 3, 3))
        self._side = np.concatenate(sides)
        self._position, self._base = np.concatenate(positions), np.concatenate(bases)
        self._turn = np.concatenate(turns)
        self._down = self._turn[:, :, 2]
        self.channels: NDArray[np.int64] = np.zeros(length * len(self._legs), dtype=np.int64)
        self.floor = np.array([0.0004])
        self._resting = self._slow(THIN * grids[0].period)
        self._standing = np.ones((len(self._position), length * len(self._legs)), dtype=bool)

    def _slow(self, step: float) -> NDArray[np.bool_]:
        """Where what is lowest of a leg moves no faster than RESTING: neither lifting off nor touching down."""
        parts = []
        for ends in self._of_legs(self._position):
            placed = self._base[:, :, None] + np.einsum("clij,clej->clei", self._turn, ends)
            speed = np.linalg.norm(np.gradient(placed, step, axis=1), axis=3)
            lowest = placed[..., 2].argmin(axis=2)
            parts.append(np.take_along_axis(speed, lowest[:, :, None], axis=2)[:, :, 0] < RESTING)
        return np.concatenate(parts, axis=1)

    def choose(self, values: FloatArray, near: float) -> None:
        """Look at feet within `near` m of the floor only, with the zeros given."""
        heights = np.nan_to_num(np.abs(self._heights(values)), nan=np.inf)
        self._standing = (heights < near) & self._resting

    @property
    def correlated(self) -> float:
        """See fit.Problem."""
        return CORRELATED

    def residuals(self, values: FloatArray) -> FloatArray:
        """See fit.Problem."""
        return np.where(self._standing, self._heights(values), np.nan)

    def jacobian(self, values: FloatArray, columns: Sequence[int], steps: FloatArray) -> FloatArray:
        """See fit.Problem."""
        here = self._heights(values)
        slopes = []
        for column in columns:
            moved = values.copy()
            moved[column] += 1e-5
            slopes.append(np.where(self._standing, (self._heights(moved) - here) / 1e-5, 0.0))
        return np.stack(slopes, axis=2)

    def _heights(self, values: FloatArray) -> FloatArray:
        """Of all feet's lowest points over the floor, (chunks, feet * length)."""
        # a servo that pushes a link has the play behind it
        play = 0.0 if self._play is None else values[self._play]
        links = self._position - 0.5 * play * self._side
        sink = 0.0 if self._sink is None else values[self._sink]
        radii = [np.array([end.foot_radius for end in leg]) for leg in self._legs]
        parts = [
            (self._base[:, :, 2:] + np.einsum("clj,clej->cle", self._down, ends) - radius).min(axis=2) + sink
            for ends, radius in zip(self._of_legs(links + values[: links.shape[2]]), radii, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _of_legs(self, angles: FloatArray) -> Iterator[FloatArray]:
        """Where the ends of each leg's links are in the body's frame, (chunks, length, ends, 3), at joint angles."""
        first = 0
        for leg in self._legs:
            places = [
                end.forward(angles[:, :, first : first + len(end.lower)].reshape(-1, len(end.lower))) for end in leg
            ]
            yield np.stack(places, axis=1).reshape(*angles.shape[:2], len(leg), 3)
            first += len(leg[0].lower)


def _ends(leg: Leg, *, of_links: bool) -> list[LegKinematics]:
    """A leg that ends at its foot; and, of_links, those that end at each of its joints, which are as thick as they."""
    ends = [LegKinematics(leg)]
    for n in range(1, len(leg.joints) if of_links else 0):
        joint = Foot(position=leg.joints[n].origin, radius=max(leg.joints[n - 1].radius, leg.joints[n].radius))
        ends.append(LegKinematics(Leg(joints=leg.joints[:n], foot=joint, rest=leg.rest[:n])))
    return ends


def joint_zeros(
    description: RobotDescription,
    grids: Sequence[Grid],
    unknowns: Sequence[Unknown],
    belief: FloatArray | None = None,
) -> Estimate:
    """Fit joints' zeros (and backlash) to motions on the floor in which the body was tracked. belief: see fit."""
    problem = StanceProblem(description, grids, unknowns)
    values = np.array([unknown.prior for unknown in unknowns])
    estimate = None
    for near in NEAR:
        problem.choose(values, near)
        estimate = fit(problem, belief=belief)
        values = estimate.values
    assert estimate is not None
    return estimate
