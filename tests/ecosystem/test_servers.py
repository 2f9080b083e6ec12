"""Under each server: the four steps over HTTP, and people who use it at the same time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from .served import Served, commands, serving
from .walk import OverHttp, sign_in, walk

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
    with serving(request.param, simulator, tmp_path_factory.mktemp("served")) as running:
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
