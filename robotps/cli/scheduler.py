"""`robotps scheduler`: what hands trials to workers on several machines."""

from __future__ import annotations

from typing import Annotated

import typer

from robotps.cli.options import Certificates, Json, answer, say


def scheduler(
    listen: Annotated[str, typer.Option(help="HOST:PORT; beyond this machine only with --certificates.")] = (
        "127.0.0.1:8786"
    ),
    certificates: Certificates = None,
    json: Json = False,
) -> None:
    """Run a Dask scheduler until stopped. Workers and `tune --executor dask:HOST:PORT` come to it."""
    import asyncio

    from robotps.errors import RobotpsError
    from robotps.nodes import serve_scheduler

    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise RobotpsError(f"--listen {listen}: give HOST:PORT, such as 127.0.0.1:8786")

    def ready(address: str) -> None:
        say(f"scheduler at {address}; Ctrl-C stops it")
        if json:
            answer({"address": address.partition("://")[2]})

    asyncio.run(serve_scheduler(host, int(port), certificates, ready))
