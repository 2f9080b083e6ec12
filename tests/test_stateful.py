"""Whatever browsers, people, thieves and late answers do, in any order: nobody is somebody else.

A state machine of Hypothesis makes up stories and keeps its own account of who agreed to what, in
which browser, and whose sign-in has ended. Each step is checked against what the site shows.
``EXAMPLES=50`` makes up more of them, and others each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import pytest
import redis
import time_machine
from flask import Flask, jsonify, session
from flask.typing import ResponseReturnValue
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from werkzeug.test import TestResponse

from flask_dingtalk import DingTalk, DingTalkUser, current_dingtalk_user
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import SECRET_KEY, build_site, query_of
from .made_up import examples

_AFTER: Final = 900
_LIFETIME: Final = 5000
_BROWSERS: Final = ("one", "two")
_PEOPLE: Final = ("zhang", "li")
#: The browser and the account of the attacker.
_MALLORY, _MALLORYS_ACCOUNT = "mallory", "wang"
_PROCESSES: Final = (0, 1)
_PAGES: Final = ("/", "/basket", "/report", "/call", "/dingtalk/login", "/dingtalk/logout")

browsers = st.sampled_from(_BROWSERS)
people = st.sampled_from(_PEOPLE)
processes = st.sampled_from(_PROCESSES)
pages = st.sampled_from(_PAGES)
indices = st.integers(0, 7)

#: A session cookie's value, or ``None`` for none.
Cookie = str | None


@dataclass
class Known:
    """A sign-in that somebody agreed to."""

    person: str
    browser: str
    since: float
    #: The processes that ended it.
    ended_in: set[int] = field(default_factory=set)


@dataclass
class Attempt:
    """A sign-in under way, to which ``person`` has agreed in ``browser``."""

    browser: str
    person: str
    state: str
    code: str
    #: As the browser had it at the time.
    cookie: Cookie
    is_spent: bool = False


@dataclass(frozen=True)
class Seen:
    """What a site shows of a session."""

    union_id: str | None
    #: Of the sign-in; the hook of the site counts them, in the session beside it.
    number: int | None


class SignIns(RuleBasedStateMachine):
    """Two honest browsers, an attacker's, thieves with copies, and two processes of one site."""

    simulator: DingTalkSimulator
    #: The address of a store, in the stories with one.
    store_url: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.clock = time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC))
        self.moved = self.clock.start()
        self.numbers, self.addresses = count(1), count(1)
        self.sites = [self.new_process() for _ in _PROCESSES]
        self.cookies: dict[str, Cookie] = dict.fromkeys((*_BROWSERS, _MALLORY))
        self.logins: dict[int, Known] = {}
        self.attempts: list[Attempt] = []
        #: Cookies as requests under way read them, answers not yet delivered, and stolen copies.
        self.under_way: list[tuple[str, Cookie]] = []
        self.answers: list[tuple[str, Cookie]] = []
        self.stolen: list[Cookie] = []
        self.left_at: dict[str, float] = {}
        #: The processes that saw a sign-in succeed with a state.
        self.saw: dict[str, set[int]] = {}

    def teardown(self) -> None:
        """Let the next story begin with the same people."""
        for person in self.left_at:
            self.simulator.join(person)
        self.simulator.clear_failures()
        self.clock.stop()

    def new_process(self) -> Flask:
        """Start a process of the site: the same secret, a separate memory."""
        app = build_site(
            {
                "SECRET_KEY": SECRET_KEY,
                "DINGTALK_MEMBERS_ONLY": True,
                "DINGTALK_REVALIDATE_AFTER": _AFTER,
                "DINGTALK_SIGN_IN_LIFETIME": _LIFETIME,
                "DINGTALK_STORE": self.store_url,
                **self.simulator.settings,
            }
        )

        dingtalk: DingTalk = app.extensions["dingtalk"]

        @dingtalk.on_login
        def number(user: DingTalkUser, token: Any) -> None:
            session["number"] = next(self.numbers)

        @app.get("/seen")
        def seen() -> ResponseReturnValue:
            return jsonify(union_id=current_dingtalk_user.union_id, number=session.get("number"))

        return app

    def told_by(self, process: int) -> set[int]:
        """Return the processes that know what one of them has done."""
        return {process} if self.store_url is None else set(_PROCESSES)

    # --- What everything is made of --------------------------------------------------------------

    def now(self) -> float:
        """Return the time, as everybody sees it."""
        return datetime.now(UTC).timestamp()

    def load(
        self, process: int, cookie: Cookie, path: str, method: str = "GET", **request: Any
    ) -> tuple[TestResponse, Cookie]:
        """Load a page with a cookie; return the answer and the cookie that the browser has then."""
        self.forget_pace()
        client = self.sites[process].test_client()
        if cookie is not None:
            client.set_cookie("session", cookie)
        # An address for each request: how many codes of one may fail is another matter.
        number = next(self.addresses)
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        response = client.open(
            path, method=method, environ_base={"REMOTE_ADDR": address}, **request
        )
        kept = client.get_cookie("session")
        return response, None if kept is None else kept.value

    def forget_pace(self) -> None:
        """Let stories go faster than DingTalk allows: the pace goes by the clock of the store."""
        if self.store_url is not None:
            with redis.Redis.from_url(self.store_url) as client:
                for key in client.scan_iter("*:pace"):
                    client.delete(key)

    def seen(self, process: int, cookie: Cookie) -> Seen:
        """Ask a process who is signed in with a cookie."""
        response, _ = self.load(process, cookie, "/seen")
        assert response.json is not None
        return Seen(**response.json)

    def visit(self, process: int, cookie: Cookie, path: str) -> Cookie:
        """Load a page of the site; return the cookie that the browser has then."""
        before = self.seen(process, cookie)
        method = "POST" if path in ("/basket", "/dingtalk/logout") else "GET"
        response, after = self.load(process, cookie, path, method)
        if before.union_id is None:
            assert path not in ("/report", "/call") or response.status_code == 302
            return after
        assert before.number is not None
        login = self.logins[before.number]
        if path == "/dingtalk/logout" or (
            response.status_code == 302 and path in ("/report", "/call")
        ):
            login.ended_in |= self.told_by(process)
            assert self.seen(process, cookie).union_id is None, "the cookie lives on"
        if path == "/report" and self.now() - self.left_at.get(login.person, self.now()) > _AFTER:
            assert response.status_code == 302, "a leaver got in"
        return after

    def call_back(
        self, process: int, cookie: Cookie, browser: str, state: str, code: str, person: str | None
    ) -> tuple[TestResponse, Cookie]:
        """Come back from DingTalk; that may sign ``person`` in, or nobody if it is ``None``."""
        before = self.seen(process, cookie)
        response, after = self.load(
            process, cookie, "/dingtalk/callback", query_string={"code": code, "state": state}
        )
        seen = self.seen(process, after)
        if seen.union_id is None or seen.number in self.logins:
            assert seen == before, "a callback that failed signed somebody in or out"
            return response, after
        assert person is not None, "signed in although nobody agreed to it here"
        assert seen.union_id == self.simulator.users[person].union_id
        assert seen.number is not None
        self.logins[seen.number] = Known(person, browser, self.now())
        if before.union_id is not None:
            assert before.number is not None
            self.logins[before.number].ended_in |= self.told_by(process)
        return response, after

    def begin(self, process: int, browser: str, person: str) -> Attempt:
        """Begin a sign-in in a browser; its user agrees to it on DingTalk's page."""
        response, self.cookies[browser] = self.load(
            process, self.cookies[browser], "/dingtalk/login"
        )
        state = query_of(response.headers["Location"])["state"]
        code = self.simulator.authorization_code(person)
        return Attempt(browser, person, state, code, self.cookies[browser])

    def finish(self, attempt: Attempt, process: int, cookie: Cookie) -> tuple[TestResponse, Cookie]:
        """Come back from DingTalk in the browser in which the sign-in began."""
        known = len(self.logins)
        response, after = self.call_back(
            process,
            cookie,
            attempt.browser,
            attempt.state,
            attempt.code,
            None if attempt.is_spent else attempt.person,
        )
        if len(self.logins) > known:
            attempt.is_spent = True
            self.saw[attempt.state] = self.told_by(process)
        return response, after

    @initialize(person=people, process=processes)
    def begin_with_somebody(self, person: str, process: int) -> None:
        """Have somebody signed in, and a sign-in under way."""
        self.sign_in("one", person, process)
        self.begin_sign_in("two", person, process)

    # --- Honest people ---------------------------------------------------------------------------

    @rule(browser=browsers, person=people, process=processes)
    def sign_in(self, browser: str, person: str, process: int) -> None:
        """Sign in from beginning to end: members get in."""
        attempt = self.begin(process, browser, person)
        self.attempts.append(attempt)
        response, self.cookies[browser] = self.finish(attempt, process, self.cookies[browser])
        if person in self.left_at:
            assert response.status_code == 403
        else:
            assert response.status_code == 302
            seen = self.seen(process, self.cookies[browser])
            assert seen.union_id == self.simulator.users[person].union_id

    @rule(browser=browsers, person=people, process=processes)
    def begin_sign_in(self, browser: str, person: str, process: int) -> None:
        """Get as far as DingTalk's page, and agree."""
        self.attempts.append(self.begin(process, browser, person))

    @precondition(lambda self: self.attempts)
    @rule(
        index=indices,
        process=processes,
        throttled=st.sampled_from([None, "userAccessToken", "users/me"]),
    )
    def come_back(self, index: int, process: int, throttled: str | None) -> None:
        """Load the callback of a sign-in that was begun, perhaps once more."""
        attempt = self.attempts[-1 - index % len(self.attempts)]
        if throttled is not None:
            self.simulator.fail(throttled, throttled=True, times=None)
        browser = attempt.browser
        _, self.cookies[browser] = self.finish(attempt, process, self.cookies[browser])
        self.simulator.clear_failures()
        if throttled is not None:
            # Until this process has forgotten that it was throttled.
            self.moved.shift(61)

    @rule(browser=browsers, process=processes, turn=st.permutations(_PEOPLE))
    def give_way(self, browser: str, process: int, turn: list[str]) -> None:
        """Have DingTalk throttle one person half way; then another one signs in."""
        attempt = self.begin(process, browser, turn[0])
        self.simulator.fail("users/me", throttled=True, times=None)
        response, self.cookies[browser] = self.finish(attempt, process, self.cookies[browser])
        assert response.status_code == 503
        self.simulator.clear_failures()
        self.moved.shift(61)
        self.sign_in(browser, turn[1], process)

    @rule(browser=browsers, page=pages, process=processes)
    def look(self, browser: str, page: str, process: int) -> None:
        """Load a page, or sign out."""
        self.cookies[browser] = self.visit(process, self.cookies[browser], page)

    @rule(browser=browsers, process=processes)
    def sign_out(self, browser: str, process: int) -> None:
        """Sign out: in that process nothing brings it back."""
        cookie = self.cookies[browser]
        self.cookies[browser] = self.visit(process, cookie, "/dingtalk/logout")
        for each in (cookie, self.cookies[browser]):
            assert self.seen(process, each).union_id is None

    # --- Late answers ----------------------------------------------------------------------------

    @rule(browser=browsers)
    def send_slow_request(self, browser: str) -> None:
        """Send a request that reads its cookie now."""
        self.under_way.append((browser, self.cookies[browser]))

    @precondition(lambda self: self.under_way)
    @rule(index=indices, page=pages, process=processes)
    def answer_slow_request(self, index: int, page: str, process: int) -> None:
        """Have the site answer it; the browser does not see that yet."""
        browser, cookie = self.under_way.pop(index % len(self.under_way))
        self.answers.append((browser, self.visit(process, cookie, page)))

    @precondition(lambda self: self.under_way and self.attempts)
    @rule(index=indices, which=indices, process=processes)
    def answer_slow_callback(self, index: int, which: int, process: int) -> None:
        """Have the site answer a callback with the cookie of long ago."""
        browser, cookie = self.under_way.pop(index % len(self.under_way))
        ours = [attempt for attempt in self.attempts if attempt.browser == browser]
        if ours:
            _, cookie = self.finish(ours[-1 - which % len(ours)], process, cookie)
            self.answers.append((browser, cookie))

    @precondition(lambda self: self.answers)
    @rule(index=indices)
    def deliver_answer(self, index: int) -> None:
        """Have a browser take a late answer's cookie, in whatever order they come."""
        browser, cookie = self.answers.pop(index % len(self.answers))
        self.cookies[browser] = cookie

    # --- An attacker -----------------------------------------------------------------------------

    @rule(browser=browsers)
    def steal_cookie(self, browser: str) -> None:
        """Copy a cookie."""
        self.stolen.append(self.cookies[browser])

    @precondition(lambda self: self.stolen)
    @rule(index=indices, page=pages, process=processes)
    def use_stolen_cookie(self, index: int, page: str, process: int) -> None:
        """Browse with it, or sign its owner out."""
        place = index % len(self.stolen)
        self.stolen[place] = self.visit(process, self.stolen[place], page)

    @rule(browser=browsers, process=processes)
    def send_victim_to_own_callback(self, browser: str, process: int) -> None:
        """Have a visitor load the callback of the attacker's own sign-in."""
        attempt = self.begin(process, _MALLORY, _MALLORYS_ACCOUNT)
        self.attack(process, browser, attempt.state, attempt.code)

    @rule(browser=browsers, person=people, process=processes, renews=st.booleans())
    def use_stolen_callback(self, browser: str, person: str, process: int, renews: bool) -> None:
        """Be quicker than a visitor with what DingTalk sent back to them, or renew their state."""
        attempt = self.begin(process, browser, person)
        self.attempts.append(attempt)
        if renews:
            self.renew_stolen_state(process, attempt)
        else:
            self.attack(process, _MALLORY, attempt.state, attempt.code)

    @precondition(lambda self: any(attempt.is_spent for attempt in self.attempts))
    @rule(index=indices, process=processes)
    def use_spent_code(self, index: int, process: int) -> None:
        """Join a code that was used to a state of the attacker's own."""
        attempt = self.spent(index)
        own = self.begin(process, _MALLORY, _MALLORYS_ACCOUNT)
        self.attack(process, _MALLORY, own.state, attempt.code)

    @precondition(lambda self: any(attempt.is_spent for attempt in self.attempts))
    @rule(index=indices)
    def use_spent_state(self, index: int) -> None:
        """Join a code of the attacker's own to a state that was used; the cookie was set back.

        In another process that would do: without a store, a used state is known where it was used.
        """
        attempt = self.spent(index)
        for process in self.saw[attempt.state]:
            self.cookies[attempt.browser] = attempt.cookie
            own = self.begin(process, _MALLORY, _MALLORYS_ACCOUNT)
            self.attack(process, attempt.browser, attempt.state, own.code)

    def spent(self, index: int) -> Attempt:
        """Choose a sign-in that succeeded."""
        spent = [attempt for attempt in self.attempts if attempt.is_spent]
        return spent[-1 - index % len(spent)]

    def renew_stolen_state(self, process: int, attempt: Attempt) -> None:
        """Renew a victim's state in the attacker's browser: what comes back is the attacker's."""
        response, self.cookies[_MALLORY] = self.load(
            process,
            self.cookies[_MALLORY],
            "/dingtalk/state",
            "POST",
            data={"state": attempt.state},
        )
        assert response.json is not None
        state = response.json["state"]
        code = self.simulator.authorization_code(_MALLORYS_ACCOUNT)
        self.attack(process, attempt.browser, state, code)
        _, self.cookies[_MALLORY] = self.call_back(
            process, self.cookies[_MALLORY], _MALLORY, state, code, _MALLORYS_ACCOUNT
        )

    def attack(self, process: int, browser: str, state: str, code: str) -> None:
        """Load a callback by which nobody may be signed in."""
        _, self.cookies[browser] = self.call_back(
            process, self.cookies[browser], browser, state, code, None
        )

    # --- The world -------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([30, 200, 601, 3000]))
    def wait(self, seconds: int) -> None:
        """Let time pass: codes, states, checks, tokens and sign-ins age."""
        self.moved.shift(seconds)

    @rule(process=processes)
    def check_everybody(self, process: int) -> None:
        """Let time pass until checks are due; then everybody loads a guarded page."""
        self.moved.shift(_AFTER + 1)
        for browser in _BROWSERS:
            self.look(browser, "/report", process)

    @rule(person=people, process=processes)
    def leave_and_be_checked(self, person: str, process: int) -> None:
        """Leave the organisation; at the next check that is noticed."""
        if person not in self.left_at:
            self.simulator.leave(person)
            self.left_at[person] = self.now()
        self.check_everybody(process)

    @precondition(lambda self: self.left_at)
    @rule()
    def join_again(self) -> None:
        """Join the organisation again; sign-ins that ended stay so."""
        while self.left_at:
            self.simulator.join(self.left_at.popitem()[0])

    @rule(process=processes)
    def restart(self, process: int) -> None:
        """Restart a process: it knows of no end any more, unless there is a store."""
        self.sites[process] = self.new_process()
        if self.store_url is not None:
            return
        for login in self.logins.values():
            login.ended_in.discard(process)
        for saw in self.saw.values():
            saw.discard(process)

    # --- What must hold --------------------------------------------------------------------------

    @invariant()
    def nobody_is_somebody_else(self) -> None:
        """Everybody who is signed in agreed to it in this very browser, and it has not ended."""
        jars: list[tuple[str | None, Cookie]] = [
            *self.cookies.items(),
            *((None, cookie) for cookie in self.stolen),
            *self.answers,
            *self.under_way,
        ]
        for process in _PROCESSES:
            for browser, cookie in dict.fromkeys(jars):
                if cookie is not None:
                    self.check(process, browser, cookie)

    def check(self, process: int, browser: str | None, cookie: Cookie) -> None:
        """Check what a process makes of one cookie; ``browser`` is ``None`` for a stolen one."""
        seen = self.seen(process, cookie)
        if seen.union_id is None:
            return
        assert seen.number is not None
        login = self.logins[seen.number]
        assert seen.union_id == self.simulator.users[login.person].union_id
        assert browser in (None, login.browser), "signed in with another browser's sign-in"
        assert process not in login.ended_in, "signed in after the end"
        assert self.now() - login.since <= _LIFETIME + 1, "signed in for ever"


@pytest.mark.slow
def test_nobody_is_ever_somebody_else(simulator: DingTalkSimulator) -> None:
    """Nor signed in after a sign-out, in the process that was told of it."""
    _tell_stories(simulator)


@pytest.mark.slow
def test_with_a_store_no_process_ever_takes_somebody_for_somebody_else(
    simulator: DingTalkSimulator, store_url: str
) -> None:
    """Nor for signed in after a sign-out in any of them, nor does it take a state twice."""
    _tell_stories(simulator, store_url)


def _tell_stories(simulator: DingTalkSimulator, store_url: str | None = None) -> None:
    simulator.join(_MALLORYS_ACCOUNT)
    machine = type("SignIns", (SignIns,), {"simulator": simulator, "store_url": store_url})
    run_state_machine_as_test(
        machine,
        settings=examples(40 if store_url is None else 12, stateful_step_count=25),
    )
