"""What DingTalk answered: **the table** of its error codes, and how an error is read.

One row for each code, in one table for each of DingTalk's two envelopes: what it means here, and
what cures it. To support another code, add a row. [server-api-error-codes-1, common-errors,
how-to-process-api-throttling-on-the-dingtalk-server]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ..errors import (
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    InvalidCode,
    OrganisationNotAllowed,
    RateLimited,
)
from . import wire

if TYPE_CHECKING:
    from requests import Response

    from ..secret import Secret

NONSENSE: Final = (
    "something else than DingTalk answered (a proxy, a wrong DINGTALK_API_BASE_URL), or DingTalk "
    "banned this server's address for five minutes"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One code: the error it becomes, what the developer should do, and how long to wait.

    ``hint`` may name ``{permissions}`` (those missing) and ``{apply}`` (where to apply for them).
    """

    error: type[DingTalkError]
    hint: str
    #: Seconds, for ``RateLimited``.
    retry_after: int = 1


_CREDENTIALS: Final = (
    "DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET do not belong together or are wrong, or the "
    "application was never released: copy both from the console, 基础信息 > 凭证与基础信息 (basic "
    "information > credentials), and release a version under 应用发布 > 版本管理与发布"
)
_SIGN_IN_AGAIN: Final = "the user has to sign in again; a code works once and for five minutes"
_PERMISSION: Final = (
    "enable the permission {permissions} in the console, 开发配置 > 权限管理 (development > "
    "permissions), or here: {apply}"
)
_IP: Final = (
    "add this server's address to the console's list, 开发配置 > 安全设置 > 服务器出口IP "
    "(development > security > egress IPs), or empty that list"
)
_TOKEN: Final = (
    "the access token has expired, was never valid or is of the wrong kind; a user whose refresh "
    "token has ended as well has to sign in again"
)
_DEVELOPER: Final = (
    "the call itself is wrong: compare method, path and parameters with DingTalk's document"
)
_RELEASE: Final = (
    "the organisation has not authorised the application, or the corp id is wrong: release a "
    "version in the console, 应用发布 > 版本管理与发布, and look at its visible range"
)
_SWITCHED_OFF: Final = (
    "the application is switched off or closed to this API: look at it in the console"
)
_CLOSED: Final = "DingTalk has closed this organisation: ask its administrator"
_DEPARTMENT: Final = (
    "the department is outside the application's range: console, 应用发布 > 版本管理与发布 > "
    "可使用范围设置 (visible range), and 权限管理 > 通讯录 > 授权范围 (authorised range)"
)
_PERSON: Final = (
    "the person is outside the application's range; if they should get in, widen it in the "
    "console, 应用发布 > 版本管理与发布 > 可使用范围设置 (visible range), and 权限管理 > 通讯录 > "
    "授权范围 (authorised range)"
)
_NOT_FOUND: Final = "DingTalk does not know this person, or not in this organisation"
_SLOW_DOWN: Final = "too many calls per second: wait, then call less often"
_SLOW_DOWN_MINUTE: Final = "too many calls per minute: wait a minute, then call less often"
_EVERYBODY: Final = "all applications together call this API too often: back off 1, 2, 4 seconds"
_QUOTA: Final = "the organisation's monthly quota is used up: its administrator can raise it"
_BANNED: Final = (
    "this server's address is banned for five minutes: stop calling, then call less often"
)
_DINGTALK_SIDE: Final = "a failure on DingTalk's side: try again, at most three times"

#: The new API, ``api.dingtalk.com``: by the whole ``code``.
NEW_API: Final[Mapping[str, Row]] = {
    "invalidParameter.authCode.notFound": Row(InvalidCode, _SIGN_IN_AGAIN),
    "invalidCode": Row(InvalidCode, _SIGN_IN_AGAIN),
    "invalidParameter.idOrSecret.notFound": Row(ConfigurationError, _CREDENTIALS),
    "invalidClientIdOrSecret": Row(ConfigurationError, _CREDENTIALS),
    "invalid.client": Row(ConfigurationError, _CREDENTIALS),
    "unauthorized.client": Row(ConfigurationError, _RELEASE),
    "unsupported.grant.type": Row(DingTalkAPIError, _DEVELOPER),
    "InvalidAuthentication": Row(DingTalkAPIError, _TOKEN),
    "accesstoken.expired": Row(DingTalkAPIError, _TOKEN),
    "invalidToken": Row(DingTalkAPIError, _TOKEN),
    "AuthenticationFailed.MissingParameter": Row(DingTalkAPIError, _DEVELOPER),
    "Missingbody": Row(DingTalkAPIError, _DEVELOPER),
    "apiPermissionDenied": Row(ConfigurationError, _PERMISSION),
    "Forbidden.AccessDenied.AccessTokenPermissionDenied": Row(ConfigurationError, _PERMISSION),
    "Forbidden.AccessDenied.IpNotInWhiteList": Row(ConfigurationError, _IP),
    "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": Row(RateLimited, _SLOW_DOWN),
    "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi": Row(RateLimited, _SLOW_DOWN_MINUTE, 60),
    "Forbidden.AccessDenied.QpsLimitForSuitekeyAndOrgAndApi": Row(RateLimited, _SLOW_DOWN),
    "Forbidden.AccessDenied.QpmLimitForSuitekeyAndOrgAndApi": Row(
        RateLimited, _SLOW_DOWN_MINUTE, 60
    ),
    "Forbidden.AccessDenied.QpsLimitForApi": Row(RateLimited, _EVERYBODY, 4),
    "Forbidden.AccessDenied.ApiCountLimitForOrg": Row(RateLimited, _QUOTA, 3600),
    "invalidParameter.user.notFound": Row(DingTalkAPIError, _NOT_FOUND),
    "InvalidAction.NotFound": Row(DingTalkAPIError, _DEVELOPER),
    "unknownError": Row(DingTalkUnavailable, _DINGTALK_SIDE),
    "server.error": Row(DingTalkUnavailable, _DINGTALK_SIDE),
}

#: The old API, ``oapi.dingtalk.com``: by the effective code, unwrapped from 88.
OLD_API: Final[Mapping[int, Row]] = {
    -1: Row(DingTalkUnavailable, _DINGTALK_SIDE),
    15: Row(DingTalkUnavailable, _DINGTALK_SIDE),
    22: Row(DingTalkAPIError, _DEVELOPER),
    404: Row(DingTalkAPIError, _DEVELOPER),
    33001: Row(DingTalkAPIError, _TOKEN),
    33012: Row(DingTalkAPIError, _NOT_FOUND),
    40000: Row(DingTalkAPIError, _DEVELOPER),
    400002: Row(DingTalkAPIError, _DEVELOPER),
    40001: Row(DingTalkAPIError, _TOKEN),
    40003: Row(DingTalkAPIError, _NOT_FOUND),
    40013: Row(DingTalkAPIError, _TOKEN),
    40014: Row(DingTalkAPIError, _TOKEN),
    40029: Row(InvalidCode, _SIGN_IN_AGAIN),
    40035: Row(DingTalkAPIError, _DEVELOPER),
    40038: Row(DingTalkAPIError, _DEVELOPER),
    40078: Row(InvalidCode, _SIGN_IN_AGAIN),
    40079: Row(OrganisationNotAllowed, _PERSON),
    40089: Row(ConfigurationError, _CREDENTIALS),
    40096: Row(ConfigurationError, _CREDENTIALS),
    40102: Row(InvalidCode, _SIGN_IN_AGAIN),
    41001: Row(DingTalkAPIError, _DEVELOPER),
    41009: Row(DingTalkAPIError, _DEVELOPER),
    41026: Row(InvalidCode, _SIGN_IN_AGAIN),
    42001: Row(DingTalkAPIError, _TOKEN),
    42008: Row(InvalidCode, _SIGN_IN_AGAIN),
    43001: Row(DingTalkAPIError, _DEVELOPER),
    43002: Row(DingTalkAPIError, _DEVELOPER),
    43005: Row(DingTalkAPIError, _DEVELOPER),
    43007: Row(DingTalkAPIError, _DEVELOPER),
    44002: Row(DingTalkAPIError, _DEVELOPER),
    48002: Row(ConfigurationError, _SWITCHED_OFF),
    50001: Row(ConfigurationError, "register the redirect URL: 开发配置 > 安全设置 > 重定向URL"),
    50002: Row(OrganisationNotAllowed, _PERSON),
    50003: Row(ConfigurationError, _SWITCHED_OFF),
    50004: Row(ConfigurationError, _DEPARTMENT),
    50005: Row(ConfigurationError, _CLOSED),
    60011: Row(ConfigurationError, _PERMISSION),
    60020: Row(ConfigurationError, _IP),
    60111: Row(DingTalkAPIError, _NOT_FOUND),
    60120: Row(DingTalkAPIError, "the person's account is disabled"),
    60121: Row(DingTalkAPIError, _NOT_FOUND),
    70001: Row(ConfigurationError, _CLOSED),
    **{code: Row(RateLimited, _SLOW_DOWN) for code in (*range(90001, 90015), 90017, 90018)},
    90002: Row(RateLimited, _EVERYBODY, 4),
    90020: Row(RateLimited, _QUOTA, 3600),
}

#: DingTalk refused the access token; a fresh one may help.
TOKEN_REFUSED: Final = frozenset(code for code, row in NEW_API.items() if row.hint is _TOKEN)

#: The same on the old API, of the application's own token. Any of these a fresh one can cure.
APP_TOKEN_REFUSED: Final = frozenset({"40014", "42001", "40001", "33001"})
#: The person is not in the organisation, or not any more, or has a disabled account there. 60111
#: instead of 60121 has been seen.
NOT_A_MEMBER: Final = frozenset({"60121", "60111", "60120"})
#: What the call for an organisation's token answers where the organisation has not authorised the
#: application, or does not exist. [api-gettoken]
UNKNOWN_ORGANISATION: Final[Mapping[str, type[DingTalkError]]] = {
    "unauthorized.client": ConfigurationError,
    "unknownError": DingTalkUnavailable,
}
#: The application lacks the permission for this call.
PERMISSION_MISSING: Final = frozenset(
    str(code)
    for table in (NEW_API, OLD_API)
    for code, row in table.items()
    if row.hint is _PERMISSION
)

#: DingTalk's texts are quoted, but not at any length.
_MAX_TEXT: Final = 300
#: Seconds; nobody has to wait longer than this because a header says so.
_MAX_RETRY_AFTER: Final = 3600


def json_object(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer; raise ``DingTalkUnavailable`` if it is none."""
    content = _json(response)
    if not isinstance(content, dict):
        raise DingTalkUnavailable("DingTalk did not answer with a JSON object", hint=NONSENSE)
    return content


def error_of(
    response: Response, client_id: str, secrets: Iterable[Secret] = ()
) -> DingTalkError | None:
    """Return the error that an answer of DingTalk reports, or ``None`` if it reports none.

    ``client_id`` goes into the link that applies for a missing permission. Where DingTalk quotes
    one of the ``secrets``, asterisks stand in its place.
    """
    status = response.status_code
    if 300 <= status < 400:
        return DingTalkUnavailable(f"DingTalk answered HTTP {status}, a redirect", hint=NONSENSE)
    hidden = tuple(secret for secret in secrets if secret.reveal())
    error = _Reader(client_id, hidden).error(status, _json(response))
    if error is None and response.headers.get("Content-Type", "").lower().startswith("text/html"):
        # No API answers with a page; a ban of this address may, with status 200.
        return DingTalkUnavailable("DingTalk answered with a web page", hint=NONSENSE)
    if isinstance(error, RateLimited):
        error.retry_after = _retry_after(response) or error.retry_after
    return error


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads errors on behalf of one application, without the secrets of one call."""

    client_id: str
    secrets: tuple[Secret, ...]

    def error(self, status: int, content: object) -> DingTalkError | None:
        if not isinstance(content, dict):
            return None if status < 400 else _without_code(status, None, {})
        if content.get(wire.BAN_STATUS) == wire.BAN_STATUS_VALUE:
            return RateLimited(
                "DingTalk banned this address", retry_after=wire.BAN_SECONDS, hint=_BANNED
            )
        # An unknown path of the new API can answer 200 with the old API's envelope.
        code = next((content[key] for key in content if key.lower() == wire.ERRCODE), None)
        if _number(code) not in (None, wire.ERRCODE_OK):
            return self._old(_folded(content))
        return None if status < 400 else self._new(status, _folded(content))

    def _new(self, status: int, content: dict[str, Any]) -> DingTalkError:
        code = content.get(wire.ERROR_CODE)
        row = NEW_API.get(code) if isinstance(code, str) else None
        # A made-up code of one letter is part of many of DingTalk's own: hide it in others only.
        code = code if row is not None else self._quoted(code)
        said = {
            "dingtalk_code": code,
            "dingtalk_message": self._quoted(content.get(wire.ERROR_MESSAGE)),
            "request_id": self._quoted(content.get(wire.ERROR_REQUEST_ID)),
        }
        if row is None:
            return _without_code(status, code, said)
        detail = content.get(wire.ERROR_ACCESS_DENIED_DETAIL)
        required = None
        if isinstance(detail, dict):
            required = _folded(detail).get(_fold(wire.ERROR_REQUIRED_SCOPES))
        names = required if isinstance(required, list) else []
        return self._build(row, said, [self._quoted(name) or "" for name in names[:9]])

    def _old(self, content: dict[str, Any]) -> DingTalkError:
        outer = _number(content.get(wire.ERRCODE))
        wrapped = outer == wire.ERRCODE_WRAPPED
        inner = _number(content.get(_fold(wire.SUB_CODE))) if wrapped else None
        code = outer if inner is None else inner
        message = None if inner is None else content.get(_fold(wire.SUB_MSG))
        said = {
            "dingtalk_code": str(code),
            "dingtalk_message": self._quoted(message or content.get(wire.ERRMSG)),
            "request_id": self._quoted(content.get(_fold(wire.OAPI_REQUEST_ID))),
        }
        row = OLD_API.get(code if code is not None else 0, Row(DingTalkAPIError, _DEVELOPER))
        return self._build(row, said, [])

    def _build(self, row: Row, said: dict[str, Any], permissions: list[str]) -> DingTalkError:
        names = ", ".join(permissions) or "that DingTalk's message names"
        apply = wire.CONSOLE_URL
        if permissions:
            apply = wire.PERMISSION_APPLY_URL.format(
                client_id=self.client_id, permission=quote(permissions[0])
            )
        hint = row.hint.format(permissions=names, apply=apply)
        if issubclass(row.error, RateLimited):
            return row.error("DingTalk throttles", retry_after=row.retry_after, hint=hint, **said)
        return row.error("DingTalk refused the call", hint=hint, **said)

    def _quoted(self, value: object) -> str | None:
        """Make a text of DingTalk's fit for a log line: no secret, on one line, short."""
        if value is None:
            return None
        text = str(value)
        for secret in self.secrets:
            text = text.replace(secret.reveal(), "***")
        text = text[:_MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
        return "".join(character if character.isprintable() else " " for character in text)


def _without_code(status: int, code: str | None, said: dict[str, Any]) -> DingTalkError:
    # One code can stand for throttling and for a failure; there the status decides.
    if status == 429:
        return RateLimited("DingTalk throttles", hint=_SLOW_DOWN, **said)
    if status >= 500 or code is None:
        return DingTalkUnavailable(f"DingTalk answered HTTP {status}", hint=_DINGTALK_SIDE, **said)
    return DingTalkAPIError(f"DingTalk answered HTTP {status}", hint=_DEVELOPER, **said)


def _retry_after(response: Response) -> int | None:
    """Return the seconds in ``Retry-After``, a number or a date (RFC 9110, section 10.2.3)."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        seconds = float(said[:9])
    else:
        try:
            moment = parsedate_to_datetime(said)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(int(seconds + 0.5), 1), _MAX_RETRY_AFTER)


def _json(response: Response) -> object:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _folded(content: Mapping[str, Any]) -> dict[str, Any]:
    return {_fold(key): value for key, value in content.items()}


def _fold(key: str) -> str:
    """Reduce the spellings of a key to one: ``requestid``, ``RequestId``, ``request_id``."""
    return key.lower().replace("_", "")


def _number(value: object) -> int | None:
    """Read a code, which samples of the documents put in quotes."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return int(str(value)) if isinstance(value, int | str) else None
    except ValueError:
        return None
