"""What a sign-in costs: how long the callback takes far from DingTalk, how many a worker manages.

Beside it, Authlib's usual recipe, which makes a new session for each call. DingTalk is a
stub that answers at once, over TLS. The floor of a callback is two round trips, one for each call,
over a connection that is open.

How many a worker manages is measured twice: on a separate processor, with the stub and the
browsers on others, and on all of them, which it shares with these. The rates need a machine that
does nothing else; the processor time of a sign-in hardly depends on that.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from _browsers import CALLBACK, CODE, LOGIN, Load
from _processes import all_processors, gunicorn, on
from _shared import HOST, Row, print_table
from _sites import API
from _stub import BARE_REQUEST, Stub

#: Seconds.
_ROUND_TRIP: Final = 0.04
#: How long somebody is busy at DingTalk at the very least, in seconds.
_AT_DINGTALK: Final = 1.0
_PROCESSES: Final = 3
_REPETITIONS: Final = 5
#: Closing a connection takes half a round trip to arrive.
_UNTIL_NOTICED: Final = 0.2

_THREADS: Final = 8
#: Seconds.
_WARM_UP: Final = 2.0
_MEASURED: Final = 4.0
#: Of each site, in turns; the best counts.
_ROUNDS: Final = 3

_DRIVE: Final = "--drive"
_SITES: Final = {"Flask-DingTalk": "flask_dingtalk", "Authlib's recipe": "authlib"}


# --- One sign-in at a time, far away -------------------------------------------------------------


class _Site:
    """A site in a separate process, which signs somebody in when told to."""

    def __init__(self, factory: str, stub: Stub) -> None:
        self._stub = stub
        self._process = subprocess.Popen(
            [sys.executable, __file__, _DRIVE, factory],
            env=_environment(stub.bundle, stub.far_url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sign_in(self) -> tuple[float, int]:
        """Return how long the callback took, in seconds, and how many connections it opened."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        before = self._stub.connections
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds = float(self._process.stdout.readline())
        return seconds, self._stub.connections - before

    def stop(self) -> None:
        self._process.communicate()


def _drive(factory: str) -> None:
    """Be that process: sign somebody in for each line that comes in."""
    import _sites

    client = getattr(_sites, factory)().test_client()
    first = True
    for _ in sys.stdin:
        # Buffered: a server, too, is done with an answer before the next request comes.
        login = client.get(LOGIN, base_url=f"http://{HOST}", buffered=True)
        if first:
            time.sleep(_AT_DINGTALK)
            first = False
        query = {"authCode": CODE, "code": CODE, "state": _state_in(login.location)}
        started = time.perf_counter()
        response = client.get(CALLBACK, query_string=query, base_url=f"http://{HOST}")
        seconds = time.perf_counter() - started
        if response.status_code != 302:
            raise RuntimeError(f"the callback answered {response.status}")
        print(seconds, flush=True)


def _measure_callbacks(name: str, stub: Stub, *, targets: bool) -> None:
    floors: list[float] = []
    firsts: list[tuple[float, int]] = []
    later: list[tuple[float, int]] = []
    closed: list[tuple[float, int]] = []
    for _ in range(_PROCESSES):
        floors.extend(_two_round_trips(stub))
        site = _Site(_SITES[name], stub)
        firsts.append(site.sign_in())
        later.extend(site.sign_in() for _ in range(_REPETITIONS))
        for _ in range(_REPETITIONS):
            stub.close_idle()
            time.sleep(_UNTIL_NOTICED)
            closed.append(site.sign_in())
        site.stop()
    # Whatever else the machine does only ever adds to a duration.
    floor = min(floors)
    rows = [Row("two bare round trips: the floor", floor * 1000, 1)]
    connections = []
    for label, runs, target, opened in (
        ("first of a process", firsts, None, None),
        ("second and later", later, 1.10, 0),
        ("after DingTalk closed its connections", closed, 2.20, None),
    ):
        seconds = min(run[0] for run in runs)
        rows.append(Row(label, seconds * 1000, seconds / floor, target if targets else None))
        most = max(run[1] for run in runs)
        connections.append(Row(label, most, target=opened if targets else None))
    title = f"{name}: callback at {_ROUND_TRIP * 1000:.0f} ms, the fastest of each kind"
    print_table(title, "ms", rows, decimals=1)
    print_table(f"{name}: connections that a callback opens", "at most", connections)


def _two_round_trips(stub: Stub) -> list[float]:
    """Return how long two requests take, one after the other, on a connection that is open."""
    context = ssl.create_default_context(cafile=stub.bundle)
    address = urlsplit(stub.far_url)
    durations = []
    with (
        socket.create_connection((address.hostname, address.port)) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        for _ in range(_REPETITIONS + 1):
            started = time.perf_counter()
            for _ in range(2):
                connection.sendall(BARE_REQUEST)
                connection.recv(4096)  # the answer is one TLS record
            durations.append(time.perf_counter() - started)
    # The end of the greeting is part of the first.
    return durations[1:]


# --- As many as a worker manages, close by -------------------------------------------------------


def _measure_worker(where: str, own: set[int], others: set[int], target: float | None) -> None:
    """Measure one gunicorn worker on the processors ``own``, with all that it needs on others."""
    with (
        tempfile.TemporaryDirectory() as directory,
        on(others),
        Stub(Path(directory), _ROUND_TRIP) as stub,
    ):
        rounds = [
            [_load(factory, stub, own) for factory in _SITES.values()] for _ in range(_ROUNDS)
        ]
    ours, theirs = zip(*rounds, strict=True)
    most, floor = (max(load.per_second for load in loads) for loads in (ours, theirs))
    print_table(
        f"Sign-ins per second, one gunicorn worker with {_THREADS} threads {where}",
        "per second",
        [
            Row("Authlib's recipe: the floor", floor, 1),
            Row("Flask-DingTalk", most, most / floor, target, at_least=True),
        ],
        decimals=1,
    )
    least, floor = (min(load.processor_time for load in loads) for loads in (ours, theirs))
    print_table(
        "Processor time of that worker for one sign-in",
        "ms",
        [
            Row("Authlib's recipe", floor * 1000, 1),
            Row("Flask-DingTalk", least * 1000, least / floor),
        ],
        decimals=2,
    )


def _load(factory: str, stub: Stub, processors: set[int]) -> Load:
    """Keep every thread of a worker busy with sign-ins for a while."""
    environment = _environment(stub.bundle, stub.near_url)
    with gunicorn(factory, environment, threads=_THREADS, processors=processors) as port:
        # Another process: the stub's threads and the browsers' would wait for each other.
        browsers = [sys.executable, str(Path(__file__).with_name("_browsers.py"))]
        browsers += [str(number) for number in (port, _THREADS, _WARM_UP, _MEASURED)]
        result = subprocess.run(browsers, stdout=subprocess.PIPE, check=True)
    return Load(**json.loads(result.stdout))


def _state_in(location: str | None) -> str:
    return parse_qs(urlsplit(location or "").query)["state"][0]


def _environment(bundle: Path, api: str) -> dict[str, str]:
    # No proxy of this machine's between a site and the stub.
    return {"PATH": os.defpath, "REQUESTS_CA_BUNDLE": str(bundle), API: api, "NO_PROXY": "*"}


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Stub(Path(directory), _ROUND_TRIP) as stub,
    ):
        for name in _SITES:
            _measure_callbacks(name, stub, targets=name == "Flask-DingTalk")
    everywhere = all_processors()
    if len(everywhere) > 1:
        # As where one worker runs for each processor.
        own = {max(everywhere)}
        _measure_worker("on a separate processor", own, everywhere - own, 10)
    # Parsing certificates, which the recipe does for each connection, needs no interpreter lock: it
    # keeps a second processor busy, which here nobody else wants.
    _measure_worker("on every processor, shared with its visitors", everywhere, everywhere, None)


if __name__ == "__main__":
    if sys.argv[1:2] == [_DRIVE]:
        _drive(sys.argv[2])
    else:
        main()
