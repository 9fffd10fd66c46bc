"""Tidy tables on disk, whole or not at all: CSV or Parquet, units in the names of the columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robotps.errors import require
from robotps.files import written_whole
from robotps.parameters import FloatArray

Table = dict[str, Sequence[Any] | FloatArray]
"""Columns by name, all of the same length."""


def with_unit(name: str, unit: str) -> str:
    """A column's name with its unit spelt out: `speed_m_per_s`, `torque_n_m`, `acceleration_m_per_s2`."""
    if unit == "1":
        return name
    words = unit.replace("1/", "per ").replace("/", " per ").replace("^", "")
    return f"{name}_{words.replace(' ', '_').lower()}"


def write_table(table: Table, path: Path, form: str) -> None:
    """Write a table as `csv` or `parquet`; missing values (None, NaN) stay empty. RobotpsError where it cannot."""
    write = {"csv": _write_csv, "parquet": _write_parquet}[form]
    with written_whole(path) as temporary:
        write(table, temporary)


def _write_csv(table: Table, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*(map(_plain, column) for column in table.values()), strict=True))


def _plain(value: Any) -> Any:
    """A value as CSV has it: the shortest text that reads back the same, nothing for what is missing."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return value


def _write_parquet(table: Table, path: Path) -> None:
    require("pyarrow", extra="export")
    import pyarrow
    import pyarrow.parquet

    columns = {name: pyarrow.array(column, from_pandas=True) for name, column in table.items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
