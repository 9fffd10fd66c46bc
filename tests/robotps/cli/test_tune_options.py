"""Flags of `tune` reach the settings, and a wrong one is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.files import tomllib


def _show(*flags: str) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, ["tune", "--robot", "bittle", "--show", *flags])
    return result.exit_code, tomllib.loads(result.stdout) if result.exit_code == 0 else {}, result.stderr


def test_repeats_stop_rules_and_families_are_settings() -> None:
    status, table, _ = _show(
        "--repeats", "auto", "--stop", "minutes=90", "--stop", "no-gain=5", "--families", "walk,pace"
    )
    assert status == 0
    assert table["repeats"] == "auto"
    assert table["stop"] == ["minutes=90", "no-gain=5"]
    assert table["families"] == ["walk", "pace"]
    assert "iterations" not in table  # the rules end it


def test_a_search_that_no_rule_is_sure_to_end_has_a_budget() -> None:
    for rule in ("speed=3", " speed = 3", "no-gain=3"):
        _, table, _ = _show("--stop", rule)
        assert table["budget"] == 375, rule
    _, table, _ = _show("--families", "all", "--repeats", "3")
    assert table["families"] == ["trot", "walk", "pace", "bound", "pronk"]
    assert table["repeats"] == 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--repeats", "some"), "neither a number nor auto"),
        (("--repeats", "0"), "greater than or equal to 1"),
        (("--families", "trot,canter"), "canter"),
    ],
)
def test_a_wrong_value_is_named(flags: tuple[str, ...], said: str) -> None:
    status, _, error = _show(*flags)
    assert status != 0
    assert said in " ".join(error.split())


@pytest.mark.slow
def test_the_default_search_makes_a_dkitty_half_as_fast_again_in_sixty_trials(tmp_path: Path) -> None:
    flags = ["tune", "--budget", "60", "--seconds", "3", "--run", str(tmp_path / "run"), "--json"]
    result = CliRunner().invoke(app, flags)
    assert result.exit_code == 0
    found = json.loads(result.stdout.splitlines()[-1])
    assert (found["robot"], found["search"]) == ("dkitty", "bayesian")
    assert found["trials"] <= 60
    assert found["best_speed"] > 1.5 * found["initial_speed"]


@pytest.mark.parametrize(
    ("flags", "confirm"),
    [
        (("--iterations", "3", "--policies", "6"), 2),
        (("--iterations", "30", "--policies", "6"), 9),
        (("--search", "kohl-stone", "--iterations", "23", "--repeats", "3"), 16),
        (("--budget", "48"), 2),
        (("--stop", "minutes=20"), 16),
    ],
)
def test_start_and_result_are_confirmed_the_more_the_longer_the_search(flags: tuple[str, ...], confirm: int) -> None:
    _, table, _ = _show(*flags)
    assert table["confirm"] == confirm
