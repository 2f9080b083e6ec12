"""The blueprint: thin routes, their headers, and how they get along with other extensions."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from . import events, forms, mistakes, pages, session, signin
from .api import wire
from .app_state import app_state
from .errors import DingTalkError
from .guard import sign_in_by_navigation
from .logs import facts
from .pages import NO_CODE_REASON
from .responses import is_navigation, json_response
from .secret import Secret
from .urls import asks_for_redirect, is_in_app

_log = logging.getLogger(__name__)


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

    blueprint.url_value_preprocessor(_exempt_from_csrf_protect)
    blueprint.register_error_handler(DingTalkError, _answer_error)

    @blueprint.before_request
    def refuse_unreadable_query() -> None:
        try:
            request.args  # noqa: B018  # Werkzeug decodes it at the first look
        except UnicodeDecodeError:
            raise BadRequest("The query of this address is not UTF-8.") from None

    @blueprint.get("/login")
    def login() -> Response:
        if not is_navigation(request.environ):
            # A script or an image that followed the guard's redirect would push a sign-in that
            # somebody began out of those that are remembered.
            return sign_in_by_navigation()
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
        forms.require_own_post(forms.has_state)
        return signin.finish_in_app(_returned_by_client(), hooks)

    @blueprint.route("/state", methods=["GET", "POST"])
    def renew_state() -> Response:
        """Give a page that stays open a state that will last."""
        forms.require_own_post(forms.has_state)
        try:
            state, renew_after = session.renew_state(Secret(request.form.get(forms.STATE, "")))
        except DingTalkError as error:
            _log.warning(
                "DingTalk's QR code cannot be renewed: %s",
                error.log_message,
                extra=facts("qr_code_not_renewed", error),
            )
            raise
        content = {"state": state, "renew_after": renew_after}
        return json_response(content, 200, current_app.response_class)

    @blueprint.route("/logout", methods=["GET", "POST"])
    def logout() -> Response:
        forms.require_own_post(forms.has_proof)
        signin.sign_out()
        return signin.after_sign_out(request.values.get("next"))

    @blueprint.route("/events", methods=["GET", "POST"], endpoint="events")
    def take_event() -> Response:
        return events.answer_push()

    @blueprint.after_request
    def add_privacy_headers(response: Response) -> Response:
        if request.endpoint == "dingtalk.static":
            # Scripts and pages belong together: after an update, no old one may be left.
            response.headers["Cache-Control"] = "no-cache"
        else:
            response.headers["Cache-Control"] = "no-store"
            # The URL of the callback contains a code.
            response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    blueprint.record(mistakes.check_redirect_uri)
    return blueprint


def _login(asked: str | None) -> Response:
    if not asks_for_redirect(request.args):
        if is_in_app():
            return pages.in_app_page(asked)
        if app_state().settings.login_page:
            return signin.start_at_home(asked) or pages.login_page(asked)
    elif is_in_app() and (reason := request.args.get(NO_CODE_REASON)):
        signin.report_no_in_app_code(reason)
    return signin.start_at_home(asked) or signin.start(asked)


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
        state=_secret(request.form.get(forms.STATE)), code=_secret(request.form.get(forms.CODE))
    )


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


# --- Beside other extensions ---------------------------------------------------------------------


def _exempt_from_csrf_protect(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Tell Flask-WTF's ``CSRFProtect`` that these routes check by themselves whose form it is.

    It asks before the view, and after this; so it may be initialised before us or after us.
    """
    flask_wtf = sys.modules.get("flask_wtf.csrf")
    protect = current_app.extensions.get("csrf")
    if flask_wtf is None or protect is None:
        return
    if isinstance(protect, flask_wtf.CSRFProtect):
        protect.exempt(current_app.blueprints["dingtalk"])


def _answer_error(error: DingTalkError) -> ResponseReturnValue:
    """Keep our answer where a framework has a handler for every ``HTTPException``.

    On these routes, a person who looks at the answer would get the framework's JSON. A handler that
    the site has for our own errors wins all the same.
    """
    handlers = current_app.error_handler_spec[None][None]
    for kind in type(error).__mro__:
        if kind in handlers and issubclass(kind, DingTalkError):
            answer: ResponseReturnValue = current_app.ensure_sync(handlers[kind])(error)
            return answer
    return error
