"""Addresses: this extension's routes, the page asked for, and where a sign-in leads."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from flask import current_app, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.routing import BuildError

from .api import wire
from .app_state import app_state, this_app
from .errors import ConfigurationError
from .logs import facts
from .redirects import MAX_LENGTH, is_path, local_target, origin_of, trusted_target
from .settings import is_loopback

_log = logging.getLogger(__name__)

#: Query parameter of the login route: skip the sign-in page and go to DingTalk.
_REDIRECTS: Final = {"via": "redirect"}
#: Query parameter of the login route: the visitor was sent to this host to sign in.
_AT_HOME: Final = {"host": "home"}
_OWN_ROUTES: Final = ("login", "callback", "logout", "in_app", "renew_state", "events")
#: What may stand in a path unencoded (RFC 3986, section 3.3).
_PATH_CHARACTERS: Final = "/:@!$'()*,;~"
#: A host as people name it, with the underscores that Werkzeug does not take for one.
_ALMOST_A_HOST: Final = re.compile(r"[\w.-]{1,253}(:[0-9]{1,5})?", re.ASCII)


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
        _log.error("DingTalk: %s", error.log_message, extra=facts("routes_missing", error))
        raise error from None


def login_url(target: str | None, *, redirects: bool = False) -> str:
    """Return the URL that starts a sign-in and then leads to ``target``.

    With ``redirects`` it goes on to DingTalk at once, even where this address shows a page. Raises
    what ``route`` raises.
    """
    via = _REDIRECTS if redirects else {}
    url = route("login", next=target, **via)
    if target is None or url.startswith("/"):
        return url
    return route("login", next=seen_from(url, target), **via)


def seen_from(url: str, target: str) -> str:
    """Return ``target``, a ``next`` of this page, as a ``next`` for the route at ``url``.

    Where the routes stand on another host (a subdomain), a path would be one of that host.
    """
    here = origin_of(request.host_url)
    if here is None or not target.startswith("/") or origin_of(url) in (None, here):
        return target
    state = app_state()
    if here in state.settings.trusted_origins:
        return here + target
    if state.is_first(f"routes elsewhere than {here}"):
        _log.warning(
            "DingTalk: the routes stand on another host than %s, so that no sign-in leads back "
            "there. Hint: add that origin to DINGTALK_TRUSTED_ORIGINS, and let "
            "SESSION_COOKIE_DOMAIN cover both hosts",
            here,
            extra=facts("routes_elsewhere"),
        )
    return target


def login_url_for_scripts() -> str:
    """Return the ``login_url`` that a script gets: absolute for one on a trusted origin.

    Raises what ``route`` raises.
    """
    return route("login", _external=comes_from_trusted_origin())


def redirect_uri() -> str:
    """Return where DingTalk is to send the visitor of this request back to.

    Raises ``ConfigurationError`` if neither a setting nor the request tells the site's host,
    ``BadRequest`` if the request names none at all, and what ``route`` raises.
    """
    uri = app_state().settings.redirect_uri or route("callback", _external=True)
    if origin_of(uri) is None:
        host = request.environ.get("HTTP_HOST", "")
        if "_" not in host or not _ALMOST_A_HOST.fullmatch(host):
            raise BadRequest("The Host header names no host.")
        raise ConfigurationError(
            f"the host of this request, {host!r}, is not a host name, so that DingTalk cannot be "
            "told where to come back to",
            hint="a host name has letters, digits and hyphens, but no underscore: use another name "
            "(with Docker, a network alias), let the proxy pass on the name that people use, or "
            "set DINGTALK_REDIRECT_URI",
        )
    return uri


def login_at_home(asked: str | None) -> str | None:
    """Return where the sign-in has to begin for its session cookie to come back, if not here.

    That is the host of the redirect URI, for somebody who opened this machine under another of its
    names (localhost, 127.0.0.1), or another host than ``SERVER_NAME``. A visitor is sent there
    once: if the request still names another host then, a proxy rewrites it. With a
    ``DINGTALK_REDIRECT_URI`` on another machine or port that is so common that nobody is sent.
    """
    uri = redirect_uri()
    if origin_of(request.host_url) is None:
        return None
    here, home = urlsplit(request.host_url), urlsplit(uri)
    hosts = (here.hostname or "", home.hostname or "")
    # Cookies do not tell ports apart.
    if hosts[0] == hosts[1] or _has(request.args, _AT_HOME):
        return None
    if app_state().settings.redirect_uri is not None and not (
        all(map(is_loopback, hosts)) and _port(here) == _port(home)
    ):
        return None
    if request.headers.get("X-Forwarded-Host", "").lower() == home.netloc.lower():
        return None
    domain = current_app.session_interface.get_cookie_domain(this_app())
    if domain and all(f".{host}".endswith(f".{domain.lstrip('.')}") for host in hosts):
        return None
    root = request.script_root
    callback = route("callback").removeprefix(root)
    if not home.path.endswith(callback):
        return None
    # The site may be mounted somewhere else there.
    mount = home.path.removesuffix(callback)
    target = safe_target(asked)
    if target is not None and target.startswith("/"):
        target = mount + target.removeprefix(root)
    via = _REDIRECTS if asks_for_redirect(request.args) else {}
    path = route("login", next=target, **via, **_AT_HOME).removeprefix(root)
    return f"{home.scheme}://{home.netloc}{mount}{path}"


def comes_from_trusted_origin() -> bool:
    """Tell whether a page of ``DINGTALK_TRUSTED_ORIGINS`` sent this request."""
    origin = origin_of(request.headers.get("Origin", ""))
    return origin is not None and origin in app_state().settings.trusted_origins


def asks_for_redirect(query: Mapping[str, str]) -> bool:
    """Tell whether a sign-in is to go on to DingTalk at once."""
    return _has(query, _REDIRECTS)


def _port(url: SplitResult) -> int:
    return url.port or {"http": 80, "https": 443}[url.scheme]


def _has(query: Mapping[str, str], parameters: Mapping[str, str]) -> bool:
    return all(query.get(name) == value for name, value in parameters.items())


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
    if asked is not None and len(asked) > MAX_LENGTH:
        _log.warning(
            "DingTalk: a next of %d characters is ignored. Hint: keep its query shorter; %d are "
            "the most",
            len(asked),
            MAX_LENGTH,
            extra=facts("target_lost"),
        )
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
