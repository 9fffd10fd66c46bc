"""The page of a run in progress."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robotps.errors import RobotpsError
from robotps.report import server
from robotps.report.server import ReportServer
from robotps.run import Run
from robotps.trial import Trial

MakeRun = Callable[..., Path]


def _get(address: str, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(address, headers={} if host is None else {"Host": host})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _add_trial(run: Run, speed: float) -> None:
    number = run.count()
    (candidate,) = run.add_candidates("search", 1000 + number, "trot", np.zeros((1, 12)))
    trial = Trial("finished", speed=speed, distance=speed, duration=1.0, unreachable=0.0)
    run.add_trial(
        candidate,
        repeat=0,
        robot="dkitty",
        seed=1,
        world={},
        trial=trial,
        score=speed,
        digest=None,
        started="",
        seconds=1.0,
    )


def test_the_page_is_made_anew_when_the_run_has_something_new(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    with Run.resume(path) as writer, ReportServer(path) as served:
        before = _get(served.address)[1]
        assert "in progress" in before
        assert _get(served.address)[1] is not None
        _add_trial(writer, 0.4321)
        assert "0.432" not in before
        assert "0.432" in _get(served.address)[1]


def test_only_this_machine_is_served_and_only_the_report(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    with ReportServer(path) as served:
        assert served.address.startswith("http://127.0.0.1:")
        port = int(served.address.rstrip("/").rpartition(":")[2])
        assert _get(served.address + "run.sqlite")[0] == 404
        assert _get(served.address, host=f"evil.example:{port}")[0] == 403
        assert _get(served.address, host=f"localhost:{port}")[0] == 200
        with pytest.raises(RobotpsError, match=f"port {port} is taken"):
            ReportServer(path, port)
        outside = socket.socket()
        outside.settimeout(2)
        assert outside.connect_ex(("127.0.0.2", port)) != 0
        outside.close()


def test_watching_changes_nothing_on_disk(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with ReportServer(path) as served:
        _get(served.address)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_run_that_vanished_is_said_to_have(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    with ReportServer(path) as served:
        (path / "run.sqlite").rename(path / "elsewhere.sqlite")
        with pytest.raises(urllib.error.HTTPError) as failed:
            urllib.request.urlopen(served.address)
    assert failed.value.code == 503
    assert "not a run" in failed.value.read().decode()
    # a message may quote what a stranger's run holds
    assert failed.value.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_an_open_page_follows_the_run_without_a_word_from_the_person(
    make_run: MakeRun, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REFRESH", 0.2)
    path = make_run(world={}, iterations=1)
    points = "return document.querySelectorAll('circle.trial').length"
    with Run.resume(path) as writer, ReportServer(path) as served:
        browser.open(served.address)
        before = browser.run(points)
        for speed in (0.41, 0.42, 0.43):
            _add_trial(writer, speed)
        deadline = time.monotonic() + 20
        while browser.run(points) == before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert browser.run(points) == before + 3
        asked = browser.requests()
        complaints = browser.complaints()
        browser.open("about:blank")
    assert len(asked) > 1
    assert {address.split("?")[0] for address in asked if not address.startswith("data:")} == {served.address}
    assert complaints == []


def test_elsewhere_than_on_this_machine_the_page_needs_its_token(make_run: MakeRun) -> None:
    with ReportServer(make_run(world={}, iterations=1), host="0.0.0.0") as served:
        address = served.address.replace("0.0.0.0", "127.0.0.1")
        status, text = _get(address)
        assert status == 200
        assert "<html" in text
        base, _, token = address.partition("?token=")
        assert len(token) >= 32
        for wrong in ("", "?token=", f"?token={token[:-1]}", f"?token={token}x", "?token=" + "x" * len(token)):
            status, text = _get(base + wrong)
            assert status == 403
            assert "m/s" not in text
    with ReportServer(make_run("again", world={}, iterations=1), host="0.0.0.0") as other:
        assert token not in other.address
