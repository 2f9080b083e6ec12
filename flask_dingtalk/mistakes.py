"""Mistakes of set-up that nothing else would name: a warning at start, or at the first request.

The settings are valid, and the site runs; but a sign-in will fail, or a view is open. Each warning
says what to do. Nothing here changes what the site does.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any, Final, cast
from urllib.parse import urlsplit
from weakref import WeakSet

from flask import Flask, request, request_started
from flask.blueprints import BlueprintSetupState

from .app_state import EXTENSION_KEY, AppState, app_state_of
from .logs import facts
from .settings import PREFIX, Settings

_log = logging.getLogger(__name__)

#: On a view that a guard was put around: the guarded versions of it.
_GUARDED: Final = "_dingtalk_guarded"
#: Characters. Client IDs have some twenty, secrets have 64.
_LONG_FOR_AN_ID: Final = 40
#: How a Client ID begins. [used-application-authorization]
_ID: Final = re.compile(r"(ding|suite)[a-z0-9]{12,}", re.IGNORECASE)
_MAX_LOGGED_LENGTH: Final = 200


# --- At start ------------------------------------------------------------------------------------


def warn_of_settings(app: Flask, settings: Settings) -> None:
    """Warn about settings that are valid but probably a mistake."""
    if settings.is_open_to_all:
        _log.warning(
            "Everybody with a DingTalk account can sign in to this site: DingTalk stops nobody. "
            "Hint: set DINGTALK_MEMBERS_ONLY = True to admit the members of your organisation "
            "alone, or DINGTALK_ALLOWED_CORP_IDS; DINGTALK_MEMBERS_ONLY = False says that "
            "everybody is welcome",
            extra=facts("open_to_all"),
        )
    if str(app.config.get("SESSION_COOKIE_SAMESITE")).lower() == "strict":
        _log.warning(
            "SESSION_COOKIE_SAMESITE is 'Strict': the session cookie does not come back from "
            "DingTalk's pages, and every sign-in fails. Hint: use 'Lax'",
            extra=facts("cookie_samesite"),
        )
    problem = credentials_problem(settings)
    if problem is not None:
        _log.warning(
            "%s. Hint: copy both from the console, 基础信息 > 凭证与基础信息",
            problem,
            extra=facts("credentials_strange"),
        )
    for name in _only_in_environment(app):
        _log.warning(
            "%s is in the environment, but app.config does not have it, so that it has no effect. "
            "Hint: app.config.from_prefixed_env(), called before DingTalk(app), reads FLASK_%s",
            name,
            name.removeprefix("FLASK_"),
            extra=facts("setting_unread"),
        )


def credentials_problem(settings: Settings) -> str | None:
    """Return what is strange about the credentials, without showing them."""
    client_id, secret = settings.client_id, settings.client_secret
    if client_id.isdigit():
        return "DINGTALK_CLIENT_ID is made of digits alone, as an AgentId or AppId is"
    if client_id == secret:
        return "DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET are the same text"
    if client_id == settings.corp_id:
        return "DINGTALK_CLIENT_ID is the organisation's id, the same as DINGTALK_CORP_ID"
    if len(client_id) >= _LONG_FOR_AN_ID:
        return "DINGTALK_CLIENT_ID is as long as a Client Secret, and longer than any Client ID"
    if _ID.fullmatch(secret) and len(secret) < _LONG_FOR_AN_ID:
        return "DINGTALK_CLIENT_SECRET looks like a Client ID"
    return None


def _only_in_environment(app: Flask) -> Iterator[str]:
    for each in fields(Settings):
        name = PREFIX + each.name.upper()
        if app.config.get(name) is None:
            yield from (given for given in (name, f"FLASK_{name}") if os.environ.get(given))


def warn_of_redirect_uri(app: Flask) -> None:
    """Warn if ``DINGTALK_REDIRECT_URI`` leads to no callback of this app; its routes are known."""
    redirect_uri = app_state_of(app).settings.redirect_uri
    if redirect_uri is None:
        return
    path = urlsplit(redirect_uri).path
    callbacks = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.split(".")[-2:] == ["dingtalk", "callback"]
    ]
    if callbacks and not any(_ends_with(path, rule) for rule in callbacks):
        _log.warning(
            "DINGTALK_REDIRECT_URI leads to %s, which is not the callback of this app: people "
            "would get 404 after they signed in at DingTalk. Hint: let it end with %s, here and in "
            "the console (开发配置 > 安全设置 > 重定向URL), or mount the routes where it leads",
            path or "/",
            callbacks[0],
            extra=facts("redirect_uri_strange"),
        )


def _ends_with(path: str, rule: str) -> bool:
    # The app may be mounted below a path that it does not know of here, and a rule have variables.
    texts = re.split(r"<[^<>]*>", rule)
    return re.search("[^/]+".join(map(re.escape, texts)) + "$", path) is not None


def check_redirect_uri(state: BlueprintSetupState) -> None:
    """Look at ``DINGTALK_REDIRECT_URI`` when the blueprint is mounted, if the app is set up."""
    if EXTENSION_KEY in state.app.extensions:
        warn_of_redirect_uri(cast(Flask, state.app))


# --- At the first request ------------------------------------------------------------------------


def look_at_first_request(app: Flask) -> None:
    """Have the app looked at when all its views are known: once, at its first request."""
    request_started.connect(_at_first_request, app)


def _at_first_request(app: Flask, **_: Any) -> None:
    # Later requests pay nothing for this.
    request_started.disconnect(_at_first_request, app)
    for endpoint in _open_views(app):
        _log.warning(
            "The view %r is open to everybody: its @login_required stands above the route, where "
            "it has no effect. Hint: put the route first, as in @app.get(…), then @login_required",
            endpoint,
            extra=facts("view_open"),
        )
    warn_of_proxy(app_state_of(app), app)


def note_guarded(view: Callable[..., Any], guarded: Callable[..., Any]) -> None:
    """Remember that ``guarded`` is ``view`` behind a guard."""
    # functools.wraps copied what was noted of the view before.
    guarded.__dict__.pop(_GUARDED, None)
    known: WeakSet[Any] | None = getattr(view, _GUARDED, None)
    if known is None:
        known = WeakSet()
    # Weak, as a site may well put a guard around the same function at each request.
    known.add(guarded)
    with suppress(AttributeError, TypeError):  # a method, for one, has no room for it
        setattr(view, _GUARDED, known)


def _open_views(app: Flask) -> Iterator[str]:
    """Yield the endpoints of views that are guarded only somewhere else than in their route."""
    reachable = {id(function) for view in app.view_functions.values() for function in _chain(view)}
    for endpoint, view in app.view_functions.items():
        for function in _chain(view):
            guarded = getattr(function, _GUARDED, None)
            # A site may well mount a view twice, open and guarded.
            if isinstance(guarded, WeakSet) and not any(id(each) in reachable for each in guarded):
                yield endpoint
                break


def _chain(view: Any) -> Iterator[Any]:
    """Yield a view and what it is wrapped around."""
    seen: set[int] = set()
    while view is not None and id(view) not in seen:
        seen.add(id(view))
        yield view
        view = getattr(view, "__wrapped__", None)


def warn_of_proxy(state: AppState, app: Flask) -> None:
    """Warn, once in a process, if a proxy says another scheme or host than the app sees.

    Asked at the first request, and again when a sign-in begins: the first request may have been a
    health check that did not pass through the proxy.
    """
    if state.settings.redirect_uri is not None:
        # Then nothing of the sign-in is derived from the request.
        return
    scheme, host = _forwarded("Proto").lower(), _forwarded("Host").lower()
    if not scheme and not host:
        return
    seen = f"{request.scheme}://{request.host}"
    if scheme == "https" and request.scheme == "http":
        said = f"https://{host or request.host}"
    elif host and host != request.host.lower() and not app.config.get("SERVER_NAME"):
        said = f"{scheme or request.scheme}://{host}"
    else:
        return
    if state.is_first("proxy"):
        _log.warning(
            "A proxy says that people see this site at %s, but the app sees %s: DingTalk would "
            "send them back to %s, which it does not know. Hint: let the app trust its proxy, "
            "app.wsgi_app = werkzeug.middleware.proxy_fix.ProxyFix(app.wsgi_app, x_for=1, "
            "x_proto=1, x_host=1), or set DINGTALK_REDIRECT_URI",
            said,
            seen,
            seen,
            extra=facts("proxy_untrusted"),
        )


def _forwarded(what: str) -> str:
    # The browser's end of a chain of proxies comes first.
    value = request.headers.get(f"X-Forwarded-{what}", "").partition(",")[0].strip()
    return "".join(c for c in value[:_MAX_LOGGED_LENGTH] if c.isprintable())
