"""Every search side by side on simulated ERS-210 and D'Kitty, with a robot's noise: what docs/searches.md shows.

Goes on with the comparison in benchmarks/outcomes/searches, of which the outcomes are kept with the source, by the
command a person would type; then prints for each robot and search the ratio of its final median speed to kohl-stone's
and the trials it took to be as fast as kohl-stone at its end. Ten seeds and 1,035 trials of every search take a day on
two cores; a table says how many seeds it is made of. With --runs a comparison of one's own is made, or gone on with.

    python benchmarks/searches.py
    python benchmarks/searches.py --only-show
    python benchmarks/searches.py --runs logs/searches [MORE ...] [--searches NAME ...] [--seeds 10] [--budget 1035]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from robotps.comparison.outcome import Outcome, outcomes_in, summaries
from robotps.comparison.output import markdown, picture

ROBOTS = ("ers210", "dkitty")
AAAI_2004 = ("hill-climbing:repeats=3", "nelder-mead:repeats=3", "genetic:repeats=3", "kohl-stone:repeats=3")
OTHERS = ("bayesian", "cma-es", "es", "reinforce", "cem", "finite-difference", "random")


def compared(folder: Path, given: argparse.Namespace) -> None:
    """Make a comparison, or go on with it."""
    command = [sys.executable, "-m", "robotps.cli.app", "compare", "--run", str(folder)]
    command += ["--workers", str(given.workers)]
    if (folder / "comparison.toml").exists():
        command += ["--resume"]
    else:
        for robot in given.robots:
            command += ["--robot", robot]
        for search in given.searches:
            command += ["--search", search]
        command += ["--seeds", str(given.seeds), "--budget", str(given.budget), "--seconds", "2"]
    subprocess.run(command, check=True)


def report(outcomes: list[Outcome], searches: list[str], out: Path, name: str) -> None:
    """A table and a picture of some of the searches."""
    found = summaries(outcomes, ROBOTS, searches, None)
    if not found:
        return
    insert(out / "searches.md", name, f"{markdown(found)}\n![Speed against trials and minutes]({name}.png)\n")
    shown = [each for each in outcomes if each.search in searches]
    picture(shown, searches, {each.robot: each.target for each in found}, out / f"{name}.png")
    final = {(each.robot, each.search): each.final[1] for each in found}
    for each in found:
        published = final.get((each.robot, "kohl-stone:repeats=3"))
        if published:
            trials = "never" if each.trials_to_target is None else f"{each.trials_to_target:.0f} trials"
            print(f"{each.final[1] / published:.2f}  {each.robot} {each.search}: {each.seeds} seeds, target: {trials}")


def insert(page: Path, mark: str, text: str) -> None:
    """Put a text between its marks in a page."""
    before, _, rest = page.read_text().partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    page.write_text(f"{before}<!-- {mark} -->\n{text}{end}{after}")


def main() -> None:
    """Run, print, draw."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=Path, nargs="+", default=[Path(__file__).parent / "outcomes" / "searches"])
    arguments.add_argument("--robots", nargs="+", default=list(ROBOTS))
    arguments.add_argument("--searches", nargs="+", default=[*AAAI_2004, *OTHERS])
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--budget", type=int, default=1035)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--out", type=Path, default=Path("docs"))
    arguments.add_argument("--only-show", action="store_true")
    given = arguments.parse_args()
    if not given.only_show:
        compared(given.runs[0], given)
    outcomes = [outcome for folder in given.runs for outcome in outcomes_in(folder)]
    report(outcomes, [*AAAI_2004, *OTHERS], given.out, "searches")
    report(outcomes, list(AAAI_2004), given.out, "searches_2004")


if __name__ == "__main__":
    main()
