"""Figures of runs as PNG files: how the score grew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robotps.errors import require
from robotps.files import written_whole
from robotps.history import History, history
from robotps.result import result_of
from robotps.run import Run
from robotps.settings import settings_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, ACCENT, PALE = "#1b2a41", "#c8553d", "#9fb3c8"


def blank_figure(width: float, height: float) -> Figure:
    """A figure that needs no display; sizes in inches."""
    require("matplotlib", extra="plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def styled(axis: Any) -> Any:
    """An axis in the style of the other figures."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e3e8ee", linewidth=0.8)
    axis.set_axisbelow(True)
    return axis


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """A figure and its axes (rows, columns)."""
    figure = blank_figure(width, height)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        styled(axis)
    return figure, axes


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure to a PNG file, whole or not at all; raises RobotpsError where it cannot be written."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)


def learning_curve(runs: Sequence[Run], path: Path) -> None:
    """Every trial of the search, and mean and middle half of each iteration; start and best as run again."""
    figure, axes = new_figure(8, 4.5)
    axis = axes[0, 0]
    label = "forward speed (m/s)"
    for run in runs:
        settings = settings_of(run)
        past = history(run.trials("search"), settings.tail)
        _curve(axis, past)
        result = result_of(run)
        if settings.objective.model_dump(exclude_defaults=True):
            label, result = "score (weighted objective)", None
        if result is not None:
            for speed, (low, high), x, name in (
                (result.initial_speed, result.initial_speed_ci, 0, "start"),
                (result.best_speed, result.best_speed_ci, len(past.trials), "best, run again"),
            )[: 2 if result.improved else 1]:
                axis.errorbar(
                    x, speed, yerr=[[speed - low], [high - speed]], color=ACCENT, fmt="D", capsize=3, zorder=4
                )
                axis.annotate(
                    f"{name} {speed:.3f}", (x, speed), textcoords="offset points", xytext=(6, 8), color=ACCENT, zorder=5
                )
        where = "simulation" if settings.world is not None else "on the robot"
        axis.set_title(f"{run.description.title}: {settings.search}, seed {settings.seed} ({where})", color=INK)
    axis.set_xlabel("trials of the search")
    axis.set_ylabel(label)
    axis.margins(x=0.08)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, loc="lower right")
    save_figure(figure, path, dpi=150)


def _curve(axis: Any, past: History) -> None:
    scores = np.array([np.nan if trial.score is None else trial.score for trial in past.trials])
    axis.plot(np.arange(1, len(scores) + 1), scores, ".", color=PALE, markersize=3, zorder=1)
    kept = [iteration for iteration in past.iterations if np.isfinite(iteration.mean)]
    if kept:
        middles = [iteration.middle for iteration in kept]
        lows, highs = zip(*(iteration.quartiles for iteration in kept), strict=True)
        axis.fill_between(middles, lows, highs, color=INK, alpha=0.15, linewidth=0, label="middle half of an iteration")
        means = [iteration.mean for iteration in kept]
        axis.plot(middles, means, color=INK, linewidth=2, label="mean of an iteration", zorder=3)
