"""How many times faster than the clock trials on a virtual robot in lockstep are, and whether they repeat.

The same trials on two virtual robots, each in a process of its own, their telemetry compared bit for bit. Prints, for
each trial, seconds of the device's own time (getting up for it included) to those on the wall, and the processor time
that host and device take for one of them; then the median. It takes a machine that is idle otherwise.

    python benchmarks/lockstep.py [--robot dkitty] [--trials 6]
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time

import psutil

from hardware.odometer import Stream
from hardware.person import Assistant
from hardware.robot import SerialRobot
from hardware.session import Session
from robotps.description import load_description
from robotps.gait import initial_gait
from robotps.trial import TrialSettings, digest, run_trial


def device_time(stream: str) -> float:
    """s of the virtual robot's own time; its position stream greets with where it is."""
    host, _, port = stream.rpartition(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile() as lines:
        return float(json.loads(lines.readline())["t"])


def trials_on(robot: str, count: int, show: bool) -> tuple[list[float], list[str]]:
    """Times faster than the clock, and the telemetry's digest, of so many trials on a new virtual robot."""
    description = load_description(robot)
    gait, ratios, digests = initial_gait(description), [], []
    command = [sys.executable, "-m", "robotps.cli.app", "virtual", "--robot", robot, "--lockstep", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as device:
        try:
            there = json.loads(device.stdout.readline())
            address = there["position_stream"]
            processes = psutil.Process(), psutil.Process(device.pid)
            serial = SerialRobot(description, there["port"], pace="device", tell=lambda _: None)
            with Session(serial, Assistant(there["assistant"])) as session:
                for number in range(count + 1):
                    used = [sum(process.cpu_times()[:2]) for process in processes]
                    begin, began = time.perf_counter(), device_time(address)
                    with session({}, number) as ready:
                        _, telemetry = run_trial(ready, gait, TrialSettings(), Stream(address))
                    wall, lasted = time.perf_counter() - begin, device_time(address) - began
                    digests.append(digest(telemetry))
                    if number == 0:  # connecting and switching on are not what a search waits for
                        continue
                    ratios.append(lasted / wall)
                    host, own = (
                        (sum(process.cpu_times()[:2]) - before) / lasted
                        for process, before in zip(processes, used, strict=True)
                    )
                    if show:
                        print(
                            f"{ratios[-1]:.2f}  {lasted:.2f} s of the device's time in {wall:.3f} s; processor time "
                            f"for a second of it: host {1000 * host:.0f} ms, device {1000 * own:.0f} ms",
                            flush=True,
                        )
        finally:
            device.terminate()
    return ratios, digests


def main() -> None:
    """Twice the same trials."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--robot", default="dkitty")
    arguments.add_argument("--trials", type=int, default=6)
    given = arguments.parse_args()
    ratios, once = trials_on(given.robot, given.trials, show=True)
    again_ratios, again = trials_on(given.robot, given.trials, show=False)
    same = sum(first == second for first, second in zip(once, again, strict=True))
    print(f"{statistics.median(ratios + again_ratios):.2f}  median of {len(ratios + again_ratios)} trials")
    print(f"{same / len(once):.2f}  {same} of {len(once)} trials the same on another virtual robot, bit for bit")
    sys.exit(0 if same == len(once) else 1)


if __name__ == "__main__":
    main()
