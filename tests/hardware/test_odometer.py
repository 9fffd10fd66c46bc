"""Odometers: what they measure, and whether the error they claim is the one they make."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from hardware.faults import HardwareFault
from hardware.odometer import PRESS_STD, Stopwatch, Stream, make_odometer, noise
from hardware.person import Nobody
from robotps.errors import RobotpsError
from robotps.odometer import along_track
from robotps.robot import Telemetry


def telemetry(seconds: float = 6.0) -> Telemetry:
    time_ = np.arange(1, round(seconds * 100) + 1) * 0.01
    return Telemetry(time=time_, sent=np.zeros((len(time_), 1)))


class Scripted(Nobody):
    """Presses at given moments after the start, and answers a question."""

    def __init__(self, presses: list[float], answer: dict | None = None) -> None:
        self._presses, self._answer = presses, answer

    def presses(self, since: float) -> list[float]:
        return [since + press for press in self._presses]

    def ask(self, what, message, **details):
        assert self._answer is not None, "nothing should have been asked"
        return {"done": True, **self._answer}

    def tell(self, message: str) -> None: ...


def watched(person: Scripted, distance: float = 1.0):
    stopwatch = Stopwatch(person, distance)
    stopwatch.start()
    return stopwatch.travel(telemetry(), 1.0, 6.0)


def test_a_stopwatch_is_a_distance_over_a_time() -> None:
    travel = watched(Scripted([1.0, 5.0, 5.5]))
    assert (travel.forward, travel.seconds) == (1.0, pytest.approx(4.0))
    assert travel.forward_std == pytest.approx(0.25 * PRESS_STD * math.sqrt(2))


def test_a_scripted_stopwatch_gives_the_interval_it_claims() -> None:
    """Presses that are off by 0.15 s: the true speed lies in the 95 % interval 95 % of the time."""
    rng = np.random.default_rng(0)
    truth, inside, runs = 0.22, 0, 2000
    for _ in range(runs):
        first, second = 1.0 + rng.normal(0, PRESS_STD), 1.0 + 1.0 / truth + rng.normal(0, PRESS_STD)
        travel = watched(Scripted([first, second]))
        speed, std = travel.forward / travel.seconds, travel.forward_std / travel.seconds
        inside += abs(speed - truth) < 1.96 * std
    assert 0.93 < inside / runs < 0.97


@pytest.mark.parametrize(
    ("answer", "forward", "seconds"),
    [
        ({"text": "42 cm"}, 0.42, 6.0),
        ({"text": "42"}, 0.42, 6.0),
        ({"text": ""}, 0.0, 6.0),
        ({"text": "4.2 s"}, 1.0, 4.2),
        ({"seconds": 4.2}, 1.0, 4.2),
        ({"distance": 0.8}, 0.8, 6.0),
        ({"distance": 0.5, "seconds": 2.5}, 0.5, 2.5),
    ],
)
def test_a_robot_that_did_not_arrive_is_measured_by_what_the_person_says(answer, forward, seconds) -> None:
    travel = watched(Scripted([], answer))
    assert (travel.forward, travel.seconds) == (pytest.approx(forward), pytest.approx(seconds))
    assert travel.forward_std > 0


def test_a_robot_that_crossed_the_first_line_alone_is_timed_from_there_to_the_motions_end() -> None:
    travel = watched(Scripted([1.0], {"text": "90 cm"}))
    assert (travel.forward, travel.seconds) == (0.9, pytest.approx(5.0, abs=1e-3))


@pytest.mark.parametrize("answer", [{"text": "far"}, {"text": "0 s"}, {"seconds": -1}])
def test_a_measurement_that_cannot_be_does_not_count(answer: dict) -> None:
    with pytest.raises(HardwareFault, match="not counted"):
        watched(Scripted([], answer))


class Capture:
    """Motion capture on a socket: sends lines when told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connection: socket.socket | None = None
        self._accepted = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        self._connection, _ = self._listener.accept()
        self._accepted.set()

    def send(self, **sample: object) -> None:
        self._accepted.wait(5)
        assert self._connection is not None
        self._connection.sendall(json.dumps(sample).encode() + b"\n")

    def close(self) -> None:
        self._accepted.wait(0.1)
        if self._connection is not None:
            self._connection.close()
        self._listener.close()


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture()
    yield capture
    capture.close()


def quaternion(yaw: float) -> list[float]:
    return [0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)]


def test_a_stream_is_measured_along_the_heading_at_the_start_of_the_window(capture: Capture) -> None:
    stream = make_odometer(f"stream:{capture.address}", Nobody())
    capture.send(t=100.0, position=[3.0, 2.0, 0.2], quaternion=quaternion(0.5))
    time.sleep(0.05)
    stream.start()
    rng = np.random.default_rng(1)
    for n in range(1, 640):
        t, along = 100 + n * 0.01, 0.3 * max(0.0, n * 0.01 - 0.5)
        place = np.array([3 + along * math.cos(0.5), 2 + along * math.sin(0.5), 0.2]) + rng.normal(0, 0.001, 3)
        capture.send(t=t, position=place.tolist(), quaternion=quaternion(0.5 + 0.02 * n * 0.01))
    travel = stream.travel(telemetry(), 1.0, 6.0)
    assert travel.forward == pytest.approx(1.5, rel=0.01)
    assert travel.lateral == pytest.approx(-1.5 * 0.02, abs=0.01)
    assert travel.heading_change == pytest.approx(0.1, abs=0.01)
    assert travel.seconds == pytest.approx(5.0)
    assert travel.forward_std == pytest.approx(0.001 * math.sqrt(2), rel=0.1)
    assert travel.track is not None
    posed = along_track(telemetry(), travel.track)
    assert posed.base_position is not None
    assert posed.base_position[299] == pytest.approx(
        [3 + 0.75 * math.cos(0.5), 2 + 0.75 * math.sin(0.5), 0.2], abs=0.005
    )


def test_a_stream_of_velocities_is_summed_up(capture: Capture) -> None:
    stream = make_odometer(f"stream:{capture.address}", Nobody())
    capture.send(t=0.0, velocity=[0.0, 0.0, 0.0], quaternion=quaternion(0.0))
    time.sleep(0.05)
    stream.start()
    for n in range(1, 610):
        capture.send(t=n * 0.01, velocity=[0.25, 0.0, 0.0], quaternion=[3.0 * part for part in quaternion(0.0)])
    travel = stream.travel(telemetry(), 1.0, 6.0)
    assert travel.forward == pytest.approx(1.25, rel=0.005)
    assert travel.track is None, "how high it is, nobody knows"


def test_a_stream_that_breaks_off_makes_the_trial_not_count(capture: Capture, monkeypatch) -> None:
    monkeypatch.setattr("hardware.odometer._ARRIVE", 0.1)
    stream = make_odometer(f"stream:{capture.address}", Nobody())
    for n in range(100):
        capture.send(t=n * 0.01, position=[0, 0, 0], quaternion=quaternion(0.0))
    time.sleep(0.05)
    stream.start()
    capture.send(t=1.0, position=[0, 0, 0], quaternion=quaternion(0.0))
    with pytest.raises(HardwareFault, match="broke off"):
        stream.travel(telemetry(), 1.0, 6.0)


@pytest.mark.parametrize("sample", [{"t": 0.0}, {"t": "x", "position": [0, 0, 0], "quaternion": [0, 0, 0, 1]}])
def test_a_stream_that_is_not_understood_is_told(capture: Capture, monkeypatch, sample: dict) -> None:
    monkeypatch.setattr("hardware.odometer._WAIT", 0.3)
    stream = Stream(capture.address)
    stream.connect()
    capture.send(**sample)
    while stream._connection is not None:
        time.sleep(0.001)
    with pytest.raises(HardwareFault, match="not understood"):
        stream.start()


@pytest.mark.parametrize("unseen", [(1.0, 2.7), (2.0, 2.5)])
def test_a_trial_in_which_the_body_was_not_seen_for_long_is_not_measured(
    capture: Capture, unseen: tuple[float, float]
) -> None:
    stream = make_odometer(f"stream:{capture.address}", Nobody())
    capture.send(t=0.0, position=[0, 0, 0.2], quaternion=quaternion(0.0))
    time.sleep(0.05)
    stream.start()
    for n in range(1, 640):
        if not unseen[0] < n * 0.01 < unseen[1]:
            capture.send(t=n * 0.01, position=[0.002 * n, 0, 0.2], quaternion=quaternion(0.0))
    with pytest.raises(HardwareFault, match="did not see the robot"):
        stream.travel(telemetry(), 1.0, 6.0)


def test_a_sample_that_is_no_number_is_left_out(capture: Capture) -> None:
    """Some trackers send NaN while they do not see the body."""
    stream = Stream(capture.address)
    stream.connect()
    capture.send(t=1.0, position=[1.0, 2.0, 0.2], quaternion=quaternion(0.0))
    capture.send(t=1.1, position=[math.nan, math.nan, math.nan], quaternion=quaternion(0.0))
    time.sleep(0.1)
    pose = stream.pose()
    assert (pose.x, pose.y, pose.t) == (1.0, 2.0, 1.0)


def test_nobody_at_the_other_end_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(RobotpsError, match="nobody sends positions"):
        make_odometer(f"stream:{address}", Nobody())


def test_noise_is_told_from_motion() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(1000)[:, None] * 0.01
    track = np.hstack([0.3 * t + 0.01 * np.sin(2 * np.pi * 1.5 * t), 0 * t])
    assert noise(track + rng.normal(0, 0.002, track.shape)) == pytest.approx(0.002, rel=0.1)
    assert noise(track) < 1e-4


@pytest.mark.parametrize("spec", ["tape", "stream", "stream:", "camera", "truth"])
def test_an_unknown_odometer_lists_those_there_are(spec: str) -> None:
    with pytest.raises(RobotpsError, match="stopwatch:METRES, camera:INDEX, video:FILE or stream:HOST:PORT"):
        make_odometer(spec, Nobody())


def test_a_stopwatch_takes_the_distance_that_was_marked() -> None:
    odometer = make_odometer("stopwatch:1.5", Nobody())
    assert isinstance(odometer, Stopwatch)
    assert odometer.distance == 1.5
    for wrong in ("stopwatch:far", "stopwatch:0", "stopwatch:-1", "stopwatch:inf"):
        with pytest.raises(RobotpsError, match=f"{wrong}: the marked distance"):
            make_odometer(wrong, Nobody())
