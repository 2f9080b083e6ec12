"""The site of this comparison with Flask-Dance.

As its documentation has it: https://flask-dance.readthedocs.io, *Custom*. What stands between the
two marks is there because DingTalk is not as the standard says.
"""
# ruff: noqa: D101, D102, D103
# mypy: ignore-errors

import json

from flask import Flask, redirect, session, url_for
from flask_dance.consumer import OAuth2ConsumerBlueprint
from flask_dance.consumer.requests import OAuth2Session

DISTRIBUTION = "Flask-Dance"
LOGIN, CALLBACK = "/dingtalk", "/dingtalk/authorized"


# --- For DingTalk --------------------------------------------------------------------------------
def with_standard_names(response):
    answer = response.json()
    if "accessToken" in answer:
        response._content = json.dumps(
            {
                "access_token": answer["accessToken"],
                "refresh_token": answer["refreshToken"],
                "expires_in": answer["expireIn"],
                "token_type": "Bearer",
            }
        ).encode()
    return response


class DingTalkSession(OAuth2Session):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_compliance_hook("access_token_response", with_standard_names)
        self.register_compliance_hook("refresh_token_response", with_standard_names)
        self.auth = self.with_header

    def with_header(self, prepared):
        if self.token:
            prepared.headers["x-acs-dingtalk-access-token"] = self.token["access_token"]
        return prepared

    def request(self, method, url, data=None, headers=None, **kwargs):
        if url.endswith("/userAccessToken"):
            content = {
                "clientId": self.blueprint.client_id,
                "clientSecret": self.blueprint.client_secret,
                "grantType": data["grant_type"],
            }
            if "code" in data:
                content["code"] = data["code"]
            else:
                content["refreshToken"] = data["refresh_token"]
            data, headers, kwargs["json"] = None, None, content
        return super().request(method, url, data=data, headers=headers, **kwargs)


FOR_DINGTALK = {"session_class": DingTalkSession}
# --- Until here ----------------------------------------------------------------------------------

AS_STANDARD_SAYS = {}


def build(dingtalk_settings, glue=FOR_DINGTALK):
    app = Flask(__name__)
    app.secret_key = "the key of a trial"
    token_url = f"{dingtalk_settings['DINGTALK_API_BASE_URL']}/v1.0/oauth2/userAccessToken"
    dingtalk = OAuth2ConsumerBlueprint(
        "dingtalk",
        __name__,
        client_id=dingtalk_settings["DINGTALK_CLIENT_ID"],
        client_secret=dingtalk_settings["DINGTALK_CLIENT_SECRET"],
        scope=["openid"],
        base_url=dingtalk_settings["DINGTALK_API_BASE_URL"],
        authorization_url=dingtalk_settings["DINGTALK_AUTHORIZE_URL"],
        authorization_url_params={"prompt": "consent"},
        token_url=token_url,
        auto_refresh_url=token_url,
        auto_refresh_kwargs={},
        **glue,
    )
    app.register_blueprint(dingtalk)

    @app.get("/")
    def index():
        if not dingtalk.session.authorized:
            return redirect(url_for("dingtalk.login"))
        if "user" not in session:
            response = dingtalk.session.get("/v1.0/contact/users/me")
            response.raise_for_status()
            session["user"] = response.json()
        return f"Hello, {session['user']['nick']}"

    @app.get("/as-dingtalk-sees-me")
    def as_dingtalk_sees_me():
        response = dingtalk.session.get("/v1.0/contact/users/me")
        response.raise_for_status()
        return response.json()

    @app.get("/guarded")
    @dingtalk.session.authorization_required
    def guarded():
        return f"Hello, {session['user']['nick']}"

    @app.get("/async")
    @dingtalk.session.authorization_required
    async def asynchronous():
        return f"Hello, {session['user']['nick']}"

    @app.post("/logout")
    def logout():
        del dingtalk.token
        session.clear()
        return redirect("/")

    return app


def sign_out(browser):
    browser.post("/logout", base_url="https://localhost")
