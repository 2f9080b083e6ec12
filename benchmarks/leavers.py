"""Leavers at once: how long after DingTalk's event is somebody signed out, in every worker?

A site for members runs under gunicorn in four workers with a store. The simulator sends the event
that somebody has left: pushed to the site by HTTP, and to ``flask dingtalk listen`` by Stream mode.
From the moment that it begins to send, the guarded page is loaded from each worker, over a
connection of that worker's, until all of them refuse the person. First one person after the other,
then all at once.

Starts a Redis, unless ``--store`` names one, which is emptied then.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import redis
from _processes import gunicorn
from _shared import SECRET_KEY, Row, print_table, session_cookie
from _sites import SETTINGS, leavers

from flask_dingtalk import DingTalkUser
from flask_dingtalk.testing import DingTalkSimulator, signed_in

#: Seconds that anything may take.
_PATIENCE = 60.0
_WORKERS = 4
_TARGET = 1.0
#: Who does not leave.
_STAYS = "zhang"


class Workers:
    """One open connection to each worker of a site."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: dict[str, HTTPConnection] = {}
        self._spare: list[HTTPConnection] = []

    def connect(self, cookie: str) -> None:
        """Connect until every worker has answered."""
        deadline = time.monotonic() + _PATIENCE
        while len(self._connections) < _WORKERS:
            if time.monotonic() > deadline:
                raise SystemExit("not all workers answer")
            connection = HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
            worker = self._load(connection, cookie)
            if worker is None:
                raise SystemExit("the site does not know its own sign-ins")
            if worker in self._connections:
                # Kept, so that the next one reaches another worker.
                self._spare.append(connection)
            else:
                self._connections[worker] = connection
        for connection in self._spare:
            connection.close()
        self._spare.clear()

    def refuse(self, cookie: str, known: str) -> bool:
        """Tell whether every worker refuses this person; ``known`` is somebody who stays."""
        for worker, connection in list(self._connections.items()):
            try:
                if self._load(connection, cookie) is not None:
                    return False
            except (OSError, HTTPException):
                # It was idle for too long.
                connection.close()
                del self._connections[worker]
                self.connect(known)
                return False
        return True

    def _load(self, connection: HTTPConnection, cookie: str) -> str | None:
        connection.request("GET", "/", headers={"Cookie": cookie})
        response = connection.getresponse()
        body = response.read().decode()
        return body if response.status == 200 else None


@contextmanager
def own_redis() -> Iterator[str]:
    """Run a Redis; yield its address."""
    server = shutil.which("redis-server")
    if server is None:
        raise SystemExit("install redis-server, or name one with --store")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = [server, "--port", str(port), "--save", "", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _until(lambda: _answers(port), "Redis does not start")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _until(is_so: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(problem)
        time.sleep(0.01)


@contextmanager
def listener(environment: dict[str, str], simulator: DingTalkSimulator) -> Iterator[None]:
    """Run ``flask dingtalk listen`` until it listens, and then for as long as needed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "_sites:leavers", "dingtalk", "listen"],
        cwd=Path(__file__).parent,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        if not simulator.gateway.wait_for_listeners(1, _PATIENCE):
            raise SystemExit("flask dingtalk listen does not listen")
        yield
    finally:
        process.terminate()
        process.wait()


def settle(simulator: DingTalkSimulator, number: int) -> None:
    """Add people; before the site subscribes to events, as each of them would be one."""
    for index in range(number):
        simulator.add_user(f"person-{index}", nick=f"Person {index}")


def sign_in(simulator: DingTalkSimulator) -> dict[str, str]:
    """Sign all people in; return the session cookie of each, by name."""
    cookies = {}
    app = leavers()
    for person in simulator.users.values():
        membership = person.memberships.get(simulator.application.corp_id)
        if membership is not None:
            user = DingTalkUser.from_wire({"unionId": person.union_id, "nick": person.nick})
            user = replace(user, user_id=membership.user_id)
            client = signed_in(app.test_client(), user)
            cookies[person.name] = session_cookie(client)
    return cookies


def one_by_one(simulator: DingTalkSimulator, workers: Workers) -> list[float]:
    """Return the seconds that each took who left alone."""
    cookies = sign_in(simulator)
    known = cookies.pop(_STAYS)
    workers.connect(known)
    taken = []
    for name, cookie in cookies.items():
        begun = time.monotonic()
        simulator.push("user_leave_org", name)
        _until(lambda cookie=cookie: workers.refuse(cookie, known), f"{name} stays")  # type: ignore[misc]
        taken.append(time.monotonic() - begun)
    return taken


def all_at_once(simulator: DingTalkSimulator, workers: Workers) -> list[float]:
    """Return the seconds that each took when everybody left in the same moment."""
    cookies = sign_in(simulator)
    known = cookies.pop(_STAYS)
    workers.connect(known)
    begun = time.monotonic()
    for name in cookies:
        simulator.push("user_leave_org", name)
    taken = []
    while cookies:
        if time.monotonic() - begun > _PATIENCE:
            raise SystemExit(f"{len(cookies)} people stay")
        for name in list(cookies):
            if workers.refuse(cookies[name], known):
                del cookies[name]
                taken.append(time.monotonic() - begun)
    return taken


def share(values: list[float], part: float) -> float:
    """Return the value that this part of all values does not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--store", help="address of a Redis that may be emptied")
    options = parser.parse_args()
    rows: list[Row] = []
    with ExitStack() as stack:
        store = options.store or stack.enter_context(own_redis())
        with redis.Redis.from_url(store) as connection:
            connection.flushdb()
        simulator = stack.enter_context(DingTalkSimulator())
        # Two people of the simulator's own are in the organisation: who stays, and one who leaves.
        settle(simulator, options.people - 1)
        settings = {
            **simulator.settings,
            **simulator.event_settings,
            "SECRET_KEY": SECRET_KEY,
            "DINGTALK_STORE": store,
            "DINGTALK_MEMBERS_ONLY": True,
        }
        environment = {SETTINGS: json.dumps(settings)}
        os.environ.update(environment)
        port = stack.enter_context(gunicorn("leavers", environment, workers=_WORKERS, threads=8))
        workers = Workers(port)
        workers.connect(sign_in(simulator)[_STAYS])
        for way in ("HTTP push", "Stream"):
            if way == "Stream":
                simulator.application.event_url = None
                stack.enter_context(listener(environment, simulator))
            else:
                simulator.subscribe(f"http://127.0.0.1:{port}/dingtalk/events")
            for how, measure in (("one by one", one_by_one), ("all at once", all_at_once)):
                taken = measure(simulator, workers)
                for name, part in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0)):
                    # All at once, the loads of the page themselves take most of the time.
                    has_target = name == "p99" and measure is one_by_one
                    target = _TARGET * 1000 if has_target else None
                    rows.append(
                        Row(f"{way}, {how}, {name}", share(taken, part) * 1000, None, target)
                    )
    title = f"From the event to signed out in {_WORKERS} workers, {options.people} people"
    print_table(title, "ms", rows)


if __name__ == "__main__":
    main()
