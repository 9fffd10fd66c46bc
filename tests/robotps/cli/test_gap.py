"""`robotps gap`: the gaits of logged physical trials, simulated again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import load_description


def test_the_verb_compares_the_gaits_of_logged_runs(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(world=None, iterations=1, options={"policies": 3}, confirm=2, finalists=1)
    picture = tmp_path / "gap.png"
    result = CliRunner().invoke(app, ["gap", str(run), "--repeats", "1", "--plot", str(picture), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    wanted = "pairs bias rmse pearson spearman mmrv regret_at_1 one_step_error value_gap"
    assert set(wanted.split()) <= found.keys()
    assert len(found["pairs"]) >= 4
    assert found["size"] in ("small", "moderate", "large")
    assert picture.stat().st_size > 20_000
    assert "the gap is" in result.stderr


def test_the_verb_says_what_it_needs(make_run: Callable[..., Path]) -> None:
    nothing = CliRunner().invoke(app, ["gap"])
    assert nothing.exit_code == 1
    assert "name runs that hold physical trials" in nothing.stderr
    simulated = CliRunner().invoke(app, ["gap", str(make_run(world={}))])
    assert simulated.exit_code == 1
    assert "no physical trial" in simulated.stderr
    logged = CliRunner().invoke(app, ["gap", "run", "--gaits", "9", "--odometer", "nonsense"])
    assert logged.exit_code == 1
    assert "--gaits, --odometer: for motions of the robot" in logged.stderr


def test_no_run_is_made_for_a_robot_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there = ["--on", "serial:/dev/ttyNOPE", "--odometer", "video:walk.mp4", "--yes"]
    for verb in (["gap", "--gaits", "2", "--seconds", "1"], ["adapt", "--robot-trials", "20", "--seconds", "1"]):
        result = CliRunner().invoke(app, [*verb, *there])
        assert result.exit_code == 1
        assert "/dev/ttyNOPE" in result.stderr
        assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("objective", "odometer"), [("cost_of_transport", "video:walk.mp4"), ("drift", "stopwatch"), ("shake", "stopwatch")]
)
def test_an_objective_that_the_robot_cannot_measure_is_told_before_it_walks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str, odometer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(f"objective = {{ {objective} = 0.1 }}\n")
    there = ["--on", "serial:/dev/ttyNOPE", "--odometer", odometer]
    for verb in ("tune", "adapt") if objective == "drift" else ("tune",):  # an adaptation is rehearsed first
        result = CliRunner().invoke(app, [verb, "--config", "mine.toml", *there])
        assert result.exit_code == 1
        assert f"objective.{objective}: this robot or odometer does not measure it" in result.stderr
        assert not Path("logs").exists()


@pytest.mark.slow
def test_gaits_taken_on_a_robot_as_described_have_a_small_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with VirtualRobot(load_description("dkitty"), realtime=False) as virtual:
        there = ["--on", f"serial:{virtual.port}", "--odometer", f"stream:{virtual.position_stream}"]
        there += ["--assistant", virtual.assistant, "--pace", "device"]
        result = CliRunner().invoke(app, ["gap", *there, "--gaits", "3", "--repeats", "2", "--seconds", "1", "--json"])
    assert result.exit_code == 0, result.stderr
    assert "the gap is small" in result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["size"] == "small"
    assert [len(pair["real"]) for pair in found["pairs"]] == [2, 2, 2]
    assert found["value_gap_bound_held"] == [6, 6]
    assert found["one_step_error"] < 0.01
