"""The only module that touches ``flask.session``: sign-ins under way, and who is signed in.

Two keys, one text each, replaced whole. Nothing here decides anything.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import current_app, request, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.wrappers import Response

from . import wire
from .employee import Employee
from .errors import ConfigurationError, InvalidState
from .frozen import FrozenDict, frozen
from .models import DingTalkToken, DingTalkUser
from .payload import SignedIn, deflate, inflate, pack, unpack
from .state import KeyRing, current, state_of, this_app

#: The sealed user and tokens.
USER_KEY: Final = "_dingtalk"
#: The sign-ins under way, and those finished lately, in this browser.
STATES_KEY: Final = "_dingtalk_states"
KEYS: Final = (USER_KEY, STATES_KEY)

#: Sign-ins remembered in one browser; the oldest is forgotten first.
_MAX_STATES: Final = 5
#: Browsers drop a longer cookie without a word (RFC 6265, section 6.1).
_MAX_COOKIE_BYTES: Final = 4093
#: What is left of it at a sign-in for the states of later ones.
_STATES_BYTES: Final = 220
#: What a sealed user may take of a cookie, so that the site has room for its own data.
_MAX_SEALED_BYTES: Final = 2000
_CACHE_KEY: Final = "flask_dingtalk.signed_in"
#: Seconds.
_RENEW_EARLY: Final = 60
_STATE_HEADER: Final = struct.Struct(">16sQ")  # nonce, time of issue in seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in that came back from DingTalk with a state of this browser."""

    nonce: str
    #: Where it leads, or ``None`` if nothing was asked for.
    target: str | None
    code_digest: str | None
    #: It was finished before, with the same code.
    finished: bool


# --- Who is signed in ----------------------------------------------------------------------------


def signed_in() -> SignedIn | None:
    """Return who is signed in on this request; opened once, never saving the session."""
    text = session.get(USER_KEY)
    if not isinstance(text, str):
        return None
    app = this_app()
    # The environment outlives this app where several stand in a row, and the text this moment.
    cached = request.environ.get(_CACHE_KEY)
    if cached is None or cached[0] is not app or cached[1] != text:
        cached = request.environ[_CACHE_KEY] = (app, text, _open(text))
    found: SignedIn | None = cached[2]
    return found


def open_session(user: DingTalkUser, token: DingTalkToken | None, attempt: Attempt) -> None:
    """Sign ``user`` in: the only place where that happens.

    Raises ``ConfigurationError``, with the session as it was, if it would not fit into a cookie.
    """
    before = {key: session.get(key) for key in KEYS}
    try:
        _mark(attempt.nonce, f"{attempt.nonce}:{attempt.code_digest}")
        found = SignedIn(user, token, time.time())
        size = _write_fitting(found)
        if size > _MAX_COOKIE_BYTES - _STATES_BYTES:
            # Without the other sign-ins under way: this one is the one that came back.
            session[STATES_KEY] = _states()[-1]
            size = _write_fitting(found)
        if size > _MAX_COOKIE_BYTES - _STATES_BYTES:
            raise _too_large(size)
        # A session id that somebody else planted must not become that of a signed-in session.
        regenerate = getattr(current_app.session_interface, "regenerate", None)
        if regenerate is not None:
            regenerate(session)
    except BaseException:
        _restore(before)
        raise


def replace_token(token: DingTalkToken) -> None:
    """Keep new tokens for the user who is signed in."""
    present = signed_in()
    if present is not None:
        _write(replace(present, token=token))


def replace_user(found: SignedIn) -> None:
    """Keep what DingTalk said of the user who is signed in when it was asked again."""
    size = _write_fitting(found)
    if size > _MAX_COOKIE_BYTES:
        # The browser will go on with the old cookie; this process remembers what became of it.
        current_app.logger.error("DingTalk: %s", _too_large(size))


def close_session() -> DingTalkUser | None:
    """Forget everything of this extension; return who was signed in."""
    present = signed_in()
    for key in KEYS:
        session.pop(key, None)
    return present.user if present else None


def _write(found: SignedIn) -> None:
    ring = _ring()
    text = ring.session.seal(pack(found))
    session[USER_KEY] = text
    ring.opened.put(text, found)


def _write_fitting(found: SignedIn) -> int:
    """Write as much about a user as fits into a cookie; return the size that the cookie then has.

    A server-side session keeps everything. In a cookie the sealed user gets ``_MAX_SEALED_BYTES``:
    see ``_slimmer`` for what goes first. What cannot go is written whatever its size.
    """
    size = 0
    for user in _slimmer(found.user):
        _write(replace(found, user=user))
        size = _cookie_size()
        fits = size <= _MAX_COOKIE_BYTES - _STATES_BYTES
        if size == 0 or (fits and len(session[USER_KEY]) <= _MAX_SEALED_BYTES):
            break
    return size


def _slimmer(user: DingTalkUser) -> Iterator[DingTalkUser]:
    """Yield ``user``, then with ever less in ``raw``: of the employee, then of the profile.

    First goes what no field of `Employee` shows, then the organisation's own fields and the remark,
    then the roles, and last what DingTalk added to the profile without documenting it.
    """
    yield user
    if user.employee is not None:
        raw = user.employee.raw
        kept: tuple[str, ...] = wire.EMPLOYEE_FIELDS
        for dropped in (
            frozenset[str](),
            {wire.EMPLOYEE_EXTENSION, wire.EMPLOYEE_REMARK},
            {wire.EMPLOYEE_ROLES},
        ):
            kept = tuple(name for name in kept if name not in dropped)
            user = replace(user, employee=Employee(_only(raw, kept)))
            yield user
    yield replace(user, raw=_only(user.raw, wire.PROFILE_FIELDS + wire.USER_INFO_FIELDS))


def _only(raw: Mapping[str, Any], names: tuple[str, ...]) -> FrozenDict:
    return frozen({name: raw[name] for name in names if name in raw})


def _open(text: str) -> SignedIn | None:
    ring = _ring()
    found = ring.opened.get(text)
    if found is None:
        data = ring.session.open(text)
        found = unpack(data) if data is not None else None
        if found is not None:
            ring.opened.put(text, found)
    return found


def _ring() -> KeyRing:
    app = this_app()
    return state_of(app).key_ring(app)


def _cookie_size() -> int:
    """Return the size of the cookie that this session would be, or 0 if it is kept elsewhere."""
    interface = current_app.session_interface
    if not isinstance(interface, SecureCookieSessionInterface):
        return 0
    trial: Any = Response()
    trial.max_cookie_size = 0  # we measure; Werkzeug need not warn
    interface.save_session(current_app, session, trial)
    return max((len(cookie) for cookie in trial.headers.getlist("Set-Cookie")), default=0)


def _too_large(size: int) -> ConfigurationError:
    return ConfigurationError(
        f"the session cookie would have {size} bytes, and browsers drop one over "
        f"{_MAX_COOKIE_BYTES} ({_STATES_BYTES} of them are for sign-ins under way)",
        hint="keep less in the session, or use server-side sessions (Flask-Session)",
    )


def _restore(before: dict[str, str | None]) -> None:
    for key, value in before.items():
        if value is None:
            session.pop(key, None)
        else:
            session[key] = value


# --- Sign-ins under way --------------------------------------------------------------------------


def begin(target: str | None) -> str:
    """Start a sign-in that leads to ``target``; return its state.

    The state carries the target and the time sealed, and the session only 128 random bits of it:
    abandoned sign-ins cost next to nothing, and five of them are remembered. A target too long for
    a state (1 KiB) is dropped. Raises ``ConfigurationError`` if the site's own data leaves a cookie
    no room for a state, since the sign-in could not come back then.
    """
    nonce = os.urandom(16)
    header = _STATE_HEADER.pack(nonce, int(time.time()))
    sealer = _ring().state
    state = sealer.seal(header + deflate((target or "").encode()))
    if len(state) > wire.MAX_STATE_LENGTH:
        current_app.logger.info("DingTalk sign-in: the address asked for is too long to come back")
        state = sealer.seal(header + deflate(b""))
    _mark(None, _text(nonce))
    size = _cookie_size()
    if size > _MAX_COOKIE_BYTES:
        _mark(_text(nonce), None)
        raise _too_large(size)
    return state


def renew(state: str) -> tuple[str, float]:
    """Return a state for a page that stays open, and in how many seconds to come for another.

    It is ``state`` itself as long as this browser knows it and half of its life is left, else one
    that takes its place and leads where it led. Raises ``InvalidState`` for no state of this
    application, and what ``begin`` raises.
    """
    nonce, issued, target = _opened(state)
    lifetime = current().settings.state_lifetime
    # The clock of another server may be ahead.
    age = max(time.time() - issued, 0.0)
    if nonce in _states() and age <= lifetime / 2:
        return state, renewal_due(lifetime) - age
    _mark(nonce, None)
    return begin(target), renewal_due(lifetime)


def renewal_due(lifetime: float) -> float:
    """Return the age in seconds at which a state is to be renewed: some time before its end."""
    return lifetime - min(lifetime / 4, _RENEW_EARLY)


def take(state: str | None, code: str | None) -> Attempt:
    """Use a state; raise ``InvalidState`` unless it is one of this browser, in time and unused.

    The same state with the same code, after that sign-in succeeded, is ``finished`` instead.
    """
    nonce, issued, target = _opened(state)
    digest = _digest(code) if code else None
    known = dict.fromkeys(_states())
    used = current().used_states
    if digest and (
        f"{nonce}:{digest}" in known or (nonce in known and used.succeeded_with(nonce, digest))
    ):
        return Attempt(nonce, target, digest, finished=True)
    if nonce not in known:
        raise _invalid("a state that this browser did not start, or used before", target)
    if not used.use(nonce, digest):
        raise _invalid("a state that was used before", target)
    _mark(nonce, None)
    if time.time() - issued > current().settings.state_lifetime:
        raise _invalid("a state that has expired", target)
    return Attempt(nonce, target, digest, finished=False)


def _opened(state: str | None) -> tuple[str, int, str | None]:
    """Return nonce, time of issue and target of a state; raise ``InvalidState`` if it is none."""
    data = _ring().state.open(state) if state else None
    if data is None or len(data) < _STATE_HEADER.size:
        raise _invalid("no state of this application")
    nonce, issued = _STATE_HEADER.unpack_from(data)
    return _text(nonce), issued, inflate(data[_STATE_HEADER.size :]).decode() or None


def _states() -> list[str]:
    text = session.get(STATES_KEY)
    return text.split(".") if isinstance(text, str) and text else []


def _mark(drop: str | None, add: str | None) -> None:
    states = [state for state in _states() if state != drop]
    if add is not None:
        states.append(add)
    if states:
        session[STATES_KEY] = ".".join(states[-_MAX_STATES:])
    else:
        session.pop(STATES_KEY, None)


def _text(nonce: bytes) -> str:
    return urlsafe_b64encode(nonce).rstrip(b"=").decode("ascii")


def _digest(code: str) -> str:
    # Eight bytes tell two codes of one state apart; nobody gains by a collision.
    return _text(hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()[:8])


def _invalid(problem: str, target: str | None = None) -> InvalidState:
    error = InvalidState(
        problem,
        hint=(
            "usual causes: a sign-in begun in one browser and finished in another (DingTalk's own "
            "web view), a session cookie that does not come back (another host than "
            "DINGTALK_REDIRECT_URI, SESSION_COOKIE_SECURE without HTTPS, SameSite=Strict), a "
            "SECRET_KEY that differs between processes"
        ),
    )
    error.target = target
    return error
