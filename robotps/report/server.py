"""A run's report as a page on this machine that updates itself while the run goes on."""

from __future__ import annotations

import errno
import hmac
import secrets
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from robotps.cluster import on_loopback
from robotps.errors import RobotpsError
from robotps.report.page import page
from robotps.run import Run

REFRESH = 2.0
"""s after which an open page asks again."""

HOST = "127.0.0.1"
PORTS = range(8080, 8180)


class ReportServer:
    """Serves the report of a run at `address`, to this machine only, until closed. Use as a context manager.

    forwarding: what `ssh -L` takes to reach it from another machine. port: None takes the first free one from 8080 on.
    host: where else to listen; the address then holds a token that nobody can guess, and without it nothing is shown.
    Raises RobotpsError where the port is taken.
    """

    def __init__(self, run: Path, port: int | None = None, host: str = HOST) -> None:
        report = _Report(run)
        token = None if on_loopback(host) else secrets.token_urlsafe(24)
        page = "/" if token is None else f"/?token={token}"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # a name other than this machine's would be another site's, pointed here (DNS rebinding)
                name = (self.headers.get("Host") or "").rpartition(":")[0]
                known = hmac.compare_digest(self.path.encode(), page.encode())
                if (name not in (HOST, host, "localhost")) if token is None else not known:
                    self.send_error(HTTPStatus.FORBIDDEN)
                elif not known:
                    self.send_error(HTTPStatus.NOT_FOUND)
                else:
                    self._send(*report.current())

            def _send(self, status: HTTPStatus, content: bytes) -> None:
                self.send_response(status)
                kind = "html" if status == HTTPStatus.OK else "plain"  # a message may quote what a run holds
                self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
                self.send_header("X-Content-Type-Options", "nosniff")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None: ...

        self._server = _listen(Handler, port, host)
        number = self._server.server_address[1]
        self.address = f"http://{host}:{number}{page}"
        self.forwarding = f"{number}:{host}:{number}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> ReportServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Report:
    """The page, made anew when there is something new."""

    def __init__(self, run: Path) -> None:
        self._path = run
        self._lock = threading.Lock()
        self._seen: object = None
        self._content = b""

    def current(self) -> tuple[HTTPStatus, bytes]:
        with self._lock:
            try:
                with Run.open(self._path) as run:
                    state = (run.counts(), run.in_progress)
                    if state != self._seen:
                        self._content = page([run], refresh=REFRESH).encode()
                        self._seen = state
            except RobotpsError as error:
                return HTTPStatus.SERVICE_UNAVAILABLE, str(error).encode()
            return HTTPStatus.OK, self._content


def _listen(handler: type[BaseHTTPRequestHandler], port: int | None, host: str) -> ThreadingHTTPServer:
    for candidate in PORTS if port is None else [port]:
        try:
            return ThreadingHTTPServer((host, candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise RobotpsError(f"cannot listen at {host}: {error.strerror or error}") from None
    wanted = f"port {port} is" if port is not None else f"ports {PORTS[0]} to {PORTS[-1]} are all"
    raise RobotpsError(f"{wanted} taken: choose another with --port")
