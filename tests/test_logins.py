"""When a sign-in ends, and that nothing brings it back: no copy of a cookie, no late answer."""

from __future__ import annotations

import io
import logging
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, session
from flask.sessions import SessionInterface, SessionMixin
from flask.testing import FlaskClient

from flask_dingtalk import (
    DingTalk,
    DingTalkToken,
    DingTalkUser,
    current_dingtalk_user,
    user_logged_in,
    user_logged_out,
)
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import (
    AppFactory,
    Later,
    come_back,
    copy_browser,
    load_at_once,
    sign_in,
    sign_in_with,
    site_on,
    start,
)
from .stub import TOKEN, Answer, Asked, StubDingTalk

#: The default of DINGTALK_SIGN_IN_LIFETIME.
THIRTY_DAYS = 30 * 86_400


class _Held(io.RawIOBase):
    """A request body that comes to its end when it is told to."""

    def __init__(self, begun: threading.Event, rest: threading.Event) -> None:
        super().__init__()
        self._begun, self._rest = begun, rest
        self._parts = [b"a=", b"1"]

    def readable(self) -> bool:
        """Say yes, as every body does."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read a part; the second one is late."""
        if len(self._parts) == 1:
            self._begun.set()
            self._rest.wait(60)
        part = self._parts.pop(0) if self._parts else b""
        buffer[: len(part)] = part
        return len(part)


class SlowRequest:
    """A request that read its session long before its answer arrives."""

    def __init__(self, browser: FlaskClient, **request: Any) -> None:
        begun, self._rest = threading.Event(), threading.Event()
        if request.get("method") == "POST":
            body = {"wsgi.input": _Held(begun, self._rest), "CONTENT_LENGTH": "3"}
            request |= {"environ_overrides": body}
        else:
            browser.application.config["SLOW"] = (begun, self._rest)
        self._browser = browser
        # A separate tab: the test says when the browser gets to see this answer.
        self._tab = copy_browser(browser)
        self._thread = threading.Thread(target=self._tab.open, args=["/slow"], kwargs=request)
        self._thread.start()
        assert begun.wait(60)

    def finish(self) -> None:
        """Let the request come to its end; the browser has not seen its answer yet."""
        self._rest.set()
        self._thread.join(60)

    def arrive(self) -> None:
        """Let the browser take what the answer says about its cookie."""
        cookie = self._tab.get_cookie("session")
        assert cookie is not None
        self._browser.set_cookie("session", cookie.value)


@pytest.fixture
def site(make_app: AppFactory, session_settings: Callable[[Flask], Flask]) -> Flask:
    """Build a site with a slow page that fills a basket, once with each session interface."""
    app = session_settings(make_app())

    @app.route("/slow", methods=["GET", "POST"])
    def slow() -> str:
        from flask import request

        session["basket"] = ["pears"]
        if request.method == "POST":
            return request.get_data(as_text=True)
        begun, rest = app.config["SLOW"]
        begun.set()
        rest.wait(60)
        return "done"

    return app


LATE = [pytest.param({}, id="a slow page"), pytest.param({"method": "POST"}, id="a slow upload")]


# --- Final ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", LATE)
@pytest.mark.parametrize("arrives", [True, False], ids=["the answer arrives", "it never does"])
def test_a_late_answer_does_not_undo_a_sign_out(
    site: Flask, simulator: DingTalkSimulator, request_: dict[str, Any], arrives: bool
) -> None:
    """It writes back the whole session that it read at its start."""
    browser = site.test_client()
    sign_in(browser, simulator)
    slow = SlowRequest(browser, **request_)
    browser.post("/dingtalk/logout")
    slow.finish()
    if arrives:
        slow.arrive()
    assert browser.get("/").text == "nobody"
    assert browser.get("/report").status_code == 302


@pytest.mark.parametrize("request_", LATE)
def test_a_late_answer_does_not_bring_back_the_person_before(
    site: Flask, simulator: DingTalkSimulator, request_: dict[str, Any]
) -> None:
    """Somebody else has signed in in this browser since."""
    browser = site.test_client()
    sign_in(browser, simulator)
    slow = SlowRequest(browser, **request_)
    sign_in(browser, simulator, "li")
    slow.finish()
    slow.arrive()
    assert browser.get("/").text in ("李四", "nobody")
    assert "张三" not in browser.get("/report").text


def test_a_late_answer_of_this_very_person_keeps_what_it_put_into_the_session(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """Only the sign-in is taken from it, not the site's own data."""
    browser = site.test_client()
    sign_in(browser, simulator)
    slow = SlowRequest(browser)
    browser.post("/dingtalk/logout")
    slow.finish()
    slow.arrive()
    assert browser.get("/basket").json == ["pears"]


def test_no_copy_of_a_cookie_outlives_the_sign_out(
    member: FlaskClient,
) -> None:
    """Whoever made it, and whenever."""
    before = copy_browser(member)
    member.post("/basket")
    after = copy_browser(member)
    member.post("/dingtalk/logout")
    for copy in (before, after):
        assert copy.get("/").text == "nobody"
        assert copy.get("/report").status_code == 302
        assert copy.get("/whoami").json["has_token"] is False  # type: ignore[index]


def test_a_sign_out_of_a_copy_signs_the_original_out(member: FlaskClient) -> None:
    """It is one sign-in."""
    copy_browser(member).post("/dingtalk/logout")
    assert member.get("/").text == "nobody"


def test_a_sign_out_leaves_the_same_persons_other_browsers_alone(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Each browser has a separate sign-in."""
    phone = app.test_client()
    sign_in(phone, simulator)
    member.post("/dingtalk/logout")
    assert phone.get("/").text == "张三"


@pytest.mark.parametrize("page", ["/call", "/report"], ids=["a refresh", "a check"])
def test_what_was_under_way_at_the_sign_out_brings_nobody_back(
    stub: StubDingTalk, later: Later, page: str
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
    browser = site_on(stub, DINGTALK_REVALIDATE_AFTER=7300).test_client()
    sign_in_with(browser)
    later(7200 if page == "/call" else 7301)
    tab = copy_browser(browser)
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(tab.get(page).status_code))
    thread.start()
    assert asked.wait(60)
    browser.post("/dingtalk/logout")
    answer.set()
    thread.join(60)
    assert statuses[0] in (302, 401)
    for each in (browser, tab):
        assert each.get("/").text == "nobody"


def test_within_a_request_nobody_is_signed_out_half_way(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """A sign-out elsewhere counts from the next request on."""

    @app.get("/half")
    def half() -> list[str | None]:
        before = current_dingtalk_user.nick
        other_tab.post("/dingtalk/logout")
        return [before, current_dingtalk_user.nick]

    member = app.test_client()
    sign_in(member, simulator)
    other_tab = copy_browser(member)
    assert member.get("/half").json == ["张三", "张三"]
    assert member.get("/").text == "nobody"


class _Shelf(SessionInterface):
    """Keeps one session for everybody, and costs next to nothing."""

    def __init__(self) -> None:
        self.session = self.Plain()

    class Plain(dict[str, Any], SessionMixin):
        """A session that is a dictionary."""

    def open_session(self, app: Flask, request: Any) -> SessionMixin:
        """Return the one session."""
        return self.session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Leave it where it is."""

    def regenerate(self, session: SessionMixin) -> None:
        """Have no id to renew."""


@pytest.mark.slow
def test_the_latest_ten_thousand_ends_are_remembered(app: Flask) -> None:
    """In a large company everybody signs out in the evening."""
    shelf = app.session_interface = _Shelf()
    dingtalk: DingTalk = app.extensions["dingtalk"]
    client, user = app.test_client(), DingTalkUser(union_id="u", nick="张三")
    signed_in(client, user)
    first = dict(shelf.session)
    with app.test_request_context():
        dingtalk.logout()
        for _ in range(9_999):
            signed_in(client, user)
            dingtalk.logout()
    shelf.session.update(first)
    assert client.get("/").text == "nobody"


# --- A new sign-in ends the one before -----------------------------------------------------------


@pytest.mark.parametrize("who", ["zhang", "li"], ids=["the same person", "another person"])
def test_a_new_sign_in_ends_the_one_before_in_that_browser(
    member: FlaskClient, simulator: DingTalkSimulator, who: str
) -> None:
    """A copy of the old cookie is dead."""
    copy = copy_browser(member)
    sign_in(member, simulator, who)
    assert copy.get("/").text == "nobody"
    assert member.get("/").text == simulator.users[who].nick


@pytest.mark.parametrize("clears", ["session.clear()", "dingtalk.logout()"])
def test_it_ends_also_where_a_hook_empties_the_session_first(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, clears: str
) -> None:
    """Many sites begin a sign-in with an empty session; the event is the same."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @dingtalk.on_login
    def begin_afresh(user: DingTalkUser, token: DingTalkToken | None) -> None:
        if clears == "session.clear()":
            session.clear()
        else:
            dingtalk.logout()

    copy = copy_browser(member)
    with listening(app) as heard:
        sign_in(member, simulator, "li")
    assert copy.get("/").text == "nobody"
    assert member.get("/").text == "李四"
    assert heard == ["out: 张三", "in: 李四"]


def test_a_sign_in_that_fails_leaves_the_one_before(app: Flask, member: FlaskClient) -> None:
    """Declined, made up or refused by the site: nobody is signed out by it."""
    with listening(app) as heard:
        assert come_back(member, start(member), "made-up").status_code == 400
    assert member.get("/").text == "张三"
    assert heard == []


# --- Lifetime ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "lifetime"),
    [
        pytest.param({}, THIRTY_DAYS, id="thirty days"),
        pytest.param({"DINGTALK_SIGN_IN_LIFETIME": 3600}, 3600, id="an hour"),
    ],
)
def test_a_sign_in_ends_after_its_lifetime_however_its_cookie_was_renewed(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    settings: dict[str, Any],
    lifetime: int,
) -> None:
    """By the site's data, by sign-ins that were begun, by checks and by new tokens."""
    app = make_app(DINGTALK_REVALIDATE_AFTER=lifetime // 10, **settings)
    browser = app.test_client()
    sign_in(browser, simulator)
    for _ in range(9):
        later(lifetime / 10 - 1)
        simulator.advance(lifetime / 10 - 1)
        browser.post("/basket")
        start(browser)
        assert browser.get("/report").status_code == 200
        assert browser.get("/call").status_code == 200
    later(lifetime / 10 + 5)
    assert browser.get("/basket").json == ["apples"]
    assert browser.get("/").text == "张三"
    later(5)
    assert browser.get("/").text == "nobody"
    assert browser.get("/report").status_code == 302


def test_a_new_sign_in_has_a_lifetime_of_its_own(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """It counts from when that person came back from DingTalk."""
    browser = make_app(DINGTALK_SIGN_IN_LIFETIME=3600).test_client()
    sign_in(browser, simulator)
    later(3000)
    sign_in(browser, simulator)
    later(3000)
    assert browser.get("/").text == "张三"


# --- The signal of an end ------------------------------------------------------------------------


@contextmanager
def listening(app: Flask) -> Iterator[list[str]]:
    """Note the sign-ins and ends that a site is told of, in order."""
    heard: list[str] = []

    def note_out(sender: Flask, user: DingTalkUser | None) -> None:
        heard.append(f"out: {user.nick if user else None}")

    def note_in(sender: Flask, user: DingTalkUser, token: DingTalkToken | None) -> None:
        heard.append(f"in: {user.nick}")

    with user_logged_out.connected_to(note_out, app), user_logged_in.connected_to(note_in, app):
        yield heard


def test_a_sign_out_is_told_of_once(app: Flask, member: FlaskClient) -> None:
    """However often the button is pressed, and from however many copies."""
    copy = copy_browser(member)
    with listening(app) as heard:
        for browser in (member, member, copy):
            browser.post("/dingtalk/logout")
    assert heard == ["out: 张三"]


def test_a_view_that_signs_out_twice_is_told_of_it_once(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """A site's own sign-out may call ``dingtalk.logout()`` in several places."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.post("/leave")
    def leave() -> str:
        dingtalk.logout()
        dingtalk.logout()
        return "bye"

    member = app.test_client()
    sign_in(member, simulator)
    with listening(app) as heard:
        member.post("/leave")
    assert heard == ["out: 张三"]


def test_a_change_of_person_ends_the_first_before_the_second_begins(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A site can close the first one's books by then."""
    with listening(app) as heard:
        sign_in(member, simulator, "li")
    assert heard == ["out: 张三", "in: 李四"]


def test_the_same_person_again_is_no_sign_out(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """They are still here."""
    with listening(app) as heard:
        sign_in(member, simulator)
    assert heard == ["in: 张三"]


def test_a_check_that_says_no_is_told_of_once(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """However many requests notice it at once."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=900)
    browser = app.test_client()
    sign_in(browser, simulator)
    simulator.leave("zhang")
    later(901)
    with listening(app) as heard:
        assert load_at_once(app, browser, "/report", 10) == [302] * 10
        browser.post("/dingtalk/logout")
    assert heard == ["out: 张三"]


def test_a_record_that_cannot_be_read_is_told_of_at_the_sign_out(app: Flask) -> None:
    """Whoever it was: nobody knows any more."""
    browser = app.test_client()
    with browser.session_transaction() as kept:
        kept["_dingtalk"] = "sealed with a key that is gone"
    with listening(app) as heard:
        browser.get("/report")
        browser.post("/dingtalk/logout")
        browser.post("/dingtalk/logout")
    assert heard == ["out: None"]


def test_a_sign_in_over_a_record_that_cannot_be_read_tells_of_nobody_leaving(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """That one ended when its key did."""
    browser = app.test_client()
    with browser.session_transaction() as kept:
        kept["_dingtalk"] = "sealed with a key that is gone"
    with listening(app) as heard:
        sign_in(browser, simulator)
    assert heard == ["in: 张三"]


def test_a_lifetime_that_is_over_is_told_of_to_nobody(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """Neither when it is noticed, nor at a sign-out, nor at the next sign-in."""
    app = make_app(DINGTALK_SIGN_IN_LIFETIME=3600)
    signing_out, signing_in = app.test_client(), app.test_client()
    for browser in (signing_out, signing_in):
        sign_in(browser, simulator)
    later(3601)
    with listening(app) as heard:
        assert signing_out.get("/report").status_code == 302
        signing_out.post("/dingtalk/logout")
        sign_in(signing_in, simulator, "li")
    assert heard == ["in: 李四"]


# --- Session ids and versions --------------------------------------------------------------------


class _CannotRenew(_Shelf):
    """As Flask-Session 0.5: the id of a session is for ever."""

    regenerate = None  # type: ignore[assignment]


def test_a_session_interface_that_cannot_renew_ids_is_named_in_the_log(
    app: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A planted id is signed in as well then; the cure is a newer version."""
    app.session_interface = _CannotRenew()
    sign_in(app.test_client(), simulator)
    (warning,) = [r.getMessage() for r in caplog.records if "renew" in r.getMessage()]
    assert "Flask-Session 0.7" in warning
    assert "_CannotRenew" in warning


def test_a_session_interface_that_renews_ids_is_not(
    site: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask's cookie has no id at all."""
    sign_in(site.test_client(), simulator)
    assert "renew" not in caplog.text


def test_a_record_of_another_version_means_signed_out_and_the_debug_log_says_so(
    member: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """After an update everybody signs in once more."""
    with member.session_transaction() as kept:
        sealed = kept["_dingtalk"]
        data = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        kept["_dingtalk"] = urlsafe_b64encode(b"\x01" + data[1:]).decode().rstrip("=")
    assert member.get("/").text == "nobody"
    lines = [r for r in caplog.records if "cannot be read" in r.getMessage()]
    assert [line.levelno for line in lines] == [logging.DEBUG]
