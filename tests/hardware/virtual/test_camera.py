"""The virtual overhead camera: what it films, the camera odometer must measure as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardware.camera import Video, straight_travel, watch_video
from hardware.odometer import make_odometer
from hardware.person import Assistant
from hardware.robot import SerialRobot
from hardware.session import Session
from hardware.virtual.assistant import Assistant as Helper
from hardware.virtual.camera import Camera
from hardware.virtual.plant import Plant
from hardware.virtual.robot import VirtualRobot
from hardware.virtual.terminal import Terminal
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.odometer import Track, travel_between
from robotps.trial import TrialSettings, run_trial

DKITTY = load_description("dkitty")


def carried(plant: Plant, speed: float, frames: int) -> None:
    """Moved along x by hand at a walking height, without physics."""
    mujoco: Any = pytest.importorskip("mujoco")
    body = plant.body
    for n in range(1, frames + 1):
        plant.ticks = 8 * n * plant.ticks_a_period
        body.data.qpos[:3] = (speed * plant.time, 0.03, 0.27)
        body.data.qpos[3:7] = (1.0, 0.0, 0.0, 0.0)
        mujoco.mj_forward(body.model, body.data)
        for listener in plant.listeners:
            listener()


def test_a_speed_on_film_is_within_one_per_cent_of_the_truth(tmp_path: Path) -> None:
    plant = Plant(DKITTY)
    camera = Camera(plant)
    carried(plant, 0.3, 16)
    assert camera.save(tmp_path / "walk.mp4") == 16
    track = watch_video(tmp_path / "walk.mp4")
    travel = straight_travel(track, track.time[0], track.time[-1])
    assert len(track.time) >= 12  # a small marker is not found in every frame
    assert travel.forward / travel.seconds == pytest.approx(0.3, rel=0.01)
    assert travel.lateral == pytest.approx(0.0, abs=0.01)
    assert list(tmp_path.iterdir()) == [tmp_path / "walk.mp4"]


def test_a_film_begins_where_the_robot_is_put_and_the_person_saves_it(tmp_path: Path) -> None:
    plant = Plant(DKITTY)
    camera = Camera(plant)
    person = Helper(plant, Terminal("test"), lambda: None, camera)
    carried(plant, 0.3, 40)
    assert person.do({"ask": "place_at_start"})["done"]
    answer = person.do({"ask": "save_video", "file": str(tmp_path / "a.mp4")})
    assert (answer["done"], answer["frames"]) == (True, 1)
    assert "--camera" in Helper(plant, Terminal("test"), lambda: None).do({"ask": "save_video"})["error"]
    person.server.close()


def test_a_recording_from_before_is_not_taken_for_this_trial(tmp_path: Path) -> None:
    class Asked(Exception):
        pass

    class Person(Assistant):
        def tell(self, message: str) -> None: ...

        def ask(self, what: Any, message: str, **details: Any) -> Any:
            raise Asked(what, details["file"])

    path = tmp_path / "walk.mp4"
    path.write_bytes(b"of yesterday")
    video = Video(str(path), Person("127.0.0.1:1"))
    video.start()
    with pytest.raises(Asked) as asked:
        video.travel(None, 0.0, 1.0)  # type: ignore[arg-type]
    assert asked.value.args == ("save_video", str(path))


def test_nothing_to_draw_with_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plant = Plant(DKITTY)
    camera = Camera(plant)
    with pytest.raises(RobotpsError, match="nothing has been filmed"):
        camera.save(tmp_path / "walk.mp4")
    carried(plant, 0.3, 2)

    def fail(*_: object) -> None:
        raise ImportError("libEGL.so.1")

    for kind in ("egl", "osmesa"):
        monkeypatch.setitem(__import__("sys").modules, f"mujoco.{kind}", type("Gone", (), {"GLContext": fail}))
    with pytest.raises(RobotpsError, match="apt install libegl1"):
        camera.save(tmp_path / "walk.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_whole_trial_is_measured_by_film_and_by_stream_as_it_was(tmp_path: Path) -> None:
    """Camera within 1 %, position stream within 0.5 % of where the plant itself says that the body went."""
    settings = TrialSettings(seconds=4.0, warm_up=1.0)
    for kind, tolerance in (("video", 0.01), ("stream", 0.005)):
        with VirtualRobot(DKITTY, realtime=False, film=True) as virtual:
            person = Assistant(virtual.assistant)
            spec = f"video:{tmp_path / 'walk.mp4'}" if kind == "video" else f"stream:{virtual.position_stream}"
            odometer = make_odometer(spec, person)
            seen: list[tuple[float, list[float], list[float]]] = []
            pose = virtual.plant.body
            virtual.plant.listeners.append(
                lambda pose=pose, seen=seen, plant=virtual.plant: seen.append(  # type: ignore[misc]
                    (plant.time, pose.pose.position.tolist(), pose.pose.quaternion.tolist())
                )
            )
            began = 0.0
            with Session(SerialRobot(DKITTY, virtual.port, pace="device"), person) as session, session() as robot:
                start = odometer.start

                def noticed(start: Any = start, plant: Plant = virtual.plant) -> None:
                    nonlocal began
                    start()
                    began = plant.time

                odometer.start = noticed  # type: ignore[method-assign]
                trial, _ = run_trial(robot, initial_gait(DKITTY), settings, odometer)
        truth = Track(*(__import__("numpy").array(column) for column in zip(*seen, strict=True)))
        travel = travel_between(truth.time - began, truth.position, truth.orientation, 1.0, 5.0)
        assert trial.speed == pytest.approx(travel.forward / travel.seconds, rel=tolerance), kind
