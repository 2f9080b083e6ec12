"""Browsers that sign in without a pause, and cost next to nothing themselves.

One thread, plain sockets, and no more of an answer read than the next request needs: whatever they
take of a processor, the site under test cannot have.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Final

#: A page of the site that answers with the processor time of its process, in seconds.
CLOCK: Final = "/processor-time"
LOGIN: Final = "/dingtalk/login"
CALLBACK: Final = "/dingtalk/callback"
CODE: Final = "0123456789abcdef0123456789abcdef"

_CHUNK_BYTES: Final = 64 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_STATE: Final = re.compile(rb"\r\nlocation: [^\r]*[?&]state=([^&\r]+)", re.IGNORECASE)
_COOKIE: Final = re.compile(rb"\r\nset-cookie: ([^;\r]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What a site managed while all browsers were at it."""

    per_second: float
    #: The processor time of the site's process for one sign-in, in seconds.
    processor_time: float


#: Requests to send; each yield is given the answer to the one before.
_Visit = Generator[bytes, bytes, None]


class _Browsers:
    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._sign_ins = 0
        #: Sign-ins, wall clock and the site's processor time whenever the latter was asked for.
        self._readings: list[tuple[int, float, float]] = []

    def run(self, browsers: int, warm_up: float, measured: float) -> Load:
        for _ in range(browsers):
            self._open(self._sign_in())
        # What lies between two answers of the site's clock is counted.
        for readings, pause in ((1, warm_up), (2, measured)):
            self._serve_until(time.perf_counter() + pause, 0)
            self._open(self._read_clock())
            self._serve_until(0, readings)
        (sign_ins, start, used), (all_sign_ins, end, all_used) = self._readings
        for key in list(self._selector.get_map().values()):
            self._close(key.data[0])
        counted = all_sign_ins - sign_ins
        return Load(counted / (end - start), (all_used - used) / counted)

    def _sign_in(self) -> _Visit:
        while True:
            answer = yield _get(LOGIN)
            # A browser that was never here before: no cookie but the one it was just given.
            query = f"?authCode={CODE}&code={CODE}&state={_found(_STATE, answer)}"
            answer = yield _get(CALLBACK + query, _found(_COOKIE, answer))
            if not answer.startswith(b"HTTP/1.1 302"):
                raise RuntimeError(f"the callback answered {answer[:80]!r}")
            self._sign_ins += 1

    def _read_clock(self) -> _Visit:
        answer = yield _get(CLOCK)
        used = float(answer.partition(b"\r\n\r\n")[2])
        self._readings.append((self._sign_ins, time.perf_counter(), used))

    def _open(self, visit: _Visit) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.sendall(next(visit))
        browser = connection, visit, bytearray()
        self._selector.register(connection, selectors.EVENT_READ, browser)

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()

    def _serve_until(self, moment: float, readings: int) -> None:
        """Go on until ``moment`` has come and there are so many readings."""
        while time.perf_counter() < moment or len(self._readings) < readings:
            for key, _ in self._selector.select(0.1):
                connection, visit, received = key.data
                chunk = connection.recv(_CHUNK_BYTES)
                if not chunk:
                    raise RuntimeError("the site closed a connection")
                received += chunk
                if not _is_complete(received):
                    continue
                answer = bytes(received)
                received.clear()
                try:
                    connection.sendall(visit.send(answer))
                except StopIteration:
                    self._close(connection)


def _is_complete(received: bytearray) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= int(_found(_LENGTH, head))


def _get(target: str, cookie: str | None = None) -> bytes:
    cookies = "" if cookie is None else f"Cookie: {cookie}\r\n"
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{cookies}\r\n".encode()


def _found(pattern: re.Pattern[bytes], answer: bytes | bytearray) -> str:
    found = pattern.search(answer)
    if found is None:
        raise RuntimeError(f"the site answered {bytes(answer[:80])!r}")
    return found[1].decode()


if __name__ == "__main__":
    _, port, browsers, warm_up, measured = sys.argv
    load = _Browsers(int(port)).run(int(browsers), float(warm_up), float(measured))
    print(json.dumps(asdict(load)))
