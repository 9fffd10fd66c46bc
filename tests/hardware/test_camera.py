"""The camera odometer on rendered frames: a pinhole camera, the sheet on the floor, a marker on the robot's back."""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware import markers
from hardware.camera import Track, Tracker, Video, onset_of, straight_travel, watch_video
from hardware.faults import HardwareFault
from hardware.person import Nobody
from robotps.errors import RobotpsError
from robotps.odometer import Travel
from robotps.robot import Telemetry

WIDTH, HEIGHT, FOCAL = 1280, 720, 900.0


def camera_at(eye: tuple[float, float, float], target: tuple[float, float, float]) -> np.ndarray:
    """Projection (3, 4) of a camera that looks at a point."""
    z = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    x = np.cross(z, [0.0, 0.0, 1.0])
    x = np.array([1.0, 0.0, 0.0]) if np.linalg.norm(x) < 1e-9 else x / np.linalg.norm(x)
    y = np.cross(z, x)
    turn = np.stack([x, y, z])
    lens = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    return lens @ np.column_stack([turn, -turn @ np.array(eye)])


def draw(image: np.ndarray, projection: np.ndarray, id_: int, size: float, pose: tuple[float, ...]) -> None:
    """Draw a marker, with its white margin, lying flat at x, y, z with yaw."""
    x, y, z, yaw = pose
    pixels = 30
    picture = np.kron(np.pad(markers.bits(id_), 1, constant_values=255), np.ones((pixels, pixels), dtype=np.uint8))
    half = size / 2 * 8 / 6
    square = np.array([[-half, half], [half, half], [half, -half], [-half, -half]])
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    corners = np.column_stack([square @ turn.T + [x, y], np.full(4, z), np.ones(4)]) @ projection.T
    corners = (corners[:, :2] / corners[:, 2:]).astype(np.float32)
    edge = 8 * pixels
    frame = np.array([[0, 0], [edge, 0], [edge, edge], [0, edge]], dtype=np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(frame, corners)
    # drawn four times as large and shrunk: an edge then falls between pixels as in a lens
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 3, [WIDTH, HEIGHT])
    zoom = np.array([[4.0, 0, 1.5 - 4.0 * left], [0, 4.0, 1.5 - 4.0 * top], [0, 0, 1]])
    large, small = (int(4 * (right - left)), int(4 * (bottom - top))), (int(right - left), int(bottom - top))
    drawn = cv2.resize(cv2.warpPerspective(picture, zoom @ warp, large), small, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(cv2.warpPerspective(np.full_like(picture, 255), zoom @ warp, large), small)
    patch = image[top:bottom, left:right]
    patch[mask > 127] = drawn[mask > 127]


def scene(projection: np.ndarray, x: float, y: float, z: float, yaw: float) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH), 140, dtype=np.uint8)
    length, width = markers.LENGTH, markers.WIDTH
    for id_, (u, v) in zip(markers.FLOOR_IDS, [(0, 0), (length, 0), (length, width), (0, width)], strict=True):
        draw(image, projection, id_, markers.FLOOR_SIZE, (u, v, 0.0, 0.0))
    draw(image, projection, markers.ROBOT_ID, markers.ROBOT_SIZE, (x, y, z, yaw))
    return image


@pytest.mark.parametrize(
    ("eye", "target"),
    [((1.0, 0.5, 2.2), (1.0, 0.5, 0.0)), ((1.0, -1.6, 1.8), (1.0, 0.5, 0.0))],
    ids=["from above", "from the side"],
)
def test_a_walk_is_measured_without_knowing_camera_or_height(monkeypatch, eye, target) -> None:
    monkeypatch.setattr(markers, "ROBOT_SIZE", 0.1)
    projection, tracker = camera_at(eye, target), Tracker()
    speed, turn = 0.2, 0.1
    for n in range(21):
        t = n * 0.2
        tracker.see(scene(projection, 0.5 + speed * t, 0.5 + 0.02 * t, 0.28, turn * t / 4), t)
    travel = straight_travel(tracker.track, 0.0, 4.0)
    assert travel.forward == pytest.approx(speed * 4.0, rel=0.01)
    assert travel.lateral == pytest.approx(0.08, abs=0.012)
    assert travel.heading_change == pytest.approx(turn, abs=0.03)
    assert travel.forward_std < 0.02


def test_a_height_that_was_left_out_of_account_would_show() -> None:
    """At 0.28 m under a camera at 2.2 m the marker seems to go 15 % further: the size is what corrects it."""
    projection, tracker = camera_at((1.0, 0.5, 2.2), (1.0, 0.5, 0.0)), Tracker()
    for n in range(12):
        tracker.see(scene(projection, 0.5 + 0.08 * n, 0.5, 0.28, 0.0), n * 0.2)
    apparent = np.linalg.norm(tracker.track.place[-1] - tracker.track.place[0])
    assert apparent == pytest.approx(0.88 * 2.2 / (2.2 - 0.28), rel=0.01)


def walk(seconds: float, speed: float, before: float = 0.0, after: float = 0.0) -> Track:
    track = Track()
    for t in np.arange(0, before + seconds + after, 1 / 30):
        x = speed * min(max(t - before, 0.0), seconds)
        track.time.append(t)
        track.place.append(np.array([x, 0.0]))
        track.heading.append(0.0)
        track.size.append(markers.ROBOT_SIZE)
    return track


def test_the_motion_is_found_in_a_longer_recording() -> None:
    assert onset_of(walk(6.0, 0.2, before=3.3, after=2.0), 6.0) == pytest.approx(3.3, abs=0.05)


def test_the_window_leaves_out_what_lies_before_and_after() -> None:
    track = walk(6.0, 0.2, before=3.0, after=2.0)
    assert straight_travel(track, 4.0, 9.0).forward == pytest.approx(1.0, rel=1e-3)


def test_a_robot_that_fell_made_the_way_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    track = walk(2.0, 0.2, before=3.0, after=4.0)
    assert straight_travel(track, 4.0, 4.2).forward == pytest.approx(0.04, rel=0.02)
    assert straight_travel(track, 4.0, 3.5) == Travel(0.0, 0.0, lateral=0.0, heading_change=0.0)
    monkeypatch.setattr("hardware.camera.watch_video", lambda *_: track)
    video = Video(str(tmp_path / "walk.mp4"), Nobody())
    video.start()
    (tmp_path / "walk.mp4").touch()
    time = np.arange(1, 201) * 0.01
    fell = video.travel(Telemetry(time=time, sent=np.zeros((200, 1))), 1.0, 6.0)
    assert (fell.forward, fell.seconds) == (pytest.approx(0.2, rel=0.03), pytest.approx(1.0))


def test_markers_that_were_hardly_seen_are_a_fault() -> None:
    with pytest.raises(HardwareFault, match="too rarely"):
        straight_travel(Track(), 0.0, 5.0)
    with pytest.raises(HardwareFault, match="in 0 frames only"):
        straight_travel(walk(2.0, 0.1), 5.0, 9.0)


def test_frames_without_markers_add_nothing() -> None:
    tracker = Tracker()
    tracker.see(np.zeros((HEIGHT, WIDTH), dtype=np.uint8), 0.0)
    assert (tracker.frames, tracker.track.time) == (1, [])


def test_a_video_file_is_read_at_its_own_timestamps(tmp_path: Path) -> None:
    projection = camera_at((1.0, 0.5, 2.0), (1.0, 0.5, 0.0))
    path = tmp_path / "walk.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (WIDTH, HEIGHT))
    for n in range(15):
        frame = scene(projection, 0.6 + 0.05 * n, 0.5, 0.2, 0.0)
        video.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    video.release()
    track = watch_video(path)
    assert track.time[-1] - track.time[0] == pytest.approx(14 / 5, abs=0.01)
    telemetry = Telemetry(time=np.array([0.0, 2.6]), sent=np.zeros((2, 1)))
    travel = Video(str(path), Nobody()).travel(telemetry, 0.2, 2.4)
    assert travel.forward / travel.seconds == pytest.approx(0.25, rel=0.02)


def test_the_recording_of_an_earlier_trial_is_not_measured_again(tmp_path: Path) -> None:
    class SavesNothing(Nobody):
        def ask(self, what: str, message: str, **details: object) -> dict[str, bool]:
            return {"done": True}

    (tmp_path / "walk.avi").write_bytes(b"of the trial before")
    video = Video(str(tmp_path / "walk.avi"), SavesNothing())
    video.start()
    with pytest.raises(HardwareFault, match="still the recording of an earlier trial"):
        video.travel(Telemetry(time=np.array([0.0, 2.6]), sent=np.zeros((2, 1))), 0.2, 2.4)


def test_a_missing_or_broken_video_is_told(tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match="no such video"):
        watch_video(tmp_path / "none.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(RobotpsError, match="not a video"):
        watch_video(tmp_path / "broken.mp4")


def test_the_sheet_is_printed_at_true_size(tmp_path: Path) -> None:
    path = tmp_path / "sheet.pdf"
    markers.write_sheet(path)
    content = path.read_bytes()
    boxes = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", content)
    assert len(boxes) == 5
    np.testing.assert_allclose(np.array(boxes, dtype=float), [[595.28, 841.89]] * 5, atol=0.1)
    pages = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            text = zlib.decompress(stream)
        except zlib.error:
            continue
        if b" m\n" in text and b" d1\n" not in text:  # a page, not a letter of its font
            pages.append(text)
    sizes = []
    for page in pages:
        squares = []
        for path_ in re.findall(rb"((?:[-\d.]+ [-\d.]+ [ml]\n)+)h", page):
            points = np.array([line.split()[:2] for line in path_.splitlines()], dtype=float)
            squares.append(np.ptp(points, axis=0).max())
        marker = [size for size in squares if size < 500]
        sizes.append(max(marker, default=0.0) / 72 * 0.0254)
    np.testing.assert_allclose(sorted(size for size in sizes if size), [0.05, 0.15, 0.15, 0.15, 0.15], atol=1e-4)
