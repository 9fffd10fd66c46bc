"""`robotps watch`: a run while it goes on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotps.cli.options import Json, PagePort, answer, console, say

if TYPE_CHECKING:
    from robotps.run import Run

SHOWN = 10
"""Latest trials in the table."""


def watch(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    view: Annotated[bool, typer.Option("--view", help="Also as a page in the browser that updates itself.")] = False,
    port: PagePort = None,
    host: Annotated[
        str, typer.Option(help="Where else than on this machine to show the page: then with a token in its address.")
    ] = "127.0.0.1",
    json: Json = False,
) -> None:
    """Show the learning curve and the latest trials of a run until it ends; it is only read. Ctrl-C leaves."""
    import platform
    import time

    from rich.live import Live

    from robotps.run import Run
    from robotps.summary import summary

    with ExitStack() as stack:
        record = stack.enter_context(Run.open(run))
        if view:
            from robotps.cluster import on_loopback
            from robotps.report.server import ReportServer

            server = stack.enter_context(ReportServer(run, port, host))
            if on_loopback(host):
                say(f"open {server.address} in a browser; from another machine after ssh -L {server.forwarding} HOST")
            else:
                say(f"open {server.address.replace('0.0.0.0', platform.node())} in a browser")
                say("whoever has this address sees the run, and whoever listens on the network between has it")
        live = stack.enter_context(Live(console=console(), auto_refresh=False))
        try:
            while True:
                going_on = record.in_progress  # asked before reading, so that the last look sees the last trial
                began = time.monotonic()
                live.update(_picture(record), refresh=True)
                if not going_on and not view:
                    break
                time.sleep(max(1.0, 5 * (time.monotonic() - began)))
        except KeyboardInterrupt:
            pass
    if json:
        found = summary(run)
        answer(
            {
                "run": str(run),
                "state": found.state,
                "trials": found.trials,
                "initial_speed": found.initial_speed,
                "best_speed": found.best_speed,
            }
        )


def _picture(record: Run) -> Any:
    """Headline, curve and table, as wide as the terminal."""
    from rich.console import Group
    from rich.table import Table

    from robotps.cli.dots import chart
    from robotps.history import history
    from robotps.settings import settings_of

    trials = record.trials()
    past = history(trials, settings_of(record).tail)
    points = [(float(i), trial.score) for i, trial in enumerate(past.trials) if trial.score is not None]
    means = [iteration.mean for iteration in past.iterations]
    state = "in progress" if record.in_progress else "ended"
    head = f"{record.path}  {record.description.title}, {len(trials)} trials, {state}"
    if means:
        head += f"; iteration {len(means)}: mean score {means[-1]:.3f}"
    table = Table("trial", "stage", "iteration", "repeat", "ended", "score", "speed m/s", "why", box=None)
    for trial in trials[-SHOWN:]:
        candidate = trial.candidate
        score = "" if trial.score is None else f"{trial.score:.3f}"
        speed = trial.metrics.get("speed")
        table.add_row(
            str(trial.id),
            candidate.stage,
            str(candidate.iteration + 1),
            str(trial.repeat + 1),
            trial.ending,
            score,
            "" if speed is None else f"{speed:.3f}",
            str(trial.metrics.get("reason") or ""),
        )
    return Group(head, *chart(points, min(console().width, 100), 10), table)
