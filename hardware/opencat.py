"""Petoi's OpenCat boards (Bittle): one-letter commands over a serial line, acknowledged when they are done.

Upper-case tokens take binary arguments up to a '~', lower-case ones text up to a newline. A command is acknowledged by
its token on a line of its own; between commands there must be a pause, or the board takes them for one. Petoi's
documentation, "Serial protocol", and OpenCat's reaction.h and io.h.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping

import numpy as np

from hardware.bus import Bus, IntArray, Reading, ServoInfo
from hardware.faults import HardwareFault, LinkLost
from hardware.port import Port
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray

JOINTS = 16
WALKING = range(8, 16)
"""Joint indices that a gait's frames hold: shoulders 8-11, knees 12-15, each clockwise from the front left."""
MAX_ANGLE = 125
"""degrees; 126 would be read as the end of a binary command."""
MAX_FRAMES = 125
FRAME = 0.011
"""s from one frame of a gait to the next: the board waits 3 + 8 ms and needs next to nothing for the rest."""
SLICE, SLICE_PAUSE = 20, 0.001
_BOOT = 12.0
_ACKNOWLEDGED = 0.5
"""s in which a command is acknowledged: motions come in small steps, an uploaded gait begins near where it stands."""
_RESTED, _AGAIN = 1.1, 0.15
"""s for lying down, 8 ms a degree, and for being told so once more; with a command before, under 2 s."""
_BANNER = (b"* Start *", b"Ready!")
"""What a board prints when it starts, which it may do when its port is opened, and not while it is in use."""
_STALE = 0.5
_NUMBER = re.compile(rb"-?\d+\.\d+|-?\d+")


def binary(token: str, arguments: bytes) -> bytes:
    """A command with binary arguments; raises ValueError where they contain the end mark."""
    if b"~" in arguments:
        raise ValueError(f"an argument of {token} would be read as its end: angles are within +-{MAX_ANGLE} degrees")
    return token.encode() + arguments + b"~"


def signed(values: IntArray) -> bytes:
    """int8 on the wire, clipped to what binary commands can carry."""
    return np.clip(values, -MAX_ANGLE, MAX_ANGLE).astype(np.int8).tobytes()


def indexed(ids: tuple[int, ...], angles: IntArray) -> bytes:
    """`I`: move these joints to these angles, degrees, at once."""
    pairs = np.column_stack([np.array(ids), np.clip(angles, -MAX_ANGLE, MAX_ANGLE)])
    return binary("I", pairs.astype(np.int8).tobytes())


def skill(frames: IntArray) -> bytes:
    """`K`: a gait of frames, degrees, (n_frames, 8), repeated until the next command; large angles go at half scale."""
    n = len(frames)
    if not 2 <= n <= MAX_FRAMES:
        raise ValueError(f"a gait has 2 to {MAX_FRAMES} frames, not {n}")
    ratio = 1 if np.abs(frames).max() <= MAX_ANGLE else 2
    return binary("K", bytes([n, 0, 0, ratio]) + signed(np.round(frames / ratio).astype(np.int64)))


def orientation_of(line: bytes) -> FloatArray | None:
    """Quaternion x, y, z, w from a line of the IMU, or None for any other line.

    Old firmware prints yaw, pitch, roll first, in degrees; newer prints a name, three accelerations, then those three.
    Yaw is positive clockwise and pitch nose up there; a quaternion here is in x forward, y left, z up.
    """
    named = line.startswith((b"ICM:", b"MCU:"))
    numbers = [float(number) for number in _NUMBER.findall(line[4:] if named else line)]
    if named:
        numbers = numbers[3:6]
    elif b"." not in line:
        return None
    if len(numbers) < 3:
        return None
    yaw, pitch, roll = (math.radians(angle) / 2 for angle in (-numbers[0], -numbers[1], numbers[2]))
    cy, sy, cp, sp, cr, sr = (
        math.cos(yaw),
        math.sin(yaw),
        math.cos(pitch),
        math.sin(pitch),
        math.cos(roll),
        math.sin(roll),
    )
    return np.array(
        [
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        ]
    )


class OpenCatBus(Bus):
    """A board that drives hobby servos: it knows what it told them, not where they are; so positions are not sensed."""

    steps_per_turn = 360
    step_limits = (-MAX_ANGLE, MAX_ANGLE)
    senses = frozenset({"orientation", "voltage"})
    runs_cycles = True
    lies_down = True

    def __init__(self, port: Port, joints: Mapping[int, str], model: str) -> None:
        super().__init__(port, joints, model)
        if not set(self.ids) <= set(range(JOINTS)):
            raise HardwareFault(f"OpenCat joints have indices 0 to {JOINTS - 1}, the wiring says {list(self.ids)}")
        self._lines = bytearray()
        self._unfinished = False
        self._bytes = 0
        self._orientation = np.full(4, np.nan)
        self._heard = 0.0
        self._voltage = float("nan")
        self._playing = False
        self._starting = True

    def command(self, data: bytes, wait: float) -> list[bytes]:
        """Send a command and return the lines that came before its acknowledgement.

        Raises HardwareFault where none comes, or a board that is in use starts anew.
        """
        self._drain(time.monotonic())
        self._send(data)
        token = data[:1].lower()
        lines: list[bytes] = []
        deadline = time.monotonic() + wait
        while True:
            for line in self._drain(deadline):
                if line.lower() == token:
                    return lines
                lines.append(line)
            if time.monotonic() >= deadline:
                raise HardwareFault(
                    f"the board on {self.port.name} does not acknowledge '{data[:1].decode()}': "
                    f"is it switched on, and is {self.port.baud} its baud rate?"
                )

    def _send(self, data: bytes) -> None:
        self._unfinished, self._let_go = True, False
        for start in range(0, len(data), SLICE):
            self.port.write(data[start : start + SLICE])
            if start + SLICE < len(data):
                time.sleep(SLICE_PAUSE)
                if self._let_go:  # what follows would be taken for a part of the command to rest
                    raise HardwareFault("stopped in the middle of a command")
        self._unfinished = False

    def _drain(self, deadline: float) -> list[bytes]:
        """Whole lines that have arrived, waiting until `deadline` for the first; the IMU's are taken out.

        A half-duplex line's echo of the host's own words is left out: it must not be taken for an acknowledgement.
        """
        lines: list[bytes] = []
        while True:
            data = self.port.read(deadline)
            self._lines += data
            self._bytes += len(data)
            *whole, rest = self._lines.split(b"\n")
            self._lines = bytearray(rest[-4096:])
            for line in whole:
                if not line.endswith(b"\r"):
                    continue  # a text command that came back: the board's own lines end with \r\n
                text = bytes(line.rpartition(b"~")[2].strip())  # a binary one comes back in front of the answer
                orientation = orientation_of(text)
                if orientation is not None:
                    self._orientation, self._heard = orientation, time.monotonic()
                elif text in _BANNER and not self._starting:
                    self._starting = True
                    raise HardwareFault(
                        f"the board on {self.port.name} restarted by itself: does the battery break down under load?"
                    )
                elif text:
                    lines.append(text)
            if lines or not data:
                return lines

    def identify(self) -> list[ServoInfo]:
        """See Bus."""
        board = self.scan()[0]
        self._starting = False
        self._read_voltage()
        return [ServoInfo(id_, board.model, board.firmware) for id_ in self.ids]

    def scan(self) -> list[ServoInfo]:
        """See Bus: one board. Opening the port may have restarted it: one that prints its boot text is waited for."""
        patience, lines = time.monotonic() + _BOOT, []
        self._starting = True
        while True:
            heard = self._bytes
            try:
                lines = self.command(b"?\n", 1.0)
                break
            except LinkLost:
                raise
            except HardwareFault:
                if self._bytes == heard or time.monotonic() > patience:
                    raise
        # boot text may precede what was asked for: model and version
        told = [line.decode(errors="replace") for line in lines[-2:]]
        if not told:
            raise HardwareFault(f"what answers on {self.port.name} does not say that it is an OpenCat board")
        return [ServoInfo(0, told[0], told[1] if len(told) > 1 else "")]

    def differences(self, lower: IntArray, upper: IntArray) -> list[str]:
        """See Bus: a board has no settings that a trial needs."""
        return []

    def prepare(self, lower: IntArray, upper: IntArray) -> list[str]:
        """See Bus. The board's own balance reflex would alter a gait: it is switched off."""
        self.command(b"gb\n", _ACKNOWLEDGED)
        self._starting = False
        self._read_voltage()
        return []

    def _read_voltage(self) -> None:
        for line in self.command(b"P~", _ACKNOWLEDGED):
            numbers = _NUMBER.findall(line)
            if numbers:
                self._voltage = float(numbers[0])

    def held(self) -> IntArray:
        """See Bus: the angles the board last commanded, degrees."""
        rows = [line for line in self.command(b"j\n", _ACKNOWLEDGED) if len(_NUMBER.findall(line)) >= JOINTS]
        if not rows:
            raise HardwareFault(f"the board on {self.port.name} does not list its {JOINTS} joint angles")
        angles = [int(float(number)) for number in _NUMBER.findall(rows[-1])]
        return np.array([angles[id_] for id_ in self.ids], dtype=np.int64)

    def energise(self, speed: float) -> None:
        """See Bus. The servos are on from their first command; after a rest that also wakes the balance reflex."""
        self.write(self.held())
        self.command(b"gb\n", _ACKNOWLEDGED)

    def set_speed_limit(self, speed: float) -> None:
        """The board has none; moves are cut into small steps before they come here."""

    def set_effort_limit(self, fraction: float) -> None:
        """Hobby servos have none."""

    def write(self, steps: IntArray) -> None:
        """See Bus. The board moves first and then acknowledges: this takes as long as the motion."""
        if self._playing:
            self._stream(False)
        self.command(indexed(self.ids, steps), _ACKNOWLEDGED)

    def upload(self, cycle: FloatArray, period: float) -> tuple[IntArray, float]:
        """See Bus. The upload comes last: newer firmware ends a gait at the next command of any kind."""
        frames = self.frames(cycle, period)
        self._read_voltage()
        self._stream(True)
        on_board = np.zeros((len(frames), len(WALKING)), dtype=np.int64)
        on_board[:, np.array(self.ids) - WALKING.start] = frames
        self.command(skill(on_board), _ACKNOWLEDGED)
        self._heard = time.monotonic()
        return frames, len(frames) * FRAME

    def frames(self, cycle: FloatArray, period: float) -> IntArray:
        """A cycle of goals, degrees, (n_samples, n), at the board's own frame rate: (n_frames, n).

        Raises RobotpsError for a period of more frames than a board holds.
        """
        n = max(2, round(period / FRAME))
        if n > MAX_FRAMES:
            raise RobotpsError(
                f"a gait's period of {period:g} s is too long for an OpenCat board: it holds {MAX_FRAMES * FRAME:g} s"
            )
        place = np.arange(n) * len(cycle) / n
        index = place.astype(int)
        share = (place - index)[:, None]
        goals: FloatArray = cycle[index] + share * (cycle[(index + 1) % len(cycle)] - cycle[index])
        return np.rint(goals).astype(np.int64)

    def _stream(self, on: bool) -> None:
        self._orientation = np.full(4, np.nan)  # that of the motion before, which may have ended on its side
        self.command(b"gP\n" if on else b"gp\n", _ACKNOWLEDGED)
        self._playing = on
        self._heard = time.monotonic()

    def read(self) -> Reading:
        """See Bus. A board that streams its IMU and falls silent counts as not answering."""
        if self.own_time and self._playing:
            self.command(b"v\n", _ACKNOWLEDGED)
        now = time.monotonic()
        self._drain(now)
        alive = not self._playing or now - self._heard < _STALE
        n = len(self.ids)
        reading = Reading(np.full(n, alive), np.zeros(n, dtype=np.int64))
        reading.orientation = self._orientation if self._playing else np.full(4, np.nan)
        reading.voltage = self._voltage
        return reading

    def complaint(self, index: int, error: int = 0) -> str:
        """The board says nothing about single servos."""
        return ""

    def release_all(self) -> None:
        """See Bus. Sent once: the board would take three in a row for one unknown command."""
        self._let_go = True
        if self._unfinished:
            self.port.write(b"~")
            time.sleep(0.005)
        self._playing = False
        self.port.write(b"d\n")

    def release(self) -> dict[int, str]:
        """See Bus."""
        trouble, interrupted = "", self._unfinished
        if interrupted:
            time.sleep(0.02)  # or the board takes what follows for more of the same command
        for wait in (_RESTED, _RESTED if interrupted else _AGAIN):
            try:
                self._playing = False
                self.command(b"d\n", wait)
                return {}
            except HardwareFault as fault:
                trouble = str(fault)
        return dict.fromkeys(self.ids, trouble)
