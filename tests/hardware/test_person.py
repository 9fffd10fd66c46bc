"""Whoever helps: at a terminal, behind a socket, or nobody."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hardware.person import Assistant, Nobody, Terminal, find_person
from robotps.errors import RobotpsError


@pytest.fixture
def keyboard() -> Iterator[tuple[Terminal, Callable[[str], None]]]:
    read, write = os.pipe()
    with os.fdopen(read) as source:
        yield Terminal(source), lambda text: os.write(write, text.encode()) and None
        os.close(write)


def test_enter_is_an_answer(keyboard, capsys) -> None:
    terminal, type_ = keyboard
    typing = threading.Timer(0.3, type_, ("  r \n",))
    typing.start()
    assert terminal.ask("place_at_start", "put it there")["text"] == "r"
    typing.join()
    assert "put it there" in capsys.readouterr().err


def test_presses_are_timed_when_they_happen(keyboard) -> None:
    terminal, type_ = keyboard
    began = time.monotonic()

    def wait_for(count: int) -> list[float]:
        while len(terminal.presses(began)) < count:
            time.sleep(0.005)
        return terminal.presses(began)

    terminal.presses(began)
    type_("\n")
    first = wait_for(1)[0]
    between = time.monotonic()
    type_("\n")
    assert wait_for(2)[0] == first
    assert len(terminal.presses(between)) == 1


def test_a_closed_stdin_is_told_and_not_waited_for() -> None:
    with open(os.devnull) as source, pytest.raises(RobotpsError, match="--yes"):
        Terminal(source).ask("on_feet", "stand it up")


def test_nobody_does_everything_but_answer_questions() -> None:
    assert Nobody().ask("place_at_start", "there")["done"] is True
    with pytest.raises(RobotpsError, match="leave out --yes: how far"):
        Nobody().ask("stopwatch", "how far")


def serve(answers: list[bytes]) -> tuple[str, list[dict]]:
    """An assistant on a socket that gives these answers; where it is, and what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[dict] = []

    def run() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            for answer in answers:
                asked.append(json.loads(stream.readline()))
                stream.write(answer.decode() + "\n")
                stream.flush()
        listener.close()

    threading.Thread(target=run, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}", asked


def test_an_assistant_is_asked_in_json_lines() -> None:
    address, asked = serve([b'{"done": true}', b'{"done": true, "seconds": 4.2}'])
    person = find_person(assistant=address)
    person.ask("on_stand", "put it on the stand")
    assert person.ask("stopwatch", "how long", distance=1.0)["seconds"] == 4.2
    assert asked == [
        {"ask": "on_stand", "message": "put it on the stand"},
        {"ask": "stopwatch", "message": "how long", "distance": 1.0},
    ]


@pytest.mark.parametrize("answer", [b'{"done": false}', b"nonsense", b"[]", b"{}"])
def test_an_assistant_that_did_not_do_it_is_told(answer: bytes) -> None:
    address, _ = serve([answer])
    with pytest.raises(RobotpsError, match=address):
        Assistant(address).ask("on_feet", "stand it up")


def test_an_assistant_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(RobotpsError, match="does not answer"):
        Assistant(address).ask("on_feet", "stand it up")


@pytest.mark.parametrize("address", ["localhost", ":", "host:port", "", "host:²", "host:99999", "host:0"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(RobotpsError, match="HOST:PORT"):
        Assistant(address).ask("on_feet", "stand it up")


def test_flags_choose_who_helps() -> None:
    assert type(find_person(yes=True)) is Nobody
    assert type(find_person()) is Terminal
    with pytest.raises(RobotpsError, match="one of them"):
        find_person(yes=True, assistant="127.0.0.1:1")


@pytest.mark.parametrize("typed", [None, b"\xff\n"])
def test_a_terminal_that_is_none_or_sends_no_text_is_told_and_not_waited_for(
    typed: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as source:
        if typed is None:
            monkeypatch.setattr("sys.stdin", None)
        else:
            os.write(write, typed)
        with pytest.raises(RobotpsError, match="stdin is closed"):
            Terminal(None if typed is None else source).ask("place_at_start", "put it there")
    os.close(write)
