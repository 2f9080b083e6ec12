"""A process that was forked shares no connection, no lock and no work with its parent.

Servers fork: gunicorn with ``--preload``, uWSGI, ``multiprocessing``. The sites here run in a
separate process; their DingTalk takes its time, so that mixed-up answers would show.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
import requests

from .forked import SETTINGS
from .helpers import build_site, come_back
from .stub import PROFILE, TOKEN, Answer, Asked, StubDingTalk

ROOT = Path(__file__).parents[1]
#: Seconds that each scenario may take; a child that hangs is killed by then.
PATIENCE = 120.0


@pytest.fixture
def slow_dingtalk(stub: StubDingTalk) -> StubDingTalk:
    """Have the stub take 20 ms for each answer, about whomever code and token name.

    The access token of somebody called "ended" has ended at once.
    """

    def token(asked: Asked) -> Answer:
        time.sleep(0.02)
        sent = json.loads(asked.body)
        name = re.match("[a-z]+", sent.get("code") or sent["refreshToken"].partition("-")[2])
        assert name is not None
        lifetime = 1 if name[0] == "ended" and "code" in sent else 7200
        pair = {"accessToken": f"access-{name[0]}", "refreshToken": f"refresh-{name[0]}"}
        return Answer(TOKEN | pair | {"expireIn": lifetime})

    def user(asked: Asked) -> Answer:
        time.sleep(0.02)
        name = asked.headers["x-acs-dingtalk-access-token"].partition("-")[2]
        return Answer(PROFILE | {"nick": name, "unionId": f"union-of-{name}"})

    stub.token, stub.user = token, user
    return stub


def environment(stub: StubDingTalk, **more: Any) -> dict[str, str]:
    """Return the environment of a process with a site on the stub; further settings by name."""
    settings = {**stub.settings, "DINGTALK_MEMBERS_ONLY": False, **more}
    return {**os.environ, SETTINGS: json.dumps(settings)}


@contextmanager
def scenario(name: str, stub: StubDingTalk, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a scenario in a separate process while the block runs."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.forked", name]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(stub, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def outcome_of(name: str, stub: StubDingTalk, **more: Any) -> Any:
    """Run a scenario and return what it saw."""
    with scenario(name, stub, **more) as process:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    return json.loads(output)


@pytest.mark.parametrize(
    "how", ["os.fork", pytest.param("multiprocessing", marks=pytest.mark.slow)]
)
def test_two_children_never_get_each_others_answers(slow_dingtalk: StubDingTalk, how: str) -> None:
    """After a sign-in in their parent, whose connection is open."""
    assert outcome_of(f"two people by {how}", slow_dingtalk) == [["zhang"], ["li"]]


@pytest.mark.slow
def test_parent_and_child_never_get_each_others_answers(slow_dingtalk: StubDingTalk) -> None:
    """The parent goes on serving."""
    assert outcome_of("parent goes on", slow_dingtalk) == [["zhang"], ["li"]]


@pytest.mark.slow
def test_a_lock_that_was_held_at_the_fork_hangs_no_child(slow_dingtalk: StubDingTalk) -> None:
    """Threads of the parent were at work; in the child there is nobody to open it."""
    assert outcome_of("busy parent", slow_dingtalk) == [[302, 200, 303]] * 12


def test_a_child_does_not_wait_for_work_of_its_parent(slow_dingtalk: StubDingTalk) -> None:
    """The parent's thread that does it is not there."""
    refreshing, go_on = threading.Event(), threading.Event()
    usual = slow_dingtalk.token
    assert callable(usual)

    def token(asked: Asked) -> Answer:
        if b"refresh_token" in asked.body and not refreshing.is_set():
            refreshing.set()
            go_on.wait(PATIENCE)
        return usual(asked)

    slow_dingtalk.token = token
    with scenario("refresh under way", slow_dingtalk) as process:
        assert refreshing.wait(PATIENCE)
        assert process.stdin is not None
        assert process.stdout is not None
        begun = time.monotonic()
        process.stdin.write("\n")
        process.stdin.flush()
        # The parent's refresh gets its answer when the child has sent its own.
        while len([asked for asked in slow_dingtalk.asked if b"refresh_token" in asked.body]) < 2:
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.01)
        go_on.set()
        assert json.loads(process.stdout.readline()) == 200


def test_what_a_parent_knew_holds_in_its_children(slow_dingtalk: StubDingTalk) -> None:
    """Ended sign-ins and used callbacks; what a child learns is its own and its children's."""
    child, grandchild, parent = outcome_of("what is known", slow_dingtalk)
    assert child == ["nobody", "li", 302, "nobody"]
    assert grandchild == ["nobody", "nobody", 302, "nobody", "nobody"]
    assert parent == ["nobody", "li", 302, "nobody"]


@pytest.mark.slow
def test_the_first_requests_of_a_child_share_one_memory(slow_dingtalk: StubDingTalk) -> None:
    """Twelve threads at once renew a pair once."""
    assert outcome_of("many threads at once", slow_dingtalk) == [200] * 12
    refreshes = [asked for asked in slow_dingtalk.asked if b"refresh_token" in asked.body]
    assert len(refreshes) == 1


def test_three_processes_with_a_store_renew_a_pair_once(
    slow_dingtalk: StubDingTalk, store_url: str
) -> None:
    """None of 24 calls at once fails, and forked processes share no connection to the store."""
    statuses = outcome_of("three processes at once", slow_dingtalk, DINGTALK_STORE=store_url)
    assert statuses == [[200] * 8] * 3
    refreshes = [asked for asked in slow_dingtalk.asked if b"refresh_token" in asked.body]
    assert len(refreshes) == 1


@pytest.mark.parametrize("how", ["two people by os.fork", "parent goes on"])
def test_with_a_store_too_nobody_gets_anothers_answers(
    slow_dingtalk: StubDingTalk, store_url: str, how: str
) -> None:
    """The parent's connection to the store is open when it forks."""
    assert outcome_of(how, slow_dingtalk, DINGTALK_STORE=store_url) == [["zhang"], ["li"]]


def test_a_worker_that_is_killed_in_a_callback_blocks_nobody_for_long(
    slow_dingtalk: StubDingTalk, store_url: str, redis_port: int
) -> None:
    """Its visitor's page waits and reloads, until its claim ends; then another worker goes on."""
    asked, usual = threading.Event(), slow_dingtalk.token

    def token(request: Asked) -> Answer:
        asked.set()
        # The connection ends with the worker.
        killed.wait(20)
        return Answer(TOKEN)

    killed = threading.Event()
    slow_dingtalk.token = token
    with scenario("callback under way", slow_dingtalk, DINGTALK_STORE=store_url) as process:
        assert process.stdout is not None
        state, cookie = json.loads(process.stdout.readline())
        assert asked.wait(20)
        process.kill()
        process.wait()
    killed.set()
    slow_dingtalk.token = usual
    app = build_site({"SECRET_KEY": "k", **slow_dingtalk.settings, "DINGTALK_STORE": store_url})
    browser = app.test_client()
    browser.set_cookie("session", cookie)
    waiting = come_back(browser, state, "zhang0")
    assert waiting.status_code == 503
    assert "Refresh" in waiting.headers
    with redis.Redis(port=redis_port, db=1) as content:
        (name,) = content.scan_iter("*:state:*")
        # So long a sign-in may take from one step to the next: let that pass.
        seconds, _ = content.time()
        assert 0 < int(content.hget(name, "e") or 0) / 1000 - seconds < 60
        content.hset(name, "e", 0)
    assert come_back(browser, state, "zhang0").status_code == 302
    assert browser.get("/").text == "zhang"


# --- gunicorn ------------------------------------------------------------------------------------


@contextmanager
def gunicorn(stub: StubDingTalk) -> Iterator[str]:
    """Serve the site by two workers of gunicorn that were forked after a sign-in."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"),
            *("--bind", f"fd://{listener.fileno()}", "--log-level", "error"),
            "tests.forked:preloaded()",
        ]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(stub), pass_fds=[listener.fileno()]
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def visit_over_http(address: str, name: str) -> set[str]:
    """Sign in, call and look, several times over; return whom that showed."""
    people = set()
    for number in range(4):
        with requests.Session() as browser:
            browser.trust_env = False
            browser.headers.update({"Connection": "close", "Accept": "text/html"})
            begun = browser.get(
                f"{address}/dingtalk/login", allow_redirects=False, timeout=PATIENCE
            )
            state = parse_qs(urlsplit(begun.headers["Location"]).query)["state"][0]
            browser.get(
                f"{address}/dingtalk/callback",
                params={"code": f"{name}{number}", "state": state},
                allow_redirects=False,
                timeout=PATIENCE,
            )
            for _ in range(4):
                answer = browser.get(f"{address}/call", allow_redirects=False, timeout=PATIENCE)
                people.add(answer.json()["nick"] if answer.ok else str(answer.status_code))
                people.add(browser.get(f"{address}/", timeout=PATIENCE).text)
    return people


def see_both_workers(address: str) -> None:
    """Wait until two workers are up: one alone could serve everybody before the other begins."""

    def worker(_: int) -> str:
        return requests.get(address, timeout=PATIENCE).headers["X-Process"]

    give_up = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(4) as pool:
        while len(set(pool.map(worker, range(8)))) < 2:
            assert time.monotonic() < give_up


@pytest.mark.slow
def test_workers_of_gunicorn_that_were_forked_after_a_sign_in_keep_people_apart(
    slow_dingtalk: StubDingTalk,
) -> None:
    """As ``gunicorn --preload`` runs a site that signs somebody in while it starts."""
    with gunicorn(slow_dingtalk) as address, ThreadPoolExecutor(4) as pool:
        see_both_workers(address)
        names = ["zhang", "li", "wang", "zhao"]
        assert list(pool.map(lambda name: visit_over_http(address, name), names)) == [
            {name} for name in names
        ]
