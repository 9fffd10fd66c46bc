"""Worker processes that die, hang, fail or are interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest
from chores import count_and_die, die_once, hang_once, refuse, square, worker_of

from robotps.errors import RobotpsError
from robotps.workers import ATTEMPTS, InThisProcess, ProcessExecutor, run_all


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(2, time_limit=60.0) as executor:
        yield executor


def test_every_task_comes_back_with_its_own_result(pool: ProcessExecutor) -> None:
    assert sorted(run_all(pool, square, list(range(20)))) == [(n, n * n) for n in range(20)]


def test_tasks_run_in_other_processes_which_are_kept(pool: ProcessExecutor) -> None:
    workers = {result for _, result in run_all(pool, worker_of, list(range(30)))}
    assert os.getpid() not in workers
    assert 1 <= len(workers) <= 2


def test_a_task_whose_worker_was_killed_is_run_again_and_costs_no_other(pool: ProcessExecutor, tmp_path: Path) -> None:
    markers = [tmp_path / f"task{n}" for n in range(6)]
    for marker in markers[1:]:
        marker.touch()
    assert sorted(result for _, result in run_all(pool, die_once, markers)) == [marker.name for marker in markers]


def test_workers_killed_while_they_wait_for_work_are_replaced(pool: ProcessExecutor) -> None:
    for worker in {result for _, result in run_all(pool, worker_of, list(range(10)))}:
        os.kill(worker, signal.SIGKILL)
    assert sorted(run_all(pool, square, [1, 2, 3])) == [(1, 1), (2, 4), (3, 9)]


def test_workers_killed_at_any_moment_lose_no_task(pool: ProcessExecutor) -> None:
    results = run_all(pool, worker_of, list(range(60)))
    tasks = set()
    for number, (task, worker) in enumerate(results):
        tasks.add(task)
        if number % 10 == 5:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    assert tasks == set(range(60))


def test_a_task_that_hangs_is_stopped_at_its_limit_and_run_again(tmp_path: Path) -> None:
    with ProcessExecutor(1, time_limit=1.0) as executor:
        assert list(run_all(executor, hang_once, [tmp_path / "task"])) == [(tmp_path / "task", "task")]


def test_a_task_that_loses_every_worker_ends_the_run_with_a_message(pool: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match=f"a worker was lost {ATTEMPTS} times at the same trial"):
        list(run_all(pool, count_and_die, [tmp_path / "tries"]))
    assert len((tmp_path / "tries").read_text()) == ATTEMPTS
    assert list(run_all(pool, square, [3])) == [(3, 9)]


def test_an_error_of_a_task_is_raised_where_it_was_asked_for(pool: ProcessExecutor) -> None:
    with pytest.raises(RobotpsError, match="7 cannot be done"):
        list(run_all(pool, refuse, [7]))
    with pytest.raises(RobotpsError, match="7 cannot be done"):
        list(run_all(InThisProcess(), refuse, [7]))


def test_in_this_process_tasks_run_one_after_the_other_as_results_are_taken() -> None:
    done: list[int] = []
    results = run_all(InThisProcess(), lambda n: done.append(n), [1, 2, 3])
    assert done == []
    next(results)
    assert done == [1]
    list(results)
    assert done == [1, 2, 3]


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_is_told(workers: int) -> None:
    with pytest.raises(RobotpsError, match=f"--workers must be at least 1, it is {workers}"):
        ProcessExecutor(workers, time_limit=1.0)


BUSY = """
    import os, sys, time
    from pathlib import Path
    from robotps.workers import ProcessExecutor, run_all

    def busy(folder):
        (Path(folder) / str(os.getpid())).touch()
        time.sleep(3600 if sys.argv[2] == "hour" else 0.2)

    if __name__ == "__main__":
        with ProcessExecutor(2, time_limit=7200.0) as executor:
            try:
                list(run_all(executor, busy, [sys.argv[1]] * 2))
            except KeyboardInterrupt:
                executor.shutdown(cancel_futures=True)
                sys.exit(130)
"""


def _busy(tmp_path: Path, how_long: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A process whose two workers are at work, and their ids."""
    script, folder = tmp_path / "busy.py", tmp_path / "ids"
    script.write_text(textwrap.dedent(BUSY))
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), how_long],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(list(folder.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    return process, [int(file.name) for file in folder.iterdir()]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _wait_until_gone(ids: list[int]) -> None:
    for _ in range(500):
        if all(_gone(pid) for pid in ids):
            return
        time.sleep(0.02)
    for pid in ids:
        if not _gone(pid):
            os.kill(pid, signal.SIGKILL)
    pytest.fail("workers outlived the process they worked for")


def test_ctrl_c_reaches_the_host_alone_and_ends_its_workers(tmp_path: Path) -> None:
    process, ids = _busy(tmp_path, "hour")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to everyone
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    _wait_until_gone(ids)


def test_workers_do_not_outlive_a_host_that_was_killed(tmp_path: Path) -> None:
    process, ids = _busy(tmp_path, "moment")
    process.kill()
    process.communicate(timeout=30)
    _wait_until_gone(ids)


class _Together(Executor):
    """Two tasks end at once."""

    ahead = 2

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[int], int]] = []

    def submit(self, function, task, /):  # type: ignore[no-untyped-def, override]
        future: Future[int] = Future()
        self._waiting.append((future, task))
        for waiting, number in self._waiting if len(self._waiting) == 2 else []:
            if number:
                waiting.set_result(10 * number)
            else:
                waiting.set_exception(RobotpsError("the cable"))
        return future


def test_what_ended_together_with_a_failure_is_not_lost() -> None:
    for _ in range(20):
        found: list[tuple[int, int]] = []
        with pytest.raises(RobotpsError, match="the cable"):
            found.extend(run_all(_Together(), square, [0, 1]))
        assert found == [(1, 10)]
