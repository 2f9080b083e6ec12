"""`DingTalkSimulator.fail` makes calls fail."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import JSON, Http, api_error, page_refusal


@pytest.mark.parametrize("endpoint", ["users/me", "/v1.0/contact/users/me"])
def test_endpoint_is_a_name_or_a_path(http: Http, endpoint: str) -> None:
    """Both forms make the same endpoint fail."""
    http.simulator.fail(endpoint, status=503)
    assert api_error(http.me("x")) == (503, "unknownError")


def test_unknown_endpoint_is_refused(simulator: DingTalkSimulator) -> None:
    """The text of the error lists the endpoints."""
    with pytest.raises(ValueError, match=r"userAccessToken, users/me, .*getbyunionid"):
        simulator.fail("user_access_token", timeout=True)


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        pytest.param({"status": 500}, (500, "unknownError"), id="status"),
        pytest.param({"status": 429}, (429, "system.busy"), id="busy"),
        pytest.param({"code": "invalidCode"}, (400, "invalidCode"), id="code"),
        pytest.param(
            {"status": 409, "code": "invalidCode", "message": "x"},
            (409, "invalidCode"),
            id="all",
        ),
        pytest.param(
            {"throttled": True},
            (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
            id="throttled",
        ),
    ],
)
def test_new_api_refuses_in_its_own_form(
    http: Http, how: dict[str, Any], refusal: tuple[int, str]
) -> None:
    """The refusal comes in the new API's envelope."""
    http.simulator.fail("userAccessToken", **how)
    answer = http.user_token(code="x")
    assert api_error(answer) == refusal
    assert answer.json()["message"] == how.get("message", answer.json()["message"])


@pytest.mark.parametrize(
    ("how", "codes"),
    [
        pytest.param({"code": -1}, (-1, None), id="plain"),
        pytest.param({"message": "x"}, (-1, None), id="message"),
        pytest.param({"code": 60011}, (88, "60011"), id="wrapped"),
        pytest.param({"throttled": True}, (88, "90018"), id="throttled"),
    ],
)
def test_old_api_refuses_in_its_own_form(
    http: Http, how: dict[str, Any], codes: tuple[int, str | None]
) -> None:
    """Codes of the gateway are wrapped in 88, others are not."""
    http.simulator.fail("getbyunionid", **how)
    answer = http.oapi("/topapi/user/getbyunionid", unionid="x")
    assert (answer["errcode"], answer.get("sub_code")) == codes
    assert http.simulator.calls[-1].code == str(codes[1] or codes[0])


def test_gettoken_never_wraps(http: Http) -> None:
    """Refusals of /gettoken are not wrapped in 88."""
    http.simulator.fail("gettoken", code=60020, message="x")
    assert http.get("/gettoken").json() == {"errcode": 60020, "errmsg": "x"}


def test_proxy_in_front_of_the_old_api_can_fail(http: Http) -> None:
    """A status other than 200 comes without the old API's envelope."""
    http.simulator.fail("gettoken", status=502)
    answer = http.get("/gettoken")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")


@pytest.mark.parametrize(
    ("how", "status", "content_type", "start"),
    [
        pytest.param({"nonsense": True}, 200, "text/html", "<!doctype html>", id="page"),
        pytest.param({"nonsense": "json"}, 200, JSON, "{", id="json"),
        pytest.param({"nonsense": "empty"}, 200, JSON, "", id="empty"),
        pytest.param({"body": b"\xff\xfe"}, 200, JSON, "", id="bytes"),
        pytest.param({"body": "[]", "status": 418}, 418, JSON, "[]", id="text"),
        pytest.param(
            {"body": "", "status": 302, "headers": {"Content-Type": "text/x"}},
            302,
            "text/x",
            "",
            id="headers",
        ),
        pytest.param({"throttled": "ban"}, 200, "application/json", '{"status": 1111', id="ban"),
        pytest.param(
            {"throttled": "ban-page"},
            200,
            "text/html; charset=utf-8",
            "<!doctype html>",
            id="ban-page",
        ),
    ],
)
def test_nonsense_can_be_returned(
    http: Http, how: dict[str, Any], status: int, content_type: str, start: str
) -> None:
    """Anything can come instead of the expected JSON."""
    http.simulator.fail("users/me", **how)
    answer = http.me("x")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, content_type)
    assert answer.text.startswith(start)


def test_client_can_be_left_waiting(http: Http) -> None:
    """The call lasts until the client gives up, and is recorded without a status."""
    http.simulator.fail("users/me", timeout=True)
    with pytest.raises(requests.ReadTimeout):
        http.get("/v1.0/contact/users/me", timeout=0.05)
    assert http.simulator.calls[-1].status is None
    assert http.me("x").status_code == 400


def test_connection_can_be_reset(http: Http) -> None:
    """The client sees a reset."""
    http.me("x")
    http.simulator.fail("users/me", reset=True)
    with pytest.raises(requests.ConnectionError, match="reset"):
        http.me("x")


def test_answer_can_get_lost(http: Http) -> None:
    """With after=True the code is used up although its answer never came."""
    code = http.simulator.authorization_code("li")
    http.simulator.fail("userAccessToken", reset=True, after=True)
    with pytest.raises(requests.ConnectionError):
        http.user_token(code=code)
    assert api_error(http.user_token(code=code))[1] == "invalidParameter.authCode.notFound"


def test_failures_come_in_order(http: Http) -> None:
    """Each failure happens as many times as requested."""
    http.simulator.fail("users/me", status=500, times=2)
    http.simulator.fail("users/me", status=502)
    statuses = [http.me("x").status_code for _ in range(4)]
    assert statuses == [500, 500, 502, 400]


def test_failure_can_last(http: Http) -> None:
    """With times=None every call fails until the failures are cleared."""
    http.simulator.fail("users/me", status=500, times=None)
    assert [http.me("x").status_code for _ in range(3)] == [500, 500, 500]
    http.simulator.clear_failures()
    assert http.me("x").status_code == 400


def test_failing_page_still_checks_the_link(http: Http) -> None:
    """An unregistered redirect URL is not called back even then."""
    http.simulator.fail("authorize", code="oops")
    assert page_refusal(http.authorize(redirect_uri="https://example.com/")) == "redirect_uri"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"timeout": True, "reset": True}, id="two"),
        pytest.param({"code": "x", "body": "y"}, id="code-and-body"),
        pytest.param({"timeout": True, "times": 0}, id="never"),
    ],
)
def test_failure_must_be_unambiguous(simulator: DingTalkSimulator, how: dict[str, Any]) -> None:
    """Arguments that name no failure or two of them are an error."""
    with pytest.raises(ValueError, match=r"^(Ask for exactly one kind|times must be a positive)"):
        simulator.fail("users/me", **how)
