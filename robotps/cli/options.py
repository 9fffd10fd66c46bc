"""Flags that several verbs share, and what they say on stdout and stderr."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

LOGS = Path("logs")
DEFAULT_ROBOT = "dkitty"

Robot = Annotated[str | None, typer.Option(help="A bundled robot's name, or FILE.toml. Default: dkitty.")]
Places = Annotated[
    list[str] | None,
    typer.Option("--on", help="Where the robot is: sim, serial:PORT or dask:HOST:PORT. Repeat it for several robots."),
]
Odometers = Annotated[
    list[str] | None,
    typer.Option(
        "--odometer",
        help="How the distance is measured: stopwatch, camera:INDEX, video:FILE, stream:HOST:PORT. Each robot its own.",
    ),
]
Assistants = Annotated[
    list[str] | None,
    typer.Option("--assistant", help="HOST:PORT that does what a person would be asked to do: one, or each its own."),
]
On = Annotated[list[str] | None, typer.Option("--on", help="Where the robot is: sim or serial:PORT. Default: sim.")]
OnRobot = Annotated[list[str], typer.Option("--on", help="Where the robot is: serial:PORT.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn. Default: 0.", min=0, max=2**32 - 1)]
Seconds = Annotated[float | None, typer.Option(help="Measured seconds of a trial, after warm-up. Default: 5.")]
World = Annotated[str | None, typer.Option(help="The simulated world: nominal, or FILE.toml.")]
Randomize = Annotated[str | None, typer.Option(help="Worlds drawn for each trial: none, default or FILE.toml.")]
Odometer = Annotated[
    str | None,
    typer.Option(help="How the distance is measured: stopwatch, camera:INDEX, video:FILE, stream:HOST:PORT."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask the person nothing.")]
Assistant = Annotated[str | None, typer.Option(help="HOST:PORT that does what a person would be asked to do.")]
Pace = Annotated[
    Literal["wall", "device"],
    typer.Option(help="Physical robots: wall (the clock's) or device (as soon as it has answered)."),
]
Return = Annotated[
    bool, typer.Option("--return", help="The robot walks back to its start by itself; needs --odometer stream:...")
]
Workers = Annotated[int | None, typer.Option(help="Worker processes. Default: one a core.")]
Patience = Annotated[
    float, typer.Option(help="Seconds that a run waits while no worker of a cluster, or no robot, is there.", min=1)
]
Certificates = Annotated[
    Path | None, typer.Option(help="This machine's folder of `robotps certificates`, to speak TLS with other machines.")
]
PagePort = Annotated[
    int | None, typer.Option("--port", help="The page's port. Default: a free one from 8080.", min=1, max=65535)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")]


@cache
def console() -> Console:
    """Where everything for people goes: stderr, so that stdout stays clean."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def say(what: Any, style: str | None = None) -> None:
    """A line, or a table, for people; a path is never broken in two."""
    console().print(what, style=style, soft_wrap=isinstance(what, str))


def answer(data: Mapping[str, Any]) -> None:
    """The JSON object of `--json`, as the last line on stdout; numbers that JSON has not are null."""
    print(json.dumps(_finite(data), allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def worker_count(workers: int | None) -> int:
    """The number of workers asked for, or one a core that this process may use."""
    import os

    from robotps.errors import RobotpsError

    if workers is None:
        return len(os.sched_getaffinity(0))
    if workers < 1:
        raise RobotpsError(f"--workers must be at least 1, it is {workers}")
    return workers
