"""Provoke what breaks a sign-in under pressure, and see whether this extension holds.

Somebody becomes somebody else, or stays who they were: forked processes, refused sign-ins, late
answers, a demoted administrator. One visitor stops all others, or DingTalk does: a callback loaded
again and again, answers that drip in, made-up codes, a rush. Each prints one line of what was done
and what was seen; the exit status is 1 if one is broken. It takes about a minute and needs nothing
beyond this machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import flask_login
import flask_session
import time_machine
from _browsers import CALLBACK, LOGIN
from _dingtalk import APP_TOKEN, EXCHANGE, DingTalk, code_of, running
from _shared import PATH, PROFILE, SECRET_KEY, settings
from _visitors import reload_of
from cachelib import FileSystemCache
from flask import Flask, abort, after_this_request, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from rush import Plan, run
from werkzeug.test import TestResponse

import flask_dingtalk
from flask_dingtalk import (
    DingTalkToken,
    DingTalkUser,
    NotPermitted,
    current_dingtalk_user,
    login_required,
)
from flask_dingtalk.testing import DingTalkSimulator, signed_in

_LOGOUT: Final = "/dingtalk/logout"
_FORK: Final = "--fork"
#: The threads of a usual worker.
_THREADS: Final = 8


@dataclass(frozen=True)
class Outcome:
    """What was seen, and whether that is as it should be."""

    held: bool
    seen: str


def _site(**config: Any) -> tuple[Flask, flask_dingtalk.DingTalk]:
    """Return a site that tells visitors their names, and its extension."""
    app = Flask("site")
    app.config.update({"DINGTALK_MEMBERS_ONLY": False}, **config)
    app.secret_key = SECRET_KEY
    dingtalk = flask_dingtalk.DingTalk(app)

    @app.get("/")
    def home() -> str:
        return current_dingtalk_user.nick or "nobody"

    @app.get(PATH)
    @login_required
    def report() -> str:
        return "the report"

    @app.get("/profile")
    def profile() -> str:
        nick: str = dingtalk.get("/v1.0/contact/users/me").json()["nick"]
        return nick

    return app, dingtalk


def _settings_for(api: str, **more: Any) -> dict[str, Any]:
    """Return the settings of a site whose DingTalk is at this address."""
    addresses = dict.fromkeys(("DINGTALK_API_BASE_URL", "DINGTALK_OAPI_BASE_URL"), api)
    return {**settings(), **addresses, **more}


def _begin(client: FlaskClient, address: str = "127.0.0.1") -> str:
    """Begin a sign-in; return its state."""
    answer = client.get(LOGIN, environ_base={"REMOTE_ADDR": address})
    return parse_qs(urlsplit(answer.location).query)["state"][0]


def _come_back(
    client: FlaskClient, state: str, code: str, address: str = "127.0.0.1"
) -> TestResponse:
    """Load the callback."""
    query = urlencode({"code": code, "authCode": code, "state": state})
    return client.get(f"{CALLBACK}?{query}", environ_base={"REMOTE_ADDR": address})


def _tab(client: FlaskClient) -> FlaskClient:
    """Return a client with the session of another, for requests at the same time."""
    tab = client.application.test_client()
    cookie = client.get_cookie("session")
    if cookie is not None:
        tab.set_cookie("session", cookie.value)
    return tab


def _timed(load: Callable[[], object]) -> float:
    started = time.monotonic()
    load()
    return time.monotonic() - started


def _timed_at_once(loads: list[Callable[[], object]]) -> list[float]:
    """Return how long each takes, in seconds, where all begin together."""
    with ThreadPoolExecutor(len(loads)) as pool:
        return list(pool.map(_timed, loads))


# --- Somebody is somebody else, or still is ------------------------------------------------------


def forked_processes() -> Outcome:
    """Let two people use two children of a process that has a connection to DingTalk."""
    with running(DingTalk(0.05)) as dingtalk:
        command = [sys.executable, __file__, _FORK, dingtalk.url]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    wrong_answers, wrong_sign_ins, failures = json.loads(result.stdout)
    return Outcome(
        not (wrong_answers or wrong_sign_ins or failures),
        f"{wrong_answers} of 40 calls answered with the other one's profile, {wrong_sign_ins} of "
        f"24 sign-ins ended as the other one, {failures} of both failed",
    )


def _fork(api: str) -> None:
    """Be that process; print what went wrong in all its children, as ``_Wrong`` counts it."""
    totals = [0, 0, 0]
    for use in (_call, _sign_in) * 4:
        # One that is new has connections that nobody has spoilt yet.
        app, _ = _site(**_settings_for(api, DINGTALK_TIMEOUT=(2, 2)))
        _sign_in(app, "parent")
        together = time.monotonic() + 0.2
        pipes = []
        for name in ("zhang", "li"):
            reading, writing = os.pipe()
            if os.fork() == 0:
                time.sleep(together - time.monotonic())
                os.write(writing, json.dumps(use(app, name)).encode())
                os._exit(0)
            os.close(writing)
            pipes.append(reading)
        for pipe in pipes:
            wrong = json.loads(os.read(pipe, 4096))
            os.close(pipe)
            os.wait()
            totals = [sum(pair) for pair in zip(totals, wrong, strict=True)]
    print(json.dumps(totals))


#: Answers about another person, sign-ins as another person, failures of either.
_Wrong = tuple[int, int, int]


def _call(app: Flask, name: str) -> _Wrong:
    """Call DingTalk 5 times as somebody who is signed in already."""
    token = DingTalkToken(code_of(name), code_of(name), datetime.now(UTC) + timedelta(hours=2))
    client = app.test_client()
    signed_in(client, DingTalkUser.from_wire(PROFILE | {"nick": name}), token)
    answers = [client.get("/profile") for _ in range(5)]
    texts = [answer.text for answer in answers if answer.status_code == 200]
    return len(texts) - texts.count(name), 0, len(answers) - len(texts)


def _sign_in(app: Flask, name: str) -> _Wrong:
    """Sign in 3 times."""
    names = []
    for _ in range(3):
        client = app.test_client()
        if _come_back(client, _begin(client), code_of(name)).status_code == 302:
            names.append(client.get("/").text)
    return 0, len(names) - names.count(name), 3 - len(names)


class _Account(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, union_id: str) -> None:
        self.id = union_id


def _refuse(user: DingTalkUser, token: object) -> None:
    raise NotPermitted("not on the list")


def _abort(user: DingTalkUser, token: object) -> None:
    abort(403)


def _fill_session(user: DingTalkUser, token: object) -> None:
    session["basket"] = secrets.token_hex(4000)


def refused_sign_ins() -> Outcome:
    """Refuse a sign-in after ``on_login`` has put things into session and cookies."""
    left = {}
    with DingTalkSimulator() as simulator:
        for name, refuse in {
            "abort": _abort,
            "second hook": _refuse,
            "session too big": _fill_session,
        }.items():
            left[name] = _left_of_a_refusal(simulator, refuse)
    seen = [f"{name}: {', '.join(what)}" for name, what in left.items() if what]
    return Outcome(not seen, f"left behind after {'; '.join(seen)}" if seen else "nothing was left")


def _left_of_a_refusal(
    simulator: DingTalkSimulator, refuse: Callable[[DingTalkUser, object], None]
) -> list[str]:
    app, dingtalk = _site(**simulator.settings)
    flask_login.LoginManager(app).user_loader(_Account)

    @dingtalk.on_login
    def enter(user: DingTalkUser, token: object) -> None:
        session["account"] = user.union_id
        flask_login.login_user(_Account(user.union_id), remember=True)

        @after_this_request
        def remember(response: Any) -> Any:
            response.set_cookie("account", user.union_id)
            return response

    dingtalk.on_login(refuse)

    @app.get("/left")
    def what_is_left() -> ResponseReturnValue:
        return {
            "session data": "account" in session or "basket" in session,
            "Flask-Login": flask_login.current_user.is_authenticated,
            "this extension": bool(current_dingtalk_user),
        }

    client = app.test_client()
    answer = simulator.sign_in(client, "zhang")
    left = {
        "remember cookie": client.get_cookie("remember_token") is not None,
        "the hook's cookie": client.get_cookie("account") is not None,
        **(client.get("/left").json or {}),
        f"status {answer.status_code}": answer.status_code < 400,
    }
    return [what for what, is_left in left.items() if is_left]


@dataclass(frozen=True)
class _LateAnswer:
    """A page that began before a sign-out, or before somebody else's sign-in, and ends after."""

    name: str
    #: Sessions are in files, by Flask-Session with its defaults, or in Flask's cookie.
    files: bool
    next_person: str | None = None
    #: The browser takes the cookie of the late answer.
    taken: bool = True


_LATE_ANSWERS: Final = (
    _LateAnswer("Flask-Session, sign-out", files=True),
    _LateAnswer("the same, answer dropped", files=True, taken=False),
    _LateAnswer("Flask-Session, next person", files=True, next_person="li"),
    _LateAnswer("cookie, sign-out", files=False),
    _LateAnswer("cookie, next person", files=False, next_person="li"),
)


def late_answers() -> Outcome:
    """End a slow page after its visitor has signed out, or another one has signed in."""
    broken = []
    with DingTalkSimulator() as simulator:
        for case in _LATE_ANSWERS:
            with tempfile.TemporaryDirectory() as directory:
                name, status = _after_a_late_answer(case, simulator, directory)
            if name == "张三" or (case.next_person is None and status == 200):
                broken.append(case.name)
    seen = f"张三 is back in {len(broken)} of {len(_LATE_ANSWERS)} cases"
    return Outcome(not broken, f"{seen} ({'; '.join(broken)})" if broken else seen)


def _after_a_late_answer(
    case: _LateAnswer, simulator: DingTalkSimulator, directory: str
) -> tuple[str, int]:
    """Return whose name the browser shows in the end, and the status of a guarded page."""
    app, _ = _site(**simulator.settings)
    if case.files:
        app.config["SESSION_TYPE"] = "cachelib"
        app.config["SESSION_CACHELIB"] = FileSystemCache(directory, threshold=0)
        flask_session.Session(app)
    begun, may_end = threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        if not case.files:
            # Flask-Session writes the session anyhow.
            session["visits"] = session.get("visits", 0) + 1
        begun.set()
        may_end.wait(10)
        return "done"

    @app.post("/basket")
    def fill_basket() -> str:
        session["basket"] = ["apples"]
        return "filled"

    client = app.test_client()
    # With data of the site's own, a session goes on after the sign-out.
    client.post("/basket")
    simulator.sign_in(client, "zhang")
    tab = _tab(client)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(tab.get, "/slow")
        begun.wait(10)
        if case.next_person is None:
            client.post(_LOGOUT)
        else:
            simulator.sign_in(client, case.next_person)
        may_end.set()
        answer = late.result()
    cookie = tab.get_cookie("session")
    if case.taken and "Set-Cookie" in answer.headers and cookie is not None:
        client.set_cookie("session", cookie.value)
    return client.get("/").text, client.get(PATH).status_code


def demoted_administrator() -> Outcome:
    """Take the role from an administrator with two browsers, on two workers."""
    with time_machine.travel(datetime.now(UTC)) as clock, DingTalkSimulator() as simulator:
        first, second = (_administrator(simulator) for _ in range(2))
        corp_id = simulator.application.corp_id
        simulator.users["zhang"].memberships[corp_id].admin = False
        clock.shift(3601)
        # This check renews the tokens: from now on DingTalk takes neither of the other browser's.
        renewing = second.get("/admin").status_code
        statuses = []
        for _ in range(72):
            statuses.append(first.get("/admin").status_code)
            clock.shift(3601)
    let_in = statuses.count(200)
    at = ", ".join(f"{check}: {statuses[check - 1]}" for check in (1, 2, 24, 72))
    return Outcome(
        renewing == 403 and let_in == 0,
        f"the browser that renewed the tokens gets {renewing}, the other one 200 at {let_in} of 72 "
        f"checks ({at})",
    )


def _administrator(simulator: DingTalkSimulator) -> FlaskClient:
    app, _ = _site(
        **simulator.settings
        | {
            "DINGTALK_MEMBERS_ONLY": True,
            "DINGTALK_EMPLOYEE_PROFILE": True,
            "DINGTALK_REVALIDATE_AFTER": 3600,
        }
    )

    @app.get("/admin")
    @login_required(check=lambda user: user.employee is not None and user.employee.admin is True)
    def admin() -> str:
        return "the keys"

    client = app.test_client()
    simulator.sign_in(client, "zhang")
    if client.get("/admin").status_code != 200:
        raise RuntimeError("the administrator was not let in to begin with")
    return client


# --- One visitor stops all, or DingTalk does -----------------------------------------------------


def one_callback_again_and_again() -> Outcome:
    """Load one callback in each thread: with an expired state, then with a slow DingTalk."""
    durations = []
    with running(DingTalk(0)) as dingtalk:
        app, _ = _site(**_settings_for(dingtalk.url, DINGTALK_TIMEOUT=(0.5, 1)))
        _sign_in(app, "somebody")  # what a process does at its first sign-in is over
        client = app.test_client()
        state, code = _begin(client), code_of("zhang")
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=11)):
            durations += [_load_at_once(client, state, code) for _ in range(2)]
    with running(DingTalk(1.2)) as dingtalk:
        app, _ = _site(**_settings_for(dingtalk.url, DINGTALK_TIMEOUT=(1, 2)))
        client = app.test_client()
        durations.append(_load_at_once(client, _begin(client), code_of("zhang")))
    first, second, slow = (sum(seconds > 1 for seconds in loads) for loads in durations)
    return Outcome(
        max(first, second, slow) <= 2,
        f"held for over a second: {first} and then {second} of {_THREADS} threads by the expired "
        f"one (up to {max(map(max, durations[:2])):.1f} s, with a tenth of the default's "
        f"DINGTALK_TIMEOUT), {slow} by the slow one",
    )


def _load_at_once(client: FlaskClient, state: str, code: str) -> list[float]:
    """Load one callback in all threads of a worker; return how long each took, in seconds."""
    tabs = [_tab(client) for _ in range(_THREADS)]
    return _timed_at_once([partial(_come_back, tab, state, code) for tab in tabs])


class _DrippingDingTalk(DingTalk):
    """Answers one API little by little for so many seconds, and then not at all."""

    def __init__(self, api: str, first: bytes, drop: bytes, seconds: float) -> None:
        super().__init__(0)
        self._api = api
        self._first = first
        self._drop = drop
        self._seconds = seconds

    def respond(
        self, api: str, headers: dict[str, str], body: bytes, transport: asyncio.Transport
    ) -> None:
        if api != self._api:
            super().respond(api, headers, body, transport)
            return
        transport.write(self._first)
        self._drip(transport, time.monotonic() + self._seconds)

    def _drip(self, transport: asyncio.Transport, end: float) -> None:
        if time.monotonic() < end and not transport.is_closing():
            transport.write(self._drop)
            asyncio.get_running_loop().call_later(0.2, self._drip, transport, end)


_BODY: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
_DRIPS: Final = {
    "body": (_BODY, b" "),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Filler: 1\r\n"),
    "1xx": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


def answers_that_drip() -> Outcome:
    """Let answers drip in for longer than a call may take, also that with the app token."""
    timeout, seconds = (0.5, 1.0), 8.0
    with ExitStack() as stack:
        loads: list[Callable[[], object]] = []
        for first, drop in _DRIPS.values():
            stub = _DrippingDingTalk(EXCHANGE, first, drop, seconds)
            dingtalk = stack.enter_context(running(stub))
            app, _ = _site(**_settings_for(dingtalk.url, DINGTALK_TIMEOUT=timeout))
            loads.append(_ready_to_come_back(app))
        stub = _DrippingDingTalk(APP_TOKEN, *_DRIPS["body"], seconds)
        dingtalk = stack.enter_context(running(stub))
        app, _ = _site(
            **_settings_for(dingtalk.url, DINGTALK_TIMEOUT=timeout, DINGTALK_MEMBERS_ONLY=True)
        )
        loads += [_ready_to_come_back(app) for _ in range(4)]
        durations = _timed_at_once(loads)
    each = ", ".join(f"{name} {held:.1f} s" for name, held in zip(_DRIPS, durations, strict=False))
    worst = max(durations[len(_DRIPS) :])
    # One call may take 1.5 s; a busy machine adds to that.
    return Outcome(
        max(durations) < seconds / 2,
        f"a sign-in held its thread: {each}; for the app token, up to {worst:.1f} s",
    )


def _ready_to_come_back(app: Flask) -> Callable[[], object]:
    client = app.test_client()
    state = _begin(client)
    return partial(_come_back, client, state, code_of("zhang"))


def made_up_codes() -> Outcome:
    """Try made-up codes from one address while others sign in."""
    rate, attackers, honest = 68, 8, 15
    over = threading.Event()
    with running(DingTalk(0.04, 20)) as dingtalk:
        app, _ = _site(**_settings_for(dingtalk.url))

        def attack() -> int:
            tries = 0
            due = time.monotonic()
            while not over.is_set():
                client = app.test_client()
                address = "203.0.113.7"
                _come_back(client, _begin(client, address), secrets.token_hex(16), address)
                tries += 1
                due = max(due + attackers / rate, time.monotonic() - 1)
                over.wait(max(due - time.monotonic(), 0))
            return tries

        def visit(number: int) -> bool:
            time.sleep(1 + number / 2)
            return _gets_in(app, f"198.51.100.{number}")

        with ThreadPoolExecutor(attackers + honest) as pool:
            started = time.monotonic()
            attacks = [pool.submit(attack) for _ in range(attackers)]
            entered = list(pool.map(visit, range(honest)))
            over.set()
            tries = sum(attack.result() for attack in attacks)
            reached = tries / (time.monotonic() - started)
    failed = entered.count(False)
    return Outcome(
        failed == 0,
        f"{failed} of {honest} honest sign-ins failed ({reached:.0f} codes a second were tried)",
    )


def _gets_in(app: Flask, address: str) -> bool:
    """Sign in as a browser does that loads a page again when it asks for that."""
    client = app.test_client()
    query = urlencode({"code": code_of("zhang"), "state": _begin(client, address)})
    target = f"{CALLBACK}?{query}"
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        answer = client.get(target, environ_base={"REMOTE_ADDR": address})
        reload = reload_of(target, answer.headers.get("Refresh"), answer.text)
        if reload is None:
            return answer.status_code == 302
        pause, target = reload
        time.sleep(pause)
    return False


def small_rush() -> Outcome:
    """Let more people sign in than DingTalk allows; ``rush.py`` measures a thousand."""
    rush = asyncio.run(run(Plan(people=200, seconds=6, patience=40)))
    busiest = rush.busiest_second(EXCHANGE)
    people = rush.plan.people
    return Outcome(
        len(rush.signed_in) == people and rush.fresh_starts == 0 and busiest < 2 * rush.plan.limit,
        f"{len(rush.signed_in)} are in after {rush.last_in:.0f} s, {rush.fresh_starts} fresh "
        f"starts, {busiest} exchanges in DingTalk's busiest second",
    )


_FAULTS: Final = {
    "Two people, in two processes forked from one that has signed somebody in": forked_processes,
    "A sign-in that is refused after on_login has filled session and cookies": refused_sign_ins,
    "A slow page that ends after its visitor, 张三, has signed out or 李四 signed in": late_answers,
    "An administrator with two browsers who is one no more": demoted_administrator,
    "One callback in all 8 threads of a worker": one_callback_again_and_again,
    "Answers that drip in for 8 s where a call may take 1.5 s": answers_that_drip,
    "68 made-up codes a second from one address, DingTalk allows 20 calls": made_up_codes,
    "200 people sign in within 6 s, DingTalk allows 20 calls a second": small_rush,
}


def main() -> int:
    """Provoke, print, and return the exit status."""
    # What goes wrong is the point, and printed here.
    logging.disable()
    warnings.simplefilter("ignore")
    # The processes of a site end with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    status = 0
    for done, provoke in _FAULTS.items():
        outcome = provoke()
        if not outcome.held:
            status = 1
        print(f"{'held' if outcome.held else 'BROKEN':<6}  {done}: {outcome.seen}.", flush=True)
    return status


if __name__ == "__main__":
    if sys.argv[1:2] == [_FORK]:
        logging.disable()
        _fork(sys.argv[2])
    else:
        sys.exit(main())
