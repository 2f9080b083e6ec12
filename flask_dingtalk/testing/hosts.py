"""DingTalk's three hosts behind one port: finds the endpoint, lets it fail, keeps the record."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from werkzeug.wrappers import Request, Response

from .. import wire
from . import oapi, openapi
from .authorization import Refused
from .faults import Fault, Faults, Host
from .grants import Grants
from .limits import Limits
from .oauth import Pages
from .server import Connection
from .world import World

_NEW_API: Final = re.compile(r"/v\d+\.\d+/")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an API, without anything secret."""

    #: Short name, such as ``userAccessToken``; empty if there is no such endpoint.
    endpoint: str
    method: str
    path: str
    #: HTTP status of the answer; ``None`` if there was none.
    status: int | None
    #: DingTalk's error code, the effective one where it was wrapped; ``None`` on success.
    code: str | None
    #: ``authorization_code`` or ``refresh_token`` where the call names one.
    grant_type: str | None
    #: Which connection it came over; the first one is 1.
    connection: int
    #: By the simulator's clock.
    at: datetime


@dataclass(frozen=True, slots=True)
class PageVisit:
    """One request of a browser for a page."""

    endpoint: str
    method: str
    status: int | None


class Hosts:
    """Answers every request, one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.grants = Grants(world)
        self.faults = Faults()
        self._limits = Limits()
        self.calls: list[Call] = []
        self.page_visits: list[PageVisit] = []
        self.connections = 0
        self._pages = Pages(world, self.grants)
        self._new_api = openapi.OpenApi(world, self.grants)
        self._old_api = oapi.OldApi(world, self.grants)
        self._host_of: dict[str, Host] = {}
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        tables: dict[Host, Mapping[str, tuple[str, str, object]]] = {
            "openapi": self._new_api.endpoints,
            "oapi": self._old_api.endpoints,
            "pages": self._pages.endpoints,
        }
        for host, endpoints in tables.items():
            for name, (method, path, _) in endpoints.items():
                self._host_of[name] = host
                pattern = re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", re.escape(path))
                self._routes.append((method, re.compile(pattern), name))

    def endpoint(self, name_or_path: str) -> str:
        """Return the short name of an endpoint; `ValueError` lists them."""
        if name_or_path in self._host_of:
            return name_or_path
        for method in ("GET", "POST"):
            name, _ = self._match(name_or_path, method)
            if name:
                return name
        known = ", ".join(self._host_of)
        raise ValueError(f"There is no endpoint {name_or_path!r}, only {known}.")

    def limit(self, endpoint: str, per_second: int | None) -> None:
        """Limit an endpoint of an API; `ValueError` for a page, which DingTalk does not limit."""
        if self._host_of[endpoint] == "pages":
            raise ValueError(f"{endpoint!r} is a page: only calls of the APIs are limited.")
        self._limits.set(endpoint, per_second)

    def answer(self, request: Request, connection: Connection) -> Response:
        """Answer one request, and record it whatever becomes of the answer."""
        with self._world.lock:
            name, arguments = self._match(request.path, request.method)
            host = self._host_of.get(name) or _host_by_path(request.path)
            response = None
            try:
                response = self._answer_or_fail(host, name, request, arguments)
            finally:
                self._record(host, name, request, connection, response)
            return response

    def _match(self, path: str, method: str) -> tuple[str, Mapping[str, Any]]:
        method = "GET" if method == "HEAD" else method
        for known, pattern, name in self._routes:
            found = pattern.fullmatch(path)
            if found and method == known:
                return name, found.groupdict()
        return "", {}

    def _answer_or_fail(
        self, host: Host, name: str, request: Request, arguments: Mapping[str, Any]
    ) -> Response:
        if not self._limits.lets_through(name):
            # Before any failure that a test asked for: a call over the limit uses nothing up.
            return Fault(throttled=True).strike(host, name)
        fault = self.faults.take(name)
        if fault is None:
            return self._answer(host, name, request, arguments)
        if fault.after:
            self._answer(host, name, request, arguments)
        if name == "authorize" and fault.code is not None and fault.status is None:
            return self._pages.call_back(request, str(fault.code))
        return fault.strike(host, name)

    def _answer(
        self, host: Host, name: str, request: Request, arguments: Mapping[str, Any]
    ) -> Response:
        if host == "openapi":
            if not name:
                return openapi.unknown_action().response()
            return self._new_api.answer(name, request, arguments)
        if host == "oapi":
            return self._old_api.answer(name, request)
        if not name:
            return self._pages.refusal(request, Refused("page", status=404))
        return self._pages.answer(name, request, arguments)

    def _record(
        self,
        host: Host,
        name: str,
        request: Request,
        connection: Connection,
        response: Response | None,
    ) -> None:
        status = None if response is None else response.status_code
        if host == "pages":
            self.page_visits.append(PageVisit(name, request.method, status))
            return
        if connection.number is None:
            self.connections += 1
            connection.number = self.connections
        body = request.get_json(silent=True)
        grant_type = body.get(wire.TOKEN_GRANT_TYPE) if isinstance(body, dict) else None
        call = Call(
            endpoint=name,
            method=request.method,
            path=request.path,
            status=status,
            code=None if response is None else _error_code(response),
            grant_type=grant_type,
            connection=connection.number,
            at=datetime.fromtimestamp(self._world.now(), UTC),
        )
        self.calls.append(call)


def _host_by_path(path: str) -> Host:
    if _NEW_API.match(path):
        return "openapi"
    return "oapi" if path.startswith(("/topapi/", wire.GETTOKEN_PATH)) else "pages"


def _error_code(response: Response) -> str | None:
    """Return DingTalk's own code, the effective one, out of any of its envelopes."""
    try:
        body = json.loads(response.get_data())
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    for key in (wire.SUB_CODE, wire.ERRCODE, wire.ERROR_CODE):
        if body.get(key):
            return str(body[key])
    return None
