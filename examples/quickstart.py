"""The smallest site that signs people in with DingTalk.

Without a DingTalk account::

    flask dingtalk simulator -- flask --app examples/quickstart run

With one, set FLASK_SECRET_KEY, FLASK_DINGTALK_CLIENT_ID and FLASK_DINGTALK_CLIENT_SECRET, and run::

    flask --app examples/quickstart run
"""
# ruff: noqa: D103
# mypy: allow-untyped-defs

from flask import Flask

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

app = Flask(__name__)
app.config.from_prefixed_env()  # FLASK_SECRET_KEY, FLASK_DINGTALK_CLIENT_ID, …_CLIENT_SECRET
dingtalk = DingTalk(app)  # adds /dingtalk/login, /dingtalk/callback, /dingtalk/logout


@app.get("/")
@login_required
def index():
    return f"Hello, {current_dingtalk_user.nick}"
