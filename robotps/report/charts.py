"""The pictures of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from robotps.description import RobotDescription
from robotps.feet import feet_in_body
from robotps.gait import PHASES, Gait, UnreachableGait, foot_loci, gait_cycle
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.report.study import Study
from robotps.report.svg import Chart, span
from robotps.result import mean_and_interval
from robotps.run import TrialRecord

COLOURS = 6
"""Series that the style sheet tells apart; further ones begin again."""


def score_label(study: Study) -> str:
    """What the score of a run is."""
    return "forward speed (m/s)" if study.default_objective else "score (weighted objective)"


def learning_curve(study: Study) -> str:
    """Every trial of the search as a point, mean and middle half of each iteration, start and best as run again."""
    past, result = study.history, study.result if study.default_objective else None
    scores = np.array([np.nan if trial.score is None else trial.score for trial in past.trials])
    last = len(scores)
    repeated = []
    if result is not None:
        repeated.append((0.0, result.initial_speed, result.initial_speed_ci, "start"))
        if result.improved:
            repeated.append((last * 1.02 + 1, result.best_speed, result.best_speed_ci, "best"))
    bounds = [bound for _, _, interval, _ in repeated for bound in interval]
    chart = Chart(
        span([-0.02 * (last + 1), 1.06 * (last + 1)], margin=0.0),
        span(scores, include=bounds),
        title="Learning curve",
        description=_curve_in_words(study),
        x_label="trials of the search",
        y_label=score_label(study),
    )
    names = (_name(trial) for trial in past.trials)
    chart.dots(
        np.arange(1.0, last + 1), scores, "trial", names, radius=2.4 if last < 200 else 1.8 if last < 800 else 1.3
    )
    kept = [iteration for iteration in past.iterations if np.isfinite(iteration.mean)]
    middles = [iteration.middle for iteration in kept]
    chart.band(middles, [it.quartiles[0] for it in kept], [it.quartiles[1] for it in kept], "main")
    chart.line(middles, [it.mean for it in kept], "main")
    for x, speed, (low, high), name in repeated:
        chart.interval(x, low, high, name)
        chart.dots([x], [speed], name, [f"{name}, run again: {speed:.3f} m/s"], radius=4.5)
        side = "start" if name == "start" else "end"
        chart.text(x, speed, f"{name} {speed:.3f}", f"mark {name}", side, (9 if name == "start" else -9, -9))
    return chart.svg()


def _curve_in_words(study: Study) -> str:
    past = study.history
    means = [iteration.mean for iteration in past.iterations if np.isfinite(iteration.mean)]
    if not means:
        return f"{len(past.trials)} trials of the search; none was scored yet."
    return (
        f"{len(past.trials)} trials in {len(past.iterations)} iterations. The mean score of an iteration went from "
        f"{means[0]:.3f} to {means[-1]:.3f}, at best {max(means):.3f}."
    )


def _name(trial: TrialRecord) -> str:
    said = trial.ending if trial.score is None else f"{trial.score:.3f}"
    fell = ", fell" if trial.ending == "fell" else ""
    return f"trial {trial.id}, iteration {trial.candidate.iteration + 1}: {said}{fell}"


def speeds(study: Study) -> str:
    """Start and best run again: every trial, mean and 95 % interval."""
    result = study.result
    if result is None:
        return ""
    rows = [("start", result.initial_speed, result.initial_speed_ci)]
    if result.improved:
        rows.append(("best", result.best_speed, result.best_speed_ci))
    trials = {name: [t for t in study.trials if t.candidate.stage == name and t.score is not None] for name, *_ in rows}
    for name, taken in study.on_robot.items():
        rows.append((name, *mean_and_interval([float(trial.metrics["speed"]) for trial in taken])))
        trials[name] = taken
    points = {name: [float(trial.metrics["speed"]) for trial in trials[name]] for name in trials}
    everything = [value for values in points.values() for value in values]
    chart = Chart(
        span(everything, include=[bound for _, _, interval in rows for bound in interval]),
        (-0.6, len(rows) - 0.4),
        title="Speed of the start and of the best gait when run again",
        description="; ".join(
            f"{name} {speed:.3f} m/s" + (f", interval {low:.3f} to {high:.3f}" if math.isfinite(high - low) else "")
            for name, speed, (low, high) in rows
        ),
        x_label="forward speed (m/s): every trial, mean and 95 % interval",
        size=(720, 64 + 44 * len(rows)),
        y_ticks=[(len(rows) - 1 - index, name) for index, (name, *_) in enumerate(rows)],
        left=88,
    )
    for index, (name, speed, (low, high)) in enumerate(rows):
        level = float(len(rows) - 1 - index)
        hints = [f"trial {trial.id}: {trial.metrics['speed']:.3f} m/s" for trial in trials[name]]
        chart.dots(points[name], [level - 0.22] * len(points[name]), "trial", hints, radius=2.5)
        style = name if name in ("start", "best") else "robot"
        if math.isfinite(high - low):
            chart.interval_across(level, low, high, style)
        chart.dots([speed], [level], style, radius=4.5)
    return chart.svg()


def loci(description: RobotDescription, gaits: Sequence[tuple[str, Gait]]) -> list[tuple[str, str]]:
    """Loci of the left feet seen from the left, rear and front: caption and chart, both to the same scale.

    Commanded (dotted) and within reach (solid), mm from the hip.
    """
    drawn = [(name, foot_loci(description, gait), _reached(description, gait)) for name, gait in gaits]
    panels = []
    for leg in ("rear_left", "front_left"):
        hip = np.array(description.legs[leg].joints[0].origin)
        number = LEGS.index(leg)
        parts = [(name, 1e3 * (there[number] - hip), 1e3 * (here[number] - hip)) for name, there, here in drawn]
        points = np.concatenate([np.concatenate(pair)[:, [0, 2]] for _, *pair in parts])
        panels.append((leg, parts, points[np.isfinite(points).all(axis=1)]))
    middles = [(points.max(axis=0) + points.min(axis=0)) / 2 for *_, points in panels]
    across, up = 1.16 * np.max([np.ptp(points, axis=0) for *_, points in panels], axis=0) / 2
    return [
        (f"{leg.replace('_', ' ')} foot", _locus(leg, parts, middle, across, max(up, across / 6)))
        for (leg, parts, _), middle in zip(panels, middles, strict=True)
    ]


def _locus(
    leg: str, parts: Sequence[tuple[str, FloatArray, FloatArray]], middle: FloatArray, across: float, up: float
) -> str:
    width, left, around = 350.0, 60.0, 54.0
    chart = Chart(
        (middle[0] - across, middle[0] + across),
        (middle[1] - up, middle[1] + up),
        title=f"Locus of the {leg.replace('_', ' ')} foot, seen from the side",
        description=f"Loci of {' and '.join(name for name, *_ in parts)}, forward to the right.",
        x_label="forward of the hip (mm)",
        y_label="up (mm)",
        size=(width, (width - left - 14) * up / across + around),
        left=left,
        few_ticks=True,
    )
    if abs(middle[0]) < across:
        chart.upright(0.0, "body dotted")
    for name, commanded, reached in parts:
        chart.line(commanded[:, 0], commanded[:, 2], f"{name} dotted", closed=True)
        chart.line(reached[:, 0], reached[:, 2], name, closed=True)
    return chart.svg()


def _reached(description: RobotDescription, gait: Gait) -> FloatArray:
    """Where the feet get to, (4, samples, 3), m; NaN for a gait that cannot be made."""
    try:
        return feet_in_body(description, gait_cycle(description, gait).joints)
    except UnreachableGait:
        return np.full_like(foot_loci(description, gait), np.nan)


def gait_diagram(gaits: Sequence[tuple[str, Gait]]) -> str:
    """When each foot is meant to stand on the ground, over one cycle."""
    rows = len(LEGS)
    chart = Chart(
        (0.0, 1.0),
        (-0.6, rows - 0.4),
        title="Gait diagram: commanded stance of each foot over one cycle",
        description="; ".join(
            f"{name}: {gait.family}, period {gait.parameters['period']:.3f} s, "
            f"{gait.parameters['ground_fraction']:.0%} of it on the ground"
            for name, gait in gaits
        ),
        x_label="fraction of the period",
        size=(720, 54 + 34 * rows),
        y_ticks=[(rows - 1 - index, leg.replace("_", " ")) for index, leg in enumerate(LEGS)],
        left=88,
    )
    for shift, (name, gait) in zip((0.17, -0.17), gaits, strict=False):
        for index, offset in enumerate(PHASES[gait.family]):
            for begin, end in _wrapped(offset, gait.parameters["ground_fraction"]):
                chart.bar(begin, end, rows - 1 - index + (shift if len(gaits) > 1 else 0), 8, f"fill {name}")
    return chart.svg()


def _wrapped(begin: float, length: float) -> list[tuple[float, float]]:
    end = begin + length
    return [(begin, end)] if end <= 1 else [(begin, 1.0), (0.0, end - 1)]


def parameter_tracks(study: Study) -> list[tuple[str, str]]:
    """For each free parameter its caption and a chart: candidates' mean and range over iterations, in steps."""
    iterations = study.history.iterations
    if not iterations:
        return []
    numbers = [float(iteration.number + 1) for iteration in iterations]
    best = None
    if study.result is not None and study.result.improved:
        best = study.space.vector(study.result.gait.parameters)
    tracks = []
    for index, parameter in enumerate(study.space.free):
        centre = [float(iteration.centre[index]) for iteration in iterations]
        lowest = [float(iteration.lowest[index]) for iteration in iterations]
        highest = [float(iteration.highest[index]) for iteration in iterations]
        ends = [0.0] if best is None else [0.0, float(best[index])]
        chart = Chart(
            span(numbers, margin=0.04) if len(numbers) > 1 else (0.5, 1.5),
            span([*lowest, *highest, *ends]),
            title=f"{parameter.name} over the iterations",
            description=f"From {centre[0]:+.1f} to {centre[-1]:+.1f} steps from the start.",
            size=(300, 150),
            left=34,
            x_ticks=_few([int(number) for number in numbers]),
        )
        chart.level(0.0, "start dotted")
        chart.band(numbers, lowest, highest, "main")
        chart.line(numbers, centre, "main")
        if best is not None:
            chart.dots(
                [numbers[-1]], [float(best[index])], "best", [f"best gait: {best[index]:+.2f} steps"], radius=3.5
            )
        unit = "" if parameter.unit == "1" else f" {parameter.unit}"
        tracks.append((f"{parameter.name}, 1 step = {parameter.step:g}{unit}", chart.svg()))
    return tracks


def _few(numbers: Sequence[int]) -> list[tuple[float, str]]:
    chosen = sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]})
    return [(float(number), str(number)) for number in chosen]


def sensitivities(study: Study) -> str:
    """Change of the score for one step more of each parameter, with intervals, the strongest on top."""
    found = study.sensitivity
    if found is None:
        return ""
    order = np.argsort(np.abs(found.slope))
    names = [study.space.free[index].name for index in order]
    chart = Chart(
        span([*found.low, *found.high, 0.0]),
        (-0.7, len(names) - 0.3),
        title="Sensitivity of the score to each parameter",
        description="; ".join(
            f"{name} {found.slope[index]:+.4f} ({found.low[index]:+.4f} to {found.high[index]:+.4f})"
            for name, index in zip(reversed(names), reversed(order), strict=True)
        ),
        x_label=("m/s" if study.default_objective else "score") + " for one step more, 95 % interval",
        size=(720, 54 + 24 * len(names)),
        y_ticks=[(float(row), name) for row, name in enumerate(names)],
        left=150,
    )
    chart.upright(0.0, "start dotted")
    for row, index in enumerate(order):
        low, high = float(found.low[index]), float(found.high[index])
        style = "main" if low > 0 or high < 0 else "faint"
        chart.interval_across(float(row), low, high, style)
        chart.dots([float(found.slope[index])], [float(row)], style, radius=4)
    return chart.svg()


def comparison(studies: Sequence[Study], *, minutes: bool) -> str:
    """Mean score of each iteration of several runs, over trials or over minutes of walking."""
    tracks = []
    for study in studies:
        kept = [iteration for iteration in study.history.iterations if np.isfinite(iteration.mean)]
        xs = [iteration.minutes if minutes else float(iteration.trials) for iteration in kept]
        tracks.append((study, xs, kept))
    what = "minutes the robot walked" if minutes else "trials of the search"
    values = [value for _, _, kept in tracks for it in kept for value in it.quartiles]
    labels = {score_label(study) for study in studies}
    chart = Chart(
        span([0.0, *(x for _, xs, _ in tracks for x in xs)], margin=0.02),
        span(values),
        title=f"Runs compared over {what}",
        description="; ".join(
            f"{study.name}: {kept[-1].mean:.3f} after {xs[-1]:.1f}" for study, xs, kept in tracks if kept
        ),
        x_label=what,
        y_label=labels.pop() if len(labels) == 1 else "score (of different kinds)",
    )
    for index, (_, xs, kept) in enumerate(tracks):
        style = f"s{index % COLOURS}"
        chart.band(xs, [it.quartiles[0] for it in kept], [it.quartiles[1] for it in kept], style)
        chart.line(xs, [it.mean for it in kept], style)
    return chart.svg()
