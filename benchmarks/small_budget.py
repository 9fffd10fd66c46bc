"""What sixty trials are worth: every search on every bundled robot, by the command a person would type.

Prints, for each, the ratio of the re-evaluated best to the start (1.00: the start was kept) and writes the table
docs/small_budget.md. About twenty minutes on two cores; goes on where it was cut short.

    python benchmarks/small_budget.py [--runs logs/small_budget] [--out docs] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from robotps.search import SEARCHES

ROBOTS = ("ers210", "dkitty", "bittle")


def tuned(robot: str, search: str, runs: Path, workers: int) -> dict:
    """The result of one run, made or gone on with."""
    folder = runs / f"{robot}-{search}"
    answer = folder / "answer.json"
    if not answer.exists():
        command = [sys.executable, "-m", "robotps.cli.app", "tune", "--run", str(folder), "--json"]
        command += ["--workers", str(workers)]
        if (folder / "run.sqlite").exists():
            command += ["--resume"]
        else:
            command += ["--robot", robot, "--search", search, "--budget", "60", "--seconds", "3"]
        output = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
        ).stdout
        answer.write_text(output.splitlines()[-1])
    return json.loads(answer.read_text())


def main() -> None:
    """Run and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=Path, default=Path("logs/small_budget"))
    arguments.add_argument("--out", type=Path, default=Path("docs"))
    arguments.add_argument("--robots", nargs="+", default=list(ROBOTS))
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    lines = [f"| search | {' | '.join(given.robots)} |\n", f"|{'---|' * (1 + len(given.robots))}\n"]
    for search in SEARCHES:
        cells = []
        for robot in given.robots:
            found = tuned(robot, search, given.runs, given.workers)
            ratio = found["best_speed"] / found["initial_speed"]
            print(f"{ratio:.2f}  {robot} {search}: {found['trials']} trials", flush=True)
            cells.append(f"{ratio:.2f}" if found["improved"] else "kept")
        lines.append(f"| {search} | {' | '.join(cells)} |\n")
    (given.out / "small_budget.md").write_text("".join(lines))


if __name__ == "__main__":
    main()
