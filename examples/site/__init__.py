"""A company portal in miniature, in the factory pattern.

    flask --app examples.site run

Without FLASK_DINGTALK_CLIENT_ID in the environment it signs people in with a simulator of DingTalk
that it brings along. With it, it needs FLASK_DINGTALK_CLIENT_SECRET and FLASK_SECRET_KEY as well.
FLASK_DINGTALK_MEMBERS_ONLY, FLASK_DINGTALK_EMPLOYEE_PROFILE and FLASK_DINGTALK_REVALIDATE_AFTER do
then what simulated.py sets them to for the simulator; FLASK_DINGTALK_IN_APP_LOGIN=true, with
FLASK_DINGTALK_CORP_ID, signs people in inside the DingTalk client; FLASK_DINGTALK_LOGIN_PAGE=false
leaves out the page with the QR code.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Flask

from flask_dingtalk import login_required, user_logged_in, user_logged_out

from . import accounts, development, views


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the site from the ``FLASK_…`` environment variables and ``config``, which wins."""
    app = Flask(__name__)
    app.config.from_mapping(
        # A page of the site, with DingTalk's QR code, in front of DingTalk's own.
        DINGTALK_LOGIN_PAGE=True,
        # What to call the company on a page: a sign-in brings no name.
        COMPANY_NAME=None,
        # The name of the role that opens /approvals; without it, no such page.
        APPROVER_ROLE=None,
        # What to call departments, by number: an employee's record brings no names either.
        DEPARTMENT_NAMES={},
        # Behind HTTPS, set FLASK_SESSION_COOKIE_SECURE=true as well.
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.config.from_prefixed_env()
    app.config.update(config or {})
    development.keep_codes_off_the_console()
    if not app.config.get("DINGTALK_CLIENT_ID"):
        # Late: a site that has credentials does without.
        from .simulated import use_simulator

        use_simulator(app)

    accounts.init_app(app)
    user_logged_in.connect(views.say_hello, app)
    user_logged_out.connect(views.say_goodbye, app)

    app.register_blueprint(views.pages)
    role = app.config["APPROVER_ROLE"]
    if role:
        # Guarded here and not in views.py: whose page it is, is known only now.
        may_approve = partial(accounts.has_role, role=role)
        app.add_url_rule("/approvals", view_func=login_required(check=may_approve)(views.approvals))
    return app
