"""Leavers at once: how long after DingTalk's event is somebody signed out, in every worker?

A site for members runs under gunicorn in four workers with a store. The simulator sends the event
that somebody has left: pushed to the site by HTTP, and to ``flask dingtalk listen`` by Stream mode.
From the moment that it begins to send, the guarded page is loaded from each worker, over a
connection of that worker's, until all of them refuse the person. First one person after the other,
then all at once, and all at once amid changes of departments, each of which marks everybody.

When all leave at once, loading everybody's page from each worker would keep the workers from the
events. So a separate process looks every few milliseconds whose records are gone from the store:
each worker reads the record at each request. Of every tenth person it loads the page from all four
workers as soon as the record is gone, and of everybody at the end.

Starts a Redis, unless ``--store`` names one, which is emptied then.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from pathlib import Path

import redis
from _processes import gunicorn
from _shared import SECRET_KEY, Row, print_table, session_cookie
from _sites import RECEIVER, SETTINGS, leavers

from flask_dingtalk import DingTalkUser
from flask_dingtalk.testing import DingTalkSimulator, signed_in

#: Seconds that anything may take.
_PATIENCE = 60.0
_WORKERS = 4
_TARGET = 1.0
#: Who does not leave.
_STAYS = "zhang"
#: Events of departments among those of two hundred people.
_CHANGES = 50
#: Of so many people who leave at once, the page of one is loaded at once.
_SAMPLE = 10
#: Seconds between two looks into the store.
_LOOK_AGAIN = 0.01
#: The records of sign-ins in the store.
_RECORDS = "*:login:*"
#: Which of them are gone, by their numbers.
_GONE = """
local gone = {}
for number, name in ipairs(KEYS) do
  if redis.call('EXISTS', name) == 0 then gone[#gone + 1] = number end
end
return gone
"""


@dataclass(frozen=True)
class SignedIn:
    """Somebody who is signed in: the session cookie, and the name of the record in the store."""

    cookie: str
    record: str


class Workers:
    """One open connection to each worker of a site."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connections: dict[str, HTTPConnection] = {}
        self._spare: list[HTTPConnection] = []

    def connect(self, cookie: str) -> None:
        """Connect until every worker has answered."""
        deadline = time.monotonic() + _PATIENCE
        while len(self._connections) < _WORKERS:
            if time.monotonic() > deadline:
                raise SystemExit("not all workers answer")
            connection = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
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

    def warm_up(self) -> None:
        """Have each worker refuse somebody: it gets ready for sign-ins then, for a while."""
        for _ in range(2):
            for connection in self._connections.values():
                self._load(connection, "")
            time.sleep(1)

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

    def refused_at(self, pool: ThreadPoolExecutor, people: list[SignedIn]) -> list[float]:
        """Return when each was refused by all workers; each worker is asked in a thread."""

        def ask(connection: HTTPConnection) -> list[float]:
            moments = []
            for person in people:
                if self._load(connection, person.cookie) is not None:
                    raise SystemExit("a worker lets somebody in who has no record")
                moments.append(time.monotonic())
            return moments

        by_worker = pool.map(ask, self._connections.values())
        return [max(moments) for moments in zip(*by_worker, strict=True)]

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


def sign_in(simulator: DingTalkSimulator, store: str) -> dict[str, SignedIn]:
    """Sign all people in; return what there is of each, by name."""
    people = {}
    app = leavers()
    with redis.Redis.from_url(store, decode_responses=True) as records:
        before = set(records.keys(_RECORDS))
        for person in simulator.users.values():
            membership = person.memberships.get(simulator.application.corp_id)
            if membership is not None:
                user = DingTalkUser.from_wire({"unionId": person.union_id, "nick": person.nick})
                user = replace(user, user_id=membership.user_id)
                client = signed_in(app.test_client(), user)
                after = set(records.keys(_RECORDS))
                (record,) = after - before
                before = after
                people[person.name] = SignedIn(session_cookie(client), record)
    return people


def one_by_one(simulator: DingTalkSimulator, workers: Workers, store: str) -> list[float]:
    """Return the seconds that each took who left alone."""
    people = sign_in(simulator, store)
    known = people.pop(_STAYS).cookie
    workers.connect(known)
    taken = []
    for name, person in people.items():
        cookie = person.cookie
        begun = time.monotonic()
        simulator.push("user_leave_org", name)
        _until(lambda cookie=cookie: workers.refuse(cookie, known), f"{name} stays")  # type: ignore[misc]
        taken.append(time.monotonic() - begun)
    return taken


def all_at_once(
    simulator: DingTalkSimulator, workers: Workers, store: str, changes: int
) -> tuple[list[float], list[float]]:
    """Return the seconds that each took when everybody left in the same moment, and the sample's.

    So many events of departments come at the same time.
    """
    people = sign_in(simulator, store)
    known = people.pop(_STAYS)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    watcher = context.Process(
        target=watch, args=(theirs, workers.port, store, list(people.values()), known)
    )
    watcher.start()
    ours.recv()
    begun = time.monotonic()
    for number, name in enumerate(people):
        if number * changes // len(people) != (number + 1) * changes // len(people):
            simulator.push("org_dept_modify", data={"deptId": [number]})
        simulator.push("user_leave_org", name)
    if not ours.poll(_PATIENCE):
        raise SystemExit("somebody stays")
    gone_at, refused_at = ours.recv()
    watcher.join()
    return [moment - begun for moment in gone_at], [moment - begun for moment in refused_at]


def watch(
    pipe: Connection, port: int, store: str, leaving: list[SignedIn], known: SignedIn
) -> None:
    """Send two lists of moments, by the monotonic clock.

    When each record was gone, and when every tenth person was refused by all workers.
    """
    workers = Workers(port)
    workers.connect(known.cookie)
    everybody, sample = leaving, set(leaving[::_SAMPLE])
    gone_at: list[float] = []
    refused_at: list[float] = []
    with redis.Redis.from_url(store) as records, ThreadPoolExecutor(_WORKERS) as pool:
        pipe.send("ready")
        while leaving:
            names = [person.record for person in leaving]
            numbers = set(records.eval(_GONE, len(names), *names))
            gone = [leaving[number - 1] for number in numbers]
            leaving = [each for number, each in enumerate(leaving, 1) if number not in numbers]
            gone_at += [time.monotonic()] * len(gone)
            if chosen := [person for person in gone if person in sample]:
                refused_at += workers.refused_at(pool, chosen)
            time.sleep(_LOOK_AGAIN)
        workers.refused_at(pool, everybody)
    pipe.send((gone_at, refused_at))


def share(values: list[float], part: float) -> float:
    """Return the value that this part of all values does not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument(
        "--receiver", type=float, default=0, help="seconds that the site takes for each event"
    )
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
        environment = {SETTINGS: json.dumps(settings), RECEIVER: str(options.receiver)}
        os.environ.update(environment)
        port = stack.enter_context(
            # So that each worker can be asked by the connection that leads to it.
            gunicorn("leavers", environment, workers=_WORKERS, threads=8, keep_alive=600)
        )
        workers = Workers(port)
        workers.connect(sign_in(simulator, store)[_STAYS].cookie)
        workers.warm_up()
        for way in ("HTTP push", "Stream"):
            if way == "Stream":
                simulator.application.event_url = None
                stack.enter_context(listener(environment, simulator))
            else:
                simulator.subscribe(f"http://127.0.0.1:{port}/dingtalk/events")
            measured = {"one by one": one_by_one(simulator, workers, store)}
            for how, changes in (("all at once", 0), ("amid changes", _CHANGES)):
                everybody, sample = all_at_once(simulator, workers, store, changes)
                measured[how] = everybody
                measured[f"{how}, by pages"] = sample
            for how, taken in measured.items():
                for name, part in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0)):
                    target = _TARGET * 1000 if name == "p99" else None
                    rows.append(
                        Row(f"{way}, {how}, {name}", share(taken, part) * 1000, None, target)
                    )
    title = f"From the event to signed out in {_WORKERS} workers, {options.people} people"
    print_table(title, "ms", rows)


if __name__ == "__main__":
    main()
