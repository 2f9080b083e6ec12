"""A DingTalk for many people, which allows so many calls a second and refuses the others.

A code names the person who consented, so that any process can make one, and works once. Limits
count per API and clock second; a refused call spends nothing.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from _shared import PROFILE, TOKENS

#: The APIs of a sign-in.
EXCHANGE: Final = "userAccessToken"
USER: Final = "users/me"
#: The application's own token.
APP_TOKEN: Final = "accessToken"

_APIS: Final = {
    "POST /v1.0/oauth2/userAccessToken": EXCHANGE,
    "GET /v1.0/contact/users/me": USER,
    "POST /v1.0/oauth2/accessToken": APP_TOKEN,
}
_TOKEN_HEADER: Final = "x-acs-dingtalk-access-token"
#: The length of DingTalk's codes and tokens.
_LENGTH: Final = 32
#: Between the name and the random part of a code or token.
_SEPARATOR: Final = "-"

_STATUS_LINES: Final = {200: "200 OK", 400: "400 Bad Request", 403: "403 Forbidden"}
_THROTTLED: Final = {
    "code": "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
    "message": "您的企业应用调用钉钉开放平台当前接口的所有请求都被暂时禁用了",
    "requestid": "6A5F5B4C-0000-7000-8000-000000000000",
}
_NO_SUCH_CODE: Final = {
    "code": "invalidParameter.authCode.notFound",
    "message": "不合法的临时授权码",
    "requestid": "6A5F5B4C-0000-7000-8000-000000000001",
}
_NO_SUCH_TOKEN: Final = {
    "code": "InvalidAuthentication",
    "message": "不合法的access_token",
    "requestid": "6A5F5B4C-0000-7000-8000-000000000002",
}


def code_of(name: str) -> str:
    """Return a fresh code, as if that person had just consented."""
    return (name + _SEPARATOR + secrets.token_hex(_LENGTH))[:_LENGTH]


@dataclass(frozen=True, slots=True)
class Call:
    """One call; ``moment`` is of the monotonic clock."""

    moment: float
    api: str
    refused: bool


class DingTalk:
    """The server; it runs in the event loop that starts it.

    Each call takes ``delay`` seconds; ``limit`` is the number of calls that each API allows in a
    second.
    """

    def __init__(self, delay: float, limit: int | None = None) -> None:
        self.calls: list[Call] = []
        self._delay = delay
        self._limit = limit
        self._spent: set[str] = set()
        #: The second that each API is in, and the calls that it has allowed in it.
        self._allowed: dict[str, tuple[int, int]] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Serve on a free port of the loopback interface."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)

    def stop(self) -> None:
        """Take no more calls."""
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        """The base address."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def respond(
        self, api: str, headers: dict[str, str], body: bytes, transport: asyncio.Transport
    ) -> None:
        """Send the answer to a call, in a while."""
        now = time.monotonic()
        refused = not self._allows(api, now)
        self.calls.append(Call(now, api, refused))
        answer = _encoded(403, _THROTTLED) if refused else self._answer(api, headers, body)
        asyncio.get_running_loop().call_later(self._delay, _write, transport, answer)

    def _allows(self, api: str, now: float) -> bool:
        second, allowed = self._allowed.get(api, (0, 0))
        if second != int(now):
            second, allowed = int(now), 0
        if allowed == self._limit:
            return False
        self._allowed[api] = second, allowed + 1
        return True

    def _answer(self, api: str, headers: dict[str, str], body: bytes) -> bytes:
        if api == EXCHANGE:
            grant = json.loads(body)
            spent = grant.get("code") or grant.get("refreshToken") or ""
            name, known, _ = spent.partition(_SEPARATOR)
            if not known or spent in self._spent:
                return _encoded(400, _NO_SUCH_CODE)
            self._spent.add(spent)
            pair = {"accessToken": code_of(name), "refreshToken": code_of(name)}
            return _encoded(200, TOKENS | pair)
        if api == APP_TOKEN:
            return _encoded(200, {"accessToken": code_of("app"), "expireIn": 7200})
        name, known, _ = headers.get(_TOKEN_HEADER, "").partition(_SEPARATOR)
        if not known:
            return _encoded(400, _NO_SUCH_TOKEN)
        ids = {key: name + PROFILE[key][len(name) :] for key in ("unionId", "openId")}
        return _encoded(200, PROFILE | ids | {"nick": name})


@contextmanager
def running(dingtalk: DingTalk) -> Iterator[DingTalk]:
    """Run the server in a thread, for callers without an event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(dingtalk.start(), loop).result()
    try:
        yield dingtalk
    finally:
        loop.call_soon_threadsafe(dingtalk.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Connection(asyncio.Protocol):
    def __init__(self, dingtalk: DingTalk) -> None:
        self._dingtalk = dingtalk
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            request_line, _, lines = head.decode("latin-1").partition("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines.split("\r\n"))
            }
            length = int(headers.get("content-length", 0))
            if not found or len(rest) < length:
                return
            self._received = rest[length:]
            api = _APIS[request_line.rpartition(" ")[0]]
            self._dingtalk.respond(api, headers, rest[:length], self._transport)


def _encoded(status: int, content: dict[str, Any]) -> bytes:
    body = json.dumps(content, ensure_ascii=False).encode()
    head = (
        f"HTTP/1.1 {_STATUS_LINES[status]}\r\n"
        "Content-Type: application/json;charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _write(transport: asyncio.Transport, answer: bytes) -> None:
    if not transport.is_closing():
        transport.write(answer)
