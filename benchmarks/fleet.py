"""Trials a minute of three virtual robots that are tuned together against those of one, all by the wall clock.

Each robot is a process of its own with a reality of its own, at a serial port. Prints one ratio a round, their median,
and what was found of the differences between the robots.

    python benchmarks/fleet.py [--rounds N] [--trials N] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from robotps.robot_effects import estimate
from robotps.run import Run
from robotps.scores import measurements

ROBOTPS = [sys.executable, "-m", "robotps.cli.app"]
REALITIES = (
    "",
    "[servo]\nstrength_scale = 0.9\nspeed_scale = 0.9\n[floor]\nfriction = 0.6\n",
    "[body]\nmass_scale = 1.1\n[floor]\nfriction = 0.9\n[servo]\nlatency_s = 0.01\n",
)
POLICIES = 6


def main() -> None:
    """Tune one robot, then three, as often as asked."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--trials", type=int, default=12, help="of the search, for each robot")
    arguments.add_argument("--seconds", type=float, default=3.0, help="of a trial, after 1 s to get going")
    given = arguments.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(given.rounds):
            rates = {count: tuned(folder / f"{number}-{count}", count, given) for count in (1, 3)}
            ratios.append(rates[3] / rates[1])
            print(f"{ratios[-1]:.2f}  one robot {rates[1]:.2f} trials a minute, three {rates[3]:.2f}", flush=True)
        print(f"{statistics.median(ratios):.2f}  median of {len(ratios)}")


def tuned(folder: Path, count: int, given: argparse.Namespace) -> float:
    """Trials of the search a minute that so many robots walked, those at fault left out."""
    folder.mkdir()
    config = folder / "tune.toml"
    config.write_text(
        f'search = "es"\nahead = {count - 1}\niterations = {max(1, count * given.trials // POLICIES)}\n'
        f"confirm = {count}\nfinalists = 1\n"
        f"options = {{policies = {POLICIES}}}\ntrial = {{seconds = {given.seconds}}}\n"
    )
    command = [*ROBOTPS, "tune", "--robot", "dkitty", "--config", str(config), "--run", str(folder / "run"), "--json"]
    with ExitStack() as stack:
        for number in range(count):
            reality = folder / f"reality{number}.toml"
            reality.write_text(REALITIES[number])
            robot = subprocess.Popen(
                [*ROBOTPS, "virtual", "--robot", "dkitty", "--reality", str(reality), "--realtime", "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            stack.callback(robot.wait)
            stack.callback(robot.terminate)
            assert robot.stdout is not None
            where = json.loads(robot.stdout.readline())
            command += ["--on", f"serial:{where['port']}", "--odometer", f"stream:{where['position_stream']}"]
            command += ["--assistant", where["assistant"]]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    with Run.open(folder / "run") as run:
        every = run.trials()
        searched = [trial for trial in every if trial.candidate.stage == "search"]
    faults = sum(trial.ending == "fault" for trial in every)
    if faults:
        print(f"# {faults} of {len(every)} trials at fault (a busy machine misses deadlines)")
    if count > 1:
        walked = {robot: sum(trial.robot == robot for trial in every) for robot in {trial.robot for trial in every}}
        found = estimate(measurements(every))
        for robot in sorted(walked):
            own = [t.score for t in every if t.robot == robot and t.score is not None]
            mean = statistics.mean(own)
            print(f"# {robot}: {walked[robot]} trials, mean {mean:.3f} m/s, effect {found[robot]:+.3f} m/s")
    begin = min(datetime.fromisoformat(trial.started) for trial in searched)
    end = max(datetime.fromisoformat(trial.started).timestamp() + trial.seconds for trial in searched)
    counted = sum(trial.score is not None for trial in searched)
    return 60 * counted / (end - begin.timestamp())


if __name__ == "__main__":
    main()
