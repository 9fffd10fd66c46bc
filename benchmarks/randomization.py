"""What randomization is worth: gaits tuned with and without it, on virtual robots of realities drawn wide.

Tunes one gait in the nominal world, one over worlds drawn from the robot's default distributions (scored by the worst
half of each candidate's, widened as the search succeeds), with as many simulated trials each; then both walk on virtual
robots (MuJoCo) whose realities are drawn wide. One JSON line a reality goes to --out, so that a benchmark that was cut
short goes on: by default benchmarks/outcomes/randomization, where what docs/reality-gap.md shows is kept. With another
--out gaits are tuned anew.

    python benchmarks/randomization.py --realities 20
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from identification import draw, robotps, virtual_robot, write_files

from robotps.description import load_description

BUDGET = 600
REPEATS = 4
RESAMPLES = 2000
OUTCOMES = Path(__file__).parent / "outcomes" / "randomization"

Table = dict[str, Any]
KINDS: dict[str, Table] = {
    "without": {},
    "with": {"randomize": "default", "tail": 0.5, "widen": {"start": 0.3}},
}


def tuned(folder: Path, kind: str, robot: str, budget: int, seed: int) -> Path:
    """The gait file of a tuning run."""
    config = folder / f"{kind}.toml"
    asked = {"robot": robot, "search": "cma-es", "budget": budget, "repeats": REPEATS, "confirm": 8, **KINDS[kind]}
    config.write_text(tomli_w.dumps(asked))
    robotps(folder, "tune", "--config", config.name, "--seed", str(seed), "--run", kind, "--workers", "1")
    return folder / kind / "best_gait.toml"


def speeds(gaits: dict[str, Path], robot: str, seed: int) -> dict[str, float]:
    """Of each gait on one virtual robot, m/s; a fall counts the way made before it."""
    description = load_description(robot)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, description, draw(description, seed))
        with virtual_robot(folder, seed) as at:
            on = ["--robot", "robot.toml", "--on", f"serial:{at['port']}", "--pace", "device"]
            on += ["--odometer", f"stream:{at['position_stream']}", "--assistant", at["assistant"]]
            return {
                kind: float(robotps(folder, "trial", *on, "--gait", str(gait.resolve()))["speed"])
                for kind, gait in gaits.items()
            }


def show(rows: list[Table]) -> None:
    """Quantiles of real speed, each with a 95 % bootstrap interval over realities."""
    generator = np.random.default_rng(0)
    table = {kind: np.array([row["speeds"][kind] for row in rows]) for kind in KINDS}
    picks = generator.integers(0, len(rows), (RESAMPLES, len(rows)))
    print(f"realities        {len(rows)}")
    for name, share in (("10 % quantile", 0.1), ("median", 0.5)):
        for kind, values in table.items():
            low, high = np.percentile(np.quantile(values[picks], share, axis=1), [2.5, 97.5])
            print(f"{name:16s} {kind:8s} {np.quantile(values, share):.3f} m/s ({low:.3f} to {high:.3f})")
        gain = np.quantile(table["with"][picks], share, axis=1) - np.quantile(table["without"][picks], share, axis=1)
        low, high = np.percentile(gain, [2.5, 97.5])
        print(f"{name:16s} gain     {np.median(gain):+.3f} m/s ({low:+.3f} to {high:+.3f})")


def main() -> None:
    """Tune where --out holds no gaits yet, run what it does not hold, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robot", default="dkitty")
    parser.add_argument("--realities", type=int, default=20)
    parser.add_argument("--budget", type=int, default=BUDGET, help="simulated trials of each tuning run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUTCOMES, help="a folder")
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    gaits = {}
    for kind in KINDS:
        gaits[kind] = arguments.out / kind / "best_gait.toml"
        if not gaits[kind].exists():
            tuned(arguments.out, kind, arguments.robot, arguments.budget, arguments.seed)
    log = arguments.out / "speeds.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for seed in range(arguments.seed, arguments.seed + arguments.realities):
        if not any(row["seed"] == seed for row in rows):
            rows.append({"seed": seed, "speeds": speeds(gaits, arguments.robot, seed)})
            with log.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    show(rows)


if __name__ == "__main__":
    main()
