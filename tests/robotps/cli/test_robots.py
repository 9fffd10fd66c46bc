"""`robotps robots` as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.description import bundled_robots, load_description


@pytest.mark.parametrize("name", bundled_robots())
def test_a_description_that_was_shown_is_one_that_can_be_read(name: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["robots", "show", name])
    assert shown.exit_code == 0
    (tmp_path / "mine.toml").write_text(shown.stdout)
    assert load_description(tmp_path / "mine.toml") == load_description(name)
