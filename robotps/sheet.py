"""A sheet of one trial, recorded and replayed: joint tracking, foot loci, stance and swing, body speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robotps.agreement import path
from robotps.description import RobotDescription
from robotps.feet import feet_in_body, stance
from robotps.figures import ACCENT, INK, PALE, blank_figure, save_figure, styled
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.replay import Replay
from robotps.robot import Telemetry

Motions = list[tuple[str, str, Telemetry]]
"""What is drawn: name, colour, telemetry."""


def draw_sheet(replay: Replay, file: Path, begin: float | None = None, end: float | None = None) -> None:
    """Draw a replay, or the part of it between two moments (s), to a PNG file."""
    from robotps.replay import excerpt

    description = replay.logged.description
    motions: Motions = []
    for name, colour, telemetry in (("recorded", INK, replay.recorded), ("replayed", ACCENT, replay.replayed)):
        if telemetry is not None and (telemetry is not replay.recorded or name == "recorded"):
            motions.append((name, colour, excerpt(telemetry, begin, end)))
    joints = max(len(description.legs[leg].joints) for leg in LEGS)
    figure = blank_figure(13, 2 * joints + 6)
    grid = figure.add_gridspec(joints + 3, 4, height_ratios=[1.6] * joints + [1.4, 1.5, 2.0])
    _draw_joints(figure, grid, description, motions)
    _draw_loci(figure, grid, joints, description, motions)
    _draw_stance(styled(figure.add_subplot(grid[joints + 1, :])), description, motions)
    _draw_speed(styled(figure.add_subplot(grid[joints + 2, :])), motions, replay.logged.gait.parameters["period"])
    figure.suptitle(_title(replay), color=INK, x=0.01, ha="left")
    save_figure(figure, file, dpi=110)


def _title(replay: Replay) -> str:
    record = replay.logged.record
    title = f"{replay.logged.description.title}, trial {record.id} ({record.ending})"
    if replay.identical:
        return f"{title}: replayed identically"
    if replay.agreement is not None:
        fits = ", ".join(f"{name} {fit:.2f}" for name, fit in replay.agreement.quantities.items())
        return f"{title}: agreement {replay.agreement.overall:.2f} ({fits})"
    return title


def _draw_joints(figure: Any, grid: Any, description: RobotDescription, motions: Motions) -> None:
    column = 0
    for across, leg in enumerate(LEGS):
        for down, joint in enumerate(description.legs[leg].joints):
            axis = styled(figure.add_subplot(grid[down, across]))
            for name, colour, telemetry in motions:
                if name == "recorded" or len(motions) == 1:
                    axis.plot(telemetry.time, telemetry.sent[:, column], color=PALE, linewidth=1.6, label="commanded")
                if telemetry.position is not None:
                    axis.plot(telemetry.time, telemetry.position[:, column], color=colour, linewidth=0.9, label=name)
            axis.set_title(f"{leg.replace('_', ' ')} {joint.name}", fontsize=9, color=INK)
            axis.tick_params(labelsize=7)
            if across == 0:
                axis.set_ylabel("rad", fontsize=8)
            if column == 0:
                figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
            column += 1


def _draw_loci(figure: Any, grid: Any, row: int, description: RobotDescription, motions: Motions) -> None:
    for across, leg in enumerate(LEGS):
        axis = styled(figure.add_subplot(grid[row, across]))
        for name, colour, telemetry in motions:
            if name == "recorded" or len(motions) == 1:
                commanded = feet_in_body(description, telemetry.sent)[across]
                axis.plot(1e3 * commanded[:, 0], 1e3 * commanded[:, 2], color=PALE, linewidth=1.6)
            if telemetry.position is not None:
                reached = feet_in_body(description, telemetry.position)[across]
                axis.plot(1e3 * reached[:, 0], 1e3 * reached[:, 2], color=colour, linewidth=0.7, alpha=0.8)
        axis.set_aspect("equal")
        axis.set_title(f"foot, {leg.replace('_', ' ')}", fontsize=9, color=INK)
        axis.set_xlabel("forward of the body's centre (mm)", fontsize=8)
        axis.tick_params(labelsize=7)
        if across == 0:
            axis.set_ylabel("up (mm)", fontsize=8)


def _draw_stance(axis: Any, description: RobotDescription, motions: Motions) -> None:
    """Bars where a foot stands on the floor."""
    height = 0.8 / len(motions)
    for shift, (_, colour, telemetry) in enumerate(motions):
        standing = stance(description, telemetry)
        if standing is None:
            continue
        for index, down in enumerate(standing):
            level = len(LEGS) - 1 - index + 0.4 - height * (shift + 1)
            axis.broken_barh(_intervals(telemetry.time, down), (level, height * 0.85), color=colour)
    axis.set_yticks(range(len(LEGS)), [leg.replace("_", " ") for leg in reversed(LEGS)], fontsize=8)
    axis.set_ylim(-0.6, len(LEGS) - 0.4)
    axis.set_title("stance: the foot is on the floor", fontsize=9, color=INK)
    axis.tick_params(labelsize=7)


def _intervals(time: FloatArray, on: Any) -> list[tuple[float, float]]:
    """Begin and length of every stretch in which `on` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    step = float(np.median(np.diff(time)))
    return [(float(time[a]), float(time[b - 1] - time[a] + step)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _draw_speed(axis: Any, motions: Motions, period: float) -> None:
    """Forward speed, and its mean over a gait period."""
    sensed = False
    for name, colour, telemetry in motions:
        if telemetry.base_position is None or telemetry.orientation is None or len(telemetry.time) < 3:
            continue
        sensed = True
        forward = path(telemetry.base_position, telemetry.orientation)[:, 0]
        axis.plot(telemetry.time, np.gradient(forward, telemetry.time), color=colour, linewidth=0.6, alpha=0.45)
        over = telemetry.time[telemetry.time >= telemetry.time[0] + period]
        gained = np.interp(over, telemetry.time, forward) - np.interp(over - period, telemetry.time, forward)
        axis.plot(over - period / 2, gained / period, color=colour, linewidth=2, label=f"{name}, mean over a period")
    axis.set_title("speed of the body along its heading at the start", fontsize=9, color=INK)
    axis.set_xlabel("s", fontsize=8)
    axis.set_ylabel("m/s", fontsize=8)
    axis.tick_params(labelsize=7)
    if sensed:
        axis.legend(fontsize=8, frameon=False)
    else:
        axis.text(0.5, 0.5, "nothing sensed where the body was", transform=axis.transAxes, ha="center", color=INK)
