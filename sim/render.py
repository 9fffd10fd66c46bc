"""Videos of a simulated robot, drawn offscreen: no display and no GPU needed.

PyBullet's software renderer draws the robot. Its floors flicker and its shadows depend on the scene's size, so floor
and shadow are worked out here: from each pixel's ray, and from a second view as the light has it. A rough floor is
drawn flat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robotps.errors import RobotpsError, require
from robotps.parameters import FloatArray
from robotps.robot import Motion, Robot
from sim.robot import SimulatedRobot

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480
FINER = 2
"""The robot is drawn this many times finer, so that its edges are smooth."""
FIELD_OF_VIEW = math.radians(30.0)
"""Upright."""
YAW, PITCH = math.radians(-142.0), math.radians(-20.0)
"""Where the camera looks: at the robot's front and its left side, and down."""
LAG = 0.1
"""s by which the camera follows, so that it does not shake with the robot."""
TILE = 0.1
"""m; the floor's squares."""
LIGHT_TILE, DARK_TILE, SKY, SHADOW = 233.0, 209.0, 247.0, 0.68
LIGHT = np.array([0.35, 0.45, 1.0]) / np.linalg.norm([0.35, 0.45, 1.0])
"""Towards the light."""
SHADOW_PIXELS = 320


def record_video(
    robot: Robot, motion: Motion, seconds: float, path: Path | str, fps: int = 25, begin: float = 0.0, pace: float = 1.0
) -> None:
    """Let the robot stand where the motion begins, play it, and write what a camera that follows it sees as H.264.

    The file shows it from `begin` (s) on at `pace` times the robot's own speed; browsers and phones play it too. Raises
    RobotpsError where it cannot be written.
    """
    writer = require("imageio.v2", "video")
    path = Path(path)
    if path.suffix != ".mp4":
        raise RobotpsError(f"{path}: a video is written as FILE.mp4")
    part = path.with_name(f".{path.stem}.part{path.suffix}")  # whoever interrupts should not find half a video
    form: dict[str, Any] = {"format": "FFMPEG", "codec": "libx264", "pixelformat": "yuv420p", "quality": 8}
    try:
        with writer.get_writer(part, fps=fps, **form) as file:
            for frame in frames(robot, motion, seconds, fps, begin, pace):
                file.append_data(frame)
        part.replace(path)
    except OSError as error:
        raise RobotpsError(f"{path}: the video cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def frames(
    robot: Robot, motion: Motion, seconds: float, fps: float = 25, begin: float = 0.0, pace: float = 1.0
) -> Iterator[Image]:
    """Pictures of the robot, (height, width, 3), as it plays a motion from standing; of what is after `begin`, s."""
    if not isinstance(robot, SimulatedRobot):
        raise ValueError("only a simulated robot can be drawn")
    robot.visible = True
    robot.stand(motion(0.0, None))
    camera = _Camera(robot, fps / pace)
    shown = 0
    for observation in robot.play(motion, seconds):
        while begin + shown * pace / fps < observation.time - 1e-9:
            yield camera.picture()
            shown += 1


class _Camera:
    """Follows the robot, always looking the same way; so a pixel's ray, and where it meets the floor, only shifts."""

    def __init__(self, robot: SimulatedRobot, fps: float) -> None:
        self._robot = robot
        self._eagerness = 1.0 - math.exp(-1.0 / (LAG * fps))
        position = robot._base()[0]
        for floor in range(robot._body):
            robot._p.changeVisualShape(floor, -1, rgbaColor=[0, 0, 0, 0], physicsClientId=robot._client)
        boxes = [robot._p.getAABB(robot._body, i, physicsClientId=robot._client) for i in [-1, *robot._joints]]
        size = np.max([box[1] for box in boxes], axis=0) - np.min([box[0] for box in boxes], axis=0)
        self._distance = 2.1 * float(np.linalg.norm(size))
        self._target = np.array([position[0], position[1], 0.42 * position[2]])
        ahead = np.array([math.cos(PITCH) * math.cos(YAW), math.cos(PITCH) * math.sin(YAW), math.sin(PITCH)])
        self._back = -ahead * self._distance
        self._floor, self._blur, self._haze = self._rays(ahead)

    def picture(self) -> Image:
        position = np.array(self._robot._base()[0])
        self._target[:2] += self._eagerness * (position[:2] - self._target[:2])
        eye = self._target + self._back
        floor = self._floor + eye[:2].astype(np.float32)
        light = np.where(self._haze < 1, 1.0 - (1.0 - SHADOW) * self._shadow(floor), 1.0)
        tiles = DARK_TILE + (LIGHT_TILE - DARK_TILE) * _chequers(floor / TILE, self._blur / TILE)
        background = self._haze * SKY + (1 - self._haze) * light * tiles
        colours, mask = self._drawn(eye, self._target, FIELD_OF_VIEW, (FINER * WIDTH, FINER * HEIGHT))
        robot = _coarser(np.where(mask[:, :, None], colours, 0).astype(np.float32))
        covered = _coarser(mask.astype(np.float32))
        picture: Image = (robot + ((1 - covered) * background)[:, :, None]).astype(np.uint8)
        return picture

    def _rays(self, ahead: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Where rays meet the floor, from below the eye, m; how much of it a pixel covers, m; share of haze."""
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        up = np.cross(right, ahead)
        half = math.tan(FIELD_OF_VIEW / 2)
        u = np.linspace(-1, 1, WIDTH) * half * WIDTH / HEIGHT
        v = np.linspace(1, -1, HEIGHT) * half
        rays = ahead + u[None, :, None] * right + v[:, None, None] * up
        height = (self._target + self._back)[2]
        reach = height / np.maximum(-rays[:, :, 2], 1e-3)
        floor = rays[:, :, :2] * reach[:, :, None]
        down, across = np.gradient(floor, axis=(0, 1))
        far = np.linalg.norm(floor, axis=2) / self._distance
        blur, haze = np.abs(down) + np.abs(across), np.clip((far - 1.5) / 3.5, 0, 1)
        return floor.astype(np.float32), blur.astype(np.float32), haze.astype(np.float32)

    def _shadow(self, floor: FloatArray) -> FloatArray:
        """How much of the light the robot takes from points on the floor, (height, width, 2), m."""
        spread = 0.12
        away = self._target + LIGHT * self._distance / spread
        view, lens = self._matrices(away, self._target, spread, 1.0)
        seen = self._drawn(away, self._target, spread, (SHADOW_PIXELS, SHADOW_PIXELS))[1]
        mask: FloatArray = seen.astype(np.float32)
        for axis in (0, 1, 0, 1):  # a light that is not a point has soft shadows
            mask = (np.roll(mask, 1, axis) + mask + np.roll(mask, -1, axis)) / 3
        onto = (lens @ view).astype(np.float32)
        x, y, w = (onto[i, 0] * floor[:, :, 0] + onto[i, 1] * floor[:, :, 1] + onto[i, 3] for i in (0, 1, 3))
        column = np.clip((x / w + 1) / 2 * (SHADOW_PIXELS - 1), 0, SHADOW_PIXELS - 1.001)
        row = np.clip((1 - y / w) / 2 * (SHADOW_PIXELS - 1), 0, SHADOW_PIXELS - 1.001)
        i, j = row.astype(int), column.astype(int)
        a, b = row - i, column - j
        shadow: FloatArray = (
            (mask[i, j] * (1 - b) + mask[i, j + 1] * b) * (1 - a)
            + (mask[i + 1, j] * (1 - b) + mask[i + 1, j + 1] * b) * a
        )  # fmt: skip
        return shadow

    def _matrices(self, eye: FloatArray, target: FloatArray, field: float, aspect: float) -> tuple[Any, Any]:
        p = self._robot._p
        away = float(np.linalg.norm(eye - target))
        view = p.computeViewMatrix(eye.tolist(), target.tolist(), [0.0, 0.0, 1.0])
        lens = p.computeProjectionMatrixFOV(math.degrees(field), aspect, away / 10, away * 4)
        return np.reshape(view, (4, 4)).T, np.reshape(lens, (4, 4)).T

    def _drawn(
        self, eye: FloatArray, target: FloatArray, field: float, size: tuple[int, int]
    ) -> tuple[Image, NDArray[np.bool_]]:
        """Colours (height, width, 3), and which pixels show the robot."""
        width, height = size
        view, lens = self._matrices(eye, target, field, width / height)
        _, _, colours, _, bodies = self._robot._p.getCameraImage(
            width,
            height,
            view.T.ravel().tolist(),
            lens.T.ravel().tolist(),
            lightDirection=LIGHT.tolist(),
            lightAmbientCoeff=0.55,
            lightDiffuseCoeff=0.5,
            lightSpecularCoeff=0.05,
            shadow=0,
            renderer=self._robot._p.ER_TINY_RENDERER,
            physicsClientId=self._robot._client,
        )
        rgb = np.asarray(colours, dtype=np.uint8).reshape(height, width, 4)[:, :, :3]
        return rgb, np.asarray(bodies).reshape(height, width) == self._robot._body


def _coarser(picture: FloatArray) -> FloatArray:
    """The mean of every FINER x FINER pixels."""
    corners = [picture[i::FINER, j::FINER] for i in range(FINER) for j in range(FINER)]
    means: FloatArray = np.mean(corners, axis=0)
    return means


def _chequers(places: FloatArray, blur: FloatArray) -> FloatArray:
    """Brightness, 0 to 1, of a board of unit squares averaged over boxes of this size around places (..., 2)."""

    def integral(x: FloatArray) -> FloatArray:  # of a square wave of -1, 1 and period 2
        wave: FloatArray = np.abs((x % 2) - 1)
        return wave

    size = np.maximum(blur, 1e-3)
    wave = (integral(places + size / 2) - integral(places - size / 2)) / size
    board: FloatArray = 0.5 - 0.5 * wave[..., 0] * wave[..., 1]
    return board
