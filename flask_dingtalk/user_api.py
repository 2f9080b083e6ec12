"""Calls of DingTalk's APIs: as the signed-in user, with a token in hand, as the application."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from . import session, signals
from .api.arguments import check_arguments, is_repeatable
from .api.error_codes import TOKEN_REFUSED
from .api.models import DingTalkToken
from .app_state import app_state, this_app
from .errors import DingTalkAPIError, DingTalkError, LoginRequired
from .login import Login
from .logs import facts, level_of
from .memory import Refreshed
from .urls import current_url, login_url, login_url_for_scripts

if TYPE_CHECKING:
    from requests import Response

_log = logging.getLogger(__name__)


class ApiCalls(ABC):
    """``request`` and its short forms."""

    @abstractmethod
    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Call an API; ``path`` is relative to DingTalk's host."""

    def get(self, path: str, **kwargs: Any) -> Response:
        """``request("GET", …)``."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Response:
        """``request("POST", …)``."""
        return self.request("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> Response:
        """``request("PUT", …)``."""
        return self.request("PUT", path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> Response:
        """``request("PATCH", …)``."""
        return self.request("PATCH", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Response:
        """``request("DELETE", …)``."""
        return self.request("DELETE", path, **kwargs)


class AsUser(ApiCalls):
    """Calls with a user's token in hand, outside of a request; see ``DingTalk.as_user``."""

    def __init__(self, token: DingTalkToken) -> None:
        #: The pair in force. It changes when a call refreshes it, and is the caller's to keep.
        self.token = token

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Call an API of ``api.dingtalk.com`` as the user; see ``DingTalk.request``."""
        check_arguments(path, kwargs)
        with _reporting(method, path):
            return _call(self, method, path, kwargs)

    def renew(self) -> None:
        """Refresh the pair."""
        self.token = _refresh(self.token).token


class AsApp(ApiCalls):
    """Calls with the application's own token; see ``DingTalk.as_app``."""

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Call an API as the application; see ``DingTalk.as_app``."""
        with _reporting(method, path):
            return app_state().directory.request(method, path, **kwargs)


class _Owner(Protocol):
    """Has a pair of tokens, and stores the refreshed one."""

    token: DingTalkToken

    def renew(self) -> None: ...


class _SessionOwner:
    """The session of this request as the owner of a pair."""

    def __init__(self, login: Login, token: DingTalkToken) -> None:
        self._login = login
        self.token = token

    def renew(self) -> None:
        """Refresh the pair, and store the new one in the session."""
        if not session.can_be_saved():
            raise DingTalkAPIError(
                "the access token has ended, and a new pair of tokens could not be kept: this "
                "request cannot save the session any more",
                hint="make the first call before the response starts, or use "
                "dingtalk.as_user(token) and keep its token yourself",
            )
        refreshed = _refresh(self.token)
        before = replace(self._login, token=refreshed.follows)
        kept = session.replace_token(before, refreshed.token)
        if refreshed.is_new:
            signals.token_refreshed.send(this_app(), user=self._login.user, token=refreshed.token)
        if kept is None:
            raise LoginRequired("the sign-in ended while this request was at work")
        self.token = refreshed.token


def call(method: str, path: str, **kwargs: Any) -> Response:
    """Call ``path`` of the API host as the signed-in user; see ``DingTalk.request``."""
    check_arguments(path, kwargs)
    login = session.current_login()
    with _reporting(method, path):
        try:
            if login is None:
                raise LoginRequired(
                    "a call as the user, but nobody is signed in",
                    hint="guard the view with login_required",
                )
            if login.token is None:
                raise DingTalkAPIError(
                    "this sign-in yielded no user token",
                    hint="a sign-in inside the DingTalk client yields none; DingTalk's pages do",
                    retry_url=login_url(current_url(), redirects=True),
                )
            return _call(_SessionOwner(login, login.token), method, path, kwargs)
        except LoginRequired as error:
            # Loading the page again would not help. A script is told where to send the visitor.
            error.retry_url, error.login_url = login_url(current_url()), login_url_for_scripts()
            raise


@contextmanager
def _reporting(method: str, path: str) -> Iterator[None]:
    """Log an error of a call, since the page that it may become sends people to the log."""
    try:
        yield
    except DingTalkError as error:
        _log.log(
            level_of(error),
            "DingTalk call failed: %s %r: %s",
            method,
            path,
            error.log_message,
            extra=facts("call_failed", error),
        )
        raise


def _call(owner: _Owner, method: str, path: str, kwargs: dict[str, Any]) -> Response:
    client = app_state().client
    if owner.token.is_expired():
        owner.renew()
    try:
        return client.request(method, path, owner.token, **kwargs)
    except DingTalkError as error:
        # DingTalk did not carry out a call whose token it refused, so repeat it.
        if error.dingtalk_code not in TOKEN_REFUSED or not is_repeatable(kwargs):
            raise
    owner.renew()
    return client.request(method, path, owner.token, **kwargs)


def _refresh(token: DingTalkToken) -> Refreshed:
    state = app_state()
    return state.memory.refreshes.refresh(token, state.client.refresh, state.patience)
