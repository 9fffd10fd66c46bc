"""The floor: a plane, or a patch of random heights on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.world import Floor

CELL = 0.05
"""m between neighbouring heights of a rough floor."""
CELLS = 200
"""along each side of the rough patch, which is 10 m long and has the robot's start in its middle."""


def lay_floor(p: Any, client: int | None, floor: Floor, generator: np.random.Generator) -> None:
    """Add the floor to a simulation. Its friction is the coefficient, as every link of the robot has friction 1."""
    plane = p.createCollisionShape(p.GEOM_PLANE, physicsClientId=client)
    bodies = [p.createMultiBody(0, plane, physicsClientId=client)]
    if floor.roughness_m > 0:
        half = floor.roughness_m / 2
        heights = generator.uniform(-half, half, (CELLS, CELLS))
        # PyBullet puts the middle between the lowest and the highest point at the body's origin
        heights[0, 0], heights[-1, -1] = -half, half
        shape = p.createCollisionShape(
            p.GEOM_HEIGHTFIELD,
            meshScale=[CELL, CELL, 1.0],
            heightfieldData=heights.ravel().tolist(),
            numHeightfieldRows=CELLS,
            numHeightfieldColumns=CELLS,
            physicsClientId=client,
        )
        bodies.append(p.createMultiBody(0, shape, physicsClientId=client))
        p.resetBasePositionAndOrientation(bodies[0], (0, 0, -half), (0, 0, 0, 1), physicsClientId=client)
    for body in bodies:
        p.changeDynamics(body, -1, lateralFriction=floor.friction, physicsClientId=client)
