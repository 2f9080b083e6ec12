"""A store that breaks: nobody gets in, nothing is lost, and nobody has to help it up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.sentinel
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import DingTalk, current_dingtalk_user
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, build_site, come_back, endpoints, start
from .redis_servers import (
    Refusing,
    Server,
    cluster_of_two,
    running,
    sentinel_of_two,
    until,
)

pytestmark = pytest.mark.redis

#: Seconds: the promise is two, and a busy machine may add to them. redis-py's own time-outs and
#: retries would take more than twenty.
SOON = 12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run a Redis that the test may break."""
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def app(make_app: AppFactory, server: Server) -> Flask:
    """Build a site with its sign-ins there."""
    return make_app(DINGTALK_STORE=server.url)


def nick(client: FlaskClient) -> str:
    """Return whom an open page shows."""
    return client.get("/").text


def comes_back_to(status: int, load: Callable[[], Any]) -> Any:
    """Load until an answer has this status; until then, the store is unavailable."""
    answer: list[Any] = []

    def has_come() -> bool:
        answer[:] = [load()]
        assert answer[0].status_code in (status, 503)
        return bool(answer[0].status_code == status)

    until(has_come, f"the answer {status}")
    return answer[0]


def refuses_everything(browser: FlaskClient, simulator: DingTalkSimulator) -> None:
    """Look for the promise of a store that is not there, with somebody signed in."""
    cookie = browser.get_cookie("session")
    assert cookie is not None
    state, code = start(browser), simulator.authorization_code("li")
    before = browser.get_cookie("session")
    simulator.calls.clear()
    for load in (
        lambda: browser.get("/report"),
        lambda: browser.get("/whoami"),
        lambda: browser.post("/dingtalk/logout"),
        lambda: come_back(browser, state, code),
    ):
        response = load()
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert "store_unavailable" in response.text
        assert "Set-Cookie" not in response.headers
    assert browser.get_cookie("session") == before
    assert endpoints(simulator) == []
    assert browser.get("/basket").status_code == 200


def recovers(browser: FlaskClient, simulator: DingTalkSimulator) -> None:
    """Look whether everything works again, with the very callback that came too early."""
    assert comes_back_to(200, lambda: browser.get("/report")).text == "Report for 张三"
    state, code = start(browser), simulator.authorization_code("li")
    assert come_back(browser, state, code).status_code == 302
    assert nick(browser) == "李四"
    assert browser.post("/dingtalk/logout").status_code == 303
    assert nick(browser) == "nobody"


# --- One server ----------------------------------------------------------------------------------


def test_a_killed_redis_lets_nobody_in_until_it_is_back(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """Guards, current_dingtalk_user, sign-out and callback alike; then all of it works again."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    server.kill()
    refuses_everything(browser, simulator)
    server.start()
    recovers(browser, simulator)


def test_a_redis_that_is_gone_for_some_seconds_is_missed_by_nobody_afterwards(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """Nothing listens at its address, for longer than any pause of ours; then it is back."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    refused = app.test_client()
    state, code = start(refused), simulator.authorization_code("li")
    server.kill()
    gone_until = time.monotonic() + 4
    answers: list[int] = []
    while time.monotonic() < gone_until:
        answers += [browser.get("/report").status_code, come_back(refused, state, code).status_code]
        time.sleep(0.1)
    assert set(answers) == {503}
    server.start()
    comes_back_to(302, lambda: come_back(refused, state, code))
    assert nick(refused) == "李四"
    assert endpoints(simulator).count("userAccessToken") == 2
    recovers(browser, simulator)


def test_a_restart_between_two_requests_is_not_noticed(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """The connections from before are replaced."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    server.kill()
    server.start()
    assert browser.get("/report").status_code == 200


def test_a_redis_that_was_stopped_is_known_to_be_gone(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """The first request waits a moment, and those after it do not wait at all."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    server.stop_answering()
    try:
        begun = time.monotonic()
        assert browser.get("/report").status_code == 503
        assert time.monotonic() - begun < SOON
        begun = time.monotonic()
        statuses = [browser.get("/report").status_code for _ in range(20)]
        # One of them may find out anew; all of them would take twenty seconds.
        assert time.monotonic() - begun < SOON
        assert statuses == [503] * 20
        refuses_everything(browser, simulator)
    finally:
        server.go_on()
    recovers(browser, simulator)


def test_the_callback_that_came_too_early_works_afterwards(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """Loaded again, it goes on: neither its state nor its code was spent."""
    browser = app.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    server.stop_answering()
    try:
        assert come_back(browser, state, code).status_code == 503
    finally:
        server.go_on()
    comes_back_to(302, lambda: come_back(browser, state, code))
    assert nick(browser) == "张三"


def test_a_redis_that_goes_in_the_middle_of_a_sign_in_costs_no_second_one(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """The code is spent by then, and its tokens are kept for the next load."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    breaks = [True]

    @dingtalk.on_login
    def go(*_: object) -> None:
        if breaks:
            breaks.clear()
            server.kill()

    browser = app.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    assert come_back(browser, state, code).status_code == 503
    server.start()
    comes_back_to(302, lambda: come_back(browser, state, code))
    assert endpoints(simulator).count("userAccessToken") == 1
    assert nick(browser) == "张三"


def test_a_read_only_redis_is_not_written_to(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """It is a replica: who was signed out at its master would still be signed in here."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", 1)
        assert browser.post("/dingtalk/logout").status_code == 503
        refuses_everything(browser, simulator)
        client.execute_command("REPLICAOF", "NO", "ONE")
    recovers(browser, simulator)


def test_a_full_redis_takes_no_sign_in(
    app: Flask, simulator: DingTalkSimulator, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever is signed in stays so; the callback works once there is room."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    other = app.test_client()
    state, code = start(other), simulator.authorization_code("li")
    simulator.calls.clear()
    with server.client() as client:
        client.config_set("maxmemory", 1)
        response = come_back(other, state, code)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert endpoints(simulator) == []
        assert "maxmemory" in caplog.text
        assert browser.get("/report").status_code == 200
        client.config_set("maxmemory", 0)
    comes_back_to(302, lambda: come_back(other, state, code))
    assert nick(other) == "李四"


def test_another_password_lets_nobody_in(
    app: Flask, simulator: DingTalkSimulator, server: Server
) -> None:
    """Until it is the old one again."""
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    with server.client() as client:
        client.config_set("requirepass", "an0ther")
        client.client_kill_filter(_type="normal")
        refuses_everything(browser, simulator)
    with server.client(password="an0ther") as client:
        client.config_set("requirepass", "")
    recovers(browser, simulator)


@pytest.mark.parametrize(
    "answer",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-WRONGPASS invalid username-password pair\r\n",
        b"-ERR max number of clients reached\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"*3\r\n$1\r\n",
        b"",
    ],
)
def test_whatever_else_a_store_answers_lets_nobody_in(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
) -> None:
    """Without its password in the log or on a page, and without waiting for long."""
    with Refusing(answer) as refusing:
        browser = make_app(DINGTALK_STORE=refusing.url).test_client()
        with browser.session_transaction() as kept:
            kept["_dingtalk"] = "@" + "x" * 16
        begun = time.monotonic()
        refuses_everything(browser, simulator)
        assert time.monotonic() - begun < 3 * SOON
        assert "s3cret" not in caplog.text + browser.get("/report").text


# --- Several servers -----------------------------------------------------------------------------


def site_on(simulator: DingTalkSimulator, store: Any) -> Flask:
    """Build a site with a client of redis-py as its store."""
    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k", DINGTALK_MEMBERS_ONLY=False)
    DingTalk(app, store=store)
    app.add_url_rule("/", view_func=lambda: current_dingtalk_user.nick or "nobody")
    return app


def test_a_fail_over_by_sentinel_is_followed(simulator: DingTalkSimulator, tmp_path: Path) -> None:
    """Who was signed in still is, who was signed out is not, and new sign-ins work."""
    untyped: Any = redis.sentinel.Sentinel
    with sentinel_of_two(tmp_path) as (master, replica, sentinel):
        sentinels = untyped([("127.0.0.1", sentinel.port)], decode_responses=True)
        app = site_on(simulator, sentinels.master_for("site"))
        zhang, li = app.test_client(), app.test_client()
        simulator.sign_in(zhang, "zhang")
        simulator.sign_in(li, "li")
        stolen = app.test_client()
        cookie = li.get_cookie("session")
        assert cookie is not None
        stolen.set_cookie("session", cookie.value)
        li.post("/dingtalk/logout")
        with master.client() as client:
            until(lambda: client.wait(1, 100) == 1, "the replication")
        master.kill()
        assert comes_back_to(200, lambda: zhang.get("/")).text == "张三"
        assert nick(stolen) == "nobody"
        assert simulator.sign_in(li, "li").status_code == 302
        assert zhang.post("/dingtalk/logout").status_code == 303
        with replica.client() as client:
            assert client.role()[0] == "master"


def test_a_slot_of_a_cluster_may_move(simulator: DingTalkSimulator, tmp_path: Path) -> None:
    """While it moves, and afterwards."""
    with ExitStack() as stack:
        first, second = stack.enter_context(cluster_of_two(tmp_path))
        clients = {each.port: stack.enter_context(each.client()) for each in (first, second)}
        app = site_on(simulator, redis.RedisCluster("127.0.0.1", first.port))
        browser = app.test_client()
        assert simulator.sign_in(browser, "zhang").status_code == 302
        source, target = first, second
        if not clients[source.port].keys("*:login:*"):
            source, target = second, first
        at_first, at_second = clients[source.port], clients[target.port]
        (key,) = at_first.keys("*:login:*")
        slot = at_first.execute_command("CLUSTER KEYSLOT", key)
        here = at_first.execute_command("CLUSTER MYID")
        there = at_second.execute_command("CLUSTER MYID")
        at_second.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", here)
        at_first.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", there)
        assert nick(browser) == "张三"
        at_first.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        assert nick(browser) == "张三"
        for client in (at_second, at_first):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", there)
        assert nick(browser) == "张三"
        with app.app_context():
            union_id = simulator.users["zhang"].union_id
            assert app.extensions["dingtalk"].logout_everywhere(union_id) == 1
        assert nick(browser) == "nobody"
        assert simulator.sign_in(browser, "li").status_code == 302
        assert browser.post("/dingtalk/logout").status_code == 303


def test_a_cluster_that_is_down_lets_nobody_in(
    simulator: DingTalkSimulator, tmp_path: Path
) -> None:
    """And soon: it is not asked again and again."""
    with cluster_of_two(tmp_path) as (first, second):
        app = site_on(simulator, redis.RedisCluster("127.0.0.1", first.port))
        browser = app.test_client()
        simulator.sign_in(browser, "zhang")
        for server in (first, second):
            server.stop_answering()
        try:
            begun = time.monotonic()
            assert browser.get("/").status_code == 503
            assert time.monotonic() - begun < SOON
        finally:
            for server in (first, second):
                server.go_on()
        assert comes_back_to(200, lambda: browser.get("/")).text == "张三"


# --- Clocks and workers --------------------------------------------------------------------------


def test_two_clocks_an_hour_apart_end_and_revive_nobody(
    simulator: DingTalkSimulator, server: Server
) -> None:
    """The moments that count are those of Redis."""
    import time_machine

    settings = {**simulator.settings, "SECRET_KEY": "k", "DINGTALK_STORE": server.url}
    here, fast = (
        build_site({**settings, "TESTING": True, "DINGTALK_REVALIDATE_AFTER": 1800})
        for _ in range(2)
    )

    def ahead() -> Any:
        return time_machine.travel(time.time() + 3600)

    def copied(app: Flask, browser: FlaskClient) -> FlaskClient:
        copy = app.test_client()
        cookie = browser.get_cookie("session")
        assert cookie is not None
        copy.set_cookie("session", cookie.value)
        return copy

    browser = here.test_client()
    simulator.sign_in(browser, "zhang")
    there = copied(fast, browser)
    for _ in range(2):
        with ahead():
            assert there.get("/report").text == "Report for 张三"
            assert there.get("/call").status_code == 200
        assert browser.get("/report").text == "Report for 张三"
        assert browser.get("/call").status_code == 200
    with ahead():
        simulator.sign_in(fast.test_client(), "zhang")
    with here.app_context():
        union_id = simulator.users["zhang"].union_id
        assert here.extensions["dingtalk"].logout_everywhere(union_id) == 2
    with ahead():
        assert nick(there) == "nobody"
    assert nick(browser) == "nobody"
