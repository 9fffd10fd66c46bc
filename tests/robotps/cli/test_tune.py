"""`robotps tune` and `trial` in simulation, as a person uses them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.description import load_description
from robotps.gait import load_gait
from robotps.run import Run

QUICKLY = """
robot = "bittle"
search = "kohl-stone"
iterations = 2
confirm = 2
finalists = 1
options = { policies = 3 }
trial = { seconds = 0.3, warm_up = 0.1 }
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "quick.toml"
    file.write_text(QUICKLY)
    return file


def _robotps(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert len(result.stdout.splitlines()) == 1
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_a_run_leaves_a_gait_a_curve_and_trials_that_other_verbs_go_on_with(config: Path) -> None:
    found = _robotps("tune", "--config", config, "--seed", 4)
    assert {"run", "robot", "search", "trials", "seconds", "initial_speed", "best_speed", "best_gait"} <= set(found)
    assert found["trials"] == 2 + 2 * 3 + 2 * 2 + 2
    assert found["best_speed"] >= found["initial_speed"]
    low, high = found["best_speed_ci"]
    assert low <= found["best_speed"] <= high
    run = Path(found["run"])
    assert run.parent == Path("logs")
    assert (run / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    gait = load_gait(run / "best_gait.toml", load_description("bittle"))
    assert dict(gait.parameters) == found["best_gait"]
    assert [Path(row["run"]) for row in _robotps("runs")["runs"]] == [run]
    once = [
        _robotps("trial", "--robot", "bittle", "--gait", run / file, "--seconds", 0.3)
        for file in ("", "best_gait.toml")
    ]
    assert once[0] == once[1]
    assert _robotps("replay", run)["identical"] is True


def test_the_same_command_gives_the_same_whatever_the_workers(config: Path) -> None:
    found = []
    for workers in (1, 3):
        answer = _robotps("tune", "--config", config, "--workers", workers, "--run", f"with{workers}")
        with Run.open(Path(answer["run"])) as run:
            digests = sorted((t.candidate.id, t.repeat, t.digest) for t in run.trials())
        found.append((answer["best_speed"], answer["best_gait"], digests))
    assert found[0] == found[1]


def test_a_flag_wins_over_the_file_and_show_changes_nothing(config: Path) -> None:
    result = CliRunner().invoke(
        app, ["tune", "--config", str(config), "--iterations", "9", "--policies", "5", "--show"]
    )
    assert result.exit_code == 0, result.stderr
    for line in ('robot = "bittle"', "iterations = 9", "policies = 5", "seconds = 0.3"):
        assert line in result.stdout
    assert not Path("logs").exists()


def test_ctrl_c_ends_with_the_best_so_far_and_the_run_goes_on_later(config: Path) -> None:
    config.write_text(QUICKLY.replace("iterations = 2", "iterations = 8"))
    process = subprocess.Popen(
        [sys.executable, "-m", "robotps.cli.app", "tune", "--config", config, "--run", "mine", "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    while True:
        assert process.poll() is None
        if Path("mine/run.sqlite").exists():
            with Run.open(Path("mine")) as run:
                if run.count() >= 5:
                    break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "interrupted; what was finished is on disk" in said
    assert Path("mine/best_gait.toml").exists()
    with Run.open(Path("mine")) as run:
        done = run.count()
        assert 5 <= done < 2 + 8 * 3
    again = _robotps("tune", "--resume", "--run", "mine")
    assert again["trials"] == 2 + 8 * 3 + 2 * 2 + 2


def test_a_trial_says_how_it_went_and_the_same_seed_says_the_same(config: Path) -> None:
    first = _robotps("trial", "--robot", "bittle", "--seconds", 0.5, "--seed", 3, "--repeats", 2)
    keys = {"outcome", "speed", "speeds", "distance", "heading_change", "fell", "cost_of_transport", "telemetry"}
    assert keys <= set(first)
    assert len(first["speeds"]) == 2
    assert first == _robotps("trial", "--robot", "bittle", "--seconds", 0.5, "--seed", 3, "--repeats", 2)
    assert first["speeds"][0] == _robotps("trial", "--robot", "bittle", "--seconds", 0.5, "--seed", 3)["speed"]
    assert first["speeds"] != _robotps("trial", "--robot", "bittle", "--seconds", 0.5, "--seed", 4)["speeds"]


@pytest.mark.parametrize(
    ("robot", "slowest", "fastest"),
    [("ers210", 0.15, 0.30), ("dkitty", 0.10, 0.30), ("bittle", 0.05, 0.20), ("a1.toml", 0.05, 0.60)],
)
def test_the_gait_that_a_robot_starts_from_walks_and_does_not_fall(robot: str, slowest: float, fastest: float) -> None:
    name = Path(__file__).parents[3] / "docs" / robot if robot.endswith(".toml") else robot
    walked = _robotps("trial", "--robot", name, "--seed", 0)
    assert not walked["fell"]
    assert slowest <= walked["speed"] <= fastest


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("robot", "iterations", "gain"), [("dkitty", 6, 1.5), ("bittle", 8, 1.2), ("a1.toml", 5, 1.1)])
def test_tuning_makes_it_faster(tmp_path: Path, robot: str, iterations: int, gain: float) -> None:
    name = Path(__file__).parents[3] / "docs" / robot if robot.endswith(".toml") else robot
    config = tmp_path / "tune.toml"
    config.write_text('search = "kohl-stone"\nconfirm = 4\nfinalists = 2\n')
    asked = ("--config", config, "--robot", name, "--iterations", iterations)
    found = _robotps("tune", *asked, "--run", tmp_path / "run")
    assert found["best_speed"] >= gain * found["initial_speed"]


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = "import sys, robotps.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in done.stdout.split()}
    assert loaded.isdisjoint(
        {"numpy", "scipy", "pydantic", "rich", "pebble", "pybullet", "mujoco", "matplotlib", "serial"}
    )
