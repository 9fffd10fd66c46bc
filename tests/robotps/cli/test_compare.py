"""`robotps compare` as a person uses it, with simulated robots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.run import Run


def _robotps(*arguments: object) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    last = (result.stdout.splitlines() or [""])[-1]
    return result.exit_code, json.loads(last) if last.startswith("{") else {}, result.stderr


def test_two_searches_are_compared_and_everything_is_left_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "comparison"
    searches = ("es:policies=4", "kohl-stone:policies=4,repeats=2")
    flags = [flag for search in searches for flag in ("--search", search)]
    small = ("--budget", 8, "--seeds", 1, "--seconds", 0.3, "--again", 1, "--noise-fall", 0.5, "--seed", 3)
    status, found, said = _robotps(
        "compare", "--robot", "bittle", *flags, *small, "--workers", 1, "--run", folder, "--json"
    )
    assert status == 0
    assert set(found["searches"]) == set(searches)
    for each in found["searches"].values():
        assert {"trials_to_target", "final_speed", "final_speed_quartiles", "seeds", "wall_seconds"} <= set(each)
        assert each["seeds"] == 1
    assert found["robots"]["bittle"] == found["searches"]
    for file in (found["plot"], found["csv"], folder / "comparison.md"):
        assert Path(file).stat().st_size > 0
    assert "kohl-stone:policies=4,repeats=2" in said
    with Run.open(folder / "bittle-es-policies-4-3") as run:
        endings = [trial.ending for trial in run.trials()]
    assert endings.count("fell") > 1  # the noise that was asked for

    status, again, _ = _robotps("compare", "--resume", "--run", folder, "--workers", 1, "--json")
    assert (status, again) == (0, found)
    status, shown, _ = _robotps("compare", "--table", "--run", folder, "--json")
    assert (status, shown) == (0, found)


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    status, _, said = _robotps("compare", "--search", "es:sigma", "--run", tmp_path / "c")
    assert status == 1
    assert "expected NAME:OPTION=VALUE" in said
    status, _, said = _robotps("compare", "--robot", "bittle", "--search", "se", "--run", tmp_path / "c")
    assert status == 1
    assert "no search is called 'se'" in said
    status, _, said = _robotps("compare", "--resume", "--run", tmp_path)
    assert status == 1
    assert "there is no comparison here" in said
    status, _, said = _robotps("compare", "--resume", "--run", tmp_path, "--seeds", 3)
    assert status == 1
    assert "goes on with its own settings: leave out --seeds" in said
    assert not (tmp_path / "c").exists()
