"""What DingTalk answered: **the table** of its error codes, and how an error is read.

There is one table for each of DingTalk's two envelopes. It maps a code to a row: the error that it
becomes and what cures it. To support another code, add a line. [server-api-error-codes-1,
common-errors, how-to-process-api-throttling-on-the-dingtalk-server]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
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
    "something other than DingTalk answered (a proxy, a wrong DINGTALK_API_BASE_URL), or DingTalk "
    "banned this server's address for five minutes"
)


class Meaning(Enum):
    """What some codes tell the package to do, besides raising their error."""

    #: The access token was refused; the call may succeed with a new one.
    TOKEN_REFUSED = auto()
    #: The application lacks the permission for this call.
    PERMISSION_MISSING = auto()
    #: The person is not in the organisation, has left it, or has a disabled account there.
    NOT_A_MEMBER = auto()
    #: From the call for an organisation's token: the organisation has not authorised the
    #: application, or does not exist. [api-gettoken]
    UNKNOWN_ORGANISATION = auto()
    #: Client ID and Client Secret were refused.
    CREDENTIALS_REFUSED = auto()
    #: The address of this server is not on the console's list.
    ADDRESS_REFUSED = auto()
    #: The person is outside the visible or the authorised range.
    OUT_OF_RANGE = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """The error that a code becomes, what the developer should do, and how long to wait.

    ``hint`` may contain ``{permissions}`` (the missing ones) and ``{apply}`` (where to apply for
    them).
    """

    error: type[DingTalkError]
    hint: str
    #: Seconds, for ``RateLimited``.
    retry_after: int = 1
    meaning: Meaning | None = field(default=None, compare=False)


_CREDENTIALS: Final = Row(
    ConfigurationError,
    "DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET do not belong together or are wrong, or the "
    "application was never released: copy both from the console, 基础信息 > 凭证与基础信息 (basic "
    "information > credentials), and release a version under 应用发布 > 版本管理与发布",
    meaning=Meaning.CREDENTIALS_REFUSED,
)
_SIGN_IN_AGAIN: Final = Row(
    InvalidCode, "the user has to sign in again; a code works once and for five minutes"
)
_PERMISSION: Final = Row(
    ConfigurationError,
    "enable the permission {permissions} in the console, 开发配置 > 权限管理 (development > "
    "permissions), or here: {apply}",
    meaning=Meaning.PERMISSION_MISSING,
)
_IP: Final = Row(
    ConfigurationError,
    "add this server's address to the console's list, 开发配置 > 安全设置 > 服务器出口IP "
    "(development > security > egress IPs), or empty that list",
    meaning=Meaning.ADDRESS_REFUSED,
)
_TOKEN: Final = Row(
    DingTalkAPIError,
    "the access token has expired, was never valid or is of the wrong kind; if the user's refresh "
    "token has expired as well, they have to sign in again",
    meaning=Meaning.TOKEN_REFUSED,
)
#: The same advice, but a new token has not been seen to help.
_WRONG_ORGANISATION: Final = replace(_TOKEN, meaning=None)
_WRONG_CALL: Final = Row(
    DingTalkAPIError,
    "the call itself is wrong: compare method, path and parameters with DingTalk's document",
)
_RELEASE: Final = Row(
    ConfigurationError,
    "the organisation has not authorised the application, or the corp id is wrong: release a "
    "version in the console, 应用发布 > 版本管理与发布, and look at its visible range",
)
_SWITCHED_OFF: Final = Row(
    ConfigurationError,
    "the application is switched off or may not use this API: look at it in the console",
)
_REDIRECT_URL: Final = Row(
    ConfigurationError, "register the redirect URL: 开发配置 > 安全设置 > 重定向URL"
)
_CLOSED: Final = Row(
    ConfigurationError, "DingTalk has closed this organisation: ask its administrator"
)
_DEPARTMENT: Final = Row(
    ConfigurationError,
    "the department is outside the application's range: console, 应用发布 > 版本管理与发布 > "
    "可使用范围设置 (visible range), and 权限管理 > 通讯录 > 授权范围 (authorised range)",
)
_PERSON: Final = Row(
    OrganisationNotAllowed,
    "the person is outside the application's range; if they should get in, widen it in the "
    "console, 应用发布 > 版本管理与发布 > 可使用范围设置 (visible range), and 权限管理 > 通讯录 > "
    "授权范围 (authorised range)",
    meaning=Meaning.OUT_OF_RANGE,
)
_NOT_FOUND: Final = Row(
    DingTalkAPIError, "DingTalk does not know this person, or not in this organisation"
)
_NOT_A_MEMBER: Final = replace(_NOT_FOUND, meaning=Meaning.NOT_A_MEMBER)
_DISABLED: Final = Row(
    DingTalkAPIError, "the person's account is disabled", meaning=Meaning.NOT_A_MEMBER
)
_SLOW_DOWN: Final = Row(RateLimited, "too many calls per second: wait, then call less often")
_SLOW_DOWN_MINUTE: Final = Row(
    RateLimited, "too many calls per minute: wait a minute, then call less often", 60
)
_EVERYBODY: Final = Row(
    RateLimited, "all applications together call this API too often: back off 1, 2, 4 seconds", 4
)
_QUOTA: Final = Row(
    RateLimited,
    "the organisation's monthly quota is used up: its administrator can raise it",
    3600,
)
_BANNED: Final = Row(
    RateLimited,
    "this server's address is banned for five minutes: stop calling, then call less often",
    wire.BAN_SECONDS,
)
_DINGTALK_SIDE: Final = Row(
    DingTalkUnavailable, "a failure on DingTalk's side: try again, at most three times"
)

#: The new API, ``api.dingtalk.com``: by the whole ``code``.
NEW_API: Final[Mapping[str, Row]] = {
    "invalidParameter.authCode.notFound": _SIGN_IN_AGAIN,
    "invalidCode": _SIGN_IN_AGAIN,
    "invalidParameter.idOrSecret.notFound": _CREDENTIALS,
    "invalidClientIdOrSecret": _CREDENTIALS,
    "authFailed": _CREDENTIALS,
    "invalid.client": _CREDENTIALS,
    "unauthorized.client": replace(_RELEASE, meaning=Meaning.UNKNOWN_ORGANISATION),
    "unsupported.grant.type": _WRONG_CALL,
    "InvalidAuthentication": _TOKEN,
    "accesstoken.expired": _TOKEN,
    "invalidToken": _TOKEN,
    "AuthenticationFailed.MissingParameter": _WRONG_CALL,
    "Missingbody": _WRONG_CALL,
    "apiPermissionDenied": _PERMISSION,
    "Forbidden.AccessDenied.AccessTokenPermissionDenied": _PERMISSION,
    "Forbidden.AccessDenied.IpNotInWhiteList": _IP,
    "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": _SLOW_DOWN,
    "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi": _SLOW_DOWN_MINUTE,
    "Forbidden.AccessDenied.QpsLimitForSuitekeyAndOrgAndApi": _SLOW_DOWN,
    "Forbidden.AccessDenied.QpmLimitForSuitekeyAndOrgAndApi": _SLOW_DOWN_MINUTE,
    "Forbidden.AccessDenied.QpsLimitForApi": _EVERYBODY,
    "Forbidden.AccessDenied.ApiCountLimitForOrg": _QUOTA,
    "invalidParameter.user.notFound": _NOT_FOUND,
    "InvalidAction.NotFound": _WRONG_CALL,
    "unknownError": replace(_DINGTALK_SIDE, meaning=Meaning.UNKNOWN_ORGANISATION),
    "server.error": _DINGTALK_SIDE,
}

#: The old API, ``oapi.dingtalk.com``: by the effective code, unwrapped from 88.
OLD_API: Final[Mapping[int, Row]] = {
    -1: _DINGTALK_SIDE,
    15: _DINGTALK_SIDE,
    22: _WRONG_CALL,
    404: _WRONG_CALL,
    33001: _TOKEN,
    33012: _NOT_FOUND,
    40000: _WRONG_CALL,
    400002: _WRONG_CALL,
    40001: _TOKEN,
    40003: _NOT_FOUND,
    40013: _WRONG_ORGANISATION,
    40014: _TOKEN,
    40029: _SIGN_IN_AGAIN,
    40035: _WRONG_CALL,
    40038: _WRONG_CALL,
    40078: _SIGN_IN_AGAIN,
    40079: _PERSON,
    40089: _CREDENTIALS,
    40096: _CREDENTIALS,
    40102: _SIGN_IN_AGAIN,
    41001: _WRONG_CALL,
    41009: _WRONG_CALL,
    41026: _SIGN_IN_AGAIN,
    42001: _TOKEN,
    42008: _SIGN_IN_AGAIN,
    43001: _WRONG_CALL,
    43002: _WRONG_CALL,
    43005: _WRONG_CALL,
    43007: _WRONG_CALL,
    44002: _WRONG_CALL,
    48002: _SWITCHED_OFF,
    50001: _REDIRECT_URL,
    50002: _PERSON,
    50003: _SWITCHED_OFF,
    50004: _DEPARTMENT,
    50005: _CLOSED,
    60011: _PERMISSION,
    60020: _IP,
    # Seen where 60121 is documented.
    60111: _NOT_A_MEMBER,
    60120: _DISABLED,
    60121: _NOT_A_MEMBER,
    70001: _CLOSED,
    **dict.fromkeys((*range(90001, 90015), 90017, 90018), _SLOW_DOWN),
    90002: _EVERYBODY,
    90020: _QUOTA,
}


def _rows_that_mean(
    meaning: Meaning, *tables: Mapping[str, Row] | Mapping[int, Row]
) -> dict[str, Row]:
    """Return the rows with a meaning by their codes, spelled as in ``dingtalk_code``."""
    return {
        str(code): row for table in tables for code, row in table.items() if row.meaning is meaning
    }


#: Where the new API refused the token.
TOKEN_REFUSED: Final = _rows_that_mean(Meaning.TOKEN_REFUSED, NEW_API).keys()
#: Where the old API refused the token, which is the application's own.
APP_TOKEN_REFUSED: Final = _rows_that_mean(Meaning.TOKEN_REFUSED, OLD_API).keys()
NOT_A_MEMBER: Final = _rows_that_mean(Meaning.NOT_A_MEMBER, OLD_API).keys()
CREDENTIALS_REFUSED: Final = _rows_that_mean(Meaning.CREDENTIALS_REFUSED, NEW_API, OLD_API).keys()
ADDRESS_REFUSED: Final = _rows_that_mean(Meaning.ADDRESS_REFUSED, NEW_API, OLD_API).keys()
OUT_OF_RANGE: Final = _rows_that_mean(Meaning.OUT_OF_RANGE, NEW_API, OLD_API).keys()
PERMISSION_MISSING: Final = _rows_that_mean(Meaning.PERMISSION_MISSING, NEW_API, OLD_API).keys()
#: By code, the error that it becomes.
UNKNOWN_ORGANISATION: Final[Mapping[str, type[DingTalkError]]] = {
    code: row.error for code, row in _rows_that_mean(Meaning.UNKNOWN_ORGANISATION, NEW_API).items()
}

#: How many characters of a text of DingTalk's are quoted.
_MAX_TEXT: Final = 300
#: Seconds. A longer time in a header is cut to this.
_MAX_RETRY_AFTER: Final = 3600


def json_object(response: Response) -> dict[str, Any]:
    """Return the JSON object in an answer; raise ``DingTalkUnavailable`` if there is none."""
    content = _json(response)
    if not isinstance(content, dict):
        raise DingTalkUnavailable("DingTalk did not answer with a JSON object", hint=NONSENSE)
    return content


def error_of(
    response: Response, client_id: str, secrets: Iterable[Secret] = ()
) -> DingTalkError | None:
    """Return the error that an answer of DingTalk reports, or ``None`` if it reports none.

    ``client_id`` goes into the link that applies for a missing permission. If DingTalk quotes one
    of the ``secrets``, the error shows asterisks instead.
    """
    status = response.status_code
    if 300 <= status < 400:
        return DingTalkUnavailable(f"DingTalk answered HTTP {status}, a redirect", hint=NONSENSE)
    hidden = tuple(secret for secret in secrets if secret.reveal())
    error = _Reader(client_id, hidden).error(status, _json(response))
    if error is None and response.headers.get("Content-Type", "").lower().startswith("text/html"):
        # No API answers with a page, but a banned address may get one, with status 200.
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
                "DingTalk banned this address",
                retry_after=_BANNED.retry_after,
                hint=_BANNED.hint,
            )
        # An unknown path of the new API can answer 200 with the old API's envelope.
        code = next((content[key] for key in content if key.lower() == wire.ERRCODE), None)
        if _number(code) not in (None, wire.ERRCODE_OK):
            return self._old(_folded(content))
        return None if status < 400 else self._new(status, _folded(content))

    def _new(self, status: int, content: dict[str, Any]) -> DingTalkError:
        code = content.get(wire.ERROR_CODE)
        row = NEW_API.get(code) if isinstance(code, str) else None
        # DingTalk's own codes need no masking. A secret of one letter would mask part of each.
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
        row = OLD_API.get(code if code is not None else 0, _WRONG_CALL)
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
        """Make a text of DingTalk's fit for a log line: without secrets, on one line, short."""
        if value is None:
            return None
        text = str(value)
        for secret in self.secrets:
            text = text.replace(secret.reveal(), "***")
        text = text[:_MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
        return "".join(character if character.isprintable() else " " for character in text)


def _without_code(status: int, code: str | None, said: dict[str, Any]) -> DingTalkError:
    # Some codes come with throttling and with failures (`system.busy`): the status decides.
    if status == 429:
        return RateLimited("DingTalk throttles", hint=_SLOW_DOWN.hint, **said)
    answered = f"DingTalk answered HTTP {status}"
    if status >= 500 or code is None:
        return DingTalkUnavailable(answered, hint=_DINGTALK_SIDE.hint, **said)
    return DingTalkAPIError(answered, hint=_WRONG_CALL.hint, **said)


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
    """Read a number; some of DingTalk's samples put codes in quotes."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return int(str(value)) if isinstance(value, int | str) else None
    except ValueError:
        return None
