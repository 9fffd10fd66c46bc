"""How reports and lists grow: `report` of 2,000 trials, simulated and physical, `runs` over 200 folders, a live report.

Trials cost nothing here: they are answered at once. Prints seconds and megabytes, each the median of
three, beside what they should stay under; and whether reports made while another process writes were all consistent.
Exits with 1 where anything is over.

    python benchmarks/report_scaling.py [--trials 2000] [--runs 200]
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Executor, Future
from pathlib import Path

from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.performing import TrialReport, TrialTask
from robotps.recorder import Recorder
from robotps.robot import Observation
from robotps.run import Run
from robotps.settings import TuneSettings
from robotps.trial import Trial
from robotps.tuning import Tuning

POLICIES = 15
DKITTY = load_description("dkitty")


class Instantly(Executor):
    """Answers every trial at once; a physical one with the same telemetry each, of so many ticks."""

    def __init__(self, path: Path, ticks: int) -> None:
        cycle = gait_cycle(DKITTY, initial_gait(DKITTY))
        self._path = path
        self._ticks = [
            Observation(
                time=(n + 1) * 0.01,
                sent=cycle(n * 0.01),
                position=cycle(n * 0.01),
                orientation=(0.0, 0.0, 0.0, 1.0),
                base_position=(n * 0.002, 0.0, 0.27),
                voltage=12.0,
            )
            for n in range(ticks)
        ]

    def submit(self, fn, /, *args, **kwargs):
        """A finished future."""
        task: TrialTask = args[0]
        future = Future()
        speed = 0.2 + 0.02 * math.sin(task.seed)
        ending, reason = ("fell", "body sank to 31 mm at 1.25 s") if task.seed % 10 == 0 else ("finished", "")
        trial = Trial(ending, speed, speed * 5, 6.0, 0.0, drift=0.01, heading_change=0.1, reason=reason)
        number = None
        if task.world is None:
            with Recorder(self._path) as recorder:
                number = recorder.begin(
                    task.candidate.id, repeat=task.repeat, robot="dkitty", seed=task.seed, started=""
                )
                for tick in self._ticks:
                    recorder.tick(tick)
        future.set_result(TrialReport(trial, "0" * 64, "2026-01-01T00:00:00.000+00:00", 0.3, number=number))
        return future


def made(path: Path, trials: int, world: dict | None, ticks: int) -> Path:
    """A run of about so many trials."""
    settings = TuneSettings(
        search="kohl-stone",
        family=initial_gait(DKITTY).family,
        options={"policies": POLICIES},
        iterations=max(1, trials // POLICIES),
        confirm=8,
        world=world,
    )
    with Run.create(path, settings.model_dump(mode="json"), DKITTY) as run:
        executor = Instantly(path, ticks)
        Tuning(run, settings, executor=executor, open_robot=lambda *_: None, draw_world=lambda _: world).go()
    return path


def robotps(*arguments: object) -> tuple[float, dict]:
    """A verb in a process of its own: s, and its answer."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "robotps.cli.app", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, json.loads(done.stdout.splitlines()[-1])


def timed(*arguments: object) -> tuple[float, dict]:
    """Median seconds of three."""
    outcomes = [robotps(*arguments) for _ in range(3)]
    return statistics.median(seconds for seconds, _ in outcomes), outcomes[-1][1]


def told(value: float, limit: float, what: str) -> bool:
    """Print a figure beside its limit; whether it is over."""
    print(f"{value / limit:.2f}  {what} (under {limit:g})", flush=True)
    return value > limit


def live_reports(folder: Path) -> tuple[int, int]:
    """Reports made while another process writes the run: how many, and how many of them contradicted themselves."""
    path = folder / "live"
    writer = subprocess.Popen([sys.executable, __file__, "--write", str(path)])
    reports = inconsistent = 0
    try:
        while writer.poll() is None:
            if not (path / "run.sqlite").exists():
                time.sleep(0.02)
                continue
            page = Path(robotps("report", path, "--out", folder / "live.html")[1]["report"]).read_text()
            counted = int(re.search(r"<strong>([\d,]+)</strong><small>trials<", page)[1].replace(",", ""))
            drawn = len(re.findall(r'<circle class="trial"[^>]*><title>trial \d+, iteration', page))
            searched = re.search(r">(\d+) trials? (?:of the search|in \d+ iterations)", page)
            reports += 1
            inconsistent += "Parts of the record" in page or drawn > counted
            inconsistent += searched is not None and not drawn <= int(searched[1]) <= counted
    finally:
        writer.kill()
        writer.wait()
    return reports, inconsistent


def main() -> None:
    """Make runs, time what reads them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=2000)
    arguments.add_argument("--runs", type=int, default=200)
    arguments.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.write is not None:
        made(given.write, 6000, {}, 0)
        return
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, world, ticks in (("simulated", {}, 0), ("physical", None, 100)):
            path = made(folder / kind, given.trials, world, ticks)
            with Run.open(path) as run:
                count = run.count()
            took, answer = timed("report", path)
            size = Path(answer["report"]).stat().st_size / 1e6
            disk = (path / "run.sqlite").stat().st_size / 1e6
            what = f"report of {count:,} {kind} trials ({disk:.0f} MB)"
            failed |= told(took, 10.0, f"{took:.2f} s: {what}")
            failed |= told(size, 5.0, f"{size:.2f} MB: {what}")
        one, logs = made(folder / "one", 60, {}, 0), folder / "logs"
        logs.mkdir()
        for number in range(given.runs):
            shutil.copytree(one, logs / f"{number:03d}")
        took, answer = timed("runs", "--in", logs)
        failed |= told(took, 1.0, f"{took:.2f} s: runs over {len(answer['runs'])} folders")
        reports, inconsistent = live_reports(folder)
        failed |= inconsistent > 0 or reports == 0
        share = inconsistent / max(reports, 1)
        print(f"{share:.2f}  {inconsistent} of {reports} reports of a run in progress inconsistent (none may be)")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
