"""The page of a replay, served to this machine only."""

from __future__ import annotations

import io
import threading
import time
from contextlib import AbstractContextManager, redirect_stdout
from html import escape
from typing import Any

from robotps.errors import RobotpsError, require
from robotps.legs import LEGS, LegName
from robotps.replay import Replay, excerpt
from robotps.robot import Telemetry
from robotps.view.plots import JointPlots
from robotps.view.timeline import Timeline
from robotps.view.walker import Walker

HOST = "127.0.0.1"
FIRST_PORT = 8080
FRAMES = 30.0
"""Pictures a second."""
PLOTS = 5.0
"""Joint plots a second."""
PACES = {"1/10": 0.1, "1/4": 0.25, "1/2": 0.5, "1": 1.0, "2": 2.0}


class ReplayView:
    """A page at `address` until closed: two robots, a time line, what each shows. Use as a context manager."""

    def __init__(
        self,
        replay: Replay,
        port: int | None = None,
        begin: float | None = None,
        end: float | None = None,
        pace: float = 1.0,
    ) -> None:
        """begin, end: part of the motion, s. pace: times real time. Raises RobotpsError where the port is taken."""
        viser = require("viser", extra="view")
        self._motions = _motions(replay, begin, end)
        first = self._motions[0][1]
        self.timeline = Timeline(float(first.time[0]), float(first.time[-1]), pace)
        self._server = _serve(viser, port)
        number = self._server.get_port()
        self.address = f"http://{HOST}:{number}/"
        self.forwarding = f"{number}:{HOST}:{number}"
        self._replay = replay
        self._plots = JointPlots(replay.logged.description, self._motions)
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._scene()
        self._panel(pace)
        self._show(plots=True)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> ReplayView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._closed.set()
        self._changed.set()
        self._thread.join()
        with _quiet():
            self._server.stop()

    def _scene(self) -> None:
        scene, description = self._server.scene, self._replay.logged.description
        scene.set_up_direction("+z")
        # shadows are what a computer without a GPU cannot keep up with
        scene.configure_default_lights(cast_shadow=False)
        # the floor moves under a robot that is followed, so that a person's own view of it stays
        self._floor = scene.add_frame("/floor", show_axes=False)
        scene.add_grid(
            "/floor/grid", 20.0, 20.0, cell_size=0.1, section_size=1.0, cell_color=(225, 229, 234), fade_distance=12.0
        )
        self._walkers = [
            Walker(self._server, name, description, telemetry, ghost=name == "replayed")
            for name, telemetry in self._motions
        ]
        reach = max(abs(value) for leg in LEGS for value in description.legs[leg].joints[0].origin)
        self._apart = 5.0 * reach
        camera = self._server.initial_camera
        camera.position = (5.0 * reach, -9.0 * reach, 5.0 * reach)
        camera.look_at = (0.0, 0.0, 1.0 * reach)

    def _panel(self, pace: float) -> None:
        gui, timeline = self._server.gui, self.timeline
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        gui.set_panel_label(f"trial {self._replay.logged.record.id}")
        gui.add_markdown(self._words())
        self._play = gui.add_button("Play", icon="player-play")
        period = self._replay.logged.description.control_period
        self._slider = gui.add_slider("time (s)", timeline.begin, timeline.end, period, timeline.begin)
        nearest = min(PACES, key=lambda name: abs(PACES[name] - pace))
        self._pace = gui.add_dropdown("speed", tuple(PACES), initial_value=nearest)
        self._leg = gui.add_dropdown("joints of", LEGS, initial_value=LEGS[0])
        with gui.add_folder("Show", expand_by_default=False):
            self._follow = gui.add_checkbox("follow the robot", True)
            self._beside = gui.add_checkbox("side by side", len(self._walkers) > 1, visible=len(self._walkers) > 1)
            self._traces = gui.add_checkbox("foot traces", True)
            self._marks = gui.add_checkbox("feet on the floor", True)
            self._robots = [gui.add_checkbox(name, True, visible=len(self._motions) > 1) for name, _ in self._motions]
        self._charts = gui.add_html("")
        self._play.on_click(lambda _: self._toggle())
        self._slider.on_update(self._scrubbed)
        self._pace.on_update(lambda _: setattr(timeline, "pace", PACES[self._pace.value]))
        for handle in (self._leg, self._follow, self._beside, self._traces, self._marks, *self._robots):
            handle.on_update(lambda _: self._changed.set())

    def _words(self) -> str:
        replay, record = self._replay, self._replay.logged.record
        before = "none" if replay.recorded_speed is None else f"{replay.recorded_speed:.3f} m/s"
        lines = [
            f"**{replay.logged.description.title}**, trial {record.id}, {record.ending}",
            f"recorded {before}, replayed {replay.trial.speed:.3f} m/s",
        ]
        if replay.identical:
            lines.append("identical, bit for bit")
        elif replay.agreement is not None:
            fits = ", ".join(f"{name} {fit:.2f}" for name, fit in replay.agreement.quantities.items())
            lines.append(f"agreement {replay.agreement.overall:.2f} of 1 ({fits})")
        lines += replay.remarks
        if any(not walker.measured for walker in self._walkers):
            lines.append("Nobody measured where the body was: the robot walks on the spot.")
        # it is shown as Markdown with HTML in it, and titles and remarks may be a stranger's
        return "\n\n".join(escape(line, quote=False) for line in lines)

    def _toggle(self) -> None:
        if self.timeline.playing:
            self.timeline.pause()
        else:
            self.timeline.play()
        self._play.label = "Pause" if self.timeline.playing else "Play"
        self._play.icon = "player-pause" if self.timeline.playing else "player-play"
        self._changed.set()

    def _scrubbed(self, event: Any) -> None:
        if event.client is None:
            return  # moved by the time line itself
        self.timeline.scrub(float(self._slider.value))
        self._changed.set()

    def _run(self) -> None:
        """Show what is due, FRAMES times a second while the motion plays, and at once when something is changed."""
        last, plotted = time.monotonic(), 0.0
        while not self._closed.is_set():
            changed = self._changed.wait(1 / FRAMES)
            self._changed.clear()
            now = time.monotonic()
            moved = self.timeline.advance(now - last)
            last = now
            if moved:
                self._slider.value = round(self.timeline.now, 4)
            if moved or changed:
                due = changed or now - plotted > 1 / PLOTS
                plotted = now if due else plotted
                self._show(plots=due)

    def _show(self, plots: bool) -> None:
        now = self.timeline.now
        with self._server.atomic():
            for number, walker in enumerate(self._walkers):
                walker.visible(self._robots[number].value, self._traces.value, self._marks.value)
                walker.aside(-number * self._apart if self._beside.value else 0.0)
                walker.show(now)
            x, y, _ = self._walkers[0].position(now)
            self._floor.position = (-x, -y, 0.0) if self._follow.value else (0.0, 0.0, 0.0)
        if plots:
            leg: LegName = self._leg.value
            self._charts.content = self._plots.html(leg, now)


def _motions(replay: Replay, begin: float | None, end: float | None) -> list[tuple[str, Telemetry]]:
    """What there is to see; raises RobotpsError where there is nothing."""
    found = [("recorded", replay.recorded), ("replayed", replay.replayed)]
    motions = [(name, excerpt(telemetry, begin, end)) for name, telemetry in found if telemetry is not None]
    if not motions:
        raise RobotpsError(f"trial {replay.logged.record.id}: there is no motion to look at")
    return motions


def _serve(viser: Any, port: int | None) -> Any:
    """A server on this machine only; viser itself takes the next free port where none is asked for."""
    if port is not None:
        import socket

        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise RobotpsError(f"port {port} is taken: choose another with --port") from None
    with _quiet():
        return viser.ViserServer(host=HOST, port=port or FIRST_PORT, label="robotps", verbose=False)


def _quiet() -> AbstractContextManager[Any]:
    """viser announces itself on stdout, which is for answers."""
    return redirect_stdout(io.StringIO())
