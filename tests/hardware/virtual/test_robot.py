"""The whole virtual robot: its port, its position stream, the person who helps, and the verb."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial

from hardware.virtual.assistant import LINE, Assistant
from hardware.virtual.dynamixel_packet import packet
from hardware.virtual.reality import Reality
from hardware.virtual.robot import VirtualRobot
from robotps.description import load_description
from robotps.errors import RobotpsError

SYNC_WRITE = 0x83
IDS = [20, 21, 22, 10, 11, 12, 30, 31, 32, 40, 41, 42]


class Client:
    """JSON lines to and from an address."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self._lines = self.socket.makefile("r")

    def next(self) -> dict[str, Any]:
        return json.loads(self._lines.readline())  # type: ignore[no-any-return]

    def ask(self, **request: Any) -> dict[str, Any]:
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return self.next()


def goals(address: int, form: str, values: list[int]) -> bytes:
    data = b"".join(struct.pack("<B" + form, id_, value) for id_, value in zip(IDS, values, strict=True))
    return packet(0xFE, bytes((SYNC_WRITE,)) + struct.pack("<HH", address, struct.calcsize(form)) + data)


def session(seed: int, reality: Reality | None = None) -> tuple[list[dict[str, Any]], bytes]:
    """Stand up, be put at the start and step with the legs, all in lockstep; what the stream and the bus said."""
    stance = [2048, 2504, 1266] * 4
    heard = b""
    with VirtualRobot(load_description("dkitty"), reality=reality, realtime=False, seed=seed) as robot:
        stream, person = Client(robot.position_stream), Client(robot.assistant)
        lines = [stream.next()]
        with serial.Serial(robot.port, 1_000_000, timeout=60) as port:
            port.write(goals(64, "B", [1] * 12))
            for k in range(60):
                if k == 40:
                    assert person.ask(ask="place_at_start") == {"done": True}
                step = [round(60 * np.sin(k / 4 + leg * np.pi / 2)) for leg in range(4) for _ in range(3)]
                port.write(goals(116, "i", [a + b for a, b in zip(stance, step, strict=True)]))
                port.write(packet(10, bytes((2,)) + struct.pack("<HH", 120, 27)))
                heard += port.read(11 + 27)
        while len(lines) < 62:
            lines.append(stream.next())
    return lines, heard


def test_lockstep_is_the_same_bit_for_bit_on_the_bus_and_in_the_stream() -> None:
    reality = Reality.model_validate(
        {
            "sensor": {"position_noise_rad": 0.001, "stream_noise_m": 0.002},
            "start": {"yaw_noise_rad": 0.1},
            "floor": {"roughness_m": 0.002},
        }
    )
    first, second, other = session(3, reality), session(3, reality), session(4, reality)
    assert first == second
    assert first != other
    lines, _ = first
    times = [line["t"] for line in lines]
    assert times == pytest.approx([0.0] + [0.01 * k for k in range(1, 41)] + [0.4] + [0.01 * k for k in range(41, 61)])


def test_the_stream_tells_where_the_trunk_is_and_greets_late_clients() -> None:
    with VirtualRobot(load_description("dkitty"), realtime=False) as robot:
        person = Client(robot.assistant)
        person.ask(ask="on_stand")
        line = Client(robot.position_stream).next()
        assert line["position"] == pytest.approx(robot.plant.body.pose.position.tolist())
        assert line["quaternion"] == pytest.approx([0, 0, 0, 1], abs=1e-6)
        assert line["position"][2] > 0.4


def test_stream_noise_has_the_size_that_the_reality_says() -> None:
    reality = Reality.model_validate({"sensor": {"stream_noise_m": 0.003}})
    with VirtualRobot(load_description("bittle"), reality=reality, realtime=False) as robot:
        person, stream = Client(robot.assistant), Client(robot.position_stream)
        seen = [stream.next()["position"]]
        for _ in range(200):
            person.ask(ask="on_stand")
            seen.append(stream.next()["position"])
        assert np.std(np.array(seen)[1:], axis=0) == pytest.approx(0.003, rel=0.25)


def test_the_person_does_as_asked_and_says_what_is_not_understood() -> None:
    with VirtualRobot(load_description("dkitty"), realtime=False) as robot:
        person, plant = Client(robot.assistant), robot.plant
        assert person.ask(ask="place_at_start", message="please") == {"done": True}
        assert plant.body.pose.position[:2] == pytest.approx([0.0, 0.0])
        plant.body.put_down(1.0, 0.5, -0.5)
        assert person.ask(ask="on_feet") == {"done": True}
        assert plant.body.pose.position[:2] == pytest.approx([0.5, -0.5])
        assert plant.body.yaw == pytest.approx(1.0)
        plant.battery.drawn = 1000.0
        plant.servos.switch(0, True, 0.0)
        assert person.ask(ask="change_battery") == {"done": True}
        assert plant.battery.drawn == 0.0
        assert not plant.servos.on.any(), "without a battery the servos start anew"
        robot.unplug()
        assert person.ask(ask="plug_cable") == {"done": True, "port": robot.port}
        assert robot.terminal.plugged
        assert person.ask(ask="confirm")["done"]
        assert person.ask(ask="dance")["done"] is False
        person.socket.sendall(b"not json\n[1]\n")
        assert [person.next()["done"], person.next()["done"]] == [False, False]


def test_the_person_with_the_stopwatch_presses_as_exactly_as_people_do() -> None:
    with VirtualRobot(load_description("dkitty"), realtime=False) as robot:
        person: Assistant = robot._assistant
        person.do({"ask": "place_at_start"})
        for k in range(600):  # 0.3 m/s along x
            person._seen.append((k * 0.01, 0.003 * k))
        assert person.do({"ask": "stopwatch", "distance": 3.0}).keys() == {"done", "distance", "seconds"}
        times = [person.do({"ask": "stopwatch", "distance": 1.0})["seconds"] for _ in range(400)]
        assert np.mean(times) == pytest.approx(1.0 / 0.3, abs=0.05)
        assert np.std(times) == pytest.approx(0.15 * np.sqrt(2), rel=0.2)
        answers = [person.do({"ask": "stopwatch", "distance": 3.0}) for _ in range(400)]
        assert np.mean([each["distance"] for each in answers]) == pytest.approx(599 * 0.003 - LINE, abs=0.01)
        assert np.mean([each["seconds"] for each in answers]) == pytest.approx(5.99 - LINE / 0.3, abs=0.05)


@pytest.mark.parametrize(("robot", "protocol"), [("dkitty", "feetech"), ("bittle", None)])
def test_other_protocols_are_served_as_well(robot: str, protocol: Any) -> None:
    with (
        VirtualRobot(load_description(robot), protocol=protocol, realtime=False) as one,
        serial.Serial(one.port, 115200 if robot == "bittle" else 1_000_000, timeout=60) as port,
    ):
        if robot == "bittle":
            port.write(b"?\n")
            assert port.read_until(b"?\r\n").endswith(b"?\r\n")
        else:
            port.write(bytes.fromhex("FFFF0A0201F2"))
            assert port.read(6) == bytes.fromhex("FFFF0A0200F3")


def test_a_robot_without_wiring_says_what_it_needs() -> None:
    with pytest.raises(RobotpsError, match=r"\[wiring\]"):
        VirtualRobot(load_description("ers210"))


def test_nothing_listens_beyond_this_machine() -> None:
    with VirtualRobot(load_description("bittle"), realtime=False) as robot:
        for address in (robot.position_stream, robot.assistant):
            assert address.startswith("127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_verb_prints_the_addresses_first_and_ends_cleanly(number: int, tmp_path: Path) -> None:
    reality = tmp_path / "reality.toml"
    reality.write_text("[floor]\nfriction = 0.5\n")
    command = [sys.executable, "-m", "robotps.cli.app", "virtual", "--lockstep", "--json", "--reality", str(reality)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert set(said) == {"port", "position_stream", "assistant"}
    assert os.path.exists(said["port"])
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == ""
    assert not os.path.exists(said["port"])


def test_the_verb_names_what_is_wrong_in_a_reality(tmp_path: Path) -> None:
    reality = tmp_path / "reality.toml"
    reality.write_text("[floor]\nfrictoin = 0.5\n")
    command = [sys.executable, "-m", "robotps.cli.app", "virtual", "--reality", str(reality)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "frictoin" in done.stderr
    assert "friction" in done.stderr
    assert "Traceback" not in done.stderr
