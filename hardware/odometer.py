"""How far the robot went, measured from outside: a stopwatch, a position stream, a camera."""

from __future__ import annotations

import json
import math
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.faults import HardwareFault
from hardware.person import Person, host_and_port
from robotps.errors import RobotpsError
from robotps.odometer import Odometer, Track, Travel, heading, travel_between, upright
from robotps.parameters import FloatArray
from robotps.robot import Telemetry

PRESS_STD = 0.15
"""s; how exactly a person presses when something crosses a line."""
TAPE_STD = 0.01
"""m; how exactly a person reads where a walking robot stopped."""
_QUIET, _WAIT = 0.03, 0.1
_ARRIVE = 1.0
_BATCH = 0.02
_UNSEEN = 0.25
"""s without a sample within the window after which a trial is not measured."""
_KEPT = 100_000
"""Samples remembered: a stream goes on while nobody walks."""
UPRIGHT = 0.5
"""Cosine of the tilt beyond which a robot lies on its side."""

KINDS = "stopwatch, stopwatch:METRES, camera:INDEX, video:FILE or stream:HOST:PORT"


class Stopwatch:
    """A person, two lines on the floor `distance` m apart, and Enter at each."""

    asks = True

    def __init__(self, person: Person, distance: float) -> None:
        self.distance = distance
        self._person = person
        self._began = 0.0

    def start(self) -> None:
        """See Odometer."""
        self._began = time.monotonic()
        self._person.presses(self._began)
        self._person.tell(f"press Enter when it crosses the first line, and again {self.distance:g} m further")

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """See Odometer. A robot that did not reach the second line is measured with a tape: from the first line, or
        where it did not come so far, from where it stood."""
        whole = float(telemetry.time[-1])
        presses = self._person.presses(self._began)
        if len(presses) >= 2:
            return timed(self.distance, presses[1] - presses[0])
        since = "go past the first line" if presses else "come from where it stood"
        answer = self._person.ask(
            "stopwatch",
            f"how many cm did it {since} (or seconds for {self.distance:g} m, as '4.2 s')? ",
            distance=self.distance,
        )
        if "distance" in answer:
            forward, seconds = float(answer["distance"]), float(answer.get("seconds", whole))
            late = PRESS_STD * forward / seconds if "seconds" in answer else 0.0
            return Travel(forward, seconds, forward_std=math.hypot(TAPE_STD, late))
        if "seconds" in answer:
            return timed(self.distance, float(answer["seconds"]))
        seconds = self._began + whole - presses[0] if presses else whole
        return self._typed(str(answer.get("text", "")), seconds, bool(presses))

    def _typed(self, text: str, seconds: float, crossed: bool) -> Travel:
        number, unit = text.lower().removesuffix("cm").strip(), "m"
        if number.endswith("s"):
            number, unit = number.removesuffix("s").strip(), "s"
        try:
            value = float(number or 0)
        except ValueError:
            raise HardwareFault(f"'{text}' is neither centimetres nor seconds: the trial is not counted") from None
        if unit == "s":
            return timed(self.distance, value)
        forward = value / 100
        late = PRESS_STD * forward / seconds if crossed and seconds > 0 else 0.0
        return Travel(forward, seconds, forward_std=math.hypot(TAPE_STD, late))


def timed(distance: float, seconds: float) -> Travel:
    """A distance and the time between two presses, each with its error; as a distance over exactly those seconds."""
    if seconds <= 0:
        raise HardwareFault(f"{seconds:g} s for {distance:g} m cannot be: the trial is not counted")
    return Travel(distance, seconds, forward_std=distance / seconds * PRESS_STD * math.sqrt(2))


@dataclass(frozen=True)
class Pose:
    """Where the body is on the floor: m, heading in rad; upright: cosine of its tilt. t: s, when it was there."""

    x: float
    y: float
    yaw: float
    upright: float
    t: float = 0.0


class Stream:
    """Where the body is, from somebody who tracks it: JSON lines with `t` s, `position` m, `quaternion` x, y, z, w.

    Without `position`, `velocity` (m/s, in the floor's frame) is summed up. Any frame with z up will do.
    """

    asks = False

    def __init__(self, address: str) -> None:
        self.address = address
        self._samples: deque[tuple[float, float, list[float], list[float]]] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._trouble = ""
        self._zero = 0.0
        self._knows_place = True
        self._connection: socket.socket | None = None
        self._rest = b""

    def connect(self) -> None:
        """Begin to listen; raises RobotpsError where nobody sends."""
        try:
            connection = socket.create_connection(host_and_port(self.address, "--odometer stream"), timeout=5.0)
        except OSError as error:
            raise RobotpsError(f"nobody sends positions at {self.address}: {error.strerror or error}") from None
        connection.setblocking(False)
        self._connection, self._rest = connection, b""
        threading.Thread(target=self._listen, args=(connection,), daemon=True, name="positions").start()

    def _listen(self, connection: socket.socket) -> None:
        """Take in what comes while the robot moves; not line by line, which would keep waking the control loop."""
        while self._connection is connection:
            try:
                select.select([connection], [], [], 0.2)
            except (OSError, ValueError):
                return  # closed meanwhile
            with self._lock:
                self._drain()
            time.sleep(_BATCH)

    def _news(self, seconds: float) -> bool:
        """Whether something arrives within `seconds`; it is taken in. The lock is held."""
        if self._connection is None:
            return False
        ready, _, _ = select.select([self._connection], [], [], max(0.0, seconds))
        self._drain()
        return bool(ready)

    def _drain(self) -> None:
        """Take in all that has arrived, without waiting; a stream that ended or is not understood is closed."""
        while self._connection is not None:
            try:
                data = self._connection.recv(65536)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._add(json.loads(line))
                if data:
                    continue
                self._trouble = "the position stream has ended"
            except BlockingIOError:
                return
            except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                self._trouble = f"the position stream sends what is not understood: {error}"
            self._connection.close()
            self._connection = None

    def _add(self, sample: dict[str, Any]) -> None:
        t, quaternion = float(sample["t"]), [float(part) for part in sample["quaternion"]]
        position = sample.get("position")
        if position is None:
            self._knows_place = False
            before = self._samples[-1] if self._samples else (t, 0.0, [0.0, 0.0, 0.0], quaternion)
            position = [p + v * (t - before[0]) for p, v in zip(before[2], sample["velocity"], strict=True)]
        if len(position) != 3 or len(quaternion) != 4:
            raise ValueError("a position has 3 numbers, a quaternion 4")
        norm = math.hypot(*quaternion)
        if not all(map(math.isfinite, (t, *position, norm))) or norm == 0.0:
            return  # some trackers say so that they do not see the body
        quaternion = [part / norm for part in quaternion]
        self._trouble = ""
        self._samples.append((t, time.monotonic(), [float(part) for part in position], quaternion))

    def start(self) -> None:
        """See Odometer. The moment is that of the latest sample, once those under way have arrived.

        Raises HardwareFault where the robot is not tracked, or does not stand.
        """
        if self._connection is None:
            self.connect()
        deadline = time.monotonic() + _WAIT
        with self._lock:
            self._drain()
            while len(self._samples) > 1:
                self._samples.popleft()
            while (left := deadline - time.monotonic()) > 0:
                if not self._news(min(_QUIET, left)) and self._samples:
                    break
            if not self._samples:
                raise HardwareFault(f"no position from {self.address}: {self._trouble or 'is the robot tracked?'}")
            t, arrived, _, quaternion = self._samples[-1]
            # a device that keeps its own time falls quiet, and is waiting for us
            self._zero = t if left > 0 else t + time.monotonic() - arrived
        if upright(np.array([quaternion]))[0] < UPRIGHT:
            raise HardwareFault("the robot lies on its side: it fell when it got up, or was put there so")

    def pose(self) -> Pose:
        """Where the body is now; raises HardwareFault where nobody tells."""
        if self._connection is None:
            self.connect()
        with self._lock:
            self._drain()
            while not self._samples and self._news(_ARRIVE):
                pass
            if not self._samples or self._trouble:
                raise HardwareFault(f"no position from {self.address}: {self._trouble or 'is the robot tracked?'}")
            t, _, (x, y, _), quaternion = self._samples[-1]
        q = np.array([quaternion])
        return Pose(x, y, float(heading(q)[0]), float(upright(q)[0]), t)

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """See Odometer; raises HardwareFault where the stream broke off."""
        last = min(end, float(telemetry.time[-1]))
        deadline = time.monotonic() + _ARRIVE
        with self._lock:
            self._drain()
            while self._latest() < last - 1e-6 and not self._trouble and self._news(deadline - time.monotonic()):
                pass
            samples = [sample for sample in self._samples if sample[0] <= self._zero + end + 1e-6]
        t = np.array([sample[0] for sample in samples]) - self._zero
        if len(samples) < 3 or t[-1] < last - 0.1:
            raise HardwareFault(f"the position stream broke off: {self._trouble or 'is the robot still tracked?'}")
        unseen = float(np.diff([begin, *t[(t > begin) & (t < last)], last]).max()) if last > begin else 0.0
        if unseen > _UNSEEN:
            raise HardwareFault(f"the position stream did not see the robot for {unseen:.2f} s: is it hidden at times?")
        position = np.array([sample[2] for sample in samples])
        orientation = np.array([sample[3] for sample in samples])
        travel = travel_between(t, position, orientation, begin, end)
        return Travel(
            travel.forward,
            travel.seconds,
            travel.lateral,
            travel.heading_change,
            forward_std=math.sqrt(2) * noise(position[:, :2]),
            track=Track(t, position, orientation) if self._knows_place else None,
        )

    def _latest(self) -> float:
        return self._samples[-1][0] - self._zero if self._samples else -math.inf


def noise(positions: FloatArray) -> float:
    """Standard deviation of the noise on a smooth track, (T, 2), m: a second difference has six times its variance."""
    if len(positions) < 3:
        return 0.0
    second = positions[2:] - 2 * positions[1:-1] + positions[:-2]
    return float(np.sqrt((second**2).mean() / 6))


def _metres(spec: str, text: str) -> float:
    try:
        distance = float(text)
    except ValueError:
        distance = math.nan
    if not 0 < distance < math.inf:
        raise RobotpsError(f"--odometer {spec}: the marked distance is a number of metres above 0, as in stopwatch:1.5")
    return distance


def make_odometer(spec: str, person: Person, distance: float = 1.0) -> Odometer:
    """From `--odometer`; raises RobotpsError for anything but the kinds there are."""
    kind, _, rest = spec.partition(":")
    if kind == "stopwatch":
        return Stopwatch(person, _metres(spec, rest) if rest else distance)
    if kind == "stream" and rest:
        stream = Stream(rest)
        stream.connect()
        return stream
    if kind in ("camera", "video") and rest:
        from hardware.camera import Camera, Video

        make: Callable[[], Odometer] = (lambda: Camera(rest)) if kind == "camera" else (lambda: Video(rest, person))
        return make()
    raise RobotpsError(f"--odometer '{spec}' is not known: {KINDS}")
