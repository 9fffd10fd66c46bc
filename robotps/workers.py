"""Many trials at once: tasks run in other processes, and a lost or hung worker costs only the task it was at."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    TimeoutError,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from robotps.errors import RobotpsError

Task = TypeVar("Task")
Result = TypeVar("Result")

ATTEMPTS = 3


class WorkerLost(Exception):
    """The worker at a task died or hung; the task may be run again elsewhere."""


class ProcessExecutor(Executor):
    """Worker processes behind the standard interface, each task with a time limit (s).

    A pool of one process for each worker, as a pool of several shares locks: a worker that is killed while it holds
    one, or while no task runs, takes the whole pool with it. (The standard library's breaks whenever one is killed.)
    """

    def __init__(self, workers: int, time_limit: float) -> None:
        if workers < 1:
            raise RobotpsError(f"--workers must be at least 1, it is {workers}")
        self.ahead = 4 * workers
        self._time_limit = time_limit
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._pools: set[ProcessPool] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` in a worker; its future raises WorkerLost where the worker died or hung."""
        return self._threads.submit(self._run, partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let running tasks end, or with `cancel_futures` stop them; waits for them in either case."""
        if cancel_futures:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._stop()
        self._threads.shutdown()
        self._stop()

    def _run(self, task: Callable[[], Result]) -> Result:
        for _ in range(ATTEMPTS):
            pool = self._pool()
            try:
                return self._outcome(pool, task)
            except (ProcessExpired, TimeoutError) as lost:
                self._discard(pool)
                raise WorkerLost(str(lost)) from lost
            except BrokenProcessPool:
                self._discard(pool)  # the worker died before it began the task: at no cost to the task
        raise WorkerLost("its worker process does not start")

    def _outcome(self, pool: ProcessPool, task: Callable[[], Result]) -> Result:
        try:
            future: Future[Result] = pool.schedule(task, timeout=self._time_limit)
        except RuntimeError as error:
            raise BrokenProcessPool from error
        while not future.done():
            if not pool.active and not future.done():  # one that breaks at this very moment forgets the task
                raise BrokenProcessPool
            wait([future], timeout=1.0)
        return future.result()

    def _pool(self) -> ProcessPool:
        """This thread's own worker, a new one where the last was lost."""
        pool: ProcessPool | None = getattr(self._own, "pool", None)
        if pool is not None and pool.active:
            return pool
        with self._lock:
            if self._stopped:
                raise CancelledError
            # spawned, not forked: a physics client or a thread must not be inherited half-way
            pool = ProcessPool(1, initializer=_begin_worker, context=multiprocessing.get_context("spawn"))
            self._pools.add(pool)
        self._own.pool = pool
        return pool

    def _discard(self, pool: ProcessPool) -> None:
        pool.stop()
        pool.join()
        with self._lock:
            self._pools.discard(pool)

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            pools = list(self._pools)
        for pool in pools:
            pool.stop()
        for pool in pools:
            self._discard(pool)


def _begin_worker() -> None:
    """Ctrl-C is the main process's to handle: it stops the workers. And a worker is one core, not all of them."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # read when NumPy is imported, which a worker does after this
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class InThisProcess(Executor):
    """Runs each task at once, where it is asked for: one physical robot, one trial after the other."""

    ahead = 1

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` now; its exceptions, Ctrl-C included, are raised here."""
        future: Future[Result] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def run_all(
    executor: Executor, function: Callable[[Task], Result], tasks: Iterable[Task | None]
) -> Iterator[tuple[Task, Result]]:
    """Run every task, yielding it with its result as it is done (in any order).

    Tasks are taken as workers become free, no more at a time than the executor's `ahead` says: a big run stays small in
    memory, and a task may be decided by earlier results (None: none before another result is known). A task whose
    worker died or hung is run again elsewhere; raises RobotpsError when that happened ATTEMPTS times.
    """
    source = iter(tasks)
    again: deque[tuple[Task, int]] = deque()
    running: dict[Future[Result], tuple[Task, int]] = {}
    try:
        while True:
            exhausted = False
            while len(running) < getattr(executor, "ahead", math.inf):
                if again:
                    task, attempt = again.popleft()
                else:
                    try:
                        following = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    if following is None:
                        break
                    task, attempt = following, 1
                running[executor.submit(function, task)] = (task, attempt)
            if not running:
                if exhausted:
                    return
                raise ValueError("every result is known, and still no task follows from them")
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            failed: BaseException | None = None
            for future in done:
                task, attempt = running.pop(future)
                try:
                    result = future.result()
                except WorkerLost as lost:
                    if attempt < ATTEMPTS:
                        again.append((task, attempt + 1))
                        continue
                    failed = RobotpsError(f"a worker was lost {ATTEMPTS} times at the same trial: {lost}")
                except BaseException as error:
                    failed = failed or error
                else:
                    yield task, result
            if failed is not None:  # once everything that came out with it is known
                raise failed
    finally:
        for future in running:
            future.cancel()
