"""Makes the runs that are kept of today's format, once, when a format is new; those of older ones stay as they are.

python tests/robotps/runs/make.py
"""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robotps.database import SCHEMA_VERSION
from robotps.description import load_description
from robotps.recorder import Recorder
from robotps.run import Run, add_note
from robotps.settings import TuneSettings
from robotps.trial import TrialSettings
from robotps.tuning import Tuning

HERE = Path(__file__).parent
BITTLE = load_description("bittle")
JOINTS = 8


def _conftest() -> Any:
    spec = importlib.util.spec_from_file_location("conftest", HERE.parent / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(folder: Path, world: dict[str, Any] | None) -> None:
    """A small run with gliding robots; a physical one with what only real robots have."""
    conftest = _conftest()
    simulated = conftest.OpenGliding(BITTLE)

    class Real(conftest.GlidingRobot):  # type: ignore[misc, name-defined]
        def play(self, motion: Any, seconds: float) -> Any:
            for seen in super().play(motion, seconds):
                yield replace(seen, commanded=np.array(seen.sent) + 0.01, late=0.0002, load=np.full(JOINTS, 0.3))

        def equipment(self) -> dict[str, Any]:
            return {"port": "/dev/ttyUSB0", "servos": [{"id": 8, "model": "P1S"}], "calibration": None}

    settings = TuneSettings.model_validate(
        {
            "family": "trot",
            "seed": 4,
            "iterations": 2,
            "confirm": 2,
            "finalists": 1,
            "options": {"policies": 4},
            "trial": TrialSettings(seconds=0.1, warm_up=0.02),
            "world": world,
        }
    )
    with Run.create(folder, settings.model_dump(mode="json"), BITTLE) as run:
        open_robot = simulated if world is not None else lambda _, seed: Real(BITTLE, seed)
        Tuning(run, settings, executor=conftest.AtOnce(), open_robot=open_robot, draw_world=lambda _: world).go()
        if world is None:
            _cut_short(run, Real(BITTLE, 1))
    add_note(folder, f"made when the format was version {SCHEMA_VERSION}")
    add_note(folder, "slipped", trial=2)


def _cut_short(run: Run, robot: Any) -> None:
    """A trial that was running when the power went."""
    candidate = run.add_candidates("search", 2, "trot", np.zeros((1, 9)))[0]
    with Recorder(run.path) as recorder:
        started = "2026-01-01T00:00:00.000+00:00"
        recorder.begin(candidate.id, repeat=0, robot="bittle", seed=3, started=started, equipment=robot.equipment())
        robot.stand(np.zeros(JOINTS))
        for seen in robot.play(lambda time, last: np.full(JOINTS, time), 0.06):
            recorder.tick(seen)


if __name__ == "__main__":
    for kind, world in (("physical", None), ("simulated", {"floor": {"friction": 0.7}})):
        file = HERE / f"version_{SCHEMA_VERSION}_{kind}.robotps"
        with tempfile.TemporaryDirectory() as temporary:
            make(Path(temporary) / "run", world)
            with Run.open(Path(temporary) / "run") as made:
                made.archive(file)
        print(f"{file.name}: {file.stat().st_size} bytes")
