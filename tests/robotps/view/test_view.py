"""The page of a replay in a real browser."""

from __future__ import annotations

import io
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.replay import again_in_simulation, find
from robotps.robot import Robot
from robotps.run import Run
from robotps.view import ReplayView
from robotps.view.timeline import Timeline

MakeRun = Callable[..., Path]
Gliding = Callable[[RobotDescription], Callable[[Mapping[str, Any] | None, int], Robot]]

PATIENCE = 90
"""s; a browser without a GPU on a busy machine draws a picture a second, or less."""


@pytest.fixture
def view(make_run: MakeRun, gliding: Gliding) -> Iterator[ReplayView]:
    with Run.open(make_run(world=None, iterations=1, trial={"seconds": 2.0, "warm_up": 0.1})) as run:
        replay = again_in_simulation(find(run), gliding(run.description))
    with ReplayView(replay) as page:
        yield page


def _until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.2)


def _scene(browser: Any) -> np.ndarray:
    """The part of the window with the 3D scene and nothing else, as grey values."""
    picture = Image.open(io.BytesIO(browser.picture())).convert("L")
    return np.asarray(picture, dtype=float)[200:, : picture.width * 3 // 5]


def _cursor(browser: Any) -> str:
    return str(browser.run("return document.querySelector('.joints .cursor')?.getAttribute('d') || ''"))


def test_the_robot_is_drawn_walks_when_play_is_pressed_and_follows_the_time_line(
    view: ReplayView, browser: Any
) -> None:
    browser.open(view.address)
    _until("the canvas has something on it", lambda: _ink(browser) > 0.01)
    before, cursor, now = _scene(browser), _cursor(browser), view.timeline.now
    browser.run("[...document.querySelectorAll('button')].find(b => b.innerText.trim() === 'Play').click()")
    _until("time goes on", lambda: view.timeline.now != now)
    _until("the robot moves", lambda: np.abs(_scene(browser) - before).max() > 60)
    _until("the line in the joint plots moves", lambda: _cursor(browser) != cursor)
    browser.run("[...document.querySelectorAll('button')].find(b => b.innerText.trim() === 'Pause').click()")
    _until("it pauses", lambda: not view.timeline.playing)

    slider = "document.querySelector('[role=slider]')"
    for key in ("End", "Home"):
        cursor = _cursor(browser)
        browser.run(
            f"{slider}.focus(); {slider}.dispatchEvent(new KeyboardEvent('keydown', "
            f"{{key: '{key}', code: '{key}', bubbles: true}}))"
        )
        wanted = view.timeline.end if key == "End" else view.timeline.begin
        _until(f"scrubbing with {key} arrives", lambda wanted=wanted: abs(view.timeline.now - wanted) < 0.02)
        _until("the line follows", lambda cursor=cursor: _cursor(browser) != cursor)

    elsewhere = [address for address in browser.requests() if not re.match(r"data:|blob:http://127\.0\.0\.1", address)]
    complaints = browser.complaints()
    browser.open("about:blank")
    assert {address.split("?")[0] for address in elsewhere} == {view.address}
    assert complaints == []


def _ink(browser: Any) -> float:
    """Share of the scene that is neither background nor floor."""
    return float((_scene(browser) < 150).mean())


def test_a_port_that_is_taken_is_named(make_run: MakeRun, gliding: Gliding) -> None:
    with Run.open(make_run(world={}, iterations=1)) as run:
        replay = again_in_simulation(find(run), gliding(run.description))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RobotpsError, match=f"port {port} is taken"):
            ReplayView(replay, port)


def test_only_this_machine_is_served_and_nothing_is_said_on_stdout(
    view: ReplayView, capsys: pytest.CaptureFixture[str]
) -> None:
    port = int(view.address.rstrip("/").rpartition(":")[2])
    with socket.socket() as outside:
        outside.settimeout(2)
        assert outside.connect_ex(("127.0.0.2", port)) != 0
    assert capsys.readouterr().out == ""


def test_a_time_line_begins_again_after_its_end_and_stays_where_it_is_paused() -> None:
    line = Timeline(1.0, 3.0, pace=0.5)
    assert not line.advance(1.0)
    line.play()
    assert line.advance(1.0)
    assert line.now == 1.5
    line.scrub(99.0)
    assert line.now == 3.0
    line.advance(0.1)
    assert line.now == 1.0
    line.scrub(2.0)
    line.pause()
    assert not line.advance(5.0)
    assert line.now == 2.0
    line.scrub(3.0)
    line.play()
    assert line.now == 1.0
