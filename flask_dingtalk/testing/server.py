"""A small threaded HTTP/1.1 server for the loopback interface.

Werkzeug's development server closes each connection after one response. DingTalk keeps connections
alive, and tests need to see what a client does with one that was closed or reset meanwhile. This
server keeps connections alive, and can close or reset them. It logs nothing, because the requested
addresses contain codes.
"""

import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from werkzeug.wrappers import Request, Response

#: Bytes; larger bodies are refused. Calls of DingTalk's APIs are far smaller.
MAX_BODY: Final = 1024 * 1024
#: Seconds after which an unanswered connection is closed; clients give up sooner.
MAX_UNANSWERED: Final = 120.0


class LeaveUnanswered(Exception):
    """Raised instead of returning a response: keep the client waiting."""


class ResetConnection(Exception):
    """Raised instead of returning a response: reset the connection."""


class Connection:
    """One TCP connection, as the application behind the server sees it."""

    def __init__(self, transport: socket.socket) -> None:
        self.transport = transport
        #: Held while a response is written: a client that has read it finds the connection idle.
        self.lock = threading.Lock()
        self.busy = False
        #: Close with a reset (RST) instead of FIN.
        self.reset = False
        #: Number in the record of calls; ``None`` before the first call.
        self.number: int | None = None

    def hang_up(self) -> None:
        """Shut both directions down; the connection's thread then closes it."""
        with suppress(OSError):  # the client closed it first
            self.transport.shutdown(socket.SHUT_RDWR)


Answerer = Callable[[Request, Connection], Response]


class LoopbackServer(socketserver.ThreadingTCPServer):
    """Answers requests with `answer` until `stop` is called; one thread per connection."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, host: str, port: int, answer: Answerer, now: Callable[[], float] = time.time
    ) -> None:
        #: The clock of the ``Date`` header.
        self.now = now
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.address: tuple[str, int] = self.socket.getsockname()[:2]
        self.answer = answer
        self._lock = threading.Lock()
        self._open: dict[Any, tuple[Connection, threading.Thread]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="dingtalk-simulator", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base address, without a trailing slash."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """Close all connections at once, busy ones too, and wait for the threads to end."""
        self._stopping = True
        # Wakes the accepting thread, which is cheaper than polling.
        with socket.create_connection(self.address):
            self._thread.join()
        self.server_close()
        with self._lock:
            remaining = list(self._open.values())
        for connection, _ in remaining:
            connection.hang_up()
        for _, thread in remaining:
            thread.join()

    def close_idle(self) -> None:
        """Close the connections that wait for a next request, as a load balancer does."""
        for connection in self.open_connections():
            with connection.lock:
                if not connection.busy:
                    connection.hang_up()

    def open_connections(self) -> list[Connection]:
        """Return all open connections."""
        with self._lock:
            return [connection for connection, _ in self._open.values()]

    def connection(self, transport: Any) -> Connection:
        """Return the open connection of a socket."""
        with self._lock:
            return self._open[transport][0]

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse the connection with which `stop` wakes the accepting thread."""
        return not self._stopping

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread, with the connection registered before, so that `stop` finds it."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._open[request] = (Connection(request), thread)
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; runs at the end of its thread."""
        with self._lock:
            known = self._open.pop(request, None)
        if known is not None and known[0].reset:
            # Closing with a linger time of 0 sends RST; a shutdown before it would send FIN.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error, unless the client only closed the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and writes what the server's `answer` returns."""

    server: LoopbackServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    # Headers and body are sent together; apart, a delayed ACK costs 40 ms on a kept connection.
    wbufsize = -1
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # any method: the dispatcher decides which ones exist
            return self._exchange
        raise AttributeError(name)

    def version_string(self) -> str:
        """Return the value of the ``Server`` header."""
        return "DingTalkSimulator"

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the value of the ``Date`` header, by the simulator's clock."""
        return super().date_time_string(self.server.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Log nothing."""

    def _exchange(self) -> None:
        connection = self.server.connection(self.connection)
        connection.busy = True
        body = self._body()
        if body is None:
            return
        environ = self._environ(body)
        try:
            response = self.server.answer(Request(environ), connection)
        except LeaveUnanswered:
            self.close_connection = True
            self.connection.settimeout(MAX_UNANSWERED)
            with suppress(TimeoutError):
                self.connection.recv(1)  # returns when the client gives up or the server stops
            return
        except ResetConnection:
            self.close_connection = connection.reset = True
            return
        chunks, status, headers = response.get_wsgi_response(environ)
        number, _, reason = status.partition(" ")
        self.send_response(int(number), reason.title())
        for key, value in headers:
            self.send_header(key, value)
        with connection.lock:
            self.end_headers()
            self.wfile.writelines(chunks)
            self.wfile.flush()
            connection.busy = False

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.send_error(411)
        elif int(length) > MAX_BODY:
            self.send_error(413)
        else:
            return self.rfile.read(int(length))
        return None

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        host, port = self.server.address
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
        }
        for key, value in self.headers.items():
            name = key.upper().replace("-", "_")
            plain = name in ("CONTENT_TYPE", "CONTENT_LENGTH")
            environ[name if plain else f"HTTP_{name}"] = value
        return environ
