"""`DingTalkSimulator.limit` throttles an endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import Http, api_error


@pytest.fixture(autouse=True)
def pass_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock by which limits count; the value lets seconds pass."""
    now = time.monotonic()

    def let_pass(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    return let_pass


def test_new_api_refuses_calls_over_the_limit(http: Http) -> None:
    """Calls over the limit get HTTP 403 with DingTalk's code and text."""
    http.simulator.limit("users/me", per_second=2)
    answers = [http.me("x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 403]
    assert api_error(answers[2]) == (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi")
    text = "您的企业应用调用钉钉开放平台当前接口的所有请求都被暂时禁用了"
    assert answers[2].json()["message"] == text
    assert http.simulator.calls[-1].code == "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"


def test_old_api_refuses_calls_over_the_limit(http: Http) -> None:
    """Calls over the limit get errcode 88 with sub_code 90018."""
    http.simulator.limit("/topapi/v2/user/get", per_second=1)
    token = {"access_token": http.app_token().json()["accessToken"]}
    codes = []
    for _ in range(2):
        answer = http.post("/topapi/v2/user/get", params=token, data={"userid": "x"}).json()
        codes.append((answer["errcode"], answer.get("sub_code")))
    assert codes == [(60121, None), (88, "90018")]


def test_refused_call_does_not_use_a_code_up(http: Http) -> None:
    """A code that was sent over the limit still works afterwards."""
    http.simulator.limit("userAccessToken", per_second=1)
    http.user_token(code="x")
    code = http.simulator.authorization_code("li")
    assert http.user_token(code=code).status_code == 403
    http.simulator.limit("userAccessToken", per_second=None)
    assert http.user_token(code=code).status_code == 200


def test_refused_call_does_not_use_a_failure_up(http: Http) -> None:
    """A requested failure waits for a call within the limit."""
    http.simulator.limit("users/me", per_second=1)
    http.me("x")
    http.simulator.fail("users/me", status=500)
    assert http.me("x").status_code == 403
    http.simulator.limit("users/me", per_second=None)
    assert http.me("x").status_code == 500


def test_limit_ends_after_a_second(http: Http, pass_by: Callable[[float], None]) -> None:
    """One second after the first call another one is accepted."""
    http.simulator.limit("users/me", per_second=1)
    statuses = []
    for seconds in (0, 0.9, 0.2):
        pass_by(seconds)
        statuses.append(http.me("x").status_code)
    assert statuses == [400, 403, 400]


def test_limit_is_for_one_endpoint(http: Http) -> None:
    """Other endpoints are not limited."""
    http.simulator.limit("users/me", per_second=1)
    assert [http.app_token().status_code for _ in range(3)] == [200, 200, 200]


def test_limit_can_be_changed(http: Http) -> None:
    """A new limit starts with a new count."""
    http.simulator.limit("users/me", per_second=1)
    statuses = [http.me("x").status_code for _ in range(2)]
    http.simulator.limit("users/me", per_second=2)
    statuses += [http.me("x").status_code for _ in range(3)]
    assert statuses == [400, 403, 400, 400, 403]


@pytest.mark.parametrize(
    ("endpoint", "per_second", "words"),
    [
        pytest.param("users/me", 0, "per_second must be a positive number", id="zero"),
        pytest.param("authorize", 20, "'authorize' is a page", id="page"),
        pytest.param("nothing", 20, "There is no endpoint 'nothing'", id="unknown"),
    ],
)
def test_invalid_limit_is_refused(
    simulator: DingTalkSimulator, endpoint: str, per_second: int, words: str
) -> None:
    """A number below one, a page and an unknown endpoint are errors."""
    with pytest.raises(ValueError, match=words):
        simulator.limit(endpoint, per_second=per_second)
