"""A sign-in from its first redirect to the open session, each step one line.

The list in ``_finish`` is the security argument: nothing is stored before ``open_session``, and a
failure at any line leaves the Flask session as it was, less the used state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from flask import Response, current_app, redirect, request, url_for
from werkzeug.routing import BuildError

from . import policy, session, signals
from .api import wire
from .api.authorization import authorize_url
from .api.models import DingTalkToken, DingTalkUser
from .app_state import app_state, this_app
from .errors import (
    AccessDenied,
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    InvalidCode,
    InvalidState,
)
from .login import Login
from .redirects import is_path, local_target, origin_of
from .secret import Secret

#: A function of user and token, plain or async, that returns a response or nothing.
LoginHook = Callable[[DingTalkUser, Any], Any]

#: The answer to a browser, and who signed in just now: nobody where an address is loaded again.
Outcome = tuple[Response, Login | None]

#: The form fields of the page inside the DingTalk client.
IN_APP_CODE: Final = "code"
IN_APP_STATE: Final = "state"
#: Of the login route: why the DingTalk client gave no code, as the page inside it was told.
CLIENT_REASON: Final = "reason"
#: Of the login route: go on to DingTalk, whatever page there is to show.
_REDIRECTS: Final = {"via": "redirect"}

#: A code is 32 hexadecimal digits; nothing much longer is worth a call.
_MAX_CODE_LENGTH = 256
_MAX_ERROR_LENGTH = 200
_NO_CODE = "somebody changed the address, or something between DingTalk and this site did"
_NO_CLIENT_CODE: Final = (
    "对应企业没有…微应用 means that no application of that organisation has this domain: give the "
    "home page of the ability 网页应用 and 开发配置 > 安全设置 > 端内免登地址 this site's address, "
    "and release a version; invalid corpid means that DINGTALK_CORP_ID is not the application's "
    "own organisation. The visitor went on to DingTalk's page"
)
#: What may stand in a path unencoded (RFC 3986, section 3.3).
_PATH_CHARACTERS = "/:@!$'()*,;~"


def begin(asked: str | None) -> tuple[str, str]:
    """Start a sign-in that shall lead to ``asked``; return its state and its redirect URI."""
    redirect_uri = app_state().settings.redirect_uri or route("callback", _external=True)
    _warn_of_another_host(redirect_uri)
    return session.begin(local(asked)), redirect_uri


def start(asked: str | None) -> Response:
    """Send the browser to DingTalk; ``asked`` is where the sign-in shall lead."""
    state, redirect_uri = begin(asked)
    url = authorize_url(app_state().settings, state=state, redirect_uri=redirect_uri)
    return warming_up(_redirect(url, 302))


def report_no_code(reason: str) -> None:
    """Log why the client gave no code; who stands before a phone cannot look into its console."""
    current_app.logger.warning(
        "The DingTalk client gave no code: %r. Hint: %s", shown(reason), _NO_CLIENT_CODE
    )


def warming_up(response: Response) -> Response:
    """Get ready for the callback once the browser has this answer, and its user is busy."""
    response.call_on_close(app_state().warm_up)
    return response


def finish(hooks: Iterable[LoginHook]) -> Outcome:
    """Take the browser back from DingTalk's pages.

    Raises a ``DingTalkError``, or what a hook raises.
    """
    code = _secret(
        request.args.get(wire.CALLBACK_AUTH_CODE) or request.args.get(wire.CALLBACK_CODE)
    )

    def vouched() -> tuple[DingTalkUser, DingTalkToken]:
        error = request.args.get(wire.CALLBACK_ERROR)
        token = app_state().client.exchange(_checked_code(code, error))
        return app_state().client.user(token), token

    attempt = session.take(request.args.get(wire.STATE), code.reveal() if code else None)
    # Inside the client, the ordinary way in would sign in without asking who shall come in.
    retry = login_url(attempt.target, redirects=inside_client())
    return _finish(attempt, vouched, hooks, retry=retry, status=302)


def finish_in_app(hooks: Iterable[LoginHook]) -> Outcome:
    """Sign in with the code that the DingTalk client gave to a page of this site.

    Raises a ``DingTalkError``, or what a hook raises.
    """
    code = _secret(request.form.get(IN_APP_CODE))

    def vouched() -> tuple[DingTalkUser, None]:
        return app_state().directory.member_by_code(_checked_code(code, None)), None

    attempt = session.take(request.form.get(IN_APP_STATE), code.reveal() if code else None)
    # Another try goes through DingTalk's pages: the client would give the same answer again.
    retry = login_url(attempt.target, redirects=True)
    return _finish(attempt, vouched, hooks, retry=retry, status=303)


def _finish(
    attempt: session.Attempt,
    vouched: Callable[[], tuple[DingTalkUser, DingTalkToken | None]],
    hooks: Iterable[LoginHook],
    *,
    retry: str,
    status: int,
) -> Outcome:
    """Open the session for whom DingTalk vouches and the site admits."""
    end = landing(attempt.target)
    if attempt.finished:
        return _redirect(end, status), None
    try:
        user, token = vouched()
        user = policy.admit(user, app_state().settings, lambda: app_state().directory)
        answer = _ask(hooks, user, token)
        session.open_session(user, token, attempt)
    except BaseException as error:
        # Whatever it was, a bug in a hook included: this sign-in came to nothing.
        app_state().used_states.finish(attempt.nonce, succeeded=False)
        if isinstance(error, DingTalkError):
            error.retry_url = retry
        raise
    app_state().used_states.finish(attempt.nonce, succeeded=True)
    return answer or _redirect(end, status), Login(user, token)


def announce(signed_in: Login) -> None:
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
    return _redirect(local(asked) or _root(app_state().settings.logout_redirect), 303)


def local(asked: str | None) -> str | None:
    """Return ``asked`` if it leads back to this site, but not into this extension's own routes."""
    target = local_target(asked, origin_of(request.host_url) or "")
    own = (route(name) for name in ("login", "callback", "logout", "in_app", "renew_state"))
    if target is None or any(is_path(target, path) for path in own):
        return None
    return target


def landing(target: str | None) -> str:
    """Return where a sign-in ends that shall lead to ``target``."""
    return target or _root(app_state().settings.login_redirect)


def here() -> str:
    """Return path and query of this request, encoded, as a ``next`` that leads back to it."""
    environ = request.environ
    # WSGI hands over bytes as Latin-1 (PEP 3333).
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = quote(path, _PATH_CHARACTERS, "latin-1")
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


def login_url(target: str | None, *, redirects: bool = False) -> str:
    """Return where a sign-in begins that leads to ``target``.

    With ``redirects`` it goes on to DingTalk at once, also where this address shows a page. Raises
    what ``route`` raises.
    """
    return route("login", next=target, **(_REDIRECTS if redirects else {}))


def inside_client() -> bool:
    """Tell whether the DingTalk client shall be asked for a code.

    Anybody can pass for it: a page that asks for a code is all that it gets them.
    """
    return (
        app_state().settings.in_app_login
        and wire.CLIENT_USER_AGENT in request.user_agent.string.lower()
    )


def asks_for_redirect(query: Mapping[str, str]) -> bool:
    """Tell whether a sign-in shall go on to DingTalk at once."""
    return all(query.get(name) == value for name, value in _REDIRECTS.items())


def route(name: str, **values: Any) -> str:
    """Return the address of a route of this extension.

    Raises ``ConfigurationError`` if the routes are not registered, or not where they are looked
    for.
    """
    try:
        return url_for(f"dingtalk.{name}", **values)
    except BuildError:
        error = ConfigurationError(
            "the routes of this extension are not registered on this app",
            hint="app.register_blueprint(dingtalk.blueprint), not inside another blueprint",
        )
        current_app.logger.error("DingTalk: %s", error)
        raise error from None


def _root(landing: str) -> str:
    # The root of this site, which may be mounted below a path.
    return f"{request.script_root}/" if landing == "/" else landing


def shown(text: str) -> str:
    """Make a text that came with a request fit for a log line."""
    return "".join(c for c in text[:_MAX_ERROR_LENGTH] if c.isprintable())


def _secret(code: str | None) -> Secret | None:
    return Secret(code) if code else None


def _checked_code(code: Secret | None, error: str | None) -> Secret:
    if error is not None:
        raise AccessDenied(
            f"DingTalk called back with the error {shown(error)!r}",
            hint="the user declined, or may not use the application: look at its visible range",
        )
    if code is None:
        raise InvalidCode("DingTalk called back with neither a code nor an error", hint=_NO_CODE)
    if not _looks_like_a_code(code.reveal()):
        raise InvalidCode("what came back as a code is none of DingTalk's", hint=_NO_CODE)
    return code


def _looks_like_a_code(code: str) -> bool:
    return len(code) <= _MAX_CODE_LENGTH and code.isascii() and code.isprintable()


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
