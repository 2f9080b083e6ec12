"""The pieces of HTML that template globals and pages are made of."""

from __future__ import annotations

from typing import Any

from flask import Response, after_this_request, render_template
from markupsafe import Markup

from .app_state import app_state
from .flask_site import visitor_language
from .messages import SIGN_IN, SIGN_OUT, Text, in_language
from .urls import is_in_app, login_url, route


def render(name: str, texts: dict[str, Text], **context: Any) -> Markup:
    """Render a template of this extension, or the site's own of that name, in one language."""
    after_this_request(_vary_by_language)
    texts_here = in_language(texts, visitor_language())
    return Markup(  # noqa: S704  # rendered by Jinja, which escapes
        render_template(f"dingtalk/{name}", **texts_here, **context)
    )


def button(
    target: str | None,
    nonce: str | None,
    *,
    text: str | None = None,
    class_: str | None = None,
    redirects: bool | None = None,
) -> Markup:
    """Return a sign-in link; by default it leads past a sign-in page of this extension."""
    if redirects is None:
        redirects = app_state().settings.login_page and not is_in_app()
    url = login_url(target, redirects=redirects)
    return render("button.html", _text_or(text, SIGN_IN), url=url, nonce=nonce, class_=class_)


def logout_button(fields: dict[str, str], *, text: str | None, class_: str | None) -> Markup:
    """Return a form that posts ``fields`` to sign out."""
    texts = _text_or(text, SIGN_OUT)
    return render("logout.html", texts, url=route("logout"), fields=fields, class_=class_)


def _text_or(text: str | None, default: Text) -> dict[str, Text]:
    """Return the site's own text, which is the same in each language, or ours."""
    return {"text": default if text is None else Text(text, text)}


def _vary_by_language(response: Response) -> Response:
    response.vary.add("Accept-Language")
    return response
