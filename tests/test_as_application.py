"""Calls with the application's own token: what is sent, and what happens after a refusal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest

from flask_dingtalk.api.directory import Directory
from flask_dingtalk.api.transport import Transport
from flask_dingtalk.errors import (
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    OrganisationNotAllowed,
)
from flask_dingtalk.settings import Settings

from .stub import Answer, Asked, StubDingTalk

TOKEN_PATH = "/v1.0/oauth2/accessToken"
REFUSED = Answer({"errcode": 88, "sub_code": "40014", "sub_msg": "不合法的access_token"})


@pytest.fixture
def stub() -> Iterator[StubDingTalk]:
    """Run a DingTalk that gives out tokens numbered from 1, and says 'ok' to everything else."""
    with StubDingTalk() as running:
        answering(running)
        yield running


def answering(stub: StubDingTalk, *answers: Answer) -> None:
    """Have the stub give these answers in turn, and say 'ok' after that."""
    left = list(answers)
    given = 0

    def answer(asked: Asked) -> Answer:
        nonlocal given
        if asked.path == TOKEN_PATH:
            given += 1
            return Answer({"accessToken": f"app-token-{given}", "expireIn": 7200})
        return left.pop(0) if left else Answer({"errcode": 0, "result": {"ok": True}})

    stub.token = stub.user = answer


@pytest.fixture
def directory(stub: StubDingTalk) -> Directory:
    """Make the calls of an application that talks to the stub."""
    settings = Settings.from_config(stub.settings)
    return Directory(settings, Transport(settings))


def form(asked: Asked) -> dict[str, list[str]]:
    """Return the fields of a form that was sent."""
    return parse_qs(asked.body.decode(), keep_blank_values=True)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "get"])
def test_a_call_of_the_new_api_has_the_token_in_its_header(
    stub: StubDingTalk, directory: Directory, method: str
) -> None:
    """Whatever the method."""
    response = directory.request(method, "/v1.0/robot/x", params={"a": "b c"})
    assert response.json()["errcode"] == 0
    asked = stub.asked[-1]
    assert (asked.method, asked.path) == (method.upper(), "/v1.0/robot/x?a=b+c")
    assert asked.headers["x-acs-dingtalk-access-token"] == "app-token-1"


def test_a_call_of_the_old_api_has_the_token_in_its_form(
    stub: StubDingTalk, directory: Directory
) -> None:
    """The token is never in the URL, which may be logged."""
    directory.request("POST", "/topapi/v2/department/listsub", data={"dept_id": 1, "名": "总裁办"})
    asked = stub.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/topapi/v2/department/listsub")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form(asked) == {"access_token": ["app-token-1"], "dept_id": ["1"], "名": ["总裁办"]}
    assert "x-acs-dingtalk-access-token" not in asked.headers


@pytest.mark.parametrize(
    ("method", "kwargs"),
    [
        ("GET", {}),
        ("GET", {"params": {"a": 1}}),
        ("POST", {}),
        ("POST", {"json": {"a": 1}}),
        ("POST", {"data": "a=1"}),
        ("POST", {"data": b"a=1"}),
        ("POST", {"data": [("a", 1)]}),
        ("POST", {"data": {}, "params": {"a": 1}}),
        ("POST", {"data": {}, "files": {"a": b"1"}}),
        ("POST", {"data": {}, "headers": {"a": "1"}}),
        ("PUT", {"data": {}}),
        ("POST", {"data": {"access_token": "mine"}}),
        ("POST", {"data": {}, "verify": False}),
    ],
    ids=str,
)
def test_what_the_old_api_cannot_be_asked_is_a_type_error(
    stub: StubDingTalk, directory: Directory, method: str, kwargs: dict[str, Any]
) -> None:
    """DingTalk is not asked at all."""
    with pytest.raises(TypeError):
        directory.request(method, "/topapi/x", **kwargs)
    assert stub.asked == []


@pytest.mark.parametrize("path", ["v1.0/x", "//evil.example/x", "/v1.0\\x", "", "https://evil/"])
def test_a_path_that_may_lead_elsewhere_is_a_value_error(
    stub: StubDingTalk, directory: Directory, path: str
) -> None:
    """The token goes to DingTalk alone."""
    with pytest.raises(ValueError, match="path"):
        directory.request("GET", path)
    assert stub.asked == []


@pytest.mark.parametrize("argument", ["auth", "proxies", "verify", "allow_redirects", "hooks"])
def test_an_argument_that_would_loosen_a_call_is_a_type_error(
    directory: Directory, argument: str
) -> None:
    """The same arguments are refused for calls as the user."""
    with pytest.raises(TypeError, match=argument):
        directory.request("GET", "/v1.0/x", **{argument: None})


@pytest.mark.parametrize(
    ("method", "path", "kwargs", "refusal"),
    [
        ("POST", "/topapi/x", {"data": {"a": "1"}}, REFUSED),
        ("GET", "/v1.0/x", {}, Answer({"code": "InvalidAuthentication"}, 400)),
        ("POST", "/v1.0/x", {"json": {"a": 1}}, Answer({"code": "InvalidAuthentication"}, 400)),
    ],
)
def test_a_token_that_dingtalk_refuses_is_renewed_once(
    stub: StubDingTalk,
    directory: Directory,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    refusal: Answer,
) -> None:
    """The call is made again, since DingTalk did not carry it out."""
    answering(stub, refusal)
    directory.request(method, path, **kwargs)
    assert [asked.path for asked in stub.asked] == [TOKEN_PATH, path, TOKEN_PATH, path]
    assert b"app-token-2" in stub.asked[-1].body + str(stub.asked[-1].headers).encode()


def test_a_token_that_dingtalk_refuses_twice_is_an_error(
    stub: StubDingTalk, directory: Directory
) -> None:
    """The next call fetches another token."""
    answering(stub, REFUSED, REFUSED)
    with pytest.raises(DingTalkAPIError) as caught:
        directory.request("POST", "/topapi/x", data={})
    assert caught.value.dingtalk_code == "40014"
    directory.request("POST", "/topapi/x", data={})
    assert form(stub.asked[-1])["access_token"] == ["app-token-3"]


def test_a_body_that_is_used_up_is_not_sent_again(stub: StubDingTalk, directory: Directory) -> None:
    """It would be empty."""
    answering(stub, Answer({"code": "InvalidAuthentication"}, 400))
    with pytest.raises(DingTalkAPIError):
        directory.request("POST", "/v1.0/x", data=iter([b"once"]))
    assert sum(asked.path == "/v1.0/x" for asked in stub.asked) == 1
    directory.request("GET", "/v1.0/x")
    assert stub.asked[-1].headers["x-acs-dingtalk-access-token"] == "app-token-2"


def test_after_a_missing_permission_the_next_call_takes_a_new_token(
    stub: StubDingTalk, directory: Directory
) -> None:
    """Permissions can be bound to a token."""
    code = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
    answering(stub, Answer({"code": code}, 403))
    with pytest.raises(ConfigurationError):
        directory.request("GET", "/v1.0/x")
    directory.request("GET", "/v1.0/x")
    assert stub.asked[-1].headers["x-acs-dingtalk-access-token"] == "app-token-2"


@pytest.mark.parametrize(
    ("path", "kwargs"), [("/topapi/x", {"data": {}}), ("/v1.0/x", {"json": {}})]
)
def test_a_call_that_may_change_something_is_sent_once(
    stub: StubDingTalk, directory: Directory, path: str, kwargs: dict[str, Any]
) -> None:
    """Also where DingTalk breaks off in the middle of its answer."""
    answering(stub, Answer({}, headers={"Content-Length": "99", "Connection": "close"}))
    with pytest.raises(DingTalkUnavailable):
        directory.request("POST", path, **kwargs)
    assert sum(asked.path == path for asked in stub.asked) == 1


@pytest.mark.parametrize("code", [50002, 40079])
def test_a_person_outside_the_applications_range_is_their_own_matter(
    stub: StubDingTalk, directory: Directory, code: int
) -> None:
    """It is not logged as a fault of the site."""
    answering(stub, Answer({"errcode": code, "errmsg": "x"}))
    with pytest.raises(OrganisationNotAllowed) as caught:
        directory.user_id("zYx")
    assert (caught.value.dingtalk_code, caught.value.code) == (str(code), 403)


@pytest.mark.parametrize("code", [60121, 60111, 60120])
def test_somebody_whom_the_organisation_does_not_know_is_no_member(
    stub: StubDingTalk, directory: Directory, code: int
) -> None:
    """DingTalk has been seen to say so with several codes."""
    answering(stub, Answer({"errcode": code, "errmsg": "x"}))
    with pytest.raises(OrganisationNotAllowed):
        directory.user_id("zYx")


def test_those_who_wait_for_the_token_wait_no_longer_than_for_a_call(stub: StubDingTalk) -> None:
    """The thread that fetches it gives up at the same time."""
    may_end = threading.Event()

    def stuck(asked: Asked) -> Answer:
        may_end.wait(60)
        return Answer({})

    stub.token = stub.user = stuck
    settings = Settings.from_config(stub.settings | {"DINGTALK_TIMEOUT": (0.2, 0.4)})
    directory = Directory(settings, Transport(settings))

    def call(_: int) -> int | None:
        with pytest.raises(DingTalkError) as caught:
            directory.request("GET", "/v1.0/x")
        return caught.value.code

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(8))) == [504] * 8
    assert time.monotonic() - began < 30
    may_end.set()
    assert len(stub.asked) < 8
