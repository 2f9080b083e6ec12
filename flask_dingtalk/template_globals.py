"""What every template of the site can use: the user, the two buttons and the QR code."""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, after_this_request, request
from markupsafe import Markup

from .api import wire
from .api.authorization import qr_parameters
from .app_state import app_state
from .errors import ConfigurationError
from .forms import PROOF, sign_out_proof
from .guard import current_dingtalk_user
from .logs import facts
from .markup import button, logout_button, render
from .messages import QR
from .session import renewal_due
from .signin import begin
from .urls import route, seen_from

_log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Add the globals to the app's templates; imported macros see them too."""
    app.jinja_env.globals.update(
        current_dingtalk_user=current_dingtalk_user,
        dingtalk_button=dingtalk_button,
        dingtalk_logout_button=dingtalk_logout_button,
        dingtalk_qr=dingtalk_qr,
    )


def dingtalk_button(
    next: str | None = None,  # noqa: A002  # the promised name
    nonce: str | None = None,
    text: str | None = None,
    class_: str | None = None,
) -> Markup:
    """Return a sign-in link with DingTalk's mark; ``next`` is a path of this site to land on.

    It leads to DingTalk, and not to the sign-in page of ``DINGTALK_LOGIN_PAGE``; inside the
    DingTalk client, to the sign-in of ``DINGTALK_IN_APP_LOGIN``. Without ``text`` it says "Sign in
    with DingTalk" in the visitor's language. ``class_`` are further classes of the link. ``nonce``
    goes on the style tag for a Content-Security-Policy. The site's own ``dingtalk/button.html``
    replaces ours.
    """
    return button(next, nonce, text=text, class_=class_)


def dingtalk_logout_button(
    next: str | None = None,  # noqa: A002  # the promised name
    text: str | None = None,
    class_: str | None = None,
) -> Markup:
    """Return a form with one button that signs out; ``next`` is a path of this site to land on.

    It carries a proof that it is from a page of this session, for browsers that do not say where a
    form is from. Without ``text`` the button says "Sign out" in the visitor's language. ``class_``
    are its classes: it has no style of ours. The site's own ``dingtalk/logout.html`` replaces ours.
    """
    fields = {PROOF: sign_out_proof()}
    if next is not None:
        fields["next"] = seen_from(route("logout"), next)
    return logout_button(fields, text=text, class_=class_)


def dingtalk_qr(
    next: str | None = None,  # noqa: A002  # the promised name
    size: int = 300,
    nonce: str | None = None,
) -> Markup:
    """Return DingTalk's embedded QR code; after a scan, the browser goes to ``next`` on this site.

    ``size`` is in pixels each way; less than 280 is taken for 280. ``nonce`` goes on the script and
    style tags for a Content-Security-Policy. Where the code cannot be shown, there is a message in
    the visitor's language and the button instead. The page starts a sign-in, and must not be cached
    or streamed. The site's own ``dingtalk/qr.html`` replaces ours. Raises ``ConfigurationError``
    for settings that DingTalk's QR code does not work with, and what ``round(float(size))`` raises
    for a size that is not a number. [obtain-identity-credentials]
    """
    settings = app_state().settings
    size = max(round(float(size)), wire.QR_MIN_SIZE)
    try:
        settings.check_qr("dingtalk_qr")
        state, redirect_uri = begin(next)
    except ConfigurationError as error:
        if request.blueprint != "dingtalk":
            # On the site's own page, nothing else would tell the developer.
            _log.error(
                "DingTalk's QR code cannot be shown: %s",
                error.log_message,
                extra=facts("qr_code_failed", error),
            )
        raise
    # Several codes on one page are told apart by it.
    element_id = f"dingtalk-qr-{secrets.token_hex(4)}"
    after_this_request(_keep_out_of_caches)
    return render(
        "qr.html",
        QR,
        size=size,
        nonce=nonce,
        element_id=element_id,
        script_url=settings.qr_script_url,
        button=button(next, nonce),
        options={
            "frame": {"id": element_id, "width": size, "height": size},
            "login": qr_parameters(settings, state=state, redirect_uri=redirect_uri),
            "renewal": {"url": route("renew_state"), "after": renewal_due(settings.state_lifetime)},
        },
    )


def _keep_out_of_caches(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
