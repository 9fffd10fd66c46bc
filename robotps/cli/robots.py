"""`robotps robots`: the descriptions that come with robotps, one of them in full, and a check of your own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from robotps.cli.options import Json, answer, say

robots = typer.Typer(help="List robot descriptions; show one; check your own.", invoke_without_command=True)


@robots.callback()
def list_robots(context: typer.Context, json: Json = False) -> None:
    """List the robots that come with robotps."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from robotps.description import bundled_robots, load_description

    table = Table("name", "robot", "joints", "mass", "servo", "protocol", box=None)
    found = []
    for name in bundled_robots():
        description = load_description(name)
        protocol = description.wiring.protocol if description.wiring else "none"
        row = (name, description.title, str(description.n_joints), f"{description.mass:.2f} kg")
        table.add_row(*row, description.servo.model, protocol)
        found.append(name)
    say(table)
    if json:
        answer({"robots": found})


@robots.command()
def show(name: Annotated[str, typer.Argument(help="A name or FILE.toml.")], json: Json = False) -> None:
    """Show a robot's description, complete."""
    import tomli_w

    from robotps.description import load_description
    from robotps.files import without_none

    table: dict[str, Any] = load_description(name).model_dump(mode="json")
    if json:
        answer(table)
    else:
        print(tomli_w.dumps(without_none(table)), end="")


@robots.command()
def check(file: Annotated[str, typer.Argument(help="Your FILE.toml (or a bundled name).")], json: Json = False) -> None:
    """Check a description: that it is complete and its starting gait is within reach and limits."""
    from robotps.description import load_description
    from robotps.gait import gait_cycle, initial_gait

    description = load_description(file)
    cycle = gait_cycle(description, initial_gait(description))
    say(
        f"{description.name}: {description.n_joints} joints, {description.mass:.2f} kg, "
        f"{len(description.gait_space)} gait parameters to tune; "
        f"{cycle.unreachable:.0%} of the starting gait's foot loci out of reach"
    )
    if json:
        answer(
            {
                "robot": description.name,
                "joints": list(description.joint_names),
                "mass": description.mass,
                "unreachable": cycle.unreachable,
            }
        )
