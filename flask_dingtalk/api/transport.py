"""HTTP to DingTalk: who is asked how often, how long, and what it means if nobody answers.

With ``adapter`` and ``dialect``, the only module that loads requests and Authlib, which cost 90 ms:
whoever needs it imports it late.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError, ProxyError, SSLError

from ..errors import DingTalkError, DingTalkUnavailable, RateLimited
from . import wire
from .answers import NONSENSE, json_object, raise_for_error
from .http import DingTalkSession, HeaderTokenAuth

if TYPE_CHECKING:
    from ..settings import Settings

#: What may be repeated when a connection breaks: nothing is spent by it (RFC 9110, section 9.2.2).
_SAFE_METHODS: Final = ("GET", "HEAD")
#: How often a read of our own is sent in all before a busy DingTalk is given up.
_READ_ATTEMPTS: Final = 3
#: Seconds; the first pause of a read is at most this, each further one up to twice as long.
_FIRST_PAUSE: Final = 0.2
_UNREACHABLE: Final = "see whether this server reaches DingTalk: DNS, proxy, firewall, certificates"


class Transport:
    """The connections of one app to DingTalk; shared by all threads, keeps nothing of any user."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = DingTalkSession(settings)

    def fetch_token(self, **grant: str | None) -> dict[str, Any]:
        """Spend a code or a refresh token; never repeated once DingTalk may have seen it."""
        try:
            answer: dict[str, Any] = self._http.fetch_token(
                self._settings.api_base_url + wire.USER_ACCESS_TOKEN_PATH,
                timeout=self._settings.timeout,
                allow_redirects=False,
                **grant,
            )
        except requests.RequestException as error:
            failure = _unreachable(error)
            failure.spent = not _never_connected(error)
            raise failure from error
        except DingTalkError as error:
            # A refusal spends nothing. A failure on DingTalk's side, or no word that makes sense,
            # may have come after the deed.
            error.spent = isinstance(error, DingTalkUnavailable)
            raise
        return answer

    def as_user(
        self, method: str, path: str, access_token: str, **kwargs: Any
    ) -> requests.Response:
        """Call the new API with a user's token; ``kwargs`` are those of ``requests.request``.

        A connection that breaks is replaced and the call repeated once, but only for methods that
        change nothing.
        """
        method = method.upper()
        return self._send(
            method,
            self._settings.api_base_url + path,
            auth=HeaderTokenAuth({"access_token": access_token}),
            attempts=2 if method in _SAFE_METHODS else 1,
            secrets=[access_token],
            **kwargs,
        )

    def read_as_user(self, path: str, access_token: str) -> dict[str, Any]:
        """Read from the new API with a user's token, patiently; return the JSON object."""
        response = self._send(
            "GET",
            self._settings.api_base_url + path,
            auth=HeaderTokenAuth({"access_token": access_token}),
            attempts=_READ_ATTEMPTS,
            patient=True,
            secrets=[access_token],
        )
        return json_object(response)

    def read(self, url: str, *, secrets: Iterable[str], **body: Any) -> dict[str, Any]:
        """Post what only reads (an app token, the old API), patiently; return the JSON object.

        ``body`` is ``data`` (a form) or ``json``.
        """
        return self._post(url, secrets, _READ_ATTEMPTS, body)

    def spend(self, url: str, *, secrets: Iterable[str], **body: Any) -> dict[str, Any]:
        """Post what works once: as ``read``, but never again once DingTalk may have seen it."""
        return self._post(url, secrets, 1, body)

    def _post(
        self, url: str, secrets: Iterable[str], attempts: int, body: dict[str, Any]
    ) -> dict[str, Any]:
        response = self._send(
            "POST",
            url,
            auth=_NoAuth(),
            attempts=attempts,
            patient=True,
            secrets=secrets,
            **body,
        )
        return json_object(response)

    def load_certificates(self) -> None:
        """Parse the CA bundle (26 ms) before somebody has to wait for it."""
        self._http.load_certificates(self._settings.api_base_url)

    def _send(
        self,
        method: str,
        url: str,
        *,
        auth: AuthBase,
        attempts: int,
        secrets: Iterable[str],
        patient: bool = False,
        **kwargs: Any,
    ) -> requests.Response:
        """Return a complete answer that reports no error, within so many attempts.

        A broken connection is always worth another one; with ``patient``, so is a DingTalk that
        says it is busy, after a pause with jitter.
        """
        kwargs["timeout"] = kwargs.get("timeout") or self._settings.timeout
        attempt = 0
        while True:
            attempt += 1
            pause = 0.0
            try:
                response: requests.Response = self._http.request(
                    method, url, auth=auth, allow_redirects=False, **kwargs
                )
                raise_for_error(response, self._settings.client_id, secrets)
            except requests.RequestException as error:
                if isinstance(error, ValueError | requests.exceptions.InvalidJSONError):
                    # Arguments that cannot be sent: the caller's mistake, not DingTalk's.
                    raise
                if attempt >= attempts or not _connection_broke(error):
                    raise _unreachable(error) from error
                pause = _jitter(attempt) if patient else 0.0
            except DingTalkError as error:
                pause_or_none = _pause(error, attempt) if patient else None
                if attempt >= attempts or pause_or_none is None:
                    raise
                pause = pause_or_none
            else:
                return response
            time.sleep(pause)


def _pause(error: DingTalkError, attempt: int) -> float | None:
    """Return for how many seconds to wait before another attempt, or ``None`` for no other one.

    With jitter, so that those who were refused together do not come back together.
    """
    if isinstance(error, RateLimited):
        # "Sleep 1 s, retry" is DingTalk's advice for its limits per second, once; any longer limit
        # would outlast the visitor. [how-to-process-api-throttling-on-the-dingtalk-server]
        return random.uniform(1, 1.5) if error.retry_after <= 1 and attempt == 1 else None  # noqa: S311
    if isinstance(error, DingTalkUnavailable) and error.dingtalk_code is not None:
        return _jitter(attempt)
    return None


def _jitter(attempt: int) -> float:
    return random.uniform(0.05, _FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311


class _NoAuth(AuthBase):
    """Says that a call needs none; otherwise requests would look into ``~/.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _connection_broke(error: requests.RequestException) -> bool:
    return isinstance(
        error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError
    ) and not isinstance(error, requests.Timeout)


def _never_connected(error: requests.RequestException) -> bool:
    """Tell whether nothing can have been processed, as there never was a connection."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, SSLError):
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, NewConnectionError | ProxyError)


def _unreachable(error: requests.RequestException) -> DingTalkUnavailable:
    if isinstance(error, requests.Timeout):
        return DingTalkUnavailable(
            "DingTalk did not answer in time", timed_out=True, hint=_UNREACHABLE
        )
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return DingTalkUnavailable(f"DingTalk's answer cannot be read: {error}", hint=NONSENSE)
    return DingTalkUnavailable(
        f"DingTalk cannot be reached ({type(error).__name__})", hint=_UNREACHABLE
    )
