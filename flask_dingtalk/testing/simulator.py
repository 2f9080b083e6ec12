"""The simulator as tests and sites use it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..api import wire
from . import SimulatorError
from .authorization import AUTHORIZE_PATH
from .console import Console
from .deliveries import Deliveries
from .dispatch import Call, Calls, Dispatcher, PageVisit
from .events import Attempt, Delivery, Happening, fields_of
from .faults import Fault
from .in_app import JSAPI_PATH
from .loopback import LOOPBACK_HOSTS
from .people import Person
from .qr import QR_SCRIPT_PATH
from .server import LoopbackServer
from .stream import Gateway
from .world import World

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from .browser_walk import AsyncClient, BrowserWalk, Page

__all__ = ["Attempt", "Call", "Delivery", "DingTalkSimulator", "PageVisit"]


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
        self._dispatcher = Dispatcher(self, Console(self))
        self._deliveries = Deliveries(
            self, self._dispatcher.gateway, self._dispatcher.failed_pushes
        )
        #: How this process's clock was moved: what ends that, and what moves it on.
        self._travelling: tuple[Any, Any] | None = None
        self._announce = self._tell_subscribers

    def start(self) -> Self:
        """Start serving; `RuntimeError` if it is running, `OSError` if the port is taken."""
        if self._server is not None:
            raise RuntimeError("The simulator is already running.")
        self._server = LoopbackServer(*self._address, self._dispatcher.answer, self.now)
        self.serve_avatars_at(self.url)
        return self

    def reset(self) -> None:
        """Begin anew: people, application, clock, failures and calls are as at the start.

        Codes and tokens are worthless, and nobody is logged in. Address, ids and secrets stay, and
        so a site that uses them.
        """
        with self.lock:
            kept = {
                name: getattr(self.application, name)
                for name in (
                    "client_id",
                    "client_secret",
                    "unified_app_id",
                    "event_token",
                    "event_aes_key",
                )
            }
            self._stop_travelling()
            self._begin()
            for name, value in kept.items():
                setattr(self.application, name, value)
            self._dispatcher.forget()
            self._deliveries.sent.clear()
        self.tell_news()

    def advance(self, seconds: float, *, site: bool = False) -> None:
        """Move the clock forward; `ValueError` if `seconds` is negative.

        With `site`, the clock of this whole process moves, and so that of a site in it: states,
        checks and cookies age as well, until `stop` or `reset`. That needs the package
        time-machine; `RuntimeError` without it.
        """
        if not site:
            super().advance(seconds)
            return
        if seconds < 0:
            raise ValueError("The clock can only move forward.")
        with self.lock:
            if self._travelling is None:
                self._travelling = _travel()
            self._travelling[1].shift(seconds)
        self.tell_news()

    def _stop_travelling(self) -> None:
        if self._travelling is not None:
            self._travelling[0].stop()
            self._travelling = None

    def stop(self) -> None:
        """Stop serving and close all connections. People, tokens and recorded calls stay."""
        self._stop_travelling()
        self._deliveries.stop()
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
    def event_settings(self) -> dict[str, str]:
        """Further settings, for a site to which events are pushed by HTTP."""
        return {
            "DINGTALK_EVENT_TOKEN": self.application.event_token,
            "DINGTALK_EVENT_AES_KEY": self.application.event_aes_key,
        }

    @property
    def calls(self) -> Calls:
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
        """The application's secrets, and every code, token and ticket so far.

        No log and no page may show them.
        """
        with self.lock:
            application = self.application
            own = {application.client_secret, application.event_token, application.event_aes_key}
            return frozenset(own | self._dispatcher.grants.issued | self._dispatcher.gateway.issued)

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
        return self._walk(user, corp_id, decline).log_in(client, login_path, next, base_url)

    async def sign_in_async(
        self,
        client: "AsyncClient",
        user: str | Person,
        *,
        corp_id: str | None = None,
        next: str | None = None,  # noqa: A002 - as in sign_in
        login_path: str = "/dingtalk/login",
        decline: bool = False,
    ) -> Any:
        """Do the same with an ``httpx.AsyncClient``, or anything with such a ``get``.

        Its ``base_url`` is the address of the site. The event loop goes on meanwhile. Returns the
        client's response to the callback.
        """
        walk = self._walk(user, corp_id, decline)
        return await walk.log_in_async(client, login_path, next)

    def sign_in_page(
        self,
        page: "Page",
        user: str | Person,
        address: str,
        *,
        corp_id: str | None = None,
        decline: bool = False,
    ) -> None:
        """Sign in in a real browser: `page` is a Playwright page (the synchronous one).

        Opens `address`, a guarded page or the login of a site that is being served, and clicks its
        way through. Afterwards the page is where the sign-in led. `SimulatorError` if it ends
        before the site is reached again.
        """
        from .browser_walk import click_through

        click_through(page, address, self._walk(user, corp_id, decline))

    def _walk(self, user: str | Person, corp_id: str | None, decline: bool) -> "BrowserWalk":
        # Imported here: it needs Flask, and running the simulator alone does not.
        from .browser_walk import BrowserWalk

        codes = {corp_id: each.code for corp_id, each in self.organisations.items()}
        return BrowserWalk(
            self.url,
            self.person(user),
            corp_id=corp_id,
            organisation_codes=codes,
            decline=decline,
        )

    def push(
        self,
        event: str,
        user: str | Person | Sequence[str | Person] = (),
        *,
        client: "FlaskClient | None" = None,
        path: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Delivery:
        """Send an event, such as ``user_leave_org``, as DingTalk does.

        `user` is the person whom it means, or several. With `client`, a Flask test client, it is
        pushed once to that site's own route for events, or to `path`. Otherwise it goes, in the
        background, to the address given to `subscribe`, else to one of those who listen; DingTalk's
        retries included: after 10 seconds, and after 30 more, by the simulator's clock.

        `data` are further fields of the event, as Stream spells them. The event alone changes
        nothing: `leave`, `join` and `change` do, and send their events by themselves. `ValueError`
        if the person was never in the application's own organisation, or the site has no such
        route.
        """
        people = [user] if isinstance(user, str | Person) else user
        with self.lock:
            user_ids = [self._user_id(self.person(each)) for each in people]
            happening = self._happening(event, fields_of(event, user_ids, data))
        if client is not None:
            return self._deliveries.to_client(happening, client, path or _events_path(client))
        return self._send(happening)

    def subscribe(self, url: str) -> None:
        """Have events pushed to an address, ``http://127.0.0.1:5000/dingtalk/events``.

        The site is asked for the right answer first, as DingTalk's console does when the address is
        saved; `SimulatorError` in the console's words if it does not give it.
        """
        happening = self._happening(wire.EVENT_CHECK_URL, {})
        (attempt,) = self._deliveries.to_url(happening, url, retries=False).attempts
        if not attempt.accepted:
            raise SimulatorError(_not_saved(attempt))
        self.application.event_url = url

    @property
    def deliveries(self) -> list[Delivery]:
        """The events that were sent so far, and what became of them; may be cleared."""
        return self._deliveries.sent

    @property
    def gateway(self) -> Gateway:
        """Stream mode: who listens, and ways to disturb them."""
        return self._dispatcher.gateway

    def _user_id(self, person: Person) -> str:
        corp_id = self.application.corp_id
        if corp_id in person.memberships:
            return person.memberships[corp_id].user_id
        if corp_id in person.former_user_ids:
            return person.former_user_ids[corp_id]
        raise ValueError(f"{person.name!r} was never in the organisation {corp_id!r}.")

    def _happening(self, event: str, fields: Mapping[str, Any]) -> Happening:
        return Happening(event, self.application.corp_id, int(self.now() * 1000), fields)

    def _tell_subscribers(self, event: str, person: Person, data: Mapping[str, Any]) -> None:
        if self._server is not None and (self.application.event_url or self.gateway.listeners):
            fields = fields_of(event, [self._user_id(person)], data)
            self._send(self._happening(event, fields))

    def _send(self, happening: Happening) -> Delivery:
        url = self.application.event_url
        if url is not None:
            return self._deliveries.to_url(happening, url)
        return self._deliveries.to_listeners(happening)

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

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The short names of all endpoints, for `fail` and `limit`."""
        return self._dispatcher.endpoints

    @property
    def failures(self) -> dict[str, list[Fault]]:
        """The failures that have not happened yet, by endpoint."""
        with self.lock:
            return self._dispatcher.faults.waiting()

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


def _travel() -> tuple[Any, Any]:
    """Take this process's clock over, as it is now."""
    try:
        import time_machine
    except ImportError:
        raise RuntimeError(
            "advance(…, site=True) needs the package time-machine: pip install time-machine"
        ) from None
    travel = time_machine.travel(datetime.now(UTC))
    return travel, travel.start()


def _events_path(client: "FlaskClient") -> str:
    """Return the path of a site's route for events."""
    application = client.application
    if "dingtalk.events" not in application.view_functions:
        raise ValueError("The site has no route for events: is Flask-DingTalk initialised on it?")
    return str(application.url_map.bind("localhost").build("dingtalk.events"))


def _not_saved(attempt: Attempt) -> str:
    """Return what DingTalk's console says to an address that it does not save.

    [event-subscription-and-data-push]
    """
    if attempt.status is None:
        return "timedout: nothing answers there."
    if attempt.status != 200:
        return f"url地址访问异常,错误原因为:http statusCode is:{attempt.status}"
    return (
        "HTTP请求结果校验返回字段值失败: the answer is not the right one. Was the site created with"
        " simulator.settings and simulator.event_settings?"
    )
