"""Each failure of DingTalk, at each call of a sign-in, and what the visitor and the log get."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException

import flask_dingtalk
from flask_dingtalk import DingTalkError, login_failed
from flask_dingtalk.api.error_codes import NEW_API, OLD_API
from flask_dingtalk.messages import ERRORS
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, come_back, endpoints, patience_for, start

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


@pytest.fixture
def visitor(make_app: AppFactory, failure: dict[str, Any]) -> FlaskClient:
    """Open a browser on a site that waits no longer than the failure needs."""
    return make_app(DINGTALK_TIMEOUT=patience_for(failure)).test_client()


@pytest.mark.parametrize("endpoint", ["userAccessToken", "users/me"])
@pytest.mark.parametrize(
    ("failure", "status", "error_code"),
    [pytest.param(*case[1:], id=case[0]) for case in FAILURES],
)
def test_each_failure_ends_on_a_page_that_says_what_happened_and_offers_another_try(
    visitor: FlaskClient,
    simulator: DingTalkSimulator,
    endpoint: str,
    failure: dict[str, Any],
    status: int,
    error_code: str,
) -> None:
    """At whichever call it happens; nobody is half signed in, and the second try works."""
    simulator.fail(endpoint, times=None, **failure)
    response = simulator.sign_in(visitor, "zhang", next="/report")
    assert response.status_code == status
    assert error_code in response.text
    assert 'href="/dingtalk/login?next=/report"' in response.text
    assert visitor.get("/").text == "nobody"
    simulator.clear_failures()
    assert simulator.sign_in(visitor, "zhang", next="/report").status_code == 302
    assert visitor.get("/").text == "张三"


@pytest.mark.parametrize("failure", [{"timeout": True}, {"reset": True}], ids=["timeout", "reset"])
def test_a_code_is_never_sent_twice(
    visitor: FlaskClient, simulator: DingTalkSimulator, failure: dict[str, Any]
) -> None:
    """Once DingTalk may have seen it, it may be spent."""
    simulator.fail("userAccessToken", after=True, **failure)
    assert simulator.sign_in(visitor, "zhang").status_code in (502, 504)
    assert endpoints(simulator) == ["userAccessToken"]


def test_a_profile_request_is_repeated_once_when_the_connection_breaks(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Nothing is spent by it, and the code would be lost otherwise."""
    simulator.fail("users/me", reset=True)
    assert simulator.sign_in(client, "zhang").status_code == 302


def test_throttling_tells_the_visitor_when_to_come_back(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk sends no Retry-After; a ban lasts five minutes."""
    simulator.fail("userAccessToken", throttled=True)
    assert simulator.sign_in(client, "zhang").headers["Retry-After"] == "1"
    simulator.fail("userAccessToken", throttled="ban")
    assert simulator.sign_in(client, "zhang").headers["Retry-After"] == "300"


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
    assert simulator.sign_in(client, "zhang").status_code == 500
    assert "Contact.User.Read" in caplog.text
    apply = f"content={simulator.application.client_id}%23Contact.User.Read"
    assert apply in caplog.text


def test_without_the_mobile_permission_people_sign_in_without_number(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk leaves it out without an error."""
    simulator.application.permissions.discard("Contact.User.mobile")
    assert simulator.sign_in(client, "zhang").status_code == 302


def test_an_address_outside_the_egress_list_is_named_with_its_cure(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """服务器出口IP is the console's name for it."""
    simulator.application.allowed_ips.append("203.0.113.7")
    assert simulator.sign_in(client, "zhang").status_code == 500
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


def test_the_page_loads_nothing(client: FlaskClient) -> None:
    """No script, no picture, no font, from wherever."""
    response = client.get("/dingtalk/callback")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "src=" not in response.text
    assert "http" not in response.text.replace("http-equiv", "")


def test_who_prefers_json_gets_json(client: FlaskClient) -> None:
    """With the name of the error and the text of the page."""
    headers = {"Accept": "application/json", "Accept-Language": "en"}
    response = client.get("/dingtalk/callback", headers=headers)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == "invalid_state"
    assert "sign in again" in response.json["message"]


@pytest.mark.parametrize("handled", [DingTalkError, HTTPException])
def test_the_sites_own_handler_takes_over_the_page(app: Flask, handled: Any) -> None:
    """For our base class, and for every HTTP error."""

    @app.errorhandler(handled)
    def page(error: HTTPException) -> tuple[str, int]:
        assert isinstance(error, DingTalkError)
        return f"ours: {error.error_code} {error.retry_url}", 400

    response = app.test_client().get("/dingtalk/callback")
    assert response.text == "ours: invalid_state /dingtalk/login"


def test_a_generic_handler_that_shows_the_description_shows_visitors_text(app: Flask) -> None:
    """And not what is meant for the developer."""

    @app.errorhandler(HTTPException)
    def page(error: HTTPException) -> tuple[str, int]:
        return str(error.description), 400

    assert app.test_client().get("/dingtalk/callback").text == ERRORS["invalid_state"].message.en


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
    simulator.sign_in(client, "zhang")
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].levelno == logging.ERROR
    for part in ("dingtalk_unavailable", "unknownError", "未知", "R-77", "Hint:"):
        assert part in lines[0].getMessage()


def test_what_a_visitor_did_is_a_warning_and_no_error_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Operators watch the errors."""
    come_back(client, "made-up", "code")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_text_of_dingtalks_cannot_forge_a_log_line(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Line breaks become blanks, and length is bounded."""
    body = b'{"code":"c\\nERROR forged","message":"' + b"m" * 5000 + b'"}'
    simulator.fail("userAccessToken", status=400, body=body)
    simulator.sign_in(client, "zhang")
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "\n" not in line
    assert len(line) < 1500


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
    """A code without a cure helps nobody."""
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
    """Also when a site raises it itself; the base class has no status of its own."""
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
