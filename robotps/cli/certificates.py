"""`robotps certificates`: what machines need to work together over a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robotps.cli.options import Json, answer, say


def certificates(
    machine: Annotated[list[str], typer.Argument(help="A name for each machine: host, pi-1, ...")],
    out: Annotated[Path, typer.Option(help="The authority's folder; it stays on this machine.")] = Path("certificates"),
    days: Annotated[int, typer.Option(help="How long the certificates are good for.", min=1)] = 365,
    json: Json = False,
) -> None:
    """Make an authority, once, and a folder with a certificate for each machine, for --certificates there."""
    from robotps.certificates import AUTHORITY_KEY, make_certificates

    made = make_certificates(out, machine, days)
    for folder in made:
        say(f"made   {folder}: copy it to that machine, and nothing else of {out}")
    say(f"keep   {out / AUTHORITY_KEY}: whoever has it can let anybody in")
    if json:
        answer({"authority": str(out), "machines": {folder.name: str(folder) for folder in made}})
