"""What a test wants to go wrong: the next calls of an endpoint fail in the way it asks for."""

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from werkzeug.wrappers import Response

from ..api import wire
from . import oapi, openapi
from .server import ConnectionCut, NoAnswer

Host = Literal["pages", "openapi", "oapi"]

#: [server-api-error-codes-1]
_THROTTLED: Final = "您的企业应用调用钉钉开放平台当前接口的所有请求都被暂时禁用了"
#: Stands for the page of a ban; DingTalk's own is not published. [call-frequency-limit]
_BAN_PAGE: Final = "<!doctype html><title>punish</title><p>Too many requests, come back later."
_NONSENSE: Final = {
    True: ("<!doctype html><title>Hello</title><p>Not what you asked for.", "text/html"),
    "json": ('{"result":["unexpected"],"success":"perhaps"}', openapi.MIMETYPE),
    "empty": ("", openapi.MIMETYPE),
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One way to fail; the fields are the arguments of `DingTalkSimulator.fail`."""

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
            raise ValueError("times is a positive number, or None for every call from now on.")
        refused = self.code is not None or self.message is not None
        other = (self.timeout, self.reset, bool(self.throttled), bool(self.nonsense))
        ways = sum(other) + refused + (self.body is not None)
        if ways > 1 or (ways == 0 and self.status is None):
            raise ValueError(
                "Ask for one kind of failure: status, code and message; or timeout, reset,"
                " throttled, nonsense, body."
            )

    def strike(self, host: Host, endpoint: str) -> Response:
        """Return the answer, or raise what the server takes instead of one."""
        if self.timeout:
            raise NoAnswer
        if self.reset:
            raise ConnectionCut
        if self.body is not None:
            response = self._text(self.body, openapi.MIMETYPE)
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
        if host == "oapi":
            return oapi.refusal(endpoint, wire.ERRCODE_QPS_LIMIT_APP, _THROTTLED)
        return openapi.ApiError(403, wire.CODE_QPS_LIMIT_APP, _THROTTLED).response()

    def _refused(self, host: Host, endpoint: str) -> Response:
        if host == "oapi" and self.status is None:
            return oapi.refusal(
                endpoint, int(self.code or wire.ERRCODE_BUSY), self.message or "系统繁忙"
            )
        status = self.status or 400
        if host != "openapi":
            # The old API answers 200 whatever happens, so another status comes from in front of it.
            return self._text(f"<!doctype html><title>{status}</title>", "text/html")
        busy = (
            (wire.CODE_BUSY, "请求太频繁")
            if status == 429
            else (wire.CODE_UNKNOWN_ERROR, "未知错误")
        )
        return openapi.ApiError(
            status, str(self.code or busy[0]), self.message or busy[1]
        ).response()


class Faults:
    """The failures asked for, by endpoint, first come first served."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Fault]] = defaultdict(list)

    def add(self, endpoint: str, fault: Fault) -> None:
        """Queue a failure."""
        self._waiting[endpoint].append(fault)

    def clear(self) -> None:
        """Forget those that have not happened yet."""
        self._waiting.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the failure that is due for this call, if any."""
        queue = self._waiting[endpoint]
        if not queue:
            return None
        fault = queue[0]
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                del queue[0]
        return fault
