"""The pages, and what they have in common."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, flash, jsonify, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from flask_dingtalk import DingTalkError, DingTalkUser, current_dingtalk_user, login_required

from . import accounts, texts
from .accounts import dingtalk

pages = Blueprint("pages", __name__)
pages.add_app_template_global(texts.say)
pages.add_app_template_global(texts.language)
pages.add_app_template_global(accounts.has_role)
pages.add_app_template_global(accounts.company_of)
pages.add_app_template_filter(texts.named)

#: The time zone of the company's calendar.
_CHINA: Final = timezone(timedelta(hours=8))
#: DingTalk's scripts for the QR code and for pages inside its client, by the settings for other
#: URLs.
_DINGTALK_SCRIPTS: Final = {
    "DINGTALK_QR_SCRIPT_URL": "https://g.alicdn.com/dingding/h5-dingtalk-login/0.21.0/ddlogin.js",
    "DINGTALK_JSAPI_URL": "https://g.alicdn.com/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js",
}


@pages.get("/")
def home() -> str:
    """Show the home page, with or without a sign-in."""
    return render_template("home.html")


@pages.get("/profile")
@login_required
def profile() -> str:
    """Show what DingTalk sent about the user, and what the site records."""
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
    """Show the user's record in the company's directory."""
    employee = current_dingtalk_user.employee
    return render_template(
        "record.html",
        user=current_dingtalk_user,
        employee=employee,
        manager=accounts.manager_of(employee) if employee else None,
        raw=json.dumps(employee.raw if employee else None, ensure_ascii=False, indent=2),
    )


@pages.get("/api/me")
@login_required
def api_me() -> Response:
    """Return the signed-in user as JSON."""
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
    """Show what needs a decision; the factory adds the route and the guard."""
    return render_template("approvals.html")


# --- What happens beside the pages ---


def say_hello(sender: Flask, user: DingTalkUser, **facts: Any) -> None:
    """Greet the person who just signed in, on the next page."""
    flash(texts.say("hello", nick=person_name(user)))


def say_goodbye(sender: Flask, user: DingTalkUser | None, **facts: Any) -> None:
    """Confirm a sign-out on the next page, or explain one that the visitor did not ask for."""
    if request.endpoint == "dingtalk.logout":
        flash(texts.say("goodbye"))
    elif request.blueprint != "dingtalk":
        # A check during this request ended the sign-in. On the extension's other routes, somebody
        # else is signing in.
        flash(texts.say("signed_out"), "warning")


@pages.app_errorhandler(HTTPException)
def show_http_error(error: HTTPException) -> Response | HTTPException:
    """Show an error, such as an unknown address, on a page of this site; scripts get JSON.

    The extension answers its own errors itself, on the page ``dingtalk/error.html`` of this site.
    """
    if isinstance(error, DingTalkError) or error.response is not None:
        return error
    key = f"error.{error.code}"
    if not texts.has(key):
        key = "error.other"
    title, message = texts.say(key), texts.say(f"{key}.text")
    response: Response = current_app.make_response(error.get_response(request.environ))
    if request.accept_mimetypes["text/html"] >= request.accept_mimetypes["application/json"]:
        response.set_data(render_template("error.html", title=title, message=message))
    else:
        content = jsonify(error=error.name.lower().replace(" ", "_"), message=message)
        response.set_data(content.get_data())
        response.mimetype = "application/json"
    return response


@pages.after_app_request
def add_headers(response: Response) -> Response:
    """Add headers that limit what a page may load, who may store it, and what a link reveals."""
    response.headers["Content-Security-Policy"] = _security_policy()
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint not in ("static", "dingtalk.static"):
        # After a sign-out, the browser's back button must not show the profile again.
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("Accept-Language")
    return response


def _security_policy() -> str:
    config = current_app.config
    scripts = " ".join(config.get(name, url) for name, url in _DINGTALK_SCRIPTS.items())
    frame = urlsplit(config.get("DINGTALK_AUTHORIZE_URL", "https://login.dingtalk.com"))
    # Set only for the simulator, which serves avatars and stands in for the DingTalk client.
    simulator = "".join(f" {url}" for url in [config.get("DINGTALK_API_BASE_URL")] if url)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; frame-src {frame.scheme}://{frame.netloc};"
        f" style-src 'self'; connect-src 'self'{simulator}; img-src 'self' https:{simulator};"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@pages.app_template_global()
def has_store() -> bool:
    """Tell whether sign-ins are kept where all of a person's are known."""
    return current_app.config.get("DINGTALK_STORE") is not None


@pages.app_template_global()
def person_name(user: DingTalkUser) -> Markup:
    """Return what to call somebody: the nick, on pages in English with the name in Latin letters.

    Somebody without a nick has the name in the directory; without that, nobody knows a name.
    """
    employee_name = user.employee.name if user.employee is not None else None
    name = user.nick or employee_name
    if name is None:
        return texts.say("nameless")
    return texts.person(name, accounts.latin_name_of(user))


@pages.app_template_global()
def short_name(user: DingTalkUser) -> Markup:
    """Return the name in the script of the page, where there is little room."""
    latin_name = accounts.latin_name_of(user) if texts.language() == "en" else None
    return person_name(user) if latin_name is None else texts.named(latin_name)


@pages.app_template_filter()
def department_name(number: int) -> str:
    """Return the configured name of a department, or its number."""
    names: dict[str, str] = current_app.config["DEPARTMENT_NAMES"]
    return names.get(str(number), str(number))


@pages.app_template_filter()
def day(moment: datetime) -> str:
    """Format a day of the company's calendar."""
    return moment.astimezone(_CHINA).strftime("%Y-%m-%d")


@pages.app_template_filter()
def local_time(moment: datetime) -> str:
    """Format a time in the time zone of this machine."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")
