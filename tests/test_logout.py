"""``POST …/logout``: signing out."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import DingTalk
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import FROM_ELSEWHERE, AppFactory


def test_signing_out_forgets_the_user(member: FlaskClient) -> None:
    """And answers 303, so that the browser goes on with GET."""
    response = member.post("/dingtalk/logout")
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert member.get("/").text == "nobody"


def test_signing_out_leaves_the_sites_own_session_alone(member: FlaskClient) -> None:
    """Only what this extension keeps is forgotten."""
    member.post("/basket")
    member.post("/dingtalk/logout")
    with member.session_transaction() as session:
        assert dict(session) == {"basket": ["apples"]}


@pytest.mark.parametrize("place", ["query_string", "data"])
def test_signing_out_leads_to_next(member: FlaskClient, place: str) -> None:
    """From the address or from a form field."""
    response = member.post("/dingtalk/logout", **{place: {"next": "/bye"}})
    assert response.headers["Location"] == "/bye"


def test_signing_out_never_leads_to_another_site(member: FlaskClient) -> None:
    """The same rule as at the sign-in."""
    response = member.post("/dingtalk/logout", data={"next": "//evil.example"})
    assert response.headers["Location"] == "/"


def test_signing_out_leads_to_the_configured_page(make_app: AppFactory) -> None:
    """DINGTALK_LOGOUT_REDIRECT is where."""
    client = make_app(DINGTALK_LOGOUT_REDIRECT="https://www.example.com/").test_client()
    assert client.post("/dingtalk/logout").headers["Location"] == "https://www.example.com/"


def test_get_is_not_allowed(member: FlaskClient) -> None:
    """A link or an image must not sign anybody out."""
    response = member.get("/dingtalk/logout")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert member.get("/").text == "张三"


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
def test_a_post_from_another_origin_is_refused(
    member: FlaskClient, headers: dict[str, str]
) -> None:
    """Nobody else's page may sign a visitor out."""
    assert member.post("/dingtalk/logout", headers=headers).status_code == 403
    assert member.get("/").text == "张三"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "same-origin"}, id="a form of this site"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="the visitor's own doing"),
        pytest.param({"Origin": "http://localhost"}, id="an old browser"),
        pytest.param(
            {"Sec-Fetch-Site": "same-origin", "Origin": "https://localhost"},
            id="behind a proxy that ends TLS",
        ),
    ],
)
def test_a_post_from_this_site_is_accepted(member: FlaskClient, headers: dict[str, str]) -> None:
    """However the browser says so."""
    assert member.post("/dingtalk/logout", headers=headers).status_code == 303


def test_a_view_may_sign_the_user_out_itself(
    simulator: DingTalkSimulator, make_app: AppFactory
) -> None:
    """``dingtalk.logout()`` takes effect within the request."""
    app = make_app()
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.post("/leave")
    def leave() -> str:
        dingtalk.logout()
        return str(dingtalk.token)

    client = app.test_client()
    simulator.sign_in(client, "zhang")
    assert client.post("/leave").text == "None"
    assert client.get("/").text == "nobody"


def test_signing_out_when_nobody_is_signed_in_is_no_error(app: Flask) -> None:
    """It may have happened in another tab."""
    assert app.test_client().post("/dingtalk/logout").status_code == 303
