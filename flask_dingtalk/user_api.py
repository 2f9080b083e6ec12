"""A call of a DingTalk API as the signed-in user, with fresh tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import current_app

from . import session, signals
from .api.error_codes import TOKEN_REFUSED
from .api.models import DingTalkToken
from .app_state import app_state, this_app
from .errors import DingTalkAPIError, DingTalkError, LoginRequired
from .login import Login
from .signin import here, login_url

if TYPE_CHECKING:
    from requests import Response

#: What ``request`` passes on to requests; everything else would loosen what the client ensures.
_ARGUMENTS = frozenset({"params", "data", "json", "headers", "files", "timeout"})


def call(method: str, path: str, **kwargs: Any) -> Response:
    """Call ``path`` of the API host as the signed-in user; see ``DingTalk.request``."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ValueError("path has to start with one slash: it is relative to the API host")
    unknown = kwargs.keys() - _ARGUMENTS
    if unknown:
        raise TypeError(f"unexpected arguments: {', '.join(sorted(unknown))}")
    present = session.signed_in()
    if present is None:
        error = LoginRequired(
            "a call as the user, but nobody is signed in", hint="guard the view with login_required"
        )
        error.retry_url = login_url(here())
        raise error
    if present.token is None:
        failure = DingTalkAPIError(
            "this sign-in yielded no user token",
            hint="a sign-in inside the DingTalk client yields none; DingTalk's pages do",
        )
        failure.retry_url = login_url(here(), redirects=True)
        current_app.logger.warning(
            "DingTalk call failed: %s %r: %s", method, path, failure.log_message
        )
        raise failure
    try:
        return _call(present, present.token, method, path, kwargs)
    except DingTalkError as error:
        if error.spent:
            # Loading the page again would not help.
            error.retry_url = login_url(here())
        current_app.logger.warning(
            "DingTalk call failed: %s %r: %s", method, path, error.log_message
        )
        raise


def renew(present: Login, token: DingTalkToken) -> DingTalkToken:
    """Return tokens newer than ``token``, which belongs to ``present``; tell who listens."""
    state = app_state()
    renewed: list[DingTalkToken] = []

    def refresh(old: DingTalkToken) -> DingTalkToken:
        renewed.append(state.client.refresh(old))
        return renewed[0]

    newest = state.rotations.renew(token, refresh)
    if renewed:
        # Once the pair is safe, and nobody waits for it: a listener may fail, or call DingTalk.
        signals.token_refreshed.send(this_app(), user=present.user, token=newest)
    return newest


def _call(
    present: Login, stored: DingTalkToken, method: str, path: str, kwargs: dict[str, Any]
) -> Response:
    state = app_state()
    token = state.rotations.latest(stored)
    if token.is_expired():
        token = renew(present, token)
    if token != stored:
        session.replace_token(token)
    try:
        return state.client.request(method, path, token, **kwargs)
    except DingTalkError as error:
        # Refused for its token, the call was not carried out: it may be made again.
        if error.dingtalk_code not in TOKEN_REFUSED or not _repeatable(kwargs):
            raise
    renewed = renew(present, token)
    session.replace_token(renewed)
    return state.client.request(method, path, renewed, **kwargs)


def _repeatable(kwargs: dict[str, Any]) -> bool:
    """Tell whether the body can be sent twice; a file or a generator is used up."""
    return not kwargs.get("files") and isinstance(
        kwargs.get("data"), str | bytes | dict | list | tuple | None
    )
