"""DingTalk's three hosts behind one port: finds the endpoint, injects failures, records calls."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from ..api import wire
from . import new_api, old_api
from . import wire as testing_wire
from .authorization import Refused
from .console import Console
from .deliveries import FailedPushes
from .faults import Fault, Faults, Host
from .grants import Grants
from .limits import Limits
from .login_pages import LoginPages
from .loopback import is_loopback_host_header
from .server import Connection
from .stream import Gateway
from .world import World

_NEW_API_PATH: Final = re.compile(r"/v\d+\.\d+/")
_OLD_API_PATHS: Final = ("/topapi/", "/call_back/", testing_wire.GETTOKEN_PATH)
_WRONG_HOST: Final = (
    "The DingTalk simulator only answers requests for 127.0.0.1, localhost or [::1].\n"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an API, without any secrets."""

    #: Short name, such as ``userAccessToken``; empty if there is no such endpoint.
    endpoint: str
    #: The method of HTTP.
    method: str
    #: The path, without a query.
    path: str
    #: HTTP status of the answer; ``None`` if there was none.
    status: int | None
    #: DingTalk's error code (``sub_code`` where errcode is 88); ``None`` on success.
    code: str | None
    #: ``authorization_code`` or ``refresh_token`` if the call sent one.
    grant_type: str | None
    #: Number of the connection that it came over, starting with 1.
    connection: int
    #: When, by the simulator's clock.
    at: datetime


class Calls(list[Call]):
    """The API calls so far; a list that remembers how much of it was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0

    def since(self) -> list[Call]:
        """Return the calls since the last time that this was asked, at first all of them."""
        # After clear() there may be fewer than were seen.
        new = self[self._seen :] if self._seen <= len(self) else list(self)
        self._seen = len(self)
        return new


@dataclass(frozen=True, slots=True)
class PageVisit:
    """One request of a browser for a page."""

    #: Short name, such as ``authorize``.
    endpoint: str
    #: The method of HTTP.
    method: str
    #: HTTP status of the answer; ``None`` if there was none.
    status: int | None


@cache
def _url_map(endpoints: tuple[tuple[str, str, str], ...]) -> Map:
    """Return the URL map of endpoints (name, method, path); compiling it takes a while."""
    rules = [Rule(path, endpoint=name, methods=[method]) for name, method, path in endpoints]
    # DingTalk redirects no path that is almost right.
    return Map(rules, strict_slashes=False, merge_slashes=False, redirect_defaults=False)


class Dispatcher:
    """Answers all requests, one at a time."""

    def __init__(self, world: World, console: Console) -> None:
        self._world = world
        self.gateway = Gateway(world)
        self.grants = Grants(world)
        self.faults = Faults()
        self._limits = Limits()
        self.calls = Calls()
        self.page_visits: list[PageVisit] = []
        self.connections = 0
        self._pages = LoginPages(world, self.grants, console.endpoints)
        self._new_api = new_api.NewApi(world, self.grants, self.gateway)
        self.failed_pushes = FailedPushes(world)
        self._old_api = old_api.OldApi(world, self.grants, self.failed_pushes)
        self._host_of: dict[str, Host] = {}
        endpoints_of_all: list[tuple[str, str, str]] = []
        tables: dict[Host, Mapping[str, tuple[str, str, object]]] = {
            "new_api": self._new_api.endpoints,
            "old_api": self._old_api.endpoints,
            "pages": self._pages.endpoints,
        }
        for host, endpoints in tables.items():
            for name, (method, path, _) in endpoints.items():
                self._host_of[name] = host
                endpoints_of_all.append((name, method, path))
        self._routes = _url_map(tuple(endpoints_of_all)).bind("localhost")

    def forget(self) -> None:
        """Forget codes and tokens, failures, limits and what was called."""
        self.grants.forget()
        self.faults.clear()
        self._limits.clear()
        self._pages.forget()
        self.failed_pushes.forget()
        self.calls.clear()
        self.page_visits.clear()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The short names of all endpoints."""
        return tuple(self._host_of)

    def endpoint(self, name_or_path: str) -> str:
        """Return the short name of an endpoint; the text of `ValueError` lists all of them."""
        if name_or_path in self._host_of:
            return name_or_path
        for method in ("GET", "POST"):
            name, _ = self._match(name_or_path, method)
            if name:
                return name
        known = ", ".join(self._host_of)
        raise ValueError(f"There is no endpoint {name_or_path!r}. There are {known}.")

    def limit(self, endpoint: str, per_second: int | None) -> None:
        """Limit an endpoint of an API; `ValueError` for a page, which DingTalk does not limit."""
        if self._host_of[endpoint] == "pages":
            raise ValueError(f"{endpoint!r} is a page: only API calls can be limited.")
        self._limits.set(endpoint, per_second)

    def answer(self, request: Request, connection: Connection) -> Response:
        """Answer one request, and record it even if answering fails."""
        if not is_loopback_host_header(request.headers.get("Host", "")):
            return Response(_WRONG_HOST, 421, content_type="text/plain; charset=utf-8")
        with self._world.lock:
            name, arguments = self._match(request.path, request.method)
            host = self._host_of.get(name) or _host_by_path(request.path)
            response = None
            try:
                response = self._answer_or_fail(host, name, request, arguments)
                return response
            finally:
                self._record(host, name, request, connection, response)

    def _match(self, path: str, method: str) -> tuple[str, Mapping[str, Any]]:
        """Return the name of an endpoint and the variables of its path; no name if none fits."""
        try:
            name, arguments = self._routes.match(path, method)
        except HTTPException:  # no such path, or not with this method
            return "", {}
        return name, arguments

    def _answer_or_fail(
        self, host: Host, name: str, request: Request, arguments: Mapping[str, Any]
    ) -> Response:
        if not self._limits.lets_through(name):
            # Checked before injected failures: a call over the limit must use nothing up.
            return Fault(throttled=True).response(host, name)
        fault = self.faults.take(name)
        if fault is None:
            return self._answer(host, name, request, arguments)
        if fault.after:
            self._answer(host, name, request, arguments)
        if name == "authorize" and fault.code is not None and fault.status is None:
            return self._pages.call_back_with_error(request, str(fault.code))
        return fault.response(host, name)

    def _answer(
        self, host: Host, name: str, request: Request, arguments: Mapping[str, Any]
    ) -> Response:
        if host == "new_api":
            if not name:
                return new_api.unknown_action().response()
            return self._new_api.answer(name, request, arguments)
        if host == "old_api":
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
        if name == "console/calls":
            # The console's own page asks for it all the time.
            return
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
    if _NEW_API_PATH.match(path):
        return "new_api"
    return "old_api" if path.startswith(_OLD_API_PATHS) else "pages"


def _error_code(response: Response) -> str | None:
    """Return DingTalk's error code from any of its envelopes."""
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
