"""`robotps replay`: a logged trial, again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotps.cli.options import Assistant, Json, Odometer, On, Pace, PagePort, World, Yes, answer, say

if TYPE_CHECKING:
    from robotps.cli.place import PhysicalFlags
    from robotps.replay import Logged, Replay
    from robotps.robot import Telemetry


def replay(
    run: Annotated[Path, typer.Argument(help="The run's folder or archive.")],
    trial: Annotated[int | None, typer.Option(help="Which trial. Default: one of the best gait.")] = None,
    on: On = None,
    world: World = None,
    begin: Annotated[float | None, typer.Option("--from", help="Look at the motion from here on, s.", min=0)] = None,
    end: Annotated[float | None, typer.Option("--to", help="Look at the motion up to here, s.", min=0)] = None,
    slow: Annotated[
        float, typer.Option(help="Show it at this share of its speed; on a robot: walk so.", min=0.01, max=1)
    ] = 1.0,
    plot: Annotated[Path | None, typer.Option(help="Draw joints, feet, stance and speed to FILE.png.")] = None,
    video: Annotated[Path | None, typer.Option(help="Write the robot walking in simulation as FILE.mp4.")] = None,
    view: Annotated[bool, typer.Option("--view", help="Look at it in 3D in the browser until Ctrl-C.")] = False,
    port: PagePort = None,
    odometer: Odometer = None,
    yes: Yes = False,
    assistant: Assistant = None,
    pace: Pace = "wall",
    json: Json = False,
) -> None:
    """Run a logged trial again and compare: a simulated one must come out the same, bit for bit."""
    from robotps.changes import changed_files, changed_software
    from robotps.cli.place import PhysicalFlags, only_truth, serial_port
    from robotps.cli.simulation import simulation, world_table
    from robotps.errors import RobotpsError
    from robotps.replay import again_in_simulation, find
    from robotps.run import Run

    if begin is not None and end is not None and not begin < end:
        raise RobotpsError(f"--from {begin:g} must be before --to {end:g}")
    with Run.open(run) as record:
        logged = find(record, trial)
        changes, software = changed_files(record), changed_software(record)
    where, other = serial_port(on), None
    if where is None:
        only_truth([odometer] if odometer else [], [assistant] if assistant else [], pace, walk_back=False)
        other = None if world is None else world_table(world, logged.description)
        result = again_in_simulation(logged, simulation(logged.description), other)
    elif world is not None:
        raise RobotpsError("--world is for simulation: a physical robot is in the world it is in")
    else:
        result = _on_robot(logged, where, PhysicalFlags(odometer, yes, assistant, pace), end, slow)
    if not result.identical:  # where it is, nothing that changed made a difference
        changes += software
    for change in changes:
        say(f"note: {change}")
    _tell(result)
    if plot is not None:
        from robotps.sheet import draw_sheet

        draw_sheet(result, plot, begin, end)
        say(f"wrote {plot}")
    if video is not None:
        _record(logged, other, video, begin, end, slow)
        say(f"wrote {video}")
    if json:
        fit = result.agreement
        answer(
            {
                "run": str(run),
                "trial": logged.record.id,
                "ending": logged.record.ending,
                "recorded_speed": result.recorded_speed,
                "replayed_speed": result.trial.speed,
                "identical": result.identical,
                "agreement": None if fit is None else fit.overall,
                "agreement_by_quantity": None if fit is None else fit.quantities,
                "remarks": [*result.remarks, *changes],
                "plot": None if plot is None else str(plot),
                "video": None if video is None else str(video),
            }
        )
    if view:
        _look(result, port, begin, end, slow)
    if result.identical is False:
        raise typer.Exit(1)


def _on_robot(logged: Logged, port: str, flags: PhysicalFlags, end: float | None, slow: float) -> Replay:
    """The trial's gait on the robot: from standing, under the same timing and safety, into a run of its own."""
    from robotps.cli.place import physical
    from robotps.cli.trial import on_robot
    from robotps.gait import Gait
    from robotps.replay import beside
    from robotps.run import Run

    settings = logged.settings
    if end is not None:
        seconds = min(settings.seconds, max(end - settings.warm_up, logged.description.control_period))
        settings = settings.model_copy(update={"seconds": seconds})
    if slow != 1.0:
        times = {"seconds": settings.seconds / slow, "warm_up": settings.warm_up / slow}
        settings = settings.model_copy(update=times)
    gait = Gait(logged.gait.family, {**logged.gait.parameters, "period": logged.gait.parameters["period"] / slow})
    recorded = _recorded(logged)
    with physical(logged.description, port, flags) as place:
        trials, path = on_robot(place, logged.description, gait, settings, logged.record.seed, 1)
    say(f"run    {path}")
    with Run.open(path) as run:
        return beside(logged, recorded, trials[-1], run.telemetry(run.last_trial()), slow)


def _recorded(logged: Logged) -> Telemetry | None:
    """A physical trial's telemetry; a simulated one's made again, where there is a simulation to make it in."""
    from robotps.cli.simulation import simulation
    from robotps.errors import MissingExtra
    from robotps.replay import again_in_simulation

    if logged.telemetry is not None:
        return logged.telemetry
    try:
        return again_in_simulation(logged, simulation(logged.description)).recorded
    except MissingExtra as error:
        say(f"nothing to compare with: {error}")
        return None


def _record(
    logged: Logged, world: dict[str, Any] | None, video: Path, begin: float | None, end: float | None, slow: float
) -> None:
    """The robot walking, as it does in simulation."""
    from robotps.cli.simulation import simulation
    from robotps.gait import gait_cycle
    from robotps.replay import Recording
    from sim.render import record_video

    telemetry, period = logged.telemetry, logged.description.control_period
    motion = gait_cycle(logged.description, logged.gait) if telemetry is None else Recording(telemetry, period)
    seconds = logged.length if end is None else min(logged.length, end)
    with simulation(logged.description)(logged.record.world if world is None else world, logged.record.seed) as robot:
        record_video(robot, motion, seconds, video, begin=begin or 0.0, pace=slow)


def _look(result: Replay, port: int | None, begin: float | None, end: float | None, slow: float) -> None:
    """Serve the page until Ctrl-C."""
    import threading

    from robotps.view import ReplayView

    with ReplayView(result, port, begin, end, slow) as page:
        say(f"open {page.address} in a browser; from another machine after ssh -L {page.forwarding} HOST. Ctrl-C ends")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


def _tell(result: Replay) -> None:
    before = "no speed" if result.recorded_speed is None else f"{result.recorded_speed:.4f} m/s"
    say(f"trial {result.logged.record.id}: recorded {before}, replayed {result.trial.speed:.4f} m/s")
    for remark in result.remarks:
        say(remark)
    if result.identical is not None:
        same = result.identical
        say("identical, bit for bit" if same else "not identical", style=None if same else "red")
    elif result.agreement is not None:
        fits = ", ".join(f"{name} {fit:.2f}" for name, fit in result.agreement.quantities.items())
        say(f"agreement {result.agreement.overall:.2f} of 1 ({fits})")
