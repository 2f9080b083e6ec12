"""Where somebody is signed in: this site's own table, kept from the extension's signals.

A real site uses a database table; this one forgets its devices when it stops.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from flask import (
    Blueprint,
    Flask,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response

from flask_dingtalk import (
    DingTalkUser,
    NotPermitted,
    current_dingtalk_user,
    event_received,
    login_required,
    user_logged_in,
    user_logged_out,
)

from . import texts
from .accounts import dingtalk

pages = Blueprint("devices", __name__, url_prefix="/devices")

#: Where this browser's session keeps the id of its device.
_KEY: Final = "device"
#: The first that a ``User-Agent`` names; most name those further down as well.
_BROWSERS: Final = {
    "DingTalk": "DingTalk",
    "MicroMessenger": "WeChat",
    "Edg": "Edge",
    "Firefox|FxiOS": "Firefox",
    "Chrome|CriOS": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS: Final = {
    "iPhone|iPad": "iOS",
    "HarmonyOS|OpenHarmony": "HarmonyOS",
    "Android": "Android",
    "Windows": "Windows",
    "Macintosh": "macOS",
    "Linux": "Linux",
}


@dataclass(slots=True)
class Device:
    """One browser in which somebody is signed in."""

    id: str
    union_id: str
    user_id: str | None
    #: Such as ``Chrome, Windows``; empty for one that says nothing known.
    browser: str
    since: datetime
    last_seen: datetime


def init_app(app: Flask) -> None:
    """Add an empty table, and keep it from the signals."""
    app.extensions["devices"] = {}
    user_logged_in.connect(_add, app)
    user_logged_out.connect(_remove_this, app)
    event_received.connect(_remove_leavers, app)
    app.register_blueprint(pages)


def of(user: DingTalkUser) -> list[Device]:
    """Return the devices of a person, the one that was seen last first."""
    found = [device for device in list(_table().values()) if device.union_id == user.union_id]
    return sorted(found, key=lambda device: device.last_seen, reverse=True)


# --- Kept from the signals -----------------------------------------------------------------------


def _add(sender: Flask, user: DingTalkUser, **facts: Any) -> None:
    _table().pop(session.get(_KEY, ""), None)
    now = datetime.now(UTC)
    device = Device(
        id=secrets.token_urlsafe(12),
        union_id=user.union_id,
        user_id=user.user_id,
        browser=_browser(request.user_agent.string),
        since=now,
        last_seen=now,
    )
    _table()[device.id] = device
    session[_KEY] = device.id


def _remove_this(sender: Flask, **facts: Any) -> None:
    _table().pop(session.pop(_KEY, ""), None)


def _remove_leavers(sender: Flask, event: Any) -> None:
    """Forget the devices of those who left, whose sign-ins the extension has just ended."""
    if event.type != "user_leave_org":
        return
    named = event.data.get("userId")
    gone = named if isinstance(named, tuple) else (named,)
    for device in list(_table().values()):
        if device.user_id is not None and device.user_id in gone:
            _table().pop(device.id, None)


@pages.before_app_request
def note_visit() -> None:
    """Note when a device was last seen, and forget one whose sign-in ended elsewhere."""
    if _KEY not in session or request.blueprint == "dingtalk" or request.endpoint == "static":
        return
    device = _table().get(session[_KEY])
    if not current_dingtalk_user:
        _remove_this(current_app)
    elif device is not None:
        device.last_seen = datetime.now(UTC)


# --- The page ------------------------------------------------------------------------------------


@pages.get("/")
@login_required
def show() -> str:
    """Show where the user is signed in."""
    return render_template(
        "devices.html", devices=of(current_dingtalk_user), this=session.get(_KEY)
    )


@pages.post("/sign-out")
@login_required
def sign_out_everywhere() -> Response:
    """End all sign-ins of the user; without a store, they are not known."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        # W3C Fetch Metadata.
        raise NotPermitted("a form that another site sent")
    user = current_dingtalk_user
    dingtalk.logout_everywhere(user.union_id)
    for device in of(user):
        _table().pop(device.id, None)
    session.pop(_KEY, None)
    flash(texts.say("devices.gone"))
    return redirect(url_for("pages.home"), 303)


def _browser(user_agent: str) -> str:
    found = (
        next((name for pattern, name in names.items() if re.search(pattern, user_agent)), None)
        for names in (_BROWSERS, _SYSTEMS)
    )
    return ", ".join(name for name in found if name)


def _table() -> dict[str, Device]:
    table: dict[str, Device] = current_app.extensions["devices"]
    return table
