"""Every failure of DingTalk, at every call of a sign-in: what the visitor and the log get."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from flask import Flask, Response, abort, redirect, render_template_string
from flask.testing import FlaskClient
from flask_babel import Babel
from flask_talisman import Talisman
from werkzeug.exceptions import Forbidden, HTTPException

import flask_dingtalk
from flask_dingtalk import DingTalk, DingTalkError, login_failed
from flask_dingtalk.api.error_codes import NEW_API, OLD_API
from flask_dingtalk.messages import ERRORS
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import (
    AppFactory,
    come_back,
    in_time,
    patience_for,
    sign_in,
    start,
)
from .markup import links, tags

FAILURES: list[tuple[str, dict[str, Any], int, str]] = [
    ("timeout", {"timeout": True}, 504, "dingtalk_unavailable"),
    ("reset", {"reset": True}, 502, "dingtalk_unavailable"),
    ("web page", {"nonsense": True}, 502, "dingtalk_unavailable"),
    ("other JSON", {"nonsense": "json"}, 502, "dingtalk_unavailable"),
    ("empty answer", {"nonsense": "empty"}, 502, "dingtalk_unavailable"),
    ("500", {"status": 500, "code": "unknownError"}, 502, "dingtalk_unavailable"),
    ("503 busy", {"status": 503, "code": "system.busy"}, 502, "dingtalk_unavailable"),
    ("502 page", {"status": 502, "body": b"<html>Bad Gateway"}, 502, "dingtalk_unavailable"),
    ("404 page", {"status": 404, "body": b"<html>Not Found"}, 502, "dingtalk_unavailable"),
    ("redirect", {"status": 302, "body": b"", "headers": {"Location": "/elsewhere"}}, 502,
     "dingtalk_unavailable"),
    ("429 busy", {"status": 429, "code": "system.busy"}, 503, "rate_limited"),
    ("per second", {"throttled": True}, 503, "rate_limited"),
    ("ban", {"throttled": "ban"}, 503, "rate_limited"),
    ("ban page", {"throttled": "ban-page"}, 502, "dingtalk_unavailable"),
    ("wrong credentials", {"status": 400, "code": "invalidClientIdOrSecret"}, 500,
     "configuration_error"),
    ("IP", {"status": 403, "code": "Forbidden.AccessDenied.IpNotInWhiteList"}, 500,
     "configuration_error"),
    ("permission", {"status": 403, "code": "Forbidden.AccessDenied.AccessTokenPermissionDenied"},
     500, "configuration_error"),
    ("unknown code", {"status": 400, "code": "some.thing.new"}, 502, "api_error"),
    ("token refused", {"status": 400, "code": "InvalidAuthentication"}, 502, "api_error"),
    ("old envelope in a 200", {"body": b'{"errcode":404,"errmsg":"x"}'}, 502, "api_error"),
    ("old envelope, wrapped", {"body": b'{"errcode":88,"sub_code":"60020","sub_msg":"ip"}'}, 500,
     "configuration_error"),
]  # fmt: skip


@pytest.mark.parametrize("endpoint", ["userAccessToken", "users/me"])
@pytest.mark.parametrize(
    ("failure", "status", "error_code"),
    [pytest.param(*case[1:], id=case[0]) for case in FAILURES],
)
def test_each_failure_ends_on_a_page_that_says_what_happened_and_offers_another_try(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    endpoint: str,
    failure: dict[str, Any],
    status: int,
    error_code: str,
) -> None:
    """Nobody is half signed in, whichever call fails, and the second try works."""
    client = make_app(DINGTALK_TIMEOUT=patience_for(failure)).test_client()
    simulator.fail(endpoint, times=None, **failure)
    response = sign_in(client, simulator, next="/report")
    assert response.status_code == status
    assert error_code in response.text
    assert 'href="/dingtalk/login?next=/report"' in response.text
    assert client.get("/").text == "nobody"
    simulator.clear_failures()
    again = in_time(lambda: sign_in(client, simulator, next="/report"))
    assert again.status_code == 302
    assert client.get("/").text == "张三"


@pytest.mark.parametrize("failure", [{"timeout": True}, {"reset": True}], ids=["timeout", "reset"])
def test_a_code_is_never_sent_twice(
    make_app: AppFactory, simulator: DingTalkSimulator, failure: dict[str, Any]
) -> None:
    """DingTalk may have used it up already."""
    client = make_app(DINGTALK_TIMEOUT=patience_for(failure)).test_client()
    simulator.fail("userAccessToken", after=True, **failure)
    assert sign_in(client, simulator).status_code in (502, 504)
    assert [call.endpoint for call in simulator.calls] == ["userAccessToken"]


def test_a_profile_request_is_repeated_once_when_the_connection_breaks(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The request uses nothing up; without the repetition, the code would be lost."""
    simulator.fail("users/me", reset=True)
    assert sign_in(client, simulator).status_code == 302


def test_throttling_tells_the_visitor_when_to_come_back(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk sends no Retry-After; a ban lasts five minutes."""
    simulator.fail("userAccessToken", throttled=True)
    assert sign_in(client, simulator).headers["Retry-After"] == "1"
    simulator.fail("userAccessToken", throttled="ban")
    assert sign_in(client, simulator).headers["Retry-After"] == "300"


# --- Set-up mistakes -----------------------------------------------------------------------------


def test_a_wrong_secret_is_named_with_its_cure(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log; the visitor is told to ask the administrator."""
    client = make_app(DINGTALK_CLIENT_SECRET="wrong").test_client()
    response = come_back_signed_in(client, simulator)
    assert response.status_code == 500
    assert "DINGTALK_CLIENT_SECRET" in caplog.text
    assert "凭证与基础信息" in caplog.text
    assert "DINGTALK_CLIENT_SECRET" not in response.text


def test_a_missing_permission_is_named_with_its_cure(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """With the permission's name and the address where to apply for it."""
    simulator.application.permissions.discard("Contact.User.Read")
    assert sign_in(client, simulator).status_code == 500
    assert "Contact.User.Read" in caplog.text
    apply = f"content={simulator.application.client_id}%23Contact.User.Read"
    assert apply in caplog.text


def test_without_the_mobile_permission_people_sign_in_without_number(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk leaves it out without an error."""
    simulator.application.permissions.discard("Contact.User.mobile")
    assert sign_in(client, simulator).status_code == 302


def test_an_address_outside_the_egress_list_is_named_with_its_cure(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """服务器出口IP is the console's name for it."""
    simulator.application.allowed_ips.append("203.0.113.7")
    assert sign_in(client, simulator).status_code == 500
    assert "服务器出口IP" in caplog.text


def test_an_application_that_was_never_released_is_named_with_its_cure(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The console calls it 版本管理与发布."""
    state_and_code = start_and_code(client, simulator)
    simulator.application.released = False
    response = come_back(client, *state_and_code)
    assert response.status_code == 500
    assert "版本管理与发布" in caplog.text


# --- The page ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("languages", "lang"),
    [
        pytest.param("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", id="Chinese"),
        pytest.param("zh-TW", "zh-CN", id="Chinese of Taiwan"),
        pytest.param("zh-Hans", "zh-CN", id="simplified Chinese"),
        pytest.param("en-GB,en;q=0.9", "en", id="English"),
        pytest.param("en;q=0.5, zh;q=0.9", "zh-CN", id="Chinese preferred"),
        pytest.param("fr", "en", id="another language"),
        pytest.param("", "en", id="none"),
        pytest.param("*", "en", id="any"),
        pytest.param(";;q=x,,,", "en", id="nonsense"),
    ],
)
def test_the_page_speaks_the_visitors_language(
    client: FlaskClient, languages: str, lang: str
) -> None:
    """Chinese or English."""
    response = client.get("/dingtalk/callback", headers={"Accept-Language": languages})
    assert f'<html lang="{lang}">' in response.text
    assert ("重试" in response.text) == (lang == "zh-CN")


def test_the_page_loads_nothing_but_the_style_sheet_of_this_site(client: FlaskClient) -> None:
    """It has no script, picture or font, and no inline style."""
    response = client.get("/dingtalk/callback")
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    (sheet,) = tags(response.text, "link")
    with client.get(sheet["href"]) as file:
        assert (sheet["rel"], file.mimetype) == ("stylesheet", "text/css")
    assert "<style" not in response.text
    assert "src=" not in response.text
    assert "http" not in response.text


def test_the_page_may_stand_in_the_frame_of_the_dingtalk_client(client: FlaskClient) -> None:
    """Frames of the site and of DingTalk may show it, and no others."""
    policy = client.get("/dingtalk/callback").headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://*.dingtalk.com" in policy


@pytest.mark.parametrize("served", [True, False], ids=["in a request", "outside of one"])
def test_where_the_site_serves_no_style_sheet_the_page_has_it_inside(served: bool) -> None:
    """Its policy admits that very style, by its hash (CSP 3, section 6.7.3.3)."""
    error = flask_dingtalk.NotPermitted("for a test")
    if served:
        bare = Flask(__name__)
        with bare.test_request_context():
            response = error.get_response()
    else:
        response = error.get_response()
    style = re.search("<style>(.*)</style>", response.get_data(as_text=True), re.DOTALL)
    assert style
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in response.headers["Content-Security-Policy"]
    assert ".dingtalk-page" in style[1]


def test_the_page_can_be_read_without_any_style(client: FlaskClient) -> None:
    """The picture has a fixed size, and the page has a landmark and a heading."""
    page = client.get("/dingtalk/callback").text
    (picture,) = tags(page, "svg")
    assert (picture["width"], picture["height"]) == ("40", "40")
    assert [len(tags(page, name)) for name in ("main", "h1")] == [1, 1]


def test_the_page_passes_the_policy_of_flask_talisman(make_app: AppFactory) -> None:
    """Its style sheet has the nonce of the site."""
    app = make_app()
    Talisman(
        app,
        force_https=False,
        content_security_policy={"default-src": "'none'", "style-src": "'none'"},
        content_security_policy_nonce_in=["style-src"],
    )
    response = app.test_client().get("/dingtalk/callback")
    (sheet,) = tags(response.text, "link")
    assert len(sheet["nonce"]) > 20
    assert f"'nonce-{sheet['nonce']}'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("broken", ["csp_nonce", "url_defaults"])
def test_a_function_of_the_site_that_fails_takes_no_page_away(app: Flask, broken: str) -> None:
    """The error is shown all the same."""

    def fail(*values: Any) -> None:
        raise ZeroDivisionError

    @app.get("/broken")
    def view() -> str:
        raise flask_dingtalk.DingTalkUnavailable("for a test")

    if broken == "csp_nonce":
        app.jinja_env.globals["csp_nonce"] = fail
    else:
        app.url_defaults(fail)
    assert "DingTalk cannot be reached" in app.test_client().get("/broken").text


def test_a_long_header_costs_no_time(client: FlaskClient) -> None:
    """Only the first thousand characters are read: what comes later does not count."""
    filler = "".join(f"x{number};q=0.1," for number in range(200))
    for headers in ({"Accept-Language": f"{filler}zh"}, {"Accept": f"{filler}text/html"}):
        assert "请" not in client.get("/dingtalk/callback", headers=headers).text
    assert client.get("/dingtalk/callback", headers={"Accept": f"{filler}text/html"}).is_json


# --- The language of a site with Flask-Babel ----------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "lang"),
    [("zh_Hans_CN", "zh-CN"), ("zh_TW", "zh-CN"), ("en_GB", "en"), ("fr", "en")],
)
def test_flask_babels_locale_goes_before_the_browsers_language(
    app: Flask, locale: str, lang: str
) -> None:
    """The page speaks the language that the person chose on the site; so does the button."""
    Babel(app, locale_selector=lambda: locale)
    app.add_url_rule("/button", "button", lambda: render_template_string("{{ dingtalk_button() }}"))
    client = app.test_client()
    other = {"Accept-Language": "en" if lang == "zh-CN" else "zh-CN"}
    assert f'<html lang="{lang}">' in client.get("/dingtalk/callback", headers=other).text
    button = client.get("/button", headers=other).text
    assert ("使用钉钉登录" in button) == (lang == "zh-CN")


def test_a_choice_of_language_that_fails_gives_way_to_the_browsers(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is in the log."""

    def choose() -> str:
        raise ZeroDivisionError

    Babel(app, locale_selector=choose)
    response = app.test_client().get("/dingtalk/callback", headers={"Accept-Language": "zh"})
    assert '<html lang="zh-CN">' in response.text
    assert "The site's own choice of a language failed" in caplog.text


def test_an_app_without_flask_babel_is_not_asked_for_a_locale(make_app: AppFactory) -> None:
    """Another app of the same process may use it."""
    Babel(Flask("another"), default_locale="zh")
    assert '<html lang="en">' in make_app().test_client().get("/dingtalk/callback").text


# --- What developers get to see, and what visitors ----------------------------------------------


def test_in_debug_mode_the_page_shows_the_line_of_the_log(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """Escaped; and it does not send the developer to the log."""
    app = make_app(DINGTALK_CLIENT_SECRET="wrong", DEBUG=True)
    app.debug = True
    page = come_back_signed_in(app.test_client(), simulator).text
    assert "DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET" in page
    assert "console, 基础信息 &gt; 凭证与基础信息" in page
    assert "The details are in the site&#39;s log" not in page


def test_without_debug_mode_the_page_says_where_the_details_are(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """For whoever has set up the site."""
    app = make_app(DINGTALK_CLIENT_SECRET="wrong")
    page = come_back_signed_in(app.test_client(), simulator).text
    assert "The details are in the site&#39;s log" in page
    assert "DINGTALK_CLIENT" not in page


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", "DingTalk is busy: DingTalk is not accepting more requests right now. Please try "
         "again in a moment."),
        ("zh", "钉钉繁忙: 钉钉当前请求过多，请稍后再试。"),
    ],
)  # fmt: skip
def test_the_text_of_an_error_is_for_visitors_while_a_request_is_served(
    app: Flask, language: str, shown: str
) -> None:
    """Frameworks send it to clients, so it must not contain hint, code and request id."""
    error = flask_dingtalk.RateLimited(
        "for a test", hint="call less often", dingtalk_code="90018", dingtalk_message="qps",
        request_id="R-1",
    )  # fmt: skip
    with app.test_request_context(headers={"Accept-Language": language}):
        assert str(error) == shown
        assert str(error) == f"{error.title}: {error.message}"
        assert error.description == error.message


def test_outside_of_a_request_the_text_of_an_error_is_that_of_the_log() -> None:
    """Developers read it in tracebacks."""
    error = flask_dingtalk.RateLimited(
        "for a test", hint="call less often", dingtalk_code="90018", dingtalk_message="qps",
        request_id="R-1",
    )  # fmt: skip
    assert str(error) == error.log_message
    assert error.log_message == (
        "rate_limited: for a test | DingTalk answered 90018: qps | request id R-1 | "
        "Hint: call less often"
    )
    assert (error.title, error.message) == tuple(text.en for text in ERRORS["rate_limited"])


def test_an_error_is_complete_when_it_is_made() -> None:
    """All facts are arguments of its constructor."""
    error = flask_dingtalk.InvalidState("x", target="/report", retry_url="/login")
    assert (error.target, error.retry_url) == ("/report", "/login")


def test_a_site_may_have_texts_of_its_own_for_an_error_of_its_own(app: Flask) -> None:
    """They are used on the page, in JSON and for handlers of HTTP errors."""

    class Suspended(DingTalkError):
        code = 403
        error_code = "suspended"
        title = "Suspended"
        message = "Come back on Monday."

    @app.get("/suspended")
    def suspended() -> str:
        raise Suspended

    client = app.test_client()
    page = client.get("/suspended").text
    assert "<h1>Suspended</h1>" in page
    assert "Come back on Monday." in page
    answer = client.get("/suspended", headers={"Accept": "application/json"})
    assert answer.json == {"error": "suspended", "message": "Come back on Monday."}


# --- Where to go from here ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("OrganisationNotAllowed", "Use another account"),
        ("NotPermitted", "Use another account"),
        ("AccessDenied", "Try again"),
        ("InvalidState", "Try again"),
        ("DingTalkUnavailable", "Try again"),
    ],
)
def test_whoever_was_refused_is_not_told_to_try_the_same_again(
    app: Flask, name: str, link: str
) -> None:
    """The link leads to another sign-in."""

    @app.get("/refused")
    def refused() -> str:
        raise getattr(flask_dingtalk, name)("for a test", retry_url="/dingtalk/login")

    page = app.test_client().get("/refused").text
    assert f'href="/dingtalk/login">{link}</a>' in page


def test_a_refusal_of_the_sites_own_leads_to_the_home_page(app: Flask) -> None:
    """The page that refused would do so again."""

    @app.get("/refused")
    def refused() -> str:
        raise flask_dingtalk.NotPermitted("for a test")

    page = app.test_client().get("/refused", base_url="http://localhost/portal/").text
    assert '<a class="dingtalk-button" href="/portal/">Go to the home page</a>' in page


def test_a_cancelled_sign_in_is_not_blamed_on_the_visitor(client: FlaskClient) -> None:
    """What DingTalk's ``error`` may say is documented nowhere."""
    query = {"error": "yyyyyy", "state": start(client)}
    page = client.get("/dingtalk/callback", query_string=query).text
    assert "The sign-in was not completed" in page
    assert "Your account may not be allowed to use this application." in page
    assert "cancelled" not in page


def test_a_script_learns_where_to_sign_in(app: Flask) -> None:
    """The page does not show that URL."""

    @app.get("/data")
    def data() -> str:
        raise flask_dingtalk.LoginRequired("x", login_url="/in", retry_url="/in?next=/data")

    client = app.test_client()
    answer = client.get("/data", headers={"Accept": "application/json"})
    assert answer.json is not None
    assert answer.json["login_url"] == "/in"
    assert links(client.get("/data").text) == ["/in?next=/data"]


# --- Waiting ------------------------------------------------------------------------------------


def waiting(app: Flask, *, seconds: float, reload_url: str | None = None) -> FlaskClient:
    """Open a browser on a site with a view that is throttled for so long."""

    @app.route("/busy", methods=["GET", "POST"])
    def busy() -> str:
        raise flask_dingtalk.RateLimited(
            "for a test", retry_after=seconds, reload_after=seconds, reload_url=reload_url
        )

    return app.test_client()


def test_a_throttled_page_loads_itself_again(app: Flask) -> None:
    """It reloads the same URL, which is not in the page since it may contain a code."""
    response = waiting(app, seconds=3).get("/busy?code=abc123")
    assert response.status_code == 503
    assert (response.headers["Retry-After"], response.headers["Refresh"]) == ("3", "3")
    assert response.headers["Cache-Control"] == "no-store"
    assert "One moment, please" in response.text
    assert links(response.text) == [""]
    assert "abc123" not in response.text
    assert "http-equiv" not in response.text


def test_a_throttled_page_speaks_chinese(app: Flask) -> None:
    """As every page does."""
    page = waiting(app, seconds=3).get("/busy", headers={"Accept-Language": "zh"}).text
    assert "<h1>请稍候</h1>" in page
    assert "立即刷新" in page


def test_a_throttled_page_may_go_on_elsewhere(app: Flask) -> None:
    """A form cannot be sent again by itself, another address can be loaded."""
    response = waiting(app, seconds=2.2, reload_url="/elsewhere?a=1").post("/busy")
    assert (response.status_code, response.headers["Refresh"]) == (503, "3; url=/elsewhere?a=1")
    assert links(response.text) == ["/elsewhere?a=1"]


def test_a_throttled_form_is_not_sent_again_by_itself(app: Flask) -> None:
    """A reload would send GET instead of POST."""
    response = waiting(app, seconds=2).post("/busy")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert "Refresh" not in response.headers
    assert "DingTalk is busy" in response.text


def test_a_throttled_script_learns_when_to_come_back(app: Flask) -> None:
    """The answer has Retry-After and does not reload."""
    response = waiting(app, seconds=3).get("/busy", headers={"Accept": "application/json"})
    assert response.json is not None
    assert (response.status_code, response.json["error"]) == (503, "rate_limited")
    assert response.headers["Retry-After"] == "3"
    assert "Refresh" not in response.headers


# --- Page or JSON -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, "text/html", id="says nothing"),
        pytest.param({"Accept": "text/html,*/*;q=0.8"}, "text/html", id="form of a browser"),
        pytest.param({"Accept": "*/*"}, "application/json", id="fetch"),
        pytest.param(
            {"Accept": "application/json, text/plain, */*"}, "application/json", id="axios"
        ),
        pytest.param(
            {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "cors"},
            "application/json",
            id="script that asks for HTML",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_rule_says_who_gets_a_page(
    app: Flask, method: str, headers: dict[str, str], expected: str
) -> None:
    """The rule of the guard, whatever the method."""

    @app.route("/broken", methods=["GET", "POST"])
    def broken() -> str:
        raise flask_dingtalk.DingTalkUnavailable("for a test")

    response = app.test_client().open("/broken", method=method, headers=headers)
    assert (response.status_code, response.mimetype) == (502, expected)


def test_who_prefers_json_gets_json(client: FlaskClient) -> None:
    """With the name of the error and the text of the page."""
    headers = {"Accept": "application/json", "Accept-Language": "en"}
    response = client.get("/dingtalk/callback", headers=headers)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == "invalid_state"
    assert "sign in again" in response.json["message"]


def test_the_sites_own_handler_takes_over_the_page(app: Flask) -> None:
    """A handler for the base class gets them all."""

    @app.errorhandler(DingTalkError)
    def page(error: DingTalkError) -> tuple[str, int]:
        return f"ours: {error.error_code} {error.retry_url}", 400

    response = app.test_client().get("/dingtalk/callback")
    assert response.text == "ours: invalid_state /dingtalk/login"


def test_a_generic_handler_that_shows_the_description_shows_visitors_text(app: Flask) -> None:
    """And not what is meant for the developer."""

    @app.errorhandler(HTTPException)
    def page(error: HTTPException) -> tuple[str, int]:
        return str(error.description), 400

    @app.get("/refused")
    def refused() -> str:
        raise flask_dingtalk.InvalidState("for the developer")

    assert app.test_client().get("/refused").text == ERRORS["invalid_state"].message.en


def test_an_error_raised_in_a_view_of_the_site_offers_to_load_that_page_again(app: Flask) -> None:
    """Without repeating its address."""

    @app.route("/broken", methods=["GET", "POST"])
    def broken() -> str:
        raise flask_dingtalk.DingTalkUnavailable("for a test")

    assert 'href=""' in app.test_client().get("/broken").text
    assert 'href="/"' in app.test_client().post("/broken").text


def test_a_site_may_have_errors_of_its_own(app: Flask) -> None:
    """They get the general text, and their own name."""

    class Suspended(DingTalkError):
        code = 403
        error_code = "suspended"

    @app.get("/suspended")
    def suspended() -> str:
        raise Suspended("until Monday")

    response = app.test_client().get("/suspended")
    assert (response.status_code, "suspended" in response.text) == (403, True)


def test_a_failure_is_logged_once_with_what_dingtalk_said(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Code, message and request id, and what to do about it."""
    body = b'{"code":"unknownError","message":"\xe6\x9c\xaa\xe7\x9f\xa5","requestid":"R-77"}'
    simulator.fail("userAccessToken", status=500, body=body)
    sign_in(client, simulator)
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].levelno == logging.ERROR
    for part in ("dingtalk_unavailable", "unknownError", "未知", "R-77", "Hint:"):
        assert part in lines[0].getMessage()


def test_what_a_visitor_did_is_a_warning_and_no_error_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what an operator must fix is logged as an error."""
    come_back(client, "made-up", "code")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_text_of_dingtalks_cannot_forge_a_log_line(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Line breaks become blanks, and length is bounded."""
    body = b'{"code":"c\\nERROR forged","message":"' + b"m" * 5000 + b'"}'
    simulator.fail("userAccessToken", status=400, body=body)
    sign_in(client, simulator)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "\n" not in line
    assert len(line) < 1500


def away(location: str) -> HTTPException:
    """Return what ``abort(redirect(location))`` raises."""
    with pytest.raises(HTTPException) as caught:
        abort(redirect(location))
    return caught.value


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(away("/bind?who=zhang"), "the site answered 302 to /bind", id="redirect"),
        pytest.param(
            away("https://other.example/a?b"), "the site answered 302 to /a", id="elsewhere"
        ),
        pytest.param(
            HTTPException(response=Response("no", 409)), "the site answered 409", id="response"
        ),
        pytest.param(Forbidden(), "Forbidden, HTTP 403", id="status"),
        pytest.param(
            Forbidden("not\non the list"), "Forbidden, HTTP 403: not on the list", id="reason"
        ),
        pytest.param(KeyError("private"), "builtins.KeyError", id="bug"),
    ],
)
def test_the_log_says_how_a_site_refused_a_sign_in(
    app: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture,
    error: Exception, line: str,
) -> None:  # fmt: skip
    """On one line, and without what may be private."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @dingtalk.on_login
    def refuse(user: Any, token: Any) -> None:
        raise error

    app.testing = False
    sign_in(app.test_client(), simulator)
    assert f"DingTalk sign-in failed: {line}" in [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]


def test_the_signal_tells_of_a_failed_sign_in(app: Flask) -> None:
    """``login_failed``, with the error."""
    heard: list[Any] = []

    def listen(sender: Flask, error: DingTalkError) -> None:
        heard.append((sender, error.error_code))

    with login_failed.connected_to(listen):
        come_back(app.test_client(), "made-up", "code")
    assert heard == [(app, "invalid_state")]


# --- The table -----------------------------------------------------------------------------------

DOCUMENTED_NEW = [
    "invalidParameter.authCode.notFound",
    "invalidCode",
    "invalidClientIdOrSecret",
    "invalid.client",
    "unsupported.grant.type",
    "unauthorized.client",
    "InvalidAuthentication",
    "accesstoken.expired",
    "invalidToken",
    "AuthenticationFailed.MissingParameter",
    "Missingbody",
    "apiPermissionDenied",
    "Forbidden.AccessDenied.AccessTokenPermissionDenied",
    "Forbidden.AccessDenied.IpNotInWhiteList",
    "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
    "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi",
    "Forbidden.AccessDenied.QpsLimitForSuitekeyAndOrgAndApi",
    "Forbidden.AccessDenied.QpmLimitForSuitekeyAndOrgAndApi",
    "Forbidden.AccessDenied.QpsLimitForApi",
    "Forbidden.AccessDenied.ApiCountLimitForOrg",
    "invalidParameter.user.notFound",
    "InvalidAction.NotFound",
    "unknownError",
    "server.error",
]
DOCUMENTED_OLD = [
    -1, 15, 22, 404, 33001, 40013, 33012, 40000, 400002, 40001, 40003, 60111, 40014, 40035,
    40038, 40078, 40029, 40102, 42008, 40079, 40089, 40096, 41001, 41009, 41026, 42001, 43001,
    43002, 43005, 43007, 44002, 48002, 50001, 50002, 50004, 50003, 50005, 70001, 60011, 60020,
    60120, 60121,
    *range(90001, 90015), 90017, 90018, 90020,
]  # fmt: skip


def test_every_documented_code_is_in_the_table() -> None:
    """Of both APIs."""
    assert set(DOCUMENTED_NEW) <= NEW_API.keys()
    assert set(DOCUMENTED_OLD) <= OLD_API.keys()


@pytest.mark.parametrize(
    "row", [*NEW_API.values(), *OLD_API.values()], ids=[*NEW_API, *map(str, OLD_API)]
)
def test_every_row_says_what_to_do(row: Any) -> None:
    """Each row has a hint."""
    assert len(row.hint) > 20


def test_every_error_has_a_text_in_both_languages() -> None:
    """A page for each error_code."""
    classes = [
        value
        for value in vars(flask_dingtalk).values()
        if isinstance(value, type) and issubclass(value, DingTalkError)
    ]
    assert {error.error_code for error in classes} == set(ERRORS)
    for title, message in ERRORS.values():
        assert all((*title, *message))


@pytest.mark.parametrize(
    ("name", "status", "error_code"),
    [
        ("InvalidState", 400, "invalid_state"),
        ("AccessDenied", 403, "access_denied"),
        ("InvalidCode", 400, "invalid_code"),
        ("LoginRequired", 401, "login_required"),
        ("OrganisationNotAllowed", 403, "organisation_not_allowed"),
        ("NotPermitted", 403, "not_permitted"),
        ("ConfigurationError", 500, "configuration_error"),
        ("RateLimited", 503, "rate_limited"),
        ("DingTalkUnavailable", 502, "dingtalk_unavailable"),
        ("DingTalkAPIError", 502, "api_error"),
    ],
)
def test_each_error_has_its_status_and_its_name(name: str, status: int, error_code: str) -> None:
    """A site may raise them, too; the base class has no status."""
    error = getattr(flask_dingtalk, name)()
    assert (error.code, error.error_code) == (status, error_code)
    assert error.get_response().status_code == status
    assert DingTalkError.code is None
    assert DingTalkError().get_response().status_code == 500


def start_and_code(client: FlaskClient, simulator: DingTalkSimulator) -> tuple[str, str]:
    """Begin a sign-in and have a code for it."""
    return start(client), simulator.authorization_code("zhang")


def come_back_signed_in(client: FlaskClient, simulator: DingTalkSimulator) -> Any:
    """Go through a sign-in without DingTalk's pages."""
    return come_back(client, *start_and_code(client, simulator))
