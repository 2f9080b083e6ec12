"""With a store, what must be done once is done once, by however many processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import DingTalk, DingTalkToken
from flask_dingtalk.pace import Reservation
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import (
    AppFactory,
    Later,
    build_site,
    called,
    come_back,
    copy_browser,
    endpoints,
    sign_in_with,
    start,
)
from .stub import TOKEN, Answer, Asked, StubDingTalk

if TYPE_CHECKING:
    import redis

Two = tuple[Flask, Flask]


@pytest.fixture
def two(make_app: AppFactory, store_url: str) -> Two:
    """Start two processes of one site."""
    settings: dict[str, Any] = {"DINGTALK_STORE": store_url, "DINGTALK_REVALIDATE_AFTER": 3600}
    return make_app(**settings), make_app(**settings)


@pytest.fixture
def two_on_stub(stub: StubDingTalk, store_url: str) -> Two:
    """Start two processes whose DingTalk answers as the test says."""
    settings = {**stub.settings, "SECRET_KEY": "k", "TESTING": True, "DINGTALK_STORE": store_url}
    return build_site(settings), build_site(settings)


def at_once(*requests: Callable[[], int]) -> list[int]:
    """Make requests at the same time; return their statuses."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return [future.result() for future in [pool.submit(each) for each in requests]]


# --- States --------------------------------------------------------------------------------------


def test_a_state_that_was_used_here_is_used_there(two: Two, simulator: DingTalkSimulator) -> None:
    """Also where the cookie is set back to what it was: with another code it is refused."""
    here, there = two
    browser = here.test_client()
    state = start(browser)
    before = copy_browser(browser, there)
    code = simulator.authorization_code("zhang")
    assert come_back(browser, state, code).status_code == 302
    simulator.calls.clear()
    other = simulator.authorization_code("li")
    assert come_back(copy_browser(before), state, other).status_code == 400
    assert come_back(copy_browser(before), state, code).status_code == 302
    assert endpoints(simulator) == []


def test_a_state_that_failed_here_is_used_up_there(two: Two, simulator: DingTalkSimulator) -> None:
    """As in one process."""
    here, there = two
    browser = here.test_client()
    state = start(browser)
    before = copy_browser(browser, there)
    assert come_back(browser, state, "made-up").status_code == 400
    simulator.calls.clear()
    assert come_back(before, state, "made-up").status_code == 400
    assert endpoints(simulator) == []


def test_two_loads_of_one_callback_in_two_processes_exchange_its_code_once(
    two_on_stub: Two, stub: StubDingTalk
) -> None:
    """The second one waits for the first, and lands at the same place."""
    asked, answer = threading.Event(), threading.Event()

    def token(request: Asked) -> Answer:
        asked.set()
        answer.wait(60)
        return Answer(TOKEN)

    stub.token = token
    here, there = two_on_stub
    browser = here.test_client()
    state = start(browser)
    other = copy_browser(browser, there)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(come_back, browser, state, "c0de")
        assert asked.wait(60)
        second = pool.submit(come_back, other, state, "c0de")
        # However long the second one takes to come: it waits, or finds that all is done.
        threading.Timer(0.3, answer.set).start()
        assert first.result().status_code == 302
        # On a busy machine its patience may be over, and the page loads itself again.
        response = second.result()
    if response.status_code == 503:
        response = come_back(other, state, "c0de")
    assert response.status_code == 302
    assert [request.path for request in stub.asked].count("/v1.0/oauth2/userAccessToken") == 1


def test_a_sign_in_that_was_throttled_here_goes_on_there(
    two: Two, simulator: DingTalkSimulator
) -> None:
    """With the tokens that were fetched, although the browser did not keep its cookie."""
    here, there = two
    browser = here.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    other = copy_browser(browser, there)
    simulator.fail("users/me", times=None, throttled=True)
    assert come_back(browser, state, code).status_code == 503
    simulator.clear_failures()
    assert come_back(other, state, code).status_code == 302
    assert endpoints(simulator).count("userAccessToken") == 1
    assert other.get("/").text == "张三"


# --- Tokens --------------------------------------------------------------------------------------


def test_a_refresh_that_is_under_way_there_is_waited_for(
    two_on_stub: Two, stub: StubDingTalk, later: Later
) -> None:
    """The refresh token is sent once, and both calls succeed."""
    here, there = two_on_stub
    browser = here.test_client()
    sign_in_with(browser)
    later(7200)
    asked, answer = threading.Event(), threading.Event()

    def token(request: Asked) -> Answer:
        asked.set()
        answer.wait(60)
        return Answer(TOKEN | {"accessToken": "new", "refreshToken": "newer"})

    stub.token = token
    stub.asked.clear()
    other = copy_browser(browser, there)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(browser.get, "/call")
        assert asked.wait(60)
        second = pool.submit(other.get, "/call")
        threading.Timer(0.2, answer.set).start()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
    assert len([each for each in stub.asked if b"refresh_token" in each.body]) == 1


def test_a_pair_that_somebody_still_holds_leads_to_the_one_in_force(
    two: Two, simulator: DingTalkSimulator, later: Later
) -> None:
    """A job that began with the old pair, in another process."""
    here, there = two
    browser = here.test_client()
    kept: list[DingTalkToken] = []
    dingtalk: DingTalk = here.extensions["dingtalk"]

    @dingtalk.on_login
    def keep(user: object, token: DingTalkToken) -> None:
        kept.append(token)

    simulator.sign_in(browser, "zhang")
    later(7200)
    simulator.advance(7200)
    assert browser.get("/call").status_code == 200
    simulator.calls.clear()
    with there.app_context():
        job = there.extensions["dingtalk"].as_user(kept[0])
        assert job.get("/v1.0/contact/users/me").json()["nick"] == "张三"
    assert called(simulator) == ["users/me"]


def test_a_refused_refresh_token_is_sent_once(
    two: Two, simulator: DingTalkSimulator, later: Later
) -> None:
    """The other process knows that it is of no use."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    later(7200)
    simulator.advance(31 * 86_400)
    simulator.calls.clear()
    assert browser.get("/call", headers={"Accept": "application/json"}).status_code == 401
    other = copy_browser(browser, there)
    assert other.get("/call", headers={"Accept": "application/json"}).status_code == 401
    assert called(simulator).count("refresh_token") <= 1


def seconds_until_503(browser: FlaskClient, page: str) -> float:
    """Load a page that cannot be had now; return how long it took to say so."""
    begun = time.monotonic()
    assert browser.get(page).status_code == 503
    return time.monotonic() - begun


def test_a_process_that_was_killed_while_renewing_holds_nobody_for_long(
    two_on_stub: Two, stub: StubDingTalk, later: Later, content: redis.Redis
) -> None:
    """The others say 503 soon, and at once the next time; when its claim ends, they renew."""
    here, there = two_on_stub
    browser = here.test_client()
    sign_in_with(browser)
    later(7200)
    asked, answer = threading.Event(), threading.Event()

    def token(request: Asked) -> Answer:
        asked.set()
        answer.wait(60)
        return Answer({"code": "unknownError"}, 500)

    stub.token = token
    # This request stands for the killed one: it gets no answer while the others look on.
    killed = threading.Thread(target=copy_browser(browser, here).get, args=["/call"])
    killed.start()
    assert asked.wait(60)
    other = copy_browser(browser, there)
    first = other.get("/call")
    assert (first.status_code, first.headers["Retry-After"]) == (503, "1")
    # The first one waited for four seconds; of the others, a busy machine may delay some.
    assert min(seconds_until_503(other, "/call") for _ in range(5)) < 3
    (claim,) = content.scan_iter("*:refresh:*")
    assert 0 < content.pttl(claim) < 60_000
    content.delete(claim)
    stub.token = Answer(TOKEN | {"accessToken": "new", "refreshToken": "newer"})
    assert other.get("/call").status_code == 200
    answer.set()
    killed.join(60)
    assert other.get("/call").status_code == 200


# --- Checks and the application's own token ------------------------------------------------------


def test_a_check_is_made_once(two: Two, simulator: DingTalkSimulator, later: Later) -> None:
    """By one of two processes that find it due at the same time."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    later(3601)
    simulator.calls.clear()
    pages = [copy_browser(browser, app) for app in (here, there, here, there)]
    assert (
        at_once(*(lambda page=page: page.get("/report").status_code for page in pages)) == [200] * 4
    )
    assert called(simulator).count("users/me") == 1


def test_what_a_check_learned_there_counts_here(
    two: Two, simulator: DingTalkSimulator, later: Later
) -> None:
    """Nobody asks again."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    later(3601)
    simulator.users["zhang"].nick = "张三丰"
    copy_browser(browser, there).get("/report")
    simulator.calls.clear()
    assert browser.get("/report").text == "Report for 张三丰"
    assert endpoints(simulator) == []


def test_that_dingtalk_throttles_is_known_to_all_processes(
    two: Two, simulator: DingTalkSimulator, later: Later
) -> None:
    """A check that was put off there is put off here."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    later(3601)
    simulator.fail("users/me", times=None, throttled=True)
    assert copy_browser(browser, there).get("/report").status_code == 200
    simulator.calls.clear()
    assert browser.get("/report").status_code == 200
    assert endpoints(simulator) == []


def test_the_pace_of_exchanges_is_that_of_all_processes(
    two: Two, simulator: DingTalkSimulator
) -> None:
    """What DingTalk refuses one of them makes the others wait."""
    here, there = two
    simulator.fail("userAccessToken", times=1, throttled=True)
    first = here.test_client()
    state, code = start(first), simulator.authorization_code("zhang")
    assert come_back(first, state, code).status_code == 503
    # Otherwise twenty could call at once.
    answers = reservations(there, 20)
    assert sum(each.turn is None for each in answers) < 20


def reservations(app: Flask, number: int) -> list[Reservation]:
    """Have so many visitors of a process ask for a call at once."""
    return [pace(app).reserve(time.time(), None) for _ in range(number)]


def pace(app: Flask) -> Any:
    """Return what spaces the calls of a process."""
    from flask_dingtalk.app_state import app_state_of

    return app_state_of(app).memory.pace


def test_a_crowd_is_spaced_before_dingtalk_refuses_any(
    two: Two, simulator: DingTalkSimulator
) -> None:
    """All calls of all processes are known: twenty are sent at once, as many as it allows."""
    answers = [reservations(app, 1)[0] for app in two * 15]
    assert [each.turn is None for each in answers] == [True] * 20 + [False] * 10
    waiting = [each.turn for each in answers if each.turn is not None]
    assert waiting == sorted(waiting)


def test_a_call_has_its_place_until_a_second_after_its_answer(
    two: Two, content: redis.Redis
) -> None:
    """However long it is held up: it may arrive at DingTalk in any second until then."""
    here, there = two

    def is_permitted() -> bool:
        # For a visitor whose turn it has long been.
        return pace(there).reserve(time.time(), 1.0).turn is None

    def move(field: str, milliseconds: int) -> None:
        """Let moments be so long ago: by the clock of Redis, which no test can set."""
        moments = (content.hget(name, field) or "").split()
        content.hset(name, field, " ".join(str(int(each) - milliseconds) for each in moments))

    assert all(each.turn is None for each in reservations(here, 20))
    (name,) = content.keys("*:pace")
    move("air", 5000)
    assert not is_permitted()
    pace(here).accepted(time.time())
    # So that the second is not over yet, however slow this machine is.
    move("over", -900)
    assert not is_permitted()
    move("over", 2000)
    assert is_permitted()
    assert not is_permitted()


def test_a_call_that_fails_gives_its_place_back(
    two: Two, simulator: DingTalkSimulator, content: redis.Redis
) -> None:
    """Otherwise nobody could sign in for a while after DingTalk failed."""
    simulator.fail("userAccessToken", times=3, status=500)
    here, _ = two
    for _ in range(3):
        browser = here.test_client()
        state, code = start(browser), simulator.authorization_code("zhang")
        assert come_back(browser, state, code).status_code == 502
    (name,) = content.keys("*:pace")
    assert content.hget(name, "air") == ""


def test_the_application_fetches_its_token_once(
    make_app: AppFactory, simulator: DingTalkSimulator, store_url: str
) -> None:
    """For all processes; one that DingTalk refuses is fetched anew, once."""
    apps = [make_app(DINGTALK_STORE=store_url, DINGTALK_MEMBERS_ONLY=True) for _ in range(3)]
    for app in apps:
        simulator.sign_in(app.test_client(), "zhang")
    assert endpoints(simulator).count("accessToken") == 1


def test_an_app_token_that_is_refused_is_replaced_for_all(
    make_app: AppFactory, simulator: DingTalkSimulator, store_url: str
) -> None:
    """Whoever still has the old one finds the new one in the store."""
    apps = [make_app(DINGTALK_STORE=store_url, DINGTALK_MEMBERS_ONLY=True) for _ in range(2)]
    for app in apps:
        simulator.sign_in(app.test_client(), "zhang")
    simulator.calls.clear()
    for app in apps:
        # Both have the old one at hand.
        simulator.fail("getbyunionid", code=40014)
        assert simulator.sign_in(app.test_client(), "zhang").status_code == 302
    assert endpoints(simulator).count("accessToken") == 2


def test_an_app_token_in_the_store_is_used_by_a_process_that_just_began(
    make_app: AppFactory, simulator: DingTalkSimulator, store_url: str, content: redis.Redis
) -> None:
    """It is sealed; and without it, each process fetches one itself."""
    settings = {"DINGTALK_STORE": store_url, "DINGTALK_MEMBERS_ONLY": True}
    simulator.sign_in(make_app(**settings).test_client(), "zhang")
    (name,) = content.scan_iter("*:app-token")
    assert 0 < content.pttl(name) <= 7_200_000
    content.set(name, "nonsense", ex=100)
    simulator.calls.clear()
    assert simulator.sign_in(make_app(**settings).test_client(), "zhang").status_code == 302
    assert endpoints(simulator).count("accessToken") == 1
