"""Under each server: the four steps over HTTP, and people who use it at the same time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from ..stub import TOKEN, Answer, Asked, StubDingTalk
from .served import Served, commands, serving
from .walk import OverHttp, begin, come_back, sign_in, walk

#: Those that serve all requests in one process, which knows what all of them do.
IN_ONE_PROCESS = [command for command in commands() if "--workers" not in command]


@pytest.fixture(scope="module")
def simulator() -> Iterator[DingTalkSimulator]:
    """Run one simulator for all servers."""
    with DingTalkSimulator() as running:
        yield running


@pytest.fixture(scope="module", params=commands())
def served(
    request: pytest.FixtureRequest,
    simulator: DingTalkSimulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Serve the site by each command of the page in turn."""
    with serving(request.param, simulator.settings, tmp_path_factory.mktemp("served")) as running:
        yield running
        printed = running.printed.read_text(encoding="utf-8")
    assert "Traceback" not in printed, printed
    assert not [secret for secret in simulator.secrets if secret in printed]


@pytest.fixture
def browser(served: Served) -> OverHttp:
    """Open a browser on the site."""
    return OverHttp(served.address)


def test_every_server_signs_in_fails_and_signs_out(
    browser: OverHttp, simulator: DingTalkSimulator
) -> None:
    """A guarded page, a failure, a sign-in, a sign-out."""
    walk(browser, simulator)


def test_people_who_come_at_once_are_kept_apart(
    served: Served, simulator: DingTalkSimulator
) -> None:
    """Whatever a server does with threads, greenlets, contexts and processes."""

    def visit(name: str) -> set[str]:
        browser = OverHttp(served.address)
        sign_in(browser, simulator, name)
        answers = [json.loads(browser.get("/call").text) for _ in range(8)]
        return {nick for answer in answers for nick in answer["people"]}

    names = ["zhang", "li", "wang"] * 2
    with ThreadPoolExecutor(len(names)) as pool:
        seen = list(pool.map(visit, names))
    assert seen == [{simulator.users[name].nick} for name in names]


@pytest.mark.parametrize("served", IN_ONE_PROCESS, indirect=True)
def test_requests_at_once_renew_a_token_once(
    served: Served, browser: OverHttp, simulator: DingTalkSimulator
) -> None:
    """They wait for each other, in threads and in greenlets."""
    sign_in(browser, simulator)
    simulator.advance(7200)
    simulator.calls.clear()

    def call(_: int) -> int:
        return OverHttp(served.address, browser.cookies).get("/call").status

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(call, range(6))) == [200] * 6
    assert [each.grant_type for each in simulator.calls].count("refresh_token") == 1


def test_greenlets_wait_for_each_other(stub: StubDingTalk, tmp_path: Path) -> None:
    """While DingTalk takes its time for one of them, on the same thread."""
    refreshes = 0

    def give_tokens(asked: Asked) -> Answer:
        nonlocal refreshes
        if b"refresh_token" not in asked.body:
            return Answer(TOKEN | {"expireIn": 1})
        refreshes += 1
        time.sleep(0.5)  # for the others to come; if they come later, they find it done
        return Answer(TOKEN)

    stub.token = give_tokens
    command = "gunicorn app:app --worker-class gevent"
    with serving(command, stub.settings, tmp_path) as served, ThreadPoolExecutor(6) as pool:
        browser = OverHttp(served.address)
        assert come_back(browser, state=begin(browser), code="c0de").status == 302
        tabs = [OverHttp(served.address, browser.cookies) for _ in range(6)]
        assert list(pool.map(lambda tab: tab.get("/call").status, tabs)) == [200] * 6
    assert refreshes == 1
