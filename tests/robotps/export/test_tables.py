"""Tables for other programs, read back by other programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.errors import RobotpsError
from robotps.export.tables import with_unit, write_table
from robotps.run import Run

MakeRun = Callable[..., Path]


def _export(*arguments: object) -> list[Path]:
    result = CliRunner().invoke(app, ["export", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    return [Path(file) for file in json.loads(result.stdout)["files"]]


def _rows(file: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file by the standard library, of a Parquet file by DuckDB, which shares no code with pyarrow."""
    if file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as opened:
            return list(csv.DictReader(opened))
    import duckdb

    found = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(file)])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _number(value: Any) -> float:
    return math.nan if value in ("", None) else float(value)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_trial_is_a_row_with_what_was_tried_and_measured(make_run: MakeRun, form: str, tmp_path: Path) -> None:
    path = make_run(world={"floor": {"friction": 0.6}}, iterations=1)
    (file,) = _export(path, "--format", form, "--out", tmp_path)
    rows = _rows(file)
    with Run.open(path) as run:
        trials, space = run.trials(), run.description.gait_space
    assert len(rows) == len(trials)
    for row, trial in zip(rows, trials, strict=True):
        assert (int(row["trial"]), row["stage"], row["ending"]) == (trial.id, trial.candidate.stage, trial.ending)
        assert float(row["speed_m_per_s"]) == trial.metrics["speed"]
        assert float(row["score"]) == trial.score
        assert json.loads(row["world"]) == trial.world
        values = space.values(trial.candidate.vector)
        for name, column in (("period", "period_s"), ("locus_length", "locus_length_m"), ("ground_fraction",) * 2):
            assert float(row[column]) == values[name]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_tick_of_a_physical_trial_is_a_row_exact_to_the_last_bit(
    make_run: MakeRun, form: str, tmp_path: Path
) -> None:
    path = make_run(world=None, iterations=1)
    files = _export(path, "--format", form, "--out", tmp_path)
    with Run.open(path) as run:
        assert len(files) == 1 + run.count()
        telemetry, names = run.telemetry(5), run.description.joint_names
    assert telemetry is not None
    assert telemetry.position is not None
    assert telemetry.base_position is not None
    rows = _rows(tmp_path / "telemetry" / f"trial_00005.{form}")
    for column, values in (
        ("time_s", telemetry.time),
        (f"{names[4]}_position_rad", telemetry.position[:, 4]),
        (f"{names[11]}_sent_rad", telemetry.sent[:, 11]),
        ("base_position_x_m", telemetry.base_position[:, 0]),
    ):
        np.testing.assert_array_equal([_number(row[column]) for row in rows], values, err_msg=column)
    assert {int(row["trial"]) for row in rows} == {5}


def test_one_trial_alone_goes_to_the_file_that_was_named(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run(world=None, iterations=1)
    (file,) = _export(path, "--trial", 3, "--out", tmp_path / "third.csv")
    assert file == tmp_path / "third.csv"
    assert {row["trial"] for row in _rows(file)} == {"3"}


def test_a_file_of_another_format_than_said_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run(world={}, iterations=1)
    result = CliRunner().invoke(app, ["export", str(path), "--out", str(tmp_path / "trials.parquet")])
    assert result.exit_code == 1
    assert "give --format parquet with it" in result.stderr
    assert not (tmp_path / "trials.parquet").exists()


def test_an_unknown_format_writes_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run(world={}, iterations=1)
    result = CliRunner().invoke(app, ["export", str(path), "--format", "xls", "--out", str(tmp_path / "there")])
    assert result.exit_code == 1
    assert "csv, parquet, mcap" in result.stderr
    assert not (tmp_path / "there").exists()


def test_missing_values_stay_empty_and_units_are_spelt_out(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_table({"a_m": np.array([1.5, np.nan]), "b": [None, "x,y"]}, file, "csv")
    assert file.read_text() == 'a_m,b\n1.5,\n,"x,y"\n'
    assert [with_unit("v", unit) for unit in ("1", "m/s", "m/s^2", "N m", "1/m", "degC")] == [
        "v",
        "v_m_per_s",
        "v_m_per_s2",
        "v_n_m",
        "v_per_m",
        "v_degc",
    ]


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match="cannot be written"):
        write_table({"a": [1]}, tmp_path / "nowhere" / "table.csv", "csv")
    with pytest.raises(ValueError, match="zip"):
        write_table({"a": [1], "b": [1, 2]}, tmp_path / "table.csv", "csv")
    assert list(tmp_path.iterdir()) == []
