"""The blueprint: thin routes, their headers, and the check that a POST comes from this site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response, abort, current_app, request
from werkzeug.exceptions import LengthRequired, MethodNotAllowed, RequestEntityTooLarge

from . import pages, session, signin
from .api import wire
from .app_state import app_state
from .errors import DingTalkError, NotPermitted
from .pages import IN_APP_CODE, IN_APP_STATE, NO_CODE_REASON
from .redirects import origin_of
from .responses import json_response
from .secret import Secret
from .signin import printable
from .urls import asks_for_redirect, is_in_app

#: A form of this extension has a state and a code; nothing of it comes near this.
_MAX_BODY_BYTES: Final = 16 * 1024


def build_blueprint(hooks: Sequence[signin.LoginHook]) -> Blueprint:
    """Return the finished blueprint; ``hooks`` is read at each sign-in."""
    blueprint = Blueprint(
        "dingtalk",
        __name__,
        template_folder="templates",
        static_folder="static",
        # Avoid clashing with the site's /static when mounted at the root.
        static_url_path="/static/dingtalk",
    )

    @blueprint.get("/login")
    def login() -> Response:
        with signin.reporting():
            return _login(request.args.get("next"))

    @blueprint.get("/callback")
    def callback() -> Response:
        return signin.finish(_returned_by_pages(), hooks)

    # GET is refused in here and not by the router, so that the refusal is not cached either.
    @blueprint.route("/in-app", methods=["GET", "POST"])
    def in_app() -> Response:
        if not app_state().settings.in_app_login:
            abort(404)
        _require_small_same_origin_post()
        return signin.finish_in_app(_returned_by_client(), hooks)

    @blueprint.route("/state", methods=["GET", "POST"])
    def renew_state() -> Response:
        """Give a page that stays open a state that will last."""
        _require_small_same_origin_post()
        try:
            state, renew_after = session.renew_state(Secret(request.form.get("state", "")))
        except DingTalkError as error:
            current_app.logger.warning(
                "DingTalk's QR code cannot be renewed: %s", error.log_message
            )
            raise
        content = {"state": state, "renew_after": renew_after}
        return json_response(content, 200, current_app.response_class)

    @blueprint.route("/logout", methods=["GET", "POST"])
    def logout() -> Response:
        _require_small_same_origin_post()
        signin.sign_out()
        return signin.after_sign_out(request.values.get("next"))

    @blueprint.after_request
    def add_privacy_headers(response: Response) -> Response:
        if request.endpoint == "dingtalk.static":
            # Scripts and pages belong together: after an update, no old one may be left.
            response.headers["Cache-Control"] = "no-cache"
        else:
            response.headers["Cache-Control"] = "no-store"
            # The address of the callback holds a code.
            response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    return blueprint


def _login(asked: str | None) -> Response:
    if not asks_for_redirect(request.args):
        if is_in_app():
            return pages.in_app_page(asked)
        if app_state().settings.login_page:
            return pages.login_page(asked)
    elif is_in_app() and (reason := request.args.get(NO_CODE_REASON)):
        signin.report_no_in_app_code(reason)
    return signin.start(asked)


def _returned_by_pages() -> signin.Returned:
    """Read what DingTalk's pages sent back. ``authCode`` and ``code`` carry the same value."""
    code = request.args.get(wire.CALLBACK_AUTH_CODE) or request.args.get(wire.CALLBACK_CODE)
    return signin.Returned(
        state=_secret(request.args.get(wire.STATE)),
        code=_secret(code),
        error=request.args.get(wire.CALLBACK_ERROR),
    )


def _returned_by_client() -> signin.Returned:
    """Read what the page inside the DingTalk client posted."""
    return signin.Returned(
        state=_secret(request.form.get(IN_APP_STATE)), code=_secret(request.form.get(IN_APP_CODE))
    )


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def _require_small_same_origin_post() -> None:
    """Refuse anything but a POST (405), a large one (413) and one of another origin (403).

    The origin is told by Fetch Metadata (W3C), else by ``Origin`` (RFC 6454). A client that sends
    neither header is not a browser of these days, and has no cookie to misuse.
    """
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        # No browser sends a form in chunks, and its size would be known too late.
        raise LengthRequired
    if (request.content_length or 0) > _MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin_of(origin) != origin_of(request.host_url)
    if foreign:
        error = NotPermitted(
            f"a POST from {printable(origin or 'another origin')!r}; this is {request.host_url}",
            hint="let a form of this site send it; if it did, a proxy in between hides the site's "
            "address: use werkzeug.middleware.proxy_fix.ProxyFix",
        )
        current_app.logger.warning("DingTalk: %s", error.log_message)
        raise error
