"""A DingTalk that says what a test tells it to, byte for byte, and remembers what it was asked.

Beside the simulator, for what that is too well-behaved to do, and as a witness: requests and
answers are spelled out as DingTalk documents them, with no name taken from the code under test.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TOKEN = {
    "accessToken": "0123456789abcdef0123456789abcdef",
    "refreshToken": "fedcba9876543210fedcba9876543210",
    "expireIn": 7200,
    "corpId": "ding0123456789abcdef",
}
PROFILE = {
    "nick": "张三",
    "avatarUrl": "https://static-legacy.dingtalk.com/media/avatar.png",
    "mobile": "15012349144",
    "openId": "aBcDeFgHiJkLmNoPqRsTuVwXiEiE",
    "unionId": "zYxWvUtSrQpOnMlKjIhGfEdCiEiE",
    "email": "zhang@example.com",
    "stateCode": "86",
    "visitor": False,
}


@dataclass(frozen=True)
class Answer:
    """What the stub sends back."""

    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def encoded(self) -> bytes:
        """Return the body: as given, else the content as JSON."""
        return json.dumps(self.content).encode() if self.body is None else self.body


@dataclass(frozen=True)
class Asked:
    """One request that reached the stub."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


class StubDingTalk:
    """Answers ``userAccessToken`` and ``users/me`` with ``token`` and ``user``, both replaceable.

    Either may be a function of the request, too.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.token: Answer | Callable[[Asked], Answer] = Answer(TOKEN)
        self.user: Answer | Callable[[Asked], Answer] = Answer(PROFILE)
        self.asked: list[Asked] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                asked = Asked(
                    self.command,
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                    self.client_address[1],
                )
                stub.asked.append(asked)
                chosen = stub.user if "/contact/" in self.path else stub.token
                answer = chosen(asked) if callable(chosen) else chosen
                body = answer.encoded()
                self.send_response(answer.status)
                headers = {
                    "Content-Type": "application/json;charset=utf-8",
                    "Content-Length": str(len(body)),
                } | answer.headers
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of clients that went away."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "http" if tls is None else "https"

    @property
    def url(self) -> str:
        """The base address."""
        return f"{self._scheme}://localhost:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """Settings that point at the stub."""
        return {
            "DINGTALK_CLIENT_ID": "dingstub",
            "DINGTALK_CLIENT_SECRET": "the-secret-of-the-stub",
            "DINGTALK_API_BASE_URL": self.url,
            "DINGTALK_OAPI_BASE_URL": self.url,
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
