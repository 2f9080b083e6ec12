"""A DingTalk that says what a test tells it to, byte for byte, and remembers what it was asked.

Beside the simulator, for what that is too well-behaved to do, and as a witness: requests and
answers are spelled out as DingTalk documents them, with no name taken from the code under test.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .server import Asked, Reply, Server

__all__ = ["PROFILE", "TOKEN", "Answer", "Asked", "StubDingTalk"]

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


class StubDingTalk(Server):
    """Answers ``userAccessToken`` and ``users/me`` with ``token`` and ``user``, both replaceable.

    Either may be a function of the request, too.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.token: Answer | Callable[[Asked], Answer] = Answer(TOKEN)
        self.user: Answer | Callable[[Asked], Answer] = Answer(PROFILE)
        self.asked: list[Asked] = []
        super().__init__(self._choose, tls)
        self._scheme = "http" if tls is None else "https"

    def _choose(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        chosen = self.user if "/contact/" in asked.path else self.token
        answer = chosen(asked) if callable(chosen) else chosen
        body = answer.encoded()
        headers = {
            "Content-Type": "application/json;charset=utf-8",
            "Content-Length": str(len(body)),
        }
        return answer.status, list((headers | answer.headers).items()), body

    @property
    def url(self) -> str:
        """The base address."""
        return f"{self._scheme}://localhost:{self.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """Settings that point at the stub."""
        return {
            "DINGTALK_CLIENT_ID": "dingstub",
            "DINGTALK_CLIENT_SECRET": "the-secret-of-the-stub",
            "DINGTALK_API_BASE_URL": self.url,
            "DINGTALK_OAPI_BASE_URL": self.url,
        }
