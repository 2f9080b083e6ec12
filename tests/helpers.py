"""Shared by several test modules: the site under test, the steps of a sign-in, common cases."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, jsonify, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from werkzeug.test import TestResponse

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

if TYPE_CHECKING:
    from flask_dingtalk.testing import DingTalkSimulator

    from .stub import StubDingTalk

SECRET_KEY = "the secret key of the site under test"
#: A shortened form of what the DingTalk client on a phone sends.
IN_CLIENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 AliApp(DingTalk/7.6.50)"

#: The DINGTALK_TIMEOUT of sites here, in seconds: forty people at once, on a busy machine.
PATIENT = 60
#: One that runs out soon.
IMPATIENT = 0.4

#: What the fixture `make_app` is: builds a site, settings by name.
AppFactory = Callable[..., Flask]
#: What the fixture `later` is: lets so many seconds pass.
Later = Callable[[float], None]

#: Values of a state that the site never issued.
NO_STATES = [
    pytest.param(None, id="missing"),
    pytest.param("", id="empty"),
    pytest.param("made-up", id="made up"),
    pytest.param("A" * 5000, id="long"),
    pytest.param("中文\x00\n", id="not even ASCII"),
    pytest.param("AQ==", id="short"),
]
#: What a browser sends along with a form of another origin.
FROM_ELSEWHERE = [
    pytest.param({"Sec-Fetch-Site": "cross-site"}, id="another site"),
    pytest.param({"Sec-Fetch-Site": "same-site"}, id="another origin of the same site"),
    pytest.param({"Origin": "https://evil.example"}, id="an old browser, another site"),
    pytest.param({"Origin": "http://localhost:8080"}, id="another port"),
    pytest.param({"Origin": "https://localhost"}, id="another scheme"),
    pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, id="a sandbox"),
]


def build_site(config: dict[str, Any]) -> Flask:
    """Build a small site with a view for each thing that tests look at."""
    app = Flask(__name__)
    app.config.update(config)
    dingtalk = DingTalk(app)

    @app.get("/")
    def home() -> str:
        return current_dingtalk_user.nick or "nobody"

    @app.get("/report")
    @login_required
    def report() -> str:
        return f"Report for {current_dingtalk_user.nick}"

    @app.get("/whoami")
    def whoami() -> ResponseReturnValue:
        user, token = current_dingtalk_user, dingtalk.token
        return jsonify(
            is_authenticated=user.is_authenticated,
            union_id=user.union_id,
            nick=user.nick,
            corp_id=user.corp_id,
            has_token=token is not None,
            expires_at=token.expires_at.isoformat() if token else None,
        )

    @app.get("/call")
    @login_required
    def call() -> ResponseReturnValue:
        return jsonify(dingtalk.get("/v1.0/contact/users/me").json())

    @app.get("/basket")
    def basket() -> ResponseReturnValue:
        return jsonify(session.get("basket"))

    @app.post("/basket")
    def fill_basket() -> ResponseReturnValue:
        session["basket"] = ["apples"]
        return "", 204

    return app


def start(client: FlaskClient, next: str | None = None) -> str:
    """Begin a sign-in and return its state."""
    query = {} if next is None else {"next": next}
    location = client.get("/dingtalk/login", query_string=query).headers["Location"]
    return query_of(location)["state"]


def query_of(location: str) -> dict[str, str]:
    """Return the query of an address, each parameter once."""
    query = parse_qs(urlsplit(location).query, strict_parsing=True, keep_blank_values=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


def load_at_once(app: Flask, client: FlaskClient, path: str, number: int) -> list[int]:
    """Load a page so many times at once, all with the session of one browser; return statuses."""
    cookie = client.get_cookie("session")
    assert cookie is not None

    def load(_: int) -> int:
        browser = app.test_client()
        browser.set_cookie("session", cookie.value)
        return browser.get(path).status_code

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(load, range(number)))


def copy_browser(client: FlaskClient, app: Flask | None = None) -> FlaskClient:
    """Open another browser with a copy of this one's session cookie: a tab, or a thief.

    ``app`` is another process of the same site, if that is to answer it.
    """
    copy = (app or client.application).test_client()
    cookie = client.get_cookie("session")
    # Without a cookie, another process would be asked about nobody.
    assert app is None or cookie is not None
    if cookie is not None:
        copy.set_cookie("session", cookie.value)
    return copy


def come_back(client: FlaskClient, state: str, code: str) -> Any:
    """Load the callback, as a browser does when DingTalk redirects it."""
    return client.get(
        "/dingtalk/callback", query_string={"code": code, "authCode": code, "state": state}
    )


def sign_in(
    client: FlaskClient,
    simulator: DingTalkSimulator,
    user: str = "zhang",
    *,
    next: str | None = None,
) -> Any:
    """Sign somebody in past all pages, which take half of the time; return the callback's answer.

    ``simulator.sign_in`` is the whole way.
    """
    query = {"via": "redirect"} if next is None else {"via": "redirect", "next": next}
    login = client.get("/dingtalk/login", query_string=query)
    state = query_of(login.headers["Location"])["state"]
    return come_back(client, state, simulator.authorization_code(user))


def patience_for(failure: dict[str, Any]) -> float:
    """Return a DINGTALK_TIMEOUT that is short only where the failure makes it run out.

    What has to succeed on such a site goes through `in_time`.
    """
    return IMPATIENT if "timeout" in failure else PATIENT


def in_time(load: Callable[[], TestResponse]) -> TestResponse:
    """Load a page of an impatient site; again if the machine was too busy to answer it in time."""
    for _ in range(50):
        response = load()
        if response.status_code != 504:
            break
    return response


def site_on(stub: StubDingTalk, **settings: Any) -> Flask:
    """Build a site that talks to the stub; settings by name."""
    patient = {"SECRET_KEY": "k", "TESTING": True, "DINGTALK_TIMEOUT": PATIENT}
    return build_site(stub.settings | patient | settings)


def sign_in_with(client: FlaskClient, code: str = "c0de") -> Any:
    """Begin a sign-in and come back from DingTalk with a code."""
    return come_back(client, start(client), code)


def free_port() -> int:
    """Return a port that nobody uses, nor the one 10,000 above it, which a Redis Cluster needs.

    Both are outside the range from which systems take ports for connections, so that no connection
    takes them before the server does.
    """
    while True:
        port = 10_000 + secrets.randbelow(10_000)
        with socket.socket() as first, socket.socket() as second, suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 10_000))
            return port


def endpoints(simulator: DingTalkSimulator) -> list[str]:
    """Return the names of the called endpoints, in order."""
    return [call.endpoint for call in simulator.calls]


def called(simulator: DingTalkSimulator) -> list[str]:
    """Return the names of the called endpoints in order, with a refresh under its grant type."""
    return [call.grant_type or call.endpoint for call in simulator.calls]
