"""The four steps that each site has to manage: a guarded page, a failure, a sign-in, a sign-out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from flask_dingtalk.testing import DingTalkSimulator

#: As a browser asks for a page, and as its scripts ask for data.
PAGE: Final = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "zh"}
SCRIPT: Final = {"Accept": "application/json", "Accept-Language": "zh"}
#: Seconds; far more than an answer takes.
_PATIENCE: Final = 30


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    text: str

    @property
    def location(self) -> str:
        """Path and query of where a redirect leads."""
        parts = urlsplit(self.headers["Location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _readable(text: str) -> str:
    """Return a text with the escapes of JSON undone."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


class Browser(Protocol):
    """Keeps cookies, follows no redirect."""

    def get(self, path: str, headers: Mapping[str, str] = ...) -> Answer:
        """Load a page."""

    def post(self, path: str, data: Mapping[str, str] = ...) -> Answer:
        """Send a form."""


class InProcess:
    """A browser that calls the site as Werkzeug's test client does."""

    def __init__(self, client: FlaskClient, base_url: str | None = None) -> None:
        self.client = client
        self._base_url = base_url

    def get(self, path: str, headers: Mapping[str, str] = PAGE) -> Answer:
        """Load a page."""
        return self._answer("GET", path, headers=headers)

    def post(self, path: str, data: Mapping[str, str] = {}) -> Answer:
        """Send a form."""
        return self._answer("POST", path, headers=PAGE, data=data)

    def _answer(self, method: str, path: str, **arguments: Any) -> Answer:
        found = self.client.open(path, method=method, base_url=self._base_url, **arguments)
        return Answer(found.status_code, found.headers, _readable(found.text))


class OverHttp:
    """A browser that talks to a server. It logs nothing: an address may hold a code."""

    def __init__(self, address: str, cookies: Mapping[str, str] | None = None) -> None:
        self.address = address
        self.cookies = dict(cookies or {})

    @property
    def cookie(self) -> str:
        """The value of the header."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str, headers: Mapping[str, str] = PAGE) -> Answer:
        """Load a page."""
        return self._answer("GET", path, headers)

    def post(self, path: str, data: Mapping[str, str] = {}) -> Answer:
        """Send a form."""
        headers = {
            **PAGE,
            "Origin": self.address,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._answer("POST", path, headers, urlencode(data))

    def send(self, path: str, text: str) -> Answer:
        """Send a text, as a script does."""
        return self._answer("POST", path, {"Content-Type": "text/plain"}, text)

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> Answer:
        connection = HTTPConnection(urlsplit(self.address).netloc, timeout=_PATIENCE)
        connection.request(method, path, body, {**headers, "Cookie": self.cookie})
        with closing(connection), connection.getresponse() as found:
            for line in found.headers.get_all("Set-Cookie", []):
                self.cookies |= {name: each.value for name, each in SimpleCookie(line).items()}
            text = found.read().decode()
            return Answer(found.status, Headers(found.headers.items()), _readable(text))


def nobody_gets_in(browser: Browser, page: str = "/report", *, script: bool = True) -> None:
    """Ask for a guarded page without a sign-in: as a person and, if so, as a script."""
    refused = browser.get(page)
    assert refused.status == 302, refused.text
    if script:
        refused = browser.get(page, SCRIPT)
        assert refused.status == 401, refused.text
        assert '"error": "login_required"' in refused.text


def begin(browser: Browser, page: str = "/report") -> str:
    """Follow the guard of a page to DingTalk; return the state."""
    sent = browser.get(page)
    while not sent.location.startswith("/oauth2/auth"):
        sent = browser.get(sent.location)
        assert sent.status == 302, sent.text
    return parse_qs(urlsplit(sent.location).query)["state"][0]


def come_back(browser: Browser, **query: str) -> Answer:
    """Load the callback."""
    return browser.get(f"/dingtalk/callback?{'&'.join(f'{k}={v}' for k, v in query.items())}")


def sign_in(
    browser: Browser, simulator: DingTalkSimulator, who: str = "zhang", page: str = "/report"
) -> None:
    """Sign somebody in, from the guarded page and back to it."""
    came = come_back(browser, state=begin(browser, page), code=simulator.authorization_code(who))
    assert came.status == 302, came.text
    while came.status in (301, 302, 308):
        came = browser.get(came.location)
    assert came.status == 200, came.text
    assert str(simulator.users[who].nick) in came.text, came.text


def fail(browser: Browser, page: str = "/report") -> None:
    """Decline at DingTalk: a person gets a page in their language."""
    came = come_back(browser, state=begin(browser, page), error="access_denied")
    assert came.status == 403, came.text
    assert came.headers["Content-Type"].startswith("text/html")
    assert '<html lang="zh-CN">' in came.text
    assert "access_denied" in came.text


def sign_out(browser: Browser) -> None:
    """Press the button."""
    assert browser.post("/dingtalk/logout").status == 303


def walk(
    browser: Browser, simulator: DingTalkSimulator, page: str = "/report", *, script: bool = True
) -> None:
    """Take the four steps."""
    nobody_gets_in(browser, page, script=script)
    fail(browser, page)
    nobody_gets_in(browser, page, script=script)
    sign_in(browser, simulator, page=page)
    assert browser.get(page).status == 200
    sign_out(browser)
    nobody_gets_in(browser, page, script=script)
