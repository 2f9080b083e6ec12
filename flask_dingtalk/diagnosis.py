"""Why a callback has no state that this browser knows: the line for the log names the cause.

It is told by what the request shows. Nothing here decides whether a state is good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import current_app, request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadData

from .api import wire
from .app_state import this_app
from .errors import InvalidState
from .redirects import origin_of
from .urls import route

if TYPE_CHECKING:
    from .secret import Secret

#: Characters. A state of ours is longer than this, and what people write by hand is shorter.
_SHORTEST_STATE: Final = 60
_NEXT_TRY: Final = "the visitor only has to sign in again"


def not_ours(state: Secret | None) -> InvalidState:
    """Return the error for a callback without a state, or with one that cannot be opened."""
    is_callback = request.endpoint == "dingtalk.callback"
    if state is not None and (len(state.reveal()) >= _SHORTEST_STATE or not is_callback):
        return InvalidState(
            "a state that was sealed with another key",
            hint="give all processes the same SECRET_KEY and DINGTALK_CLIENT_ID, keep an old key "
            "in SECRET_KEY_FALLBACKS for a while, and give each site that uses this application a "
            "callback of its own",
        )
    names = (wire.CALLBACK_AUTH_CODE, wire.CALLBACK_CODE, wire.CALLBACK_ERROR)
    if any(request.values.get(name) for name in names):
        return InvalidState(
            f"DingTalk called back {'without a state' if state is None else 'with a made-up state'}"
            ", so that the sign-in did not begin at this site",
            hint="something leads straight to DingTalk's authorisation URL, probably the home page "
            "of the application in the console (应用能力 > 网页应用 > 首页地址): let it lead to "
            f"this site, to a guarded page or {_login_address()}",
        )
    return InvalidState(
        "the callback was opened by itself, with nothing from DingTalk",
        hint="it is not a page to open by hand, to bookmark, or to name as the home page in the "
        f"console: a sign-in begins at {_login_address()}",
    )


def not_of_this_browser(
    target: str | None, began_at: str | None, *, session_is_empty: bool
) -> InvalidState:
    """Return the error for a state of ours that the session of this request does not hold.

    ``began_at`` is the origin where the sign-in began, if that is not where DingTalk was told to
    come back to.
    """
    problem, hint = _cause(began_at, session_is_empty=session_is_empty)
    return InvalidState(problem, hint=hint, target=target, goes_on="redirect")


def _cause(began_at: str | None, *, session_is_empty: bool) -> tuple[str, str]:
    here = origin_of(request.host_url) or "a host that cannot be read"
    if began_at is not None and began_at != here:
        return (
            f"the sign-in began at {began_at} and came back to {here}, where its session cookie is "
            "unknown",
            "let people open the site under the host of DINGTALK_REDIRECT_URI (or SERVER_NAME) "
            "from the start",
        )
    name = str(current_app.config["SESSION_COOKIE_NAME"])
    cookies = request.cookies.getlist(name)
    if not cookies:
        return f"no session cookie ({name!r}) came back", _why_no_cookie()
    another = (
        f"another app on this host (another port or path) writes a cookie {name!r} too: give this "
        "one a SESSION_COOKIE_NAME of its own"
    )
    if len(cookies) > 1:
        return f"{len(cookies)} cookies {name!r} came back", another
    if session_is_empty and not _can_read(cookies[0]):
        return (
            f"the cookie {name!r} that came back cannot be read here",
            f"{another}. Or the SECRET_KEY differs between processes, or the session has ended in "
            "its store",
        )
    return (
        "a state that this browser did not start, or used before",
        "the sign-in began in another browser (DingTalk's own web view), this address was used "
        "before or is older than a sign-out, more than five sign-ins were begun since, or another "
        f"app on this host with the same SECRET_KEY and SESSION_COOKIE_NAME ({name!r}) replaced "
        f"the cookie. If it happens once, {_NEXT_TRY}",
    )


def _why_no_cookie() -> str:
    config = current_app.config
    if config["SESSION_COOKIE_SECURE"] and not request.is_secure:
        return (
            "SESSION_COOKIE_SECURE is on, but this request is plain http: serve the site over "
            "https, and behind a proxy use werkzeug.middleware.proxy_fix.ProxyFix"
        )
    if str(config["SESSION_COOKIE_SAMESITE"]).lower() == "strict":
        return "SESSION_COOKIE_SAMESITE is 'Strict', which keeps it from coming back: use 'Lax'"
    return (
        "the sign-in began in one browser and ended in another (DingTalk's own web view, a private "
        "window), under another host name, or the browser keeps no cookies. If it happens once, "
        f"{_NEXT_TRY}"
    )


def _can_read(cookie: str) -> bool:
    """Tell whether this app wrote a session cookie; only Flask's own kind shows it."""
    interface = current_app.session_interface
    if not isinstance(interface, SecureCookieSessionInterface):
        return False
    serializer = interface.get_signing_serializer(this_app())
    if serializer is None:
        return False
    try:
        serializer.loads(cookie)
    except BadData:
        return False
    return True


def _login_address() -> str:
    return route("login")
