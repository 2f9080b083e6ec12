"""The fixtures that all tests share, and the check for secrets in the log.

Fixtures import the heavy libraries that they need, so that a single test file starts quickly.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import flask_dingtalk

from .helpers import PATIENT, SECRET_KEY, AppFactory, Later, build_site, free_port, sign_in

if TYPE_CHECKING:
    import redis

    from flask_dingtalk.testing import DingTalkSimulator

    from .stub import StubDingTalk

pytest_plugins = ["flask_dingtalk.testing.fixtures", "tests.chromium"]


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start.

    A shell has what it runs in the background ignore Ctrl-C, and each process passes that on.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: there is always one that waits for something."""
    may_use = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    return len(may_use(0)) + 1


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a browser or Redis by the fixtures that they use."""
    for item in items:
        assert isinstance(item, pytest.Function)
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
        if "redis_port" in item.fixturenames or _session_settings_of(item) in ("redis", "store"):
            item.add_marker(pytest.mark.redis)


def _session_settings_of(item: Any) -> object:
    """Return the variant of `session_settings` that a test runs with, if it does."""
    return item.callspec.params.get("session_settings") if hasattr(item, "callspec") else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the run two things that take time.

    The garbage collector comes less often: it mostly meets modules and tests, which stay.
    It is not told to leave them alone (`gc.freeze`), since Hypothesis asks it who refers to what.
    Hypothesis's plugin is unloaded if no test uses it: its summary takes a second.
    """
    gc.set_threshold(100_000, 20, 100)
    plugin = session.config.pluginmanager.get_plugin("hypothesispytest")
    if plugin is not None and "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(plugin)


@pytest.fixture(scope="session", autouse=True)
def subprocesses_import_the_same_package() -> Iterator[None]:
    """Make subprocesses import the same package as the tests, whatever their directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", str(Path(flask_dingtalk.__file__).parents[1]), prepend=os.pathsep
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def sites_compile_once() -> Iterator[None]:
    """Share compiled URL rules and templates between the sites that tests build."""
    from .compiled import CompiledRule, CompiledTemplates

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_rule_class", CompiledRule)
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": CompiledTemplates()})
        yield


@pytest.fixture
def simulator() -> Iterator[DingTalkSimulator]:
    """Run a separate simulator for each test."""
    from flask_dingtalk.testing import DingTalkSimulator

    with DingTalkSimulator() as running:
        yield running


@pytest.fixture
def stub() -> Iterator[StubDingTalk]:
    """Run a DingTalk whose answers the test chooses."""
    from .stub import StubDingTalk

    with StubDingTalk() as running:
        yield running


@pytest.fixture(scope="module")
def lasting_stub() -> Iterator[StubDingTalk]:
    """Run one such DingTalk for all the examples in a module."""
    from .stub import StubDingTalk

    with StubDingTalk() as running:
        yield running


@pytest.fixture
def make_app(simulator: DingTalkSimulator, request: pytest.FixtureRequest) -> AppFactory:
    """Build a site with a few views, registered with the simulator; settings by name."""
    usual: dict[str, Any] = {
        "SECRET_KEY": SECRET_KEY,
        "TESTING": True,
        "DINGTALK_TIMEOUT": PATIENT,
    }
    if _session_settings_of(request.node) == "store":
        usual["DINGTALK_STORE"] = request.getfixturevalue("store_url")

    def make(**settings: Any) -> Flask:
        config = {**usual, **simulator.settings, **settings}
        return build_site({name: value for name, value in config.items() if value is not ...})

    return make


@pytest.fixture
def app(make_app: AppFactory) -> Flask:
    """Build a site with default settings."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a test client of the site with default settings."""
    return app.test_client()


@pytest.fixture
def member(client: FlaskClient, simulator: DingTalkSimulator) -> FlaskClient:
    """Return a test client in which somebody is signed in, without the calls for that."""
    sign_in(client, simulator)
    simulator.calls.clear()
    return client


@pytest.fixture
def later() -> Iterator[Later]:
    """Let time pass for the site, and only so; the simulator adds its own clock to that."""
    import time_machine

    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        yield lambda seconds: clock.shift(seconds)


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Fail any test in which a secret reaches the log, at any level and from any library."""
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
    """Run a Redis for the tests of the store and of server-side sessions."""
    server = shutil.which("redis-server")
    assert server, "install Debian's redis-server; `make test` does"
    directory = tmp_path_factory.mktemp("redis")
    port = free_port()
    command = [server, "--port", str(port), "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            assert _is_ready(process, port)
            yield port
        finally:
            process.terminate()


@pytest.fixture
def store_url(redis_port: int) -> str:
    """Return the address of an empty store."""
    import redis

    with redis.Redis(port=redis_port, db=1) as connection:
        connection.flushdb()
    return f"redis://127.0.0.1:{redis_port}/1"


@pytest.fixture
def content(redis_port: int) -> redis.Redis:
    """Look into the store."""
    import redis

    return redis.Redis(port=redis_port, db=1, decode_responses=True)


@pytest.fixture(params=["cookie", "files", "redis", "store"])
def session_settings(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[Flask], Flask]]:
    """Install each session interface in turn on an app.

    With "store", `make_app` gives the app a store, beside Flask's own sessions.
    """
    if request.param in ("cookie", "store"):
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
        import redis

        connection = redis.Redis(port=request.getfixturevalue("redis_port"))
        store = {"SESSION_TYPE": "redis", "SESSION_REDIS": connection}

    def install(app: Flask) -> Flask:
        app.config.update(store)
        Session(app)
        return app

    yield install
    if connection is not None:
        connection.close()


def _is_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a Redis answers; return whether it does, and not somebody else."""
    import redis

    give_up = time.monotonic() + 60
    with redis.Redis(port=port) as connection:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                return bool(connection.info("server")["process_id"] == process.pid)
            except redis.RedisError:
                time.sleep(0.02)
    return False
