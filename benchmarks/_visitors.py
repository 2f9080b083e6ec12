"""Browsers for a thousand people: one event loop, plain streams, a connection for each request.

They keep cookies and see which page asks to be loaded again, and when.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import urlsplit

_HEADERS: Final = (
    "Host: localhost\r\nConnection: close\r\nAccept-Language: zh-CN,zh;q=0.9\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
)
_REFRESH_TAG: Final = re.compile(
    r"""<meta\s+http-equiv=["']?refresh["']?\s+content=["']?([^"'>]*)""", re.IGNORECASE
)
#: What follows a point is skipped. (HTML, "shared declarative refresh steps")
_REFRESH: Final = re.compile(r"\s*(\d+)[\d.]*\s*(?:[;,]\s*(?:url\s*=\s*)?(\S+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site answered; the names of ``headers`` are in lower case."""

    target: str
    status: int
    headers: dict[str, str]
    body: str

    @property
    def location(self) -> str:
        """Path and query of a redirect within the site; the front page where there is none."""
        parts = urlsplit(self.headers.get("location", "/"))
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @property
    def retry_after(self) -> int:
        """In how many seconds to come back."""
        return int(self.headers.get("retry-after", 1))

    @property
    def reload(self) -> tuple[int, str] | None:
        """In how many seconds which page loads itself, if it does."""
        return reload_of(self.target, self.headers.get("refresh"), self.body)


def reload_of(target: str, header: str | None, body: str) -> tuple[int, str] | None:
    """Return in how many seconds which page ``target`` loads instead of itself, if it does.

    ``header`` is what the answer says as ``Refresh``.
    """
    tag = _REFRESH_TAG.search(body)
    found = _REFRESH.match(header or (tag[1] if tag else ""))
    if found is None:
        return None
    parts = urlsplit((found[2] or target).replace("&amp;", "&"))
    return int(found[1]), parts.path + (f"?{parts.query}" if parts.query else "")


class Browser:
    """One person's browser on the site at this port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}

    async def get(self, target: str) -> Answer:
        """Load a page; raise ``OSError`` if there is no answer."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        cookie_line = f"Cookie: {cookies}\r\n" if cookies else ""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"GET {target} HTTP/1.1\r\n{_HEADERS}{cookie_line}\r\n".encode())
            received = await reader.read(-1)
        finally:
            writer.close()
        return self._parsed(target, received)

    def _parsed(self, target: str, received: bytes) -> Answer:
        head, found, body = received.partition(b"\r\n\r\n")
        if not found:
            raise ConnectionError("the site closed the connection without an answer")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            if name.lower() == "set-cookie":
                self._keep(value.strip())
            headers[name.lower()] = value.strip()
        return Answer(target, int(status_line.split(" ")[1]), headers, body.decode())

    def _keep(self, cookie: str) -> None:
        for name, morsel in SimpleCookie(cookie).items():
            if morsel.value and morsel["max-age"] != "0":
                self._cookies[name] = morsel.coded_value
            else:
                self._cookies.pop(name, None)
