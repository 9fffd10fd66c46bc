"""`robotps tune` and `trial` in simulation, as a person uses them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.cli.options import console, say
from robotps.cli.progress import showing
from robotps.cli.tune import latest
from robotps.description import load_description
from robotps.errors import RobotpsError
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


def test_a_file_takes_every_flag_by_its_name(config: Path) -> None:
    config.write_text('robot = "bittle"\nsearch = "kohl-stone"\npolicies = 5\nseconds = 0.3\niterations = 9\n')
    shown = _robotps("tune", "--config", config, "--policies", "7", "--show")
    assert (shown["options"]["policies"], shown["trial"]["seconds"], shown["iterations"]) == (7, 0.3, 9)


def test_resume_goes_on_with_the_search_begun_last_and_with_no_other_verbs_trials(config: Path) -> None:
    first = Path(_robotps("tune", "--config", config)["run"])
    with Run.open(first) as run:
        settings, description = run.meta("settings"), run.description
    for name, meta in (("taken", {"verb": "trial"}), ("adapted", {"adaptation": {}})):
        changed = settings if "verb" in meta else {**settings, "search": "adapt"}
        with Run.create(Path("logs") / name, changed, description, meta):
            pass
    (Path("logs") / "broken").mkdir()
    (Path("logs") / "broken" / "run.sqlite").write_bytes(b"")
    assert latest() == first
    assert latest(adaptation=True) == Path("logs/adapted")
    second = Path(_robotps("tune", "--config", config)["run"])
    (first / "run.sqlite").touch()  # a note was written, say
    assert latest() == second
    refused = CliRunner().invoke(app, ["tune", "--resume", "--run", "logs/taken"])
    assert refused.exit_code == 1
    assert "trials of robotps trial, not a search" in refused.stderr
    assert "--show" in CliRunner().invoke(app, ["tune", "--resume", "--show"]).stderr


def test_what_json_cannot_say_is_null(config: Path) -> None:
    config.write_text(QUICKLY.replace("confirm = 2", "confirm = 1"))
    result = CliRunner().invoke(app, ["tune", "--config", str(config), "--json"])
    assert "one trial, no interval" in result.stderr
    answer = json.loads(result.stdout, parse_constant=pytest.fail)
    assert answer["initial_speed_ci"] == [None, None]


def test_a_message_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.cache_clear()  # the stream of this test
    say("pip install 'robotps[plot]' into logs/[lab]/run[/r]")
    assert "robotps[plot]' into logs/[lab]/run[/r]" in capsys.readouterr().err


def test_a_run_in_which_nothing_counted_could_not_be_done(make_run: Callable[..., Path]) -> None:
    counted = pytest.raises(RobotpsError, match="no trial of the gait begun with")
    with Run.open(make_run(world=None)) as run, counted, showing(run, lambda _: None, json=True):
        pass


def test_a_prior_is_of_the_same_robot_and_family(config: Path) -> None:
    run = _robotps("tune", "--config", config)["run"]
    for flags, said in (
        (("--robot", "dkitty"), "of 'bittle', not of 'dkitty'"),
        (("--family", "pace"), "no pace was scored"),
    ):
        robot = flags if "--robot" in flags else ("--robot", "bittle", *flags)
        result = CliRunner().invoke(app, ["tune", *robot, "--prior", run, "--show"])
        assert result.exit_code == 1
        assert said in result.stderr


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
    asked = ("--config", config, "--robot", name, "--iterations", iterations, "--seconds", 3)
    found = _robotps("tune", *asked, "--run", tmp_path / "run")
    assert found["best_speed"] >= gain * found["initial_speed"]


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = "import sys, robotps.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in done.stdout.split()}
    assert loaded.isdisjoint(
        {"numpy", "scipy", "pydantic", "rich", "pebble", "pybullet", "mujoco", "matplotlib", "serial"}
    )
