"""The pages, and what all of them have in common."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, flash, jsonify, render_template, request

from flask_dingtalk import DingTalkError, DingTalkUser, current_dingtalk_user, login_required

from . import accounts, texts
from .accounts import dingtalk

pages = Blueprint("pages", __name__)
pages.add_app_template_global(texts.say)
pages.add_app_template_global(texts.language)
pages.add_app_template_global(accounts.has_role)
pages.add_app_template_global(accounts.company_of)

#: Where a company's days begin and end.
_CHINA: Final = timezone(timedelta(hours=8))
#: DingTalk's scripts for the QR code and for pages inside its client, by the settings that change
#: where they come from.
_DINGTALK_SCRIPTS: Final = {
    "DINGTALK_QR_SCRIPT_URL": "https://g.alicdn.com/dingding/h5-dingtalk-login/0.21.0/ddlogin.js",
    "DINGTALK_JSAPI_URL": ("https://g.alicdn.com/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js"),
}


@pages.get("/")
def home() -> str:
    """Greet whoever comes, signed in or not."""
    return render_template("home.html")


@pages.get("/profile")
@login_required
def profile() -> str:
    """Show what DingTalk told about the user, and what the site keeps."""
    return render_template(
        "profile.html",
        user=current_dingtalk_user,
        token=dingtalk.token,
        account=accounts.find(current_dingtalk_user),
        raw=json.dumps(current_dingtalk_user.raw, ensure_ascii=False, indent=2),
    )


@pages.get("/record")
@login_required
def record() -> str:
    """Show what the company's directory says of the user."""
    employee = current_dingtalk_user.employee
    return render_template(
        "record.html",
        user=current_dingtalk_user,
        employee=employee,
        raw=json.dumps(employee.raw if employee else None, ensure_ascii=False, indent=2),
    )


@pages.get("/api/me")
@login_required
def api_me() -> Response:
    """Answer who is signed in, for scripts."""
    user = current_dingtalk_user
    return jsonify(
        nick=user.nick,
        union_id=user.union_id,
        user_id=user.user_id,
        phone_number=user.phone_number,
        email=user.email,
    )


@pages.get("/company")
@login_required
def company() -> str:
    """Show the notices of the company."""
    return render_template("company.html")


def approvals() -> str:
    """Show what waits for a decision; the factory adds route and guard."""
    return render_template("approvals.html")


# --- What happens beside the pages ---


def say_hello(sender: Flask, user: DingTalkUser, **facts: Any) -> None:
    """Greet whoever just signed in, on the next page."""
    flash(texts.say("hello", nick=user.nick or ""))


def say_goodbye(sender: Flask, user: DingTalkUser, **facts: Any) -> None:
    """Confirm a sign-out, on the next page."""
    flash(texts.say("goodbye"))


@pages.app_errorhandler(DingTalkError)
def show_error(error: DingTalkError) -> Response:
    """Put the site's own page in the place of the extension's.

    Status, headers, and the JSON for a client that prefers it, stay the extension's.
    """
    response: Response = current_app.make_response(error.get_response(request.environ))
    if response.mimetype == "text/html":
        key = f"error.{error.error_code}"
        response.set_data(
            render_template(
                "error.html", error=error, text=key if texts.has(key) else "error.other"
            )
        )
    return response


@pages.after_app_request
def add_headers(response: Response) -> Response:
    """Say what a page may load, who may keep it, and who learns where a visitor comes from."""
    response.headers["Content-Security-Policy"] = _security_policy()
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint not in ("static", "dingtalk.static"):
        # After signing out, the browser's back button must not bring the profile up again.
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("Accept-Language")
    return response


def _security_policy() -> str:
    config = current_app.config
    scripts = " ".join(config.get(name, url) for name, url in _DINGTALK_SCRIPTS.items())
    frame = urlsplit(config.get("DINGTALK_AUTHORIZE_URL", "https://login.dingtalk.com"))
    # Set for a simulator alone: it is asked what DingTalk's client would be, and serves avatars,
    # as DingTalk does from hosts of its own choosing.
    simulator = "".join(f" {url}" for url in [config.get("DINGTALK_API_BASE_URL")] if url)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; frame-src {frame.scheme}://{frame.netloc};"
        f" style-src 'self'; connect-src 'self'{simulator}; img-src 'self' https:{simulator};"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@pages.app_template_filter()
def department_name(number: int) -> str:
    """Return what the site calls a department: its name where configured, or its number."""
    names: dict[str, str] = current_app.config["DEPARTMENT_NAMES"]
    return names.get(str(number), str(number))


@pages.app_template_filter()
def day(moment: datetime) -> str:
    """Format a day of the company's calendar."""
    return moment.astimezone(_CHINA).strftime("%Y-%m-%d")


@pages.app_template_filter()
def local_time(moment: datetime) -> str:
    """Format a moment in the time zone of this machine."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")
