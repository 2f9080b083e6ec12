"""What can be seen of a site without asking anybody: settings, secret key, cookies, addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BuildError
from werkzeug.test import EnvironBuilder

from ..mistakes import credentials_problem
from ..settings import Settings, is_loopback
from .findings import Console, Finding, Verdict

#: Bytes. RFC 7518, section 3.2, wants as many as the hash has, 32 for SHA-256; Flask's documents
#: make keys of 32. Half of that cannot be guessed either.
_SHORTEST_KEY: Final = 16
#: A key with fewer different characters repeats itself.
_FEWEST_CHARACTERS: Final = 8
#: Parts of keys in examples.
_EXAMPLE_KEYS: Final = (
    "changeme",
    "change-me",
    "change me",
    "secret",
    "your-",
    "you-will-never-guess",
    "example",
    "password",
    "dev-key",
    "development",
    "12345678",
)
_NEW_KEY: Final = (
    "set it to what python -c 'import secrets; print(secrets.token_hex())' prints, the same in all "
    "processes of this site and nowhere else"
)
_PROXY_FIX: Final = (
    "app.wsgi_app = werkzeug.middleware.proxy_fix.ProxyFix(app.wsgi_app, x_for=1, x_proto=1, "
    "x_host=1), with a proxy that sets X-Forwarded-For, -Proto and -Host"
)


def settings_findings(app: Flask, settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each setting: its value, and what looks wrong about it."""
    for each in fields(Settings):
        name = f"DINGTALK_{each.name.upper()}"
        value = getattr(settings, each.name)
        is_given = app.config.get(name) is not None
        # A field without a repr holds a secret.
        shown = _shown(value) if each.repr else _masked(value)
        if name == "DINGTALK_STORE" and value is not None:
            shown = _without_password(value)
        if not is_given and each.default is not MISSING and value == each.default:
            shown += " (default)"
        elif not is_given:
            shown += " (follows from other settings)"
        yield _judged(name, shown, settings)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)


def _masked(value: Any) -> str:
    return "not set" if value is None else f"**** ({len(str(value))} characters)"


def _without_password(url: str) -> str:
    """Return the address of a store without what may be a password, also one in its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _masked(url)
    user = "****@" if "@" in parts.netloc else ""
    query = "?****" if parts.query else ""
    return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def _judged(name: str, shown: str, settings: Settings) -> Finding:
    verdict, problem, cure, console = Verdict.OK, None, None, None
    strange = credentials_problem(settings)
    if strange is not None and strange.startswith(f"{name} "):
        verdict, problem, console = Verdict.FAILED, f"{strange}.", Console.CREDENTIALS
        cure = "Copy Client ID and Client Secret from the console, each into its setting."
    elif name == "DINGTALK_MEMBERS_ONLY" and settings.is_open_to_all:
        verdict = Verdict.WARNING
        problem = "Everybody with a DingTalk account can sign in to this site."
        cure = (
            "Set it to True to admit the members of your organisation alone, or to False if "
            "everybody is welcome."
        )
    elif name.endswith("_URL") and is_loopback(urlsplit(shown).hostname or ""):
        shown += " (a simulator on this machine)"
    return Finding(
        section="settings",
        name=name,
        verdict=verdict,
        value=shown,
        problem=problem,
        cure=cure,
        console=console,
    )


# --- The secret key ------------------------------------------------------------------------------


def secret_key_findings(app: Flask) -> Iterator[Finding]:
    """Yield what can be said of ``SECRET_KEY`` and its fallbacks."""
    keys = {"SECRET_KEY": app.config["SECRET_KEY"]}
    for number, key in enumerate(app.config.get("SECRET_KEY_FALLBACKS") or ()):
        keys[f"SECRET_KEY_FALLBACKS[{number}]"] = key
    for name, key in keys.items():
        problem = _weakness(key) or _who_shares(app, name, key)
        verdict = Verdict.OK
        if problem is not None:
            # What a laptop alone serves cannot be attacked from elsewhere.
            verdict = Verdict.WARNING if app.debug else Verdict.FAILED
        yield Finding(
            section="site",
            name=name,
            verdict=verdict,
            value=_masked(key if isinstance(key, str) else key.decode("latin-1")),
            problem=problem,
            cure=f"Anybody who knows it can sign in as anybody: {_NEW_KEY}." if problem else None,
        )


def _weakness(key: str | bytes) -> str | None:
    text = key if isinstance(key, str) else key.decode("latin-1")
    if len(text) < _SHORTEST_KEY:
        return f"It has {len(text)} characters, which can be guessed."
    if len(set(text)) < _FEWEST_CHARACTERS or any(each in text.lower() for each in _EXAMPLE_KEYS):
        return "It looks like an example, which can be guessed."
    return None


def _who_shares(app: Flask, name: str, key: str | bytes) -> str | None:
    for other, value in sorted(app.config.items()):
        if isinstance(value, str | bytes) and value == key and other != name:
            return f"It is also the value of {other}: whoever learns one has the other."
    return None


# --- Cookies -------------------------------------------------------------------------------------


def cookie_findings(app: Flask, callback: str) -> Iterator[Finding]:
    """Yield what can be said of the session cookie at the address of the callback."""
    parts = urlsplit(callback)
    host, is_https = parts.hostname or "", parts.scheme == "https"
    config = app.config
    yield _secure(app, is_https, host)
    same_site = config["SESSION_COOKIE_SAMESITE"]
    if str(same_site).lower() == "strict":
        yield _cookie(
            "SESSION_COOKIE_SAMESITE",
            same_site,
            Verdict.FAILED,
            "The cookie does not come back from DingTalk's pages, and every sign-in fails.",
            "Set it to 'Lax'.",
        )
    elif str(same_site).lower() == "none" and same_site and not config["SESSION_COOKIE_SECURE"]:
        yield _cookie(
            "SESSION_COOKIE_SAMESITE",
            same_site,
            Verdict.FAILED,
            "Browsers refuse a cookie with SameSite=None that is not Secure.",
            "Set it to 'Lax', or SESSION_COOKIE_SECURE = True as well.",
        )
    else:
        yield _cookie("SESSION_COOKIE_SAMESITE", same_site)
    if not config["SESSION_COOKIE_HTTPONLY"]:
        yield _cookie(
            "SESSION_COOKIE_HTTPONLY",
            False,
            Verdict.WARNING,
            "Any script on a page of this site can read the session cookie.",
            "Set it to True.",
        )
    domain = config["SESSION_COOKIE_DOMAIN"]
    if domain and not f".{host}".endswith(f".{str(domain).lstrip('.')}"):
        yield _cookie(
            "SESSION_COOKIE_DOMAIN",
            domain,
            Verdict.FAILED,
            f"Browsers refuse this cookie on {host}, where DingTalk sends people back to.",
            "Remove the setting, or name the host or a domain above it.",
        )
    path = config["SESSION_COOKIE_PATH"]
    if path and not f"{parts.path}/".startswith(f"{str(path).rstrip('/')}/"):
        yield _cookie(
            "SESSION_COOKIE_PATH",
            path,
            Verdict.FAILED,
            f"The cookie does not reach the callback, {parts.path}.",
            "Remove the setting, or set it to a path above the callback and all guarded pages.",
        )


def _secure(app: Flask, is_https: bool, host: str) -> Finding:
    secure = bool(app.config["SESSION_COOKIE_SECURE"])
    if secure and not is_https and not is_loopback(host):
        return _cookie(
            "SESSION_COOKIE_SECURE",
            secure,
            Verdict.FAILED,
            "Browsers do not send the cookie over http, and the redirect URL is http.",
            f"Serve the site over https; behind a proxy that does, use {_PROXY_FIX}.",
        )
    if is_https and not secure:
        return _cookie(
            "SESSION_COOKIE_SECURE",
            secure,
            Verdict.WARNING,
            "The session cookie also goes over http, where others can read it.",
            "Set it to True, as the site is served over https.",
        )
    return _cookie("SESSION_COOKIE_SECURE", secure)


def _cookie(
    name: str,
    value: object,
    verdict: Verdict = Verdict.OK,
    problem: str | None = None,
    cure: str | None = None,
) -> Finding:
    shown = "not set" if value is None else str(value)
    return Finding(
        section="site", name=name, verdict=verdict, value=shown, problem=problem, cure=cure
    )


# --- The redirect URL ----------------------------------------------------------------------------


def redirect_url_findings(
    app: Flask, settings: Settings, base_url: str | None
) -> tuple[str | None, list[Finding]]:
    """Return the redirect URL to register, and what can be said of it.

    ``base_url`` is the address at which visitors open the site, if that was given. The URL is
    ``None`` where the routes are not registered.
    """
    try:
        seen = _callback_seen(app, base_url)
    except BuildError:
        return None, [
            _redirect_url(
                None,
                Verdict.FAILED,
                "The routes of this extension are not registered on this app.",
                "Call app.register_blueprint(dingtalk.blueprint), not inside another blueprint.",
            )
        ]
    url = settings.redirect_uri or seen
    if settings.redirect_uri is None and base_url is not None:
        # What DingTalk has to know, whatever the site would send now.
        url = _origin(base_url) + urlsplit(seen).path
    problems = [
        *_wrong_path(app, settings),
        *_wrong_behind_proxy(app, settings, base_url, seen, url),
    ]
    if not problems:
        problems += _wrong_host(app, url)
    if problems:
        return url, problems
    if settings.redirect_uri or base_url or app.config["SERVER_NAME"]:
        return url, [_redirect_url(url)]
    return url, [_redirect_url(f"{url} (follows the address of each request; --base-url tells it)")]


def _callback_seen(app: Flask, base_url: str | None) -> str:
    """Return the callback's address as a request through the site's own middleware shows it.

    With ``base_url`` that of a request as a proxy at that address passes it on.
    """
    if base_url is None:
        return _build(app, _default_base_url(app), {})
    public, fix = urlsplit(base_url), proxy_fix_of(app)
    # Each proxy in front adds a value, and ProxyFix counts them.
    headers = {
        "X-Forwarded-For": _repeated("203.0.113.7", fix.x_for if fix else 1),
        "X-Forwarded-Proto": _repeated(public.scheme, fix.x_proto if fix else 1),
        "X-Forwarded-Host": _repeated(public.netloc, fix.x_host if fix else 1),
    }
    if is_loopback(public.hostname or "") or public.scheme == "http":
        return _build(app, base_url, headers)
    # As most proxies do: plain http to the site, and the host that the browser sent.
    return _build(app, f"http://{public.netloc}{public.path}", headers)


def _repeated(value: str, times: int) -> str:
    return ", ".join([value] * max(times, 1))


def _build(app: Flask, base_url: str, headers: dict[str, str]) -> str:
    builder = EnvironBuilder(base_url=base_url, headers=[*headers.items()])
    environ = builder.get_environ()
    builder.close()
    seen = [environ]

    def remember(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        return []

    fix = proxy_fix_of(app)
    if fix is not None:
        ProxyFix(remember, fix.x_for, fix.x_proto, fix.x_host, fix.x_port, fix.x_prefix)(
            environ,
            lambda *_: None,  # type: ignore[arg-type]
        )
    with app.request_context(seen[-1]):
        return app.url_for("dingtalk.callback", _external=True)


def _default_base_url(app: Flask) -> str:
    scheme = app.config["PREFERRED_URL_SCHEME"]
    if app.config["SERVER_NAME"]:
        root = (app.config["APPLICATION_ROOT"] or "/").strip("/")
        return f"{scheme}://{app.config['SERVER_NAME']}/{root}"
    # As `flask run` serves it.
    port = os.environ.get("FLASK_RUN_PORT", "5000")
    return f"http://127.0.0.1:{port}"


def proxy_fix_of(app: Flask) -> ProxyFix | None:
    """Return the ``ProxyFix`` around the app, also one inside other middleware."""
    layer: Any = app.wsgi_app
    for _ in range(20):
        if isinstance(layer, ProxyFix):
            return layer
        layer = next(
            (
                inner
                for inner in (getattr(layer, name, None) for name in ("app", "wsgi_app"))
                if inner is not None and inner is not app
            ),
            None,
        )
    return None


def _wrong_path(app: Flask, settings: Settings) -> Iterator[Finding]:
    if settings.redirect_uri is None:
        return
    parts = urlsplit(settings.redirect_uri)
    root = (app.config["APPLICATION_ROOT"] or "/").rstrip("/")
    path = parts.path
    if not _is_callback(app, path) and not (
        path.startswith(f"{root}/") and _is_callback(app, path.removeprefix(root))
    ):
        routes = [
            rule.rule for rule in app.url_map.iter_rules() if rule.endpoint == "dingtalk.callback"
        ]
        yield _redirect_url(
            settings.redirect_uri,
            Verdict.WARNING,
            f"Its path is {path}, and the callback of this app is at {', '.join(routes)}.",
            f"Let DINGTALK_REDIRECT_URI end in {routes[0]}, unless the site is mounted below a "
            "path that only its server knows.",
        )


def _is_callback(app: Flask, path: str) -> bool:
    try:
        endpoint, _ = app.url_map.bind("localhost").match(path or "/", "GET")
    except HTTPException:
        return False
    return bool(endpoint == "dingtalk.callback")


def _wrong_behind_proxy(
    app: Flask, settings: Settings, base_url: str | None, seen: str, url: str
) -> Iterator[Finding]:
    fix, config = proxy_fix_of(app), app.config
    expected, found = urlsplit(base_url or ""), urlsplit(seen)
    if settings.redirect_uri is not None:
        server_name = config["SERVER_NAME"]
        if server_name and urlsplit(settings.redirect_uri).netloc != server_name:
            yield _redirect_url(
                settings.redirect_uri,
                Verdict.WARNING,
                f"It is at another host than SERVER_NAME ({server_name}): a sign-in comes back "
                "where its cookie is not known.",
                "Let both name the host at which people open the site.",
            )
        if base_url and _origin(settings.redirect_uri) != _origin(base_url):
            yield _redirect_url(
                settings.redirect_uri,
                Verdict.FAILED,
                f"It is at another address than {_origin(base_url)}: a sign-in comes back where "
                "its cookie is not known.",
                "Let DINGTALK_REDIRECT_URI begin with the address at which people open the site.",
            )
        return
    if base_url and expected.scheme == "https" and found.scheme != "https":
        lacks = "no ProxyFix" if fix is None else "a ProxyFix without x_proto"
        yield _redirect_url(
            url,
            Verdict.FAILED,
            f"Behind a proxy that ends https the site takes itself to be at {_origin(seen)}: it "
            f"has {lacks}.",
            f"Use {_PROXY_FIX}, or set DINGTALK_REDIRECT_URI.",
        )
    elif base_url and expected.netloc != found.netloc:
        yield _redirect_url(
            url,
            Verdict.FAILED,
            f"The site takes itself to be at {_origin(seen)} and not at {_origin(base_url)}.",
            f"Correct SERVER_NAME, and let the proxy pass the host on: {_PROXY_FIX}.",
        )
    elif (
        base_url is None
        and fix is None
        and (config["PREFERRED_URL_SCHEME"] == "https" or config["SESSION_COOKIE_SECURE"])
    ):
        which = (
            "PREFERRED_URL_SCHEME"
            if config["PREFERRED_URL_SCHEME"] == "https"
            else "SESSION_COOKIE_SECURE"
        )
        yield _redirect_url(
            url,
            Verdict.WARNING,
            f"{which} speaks of https, but in a request the scheme is that of the connection: "
            "behind a proxy that ends https, the redirect URL begins with http://.",
            f"Use {_PROXY_FIX}, or set DINGTALK_REDIRECT_URI; --base-url tries it out.",
        )


def _wrong_host(app: Flask, url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or "_" in host:
        yield _redirect_url(
            url,
            Verdict.FAILED,
            "Its host has an underscore, which no host name may have: the site answers such "
            "requests without a host."
            if host
            else "It has no host.",
            "Open the site under a name without an underscore.",
        )
    elif parts.scheme == "http" and not is_loopback(host) and not app.debug:
        yield _redirect_url(
            url,
            Verdict.WARNING,
            "It is plain http: whoever is on the line can read the code and the session cookie.",
            "Serve the site over https.",
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _redirect_url(
    value: str | None,
    verdict: Verdict = Verdict.OK,
    problem: str | None = None,
    cure: str | None = None,
) -> Finding:
    return Finding(
        section="site",
        name="redirect URL to register",
        verdict=verdict,
        value=value,
        problem=problem,
        cure=cure,
        console=Console.REDIRECT_URL,
    )
