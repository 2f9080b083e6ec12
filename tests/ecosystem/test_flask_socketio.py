"""Beside Flask-SocketIO: who may connect, and what an event knows of the sign-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_socketio import Namespace, SocketIO, SocketIOTestClient

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required
from flask_dingtalk.testing import DingTalkSimulator

from ..helpers import AppFactory
from .served import serving
from .walk import OverHttp, sign_in


@pytest.fixture
def site(make_app: AppFactory) -> Flask:
    """Build a site with events in each form that Flask-SocketIO knows."""
    app = make_app()
    socketio = SocketIO(app, async_mode="threading")
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @socketio.on("connect", namespace="/guarded")
    @login_required
    def connect() -> None:
        """Let them in."""

    @socketio.on("connect", namespace="/of li")
    @login_required(check=lambda user: user.nick == "李四")
    def connect_li(auth: Any) -> None:
        """Let one person in."""

    @socketio.on("say", namespace="/of li")
    def say_li() -> str:
        return "said"

    class Rooms(Namespace):
        @login_required
        def on_connect(self, auth: Any) -> None:
            """Let them in."""

    socketio.on_namespace(Rooms("/class"))

    @socketio.on("connect", namespace="/open")
    def connect_all() -> None:
        """Let everybody in."""

    @socketio.on("guarded", namespace="/open")
    @login_required
    def guarded(text: str) -> str:
        return f"{current_dingtalk_user.nick}: {text}"

    @socketio.on("of li", namespace="/open")
    @login_required(check=lambda user: user.nick == "李四")
    def of_li() -> str:
        return "for 李四"

    @socketio.on("who", namespace="/open")
    def who() -> str:
        return current_dingtalk_user.nick or "nobody"

    @socketio.on("refusal", namespace="/open")
    def refusal() -> bool:
        return dingtalk.refusal() is None

    @socketio.on("call", namespace="/open")
    def call() -> str:
        return str(dingtalk.get("/v1.0/contact/users/me").json()["nick"])

    return app


def connect(browser: FlaskClient, namespace: str) -> SocketIOTestClient:
    """Open a connection with the session of a browser."""
    app = browser.application
    socketio: SocketIO = app.extensions["socketio"]
    return socketio.test_client(app, namespace=namespace, flask_test_client=browser)


def say(client: SocketIOTestClient, *message: str) -> Any:
    """Send an event and return what its handler answers."""
    return client.emit(*message, namespace="/open", callback=True)


@pytest.fixture
def zhang(site: Flask, simulator: DingTalkSimulator) -> FlaskClient:
    """Return a browser in which somebody is signed in."""
    browser = site.test_client()
    simulator.sign_in(browser, "zhang")
    return browser


@pytest.mark.parametrize("namespace", ["/guarded", "/class", "/of li"])
def test_nobody_connects_without_a_sign_in(site: Flask, namespace: str) -> None:
    """The guard refuses the connection."""
    assert not connect(site.test_client(), namespace).is_connected(namespace)


@pytest.mark.parametrize("namespace", ["/guarded", "/class"])
def test_who_is_signed_in_connects(zhang: FlaskClient, namespace: str) -> None:
    """However the handler is written."""
    assert connect(zhang, namespace).is_connected(namespace)


def test_who_may_not_is_not_connected(zhang: FlaskClient) -> None:
    """And no event of theirs is handled."""
    assert not connect(zhang, "/of li").is_connected("/of li")


def test_an_event_answers_what_a_script_is_told(site: Flask, zhang: FlaskClient) -> None:
    """Its callback gets the JSON of the same refusal."""
    stranger = connect(site.test_client(), "/open")
    refused = {"error": "login_required", "login_url": "/dingtalk/login"}
    assert say(stranger, "guarded", "hello") == refused
    signed_in = connect(zhang, "/open")
    assert say(signed_in, "guarded", "hello") == "张三: hello"
    assert say(signed_in, "of li")["error"] == "not_permitted"


@pytest.mark.parametrize("event", ["who", "refusal", "guarded"])
def test_an_event_knows_of_a_sign_out_since(zhang: FlaskClient, event: str) -> None:
    """The session of a connection is a copy of the one that it began with."""
    connection = connect(zhang, "/open")
    arguments = ["x"] if event == "guarded" else []
    assert say(connection, event, *arguments) in ("张三", True, "张三: x")
    zhang.post("/dingtalk/logout")
    answer = say(connection, event, *arguments)
    assert answer in ("nobody", False) or answer["error"] == "login_required"


def test_an_event_calls_dingtalk(zhang: FlaskClient) -> None:
    """With the tokens of the person who is connected."""
    assert say(connect(zhang, "/open"), "call") == "张三"


def poll(browser: OverHttp) -> str:
    """Connect as Socket.IO's client does without a websocket; return what the server sends."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = json.loads(browser.get(path).text[1:])
    path += f"&sid={opened['sid']}"
    assert browser.send(path, "40").status == 200
    return browser.get(path).text


def test_under_a_server_the_guard_refuses_a_connection_as_well(
    simulator: DingTalkSimulator, tmp_path: Path
) -> None:
    """With the site of the page. In Socket.IO's protocol, 40 is a connection, 44 a refusal."""
    command = "gunicorn with_flask_socketio:app --worker-class gthread --threads 8"
    with serving(command, simulator.settings, tmp_path) as served:
        browser = OverHttp(served.address)
        assert poll(browser).startswith("44")
        sign_in(browser, simulator)
        answer = poll(browser)
    assert "40{" in answer
    assert '42["welcome","张三"]' in answer
