"""The whole pages of this extension: the sign-in page, and the page inside the DingTalk client.

Each has started a sign-in: it carries a state of this browser and must not be cached.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Response, make_response

from .api import wire
from .app_state import app_state
from .flask_site import nonce_of_the_site, visitor_language
from .forms import CODE, STATE
from .markup import button, render
from .messages import HTML_LANG, IN_APP, LOGIN_PAGE, Text
from .redirects import origin_of
from .signin import begin, warming_up
from .urls import landing, login_url, safe_target

#: Of the login route: why the DingTalk client gave no code, as the page inside it was told.
NO_CODE_REASON: Final = "reason"
#: Seconds that the DingTalk client gets to give a code.
_CLIENT_PATIENCE: Final = 3


def login_page(asked: str | None) -> Response:
    """Return the page with QR code and button; ``asked`` is where the sign-in is to lead."""
    settings = app_state().settings
    response = _page(
        "login.html",
        LOGIN_PAGE,
        nonce=nonce_of_the_site(),
        next=safe_target(asked),
        script_source=origin_of(settings.qr_script_url),
        frame_source=origin_of(settings.authorize_url),
    )
    # A frame on another site could sign visitors in without their noticing (RFC 7034).
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def in_app_page(asked: str | None) -> Response:
    """Return the page that asks the DingTalk client for a code, and posts it."""
    settings = app_state().settings
    state, _ = begin(asked)
    target = safe_target(asked)
    nonce = nonce_of_the_site()
    return _page(
        "in_app.html",
        IN_APP,
        nonce=nonce,
        # Not back to this page, which may be what fails.
        button=button(target, nonce, redirects=True),
        script_url=settings.jsapi_url,
        fields={STATE: state, CODE: ""},
        options={
            "request": {
                wire.JSAPI_CORP_ID: settings.corp_id,
                wire.JSAPI_CLIENT_ID: settings.client_id,
            },
            "codeField": CODE,
            "patience": _CLIENT_PATIENCE,
            "landing": landing(target),
            "otherwise": login_url(target, redirects=True),
            "reasonParameter": NO_CODE_REASON,
        },
    )


def _page(name: str, texts: dict[str, Text], **context: Any) -> Response:
    lang = HTML_LANG[visitor_language()]
    response = make_response(render(name, texts, lang=lang, **context))
    # Its address holds no code. And without any referrer, browsers name no origin for a form.
    response.headers["Referrer-Policy"] = "strict-origin"
    return warming_up(response)
