"""``DINGTALK_IN_APP_LOGIN``: people are signed in inside the DingTalk client without a tap."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import time_machine
from flask import Flask, abort, jsonify, redirect
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from hypothesis import given
from hypothesis import strategies as st

from flask_dingtalk import (
    DingTalk,
    DingTalkAPIError,
    DingTalkUser,
    current_dingtalk_user,
    login_failed,
    login_required,
    user_logged_in,
)
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import (
    FROM_ELSEWHERE,
    IN_CLIENT,
    NO_STATES,
    AppFactory,
    build_site,
    come_back,
    endpoints,
    in_time,
    patience_for,
    query_of,
    start,
)
from .made_up import examples
from .markup import links, tags, with_attribute
from .stub import TOKEN, Answer, Asked, StubDingTalk

JSON = {"Accept": "application/json"}


@pytest.fixture
def make_in_app(make_app: AppFactory, simulator: DingTalkSimulator) -> AppFactory:
    """Build a site that signs people in inside the client; settings by name."""

    def make(**settings: Any) -> Flask:
        own = {"DINGTALK_IN_APP_LOGIN": True, "DINGTALK_CORP_ID": simulator.application.corp_id}
        return with_views(make_app(**own | settings))

    return make


@pytest.fixture
def site(make_in_app: AppFactory) -> Flask:
    """Build one with default settings otherwise."""
    return make_in_app()


@pytest.fixture
def phone(site: Flask) -> FlaskClient:
    """Return a test client that sends the DingTalk client's headers."""
    return site.test_client()


def with_views(app: Flask) -> Flask:
    """Add views that show what a sign-in yielded."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.get("/identity")
    def identity() -> ResponseReturnValue:
        user = current_dingtalk_user
        return jsonify(
            union_id=user.union_id, user_id=user.user_id, nick=user.nick, corp_id=user.corp_id
        )

    @app.get("/acts-as-the-user")
    def acts() -> ResponseReturnValue:
        assert dingtalk.token is None
        try:
            dingtalk.get("/v1.0/contact/users/me")
        except DingTalkAPIError as error:
            return error.log_message
        return "it worked"

    return app


def open_in_client(client: FlaskClient, next: str | None = None, **headers: str) -> Any:
    """Load the sign-in as the DingTalk client does."""
    query = {} if next is None else {"next": next}
    return client.get(
        "/dingtalk/login", query_string=query, headers={"User-Agent": IN_CLIENT} | headers
    )


def state_of(page: str) -> str:
    """Return the state that the page's form would send."""
    (state,) = (each["value"] for each in tags(page, "input") if each["name"] == "state")
    return state


def begin(client: FlaskClient, next: str | None = None) -> str:
    """Load the sign-in inside the client; return its state."""
    response = open_in_client(client, next)
    assert response.status_code == 200
    return state_of(response.text)


def post(client: FlaskClient, state: str | None, code: str | None, **headers: str) -> Any:
    """Send what the page's form sends."""
    form = {"state": state, "code": code}
    data = {name: value for name, value in form.items() if value is not None}
    return client.post("/dingtalk/in-app", data=data, headers=headers)


def sign_in(simulator: DingTalkSimulator, client: FlaskClient, user: str, next: str = "/") -> Any:
    """Do what page and client do together."""
    return post(client, begin(client, next), simulator.in_app_code(user))


# --- The page ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "user_agent",
    [
        pytest.param(IN_CLIENT, id="Android"),
        pytest.param(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 "
            "AliApp(DingTalk/7.6.0) com.laiwang.DingTalk/1",
            id="iPhone",
        ),
        pytest.param("Mozilla/5.0 (Windows NT 10.0; Win64; x64) dingtalk-win/1.0", id="lower case"),
    ],
)
def test_the_client_gets_a_page_that_asks_it_for_a_code(
    phone: FlaskClient, simulator: DingTalkSimulator, user_agent: str
) -> None:
    """In the name of the application and its organisation, with a state of this browser."""
    response = open_in_client(phone, "/report", **{"User-Agent": user_agent})
    assert response.status_code == 200
    form = with_attribute(response.text, "form", "data-dingtalk-in-app")
    assert (form["method"], form["action"]) == ("post", "/dingtalk/in-app")
    assert json.loads(form["data-dingtalk-in-app"])["request"] == {
        "corpId": simulator.application.corp_id,
        "clientId": simulator.application.client_id,
    }
    assert {each["name"] for each in tags(response.text, "input")} == {"state", "code"}
    assert state_of(response.text)
    scripts = [each["src"] for each in tags(response.text, "script")]
    assert simulator.settings["DINGTALK_JSAPI_URL"] in scripts


def test_the_page_is_not_cached_and_shows_no_secret(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It belongs to one browser."""
    response = open_in_client(phone)
    assert response.headers["Cache-Control"] == "no-store"
    assert not [secret for secret in simulator.secrets if secret in response.text]


@pytest.mark.parametrize(
    ("language", "lang", "text"),
    [("en", "en", "Signing you in"), ("zh-CN", "zh-CN", "正在登录")],
    ids=["English", "Chinese"],
)
def test_the_page_speaks_the_visitors_language(
    phone: FlaskClient, language: str, lang: str, text: str
) -> None:
    """It may be seen for a moment."""
    page = open_in_client(phone, **{"Accept-Language": language}).text
    assert f'<html lang="{lang}">' in page
    assert text in page


def test_the_pages_own_way_out_leads_through_dingtalks_pages(phone: FlaskClient) -> None:
    """A link to the same page would go round in circles."""
    page = open_in_client(phone, "/report").text
    (href,) = links(page)
    assert query_of(href) == {"next": "/report", "via": "redirect"}
    response = phone.get(href, headers={"User-Agent": IN_CLIENT})
    assert "/oauth2/auth?" in response.headers["Location"]


@pytest.mark.parametrize(
    ("settings", "user_agent", "query"),
    [
        pytest.param({}, "Mozilla/5.0 (X11; Linux x86_64) Chrome/128.0", "", id="another browser"),
        pytest.param({}, IN_CLIENT, "?via=redirect", id="asked to redirect"),
        pytest.param({"DINGTALK_IN_APP_LOGIN": False}, IN_CLIENT, "", id="switched off"),
        pytest.param({"DINGTALK_IN_APP_LOGIN": ...}, IN_CLIENT, "", id="by default"),
    ],
)
def test_otherwise_the_sign_in_is_the_ordinary_redirect(
    make_in_app: AppFactory, settings: dict[str, Any], user_agent: str, query: str
) -> None:
    """To DingTalk's pages."""
    client = make_in_app(**settings).test_client()
    response = client.get(f"/dingtalk/login{query}", headers={"User-Agent": user_agent})
    assert response.status_code == 302
    assert "/oauth2/auth?" in response.headers["Location"]


def test_why_the_client_gave_no_code_is_in_the_log_with_its_cure(
    phone: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The log line is short and has no line breaks."""
    reason = "3 对应企业没有127.0.0.1域名微应用\n\x1b[31m" + "x" * 5000
    query = {"via": "redirect", "reason": reason}
    # No other browser has anything to tell of it.
    phone.get("/dingtalk/login", query_string=query)
    response = phone.get("/dingtalk/login", query_string=query, headers={"User-Agent": IN_CLIENT})
    assert response.status_code == 302
    (message,) = (text for text in caplog.messages if "对应企业没有127.0.0.1域名微应用" in text)
    assert "端内免登地址" in message
    assert message.isprintable()
    assert len(message) < 1000


# --- The way in ----------------------------------------------------------------------------------


def test_a_code_of_the_client_signs_in_and_lands_on_next(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """With 303, so that the browser goes on with GET."""
    response = sign_in(simulator, phone, "zhang", next="/report?month=5")
    assert (response.status_code, response.location) == (303, "/report?month=5")
    assert response.headers["Cache-Control"] == "no-store"
    assert phone.get("/report").text == "Report for 张三"
    assert endpoints(simulator) == ["token", "accessToken", "getuserinfo"]


def test_a_sign_in_without_next_ends_at_the_configured_page(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """DINGTALK_LOGIN_REDIRECT is where."""
    phone = make_in_app(DINGTALK_LOGIN_REDIRECT="/welcome").test_client()
    response = post(phone, begin(phone), simulator.in_app_code("li"))
    assert response.location == "/welcome"


def test_such_a_sign_in_yields_an_identity(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Who it is, and in which organisation."""
    sign_in(simulator, phone, "zhang")
    zhang, own = simulator.users["zhang"], simulator.application.corp_id
    assert phone.get("/identity").json == {
        "union_id": zhang.union_id,
        "user_id": zhang.memberships[own].user_id,
        "nick": "张三",
        "corp_id": own,
    }


def test_both_ways_lead_to_the_same_identity(site: Flask, simulator: DingTalkSimulator) -> None:
    """A person is the same user on the phone and at the desk."""
    phone, desk = site.test_client(), site.test_client()
    sign_in(simulator, phone, "li")
    simulator.sign_in(desk, "li")
    expected = simulator.users["li"].union_id
    for client in (phone, desk):
        assert client.get("/identity").get_json()["union_id"] == expected


def test_such_a_sign_in_yields_no_token_and_calls_as_the_user_say_so(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The error says so without a call to DingTalk."""
    sign_in(simulator, phone, "zhang")
    simulator.calls.clear()
    text = phone.get("/acts-as-the-user").text
    assert "no user token" in text
    assert "DingTalk client" in text
    response = phone.get("/call", headers=JSON)
    assert (response.status_code, response.json and response.json["error"]) == (502, "api_error")
    assert endpoints(simulator) == []


def test_a_page_that_needs_a_token_leads_to_where_there_is_one(
    phone: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Loading it again would never help."""
    sign_in(simulator, phone, "zhang")
    assert links(phone.get("/call").text) == ["/dingtalk/login?next=/call&via=redirect"]
    assert "no user token" in caplog.text


@pytest.mark.parametrize("session_settings", ["files", "redis"], indirect=True)
def test_a_session_id_is_renewed(
    make_in_app: AppFactory,
    session_settings: Callable[[Flask], Flask],
    simulator: DingTalkSimulator,
) -> None:
    """An id that an attacker planted must not become signed in."""
    phone = session_settings(make_in_app()).test_client()
    state = begin(phone, "/report")
    planted = phone.get_cookie("session")
    response = post(phone, state, simulator.in_app_code("li"))
    renewed = phone.get_cookie("session")
    assert response.location == "/report"
    assert planted is not None
    assert renewed is not None
    assert planted.value != renewed.value
    assert phone.get("/").text == "李四"


def test_an_existing_session_keeps_what_the_site_has_in_it(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The basket is still full."""
    phone.post("/basket")
    sign_in(simulator, phone, "li")
    assert phone.get("/basket").json == ["apples"]


def test_signing_out_and_in_again_works(phone: FlaskClient, simulator: DingTalkSimulator) -> None:
    """As often as one likes."""
    for user, nick in (("zhang", "张三"), ("li", "李四")):
        sign_in(simulator, phone, user)
        assert phone.get("/").text == nick
        phone.post("/dingtalk/logout")
        assert phone.get("/").text == "nobody"


# --- The site's own word -------------------------------------------------------------------------


def test_on_login_gets_the_user_and_no_token(
    site: Flask, phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """And is asked once."""
    seen: list[Any] = []

    @site.extensions["dingtalk"].on_login  # type: ignore[untyped-decorator]
    def remember(user: DingTalkUser, token: None) -> None:
        seen.append((user.nick, token, current_dingtalk_user.is_authenticated))

    assert sign_in(simulator, phone, "zhang", "/report").location == "/report"
    assert seen == [("张三", None, False)]


def test_on_login_may_refuse(site: Flask, phone: FlaskClient, simulator: DingTalkSimulator) -> None:
    """Then nobody is signed in."""

    @site.extensions["dingtalk"].on_login  # type: ignore[untyped-decorator]
    def refuse(user: DingTalkUser, token: None) -> None:
        abort(403)

    assert sign_in(simulator, phone, "zhang").status_code == 403
    assert phone.get("/").text == "nobody"


def test_on_login_may_answer(site: Flask, phone: FlaskClient, simulator: DingTalkSimulator) -> None:
    """In place of the redirect; they are signed in all the same."""

    @site.extensions["dingtalk"].on_login  # type: ignore[untyped-decorator]
    def welcome(user: DingTalkUser, token: None) -> ResponseReturnValue:
        return redirect("/welcome")

    assert sign_in(simulator, phone, "zhang", "/report").location == "/welcome"
    assert phone.get("/").text == "张三"


def test_the_signal_of_such_a_sign_in_carries_no_token(
    site: Flask, phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """``user_logged_in``, once, with the session open."""
    heard: list[Any] = []

    def listen(sender: Flask, user: DingTalkUser, token: Any) -> None:
        heard.append((sender, user.nick, token, current_dingtalk_user.nick))

    with user_logged_in.connected_to(listen):
        state, code = begin(phone), simulator.in_app_code("zhang")
        post(phone, state, code)
        post(phone, state, code)
    assert heard == [(site, "张三", None, "张三")]


def test_the_signal_of_a_failure_carries_the_error(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """``login_failed``, once."""
    heard: list[Any] = []

    def listen(sender: Flask, error: Any) -> None:
        heard.append(error.error_code)

    with login_failed.connected_to(listen):
        post(phone, begin(phone), "made-up")
    assert heard == ["invalid_code"]


# --- Who may come in -----------------------------------------------------------------------------


def test_a_member_gets_in_where_only_members_may(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """Membership is asked for as at any sign-in."""
    phone = make_in_app(DINGTALK_MEMBERS_ONLY=True).test_client()
    assert sign_in(simulator, phone, "li").status_code == 303
    assert endpoints(simulator) == ["token", "accessToken", "getuserinfo", "getbyunionid"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"code": 60121}, id="no member"),
        pytest.param({"code": 60120}, id="disabled"),
        pytest.param(
            {"body": '{"errcode":0,"result":{"contact_type":1,"userid":"x"}}'},
            id="external contact",
        ),
    ],
)
def test_who_is_no_member_stays_out_where_only_members_may_come_in(
    make_in_app: AppFactory, simulator: DingTalkSimulator, answer: dict[str, Any]
) -> None:
    """A good code of the client does not change that."""
    phone = make_in_app(DINGTALK_MEMBERS_ONLY=True).test_client()
    simulator.fail("getbyunionid", **answer)
    response = sign_in(simulator, phone, "zhang", "/report")
    assert response.status_code == 403
    assert "organisation_not_allowed" in response.text
    assert phone.get("/").text == "nobody"


def test_another_try_of_who_was_refused_goes_through_dingtalks_pages(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """The client would give the same answer again; there they may be somebody else."""
    phone = make_in_app(DINGTALK_MEMBERS_ONLY=True).test_client()
    simulator.fail("getbyunionid", code=60121)
    (href,) = links(sign_in(simulator, phone, "zhang", "/report").text)
    assert query_of(href) == {"next": "/report", "via": "redirect"}


def test_an_allowed_organisation_may_come_in(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """The one in whose name the client gave the code."""
    phone = make_in_app(DINGTALK_ALLOWED_CORP_IDS=[simulator.application.corp_id]).test_client()
    assert sign_in(simulator, phone, "li").status_code == 303
    assert phone.get("/report").status_code == 200


def test_who_left_the_organisation_since_the_client_gave_the_code_stays_out(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk refuses the code then."""
    state, code = begin(phone), simulator.in_app_code("zhang")
    simulator.leave("zhang")
    assert post(phone, state, code).status_code >= 400
    assert phone.get("/").text == "nobody"


def test_the_employee_record_is_fetched(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """As at any sign-in."""
    app = make_in_app(DINGTALK_EMPLOYEE_PROFILE=True)

    @app.get("/title")
    def title() -> str:
        employee = current_dingtalk_user.employee
        return (employee and employee.title) or "none"

    phone = app.test_client()
    sign_in(simulator, phone, "li")
    assert phone.get("/title").text == "工程师"


def test_a_leaver_is_signed_out_by_the_next_check(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """There is no token to renew; membership is asked for all the same."""
    app = make_in_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=60)
    phone = app.test_client()
    with time_machine.travel("2030-01-01 12:00:00", tick=False) as clock:
        sign_in(simulator, phone, "li")
        simulator.calls.clear()
        clock.shift(61)
        assert phone.get("/report").status_code == 200
        assert endpoints(simulator) == ["getbyunionid"]
        simulator.leave("li")
        assert phone.get("/report").status_code == 200
        clock.shift(61)
        assert phone.get("/report").status_code == 302
    assert phone.get("/").text == "nobody"


@pytest.mark.parametrize(
    "settings", [{}, {"DINGTALK_EMPLOYEE_PROFILE": True}], ids=["alone", "with the record"]
)
def test_a_leaver_is_signed_out_where_nothing_but_the_organisation_is_asked_for(
    make_in_app: AppFactory, simulator: DingTalkSimulator, settings: dict[str, Any]
) -> None:
    """Without a token, membership is all that there is to ask for."""
    own = simulator.application.corp_id
    app = make_in_app(DINGTALK_ALLOWED_CORP_IDS=[own], DINGTALK_REVALIDATE_AFTER=60, **settings)
    phone = app.test_client()
    with time_machine.travel("2030-01-01 12:00:00", tick=False) as clock:
        sign_in(simulator, phone, "li")
        clock.shift(61)
        assert phone.get("/report").status_code == 200
        simulator.leave("li")
        clock.shift(61)
        assert phone.get("/report").status_code == 302


def test_a_check_that_cannot_be_completed_leaves_the_session_alone(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """While DingTalk is down, no page changes the cookie."""
    app = make_in_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=60)
    phone = app.test_client()
    with time_machine.travel("2030-01-01 12:00:00", tick=False) as clock:
        sign_in(simulator, phone, "li")
        simulator.fail("getbyunionid", status=500, times=None)
        clock.shift(61)
        for _ in range(2):
            response = phone.get("/report")
            assert response.status_code == 200
            assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("corp_id", "status"),
    [
        pytest.param(lambda simulator: list(simulator.organisations)[1], 500, id="not the owner"),
        # DingTalk answers the same to its own failures.
        pytest.param(lambda _: "ding0000", 502, id="made up"),
    ],
)
def test_nobody_gets_in_as_a_member_of_an_organisation_that_is_not_the_applications(
    make_in_app: AppFactory,
    simulator: DingTalkSimulator,
    caplog: pytest.LogCaptureFixture,
    corp_id: Callable[[DingTalkSimulator], str],
    status: int,
) -> None:
    """The client's code is for the application's own organisation, whatever the setting says."""
    other = corp_id(simulator)
    app = make_in_app(DINGTALK_CORP_ID=other, DINGTALK_ALLOWED_CORP_IDS=[other])
    phone = app.test_client()
    assert sign_in(simulator, phone, "li").status_code == status
    assert phone.get("/").text == "nobody"
    assert "getuserinfo" not in endpoints(simulator)
    assert (
        "DINGTALK_CORP_ID does not seem to be an organisation that has this application"
        in caplog.text
    )


def test_whose_application_it_is_is_asked_once(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It does not change while the site runs."""
    sign_in(simulator, phone, "zhang")
    sign_in(simulator, phone, "li")
    assert endpoints(simulator) == ["token", "accessToken", "getuserinfo", "getuserinfo"]


def test_whose_application_it_is_is_asked_again_where_dingtalk_did_not_say(
    phone: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a definite no keeps people out."""
    simulator.fail("token", reset=True, times=3)
    with time_machine.travel("2030-01-01 12:00:00", tick=False) as clock:
        assert sign_in(simulator, phone, "zhang").status_code == 303
        assert "DINGTALK_CORP_ID could not be checked" in caplog.text
        simulator.calls.clear()
        sign_in(simulator, phone, "li")
        assert endpoints(simulator) == ["getuserinfo"]
        clock.shift(31)
        simulator.calls.clear()
        sign_in(simulator, phone, "li")
        assert endpoints(simulator) == ["token", "getuserinfo"]


def test_another_try_of_whom_a_view_refuses_goes_through_dingtalks_pages(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """The client would sign in the same account again."""

    @site.get("/board")
    @login_required(check=lambda user: False)
    def board() -> str:
        return "minutes"

    phone = site.test_client()
    sign_in(simulator, phone, "li")
    refused = phone.get("/board", headers={"User-Agent": IN_CLIENT})
    assert refused.status_code == 403
    assert links(refused.text) == ["/dingtalk/login?next=/board&via=redirect"]


def test_inside_the_client_another_try_after_dingtalks_pages_goes_there_again(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """A person who declined there wanted another account."""
    phone = site.test_client()
    declined = phone.get(
        "/dingtalk/callback",
        query_string={"state": start(phone, "/report"), "error": "access_denied"},
        headers={"User-Agent": IN_CLIENT},
    )
    assert links(declined.text) == ["/dingtalk/login?next=/report&via=redirect"]


# --- The code ------------------------------------------------------------------------------------


def spent(simulator: DingTalkSimulator, site: Flask) -> str:
    """Return a code that somebody signed in with before."""
    code = simulator.in_app_code("zhang")
    other = site.test_client()
    assert post(other, begin(other), code).status_code == 303
    return code


def expired(simulator: DingTalkSimulator, site: Flask) -> str:
    """Return a code that is older than five minutes."""
    code = simulator.in_app_code("zhang")
    simulator.advance(301)
    return code


CODES: list[Any] = [
    pytest.param(spent, 400, "invalid_code", id="used"),
    pytest.param(expired, 400, "invalid_code", id="expired"),
    pytest.param(
        lambda simulator, _: simulator.authorization_code("zhang"),
        400,
        "invalid_code",
        id="of a browser",
    ),
    pytest.param(lambda *_: "0" * 32, 400, "invalid_code", id="made up"),
    pytest.param(
        lambda simulator, _: simulator.in_app_code(
            "wang", corp_id=list(simulator.organisations)[1]
        ),
        403,
        "organisation_not_allowed",
        id="of another organisation",
    ),
]


@pytest.mark.parametrize(("code_of", "status", "error_code"), CODES)
def test_a_code_that_dingtalk_refuses_signs_nobody_in(
    site: Flask,
    simulator: DingTalkSimulator,
    code_of: Callable[[DingTalkSimulator, Flask], str],
    status: int,
    error_code: str,
) -> None:
    """Who was signed in stays so, and the page offers the way through DingTalk's pages."""
    phone = site.test_client()
    sign_in(simulator, phone, "li")
    response = post(phone, begin(phone, "/report"), code_of(simulator, site))
    assert (response.status_code, error_code in response.text) == (status, True)
    (href,) = links(response.text)
    assert query_of(href) == {"next": "/report", "via": "redirect"}
    assert phone.get("/").text == "李四"


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
    phone: FlaskClient, simulator: DingTalkSimulator, code: str | None
) -> None:
    """DingTalk need not be asked."""
    response = post(phone, begin(phone), code)
    assert response.status_code == 400
    assert "invalid_code" in response.text
    assert endpoints(simulator) == []


def test_a_code_of_the_client_is_none_at_the_callback(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk does not accept one kind of code in place of the other."""
    response = come_back(phone, start(phone), simulator.in_app_code("zhang"))
    assert "invalid_code" in response.text
    assert phone.get("/").text == "nobody"


def test_no_error_page_repeats_the_code(phone: FlaskClient, simulator: DingTalkSimulator) -> None:
    """Nor any other secret."""
    code = simulator.in_app_code("zhang")
    page = post(phone, "made-up", code).text
    assert not [secret for secret in simulator.secrets if secret in page]


# --- The state -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", NO_STATES)
def test_without_a_state_of_this_site_the_code_is_not_spent(
    phone: FlaskClient, simulator: DingTalkSimulator, state: str | None
) -> None:
    """Another site may have posted it, to sign the visitor in to an attacker's account."""
    response = post(phone, state, simulator.in_app_code("zhang"))
    assert response.status_code == 400
    assert "invalid_state" in response.text
    assert endpoints(simulator) == []
    assert phone.get("/").text == "nobody"


def test_a_state_of_another_browser_is_refused(site: Flask, simulator: DingTalkSimulator) -> None:
    """And the code is not spent."""
    state = begin(site.test_client())
    response = post(site.test_client(), state, simulator.in_app_code("zhang"))
    assert "invalid_state" in response.text
    assert endpoints(simulator) == []


def test_a_used_state_is_refused(phone: FlaskClient, simulator: DingTalkSimulator) -> None:
    """With another code, that is; the other code is not spent."""
    state = begin(phone)
    post(phone, state, simulator.in_app_code("li"))
    simulator.calls.clear()
    response = post(phone, state, simulator.in_app_code("zhang"))
    assert "invalid_state" in response.text
    assert endpoints(simulator) == []
    assert phone.get("/").text == "李四"


def test_an_expired_state_is_refused_and_another_try_leads_to_the_same_place(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """After DINGTALK_STATE_LIFETIME seconds; the code is not spent."""
    with time_machine.travel("2030-01-01 12:00:00", tick=False) as clock:
        state = begin(phone, "/report")
        clock.shift(601)
        response = post(phone, state, simulator.in_app_code("zhang"))
    assert "invalid_state" in response.text
    assert endpoints(simulator) == []
    (href,) = links(response.text)
    assert query_of(href)["next"] == "/report"


def test_sending_the_form_again_leads_to_the_same_place_and_calls_nobody(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As impatient people do."""
    state, code = begin(phone, "/report"), simulator.in_app_code("zhang")
    post(phone, state, code)
    simulator.calls.clear()
    response = post(phone, state, code)
    assert (response.status_code, response.location) == (303, "/report")
    assert endpoints(simulator) == []


def test_sending_the_form_several_times_at_once_is_one_sign_in(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """The second one waits for the end of the first; further ones are told to come back."""
    phone = site.test_client()
    state, code = begin(phone, "/report"), simulator.in_app_code("zhang")
    cookie = phone.get_cookie("session")
    assert cookie is not None

    def send(_: int) -> tuple[int, str | None]:
        same = site.test_client()
        same.set_cookie("session", cookie.value)
        response = post(same, state, code)
        return response.status_code, response.location

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert answers.count((303, "/report")) >= 2
    assert set(answers) <= {(303, "/report"), (503, None)}
    assert endpoints(simulator) == ["token", "accessToken", "getuserinfo"]


def test_below_a_path_everything_stays_below_it(site: Flask, simulator: DingTalkSimulator) -> None:
    """Where the form is sent to, and where a sign-in without next ends."""
    phone, base = site.test_client(), "http://localhost/portal/"
    page = phone.get("/dingtalk/login", headers={"User-Agent": IN_CLIENT}, base_url=base).text
    assert with_attribute(page, "form", "method")["action"] == "/portal/dingtalk/in-app"
    assert links(page) == ["/portal/dingtalk/login?via=redirect"]
    form = {"state": state_of(page), "code": simulator.in_app_code("li")}
    assert phone.post("/dingtalk/in-app", data=form, base_url=base).location == "/portal/"


# --- Who may ask ---------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
def test_a_form_of_another_origin_is_refused(
    phone: FlaskClient, simulator: DingTalkSimulator, headers: dict[str, str]
) -> None:
    """Before anything else, so that the state is still good."""
    state, code = begin(phone), simulator.in_app_code("zhang")
    assert post(phone, state, code, **headers).status_code == 403
    assert endpoints(simulator) == []
    assert post(phone, state, code, **{"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_form_that_a_proxy_made_foreign_is_reported_in_the_log(
    phone: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind one that ends TLS, the site does not know its own address."""
    post(phone, begin(phone), "code", Origin="https://localhost")
    assert "a POST from 'https://localhost'; this is http://localhost/" in caplog.text
    assert "ProxyFix" in caplog.text


def test_the_address_alone_does_nothing(phone: FlaskClient) -> None:
    """GET is refused, and the refusal not cached."""
    response = phone.get("/dingtalk/in-app")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_the_setting_there_is_no_such_route(client: FlaskClient, method: str) -> None:
    """A site that does not want it has nothing to guard."""
    assert client.open("/dingtalk/in-app", method=method).status_code == 404


# --- When DingTalk fails -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status", "error_code"),
    [
        pytest.param({"timeout": True}, 504, "dingtalk_unavailable", id="timeout"),
        pytest.param(
            {"timeout": True, "after": True}, 504, "dingtalk_unavailable", id="answer lost"
        ),
        pytest.param({"reset": True}, 502, "dingtalk_unavailable", id="reset"),
        pytest.param(
            {"reset": True, "after": True}, 502, "dingtalk_unavailable", id="reset after the deed"
        ),
        pytest.param({"nonsense": True}, 502, "dingtalk_unavailable", id="web page"),
        pytest.param({"nonsense": "json"}, 502, "dingtalk_unavailable", id="other JSON"),
        pytest.param({"nonsense": "empty"}, 502, "dingtalk_unavailable", id="no JSON"),
        pytest.param({"status": 500}, 502, "dingtalk_unavailable", id="status 500"),
        pytest.param({"code": -1}, 502, "dingtalk_unavailable", id="busy"),
        pytest.param({"throttled": "ban-page"}, 502, "dingtalk_unavailable", id="ban page"),
        pytest.param({"code": 60011}, 500, "configuration_error", id="permission"),
        pytest.param({"code": 60020}, 500, "configuration_error", id="IP"),
        pytest.param({"code": 40079}, 403, "organisation_not_allowed", id="visible range"),
        pytest.param({"code": 424242}, 502, "api_error", id="unknown code"),
    ],
)
def test_a_failure_is_an_error_of_its_own_and_the_code_is_sent_once(
    make_in_app: AppFactory,
    simulator: DingTalkSimulator,
    failure: dict[str, Any],
    status: int,
    error_code: str,
) -> None:
    """A reload does not send it again; a new sign-in works."""
    app = make_in_app(DINGTALK_TIMEOUT=patience_for(failure))
    # The token of the application is there by now: the call that fails is the only one.
    in_time(lambda: sign_in(simulator, app.test_client(), "li"))
    simulator.calls.clear()
    phone = app.test_client()
    state, code = begin(phone, "/report"), simulator.in_app_code("zhang")
    simulator.fail("getuserinfo", **failure)
    response = post(phone, state, code)
    assert (response.status_code, error_code in response.text) == (status, True)
    assert "invalid_state" in post(phone, state, code).text
    assert endpoints(simulator).count("getuserinfo") == 1
    assert phone.get("/").text == "nobody"
    again = in_time(lambda: sign_in(simulator, phone, "zhang", "/report"))
    assert again.location == "/report"


@pytest.mark.parametrize("throttled", [True, "ban"], ids=["per second", "ban"])
def test_a_throttled_code_is_not_spent_and_the_page_comes_back_by_itself(
    phone: FlaskClient, simulator: DingTalkSimulator, throttled: Any
) -> None:
    """To the sign-in, where the client gives a code without a tap; the state is still good."""
    state, code = begin(phone, "/report"), simulator.in_app_code("zhang")
    simulator.fail("getuserinfo", throttled=throttled)
    response = post(phone, state, code)
    assert (response.status_code, "rate_limited" in response.text) == (503, True)
    assert response.headers["Refresh"].endswith("; url=/dingtalk/login?next=/report")
    assert post(phone, state, code).location == "/report"


def test_a_missing_permission_is_named_in_the_log(
    phone: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """As DingTalk names it."""
    simulator.application.permissions.discard("qyapi_base")
    assert sign_in(simulator, phone, "zhang").status_code == 500
    assert "qyapi_base" in caplog.text


def test_an_app_token_that_dingtalk_refuses_is_replaced_and_the_code_still_good(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk did not carry out the call, so the code is unused."""
    sign_in(simulator, phone, "li")
    simulator.advance(7200)
    simulator.calls.clear()
    assert sign_in(simulator, phone, "zhang").status_code == 303
    assert endpoints(simulator) == ["getuserinfo", "accessToken", "getuserinfo"]


def test_an_app_token_refused_twice_is_an_error(
    phone: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """One repetition, not a loop."""
    simulator.fail("getuserinfo", code=40014, times=None)
    assert sign_in(simulator, phone, "zhang").status_code == 502
    assert endpoints(simulator).count("getuserinfo") == 2


# --- Whatever DingTalk may say -------------------------------------------------------------------


@pytest.fixture(scope="module")
def stub(lasting_stub: StubDingTalk) -> StubDingTalk:
    """Use one DingTalk for all of the examples below."""
    return lasting_stub


@pytest.fixture(scope="module")
def stubbed(stub: StubDingTalk) -> Flask:
    """Build a site that talks to it."""
    config = {"SECRET_KEY": "k", "TESTING": True, "DINGTALK_IN_APP_LOGIN": True}
    return with_views(build_site({**config, "DINGTALK_CORP_ID": "ding1", **stub.settings}))


def say(stub: StubDingTalk, answer: Answer) -> None:
    """Let the stub answer getuserinfo, beside an app token."""
    stub.asked.clear()
    stub.token = lambda asked: answer if "topapi" in asked.path else Answer(TOKEN)


def test_the_request_is_dingtalks(stub: StubDingTalk, stubbed: Flask) -> None:
    """A form with code and app token; neither of them stands in an address."""
    app = with_views(build_site(dict(stubbed.config)))
    say(stub, Answer({"errcode": 0, "result": {"unionid": "u", "userid": "i", "name": "n"}}))
    phone = app.test_client()
    assert post(phone, begin(phone), "c0de").status_code == 303
    asked: Asked = stub.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/topapi/v2/user/getuserinfo")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.body == b"access_token=0123456789abcdef0123456789abcdef&code=c0de"


def test_quoted_numbers_as_in_the_documents_are_understood(
    stub: StubDingTalk, stubbed: Flask
) -> None:
    """Some samples have them."""
    say(stub, Answer({"errcode": "0", "result": {"unionid": "u", "userid": "i"}}))
    phone = stubbed.test_client()
    assert post(phone, begin(phone), "c0de").status_code == 303
    assert phone.get("/identity").json == {
        "union_id": "u",
        "user_id": "i",
        "nick": None,
        "corp_id": "ding1",
    }


@pytest.mark.parametrize(
    "user_id",
    [None, "", 7, ["x"], "x" * 65, "x\ny", {}],
    ids=ascii,
)
def test_who_has_no_user_id_is_no_member(stub: StubDingTalk, stubbed: Flask, user_id: Any) -> None:
    """The client gives its codes to members alone, and each of them has one."""
    say(stub, Answer({"errcode": 0, "result": {"unionid": "u", "userid": user_id, "name": "n"}}))
    phone = stubbed.test_client()
    assert post(phone, begin(phone), "c0de").status_code == 403
    assert phone.get("/").text == "nobody"


@pytest.mark.parametrize("union_id", [None, "", 7, ["u"], {}], ids=ascii)
def test_an_answer_without_identity_makes_no_sense(
    stub: StubDingTalk, stubbed: Flask, union_id: Any
) -> None:
    """A userid without a union id may belong to another organisation."""
    say(stub, Answer({"errcode": 0, "result": {"unionid": union_id, "userid": "i"}}))
    phone = stubbed.test_client()
    assert post(phone, begin(phone), "c0de").status_code == 502
    assert phone.get("/").text == "nobody"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
RESULTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["", "x", "张三", "\ud800", "x\n"]) | VALUES
        for name in ("unionid", "userid", "name", "sys", "device_id")
    },
)
ANSWERS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "errcode": st.sampled_from([0, "0", 88, 40078, 40014, 60011]) | VALUES,
        "result": RESULTS | VALUES,
        "sub_code": st.sampled_from(["40014", "60011"]) | VALUES,
        "errmsg": VALUES,
        "request_id": VALUES,
        "status": st.sampled_from([1111]) | VALUES,
        "code": VALUES,
    },
)


@pytest.mark.slow
@given(answer=ANSWERS)
@examples(100)
def test_whatever_dingtalk_answers_is_a_user_or_an_error_of_ours(
    stub: StubDingTalk, stubbed: Flask, answer: Any
) -> None:
    """It never crashes, and never signs anybody in without a signal."""
    say(stub, Answer(answer))
    phone = stubbed.test_client()
    response = post(phone, begin(phone), "c0de", **JSON)
    signed_in = response.status_code == 303
    if not signed_in:
        assert response.json["error"] in {
            "invalid_code",
            "organisation_not_allowed",
            "configuration_error",
            "rate_limited",
            "dingtalk_unavailable",
            "api_error",
        }
    assert phone.get("/whoami").get_json()["is_authenticated"] is signed_in


def test_the_walk_of_the_simulator_gets_through_all_pages_of_the_site(
    make_in_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """Sites that show a sign-in page are tested like any other."""
    client = make_in_app(DINGTALK_LOGIN_PAGE=True).test_client()
    assert simulator.sign_in(client, "zhang", next="/report").location == "/report"
    client.environ_base["HTTP_USER_AGENT"] = IN_CLIENT
    assert simulator.sign_in(client, "li", next="/report").location == "/report"
    assert client.get("/").text == "李四"
