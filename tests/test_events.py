"""Leavers at once: what DingTalk's events do to the people who are signed in."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import ConfigurationError, DingTalk, event_received, login_required
from flask_dingtalk.api.event_push import EventCipher
from flask_dingtalk.testing import DingTalkSimulator
from flask_dingtalk.testing.events import Delivery

from .helpers import AppFactory, called
from .redis_servers import until
from .server import serving

EVENTS: Final = "/dingtalk/events"
CHECKED: Final = [
    "user_modify_org",
    "user_add_org",
    "user_active_org",
    "org_admin_add",
    "org_admin_remove",
    "label_user_change",
]
GROUPS: Final = [
    "org_dept_create",
    "org_dept_modify",
    "org_dept_remove",
    "label_conf_add",
    "label_conf_modify",
    "label_conf_del",
    "inner_app_scopes_change",
]


@pytest.fixture
def process(
    make_app: AppFactory, store_url: str, simulator: DingTalkSimulator
) -> Callable[..., Flask]:
    """Start a process of a site for members that gets events; settings by name."""

    def start(**settings: Any) -> Flask:
        defaults = {"DINGTALK_STORE": store_url, "DINGTALK_MEMBERS_ONLY": True}
        return make_app(**{**defaults, **simulator.event_settings, **settings})

    return start


@pytest.fixture
def app(process: Callable[..., Flask]) -> Flask:
    """Start one such process."""
    return process()


@pytest.fixture
def dingtalk(app: Flask) -> FlaskClient:
    """Return the client with which DingTalk pushes events."""
    return app.test_client()


@pytest.fixture
def heard(app: Flask) -> Iterator[list[Any]]:
    """Listen to the signal."""
    events: list[Any] = []

    def listen(sender: Flask, event: Any) -> None:
        assert sender is app
        events.append(event)

    with event_received.connected_to(listen, app):
        yield events


def signed_in_as(app: Flask, simulator: DingTalkSimulator, name: str) -> FlaskClient:
    """Sign somebody in, in a new browser."""
    browser = app.test_client()
    assert simulator.sign_in(browser, name, next="/report").location == "/report"
    simulator.calls.clear()
    return browser


def is_signed_in(browser: FlaskClient) -> bool:
    """Load a guarded page."""
    return browser.get("/report").status_code == 200


def sent_by_hand(
    simulator: DingTalkSimulator, dingtalk: FlaskClient, message: bytes, **changes: Any
) -> Any:
    """Push a message with a right signature, or with one thing changed."""
    application = simulator.application
    owner = changes.get("owner", application.client_id)
    cipher = EventCipher(application.event_token, application.event_aes_key, owner)
    encrypted = cipher.encrypt(message)
    timestamp = str(int((time.time() + changes.get("ago", 0)) * 1000))
    signature = changes.get("signature", cipher.sign(timestamp, "n", encrypted))
    return dingtalk.post(
        EVENTS,
        query_string={"signature": signature, "timestamp": timestamp, "nonce": "n"},
        data=changes.get("body", json.dumps({"encrypt": encrypted})),
    )


# --- Who leaves ----------------------------------------------------------------------------------


def test_who_leaves_is_signed_out_everywhere(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """In every browser and every process; nobody else is."""
    here, there = process(), process()
    browsers = [signed_in_as(each, simulator, "li") for each in (here, there)]
    other = signed_in_as(here, simulator, "zhang")
    simulator.leave("li")
    assert simulator.push("user_leave_org", user="li", client=there.test_client()).arrived
    assert not any(is_signed_in(browser) for browser in browsers)
    assert is_signed_in(other)
    assert called(simulator) == []


def test_the_newer_spelling_does_the_same(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As DingTalk's pages show the bodies today."""
    simulator.application.new_event_bodies = True
    browser = signed_in_as(app, simulator, "li")
    simulator.push("user_leave_org", user="li", client=dingtalk)
    assert not is_signed_in(browser)


def test_several_people_leave_with_one_event(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """All of whom it names."""
    browsers = [signed_in_as(app, simulator, name) for name in ("zhang", "li")]
    simulator.push("user_leave_org", user=["zhang", "li"], client=dingtalk)
    assert not any(is_signed_in(browser) for browser in browsers)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("org_remove", {}),
        ("inner_app_status_change", {"status": "disable"}),
        ("inner_app_status_change", {"status": "delete"}),
    ],
)
def test_with_the_organisation_or_the_application_everybody_leaves(
    event: str,
    data: dict[str, str],
    app: Flask,
    dingtalk: FlaskClient,
    simulator: DingTalkSimulator,
) -> None:
    """Nobody can be a member of it any more."""
    browsers = [signed_in_as(app, simulator, name) for name in ("zhang", "li")]
    simulator.push(event, data=data, client=dingtalk)
    assert not any(is_signed_in(browser) for browser in browsers)


def test_an_application_that_is_switched_on_ends_nothing(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The same event tells of that."""
    browser = signed_in_as(app, simulator, "li")
    simulator.push("inner_app_status_change", data={"status": "enable"}, client=dingtalk)
    assert is_signed_in(browser)
    assert called(simulator) == []


def test_where_anybody_may_sign_in_a_leaver_is_checked(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """And stays, without a record."""
    app = process(DINGTALK_MEMBERS_ONLY=False, DINGTALK_EMPLOYEE_PROFILE=True)
    browser = signed_in_as(app, simulator, "li")
    simulator.leave("li")
    simulator.push("user_leave_org", user="li", client=app.test_client())
    assert is_signed_in(browser)
    assert "getbyunionid" in called(simulator)


def test_a_leaver_who_signs_in_meanwhile_is_refused(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The event comes after DingTalk vouched for them, and before there is a sign-in to end."""
    extension = app.extensions["dingtalk"]

    def leave(user: Any, token: Any) -> None:
        # DingTalk was asked about the membership before this hook.
        simulator.leave("li")
        assert simulator.push("user_leave_org", user="li", client=app.test_client()).arrived

    extension.on_login(leave)
    browser = app.test_client()
    assert simulator.sign_in(browser, "li", next="/report").status_code == 403
    assert not is_signed_in(browser)


def test_a_leaver_is_asked_about_again_if_dingtalk_still_knows_them(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Its events may be faster than its directory: the first guarded request asks once more."""

    def leave(user: Any, token: Any) -> None:
        assert simulator.push("user_leave_org", user="li", client=app.test_client()).arrived

    app.extensions["dingtalk"].on_login(leave)
    browser = signed_in_as(app, simulator, "li")
    simulator.leave("li")
    assert not is_signed_in(browser)


def test_a_change_of_somebody_who_signs_in_meanwhile_is_not_lost(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Their first guarded request checks."""

    def change(user: Any, token: Any) -> None:
        assert simulator.push("user_modify_org", user="li", client=app.test_client()).arrived

    app.extensions["dingtalk"].on_login(change)
    browser = signed_in_as(app, simulator, "li")
    assert is_signed_in(browser)
    assert "getbyunionid" in called(simulator)


# --- Who is checked ------------------------------------------------------------------------------


@pytest.mark.parametrize("event", CHECKED)
def test_who_was_changed_is_checked_at_the_next_request(
    event: str, app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Once, and nobody else, though no regular check is set."""
    browser, other = (signed_in_as(app, simulator, name) for name in ("li", "zhang"))
    assert simulator.push(event, user="li", client=dingtalk).arrived
    assert is_signed_in(other)
    assert called(simulator) == []
    assert is_signed_in(browser)
    assert called(simulator).count("getbyunionid") == 1
    simulator.calls.clear()
    assert is_signed_in(browser)
    assert called(simulator) == []


@pytest.mark.parametrize("event", GROUPS)
def test_an_event_of_departments_or_roles_has_everybody_checked(
    event: str, app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It does not say whom it concerns."""
    browsers = [signed_in_as(app, simulator, name) for name in ("zhang", "li")]
    simulator.calls.clear()
    simulator.push(event, data={"deptId": [2]}, client=dingtalk)
    assert all(is_signed_in(browser) for browser in browsers)
    assert called(simulator).count("getbyunionid") == 2


def test_an_event_that_names_nobody_has_everybody_checked(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Rather than nobody."""
    browser = signed_in_as(app, simulator, "li")
    simulator.leave("li")
    simulator.push("user_leave_org", data={"userId": {"?": "!"}}, client=dingtalk)
    assert not is_signed_in(browser)


def test_a_crowd_of_events_has_everybody_checked_once_for_all_of_them(
    process: Callable[..., Flask], simulator: DingTalkSimulator, redis_port: int
) -> None:
    """Each of them would go through all sign-ins otherwise, and keep the leavers waiting."""
    apps = [process(), process()]
    browsers = [signed_in_as(apps[0], simulator, "li") for _ in range(3)]

    def push(number: int) -> Delivery:
        client = apps[number % 2].test_client()
        return simulator.push("org_dept_modify", data={"deptId": [number]}, client=client)

    def scans(content: redis.Redis) -> int:
        number: int = content.info("commandstats")["cmdstat_zscan"]["calls"]
        content.config_resetstat()
        return number

    with redis.Redis(port=redis_port, db=1, decode_responses=True) as content:
        content.config_resetstat()
        assert push(0).arrived
        alone = scans(content)
        (marking,) = content.keys("*:everybody:marking")
        # Another process is at it for something that came before.
        content.hset(marking, mapping={"owner": "other", "ends": round(time.time() * 1000 + 1e9)})
        with ThreadPoolExecutor(6) as pool:
            pushes = [pool.submit(push, number) for number in range(1, 7)]
            until(lambda: content.hget(marking, "asked") == "7", "the arrival of all")
            content.hdel(marking, "owner")
            deliveries = [each.result() for each in pushes]
        assert scans(content) < 6 * alone
    # On a machine that is slow enough, one of them may have to come again.
    assert all(each.arrived or each.again().accepted for each in deliveries)
    simulator.calls.clear()
    assert all(is_signed_in(browser) for browser in browsers)
    assert called(simulator).count("getbyunionid") == 3


def test_an_event_is_not_lost_with_a_process_that_was_killed_while_it_marked_everybody(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator, redis_port: int
) -> None:
    """While that process may be at it still, DingTalk is asked to send the event again."""
    browser = signed_in_as(app, simulator, "li")
    assert simulator.push("org_dept_modify", client=dingtalk).arrived
    with redis.Redis(port=redis_port, db=1) as content:
        (marking,) = content.keys("*:everybody:marking")
        # As the killed process left it.
        content.hset(marking, mapping={"owner": "killed", "ends": round(time.time() * 1000 + 1e9)})
        delivery = simulator.push("org_dept_modify", client=dingtalk)
        assert [each.status for each in delivery.attempts] == [503]
        content.hset(marking, "ends", round(time.time() * 1000) - 1)
        assert is_signed_in(browser)
        simulator.calls.clear()
        assert delivery.again().accepted
    assert is_signed_in(browser)
    assert called(simulator).count("getbyunionid") == 1


def test_a_change_shows_at_the_next_request(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """The record is fetched anew; nothing that the event says is applied."""
    from flask_dingtalk import current_dingtalk_user

    app = process(DINGTALK_EMPLOYEE_PROFILE=True)

    @app.get("/title")
    @login_required
    def title() -> str:
        assert current_dingtalk_user.employee is not None
        return current_dingtalk_user.employee.title or ""

    browser = signed_in_as(app, simulator, "li")
    simulator.change("li", title="总监")
    data = {"diffInfo": [{"curr": {"title": "骗子"}}]}
    simulator.push("user_modify_org", user="li", data=data, client=app.test_client())
    assert browser.get("/title").text == "总监"


def test_the_grace_counts_from_the_event(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """While DingTalk gives no answer; with none, nobody stays."""
    app = process(DINGTALK_REVALIDATE_GRACE=0)
    browser = signed_in_as(app, simulator, "li")
    simulator.fail("getbyunionid", status=500, times=None)
    simulator.fail("users/me", status=500, times=None)
    assert is_signed_in(browser)
    simulator.push("user_modify_org", user="li", client=app.test_client())
    # Marks and checks have whole seconds.
    _until(lambda: not is_signed_in(browser))


# --- Once ----------------------------------------------------------------------------------------


def test_an_event_that_comes_again_is_answered_and_not_acted_on(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator, heard: list[Any]
) -> None:
    """Somebody may have come back meanwhile."""
    delivery = simulator.push("user_leave_org", user="li", client=dingtalk)
    browser = signed_in_as(app, simulator, "li")
    assert delivery.again().accepted
    assert is_signed_in(browser)
    assert len(heard) == 1


def test_events_come_in_any_order(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """What counts is what DingTalk says when it is asked."""
    delivery = simulator.push("user_add_org", user="li", client=dingtalk)
    browser = signed_in_as(app, simulator, "li")
    simulator.leave("li")
    simulator.push("user_leave_org", user="li", client=dingtalk)
    assert delivery.again().accepted
    assert not is_signed_in(browser)


def test_with_the_store_gone_an_event_is_not_lost(
    process: Callable[..., Flask], simulator: DingTalkSimulator, redis_port: int
) -> None:
    """503, nothing is remembered, and the next attempt of DingTalk does it."""
    import redis

    app = process()
    browser = signed_in_as(app, simulator, "li")
    with redis.Redis(port=redis_port, db=1) as connection:
        # Reads go on, and writes are refused.
        memory = connection.config_get("maxmemory")["maxmemory"]
        connection.config_set("maxmemory", 1)
        try:
            delivery = simulator.push("user_leave_org", user="li", client=app.test_client())
        finally:
            connection.config_set("maxmemory", memory)
    assert [attempt.status for attempt in delivery.attempts] == [503]
    _until(lambda: delivery.again().accepted)
    assert not is_signed_in(browser)


def _until(is_so: Callable[[], bool]) -> None:
    """Wait for something that takes a moment: after a failure, the store is not asked at once."""
    wait = threading.Event()
    for _ in range(600):
        if is_so():
            return
        wait.wait(0.1)
    raise AssertionError


# --- Over HTTP -----------------------------------------------------------------------------------


def test_a_site_subscribes_and_hears_of_who_leaves(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """The console saves its address, and from then on events come by themselves."""
    browser = signed_in_as(app, simulator, "li")
    with serving(app) as address:
        simulator.subscribe(address + EVENTS)
        simulator.leave("li")
        delivery = simulator.deliveries[-1]
        assert delivery.wait(60)
    assert not is_signed_in(browser)


def test_a_site_that_was_down_hears_of_it_later(
    app: Flask, simulator: DingTalkSimulator, redis_port: int
) -> None:
    """DingTalk tries again."""
    import redis

    browser = signed_in_as(app, simulator, "li")
    with serving(app) as address, redis.Redis(port=redis_port, db=1) as connection:
        simulator.subscribe(address + EVENTS)
        memory = connection.config_get("maxmemory")["maxmemory"]
        connection.config_set("maxmemory", 1)
        try:
            simulator.leave("li")
            delivery = simulator.deliveries[-1]
            _until(lambda: bool(delivery.attempts))
        finally:
            connection.config_set("maxmemory", memory)
        assert delivery.attempts[0].status == 503
        # Until the store is asked again.
        _until(lambda: simulator.push("org_change", client=app.test_client()).arrived)
        simulator.advance(10)
        assert delivery.wait(60)
    assert not is_signed_in(browser)


# --- What is refused -----------------------------------------------------------------------------

LEAVE: Final = b'{"EventType":"user_leave_org","UserId":["1"]}'


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"signature": "0" * 40}, 403, id="signature"),
        pytest.param({"owner": "dinganother"}, 403, id="another application"),
        pytest.param({"ago": -3700}, 403, id="old"),
        pytest.param({"ago": 3700}, 403, id="from the future"),
        pytest.param({"body": b"{"}, 400, id="no JSON"),
        pytest.param({"body": b""}, 400, id="nothing"),
        pytest.param({"body": b"[" * 100_000}, 400, id="deep"),
        pytest.param({"body": b"x" * 2_000_000}, 413, id="large"),
    ],
)
def test_what_is_not_dingtalks_is_refused(
    changes: dict[str, Any],
    status: int,
    dingtalk: FlaskClient,
    simulator: DingTalkSimulator,
    heard: list[Any],
) -> None:
    """Nobody is signed out, nobody hears of it, and the answer does not say success."""
    answer = sent_by_hand(simulator, dingtalk, LEAVE, **changes)
    assert answer.status_code == status
    assert "encrypt" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert heard == []


def test_a_body_in_chunks_is_read(
    app: Flask, simulator: DingTalkSimulator, heard: list[Any]
) -> None:
    """A server that takes chunks hands them over without a length."""
    from io import BytesIO

    application = simulator.application
    cipher = EventCipher(application.event_token, application.event_aes_key, application.client_id)
    encrypted = cipher.encrypt(LEAVE)
    timestamp = str(int(time.time() * 1000))
    for content, status in ((json.dumps({"encrypt": encrypted}), 200), ("x" * 2_000_000, 413)):
        answer = app.test_client().post(
            EVENTS,
            query_string={
                "msg_signature": cipher.sign(timestamp, "n", encrypted),
                "timestamp": timestamp,
                "nonce": "n",
            },
            input_stream=BytesIO(content.encode()),
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert answer.status_code == status
    assert len(heard) == 1


def test_a_message_that_is_not_an_event_is_refused(
    dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Also if its signature is right."""
    assert sent_by_hand(simulator, dingtalk, b"success").status_code == 400


def test_only_a_post_is_an_event(dingtalk: FlaskClient) -> None:
    """A browser that looks there is told."""
    assert dingtalk.get(EVENTS).status_code == 405


def test_a_site_without_the_settings_has_no_such_route(
    process: Callable[..., Flask], dingtalk: FlaskClient
) -> None:
    """404, whatever comes."""
    app = process(DINGTALK_EVENT_TOKEN=..., DINGTALK_EVENT_AES_KEY=...)
    assert app.test_client().post(EVENTS).status_code == 404


def test_a_refusal_names_the_setting_in_the_log(
    dingtalk: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """And repeats nothing secret."""
    sent_by_hand(simulator, dingtalk, LEAVE, owner="dinganother")
    assert "DINGTALK_CLIENT_ID" in caplog.text


def test_csrf_protection_needs_no_glue(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """Flask-WTF's ``CSRFProtect`` lets events through."""
    from flask_wtf import CSRFProtect

    app = process()
    CSRFProtect(app)
    assert simulator.push("user_leave_org", user="li", client=app.test_client()).arrived


def test_a_site_that_guards_everything_gets_events(
    make_app: AppFactory, store_url: str, simulator: DingTalkSimulator
) -> None:
    """``protect`` leaves this route open."""
    app = Flask(__name__)
    app.config.update(
        {**simulator.settings, **simulator.event_settings},
        SECRET_KEY="k",
        DINGTALK_STORE=store_url,
        DINGTALK_MEMBERS_ONLY=True,
    )
    DingTalk(app).protect(app)
    assert simulator.push("user_leave_org", user="li", client=app.test_client()).arrived


def test_the_console_can_save_the_address(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator, heard: list[Any]
) -> None:
    """Its check is answered, and is nobody's event."""
    assert simulator.push("check_url", client=dingtalk).arrived
    assert heard == []


# --- The signal ----------------------------------------------------------------------------------


def test_every_event_is_a_signal(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator, heard: list[Any]
) -> None:
    """Also one that the extension does nothing about."""
    simulator.push("chat_update_title", data={"title": "新"}, client=dingtalk)
    (event,) = heard
    assert event.type == "chat_update_title"
    assert event.corp_id == simulator.application.corp_id
    assert abs(event.time.timestamp() - time.time()) < 600
    assert event.data["title"] == event.data["Title"] == "新"


def test_the_event_has_been_acted_on_when_the_signal_comes(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A receiver sees the person signed out."""
    browser = signed_in_as(app, simulator, "li")
    seen = []

    def look(sender: Flask, event: Any) -> None:
        seen.append(is_signed_in(browser))

    with event_received.connected_to(look, app):
        simulator.push("user_leave_org", user="li", client=dingtalk)
    assert seen == [False]


def test_a_receiver_that_fails_loses_nothing(
    app: Flask,
    dingtalk: FlaskClient,
    simulator: DingTalkSimulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DingTalk gets its answer, the others hear of it, and the log says what happened."""
    called_after = []

    def fail(sender: Flask, event: Any) -> None:
        raise RuntimeError("a bug of the site")

    def listen(sender: Flask, event: Any) -> None:
        called_after.append(event.type)

    with event_received.connected_to(fail, app), event_received.connected_to(listen, app):
        assert simulator.push("user_leave_org", user="li", client=dingtalk).arrived
    assert called_after == ["user_leave_org"]
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "event_received" in record.getMessage()
    assert record.exc_info is not None


def test_a_slow_receiver_does_not_delay_the_answer(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It goes on after the answer."""
    may_go_on, is_done = threading.Event(), threading.Event()

    def dawdle(sender: Flask, event: Any) -> None:
        assert may_go_on.wait(60)
        is_done.set()

    with event_received.connected_to(dawdle, app):
        assert simulator.push("user_leave_org", user="li", client=dingtalk).arrived
    assert not is_done.is_set()
    may_go_on.set()
    assert is_done.wait(60)


def test_a_receiver_may_be_async(
    app: Flask, dingtalk: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As views and hooks may."""
    heard = []

    async def listen(sender: Flask, event: Any) -> None:
        heard.append(event.type)

    with event_received.connected_to(listen, app):
        simulator.push("user_leave_org", user="li", client=dingtalk)
    assert heard == ["user_leave_org"]


# --- The settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param({"DINGTALK_EVENT_TOKEN": ...}, "DINGTALK_EVENT_TOKEN", id="no token"),
        pytest.param({"DINGTALK_EVENT_AES_KEY": ...}, "DINGTALK_EVENT_AES_KEY", id="no key"),
        pytest.param({"DINGTALK_EVENT_TOKEN": "ab"}, "DINGTALK_EVENT_TOKEN", id="short token"),
        pytest.param({"DINGTALK_EVENT_TOKEN": "a-b"}, "DINGTALK_EVENT_TOKEN", id="a dash"),
        pytest.param({"DINGTALK_EVENT_TOKEN": "a" * 33}, "DINGTALK_EVENT_TOKEN", id="long token"),
        pytest.param({"DINGTALK_EVENT_TOKEN": True}, "DINGTALK_EVENT_TOKEN", id="a flag"),
        pytest.param(
            {"DINGTALK_EVENT_AES_KEY": "a" * 42}, "DINGTALK_EVENT_AES_KEY", id="short key"
        ),
        pytest.param({"DINGTALK_EVENT_AES_KEY": "a" * 42 + "="}, "AES_KEY", id="padded key"),
        pytest.param({"DINGTALK_EVENT_AES_KEY": "钥" * 43}, "AES_KEY", id="not even ASCII"),
        pytest.param({"DINGTALK_STORE": None}, "DINGTALK_STORE", id="no store"),
        pytest.param({"DINGTALK_MEMBERS_ONLY": False}, "DINGTALK_MEMBERS_ONLY", id="no user ids"),
    ],
)
def test_settings_that_cannot_work_are_named_at_start(
    settings: dict[str, Any], named: str, process: Callable[..., Flask]
) -> None:
    """And a secret among them is not repeated."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        process(**settings)
    for value in settings.values():
        assert not isinstance(value, str) or value not in str(caught.value)


def test_a_token_of_digits_may_come_from_the_environment(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """``from_prefixed_env`` makes a number of it."""
    simulator.application.event_token = "12345"
    app = process(DINGTALK_EVENT_TOKEN=12345)
    assert simulator.push("org_change", client=app.test_client()).arrived


def test_a_member_record_is_enough(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """It tells the user id as well."""
    app = process(DINGTALK_MEMBERS_ONLY=False, DINGTALK_EMPLOYEE_PROFILE=True)
    assert simulator.push("org_change", client=app.test_client()).arrived
