"""The site of this comparison with Flask and requests alone, as short as it can be correct."""
# ruff: noqa: D103
# mypy: ignore-errors

import secrets
import time
from urllib.parse import urlencode

import requests
from flask import Flask, abort, redirect, request, session, url_for

DISTRIBUTION = "requests"
LOGIN, CALLBACK = "/login", "/callback"


def build(dingtalk_settings):
    app = Flask(__name__)
    app.secret_key = "the key of a trial"
    api = dingtalk_settings["DINGTALK_API_BASE_URL"]

    # --- For DingTalk ----------------------------------------------------------------------------
    def fetch_token(**content):
        content["clientId"] = dingtalk_settings["DINGTALK_CLIENT_ID"]
        content["clientSecret"] = dingtalk_settings["DINGTALK_CLIENT_SECRET"]
        response = requests.post(f"{api}/v1.0/oauth2/userAccessToken", json=content, timeout=10)
        response.raise_for_status()
        session["token"] = response.json()
        session["expires_at"] = time.time() + session["token"]["expireIn"]

    def get(path):
        if session["expires_at"] < time.time():
            fetch_token(grantType="refresh_token", refreshToken=session["token"]["refreshToken"])
        header = {"x-acs-dingtalk-access-token": session["token"]["accessToken"]}
        response = requests.get(f"{api}{path}", headers=header, timeout=10)
        response.raise_for_status()
        return response.json()

    @app.get("/login")
    def login():
        session["state"] = secrets.token_urlsafe()
        query = {
            "client_id": dingtalk_settings["DINGTALK_CLIENT_ID"],
            "redirect_uri": url_for("callback", _external=True),
            "response_type": "code",
            "scope": "openid",
            "state": session["state"],
            "prompt": "consent",
        }
        return redirect(f"{dingtalk_settings['DINGTALK_AUTHORIZE_URL']}?{urlencode(query)}")

    @app.get("/callback")
    def callback():
        state = session.pop("state", None)
        if not state or not secrets.compare_digest(state, request.args.get("state", "")):
            abort(400)
        if "authCode" not in request.args:
            abort(403)
        fetch_token(grantType="authorization_code", code=request.args["authCode"])
        session["user"] = get("/v1.0/contact/users/me")
        return redirect("/")

    # --- Until here ------------------------------------------------------------------------------

    @app.get("/")
    def index():
        if "user" not in session:
            return redirect(url_for("login"))
        return f"Hello, {session['user']['nick']}"

    @app.get("/as-dingtalk-sees-me")
    def as_dingtalk_sees_me():
        return get("/v1.0/contact/users/me")

    @app.post("/logout")
    def logout():
        session.clear()
        return redirect("/")

    return app


def sign_out(browser):
    browser.post("/logout", base_url="https://localhost")
