"""``GET …/login``: the redirect to DingTalk."""

from __future__ import annotations

import base64

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import DingTalk
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, come_back, query_of, start


def test_login_sends_the_browser_to_dingtalk_with_all_required_parameters(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk requires six parameters, and gets a state besides."""
    response = client.get("/dingtalk/login")
    address, _, _ = response.headers["Location"].partition("?")
    query = query_of(response.headers["Location"])
    state = query.pop("state")
    assert response.status_code == 302
    assert address == simulator.url + "/oauth2/auth"
    assert query == {
        "client_id": simulator.application.client_id,
        "redirect_uri": "http://localhost/dingtalk/callback",
        "response_type": "code",
        "scope": "openid",
        "prompt": "consent",
    }
    assert state


def test_each_value_is_percent_encoded_once_and_a_blank_is_percent_20(make_app: AppFactory) -> None:
    """DingTalk asks for percent-encoding, not form encoding."""
    app = make_app(DINGTALK_SCOPE="openid corpid")
    location = app.test_client().get("/dingtalk/login").headers["Location"]
    assert "scope=openid%20corpid&" in location
    assert "redirect_uri=http%3A%2F%2Flocalhost%2Fdingtalk%2Fcallback&" in location
    assert "+" not in location


def test_optional_settings_become_dingtalks_parameters(make_app: AppFactory) -> None:
    """They have DingTalk's mixed spelling."""
    app = make_app(
        DINGTALK_SCOPE="openid corpid",
        DINGTALK_CORP_ID="ding1",
        DINGTALK_ORG_TYPE="management",
        DINGTALK_EXCLUSIVE_LOGIN=True,
        DINGTALK_EXCLUSIVE_CORP_ID="ding2",
    )
    query = query_of(app.test_client().get("/dingtalk/login").headers["Location"])
    assert query["corpId"] == "ding1"
    assert query["org_type"] == "management"
    assert query["exclusiveLogin"] == "true"
    assert query["exclusiveCorpId"] == "ding2"


def test_a_configured_redirect_uri_is_sent_as_it_was_registered(make_app: AppFactory) -> None:
    """DingTalk compares it with the one in its console."""
    registered = "https://portal.example.com/dingtalk/callback?from=dingtalk"
    app = make_app(DINGTALK_REDIRECT_URI=registered)
    query = query_of(app.test_client().get("/dingtalk/login").headers["Location"])
    assert query["redirect_uri"] == registered


def test_a_redirect_uri_on_another_host_is_reported_in_the_log(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a warning: a proxy that rewrites the host makes it look so, too."""
    app = make_app(DINGTALK_REDIRECT_URI="https://portal.example.com/dingtalk/callback")
    app.test_client().get("/dingtalk/login")
    assert "DINGTALK_REDIRECT_URI" in caplog.text
    assert "https://portal.example.com" in caplog.text


def test_an_authorise_url_with_a_query_keeps_it(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """A gateway in front of DingTalk may need one."""
    app = make_app(DINGTALK_AUTHORIZE_URL=simulator.url + "/oauth2/auth?tenant=1")
    location = app.test_client().get("/dingtalk/login").headers["Location"]
    assert query_of(location)["tenant"] == "1"
    assert query_of(location)["client_id"] == simulator.application.client_id


def test_each_sign_in_has_a_state_of_its_own(client: FlaskClient) -> None:
    """A state is never given out twice."""
    assert len({start(client) for _ in range(20)}) == 20


def test_a_state_holds_at_least_128_bits_that_nobody_can_guess(client: FlaskClient) -> None:
    """Two states issued together differ in more than a counter."""
    one, two = (base64.urlsafe_b64decode(start(client) + "==") for _ in range(2))
    assert len(one) >= 16
    assert sum(a != b for a, b in zip(one[1:], two[1:], strict=True)) > 16


def test_a_state_never_exceeds_the_kilobyte_that_dingtalk_allows(client: FlaskClient) -> None:
    """A very long ``next`` makes no difference."""
    for length in (10, 500, 1500, 2000):
        assert (
            len(start(client, next="/" + "x1y2z3"[: length % 6] + "ab%41" * (length // 5))) <= 1024
        )


def test_a_state_does_not_show_where_the_visitor_came_from(client: FlaskClient) -> None:
    """DingTalk sees the state and may log it."""
    state = start(client, next="/salaries?of=everybody")
    assert b"salaries" not in base64.urlsafe_b64decode(state + "==")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dingtalk/login"),
        ("GET", "/dingtalk/callback"),
        ("POST", "/dingtalk/logout"),
        ("GET", "/dingtalk/logout"),
    ],
)
def test_none_of_the_routes_may_be_cached(client: FlaskClient, method: str, path: str) -> None:
    """A cached answer would be another visitor's sign-in."""
    assert client.open(path, method=method).headers["Cache-Control"] == "no-store"


def test_five_abandoned_sign_ins_later_the_first_is_forgotten_and_the_rest_work(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Their number is bounded, so that the cookie cannot overflow."""
    states = [start(client, next=f"/{number}") for number in range(6)]
    assert come_back(client, states[0], simulator.authorization_code("li")).status_code == 400
    for number, state in reversed(list(enumerate(states[1:], start=1))):
        response = come_back(client, state, simulator.authorization_code("li"))
        assert response.headers["Location"] == f"/{number}"


def test_a_site_may_mount_the_routes_itself(simulator: DingTalkSimulator) -> None:
    """With register_blueprint=False the site registers the blueprint itself."""
    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k")
    dingtalk = DingTalk(app, register_blueprint=False)
    app.register_blueprint(dingtalk.blueprint, url_prefix="/auth")
    client = app.test_client()
    location = client.get("/auth/login").headers["Location"]
    assert query_of(location)["redirect_uri"] == "http://localhost/auth/callback"
    response = simulator.sign_in(client, "zhang", next="/x", login_path="/auth/login")
    assert response.headers["Location"] == "/x"


def test_a_test_client_is_walked_past_the_sign_in_page(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """``simulator.sign_in`` takes the button, so that one test suits both settings."""
    client = make_app(DINGTALK_LOGIN_PAGE=True).test_client()
    assert simulator.sign_in(client, "zhang", next="/report").location == "/report"


def test_url_prefix_places_the_routes(simulator: DingTalkSimulator) -> None:
    """The callback's address follows."""
    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k")
    DingTalk(app, url_prefix="/signin")
    location = app.test_client().get("/signin/login").headers["Location"]
    assert query_of(location)["redirect_uri"] == "http://localhost/signin/callback"
