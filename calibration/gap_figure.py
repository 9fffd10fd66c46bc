"""One picture of a gap: speeds gait by gait, trajectories overlaid, and how errors grow with every step ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.gap import GaitPair, Gap
from robotps.agreement import path
from robotps.figures import ACCENT, INK, PALE, new_figure
from robotps.parameters import FloatArray
from robotps.result import mean_and_interval
from robotps.robot import Telemetry

SHOWN_PERIODS = 3
"""Gait periods of a joint's angle that are drawn."""


def draw_gap(gap: Gap, file: Path) -> None:
    """Draw a gap to a PNG file."""
    figure, axes = new_figure(12, 8.5, 2, 2)
    _speeds(axes[0, 0], gap)
    _travels(axes[0, 1], gap)
    _joint(axes[1, 0], gap)
    _growth(axes[1, 1], gap)
    figure.suptitle(
        f"{len(gap.pairs)} gaits, simulated and real: the gap is {gap.size} ({gap.relative_error:.0%} of the speed)",
        color=INK,
        x=0.01,
        ha="left",
    )
    figure.savefig(file, dpi=130)


def _speeds(axis: Any, gap: Gap) -> None:
    """Simulated against real mean speed with 95 % intervals, one point a gait."""
    ends = []
    for pair in gap.pairs:
        x, (left, right) = _mean(pair.real)
        y, (low, high) = _mean(pair.simulated)
        axis.errorbar(
            x,
            y,
            xerr=[[x - left], [right - x]],
            yerr=[[y - low], [high - y]],
            fmt="o",
            color=INK,
            ecolor=PALE,
            capsize=2,
        )
        ends += [x, y]
    margin = 0.06 * (max(ends) - min(ends) + 0.01)
    span = [min(ends) - margin, max(ends) + margin]
    axis.plot(span, span, color=ACCENT, linewidth=1, linestyle="--", zorder=0)
    axis.annotate("equal", (span[1], span[1]), color=ACCENT, fontsize=8, ha="right", va="top")
    axis.set_xlim(span)
    axis.set_ylim(span)
    axis.set_xlabel("real speed (m/s): mean and 95 % interval")
    axis.set_ylabel("simulated speed (m/s)")
    axis.set_title("gait by gait", fontsize=10, color=INK)


def _travels(axis: Any, gap: Gap) -> None:
    """How far each gait went over time: real solid, simulated dashed."""
    drawn = False
    for index, pair in enumerate(_spread(gap.pairs)):
        colour = f"C{index}"
        for telemetry, style in ((pair.trials[0].telemetry, "-"), (pair.telemetry, "--")):
            gone = None if telemetry is None else _forward(telemetry)
            if telemetry is not None and gone is not None:
                axis.plot(telemetry.time, gone, style, color=colour, linewidth=1.4)
                drawn = True
    if drawn:
        axis.plot([], [], "-", color=INK, label="real")
        axis.plot([], [], "--", color=INK, label="simulated")
        axis.legend(frameon=False, fontsize=8)
    else:
        axis.text(0.5, 0.5, "where the body was is not logged", transform=axis.transAxes, ha="center", color=INK)
    axis.set_xlabel("s")
    axis.set_ylabel("forward (m)")
    axis.set_title("trajectories: some gaits from the slowest to the fastest", fontsize=10, color=INK)


def _joint(axis: Any, gap: Gap) -> None:
    """The worst joint's angle over some periods of the gait with the greatest gap."""
    pair = max(gap.pairs, key=lambda each: abs(float(each.simulated.mean() - each.real.mean())))
    worst = gap.worst_joints()
    name = worst[0][0] if worst else gap.joint_names[0]
    column = list(gap.joint_names).index(name)
    begin = pair.trials[0].settings.warm_up
    real = pair.trials[0].telemetry
    for telemetry, colour, label in ((real, INK, "real"), (pair.telemetry, ACCENT, "simulated")):
        if telemetry is not None and telemetry.position is not None:
            kept = _within(telemetry.time, begin, begin + SHOWN_PERIODS * pair.gait.parameters["period"])
            axis.plot(telemetry.time[kept], telemetry.position[kept, column], color=colour, linewidth=1.4, label=label)
    kept = _within(real.time, begin, begin + SHOWN_PERIODS * pair.gait.parameters["period"])
    axis.plot(real.time[kept], real.sent[kept, column], color=PALE, linewidth=1.2, label="commanded", zorder=0)
    axis.legend(frameon=False, fontsize=8)
    axis.set_xlabel("s")
    axis.set_ylabel("rad")
    axis.set_title(f"{name.replace('_', ' ')}, the gait with the greatest gap", fontsize=10, color=INK)


def _growth(axis: Any, gap: Gap) -> None:
    """Prediction errors along the real trajectory, as a share of what moved, with every step ahead."""
    if gap.prediction is None:
        axis.text(0.5, 0.5, "nothing to predict along", transform=axis.transAxes, ha="center", color=INK)
        return
    for name, share in gap.prediction.shares.items():
        axis.plot(np.arange(1, len(share) + 1), 100 * share, "o-", markersize=3, linewidth=1.2, label=name)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("control periods ahead")
    axis.set_ylabel("error, % of what moved")
    axis.legend(frameon=False, fontsize=8)
    axis.set_title("prediction along the real trajectory", fontsize=10, color=INK)


def _mean(speeds: FloatArray) -> tuple[float, tuple[float, float]]:
    mean, (low, high) = mean_and_interval(speeds.tolist())
    return (mean, (low, high)) if np.isfinite(low) else (mean, (mean, mean))


def _spread(pairs: Any, count: int = 4) -> list[GaitPair]:
    ordered = sorted(pairs, key=lambda pair: float(pair.real.mean()))
    return [ordered[i] for i in sorted({round(x) for x in np.linspace(0, len(ordered) - 1, min(count, len(ordered)))})]


def _forward(telemetry: Telemetry) -> FloatArray | None:
    if telemetry.base_position is None or telemetry.orientation is None:
        return None
    known = np.isfinite(telemetry.base_position).all(axis=1)
    first = int(np.argmax(known))
    gone = path(telemetry.base_position[first:], telemetry.orientation[first:])[:, 0]
    return np.concatenate([np.full(first, np.nan), gone])


def _within(time: FloatArray, begin: float, end: float) -> Any:
    return (time >= begin) & (time <= end)
