"""The store on a server that speaks TLS, and on Valkey: all of it works as on a plain Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, Later, called, come_back, copy_browser, endpoints, start
from .redis_servers import Server, running, valkey_program

pytestmark = pytest.mark.redis


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """Run a Redis with a certificate of an authority that nobody knows; return that one's file."""
    authority = trustme.CA()
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with running(tmp_path, authority=authority) as server:
        yield server, trusted


@pytest.fixture(params=["valkey", "tls"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a server of each kind."""
    if request.param == "valkey":
        with running(tmp_path, program=valkey_program()) as server:
            with server.client() as client:
                assert client.info("server")["server_name"] == "valkey"
            yield server.url
    else:
        server, trusted = request.getfixturevalue("secured")
        yield f"{server.url}?ssl_ca_certs={trusted}"


@pytest.fixture
def two(
    make_app: AppFactory, simulator: DingTalkSimulator, address: str
) -> Callable[[], tuple[Flask, Flask]]:
    """Start two processes of a site for members that gets events."""

    def begin() -> tuple[Flask, Flask]:
        settings: dict[str, Any] = {"DINGTALK_STORE": address, "DINGTALK_MEMBERS_ONLY": True}
        settings |= {"DINGTALK_REVALIDATE_AFTER": 3600, **simulator.event_settings}
        return make_app(**settings), make_app(**settings)

    return begin


def test_sign_ins_are_those_of_all_processes(
    two: Callable[[], tuple[Flask, Flask]], simulator: DingTalkSimulator
) -> None:
    """Begun here and known there, signed out there and refused here; a state works once."""
    here, there = two()
    browser = here.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    assert come_back(browser, state, code).status_code == 302
    copy = copy_browser(browser, there)
    assert copy.get("/report").text == "Report for 张三"
    assert copy.post("/dingtalk/logout").status_code == 303
    assert browser.get("/report").status_code != 200
    assert come_back(copy, state, simulator.authorization_code("zhang")).status_code == 400


def test_what_is_done_once_is_done_once(
    two: Callable[[], tuple[Flask, Flask]], simulator: DingTalkSimulator, later: Later
) -> None:
    """A check, a renewal, and the application's token."""
    here, there = two()
    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    copy = copy_browser(browser, there)
    simulator.advance(3700)
    later(3700)
    simulator.calls.clear()
    for each in (browser, copy):
        assert each.get("/report").status_code == 200
        assert each.get("/call").status_code == 200
    assert called(simulator).count("users/me") == 1 + 2
    assert called(simulator).count("refresh_token") == 1
    assert called(simulator).count("accessToken") == 1


def test_exchanges_keep_to_one_pace(
    two: Callable[[], tuple[Flask, Flask]], simulator: DingTalkSimulator
) -> None:
    """Who was throttled here goes on there, with the same callback."""
    here, there = two()
    simulator.fail("userAccessToken", times=1, throttled=True)
    browser = here.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    assert come_back(browser, state, code).status_code == 503
    copy = copy_browser(browser, there)
    give_up_at = time.monotonic() + 60
    while come_back(copy, state, code).status_code == 503:
        assert time.monotonic() < give_up_at
    assert copy.get("/report").status_code == 200


def test_leavers_are_out_and_changes_are_checked(
    two: Callable[[], tuple[Flask, Flask]], simulator: DingTalkSimulator
) -> None:
    """By DingTalk's events, and all sign-ins of a person by the site."""
    here, there = two()
    zhang, li = here.test_client(), here.test_client()
    simulator.sign_in(zhang, "zhang")
    simulator.sign_in(li, "li")
    dingtalk = there.test_client()
    simulator.calls.clear()
    assert simulator.push("org_dept_modify", data={"deptId": [2]}, client=dingtalk).arrived
    assert zhang.get("/report").status_code == 200
    assert called(simulator).count("getbyunionid") == 1
    assert simulator.push("user_leave_org", user="li", client=dingtalk).arrived
    assert li.get("/report").status_code != 200
    with there.app_context():
        union_id = simulator.users["zhang"].union_id
        assert there.extensions["dingtalk"].logout_everywhere(union_id) == 1
    assert zhang.get("/report").status_code != 200


def test_the_check_of_a_set_up_tries_such_a_store(make_app: AppFactory, address: str) -> None:
    """And is content with it."""
    runner = make_app(DINGTALK_STORE=address).test_cli_runner()
    output = runner.invoke(args=["dingtalk", "check", "--offline"]).output
    assert "can be reached and written" in output


def test_a_certificate_that_nobody_vouches_for_is_refused(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    secured: tuple[Server, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store is as good as gone, and both the log and the check say what to add."""
    server, _ = secured
    app = make_app(DINGTALK_STORE=server.url)
    browser = app.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    simulator.calls.clear()
    assert come_back(browser, state, code).status_code == 503
    assert endpoints(simulator) == []
    assert "ssl_ca_certs" in caplog.text
    # In another process, as there is a pause after a failure.
    runner = make_app(DINGTALK_STORE=server.url).test_cli_runner()
    assert "ssl_ca_certs" in runner.invoke(args=["dingtalk", "check", "--offline"]).output
