"""`robotps worker`: this machine works for a scheduler, with its cores or with its robot."""

from __future__ import annotations

from typing import Annotated

import typer

from robotps.cli.options import DEFAULT_ROBOT, Assistant, Certificates, Odometer, Pace, Robot, Workers, Yes, say


def worker(
    scheduler: Annotated[str, typer.Option(help="The scheduler's HOST:PORT.")],
    workers: Workers = None,
    host: Annotated[str | None, typer.Option(help="This machine's address as the others see it.")] = None,
    certificates: Certificates = None,
    on: Annotated[
        str | None, typer.Option(help="serial:PORT: walk trials on this robot, for `tune --on dask:HOST:PORT`.")
    ] = None,
    robot: Robot = None,
    odometer: Odometer = None,
    yes: Yes = False,
    assistant: Assistant = None,
    pace: Pace = "wall",
) -> None:
    """Run simulated trials for whoever is at the scheduler, or physical ones with --on, until stopped.

    Comes back when the scheduler does.
    """
    import asyncio

    from robotps.cli.options import worker_count
    from robotps.errors import RobotpsError

    if on is None:
        from robotps.nodes import serve_workers

        if robot or odometer or yes or assistant:
            raise RobotpsError("--robot, --odometer, --yes and --assistant are for a worker with a robot: give --on")
        asyncio.run(serve_workers(scheduler, worker_count(workers), certificates, host, say))
        return
    import platform

    from hardware.robot_worker import RobotHere, serve
    from robotps.cli.fleet import member_at
    from robotps.cli.place import PhysicalFlags, needed_port
    from robotps.description import load_description

    if workers is not None:
        raise RobotpsError("--workers are for simulation: a worker with a robot is one")
    if not yes and assistant is None:
        raise RobotpsError("--on: nobody types here while the host's run goes on: give --assistant HOST:PORT or --yes")
    description = load_description(DEFAULT_ROBOT if robot is None else robot)
    member = member_at(description, needed_port([on]), PhysicalFlags(odometer, yes, assistant, pace), None)
    member.name = f"{member.name} of {platform.node()}"
    serve(RobotHere(member, description.fingerprint), scheduler, certificates, host, say)
