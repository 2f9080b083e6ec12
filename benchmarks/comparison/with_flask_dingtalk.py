"""The site of this comparison with Flask-DingTalk."""
# ruff: noqa: D103
# mypy: ignore-errors

from flask import Flask

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

DISTRIBUTION = "Flask-DingTalk"
LOGIN, CALLBACK = "/dingtalk/login", "/dingtalk/callback"


def build(dingtalk_settings, **more):
    app = Flask(__name__)
    app.config.update(
        dingtalk_settings, SECRET_KEY="the key of a trial", DINGTALK_MEMBERS_ONLY=True
    )
    app.config.update(DINGTALK_REVALIDATE_AFTER=3600, **more)
    dingtalk = DingTalk(app)

    @app.get("/")
    @login_required
    def index():
        return f"Hello, {current_dingtalk_user.nick}"

    @app.get("/as-dingtalk-sees-me")
    @login_required
    def as_dingtalk_sees_me():
        return dingtalk.get("/v1.0/contact/users/me").json()

    @app.get("/guarded")
    @login_required
    def guarded():
        return f"Hello, {current_dingtalk_user.nick}"

    @app.get("/async")
    @login_required
    async def asynchronous():
        return f"Hello, {current_dingtalk_user.nick}"

    return app


def sign_out(browser):
    browser.post("/dingtalk/logout", base_url="https://localhost")
