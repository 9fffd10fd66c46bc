"""`robotps calibrate`: joint zeros and directions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robotps.cli.options import DEFAULT_ROBOT, Assistant, Json, OnRobot, Pace, Robot, answer, say


def calibrate(
    on: OnRobot,
    robot: Robot = None,
    joint: Annotated[str | None, typer.Option(help="One joint only, as in front_left_thigh.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out joints that are calibrated already.")] = False,
    lerobot: Annotated[Path | None, typer.Option(help="Take over a LeRobot calibration file instead.")] = None,
    export: Annotated[Path | None, typer.Option(help="Also write it as LeRobot keeps it.")] = None,
    assistant: Assistant = None,
    pace: Pace = "wall",
    json: Json = False,
) -> None:
    """Find joint zeros and directions, one joint at a time, slowly, compared with a drawing; saved after each."""
    from hardware.calibrate import calibrate as calibrate_joints
    from hardware.calibration_file import calibration_path, from_lerobot, save_calibration, to_lerobot
    from hardware.person import find_person
    from hardware.robot import bus_of
    from robotps.cli.place import needed_port
    from robotps.description import load_description
    from robotps.files import write_atomically

    name = DEFAULT_ROBOT if robot is None else robot
    description = load_description(name)
    path, port = calibration_path(description.name), needed_port(on)
    if lerobot is not None:
        calibration = from_lerobot(lerobot, description, bus_of(description, port).steps_per_turn)
        save_calibration(path, calibration)
        say(f"taken over into {path}; zeros are the middle of each range: confirm them joint by joint")
    else:
        calibration = calibrate_joints(
            description,
            port,
            path,
            find_person(assistant=assistant),
            joint=joint,
            resume=resume,
            pace=pace,
            tell=say,
        )
    if export is not None:
        write_atomically(export, to_lerobot(calibration))
    if json:
        joints = {name: {"zero": part.zero, "direction": part.direction} for name, part in calibration.joints.items()}
        answer({"calibration": str(path), "joints": joints})
