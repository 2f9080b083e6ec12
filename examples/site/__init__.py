"""A small company portal that uses the factory pattern.

    flask --app examples.site run

Without FLASK_DINGTALK_CLIENT_ID and FLASK_DINGTALK_CLIENT_SECRET in the environment, the site
starts a DingTalk simulator. With them, also set FLASK_SECRET_KEY. For everything that the site does
with the simulator, set FLASK_DINGTALK_MEMBERS_ONLY, FLASK_DINGTALK_EMPLOYEE_PROFILE and
FLASK_DINGTALK_REVALIDATE_AFTER as well. FLASK_DINGTALK_IN_APP_LOGIN=true, together with
FLASK_DINGTALK_CORP_ID, signs people in inside the DingTalk client. FLASK_DINGTALK_LOGIN_PAGE=false
skips the sign-in page with the QR code. With FLASK_DINGTALK_STORE, the address of a Redis, people
can sign out everywhere at once; for leavers at once, set FLASK_DINGTALK_EVENT_TOKEN and
FLASK_DINGTALK_EVENT_AES_KEY as well.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from flask_dingtalk import login_required, user_logged_in, user_logged_out

from . import accounts, development, devices, views


class ReadableJSON(DefaultJSONProvider):
    """Flask's JSON, with readable Chinese instead of escape sequences."""

    ensure_ascii = False


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the site from the ``FLASK_…`` environment variables and ``config``, which wins."""
    app = Flask(__name__)
    app.json = ReadableJSON(app)
    app.config.from_mapping(
        # Show a page of this site with DingTalk's QR code before going to DingTalk.
        DINGTALK_LOGIN_PAGE=True,
        # The company's name for the pages, since DingTalk sends only its id.
        COMPANY_NAME=None,
        # People need this role to open /approvals; without it, that page does not exist.
        APPROVER_ROLE=None,
        # Names of departments by their number, since an employee's record has only numbers.
        DEPARTMENT_NAMES={},
        # The company's own field of the directory with a name in Latin letters, if it has one.
        LATIN_NAME_FIELD=None,
        # Behind HTTPS, set FLASK_SESSION_COOKIE_SECURE=true as well.
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.config.from_prefixed_env()
    app.config.update(config or {})
    development.keep_codes_off_the_console()
    credentials = ("DINGTALK_CLIENT_ID", "DINGTALK_CLIENT_SECRET")
    if all(app.config.get(name) is None for name in credentials):
        # Not for one that is empty or missing beside the other: that is a mistake, and is refused.
        # Imported here, as a site with credentials does not need it.
        from .simulated import use_simulator

        use_simulator(app)

    accounts.init_app(app)
    user_logged_in.connect(views.say_hello, app)
    user_logged_out.connect(views.say_goodbye, app)

    app.register_blueprint(views.pages)
    devices.init_app(app)
    role = app.config["APPROVER_ROLE"]
    if role:
        # Guarded here and not in views.py, where the role is not known yet.
        may_approve = partial(accounts.has_role, role=role)
        app.add_url_rule("/approvals", view_func=login_required(check=may_approve)(views.approvals))
    return app
