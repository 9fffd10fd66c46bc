"""A run, or several compared, as one web page that needs no network."""

from robotps.report.page import write_report

__all__ = ["write_report"]
