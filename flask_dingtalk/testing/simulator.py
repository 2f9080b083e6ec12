"""The simulator as tests and sites use it."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .authorization import AUTHORIZE_PATH
from .dispatch import Call, Dispatcher, PageVisit
from .faults import Fault
from .in_app import JSAPI_PATH
from .loopback import LOOPBACK_HOSTS
from .people import Person
from .qr import QR_SCRIPT_PATH
from .server import LoopbackServer
from .world import World

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

__all__ = ["Call", "DingTalkSimulator", "PageVisit"]


class DingTalkSimulator(World):
    """A simulated DingTalk on the loopback interface.

    Use it as a context manager, or call `start` and `stop`. Port 0 takes a free port, a different
    one at each start. `host` is ``127.0.0.1``, ``localhost`` or ``::1``; anything else is a
    `ValueError`, because the simulator hands out logins to whoever can reach it.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        if host not in LOOPBACK_HOSTS:
            raise ValueError(
                f"The simulator only listens on 127.0.0.1, localhost or ::1, not on {host!r}:"
                " it hands out logins to whoever can reach it."
            )
        super().__init__()
        self._address = (host, port)
        self._server: LoopbackServer | None = None
        self._dispatcher = Dispatcher(self)

    def start(self) -> Self:
        """Start serving; `RuntimeError` if it is running, `OSError` if the port is taken."""
        if self._server is not None:
            raise RuntimeError("The simulator is already running.")
        self._server = LoopbackServer(*self._address, self._dispatcher.answer, self.now)
        self.serve_avatars_at(self.url)
        return self

    def stop(self) -> None:
        """Stop serving and close all connections. People, tokens and recorded calls stay."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base address, such as ``http://127.0.0.1:40123``; `RuntimeError` before `start`."""
        return self._running().url

    @property
    def settings(self) -> dict[str, Any]:
        """Settings for a Flask app that is registered here; a new dict each time."""
        return {
            "DINGTALK_CLIENT_ID": self.application.client_id,
            "DINGTALK_CLIENT_SECRET": self.application.client_secret,
            "DINGTALK_AUTHORIZE_URL": self.url + AUTHORIZE_PATH,
            "DINGTALK_API_BASE_URL": self.url,
            "DINGTALK_OAPI_BASE_URL": self.url,
            "DINGTALK_QR_SCRIPT_URL": self.url + QR_SCRIPT_PATH,
            "DINGTALK_JSAPI_URL": self.url + JSAPI_PATH,
        }

    @property
    def calls(self) -> list[Call]:
        """The API calls so far, without any secrets; may be cleared."""
        return self._dispatcher.calls

    @property
    def page_visits(self) -> list[PageVisit]:
        """The pages that browsers requested so far; may be cleared."""
        return self._dispatcher.page_visits

    @property
    def connections(self) -> int:
        """Number of connections that API calls came over."""
        return self._dispatcher.connections

    @property
    def secrets(self) -> frozenset[str]:
        """The client secret and every code and token so far; no log or page may show them."""
        with self.lock:
            return frozenset({self.application.client_secret, *self._dispatcher.grants.issued})

    def authorization_code(self, user: str | Person, *, corp_id: str | None = None) -> str:
        """Return a new browser code, as if `user` had just consented.

        With `corp_id` it is for that organisation; `ValueError` if the person is not a member.
        """
        with self.lock:
            person = self.person(user)
            if corp_id is not None and corp_id not in person.corp_ids:
                raise ValueError(f"{person.name!r} is not a member of {corp_id!r}.")
            return self._dispatcher.grants.issue_code(person, corp_id)

    def in_app_code(self, user: str | Person, *, corp_id: str | None = None) -> str:
        """Return a new code, as ``dd.requestAuthCode`` returns it inside the DingTalk client.

        Without `corp_id` it is for the application's own organisation; `ValueError` if the person
        is not a member.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            if corp_id not in person.corp_ids:
                raise ValueError(f"{person.name!r} is not a member of {corp_id!r}.")
            return self._dispatcher.grants.issue_code(person, corp_id, in_app=True)

    def sign_in(
        self,
        client: "FlaskClient",
        user: str | Person,
        *,
        corp_id: str | None = None,
        next: str | None = None,  # noqa: A002 - the name is part of the public interface
        login_path: str = "/dingtalk/login",
        base_url: str | None = None,
        decline: bool = False,
    ) -> "TestResponse":
        """Take a Flask test client through login, consent and callback, in a new browser.

        If DingTalk's pages ask for an organisation, it is `corp_id` or the first one offered.
        `base_url` is passed to each request of the test client: a site that insists on https
        needs ``base_url="https://localhost"``. Returns the response of the callback, whatever its
        status; `SimulatorError` if the login ends before the callback.
        """
        # Imported here: it needs requests, and running the simulator alone does not.
        from .browser_walk import BrowserWalk

        codes = {corp_id: each.code for corp_id, each in self.organisations.items()}
        walk = BrowserWalk(
            self.url,
            self.person(user),
            corp_id=corp_id,
            organisation_codes=codes,
            decline=decline,
        )
        return walk.log_in(client, login_path, next, base_url)

    def fail(
        self,
        endpoint: str,
        *,
        times: int | None = 1,
        status: int | None = None,
        code: str | int | None = None,
        message: str | None = None,
        timeout: bool = False,
        reset: bool = False,
        throttled: bool | Literal["ban", "ban-page"] = False,
        nonsense: bool | Literal["json", "empty"] = False,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        after: bool = False,
    ) -> None:
        """Make the next calls of an endpoint fail, in one of these ways:

        - `status`, `code`, `message`: a refusal as the endpoint's host words it. On ``authorize``,
          a `code` without `status` sends the browser back with ``error=<code>``.
        - `timeout`: no answer until the client gives up.
        - `reset`: the connection is reset.
        - `throttled`: too many calls of this application. ``"ban"`` and ``"ban-page"`` are the two
          answers for a banned address.
        - `nonsense`: a web page with status 200; ``"json"`` for JSON of an unknown shape;
          ``"empty"`` for an empty body.
        - `body`, with `status` (default 200) and `headers`: exactly that.

        `times` is the number of calls, ``None`` for all calls until `clear_failures`. With `after`
        the call is processed (a code is used up, a token replaced) before it fails.

        `endpoint` is a short name or a path. `ValueError` if there is no such endpoint (the text
        lists all of them), or if the arguments name no failure or more than one.
        """
        fault = Fault(
            times=times,
            status=status,
            code=code,
            message=message,
            timeout=timeout,
            reset=reset,
            throttled=throttled,
            nonsense=nonsense,
            body=body,
            headers=headers,
            after=after,
        )
        name = self._dispatcher.endpoint(endpoint)
        with self.lock:
            self._dispatcher.faults.add(name, fault)

    def clear_failures(self) -> None:
        """Forget the failures that have not happened yet."""
        with self.lock:
            self._dispatcher.faults.clear()

    def limit(self, endpoint: str, *, per_second: int | None = 20) -> None:
        """Limit the calls of an API endpoint within any one second of real time.

        Calls over the limit are refused as DingTalk refuses them (new API: HTTP 403
        ``Forbidden.AccessDenied.QpsLimitForAppkeyAndApi``; old API: errcode 88 with sub_code
        90018). They use nothing up: no code, no token, no failure requested with `fail`. ``None``
        removes the limit. DingTalk's own limit is 20 in the standard edition.
        [call-frequency-limit]

        `endpoint` is a short name or a path; `ValueError` if there is no such endpoint, if it is a
        page, or if `per_second` is less than one.
        """
        name = self._dispatcher.endpoint(endpoint)
        with self.lock:
            self._dispatcher.limit(name, per_second)

    def close_connections(self) -> None:
        """Close the idle connections, as DingTalk's load balancer does."""
        self._running().close_idle()

    def _running(self) -> LoopbackServer:
        if self._server is None:
            raise RuntimeError(
                "The simulator is not running: call start() or use it in a with statement."
            )
        return self._server
