"""Physical trials on disk, tick by tick."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.recorder import Recorder
from robotps.robot import Observation, Telemetry
from robotps.run import CUT_SHORT, Candidate, Run
from robotps.settings import TuneSettings
from robotps.trial import Trial

JOINTS = 12


def _observation(number: int) -> Observation:
    spread = np.arange(JOINTS) / 7
    return Observation(
        time=number / 100,
        sent=np.sin(spread + number / 9),
        position=(np.cos(spread) * number / 3).tolist(),
        temperature=[np.nan] * JOINTS,
        orientation=(0.0, 0.1, 0.0, 1.0),
        voltage=11.9 - number / 1000,
    )


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    with Run.create(tmp_path / "run", TuneSettings(family="trot").model_dump(mode="json"), load_description("dkitty")):
        pass
    return tmp_path / "run"


def _candidate(run: Run) -> Candidate:
    return run.add_candidates("search", 0, "trot", np.zeros((1, JOINTS)))[0]


def test_every_tick_comes_back_bit_for_bit(run_path: Path) -> None:
    observations = [_observation(number) for number in range(50)]
    with Run.resume(run_path) as run:
        candidate = _candidate(run)
        with Recorder(run_path) as recorder:
            number = recorder.begin(candidate.id, repeat=0, robot="dkitty", seed=3, started="now")
            for observation in observations:
                recorder.tick(observation)
        trial = Trial("finished", speed=0.2, distance=1.0, duration=5.0, unreachable=0.0)
        run.add_trial(
            candidate,
            repeat=0,
            robot="dkitty",
            seed=3,
            world=None,
            trial=trial,
            score=0.2,
            digest=None,
            started="now",
            seconds=5.5,
            number=number,
        )
    with Run.open(run_path) as run:
        assert [record.ending for record in run.trials()] == ["finished"]
        telemetry = run.telemetry(number)
    assert telemetry is not None
    wanted = Telemetry.of(observations)
    assert telemetry.columns().keys() == wanted.columns().keys()
    for name, values in wanted.columns().items():
        np.testing.assert_array_equal(telemetry.columns()[name], values, err_msg=name)


def test_a_quantity_that_is_missing_for_a_tick_is_nan_not_made_up(run_path: Path) -> None:
    late = _observation(1)
    late.position, late.voltage = None, None
    with Run.resume(run_path) as run, Recorder(run_path) as recorder:
        number = recorder.begin(_candidate(run).id, repeat=0, robot="dkitty", seed=3, started="now")
        recorder.tick(_observation(0))
        recorder.tick(late)
        telemetry = run.telemetry(number)
    assert telemetry is not None
    assert telemetry.position is not None
    assert telemetry.voltage is not None
    assert np.isnan(telemetry.position[1]).all()
    assert np.isnan(telemetry.voltage[1])
    assert not np.isnan(telemetry.sent).any()


def test_what_becomes_known_after_the_trial_joins_its_ticks(run_path: Path) -> None:
    observations = [_observation(number) for number in range(5)]
    for observation in observations:
        observation.base_position = None
    whole = replace(Telemetry.of(observations), base_position=np.arange(15.0).reshape(5, 3))
    with Run.resume(run_path) as run, Recorder(run_path) as recorder:
        number = recorder.begin(_candidate(run).id, repeat=0, robot="dkitty", seed=3, started="now")
        for observation in observations:
            recorder.tick(observation)
        recorder.complete(whole)
        telemetry = run.telemetry(number)
    assert telemetry is not None
    assert telemetry.columns().keys() == whole.columns().keys()
    for name, values in whole.columns().items():
        np.testing.assert_array_equal(telemetry.columns()[name], values, err_msg=name)


def test_what_a_robot_is_made_of_is_on_record_from_the_beginning(run_path: Path) -> None:
    with Run.resume(run_path) as run, Recorder(run_path) as recorder:
        equipment = {"port": "/dev/ttyUSB0", "servos": [{"id": 20, "model": "XM430-W210"}]}
        begin = recorder.begin
        number = begin(_candidate(run).id, repeat=0, robot="dkitty", seed=3, started="now", equipment=equipment)
        with Run.open(run_path) as reader:
            assert reader.equipment(number) == equipment
            assert reader.equipment(number + 1) == {}


def test_a_trial_is_running_while_its_writer_lives_and_cut_short_afterwards(run_path: Path) -> None:
    with Run.resume(run_path) as run, Recorder(run_path) as recorder:
        recorder.begin(_candidate(run).id, repeat=0, robot="dkitty", seed=3, started="now")
        with Run.open(run_path) as reader:
            assert reader.in_progress
            assert [record.ending for record in reader.trials()] == ["running"]
    with Run.open(run_path) as reader:
        assert not reader.in_progress
        assert [record.ending for record in reader.trials()] == [CUT_SHORT]
    with Run.resume(run_path) as run:
        assert [record.ending for record in run.trials()] == [CUT_SHORT]


def test_kill_9_in_the_middle_of_a_trial_loses_no_tick_that_was_written(run_path: Path) -> None:
    program = textwrap.dedent(f"""
        import numpy as np
        from pathlib import Path
        from robotps.recorder import Recorder
        from robotps.robot import Observation
        from robotps.run import Run
        path = Path({str(run_path)!r})
        with Run.resume(path) as run, Recorder(path) as recorder:
            candidate = run.add_candidates("search", 0, "trot", np.zeros((1, {JOINTS})))[0]
            recorder.begin(candidate.id, repeat=0, robot="dkitty", seed=3, started="now")
            for number in range(10**9):
                recorder.tick(Observation(time=number / 100, sent=np.full({JOINTS}, float(number))))
                print(number, flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = -1
    while said < 300:
        said = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    said = [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")][-1:] or [said]
    process.wait()
    process.stdout.close()
    with Run.open(run_path) as run:
        (record,) = run.trials()
        telemetry = run.telemetry(record.id)
    assert record.ending == CUT_SHORT
    assert record.score is None
    assert telemetry is not None
    assert len(telemetry.time) in (said[0] + 1, said[0] + 2)
    np.testing.assert_array_equal(telemetry.sent[:, 0], np.arange(len(telemetry.time)))


def test_a_damaged_tick_is_named_not_believed(run_path: Path) -> None:
    with Run.resume(run_path) as run, Recorder(run_path) as recorder:
        number = recorder.begin(_candidate(run).id, repeat=0, robot="dkitty", seed=3, started="now")
        for count in range(3):
            recorder.tick(_observation(count))
    database = sqlite3.connect(run_path / "run.sqlite")
    database.execute("UPDATE tick SET reading = x'0102' WHERE number = 1")
    database.commit()
    database.close()
    with Run.open(run_path) as run, pytest.raises(RobotpsError, match=f"damaged .*telemetry of trial {number}"):
        run.telemetry(number)


def test_a_physical_run_keeps_the_telemetry_of_every_trial(make_run: Callable[..., Path]) -> None:
    with Run.open(make_run(world=None, iterations=1)) as run:
        trials = run.trials()
        assert {record.ending for record in trials} == {"finished"}
        for record in trials:
            telemetry = run.telemetry(record.id)
            assert telemetry is not None
            assert telemetry.time[-1] == pytest.approx(record.metrics["duration"])
            assert telemetry.base_position is not None


def test_a_simulated_run_keeps_none_because_it_can_be_made_again(make_run: Callable[..., Path]) -> None:
    with Run.open(make_run(world={}, iterations=1)) as run:
        assert run.trials()
        assert [run.telemetry(record.id) for record in run.trials()] == [None] * run.count()
