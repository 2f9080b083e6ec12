"""A DingTalk that throttles loses nobody, and nobody uses up what belongs to all."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from flask_dingtalk import login_failed
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, Later, called, come_back, copy_browser, endpoints, start
from .stub import TOKEN, Answer, Asked, StubDingTalk

#: The callback of a sign-in that DingTalk throttled, from the place where that happened.
STAGES = [
    pytest.param("userAccessToken", {}, id="exchange"),
    pytest.param("users/me", {}, id="profile"),
    pytest.param("getbyunionid", {"DINGTALK_MEMBERS_ONLY": True}, id="membership"),
    pytest.param("user/get", {"DINGTALK_EMPLOYEE_PROFILE": True}, id="record"),
]


def from_address(client: FlaskClient, address: str) -> FlaskClient:
    """Have a browser come from another address."""
    client.environ_base["REMOTE_ADDR"] = address
    return client


def keep_throttling(simulator: DingTalkSimulator, endpoint: str) -> None:
    """Throttle an endpoint until told otherwise, without a wait within the call."""
    simulator.fail(endpoint, throttled="ban", times=None)


# --- The sign-in that waits ----------------------------------------------------------------------


@pytest.mark.parametrize(("endpoint", "settings"), STAGES)
def test_a_throttled_sign_in_goes_on_where_it_stopped(
    make_app: AppFactory, simulator: DingTalkSimulator, endpoint: str, settings: dict[str, Any]
) -> None:
    """The same address again finishes it; the code is exchanged once."""
    client = make_app(**settings).test_client()
    state, code = start(client, "/report"), simulator.authorization_code("zhang")
    keep_throttling(simulator, endpoint)
    waiting = come_back(client, state, code)
    assert waiting.status_code == 503
    assert int(waiting.headers["Refresh"]) >= int(waiting.headers["Retry-After"]) >= 1
    assert client.get("/").text == "nobody"
    simulator.clear_failures()
    answer = come_back(client, state, code)
    assert (answer.status_code, answer.location) == (302, "/report")
    assert client.get("/").text == "张三"
    accepted = called(simulator).count("authorization_code")
    assert accepted == (2 if endpoint == "userAccessToken" else 1)


@pytest.mark.parametrize(("endpoint", "settings"), STAGES)
def test_another_process_goes_on_as_well(
    make_app: AppFactory, simulator: DingTalkSimulator, endpoint: str, settings: dict[str, Any]
) -> None:
    """What is known of the sign-in travels in the session."""
    client = make_app(**settings).test_client()
    state, code = start(client, "/report"), simulator.authorization_code("zhang")
    keep_throttling(simulator, endpoint)
    assert come_back(client, state, code).status_code == 503
    simulator.clear_failures()
    elsewhere = make_app(**settings).test_client()
    cookie = client.get_cookie("session")
    assert cookie is not None
    elsewhere.set_cookie("session", cookie.value)
    assert come_back(elsewhere, state, code).location == "/report"
    assert elsewhere.get("/").text == "张三"


def test_two_processes_may_take_turns_at_one_sign_in(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """The one that begins is throttled at the exchange, the other one at the profile."""
    one, other = make_app().test_client(), make_app().test_client()
    state, code = start(one, "/report"), simulator.authorization_code("zhang")
    simulator.fail("userAccessToken", throttled=True)
    simulator.fail("users/me", throttled=True)
    browsers = [one, other, one]
    answers = []
    for browser, after in zip(browsers, [other, one, one], strict=True):
        answers.append(come_back(browser, state, code))
        cookie = browser.get_cookie("session")
        assert cookie is not None
        after.set_cookie("session", cookie.value)
    assert [answer.status_code for answer in answers] == [503, 503, 302]
    assert called(simulator).count("authorization_code") == 2


def test_a_visitor_who_reloads_at_once_gets_in_as_soon_as_dingtalk_lets_them(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Nobody has to sit out a time that is not needed any more."""
    state, code = start(client), simulator.authorization_code("zhang")
    simulator.fail("userAccessToken", throttled=True, times=2)
    statuses = [come_back(client, state, code).status_code for _ in range(3)]
    assert statuses == [503, 503, 302]


def test_the_waiting_page_says_so_in_the_visitors_language_and_repeats_no_code(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It also offers a fresh start."""
    state, code = start(client, "/report"), simulator.authorization_code("zhang")
    simulator.fail("userAccessToken", throttled=True)
    page = client.get(
        "/dingtalk/callback",
        query_string={"code": code, "state": state},
        headers={"Accept-Language": "zh-CN"},
    )
    assert "钉钉当前繁忙" in page.text
    assert 'href="/dingtalk/login?next=/report"' in page.text
    assert code not in page.text + str(page.headers)
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({}, id="no code"),
        pytest.param({"error": "access_denied"}, id="an error instead"),
        pytest.param({"code": "another"}, id="another code"),
    ],
)
def test_what_is_known_of_a_waiting_sign_in_is_good_for_its_code_alone(
    client: FlaskClient, simulator: DingTalkSimulator, other: dict[str, str]
) -> None:
    """Whoever has the browser's cookie but not the code signs in as nobody."""
    state, code = start(client), simulator.authorization_code("zhang")
    keep_throttling(simulator, "users/me")
    come_back(client, state, code)
    simulator.clear_failures()
    thief = copy_browser(client)
    response = thief.get("/dingtalk/callback", query_string={"state": state, **other})
    assert response.status_code in (400, 403)
    assert thief.get("/").text == "nobody"


def test_another_code_is_not_exchanged_for_a_state_that_was_given_back(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The state belongs to the code that it came back with."""
    state, code = start(client), simulator.authorization_code("zhang")
    simulator.fail("userAccessToken", throttled=True)
    assert come_back(client, state, code).status_code == 503
    simulator.calls.clear()
    refused = come_back(client, state, simulator.authorization_code("li"))
    assert (refused.status_code, "invalid_state" in refused.text) == (400, True)
    assert endpoints(simulator) == []


def test_two_tabs_may_wait_at_the_same_time(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Each goes on with its tokens."""
    tabs = [(start(client, f"/{n}"), simulator.authorization_code("zhang")) for n in range(2)]
    keep_throttling(simulator, "users/me")
    assert [come_back(client, *tab).status_code for tab in tabs] == [503, 503]
    simulator.clear_failures()
    assert [come_back(client, *tab).location for tab in tabs] == ["/0", "/1"]
    assert called(simulator).count("authorization_code") == 2


def test_nothing_of_a_waiting_sign_in_stays_once_it_is_over(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Neither after it succeeded nor after it failed."""
    for fails in (False, True):
        state, code = start(client), simulator.authorization_code("zhang")
        keep_throttling(simulator, "users/me")
        come_back(client, state, code)
        simulator.clear_failures()
        if fails:
            simulator.fail("users/me", times=None, status=500)
        come_back(client, state, code)
        simulator.clear_failures()
        with client.session_transaction() as content:
            assert "_dingtalk_progress" not in content


def test_a_waiting_sign_in_has_not_failed(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Those who listen hear of DingTalk's refusal, not of each wait for a turn."""
    heard: list[Exception] = []

    def listen(sender: Flask, error: Exception) -> None:
        heard.append(error)

    simulator.limit("userAccessToken", per_second=1)
    visitors = [app.test_client() for _ in range(6)]
    with login_failed.connected_to(listen, app):
        for visitor in visitors:
            come_back(visitor, start(visitor), simulator.authorization_code("zhang"))
    refused = [error for error in heard if getattr(error, "dingtalk_code", None)]
    assert len(heard) == len(refused) < 6


# --- A rush --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_a_rush_everybody_gets_in_without_starting_over(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Each as himself; DingTalk is asked little more often than it allows."""
    simulator.limit("userAccessToken", per_second=15)
    people = ["zhang", "li", "wang"] * 20
    names = {"zhang": "张三", "li": "李四", "wang": "王五"}

    def sign_in(person: str) -> str:
        browser = app.test_client()
        state, code = start(browser, "/report"), simulator.authorization_code(person)
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up:
            answer = come_back(browser, state, code)
            if answer.status_code == 302:
                return browser.get("/").text
            assert answer.status_code == 503
            time.sleep(int(answer.headers["Retry-After"]))
        return "never"

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(sign_in, people)) == [names[person] for person in people]
    assert called(simulator).count("authorization_code") < 2 * len(people)


# --- Threads -------------------------------------------------------------------------------------


def test_an_expired_callback_is_answered_at_once_however_often_it_is_loaded(
    app: Flask, client: FlaskClient, later: Later, simulator: DingTalkSimulator
) -> None:
    """No load waits for another one: one anonymous cookie would hold every thread."""
    state, code = start(client), simulator.authorization_code("zhang")
    later(601)
    browsers = [copy_browser(client) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda browser: come_back(browser, state, code), browsers)
    # A load that waits in vain for another one is told to come back: 503.
    assert {answer.status_code for answer in answers} == {400}
    assert endpoints(simulator) == []


def test_however_many_loads_of_one_callback_hold_two_threads(stub: StubDingTalk) -> None:
    """One at work and one that waits; the others get the page that loads itself again."""
    from .helpers import site_on

    go_on, at_work = threading.Event(), threading.Event()

    def slow(asked: Asked) -> Answer:
        at_work.set()
        go_on.wait(60)
        return Answer(TOKEN)

    stub.token = slow
    app = site_on(stub, DINGTALK_TIMEOUT=(60, 60))
    client = app.test_client()
    state = start(client, "/report")

    def load(browser: FlaskClient) -> int:
        status: int = come_back(browser, state, "c0de").status_code
        return status

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(load, copy_browser(client))
        assert at_work.wait(60)
        others = [pool.submit(load, copy_browser(client)) for _ in range(6)]
        # Five of them are told to come back while the first one is still at work.
        deadline = time.monotonic() + 60
        while sum(other.done() for other in others) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        told = [other.result() for other in others if other.done()]
        go_on.set()
        assert first.result() == 302
        statuses = sorted(other.result() for other in others)
    assert len(told) >= 5
    assert set(told) == {503}
    # The one that waited either saw the end or was told to come back as well.
    assert statuses[1:] == [503] * 5
    assert statuses[0] in (302, 503)


# --- Made-up codes -------------------------------------------------------------------------------


def test_after_ten_codes_that_nobody_knows_an_address_has_to_wait(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """DingTalk is not asked any more; everybody else's sign-ins go on."""
    crook = from_address(app.test_client(), "203.0.113.7")
    answers = [come_back(crook, start(crook), f"{n:032x}") for n in range(13)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [503] * 3
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert endpoints(simulator) == ["userAccessToken"] * 10
    honest = from_address(app.test_client(), "203.0.113.8")
    code = simulator.authorization_code("zhang")
    assert come_back(honest, start(honest), code).status_code == 302


def test_nine_mistakes_keep_nobody_from_signing_in(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """A legitimate visitor is not refused before the tenth."""
    clumsy = app.test_client()
    for n in range(9):
        come_back(clumsy, start(clumsy), f"{n:032x}")
    code = simulator.authorization_code("zhang")
    assert come_back(clumsy, start(clumsy), code).status_code == 302


@pytest.mark.parametrize(
    ("addresses", "waits"),
    [
        pytest.param([f"2001:db8:1:2::{n:x}" for n in range(1, 12)], True, id="one IPv6 network"),
        pytest.param([f"2001:db8:1:{n:x}::1" for n in range(1, 12)], False, id="IPv6 networks"),
        pytest.param([f"::ffff:203.0.113.{n}" for n in range(1, 12)], False, id="mapped IPv4"),
        pytest.param([""] * 11, False, id="a unix socket: everybody's"),
    ],
)
def test_what_counts_as_one_address(app: Flask, addresses: list[str], waits: bool) -> None:
    """A household has a whole network of IPv6."""
    statuses = []
    for n, address in enumerate(addresses):
        browser = from_address(app.test_client(), address)
        statuses.append(come_back(browser, start(browser), f"{n:032x}").status_code)
    assert statuses == [400] * 10 + [503 if waits else 400]


def test_an_address_that_waits_keeps_its_state(app: Flask, simulator: DingTalkSimulator) -> None:
    """The page loads itself again, and goes on when the minute is over."""
    client = app.test_client()
    for n in range(10):
        come_back(client, start(client), f"{n:032x}")
    state, code = start(client), simulator.authorization_code("zhang")
    waiting = come_back(client, state, code)
    assert (waiting.status_code, "Refresh" in waiting.headers) == (503, True)
    elsewhere = from_address(copy_browser(client), "203.0.113.9")
    assert come_back(elsewhere, state, code).status_code == 302


# --- With server-side sessions -------------------------------------------------------------------


def test_a_planted_session_is_not_signed_in_by_somebody_elses_throttled_sign_in(
    make_app: AppFactory, simulator: DingTalkSimulator, tmp_path: Any
) -> None:
    """The attacker began the sign-in and shares the session with the victim, not the code."""
    from cachelib import FileSystemCache
    from flask_session import Session

    app = make_app(
        SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(tmp_path), threshold=0)
    )
    Session(app)

    @app.get("/keep")
    def keep() -> str:
        session["kept"] = True
        return ""

    attacker = app.test_client()
    attacker.get("/keep")
    state = start(attacker)
    victim = copy_browser(attacker)
    keep_throttling(simulator, "users/me")
    come_back(victim, state, simulator.authorization_code("zhang"))
    simulator.clear_failures()
    attacker.get("/dingtalk/callback", query_string={"state": state})
    attacker.get("/dingtalk/callback", query_string={"state": state, "code": "a" * 32})
    assert attacker.get("/").text == "nobody"


def test_the_seconds_of_a_wait_have_chance_in_them(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Those who were refused together do not come back together."""
    keep_throttling(simulator, "users/me")
    extra = set()
    for _ in range(40):
        browser = app.test_client()
        answer = come_back(browser, start(browser), simulator.authorization_code("zhang"))
        assert re.fullmatch("[0-9]+", answer.headers["Refresh"])
        extra.add(int(answer.headers["Refresh"]) - int(answer.headers["Retry-After"]))
    assert extra == {0, 1}
