"""One real sign-in in a browser, whose callback comes to this command instead of the site."""

from __future__ import annotations

import html
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from .. import policy
from ..api import wire
from ..api.authorization import authorize_url
from ..api.client import Client
from ..api.directory import Directory
from ..api.error_codes import PERMISSION_MISSING
from ..api.transport import Transport
from ..errors import DingTalkError, OrganisationNotAllowed
from ..secret import Secret
from ..settings import Settings, is_loopback
from .dingtalk import missing_permission, said_by_dingtalk
from .findings import Console, Finding, Verdict

#: Seconds that a person has, as long as DingTalk's codes last.
_PATIENCE: Final = 300
#: Seconds that one browser may take to send its request.
_REQUEST_TIMEOUT: Final = 10
_finding = partial(Finding, "dingtalk", "sign-in")


def sign_in_findings(
    settings: Settings, redirect_url: str, announce: Callable[[str], None]
) -> Iterator[Finding]:
    """Wait for a sign-in in a browser, and yield what it shows.

    ``announce`` is given the address to open. The redirect URL has to be one of this machine, and
    the site must not run there meanwhile.
    """
    parts = urlsplit(redirect_url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        yield _finding(
            Verdict.UNKNOWN,
            problem=f"A sign-in would come back to {redirect_url}, which is not this command.",
            cure="Register http://127.0.0.1:5000/dingtalk/callback as well, and run this command "
            "with DINGTALK_REDIRECT_URI set to it.",
            console=Console.REDIRECT_URL,
        )
        return
    try:
        server = _Server((parts.hostname or "", parts.port or 80), _Handler)
    except OSError as error:
        yield _finding(
            Verdict.UNKNOWN,
            problem=f"This command cannot wait at {redirect_url}: {error.strerror}.",
            cure="Stop the site that runs there, then run this again.",
        )
        return
    state = secrets.token_urlsafe(16)
    with server:
        announce(authorize_url(settings, state=state, redirect_uri=redirect_url))
        returned = server.wait_for(parts.path, state)
    if returned is None:
        yield _finding(
            Verdict.FAILED,
            problem="Nobody came back from DingTalk's pages.",
            cure="Read what DingTalk's page says: if it speaks of redirect_uri, register "
            f"{redirect_url}.",
            console=Console.REDIRECT_URL,
        )
        return
    yield from _finished(settings, returned)


def _finished(settings: Settings, returned: dict[str, str]) -> Iterator[Finding]:
    code = returned.get(wire.CALLBACK_AUTH_CODE) or returned.get(wire.CALLBACK_CODE)
    if not code:
        yield _finding(
            Verdict.FAILED,
            problem=f"DingTalk called back with {returned.get(wire.CALLBACK_ERROR, 'no code')}.",
            cure="Agree on DingTalk's page; whoever may not use the application cannot.",
            console=Console.RELEASE,
        )
        return
    transport = Transport(settings)
    client = Client(transport)
    try:
        token = client.exchange(Secret(code))
        user = client.user(token)
    except DingTalkError as error:
        if error.dingtalk_code in PERMISSION_MISSING:
            yield missing_permission(wire.PERMISSION_USER_READ, "every sign-in", error)
        else:
            yield _failed(error)
        return
    yield _permission_enabled(wire.PERMISSION_USER_READ)
    if user.mobile is None:
        finding = missing_permission(wire.PERMISSION_USER_MOBILE, "mobile", None)
        yield Finding(
            section=finding.section,
            name=finding.name,
            verdict=Verdict.WARNING,
            problem="This profile has no mobile number: the permission is missing, or the account "
            "has none.",
            cure="Enable it if the site uses mobile and state_code.",
            console=finding.console,
        )
    else:
        yield _permission_enabled(wire.PERMISSION_USER_MOBILE)
    try:
        policy.admit(user, settings, Directory(settings, transport))
    except OrganisationNotAllowed as error:
        yield _failed(error, "The settings refuse this person.")
    except DingTalkError as error:
        yield _failed(error)
    else:
        yield _finding(Verdict.OK, value=f"worked; the unionId is {user.union_id}")


class _Server(HTTPServer):
    """Waits for the one request that brings the state back."""

    returned: dict[str, str] | None = None
    expected = ("", "")

    def wait_for(self, path: str, state: str) -> dict[str, str] | None:
        """Return the query of the callback, or ``None`` if it did not come in time."""
        self.expected = (path, state)
        deadline = time.monotonic() + _PATIENCE
        while self.returned is None and (left := deadline - time.monotonic()) > 0:
            self.timeout = left
            self.handle_request()
        return self.returned


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = _REQUEST_TIMEOUT

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if (parts.path, query.get(wire.STATE)) != self.server.expected:
            self.send_error(404)
            return
        self.server.returned = query
        said = html.escape("Back to the terminal. 请回到终端查看结果。")
        page = f"<!doctype html><meta charset=utf-8><title>check</title><p>{said}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - inherited name
        """Log nothing: the address holds a code."""


def _failed(error: DingTalkError, problem: str | None = None) -> Finding:
    hint = error.hint or "try again"
    return _finding(
        Verdict.FAILED,
        problem=f"{problem or 'The sign-in failed:'} {error.detail}.",
        cure=f"{hint[0].upper()}{hint[1:]}.",
        dingtalk=said_by_dingtalk(error),
    )


def _permission_enabled(permission: str) -> Finding:
    return Finding(
        section="dingtalk",
        name=f"permission {permission}",
        verdict=Verdict.OK,
        value="enabled",
    )
