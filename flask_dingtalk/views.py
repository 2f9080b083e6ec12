"""The blueprint: thin routes, their headers, and the check that a POST comes from this site."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from . import signin
from .errors import NotPermitted
from .redirects import origin_of


def build_blueprint(hooks: Sequence[signin.LoginHook]) -> Blueprint:
    """Return the finished blueprint; ``hooks`` is read at each sign-in."""
    blueprint = Blueprint("dingtalk", __name__, template_folder="templates")

    @blueprint.get("/login")
    def login() -> Response:
        try:
            return signin.start(request.args.get("next"))
        except Exception as error:
            signin.report(error)
            raise

    @blueprint.get("/callback")
    def callback() -> Response:
        try:
            answer, signed_in = signin.finish(request.args, hooks)
        except Exception as error:
            signin.report(error)
            raise
        if signed_in is not None:
            signin.announce(signed_in)
        return answer

    # GET is refused in here and not by the router, so that the refusal is not cached either.
    @blueprint.route("/logout", methods=["GET", "POST"])
    def logout() -> Response:
        if request.method != "POST":
            raise MethodNotAllowed(["POST"])
        _refuse_other_origins()
        signin.sign_out()
        return signin.after_sign_out(request.values.get("next"))

    @blueprint.after_request
    def keep_to_ourselves(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        # The address of the callback holds a code.
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return blueprint


def _refuse_other_origins() -> None:
    """Raise ``NotPermitted`` for a POST that another origin sent (W3C Fetch Metadata, RFC 6454).

    A client that sends neither header is no browser of these days, and has no cookie to misuse.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin_of(origin) != origin_of(request.host_url)
    if foreign:
        raise NotPermitted("a POST from another origin", hint="let a form of this site send it")
