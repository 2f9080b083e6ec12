"""What a guarded page costs, beside a bare Flask view that reads its signed session cookie.

Instructions per request, counted by callgrind: the same in each run, and on each machine with the
same Python. The floor is the ratio's 1. Without valgrind, processor time instead, which is not as
steady. Everything runs in one process, without a server: only the WSGI application is called.

With a store there is another floor: a bare view that asks Redis for one value, by redis-py. A Redis
is started for that, if it is installed; what it does itself does not count.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final

import flask_login
from _processes import redis_server
from _shared import (
    PATH,
    PROFILE,
    SECRET_KEY,
    TOKENS,
    Row,
    call,
    callgrind,
    count_instructions,
    environ_of,
    print_table,
    session_cookie,
    settings,
    sign_in,
)
from flask import Flask, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

#: Before the first count, so that what is done once is not counted.
_WARM_UP: Final = 30
_REQUESTS: Final = 150
#: Without valgrind: the best of so many rounds.
_ROUNDS: Final = 15
_COUNT: Final = "--count"
#: The target with a store, where Flask-Session with its defaults is 1.
_BESIDE_FLASK_SESSION: Final = 0.8


@dataclass(frozen=True)
class Case:
    """An application, the cookies its requests carry in turn, and the status they should get."""

    name: str
    app: Flask
    cookies: tuple[str | None, ...]
    status: str = "200 OK"
    target: float | None = None
    #: With a store, or beside one.
    uses_redis: bool = False


def _floor() -> Flask:
    app = Flask("floor")
    app.secret_key = SECRET_KEY

    @app.get(PATH)
    def report() -> str:
        return f"Hello, {session.get('user')}"

    return app


def _flask_dingtalk() -> Flask:
    app = Flask("flask_dingtalk_site")
    app.config.update(settings())
    DingTalk(app)

    @app.get(PATH)
    @login_required
    def report() -> str:
        return "Hello, somebody"

    return app


def _flask_dingtalk_nick() -> Flask:
    app = Flask("flask_dingtalk_site")
    app.config.update(settings())
    DingTalk(app)

    @app.get(PATH)
    @login_required
    def report() -> str:
        return f"Hello, {current_dingtalk_user.nick}"

    return app


def _redis_floor(url: str) -> Flask:
    import redis

    client = redis.Redis.from_url(url)
    client.set("a-session", json.dumps({"user": PROFILE, "token": TOKENS}))
    app = Flask("redis_floor")
    app.secret_key = SECRET_KEY

    @app.get(PATH)
    def report() -> str:
        return "Hello, somebody" if client.get(session["user"]) else ""

    return app


def _keep_key(client: Any) -> None:
    with client.session_transaction() as content:
        content["user"] = "a-session"


def _with_store(url: str) -> Flask:
    app = Flask("store_site")
    app.config.update(settings(), DINGTALK_STORE=url)
    DingTalk(app)

    @app.get(PATH)
    @login_required
    def report() -> str:
        return "Hello, somebody"

    return app


def _flask_session(url: str) -> Flask:
    import flask_session
    import redis

    app = Flask("flask_session_site")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(url))
    flask_session.Session(app)

    @app.get("/login")
    def login() -> str:
        session["user"] = PROFILE
        session["token"] = TOKENS
        return ""

    @app.get(PATH)
    def report() -> str:
        return "Hello, somebody" if session.get("user") else ""

    return app


def _flask_login() -> Flask:
    app = Flask("flask_login_site")
    app.secret_key = SECRET_KEY
    users = {PROFILE["unionId"]: _FlaskLoginUser()}
    manager = flask_login.LoginManager(app)
    manager.login_view = "login"
    manager.user_loader(users.get)

    def login() -> str:
        flask_login.login_user(users[PROFILE["unionId"]])
        return ""

    def report() -> str:
        return "Hello, somebody"

    app.add_url_rule("/login", view_func=login)
    app.add_url_rule(PATH, view_func=flask_login.login_required(report))
    return app


class _FlaskLoginUser(flask_login.UserMixin):  # type: ignore[misc]
    id = PROFILE["unionId"]


def _authlib_recipe() -> Flask:
    app = Flask("authlib_site")
    app.secret_key = SECRET_KEY

    @app.get("/login")
    def login() -> str:
        # What the recipe's callback does with what the provider sent.
        session["user"] = PROFILE
        session["token"] = TOKENS
        return ""

    @app.get(PATH)
    def report() -> ResponseReturnValue:
        if not session.get("user"):
            return redirect(url_for("login", next=request.full_path))
        return "Hello, somebody"

    return app


def _cookie(app: Flask, enter: Callable[[Any], None]) -> str:
    client = app.test_client()
    enter(client)
    return session_cookie(client)


def _keep_user(client: Any) -> None:
    with client.session_transaction() as content:
        content["user"] = PROFILE["unionId"]


def _log_in(client: Any) -> None:
    # From the same address with the same browser: Flask-Login ties a session to the two.
    known = environ_of(None)
    same = {name: known[name] for name in ("REMOTE_ADDR", "HTTP_USER_AGENT")}
    client.get("/login", environ_base=same)


def _cases(store: str | None) -> Iterator[Case]:
    floor = _floor()
    yield Case("bare view, reads its session: the floor", floor, (_cookie(floor, _keep_user),))
    yield Case("bare view, no cookie", floor, (None,))
    ours = _flask_dingtalk()
    yield Case("Flask-DingTalk, signed in", ours, (_cookie(ours, sign_in),), target=1.19)
    nick = _flask_dingtalk_nick()
    yield Case("Flask-DingTalk, view reads the nick", nick, (_cookie(nick, sign_in),))
    # More sessions than requests: each is opened for the first time in this process.
    strangers = tuple(_cookie(nick, sign_in) for _ in range(_WARM_UP + _REQUESTS))
    yield Case("Flask-DingTalk, first request of a session", nick, strangers)
    yield Case("Flask-DingTalk, anonymous", ours, (None,), "302 FOUND", target=1.15)
    others = _flask_login()
    yield Case("Flask-Login, signed in", others, (_cookie(others, _log_in),))
    yield Case("Flask-Login, anonymous", others, (None,), "302 FOUND")
    recipe = _authlib_recipe()
    yield Case("Authlib's recipe, signed in", recipe, (_cookie(recipe, _log_in),))
    yield Case("Authlib's recipe, anonymous", recipe, (None,), "302 FOUND")
    if store is None:
        return
    floor = _redis_floor(store)
    name = "bare view, one GET by redis-py: the floor"
    yield Case(name, floor, (_cookie(floor, _keep_key),), uses_redis=True)
    ours = _with_store(store)
    name = "Flask-DingTalk with a store, signed in"
    yield Case(name, ours, (_cookie(ours, sign_in),), target=1.0, uses_redis=True)
    others = _flask_session(store)
    name = "bare view, Flask-Session with its defaults"
    yield Case(name, others, (_cookie(others, _log_in),), uses_redis=True)


def _run(case: Case, environs: Iterator[dict[str, Any]], requests: int) -> None:
    application = case.app.wsgi_app
    for environ in islice(environs, requests):
        status = call(application, environ)
        if status != case.status:
            raise RuntimeError(f"{case.name}: {status}")


def _prepared(case: Case) -> Iterator[dict[str, Any]]:
    """Warm a case up; return the requests to measure."""
    environs = cycle([environ_of(cookie) for cookie in case.cookies])
    _run(case, environs, _WARM_UP)
    # Garbage collection belongs to a request's cost, but not for what other cases left behind.
    gc.collect()
    gc.freeze()
    return environs


def _count_here(store: str | None) -> None:
    """Run every case, with a call that callgrind notices before and after each."""
    for case in _cases(store):
        environs = _prepared(case)
        os.getppid()
        _run(case, environs, _REQUESTS)
        os.getppid()


def _instructions(cases: list[Case], store: str | None) -> list[float]:
    counts = count_instructions([__file__, _COUNT, *([store] if store else [])], marker="getppid")
    # Every second count is the preparation of the next case.
    return [count / _REQUESTS for count in counts[: 2 * len(cases) : 2]]


def _processor_time(cases: list[Case]) -> list[float]:
    """Measure the best round of each case in nanoseconds; rounds take turns."""
    prepared = [(case, _prepared(case)) for case in cases]
    best = [float("inf")] * len(cases)
    for _ in range(_ROUNDS):
        for index, (case, environs) in enumerate(prepared):
            started = time.process_time_ns()
            _run(case, environs, _REQUESTS)
            best[index] = min(best[index], (time.process_time_ns() - started) / _REQUESTS)
    return best


def main() -> None:
    """Measure and print."""
    with redis_server() as store:
        _measure(store)


def _measure(store: str | None) -> None:
    cases = list(_cases(store))
    if callgrind() is not None:
        title, unit = "A request, by callgrind", "instructions"
        measured = _instructions(cases, store)
    else:
        # A session comes to a process for the first time only once, not in each round.
        cases = [case for case in cases if len(case.cookies) == 1]
        title = "A request, by processor time (less steady; valgrind is not installed)"
        unit, measured = "nanoseconds", _processor_time(cases)
    for uses_redis in (False, True):
        chosen = [
            each for each in zip(cases, measured, strict=True) if each[0].uses_redis is uses_redis
        ]
        rows = [Row(case.name, value, value / chosen[0][1], case.target) for case, value in chosen]
        if rows:
            print_table(title + (", with a store" if uses_redis else ""), unit, rows)
        if uses_redis and rows:
            _, ours, other = chosen
            rows = [
                Row(other[0].name, other[1], 1),
                Row(ours[0].name, ours[1], ours[1] / other[1], _BESIDE_FLASK_SESSION),
            ]
            print_table(f"{title}, beside Flask-Session", unit, rows)
    if store is None:
        print("Without redis-server, nothing was measured with a store.")


if __name__ == "__main__":
    if sys.argv[1:2] == [_COUNT]:
        _count_here(sys.argv[2] if len(sys.argv) > 2 else None)
    else:
        main()
