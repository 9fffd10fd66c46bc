"""An odometer from a camera that sees the marker sheet: where the robot's marker is on the floor, frame by frame.

Four floor markers give the homography from image to floor. A marker at a height over the floor appears larger there
and moves as much further: seen through a pinhole, the plane at its height is the floor scaled about the point under the
camera. Its known size against the one it appears to have is that scale, so neither the camera nor the height need be
known.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hardware import markers
from hardware.faults import HardwareFault
from hardware.person import Person
from robotps.errors import RobotpsError, require
from robotps.odometer import Travel
from robotps.parameters import FloatArray
from robotps.robot import Telemetry

MIN_FRAMES = 10
_ONSET = 0.25
_SHORT = 0.5
"""s; over less than that a speed is taken to be that of so long before the end, for frames are few."""
_TOO_RARELY = "the markers were seen too rarely: are all four on the floor, one on the robot, and well lit?"


@dataclass
class Track:
    """The robot's marker as it appears on the floor: times (s), places (m, (2,)), headings (rad), sizes (m)."""

    time: list[float] = field(default_factory=list)
    place: list[FloatArray] = field(default_factory=list)
    heading: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)

    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Times (T,), apparent places (T, 2), unwrapped headings (T,), apparent sizes (T,)."""
        return np.array(self.time), np.array(self.place), np.unwrap(self.heading), np.array(self.size)


class Tracker:
    """Finds the markers in frames. layout: m between the floor markers' centres, along and across the way."""

    def __init__(self, layout: tuple[float, float] = (markers.LENGTH, markers.WIDTH)) -> None:
        self._cv2 = cv2 = require("cv2", "camera")
        parameters = cv2.aruco.DetectorParameters()
        # OpenCV's other refinements see a marker 1 to 8 % too small, measured on rendered frames
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_APRILTAG
        self._detector = cv2.aruco.ArucoDetector(markers.dictionary(), parameters)
        length, width = layout
        centres = np.array([[0, 0], [length, 0], [length, width], [0, width]])
        half = markers.FLOOR_SIZE / 2
        # ArUco lists a marker's corners clockwise from the top left of its picture
        square = np.array([[-half, half], [half, half], [half, -half], [-half, -half]])
        self._floor = {id_: centres[n] + square for n, id_ in enumerate(markers.FLOOR_IDS)}
        self._homography: Any = None
        self.track = Track()
        self.frames = 0

    def see(self, frame: Any, moment: float) -> None:
        """Look at one frame taken at `moment`, s; a frame without the robot's marker adds nothing."""
        self.frames += 1
        corners, ids, _ = self._detector.detectMarkers(frame)
        found = {} if ids is None else {int(id_): corner[0] for id_, corner in zip(ids.ravel(), corners, strict=True)}
        floor = [id_ for id_ in self._floor if id_ in found]
        if len(floor) == 4:
            image = np.concatenate([found[id_] for id_ in floor])
            plane = np.concatenate([self._floor[id_] for id_ in floor])
            self._homography, _ = self._cv2.findHomography(image, plane)
        robot = found.get(markers.ROBOT_ID)
        if robot is None or self._homography is None:
            return
        seen = self._cv2.perspectiveTransform(robot[None].astype(np.float64), self._homography)[0]
        # the marker's right-hand edge is the robot's front
        ahead = seen[[1, 2]].mean(axis=0) - seen[[0, 3]].mean(axis=0)
        self.track.time.append(moment)
        self.track.place.append(seen.mean(axis=0))
        self.track.heading.append(math.atan2(ahead[1], ahead[0]))
        sides = np.linalg.norm(seen - np.roll(seen, 1, axis=0), axis=1)
        self.track.size.append(float(sides.mean()))


def straight_travel(track: Track, begin: float, end: float) -> Travel:
    """Travel between two moments of a track's time, from a straight line through place over time (least squares).

    No way at all where the motion ended before the first moment. Raises HardwareFault where the robot's marker was seen
    too rarely.
    """
    if len(track.time) < MIN_FRAMES:
        raise HardwareFault(_TOO_RARELY)
    if end <= begin:
        return Travel(forward=0.0, seconds=0.0, lateral=0.0, heading_change=0.0)
    t, place, heading, size = track.arrays()
    inside = (t >= begin) & (t <= end)
    if end - begin < _SHORT:
        inside = (t >= end - _SHORT) & (t <= end)  # as fast as just before
    if inside.sum() < MIN_FRAMES:
        raise HardwareFault(f"the camera saw the robot in {inside.sum()} frames only: is its marker hidden?")
    t, heading, size = t[inside], heading[inside], size[inside]
    place = place[inside] * (markers.ROBOT_SIZE / np.median(size))  # its height is that of these frames
    early = heading[t <= t[0] + _ONSET].mean()
    basis = np.stack([np.ones(len(t)), t - t.mean()], axis=1)
    fit, *_ = np.linalg.lstsq(basis, place, rcond=None)
    left_over = place - basis @ fit
    spread = math.sqrt((left_over**2).sum() / (2 * max(len(t) - 2, 1)))
    slope_std = spread / math.sqrt(((t - t.mean()) ** 2).sum())
    seconds = end - begin
    ahead = np.array([math.cos(early), math.sin(early)])
    forward, lateral = fit[1] @ ahead * seconds, (ahead[0] * fit[1, 1] - ahead[1] * fit[1, 0]) * seconds
    scale_std = float(size.std() / size.mean() / math.sqrt(len(size)))
    return Travel(
        forward=float(forward),
        seconds=seconds,
        lateral=float(lateral),
        heading_change=float(heading[t >= t[-1] - _ONSET].mean() - early),
        forward_std=math.hypot(slope_std * seconds, forward * scale_std),
    )


class Camera:
    """A live camera: frames are looked at while the robot walks, each with the time at which it was taken."""

    asks = False

    def __init__(self, spec: str) -> None:
        name, layout = _layout(spec)
        cv2 = require("cv2", "camera")
        if not name.isdigit():
            raise RobotpsError(f"--odometer camera: expected a number, as in camera:0, got '{name}'")
        self._capture = cv2.VideoCapture(int(name))
        if not self._capture.isOpened():
            raise RobotpsError(f"camera {name} cannot be opened: is it plugged in, and may this user use it?")
        self._layout = layout
        self._tracker = Tracker(layout)
        self._zero = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See Odometer."""
        self._end()
        self._tracker = Tracker(self._layout)
        self._zero = time.monotonic()
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="camera")
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            taken, frame = self._capture.read()
            moment = time.monotonic() - self._zero
            if not taken:
                return
            self._tracker.see(frame, moment)

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """See Odometer."""
        self._end()
        return straight_travel(self._tracker.track, begin, min(end, float(telemetry.time[-1])))

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)


class Video:
    """A recording of one trial. When the motion began is where the robot goes furthest in the motion's duration."""

    asks = True

    def __init__(self, spec: str, person: Person) -> None:
        name, self._layout = _layout(spec)
        self.path = Path(name)
        self._person = person
        self._known: float | None = None
        require("cv2", "camera")

    def _saved(self) -> float | None:
        """When the file was written, None where there is none."""
        return self.path.stat().st_mtime if self.path.exists() else None

    def start(self) -> None:
        """See Odometer."""
        self._known = self._saved()
        self._person.tell(f"record the whole trial as {self.path}")

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """See Odometer. A recording that was there before is of another trial."""
        if self._saved() == self._known:
            self._person.ask("save_video", f"save the recording as {self.path}", file=str(self.path.absolute()))
            if self._known is not None and self._saved() == self._known:
                raise HardwareFault(f"{self.path} is still the recording of an earlier trial: this one is not counted")
        track = watch_video(self.path, self._layout)
        last = float(telemetry.time[-1])
        onset = onset_of(track, last)
        return straight_travel(track, onset + begin, onset + min(end, last))


def watch_video(path: Path, layout: tuple[float, float] = (markers.LENGTH, markers.WIDTH)) -> Track:
    """The robot's track through a video, at the frames' own timestamps; raises RobotpsError where it cannot be read."""
    cv2 = require("cv2", "camera")
    if not path.is_file():
        raise RobotpsError(f"{path}: there is no such video")
    capture, tracker = cv2.VideoCapture(str(path)), Tracker(layout)
    try:
        while True:
            taken, frame = capture.read()
            if not taken:
                break
            tracker.see(frame, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    finally:
        capture.release()
    if tracker.frames == 0:
        raise RobotpsError(f"{path}: not a video that can be read")
    return tracker.track


def onset_of(track: Track, seconds: float) -> float:
    """When a motion of `seconds` began: where the distance between there and `seconds` later is greatest."""
    if len(track.time) < MIN_FRAMES:
        raise HardwareFault(
            "the video shows the markers too rarely: all four on the floor, one on the robot, well lit?"
        )
    t, place, *_ = track.arrays()
    last = t[-1] - seconds
    candidates = t[t <= last]
    if len(candidates) == 0:
        return float(t[0])
    ends = np.stack([np.interp(candidates + seconds, t, place[:, axis]) for axis in (0, 1)], axis=1)
    return float(candidates[int(np.argmax(np.linalg.norm(ends - place[: len(candidates)], axis=1)))])


def _layout(spec: str) -> tuple[str, tuple[float, float]]:
    """`NAME` or `NAME@LENGTHxWIDTH`, m between the floor markers."""
    name, at, sizes = spec.rpartition("@")
    if not at:
        return spec, (markers.LENGTH, markers.WIDTH)
    length, _, width = sizes.partition("x")
    try:
        layout = float(length), float(width)
    except ValueError:
        layout = (math.nan, math.nan)
    if not all(0 < side < math.inf for side in layout):
        raise RobotpsError(f"--odometer: expected NAME@LENGTHxWIDTH in m, as in camera:0@2x1, got '{spec}'")
    return name, layout
