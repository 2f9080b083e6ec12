"""The only module that touches ``flask.session``: sign-ins under way, and who is signed in.

Four keys, one text each, replaced whole. It does not decide who may sign in. Where there is a
store, the session keeps the id of the login, and the store the login itself.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field, replace
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

from flask import (
    Flask,
    copy_current_request_context,
    current_app,
    request,
    session,
    stream_with_context,
)
from flask.sessions import SecureCookieSessionInterface

from . import diagnosis, page_cache
from .api import wire
from .api.models import DingTalkToken
from .app_state import KeyRing, app_state, app_state_of, this_app
from .codec import deflate, inflate, pack_token, unpack, unpack_token
from .cookie_room import Fitting, fit, measure
from .errors import InvalidState
from .login import Login
from .logs import facts
from .memory import Claim, Progress
from .responses import is_websocket
from .secret import Secret

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .store.shared import Store

_log = logging.getLogger(__name__)

#: The sealed login, or its id in the store.
LOGIN_KEY: Final = "_dingtalk"
#: The sign-ins under way, and those finished lately, in this browser.
STATES_KEY: Final = "_dingtalk_states"
#: The progress of throttled sign-ins, sealed.
PROGRESS_KEY: Final = "_dingtalk_progress"
#: The targets that a state has no room for, sealed.
TARGETS_KEY: Final = "_dingtalk_targets"
KEYS: Final = (LOGIN_KEY, STATES_KEY, PROGRESS_KEY, TARGETS_KEY)

#: Sign-ins remembered in one browser; the oldest is forgotten first.
_MAX_STATES: Final = 5
_CACHE_KEY: Final = "flask_dingtalk.login"
#: The request that read it.
_READER_KEY: Final = "flask_dingtalk.reader"
#: Seconds.
_RENEW_EARLY: Final = 60
#: Functions that run a site's code after the response may have been sent.
_LATE: Final = (
    Flask.do_teardown_request.__code__,
    *(
        constant
        for function in (stream_with_context, copy_current_request_context)
        for constant in function.__code__.co_consts
        if isinstance(constant, CodeType)
    ),
)
#: Between the parts of a state's text; no address has it in it.
_SEPARATOR: Final = "\n"
_NONCE_BYTES: Final = 16
_STATE_HEADER: Final = struct.Struct(">16sQ")  # nonce, time of issue in seconds
_PROGRESS_HEADER: Final = struct.Struct(">16s8sd")  # nonce, digest of the code, turn or 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in that came back from DingTalk with a state of this browser."""

    nonce: str = field(repr=False)
    #: The path to land on, or ``None`` if there was no ``next``.
    target: str | None
    code_digest: str | None
    progress: Progress
    #: ``FIRST`` if this request has to finish it, otherwise ``SUCCEEDED`` or ``BUSY``.
    claim: Claim


# --- Who is signed in ----------------------------------------------------------------------------


def current_login() -> Login | None:
    """Return the login of this request; opens it once and does not save the session.

    A login that has ended, or that is older than ``DINGTALK_SIGN_IN_LIFETIME``, does not count.
    Raises ``RuntimeError`` where Flask-Caching would keep for others what depends on this person.
    """
    text = session.get(LOGIN_KEY)
    return _login_in(text, request.environ, this_app()) if isinstance(text, str) else None


def login_for_guard(environ: WSGIEnvironment) -> Login | None:
    """Return the login of this request, with what happened since the last look at it.

    Raises ``RuntimeError`` where Flask-Caching would keep the guard's answer.
    """
    app = this_app()
    if page_cache.EXTENSION_KEY in app.extensions:
        page_cache.refuse_to_keep_a_guard()
    if "HTTP_UPGRADE" in environ and is_websocket(environ):
        # It lasts, and its handler may ask for every message.
        environ.pop(_CACHE_KEY, None)
    text = session.get(LOGIN_KEY)
    return _login_in(text, environ, app) if isinstance(text, str) else None


def _login_in(text: str, environ: WSGIEnvironment, app: Flask) -> Login | None:
    # Flask-SocketIO handles each event of a connection in a new request, but all of them with the
    # environ of the handshake.
    reader = environ.get("werkzeug.request")
    if environ.get(_READER_KEY) is not reader:
        environ[_READER_KEY] = reader
        environ.pop(_CACHE_KEY, None)
    # Keyed by app and sealed text: one WSGI environ may pass through several apps, and the session
    # can change in mid-request.
    cached = environ.get(_CACHE_KEY)
    if cached is None or cached[0] is not app or cached[1] != text:
        cached = environ[_CACHE_KEY] = (app, text, _read(app, text))
    login: Login | None = cached[2]
    if login is not None and page_cache.EXTENSION_KEY in app.extensions:
        page_cache.refuse_to_keep(login.user.union_id)
    return login


def has_unreadable_login() -> bool:
    """Tell whether the session holds a login that cannot be opened.

    One from before there was a store is none that a store can vouch for: it cannot be opened.
    """
    text = session.get(LOGIN_KEY)
    if text is None or not isinstance(text, str):
        return text is not None
    store = app_state().store
    return _open(_ring(), text) is None if store is None else store.logins.is_unreadable(text)


def open_login(login: Login, attempt: Attempt) -> None:
    """Sign somebody in: the only place where that happens.

    Raises ``ConfigurationError`` if the login would not fit into a cookie.
    """
    finished = f"{attempt.nonce}:{attempt.code_digest}"
    _drop_state(attempt.nonce)
    store = app_state().store
    if store is not None:
        _open_in_store(store, login, finished)
        return
    states = _states_with(finished)
    fitting = _fit(login, states)
    if not fitting.fits_with_states:
        # Still too big: drop the browser's other pending sign-ins; ours is the last entry.
        states = [finished]
        fitting = _fit(login, states)
    if not fitting.fits_with_states:
        raise fitting.too_large()
    lost = fitting.lost_of(login)
    if lost:
        _log.warning(
            "DingTalk: the session cookie has no room for %s of the user's record. Hint: use "
            "server-side sessions (Flask-Session) to keep the whole record",
            ", ".join(lost),
            extra=facts("record_cut"),
        )
    _keep(fitting)
    session[STATES_KEY] = ".".join(states)
    _renew_session_id()


def _open_in_store(store: Store, login: Login, finished: str) -> None:
    for states in (_states_with(finished), [finished]):
        content = {LOGIN_KEY: store.logins.text(login), STATES_KEY: ".".join(states)}
        measured = measure({**session, **content})
        if measured.fits:
            break
    else:
        raise measured.too_large()
    store.logins.create(login)
    session.update(content)
    request.environ[_CACHE_KEY] = (this_app(), content[LOGIN_KEY], login)
    _renew_session_id()


def replace_login(login: Login) -> Login | None:
    """Keep a newer version of the login of this session; return what the request goes on with.

    Returns ``None`` if the login has ended meanwhile, or if somebody else signed in: nothing is
    written then.
    """
    present = current_login()
    if present is None or present.id != login.id:
        return None
    return _replace(app_state().memory.logins.update(present, login, time.time()))


def replace_token(login: Login, token: DingTalkToken) -> Login | None:
    """Keep a new pair of tokens for the login of this session, and what else is known of it.

    Returns what ``replace_login`` returns.
    """
    present = current_login()
    if present is None or present.id != login.id:
        return None
    return _replace(app_state().memory.logins.update_token(login, token, time.time()))


def _replace(login: Login | None) -> Login | None:
    if login is None:
        # The login ended during this request.
        return None
    if app_state().has_store or not _has_to_be_saved(login):
        request.environ[_CACHE_KEY] = (this_app(), session[LOGIN_KEY], login)
        return login
    fitting = _fit(login, _states())
    if not fitting.fits:
        # The browser will reject this cookie and keep the old one; what this process remembers of
        # the login still applies to it.
        _log.error(
            "DingTalk: %s", fitting.too_large().log_message, extra=facts("session_too_large")
        )
    _keep(fitting)
    return fitting.login


def can_be_saved() -> bool:
    """Tell whether a change of the login can still be saved: with a store, always.

    Without one it is kept in the session, and that cannot reach the browser any more from a
    response that streams, from a thread of the site's, from a teardown function, or from a
    websocket, whose handshake is over. Nothing of the request tells, but the stack does. Asked
    before a refresh, not on each request.
    """
    if app_state().has_store:
        return True
    if is_websocket(request.environ):
        return False
    if hasattr(request, "namespace"):
        # Flask-SocketIO gives its handlers a copy of the session.
        return False
    is_late = False
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is Flask.full_dispatch_request.__code__:
            # Even if it consumes a stream: the session is saved after that.
            return True
        is_late = is_late or frame.f_code in _LATE
        frame = frame.f_back
    return not is_late


def forget_login() -> None:
    """Remove everything of this extension from the session."""
    for key in KEYS:
        session.pop(key, None)


def _read(app: Any, text: str) -> Login | None:
    state = app_state_of(app)
    # On each guarded page a look at an attribute is cheaper than one at a property.
    store = state.store if state.has_store else None
    login = _open(state.key_ring(app), text) if store is None else store.logins.find(text)
    if login is None:
        _log.debug(
            "DingTalk: the login in the session cannot be read%s",
            "" if store is None else ", or has ended",
            extra=facts("login_unreadable"),
        )
        return None
    now = time.time()
    if now - login.since >= state.settings.sign_in_lifetime:
        return None
    return login if store is not None else state.memory.logins.read(login, now)


def _open(ring: KeyRing, text: str) -> Login | None:
    login = ring.opened.get(text)
    if login is None:
        data = ring.session.open(text)
        login = unpack(data) if data is not None else None
        if login is not None:
            ring.opened.put(text, login)
    return login


def _has_to_be_saved(login: Login) -> bool:
    """Tell whether the session has to be written for a newer version of its login.

    Not where only the time of the check is new: this process remembers that, and another process
    may be about to save a new pair of tokens. Without tokens, the time has to be saved.
    """
    saved = _open(_ring(), session[LOGIN_KEY])
    if saved is None or login.token is None:
        return login != saved
    return login != replace(saved, checked_at=login.checked_at)


def _fit(login: Login, states: list[str]) -> Fitting:
    content = dict(session)
    if states:
        content[STATES_KEY] = ".".join(states)
    return fit(login, _ring().session, content, LOGIN_KEY)


def _keep(fitting: Fitting) -> None:
    session[LOGIN_KEY] = fitting.text
    _ring().opened.put(fitting.text, fitting.login)
    request.environ[_CACHE_KEY] = (this_app(), fitting.text, fitting.login)


def _ring() -> KeyRing:
    app = this_app()
    return app_state_of(app).key_ring(app)


def _renew_session_id() -> None:
    """Leave a session id that somebody else may have planted (session fixation, CWE-384)."""
    interface = current_app.session_interface
    regenerate = getattr(interface, "regenerate", None)
    if regenerate is not None:
        regenerate(session)
    elif not isinstance(interface, SecureCookieSessionInterface):
        _log.warning(
            "DingTalk: %s cannot renew a session's id at a sign-in, so that a planted id is signed "
            "in as well. Hint: use Flask-Session 0.7 or later, or give the session interface a "
            "method regenerate(session)",
            type(interface).__name__,
            extra=facts("session_id_kept"),
        )


# --- Sign-ins under way --------------------------------------------------------------------------


def begin(target: str | None, *, began_at: str | None = None) -> str:
    """Start a sign-in that leads to ``target``; return its state.

    ``began_at`` is the origin where it begins, if it will come back to another one.

    The state carries the target and the time sealed, and the session only 128 random bits of it:
    abandoned sign-ins cost next to nothing, and five of them are remembered. A target too long for
    a state (1 KiB) stays in the session if that is kept on the server, else it is dropped. Raises
    ``ConfigurationError`` if the site's own data leaves a cookie no room for a state, since the
    sign-in could not come back then.
    """
    nonce = os.urandom(_NONCE_BYTES)
    header = _STATE_HEADER.pack(nonce, int(time.time()))
    sealer = _ring().state
    beginning = "" if began_at is None else _SEPARATOR + began_at
    state = sealer.seal(header + deflate(f"{target or ''}{beginning}".encode()))
    is_too_long = len(state) > wire.MAX_STATE_LENGTH
    if is_too_long:
        state = sealer.seal(header + deflate(beginning.encode()))
    states = _states_with(_text(nonce))
    measured = measure({**session, STATES_KEY: ".".join(states)})
    if not measured.fits:
        raise measured.too_large()
    session[STATES_KEY] = ".".join(states)
    if is_too_long and target is not None:
        if measured.cookie_bytes is None:
            _keep_targets({**_kept_targets(), _text(nonce): target})
        else:
            _log.warning(
                "DingTalk sign-in: the address asked for is too long to come back from DingTalk, "
                "so that the sign-in will end at DINGTALK_LOGIN_REDIRECT. Hint: keep its query "
                "shorter, or use server-side sessions (Flask-Session), which have room for it",
                extra=facts("target_lost"),
            )
    return state


def renew_state(state: Secret) -> tuple[str, float]:
    """Return a state for a page that stays open, and the seconds until it needs renewing.

    It is ``state`` itself as long as this browser knows it and half of its life is left, else one
    that takes its place. It leads where the old one led only if this browser knew that: whoever
    else holds a state must not learn its target. Raises ``InvalidState`` for anything else than a
    state of this application, and what ``begin`` raises.
    """
    opened = _opened(state)
    lifetime = app_state().settings.state_lifetime
    # The clock of another server may be ahead.
    age = max(time.time() - opened.issued, 0.0)
    if opened.nonce not in _states():
        return begin(None, began_at=opened.began_at), renewal_due(lifetime)
    if age <= lifetime / 2:
        return state.reveal(), renewal_due(lifetime) - age
    target = opened.target or _kept_targets().get(opened.nonce)
    _drop_state(opened.nonce)
    return begin(target, began_at=opened.began_at), renewal_due(lifetime)


def renewal_due(lifetime: float) -> float:
    """Return the age in seconds at which a state is to be renewed: some time before its end."""
    return lifetime - min(lifetime / 4, _RENEW_EARLY)


def take(state: Secret | None, code: Secret | None) -> Attempt:
    """Claim a state for a code; after ``Claim.FIRST``, ``settle`` or ``give_back`` has to follow.

    Raises ``InvalidState`` unless it is a state of this browser, in time and unused, or used with
    the same code by a sign-in that has succeeded or is under way.
    """
    opened = _opened(state)
    nonce, target = opened.nonce, opened.target or _kept_targets().get(opened.nonce)
    digest = None if code is None else _digest(code)
    states = _states()
    attempt = Attempt(nonce, target, digest, Progress(), Claim.SUCCEEDED)
    if digest and f"{nonce}:{digest}" in states:
        return attempt
    if any(state.startswith(f"{nonce}:") for state in states):
        raise _used("a state that was used with another code", target)
    is_late = time.time() - opened.issued > app_state().settings.state_lifetime
    if nonce not in states and not is_late:
        raise diagnosis.not_of_this_browser(target, opened.began_at, session_is_empty=not session)
    if is_late:
        is_ours = nonce in states
        if is_ours:
            _drop_state(nonce)
        raise InvalidState(
            "a state that has expired",
            hint="it took longer than DINGTALK_STATE_LIFETIME; the visitor only has to sign in "
            "again",
            target=target,
            goes_on="page" if is_ours else None,
        )
    saved = _saved_progress().get(nonce)
    if saved is not None and saved.code_digest != digest:
        raise _used("a state that belongs to another code", target)
    callbacks = app_state().memory.callbacks
    claim = callbacks.claim(nonce, digest)
    if claim is Claim.USED:
        raise _used("a state that was used before", target)
    # Another process may have come further than this one, and this one further than an old cookie.
    progress = callbacks.progress(nonce)
    if saved is not None and progress.token is None:
        progress = saved.progress
    return replace(attempt, claim=claim, progress=progress)


def settle(attempt: Attempt, *, succeeded: bool) -> None:
    """Record how the sign-in with a claimed state ended; after a failure the state is used up."""
    if not succeeded:
        _drop_state(attempt.nonce)
    app_state().memory.callbacks.finish(attempt.nonce, succeeded=succeeded)


def give_back(attempt: Attempt, progress: Progress, *, save: bool) -> None:
    """Release a claimed state for its code again, and save the progress of its sign-in.

    Without ``save`` the session stays as it is, unless that would lose the tokens.
    """
    app_state().memory.callbacks.give_back(attempt.nonce, progress)
    if not save and progress.token is None:
        return
    saved = _saved_progress()
    saved[attempt.nonce] = _SavedProgress(attempt.code_digest or "", progress)
    _save_progress(saved)


@dataclass(frozen=True, slots=True)
class _SavedProgress:
    """The progress of one sign-in, valid only for its code."""

    code_digest: str
    progress: Progress


def _saved_progress() -> dict[str, _SavedProgress]:
    """Return the progress of sign-ins in this browser, by nonce."""
    text = session.get(PROGRESS_KEY)
    sealer = _ring().progress
    saved = {}
    for sealed in text.split(".") if isinstance(text, str) else ():
        data = sealer.open(sealed)
        if data is not None and len(data) >= _PROGRESS_HEADER.size:
            nonce, digest, turn = _PROGRESS_HEADER.unpack_from(data)
            progress = Progress(unpack_token(data[_PROGRESS_HEADER.size :]), turn or None)
            saved[_text(nonce)] = _SavedProgress(_text(digest), progress)
    return saved


def _save_progress(saved: dict[str, _SavedProgress]) -> None:
    """Keep progress, but only of states that this browser still has."""
    sealer, states = _ring().progress, _states()
    texts = []
    for nonce, item in saved.items():
        if nonce in states:
            turn, token = item.progress.turn or 0.0, item.progress.token
            header = _PROGRESS_HEADER.pack(_bytes(nonce), _bytes(item.code_digest), turn)
            texts.append(sealer.seal(header + (b"" if token is None else pack_token(token))))
    if texts:
        session[PROGRESS_KEY] = ".".join(texts)
    else:
        session.pop(PROGRESS_KEY, None)


def _kept_targets() -> dict[str, str]:
    """Return the targets that states of this browser have no room for, by nonce."""
    text = session.get(TARGETS_KEY)
    sealer = _ring().target
    kept = {}
    for sealed in text.split(".") if isinstance(text, str) else ():
        data = sealer.open(sealed)
        if data is not None:
            kept[_text(data[:_NONCE_BYTES])] = inflate(data[_NONCE_BYTES:]).decode()
    return kept


def _keep_targets(targets: dict[str, str]) -> None:
    """Keep targets, but only of states that this browser still has."""
    sealer, states = _ring().target, _states()
    texts = [
        sealer.seal(_bytes(nonce) + deflate(target.encode()))
        for nonce, target in targets.items()
        if nonce in states
    ]
    if texts:
        session[TARGETS_KEY] = ".".join(texts)
    else:
        session.pop(TARGETS_KEY, None)


@dataclass(frozen=True, slots=True)
class _State:
    """What a state of this application carries."""

    nonce: str
    #: Unix time in seconds.
    issued: int
    target: str | None
    #: The origin where the sign-in began, if DingTalk was told to come back to another one.
    began_at: str | None


def _opened(state: Secret | None) -> _State:
    """Open a state; raise ``InvalidState`` for anything else."""
    data = None if state is None else _ring().state.open(state.reveal())
    if data is None or len(data) < _STATE_HEADER.size:
        raise diagnosis.not_ours(state)
    nonce, issued = _STATE_HEADER.unpack_from(data)
    target, _, began_at = inflate(data[_STATE_HEADER.size :]).decode().partition(_SEPARATOR)
    return _State(_text(nonce), issued, target or None, began_at or None)


def _used(problem: str, target: str | None) -> InvalidState:
    hint = (
        "a state works once: the visitor went back to DingTalk's page and agreed again, or loaded "
        "the address of a sign-in that failed; they only have to sign in again"
    )
    return InvalidState(problem, hint=hint, target=target, goes_on="page")


def _states() -> list[str]:
    text = session.get(STATES_KEY)
    return text.split(".") if isinstance(text, str) and text else []


def _states_with(added: str) -> list[str]:
    return [*_states(), added][-_MAX_STATES:]


def _drop_state(nonce: str) -> None:
    states = [state for state in _states() if state != nonce]
    if states:
        session[STATES_KEY] = ".".join(states)
    else:
        session.pop(STATES_KEY, None)
    if PROGRESS_KEY in session:
        _save_progress(_saved_progress())
    if TARGETS_KEY in session:
        _keep_targets(_kept_targets())


def _text(nonce: bytes) -> str:
    return urlsafe_b64encode(nonce).rstrip(b"=").decode("ascii")


def _bytes(nonce: str) -> bytes:
    return urlsafe_b64decode(nonce + "==")


def _digest(code: Secret) -> str:
    # Eight bytes are enough to distinguish two codes; a collision is of no use to an attacker.
    return _text(hashlib.sha256(code.reveal().encode("utf-8", "surrogatepass")).digest()[:8])
