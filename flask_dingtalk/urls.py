"""Addresses: this extension's routes, the page asked for, and where a sign-in leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from flask import current_app, request, url_for
from werkzeug.routing import BuildError

from .api import wire
from .app_state import app_state
from .errors import ConfigurationError
from .redirects import is_path, local_target, origin_of, trusted_target

#: Query parameter of the login route: skip the sign-in page and go to DingTalk.
_REDIRECTS: Final = {"via": "redirect"}
_OWN_ROUTES: Final = ("login", "callback", "logout", "in_app", "renew_state")
#: What may stand in a path unencoded (RFC 3986, section 3.3).
_PATH_CHARACTERS: Final = "/:@!$'()*,;~"


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
        current_app.logger.error("DingTalk: %s", error.log_message)
        raise error from None


def login_url(target: str | None, *, redirects: bool = False) -> str:
    """Return the URL that starts a sign-in and then leads to ``target``.

    With ``redirects`` it goes on to DingTalk at once, even where this address shows a page. Raises
    what ``route`` raises.
    """
    return route("login", next=target, **(_REDIRECTS if redirects else {}))


def login_url_for_scripts() -> str:
    """Return the ``login_url`` that a script gets: absolute for one on a trusted origin.

    Raises what ``route`` raises.
    """
    return route("login", _external=comes_from_trusted_origin())


def comes_from_trusted_origin() -> bool:
    """Tell whether a page of ``DINGTALK_TRUSTED_ORIGINS`` sent this request."""
    origin = origin_of(request.headers.get("Origin", ""))
    return origin is not None and origin in app_state().settings.trusted_origins


def asks_for_redirect(query: Mapping[str, str]) -> bool:
    """Tell whether a sign-in is to go on to DingTalk at once."""
    return all(query.get(name) == value for name, value in _REDIRECTS.items())


def current_url() -> str:
    """Return path and query of this request, encoded, as a ``next`` that leads back to it."""
    environ = request.environ
    # WSGI hands over bytes as Latin-1 (PEP 3333).
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = quote(path, _PATH_CHARACTERS, "latin-1")
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


def safe_target(asked: str | None) -> str | None:
    """Return ``asked`` if a sign-in or a sign-out may lead there, else ``None``.

    It may lead back to this site, but not into this extension's own routes, or to one of
    ``DINGTALK_TRUSTED_ORIGINS``.
    """
    target = local_target(asked, origin_of(request.host_url) or "")
    if target is None:
        return trusted_target(asked, app_state().settings.trusted_origins)
    return None if any(is_path(target, route(name)) for name in _OWN_ROUTES) else target


def landing(target: str | None) -> str:
    """Return where a sign-in ends that leads to ``target``."""
    return target or below_mount(app_state().settings.login_redirect)


def below_mount(path_or_url: str) -> str:
    """Return a landing setting as an address: a path is one of this site, below its mount."""
    return request.script_root + path_or_url if path_or_url.startswith("/") else path_or_url


def is_in_app() -> bool:
    """Tell whether to ask the DingTalk client for a code.

    Anybody can pass for it: a page that asks for a code is all that it gets them.
    """
    return (
        app_state().settings.in_app_login
        and wire.CLIENT_USER_AGENT in request.user_agent.string.lower()
    )
