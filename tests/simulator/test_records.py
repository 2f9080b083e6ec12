"""`calls`, `secrets` and `connections` record what happened."""

from __future__ import annotations

import threading

import pytest

from .helpers import Http


def test_calls_are_recorded_in_order(http: Http) -> None:
    """Each call has endpoint, status, code, grant type and connection."""
    tokens = http.tokens()
    http.me(tokens["accessToken"])
    http.user_token(refreshToken="x")
    calls = http.simulator.calls
    assert [each.endpoint for each in calls] == [
        "userAccessToken",
        "users/me",
        "userAccessToken",
    ]
    assert [each.status for each in calls] == [200, 200, 400]
    assert [each.code for each in calls] == [None, None, "invalidParameter.authCode.notFound"]
    assert [each.grant_type for each in calls] == ["authorization_code", None, "refresh_token"]
    assert [each.connection for each in calls] == [1, 1, 1]
    assert http.simulator.connections == 1
    assert (calls[1].method, calls[1].path) == ("GET", "/v1.0/contact/users/me")


def test_calls_have_the_simulators_time(http: Http) -> None:
    """The time of a call is that of the simulator's clock."""
    http.me("x")
    http.simulator.advance(3600)
    http.me("x")
    first, second = http.simulator.calls
    assert 3600 <= (second.at - first.at).total_seconds() < 3660


def test_records_hold_no_secret(http: Http) -> None:
    """Neither secrets nor codes nor tokens are recorded."""
    code = http.simulator.authorization_code("li")
    tokens = http.user_token(code=code).json()
    http.me(tokens["accessToken"])
    http.oapi("/topapi/v2/user/get", userid="x")
    record = repr(http.simulator.calls) + repr(http.simulator.application)
    secrets = http.simulator.secrets
    assert secrets > {code, tokens["accessToken"], tokens["refreshToken"]}
    assert secrets > {http.simulator.application.client_secret}
    assert http.app_token().json()["accessToken"] in secrets
    assert not [secret for secret in secrets if secret in record]


def test_only_api_connections_are_counted(http: Http) -> None:
    """Browsers do not count, and a new connection gets the next number."""
    http.authorize()
    assert http.simulator.connections == 0
    http.me("x")
    http.simulator.close_connections()
    http.me("x")
    assert [each.connection for each in http.simulator.calls] == [1, 2]


def test_busy_connections_stay_open(http: Http) -> None:
    """Only idle connections are closed; a call in progress is answered."""
    simulator = http.simulator
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(http.me("x").status_code))
    with simulator.lock:  # holds the answer back
        thread.start()
        while not any(each.busy for each in simulator._running().open_connections()):
            pass
        simulator.close_connections()
    thread.join()
    assert answers == [400]


@pytest.mark.parametrize(
    "body", [pytest.param("[1]", id="list"), pytest.param('{"errcode":0}', id="no-error")]
)
def test_answer_without_a_code_has_none(http: Http, body: str) -> None:
    """Bodies of any shape are recorded without an error code."""
    http.simulator.fail("users/me", body=body)
    http.me("x")
    assert http.simulator.calls[-1].code is None
