"""`robotps ports`: serial ports, and what answers on each."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from robotps.cli.options import Json, answer, say


def ports(
    port: Annotated[list[str] | None, typer.Argument(help="Ports to look at. Default: every one there is.")] = None,
    json: Json = False,
) -> None:
    """List serial ports and what answers on each: servo ids, models, firmware."""
    from hardware.discover import look
    from hardware.port import serial_ports
    from robotps.errors import RobotpsError

    names = port or serial_ports()
    if not names:
        say("no serial port was found: is the adapter plugged in?")
    table: list[dict[str, Any]] = []
    for name in names:
        row: dict[str, Any] = {"port": name, "protocol": None, "baud": None, "servos": []}
        try:
            found = look(name, say)
        except RobotpsError as error:
            say(str(error))
            row["error"] = str(error)
        else:
            servos = [{"id": info.id, "model": info.model, "firmware": info.firmware} for info in found.servos]
            row |= {"protocol": found.protocol, "baud": found.baud, "servos": servos}
            if found.protocol is None:
                say(f"{name}: nothing answers that is understood")
            kinds: dict[str, list[int]] = {}
            for info in found.servos:
                kinds.setdefault(f"{info.model}, firmware {info.firmware}", []).append(info.id)
            for kind, ids in kinds.items():
                say(f"{name}: {found.protocol} at {found.baud} baud: {kind}: ids {', '.join(map(str, ids))}")
        table.append(row)
    if json:
        answer({"ports": table})
    if port and any("error" in row for row in table):
        raise typer.Exit(1)
