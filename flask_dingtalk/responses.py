"""The answer for one error: a small page or JSON, in the visitor's language."""

from __future__ import annotations

from functools import cache
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from flask import current_app, has_request_context, render_template
from jinja2 import Environment, PackageLoader, TemplateNotFound
from werkzeug.datastructures import LanguageAccept, MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

from .messages import HTML_LANG, LANGUAGES, TRY_AGAIN, Language, text_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ERROR_PAGE: Final = "dingtalk/error.html"
#: Our page has one style sheet, in the page, and nothing else.
_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)


def language(environ: WSGIEnvironment) -> Language:
    """Choose the language of a page by ``Accept-Language`` (RFC 9110, section 12.5.4)."""
    accepted = parse_accept_header(environ.get("HTTP_ACCEPT_LANGUAGE", ""), LanguageAccept)
    # Regional forms such as zh-CN or zh-Hant match their language.
    best = accepted.best_match([str(name) for name in LANGUAGES], default=LANGUAGES[0])
    return "zh" if best == "zh" else "en"


def prefers_json(environ: WSGIEnvironment) -> bool:
    """Tell whether the client ranks JSON above HTML (RFC 9110, section 12.5.1)."""
    header = environ.get("HTTP_ACCEPT", "")
    # A browser asks for HTML first and without reserve: nothing ranks above that, and reading the
    # rest would be a quarter of what a redirect to the sign-in costs.
    if header.startswith("text/html,"):
        return False
    accepted = parse_accept_header(header, MIMEAccept)
    return accepted["application/json"] > accepted["text/html"]


def error_response(
    environ: WSGIEnvironment, status: int, error_code: str, retry_url: str | None
) -> Response:
    """Build the answer for an error; ``retry_url`` is where another try begins."""
    chosen = language(environ)
    title, message = (getattr(text, chosen) for text in text_of(error_code))
    if prefers_json(environ):
        content: dict[str, Any] = {"error": error_code, "message": message}
        response = json_response(content, status)
    else:
        context = {
            "lang": HTML_LANG[chosen],
            "title": title,
            "message": message,
            "error_code": error_code,
            "retry_url": _same_page(environ) if retry_url is None else retry_url,
            "retry": getattr(TRY_AGAIN, chosen),
        }
        page = _page_of_the_site(context)
        if page is not None:
            response = Response(page, status)
        else:
            response = Response(_environment().get_template(_ERROR_PAGE).render(context), status)
            response.headers["Content-Security-Policy"] = _SECURITY_POLICY
        response.mimetype = "text/html"
    response.headers["Vary"] = "Accept, Accept-Language"
    response.headers["Cache-Control"] = "no-store"
    return response


def json_response(content: dict[str, Any], status: int) -> Response:
    """Build a JSON answer; unlike Flask's ``jsonify`` it needs no application context."""
    return Response(dumps(content, ensure_ascii=False), status, mimetype="application/json")


def _same_page(environ: WSGIEnvironment) -> str:
    # An empty reference is this very page (RFC 3986, section 4.4) and repeats nothing of its query.
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return ""
    return f"{environ.get('SCRIPT_NAME', '')}/"


def _page_of_the_site(context: dict[str, Any]) -> str | None:
    """Render the site's own template of that name; ``None`` if there is none, or if it fails.

    Ours is rendered without the site, whose context processors may be what failed.
    """
    if not has_request_context():
        return None
    try:
        template = current_app.jinja_env.get_template(_ERROR_PAGE)
        if template.filename == _environment().get_template(_ERROR_PAGE).filename:
            return None
        return render_template(template, **context)
    except Exception as error:
        # Where the routes are not registered, nor is the folder that comes with them.
        if not (isinstance(error, TemplateNotFound) and error.name == _ERROR_PAGE):
            # The error that is to be shown must not be lost behind one of its page.
            current_app.logger.exception("The site's own %s failed", _ERROR_PAGE)
        return None


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader("flask_dingtalk"), autoescape=True)
