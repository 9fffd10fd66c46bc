"""The other processes of a cluster: the scheduler, and workers that come back whenever it does.

Both listen on this machine only, unless there are certificates; neither has a web page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from robotps.certificates import security
from robotps.cluster import LOOPBACK, NO_PAGES, SIMULATOR, on_loopback, quietly, scheduler_at, worker_options
from robotps.errors import RobotpsError, require

_PAUSE = 2.0
"""s between two attempts to reach a scheduler that is away."""


async def serve_scheduler(host: str, port: int, certificates: Path | None, ready: Callable[[str], None]) -> None:
    """Run a scheduler until cancelled; `ready` is told its address. Raises RobotpsError where it may not listen."""
    require("distributed", "cluster")
    from distributed import Scheduler

    quietly()
    if certificates is None and not on_loopback(host):
        raise RobotpsError(
            f"{host}: a scheduler runs whatever it is sent, so it listens beyond this machine only with TLS: "
            "make certificates (robotps certificates) and give --certificates DIR"
        )
    tls = None if certificates is None else security(certificates)
    protocol = "tcp://" if tls is None else "tls://"
    try:
        async with Scheduler(
            host=host, port=port, protocol=protocol, security=tls, dashboard=False, dashboard_address=NO_PAGES
        ) as scheduler:
            ready(scheduler.address)
            await scheduler.finished()
    except (OSError, RuntimeError) as error:
        # the scheduler hides what the system said behind an error of its own
        known = error if isinstance(error, OSError) else error.__cause__
        said = (known.strerror if isinstance(known, OSError) else None) or known or error
        raise RobotpsError(f"cannot listen at {host}:{port}: {said}") from None


async def serve_workers(
    scheduler: str, count: int, certificates: Path | None, host: str | None, tell: Callable[[str], None]
) -> None:
    """Run worker processes for simulated trials until cancelled, again whenever the scheduler comes back.

    host: this machine's address as the others see it (None: the one that leads to the scheduler).
    """
    require("distributed", "cluster")
    from distributed import Nanny

    quietly()
    there = scheduler_at(scheduler, certificates)
    if certificates is None:
        host = LOOPBACK

    async def one() -> None:
        while True:
            try:
                async with Nanny(there["address"], resources=SIMULATOR, **worker_options(there, host)) as nanny:
                    tell(f"working for {there['address']}")
                    await nanny.finished()
            except (OSError, asyncio.TimeoutError) as error:
                tell(f"no scheduler at {there['address']} ({error}); trying again")
            except Exception as error:  # Dask raises all kinds when processes are killed; a service comes back
                tell(f"a worker process has ended ({type(error).__name__}: {error}); trying again")
            await asyncio.sleep(_PAUSE)

    await asyncio.gather(*(one() for _ in range(count)))
