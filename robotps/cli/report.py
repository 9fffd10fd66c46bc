"""`robotps report`: a run, or several compared, as one web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robotps.cli.options import Json, answer, say


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs' folders or archives.")],
    out: Annotated[Path | None, typer.Option(help="The page to write. Default: report.html in the run.")] = None,
    json: Json = False,
) -> None:
    """Write what a run did, or how several compare, as one page that opens without a network."""
    from contextlib import ExitStack

    from robotps.report import write_report
    from robotps.run import Run

    path = out or _beside(runs)
    with ExitStack() as stack:
        write_report([stack.enter_context(Run.open(run)) for run in runs], path)
    say(f"wrote {path}")
    if json:
        answer({"report": str(path)})


def _beside(runs: list[Path]) -> Path:
    first = runs[0]
    if len(runs) > 1:
        return first.parent / "comparison.html"
    return first.with_suffix(".html") if first.is_file() else first / "report.html"
