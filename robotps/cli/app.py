"""`robotps VERB`: gathers the verbs, and turns errors into messages and exit statuses."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer

from robotps.cli.adapt import adapt
from robotps.cli.calibrate import calibrate
from robotps.cli.certificates import certificates
from robotps.cli.check import check
from robotps.cli.compare import compare
from robotps.cli.export import export
from robotps.cli.gap import gap
from robotps.cli.identify import identify
from robotps.cli.markers import markers
from robotps.cli.notes import notes
from robotps.cli.ports import ports
from robotps.cli.replay import replay
from robotps.cli.report import report
from robotps.cli.robots import robots
from robotps.cli.runs import runs
from robotps.cli.scheduler import scheduler
from robotps.cli.stop import stop
from robotps.cli.trial import trial
from robotps.cli.tune import tune
from robotps.cli.virtual import virtual
from robotps.cli.watch import watch
from robotps.cli.worker import worker
from robotps.errors import RobotpsError


class Verbs(typer.core.TyperGroup):
    """Exit status 1 and a message for what a person can mend, 130 for an interrupt."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # what cannot be written is told here, and not by Python as it ends
            return result
        except RobotpsError as error:
            _tell(f"robotps: {error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _tell("robotps: interrupted; what was finished is on disk")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            _forget_output()
            raise typer.Exit(0) from None
        except OSError as error:  # a file or folder that no verb foresaw
            full = error.errno == errno.ENOSPC and error.filename is None
            what = "the answer cannot be written" if full else error.filename or type(error).__name__
            _tell(f"robotps: {what}: {error.strerror or error}")
            _forget_output()
            raise typer.Exit(1) from None


def _tell(line: str) -> None:
    """To a person, where there is one: `print` would take a closed stderr for stdout."""
    if sys.stderr is not None:
        print(line, file=sys.stderr)


def _forget_output() -> None:
    """What stdout still holds goes nowhere, or writing it would fail once more as Python ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=Verbs,
    help="Tune a quadruped's gait in simulation, take it to the robot, close the gap, replay every trial.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its help takes as long to import as everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verb in (
    tune,
    trial,
    compare,
    replay,
    report,
    watch,
    export,
    notes,
    virtual,
    scheduler,
    worker,
    certificates,
    ports,
    check,
    calibrate,
    gap,
    identify,
    adapt,
    stop,
    markers,
):
    app.command()(verb)
app.add_typer(robots, name="robots")
app.add_typer(runs, name="runs")


def main() -> None:
    """Entry point of the `robotps` command."""
    app()


if __name__ == "__main__":
    main()
