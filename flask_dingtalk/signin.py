"""A sign-in from its first redirect to the open session, each step one line.

The list in ``finish`` is the security argument: nothing is stored before ``open_session``, and a
failure at any line leaves the Flask session as it was, less the used state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from flask import Response, current_app, redirect, request, url_for
from werkzeug.routing import BuildError

from . import policy, session, signals, wire
from .authorization import authorize_url
from .errors import (
    AccessDenied,
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    InvalidCode,
    InvalidState,
)
from .models import DingTalkToken, DingTalkUser
from .payload import SignedIn
from .redirects import is_path, local_target, origin_of
from .state import current, this_app

#: A function of user and token, plain or async, that returns a response or nothing.
LoginHook = Callable[[DingTalkUser, Any], Any]

#: A code is 32 hexadecimal digits; nothing much longer is worth a call.
_MAX_CODE_LENGTH = 256
_MAX_ERROR_LENGTH = 100
_NO_CODE = "somebody changed the address, or something between DingTalk and this site did"
#: What may stand in a path unencoded (RFC 3986, section 3.3).
_PATH_CHARACTERS = "/:@!$'()*,;~"


def start(asked: str | None) -> Response:
    """Send the browser to DingTalk; ``asked`` is where the sign-in shall lead."""
    state = current()
    redirect_uri = state.settings.redirect_uri or url_for(".callback", _external=True)
    _warn_of_another_host(redirect_uri)
    attempt = session.begin(local(asked))
    response = _redirect(
        authorize_url(state.settings, state=attempt, redirect_uri=redirect_uri), 302
    )
    # Once the browser has its answer, and while the user is busy at DingTalk.
    response.call_on_close(state.warm_up)
    return response


def finish(
    query: Mapping[str, str], hooks: Iterable[LoginHook]
) -> tuple[Response, SignedIn | None]:
    """Take the browser back from DingTalk; return the answer, and who signed in just now.

    Nobody signs in just now where the callback is loaded again. Raises a ``DingTalkError``, or what
    a hook raises.
    """
    code = query.get(wire.CALLBACK_AUTH_CODE) or query.get(wire.CALLBACK_CODE)
    attempt = session.take(query.get(wire.STATE), code)
    landing = attempt.target or _root(current().settings.login_redirect)
    if attempt.finished:
        return _redirect(landing, 302), None
    try:
        token = current().client.exchange(_checked_code(code, query.get(wire.CALLBACK_ERROR)))
        user = current().client.user(token)
        user = policy.admit(user, current().settings, lambda: current().directory)
        answer = _ask(hooks, user, token)
        session.open_session(user, token, attempt)
    except BaseException as error:
        # Whatever it was, a bug in a hook included: this sign-in came to nothing.
        current().used_states.finish(attempt.nonce, succeeded=False)
        if isinstance(error, DingTalkError):
            error.retry_url = login_url(attempt.target)
        raise
    current().used_states.finish(attempt.nonce, succeeded=True)
    return answer or _redirect(landing, 302), SignedIn(user, token)


def announce(signed_in: SignedIn) -> None:
    """Tell who listens that somebody signed in; their exceptions make it no failed sign-in."""
    signals.user_logged_in.send(this_app(), user=signed_in.user, token=signed_in.token)


def report(error: Exception) -> None:
    """Log a failed sign-in once and tell who listens."""
    if isinstance(error, InvalidState):
        error.retry_url = login_url(error.target)
    # What the developer has to see to stands out from what users do.
    ours = isinstance(error, ConfigurationError | DingTalkUnavailable | DingTalkAPIError)
    current_app.logger.log(
        logging.ERROR if ours else logging.WARNING, "DingTalk sign-in failed: %s", error
    )
    signals.login_failed.send(this_app(), error=error)


def sign_out() -> None:
    """Forget the signed-in user and tokens."""
    user = session.close_session()
    if user is not None:
        signals.user_logged_out.send(this_app(), user=user)


def after_sign_out(asked: str | None) -> Response:
    """Redirect to where the sign-out shall lead."""
    return _redirect(local(asked) or _root(current().settings.logout_redirect), 303)


def local(asked: str | None) -> str | None:
    """Return ``asked`` if it leads back to this site, but not into this extension's own routes."""
    target = local_target(asked, origin_of(request.host_url) or "")
    own = (url_for(f".{name}") for name in ("login", "callback", "logout"))
    if target is None or any(is_path(target, path) for path in own):
        return None
    return target


def here() -> str:
    """Return path and query of this request, encoded, as a ``next`` that leads back to it."""
    environ = request.environ
    # WSGI hands over bytes as Latin-1 (PEP 3333).
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = quote(path, _PATH_CHARACTERS, "latin-1")
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


def login_url(target: str | None) -> str:
    """Return where a sign-in begins that leads to ``target``.

    Raises ``ConfigurationError`` if the routes are not registered, or not where they are looked
    for.
    """
    try:
        return url_for("dingtalk.login", next=target)
    except BuildError:
        raise ConfigurationError(
            "the routes of this extension are not registered on this app",
            hint="app.register_blueprint(dingtalk.blueprint), not inside another blueprint",
        ) from None


def _root(landing: str) -> str:
    # The root of this site, which may be mounted below a path.
    return f"{request.script_root}/" if landing == "/" else landing


def _checked_code(code: str | None, error: str | None) -> str:
    if error is not None:
        said = "".join(c for c in error[:_MAX_ERROR_LENGTH] if c.isprintable())
        raise AccessDenied(
            f"DingTalk called back with the error {said!r}",
            hint="the user declined, or may not use the application: look at its visible range",
        )
    if not code:
        raise InvalidCode("DingTalk called back with neither a code nor an error", hint=_NO_CODE)
    if len(code) > _MAX_CODE_LENGTH or not (code.isascii() and code.isprintable()):
        raise InvalidCode("what came back as a code is none of DingTalk's", hint=_NO_CODE)
    return code


def _ask(
    hooks: Iterable[LoginHook], user: DingTalkUser, token: DingTalkToken | None
) -> Response | None:
    """Ask the site; the first response wins, and each hook may refuse."""
    answer: Response | None = None
    for hook in hooks:
        said = current_app.ensure_sync(hook)(user, token)
        if said is not None and answer is None:
            answer = current_app.make_response(said)
    return answer


def _redirect(location: str, status: int) -> Response:
    response: Response = redirect(location, status, Response)  # type: ignore[assignment]
    return response


def _warn_of_another_host(redirect_uri: str) -> None:
    if origin_of(redirect_uri) != origin_of(request.host_url):
        current_app.logger.warning(
            "DingTalk sign-in starts at %s but will come back to %s, where this session is "
            "unknown. Hint: open the site under the host of DINGTALK_REDIRECT_URI; behind a proxy, "
            "use werkzeug.middleware.proxy_fix.ProxyFix",
            origin_of(request.host_url),
            origin_of(redirect_uri),
        )
