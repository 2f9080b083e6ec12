"""A sign-in from its first redirect to the open session, and the sign-out.

``_finish`` is the security argument, to be read from top to bottom: the state first, then what
DingTalk says, the site's rules and its hooks, and only then is the session opened. A failure at any
line leaves the session as it was, less the used state.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import Response, current_app, has_request_context, redirect, request

from . import policy, session, signals
from .api import wire
from .api.authorization import authorize_url
from .api.models import DingTalkToken, DingTalkUser
from .app_state import app_state, this_app
from .errors import (
    AccessDenied,
    ConfigurationError,
    DingTalkAPIError,
    DingTalkError,
    DingTalkUnavailable,
    InvalidCode,
    InvalidState,
    NotPermitted,
    OrganisationNotAllowed,
    RateLimited,
    StoreUnavailable,
    describe,
)
from .login import Login
from .logs import facts
from .memory import Claim, Progress
from .mistakes import warn_of_proxy
from .redirects import origin_of
from .secret import Secret
from .session import Attempt
from .snapshot import Snapshot
from .store.people import News
from .urls import (
    below_mount,
    is_in_app,
    landing,
    login_at_home,
    login_url,
    redirect_uri,
    safe_target,
)

_log = logging.getLogger(__name__)

#: A function of user and token, plain or async, that returns a response or nothing.
LoginHook = Callable[[DingTalkUser, Any], Any]

#: DingTalk codes have 32 hexadecimal digits; longer ones are refused without a call.
_MAX_CODE_LENGTH: Final = 256
_MAX_LOGGED_LENGTH: Final = 200
_TARGET_KEY: Final = "flask_dingtalk.target"
#: Seconds after which a waiting page reloads before its turn: there may be room already.
_LONGEST_WAIT: Final = 8
_NO_CODE: Final = "somebody changed the address, or something between DingTalk and this site did"
_NO_IN_APP_CODE: Final = (
    "对应企业没有…微应用 means that no application of that organisation has this domain: give the "
    "home page of the ability 网页应用 and 开发配置 > 安全设置 > 端内免登地址 this site's address, "
    "and release a version; invalid corpid and corpId不合法 mean that DINGTALK_CORP_ID is not "
    "the application's own organisation. The visitor went on to DingTalk's page"
)


@dataclass(frozen=True, slots=True)
class Returned:
    """The parameters with which a browser comes back from DingTalk's pages or its client."""

    state: Secret | None
    code: Secret | None
    #: What DingTalk calls back with instead of a code.
    error: str | None = None


# --- Begin ---------------------------------------------------------------------------------------


def begin(asked: str | None) -> tuple[str, str]:
    """Start a sign-in that leads to ``asked``; return its state and its redirect URI."""
    warn_of_proxy(app_state(), this_app())
    uri = redirect_uri()
    here, home = origin_of(request.host_url), origin_of(uri)
    if here == home:
        return session.begin(safe_target(asked)), uri
    # No warning: a proxy that rewrites the host shows the app another one than the browser's. If
    # the session cookie does not come back, the callback says why.
    _log.info(
        "DingTalk sign-in begins at %s and will come back to %s, as DINGTALK_REDIRECT_URI or "
        "SERVER_NAME says",
        here or "a host that cannot be read",
        home,
        extra=facts("sign_in_elsewhere"),
    )
    return session.begin(safe_target(asked), began_at=here), uri


def start_at_home(asked: str | None) -> Response | None:
    """Send the browser to the host where the sign-in has to begin, if that is not this one."""
    url = login_at_home(asked)
    return None if url is None else _redirect(url, 302)


def start(asked: str | None) -> Response:
    """Send the browser to DingTalk; ``asked`` is where the sign-in is to lead."""
    state, uri = begin(asked)
    url = authorize_url(app_state().settings, state=state, redirect_uri=uri)
    return warming_up(_redirect(url, 302))


def warming_up(response: Response) -> Response:
    """Load what the callback needs after this response is sent, while the user is at DingTalk."""
    response.call_on_close(app_state().warm_up)
    return response


# --- Finish --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Identity:
    """What DingTalk has said so far about the person who signs in."""

    token: DingTalkToken | None = None
    #: When DingTalk will have room for this visitor, by the clock of the pace.
    turn: float | None = None
    #: The seconds until then.
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """The differences between the callback and the sign-in inside the client."""

    authenticate: Callable[[Returned, _Identity], DingTalkUser]
    status: int
    is_in_app: bool


def finish(returned: Returned, hooks: Iterable[LoginHook]) -> Response:
    """Take the browser back from DingTalk's pages.

    Raises a ``DingTalkError``, or what a hook raises.
    """
    return _finish(returned, hooks, _Way(_by_code, 302, is_in_app=False))


def finish_in_app(returned: Returned, hooks: Iterable[LoginHook]) -> Response:
    """Sign in with the code that the DingTalk client gave to a page of this site.

    Raises a ``DingTalkError``, or what a hook raises.
    """
    return _finish(returned, hooks, _Way(_by_in_app_code, 303, is_in_app=True))


def _finish(returned: Returned, hooks: Iterable[LoginHook], way: _Way) -> Response:
    with reporting():
        try:
            attempt = session.take(returned.state, returned.code)
        except InvalidState as error:
            if error.goes_on is None or session.current_login() is None:
                raise
            # Signed in already: several tabs came back at once, or somebody went back and agreed
            # again. They go on to the target, which this site sealed, and nothing is exchanged. For
            # a state that may be another browser's, only by a redirect: a page that goes on by
            # itself would send cookies with SameSite=Strict to where somebody else wants.
            if error.goes_on == "redirect":
                _log.info(
                    "DingTalk sign-in: the visitor is signed in already, and goes on | %s",
                    error.log_message,
                    extra=facts("already_signed_in", error),
                )
                return _redirect(landing(error.target), way.status)
            error.continue_url = landing(error.target)
            raise
        answer = _redirect(landing(attempt.target), way.status)
        if attempt.claim is Claim.SUCCEEDED:
            return answer
        if attempt.claim is Claim.BUSY:
            raise _to_be_loaded_again(RateLimited("this callback is being answered"), attempt, way)
        identity = _Identity(attempt.progress.token, attempt.progress.turn)
        snapshot = Snapshot()
        try:
            # Before the hooks: a site may empty its session in one.
            replaced = session.current_login()
            _hold(attempt)
            user = way.authenticate(returned, identity)
            _hold(attempt)
            user = policy.admit(user, app_state().settings, app_state().directory)
            _hold(attempt)
            with _telling(landing(attempt.target)):
                answer = _run_login_hooks(hooks, user, identity.token) or answer
            login, has_ended = _open(user, identity.token, attempt, replaced)
        except (RateLimited, StoreUnavailable) as error:
            # Nothing was spent that is not kept here: this browser comes back.
            snapshot.restore()
            progress = Progress(identity.token, identity.turn)
            session.give_back(attempt, progress, save=isinstance(error, RateLimited))
            if isinstance(error, StoreUnavailable):
                raise
            raise _to_be_loaded_again(error, attempt, way, identity.wait) from None
        except _RefusedByHook as refusal:
            snapshot.restore()
            session.settle(attempt, succeeded=False)
            report(NotPermitted("a function registered with on_login refused the user"))
            return refusal.response
        except BaseException as error:
            # Any exception, including a bug in a hook: the sign-in failed.
            snapshot.restore()
            session.settle(attempt, succeeded=False)
            if isinstance(error, DingTalkError):
                error.retry_url = _another_try(attempt, way)
            raise
        session.settle(attempt, succeeded=True)
    # After the report: the sign-in succeeded, even if a signal receiver fails.
    _announce(login, replaced if has_ended else None)
    return answer


def _hold(attempt: Attempt) -> None:
    """Keep the state for the next step; raise ``RateLimited`` if another load has taken over."""
    if not app_state().memory.callbacks.hold(attempt.nonce):
        raise RateLimited("this callback is being answered by another process")


def _open(
    user: DingTalkUser, token: DingTalkToken | None, attempt: Attempt, replaced: Login | None
) -> tuple[Login, bool]:
    """Open the session, hear what events said since, and end the login that this one replaces.

    Returns the new login, and whether it ended the old one.
    """
    login = Login.begin(user, token)
    logins = app_state().memory.logins
    session.open_login(login, attempt)
    try:
        login = _as_of_now(login)
        return login, replaced is not None and logins.end(replaced)
    except BaseException:
        with suppress(StoreUnavailable):
            logins.end(login)
        raise


def _as_of_now(login: Login) -> Login:
    """Return a login that was just opened as it is after the events of the last minutes.

    Somebody may have left the organisation after DingTalk was asked about them, and before there
    was a sign-in that the event could end. DingTalk is asked about them again, and once more at the
    first guarded request: its events may be faster than its directory. Raises what ``policy.admit``
    raises.
    """
    store, user = app_state().store, login.user
    if store is None or user.user_id is None:
        return login
    news = store.people.news_of(user.user_id)
    if news is not None:
        store.people.mark(login)
    if news is not News.LEFT:
        return login
    admitted = policy.admit(user, app_state().settings, app_state().directory)
    kept = store.logins.update(login, replace(login, user=admitted), time.time())
    if kept is None:
        raise OrganisationNotAllowed("an event ended this sign-in while it was being finished")
    return kept


def _by_code(returned: Returned, known: _Identity) -> DingTalkUser:
    """Exchange the code of DingTalk's pages for tokens, and ask whose they are."""
    # Checked in any case: what is known of a sign-in is good for its code alone.
    code = _checked_code(returned)
    if known.token is None:
        known.token = _exchange(code, known)
    with app_state().memory.pace.profile():
        return app_state().client.user(known.token)


def _by_in_app_code(returned: Returned, known: _Identity) -> DingTalkUser:
    """Ask whose the code of the DingTalk client is; it yields no token."""
    code = _checked_code(returned)
    _check_failures()
    try:
        return app_state().directory.member_by_code(code)
    except InvalidCode:
        app_state().memory.failures.note_failure(request.remote_addr)
        raise


def _exchange(code: Secret, known: _Identity) -> DingTalkToken:
    """Exchange a code at the pace that DingTalk allows.

    Raises ``RateLimited``, with nothing spent, if there is no room now; ``known.turn`` then says
    when there will be.
    """
    _check_failures()
    memory = app_state().memory
    reservation = memory.pace.reserve(time.time(), known.turn)
    if reservation.turn is not None:
        known.turn, known.wait = reservation.turn, reservation.wait
        raise RateLimited("DingTalk throttles: this sign-in waits for its turn", retry_after=1)
    try:
        time.sleep(reservation.call_in)
        token = app_state().client.exchange(code)
    except RateLimited as error:
        known.turn = memory.pace.refused(time.time(), error.retry_after)
        known.wait = error.retry_after
        raise
    except InvalidCode:
        memory.pace.accepted(time.time())
        memory.failures.note_failure(request.remote_addr)
        raise
    except BaseException:
        memory.pace.lost(time.time())
        raise
    memory.pace.accepted(time.time())
    return token


def _check_failures() -> None:
    """Raise ``RateLimited`` for an address from which too many codes came that nobody knows."""
    wait = app_state().memory.failures.seconds_to_wait(request.remote_addr)
    if wait > 0:
        _log.debug(
            "DingTalk: the address is %s", request.remote_addr, extra=facts("sign_in_failed")
        )
        raise RateLimited(
            "too many made-up or used codes came from one address",
            retry_after=math.ceil(wait),
            hint="behind a proxy, use werkzeug.middleware.proxy_fix.ProxyFix: otherwise all "
            "visitors have one address",
        )


def _checked_code(returned: Returned) -> Secret:
    if returned.error is not None:
        raise AccessDenied(
            f"DingTalk called back with the error {printable(returned.error)!r}",
            hint="the user declined, or may not use the application: look at its visible range",
            declined=returned.error == wire.CALLBACK_DECLINED,
        )
    if returned.code is None:
        raise InvalidCode("DingTalk called back with neither a code nor an error", hint=_NO_CODE)
    code = returned.code.reveal()
    if len(code) > _MAX_CODE_LENGTH or not (code.isascii() and code.isprintable()):
        raise InvalidCode("what came back as a code is none of DingTalk's", hint=_NO_CODE)
    return returned.code


@contextmanager
def _telling(target: str) -> Iterator[None]:
    """Let the functions registered with ``on_login`` know where the sign-in is to end."""
    request.environ[_TARGET_KEY] = target
    try:
        yield
    finally:
        del request.environ[_TARGET_KEY]


def present_target() -> str | None:
    """Return where the sign-in is to end for which the hooks are being called, if any is."""
    return request.environ.get(_TARGET_KEY) if has_request_context() else None


class _RefusedByHook(Exception):
    """A hook answered with a response that refuses the sign-in."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def _run_login_hooks(
    hooks: Iterable[LoginHook], user: DingTalkUser, token: DingTalkToken | None
) -> Response | None:
    """Call the hooks: the first response is used, and each hook may refuse.

    A hook refuses by raising, or with a response of status 400 or more.
    """
    answer: Response | None = None
    for hook in hooks:
        returned = current_app.ensure_sync(hook)(user, token)
        if returned is None:
            continue
        response = current_app.make_response(returned)
        if response.status_code >= 400:
            raise _RefusedByHook(response)
        answer = answer or response
    return answer


def _to_be_loaded_again(
    error: RateLimited, attempt: Attempt, way: _Way, wait: float | None = None
) -> RateLimited:
    """Return ``error`` as a page that loads itself again, when there is room for this visitor."""
    if wait is not None:
        error.retry_after = max(error.retry_after, min(wait, _LONGEST_WAIT))
    error.retry_after = math.ceil(error.retry_after)
    # With chance, so that those who were refused together do not come back together.
    error.reload_after = error.retry_after + random.randint(0, 1)  # noqa: S311
    error.retry_url = _another_try(attempt, way)
    if way.is_in_app:
        # A POST cannot be loaded again, but the client gives another code without a tap.
        error.reload_url = login_url(attempt.target)
    return error


def _another_try(attempt: Attempt, way: _Way) -> str:
    # Inside DingTalk, the default sign-in silently uses the client's account again, and would get
    # the same answer: go through DingTalk's pages instead.
    return login_url(attempt.target, redirects=way.is_in_app or is_in_app())


# --- Tell ----------------------------------------------------------------------------------------


@contextmanager
def reporting() -> Iterator[None]:
    """Report a sign-in that fails, and let the failure go on to the browser."""
    try:
        yield
    except Exception as error:
        report(error)
        raise


def report(error: Exception) -> None:
    """Log a failed sign-in once, and tell those who listen."""
    if isinstance(error, RateLimited) and error.reload_after and error.dingtalk_code is None:
        # It is waiting for its turn and has not failed.
        _log.info(
            "DingTalk sign-in waits: %s", error.log_message, extra=facts("sign_in_waits", error)
        )
        return
    if isinstance(error, InvalidState):
        error.retry_url = error.continue_url or login_url(error.target)
    # Log what a developer must fix as ERROR, and what visitors cause as WARNING.
    is_ours = isinstance(
        error, ConfigurationError | DingTalkUnavailable | DingTalkAPIError | StoreUnavailable
    )
    level = logging.ERROR if is_ours else logging.WARNING
    _log.log(
        level, "DingTalk sign-in failed: %s", describe(error), extra=facts("sign_in_failed", error)
    )
    signals.login_failed.send(this_app(), error=error)


def report_no_in_app_code(reason: str) -> None:
    """Log why the client gave no code, since a phone has no console to look at."""
    _log.warning(
        "The DingTalk client gave no code: %r. Hint: %s",
        printable(reason),
        _NO_IN_APP_CODE,
        extra=facts("no_in_app_code"),
    )


def printable(text: str) -> str:
    """Make a text that came with a request fit for a log line."""
    return "".join(c for c in text[:_MAX_LOGGED_LENGTH] if c.isprintable())


def _announce(login: Login, ended: Login | None) -> None:
    """Tell those who listen."""
    app = this_app()
    if ended is not None and ended.user.union_id != login.user.union_id:
        signals.user_logged_out.send(app, user=ended.user)
    signals.user_logged_in.send(app, user=login.user, token=login.token)


# --- Sign out ------------------------------------------------------------------------------------


def sign_out() -> None:
    """Forget the signed-in user and tokens, for good: no copy of the session brings them back."""
    login = session.current_login()
    is_unreadable = login is None and session.has_unreadable_login()
    # What may fail comes first: a sign-out that did not happen leaves the session as it was.
    has_ended = login is not None and app_state().memory.logins.end(login)
    session.forget_login()
    if login is not None and has_ended:
        signals.user_logged_out.send(this_app(), user=login.user)
    elif is_unreadable:
        signals.user_logged_out.send(this_app(), user=None)


def after_sign_out(asked: str | None) -> Response:
    """Redirect to the page after a sign-out."""
    return _redirect(safe_target(asked) or below_mount(app_state().settings.logout_redirect), 303)


def _redirect(location: str, status: int) -> Response:
    response: Response = redirect(location, status, Response)  # type: ignore[assignment]
    return response
