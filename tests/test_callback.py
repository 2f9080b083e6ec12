"""``GET …/callback``: the browser comes back from DingTalk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import InvalidState, login_failed
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import (
    IMPATIENT,
    NO_STATES,
    SECRET_KEY,
    AppFactory,
    Later,
    build_site,
    come_back,
    endpoints,
    query_of,
    start,
)


def test_a_sign_in_ends_where_it_was_asked_to(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The callback redirects to next, and the visitor is who they said at DingTalk."""
    response = simulator.sign_in(client, "zhang", next="/report?month=5&name=%E4%B8%AD")
    assert response.status_code == 302
    assert response.headers["Location"] == "/report?month=5&name=%E4%B8%AD"
    assert client.get("/report").text == "Report for 张三"


def test_a_sign_in_without_next_ends_at_the_configured_page(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """DINGTALK_LOGIN_REDIRECT is where."""
    client = make_app(DINGTALK_LOGIN_REDIRECT="/welcome").test_client()
    assert simulator.sign_in(client, "zhang").headers["Location"] == "/welcome"


def test_a_sign_in_is_exactly_two_calls(client: FlaskClient, simulator: DingTalkSimulator) -> None:
    """One for the token, one for the profile."""
    simulator.sign_in(client, "zhang")
    assert endpoints(simulator) == ["userAccessToken", "users/me"]


@pytest.mark.parametrize("name", ["code", "authCode"])
def test_either_name_of_the_code_is_enough(
    client: FlaskClient, simulator: DingTalkSimulator, name: str
) -> None:
    """One of DingTalk's two documents shows only authCode."""
    query = {name: simulator.authorization_code("li"), "state": start(client)}
    assert client.get("/dingtalk/callback", query_string=query).status_code == 302
    assert client.get("/").text == "李四"


def test_signing_in_again_as_somebody_else_replaces_the_user(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The last sign-in counts."""
    simulator.sign_in(client, "zhang")
    simulator.sign_in(client, "li")
    assert client.get("/").text == "李四"


def test_below_a_path_a_sign_in_without_next_ends_at_the_sites_own_root(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """And so does a sign-out."""
    client = app.test_client()
    base = "http://localhost/portal/"
    state = query_of(client.get("/dingtalk/login", base_url=base).headers["Location"])["state"]
    query = {"code": simulator.authorization_code("li"), "state": state}
    response = client.get("/dingtalk/callback", query_string=query, base_url=base)
    assert response.headers["Location"] == "/portal/"
    assert client.post("/dingtalk/logout", base_url=base).headers["Location"] == "/portal/"


def test_several_sign_ins_may_be_under_way_in_one_browser(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Each tab lands where it was going, in whatever order."""
    first, second = start(client, next="/first"), start(client, next="/second")
    for state, target in ((second, "/second"), (first, "/first")):
        response = come_back(client, state, simulator.authorization_code("li"))
        assert response.headers["Location"] == target


# --- The state -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", NO_STATES)
def test_a_state_that_was_never_given_out_is_refused(
    client: FlaskClient, simulator: DingTalkSimulator, state: str | None
) -> None:
    """DingTalk is not called, whatever else is in the URL."""
    query = {"code": simulator.authorization_code("li")} | ({"state": state} if state else {})
    response = client.get("/dingtalk/callback", query_string=query)
    assert response.status_code == 400
    assert "invalid_state" in response.text
    assert endpoints(simulator) == []
    assert client.get("/").text == "nobody"


def test_the_state_is_looked_at_before_anything_else(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Without a good state, an ``error`` in the URL has no effect."""
    response = client.get("/dingtalk/callback?error=access_denied&state=made-up")
    assert "invalid_state" in response.text


def test_a_state_of_another_browser_is_refused(app: Flask, simulator: DingTalkSimulator) -> None:
    """Otherwise somebody could sign a victim in to the attacker's account."""
    state = start(app.test_client())
    response = come_back(app.test_client(), state, simulator.authorization_code("li"))
    assert response.status_code == 400
    assert endpoints(simulator) == []


def test_a_state_of_another_application_is_refused(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Even one with the same SECRET_KEY, as neighbours on one host may have."""
    settings = simulator.settings | {"DINGTALK_CLIENT_ID": "dingother"}
    other = build_site(settings | {"SECRET_KEY": SECRET_KEY}).test_client()
    start(other)
    with other.session_transaction() as session:
        copied = dict(session)
    mine = app.test_client()
    state = start(other)
    with mine.session_transaction() as session:
        session.update(copied)
    assert come_back(mine, state, simulator.authorization_code("li")).status_code == 400


def test_a_state_expires(make_app: AppFactory, simulator: DingTalkSimulator) -> None:
    """After DINGTALK_STATE_LIFETIME seconds."""
    client = make_app(DINGTALK_STATE_LIFETIME=30).test_client()
    with time_machine.travel("2030-01-01 12:00:00") as clock:
        early, late = start(client), start(client)
        clock.shift(29)
        assert come_back(client, early, simulator.authorization_code("li")).status_code == 302
        clock.shift(3)
        response = come_back(client, late, simulator.authorization_code("li"))
    assert response.status_code == 400
    assert "invalid_state" in response.text


def test_loading_the_callback_again_leads_to_the_same_place_and_calls_nobody(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The back button and impatient people do this."""
    state, code = start(client, next="/report"), simulator.authorization_code("li")
    first = come_back(client, state, code)
    simulator.calls.clear()
    again = come_back(client, state, code)
    assert (again.status_code, again.headers["Location"]) == (302, first.headers["Location"])
    assert endpoints(simulator) == []
    assert client.get("/").text == "李四"


def test_loading_the_callback_again_while_it_is_under_way_waits_for_its_end(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """The second request gets the outcome of the first."""
    app = make_app(DINGTALK_TIMEOUT=IMPATIENT)
    client = app.test_client()
    state, code = start(client, next="/report"), simulator.authorization_code("li")
    cookie = client.get_cookie("session")
    assert cookie is not None
    simulator.fail("userAccessToken", timeout=True)

    def load(_: int) -> int:
        browser = app.test_client()
        browser.set_cookie("session", cookie.value)
        return int(come_back(browser, state, code).status_code)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(load, range(2))) == [400, 504]
    assert endpoints(simulator) == ["userAccessToken"]


def test_a_used_state_with_another_code_is_refused_and_the_code_not_exchanged(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A state works once."""
    state = start(client)
    come_back(client, state, simulator.authorization_code("li"))
    simulator.calls.clear()
    response = come_back(client, state, simulator.authorization_code("wang"))
    assert response.status_code == 400
    assert endpoints(simulator) == []
    assert client.get("/").text == "李四"


def test_a_state_is_used_up_even_if_the_cookie_is_put_back(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The process remembers it, since visitors can put an old cookie back."""
    state = start(client)
    cookie = client.get_cookie("session")
    assert cookie is not None
    come_back(client, state, simulator.authorization_code("li"))
    client.set_cookie("session", cookie.value)
    simulator.calls.clear()
    assert come_back(client, state, simulator.authorization_code("wang")).status_code == 400
    assert endpoints(simulator) == []


def test_a_state_works_once_even_if_the_sign_in_failed(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Reloading does not help; the page offers a new sign-in."""
    state, code = start(client), simulator.authorization_code("li")
    simulator.fail("users/me", status=500, code="unknownError", times=None)
    assert come_back(client, state, code).status_code == 502
    assert come_back(client, state, code).status_code == 400


def test_after_signing_out_an_old_callback_address_is_dead(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A URL from the browser's history cannot sign anybody in."""
    state, code = start(client), simulator.authorization_code("li")
    come_back(client, state, code)
    client.post("/dingtalk/logout")
    assert come_back(client, state, code).status_code == 400
    assert client.get("/").text == "nobody"


# --- Somebody who is signed in already -----------------------------------------------------------


def test_tabs_that_were_restored_together_all_end_where_they_were_going(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Their answers overwrite each other's cookie, so that only one sign-in is remembered."""
    one, other = app.test_client(), app.test_client()
    lost, kept = start(one, next="/first"), start(other, next="/second")
    code = simulator.authorization_code("li")
    assert come_back(other, kept, simulator.authorization_code("li")).location == "/second"
    simulator.calls.clear()
    response = come_back(other, lost, code)
    assert (response.status_code, response.location) == (302, "/first")
    assert endpoints(simulator) == []
    assert other.get("/").text == "李四"


def test_a_foreign_sign_in_changes_nobody_who_is_signed_in(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Its code stays unused: nobody can be signed in to somebody else's account."""
    attacker, victim = app.test_client(), app.test_client()
    simulator.sign_in(victim, "li")
    simulator.calls.clear()
    response = come_back(victim, start(attacker), simulator.authorization_code("wang"))
    assert response.location == "/"
    assert victim.get("/").text == "李四"
    assert endpoints(simulator) == []


@pytest.mark.parametrize("query", [{}, {"code": "0" * 32}, {"state": "x" * 80}])
def test_a_callback_without_a_state_of_this_site_leads_nowhere(
    member: FlaskClient, query: dict[str, str]
) -> None:
    """Also for somebody who is signed in."""
    response = member.get("/dingtalk/callback", query_string=query)
    assert response.status_code == 400
    assert "Refresh" not in response.headers


def test_going_back_and_agreeing_again_is_refused_and_goes_on_to_the_target(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A state works once, so the second code stays unused; but the person is signed in."""
    state = start(client, next="/report?month=5")
    come_back(client, state, simulator.authorization_code("li"))
    simulator.calls.clear()
    response = come_back(client, state, simulator.authorization_code("li"))
    assert response.status_code == 400
    assert "invalid_state" in response.text
    assert "You are signed in already" in response.text
    assert response.headers["Refresh"] == "0; url=/report?month=5"
    assert 'href="/report?month=5">Continue<' in response.text
    assert endpoints(simulator) == []


def test_a_used_state_is_told_of_as_invalid_state_to_who_listens(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Under the documented name, whoever is signed in."""
    told: list[type[Exception]] = []

    def listen(sender: Flask, error: Exception) -> None:
        told.append(type(error))

    state = start(client)
    come_back(client, state, simulator.authorization_code("li"))
    with login_failed.connected_to(listen, app):
        come_back(client, state, simulator.authorization_code("li"))
    assert told == [InvalidState]


def test_a_sign_in_that_took_too_long_goes_on_for_who_is_signed_in_by_then(
    client: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """In another tab, say."""
    late = start(client, next="/报告")
    later(601)
    simulator.sign_in(client, "li")
    response = come_back(client, late, simulator.authorization_code("li"))
    assert response.status_code == 400
    assert response.headers["Refresh"] == "0; url=/%E6%8A%A5%E5%91%8A"


def test_an_old_sign_in_of_another_browser_leads_nobody_anywhere(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A page that goes on by itself would be the site's own doing, and not a foreign link."""
    state = start(app.test_client(), next="/report")
    later(601)
    response = come_back(member, state, simulator.authorization_code("wang"))
    assert response.status_code == 400
    assert "Refresh" not in response.headers


def test_a_script_gets_no_other_answer_for_somebody_who_is_signed_in(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It reads the error."""
    state = start(client)
    come_back(client, state, simulator.authorization_code("li"))
    query = {"code": "0" * 32, "state": state}
    response = client.get(
        "/dingtalk/callback", query_string=query, headers={"Accept": "application/json"}
    )
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == "invalid_state"


# --- What DingTalk calls back with ---------------------------------------------------------------


def test_declining_at_dingtalk_is_access_denied(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The visitor gets an error page, not a redirect to the home page."""
    response = simulator.sign_in(client, "zhang", next="/report", decline=True)
    assert response.status_code == 403
    assert "access_denied" in response.text
    assert "You cancelled the sign-in" in response.text
    assert endpoints(simulator) == []


@pytest.mark.parametrize(
    ("error", "title"),
    [
        pytest.param("access_denied", "您已取消登录", id="declined"),
        pytest.param("visible_range", "登录未完成", id="something else"),
    ],
)
def test_only_who_declined_reads_that_they_did(client: FlaskClient, error: str, title: str) -> None:
    """DingTalk may call back with an error of which the visitor knows nothing."""
    response = client.get(
        "/dingtalk/callback",
        query_string={"state": start(client), "error": error},
        headers={"Accept-Language": "zh-CN"},
    )
    assert f"<h1>{title}</h1>" in response.text


def test_any_error_from_dingtalk_is_access_denied_whatever_its_text(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The text, which DingTalk does not document, appears in the log and not on the page."""
    query = {"state": start(client), "error": "<script>alert(1)</script>"}
    response = client.get("/dingtalk/callback", query_string=query)
    assert response.status_code == 403
    assert "alert" not in response.text


def test_an_error_counts_even_if_there_is_a_code_beside_it(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The code is not used."""
    query = {"state": start(client), "error": "no", "code": simulator.authorization_code("li")}
    assert client.get("/dingtalk/callback", query_string=query).status_code == 403
    assert endpoints(simulator) == []


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("x" * 5000, id="long"),
        pytest.param("code\r\nX-Injected: 1", id="line break"),
        pytest.param("授权码", id="not ASCII"),
    ],
)
def test_what_cannot_be_a_code_is_invalid_code_and_calls_nobody(
    client: FlaskClient, simulator: DingTalkSimulator, code: str | None
) -> None:
    """DingTalk need not be asked."""
    query = {"state": start(client)} | ({} if code is None else {"code": code})
    response = client.get("/dingtalk/callback", query_string=query)
    assert response.status_code == 400
    assert "invalid_code" in response.text
    assert endpoints(simulator) == []


def test_a_code_that_dingtalk_does_not_know_is_invalid_code(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Made up, used or expired: a new sign-in is the cure."""
    response = come_back(client, start(client), "0" * 32)
    assert response.status_code == 400
    assert "invalid_code" in response.text


def test_a_code_that_aged_five_minutes_is_invalid_code(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk forgets it then."""
    state, code = start(client), simulator.authorization_code("li")
    simulator.advance(301)
    assert "invalid_code" in come_back(client, state, code).text


# --- Around it -----------------------------------------------------------------------------------


def test_no_page_reached_with_a_code_in_its_address_tells_it_to_others(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Neither the redirect nor the error page sends a referrer."""
    success = simulator.sign_in(client, "zhang")
    failure = come_back(client, "made-up", "0" * 32)
    assert success.headers["Referrer-Policy"] == "no-referrer"
    assert failure.headers["Referrer-Policy"] == "no-referrer"


def test_an_error_page_does_not_repeat_the_code(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Not even in a link to itself."""
    code = simulator.authorization_code("li")
    assert code not in come_back(client, "made-up", code).text


def test_a_failed_sign_in_leaves_the_user_signed_in_as_before(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Trying to change accounts and failing signs nobody out."""
    simulator.sign_in(client, "zhang")
    simulator.fail("users/me", nonsense=True)
    assert simulator.sign_in(client, "li").status_code == 502
    assert client.get("/").text == "张三"


def test_a_failed_sign_in_loses_nothing_of_the_sites_own_session(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The basket is still full."""
    client.post("/basket")
    simulator.fail("userAccessToken", timeout=False, reset=True)
    assert simulator.sign_in(client, "li").status_code == 502
    assert client.get("/basket").json == ["apples"]


def test_a_second_try_works_at_once(client: FlaskClient, simulator: DingTalkSimulator) -> None:
    """The first one does not get in its way, whatever it ended with."""
    simulator.fail("userAccessToken", status=500, code="unknownError")
    assert simulator.sign_in(client, "li").status_code == 502
    assert simulator.sign_in(client, "li", next="/report").headers["Location"] == "/report"


def test_an_error_page_offers_another_try_that_leads_to_the_same_place(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The page is in the visitor's language."""
    response = simulator.sign_in(client, "zhang", next="/report?a=1", decline=True)
    assert 'href="/dingtalk/login?next=/report?a%3D1"' in response.text


def test_even_an_expired_state_still_leads_the_next_try_to_the_same_place(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The state was sealed by this site, so its target can be trusted."""
    state = start(client, next="/report")
    client.delete_cookie("session")
    response = come_back(client, state, simulator.authorization_code("li"))
    assert 'href="/dingtalk/login?next=/report"' in response.text


def test_made_up_codes_of_one_ipv4_address_stop_nobody_elses_sign_in(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Also where the server listens for both protocols, and names IPv4 addresses as IPv6."""
    for number in range(11):
        intruder = app.test_client()
        intruder.environ_base["REMOTE_ADDR"] = "::ffff:192.0.2.1"
        answer = come_back(intruder, start(intruder), f"{number:032x}")
    assert answer.status_code == 503
    client.environ_base["REMOTE_ADDR"] = "::ffff:192.0.2.2"
    assert simulator.sign_in(client, "zhang").status_code == 302
