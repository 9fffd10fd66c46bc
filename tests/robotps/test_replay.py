"""Replays: identical where they must be, and compared where they cannot be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robotps.agreement import agreement
from robotps.changes import changed_files, changed_software, differences
from robotps.description import RobotDescription, load_description
from robotps.errors import RobotpsError
from robotps.measurement import MeasurementNoise
from robotps.replay import (
    Recording,
    again_in_simulation,
    excerpt,
    find,
)
from robotps.robot import Robot, Telemetry
from robotps.run import Run
from robotps.trial import digest, run_trial

MakeRun = Callable[..., Path]
Gliding = Callable[[RobotDescription], Callable[[Mapping[str, Any] | None, int], Robot]]


def test_every_simulated_trial_of_a_run_comes_out_identical(make_run: MakeRun, gliding: Gliding) -> None:
    with Run.open(make_run(world={}, iterations=1)) as run:
        open_robot = gliding(run.description)
        for record in run.trials():
            result = again_in_simulation(find(run, record.id), open_robot)
            assert result.identical, record.id
            assert result.trial.speed == record.metrics["speed"]
            assert result.agreement is not None
            assert result.agreement.overall == 1.0


def test_noise_on_what_was_measured_is_told_and_nothing_is_called_different(
    make_run: MakeRun, gliding: Gliding
) -> None:
    with Run.open(make_run(world={}, iterations=1, noise=MeasurementNoise(speed=0.05))) as run:
        result = again_in_simulation(find(run), gliding(run.description))
    assert result.identical
    assert result.trial.speed != result.recorded_speed
    assert ["noise" in remark for remark in result.remarks] == [True]


def test_a_trial_that_comes_out_differently_is_said_to(make_run: MakeRun, gliding: Gliding) -> None:
    path = make_run(world={}, iterations=1)
    database = sqlite3.connect(path / "run.sqlite")
    database.execute("UPDATE candidate SET vector = ? WHERE id = 3", (np.full(12, 0.1).tobytes(),))
    database.commit()
    database.close()
    with Run.open(path) as run:
        changed = [record.id for record in run.trials() if record.candidate.id == 3]
        for number in changed:
            result = again_in_simulation(find(run, number), gliding(run.description))
            assert result.identical is False
            assert result.recorded is None
            assert any("differently" in remark for remark in result.remarks)


def test_another_world_is_named_and_never_called_identical(make_run: MakeRun, gliding: Gliding) -> None:
    with Run.open(make_run(world={"floor": {"friction": 0.7}}, iterations=1)) as run:
        result = again_in_simulation(find(run), gliding(run.description), {"floor": {"friction": 0.5}})
    assert result.identical is None
    assert result.agreement is not None
    assert result.remarks == ("another world: floor.friction: 0.7 -> 0.5",)
    assert result.recorded is not None


def test_a_physical_trial_gives_its_recorded_commands_to_the_simulated_robot(
    make_run: MakeRun, gliding: Gliding
) -> None:
    with Run.open(make_run(world=None, iterations=1)) as run:
        logged = find(run)
        result = again_in_simulation(logged, gliding(run.description))
    assert logged.telemetry is not None
    assert result.replayed is not None
    assert result.identical is None
    np.testing.assert_allclose(result.replayed.sent, logged.telemetry.sent, atol=1e-12)
    assert result.agreement is not None
    assert result.agreement.quantities["joints"] == pytest.approx(1.0)


def test_a_trial_cut_short_is_replayed_up_to_its_last_tick(make_run: MakeRun, gliding: Gliding) -> None:
    path = make_run(world=None, iterations=1)
    database = sqlite3.connect(path / "run.sqlite")
    database.execute("UPDATE trial SET ending = 'running', score = NULL, metrics = '{}' WHERE id = 6")
    database.execute("DELETE FROM tick WHERE trial = 6 AND number >= 17")
    database.commit()
    database.close()
    with Run.open(path) as run:
        result = again_in_simulation(find(run, 6), gliding(run.description))
    assert result.recorded_speed is None
    assert result.replayed is not None
    assert len(result.replayed.time) == 17
    assert any("cut short" in remark for remark in result.remarks)


def test_what_was_refused_or_never_recorded_cannot_be_replayed(make_run: MakeRun) -> None:
    path = make_run(world=None, iterations=1)
    database = sqlite3.connect(path / "run.sqlite")
    database.execute("UPDATE trial SET ending = 'refused', score = NULL WHERE id = 6")
    database.execute("DELETE FROM tick WHERE trial = 7")
    database.execute("DELETE FROM layout WHERE trial = 7")
    database.commit()
    database.close()
    with Run.open(path) as run:
        with pytest.raises(RobotpsError, match="refused"):
            find(run, 6)
        with pytest.raises(RobotpsError, match="nothing was recorded"):
            find(run, 7)


def test_a_changed_gait_file_and_other_software_are_reported(make_run: MakeRun) -> None:
    from robotps.gait import save_gait
    from robotps.result import result_of

    path = make_run(world={}, iterations=1)
    database = sqlite3.connect(path / "run.sqlite")
    database.execute("""UPDATE meta SET value = json_set(value, '$.numpy', '0.1') WHERE key = 'versions'""")
    database.commit()
    database.close()
    with Run.open(path) as run:
        result = result_of(run)
        assert result is not None
        save_gait(path / "best_gait.toml", result.gait, run.description)
        assert changed_files(run) == []
        file = path / "best_gait.toml"
        period = f"period = {result.gait.parameters['period']}"
        file.write_text(file.read_text().replace(period, "period = 0.5123"))
        (change,) = changed_files(run)
        software = changed_software(run)
    assert "best_gait.toml was changed" in change
    assert software == [f"numpy was 0.1, here it is {np.__version__}"]


def test_a_simulation_that_has_changed_since_is_named_by_its_files(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robotps import changes
    from robotps.provenance import simulation_sources

    here = simulation_sources()
    assert {"sim/robot.py", "sim/world.py", "robotps/gait.py"} <= set(here)
    with Run.open(make_run(world={}, iterations=1)) as run:
        assert changed_software(run) == []
        monkeypatch.setattr(changes, "simulation_sources", lambda: {**here, "sim/robot.py": "another"})
        (change,) = changed_software(run)
    assert change.startswith("the simulation has changed since the run was made (sim/robot.py)")


def test_a_recording_plays_what_was_sent_at_the_moments_it_was_sent(gliding: Gliding) -> None:
    from robotps.gait import initial_gait
    from robotps.trial import TrialSettings

    description = load_description("bittle")
    gait = initial_gait(description)
    settings = TrialSettings(seconds=0.6, warm_up=0.1)
    with gliding(description)({}, 1) as robot:
        _, telemetry = run_trial(robot, gait, settings)
    assert telemetry is not None
    with gliding(description)({}, 1) as robot:
        _, again = run_trial(robot, gait, settings, motion=Recording(telemetry, description.control_period))
    assert again is not None
    np.testing.assert_allclose(again.sent, telemetry.sent, atol=1e-12)


@pytest.mark.parametrize("read_at", [0.0, 0.3, 1.0])
def test_targets_are_in_force_from_when_they_were_sent_on_a_bus_and_in_simulation(read_at: float) -> None:
    """read_at: share of the control period in which the targets went out; at its end in simulation."""
    began = 0.01 * np.arange(20)
    sent = np.sin(began)[:, None] * np.ones(12)
    telemetry = Telemetry(began + 0.01 * read_at, sent)
    assert telemetry.sensed_at_end(0.01) == (read_at == 1.0)
    np.testing.assert_allclose(telemetry.sent_at(0.01), began, atol=0.004)
    np.testing.assert_allclose(Recording(telemetry, 0.01)(0.05), sent[5], atol=0.004)
    row = 6 if read_at == 1.0 else 7
    np.testing.assert_array_equal(telemetry.in_force(0.01)[row], sent[6])


def _telemetry(joints: np.ndarray, forward: np.ndarray) -> Telemetry:
    time = np.arange(1, len(joints) + 1) / 100
    zeros = np.zeros_like(time)
    return Telemetry(
        time=time,
        sent=joints,
        position=joints,
        orientation=np.stack([zeros, zeros, zeros, zeros + 1], axis=1),
        base_position=np.stack([forward, zeros, zeros], axis=1),
    )


def test_agreement_is_the_normalised_fit_of_each_quantity_and_their_mean() -> None:
    time = np.arange(200) / 100
    wave = np.stack([np.sin(7 * time), np.cos(7 * time)], axis=1)
    one = _telemetry(wave, 0.2 * time)
    found = agreement(one, one)
    assert found is not None
    assert found.overall == 1.0
    other = _telemetry(0.9 * wave, 0.1 * time)
    found = agreement(one, other)
    assert found is not None
    spread = np.linalg.norm(wave - wave.mean(axis=0))
    assert found.quantities["joints"] == pytest.approx(1 - 0.1 * np.linalg.norm(wave) / spread)
    forward = 0.2 * (time - time.mean())
    assert found.quantities["path"] == pytest.approx(max(0, 1 - np.linalg.norm(0.1 * time) / np.linalg.norm(forward)))
    assert found.overall == pytest.approx(np.mean(list(found.quantities.values())))


def test_agreement_skips_missing_readings_and_senses_only_one_robot_has() -> None:
    time = np.arange(100) / 100
    wave = np.stack([np.sin(7 * time), np.cos(7 * time)], axis=1)
    holes = wave.copy()
    holes[10:20, 0] = np.nan
    one = _telemetry(wave, 0.2 * time)
    other = Telemetry(time=one.time, sent=wave, position=holes)
    found = agreement(other, one)
    assert found is not None
    assert found.quantities == {"joints": 1.0}
    assert agreement(Telemetry(time=one.time, sent=wave), one) is None


def test_an_excerpt_keeps_every_quantity_in_step_and_refuses_an_empty_one() -> None:
    one = _telemetry(np.zeros((100, 2)), np.arange(100.0))
    part = excerpt(one, 0.2, 0.5)
    assert part.base_position is not None
    assert (part.time[0], part.time[-1]) == (0.2, 0.5)
    np.testing.assert_array_equal(part.base_position[:, 0], np.arange(19.0, 50.0))
    with pytest.raises(RobotpsError, match="between --from and --to"):
        excerpt(one, 3.0, 4.0)


def test_differences_name_the_key_down_to_the_leaf() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4.0}) == ["a.c: 2 -> 3", "d: default -> 4"]


def test_the_digest_of_a_replay_changes_with_a_single_bit() -> None:
    one = _telemetry(np.zeros((10, 2)), np.arange(10.0))
    moved = np.arange(10.0)
    moved[4] = np.nextafter(moved[4], 5)
    assert digest(one) != digest(_telemetry(np.zeros((10, 2)), moved))


def test_the_first_repeat_of_the_best_gait_is_replayed_whoever_ended_first(make_run: MakeRun) -> None:
    path = make_run(world={}, iterations=1)
    with sqlite3.connect(path / "run.sqlite") as database:
        database.execute("UPDATE trial SET repeat = 9 - repeat")
    with Run.open(path) as run:
        trials = run.trials("best") + run.trials("start")
        found = find(run).record
        assert found.repeat == min(trial.repeat for trial in trials)
        assert found.id not in {trial.id for trial in trials if trial.repeat == 9}
