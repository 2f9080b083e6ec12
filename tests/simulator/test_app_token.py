"""The application's own access token, from the three calls that return it."""

from __future__ import annotations

from typing import Any

import pytest

from .helpers import Http, api_error


def test_valid_token_is_returned_again(http: Http) -> None:
    """A second fetch returns the same token and extends it."""
    first = http.app_token().json()
    assert set(first) == {"accessToken", "expireIn"}
    http.simulator.advance(7000)
    assert http.app_token().json() == first
    http.simulator.advance(7000)
    assert http.app_token().json() == first
    http.simulator.advance(7200)
    assert http.app_token().json() != first


@pytest.mark.parametrize("field", ["appKey", "appSecret"])
def test_wrong_credentials_are_refused(http: Http, field: str) -> None:
    """A wrong key and a wrong secret are both refused."""
    answer = http.app_token(**{field: "wrong"})
    assert api_error(answer) == (400, "invalidClientIdOrSecret")
    assert answer.json()["message"] == "无效的clientId或者clientSecret"


def test_corp_token_call_returns_the_same_token(http: Http, own: str) -> None:
    """POST /v1.0/oauth2/{corpId}/token returns it in OAuth's spelling."""
    application = http.simulator.application
    body = {"client_id": application.client_id, "client_secret": application.client_secret}
    answer = http.post(
        f"/v1.0/oauth2/{own}/token", json={**body, "grant_type": "client_credentials"}
    )
    token = http.app_token().json()["accessToken"]
    assert answer.json() == {"access_token": token, "expires_in": 7200}


@pytest.mark.parametrize(
    ("corp", "changes", "refusal"),
    [
        pytest.param("own", {"grant_type": "x"}, (400, "unsupported.grant.type"), id="grant"),
        pytest.param("own", {"client_secret": "x"}, (400, "invalid.client"), id="secret"),
        pytest.param("made-up", {}, (500, "unknownError"), id="corp-unknown"),
        pytest.param("other", {}, (401, "unauthorized.client"), id="corp-of-others"),
    ],
)
def test_corp_token_call_has_its_own_refusals(
    http: Http, other: str, own: str, corp: str, changes: dict[str, str], refusal: Any
) -> None:
    """Each mistake gets its documented status and code."""
    application = http.simulator.application
    body = {
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "grant_type": "client_credentials",
        **changes,
    }
    corp_id = {"own": own, "other": other}.get(corp, corp)
    assert api_error(http.post(f"/v1.0/oauth2/{corp_id}/token", json=body)) == refusal


def test_gettoken_returns_the_same_token(http: Http) -> None:
    """GET /gettoken answers in the old envelope, without a request id."""
    application = http.simulator.application
    query = {"appkey": application.client_id, "appsecret": application.client_secret}
    token = http.app_token().json()["accessToken"]
    answer = http.get("/gettoken", params=query)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "errcode": 0,
        "errmsg": "ok",
        "access_token": token,
        "expires_in": 7200,
    }


@pytest.mark.parametrize(
    ("query", "body"),
    [
        pytest.param(
            "?appkey=x&appsecret=y",
            {"errcode": 40096, "errmsg": "不合法的appKey或appSecret"},
            id="wrong",
        ),
        pytest.param("", {"errcode": 40035, "errmsg": "缺少参数 corpid or appkey"}, id="missing"),
    ],
)
def test_gettoken_refuses_without_wrapping(http: Http, query: str, body: dict[str, Any]) -> None:
    """Refusals of /gettoken are HTTP 200 and not wrapped in 88."""
    answer = http.get(f"/gettoken{query}")
    assert (answer.status_code, answer.json()) == (200, body)


def test_gettoken_checks_the_address(http: Http) -> None:
    """A server that is not on the list of egress addresses gets no token."""
    application = http.simulator.application
    application.allowed_ips = ["10.0.0.1"]
    query = {"appkey": application.client_id, "appsecret": application.client_secret}
    answer = http.get("/gettoken", params=query).json()
    assert answer["errcode"] == 60020
    assert "sub_code" not in answer
