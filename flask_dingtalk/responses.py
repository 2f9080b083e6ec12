"""What an error answers: a page or JSON, in the visitor's language, and how to tell which.

Nothing here knows Flask. What an answer has to know about the site comes from a ``Site``.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from importlib import resources
from json import dumps
from math import ceil
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from werkzeug.datastructures import LanguageAccept, MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

from .messages import (
    DETAILS_IN_LOG,
    HOME,
    HTML_LANG,
    LANGUAGES,
    TRY_AGAIN,
    USE_ANOTHER_ACCOUNT,
    WAITING,
    Language,
    Text,
    in_language,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment

#: Characters of an ``Accept`` or ``Accept-Language`` that are read: browsers send some hundred, and
#: the time to parse one grows faster than its length.
_MAX_HEADER: Final = 1000
#: The page for errors; a site's own template of that name replaces it.
ERROR_PAGE: Final = "dingtalk/error.html"
#: An empty reference is the page itself (RFC 3986, section 4.4): its query is not repeated.
SAME_PAGE: Final = ""

AnyResponse = TypeVar("AnyResponse", bound=Response)


class Site:
    """What an answer asks about the site that serves the present request.

    This one says that no request is being served. ``flask_site`` has the one for Flask.
    """

    #: Who may show our pages in a frame (Content-Security-Policy).
    frame_ancestors: str = "'none'"

    def serves_request(self) -> bool:
        """Tell whether there is a visitor who may get to see a text."""
        return False

    def language(self) -> Language:
        """Return the visitor's language."""
        return LANGUAGES[0]

    def debug(self) -> bool:
        """Tell whether the visitor is the developer."""
        return False

    def stylesheet(self) -> str | None:
        """Return the address of ``dingtalk.css``, or ``None`` if the site does not serve it."""
        return None

    def nonce(self) -> str | None:
        """Return the nonce of the site's own Content-Security-Policy, if it has one."""
        return None

    def own_page(self, name: str, context: Mapping[str, Any]) -> str | None:
        """Render the site's own template of that name, or return ``None`` to have ours."""
        return None


# --- What the client is --------------------------------------------------------------------------


def is_navigation(environ: WSGIEnvironment) -> bool:
    """Tell whether a browser opens a page with this request, and would follow a redirect."""
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and wants_page(environ)


def wants_page(environ: WSGIEnvironment) -> bool:
    """Tell whether the answer will be looked at by a person, and not be read by a script.

    Browsers name ``text/html`` when they open a page or send a form, and for nothing else. They
    send ``Sec-Fetch-Mode`` over https and to localhost only, and old ones not at all: only its
    presence says something (Fetch Metadata, W3C).
    """
    if environ.get("HTTP_SEC_FETCH_MODE", "navigate") != "navigate":
        return False
    # Android web views put the name of their app here.
    if environ.get("HTTP_X_REQUESTED_WITH", "").lower() == "xmlhttprequest":
        return False
    if is_websocket(environ):
        return False
    accept = environ.get("HTTP_ACCEPT", "")
    # What browsers send. Every guarded page of a visitor comes by here: do not parse it.
    if not accept or accept.startswith("text/html,"):
        return True
    accepted = parse_accept_header(accept[:_MAX_HEADER], MIMEAccept)
    named = [quality for name, quality in accepted if _without_parameters(name) == "text/html"]
    # RFC 9110, section 12.5.1.
    return bool(named) and 0 < max(named) >= accepted["application/json"]


def is_websocket(environ: WSGIEnvironment) -> bool:
    """Tell whether this request is the handshake of a websocket (RFC 6455, section 4.1)."""
    return "websocket" in environ.get("HTTP_UPGRADE", "").lower()


def accepted_language(environ: WSGIEnvironment) -> Language:
    """Choose a language by ``Accept-Language`` (RFC 9110, section 12.5.4)."""
    header = environ.get("HTTP_ACCEPT_LANGUAGE", "")[:_MAX_HEADER]
    accepted = parse_accept_header(header, LanguageAccept)
    # Regional forms such as zh-CN or zh-Hant match their language.
    best = accepted.best_match([str(name) for name in LANGUAGES], default=LANGUAGES[0])
    return "zh" if best == "zh" else "en"


def _without_parameters(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


# --- What it gets --------------------------------------------------------------------------------


@overload
def json_response(content: Mapping[str, Any], status: int) -> Response: ...


@overload
def json_response(
    content: Mapping[str, Any], status: int, response_class: type[AnyResponse]
) -> AnyResponse: ...


def json_response(
    content: Mapping[str, Any], status: int, response_class: type[Response] = Response
) -> Response:
    """Build a JSON answer; unlike Flask's ``jsonify`` it needs no application context."""
    return response_class(dumps(content, ensure_ascii=False), status, mimetype="application/json")


def error_page(
    site: Site,
    environ: WSGIEnvironment,
    status: int,
    *,
    error_code: str,
    title: str,
    message: str,
    retry_url: str | None,
    log_message: str,
    retry: Text | None = None,
) -> Response:
    """Build the page for an error; ``retry_url`` is where another try begins, if that is known.

    ``retry`` is the text of the link there, if it is not one of the usual ones.

    In debug mode the page shows ``log_message``, otherwise only the log has it.
    """
    language = site.language()
    debug = site.debug()
    link = retry or TRY_AGAIN
    if retry_url is None:
        retry_url = SAME_PAGE
        # What a form posted cannot be loaded again, and a refusal would be the same again.
        is_refusal = status == 403 and environ.get("PATH_INFO") != "/"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or is_refusal:
            retry_url, link = f"{environ.get('SCRIPT_NAME', '')}/", HOME
    elif status == 403 and error_code != "access_denied":
        # The same person would be refused again.
        link = USE_ANOTHER_ACCOUNT
    note = None
    if error_code == "configuration_error" and not debug:
        note = DETAILS_IN_LOG.in_(language)
    context = {
        "title": title,
        "message": message,
        "error_code": error_code,
        "retry_url": retry_url,
        "retry": link.in_(language),
        "note": note,
        "log_message": log_message if debug else None,
    }
    return _page(site, language, status, context)


def waiting_page(
    site: Site,
    status: int,
    *,
    error_code: str,
    seconds: float,
    url: str | None,
    start_over_url: str | None,
    log_message: str,
) -> Response:
    """Build the page that loads itself again after some seconds, or ``url`` if there is one.

    A header does it, and not the markup, so that no page repeats an address with a code in it.
    ``start_over_url`` is for visitors who do not want to wait for this sign-in.
    """
    language = site.language()
    context = {
        **in_language(WAITING, language),
        "error_code": error_code,
        "retry_url": SAME_PAGE if url is None else url,
        "start_over_url": start_over_url,
        "log_message": log_message if site.debug() else None,
        "waiting": True,
    }
    response = _page(site, language, status, context)
    # HTML Standard, section 7.4.6 (the Refresh header).
    refresh = str(whole_seconds(seconds))
    response.headers["Refresh"] = refresh if url is None else f"{refresh}; url={url}"
    return response


def whole_seconds(seconds: float) -> int:
    """Round up to what ``Retry-After`` and ``Refresh`` can say; at least 1."""
    return max(1, ceil(seconds))


def _page(site: Site, language: Language, status: int, context: dict[str, Any]) -> Response:
    # A style sheet at an address of the site passes a policy that a style in the page does not.
    # The page has it inside only where the site does not serve it.
    stylesheet = site.stylesheet()
    style, source = (None, "'self'") if stylesheet else (_style(), _hash_source())
    context = {
        "lang": HTML_LANG[language],
        "nonce": site.nonce(),
        "stylesheet": stylesheet,
        "style": style,
        **context,
    }
    page = site.own_page(ERROR_PAGE, context)
    if page is not None:
        response = Response(page, status, mimetype="text/html")
    else:
        page = _environment().get_template(ERROR_PAGE).render(context)
        response = Response(page, status, mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src {source}; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {site.frame_ancestors}"
        )
    response.headers["Vary"] = "Accept, Accept-Language"
    response.headers["Cache-Control"] = "no-store"
    return response


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader("flask_dingtalk"), autoescape=True)


@cache
def _style() -> Markup:
    # Our own file: nothing in it is to be escaped, and nothing in it ends the element.
    sheet = resources.files("flask_dingtalk") / "static" / "dingtalk.css"
    return Markup(sheet.read_text(encoding="utf-8"))  # noqa: S704


@cache
def _hash_source() -> str:
    digest = hashlib.sha256(_style().encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
