"""A call of a DingTalk API as the signed-in user, with fresh tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import current_app

from . import session, signals
from .error_codes import TOKEN_REFUSED
from .errors import DingTalkAPIError, DingTalkError, LoginRequired
from .models import DingTalkToken
from .state import AppState, current

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
        raise LoginRequired("a call as the user, but nobody is signed in")
    if present.token is None:
        raise DingTalkAPIError(
            "this sign-in yielded no user token",
            hint="a sign-in inside the DingTalk client yields none; DingTalk's pages do",
        )
    state = current()
    try:
        return _call(state, present.token, method, path, kwargs)
    except DingTalkError as error:
        current_app.logger.warning("DingTalk call failed: %s %s: %s", method, path, error)
        raise


def _call(
    state: AppState, stored: DingTalkToken, method: str, path: str, kwargs: dict[str, Any]
) -> Response:
    token = state.rotations.latest(stored)
    if token.is_expired():
        token = state.rotations.renew(token, state.client.refresh)
    _keep(stored, token)
    try:
        return state.client.request(method, path, token, **kwargs)
    except DingTalkError as error:
        # Refused for its token, the call was not carried out: it may be made again.
        if error.dingtalk_code not in TOKEN_REFUSED or not _repeatable(kwargs):
            raise
    renewed = state.rotations.renew(token, state.client.refresh)
    _keep(token, renewed)
    return state.client.request(method, path, renewed, **kwargs)


def _keep(stored: DingTalkToken, token: DingTalkToken) -> None:
    if token is stored:
        return
    session.replace_token(token)
    present = session.signed_in()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    signals.token_refreshed.send(app, user=present.user if present else None, token=token)


def _repeatable(kwargs: dict[str, Any]) -> bool:
    """Tell whether the body can be sent twice; a file or a generator is used up."""
    return not kwargs.get("files") and isinstance(
        kwargs.get("data"), str | bytes | dict | list | tuple | None
    )
