"""The robot walks back to its start by itself: curved paths by locus skew, watched by a position stream.

As the Aibos of Kohl & Stone (2004) turned round at each end of their field, so that nobody had to carry them. The way
is the shortest path of two arcs and a straight line between them that ends in the start's own heading (Dubins, "On
curves of minimal length", Am. J. Math. 79, 1957); the robot follows it step by step, a curvature at a time.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.faults import HardwareFault
from hardware.odometer import UPRIGHT, Pose, Stream
from hardware.person import Person, Request
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait, GaitCycle, UnreachableGait, gait_cycle, initial_gait
from robotps.parameters import FloatArray
from robotps.robot import Robot, RobotFault

STEP = 1.0
"""s that the robot walks before it looks again where it is."""
NEAR, STRAIGHT = 0.25, 0.35
"""m and rad from the start that are good enough."""
AHEAD = 0.15
"""m along the path that the robot aims at."""
SPACING = 0.01
"""m between points of a path."""
MARGIN = 0.7
"""Curvature of the path in parts of what the gait can do: the rest is for steering."""
TIRED, SLOWEST = 2.0, 0.03
"""A robot that takes so many times as long as one of so many m/s would gives up."""


@dataclass(frozen=True)
class Turn:
    """A gait that walks with a curvature, 1/m, left positive."""

    curvature: float
    cycle: GaitCycle


class WalksBack:
    """A person whose robot is put at the start by nobody but itself, once it was put there for the first time.

    Where it cannot walk there (it fell, it slips, nobody sees it) the person is asked after all.
    """

    def __init__(self, person: Person, robot: Robot, stream: Stream) -> None:
        self._person = person
        self._robot = robot
        self._stream = stream
        self._turns = list(turns(robot.description))
        self._start: Pose | None = None
        if len(self._turns) < 2:
            raise RobotpsError(
                f"--return: {robot.description.name} has no gait that turns: its locus_skew has no room both ways"
            )

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """See Person."""
        if what != "place_at_start":
            return self._person.ask(what, message, **details)
        try:
            if self._start is not None:
                self.walk()
                return {"done": True}
        except RobotFault as fault:
            self._person.tell(str(fault))
        answer = self._person.ask(what, message, **details)
        self._start = self._stream.pose()
        return answer

    def presses(self, since: float) -> list[float]:
        """See Person."""
        return self._person.presses(since)

    def tell(self, message: str) -> None:
        """See Person."""
        self._person.tell(message)

    def walk(self) -> None:
        """Walk to the start; raises HardwareFault where the robot does not get there."""
        start = self._start
        if start is None:
            raise ValueError("nobody has put the robot at its start yet")
        radius = 1 / (MARGIN * self._turns[-1].curvature)
        for _ in range(3):
            here = self._stream.pose()
            if arrived(here, start):
                return
            self._follow(shortest_path(here, start, radius))
        if not arrived(self._stream.pose(), start):
            raise HardwareFault("the robot did not find back to its start")

    def _follow(self, path: FloatArray) -> None:
        """Along points (n, 2), m, aiming `AHEAD` of the one nearest to the robot; the last ones are only aimed at."""
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        self._robot.stand(self._turns[0].cycle.standing)
        begin, time, ahead, seen = 0, 0.0, round(AHEAD / SPACING), -math.inf
        while begin < len(path) - 1 - ahead:
            here = self._stream.pose()
            if here.t <= seen:
                raise HardwareFault("the robot is no longer tracked: it does not walk back blindly")
            seen = here.t
            if here.upright < UPRIGHT:
                raise HardwareFault("the robot fell on its way back")
            if time > TIRED * length / SLOWEST:
                raise HardwareFault("the robot does not get back to its start: does it slip?")
            begin += int(np.argmin(np.linalg.norm(path[begin:] - (here.x, here.y), axis=1)))
            aim = path[min(begin + ahead, len(path) - 1)]
            for _ in self._robot.play(self._turning(curvature_to(here, aim)).cycle, STEP):
                pass
            time += STEP

    def _turning(self, curvature: float) -> Turn:
        return min(self._turns, key=lambda turn: abs(turn.curvature - curvature))


def turns(description: RobotDescription, count: int = 5) -> Iterator[Turn]:
    """The description's own gait, straight and turning both ways up to what its skew allows; sharpest left last.

    A leg that cannot quite follow a curved locus takes the nearest way: the robot then turns a little less.
    """
    gait = initial_gait(description)
    skew = description.gait.parameters["locus_skew"]
    sharpest = max(0.0, min(-skew.lower, skew.upper))
    for share in np.linspace(-1, 1, 2 * count + 1) if sharpest > 0 else (0.0,):
        curvature = float(share) * sharpest
        with contextlib.suppress(UnreachableGait):
            yield Turn(
                curvature, gait_cycle(description, Gait(gait.family, {**gait.parameters, "locus_skew": curvature}))
            )


def arrived(here: Pose, start: Pose) -> bool:
    """Whether the robot stands at the start, heading as then, as well as matters."""
    off = math.remainder(here.yaw - start.yaw, 2 * math.pi)
    return math.dist((here.x, here.y), (start.x, start.y)) < NEAR and abs(off) < STRAIGHT


def curvature_to(here: Pose, aim: FloatArray) -> float:
    """Of the arc from a pose along its heading through a point (pure pursuit)."""
    dx, dy = float(aim[0] - here.x), float(aim[1] - here.y)
    across = -math.sin(here.yaw) * dx + math.cos(here.yaw) * dy
    along = math.cos(here.yaw) * dx + math.sin(here.yaw) * dy
    square = max(dx * dx + dy * dy, 1e-6)
    if along < 0:
        return math.copysign(math.inf, across)  # behind: round as sharply as it goes
    return 2 * across / square


def shortest_path(here: Pose, there: Pose, radius: float) -> FloatArray:
    """Points (n, 2), m, of the shortest path of arc, straight line, arc from one pose to another; arcs of a radius.

    Beyond the end it goes straight on for `AHEAD`.
    """
    best: tuple[float, list[tuple[float, float]]] | None = None
    dx, dy = there.x - here.x, there.y - here.y
    distance, direction = math.hypot(dx, dy) / radius, math.atan2(dy, dx)
    a, b = here.yaw - direction, there.yaw - direction
    for first, last in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
        parts = _csc(distance, a, b, first, last)
        if parts is not None and (best is None or sum(parts) < best[0]):
            turn, straight, back = parts
            best = (
                sum(parts),
                [(turn * radius, first / radius), (straight * radius, 0.0), (back * radius, last / radius)],
            )
    assert best is not None  # the two arcs of the same sense always do
    return _points(here, [*best[1], (AHEAD, 0.0)])


def _csc(d: float, a: float, b: float, first: int, last: int) -> tuple[float, float, float] | None:
    """Angle, length and angle in radii, from heading a at the origin to heading b at (d, 0); +1 is left."""
    # centres of the two circles, and the line between them
    x = d + (-last * math.sin(b)) - (-first * math.sin(a))
    y = (last * math.cos(b)) - (first * math.cos(a))
    between, bearing = math.hypot(x, y), math.atan2(y, x)
    if first == last:
        straight, heading = between, bearing
    else:
        if between < 2:
            return None  # the circles overlap: no straight line touches both
        straight = math.sqrt(between * between - 4)
        heading = bearing + first * math.asin(2 / between)
    turn = (first * (heading - a)) % (2 * math.pi)
    back = (last * (b - heading)) % (2 * math.pi)
    return turn, straight, back


def _points(here: Pose, parts: list[tuple[float, float]]) -> FloatArray:
    """About every `SPACING` m along parts of (length, curvature)."""
    x, y, yaw = here.x, here.y, here.yaw
    points = [(x, y)]
    for length, curvature in parts:
        count = math.ceil(length / SPACING - 1e-9)
        step = length / max(count, 1)
        for _ in range(count):
            middle = yaw + curvature * step / 2
            x, y, yaw = x + step * math.cos(middle), y + step * math.sin(middle), yaw + curvature * step
            points.append((x, y))
    return np.array(points)
