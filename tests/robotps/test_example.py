"""The run that comes with the source: searched in simulation, then taken to a virtual robot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.provenance import versions
from robotps.run import Run

EXAMPLE = Path(__file__).parents[2] / "logs" / "example"
MADE_ANEW = "where the simulation is meant to differ: python benchmarks/example_run.py makes the example anew"


def _robotps(*arguments: object) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout.splitlines()[-1]), result.stderr


def test_it_is_small_and_holds_what_a_run_may_hold() -> None:
    assert sum(file.stat().st_size for file in EXAMPLE.iterdir()) < 3e6
    with Run.open(EXAMPLE) as run:
        stages = {trial.candidate.stage for trial in run.trials()}
        physical = run.trials("robot")
        assert run.telemetry(physical[0].id) is not None
        assert len(run.equipment(physical[0].id)["servos"]) == 12
    assert stages == {"start", "search", "finalist", "best", "robot"}


def test_its_best_trial_replays_identically() -> None:
    status, answer, said = _robotps("replay", EXAMPLE)
    with Run.open(EXAMPLE) as run:
        made_on = run.meta("versions")
    here = versions()
    if [made_on.get(name) for name in ("processor", "vectors")] == [here[name] for name in ("processor", "vectors")]:
        assert (status, answer["identical"]) == (0, True), f"{said}\n{MADE_ANEW}"
    elif not answer["identical"]:  # numerical libraries choose their instructions by the processor
        assert status == 1
        assert any("vector instructions" in remark for remark in answer["remarks"])
    assert answer["replayed_speed"] == pytest.approx(answer["recorded_speed"], rel=0.1), MADE_ANEW


def test_its_physical_trial_is_compared_with_simulation() -> None:
    with Run.open(EXAMPLE) as run:
        (taken,) = run.trials("robot")
    status, answer, said = _robotps("replay", EXAMPLE, "--trial", taken.id)
    assert (status, answer["identical"]) == (0, None)
    assert set(answer["agreement_by_quantity"]) == {"joints", "tilt", "path"}
    assert answer["agreement_by_quantity"]["joints"] > 0.5
    assert "agreement" in said


def test_its_report_tells_of_the_search_and_of_the_robot(tmp_path: Path) -> None:
    status, answer, _ = _robotps("report", EXAMPLE, "--out", tmp_path / "report.html")
    assert status == 0
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert "in simulation and then on the robot, finished." in page
    assert "12 x XM430-W210" in page
    assert ">best, robot</text>" in page
    assert "Parts of the record could not be read" not in page
