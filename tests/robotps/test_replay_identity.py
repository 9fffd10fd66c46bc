"""Every simulated trial of a run replays bit for bit, in a new process and with another number of workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "replay_identity.py"


@pytest.mark.slow
def test_every_trial_of_a_run_in_drawn_worlds_comes_out_identical() -> None:
    run = subprocess.run(
        [sys.executable, str(BENCHMARK), "--trials", "20"], capture_output=True, text=True, timeout=500
    )
    shares = [line.split()[0] for line in run.stdout.splitlines() if "trials identical" in line]
    assert (run.returncode, shares) == (0, ["1.0000", "1.0000"]), run.stdout + run.stderr
