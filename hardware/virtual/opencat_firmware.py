"""What the firmware of a Petoi board does: its main loop, its commands, its gaits (petoi.com, OpenCat's protocol)."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from hardware.virtual.opencat_imu import Imu
from hardware.virtual.opencat_joints import DOF, WALKING, Joints
from hardware.virtual.plant import Plant

BUFFER = 2507
"""Bytes of a command."""
MODEL, VERSION = "Bittle X", "B10_240712"
TIMEOUT, LONG_TIMEOUT = 0.010, 0.150
"""s without a byte after which a command counts as complete though its end mark is missing."""
BOOT_TIME = 1.0
FRAME_PAUSE, FINE, COARSE, MOST = 0.003, 0.008, 0.003, 0.020
"""s between two frames of a gait: the first and one of the others, by how finely balance is adjusted."""
POSTURES = {"rest": (70, -55), "up": (30, 30), "balance": (30, 30), "calib": (0, 0), "zero": (0, 0)}
"""Shoulder and knee angles, degrees."""
TURN_SPEED, GAIT_SPEED = 2, 1
"""Degrees a step of a motion."""
TOLERANCE, REFLEX = 5.0, 0.4
"""Balance: tilt that is let be, degrees, and degrees at the shoulders for one beyond it."""
KEEP_WALKING = "gimpjztl.,vV"
"""Commands that a running gait survives."""


class Firmware:
    """Runs as a coroutine: `resume` does what is next and says how many seconds it then waits."""

    def __init__(self, plant: Plant, *, timed: bool) -> None:
        self.plant = plant
        self.done = 0
        """Commands carried out so far; booting is one."""
        self._timed = timed
        self._joints = Joints(plant)
        self._imu = Imu(plant)
        self._inbox = bytearray()
        self._heard_at = plant.time
        self._outbox = bytearray()
        self._saved_offsets = [0] * DOF
        self.power_cycle()

    def power_cycle(self) -> None:
        """Begin from the beginning; saved calibration is kept."""
        self._booted = False
        self._loop = self._main()

    # --- its two ends

    def receive(self, data: bytes) -> None:
        self._inbox += data
        self._heard_at = self.plant.time

    def said(self) -> bytes:
        """What it has printed since it was last asked."""
        said, self._outbox = bytes(self._outbox), bytearray()
        return said

    @property
    def busy(self) -> bool:
        """Whether something is left to do that the host waits for."""
        return not self._booted or self._complete()

    def resume(self) -> float:
        return next(self._loop)

    def _say(self, text: str) -> None:
        self._outbox += text.encode() + b"\r\n"

    # --- main loop

    def _main(self) -> Iterator[float]:
        yield from self._boot()
        while True:
            if self._complete():
                command, self._inbox = bytes(self._inbox), bytearray()
                yield from self._react(chr(command[0]), command[1:])
                self.done += 1
            yield from self._idle()

    def _boot(self) -> Iterator[float]:
        self._booted = False
        self._inbox.clear()
        self._joints.angle = [0] * DOF
        self._joints.offset = list(self._saved_offsets)
        self._gait: list[list[int]] = []
        self._frame = 0
        self._walking = self._paused = self._streaming = False
        self._balance = True
        self._pause = FINE
        self._last = ""
        self._joints.shut()
        for line in ("k", "Flush the serial buffer...", "", "* Start *", MODEL, f"Software version: {VERSION}"):
            self._say(line)
        if self._timed:
            yield BOOT_TIME
        self._say("Ready!")
        self._inbox.clear()
        self._booted = True
        self.done += 1
        yield 0.0

    def _complete(self) -> bool:
        """Whether a whole command has arrived: everything that came without a pause is one."""
        if not self._inbox:
            return False
        end = b"~" if chr(self._inbox[0]).isupper() else b"\n"
        if self._inbox.endswith(end) or len(self._inbox) > BUFFER:
            return True
        patience = LONG_TIMEOUT if chr(self._inbox[0]) in "KbB" else TIMEOUT
        return self._timed and self.plant.time - self._heard_at > patience

    def _idle(self) -> Iterator[float]:
        """One pass of the main loop without a command."""
        if self._streaming:
            self._say(self._imu.line())
        if self._walking and self._gait and not self._paused:
            lean = hurry = 0.0
            if self._balance:
                _, pitch, roll = self._imu.angles()
                lean = REFLEX * math.copysign(max(0.0, abs(pitch) - TOLERANCE), pitch)
                hurry = max(abs(pitch) / 2, abs(roll)) / 20 * 0.001
            self._joints.show(self._gait[self._frame], WALKING.start, lean)
            self._frame = (self._frame + 1) % len(self._gait)
            yield FRAME_PAUSE + max(0.0, self._pause - hurry)
        else:
            yield 0.005

    def _react(self, token: str, arguments: bytes) -> Iterator[float]:
        if len(arguments) > BUFFER:
            self._say("OVF")
            self._say(token)
            return
        end = b"~" if token.isupper() else b"\n"
        arguments = arguments.removesuffix(end)
        text = arguments.decode("ascii", errors="replace").strip()
        if self._last in ("c", "d") and token != "c":
            self._balance = True
            self._say("G")
        was_walking, self._walking = self._walking, False
        answer = yield from self._obey(token, text, arguments)
        self._say(answer)
        self._walking = self._walking or (was_walking and token in KEEP_WALKING and bool(self._gait))
        self._last = token

    def _obey(self, token: str, text: str, arguments: bytes) -> Generator[float, None, str]:
        """Carry out a command; returns its acknowledgement."""
        if token == "?":
            self._say(MODEL)
            self._say(VERSION)
        elif token == "g":
            return self._set_gyro(text)
        elif token in "vV":
            self._streaming = token == "V" and not self._streaming
            self._say(self._imu.line())
        elif token == "P":
            self._say(f"Voltage: {self.plant.motors.voltage:.2f} V")
        elif token == "p":
            self._paused = not self._paused
            if self._paused:
                self._joints.shut()
            return "P" if self._paused else "p"
        elif token in ".,":
            self._pause = max(0.0, self._pause - 0.001) if token == "." else min(MOST, self._pause + 0.001)
        elif token == "d":
            yield from self._rest(text)
        elif token == "j":
            self._list_angles(text)
        elif token in "imc":
            yield from self._move_text(token, text)
        elif token in "IM":
            signed = np.frombuffer(arguments, dtype=np.int8).tolist()
            pairs = list(zip(signed[::2], signed[1::2], strict=False))
            yield from self._move(pairs, one_by_one=token == "M")
        elif token == "L":
            yield from self._turn(np.frombuffer(arguments[:DOF], dtype=np.int8).tolist(), 0, TURN_SPEED)
        elif token == "K":
            yield from self._load(np.frombuffer(arguments, dtype=np.int8).tolist())
            return "k"
        elif token == "T":
            yield from self._start()
        elif token == "k":
            yield from self._posture(text)
        elif token == "s":
            self._saved_offsets = list(self._joints.offset)
            self._say("save offset")
        elif token == "a":
            self._joints.offset = list(self._saved_offsets)
            self._say("aborted")
        elif token == "!":
            yield from self._boot()
        elif token not in "bBouztlf":
            self._say("Undefined token!")
        return token

    # --- motions

    def _turn(self, target: Sequence[int], first: int, speed: int) -> Iterator[float]:
        for pause in self._joints.turn_to(target, first, speed):
            if self._streaming:
                self._say(self._imu.line())
            yield pause

    def _move(self, pairs: Sequence[tuple[int, int]], *, one_by_one: bool) -> Iterator[float]:
        target = list(self._joints.angle)
        for index, angle in pairs:
            if 0 <= index < DOF:
                target[index] = angle
                if one_by_one:
                    yield from self._turn(target, 0, TURN_SPEED)
        yield from self._turn(target, 0, TURN_SPEED)

    def _move_text(self, token: str, text: str) -> Iterator[float]:
        """Index and angle, again and again, as text; `c`: calibration offsets in the calibration posture."""
        numbers = [int(part) for part in text.replace(",", " ").split() if part.lstrip("-").isdigit()]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
        if token != "c":
            yield from self._move(pairs, one_by_one=token == "m")
            return
        self._balance = False
        if self._last != "c":
            yield from self._posture("calib")
        for index, offset in pairs:
            if 0 <= index < DOF:
                self._joints.offset[index] = offset
        self._joints.show(self._joints.angle)
        self._list(self._joints.offset)

    def _posture(self, name: str) -> Iterator[float]:
        if name not in POSTURES:
            self._say(f"?{name}?")
            return
        shoulder, knee = POSTURES[name]
        self._gait = []
        yield from self._turn([0] * 8 + [shoulder] * 4 + [knee] * 4, 0, GAIT_SPEED)

    def _rest(self, text: str) -> Iterator[float]:
        self._balance = False
        self._say("g")
        if text.isdigit():
            self._joints.shut(int(text))
            return
        if self._joints.on:
            yield from self._posture("rest")
        self._gait = []
        self._joints.shut()

    def _load(self, data: list[int]) -> Iterator[float]:
        """A skill: frames of 8 joints (a gait), one of 16 (a posture), or several of 20 (a behaviour, played once)."""
        period = data[0] if data else 0
        size = len(WALKING) if period > 1 else DOF if period == 1 else DOF + 4
        header = 4 if period > 0 else 7
        frames = [data[header + i * size : header + (i + 1) * size] for i in range(abs(period))]
        if period == 0 or len(frames[-1]) < size:
            return
        ratio = data[3]
        if period > 1:
            self._gait = [[ratio * angle for angle in frame] for frame in frames]
            yield from self._start()
            return
        self._gait = []
        for frame in frames:
            speed = max(1, frame[DOF] // 8) if period < 0 else GAIT_SPEED
            yield from self._turn([ratio * angle for angle in frame[:DOF]], 0, speed)
            if period < 0:
                yield abs(frame[DOF + 1]) * 0.05

    def _start(self) -> Iterator[float]:
        if self._gait:
            yield from self._turn(self._gait[0], WALKING.start, GAIT_SPEED)
            self._frame = 0
            self._walking = True

    # --- senses

    def _set_gyro(self, text: str) -> str:
        if not text:
            self._balance = not self._balance
            return "G" if self._balance else "g"
        answer = "g"
        for letter in text:
            if letter in "fF":
                self._pause = FINE if letter == "F" else COARSE
                answer = "G" if letter == "F" else "g"
            elif letter in "bB":
                self._balance = letter == "B"
            elif letter in "pP":
                self._streaming = letter == "P"
                self._say(self._imu.line())
        return answer

    def _list_angles(self, text: str) -> None:
        self._say("=")
        if text.isdigit() and int(text) < DOF:
            self._say(str(self._joints.angle[int(text)]))
        else:
            self._list(self._joints.angle)

    def _list(self, values: Sequence[int]) -> None:
        self._say("".join(f"{i}\t" for i in range(DOF)))
        self._say("".join(f"{value},\t" for value in values))
