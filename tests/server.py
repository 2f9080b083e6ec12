"""The HTTP server of the tests: for the stub, and for sites that a browser visits."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from socket import create_connection
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults

from werkzeug.test import run_wsgi_app


@dataclass(frozen=True)
class Asked:
    """One request, its headers by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    #: The client's port, which tells connections apart.
    connection: int


#: Status, headers and body.
Reply = tuple[int, list[tuple[str, str]], bytes]


class Server(ThreadingHTTPServer):
    """Answers on a free port of this machine while a ``with`` block runs; keeps connections open.

    It logs nothing: the address of the callback holds a code.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, reply: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        if tls is not None:
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        # Wakes the thread that waits for connections; `serve_forever` would look every so often.
        with create_connection(("127.0.0.1", self.server_port)):
            self._thread.join()
        self.server_close()

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn away the connection that only wakes the thread."""
        return not self._stopping

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, except that a client went away or disliked the certificate."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Head and body leave together, or a kept connection waits 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Hand a request to the server's function, and write what that returns."""
        asked = Asked(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length", 0))),
            self.client_address[1],
        )
        status, headers, body = self.server.reply(asked)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        try:
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(application: Any) -> Iterator[str]:
    """Serve a WSGI application; the value is its address."""

    def reply(asked: Asked) -> Reply:
        chunks, status, headers = run_wsgi_app(
            application, _environ(asked, server.server_port), buffered=True
        )
        return int(status.split()[0]), list(headers), b"".join(chunks)

    with Server(reply) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def _environ(asked: Asked, port: int) -> dict[str, Any]:
    path, _, query = asked.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": BytesIO(asked.body),
        "wsgi.multithread": True,
    }
    for name, value in asked.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    setup_testing_defaults(environ)  # the rest of what WSGI asks for
    return environ
