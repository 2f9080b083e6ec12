"""One call at a time, with everything that came back: for whoever looks for a mistake in a set-up.

The other modules of this package turn an answer into a value or an error. Here the answer of a
proxy, a redirect and the server's clock matter as well, so nothing is tried twice.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin, urlsplit

import requests

from ..errors import DingTalkError, RateLimited
from ..secret import Secret, without_inner_frames
from . import wire
from .error_codes import error_of
from .http import Deadline, DingTalkSession, NoAuth

if TYPE_CHECKING:
    from ..settings import Settings

#: A code and a unionId that DingTalk gave to nobody.
_MADE_UP: Final = "flask-dingtalk-check"
#: How many redirects of the sign-in page are followed on its own host.
_MAX_REDIRECTS: Final = 4


class Came(Enum):
    """What came back."""

    #: An answer in the form of DingTalk's APIs, which may be an error.
    ANSWER = "answer"
    #: A web page.
    PAGE = "page"
    #: A redirect to somewhere else.
    REDIRECT = "redirect"
    #: What DingTalk answers to an address that it has banned.
    BAN = "ban"
    #: Anything else.
    NONSENSE = "nonsense"
    #: No answer: the host name does not exist.
    NO_SUCH_NAME = "no such name"
    #: No answer: nothing listens at that address.
    NOBODY = "nobody"
    #: No answer: the certificate is not valid.
    BAD_CERTIFICATE = "bad certificate"
    #: No answer: the proxy named in the environment does not forward the call.
    PROXY = "proxy"
    #: No answer in time.
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from one call."""

    came: Came
    #: Where the call went: scheme and host.
    origin: str
    status: int | None = None
    #: The clock of whoever answered, and that of this machine in the middle of the call.
    date: datetime | None = None
    local_date: datetime | None = None
    #: Where a redirect leads: scheme and host.
    target: str | None = None
    #: The JSON object of an answer. It may hold tokens.
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: The text of a page.
    text: str = field(default="", repr=False)
    #: The error that an answer reports.
    error: DingTalkError | None = None

    @property
    def clock_ahead(self) -> float | None:
        """By how many seconds this machine's clock is ahead of DingTalk's, if that is known."""
        if self.date is None or self.local_date is None:
            return None
        return (self.local_date - self.date).total_seconds()


class Probe:
    """Calls DingTalk as the application; each method makes one call and raises no error for it."""

    @without_inner_frames
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = DingTalkSession(settings)
        self._client_secret = Secret(settings.client_secret)

    @without_inner_frames
    def app_token(self) -> Reply:
        """Ask for the application's own token.

        [obtain-the-access-token-of-an-internal-app]
        """
        return self._new_api(
            wire.APP_ACCESS_TOKEN_PATH,
            {
                wire.APP_KEY: self._settings.client_id,
                wire.APP_SECRET: self._settings.client_secret,
            },
        )

    @without_inner_frames
    def organisation_token(self, corp_id: str) -> Reply:
        """Ask for the token with which the application acts in an organisation. [api-gettoken]"""
        return self._new_api(
            wire.CORP_TOKEN_PATH.format(corpId=quote(corp_id, safe="")),
            {
                wire.CORP_TOKEN_CLIENT_ID: self._settings.client_id,
                wire.CORP_TOKEN_CLIENT_SECRET: self._settings.client_secret,
                wire.CORP_TOKEN_GRANT_TYPE: wire.GRANT_CLIENT_CREDENTIALS,
            },
        )

    @without_inner_frames
    def made_up_code(self) -> Reply:
        """Exchange a code that nobody was given: good credentials get an error about the code."""
        return self._new_api(
            wire.USER_ACCESS_TOKEN_PATH,
            {
                wire.TOKEN_CLIENT_ID: self._settings.client_id,
                wire.TOKEN_CLIENT_SECRET: self._settings.client_secret,
                wire.TOKEN_CODE: _MADE_UP,
                wire.TOKEN_GRANT_TYPE: wire.GRANT_AUTHORIZATION_CODE,
            },
        )

    @without_inner_frames
    def made_up_in_app_code(self, app_token: Secret) -> Reply:
        """Ask whose a code is that no client gave to anybody."""
        return self._old_api(wire.GET_USER_INFO_PATH, app_token, {wire.USER_INFO_CODE: _MADE_UP})

    @without_inner_frames
    def member(self, app_token: Secret, union_id: str | None) -> Reply:
        """Ask for the userid of a person, or of somebody who does not exist."""
        return self._old_api(
            wire.GET_BY_UNION_ID_PATH, app_token, {wire.UNION_ID: union_id or _MADE_UP}
        )

    @without_inner_frames
    def record(self, app_token: Secret, user_id: str) -> Reply:
        """Ask for the record of a member."""
        return self._old_api(wire.USER_GET_PATH, app_token, {wire.USER_ID: user_id})

    @without_inner_frames
    def sign_in_page(self, url: str) -> Reply:
        """Load DingTalk's sign-in page as a browser would, in Chinese, without running scripts."""
        origin = _origin(url)
        headers = {"Accept": "text/html", "Accept-Language": "zh-CN"}
        reply = self._send("GET", url, headers=headers)
        for _ in range(_MAX_REDIRECTS):
            if reply.target != origin:
                break
            reply = self._send("GET", reply.text, headers=headers)
        return reply

    def _new_api(self, path: str, fields: Mapping[str, str]) -> Reply:
        return self._send("POST", self._settings.api_base_url + path, json=fields)

    def _old_api(self, path: str, app_token: Secret, fields: Mapping[str, str]) -> Reply:
        form = {wire.OAPI_ACCESS_TOKEN: app_token.reveal(), **fields}
        return self._send(
            "POST", self._settings.oapi_base_url + path, data=form, secrets=(app_token,)
        )

    def _send(
        self, method: str, url: str, *, secrets: tuple[Secret, ...] = (), **arguments: Any
    ) -> Reply:
        origin, began = _origin(url), time.time()
        try:
            response = self._http.request(
                method,
                url,
                auth=NoAuth(),
                allow_redirects=False,
                timeout=Deadline(*self._settings.timeout),
                **arguments,
            )
        except requests.RequestException as error:
            return Reply(_what_failed(error), origin)
        middle = (began + time.time()) / 2
        return self._read(response, origin, middle, secrets)

    def _read(
        self,
        response: requests.Response,
        origin: str,
        middle: float,
        secrets: tuple[Secret, ...],
    ) -> Reply:
        location = response.headers.get("Location", "")
        content = _json_object(response)
        is_page = "html" in response.headers.get("Content-Type", "").lower()
        error = error_of(
            response, self._settings.client_id, secrets=[self._client_secret, *secrets]
        )
        text, target = "", None
        if 300 <= response.status_code < 400:
            came = Came.REDIRECT
            text = urljoin(response.url, location)
            target = _origin(text)
        elif isinstance(error, RateLimited) and error.dingtalk_code is None and content:
            came = Came.BAN
        elif content:
            came = Came.ANSWER
        elif is_page:
            came, text = Came.PAGE, response.content.decode("utf-8", "replace")
        else:
            came = Came.NONSENSE
        return Reply(
            came,
            origin,
            status=response.status_code,
            date=_date(response.headers.get("Date", "")),
            local_date=datetime.fromtimestamp(middle, UTC),
            target=target,
            content=content,
            text=text,
            error=error if came is Came.ANSWER else None,
        )


def _what_failed(error: requests.RequestException) -> Came:
    if isinstance(error, requests.exceptions.ProxyError):
        return Came.PROXY
    if isinstance(error, requests.exceptions.SSLError):
        return Came.BAD_CERTIFICATE
    if isinstance(error, requests.Timeout):
        return Came.TIMEOUT
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return Came.NONSENSE
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return Came.NO_SUCH_NAME
        if isinstance(cause, ssl.SSLError):
            return Came.BAD_CERTIFICATE
    return Came.NOBODY


def _causes(error: BaseException) -> list[BaseException]:
    """Return what an error of requests was made of: its arguments, reasons and causes."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            waiting += [*each.args, each.__cause__, each.__context__, getattr(each, "reason", None)]
    return found


def _json_object(response: requests.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _date(text: str) -> datetime | None:
    """Read a ``Date`` header (RFC 9110, section 6.6.1)."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that makes no sense"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
