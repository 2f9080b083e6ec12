"""``DINGTALK_REVALIDATE_AFTER``: who left must not stay signed in."""

from __future__ import annotations

import random
from typing import Any

import pytest
from cachelib import SimpleCache
from flask import Flask
from flask.testing import FlaskClient
from flask_session import Session

from flask_dingtalk import DingTalkUser, login_required, token_refreshed, user_logged_out
from flask_dingtalk.testing import DingTalkSimulator, signed_in
from flask_dingtalk.testing.people import Role

from .helpers import AppFactory, Later, called, load_at_once

AFTER = 900
GRACE = 3600

# Before anybody signs in: their first check is dated by the clock that `later` moves.
pytestmark = pytest.mark.usefixtures("later")


@pytest.fixture
def app(make_app: AppFactory) -> Flask:
    """Build a site for members that checks them every quarter of an hour."""
    return make_app(
        DINGTALK_MEMBERS_ONLY=True,
        DINGTALK_REVALIDATE_AFTER=AFTER,
        DINGTALK_REVALIDATE_GRACE=GRACE,
        DINGTALK_TIMEOUT=(1, 1),
    )


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
    simulator.sign_in(client, "zhang")
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
    simulator.sign_in(client, "zhang")
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
    simulator.sign_in(client, "zhang")
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
    member: FlaskClient,
    simulator: DingTalkSimulator,
    later: Later,
    caplog: pytest.LogCaptureFixture,
    endpoint: str,
    failure: dict[str, Any],
) -> None:
    """A check that could not be completed is not a no."""
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
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """One of them found out for all."""
    other = app.test_client()
    simulator.sign_in(other, "li")
    later(AFTER + 1)
    simulator.calls.clear()
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
    simulator.sign_in(client, "zhang")
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
    simulator.sign_in(client, "zhang")
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
    simulator.sign_in(client, "zhang")
    later(AFTER + 1)
    simulator.fail("users/me", nonsense=True)
    assert client.get("/report").status_code == 302


def test_those_who_wait_for_a_check_that_fails_do_not_check_in_turn(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A DingTalk that does not answer is waited for once."""
    later(AFTER + 1)
    simulator.fail("getbyunionid", timeout=True, times=None)
    assert load_at_once(app, member, "/report", 10) == [200] * 10
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
