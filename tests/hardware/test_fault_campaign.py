"""A small one of the fault campaigns of benchmarks/: each fault once, on either kind of servos."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from robotps.description import load_description


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "fault_campaign.py"
    spec = importlib.util.spec_from_file_location("fault_campaign", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fault_campaign"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("scatter", [0.02, 0.05])
def test_chance_alone_fails_no_campaign(benchmark: ModuleType, scatter: float) -> None:
    trials, campaigns, draw = 208, 300, np.random.default_rng(0)
    alarms = 0
    for _ in range(campaigns):
        undisturbed = 0.05 * (1 + scatter * draw.standard_normal(benchmark.UNDISTURBED))
        slowest, fastest = benchmark.same_speeds(undisturbed, 2 * trials)
        later = 0.05 * (1 + scatter * draw.standard_normal(2 * trials))
        alarms += bool((later < slowest).any() or (later > fastest).any())
    assert alarms <= 0.03 * campaigns


def test_a_spoilt_trial_is_told_from_chance(benchmark: ModuleType) -> None:
    steady = benchmark.same_speeds([0.150, 0.151, 0.149, 0.150] * 5, 416)
    assert steady == pytest.approx((0.135, 0.165), rel=0.01)
    draw = np.random.default_rng(0)
    slowest, fastest = benchmark.same_speeds(0.05 * (1 + 0.02 * draw.standard_normal(20)), 416)
    assert slowest > 0.8 * 0.05
    assert fastest < 1.2 * 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("robot", "protocol", "kinds"), [("dkitty", "dynamixel", 16), ("dkitty", "feetech", 15)])
def test_every_fault_ends_as_it_must(benchmark: ModuleType, robot: str, protocol: str, kinds: int) -> None:
    table = benchmark.campaign(load_description(robot), protocol, kinds, seed=1, tell=False)
    assert len(table) == kinds
    assert all(row.trials == 1 for row in table.values())
    wrong = {
        f"{fault}: {what}" for fault, row in table.items() for what in row.wrong if not what.startswith("hung")
    }  # how long a pause was is the benchmark's to say: a test must pass on a busy machine
    assert not wrong
