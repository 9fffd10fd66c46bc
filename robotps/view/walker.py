"""One robot in a viser scene: its solids or its URDF's meshes, foot traces and marks where feet stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robotps.description import RobotDescription
from robotps.errors import MissingExtra
from robotps.feet import feet_in_body, stance
from robotps.gait import chains
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.robot import Telemetry
from robotps.rotations import rotation_matrices
from robotps.shapes import frames, poses, shapes

TRACE_COLOURS = ((47, 93, 138), (184, 71, 47), (47, 128, 98), (141, 79, 158))
GHOST_OPACITY = 0.35
_SHADE = 255


class Walker:
    """A robot that stands at any moment of a motion. ghost: drawn so that another one shows through."""

    def __init__(
        self, server: Any, name: str, description: RobotDescription, telemetry: Telemetry, *, ghost: bool
    ) -> None:
        self._description = description
        self._poses = poses(description, telemetry)
        self._root = server.scene.add_frame(f"/floor/{name}", show_axes=False)
        self._body = server.scene.add_frame(f"/floor/{name}/body", show_axes=False)
        self._opacity = GHOST_OPACITY if ghost else None
        self._urdf: Any = None
        self._links: list[Any] = []
        if description.urdf is not None and Path(description.urdf).exists():
            self._urdf = self._load_urdf(server, f"/floor/{name}/body", ghost)
        else:
            self._build(server, f"/floor/{name}/body")
        above = (0.0, 0.0, 1.5 * description.body.size[2] + 0.02)
        server.scene.add_label(f"/floor/{name}/body/name", name, position=above)
        self._feet = self._feet_on_floor()
        self._stance = stance(description, telemetry)
        self._marks = self._add_marks(server, f"/floor/{name}")
        self._traces = self._add_traces(server, f"/floor/{name}")

    @property
    def measured(self) -> bool:
        """Whether the body's position was; otherwise the robot walks on the spot."""
        return self._poses.measured

    def position(self, time: float) -> FloatArray:
        """The body on the floor, (3,), m."""
        return _between(self._poses.time, self._poses.position, time)

    def show(self, time: float) -> None:
        """Stand as at a moment, s."""
        at = self._poses
        self._body.position = _between(at.time, at.position, time)
        self._body.wxyz = _wxyz(_between(at.time, at.orientation, time))
        joints = _between(at.time, at.joints, time)
        if self._urdf is not None:
            self._urdf.update_cfg(joints[self._order])
        else:
            for link, frame, angle in zip(self._links, self._frames, joints, strict=True):
                link.wxyz = _wxyz(frame.turn(np.array([angle]))[0])
        tick = int(np.clip(np.searchsorted(at.time, time), 0, len(at.time) - 1))
        for number, mark in enumerate(self._marks):
            down = self._stance is not None and bool(self._stance[number, tick])
            mark.visible = down and self._marks_shown
            if down:
                x, y, z = self._feet[number, tick]
                mark.position = (x, y, z - chains(self._description)[number].foot_radius)

    def aside(self, metres: float) -> None:
        """Move the whole robot sideways on the floor."""
        self._root.position = (0.0, metres, 0.0)

    def visible(self, robot: bool, traces: bool, marks: bool) -> None:
        """What is drawn."""
        self._root.visible = robot
        for trace in self._traces:
            trace.visible = traces and self._poses.measured
        self._marks_shown = marks

    _marks_shown = True

    def _build(self, server: Any, root: str) -> None:
        self._frames = frames(self._description)
        paths = {"body": root}
        for frame in self._frames:
            paths[frame.name] = f"{paths[frame.parent]}/{frame.name}"
            link = server.scene.add_frame(paths[frame.name], show_axes=False, position=frame.origin)
            self._links.append(link)
        for number, shape in enumerate(shapes(self._description)):
            name = f"{paths[shape.frame]}/solid_{number}"
            red, green, blue = (round(_SHADE * part) for part in shape.colour)
            common = {
                "color": (red, green, blue),
                "position": shape.position,
                "wxyz": _wxyz(np.array(shape.turn)),
                "opacity": self._opacity,
            }
            if shape.kind == "box":
                server.scene.add_box(name, dimensions=shape.size, **common)
            elif shape.kind == "cylinder":
                server.scene.add_cylinder(name, radius=shape.size[0], height=shape.size[1], **common)
            else:
                server.scene.add_icosphere(name, radius=shape.size[0], **common)

    def _load_urdf(self, server: Any, root: str, ghost: bool) -> Any:
        try:
            from viser.extras import ViserUrdf

            colour = (0.6, 0.65, 0.7, GHOST_OPACITY) if ghost else None
            urdf = ViserUrdf(server, Path(str(self._description.urdf)), root_node_name=root, mesh_color_override=colour)
        except ImportError as error:
            raise MissingExtra("a URDF's meshes need yourdfpy: pip install 'robotps[view]'") from error
        named = [joint.urdf for joint in self._description.joints]
        self._order = [named.index(name) for name in urdf.get_actuated_joint_names()]
        return urdf

    def _feet_on_floor(self) -> FloatArray:
        """Foot centres (4, T, 3) where the robot is drawn."""
        at = self._poses
        feet = feet_in_body(self._description, at.joints)
        placed: FloatArray = at.position + np.einsum("tij,ltj->lti", rotation_matrices(at.orientation), feet)
        return placed

    def _add_marks(self, server: Any, root: str) -> list[Any]:
        """A flat disc under each foot, shown while it stands."""
        return [
            server.scene.add_cylinder(
                f"{root}/mark_{leg}",
                radius=2.2 * chain.foot_radius,
                height=0.001,
                color=colour,
                opacity=0.8,
                wxyz=(1.0, 0.0, 0.0, 0.0),
                cast_shadow=False,
            )
            for leg, chain, colour in zip(LEGS, chains(self._description), TRACE_COLOURS, strict=True)
        ]

    def _add_traces(self, server: Any, root: str) -> list[Any]:
        """The way of each foot over the floor."""
        traces = []
        for leg, foot, colour in zip(LEGS, self._feet, TRACE_COLOURS, strict=True):
            pairs = np.stack([foot[:-1], foot[1:]], axis=1).astype(np.float32)
            traces.append(server.scene.add_line_segments(f"{root}/trace_{leg}", pairs, colour, thickness=0.002))
        return traces


def _between(times: FloatArray, values: FloatArray, time: float) -> FloatArray:
    """Values (k,) at a moment, linear between ticks."""
    after = int(np.clip(np.searchsorted(times, time), 1, len(times) - 1)) if len(times) > 1 else 0
    before = max(after - 1, 0)
    width = times[after] - times[before]
    share = float(np.clip((time - times[before]) / width, 0.0, 1.0)) if width > 0 else 0.0
    there = values[after]
    if values.shape[1] == 4 and values[before] @ there < 0:
        there = -there  # the same turn; between the two signs lies the long way round
    mixed: FloatArray = values[before] + share * (there - values[before])
    return mixed


def _wxyz(quaternion: FloatArray) -> FloatArray:
    turn: FloatArray = np.roll(quaternion, 1) / np.linalg.norm(quaternion)
    return turn
