"""The blueprint: thin routes, their headers, and the check that a POST comes from this site."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Blueprint, Response, abort, current_app, request
from werkzeug.exceptions import MethodNotAllowed

from . import session, signin, template_globals
from .app_state import app_state
from .errors import DingTalkError, NotPermitted
from .redirects import origin_of
from .responses import json_response


def build_blueprint(hooks: Sequence[signin.LoginHook]) -> Blueprint:
    """Return the finished blueprint; ``hooks`` is read at each sign-in."""
    blueprint = Blueprint(
        "dingtalk",
        __name__,
        template_folder="templates",
        static_folder="static",
        # Below the site's own where both are mounted at the root: the longer path wins.
        static_url_path="/static/dingtalk",
    )

    @blueprint.get("/login")
    def login() -> Response:
        try:
            return _login(request.args.get("next"))
        except Exception as error:
            signin.report(error)
            raise

    @blueprint.get("/callback")
    def callback() -> Response:
        return _finished(lambda: signin.finish(hooks))

    # GET is refused in here and not by the router, so that the refusal is not cached either.
    @blueprint.route("/in-app", methods=["GET", "POST"])
    def in_app() -> Response:
        if not app_state().settings.in_app_login:
            abort(404)
        _only_from_here()
        return _finished(lambda: signin.finish_in_app(hooks))

    @blueprint.route("/state", methods=["GET", "POST"])
    def renew_state() -> Response:
        """Give a page that stays open a state that will last."""
        _only_from_here()
        try:
            state, renew_after = session.renew(request.form.get("state", ""))
        except DingTalkError as error:
            current_app.logger.warning("DingTalk's QR code cannot be renewed: %s", error)
            raise
        answer: Response = json_response({"state": state, "renew_after": renew_after}, 200)  # type: ignore[assignment]
        return answer

    @blueprint.route("/logout", methods=["GET", "POST"])
    def logout() -> Response:
        _only_from_here()
        signin.sign_out()
        return signin.after_sign_out(request.values.get("next"))

    @blueprint.after_request
    def keep_to_ourselves(response: Response) -> Response:
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
    if not signin.asks_for_redirect(request.args):
        if signin.inside_client():
            return template_globals.in_app_page(asked)
        if app_state().settings.login_page:
            return template_globals.login_page(asked)
    elif signin.inside_client() and (reason := request.args.get(signin.CLIENT_REASON)):
        signin.report_no_code(reason)
    return signin.start(asked)


def _finished(finish: Callable[[], signin.Outcome]) -> Response:
    """Tell everybody who listens how a sign-in ended; return the answer to the browser."""
    try:
        answer, signed_in = finish()
    except Exception as error:
        signin.report(error)
        raise
    if signed_in is not None:
        signin.announce(signed_in)
    return answer


def _only_from_here() -> None:
    """Refuse what is no POST (405), and one that another origin sent (``NotPermitted``).

    Told by Fetch Metadata (W3C) or ``Origin`` (RFC 6454). A client that sends neither header is no
    browser of these days, and has no cookie to misuse.
    """
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin_of(origin) != origin_of(request.host_url)
    if foreign:
        error = NotPermitted(
            f"a POST from {signin.shown(origin or 'another origin')!r}; this is {request.host_url}",
            hint="let a form of this site send it; if it did, a proxy in between hides the site's "
            "address: use werkzeug.middleware.proxy_fix.ProxyFix",
        )
        current_app.logger.warning("DingTalk: %s", error)
        raise error
