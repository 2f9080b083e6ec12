"""POST /v1.0/oauth2/userAccessToken exchanges codes and refresh tokens."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .helpers import JSON, Http, api_error


def test_code_is_exchanged_for_tokens(http: Http) -> None:
    """The answer has exactly the documented fields, spelled as documented."""
    answer = http.user_token(code=http.simulator.authorization_code("zhang"))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON
    body = answer.json()
    assert set(body) == {"accessToken", "refreshToken", "expireIn"}
    assert body["expireIn"] == 7200
    assert re.fullmatch(r"[0-9a-f]{32}", body["accessToken"])


def test_tokens_name_the_organisation_chosen(http: Http, other: str) -> None:
    """A code for an organisation yields its corpId."""
    assert http.tokens("zhang", other)["corpId"] == other


@pytest.mark.parametrize("age", [pytest.param(0, id="used"), pytest.param(300, id="expired")])
def test_invalid_code_is_refused(http: Http, age: int) -> None:
    """A code works once, and only for five minutes."""
    code = http.simulator.authorization_code("zhang")
    if age:
        http.simulator.advance(age)
    else:
        http.user_token(code=code)
    assert api_error(http.user_token(code=code)) == (400, "invalidParameter.authCode.notFound")


def test_made_up_code_is_refused(http: Http) -> None:
    """A code that was never issued is not found."""
    assert api_error(http.user_token(code="x")) == (400, "invalidParameter.authCode.notFound")


def test_code_of_another_application_is_refused(http: Http) -> None:
    """A code works only for the application that it was issued for."""
    code = http.simulator.authorization_code("zhang")
    http.simulator.application.client_id = "dinganother"
    assert api_error(http.user_token(code=code))[1] == "invalidParameter.authCode.notFound"


def test_code_works_until_just_before_it_expires(http: Http) -> None:
    """A code still works after 290 seconds."""
    code = http.simulator.authorization_code("zhang")
    http.simulator.advance(290)
    assert http.user_token(code=code).status_code == 200


@pytest.mark.parametrize("field", ["clientId", "clientSecret", "grantType", "code"])
def test_missing_field_is_named(http: Http, field: str) -> None:
    """The refusal names the mandatory field that is missing."""
    answer = http.user_token(**{"code": "x", field: None})
    assert api_error(answer) == (400, f"Missing{field}")
    assert answer.json()["message"] == f"{field} is mandatory for this action."


def test_refresh_needs_the_refresh_token(http: Http) -> None:
    """The field refreshToken is mandatory for a refresh."""
    answer = http.user_token(grantType="refresh_token")
    assert api_error(answer) == (400, "MissingrefreshToken")


def test_unknown_grant_type_is_refused(http: Http) -> None:
    """Only the two documented grant types are accepted."""
    answer = http.user_token(grantType="password", code="x")
    assert api_error(answer) == (400, "unsupported.grant.type")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"data": {"clientId": "x"}}, id="form"),
        pytest.param({"json": ["x"]}, id="list"),
        pytest.param({"data": b"{", "headers": {"Content-Type": "application/json"}}, id="broken"),
        pytest.param({}, id="nothing"),
    ],
)
def test_only_json_objects_are_read(http: Http, body: dict[str, Any]) -> None:
    """Any other body is refused like a missing body."""
    answer = http.post("/v1.0/oauth2/userAccessToken", **body)
    assert api_error(answer) == (400, "Missingbody")
    assert answer.json()["message"] == "body is mandatory for this action."


@pytest.mark.parametrize("field", ["clientId", "clientSecret"])
def test_wrong_credentials_do_not_use_the_code_up(http: Http, field: str) -> None:
    """After a refusal for wrong credentials, the code still works."""
    code = http.simulator.authorization_code("zhang")
    answer = http.user_token(**{"code": code, field: "wrong"})
    assert api_error(answer) == (400, "invalidParameter.idOrSecret.notFound")
    assert answer.json()["message"] == "clientId或者clientSecret错误"
    assert http.user_token(code=code).status_code == 200


def test_unreleased_application_is_refused(http: Http) -> None:
    """The credentials of an unreleased application count as wrong."""
    http.simulator.application.released = False
    assert api_error(http.user_token(code="x")) == (400, "invalidParameter.idOrSecret.notFound")


def test_permission_is_required(http: Http) -> None:
    """Without its permission the call is refused, and the refusal names the permission."""
    http.simulator.application.permissions.remove("open_app_api_base")
    answer = http.user_token(code="x")
    assert api_error(answer)[0] == 403
    assert answer.json()["accessdenieddetail"] == {"requiredScopes": ["open_app_api_base"]}


def test_valid_token_is_returned_again(http: Http) -> None:
    """A second code yields the same pair, valid for another two hours."""
    first = http.tokens()
    http.simulator.advance(7000)
    assert http.tokens() == first
    http.simulator.advance(7000)
    assert http.me(first["accessToken"]).status_code == 200


def test_expired_token_is_replaced(http: Http) -> None:
    """After a token has expired, a new code yields a new one."""
    first = http.tokens()
    http.simulator.advance(7200)
    assert http.tokens()["accessToken"] != first["accessToken"]


def test_each_organisation_has_its_own_tokens(http: Http, own: str, other: str) -> None:
    """A person's tokens differ from organisation to organisation."""
    tokens = [http.tokens("zhang", corp_id)["accessToken"] for corp_id in (None, own, other)]
    assert len(set(tokens)) == 3


def test_refresh_returns_a_new_pair(http: Http, own: str) -> None:
    """A refresh yields a new pair, without the corpId."""
    first = http.tokens("zhang", own)
    second = http.user_token(refreshToken=first["refreshToken"]).json()
    assert set(second) == {"accessToken", "refreshToken", "expireIn"}
    assert second["accessToken"] != first["accessToken"]
    assert http.me(second["accessToken"]).status_code == 200


def test_refresh_invalidates_the_old_pair(http: Http) -> None:
    """After a refresh both old tokens are refused."""
    first = http.tokens()
    http.user_token(refreshToken=first["refreshToken"])
    again = http.user_token(refreshToken=first["refreshToken"])
    assert api_error(again) == (400, "invalidParameter.authCode.notFound")
    assert api_error(http.me(first["accessToken"])) == (400, "InvalidAuthentication")


@pytest.mark.parametrize(
    ("days", "status"), [pytest.param(29, 200, id="alive"), pytest.param(30, 400, id="expired")]
)
def test_refresh_token_lives_for_thirty_days(http: Http, days: int, status: int) -> None:
    """A refresh token works after 29 days but not after 30."""
    tokens = http.tokens()
    http.simulator.advance(days * 86400)
    assert http.user_token(refreshToken=tokens["refreshToken"]).status_code == status


def test_refresh_token_of_another_application_is_refused(http: Http) -> None:
    """A refresh token works only for the application that it was issued for."""
    tokens = http.tokens()
    http.simulator.application.client_id = "dinganother"
    answer = http.user_token(refreshToken=tokens["refreshToken"])
    assert api_error(answer) == (400, "invalidParameter.authCode.notFound")
