"""A small one of the fault campaigns of benchmarks/: each fault once, on either kind of servos."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
