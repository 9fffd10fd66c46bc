"""The markers that a camera odometer looks for, and a sheet of them to print at true size.

ArUco dictionary 4x4_50. Ids 0 to 3 lie on the floor, their centres at the corners of a rectangle: 0 at the origin, 1
`LENGTH` further along x (the way the robot is to walk), 2 opposite, 3 `WIDTH` from 0 along y (left of the way); all
with their tops towards +y. Id 4 lies flat on the robot, its top towards the robot's left, so that its right-hand edge
is the front.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robotps.errors import RobotpsError, require

FLOOR_IDS = (0, 1, 2, 3)
ROBOT_ID = 4
LENGTH, WIDTH = 2.0, 1.0
"""m, between the centres of the floor markers."""
FLOOR_SIZE = 0.15
"""m, outer edge of the black square."""
ROBOT_SIZE = 0.05
_BITS = 6
_PAGE = (0.210, 0.297)
_INCH = 0.0254


def dictionary() -> Any:
    """OpenCV's ArUco dictionary 4x4_50."""
    cv2 = require("cv2", "camera")
    return cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)


def bits(id_: int) -> Any:
    """A marker as an array (6, 6) of 0 black and 255 white, its border included."""
    cv2 = require("cv2", "camera")
    return cv2.aruco.generateImageMarker(dictionary(), id_, _BITS)


def write_sheet(path: Path) -> None:
    """A PDF of five A4 pages, one marker each at true size, with a line of 100 mm to check the printer by."""
    require("matplotlib", "plot")
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    places = ("at the origin", f"{LENGTH:g} m further along the way", "opposite the origin", f"{WIDTH:g} m left of it")
    try:
        with PdfPages(path) as pages:
            for id_ in (*FLOOR_IDS, ROBOT_ID):
                size = ROBOT_SIZE if id_ == ROBOT_ID else FLOOR_SIZE
                figure = Figure(figsize=(_PAGE[0] / _INCH, _PAGE[1] / _INCH))
                axes = figure.add_axes((0, 0, 1, 1))
                axes.set(xlim=(0, _PAGE[0]), ylim=(0, _PAGE[1]))
                axes.axis("off")
                left, bottom, cell = (_PAGE[0] - size) / 2, 0.12, size / _BITS
                axes.add_patch(Rectangle((left, bottom), size, size, color="black", linewidth=0))
                for row, line in enumerate(bits(id_)):
                    for column, value in enumerate(line):
                        if value:
                            corner = (left + column * cell, bottom + (_BITS - 1 - row) * cell)
                            axes.add_patch(Rectangle(corner, cell, cell, color="white", linewidth=0))
                axes.plot([0.055, 0.155], [0.04, 0.04], color="black", linewidth=1)
                where = (
                    "on the robot, flat, this side to its left" if id_ == ROBOT_ID else f"on the floor {places[id_]}"
                )
                axes.text(0.105, 0.285, f"marker {id_}: {where}", ha="center", va="top", fontsize=12)
                axes.text(0.105, 0.033, "this line is 100 mm long: print at 100 %", ha="center", va="top", fontsize=9)
                pages.savefig(figure)
    except OSError as error:
        raise RobotpsError(f"{path}: cannot be written: {error.strerror}") from None
