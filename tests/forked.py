"""What the tests of forks run in a separate process: ``python -m tests.forked SCENARIO``.

Settings come as JSON by the environment, what was seen goes as JSON to the standard output. The
process that runs the tests has threads, and would be a bad one to fork.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from flask import Flask, Response

from .helpers import build_site, come_back, copy_browser, sign_in_with, start

#: The name of the environment variable with the settings.
SETTINGS: Final = "SETTINGS_OF_THE_SITE"
#: Seconds after which a child that hangs is killed.
_PATIENCE: Final = 60

Child = Callable[[], Any]


def site() -> Flask:
    """Build the site under test."""
    app = build_site({"SECRET_KEY": "k", **json.loads(os.environ[SETTINGS])})

    @app.after_request
    def name_process(response: Response) -> Response:
        response.headers["X-Process"] = str(os.getpid())
        return response

    return app


def preloaded() -> Flask:
    """Build the site for a server that forks, after a first sign-in in its master."""
    app = site()
    assert sign_in_with(app.test_client(), "warm0").status_code == 302
    return app


# --- Forking -------------------------------------------------------------------------------------


def in_forks(*children: Child) -> list[Any]:
    """Run each function in a fork, all at once; return what each returns, ``None`` if killed."""
    pipes = []
    for child in children:
        reading, writing = os.pipe()
        if os.fork() == 0:
            _be(child, writing)
        os.close(writing)
        pipes.append(reading)
    outcomes = []
    for reading in pipes:
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        outcomes.append(json.loads(text) if text else None)
        os.wait()
    return outcomes


def _be(child: Child, writing: int) -> None:
    """Be the child: never return."""
    try:
        signal.alarm(_PATIENCE)
        with os.fdopen(writing, "w") as pipe:
            json.dump(child(), pipe)
    finally:
        os._exit(0)


def in_processes(*children: Child) -> list[Any]:
    """Run each function by ``multiprocessing``, with its method ``fork``."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    processes = []
    for number, child in enumerate(children):
        process = context.Process(target=_put, args=(queue, number, child), daemon=True)
        process.start()
        processes.append(process)
    for process in processes:
        process.join(_PATIENCE)
        process.kill()
    outcomes: dict[int, Any] = {}
    while not queue.empty():
        number, outcome = queue.get()
        outcomes[number] = outcome
    return [outcomes.get(number) for number in range(len(children))]


def _put(queue: Any, number: int, child: Child) -> None:
    queue.put((number, child()))


# --- Scenarios -----------------------------------------------------------------------------------


def _visit(app: Flask, name: str) -> list[str]:
    """Sign in, call DingTalk and look, several times over; return whom that showed."""
    seen = []
    for number in range(3):
        browser = app.test_client()
        sign_in_with(browser, f"{name}{number}")
        seen.append(browser.get("/").text)
        for _ in range(4):
            answer = browser.get("/call")
            seen.append(answer.json["nick"] if answer.json else answer.status)
    return sorted(set(seen))


def two_people(fork: Callable[..., list[Any]]) -> Any:
    """Have two people use two children at once, after a sign-in in the parent."""
    app = preloaded()
    return fork(lambda: _visit(app, "zhang"), lambda: _visit(app, "li"))


def parent_goes_on() -> Any:
    """Have a person use the parent, and another one its child, at the same time."""
    app = preloaded()
    seen: list[Any] = []
    forked = threading.Thread(target=lambda: seen.append(_visit(app, "zhang")))
    reading, writing = os.pipe()
    if os.fork() == 0:
        _be(lambda: _visit(app, "li"), writing)
    os.close(writing)
    forked.start()
    with os.fdopen(reading) as pipe:
        child = json.loads(pipe.read())
    forked.join()
    os.wait()
    return [*seen, child]


@contextmanager
def _busy(app: Flask) -> Iterator[None]:
    """Have four threads sign in, call and sign out for as long as the block runs."""
    over = threading.Event()

    def work(name: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            browser = app.test_client()
            sign_in_with(browser, f"{name}{number}")
            browser.get("/call")
            browser.post("/dingtalk/logout")

    threads = [
        threading.Thread(target=work, args=[name]) for name in ("wang", "zhao", "qian", "sun")
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def busy_parent() -> Any:
    """Fork twelve times while threads of the parent hold whatever locks there are."""
    app = preloaded()
    with _busy(app):
        return [in_forks(partial(_quick, app, number))[0] for number in range(12)]


def _quick(app: Flask, number: int) -> list[Any]:
    browser = app.test_client()
    statuses = [sign_in_with(browser, f"zhang{number}").status_code]
    statuses.append(browser.get("/call").status_code)
    statuses.append(browser.post("/dingtalk/logout").status_code)
    return statuses


def refresh_under_way() -> Any:
    """Fork while a thread of the parent waits for a refresh that its child needs as well."""
    app = site()
    app.config["TESTING"] = True
    browser = app.test_client()
    sign_in_with(browser, "ended0")
    tab = copy_browser(browser)
    waiting = threading.Thread(target=tab.get, args=["/call"])
    waiting.start()
    # The parent's side tells when DingTalk has the request.
    sys.stdin.readline()
    (outcome,) = in_forks(lambda: browser.get("/call").status_code)
    waiting.join()
    return outcome


def what_is_known() -> Any:
    """Tell what a child, and a child of it, know of what their parents did."""
    app = site()
    signed_out, signed_in = app.test_client(), app.test_client()
    state = start(signed_out)
    before = copy_browser(signed_out)
    come_back(signed_out, state, "zhang0")
    ended = copy_browser(signed_out)
    signed_out.post("/dingtalk/logout")
    sign_in_with(signed_in, "li0")

    def look() -> list[Any]:
        again = copy_browser(before)
        status = come_back(again, state, "zhang0").status_code
        return [ended.get("/").text, signed_in.get("/").text, status, again.get("/").text]

    def child() -> list[Any]:
        first = look()
        kept = copy_browser(signed_in)
        signed_in.post("/dingtalk/logout")
        return [first, *in_forks(lambda: [*look(), kept.get("/").text])]

    return [*in_forks(child)[0], look()]


def many_threads_at_once() -> Any:
    """Have a child's first requests come in many threads, all with one ended access token."""
    app = preloaded()
    browser = app.test_client()
    sign_in_with(browser, "ended0")

    def child() -> list[int]:
        tabs = [copy_browser(browser) for _ in range(12)]
        with ThreadPoolExecutor(12) as pool:
            return list(pool.map(lambda tab: tab.get("/call").status_code, tabs))

    return in_forks(child)[0]


def three_processes_at_once() -> Any:
    """Have eight threads in each of three children call, all with one ended access token."""
    app = preloaded()
    browser = app.test_client()
    sign_in_with(browser, "ended0")

    def child() -> list[int]:
        tabs = [copy_browser(browser) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda tab: tab.get("/call").status_code, tabs))

    return in_forks(child, child, child)


def callback_under_way() -> Any:
    """Come back from DingTalk, and say before with what; whoever listens may kill this process."""
    browser = site().test_client()
    state = start(browser)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    print(json.dumps([state, cookie.value]), flush=True)  # noqa: T201
    return come_back(browser, state, "zhang0").status_code


SCENARIOS: Final[dict[str, Callable[[], Any]]] = {
    "two people by os.fork": lambda: two_people(in_forks),
    "two people by multiprocessing": lambda: two_people(in_processes),
    "parent goes on": parent_goes_on,
    "busy parent": busy_parent,
    "refresh under way": refresh_under_way,
    "what is known": what_is_known,
    "many threads at once": many_threads_at_once,
    "three processes at once": three_processes_at_once,
    "callback under way": callback_under_way,
}

if __name__ == "__main__":
    json.dump(SCENARIOS[sys.argv[1]](), sys.stdout)
