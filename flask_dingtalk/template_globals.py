"""What every template of the site can use, and the pages that this extension has of its own.

A page that holds a QR code, or asks the DingTalk client for a code, has started a sign-in: it
carries a state of this browser.
"""

from __future__ import annotations

import secrets
from typing import Any

from flask import (
    Flask,
    Response,
    after_this_request,
    current_app,
    make_response,
    render_template,
    request,
)
from markupsafe import Markup

from .api import wire
from .api.authorization import qr_parameters
from .app_state import app_state
from .errors import ConfigurationError
from .flask_site import nonce_of_the_site, visitor_language
from .guard import current_dingtalk_user
from .messages import HTML_LANG, IN_APP, LOGIN_PAGE, QR, SIGN_IN, Text, in_language
from .redirects import origin_of
from .session import renewal_due
from .signin import (
    CLIENT_REASON,
    IN_APP_CODE,
    IN_APP_STATE,
    begin,
    inside_client,
    landing,
    local,
    login_url,
    route,
    warming_up,
)

#: Seconds that the DingTalk client gets to give a code.
_CLIENT_PATIENCE = 3


def install(app: Flask) -> None:
    """Add the globals to the app's templates; imported macros see them too."""
    app.jinja_env.globals.update(
        current_dingtalk_user=current_dingtalk_user,
        dingtalk_button=dingtalk_button,
        dingtalk_qr=dingtalk_qr,
    )


def dingtalk_button(
    next: str | None = None,  # noqa: A002  # the promised name
    nonce: str | None = None,
) -> Markup:
    """Return a sign-in link with DingTalk's mark; ``next`` is a path of this site to land on.

    It leads to DingTalk, and not to the sign-in page of ``DINGTALK_LOGIN_PAGE``; inside the
    DingTalk client, to the sign-in of ``DINGTALK_IN_APP_LOGIN``. The text is Chinese or English by
    ``Accept-Language``. ``nonce`` goes on the style tag for a Content-Security-Policy. The site's
    own ``dingtalk/button.html`` replaces ours.
    """
    return _button(next, nonce)


def dingtalk_qr(
    next: str | None = None,  # noqa: A002  # the promised name
    size: int = 300,
    nonce: str | None = None,
) -> Markup:
    """Return DingTalk's QR code, embedded: whoever scans it lands on ``next``, a path of this site.

    ``size`` is in pixels each way; less than 280 is taken for 280. ``nonce`` goes on the script and
    style tags for a Content-Security-Policy. Where the code cannot be shown, there is a message in
    the visitor's language and the button instead. The page starts a sign-in, and must not be cached
    or streamed. The site's own ``dingtalk/qr.html`` replaces ours. Raises ``ConfigurationError``
    for settings that DingTalk's QR code does not work with, and what ``round(float(size))`` raises
    for a size that is no number. [obtain-identity-credentials]
    """
    settings = app_state().settings
    size = max(round(float(size)), wire.QR_MIN_SIZE)
    try:
        settings.check_qr("dingtalk_qr")
        state, redirect_uri = begin(next)
    except ConfigurationError as error:
        if request.blueprint != "dingtalk":
            # On a page of the site's own, nobody else tells the developer.
            current_app.logger.error("DingTalk's QR code cannot be shown: %s", error.log_message)
        raise
    # Several codes on one page are told apart by it.
    element_id = f"dingtalk-qr-{secrets.token_hex(4)}"
    after_this_request(_keep_out_of_caches)
    return _render(
        "qr.html",
        QR,
        size=size,
        nonce=nonce,
        element_id=element_id,
        script_url=settings.qr_script_url,
        button=_button(next, nonce),
        options={
            "frame": {"id": element_id, "width": size, "height": size},
            "login": qr_parameters(settings, state=state, redirect_uri=redirect_uri),
            "renewal": {"url": route("renew_state"), "after": renewal_due(settings.state_lifetime)},
        },
    )


def login_page(asked: str | None) -> Response:
    """Return the page with QR code and button; ``asked`` is where the sign-in shall lead."""
    settings = app_state().settings
    response = _page(
        "login.html",
        LOGIN_PAGE,
        nonce=nonce_of_the_site(),
        next=local(asked),
        script_source=origin_of(settings.qr_script_url),
        frame_source=origin_of(settings.authorize_url),
    )
    # In a frame of another site, it would sign in whoever that site wants. (RFC 7034)
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def in_app_page(asked: str | None) -> Response:
    """Return the page that asks the DingTalk client for a code, and posts it."""
    settings = app_state().settings
    state, _ = begin(asked)
    target = local(asked)
    nonce = nonce_of_the_site()
    return _page(
        "in_app.html",
        IN_APP,
        nonce=nonce,
        # Not to this page again, which may be what does not work.
        button=_button(target, nonce, redirects=True),
        script_url=settings.jsapi_url,
        fields={IN_APP_STATE: state, IN_APP_CODE: ""},
        options={
            "request": {
                wire.JSAPI_CORP_ID: settings.corp_id,
                wire.JSAPI_CLIENT_ID: settings.client_id,
            },
            "codeField": IN_APP_CODE,
            "patience": _CLIENT_PATIENCE,
            "landing": landing(target),
            "otherwise": login_url(target, redirects=True),
            "reasonParameter": CLIENT_REASON,
        },
    )


def _button(asked: str | None, nonce: str | None, *, redirects: bool | None = None) -> Markup:
    if redirects is None:
        redirects = app_state().settings.login_page and not inside_client()
    url = login_url(asked, redirects=redirects)
    return _render("button.html", {"text": SIGN_IN}, url=url, nonce=nonce)


def _page(name: str, texts: dict[str, Text], **context: Any) -> Response:
    lang = HTML_LANG[visitor_language()]
    response = make_response(_render(name, texts, lang=lang, **context))
    # Its address holds no code. And without any referrer, browsers name no origin for a form.
    response.headers["Referrer-Policy"] = "strict-origin"
    return warming_up(response)


def _render(name: str, texts: dict[str, Text], **context: Any) -> Markup:
    after_this_request(_vary_by_language)
    texts_here = in_language(texts, visitor_language())
    return Markup(  # noqa: S704  # rendered by Jinja, which escapes
        render_template(f"dingtalk/{name}", **texts_here, **context)
    )


def _vary_by_language(response: Response) -> Response:
    response.vary.add("Accept-Language")
    return response


def _keep_out_of_caches(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
