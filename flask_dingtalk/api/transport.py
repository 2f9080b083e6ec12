"""Calls to DingTalk: how often they are tried, how long, and what it means if no answer comes.

With ``http``, the only module that loads requests and Authlib, which cost 90 ms: whoever needs it
imports it late.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import requests

from ..errors import DingTalkAPIError, DingTalkError, DingTalkUnavailable, InvalidCode, RateLimited
from ..secret import Secret, without_inner_frames
from . import wire
from .error_codes import NONSENSE, error_of, json_object
from .http import Deadline, DingTalkSession, HeaderTokenAuth, NoAuth

if TYPE_CHECKING:
    from ..settings import Settings

#: What may be repeated when a connection breaks: nothing is spent by it (RFC 9110, section 9.2.2).
_SAFE_METHODS: Final = ("GET", "HEAD")
#: How often our own reads are sent in all while DingTalk is busy.
_READ_ATTEMPTS: Final = 3
#: Seconds; the first pause of a read is at most this, each further one up to twice as long.
_FIRST_PAUSE: Final = 0.2
_UNREACHABLE: Final = "see whether this server reaches DingTalk: DNS, proxy, firewall, certificates"

#: The fields of a body; secrets are revealed where it is sent.
Fields = Mapping[str, str | Secret]
#: The same of a body in JSON.
JsonFields = Mapping[str, str | Secret | list[dict[str, str]]]


class _Why(Enum):
    """Why an attempt failed; decides whether there is another one."""

    #: The connection broke, or there was none. The request may have arrived.
    BROKE = "broke"
    #: DingTalk says that something failed on its side.
    BUSY = "busy"
    #: DingTalk throttles, for a second at most.
    THROTTLED = "throttled"
    #: Another attempt would not help, or take too long.
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that failed: the error to raise unless there is another one."""

    why: _Why
    error: DingTalkError
    #: The HTTP status of DingTalk's answer, where there was one.
    status: int | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to DingTalk, its secrets under cover."""

    url: str
    method: str = "POST"
    #: Goes into DingTalk's header.
    token: Secret | None = None
    json: JsonFields | None = None
    form: Fields | None = None
    #: Arguments of ``requests.request`` that the site gave.
    arguments: Mapping[str, Any] = field(default_factory=dict)
    timeout: Any = None
    #: How often it may be sent; 1 for what must not be processed twice.
    attempts: int = 1
    #: Whether to pause and try again when DingTalk says that it is busy.
    patient: bool = False
    #: Whether to try again after a second when DingTalk throttles. That holds a thread: not where
    #: the browser can come back instead.
    waits_for_room: bool = False

    def send(self, http: DingTalkSession, deadline: Deadline) -> requests.Response:
        """Send it once."""
        arguments = dict(self.arguments)
        if self.json is not None:
            arguments["json"] = _revealed(self.json)
        if self.form is not None:
            arguments["data"] = _revealed(self.form)
        auth = HeaderTokenAuth({"access_token": self.token.reveal()}) if self.token else NoAuth()
        response: requests.Response = http.request(
            self.method, self.url, auth=auth, allow_redirects=False, timeout=deadline, **arguments
        )
        return response

    @property
    def secrets(self) -> list[Secret]:
        """The texts that no error may quote."""
        values = [self.token, *(self.json or {}).values(), *(self.form or {}).values()]
        return [value for value in values if isinstance(value, Secret)]


@dataclass(frozen=True, slots=True)
class _Grant(_Call):
    """A request for a user's tokens, which Authlib builds."""

    grant_type: str = ""
    #: A code or a refresh token, under Authlib's name for it.
    spends: Fields = field(default_factory=dict)

    def send(self, http: DingTalkSession, deadline: Deadline) -> requests.Response:
        """Send it once."""
        response: requests.Response = http.fetch_token(
            self.url,
            grant_type=self.grant_type,
            allow_redirects=False,
            timeout=deadline,
            **_revealed(self.spends),
        )
        return response

    @property
    def secrets(self) -> list[Secret]:
        """The texts that no error may quote."""
        return [value for value in self.spends.values() if isinstance(value, Secret)]


class Transport:
    """The connections of one app to DingTalk; shared by all threads, keeps nothing of any user.

    Each method makes one call: retries, pauses and an answer that trickles in included it takes no
    longer than its timeouts together, then ``DingTalkUnavailable`` is raised (timed out). Every
    method raises the errors of the table in ``error_codes``.
    """

    @without_inner_frames
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client_secret = Secret(settings.client_secret)
        self._http = DingTalkSession(settings)

    def exchange_code(self, code: Secret) -> dict[str, Any]:
        """Spend a code for tokens; not sent again once DingTalk may have seen it."""
        return self._json(self._grant(wire.GRANT_AUTHORIZATION_CODE, code=code))

    def refresh(self, refresh_token: Secret) -> dict[str, Any]:
        """Spend a refresh token for new tokens; not sent again once DingTalk may have seen it.

        Raises ``InvalidCode`` for a refresh token that DingTalk refuses, whatever reason it gives.
        """
        outcome = self._outcome(self._grant(wire.GRANT_REFRESH_TOKEN, refresh_token=refresh_token))
        if isinstance(outcome, requests.Response):
            return json_object(outcome)
        error = outcome.error
        if outcome.status in (400, 401) and type(error) is DingTalkAPIError:
            # Which codes tell of a dead refresh token is documented nowhere: any that is neither
            # about the application nor a failure on DingTalk's side.
            error = InvalidCode(
                error.detail,
                hint=error.hint,
                dingtalk_code=error.dingtalk_code,
                dingtalk_message=error.dingtalk_message,
                request_id=error.request_id,
            )
        raise error

    def call_new_api(
        self, method: str, path: str, token: Secret, *, timeout: Any = None, **arguments: Any
    ) -> requests.Response:
        """Call the new API with a user's token or the application's.

        ``timeout`` is in seconds, a number or a pair (connect, read), ``None`` for the settings';
        ``arguments`` are those of ``requests.request``. A connection that breaks is replaced and
        the call repeated once, but only for methods that change nothing.
        """
        method = method.upper()
        return self._answer(
            _Call(
                self._settings.api_base_url + path,
                method,
                token,
                arguments=arguments,
                timeout=timeout,
                attempts=2 if method in _SAFE_METHODS else 1,
            )
        )

    def read_new_api(self, path: str, token: Secret) -> dict[str, Any]:
        """Read from the new API, patiently unless it throttles; return the JSON object."""
        url = self._settings.api_base_url + path
        return self._json(_Call(url, "GET", token, attempts=_READ_ATTEMPTS, patient=True))

    def fetch_app_token(self, path: str, fields: Fields) -> dict[str, Any]:
        """Ask the new API for a token of the application, patiently; return the JSON object."""
        url = self._settings.api_base_url + path
        return self._json(
            _Call(url, json=fields, attempts=_READ_ATTEMPTS, patient=True, waits_for_room=True)
        )

    def call_old_api(self, path: str, fields: Fields, *, timeout: Any = None) -> requests.Response:
        """Post a form to the old API, the application's token among its fields."""
        return self._answer(
            _Call(self._settings.oapi_base_url + path, form=fields, timeout=timeout)
        )

    def read_old_api(self, path: str, fields: Fields) -> dict[str, Any]:
        """Post a form that only reads to the old API, patiently; return the JSON object."""
        url = self._settings.oapi_base_url + path
        return self._json(
            _Call(url, form=fields, attempts=_READ_ATTEMPTS, patient=True, waits_for_room=True)
        )

    def spend_on_old_api(self, path: str, fields: Fields) -> dict[str, Any]:
        """Post a form with something that works once to the old API; return the JSON object.

        Not sent again once DingTalk may have seen it.
        """
        return self._json(_Call(self._settings.oapi_base_url + path, form=fields))

    def open_stream(self, subscriptions: list[dict[str, str]], user_agent: str) -> dict[str, Any]:
        """Ask for a connection of Stream mode, patiently; return the JSON object.

        [configure-stream-push]
        """
        fields: JsonFields = {
            wire.TOKEN_CLIENT_ID: self._settings.client_id,
            wire.TOKEN_CLIENT_SECRET: self._client_secret,
            wire.STREAM_SUBSCRIPTIONS: subscriptions,
            wire.STREAM_USER_AGENT: user_agent,
        }
        url = self._settings.api_base_url + wire.STREAM_OPEN_PATH
        return self._json(_Call(url, json=fields, attempts=_READ_ATTEMPTS, patient=True))

    def load_certificates(self) -> None:
        """Parse the CA bundle (26 ms) before somebody has to wait for it."""
        self._http.load_certificates(self._settings.api_base_url)

    def _grant(self, grant_type: str, **spends: Secret) -> _Grant:
        url = self._settings.api_base_url + wire.USER_ACCESS_TOKEN_PATH
        return _Grant(url, grant_type=grant_type, spends=spends)

    def _json(self, call: _Call) -> dict[str, Any]:
        return json_object(self._answer(call))

    def _answer(self, call: _Call) -> requests.Response:
        outcome = self._outcome(call)
        if isinstance(outcome, _Failure):
            raise outcome.error
        return outcome

    def _outcome(self, call: _Call) -> requests.Response | _Failure:
        """Return a complete answer that reports no error, or the failure of the last attempt."""
        deadline = Deadline(*_timeouts(call.timeout, self._settings.timeout))
        attempt = 1
        while True:
            outcome = self._attempt(call, deadline)
            if isinstance(outcome, requests.Response) or attempt >= call.attempts:
                return outcome
            pause = _pause(outcome.why, attempt, call)
            if pause is None or pause >= deadline.left():
                return outcome
            time.sleep(pause)
            attempt += 1

    def _attempt(self, call: _Call, deadline: Deadline) -> requests.Response | _Failure:
        try:
            response = call.send(self._http, deadline)
        except requests.RequestException as error:
            if isinstance(error, ValueError | requests.exceptions.InvalidJSONError):
                # Arguments that cannot be sent: the caller's mistake, not DingTalk's.
                raise
            return _no_answer(error, deadline)
        reported = error_of(
            response, self._settings.client_id, secrets=[self._client_secret, *call.secrets]
        )
        if reported is None:
            return response
        return _Failure(_why(reported), reported, response.status_code)


def _revealed(fields: JsonFields) -> dict[str, Any]:
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in fields.items()
    }


def _timeouts(given: Any, usual: tuple[float, float]) -> tuple[float, float]:
    """Return the seconds to connect and to wait for an answer, as the caller wants them."""
    if given is None:
        return usual
    pair = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(pair) != 2:
        raise ValueError("timeout is a number of seconds or a pair of them: (connect, read)")
    connect, read = (
        default if seconds is None else float(seconds)
        for seconds, default in zip(pair, usual, strict=True)
    )
    if not (0 < connect < math.inf and 0 < read < math.inf):
        raise ValueError("timeout has to be more than 0 seconds, and less than for ever")
    return connect, read


def _why(error: DingTalkError) -> _Why:
    if isinstance(error, RateLimited):
        # "Sleep 1 s, retry" is DingTalk's advice for its limits per second; any longer limit would
        # outlast the visitor. [how-to-process-api-throttling-on-the-dingtalk-server]
        return _Why.THROTTLED if error.retry_after <= 1 else _Why.FINAL
    if isinstance(error, DingTalkUnavailable) and error.dingtalk_code is not None:
        return _Why.BUSY
    return _Why.FINAL


def _no_answer(error: requests.RequestException, deadline: Deadline) -> _Failure:
    """Return the error for a call without a complete answer."""
    if isinstance(error, requests.Timeout) or deadline.left() <= 0:
        return _Failure(
            _Why.FINAL,
            DingTalkUnavailable(
                "DingTalk did not answer in time", timed_out=True, hint=_UNREACHABLE
            ),
        )
    if isinstance(error, requests.exceptions.ContentDecodingError):
        problem = f"DingTalk's answer cannot be read: {error}"
        return _Failure(_Why.FINAL, DingTalkUnavailable(problem, hint=NONSENSE))
    problem = f"DingTalk cannot be reached ({type(error).__name__})"
    broke = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    return _Failure(
        _Why.BROKE if broke else _Why.FINAL, DingTalkUnavailable(problem, hint=_UNREACHABLE)
    )


def _pause(why: _Why, attempt: int, call: _Call) -> float | None:
    """Return the seconds to wait before another attempt, or ``None`` to give up.

    With jitter, so that those who were refused together do not come back together.
    """
    jitter = random.uniform(0.05, _FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311
    if why is _Why.BROKE:
        return jitter if call.patient else 0.0
    if why is _Why.BUSY and call.patient:
        return jitter
    if why is _Why.THROTTLED and call.waits_for_room and attempt == 1:
        return random.uniform(1, 1.5)  # noqa: S311
    return None
