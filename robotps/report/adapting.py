"""The pictures of an adaptation: its gap and its parameters round by round, and what its trials on the robot gained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robotps.report.charts import COLOURS
from robotps.report.study import Study
from robotps.report.svg import Chart, span

LOG_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def gap_by_round(study: Study) -> str:
    """How far simulation was off for the gaits that each round sent, before and after what was known was corrected."""
    rows = [row for row in study.rounds if row["error"] is not None]
    if not rows:
        return ""
    numbers = [float(row["round"]) for row in rows]
    errors = {"main": [row["error"] for row in rows], "best": [row["corrected_error"] for row in rows]}
    chart = Chart(
        span(numbers, margin=0.06) if len(numbers) > 1 else (0.5, 1.5),
        span([*errors["main"], *errors["best"], 0.0]),
        title="Gap by round",
        description="; ".join(
            f"round {row['round']}: {row['error']:.3f}, corrected {row['corrected_error']:.3f} m/s" for row in rows
        ),
        x_label="round",
        y_label="simulated less real, rms (m/s)",
        size=(720, 240),
        x_ticks=[(number, f"{number:.0f}") for number in numbers],
    )
    for style, values in errors.items():
        chart.line(numbers, values, style)
        names = [f"round {number:.0f}: {value:.3f} m/s" for number, value in zip(numbers, values, strict=True)]
        chart.dots(numbers, values, style, names, radius=4)
    return chart.svg()


def parameters_by_round(study: Study) -> list[tuple[str, str]]:
    """For each parameter that was identified in some round its caption and a chart of its value and 95 % interval."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for row in study.rounds:
        if row["kind"] == "round":
            for name, table in row["parameters"].items():
                found.setdefault(name, []).append((row["round"], table))
    last = max((row["round"] for row in study.rounds if row["kind"] == "round"), default=1)
    tracks = []
    for name, seen in found.items():
        unit = seen[0][1].get("unit", "1")
        prior = seen[0][1].get("prior")
        ends = [bound for _, table in seen for bound in table["interval"]]
        chart = Chart(
            (0.5, last + 0.5),
            span([*ends, *([] if prior is None else [prior])]),
            title=f"{name} by round",
            description="; ".join(
                f"round {number}: {table['value']:.4g} ({table['interval'][0]:.4g} to {table['interval'][1]:.4g})"
                for number, table in seen
            ),
            size=(300, 150),
            left=44,
            x_ticks=[(float(number), str(number)) for number in range(1, last + 1)],
        )
        if prior is not None:
            chart.level(float(prior), "start dotted")
        for number, table in seen:
            low, high = table["interval"]
            chart.interval(float(number), low, high, "main")
            chart.dots([float(number)], [table["value"]], "main", [f"round {number}: {table['value']:.4g}"], radius=4)
        tracks.append((name + ("" if unit == "1" else f" ({unit})"), chart.svg()))
    return tracks


def speed_by_physical_trials(studies: Sequence[Study]) -> str:
    """The fastest gait's mean speed so far over trials on the robot (logarithmic); at its end as it was run again."""
    tracks = [(index, study, best_so_far(study)) for index, study in enumerate(studies)]
    tracks = [(index, study, speeds) for index, study, speeds in tracks if len(speeds)]
    if not tracks:
        return ""
    longest = max(len(speeds) for _, _, speeds in tracks)
    again = [study.result.best_speed for _, study, _ in tracks if study.result is not None and study.result.improved]
    chart = Chart(
        (-0.05, float(np.log10(max(longest, 2))) + 0.05),
        span(np.concatenate([speeds for _, _, speeds in tracks]), include=again),
        title="Speed on the robot over physical trials",
        description="; ".join(
            f"{study.name}: {speeds[-1]:.3f} m/s after {len(speeds)} trials" for _, study, speeds in tracks
        ),
        x_label="trials on the robot",
        y_label="fastest gait so far (m/s)",
        x_ticks=[(float(np.log10(number)), f"{number:,}") for number in LOG_TICKS if number <= max(longest, 2)],
    )
    for index, study, speeds in tracks:
        style = f"s{index % COLOURS}"
        places = np.log10(np.arange(1, len(speeds) + 1))
        chart.line(places, speeds, style)
        if study.result is not None and study.result.improved:
            speed = study.result.best_speed
            chart.dots([places[-1]], [speed], "best", [f"{study.name}, best run again: {speed:.3f} m/s"], radius=4.5)
    return chart.svg()


def best_so_far(study: Study) -> np.ndarray[Any, np.dtype[np.float64]]:
    """After each physical trial that counted the highest mean speed of a gait as far as it was known then, (T,)."""
    means: dict[int, list[float]] = {}
    track = []
    for trial in study.trials:
        if trial.world is None and trial.score is not None:
            speeds = means.setdefault(trial.candidate.id, [])
            speeds.append(float(trial.metrics["speed"]))
            track.append(max(float(np.mean(each)) for each in means.values()))
    return np.array(track)
