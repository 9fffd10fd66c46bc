"""`robotps check`: pre-flight of a connected robot."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from robotps.cli.options import DEFAULT_ROBOT, Json, OnRobot, Robot, answer, say


def check(
    on: OnRobot,
    robot: Robot = None,
    set_: Annotated[bool, typer.Option("--set", help="Set what may be set on the servos.")] = False,
    json: Json = False,
) -> None:
    """Measure everything about a connected robot that is known to go wrong; the robot must lie or hang still."""
    from hardware.check import check_robot, passed
    from hardware.safety import SafetyLimits
    from robotps.cli.place import calibration_of, needed_port
    from robotps.description import load_description

    name = DEFAULT_ROBOT if robot is None else robot
    description = load_description(name)

    def may_set(differences: str) -> bool:
        if set_ or json or not sys.stdin.isatty():
            return set_
        say(f"not as a trial needs it (which would set it, too): {differences}")
        return typer.confirm("set it now?", err=True)

    checks = []
    for finding in check_robot(description, needed_port(on), calibration_of(description), may_set, SafetyLimits()):
        checks.append(finding)
        say(f"{'ok  ' if finding.passed else 'BAD '} {finding.name}: {finding.found}")
        if not finding.passed:
            say(f"     {finding.mend}")
    good = passed(checks)
    say("ready to walk" if good else "not ready")
    if json:
        answer({"passed": good, "checks": [asdict(finding) for finding in checks]})
    if not good:
        raise typer.Exit(1)
