"""A run on disk: whole or not there, one writer, any readers, and plain words where something is wrong with it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import walking

from robotps.database import DATABASE, SCHEMA_VERSION
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.files import read_table
from robotps.result import result_of
from robotps.run import Candidate, Run, TrialRecord
from robotps.scores import score_of
from robotps.search import Score
from robotps.settings import settings_of
from robotps.trial import Trial
from robotps.workers import InThisProcess

HERE = Path(__file__).parent
N = 9  # free parameters of the Bittle


def _new(path: Path, **changed: Any) -> Run:
    return walking.create(path, walking.settings(**changed))


def _tuned(path: Path, **changed: Any) -> Path:
    asked = walking.settings(**changed)
    with walking.create(path, asked) as run:
        walking.tuning(run, asked, InThisProcess()).go()
    return path


def _add(
    run: Run, candidate: Candidate, repeat: int = 0, speed: float = 0.1, score: float | None = None
) -> TrialRecord:
    trial = Trial("finished", speed=speed, distance=5 * speed, duration=6.0, unreachable=0.1)
    return run.add_trial(
        candidate,
        repeat=repeat,
        robot="bittle",
        seed=2**32 - 1,
        world={"floor": {"friction": 0.7}},
        trial=trial,
        score=speed if score is None else score,
        digest="abc",
        started="2004-04-26T00:00:00Z",
        seconds=0.25,
    )


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, N))
    with _new(tmp_path / "run") as run:
        asked = run.add_candidates("search", 4, "walk", vectors)
        written = [_add(run, asked[1], repeat=1, speed=0.1 + 0.2), _add(run, asked[0])]
        refused = run.add_trial(
            asked[2], repeat=0, robot="bittle", seed=1, world=None, trial=None, score=None, digest=None,
            started="now", seconds=0.0, refused="out of reach",
        )  # fmt: skip
    with Run.open(tmp_path / "run") as run:
        for before, after in zip(asked, run.candidates("search", 4), strict=True):
            assert (before.id, before.position, before.family) == (after.id, after.position, after.family)
            np.testing.assert_array_equal(before.vector, after.vector)
        again = run.trials()
        assert [(t.id, t.repeat, t.score, t.metrics, t.world, t.seed, t.ending) for t in again] == [
            (t.id, t.repeat, t.score, t.metrics, t.world, t.seed, t.ending) for t in [*written, refused]
        ]
        assert again[0].score == 0.1 + 0.2
        assert again[2].metrics["reason"] == "out of reach"
        assert run.count() == 3
        assert run.count("start") == 0
        assert run.trials("search", 3) == []
        assert run.trial(1).candidate.position == 1
        assert run.description == load_description("bittle")
        assert settings_of(run) == walking.settings()
        assert set(run.meta("versions")) >= {"robotps", "python", "numpy"}
        assert run.meta("nothing") is None


def test_a_run_that_is_let_go_of_is_one_plain_database_and_a_readable_copy(tmp_path: Path) -> None:
    path = _tuned(tmp_path / "run")
    assert {file.name for file in path.iterdir()} == {DATABASE, "lock", "settings.toml"}
    assert read_table(path / "settings.toml")["search"] == "bayesian"


def test_a_run_that_somebody_reads_when_it_is_let_go_of_is_whole_in_its_file(tmp_path: Path) -> None:
    path = _tuned(tmp_path / "run")
    with Run.resume(path) as run, Run.open(path) as reader:
        count = reader.count()
        run.add_trial(
            run.trials()[0].candidate,
            repeat=99,
            robot="bittle",
            seed=1,
            world={},
            trial=None,
            score=None,
            digest=None,
            started="now",
            seconds=1.0,
            refused="for this test",
        )
        run.close()
        (tmp_path / "copy").mkdir()
        shutil.copy(path / DATABASE, tmp_path / "copy" / DATABASE)
    with Run.open(tmp_path / "copy") as copy:
        assert copy.count() == count + 1


def test_an_unknown_trial_is_told(tmp_path: Path) -> None:
    with (
        Run.open(_tuned(tmp_path / "run")) as run,
        pytest.raises(RobotpsError, match=r"no trial 999; it has \d+ trials"),
    ):
        run.trial(999)


def test_a_trial_counts_once(tmp_path: Path) -> None:
    with _new(tmp_path / "run") as run:
        (candidate,) = run.add_candidates("search", 0, "trot", np.zeros((1, N)))
        _add(run, candidate)
        with pytest.raises(RobotpsError):
            _add(run, candidate)
        with pytest.raises(RobotpsError):
            run.add_candidates("search", 0, "trot", np.ones((2, N)))
        assert run.count() == 1
        assert len(run.candidates("search")) == 1


def test_the_score_of_a_candidate_is_the_mean_of_its_trials_whatever_their_order(tmp_path: Path) -> None:
    with _new(tmp_path / "run") as run:
        (candidate,) = run.add_candidates("search", 0, "trot", np.zeros((1, N)))
        speeds = [0.1, 0.25, 0.7]
        trials = [_add(run, candidate, repeat, speed) for repeat, speed in enumerate(speeds)]
    expected = Score(np.mean(speeds), std_error=np.std(speeds, ddof=1) / np.sqrt(3), trials=3, unreachable=0.1)
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert score_of([trials[i] for i in order]) == expected
    assert score_of(trials[:1]) == Score(0.1, std_error=None, trials=1, unreachable=0.1)
    assert score_of([]) == Score(None, trials=0, unreachable=1.0)


def test_a_run_is_not_made_over_another(tmp_path: Path) -> None:
    path = _tuned(tmp_path / "run")
    before = (path / DATABASE).read_bytes()
    with pytest.raises(
        RobotpsError, match=r"there is a run here already: go on with --resume, or choose another --run"
    ):
        _new(path)
    assert (path / DATABASE).read_bytes() == before
    Run.resume(path).close()


def test_a_second_writer_is_refused_with_the_first_ones_id_and_readers_are_not(tmp_path: Path) -> None:
    with _new(tmp_path / "run") as run:
        for second in (lambda: Run.resume(tmp_path / "run"), lambda: _new(tmp_path / "run")):
            with pytest.raises(RobotpsError, match=f"process {os.getpid()} on .* is writing to this run"):
                second()
        with Run.open(tmp_path / "run") as reader:
            (candidate,) = run.add_candidates("search", 0, "trot", np.zeros((1, N)))
            _add(run, candidate)
            assert reader.count() == 1
            assert reader.in_progress
    with Run.resume(tmp_path / "run") as run:
        assert run.count() == 1
    with Run.open(tmp_path / "run") as reader:
        assert not reader.in_progress


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    path = _tuned(tmp_path / "run")
    before = {file: file.read_bytes() for file in path.iterdir()}
    with Run.open(path) as run:
        result_of(run)
        with pytest.raises(RobotpsError, match="cannot be written"):
            run.set_meta("result", 1)
    assert {file: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000, b"SQLite format 3\0"])
def test_what_is_no_run_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run"
    path.mkdir()
    if content is not None:
        (path / DATABASE).write_bytes(content)
    for use in (Run.open, Run.resume):
        with pytest.raises(RobotpsError) as error:
            use(path)
        assert str(error.value).startswith(f"{path}: ")
    if content is None:
        assert "this is not a run" in str(error.value)
        assert list(path.iterdir()) == []
    with pytest.raises(RobotpsError, match="this is not a run"):
        Run.open(tmp_path / "nothing")


def test_another_programs_database_is_no_run(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("CREATE TABLE recipes (name)")
    database.close()
    with pytest.raises(RobotpsError, match="not a run of robotps"):
        Run.open(tmp_path)


def test_a_run_of_a_newer_version_says_to_upgrade_and_is_left_alone(tmp_path: Path) -> None:
    path = _tuned(tmp_path / "run")
    database = sqlite3.connect(path / DATABASE)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = (path / DATABASE).read_bytes()
    for use in (Run.open, Run.resume):
        with pytest.raises(RobotpsError, match=r"made by a newer robotps .*: upgrade robotps to open it"):
            use(path)
    assert (path / DATABASE).read_bytes() == before


def test_settings_of_a_newer_version_are_told(tmp_path: Path) -> None:
    path = _tuned(tmp_path / "run")
    with Run.resume(path) as run:
        run.set_meta("settings", {**run.meta("settings"), "anticipation": 3})
    with Run.open(path) as run, pytest.raises(RobotpsError, match="unknown key 'anticipation'"):
        settings_of(run)


def _use(path: Path) -> None:
    """All that a reader may want."""
    with Run.open(path) as run:
        assert run.description.name
        for trial in run.trials():
            run.telemetry(trial.id)
        run.notes()
        run.candidates("search")
        run.meta("versions")
        result_of(run)


def _go_on(path: Path) -> None:
    with Run.resume(path) as run:
        walking.tuning(run, settings_of(run), InThisProcess()).go()


@pytest.mark.parametrize("damage", ["cut", "zeroed"])
def test_a_damaged_run_is_told_or_read_in_part_and_never_changed_by_reading(tmp_path: Path, damage: str) -> None:
    good = (_tuned(tmp_path / "run", iterations=1) / DATABASE).read_bytes()
    path, step = tmp_path / "damaged", 1536
    readings, resumptions = [], []
    for start in range(0, len(good), step):
        bad = good[:start] if damage == "cut" else good[:start] + bytes(step) + good[start + step :]
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        (path / DATABASE).write_bytes(bad)
        readings.append(_told(_use, path))
        assert (path / DATABASE).read_bytes() == bad
        resumptions.append(_told(_go_on, path))
    for told in (readings, resumptions):
        assert all(str(path) in message for message in told if message is not None)
        share = np.mean([message is not None for message in told])
        assert share > (0.9 if damage == "cut" else 0.2)


def _told(use: Callable[[Path], None], path: Path) -> str | None:
    try:
        use(path)
    except RobotpsError as error:
        return str(error)
    return None


def _elsewhere(code: str, *arguments: object, **how: Any) -> subprocess.Popen[str]:
    """A Python process that runs code with the run, the settings and the robot of these tests at hand."""
    before = f"import sys; sys.path.insert(0, {str(HERE)!r})\nimport walking\n"
    return subprocess.Popen(
        [sys.executable, "-c", before + textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


CREATE = """
    from pathlib import Path
    from robotps.errors import RobotpsError
    try:
        walking.create(Path(sys.argv[1]), walking.settings()).close()
    except RobotpsError as error:
        print(error)
"""


@pytest.mark.parametrize("limit", [512, 8 * 1024, 40 * 1024])
def test_a_full_disk_leaves_no_half_made_run(tmp_path: Path, limit: int) -> None:
    # no file may grow beyond the limit, which is what a full disk comes to, and can be done without one
    out, errors = _elsewhere(
        CREATE, tmp_path / "run", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ).communicate(timeout=60)
    assert str(tmp_path / "run") in out, errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_during_a_run_loses_nothing_that_was_written(tmp_path: Path) -> None:
    limit = 120 * 1024
    code = """
        from pathlib import Path
        from robotps.errors import RobotpsError
        from robotps.workers import InThisProcess
        asked = walking.settings(iterations=60)
        try:
            with walking.create(Path(sys.argv[1]), asked) as run:
                walking.tuning(run, asked, InThisProcess(), notify=lambda p: print(p.done, flush=True)).go()
        except RobotpsError as error:
            print(error)
    """
    out, errors = _elsewhere(
        code, tmp_path / "run", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ).communicate(timeout=120)
    *done, message = out.splitlines()
    assert "the disk is full or failing" in message, errors
    assert "--resume" in message
    with Run.open(tmp_path / "run") as run:
        assert run.count() == int(done[-1])
    with Run.resume(tmp_path / "run") as run:
        asked = walking.settings(iterations=1)
        walking.tuning(run, asked, InThisProcess()).go()
        assert result_of(run) is not None


def test_folders_that_cannot_be_made_or_written_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RobotpsError, match=r"file: the run's folder cannot be made"):
        _new(tmp_path / "file")
    with pytest.raises(RobotpsError, match=r"the run's folder cannot be made: Not a directory"):
        _new(tmp_path / "file" / "run")
    with pytest.raises(RobotpsError, match=r"the run's folder cannot be"):
        _new(Path("/proc/run"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_somebody_without_permission_may_read_and_is_told_where_they_may_not_write(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"robotps-permissions-{os.getpid()}"  # pytest's own is closed to others
    try:
        folder.mkdir(mode=0o755)
        _tuned(folder / "run")
        code = """
            import os
            from pathlib import Path
            from robotps.errors import RobotpsError
            from robotps.description import load_description
            from robotps.run import Run
            path, description = Path(sys.argv[1]), load_description("bittle")
            os.setuid(65534)
            with Run.open(path / "run") as run:
                print(run.count())
            for use in (lambda: Run.resume(path / "run"), lambda: Run.create(path / "other", {}, description)):
                try:
                    use()
                except RobotpsError as error:
                    print(error)
        """
        out, errors = _elsewhere(code, folder).communicate(timeout=60)
        lines = out.splitlines()
        assert "Traceback" not in errors, errors
        assert int(lines[0]) > 0
        assert "the run's folder cannot be written: Permission denied" in lines[1]
        assert "the run's folder cannot be made: Permission denied" in lines[2]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


WRITE_ON = """
    import itertools
    from pathlib import Path
    import numpy as np
    from robotps.trial import Trial
    with walking.create(Path(sys.argv[1]), walking.settings()) as run:
        for iteration in itertools.count():
            (candidate,) = run.add_candidates("search", iteration, "trot", np.full((1, 9), float(iteration)))
            trial = Trial("finished", float(iteration), 0.0, 1.0, 0.0)
            run.add_trial(candidate, repeat=0, robot="bittle", seed=iteration, world={}, trial=trial,
                          score=float(iteration), digest=None, started="now", seconds=0.0)
            print(iteration + 1, flush=True)
"""


def test_a_run_is_read_while_another_process_writes_it(tmp_path: Path) -> None:
    writer = _elsewhere(WRITE_ON, tmp_path / "run")
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        with Run.open(tmp_path / "run") as run:
            counts = []
            for _ in range(30):
                written = int(writer.stdout.readline())
                trials = run.trials("search")
                assert [trial.score for trial in trials] == [float(n) for n in range(len(trials))]
                assert len(trials) >= written
                counts.append(len(trials))
            assert run.in_progress
        assert counts[-1] > counts[0]
    finally:
        writer.kill()
        writer.communicate()


def test_a_writer_killed_at_any_moment_leaves_all_that_it_had_said_was_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    for attempt in range(4):
        path = tmp_path / f"run{attempt}"
        writer = _elsewhere(WRITE_ON, path)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        # read, not communicate: that passes over what readline has taken ahead; and a line without its end may go on
        lines = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.communicate()
        said = int(lines[-1]) if lines else 1
        with Run.open(path) as run:
            assert run.count() in (said, said + 1)
        with Run.resume(path) as run:
            assert run.count() in (said, said + 1)
            assert len(run.candidates("search")) - run.count() in (0, 1)


def test_a_run_whose_making_was_killed_is_whole_or_not_there(tmp_path: Path) -> None:
    generator = np.random.default_rng(12)
    for attempt in range(8):
        path = tmp_path / f"run{attempt}"
        child = os.fork()
        if child == 0:
            try:
                while True:
                    _new(path).close()
                    shutil.rmtree(path)
            finally:
                os._exit(0)
        time.sleep(generator.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if (path / DATABASE).exists():
            _use(path)
        else:
            _new(path).close()
            _use(path)
