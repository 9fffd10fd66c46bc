"""From flags to simulated robots: which world, and how a worker opens a robot in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from robotps.description import RobotDescription
from robotps.robot import Robot


def open_simulated(description: RobotDescription, world: Mapping[str, Any] | None, seed: int) -> Robot:
    """A simulated robot for one trial; the engine is imported here, in the process that runs the trial."""
    from sim.robot import SimulatedRobot
    from sim.world import World

    robot: Robot = SimulatedRobot(description, World.model_validate(world or {}), seed)
    return robot


def world_table(world: str | None, description: RobotDescription) -> dict[str, Any]:
    """`--world`: nominal, or what a file changes in it."""
    from sim.world import load_world

    if world is None or world == "nominal":
        return {}
    loaded = load_world(world)
    loaded.check_joints(description, world)
    table: dict[str, Any] = loaded.model_dump(mode="json", exclude_defaults=True)
    return table


def randomization_table(
    randomize: str | None, description: RobotDescription, world: Mapping[str, Any]
) -> dict[str, Any] | None:
    """`--randomize`: none, the robot's default, or a file's distributions over worlds, around that of `--world`."""
    if randomize is None or randomize == "none":
        return None
    from sim.randomization import load_randomization
    from sim.world import World

    loaded = load_randomization(randomize, description, World.model_validate(world))
    table: dict[str, Any] = loaded.model_dump(mode="json", exclude_defaults=True)
    return table


class SameWorld:
    """Every trial in the same world."""

    def __init__(self, world: Mapping[str, Any]) -> None:
        self.world = world

    def __call__(self, seed: int) -> Mapping[str, Any]:
        return self.world


class DrawnWorlds:
    """A world of its own for every seed."""

    def __init__(
        self, description: RobotDescription, world: Mapping[str, Any], randomization: Mapping[str, Any]
    ) -> None:
        from sim.randomization import Randomization
        from sim.world import World

        self._randomization = Randomization.model_validate(randomization)
        self._nominal = World.model_validate(world)
        self._description = description

    def __call__(self, seed: int) -> Mapping[str, Any]:
        return self._drawn(seed, 1.0)

    def narrowed(self, width: float) -> Callable[[int], Mapping[str, Any]]:
        """See robotps.performing.Narrowing."""
        return partial(self._drawn, width=width)

    def _drawn(self, seed: int, width: float) -> Mapping[str, Any]:
        world = self._randomization.draw(self._description, self._nominal, seed, width)
        table: dict[str, Any] = world.model_dump(mode="json", exclude_defaults=True)
        return table


def worlds(
    description: RobotDescription, world: Mapping[str, Any], randomization: Mapping[str, Any] | None
) -> SameWorld | DrawnWorlds:
    """The worlds of trials, by their seeds."""
    return SameWorld(world) if randomization is None else DrawnWorlds(description, world, randomization)


def simulation(description: RobotDescription) -> partial[Robot]:
    """How to open this robot in simulation."""
    return partial(open_simulated, description)
