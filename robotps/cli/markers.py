"""`robotps markers`: the sheet of markers for a camera odometer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robotps.cli.options import Json, answer, say


def markers(
    out: Annotated[Path, typer.Option(help="The PDF to write.")] = Path("markers.pdf"), json: Json = False
) -> None:
    """Write the markers that a camera odometer looks for, to print at 100 %."""
    from hardware.markers import LENGTH, WIDTH, write_sheet

    write_sheet(out)
    say(f"{out}: print it at 100 %, lay markers 0 to 3 as corners of {LENGTH:g} x {WIDTH:g} m, 4 flat on the robot")
    if json:
        answer({"sheet": str(out)})
