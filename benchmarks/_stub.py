"""A DingTalk that costs next to nothing: two fixed answers over TLS, near and far away.

The far one is the same server behind a proxy that delays what passes, since a network namespace
with a delay would need root. It speaks TLS with a certificate made on the spot, and its authority
is added to the usual bundle of authorities, which therefore costs what it costs everywhere.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import certifi
import trustme
from _shared import PROFILE, TOKENS

_ADDRESS: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 64 * 1024


def _answer(content: dict[str, Any]) -> bytes:
    body = json.dumps(content, ensure_ascii=False).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_ANSWERS: Final = {
    b"POST /v1.0/oauth2/userAccessToken": _answer(TOKENS),
    b"GET /v1.0/contact/users/me": _answer(PROFILE),
}

#: The shortest request that gets an answer.
BARE_REQUEST: Final = b"GET /v1.0/contact/users/me HTTP/1.1\r\n\r\n"


class Stub:
    """The server and its proxy, in threads, within a ``with`` block.

    ``directory`` is where the bundle is written; ``round_trip`` is in seconds.
    """

    def __init__(self, directory: Path, round_trip: float) -> None:
        #: For ``REQUESTS_CA_BUNDLE``.
        self.bundle = directory / "authorities.pem"
        #: Connections that the server has accepted.
        self.connections = 0
        self._tls = _tls_context(self.bundle)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((_ADDRESS, 0), backlog=128)
        self._proxy = _Proxy(self._listener.getsockname(), round_trip / 2)
        self.near_url = f"https://{_ADDRESS}:{self._listener.getsockname()[1]}"

    @property
    def far_url(self) -> str:
        """The address with the delay."""
        return f"https://{_ADDRESS}:{self._proxy.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        self._proxy.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._proxy.stop()
        # Closing alone would leave the thread in ``accept``.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_idle()

    def close_idle(self) -> None:
        """Close every connection; to be called when none is in use."""
        with self._lock:
            idle = list(self._open)
        for connection in idle:
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A stub does not care about clients that go away.
        with suppress(OSError), self._tls.wrap_socket(plain, server_side=True) as connection:
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            try:
                _converse(connection)
            finally:
                with self._lock:
                    self._open.discard(connection)


def _converse(connection: ssl.SSLSocket) -> None:
    """Answer requests until the other side has none left."""
    received = b""
    while True:
        head, found, rest = received.partition(b"\r\n\r\n")
        length = _content_length(head) if found else 0
        if found and len(rest) >= length:
            received = rest[length:]
            method, target, _ = head.split(b" ", 2)
            connection.sendall(_ANSWERS[method + b" " + target])
            continue
        chunk = connection.recv(_CHUNK_BYTES)
        if not chunk:
            return
        received += chunk


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


class _Proxy:
    """Passes bytes on to ``target``, each ``delay`` seconds later."""

    def __init__(self, target: tuple[str, int], delay: float) -> None:
        self._target = target
        self._delay = delay
        self._listener = socket.create_server((_ADDRESS, 0), backlog=128)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.create_task(asyncio.start_server(self._connected, sock=self._listener))
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connected(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, forth = await asyncio.open_connection(*self._target)
        for writer in (back, forth):
            # Or what follows a small piece waits for its receipt, 40 ms and more.
            end: socket.socket = writer.get_extra_info("socket")
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The system has answered TCP's own greeting without a delay; the first bytes, which leave
        # right after it, make up for that round trip.
        greeting = 2 * self._delay
        await asyncio.gather(
            self._pass_on(client, forth, greeting),
            self._pass_on(server, back, 0),
        )

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, greeting: float
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(self._deliver(under_way, sink))
        extra = greeting
        chunk = b"-"
        while chunk:
            try:
                chunk = await source.read(_CHUNK_BYTES)
            except ConnectionError:
                chunk = b""
            under_way.put_nowait((self._loop.time() + self._delay + extra, chunk))
            extra = 0
        await arriving

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        while True:
            due, chunk = await under_way.get()
            await asyncio.sleep(due - self._loop.time())
            if not chunk:
                sink.close()
                return
            sink.write(chunk)


def _tls_context(bundle: Path) -> ssl.SSLContext:
    """Make an authority and a certificate; return the server's context, write the bundle."""
    authority = trustme.CA()
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(_ADDRESS).configure_cert(context)
    return context
