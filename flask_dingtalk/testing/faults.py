"""Injected failures: the next calls of an endpoint fail as the test asked."""

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from werkzeug.wrappers import Response

from ..api import wire
from . import new_api, old_api
from . import wire as testing_wire
from .server import LeaveUnanswered, ResetConnection

Host = Literal["pages", "new_api", "old_api"]

#: [server-api-error-codes-1]
_THROTTLED: Final = "您的企业应用调用钉钉开放平台当前接口的所有请求都被暂时禁用了"
#: DingTalk's own page for a banned address is not published. [call-frequency-limit]
_BAN_PAGE: Final = "<!doctype html><title>punish</title><p>Too many requests, come back later."
_NONSENSE: Final = {
    True: ("<!doctype html><title>Hello</title><p>Not what you asked for.", "text/html"),
    "json": ('{"result":["unexpected"],"success":"perhaps"}', new_api.MIMETYPE),
    "empty": ("", new_api.MIMETYPE),
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One failure; the fields are the arguments of `DingTalkSimulator.fail`."""

    times: int | None = 1
    status: int | None = None
    code: str | int | None = None
    message: str | None = None
    timeout: bool = False
    reset: bool = False
    throttled: bool | Literal["ban", "ban-page"] = False
    nonsense: bool | Literal["json", "empty"] = False
    body: bytes | str | None = None
    headers: Mapping[str, str] | None = None
    after: bool = False

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times must be a positive number, or None for every call from now on.")
        refusal = self.code is not None or self.message is not None
        other = (self.timeout, self.reset, bool(self.throttled), bool(self.nonsense))
        kinds = sum(other) + refusal + (self.body is not None)
        if kinds > 1 or (kinds == 0 and self.status is None):
            raise ValueError(
                "Ask for exactly one kind of failure: timeout, reset, throttled, nonsense, body,"
                " or a refusal with status, code and message."
            )

    @property
    def kind(self) -> str:
        """The name of its kind: that of the argument which asked for it."""
        if self.throttled:
            return "ban" if self.throttled in ("ban", "ban-page") else "throttled"
        for name in ("timeout", "reset", "nonsense", "body"):
            if getattr(self, name):
                return name
        return "status"

    def response(self, host: Host, endpoint: str) -> Response:
        """Return the response, or raise `LeaveUnanswered` or `ResetConnection`."""
        if self.timeout:
            raise LeaveUnanswered
        if self.reset:
            raise ResetConnection
        if self.body is not None:
            response = self._text(self.body, new_api.MIMETYPE)
        elif self.nonsense:
            response = self._text(*_NONSENSE[self.nonsense])
        elif self.throttled:
            response = self._throttled(host, endpoint)
        else:
            response = self._refused(host, endpoint)
        response.headers.update(self.headers or {})
        return response

    def _text(self, text: bytes | str, content_type: str) -> Response:
        return Response(text, self.status or 200, content_type=content_type)

    def _throttled(self, host: Host, endpoint: str) -> Response:
        if self.throttled == "ban-page":
            return self._text(_BAN_PAGE, "text/html; charset=utf-8")
        if self.throttled == "ban":
            ban = {
                wire.BAN_STATUS: wire.BAN_STATUS_VALUE,
                "wait": wire.BAN_SECONDS // 60,
                "source": "x5",
                "punish": "deny",
                "uuid": uuid.uuid4().hex,
            }
            return self._text(json.dumps(ban), "application/json")
        if host == "old_api":
            return old_api.refusal(endpoint, testing_wire.ERRCODE_QPS_LIMIT_APP, _THROTTLED)
        return new_api.ApiError(403, testing_wire.CODE_QPS_LIMIT_APP, _THROTTLED).response()

    def _refused(self, host: Host, endpoint: str) -> Response:
        if host == "old_api" and self.status is None:
            return old_api.refusal(
                endpoint, int(self.code or testing_wire.ERRCODE_BUSY), self.message or "系统繁忙"
            )
        status = self.status or 400
        if host != "new_api":
            # The old API always answers 200, so another status comes from a proxy in front of it.
            return self._text(f"<!doctype html><title>{status}</title>", "text/html")
        code, message = testing_wire.CODE_UNKNOWN_ERROR, "未知错误"
        if status == 429:
            code, message = testing_wire.CODE_BUSY, "请求太频繁"
        error = new_api.ApiError(status, str(self.code or code), self.message or message)
        return error.response()


class Faults:
    """The failures that tests asked for, by endpoint, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Fault]] = defaultdict(list)

    def add(self, endpoint: str, fault: Fault) -> None:
        """Queue a failure."""
        self._waiting[endpoint].append(fault)

    def clear(self) -> None:
        """Forget the failures that have not happened yet."""
        self._waiting.clear()

    def waiting(self) -> dict[str, list[Fault]]:
        """Return the failures that have not happened yet, by endpoint."""
        return {endpoint: list(faults) for endpoint, faults in self._waiting.items() if faults}

    def take(self, endpoint: str) -> Fault | None:
        """Return the failure for this call, if there is one, and count it."""
        queue = self._waiting[endpoint]
        if not queue:
            return None
        fault = queue[0]
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                del queue[0]
        return fault
