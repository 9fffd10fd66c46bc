"""Makes the example run that comes with the source: a small search in simulation, its best gait taken to a robot.

The robot is a virtual one that is not quite what its description says. To be made anew when the simulation changes,
because simulated trials then come out differently. Prints its size.

    python benchmarks/example_run.py [--out logs/example]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SEARCH = "--search kohl-stone --iterations 9 --policies 8 --repeats 1 --seconds 3 --seed 4"
SETTINGS = "confirm = 6\nfinalists = 2\n"
REALITY = """
[body]
mass_scale = 1.1
[floor]
friction = 0.6
[sensor]
position_noise_rad = 0.001
"""


def robotps(*arguments: str) -> None:
    """Run a verb; its messages are seen."""
    subprocess.run([sys.executable, "-m", "robotps.cli.app", *arguments], check=True)


def main() -> None:
    """Make it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "logs" / "example")
    out = arguments.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        run, config, reality = Path(folder) / "run", Path(folder) / "settings.toml", Path(folder) / "reality.toml"
        config.write_text(SETTINGS)
        reality.write_text(REALITY)
        robotps("tune", "--config", str(config), "--run", str(run), *SEARCH.split())
        take_to_robot(run, reality)
        robotps("notes", str(run), "an example: searched in simulation, then taken to a virtual robot")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        for name in ("run.sqlite", "settings.toml", "best_gait.toml"):
            shutil.copy(run / name, out / name)
    print(f"{sum(file.stat().st_size for file in out.iterdir()) / 1e6:.2f} MB in {out}")


def take_to_robot(run: Path, reality: Path) -> None:
    """One trial of the best gait on a virtual robot."""
    virtual = [sys.executable, "-m", "robotps.cli.app", "virtual", "--lockstep", "--json", "--reality", str(reality)]
    with subprocess.Popen(virtual, stdout=subprocess.PIPE, text=True) as robot:
        try:
            assert robot.stdout is not None
            there = json.loads(robot.stdout.readline())
            on = ["--on", f"serial:{there['port']}", "--pace", "device", "--assistant", there["assistant"]]
            robotps("trial", "--run", str(run), *on, "--odometer", f"stream:{there['position_stream']}")
        finally:
            robot.terminate()


if __name__ == "__main__":
    main()
