"""Joint angles of one leg around the moment that is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from robotps.description import RobotDescription
from robotps.legs import LegName
from robotps.report.svg import Chart, span
from robotps.robot import Telemetry

STYLE = """<style>
.joints { font: 12px system-ui, sans-serif; padding: 0 .6rem; }
.joints svg { width: 100%; height: auto; }
.joints svg text { fill: #5a6b80; font-size: 12px; }
.joints .grid { stroke: #dfe4ea; fill: none; } .joints .axis { stroke: #5a6b80; fill: none; }
.joints .line { fill: none; stroke-width: 1.6; }
.joints .commanded { stroke: #9fb3c8; color: #9fb3c8; } .joints .recorded { stroke: #1b2a41; color: #1b2a41; }
.joints .replayed { stroke: #c8553d; color: #c8553d; }
.joints .cursor { stroke: #2f8062; stroke-width: 1.2; }
.joints p { margin: .5rem 0 0; } .joints b { font-weight: 600; }
.joints .key { display: inline-block; width: .9rem; border-top: 3px solid; margin: 0 .3rem .2rem .7rem; }
</style>"""
POINTS = 240
"""Points of a curve that are drawn, at most."""


class JointPlots:
    """Charts of each joint of a leg: commanded, recorded and replayed over time, and a line at the moment shown."""

    def __init__(self, description: RobotDescription, motions: Sequence[tuple[str, Telemetry]]) -> None:
        self._description = description
        self._motions = motions

    def html(self, leg: LegName, now: float) -> str:
        """The charts of a leg."""
        first = self._description.joint_names.index(f"{leg}_{self._description.legs[leg].joints[0].name}")
        names = ["commanded", *(name for name, _ in self._motions)]
        keys = "".join(f'<span class="key line {name}"></span>{name}' for name in names)
        charts = [
            f"<p><b>{escape(joint.name)}</b> {self._readings(first + number, now)}</p>"
            f"{self._chart(first + number, now)}"
            for number, joint in enumerate(self._description.legs[leg].joints)
        ]
        return f'{STYLE}<div class="joints"><div>{keys}</div>{"".join(charts)}</div>'

    def _readings(self, column: int, now: float) -> str:
        said = []
        for name, telemetry in self._motions:
            if telemetry.position is not None:
                tick = int(np.clip(np.searchsorted(telemetry.time, now), 0, len(telemetry.time) - 1))
                value = float(telemetry.position[tick, column])
                said.append(f"{name} {value:+.3f} rad" if math.isfinite(value) else f"{name} missing")
        return ", ".join(said)

    def _chart(self, column: int, now: float) -> str:
        _, first = self._motions[0]
        curves = [("commanded", first.time, first.sent[:, column])]
        for name, telemetry in self._motions:
            if telemetry.position is not None:
                curves.append((name, telemetry.time, telemetry.position[:, column]))
        chart = Chart(
            (float(first.time[0]), float(first.time[-1])),
            span(value for _, _, values in curves for value in values.tolist()),
            title=self._description.joint_names[column],
            description="commanded, recorded and replayed angle, rad, over time, s",
            size=(330, 120),
            left=42,
        )
        for name, time, values in curves:
            step = max(1, math.ceil(len(time) / POINTS))
            chart.line(time[::step], values[::step], name)
        chart.upright(now, "cursor")
        return chart.svg()
