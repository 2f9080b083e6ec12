"""``flask dingtalk listen``: events by Stream mode, through DingTalk's own SDK."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import event_received
from flask_dingtalk.cli import dingtalk
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import SECRET_KEY, AppFactory, called

#: A site that logs everything that any library has to say.
SITE: Final = """
import logging

from flask import Flask
from flask_dingtalk import DingTalk

logging.basicConfig(level=logging.DEBUG)
app = Flask(__name__)
app.config.from_prefixed_env()
DingTalk(app)
"""
#: Seconds; far more than anything takes.
PATIENCE: Final = 180


@pytest.fixture
def settings(store_url: str, simulator: DingTalkSimulator) -> dict[str, Any]:
    """Return the settings of a site for members with a store."""
    return {**simulator.settings, "DINGTALK_STORE": store_url, "DINGTALK_MEMBERS_ONLY": True}


@pytest.fixture
def app(make_app: AppFactory, settings: dict[str, Any]) -> Flask:
    """Start a process of that site."""
    return make_app(**settings)


Listening = Callable[[Callable[[], None]], Result]


@pytest.fixture
def listening(app: Flask, simulator: DingTalkSimulator) -> Listening:
    """Run the command in this process while something happens, and end it by Ctrl-C."""

    def run(happens: Callable[[], None]) -> Result:
        failures: list[BaseException] = []

        def happen() -> None:
            try:
                assert simulator.gateway.wait_for_listeners(1, PATIENCE)
                happens()
            except BaseException as failure:
                failures.append(failure)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=happen)
        thread.start()
        try:
            result = app.test_cli_runner().invoke(args=["dingtalk", "listen"])
            thread.join()
        except KeyboardInterrupt as early:
            raise AssertionError("the command had ended by itself") from early
        assert not failures, failures
        return result

    return run


def signed_in_as(app: Flask, simulator: DingTalkSimulator, name: str) -> FlaskClient:
    """Sign somebody in, in a new browser."""
    browser = app.test_client()
    assert simulator.sign_in(browser, name, next="/report").location == "/report"
    return browser


def is_signed_in(browser: FlaskClient) -> bool:
    """Load a guarded page."""
    return browser.get("/report").status_code == 200


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    wait = threading.Event()
    for _ in range(PATIENCE * 10):
        if is_so():
            return
        wait.wait(0.1)
    raise AssertionError


# --- In this process -----------------------------------------------------------------------------


def test_who_leaves_is_signed_out(
    app: Flask, simulator: DingTalkSimulator, listening: Listening
) -> None:
    """The event comes by itself, and its answer is the right one."""
    browser, other = (signed_in_as(app, simulator, name) for name in ("li", "zhang"))

    def leave() -> None:
        simulator.leave("li")
        (delivery,) = simulator.deliveries
        assert delivery.wait(PATIENCE)
        assert not is_signed_in(browser)
        assert is_signed_in(other)
        assert simulator.gateway.ping()

    result = listening(leave)
    assert result.exit_code == 0
    assert "Listening" in result.output
    assert result.output.endswith("Stopped.\n")


def test_an_event_is_a_signal(
    app: Flask, simulator: DingTalkSimulator, listening: Listening
) -> None:
    """With the same fields as by HTTP; one that comes again is not sent again."""
    heard: list[Any] = []

    def note(sender: Flask, event: Any) -> None:
        heard.append(event)

    def change() -> None:
        delivery = simulator.push("user_modify_org", user="li")
        assert delivery.wait(PATIENCE)
        assert delivery.again().accepted

    with event_received.connected_to(note, app):
        listening(change)
    (event,) = heard
    ours = simulator.application.corp_id
    user_id = simulator.users["li"].memberships[ours].user_id
    assert (event.type, event.corp_id) == ("user_modify_org", ours)
    assert event.data["UserId"] == (user_id,)
    assert event.time is not None


def test_an_event_that_could_not_be_acted_on_comes_again(
    app: Flask, simulator: DingTalkSimulator, listening: Listening, redis_port: int
) -> None:
    """While the store refuses to write, the answer is LATER."""
    import redis

    browser = signed_in_as(app, simulator, "li")

    def leave() -> None:
        with redis.Redis(port=redis_port, db=1) as connection:
            # The check of everybody at the start is over.
            until(lambda: any(connection.hexists(name, "c") for name in _hashes(connection)))
            memory = connection.config_get("maxmemory")["maxmemory"]
            connection.config_set("maxmemory", 1)
            try:
                simulator.leave("li")
                (delivery,) = simulator.deliveries
                until(lambda: bool(delivery.attempts))
            finally:
                connection.config_set("maxmemory", memory)
        assert (delivery.attempts[0].status, delivery.arrived) == (200, False)
        while not delivery.arrived:
            simulator.advance(30)
            if delivery.wait(0.1) or len(delivery.attempts) == 3:
                break
        until(lambda: delivery.arrived or delivery.again().accepted)
        assert not is_signed_in(browser)

    listening(leave)


def _hashes(connection: Any) -> list[Any]:
    return [name for name in connection.scan_iter() if connection.type(name) == b"hash"]


def test_a_lost_connection_is_opened_again_and_everybody_checked(
    app: Flask, simulator: DingTalkSimulator, listening: Listening
) -> None:
    """What happened meanwhile is caught up with at the next guarded request."""
    browser = signed_in_as(app, simulator, "li")

    def cut_off() -> None:
        # The check of everybody at the start comes first.
        simulator.calls.clear()
        until(lambda: is_signed_in(browser) and "getbyunionid" in called(simulator))
        simulator.gateway.drop()
        assert simulator.gateway.wait_for_listeners(0, PATIENCE)
        simulator.leave("li")
        assert not simulator.deliveries
        assert simulator.gateway.wait_for_listeners(1, PATIENCE)
        until(lambda: not is_signed_in(browser))

    result = listening(cut_off)
    assert "Not listening: the connection was lost" in result.output


def test_everybody_is_checked_once_the_store_answers(
    app: Flask, simulator: DingTalkSimulator, listening: Listening, redis_port: int
) -> None:
    """Also if it did not when the listening began."""
    import redis

    browser = signed_in_as(app, simulator, "li")
    simulator.leave("li")
    with redis.Redis(port=redis_port, db=1) as connection:
        memory = connection.config_get("maxmemory")["maxmemory"]
        connection.config_set("maxmemory", 1)

        def go_on() -> None:
            connection.config_set("maxmemory", memory)
            until(lambda: not is_signed_in(browser))

        try:
            listening(go_on)
        finally:
            connection.config_set("maxmemory", memory)


def test_an_end_that_was_announced_leaves_no_gap(
    app: Flask, simulator: DingTalkSimulator, listening: Listening
) -> None:
    """The next connection is open before the old one is closed."""
    browser = signed_in_as(app, simulator, "li")

    def announce() -> None:
        simulator.gateway.disconnect("persistent connection is timeout")
        assert simulator.gateway.wait_for_listeners(1, PATIENCE)
        simulator.leave("li")
        (delivery,) = simulator.deliveries
        assert delivery.wait(PATIENCE)
        assert not is_signed_in(browser)

    result = listening(announce)
    assert "Not listening" not in result.output


def test_a_gateway_that_fails_is_asked_again(
    simulator: DingTalkSimulator, listening: Listening
) -> None:
    """With a line for whoever looks on."""
    simulator.fail("connections/open", status=500, times=3)
    result = listening(lambda: None)
    assert "Not listening: dingtalk_unavailable" in result.output


@pytest.mark.parametrize(
    "answer",
    [
        '{"endpoint":"ws://stream.example/connect","ticket":"t"}',
        '{"endpoint":"http://[","ticket":"t"}',
        '{"endpoint":"wss://stream.example/connect"}',
        "{}",
    ],
)
def test_a_ticket_goes_only_where_it_is_safe(
    answer: str, simulator: DingTalkSimulator, listening: Listening
) -> None:
    """Encrypted, or to this machine."""
    simulator.fail("connections/open", body=answer)
    result = listening(lambda: None)
    assert "no address to connect to" in result.output


def test_a_frame_that_cannot_be_read_does_no_harm(
    app: Flask, simulator: DingTalkSimulator, listening: Listening
) -> None:
    """The next event is heard."""
    browser = signed_in_as(app, simulator, "li")

    def leave() -> None:
        for frame in ("nonsense", "[]", '{"type":"EVENT","data":"{"}', '{"type":"EVENT"}'):
            simulator.gateway.tell(frame)
        simulator.leave("li")
        (delivery,) = simulator.deliveries
        assert delivery.wait(PATIENCE)
        assert not is_signed_in(browser)

    listening(leave)


def test_wrong_credentials_end_it(make_app: AppFactory, settings: dict[str, Any]) -> None:
    """With what to do about it; nothing is tried for ever."""
    app = make_app(**{**settings, "DINGTALK_CLIENT_SECRET": "wrong"})
    result = app.test_cli_runner().invoke(args=["dingtalk", "listen"])
    assert result.exit_code == 1
    assert "DINGTALK_CLIENT_SECRET" in result.output


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"DINGTALK_STORE": None}, "DINGTALK_STORE"),
        ({"DINGTALK_MEMBERS_ONLY": False}, "DINGTALK_EMPLOYEE_PROFILE"),
    ],
)
def test_what_a_site_lacks_is_named(
    missing: dict[str, Any], named: str, make_app: AppFactory, settings: dict[str, Any]
) -> None:
    """Before anything is tried."""
    app = make_app(**{**settings, **missing})
    result = app.test_cli_runner().invoke(args=["dingtalk", "listen"])
    assert result.exit_code == 1
    assert named in result.output


def test_a_site_without_the_extension_is_told() -> None:
    """The command is there wherever the package is installed."""
    result = Flask("bare").test_cli_runner().invoke(dingtalk, ["listen"])
    assert result.exit_code == 1
    assert "does not use Flask-DingTalk" in result.output


def test_a_missing_sdk_is_named(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.delitem(sys.modules, "flask_dingtalk.listen", raising=False)
    monkeypatch.setitem(sys.modules, "dingtalk_stream", None)
    result = app.test_cli_runner().invoke(args=["dingtalk", "listen"])
    assert result.exit_code == 1
    assert "pip install 'Flask-DingTalk[stream]'" in result.output


# --- As a process --------------------------------------------------------------------------------


@pytest.fixture
def process(
    tmp_path: Path, settings: dict[str, Any]
) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start the command as a process."""
    (tmp_path / "members.py").write_text(SITE, encoding="utf-8")
    environment = {
        f"FLASK_{name}": str(value).lower() if value is True else str(value)
        for name, value in settings.items()
    }
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "flask", "--app", str(tmp_path / "members.py")]
        started.append(
            subprocess.Popen(
                [*command, "dingtalk", "listen"],
                env={**os.environ, **environment, "FLASK_SECRET_KEY": SECRET_KEY},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_process_signs_leavers_out_and_ends_at_the_first_signal(
    ending: signal.Signals,
    process: Callable[[], subprocess.Popen[str]],
    app: Flask,
    simulator: DingTalkSimulator,
) -> None:
    """And writes no secret, however much is logged."""
    browser = signed_in_as(app, simulator, "li")
    listener = process()
    assert simulator.gateway.wait_for_listeners(1, PATIENCE)
    simulator.leave("li")
    (delivery,) = simulator.deliveries
    assert delivery.wait(PATIENCE)
    assert not is_signed_in(browser)
    listener.send_signal(ending)
    output, _ = listener.communicate(timeout=PATIENCE)
    assert listener.returncode == 0, output
    assert "Stopped." in output
    assert not [secret for secret in simulator.secrets if secret in output]


def test_a_process_ends_while_dingtalk_does_not_answer(
    process: Callable[[], subprocess.Popen[str]], simulator: DingTalkSimulator
) -> None:
    """Ctrl-C does not wait for a call."""
    simulator.fail("connections/open", timeout=True, times=None)
    listener = process()
    until(lambda: "connections/open" in called(simulator))
    listener.send_signal(signal.SIGINT)
    output, _ = listener.communicate(timeout=PATIENCE)
    assert listener.returncode == 0, output
