"""The fixtures that all tests share, and the guards that watch all of them."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from flask import Flask, jsonify, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required
from flask_dingtalk.testing import DingTalkSimulator

pytest_plugins = ["flask_dingtalk.testing.fixtures", "tests.windows"]

SECRET_KEY = "the secret key of the site under test"

AppFactory = Callable[..., Flask]

#: What may come as a state and is none that was ever given out.
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
    pytest.param({"Origin": "null"}, id="a sandbox"),
]


@pytest.fixture
def simulator() -> Iterator[DingTalkSimulator]:
    """Run a DingTalk of its own for each test."""
    with DingTalkSimulator() as running:
        yield running


@pytest.fixture
def make_app(simulator: DingTalkSimulator) -> AppFactory:
    """Build a site with a few views, registered with the simulator; settings by name."""

    def make(**settings: Any) -> Flask:
        config = {"SECRET_KEY": SECRET_KEY, "TESTING": True, **simulator.settings, **settings}
        return build_site({name: value for name, value in config.items() if value is not ...})

    return make


@pytest.fixture
def app(make_app: AppFactory) -> Flask:
    """Build a site with default settings."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Open a browser, so to speak, on the site with default settings."""
    return app.test_client()


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Fail any test in which a secret reaches the log, at any level and of any library."""
    caplog.set_level(logging.DEBUG)
    running = None
    if "simulator" in request.fixturenames:
        running = request.getfixturevalue("simulator")
    yield
    secrets = {SECRET_KEY, *(running.secrets if running else ())}
    for record in caplog.get_records("call"):
        text = record.getMessage() + (record.exc_text or "")
        assert not [secret for secret in secrets if secret in text], record.name


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run a Redis for the tests of server-side sessions."""
    server = shutil.which("redis-server")
    assert server, "install Debian's redis-server; `make test` does"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    directory = tmp_path_factory.mktemp("redis")
    command = [server, "--port", str(port), "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for_redis(port)
            yield port
        finally:
            process.terminate()


@pytest.fixture(params=["cookie", "files", "redis"])
def session_settings(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[Flask], Flask]]:
    """Install each session interface in turn on an app."""
    if request.param == "cookie":
        yield lambda app: app
        return

    from flask_session import Session

    if request.param == "files":
        from cachelib import FileSystemCache

        store: dict[str, Any] = {
            "SESSION_TYPE": "cachelib",
            "SESSION_CACHELIB": FileSystemCache(str(tmp_path), threshold=0),
        }
        connection = None
    else:
        connection = redis.Redis(port=request.getfixturevalue("redis_port"))
        store = {"SESSION_TYPE": "redis", "SESSION_REDIS": connection}

    def install(app: Flask) -> Flask:
        app.config.update(store)
        Session(app)
        return app

    yield install
    if connection is not None:
        connection.close()


def build_site(config: dict[str, Any]) -> Flask:
    """Build a small site with one view for each thing that tests ask about."""
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


def come_back(client: FlaskClient, state: str, code: str) -> Any:
    """Load the callback as DingTalk would have the browser do."""
    return client.get(
        "/dingtalk/callback", query_string={"code": code, "authCode": code, "state": state}
    )


def _wait_for_redis(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
