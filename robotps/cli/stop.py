"""`robotps stop`: torque off, whoever is moving the robot."""

from __future__ import annotations

from typing import Annotated

import typer

from robotps.cli.options import Json, answer, say


def stop(
    on: Annotated[list[str], typer.Option(help="Where the robot is: serial:PORT. Repeat it for several.")],
    robot: Annotated[
        str | None, typer.Option(help="A bundled robot's name, or FILE.toml. Default: whatever answers.")
    ] = None,
    json: Json = False,
) -> None:
    """Take the torque off every servo now, also while another robotps is using the port."""
    from hardware.stop import stop_robot
    from robotps.cli.place import needed_port
    from robotps.description import load_description

    description = None if robot is None else load_description(robot)
    failures = [failure for port in on for failure in stop_robot(description, needed_port([port]), say)]
    for failure in failures:
        say(f"torque may still be on: {failure}", style="bold")
    if not failures:
        say("every servo let go")
    if json:
        answer({"stopped": not failures, "failures": failures})
    if failures:
        raise typer.Exit(1)
