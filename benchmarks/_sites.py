"""The sites that ``sign_in.py`` compares, and those of ``rush.py`` and ``leavers.py``.

The environment says where DingTalk is.

What a factory needs is imported in it: one must not pay for the other.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any, Final
from urllib.parse import parse_qsl

from _browsers import CLOCK
from _shared import PATH, SECRET_KEY, settings
from flask import Flask, redirect, session, url_for
from flask.typing import ResponseReturnValue

#: The variable that holds the base address of DingTalk's API.
API: Final = "BENCHMARK_API"
#: The variable that holds the address of a store, where there is one.
STORE: Final = "BENCHMARK_STORE"
#: The variable that holds all settings of the site of ``leavers.py``, in JSON.
SETTINGS: Final = "BENCHMARK_SETTINGS"
#: The variable that says for how many seconds that site is busy with each event.
RECEIVER: Final = "BENCHMARK_RECEIVER"


def flask_dingtalk() -> Flask:
    """Return a site that uses this extension."""
    from flask_dingtalk import DingTalk

    app = Flask("flask_dingtalk_site")
    app.config.update(settings(), DINGTALK_API_BASE_URL=os.environ[API])
    app.config["DINGTALK_LOGIN_REDIRECT"] = PATH
    DingTalk(app)
    return _with_clock(app)


def leavers() -> Flask:
    """Return the site of ``leavers.py``: its guarded page says which process it comes from."""
    from flask_dingtalk import DingTalk, event_received, login_required

    app = Flask("leavers")
    app.config.update(json.loads(os.environ[SETTINGS]))
    DingTalk(app)
    if seconds := float(os.environ[RECEIVER]):
        # The signal holds it weakly otherwise.
        event_received.connect(lambda _, event: time.sleep(seconds), app, weak=False)
    app.add_url_rule("/", view_func=login_required(lambda: str(os.getpid())))
    return app


def authlib() -> Flask:
    """Return a site with Authlib's usual recipe, bent to DingTalk's names and JSON bodies."""
    from authlib.integrations.flask_client import OAuth

    app = Flask("authlib_site")
    app.secret_key = SECRET_KEY
    config = settings()
    api = os.environ[API]
    dingtalk = OAuth(app).register(
        "dingtalk",
        client_id=config["DINGTALK_CLIENT_ID"],
        client_secret=config["DINGTALK_CLIENT_SECRET"],
        authorize_url="https://login.dingtalk.com/oauth2/auth",
        access_token_url=f"{api}/v1.0/oauth2/userAccessToken",
        client_kwargs={"scope": "openid", "token_endpoint_auth_method": _json_body},
        authorize_params={"prompt": "consent"},
        compliance_fix=_rename_token,
        api_base_url=api,
    )

    @app.get("/dingtalk/login")
    def login() -> Any:
        return dingtalk.authorize_redirect(url_for("callback", _external=True))

    @app.get("/dingtalk/callback")
    def callback() -> ResponseReturnValue:
        token = dingtalk.authorize_access_token()
        header = {"x-acs-dingtalk-access-token": token["access_token"]}
        profile = dingtalk.get("/v1.0/contact/users/me", headers=header, token=token)
        session["user"] = profile.json()
        session["token"] = token
        return redirect(PATH)

    return _with_clock(app)


def names() -> Flask:
    """Return a site that uses this extension, and whose one page is the visitor's name."""
    from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

    app = Flask("names_site")
    app.config.update(settings(), DINGTALK_API_BASE_URL=os.environ[API])
    app.config["DINGTALK_MEMBERS_ONLY"] = False
    if STORE in os.environ:
        app.config["DINGTALK_STORE"] = os.environ[STORE]
    # Each sign-in that fails is a warning: what the benchmark counts, it need not print.
    logging.getLogger("flask_dingtalk").setLevel("ERROR")
    DingTalk(app)

    @app.get(PATH)
    @login_required
    def name() -> str:
        return current_dingtalk_user.nick or ""

    return app


def _with_clock(app: Flask) -> Flask:
    """Add the page that tells what the site's process has cost so far."""
    app.add_url_rule(CLOCK, view_func=lambda: str(time.process_time()), endpoint="clock")
    return app


def _json_body(
    client: Any, method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    content = {
        "clientId": client.client_id,
        "clientSecret": client.client_secret,
        "code": dict(parse_qsl(body))["code"],
        "grantType": "authorization_code",
    }
    headers["Content-Type"] = "application/json"
    return uri, headers, json.dumps(content)


def _rename_token(client: Any) -> None:
    def standard(response: Any) -> Any:
        sent = response.json()
        response._content = json.dumps(
            {
                "access_token": sent["accessToken"],
                "refresh_token": sent["refreshToken"],
                "expires_in": sent["expireIn"],
                "token_type": "Bearer",
            }
        ).encode()
        return response

    client.register_compliance_hook("access_token_response", standard)
