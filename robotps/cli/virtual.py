"""`robotps virtual`: a virtual robot on a pseudo-terminal."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from robotps.cli.options import DEFAULT_ROBOT, Json, Robot, Seed, answer, say


def virtual(
    robot: Robot = None,
    reality: Annotated[Path | None, typer.Option(help="FILE.toml: how it differs from its description.")] = None,
    protocol: Annotated[
        Literal["dynamixel", "feetech", "opencat"] | None,
        typer.Option(help="What its servos speak. Default: as the description is wired."),
    ] = None,
    faults: Annotated[Path | None, typer.Option(help="FILE.toml: what goes wrong, and when.")] = None,
    camera: Annotated[
        Path | None,
        typer.Option(help="FILE.mp4: what an overhead camera saw of the last trial, with the marker sheet."),
    ] = None,
    lockstep: Annotated[
        bool, typer.Option("--lockstep/--realtime", help="Time passes with the host's goals, or with the clock.")
    ] = False,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """A virtual robot on a pseudo-terminal, until it is stopped; the first line is the port."""
    from hardware.virtual.faults import Faults
    from hardware.virtual.reality import load_reality
    from hardware.virtual.robot import VirtualRobot
    from robotps.description import load_description
    from robotps.files import read_toml

    description = load_description(DEFAULT_ROBOT if robot is None else robot)
    one = VirtualRobot(
        description,
        protocol=protocol,
        reality=load_reality(reality, description),
        faults=read_toml(faults, Faults) if faults else None,
        realtime=not lockstep,
        seed=seed or 0,
        film=camera is not None,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: one.stop())
    try:
        addresses = {"port": one.port, "position_stream": one.position_stream, "assistant": one.assistant}
        if json:
            answer(addresses)
        else:
            print(one.port, flush=True)
            say(f"position stream on {one.position_stream}, assistant on {one.assistant}; Ctrl-C ends it")
        one.run()
    finally:
        one.close()
    if one.camera is not None and camera is not None and one.camera.filming:
        say(f"{camera}: {one.camera.save(camera)} frames")
    for time, kind, servo in one.faulty.happened:
        say(f"{time:8.3f} s: {kind}" + ("" if servo is None else f" of servo {servo}"))
    if one.slipped:
        say(f"physics fell behind the clock by {one.slipped:.1f} s in all")
