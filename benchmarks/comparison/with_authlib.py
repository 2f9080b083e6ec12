"""The site of this comparison with Authlib's client for Flask.

As its documentation has it: https://docs.authlib.org, *Flask OAuth Client*. What stands between
the two marks is there because DingTalk is not as the standard says.
"""
# ruff: noqa: D103
# mypy: ignore-errors

import json
from urllib.parse import parse_qsl

from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for

DISTRIBUTION = "Authlib"
LOGIN, CALLBACK = "/login", "/callback"


# --- For DingTalk --------------------------------------------------------------------------------
def as_json(client, method, uri, headers, body):
    sent = dict(parse_qsl(body))
    content = {
        "clientId": client.client_id,
        "clientSecret": client.client_secret,
        "grantType": sent["grant_type"],
    }
    if "code" in sent:
        content["code"] = sent["code"]
    else:
        content["refreshToken"] = sent["refresh_token"]
    headers["Content-Type"] = "application/json"
    return uri, headers, json.dumps(content)


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


def compliance_fix(client):
    def with_header(uri, headers, body):
        headers["x-acs-dingtalk-access-token"] = client.token["access_token"]
        return uri, headers, body

    client.register_compliance_hook("access_token_response", with_standard_names)
    client.register_compliance_hook("refresh_token_response", with_standard_names)
    client.register_compliance_hook("protected_request", with_header)


FOR_DINGTALK = {
    "client_kwargs": {"scope": "openid", "token_endpoint_auth_method": as_json},
    "compliance_fix": compliance_fix,
}
# --- Until here ----------------------------------------------------------------------------------

AS_STANDARD_SAYS = {"client_kwargs": {"scope": "openid"}}


def build(dingtalk_settings, glue=FOR_DINGTALK):
    app = Flask(__name__)
    app.secret_key = "the key of a trial"
    dingtalk = OAuth(app).register(
        "dingtalk",
        client_id=dingtalk_settings["DINGTALK_CLIENT_ID"],
        client_secret=dingtalk_settings["DINGTALK_CLIENT_SECRET"],
        authorize_url=dingtalk_settings["DINGTALK_AUTHORIZE_URL"],
        authorize_params={"prompt": "consent"},
        access_token_url=f"{dingtalk_settings['DINGTALK_API_BASE_URL']}/v1.0/oauth2/userAccessToken",
        api_base_url=dingtalk_settings["DINGTALK_API_BASE_URL"],
        fetch_token=lambda: session.get("token"),
        update_token=lambda token, **_: session.update(token=token),
        **glue,
    )

    @app.get("/")
    def index():
        if "user" not in session:
            return redirect(url_for("login"))
        return f"Hello, {session['user']['nick']}"

    @app.get("/login")
    def login():
        return dingtalk.authorize_redirect(url_for("callback", _external=True))

    @app.get("/callback")
    def callback():
        session["token"] = dingtalk.authorize_access_token()
        response = dingtalk.get("/v1.0/contact/users/me")
        response.raise_for_status()
        session["user"] = response.json()
        return redirect("/")

    @app.get("/as-dingtalk-sees-me")
    def as_dingtalk_sees_me():
        response = dingtalk.get("/v1.0/contact/users/me")
        response.raise_for_status()
        return response.json()

    @app.post("/logout")
    def logout():
        session.clear()
        return redirect("/")

    return app


def sign_out(browser):
    browser.post("/logout", base_url="https://localhost")
