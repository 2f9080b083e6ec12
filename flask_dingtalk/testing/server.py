"""A small HTTP/1.1 server for the loopback interface, in threads of its own.

Werkzeug's development server closes every connection after one answer. DingTalk keeps them, and how
a client treats a kept connection is worth testing: this server keeps them as well, and can close or
reset them. It logs nothing, because the addresses asked for here hold codes.
"""

import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from werkzeug.wrappers import Request, Response

#: Larger bodies are refused; no call of DingTalk's comes near.
MAX_BODY: Final = 1024 * 1024
#: How long a request stays without an answer at most, in seconds; no client waits so long.
MAX_SILENCE: Final = 120.0


class NoAnswer(Exception):
    """Raised in place of an answer: leave the client waiting."""


class ConnectionCut(Exception):
    """Raised in place of an answer: reset the connection."""


class Connection:
    """One TCP connection, as the application behind the server sees it."""

    def __init__(self, transport: socket.socket) -> None:
        self.transport = transport
        #: Held while an answer is written, so that who has read it finds the connection idle.
        self.lock = threading.Lock()
        self.busy = False
        #: Close with a reset instead of a farewell.
        self.cut = False
        #: The number that the application gave it, for its records.
        self.number: int | None = None

    def hang_up(self) -> None:
        """End reading and writing; the connection's thread notices and closes it."""
        with suppress(OSError):  # the client was faster
            self.transport.shutdown(socket.SHUT_RDWR)


Answer = Callable[[Request, Connection], Response]


class LoopbackServer(socketserver.ThreadingTCPServer):
    """Answers requests with `answer` until `stop`, one thread per connection."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, answer: Answer) -> None:
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
        """The base address, without a slash at its end."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """Close everything at once, whatever a client is waiting for, and wait for the threads."""
        self._stopping = True
        # Wakes the accepting thread: cheaper than having it look around many times a second.
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
        """Close every connection that waits for its next request, as a load balancer would."""
        for connection in self.open_connections():
            with connection.lock:
                if not connection.busy:
                    connection.hang_up()

    def open_connections(self) -> list[Connection]:
        """Return the records of the connections that are open."""
        with self._lock:
            return [connection for connection, _ in self._open.values()]

    def connection(self, transport: Any) -> Connection:
        """Return the record of an open connection."""
        with self._lock:
            return self._open[transport][0]

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn away the connection that only wakes the accepting thread."""
        return not self._stopping

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection that is on record before it runs: `stop` misses none."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._open[request] = (Connection(request), thread)
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; called at the end of its thread."""
        with self._lock:
            known = self._open.pop(request, None)
        if known is not None and known[0].cut:
            # No lingering makes the system send a reset; a farewell before it would spoil that.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, except that a client went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests off one connection, hands them to the server's `answer`, writes answers."""

    server: LoopbackServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    # Head and body leave together, or a kept connection waits 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # every method: what an unknown one gets is DingTalk's affair
            return self._exchange
        raise AttributeError(name)

    def version_string(self) -> str:
        """Tell who answers."""
        return "DingTalkSimulator"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
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
        except NoAnswer:
            self.close_connection = True
            self.connection.settimeout(MAX_SILENCE)
            with suppress(TimeoutError):
                self.connection.recv(1)  # returns when the client gives up, or the server stops
            return
        except ConnectionCut:
            self.close_connection = connection.cut = True
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
