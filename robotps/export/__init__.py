"""Runs for other programs: tidy tables as CSV or Parquet, a trial's motion as MCAP."""

from robotps.export.mcap import motion_mcap
from robotps.export.tables import write_table
from robotps.export.telemetry import telemetry_table
from robotps.export.trials import trials_table

__all__ = ["motion_mcap", "telemetry_table", "trials_table", "write_table"]
