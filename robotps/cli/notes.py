"""`robotps notes`: remarks about a run or one of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robotps.cli.options import Json, answer, say


def notes(
    run: Annotated[Path, typer.Argument(help="The run's folder or archive.")],
    text: Annotated[str | None, typer.Argument(help="A remark to add. Without it: list them.")] = None,
    trial: Annotated[int | None, typer.Option(help="The trial that the remark is about.")] = None,
    json: Json = False,
) -> None:
    """Write down a remark, or list them; also while the run is in progress."""
    from dataclasses import asdict

    from robotps.run import Run, add_note

    if text is not None:
        add_note(run, text, trial)
    with Run.open(run) as record:
        found = [note for note in record.notes() if trial in (None, note.trial)]
    for note in found:
        about = f" trial {note.trial}" if note.trial is not None else ""
        say(f"{note.written[:16].replace('T', ' ')}{about}  {note.text}")
    if not found:
        say(f"no notes yet: robotps notes {run} 'what you saw'")
    if json:
        answer({"run": str(run), "notes": [asdict(note) for note in found]})
