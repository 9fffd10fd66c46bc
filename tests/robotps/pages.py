"""What a report's page says."""

from __future__ import annotations

import re
from pathlib import Path

from robotps.report import write_report
from robotps.run import Run


def page_of(*paths: Path) -> str:
    runs = [Run.open(path) for path in paths]
    out = paths[0].parent / "report.html"
    write_report(runs, out)
    for run in runs:
        run.close()
    return out.read_text(encoding="utf-8")


def figure(page: str, title: str) -> str:
    (found,) = [svg for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if f">{title}</title>" in svg]
    return found
