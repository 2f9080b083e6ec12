"""The simulator as tests and sites use it."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .authorization import AUTHORIZE_PATH
from .faults import Fault
from .hosts import Call, Hosts, PageVisit
from .in_client import JSAPI_PATH
from .people import Person
from .qr import QR_SCRIPT_PATH
from .server import LoopbackServer
from .world import World

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

__all__ = ["Call", "DingTalkSimulator", "PageVisit"]


class DingTalkSimulator(World):
    """A DingTalk on the loopback interface.

    A context manager; `start` and `stop` do the same by hand. Port 0 takes a free one, another one
    at each start. Who and what it knows (`users`, `organisations`, `application`, `advance` and so
    on) is the part that it inherits.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._address = (host, port)
        self._server: LoopbackServer | None = None
        self._hosts = Hosts(self)

    def start(self) -> Self:
        """Serve; `RuntimeError` if it does already, `OSError` if the port is taken."""
        if self._server is not None:
            raise RuntimeError("The simulator is running already.")
        self._server = LoopbackServer(*self._address, self._hosts.answer)
        self.serve_avatars_at(self.url)
        return self

    def stop(self) -> None:
        """Close the server and every connection, at once. People, tokens and records stay."""
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
        """Settings for a Flask app that is registered with the simulator; a new dict each time."""
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
        """The calls of the APIs so far, without anything secret; may be cleared."""
        return self._hosts.calls

    @property
    def page_visits(self) -> list[PageVisit]:
        """The pages that browsers asked for so far; may be cleared."""
        return self._hosts.page_visits

    @property
    def connections(self) -> int:
        """How many connections have carried calls of the APIs."""
        return self._hosts.connections

    @property
    def secrets(self) -> frozenset[str]:
        """The client secret and every code and token so far: what no log or page may show."""
        with self.lock:
            return frozenset({self.application.client_secret, *self._hosts.grants.issued})

    def authorization_code(self, user: str | Person, *, corp_id: str | None = None) -> str:
        """Return a fresh code, as if `user` had just consented, for the organisation if given."""
        with self.lock:
            person = self.person(user)
            if corp_id is not None and corp_id not in person.corp_ids:
                raise ValueError(f"{person.name!r} is no member of {corp_id!r}.")
            return self._hosts.grants.issue_code(person, corp_id)

    def in_client_code(self, user: str | Person, *, corp_id: str | None = None) -> str:
        """Return a fresh code, as ``dd.requestAuthCode`` gives it inside the DingTalk client.

        It is for the application's own organisation unless another one is given.
        """
        with self.lock:
            person = self.person(user)
            corp_id = self.application.corp_id if corp_id is None else corp_id
            if corp_id not in person.corp_ids:
                raise ValueError(f"{person.name!r} is no member of {corp_id!r}.")
            return self._hosts.grants.issue_code(person, corp_id, in_client=True)

    def sign_in(
        self,
        client: "FlaskClient",
        user: str | Person,
        *,
        corp_id: str | None = None,
        next: str | None = None,  # noqa: A002 - the name is part of the public interface
        login_path: str = "/dingtalk/login",
        decline: bool = False,
    ) -> "TestResponse":
        """Walk a Flask test client through login, consent and callback, in a fresh browser.

        Where an organisation is asked for, it is `corp_id` or the first one offered. Returns the
        callback's response; `SimulatorError` if the way ends before.
        """
        # Brings requests along, which who only runs the simulator does not need.
        from .walk import Walk

        codes = {corp_id: each.code for corp_id, each in self.organisations.items()}
        walk = Walk(
            self.url,
            self.person(user),
            corp_id=corp_id,
            organisation_codes=codes,
            decline=decline,
        )
        return walk.sign_in(client, login_path, next)

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
        """Make the next calls of an endpoint fail.

        `endpoint` is a short name or a path; `ValueError` lists those there are. One of:

        - `status`, `code`, `message`: a refusal in the style of the endpoint's host. On
          ``authorize``, a `code` without `status` calls back with ``error=<code>``.
        - `timeout`: no answer until the client gives up.
        - `reset`: the connection is reset.
        - `throttled`: too many calls for this application; ``"ban"`` and ``"ban-page"`` are the
          two forms of what a banned address gets.
        - `nonsense`: a web page with status 200; ``"json"``: JSON of no known shape; ``"empty"``.
        - `body`, with `status` (200) and `headers`: exactly that.

        `times` is the number of calls, ``None`` for all until `clear_failures`. With `after` the
        call is processed (a code is spent, a token replaced) and only then its answer lost.
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
        name = self._hosts.endpoint(endpoint)
        with self.lock:
            self._hosts.faults.add(name, fault)

    def clear_failures(self) -> None:
        """Forget the failures asked for that have not happened yet."""
        with self.lock:
            self._hosts.faults.clear()

    def limit(self, endpoint: str, *, per_second: int | None = 20) -> None:
        """Let so many calls of an API's endpoint through in any one second of real time.

        Calls over the limit are refused as DingTalk refuses them (new API: HTTP 403
        ``Forbidden.AccessDenied.QpsLimitForAppkeyAndApi``; old API: errcode 88 with sub_code
        90018) and use nothing up: no code, no token, no failure asked for with `fail`. ``None``
        lifts the limit. `endpoint` is a short name or a path; `ValueError` if there is no such
        endpoint, if it is a page, or if `per_second` is less than one. DingTalk's own limit for an
        application of the standard edition is 20. [call-frequency-limit]
        """
        name = self._hosts.endpoint(endpoint)
        with self.lock:
            self._hosts.limit(name, per_second)

    def close_connections(self) -> None:
        """Close the connections that wait for a next request, as DingTalk's load balancer does."""
        self._running().close_idle()

    def _running(self) -> LoopbackServer:
        if self._server is None:
            raise RuntimeError("The simulator is not running: use it in a with statement.")
        return self._server
