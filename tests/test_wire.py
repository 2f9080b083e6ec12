"""A witness: what goes over the wire, spelled out as DingTalk documents it.

The code and the simulator share their names; a wrong one there would pass every other test. Here no
name is taken from either.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from flask_dingtalk import DingTalkToken, DingTalkUser, login_failed, user_logged_in
from flask_dingtalk.api.client import Client
from flask_dingtalk.api.transport import Transport
from flask_dingtalk.errors import (
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    LoginRequired,
    RateLimited,
)
from flask_dingtalk.messages import ERRORS
from flask_dingtalk.settings import Settings

from .helpers import build_site, sign_in_with, site_on
from .made_up import examples
from .stub import PROFILE, TOKEN, Answer, Asked, StubDingTalk


@pytest.fixture
def browser(stub: StubDingTalk) -> FlaskClient:
    """Open a browser on a site that talks to the stub."""
    return site_on(stub).test_client()


def test_the_token_request_is_dingtalks(browser: FlaskClient, stub: StubDingTalk) -> None:
    """JSON in camelCase, no form, no Basic authentication, nothing that was not asked for."""
    sign_in_with(browser)
    asked = stub.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1.0/oauth2/userAccessToken")
    assert asked.headers["content-type"] == "application/json"
    assert "authorization" not in asked.headers
    assert json.loads(asked.body) == {
        "clientId": "dingstub",
        "clientSecret": "the-secret-of-the-stub",
        "code": "c0de",
        "grantType": "authorization_code",
    }


def test_the_profile_request_is_dingtalks(browser: FlaskClient, stub: StubDingTalk) -> None:
    """The token in DingTalk's header, and nowhere else."""
    sign_in_with(browser)
    asked = stub.asked[1]
    assert (asked.method, asked.path) == ("GET", "/v1.0/contact/users/me")
    assert asked.headers["x-acs-dingtalk-access-token"] == "0123456789abcdef0123456789abcdef"
    assert "authorization" not in asked.headers
    assert asked.body == b""


def test_the_refresh_request_is_dingtalks(browser: FlaskClient, stub: StubDingTalk) -> None:
    """The same address, with refreshToken and its grantType."""
    stub.token = Answer(TOKEN | {"expireIn": 1})
    sign_in_with(browser)
    stub.asked.clear()
    browser.get("/call")
    assert stub.asked[0].path == "/v1.0/oauth2/userAccessToken"
    assert json.loads(stub.asked[0].body) == {
        "clientId": "dingstub",
        "clientSecret": "the-secret-of-the-stub",
        "refreshToken": "fedcba9876543210fedcba9876543210",
        "grantType": "refresh_token",
    }


@pytest.mark.parametrize("code", ["a+b/c=d&e", "%2B", "a b", "c" * 256], ids=ascii)
def test_a_code_arrives_as_it_was(browser: FlaskClient, stub: StubDingTalk, code: str) -> None:
    """Through address, form and JSON."""
    sign_in_with(browser, code)
    assert json.loads(stub.asked[0].body)["code"] == code


def test_the_profile_is_read_as_documented(browser: FlaskClient, stub: StubDingTalk) -> None:
    """Each field under its name here."""
    seen: list[tuple[DingTalkUser, DingTalkToken]] = []

    def listen(sender: Flask, user: DingTalkUser, token: DingTalkToken) -> None:
        seen.append((user, token))

    with user_logged_in.connected_to(listen):
        sign_in_with(browser)
    user, token = seen[0]
    assert user == DingTalkUser(
        union_id="zYxWvUtSrQpOnMlKjIhGfEdCiEiE",
        open_id="aBcDeFgHiJkLmNoPqRsTuVwXiEiE",
        nick="张三",
        avatar_url="https://static-legacy.dingtalk.com/media/avatar.png",
        mobile="15012349144",
        state_code="86",
        email="zhang@example.com",
        corp_id="ding0123456789abcdef",
    )
    assert user.phone_number == "+8615012349144"
    assert user.raw == PROFILE
    assert token.access_token == "0123456789abcdef0123456789abcdef"
    assert token.refresh_token == "fedcba9876543210fedcba9876543210"
    assert token.corp_id == "ding0123456789abcdef"


# --- What DingTalk may send ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"accessToken": None},
        {"accessToken": ""},
        {"accessToken": 7},
        {"accessToken": ["x"]},
        {"accessToken": "line\nbreak"},
        {"accessToken": "令牌"},
        {"accessToken": "x" * 5000},
        {"refreshToken": 7},
        {"refreshToken": "line\r\nbreak"},
        {"expireIn": None},
        {"expireIn": "soon"},
        {"expireIn": 0},
        {"expireIn": -7200},
        {"expireIn": True},
        {"expireIn": 1.5},
        {"expireIn": [7200]},
    ],
    ids=ascii,
)
def test_a_token_of_another_shape_signs_nobody_in(
    browser: FlaskClient, stub: StubDingTalk, change: dict[str, Any]
) -> None:
    """It is DingTalk's mistake and shown as such."""
    stub.token = Answer(TOKEN | change)
    response = sign_in_with(browser)
    assert (response.status_code, "dingtalk_unavailable" in response.text) == (502, True)
    assert browser.get("/").text == "nobody"


@pytest.mark.parametrize(
    "change",
    [
        {"expireIn": "7200"},
        {"expireIn": 10**30},
        {"expireIn": "9" * 4000},
        {"refreshToken": None},
        {"corpId": None},
        {"corpId": 7},
        {"more": {"of": ["it"]}},
    ],
    ids=lambda change: ascii(change)[:40],
)
def test_a_token_with_harmless_surprises_is_good(
    browser: FlaskClient, stub: StubDingTalk, change: dict[str, Any]
) -> None:
    """Samples of the documents put numbers in quotes; fields may be added."""
    stub.token = Answer(TOKEN | change)
    assert sign_in_with(browser).status_code == 302


@pytest.mark.parametrize(
    "change",
    [{"unionId": None}, {"unionId": ""}, {"unionId": 7}, {"unionId": ["x"]}],
    ids=ascii,
)
def test_a_profile_without_identity_signs_nobody_in(
    browser: FlaskClient, stub: StubDingTalk, change: dict[str, Any]
) -> None:
    """Nothing else in it identifies a person."""
    stub.user = Answer(PROFILE | change)
    assert sign_in_with(browser).status_code == 502
    assert browser.get("/").text == "nobody"


@pytest.mark.parametrize(
    "name", ["openId", "nick", "avatarUrl", "mobile", "stateCode", "email", "visitor"]
)
@pytest.mark.parametrize(
    "value", [..., None, "", 7, True, ["x"], {"x": 1}, "\ud83d", "\x00", "<script>"], ids=ascii
)
def test_every_other_field_may_be_missing_or_strange(
    browser: FlaskClient, stub: StubDingTalk, name: str, value: Any
) -> None:
    """The person is in, and every page that shows them works."""
    profile = {key: field for key, field in PROFILE.items() if key != name}
    stub.user = Answer(profile if value is ... else profile | {name: value})
    assert sign_in_with(browser).status_code == 302
    assert browser.get("/whoami").status_code == 200
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("depth", [40, 300, 480, 900])
def test_a_profile_nested_without_end_signs_nobody_in(
    browser: FlaskClient, stub: StubDingTalk, depth: int
) -> None:
    """Python itself would give up on it, here or at the next request."""
    nested = b'{"unionId": "u", "x": ' + b"[" * depth + b"]" * depth + b"}"
    stub.user = Answer(body=nested)
    assert sign_in_with(browser).status_code == 502


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"NaN",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 5000,
        b"<!doctype html>",
    ],
    ids=lambda body: ascii(body[:12]),
)
@pytest.mark.parametrize("call", ["token", "user"])
def test_what_is_no_json_object_signs_nobody_in(
    browser: FlaskClient, stub: StubDingTalk, call: str, body: bytes
) -> None:
    """Whichever call answers it."""
    setattr(stub, call, Answer(body=body))
    response = sign_in_with(browser)
    assert (response.status_code, "dingtalk_unavailable" in response.text) == (502, True)
    assert browser.get("/").text == "nobody"


@pytest.mark.parametrize(
    "content",
    [
        {"Code": "invalidClientIdOrSecret", "Message": "x", "RequestId": "y"},
        {"CODE": "invalidClientIdOrSecret"},
        {"code": "invalidClientIdOrSecret", "message": None, "requestid": 7},
    ],
    ids=ascii,
)
def test_an_error_is_recognised_in_every_spelling_of_its_keys(
    browser: FlaskClient, stub: StubDingTalk, content: dict[str, Any]
) -> None:
    """The official SDK reads two."""
    stub.token = Answer(content, 400)
    assert "configuration_error" in sign_in_with(browser).text


@pytest.mark.parametrize(
    "content", [{"code": 7}, {"code": ["x"]}, {"code": None}, {}, [], 7, None], ids=ascii
)
@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_error_without_a_known_code_is_still_an_error(
    browser: FlaskClient, stub: StubDingTalk, status: int, content: Any
) -> None:
    """By its status."""
    stub.token = Answer(content, status)
    assert sign_in_with(browser).status_code == 502


@pytest.mark.parametrize(
    "detail", [None, [], "x", {"requiredScopes": "x"}, {"requiredScopes": [7, None]}, {}], ids=ascii
)
def test_a_missing_permission_may_come_without_its_name(
    browser: FlaskClient, stub: StubDingTalk, detail: Any
) -> None:
    """Or with one of another shape."""
    code = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
    stub.user = Answer({"code": code, "message": "x", "accessdenieddetail": detail}, 403)
    assert "configuration_error" in sign_in_with(browser).text


@pytest.mark.parametrize(
    ("content", "error_code"),
    [
        ({"errcode": 0, "errmsg": "ok"}, None),
        ({"errcode": "0"}, None),
        ({"errcode": 88, "sub_code": "90018", "sub_msg": "x"}, "rate_limited"),
        ({"errcode": "88", "sub_code": "40014"}, "api_error"),
        ({"errcode": 88, "sub_code": "isp.x", "errmsg": "x"}, "api_error"),
        ({"errcode": -1, "errmsg": "系统繁忙"}, "dingtalk_unavailable"),
        ({"errcode": 424242, "errmsg": "x"}, "api_error"),
        ({"errcode": "x"}, None),
        ({"errcode": None}, None),
        ({"status": 1111, "wait": 5, "punish": "deny"}, "rate_limited"),
    ],
    ids=ascii,
)
def test_an_error_of_the_old_kind_in_a_200_is_noticed(
    browser: FlaskClient, stub: StubDingTalk, content: Any, error_code: str | None
) -> None:
    """An unknown path of the new API can answer so, and a ban of the address does."""
    stub.user = Answer(PROFILE | content)
    response = sign_in_with(browser)
    if error_code is None:
        assert response.status_code == 302
    else:
        assert error_code in response.text


@pytest.mark.parametrize(
    "content",
    [
        {"ErrCode": 88, "SubCode": "90018", "SubMsg": "x", "RequestId": "r1"},
        {"errcode": 88, "subCode": "90018", "subMsg": "x", "requestId": "r1"},
        {"ERRCODE": "88", "SUB_CODE": 90018, "SUB_MSG": "x", "REQUEST_ID": "r1"},
    ],
    ids=ascii,
)
def test_an_error_of_the_old_kind_is_recognised_in_every_spelling_of_its_keys(
    browser: FlaskClient, stub: StubDingTalk, content: dict[str, Any]
) -> None:
    """DingTalk's table and its live answers differ."""
    errors: list[DingTalkError] = []

    def listen(sender: Flask, error: DingTalkError) -> None:
        errors.append(error)

    stub.user = Answer(content)
    with login_failed.connected_to(listen):
        assert "rate_limited" in sign_in_with(browser).text
    said = errors[0].dingtalk_code, errors[0].dingtalk_message, errors[0].request_id
    assert said == ("90018", "x", "r1")


@pytest.mark.parametrize(
    "code", ["invalidParameter.idOrSecret.notFound", "invalidClientIdOrSecret"]
)
@pytest.mark.parametrize("members_only", [False, True], ids=["user token", "app token"])
def test_wrong_credentials_are_recognised_at_both_endpoints(
    stub: StubDingTalk, code: str, members_only: bool
) -> None:
    """Each uses a different code."""

    def refuse(asked: Asked) -> Answer:
        wanted = "/v1.0/oauth2/accessToken" if members_only else "/v1.0/oauth2/userAccessToken"
        return (
            Answer({"code": code, "message": "x"}, 400) if asked.path == wanted else Answer(TOKEN)
        )

    stub.token = refuse
    settings = {"SECRET_KEY": "k", "TESTING": True, "DINGTALK_MEMBERS_ONLY": members_only}
    response = sign_in_with(build_site(stub.settings | settings).test_client())
    assert (response.status_code, "configuration_error" in response.text) == (500, True)


def test_a_profile_without_union_id_has_a_hint_of_its_own(
    browser: FlaskClient, stub: StubDingTalk, caplog: pytest.LogCaptureFixture
) -> None:
    """The hint names a scope, and does not blame a proxy."""
    stub.user = Answer({name: value for name, value in PROFILE.items() if name != "unionId"})
    sign_in_with(browser)
    assert "openid corpid" in caplog.text
    assert "wrong DINGTALK_API_BASE_URL" not in caplog.text


@pytest.mark.parametrize("code", ["i", "a", "."])
def test_a_code_of_one_letter_does_not_hide_what_dingtalk_says(
    browser: FlaskClient, stub: StubDingTalk, code: str
) -> None:
    """Anybody can make one up, and no error may quote it."""
    answer = {"code": "invalidParameter.authCode.notFound", "message": "不合法的临时授权码"}
    stub.token = Answer(answer, 400)
    assert "invalid_code" in sign_in_with(browser, code).text


# --- A refresh -----------------------------------------------------------------------------------


def refresh(stub: StubDingTalk, refresh_token: str | None = "old-refresh-token") -> DingTalkToken:
    """Refresh tokens whose time is over."""
    ended = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    client = Client(Transport(Settings.from_config(stub.settings)))
    return client.refresh(DingTalkToken("a", refresh_token, ended, corp_id="ding1"))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalidParameter.authCode.notFound"),
        (400, "invalidCode"),
        (409, "invalidCode"),
        (400, "invalidToken"),
        (400, "accesstoken.expired"),
        (400, "somethingNew"),
    ],
)
def test_a_refused_refresh_token_means_to_sign_in_again(
    stub: StubDingTalk, status: int, code: str
) -> None:
    """Which code DingTalk gives for that is documented nowhere."""
    stub.token = Answer({"code": code, "message": "x", "requestid": "r1"}, status)
    with pytest.raises(LoginRequired) as caught:
        refresh(stub)
    assert caught.value.hint
    said = caught.value.dingtalk_code, caught.value.dingtalk_message, caught.value.request_id
    assert said == (code, "x", "r1")
    assert len(stub.asked) == 1


def test_without_a_refresh_token_dingtalk_is_not_asked(stub: StubDingTalk) -> None:
    """There is nothing to ask with."""
    with pytest.raises(LoginRequired):
        refresh(stub, refresh_token=None)
    assert stub.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer({"code": "invalidParameter.idOrSecret.notFound"}, 400), ConfigurationError),
        (Answer({"code": "apiPermissionDenied"}, 400), ConfigurationError),
        (Answer({"code": "Forbidden.AccessDenied.IpNotInWhiteList"}, 403), ConfigurationError),
        (Answer({"code": "Forbidden.AccessDenied.QpsLimitForApi"}, 403), RateLimited),
        (Answer({"code": "system.busy"}, 429), RateLimited),
        (Answer({"code": "unknownError"}, 500), DingTalkUnavailable),
        (Answer({"code": "InvalidAction.NotFound"}, 404), DingTalkAPIError),
        (Answer(body=b"<p>", status=400), DingTalkUnavailable),
        (Answer(body=b"?"), DingTalkUnavailable),
        (Answer({"accessToken": "x"}), DingTalkUnavailable),
        (
            Answer(TOKEN, headers={"Content-Length": "999", "Connection": "close"}),
            DingTalkUnavailable,
        ),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_is_no_refusal_of_the_refresh_token_stays_what_it_is(
    stub: StubDingTalk, answer: Answer, error: type[DingTalkError]
) -> None:
    """And is sent once; another call may try again."""
    stub.token = answer
    with pytest.raises(DingTalkError) as caught:
        refresh(stub)
    assert type(caught.value) is error
    assert len(stub.asked) == 1
    stub.token = Answer(TOKEN)
    assert refresh(stub).access_token == TOKEN["accessToken"]


# --- Anything at all -----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
#: What is documented, each field of which may be anything, and then some.
TOKENS = st.fixed_dictionaries({}, optional=dict.fromkeys(TOKEN, JSON)) | JSON
PROFILES = st.fixed_dictionaries({}, optional=dict.fromkeys(PROFILE, JSON)) | JSON
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 429, 500, 503])


@pytest.mark.slow
@given(token=TOKENS, profile=PROFILES, statuses=st.tuples(STATUSES, STATUSES), good=st.booleans())
@examples(200)
def test_whatever_dingtalk_sends_ends_in_a_sign_in_or_on_a_page(
    lasting_stub: StubDingTalk,
    token: Any,
    profile: Any,
    statuses: tuple[int, int],
    good: bool,
) -> None:
    """Nobody is half signed in, and no page fails because of accepted data."""
    # Another site each time: one that was throttled would make the next example wait.
    stub, app = lasting_stub, site_on(lasting_stub)
    # Half of the time the token is good, so that the profile has its turn.
    stub.token = Answer(TOKEN) if good else Answer(token, statuses[0])
    stub.user = Answer(PROFILE | profile if isinstance(profile, dict) else profile, statuses[1])
    client = app.test_client()
    response = sign_in_with(client)
    signed_in = client.get("/whoami").json
    assert signed_in is not None
    if response.status_code == 302:
        assert signed_in["is_authenticated"] is True
        assert signed_in["union_id"]
    else:
        assert response.status_code in (400, 500, 502, 503)
        assert any(f"<small>{code}</small>" in response.text for code in ERRORS)
        assert signed_in["is_authenticated"] is False
