"""``DINGTALK_REVALIDATE_AFTER``: who left must not stay signed in."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cachelib import SimpleCache
from flask import Flask
from flask.testing import FlaskClient
from flask_session import Session

from flask_dingtalk import DingTalkUser, login_required, token_refreshed, user_logged_out
from flask_dingtalk.testing import DingTalkSimulator, signed_in
from flask_dingtalk.testing.people import Role

from .helpers import (
    IMPATIENT,
    AppFactory,
    Later,
    called,
    in_time,
    load_at_once,
    patience_for,
    sign_in,
    sign_in_with,
    site_on,
)
from .stub import TOKEN, Answer, Asked, StubDingTalk

AFTER = 900
GRACE = 3600

# Before anybody signs in: their first check is dated by the clock that `later` moves.
pytestmark = pytest.mark.usefixtures("later")


#: The settings of a site for members that checks them every quarter of an hour.
CHECKED = {
    "DINGTALK_MEMBERS_ONLY": True,
    "DINGTALK_REVALIDATE_AFTER": AFTER,
    "DINGTALK_REVALIDATE_GRACE": GRACE,
}


@pytest.fixture
def app(make_app: AppFactory) -> Flask:
    """Build such a site."""
    return make_app(**CHECKED)


@pytest.fixture
def impatient(make_app: AppFactory) -> Flask:
    """Build such a site that does not wait long for DingTalk."""
    return make_app(**CHECKED, DINGTALK_TIMEOUT=IMPATIENT)


def enter(app: Flask, simulator: DingTalkSimulator, person: str) -> FlaskClient:
    """Sign in on a site that may be impatient, in a new browser."""
    browser = app.test_client()
    in_time(lambda: sign_in(browser, simulator, person))
    simulator.calls.clear()
    return browser


def test_before_its_time_nobody_is_asked(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A page costs no call."""
    later(AFTER - 5)
    assert member.get("/report").status_code == 200
    assert called(simulator) == []


def test_after_its_time_the_first_guarded_request_checks_again(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Membership, tokens, profile; and the next one need not."""
    later(AFTER + 1)
    assert member.get("/report").status_code == 200
    assert called(simulator) == ["getbyunionid", "refresh_token", "users/me"]
    assert member.get("/report").status_code == 200
    assert len(called(simulator)) == 3


def test_a_page_without_guard_checks_nobody(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """It is open to everybody anyway."""
    later(AFTER + 1)
    assert member.get("/").text == "张三"
    assert called(simulator) == []


def test_a_leaver_is_signed_out_and_lands_on_the_sign_in_page(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """At the first click after that time."""
    heard: list[str | None] = []

    def listen(sender: Flask, user: DingTalkUser) -> None:
        heard.append(user.nick)

    simulator.leave("zhang")
    assert member.get("/report").status_code == 200
    later(AFTER + 1)
    with user_logged_out.connected_to(listen, app):
        response = member.get("/report")
    assert response.headers["Location"] == "/dingtalk/login?next=/report"
    assert member.get("/").text == "nobody"
    assert heard == ["张三"]


def test_a_leaver_is_found_out_even_if_the_users_tokens_are_of_no_use(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Membership is asked with the application's own token, and first."""
    simulator.leave("zhang")
    simulator.fail("userAccessToken", status=400, code="invalidParameter.authCode.notFound")
    later(AFTER + 1)
    assert member.get("/report").status_code == 302
    assert member.get("/").text == "nobody"


def test_who_became_an_external_contact_is_signed_out(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """They are known to the organisation, and no member."""
    simulator.leave("zhang")
    simulator.join("zhang", external=True)
    later(AFTER + 1)
    assert member.get("/report").status_code == 302


def test_the_profile_and_the_tokens_are_renewed(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A new nick shows; the signal tells of the new tokens."""
    heard: list[Any] = []

    def listen(sender: Flask, **facts: Any) -> None:
        heard.append(facts["user"].nick)

    simulator.users["zhang"].nick = "张三丰"
    before = member.get("/whoami").json
    later(AFTER + 1)
    with token_refreshed.connected_to(listen, app):
        assert member.get("/report").text == "Report for 张三丰"
    after = member.get("/whoami").json
    assert before is not None
    assert after is not None
    assert after["expires_at"] > before["expires_at"]
    assert heard == ["张三"]


def test_the_employee_record_is_renewed(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """A new title shows."""
    app = make_app(DINGTALK_EMPLOYEE_PROFILE=True, DINGTALK_REVALIDATE_AFTER=AFTER)

    @app.get("/title")
    def title() -> str:
        from flask_dingtalk import current_dingtalk_user

        employee = current_dingtalk_user.employee
        return (employee.title if employee else None) or "none"

    client = app.test_client()
    sign_in(client, simulator)
    membership = simulator.users["zhang"].memberships[simulator.application.corp_id]
    membership.title = "总监"
    later(AFTER + 1)
    client.get("/report")
    assert client.get("/title").text == "总监"
    simulator.leave("zhang")
    later(AFTER + 1)
    assert client.get("/report").status_code == 200
    assert client.get("/title").text == "none"


def test_an_organisation_that_is_not_allowed_any_more_is_signed_out(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """The list may have become shorter since; nobody need wait for a check."""
    first, second = simulator.organisations
    client = make_app(DINGTALK_ALLOWED_CORP_IDS=[first, second]).test_client()
    simulator.sign_in(client, "zhang", corp_id=second)
    again = make_app(DINGTALK_ALLOWED_CORP_IDS=[first]).test_client()
    cookie = client.get_cookie("session")
    assert cookie is not None
    again.set_cookie("session", cookie.value)
    assert again.get("/report").status_code == 302
    assert again.get("/").text == "nobody"


def test_who_is_no_page_navigation_gets_401_when_signed_out(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """In the usual forms."""
    simulator.leave("zhang")
    later(AFTER + 1)
    response = member.get("/report", headers={"Accept": "application/json"})
    assert response.status_code == 401


def test_many_requests_at_once_check_once(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """With one cookie, as a page with twenty pictures sends them."""
    later(AFTER + 1)
    assert load_at_once(app, member, "/report", 20) == [200] * 20
    assert called(simulator) == ["getbyunionid", "refresh_token", "users/me"]


def test_a_cookie_from_before_the_check_finds_its_outcome(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """It was on its way in another tab."""
    later(AFTER + 1)
    old = member.get_cookie("session")
    assert old is not None
    member.get("/report")
    simulator.calls.clear()
    member.set_cookie("session", old.value)
    assert member.get("/report").status_code == 200
    assert called(simulator) == []


def test_a_cookie_from_before_they_left_does_not_bring_a_leaver_back(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Nor once they have joined again: that takes a new sign-in."""
    simulator.leave("zhang")
    later(AFTER + 1)
    old = member.get_cookie("session")
    assert old is not None
    assert member.get("/report").status_code == 302
    simulator.join("zhang")
    member.set_cookie("session", old.value)
    assert member.get("/report").status_code == 302


def test_a_cookie_from_before_the_last_check_does_not_outlive_the_next_one(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A leaver may have kept it."""
    old = member.get_cookie("session")
    assert old is not None
    later(AFTER + 1)
    assert member.get("/report").status_code == 200
    simulator.leave("zhang")
    later(AFTER + 1)
    member.set_cookie("session", old.value)
    assert member.get("/report").status_code == 302


def test_a_check_that_takes_longer_than_the_interval_is_made_once(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """Its outcome counts, although it is due again already."""
    client = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=5).test_client()
    sign_in(client, simulator)
    simulator.calls.clear()
    later(6)

    def take_long(sender: Flask, **facts: Any) -> None:
        later(60)

    with token_refreshed.connected_to(take_long):
        assert client.get("/report").status_code == 200
    assert called(simulator) == ["getbyunionid", "refresh_token", "users/me"]


def test_a_record_that_grew_too_large_is_reported(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The browser goes on with the cookie that it has, and the user stays."""
    client = make_app(DINGTALK_REVALIDATE_AFTER=AFTER).test_client()
    sign_in(client, simulator)
    simulator.users["zhang"].nick = "".join(
        map(chr, random.Random(3).sample(range(19968, 40000), 1200))
    )
    later(AFTER + 1)
    with pytest.warns(UserWarning, match="cookie is too large"):
        assert client.get("/report").status_code == 200
    assert "Flask-Session" in caplog.text


# --- When DingTalk cannot be asked ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "failure"),
    [
        pytest.param("getbyunionid", {"timeout": True}, id="membership: timeout"),
        pytest.param("getbyunionid", {"code": -1}, id="membership: busy"),
        pytest.param("getbyunionid", {"throttled": "ban"}, id="membership: banned"),
        pytest.param("getbyunionid", {"code": 60011}, id="membership: permission taken away"),
        pytest.param("userAccessToken", {"reset": True}, id="refresh: reset"),
        pytest.param("userAccessToken", {"timeout": True, "after": True}, id="refresh: lost"),
        pytest.param(
            "userAccessToken",
            {"status": 400, "code": "invalidParameter.authCode.notFound"},
            id="refresh: another process was quicker",
        ),
        pytest.param("users/me", {"nonsense": True}, id="profile: nonsense"),
    ],
)
def test_who_cannot_be_checked_stays_signed_in_and_the_failure_is_logged(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    caplog: pytest.LogCaptureFixture,
    endpoint: str,
    failure: dict[str, Any],
) -> None:
    """A check that could not be completed is not a no."""
    app = make_app(**CHECKED, DINGTALK_TIMEOUT=patience_for(failure))
    member = enter(app, simulator, "zhang")
    later(AFTER + 1)
    simulator.fail(endpoint, times=None, **failure)
    assert member.get("/report").status_code == 200
    assert "DingTalk could not be asked" in caplog.text


def test_tokens_that_a_broken_check_renewed_are_kept(
    make_app: AppFactory, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """The old ones are dead, and another process does not know of the new ones."""
    later(AFTER + 1)
    simulator.fail("users/me", nonsense=True)
    assert member.get("/report").status_code == 200
    cookie = member.get_cookie("session")
    assert cookie is not None
    elsewhere = make_app().test_client()
    elsewhere.set_cookie("session", cookie.value)
    assert elsewhere.get("/call").status_code == 200


def test_a_failed_check_is_tried_again_after_a_short_while(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Not at each request, and not only after the whole time again."""
    later(AFTER + 1)
    simulator.fail("getbyunionid", code=-1, times=None)
    member.get("/report")
    tried = len(called(simulator))
    assert tried > 0
    later(10)
    member.get("/report")
    assert len(called(simulator)) == tried
    simulator.clear_failures()
    later(30)
    simulator.calls.clear()
    assert member.get("/report").status_code == 200
    assert called(simulator) == ["getbyunionid", "refresh_token", "users/me"]


def test_a_ban_is_respected_for_as_long_as_it_lasts(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Five minutes without a call, whoever is due for a check."""
    later(AFTER + 1)
    simulator.fail("getbyunionid", throttled="ban", times=None)
    member.get("/report")
    tried = len(called(simulator))
    for _ in range(5):
        later(55)
        assert member.get("/report").status_code == 200
    assert len(called(simulator)) == tried
    later(30)
    member.get("/report")
    assert len(called(simulator)) > tried


def test_while_dingtalk_cannot_be_reached_not_every_user_waits_for_it(
    impatient: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """One of them found out for all."""
    member, other = (enter(impatient, simulator, person) for person in ("zhang", "li"))
    later(AFTER + 1)
    simulator.fail("getbyunionid", timeout=True, times=None)
    assert member.get("/report").status_code == 200
    assert other.get("/report").status_code == 200
    assert called(simulator) == ["getbyunionid"]


def test_in_another_process_a_refresh_that_was_refused_throws_no_member_out(
    make_app: AppFactory, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Two requests with one cookie reached two of them, long after the check was due."""
    other = make_app(
        DINGTALK_MEMBERS_ONLY=True,
        DINGTALK_REVALIDATE_AFTER=AFTER,
        DINGTALK_REVALIDATE_GRACE=GRACE,
    ).test_client()
    cookie = member.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)
    later(AFTER + GRACE + 5000)
    assert member.get("/report").status_code == 200
    response = other.get("/report")
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


def test_a_member_with_dead_tokens_is_checked_once_for_each_interval(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """The session keeps its time of check then; the process remembers the last one."""
    simulator.fail(
        "userAccessToken", status=400, code="invalidParameter.authCode.notFound", times=None
    )
    later(7200)
    for _ in range(5):
        later(AFTER + 1)
        assert member.get("/report").status_code == 200
        assert member.get("/report").status_code == 200
    assert called(simulator).count("getbyunionid") == 5
    assert called(simulator).count("refresh_token") == 1


def test_a_check_in_the_future_is_none(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """The clock was wrong, and set right; a leaver must not profit."""
    app = make_app(
        DINGTALK_MEMBERS_ONLY=True,
        DINGTALK_REVALIDATE_AFTER=AFTER,
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=SimpleCache(),
    )
    Session(app)
    client = app.test_client()
    later(10 * 86_400)
    sign_in(client, simulator)
    simulator.leave("zhang")
    later(-10 * 86_400)
    assert client.get("/report").status_code == 302


def test_the_rule_of_a_view_sees_what_the_view_sees(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """Roles that the cookie has no room for are gone for both, at the check as well."""
    app = make_app(DINGTALK_EMPLOYEE_PROFILE=True, DINGTALK_REVALIDATE_AFTER=AFTER)
    has_roles = login_required(check=lambda user: bool(user.employee and user.employee.roles))
    app.add_url_rule("/roles", "roles", has_roles(lambda: "inside"))
    client = app.test_client()
    membership = simulator.users["zhang"].memberships[simulator.application.corp_id]
    noise = random.Random(4)
    membership.roles = tuple(Role(n, noise.randbytes(30).hex(), "g") for n in range(60))
    sign_in(client, simulator)
    assert client.get("/roles").status_code == 403
    later(AFTER + 1)
    assert client.get("/roles").status_code == 403


def test_after_the_grace_the_sign_in_ends(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Nobody stays for ever because DingTalk is down."""
    simulator.fail("getbyunionid", throttled="ban", times=None)
    later(AFTER + GRACE - 10)
    assert member.get("/report").status_code == 200
    later(20)
    assert member.get("/report").status_code == 302
    assert member.get("/").text == "nobody"


def test_after_the_grace_one_last_try_may_still_succeed(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Who comes back after the weekend is checked and stays."""
    later(AFTER + GRACE + 60_000)
    assert member.get("/report").status_code == 200


def test_a_grace_of_zero_ends_the_sign_in_at_the_first_failure(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """For who prefers it strict."""
    app = make_app(DINGTALK_REVALIDATE_AFTER=AFTER, DINGTALK_REVALIDATE_GRACE=0)
    client = app.test_client()
    sign_in(client, simulator)
    later(AFTER + 1)
    simulator.fail("users/me", nonsense=True)
    assert client.get("/report").status_code == 302


def test_those_who_wait_for_a_check_that_fails_do_not_check_in_turn(
    impatient: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """A DingTalk that does not answer is waited for once."""
    member = enter(impatient, simulator, "zhang")
    later(AFTER + 1)
    simulator.fail("getbyunionid", timeout=True, times=None)
    assert load_at_once(impatient, member, "/report", 10) == [200] * 10
    assert called(simulator) == ["getbyunionid"]


def test_another_person_behind_the_token_is_signed_out(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A union id can change once, when an account is migrated; then a new sign-in is due."""
    later(AFTER + 1)
    simulator.fail("users/me", body='{"unionId": "another", "nick": "x"}')
    assert member.get("/report").status_code == 302
    assert member.get("/").text == "nobody"


def test_a_user_without_tokens_is_checked_for_membership(
    app: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """Some ways to sign in yield none."""
    zhang = simulator.users["zhang"]
    user = DingTalkUser(union_id=zhang.union_id, nick="张三", user_id="zhang-1")
    client = signed_in(app.test_client(), user)
    later(AFTER + 1)
    assert client.get("/report").status_code == 200
    assert called(simulator) == ["accessToken", "getbyunionid"]
    simulator.leave("zhang")
    later(AFTER + 1)
    assert client.get("/report").status_code == 302


# --- What DingTalk does say counts ---------------------------------------------------------------


#: Each way in which a call of the new API can go wrong, as arguments of ``simulator.fail``.
FAILURES = [
    pytest.param({"timeout": True}, id="no answer"),
    pytest.param({"reset": True}, id="reset"),
    pytest.param({"throttled": True}, id="throttled"),
    pytest.param({"throttled": "ban"}, id="banned"),
    pytest.param({"nonsense": True}, id="nonsense"),
    pytest.param({"status": 503}, id="down"),
    pytest.param({"status": 400, "code": "invalidParameter.authCode.notFound"}, id="refused"),
]
DEAD: dict[str, Any] = {"status": 400, "code": "invalidParameter.authCode.notFound", "times": None}
REFUSED: dict[str, Any] = {"status": 400, "code": "InvalidAuthentication", "times": None}


def admins_only(app: Flask) -> FlaskClient:
    """Add a page for administrators, and open a browser on the site."""
    is_admin = login_required(check=lambda user: bool(user.employee and user.employee.admin))
    app.add_url_rule("/admin", "admin", is_admin(lambda: "inside"))
    return app.test_client()


@pytest.mark.parametrize("in_one_process", [True, False], ids=["one process", "two processes"])
def test_a_demoted_administrator_loses_the_role_in_each_browser(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later, in_one_process: bool
) -> None:
    """Also in those whose tokens another browser has used up: for days, at each check."""
    settings = {
        "DINGTALK_MEMBERS_ONLY": True,
        "DINGTALK_EMPLOYEE_PROFILE": True,
        "DINGTALK_REVALIDATE_AFTER": 3600,
    }
    first = admins_only(make_app(**settings))
    second = (
        first.application.test_client() if in_one_process else admins_only(make_app(**settings))
    )
    record = simulator.users["zhang"].memberships[simulator.application.corp_id]
    record.admin = True
    for browser in (first, second):
        sign_in(browser, simulator)
        assert browser.get("/admin").text == "inside"
    record.admin = False
    for _ in range(24):
        later(3601)
        simulator.advance(3601)
        assert [browser.get("/admin").status_code for browser in (second, first)] == [403, 403]


def test_a_demoted_administrator_loses_the_role_where_dingtalk_takes_neither_token(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """The record is asked with the application's own."""
    browser = admins_only(
        make_app(
            DINGTALK_MEMBERS_ONLY=True,
            DINGTALK_EMPLOYEE_PROFILE=True,
            DINGTALK_REVALIDATE_AFTER=AFTER,
        )
    )
    record = simulator.users["zhang"].memberships[simulator.application.corp_id]
    record.admin = True
    sign_in(browser, simulator)
    simulator.fail("userAccessToken", **DEAD)
    simulator.fail("users/me", **REFUSED)
    later(AFTER + 1)
    assert browser.get("/admin").text == "inside"
    record.admin = False
    later(AFTER + 1)
    assert browser.get("/admin").status_code == 403
    assert browser.get("/report").status_code == 200


@pytest.mark.parametrize("failure", FAILURES)
def test_who_is_no_member_is_out_at_once_whatever_else_fails(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later, failure: dict[str, Any]
) -> None:
    """Neither tokens nor profile nor record are needed to know it."""
    browser = make_app(
        DINGTALK_MEMBERS_ONLY=True,
        DINGTALK_EMPLOYEE_PROFILE=True,
        DINGTALK_REVALIDATE_AFTER=AFTER,
    ).test_client()
    sign_in(browser, simulator)
    simulator.leave("zhang")
    for endpoint in ("userAccessToken", "users/me"):
        simulator.fail(endpoint, times=None, **failure)
    simulator.fail("user/get", times=None, code=-1)
    later(AFTER + 1)
    assert browser.get("/report").status_code == 302
    assert browser.get("/").text == "nobody"


@pytest.mark.parametrize("endpoint", ["userAccessToken", "users/me"])
@pytest.mark.parametrize("how", [{"throttled": True}, {"throttled": "ban"}, {"timeout": True}])
def test_what_stalls_one_question_suspends_the_question_of_membership_for_nobody(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    endpoint: str,
    how: dict[str, Any],
) -> None:
    """Neither for the one whose refresh or profile it was, nor for others."""

    def first_question(browser: FlaskClient) -> list[str]:
        simulator.calls.clear()
        assert browser.get("/report").status_code == 200
        return called(simulator)[:1]

    def first_questions() -> list[list[str]]:
        simulator.clear_failures()
        app = make_app(**CHECKED, DINGTALK_TIMEOUT=patience_for(how))
        member, other = (enter(app, simulator, person) for person in ("zhang", "li"))
        simulator.fail(endpoint, times=None, **how)
        later(AFTER + 1)
        soon = [first_question(member), first_question(other)]
        later(AFTER + 1)
        return [*soon, first_question(member)]

    # On a busy machine, the question of membership itself may get no answer in time.
    assert [["getbyunionid"]] * 3 in (first_questions() for _ in range(20))


# --- Tokens that DingTalk does not take any more, where membership is not asked ------------------


@pytest.fixture
def guest(make_app: AppFactory, simulator: DingTalkSimulator) -> FlaskClient:
    """Open a browser with somebody signed in to a site that is open to everybody."""
    browser = make_app(DINGTALK_REVALIDATE_AFTER=AFTER).test_client()
    sign_in(browser, simulator)
    simulator.calls.clear()
    return browser


def test_dead_tokens_end_a_sign_in_after_a_minute_and_not_at_once(
    guest: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Another process may have renewed the pair, and the browser be about to bring it."""
    simulator.fail("userAccessToken", **DEAD)
    simulator.fail("users/me", **REFUSED)
    later(AFTER + 1)
    assert guest.get("/report").status_code == 200
    assert called(simulator) == ["refresh_token", "users/me"]
    later(55)
    assert guest.get("/report").status_code == 200
    assert called(simulator) == ["refresh_token", "users/me"]
    later(6)
    assert guest.get("/report").status_code == 302
    assert guest.get("/").text == "nobody"
    assert called(simulator).count("refresh_token") == 1


def test_a_newer_pair_that_arrives_within_that_minute_saves_the_sign_in(
    make_app: AppFactory, guest: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """It was renewed in another process; this one was merely slower."""
    elsewhere = make_app(DINGTALK_REVALIDATE_AFTER=AFTER).test_client()
    cookie = guest.get_cookie("session")
    assert cookie is not None
    elsewhere.set_cookie("session", cookie.value)
    later(AFTER + 1)
    assert elsewhere.get("/report").status_code == 200
    assert guest.get("/report").status_code == 200
    newer = elsewhere.get_cookie("session")
    assert newer is not None
    assert newer.value != cookie.value
    later(30)
    guest.set_cookie("session", newer.value)
    assert guest.get("/").text == "张三"
    later(31)
    assert guest.get("/report").status_code == 200
    assert guest.get("/call").status_code == 200


def test_that_minute_counts_also_where_the_check_is_long_overdue(
    make_app: AppFactory, guest: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """After the weekend, two requests of one page reach two processes."""
    elsewhere = make_app(DINGTALK_REVALIDATE_AFTER=AFTER).test_client()
    cookie = guest.get_cookie("session")
    assert cookie is not None
    elsewhere.set_cookie("session", cookie.value)
    later(2 * 86_400)
    simulator.advance(2 * 86_400)
    assert elsewhere.get("/report").status_code == 200
    for _ in range(3):
        response = guest.get("/report")
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
    assert called(simulator).count("refresh_token") == 2
    later(61)
    assert guest.get("/report").status_code == 302


def test_an_access_token_that_is_still_good_keeps_somebody_whose_refresh_is_refused(
    guest: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """DingTalk vouches for them with it, until it ends after two hours."""
    simulator.fail("userAccessToken", **DEAD)
    for _ in range(7):
        later(AFTER + 1)
        assert guest.get("/report").status_code == 200
    later(AFTER + 1)
    assert guest.get("/report").status_code == 302


# --- An orderly end, in a world that is not ------------------------------------------------------


def test_a_clock_that_is_set_back_during_a_check_makes_no_loop(
    stub: StubDingTalk, later: Later
) -> None:
    """The check counts as never made, and is made once more; that is all."""
    browser = site_on(stub, DINGTALK_REVALIDATE_AFTER=AFTER).test_client()
    sign_in_with(browser)

    def set_back(asked: Asked) -> Answer:
        later(-7000)
        stub.token = Answer(TOKEN)
        return Answer(TOKEN)

    later(AFTER + 1)
    stub.asked.clear()
    stub.token = set_back
    for _ in range(5):
        assert browser.get("/report").status_code == 200
    assert len(stub.asked) <= 4


@pytest.mark.parametrize("seconds", [-30, -3600, -10 * 86_400])
def test_a_clock_that_is_set_back_between_checks_costs_one_check_at_most(
    app: Flask, simulator: DingTalkSimulator, later: Later, seconds: int
) -> None:
    """Somebody checked in the future may have left since."""
    # Flask refuses its own cookie if that was signed in the future.
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache())
    Session(app)
    member = app.test_client()
    sign_in(member, simulator)
    simulator.calls.clear()
    later(seconds)
    for _ in range(5):
        assert member.get("/report").status_code == 200
    assert called(simulator).count("getbyunionid") == (0 if seconds == -30 else 1)


def test_beyond_the_grace_one_request_asks_and_no_other(
    impatient: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """Not one after the other, each holding its thread: the sign-in has ended."""
    member = enter(impatient, simulator, "zhang")
    simulator.fail("getbyunionid", timeout=True, times=None)
    later(AFTER + GRACE + 1)
    assert load_at_once(impatient, member, "/report", 10) == [302] * 10
    asked = len(called(simulator))
    for _ in range(5):
        assert member.get("/report").status_code == 302
    assert len(called(simulator)) == asked == 1


def test_beyond_the_grace_a_dingtalk_out_of_reach_is_not_waited_for_by_each_person(
    impatient: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """One found out for all."""
    member, other = (enter(impatient, simulator, person) for person in ("zhang", "li"))
    simulator.fail("getbyunionid", timeout=True, times=None)
    later(AFTER + GRACE + 1)
    assert member.get("/report").status_code == 302
    assert other.get("/report").status_code == 302
    assert called(simulator) == ["getbyunionid"]


@pytest.mark.parametrize("signal", [token_refreshed, user_logged_out], ids=["tokens", "end"])
def test_a_listener_may_ask_guards_and_call_dingtalk_during_a_check(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later, signal: Any
) -> None:
    """Nobody waits for a check that is waiting for them."""
    heard: list[Any] = []
    dingtalk = app.extensions["dingtalk"]

    def listen(sender: Flask, **facts: Any) -> None:
        refused = dingtalk.refusal() is not None
        heard.append((refused, login_required(lambda: "inside")() == "inside"))
        if not refused:
            heard.append(dingtalk.get("/v1.0/contact/users/me").status_code)

    if signal is user_logged_out:
        simulator.leave("zhang")
    later(AFTER + 1)
    with signal.connected_to(listen, app):
        status = member.get("/report").status_code
    if signal is user_logged_out:
        assert (status, heard) == (302, [(True, False)])
    else:
        assert (status, heard) == (200, [(False, True), 200])
        assert called(simulator).count("refresh_token") == 1


def test_the_rule_of_a_view_may_ask_another_guard(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """During the first request after a check was due."""
    seen: list[Any] = []

    def rule(user: DingTalkUser) -> bool:
        seen.append(app.extensions["dingtalk"].refusal())
        return True

    later(AFTER + 1)
    with member:
        member.get("/")
        assert login_required(check=rule)(lambda: "inside")() == "inside"
    assert seen == [None]
    assert called(simulator) == ["getbyunionid", "refresh_token", "users/me"]


def test_a_check_and_a_call_that_cross_renew_the_tokens_once(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Both find the access token ended at the same moment."""
    later(7200)
    simulator.advance(7200)
    cookie = member.get_cookie("session")
    assert cookie is not None

    def load(path: str) -> int:
        tab = app.test_client()
        tab.set_cookie("session", cookie.value)
        return tab.get(path).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(load, ["/report", "/call"] * 4)) == [200] * 8
    assert called(simulator).count("refresh_token") == 1
    assert member.get("/call").status_code == 200


def test_pairs_that_follow_each_other_in_a_circle_make_no_loop(
    stub: StubDingTalk, later: Later
) -> None:
    """DingTalk gives a pair that was there before, and its access token has ended."""

    def next_pair(asked: Asked) -> Answer:
        number = 2 if b"first" in asked.body else 1
        name = {1: "first", 2: "second"}[number]
        return Answer(TOKEN | {"accessToken": name, "refreshToken": name, "expireIn": 1})

    stub.token = next_pair
    browser = site_on(stub, DINGTALK_REVALIDATE_AFTER=AFTER).test_client()
    sign_in_with(browser)
    stub.asked.clear()
    for _ in range(4):
        later(AFTER + 1)
        assert browser.get("/call").status_code in (200, 401)
    assert len(stub.asked) <= 30
