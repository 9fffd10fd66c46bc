"""Kohl & Stone (2004) in simulation: ERS-210, the published start, t = 15, 3 runs a gait, 23 iterations.

Writes docs/kohl_stone.png and docs/kohl_stone.md (the figure and the table of README) and prints, for each seed, the
ratio of the re-evaluated best to the start. About twelve minutes on two cores.

    python benchmarks/kohl_stone.py [--seeds 0 1 2] [--out docs] [--runs logs]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from robotps.figures import ACCENT, INK, new_figure
from robotps.run import Run
from robotps.scores import score_of

PUBLISHED = 0.291  # m/s, on the real ERS-210A
ITERATIONS = 23


def tuned(seed: int, runs: Path) -> dict:
    """The result of one run, made by the command a person would type, or continued where it was left."""
    folder = runs / f"kohl-stone-ers210-{seed}"
    command = [sys.executable, "-m", "robotps.cli.app", "tune", "--run", str(folder), "--json"]
    if (folder / "run.sqlite").exists():
        command += ["--resume"]
    else:
        command += ["--robot", "ers210", "--search", "kohl-stone", "--iterations", str(ITERATIONS)]
        command += ["--policies", "15", "--repeats", "3", "--seconds", "5", "--seed", str(seed)]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def curve(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lowest and highest candidate score of each iteration."""
    groups: dict[int, dict[int, list]] = {}
    with Run.open(folder) as run:
        for trial in run.trials("search"):
            groups.setdefault(trial.candidate.iteration, {}).setdefault(trial.candidate.id, []).append(trial)
    values = [[score_of(records).value for records in groups[n].values()] for n in sorted(groups)]
    scores = [[value for value in row if value is not None] for row in values]
    return (np.array([f(row) for row in scores]) for f in (np.mean, np.min, np.max))


def main() -> None:
    """Run, print, draw."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--out", type=Path, default=Path("docs"))
    arguments.add_argument("--runs", type=Path, default=Path("logs"))
    given = arguments.parse_args()
    results = {seed: tuned(seed, given.runs) for seed in given.seeds}
    rows = ["| seed | start, m/s | best re-evaluated, m/s (95 % interval) | ratio | trials |", "|---|---|---|---|---|"]
    figure, axes = new_figure(8, 4.5)
    axis = axes[0, 0]
    for seed, result in results.items():
        ratio = result["best_speed"] / result["initial_speed"]
        print(f"{ratio:.2f}  seed {seed}: {result['initial_speed']:.3f} to {result['best_speed']:.3f} m/s")
        low, high = result["best_speed_ci"]
        rows.append(
            f"| {seed} | {result['initial_speed']:.3f} | {result['best_speed']:.3f} ({low:.3f} to {high:.3f}) "
            f"| {ratio:.2f} | {result['trials']} |"
        )
        mean, lowest, highest = curve(Path(result["run"]))
        x = np.arange(1, len(mean) + 1)
        axis.fill_between(x, lowest, highest, color=INK, alpha=0.10, linewidth=0)
        axis.plot(x, mean, color=INK, linewidth=1.6, alpha=0.5 + 0.25 * (seed == 0))
        axis.plot(len(mean) + 0.6, result["best_speed"], "D", color=ACCENT, markersize=6)
    axis.plot(
        [], [], color=INK, label="mean of the 15 gaits of an iteration (one line a seed; band: slowest to fastest)"
    )
    axis.plot([], [], "D", color=ACCENT, linestyle="", label="best gait, run again 16 times")
    axis.axhline(PUBLISHED, color="#6b7785", linestyle="--", linewidth=1.2)
    axis.annotate("291 mm/s: the real ERS-210A, Kohl & Stone 2004", (1, PUBLISHED + 0.004), color="#6b7785", fontsize=9)
    axis.set_xlabel("iteration (45 trials each)")
    axis.set_ylabel("forward speed, m/s (simulation)")
    axis.set_title("Kohl & Stone's policy gradient on a simulated ERS-210", color=INK)
    axis.legend(frameon=False, loc="lower right", fontsize=8)
    given.out.mkdir(exist_ok=True)
    figure.savefig(given.out / "kohl_stone.png", dpi=150)
    (given.out / "kohl_stone.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
