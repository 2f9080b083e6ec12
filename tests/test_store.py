"""Sign-ins that several processes share: each app here stands for a process, or for a machine."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from flask_dingtalk import (
    ConfigurationError,
    DingTalk,
    DingTalkToken,
    DingTalkUser,
    current_dingtalk_user,
    user_logged_in,
    user_logged_out,
)
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import AppFactory, Later, build_site, called, copy_browser, start
from .stub import TOKEN, Answer, Asked, StubDingTalk

if TYPE_CHECKING:
    import redis

MEMBERS: dict[str, Any] = {"DINGTALK_MEMBERS_ONLY": True}


@pytest.fixture
def process(make_app: AppFactory, store_url: str) -> Callable[..., Flask]:
    """Start a process of a site with a store; settings by name."""
    return lambda **settings: make_app(DINGTALK_STORE=store_url, **settings)


@pytest.fixture
def two(process: Callable[..., Flask]) -> tuple[Flask, Flask]:
    """Start two processes of one site."""
    return process(), process()


def nick(client: FlaskClient) -> str:
    """Return whom the site sees."""
    return client.get("/").text


# --- One sign-in, many processes -----------------------------------------------------------------


def test_who_signed_in_here_is_signed_in_there(
    two: tuple[Flask, Flask], simulator: DingTalkSimulator
) -> None:
    """With profile and tokens."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang", next="/report")
    elsewhere = copy_browser(browser, there)
    assert elsewhere.get("/report").text == "Report for 张三"
    assert elsewhere.get("/whoami").json == browser.get("/whoami").json
    assert elsewhere.get("/call").status_code == 200


def test_the_session_holds_an_id_and_nothing_of_the_person(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """Beside the states of sign-ins, which are random."""
    browser = process().test_client()
    simulator.sign_in(browser, "zhang")
    with browser.session_transaction() as kept:
        assert set(kept) == {"_dingtalk", "_dingtalk_states"}
        assert len(kept["_dingtalk"]) < 20


def test_right_after_a_sign_in_the_cookie_is_small(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """Name and value; the site has all the rest of it for itself."""
    browser = process(DINGTALK_EMPLOYEE_PROFILE=True).test_client()
    simulator.sign_in(browser, "zhang")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    assert len(f"{cookie.key}={cookie.value}") <= 230


def test_a_record_is_never_cut_to_fit(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """However long it is."""
    own = simulator.application.corp_id
    simulator.users["zhang"].memberships[own].extension = "x" * 9000
    app = process(DINGTALK_EMPLOYEE_PROFILE=True)
    app.add_url_rule("/raw", view_func=lambda: str(current_dingtalk_user.employee.raw))  # type: ignore[union-attr]
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    assert "x" * 9000 in browser.get("/raw").text


def test_a_sign_out_here_is_final_there(
    two: tuple[Flask, Flask], simulator: DingTalkSimulator
) -> None:
    """For every copy of the cookie."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    copy = copy_browser(browser, there)
    assert nick(copy) == "张三"
    browser.post("/dingtalk/logout")
    assert nick(copy) == "nobody"
    assert copy.get("/report").status_code == 302


def test_a_new_sign_in_there_ends_the_one_before(
    two: tuple[Flask, Flask], simulator: DingTalkSimulator
) -> None:
    """A copy of the old cookie is dead, whoever signed in."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    copy = copy_browser(browser, here)
    simulator.sign_in(copy_browser(browser, there), "li")
    assert nick(copy) == "nobody"


@pytest.mark.parametrize("page", ["/call", "/report"], ids=["a refresh", "a check"])
def test_what_was_under_way_at_a_sign_out_elsewhere_brings_nobody_back(
    stub: StubDingTalk, store_url: str, later: Later, page: str
) -> None:
    """New tokens arrive for somebody who is gone."""
    asked, answer = threading.Event(), threading.Event()

    def tokens(request: Asked) -> Answer:
        if b"refresh_token" in request.body:
            asked.set()
            answer.wait(60)
            return Answer(TOKEN | {"accessToken": "new", "refreshToken": "newer"})
        return Answer(TOKEN)

    stub.token = tokens
    settings = {**stub.settings, "SECRET_KEY": "k", "DINGTALK_STORE": store_url}
    here, there = (
        build_site({**settings, "TESTING": True, "DINGTALK_REVALIDATE_AFTER": 7300})
        for _ in range(2)
    )
    browser = here.test_client()
    signed_in(browser, DingTalkUser("u-1", nick="张三"), _tokens())
    later(7200 if page == "/call" else 7301)
    tab = copy_browser(browser)
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(tab.get(page).status_code))
    thread.start()
    assert asked.wait(60)
    copy_browser(browser, there).post("/dingtalk/logout")
    answer.set()
    thread.join(60)
    assert statuses[0] in (302, 401)
    assert [nick(each) for each in (browser, tab)] == ["nobody", "nobody"]


def _tokens() -> DingTalkToken:
    from datetime import UTC, datetime, timedelta

    return DingTalkToken("a-1", "r-1", datetime.now(UTC) + timedelta(hours=2))


def test_tokens_that_were_renewed_there_are_used_here(
    two: tuple[Flask, Flask], simulator: DingTalkSimulator, later: Later
) -> None:
    """Although this browser's cookie says nothing of them."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    later(7200)
    simulator.advance(7200)
    simulator.calls.clear()
    assert copy_browser(browser, there).get("/call").status_code == 200
    assert browser.get("/call").status_code == 200
    assert called(simulator) == ["refresh_token", "users/me", "users/me"]


def test_a_stream_can_renew_its_tokens(
    process: Callable[..., Flask], simulator: DingTalkSimulator, later: Later
) -> None:
    """The store keeps them, where a cookie could not be set any more."""
    from flask import stream_with_context

    app = process()
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.get("/stream")
    def stream() -> Any:
        def parts() -> Any:
            yield dingtalk.get("/v1.0/contact/users/me").json()["nick"]

        return app.response_class(stream_with_context(parts()))

    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    later(7200)
    simulator.advance(7200)
    assert browser.get("/stream").text == "张三"
    simulator.calls.clear()
    assert browser.get("/call").status_code == 200
    assert called(simulator) == ["users/me"]


def test_a_record_lives_as_long_as_its_sign_in(
    process: Callable[..., Flask], simulator: DingTalkSimulator, content: redis.Redis
) -> None:
    """And nothing in the store lives for ever."""
    browser = process(DINGTALK_SIGN_IN_LIFETIME=5000).test_client()
    simulator.sign_in(browser, "zhang")
    assert nick(browser) == "张三"
    keys = list(content.scan_iter())
    (login,) = (key for key in keys if ":login:" in key)
    assert 4900 < content.ttl(login) <= 5000
    assert all(content.ttl(key) > 0 for key in keys)


def test_a_sign_in_ends_with_its_record(
    process: Callable[..., Flask], simulator: DingTalkSimulator, content: redis.Redis
) -> None:
    """Redis drops it when its time is over."""
    browser = process().test_client()
    simulator.sign_in(browser, "zhang")
    for key in content.scan_iter("*:login:*"):
        content.delete(key)
    assert nick(browser) == "nobody"
    assert browser.get("/report").status_code == 302


# --- Whoever reads or writes the store -----------------------------------------------------------


def test_the_store_names_nobody_and_shows_nothing(
    process: Callable[..., Flask], simulator: DingTalkSimulator, content: redis.Redis
) -> None:
    """Neither in keys nor in values, as they are or in base64."""
    browser = process(**MEMBERS, DINGTALK_EMPLOYEE_PROFILE=True).test_client()
    simulator.sign_in(browser, "zhang")
    browser.get("/call")
    everything = " ".join(
        [*content.scan_iter(), *(str(_value(content, key)) for key in content.scan_iter())]
    )
    person = simulator.users["zhang"]
    with browser.session_transaction() as kept:
        login_id = kept["_dingtalk"].lstrip("@")
    for text in (person.union_id, person.nick, "user_id", login_id, *simulator.secrets):
        assert text not in everything
    assert _user_id(browser) not in everything


def _user_id(browser: FlaskClient) -> str:
    with browser.application.test_request_context(headers=_cookies(browser)):
        assert current_dingtalk_user.user_id
        return current_dingtalk_user.user_id


def _cookies(browser: FlaskClient) -> dict[str, str]:
    cookie = browser.get_cookie("session")
    assert cookie is not None
    return {"Cookie": f"session={cookie.value}"}


def _value(content: Any, key: str) -> Any:
    match content.type(key):
        case "hash":
            return content.hgetall(key)
        case "zset":
            return content.zrange(key, 0, -1)
        case _:
            return content.get(key)


@pytest.mark.parametrize("fields", [["u"], ["t"], ["u", "t"]])
def test_who_writes_the_store_cannot_put_one_persons_record_in_anothers_place(
    process: Callable[..., Flask],
    simulator: DingTalkSimulator,
    content: redis.Redis,
    fields: list[str],
) -> None:
    """Sealed texts open where they were put, and nowhere else."""
    app = process()
    browsers = {}
    for name in ("zhang", "li"):
        known = set(content.scan_iter("*:login:*"))
        browser = app.test_client()
        simulator.sign_in(browser, name)
        (key,) = set(content.scan_iter("*:login:*")) - known
        browsers[name] = (browser, key)
    (zhang, mine), (_, other) = browsers["zhang"], browsers["li"]
    for field in fields:
        value = content.hget(other, field)
        assert value
        content.hset(mine, field, value)
    assert nick(zhang) == "nobody"
    assert zhang.get("/report").status_code == 302


@pytest.mark.parametrize("value", ["", "x", "AgAA", "中文", "A" * 9000])
def test_a_record_that_cannot_be_read_is_nobody(
    process: Callable[..., Flask],
    simulator: DingTalkSimulator,
    content: redis.Redis,
    value: str,
) -> None:
    """And never an error."""
    browser = process().test_client()
    simulator.sign_in(browser, "zhang")
    for key in content.scan_iter("*:login:*"):
        content.hset(key, "u", value)
    assert nick(browser) == "nobody"
    assert browser.get("/report").status_code == 302
    assert browser.post("/dingtalk/logout").status_code == 303


@pytest.mark.parametrize("text", ["", "@", "@short", "@" + "x" * 16, "@" + "中" * 16, 7, "x" * 99])
def test_a_session_with_something_else_in_it_is_nobodys(
    process: Callable[..., Flask], text: object
) -> None:
    """Whatever put it there."""
    browser = process().test_client()
    with browser.session_transaction() as kept:
        kept["_dingtalk"] = text
    assert nick(browser) == "nobody"
    assert browser.get("/report").status_code == 302
    assert browser.post("/dingtalk/logout").status_code == 303


def test_a_rotated_secret_key_signs_nobody_out(
    make_app: AppFactory, simulator: DingTalkSimulator, store_url: str
) -> None:
    """As long as the old one is among the fallbacks; and their sign-ins can still be ended."""
    before = make_app(DINGTALK_STORE=store_url, SECRET_KEY="old")
    browser = before.test_client()
    simulator.sign_in(browser, "zhang")
    after = make_app(DINGTALK_STORE=store_url, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
    # Flask before 3.1 does not look at the fallbacks: bring the content, not the cookie.
    again = after.test_client()
    with browser.session_transaction() as old, again.session_transaction() as new:
        new.update(old)
    assert nick(again) == "张三"
    simulator.sign_in(after.test_client(), "zhang")
    with after.app_context():
        assert after.extensions["dingtalk"].logout_everywhere(_union_id(simulator)) == 2
    assert nick(again) == "nobody"


def _union_id(simulator: DingTalkSimulator, name: str = "zhang") -> str:
    return simulator.users[name].union_id


# --- Everywhere at once --------------------------------------------------------------------------


def test_a_person_can_be_signed_out_everywhere(
    two: tuple[Flask, Flask], simulator: DingTalkSimulator
) -> None:
    """In each browser and process, and nobody else."""
    here, there = two
    mine = [app.test_client() for app in (here, there, there)]
    for browser in mine:
        simulator.sign_in(browser, "zhang")
    other = there.test_client()
    simulator.sign_in(other, "li")
    dingtalk: DingTalk = here.extensions["dingtalk"]
    with here.app_context():
        assert dingtalk.logout_everywhere(_union_id(simulator)) == 3
        assert dingtalk.logout_everywhere(_union_id(simulator)) == 0
    assert [nick(browser) for browser in mine] == ["nobody"] * 3
    assert nick(other) == "李四"
    simulator.sign_in(mine[0], "zhang")
    assert nick(mine[0]) == "张三"


def test_the_command_line_signs_out_everywhere(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """``flask dingtalk logout UNION_ID`` says how many sign-ins it ended."""
    app = process()
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    runner = app.test_cli_runner()
    result = runner.invoke(args=["dingtalk", "logout", _union_id(simulator)])
    assert (result.exit_code, result.output) == (0, "1 sign-in ended.\n")
    assert nick(browser) == "nobody"
    assert "0 sign-ins ended" in runner.invoke(args=["dingtalk", "logout", "nobody"]).output


def test_sign_ins_that_have_expired_are_not_counted(
    process: Callable[..., Flask], simulator: DingTalkSimulator, content: redis.Redis
) -> None:
    """Nor do they stay in the index when somebody signs in again."""
    app = process()
    simulator.sign_in(app.test_client(), "zhang")
    for key in content.scan_iter("*:login:*"):
        content.delete(key)
    with app.app_context():
        assert app.extensions["dingtalk"].logout_everywhere(_union_id(simulator)) == 0


def test_a_sign_in_that_was_begun_before_an_end_can_be_ended_later(
    make_app: AppFactory, simulator: DingTalkSimulator, redis_port: int, store_url: str
) -> None:
    """Its end comes between the two things that a new sign-in writes: index and record."""
    import redis

    ended: list[int] = []

    def end_all() -> int:
        with here.app_context():
            dingtalk: DingTalk = here.extensions["dingtalk"]
            return dingtalk.logout_everywhere(_union_id(simulator))

    class Slow(redis.Connection):
        """A connection on which somebody else is faster than the record of a sign-in."""

        def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            if not ended and b"'t', ARGV[3]" in b"".join(command):
                ended.append(0)
                ended.append(end_all())
            super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    here = make_app(DINGTALK_STORE=store_url)
    pool = redis.ConnectionPool(connection_class=Slow, port=redis_port, db=1)
    there = Flask(__name__)
    there.config.update(here.config, DINGTALK_STORE=None)
    DingTalk(there, store=redis.Redis(connection_pool=pool))
    browser = there.test_client()
    simulator.sign_in(browser, "zhang")
    assert ended == [0, 0]
    assert end_all() == 1
    assert nick(copy_browser(browser, here)) == "nobody"


def test_a_sign_out_leaves_nothing_in_the_store(
    process: Callable[..., Flask], simulator: DingTalkSimulator, content: redis.Redis
) -> None:
    """But what says that the state and the code were used."""
    browser = process(**MEMBERS).test_client()
    simulator.sign_in(browser, "zhang")
    browser.post("/dingtalk/logout")
    kinds = {key.split(":")[2] for key in content.scan_iter("*")}
    assert kinds.isdisjoint({"login", "person", "member", "everybody"})


def test_without_a_store_it_says_what_is_missing(app: Flask) -> None:
    """For the view and for the terminal."""
    with app.app_context(), pytest.raises(ConfigurationError, match="DINGTALK_STORE"):
        app.extensions["dingtalk"].logout_everywhere("x")
    result = app.test_cli_runner().invoke(args=["dingtalk", "logout", "x"])
    assert result.exit_code == 1
    assert "DINGTALK_STORE" in result.output


# --- Members who leave or are changed ------------------------------------------------------------


@pytest.fixture
def member_of(
    process: Callable[..., Flask], simulator: DingTalkSimulator
) -> Callable[..., tuple[Flask, FlaskClient, str]]:
    """Sign a member in; return the app, the browser and the user id."""

    def sign_in(**settings: Any) -> tuple[Flask, FlaskClient, str]:
        app = process(**(MEMBERS | settings))
        browser = app.test_client()
        simulator.sign_in(browser, "zhang")
        user_id = _user_id(browser)
        simulator.calls.clear()
        return app, browser, user_id

    return sign_in


def people_of(app: Flask) -> Any:
    """Return the index of people: what DingTalk's events act on."""
    from flask_dingtalk.app_state import app_state

    with app.app_context():
        return app_state().people


def test_a_member_who_leaves_is_signed_out_everywhere(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]],
    process: Callable[..., Flask],
    simulator: DingTalkSimulator,
) -> None:
    """By their user id, which is what events name."""
    app, browser, user_id = member_of()
    phone = process(**MEMBERS).test_client()
    simulator.sign_in(phone, "zhang")
    other = app.test_client()
    simulator.sign_in(other, "li")
    with app.app_context():
        assert people_of(app).end_member(user_id) == 2
    assert [nick(each) for each in (browser, phone, other)] == ["nobody", "nobody", "李四"]


@pytest.mark.parametrize("stays", [False, True], ids=["gone", "there after all"])
def test_a_sign_in_that_is_being_finished_hears_of_it(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]],
    simulator: DingTalkSimulator,
    stays: bool,
) -> None:
    """DingTalk is asked once more: its first answer was from before the event."""
    app, _, user_id = member_of()
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @dingtalk.on_login
    def leave(user: DingTalkUser, token: DingTalkToken | None) -> None:
        if not stays:
            simulator.leave("zhang")
        people_of(app).end_member(user_id)

    browser = app.test_client()
    response = simulator.sign_in(browser, "zhang")
    assert response.status_code == (302 if stays else 403)
    assert nick(browser) == ("张三" if stays else "nobody")
    assert [call.endpoint for call in simulator.calls].count("getbyunionid") == 2


@pytest.mark.parametrize("who", ["the member", "everybody"])
@pytest.mark.parametrize("after", [None, 86_400], ids=["no checks", "checks once a day"])
def test_somebody_who_was_changed_is_checked_at_the_next_guarded_request(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]],
    simulator: DingTalkSimulator,
    who: str,
    after: int | None,
) -> None:
    """Once, whatever DINGTALK_REVALIDATE_AFTER says."""
    app, browser, user_id = member_of(DINGTALK_REVALIDATE_AFTER=after)
    with app.app_context():
        people = people_of(app)
        marked = people.mark_member(user_id) if who == "the member" else people.mark_everybody()
    assert marked == 1
    simulator.users["zhang"].nick = "张三丰"
    assert browser.get("/report").text == "Report for 张三丰"
    simulator.calls.clear()
    assert browser.get("/report").status_code == 200
    assert called(simulator) == []


def test_a_change_that_comes_while_one_is_checked_is_not_lost(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]], simulator: DingTalkSimulator
) -> None:
    """The check may have asked before it."""
    app, browser, user_id = member_of()
    people = people_of(app)
    with app.app_context():
        people.mark_member(user_id)

    def again(*_: Any, **__: Any) -> None:
        with app.app_context():
            people.mark_member(user_id)

    from flask_dingtalk import token_refreshed

    with token_refreshed.connected_to(again, app):
        browser.get("/report")
    simulator.calls.clear()
    browser.get("/report")
    assert "getbyunionid" in called(simulator)


def test_who_is_changed_while_signing_in_is_checked_afterwards(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]], simulator: DingTalkSimulator
) -> None:
    """There was no sign-in yet that the event could mark."""
    app, _, user_id = member_of()
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @dingtalk.on_login
    def change(user: DingTalkUser, token: DingTalkToken | None) -> None:
        people_of(app).mark_member(user_id)

    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    simulator.calls.clear()
    browser.get("/report")
    assert "getbyunionid" in called(simulator)
    simulator.calls.clear()
    browser.get("/report")
    assert called(simulator) == []


@pytest.mark.parametrize("first", ["leave", "change"])
def test_a_change_does_not_hide_that_somebody_left(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]],
    simulator: DingTalkSimulator,
    first: str,
) -> None:
    """Events come in any order; whoever is signing in meanwhile is asked about again."""
    app, _, user_id = member_of()
    dingtalk: DingTalk = app.extensions["dingtalk"]
    people = people_of(app)

    @dingtalk.on_login
    def leave(user: DingTalkUser, token: DingTalkToken | None) -> None:
        simulator.leave("zhang")
        events = [
            lambda: people.end_member(user_id),
            people.mark_everybody,
            lambda: people.mark_member(user_id),
        ]
        for event in events if first == "leave" else reversed(events):
            event()

    browser = app.test_client()
    assert simulator.sign_in(browser, "zhang").status_code == 403
    assert nick(browser) == "nobody"


def test_everybody_may_be_many(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]], simulator: DingTalkSimulator
) -> None:
    """Each of six hundred sign-ins is marked, and each is ended."""
    app, browser, user_id = member_of()
    person = DingTalkUser("somebody", user_id=user_id, nick="张三")
    browsers = [signed_in(app.test_client(), person) for _ in range(600)]
    people = people_of(app)
    with app.app_context():
        assert people.mark_everybody() >= 601
        assert people.end_all("somebody") == 600
        assert people.end_member(user_id) == 1
    assert nick(browsers[-1]) == nick(browser) == "nobody"


def test_the_grace_of_a_change_counts_from_the_event(
    member_of: Callable[..., tuple[Flask, FlaskClient, str]],
    simulator: DingTalkSimulator,
    later: Later,
) -> None:
    """Not from the last check, which may be long ago."""
    app, browser, user_id = member_of(DINGTALK_REVALIDATE_GRACE=600)
    later(5000)
    with app.app_context():
        people_of(app).mark_member(user_id)
    simulator.fail("getbyunionid", times=None, status=500, code="unknownError")
    assert browser.get("/report").status_code == 200
    later(500)
    assert browser.get("/report").status_code == 200
    later(101)
    assert browser.get("/report").status_code == 302


# --- Signals -------------------------------------------------------------------------------------


def test_a_sign_in_that_ended_elsewhere_is_not_told_of(
    two: tuple[Flask, Flask], simulator: DingTalkSimulator
) -> None:
    """Where it ended, it was."""
    here, there = two
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    copy = copy_browser(browser, there)
    with heard_by(here) as heard_here, heard_by(there) as heard_there:
        browser.post("/dingtalk/logout")
        copy.get("/report")
        copy.post("/dingtalk/logout")
        simulator.sign_in(copy, "li")
    assert heard_here == ["out: 张三"]
    assert heard_there == ["in: 李四"]


class heard_by:  # noqa: N801  # reads as a function
    """Note the sign-ins and ends that an app tells of."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._heard: list[str] = []

    def __enter__(self) -> list[str]:
        user_logged_out.connect(self._out, self._app)
        user_logged_in.connect(self._in, self._app)
        return self._heard

    def __exit__(self, *_: object) -> None:
        user_logged_out.disconnect(self._out, self._app)
        user_logged_in.disconnect(self._in, self._app)

    def _out(self, sender: Flask, user: DingTalkUser | None) -> None:
        self._heard.append(f"out: {user.nick if user else None}")

    def _in(self, sender: Flask, user: DingTalkUser, token: DingTalkToken | None) -> None:
        self._heard.append(f"in: {user.nick}")


# --- Before and after there was a store ----------------------------------------------------------


def test_who_was_signed_in_by_cookie_before_is_signed_out_cleanly(
    app: Flask, process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """A sign-in takes a moment; a copy of such a cookie could never be ended."""
    before = app.test_client()
    simulator.sign_in(before, "zhang")
    before.post("/basket")
    after = copy_browser(before, process())
    assert nick(after) == "nobody"
    assert after.get("/report").status_code == 302
    assert after.get("/basket").json == ["apples"]
    simulator.sign_in(after, "zhang")
    assert nick(after) == "张三"


def test_without_the_store_that_there_was_nobody_is_signed_in(
    app: Flask, process: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """The id says nothing."""
    before = process().test_client()
    simulator.sign_in(before, "zhang")
    after = copy_browser(before, app)
    assert nick(after) == "nobody"
    simulator.sign_in(after, "li")
    assert nick(after) == "李四"


# --- Setting it up -------------------------------------------------------------------------------


def test_any_client_of_redis_py_is_a_store(
    simulator: DingTalkSimulator, redis_port: int, store_url: str
) -> None:
    """Whether or not it decodes answers; it stays as it was given."""
    import redis

    clients = [
        redis.Redis(port=redis_port, db=1, decode_responses=decodes) for decodes in (True, False)
    ]
    apps = []
    for client in clients:
        app = Flask(__name__)
        app.config.update(simulator.settings, SECRET_KEY="k", DINGTALK_MEMBERS_ONLY=False)
        DingTalk(app, store=client)
        app.add_url_rule("/", view_func=lambda: current_dingtalk_user.nick or "nobody")
        apps.append(app)
        assert client.connection_pool.connection_kwargs["socket_timeout"] in (None, 5)
    browser = apps[0].test_client()
    simulator.sign_in(browser, "zhang")
    assert nick(copy_browser(browser, apps[1])) == "张三"
    for client in clients:
        client.close()


def test_two_stores_are_one_too_many(make_app: AppFactory, store_url: str) -> None:
    """Which one was meant?"""
    import redis

    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="k",
        DINGTALK_CLIENT_ID="a",
        DINGTALK_CLIENT_SECRET="b",
        DINGTALK_STORE=store_url,
    )
    with redis.Redis() as client, pytest.raises(ConfigurationError, match="DINGTALK_STORE"):
        DingTalk(app, store=client)


@pytest.mark.parametrize(
    "address",
    ["", "localhost:6379", "http://h/", "redis+sentinel://h", 6379, "redis://:s3cret@h:x/0"],
)
def test_an_address_that_is_none_is_refused_at_the_start(
    make_app: AppFactory, address: object
) -> None:
    """By the name of the setting, and without what may be a password."""
    with pytest.raises(ConfigurationError, match="DINGTALK_STORE") as raised:
        make_app(DINGTALK_STORE=address)
    assert "s3cret" not in str(raised.value)


def test_an_asynchronous_client_is_refused_at_the_start(simulator: DingTalkSimulator) -> None:
    """Flask's views wait for the store."""
    import redis.asyncio

    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k")
    with pytest.raises(ConfigurationError, match="synchronous"):
        DingTalk(app, store=redis.asyncio.Redis())  # type: ignore[arg-type]


def test_a_site_without_a_store_does_not_load_redis() -> None:
    """Nor does it need to be installed."""
    program = """
import sys
sys.modules["redis"] = None
from flask import Flask
from flask_dingtalk import ConfigurationError, DingTalk
def site(**more):
    app = Flask(__name__)
    app.config.update(SECRET_KEY="k", DINGTALK_CLIENT_ID="a", DINGTALK_CLIENT_SECRET="b", **more)
    DingTalk(app)
site()
try:
    site(DINGTALK_STORE="redis://localhost")
except ConfigurationError as error:
    sys.exit("Flask-DingTalk[redis]" not in str(error))
sys.exit(1)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_start_opens_no_connection(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The store may come later than the site; its password is shown nowhere."""
    with caplog.at_level(logging.DEBUG):
        app = make_app(DINGTALK_STORE="redis://:s3cret@127.0.0.1:1/0")
        browser = app.test_client()
        assert browser.get("/basket").status_code == 200
        start(browser)
        with browser.session_transaction() as kept:
            kept["_dingtalk"] = "@" + "x" * 16
        response = browser.get("/report")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert "s3cret" not in caplog.text + response.text
    assert "store_unavailable" in caplog.text
    with app.test_request_context():
        assert session == {}
