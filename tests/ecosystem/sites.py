"""Views that tests of servers add to the site of docs/how-to/ecosystem.md, in another process."""

from __future__ import annotations

import os

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required


def add_views(app: Flask) -> None:
    """Add what the tests look at."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.get("/report")
    @login_required
    def report() -> str:
        return f"Report for {current_dingtalk_user.nick}"

    @app.get("/call")
    @login_required
    def call() -> ResponseReturnValue:
        """Call DingTalk as the user; name whom that and the session show."""
        nick = dingtalk.get("/v1.0/contact/users/me").json()["nick"]
        return jsonify(people=[nick, current_dingtalk_user.nick], process=os.getpid())
