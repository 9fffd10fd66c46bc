"""A report as one HTML page: pictures inline, nothing loaded from anywhere, legible on paper and in the dark."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from robotps.errors import require
from robotps.files import write_atomically
from robotps.gait import Gait
from robotps.history import walked
from robotps.provenance import now
from robotps.report import adapting, charts
from robotps.report.study import Study, study
from robotps.run import Run


def write_report(runs: Sequence[Run], path: Path) -> None:
    """Write the report of a run, or of several compared, to one file; raises RobotpsError where it cannot."""
    write_atomically(path, page(runs))


def page(runs: Sequence[Run], *, refresh: float | None = None) -> str:
    """The page's HTML; with `refresh` it fetches itself again every so many seconds, from wherever it came."""
    require("jinja2", extra="report")
    from jinja2 import Environment, StrictUndefined

    folder = resources.files("robotps.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    studies = [study(run) for run in runs]
    return template.render(
        title=" and ".join(entry.name for entry in studies) if len(studies) < 4 else f"{len(studies)} runs",
        style=(folder / "page.css").read_text(encoding="utf-8"),
        studies=[_shown(entry) for entry in studies],
        compared=_compared(studies) if len(studies) > 1 else None,
        written=now()[:16].replace("T", " "),
        refresh=refresh,
    )


def _number(value: float, digits: int, unit: str = "") -> str:
    """A figure, or nothing where it was not sensed."""
    return "" if math.isnan(value) else f"{value:.{digits}f}{unit}"


def _shown(entry: Study) -> dict[str, Any]:
    """What the template shows of one run."""
    result = entry.result
    gaits: list[tuple[str, Gait]] = [("start", Gait(entry.settings.family, _start(entry)))]
    if result is not None and result.improved:
        gaits.append(("best", result.gait))
    return {
        "study": entry,
        "state": _state(entry),
        "facts": _facts(entry),
        "curve": charts.learning_curve(entry),
        "score": charts.score_label(entry),
        "speeds": charts.speeds(entry),
        "loci": charts.loci(entry.description, gaits),
        "diagram": charts.gait_diagram(gaits),
        "gaits": gaits,
        "table": _gait_table(entry, gaits),
        "tracks": charts.parameter_tracks(entry),
        "sensitivity": charts.sensitivities(entry),
        "certain": _certain(entry),
        "gap": adapting.gap_by_round(entry),
        "identified": adapting.parameters_by_round(entry),
        "gained": adapting.speed_by_physical_trials([entry]) if entry.rounds else "",
        "failures": failures(entry),
        "health": entry.health,
        # where the search began stands in the gait's table
        "settings": list(_flat(entry.settings.model_dump(mode="json", exclude_defaults=True, exclude={"start"}))),
        "versions": list(_flat({**entry.versions, **({"source": entry.git} if entry.git else {})})),
    }


def _start(entry: Study) -> dict[str, float]:
    return {parameter.name: parameter.initial for parameter in entry.space}


def _state(entry: Study) -> str:
    if entry.in_progress:
        return "in progress"
    confirmed = sum(trial.candidate.stage == "best" for trial in entry.trials)
    done = entry.finished if entry.verb else confirmed >= entry.settings.confirm
    return "finished" if done else "unfinished"


def _facts(entry: Study) -> list[tuple[str, str, str]]:
    """The figures on top: number, unit, what it is."""
    minutes = sum(walked(trial) for trial in entry.trials) / 60
    facts = [
        (f"{len(entry.trials):,}", "", "trials"),
        (f"{minutes:.1f}", "min", "of walking"),
    ]
    result = entry.result
    if result is not None:
        facts.insert(0, (f"{result.initial_speed:.3f}", "m/s", f"start, {_interval(result.initial_speed_ci)}"))
        if result.improved:
            gain = result.best_speed / result.initial_speed if result.initial_speed > 0 else float("nan")
            facts.insert(1, (f"{result.best_speed:.3f}", "m/s", f"best, {_interval(result.best_speed_ci)}"))
            facts.insert(2, (f"{gain:.2f}", "times", "as fast as the start"))
    return facts


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}" if math.isfinite(bounds[0]) else "one trial"


def _gait_table(entry: Study, gaits: Sequence[tuple[str, Gait]]) -> list[dict[str, str]]:
    rows = []
    free = {parameter.name for parameter in entry.space.free}
    for parameter in entry.space:
        values = [gait.parameters[parameter.name] for _, gait in gaits]
        moved = (values[-1] - values[0]) / parameter.step
        near = parameter.step * 0.01
        bound = "at a bound" if min(values[-1] - parameter.lower, parameter.upper - values[-1]) < near else ""
        rows.append(
            {
                "name": parameter.name,
                "unit": "" if parameter.unit == "1" else parameter.unit,
                "start": f"{values[0]:.4g}",
                "best": f"{values[-1]:.4g}" if len(values) > 1 else "",
                "steps": f"{moved:+.1f}" if len(values) > 1 and parameter.name in free else "",
                "remark": bound if parameter.name in free else "frozen",
            }
        )
    return rows


def _certain(entry: Study) -> list[str]:
    """Parameters whose sensitivity interval excludes zero, the strongest first."""
    found = entry.sensitivity
    if found is None:
        return []
    order = sorted(range(len(found.slope)), key=lambda index: -abs(found.slope[index]))
    return [entry.space.free[i].name for i in order if found.low[i] > 0 or found.high[i] < 0]


@dataclass(frozen=True)
class Failure:
    """Trials that did not end as they should, of one kind; numbers within the reason are left out."""

    ending: str
    reason: str
    count: int
    first: int


def failures(entry: Study) -> list[Failure]:
    """Trials that did not finish, by kind, the most frequent first."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for trial in entry.trials:
        if trial.ending not in ("finished", "running"):
            reason = re.sub(r"\d+(\.\d+)?", "…", str(trial.metrics.get("reason") or ""))
            kinds.setdefault((trial.ending, reason), []).append(trial.id)
    found = [Failure(ending, reason, len(ids), ids[0]) for (ending, reason), ids in kinds.items()]
    return sorted(found, key=lambda failure: -failure.count)


def _compared(studies: Sequence[Study]) -> dict[str, Any]:
    rows = []
    for index, entry in enumerate(studies):
        result = entry.result
        rows.append(
            {
                "style": f"s{index % charts.COLOURS}",
                "name": entry.name,
                "robot": entry.description.title,
                "search": entry.verb or entry.settings.search,
                "seed": str(entry.settings.seed),
                "trials": f"{len(entry.trials):,}",
                "minutes": f"{sum(walked(trial) for trial in entry.trials) / 60:.1f}",
                "start": "" if result is None else f"{result.initial_speed:.3f}",
                "best": "" if result is None else f"{result.best_speed:.3f}",
                "interval": "" if result is None else _interval(result.best_speed_ci),
            }
        )
    return {
        "rows": rows,
        "by_trials": charts.comparison(studies, minutes=False),
        "by_minutes": charts.comparison(studies, minutes=True),
        "by_physical": adapting.speed_by_physical_trials(studies),
    }


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", f"{value:g}" if isinstance(value, float) else str(value)))
    return rows
