"""Few physical trials with a simulation that learns, against many without it: `adapt` and `tune` on virtual robots.

Realities are drawn by seed and are not in the repository. For each, on a virtual D'Kitty in lockstep of its own:
`adapt` with at most 40 physical trials, the same with simulation switched off (--planning-trials 0), and `tune
--search kohl-stone` directly with 1,035 trials of the search. The gaits they end with are run again ten times each.
Prints for each reality the speeds as shares of the direct one's, and a table; draws docs/adaptation.png.
What came out of each is kept in benchmarks/outcomes/adaptation and not made again; a run cut short goes on. Delete that
folder, or name another one, to measure afresh: hours on two cores; most of it is the direct tuning.

    nice python benchmarks/adaptation.py [--seeds 0 1 2 3 4] [--arms adapt alone direct] [--outcomes FOLDER]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tomli_w

from robotps.description import RobotDescription, load_description
from robotps.figures import ACCENT, INK, PALE, new_figure
from robotps.run import Run

ROBOT = "dkitty"
OUTCOMES = Path(__file__).parent / "outcomes" / "adaptation"
ROUNDS = 2
TRIALS = 40
PLANNING_TRIALS = 60
REPEATS = 10
ARMS = {
    "adapt": "adapt",
    "alone": "adapt, no simulation",
    "direct": "tune kohl-stone",
}
TRIAL = {"trial": {"seconds": 2.0, "warm_up": 0.5}}
COMMAND = [sys.executable, "-m", "robotps.cli.app"]


def drawn_reality(description: RobotDescription, seed: int) -> dict:
    """A `--reality` that differs from the description about as much as published work randomizes robots."""
    generator = np.random.default_rng(np.random.SeedSequence((seed, 2004)))
    servo = description.servo

    def between(low: float, high: float) -> float:
        return round(float(generator.uniform(low, high)), 4)

    return {
        "body": {
            "mass_scale": between(0.85, 1.2),
            "com_offset_m": [between(-0.015, 0.015), between(-0.008, 0.008), 0.0],
        },
        "floor": {"friction": between(0.5, 1.0)},
        "servo": {
            "strength_scale": between(0.75, 1.1),
            "speed_scale": between(0.8, 1.1),
            "gain_scale": between(0.8, 1.2),
            "coulomb_friction": round(servo.coulomb_friction * between(0.5, 2.0), 5),
            "viscous_friction": round(servo.viscous_friction * between(0.5, 2.0), 5),
            "latency_s": between(0.005, 0.025),
            "backlash_rad": between(0.002, 0.01),
        },
        "joints": {name: {"zero_offset_rad": between(-0.03, 0.03)} for name in description.joint_names},
        "battery": {"volts": round(servo.voltage * between(0.95, 1.08), 3), "resistance_ohm": between(0.02, 0.15)},
        "sensor": {"position_noise_rad": 0.001, "stream_noise_m": 0.0005},
        "start": {"yaw_noise_rad": 0.02},
    }


@contextmanager
def virtual_robot(reality: Path) -> Iterator[list[str]]:
    """A virtual robot, and the flags that find it."""
    arguments = ["virtual", "--robot", ROBOT, "--reality", str(reality), "--lockstep", "--json"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        there = json.loads(process.stdout.readline())
        yield [
            *("--robot", ROBOT, "--on", f"serial:{there['port']}", "--pace", "device"),
            *("--odometer", f"stream:{there['position_stream']}", "--assistant", there["assistant"]),
        ]
    finally:
        process.terminate()
        process.wait()


def answer(arguments: list[str]) -> dict:
    """What a command says at its end."""
    output = subprocess.run([*COMMAND, *arguments, "--json"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def searched(arm: str, seed: int, folder: Path, reality: Path) -> Path:
    """The run of one arm, finished or gone on with."""
    run, config = folder / arm, folder / "trial.toml"
    config.write_text(tomli_w.dumps(TRIAL))
    with virtual_robot(reality) as there:
        if (run / "run.sqlite").exists():
            verb = "tune" if arm == "direct" else "adapt"
            answer([verb, *there[2:], "--run", str(run), "--resume"])
        elif arm == "direct":
            asked = ["--search", "kohl-stone", "--iterations", "23", "--policies", "15", "--repeats", "3"]
            answer(["tune", *there, *asked, "--config", str(config), "--seed", str(seed), "--run", str(run)])
        else:
            planning = str(PLANNING_TRIALS if arm == "adapt" else 0)
            asked = ["--rounds", str(ROUNDS), "--robot-trials", str(TRIALS), "--planning-trials", planning]
            answer(["adapt", *there, *asked, "--config", str(config), "--seed", str(seed), "--run", str(run)])
    return run


def measured(arm: str, seed: int, given: argparse.Namespace) -> dict:
    """Speeds of the gait that an arm ends with, run again; the trials that it took, how fast they had got."""
    done = given.outcomes / f"{seed}-{arm}.json"
    if not done.exists():
        folder = given.runs.resolve() / f"adaptation-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        reality = folder / "reality.toml"
        reality.write_text(tomli_w.dumps(drawn_reality(load_description(ROBOT), seed)))
        run = searched(arm, seed, folder, reality)
        with virtual_robot(reality) as there:
            gait = str(run / "best_gait.toml")
            again = answer(["trial", *there, "--gait", gait, "--repeats", str(REPEATS), "--seconds", "5"])
        with Run.open(run) as record:
            found = {"speeds": again["speeds"], "trials": record.count(), "best_so_far": best_so_far(record)}
        given.outcomes.mkdir(parents=True, exist_ok=True)
        done.write_text(json.dumps(found) + "\n")
    return json.loads(done.read_text())


def best_so_far(record: Run) -> list[float]:
    """After each scored physical trial the highest mean speed of a gait so far, m/s."""
    means: dict[int, list[float]] = {}
    best, track = -np.inf, []
    for trial in record.trials():
        if trial.score is not None:
            means.setdefault(trial.candidate.id, []).append(trial.metrics["speed"])
            best = max(best, float(np.mean(means[trial.candidate.id])))
            track.append(round(best, 4))
    return track


def table(results: dict[int, dict[str, dict]], arms: list[str]) -> str:
    """One row a reality, then medians and quartiles of the shares of the direct speed, where that was measured."""
    head = [
        cell for arm in arms for cell in (f"{ARMS[arm]}, m/s", "trials", *(["of direct"] if arm != "direct" else []))
    ]
    lines = [f"| reality | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    shares: dict[str, list[float]] = {arm: [] for arm in arms if arm != "direct"}
    for seed, found in results.items():
        speed = {arm: float(np.mean(found[arm]["speeds"])) for arm in arms}
        cells = [str(seed)]
        for arm in arms:
            cells += [f"{speed[arm]:.3f}", str(found[arm]["trials"])]
            if arm != "direct":
                share = speed[arm] / speed["direct"] if "direct" in speed else float("nan")
                shares[arm].append(share)
                cells.append("" if np.isnan(share) else f"{share:.0%}")
                print(f"{share:.2f}  reality {seed}: {ARMS[arm]}, as a share of direct; {speed[arm]:.3f} m/s")
        lines.append(f"| {' | '.join(cells)} |")
    if "direct" in arms:
        for arm, values in shares.items():
            middle, low, high = np.percentile(values, [50, 25, 75])
            lines.append(f"\n{ARMS[arm]}: {middle:.0%} of direct (median; quartiles {low:.0%} to {high:.0%})")
    return "\n".join(lines) + "\n"


def picture(results: dict[int, dict[str, dict]], file: Path) -> None:
    """Fastest gait so far over physical trials, a line a reality and arm."""
    figure, axes = new_figure(8, 4.5)
    axis = axes[0, 0]
    colours = {"adapt": ACCENT, "alone": PALE, "direct": INK}
    for arms in results.values():
        for arm, found in arms.items():
            track = found["best_so_far"]
            axis.plot(np.arange(1, len(track) + 1), track, color=colours[arm], linewidth=1.4, alpha=0.8)
            axis.plot(len(track), np.mean(found["speeds"]), "D", color=colours[arm], markersize=5)
    for arm in next(iter(results.values())):
        axis.plot([], [], color=colours[arm], label=ARMS[arm])
    axis.set_xscale("log")
    axis.set_xlabel("trials on the (virtual) robot")
    axis.set_ylabel("fastest gait so far (m/s)")
    axis.set_title(
        f"Realities of a D'Kitty: {len(results)}; diamonds: the gait found, run again", color=INK, fontsize=10
    )
    axis.legend(frameon=False, loc="upper left", fontsize=8)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run what is missing, print, draw."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    arguments.add_argument("--runs", type=Path, default=Path("logs"))
    arguments.add_argument("--outcomes", type=Path, default=OUTCOMES)
    arguments.add_argument("--out", type=Path, default=Path("docs"))
    given = arguments.parse_args()
    results = {seed: {arm: measured(arm, seed, given) for arm in given.arms} for seed in given.seeds}
    given.out.mkdir(exist_ok=True)
    print(table(results, given.arms))
    picture(results, given.out / "adaptation.png")


if __name__ == "__main__":
    main()
