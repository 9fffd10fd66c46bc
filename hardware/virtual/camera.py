"""An overhead camera that films the robot with its marker sheet: what `--odometer video:FILE` is meant to look at.

Only poses are kept while the robot walks, a frame's worth every 80 ms of its own time; frames are drawn when the film
is saved, so that nothing is slower for being filmed. A film begins where the robot was last put at the start.

The sheet is that of `robotps markers`: ArUco 4x4_50, ids 0 to 3 with their tops to the left of the way at the corners
of a rectangle of 2 x 1 m (0, 1 along the way, 2, 3), id 4 flat on the trunk, its top to the robot's left.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hardware.virtual.mjcf import Builder
from hardware.virtual.plant import Plant
from robotps.errors import RobotpsError, require
from robotps.parameters import FloatArray

EVERY = 0.08
"""s between two frames."""
LONGEST = 1500
"""Frames; the last two minutes of a film are kept."""
WIDTH, HEIGHT = 1280, 720
EYE = (0.6, 0.0, 2.4)
"""m; the camera looks straight down."""
SEEN = 2.7
"""m of the floor from the left of a frame to its right."""
CENTRES = ((-0.4, -0.5), (1.6, -0.5), (1.6, 0.5), (-0.4, 0.5))
"""Of floor markers 0 to 3, m from the start."""
ON_FLOOR, ON_ROBOT = 0.15, 0.05
"""Sides of the black squares, m."""
CELLS = 6
THICK = 0.0005
"""m, of a printed cell above its paper: what lies deeper is hidden."""


class Camera:
    """Films a plant. Raises MissingExtra where nothing can draw the markers."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._cv2: Any = require("cv2", "camera")
        self._every = max(1, round(EVERY / plant.period))
        self._film: deque[FloatArray] = deque(maxlen=LONGEST)
        self._first = self._last = 0
        plant.listeners.append(self._watch)

    def start(self) -> None:
        """Begin a new film, here and now."""
        self._film.clear()
        self._first, self._last = self._plant.ticks // self._plant.ticks_a_period, -1
        self._watch()

    @property
    def filming(self) -> bool:
        """Whether there is anything to save."""
        return bool(self._film)

    def _watch(self) -> None:
        period = self._plant.ticks // self._plant.ticks_a_period
        if (period - self._first) % self._every == 0 and period != self._last:
            self._film.append(self._plant.body.data.qpos.copy())
            self._last = period

    def save(self, path: Path) -> int:
        """Draw the film into a video file, whole or not at all; how many frames it has.

        Raises RobotpsError where nothing was filmed, nothing can be drawn, or the file cannot be written.
        """
        if not self._film:
            raise RobotpsError(f"{path}: nothing has been filmed since the robot was put at the start")
        cv2, rate = self._cv2, 1 / (self._every * self._plant.period)
        unfinished = path.with_name(f".{path.stem}.part.mp4")
        writer = cv2.VideoWriter(str(unfinished), cv2.VideoWriter_fourcc(*"mp4v"), rate, (WIDTH, HEIGHT))
        if not writer.isOpened():
            raise RobotpsError(f"{path}: cannot be written as a video")
        try:
            for frame in self._frames():
                writer.write(frame)
        except BaseException:
            writer.release()
            unfinished.unlink(missing_ok=True)
            raise
        writer.release()
        os.replace(unfinished, path)
        return len(self._film)

    def _frames(self) -> Iterator[Any]:
        mujoco: Any = require("mujoco", "virtual")
        plant = self._plant
        builder = Builder(plant.description, plant.reality, plant.tick)
        top = builder.trunk()[2] + 0.002
        floor = "".join(self._marker(id_, (x, y, 0.0), ON_FLOOR) for id_, (x, y) in enumerate(CENTRES))
        model = mujoco.MjModel.from_xml_string(
            builder.xml(scenery=floor + _LIGHTS, on_trunk=self._marker(4, (0.0, 0.0, top), ON_ROBOT))
        )
        model.cam_fovy[0] = _field_of_view()
        data = mujoco.MjData(model)
        with _drawing(mujoco, model) as draw:
            for pose in list(self._film):
                data.qpos[:] = pose
                mujoco.mj_forward(model, data)
                yield draw(data)

    def _marker(self, id_: int, centre: tuple[float, float, float], side: float) -> str:
        """A marker as thin boxes: its paper, a cell wider, and the black cells on it."""
        aruco = self._cv2.aruco
        picture = aruco.generateImageMarker(aruco.getPredefinedDictionary(aruco.DICT_4X4_50), id_, CELLS)
        x, y, z = centre
        cell = side / CELLS
        boxes = [_slab(x, y, z + THICK, side + 2 * cell, 1)]
        for row, line in enumerate(picture):
            for column, value in enumerate(line):
                if not value:
                    u, v = x - side / 2 + (column + 0.5) * cell, y + side / 2 - (row + 0.5) * cell
                    boxes.append(_slab(u, v, z + 2 * THICK, cell, 0))
        return "".join(boxes)


def _slab(x: float, y: float, z: float, side: float, white: int) -> str:
    """Something square and flat that nothing collides with."""
    return (
        f'<geom type="box" pos="{x} {y} {z}" size="{side / 2} {side / 2} {THICK}" contype="0" conaffinity="0" '
        f'rgba="{white} {white} {white} 1"/>'
    )


_LIGHTS = (
    f'<camera name="overhead" pos="{EYE[0]} {EYE[1]} {EYE[2]}"/>'
    '<light directional="true" dir="0 0 -1" castshadow="false" diffuse="0.5 0.5 0.5" specular="0 0 0"/>'
)


def _field_of_view() -> float:
    """Vertical, degrees."""
    return 2 * math.degrees(math.atan(SEEN / 2 * HEIGHT / WIDTH / EYE[2]))


@contextlib.contextmanager
def _drawing(mujoco: Any, model: Any) -> Iterator[Any]:
    """Yields a function that draws data as an image (HEIGHT, WIDTH, 3), blue first, without a display."""
    context = _context()
    try:
        context.make_current()
        options, scene = mujoco.MjvOption(), mujoco.MjvScene(model, maxgeom=2000)
        view = mujoco.MjvCamera()
        view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        renderer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        # drawn without a graphics card, each of these costs as much as the rest
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, renderer)
        rectangle = mujoco.MjrRect(0, 0, WIDTH, HEIGHT)

        def draw(data: Any) -> Any:
            image = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
            mujoco.mjv_updateScene(model, data, options, None, view, mujoco.mjtCatBit.mjCAT_ALL, scene)
            mujoco.mjr_render(rectangle, scene, renderer)
            mujoco.mjr_readPixels(image, None, rectangle, renderer)
            return np.ascontiguousarray(image[::-1, :, ::-1])

        yield draw
        renderer.free()
    finally:
        context.free()


def _context() -> Any:
    """An OpenGL context without a display; raises RobotpsError where this computer has none."""
    kinds = ["osmesa"] if os.environ.get("MUJOCO_GL") == "osmesa" else ["egl", "osmesa"]
    troubles = []
    for kind in kinds:
        try:
            module = __import__(f"mujoco.{kind}", fromlist=["GLContext"])
            return module.GLContext(WIDTH, HEIGHT)
        except Exception as error:  # each of them fails in ways of its own
            troubles.append(f"{kind}: {error}")
    raise RobotpsError(
        f"this computer cannot draw without a display ({'; '.join(troubles)}): apt install libegl1 libegl-mesa0, or "
        f"libosmesa6 and set MUJOCO_GL=osmesa"
    )
