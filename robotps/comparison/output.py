"""A comparison as a table, as rows for other programs, and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robotps.comparison.outcome import Outcome, Summary, curve
from robotps.errors import require
from robotps.figures import INK, new_figure

COLOURS = (
    "#1b2a41", "#c8553d", "#2e86ab", "#3f8f5b", "#b07aa1", "#e0a030",
    "#76b7b2", "#9c755f", "#8c564b", "#e377c2", "#7f7f7f", "#17becf",
)  # fmt: skip
HEADER = ("robot", "search", "m/s (quartiles)", "x start", "trials", "min", "seeds", "wall s")
"""m/s: of the gait recommended at the end. trials, min: to the target, the median; seeds: how many came there."""


def rows(found: Sequence[Summary]) -> list[tuple[str, ...]]:
    """The cells under HEADER."""
    return [
        (
            each.robot,
            each.search,
            f"{each.final[1]:.3f} ({each.final[0]:.3f}-{each.final[2]:.3f})",
            f"{each.final[1] / each.start:.2f}" if each.start > 0 else "-",
            "-" if each.trials_to_target is None else f"{each.trials_to_target:.0f}",
            "-" if each.minutes_to_target is None else f"{each.minutes_to_target:.0f}",
            f"{each.reached}/{each.seeds}",
            f"{each.wall_seconds:.0f}",
        )
        for each in found
    ]


def markdown(found: Sequence[Summary]) -> str:
    """The table as Markdown."""
    lines = [HEADER, tuple("---" for _ in HEADER), *rows(found)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def aligned(found: Sequence[Summary]) -> str:
    """The table for a terminal; a long name makes it wide, and is never cut."""
    lines = [HEADER, *rows(found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """A line for each checkpoint of each run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["robot", "search", "seed", "trials", "minutes", "speed_m_s"])
    for each in outcomes:
        for point in each.checkpoints:
            writer.writerow([each.robot, each.search, each.seed, point.trials, f"{point.minutes:.4f}", point.speed])
    return text.getvalue()


def picture(outcomes: Sequence[Outcome], searches: Sequence[str], target: dict[str, float], path: Path) -> None:
    """Median and quartiles of the recommended gait's speed against trials and against minutes, a row a robot."""
    require("matplotlib", extra="plot")
    from matplotlib.ticker import LogLocator, NullFormatter

    robots = list(dict.fromkeys(each.robot for each in outcomes))
    figure, axes = new_figure(11, 1 + 3.6 * len(robots), len(robots), 2)
    for row, robot in zip(axes, robots, strict=True):
        for axis, minutes, label in ((row[0], False, "trials"), (row[1], True, "minutes of walking")):
            for number, name in enumerate(searches):
                some = [each for each in outcomes if (each.robot, each.search) == (robot, name)]
                if not some:
                    continue
                ends = [getattr(each.checkpoints[-1], "minutes" if minutes else "trials") for each in some]
                firsts = [getattr(each.checkpoints[1], "minutes" if minutes else "trials") for each in some]
                along = np.geomspace(min(firsts), np.median(ends), 60)
                low, middle, high = curve(some, along, minutes).T
                colour = COLOURS[number % len(COLOURS)]
                axis.plot(along, middle, color=colour, linewidth=1.8, label=f"{name} ({len(some)})")
                if len(some) > 1:
                    axis.fill_between(along, low, high, color=colour, alpha=0.12, linewidth=0)
            axis.axhline(target[robot], color="#6b7785", linestyle="--", linewidth=1)
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xlabel(f"{label} (log scale)")
        row[0].set_ylabel("speed of the recommended gait, m/s")
        row[0].set_title(f"{robot}: median and quartiles over seeds (number in brackets)", color=INK, loc="left")
        row[1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
