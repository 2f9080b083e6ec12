"""Rules that hold for every call of an API."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import JSON, Http, api_error, speak


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/v1.0/oauth2/userAccessToken", id="method"),
        pytest.param("POST", "/v1.0/contact/users/me", id="other-method"),
        pytest.param("POST", "/v1.0/oauth2/x/y/z", id="path"),
        pytest.param("GET", "/v1.0/contact/users/", id="no-user"),
        pytest.param("HEAD", "/v2.0/nothing", id="head"),
    ],
)
def test_new_api_refuses_unknown_paths_and_methods(http: Http, method: str, path: str) -> None:
    """A wrong path or method gets HTTP 404 and InvalidAction.NotFound."""
    answer = http.session.request(method, http.simulator.url + path, timeout=60)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == JSON
    assert http.simulator.calls[-1].code == "InvalidAction.NotFound"
    if method != "HEAD":
        assert api_error(answer) == (404, "InvalidAction.NotFound")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param(
            "POST",
            "/topapi/user/nothing",
            {
                "errcode": 22,
                "sub_msg": "不合法ApiName，ApiName = dingtalk.oapi.user.nothing",
                "errmsg": "Invalid method[submsg=不合法ApiName，"
                "ApiName = dingtalk.oapi.user.nothing]",
            },
            id="method",
        ),
        pytest.param(
            "POST",
            "/gettokens",
            {"errcode": 404, "errmsg": "请求的URI地址不存在"},
            id="path",
        ),
        pytest.param("POST", "/gettoken", {"errcode": 43001, "errmsg": "需要GET请求"}, id="get"),
    ],
)
def test_old_api_refuses_unknown_paths_and_methods(
    http: Http, method: str, path: str, body: dict[str, Any]
) -> None:
    """A wrong path or method gets HTTP 200 with an errcode."""
    answer = http.session.request(method, http.simulator.url + path, timeout=60)
    received = answer.json()
    assert ("request_id" in received) == path.startswith("/topapi/")
    received.pop("request_id", None)
    assert (answer.status_code, received) == (200, body)


@pytest.mark.parametrize(
    ("parameters", "errcode"),
    [
        pytest.param({"access_token": "x"}, 88, id="wrapped"),
        pytest.param({}, 60121, id="refused"),
    ],
)
def test_old_api_sends_a_short_request_id(
    http: Http, parameters: dict[str, str], errcode: int
) -> None:
    """Answers below /topapi have a request_id of 13 small letters and digits."""
    query = {"access_token": http.app_token().json()["accessToken"], **parameters}
    answer = http.post("/topapi/v2/user/get", params=query, data={"userid": "x"})
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert answer.json()["errcode"] == errcode
    assert re.fullmatch(r"[a-z0-9]{13}", answer.json()["request_id"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST:80", "127.0.0.1:5000", "[::1]", "[::1]:8765"],
)
def test_loopback_hosts_are_answered(http: Http, host: str) -> None:
    """A Host header may name this machine, with any port."""
    assert http.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example.com",
        "localhost.example.com:8765",
        "127.0.0.1.example.com",
        "example.com@localhost",
        "localhost:80:80",
        "192.0.2.1",
        "[::2]",
    ],
)
@pytest.mark.parametrize("path", ["/oauth2/phone", "/v1.0/contact/users/me", "/nothing"])
def test_other_hosts_are_misdirected(http: Http, host: str, path: str) -> None:
    """A page on a name that was rebound to 127.0.0.1 learns nothing and leaves no record."""
    answer = http.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "The DingTalk simulator only answers requests for 127.0.0.1, localhost or [::1].\n"
    )
    assert "Set-Cookie" not in answer.headers
    assert (http.simulator.calls, http.simulator.page_visits) == ([], [])


def test_missing_host_is_misdirected(simulator: DingTalkSimulator) -> None:
    """A request without a Host header is refused as well."""
    answer = speak(simulator, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ")


def test_old_api_refuses_get(http: Http) -> None:
    """The calls below /topapi accept only POST."""
    assert http.get("/topapi/v2/user/get").json()["errcode"] == 43002


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        pytest.param(["10.0.0.1"], 403, id="other"),
        pytest.param(["10.0.0.1", "127.0.*"], 200, id="wildcard"),
    ],
)
def test_egress_addresses_are_checked(http: Http, allowed: list[str], status: int) -> None:
    """A non-empty list of egress addresses keeps out all other servers."""
    http.simulator.application.allowed_ips = allowed
    answer = http.app_token()
    assert answer.status_code == status
    if status == 403:
        assert api_error(answer)[1] == "Forbidden.AccessDenied.IpNotInWhiteList"
        assert "request ip=127.0.0.1" in answer.json()["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content-Length": "9999999"}, 413, id="too-long"),
        pytest.param({"Content-Length": "many"}, 411, id="no-number"),
        pytest.param({"Transfer-Encoding": "chunked"}, 411, id="chunked"),
    ],
)
def test_body_needs_an_acceptable_length(
    simulator: DingTalkSimulator, headers: dict[str, str], status: int
) -> None:
    """A body that is too long or of unknown length is not read."""
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    answer = speak(simulator, f"POST /gettoken HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
