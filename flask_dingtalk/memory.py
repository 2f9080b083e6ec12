"""What one process remembers beyond the session.

Three kinds of things: logins (their newest version, and which of them have ended), work that must
be done once (a callback, a refresh, a check), and values that hold for a while (when to ask again).
A store shared by several processes has the same interface.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from .bounded_dict import BoundedDict
from .errors import LoginRequired
from .pace import Pace
from .single_flight import SingleFlight

if TYPE_CHECKING:
    from .api.directory import Shelf
    from .api.models import DingTalkToken
    from .login import Login, Outcome

#: Ended logins that a process remembers.
_ENDED: Final = 10_000
#: Logins of which a process knows a version newer than some sessions do.
_NEWEST: Final = 2048
_REFRESHES: Final = 2048
_CALLBACKS: Final = 10_000
_ADDRESSES: Final = 10_000
#: Seconds for which a second load of a callback waits for the first one.
_CALLBACK_PATIENCE: Final = 2.0
#: Failed exchanges that one address may cause within so many seconds.
_MAX_FAILURES: Final = 10
_FAILURE_WINDOW: Final = 60.0


class Logins:
    """The newest version of each login that this process changed, and the ids that have ended."""

    def __init__(
        self,
        newest: BoundedDict[str, Login] | None = None,
        ended: BoundedDict[str, bool] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._newest: BoundedDict[str, Login] = newest or BoundedDict(_NEWEST)
        self._ended: BoundedDict[str, bool] = ended or BoundedDict(_ENDED)

    def read(self, login: Login, now: float) -> Login | None:
        """Return the newest version of ``login``, or ``None`` if it has ended."""
        if self._ended.get(login.id):
            return None
        newest = self._newest.get(login.id)
        # On a draw, what this process knows wins over what a browser sent.
        return login if newest is None else login.updated_by(newest, now)

    def update(self, base: Login, login: Login, now: float) -> Login | None:
        """Keep a new version of a login; return it with what others changed meanwhile.

        ``base`` is what it came from. Returns ``None`` if the login has ended: it stays so.
        """
        with self._lock:
            known = self.read(login, now)
            if known is None:
                return None
            merged = known.updated_by(login, now)
            self._newest.put(login.id, merged)
            return merged

    def update_token(self, base: Login, token: DingTalkToken, now: float) -> Login | None:
        """Keep the pair of tokens that follows the one of ``base``, and nothing else of it.

        Returns the newest version, or ``None`` if the login has ended.
        """
        with self._lock:
            known = self.read(base, now)
            if known is None:
                return None
            merged = known.updated_by(replace(known, token=token), now)
            self._newest.put(base.id, merged)
            return merged

    def clear_mark(self, login: Login) -> None:
        """Do nothing: only a store has marks."""

    def end(self, login: Login) -> bool:
        """End a login for good; return false if it had ended before."""
        with self._lock:
            if self._ended.get(login.id):
                return False
            self._ended.put(login.id, True)
            self._newest.forget(login.id)
            return True

    def after_fork(self) -> Logins:
        """Return a copy for a forked process, with its own locks."""
        return Logins(self._newest.copy(), self._ended.copy())


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a sign-in that waits because DingTalk throttles it."""

    #: The tokens, once the code was exchanged for them.
    token: DingTalkToken | None = None
    #: When there will be room for this visitor, in Unix time.
    turn: float | None = None


class Claim(Enum):
    """The result of claiming a state for one load of a callback."""

    #: The first load, which has to do the work.
    FIRST = auto()
    #: The sign-in has succeeded with this very code.
    SUCCEEDED = auto()
    #: Another load is at work, or was until DingTalk throttled it.
    BUSY = auto()
    #: The state was used with another code, or its sign-in failed.
    USED = auto()
    #: The sign-in was throttled, and goes on where it stopped with the next load.
    _FREE = auto()


@dataclass(slots=True)
class _Load:
    """The load of a callback that is at work, or was."""

    code_digest: str | None
    #: By the monotonic clock.
    forget_at: float
    over: threading.Event = field(default_factory=threading.Event)
    result: Claim = Claim.USED
    has_waiter: bool = False
    #: How far it came before it was given back.
    progress: Progress = field(default_factory=Progress)


class Callbacks:
    """The states used in this process: a cookie can be set back to what it was before.

    A state is remembered for ``lifetime`` seconds.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._loads: dict[str, _Load] = {}
        self._lock = threading.Lock()

    def claim(self, nonce: str, code_digest: str | None) -> Claim:
        """Claim a state for a code.

        One further load at a time waits for the first one, for two seconds at most.
        """
        with self._lock:
            self._forget_old()
            load = self._loads.get(nonce)
            if load is None:
                forget_at = time.monotonic() + self._lifetime
                self._loads[nonce] = _Load(code_digest, forget_at)
                return Claim.FIRST
            if code_digest is None or load.code_digest != code_digest:
                return Claim.USED
            if load.over.is_set():
                if load.result is not Claim._FREE:
                    return load.result
                # A fresh one: whoever waited for the load before still holds that one.
                self._loads[nonce] = _Load(code_digest, load.forget_at, progress=load.progress)
                return Claim.FIRST
            if load.has_waiter:
                return Claim.BUSY
            load.has_waiter = True
        try:
            is_over = load.over.wait(_CALLBACK_PATIENCE)
            return load.result if is_over and load.result is not Claim._FREE else Claim.BUSY
        finally:
            load.has_waiter = False

    def hold(self, nonce: str) -> bool:
        """Say yes: in one process, a claim is kept until it is settled."""
        return True

    def finish(self, nonce: str, *, succeeded: bool) -> None:
        """Record how the sign-in with a claimed state ended."""
        load = self._loads.get(nonce)
        if load is not None:
            load.result = Claim.SUCCEEDED if succeeded else Claim.USED
            load.over.set()

    def give_back(self, nonce: str, progress: Progress) -> None:
        """Release a claimed state, for the same code only."""
        load = self._loads.get(nonce)
        if load is not None:
            load.progress = progress
            load.result = Claim._FREE
            load.over.set()

    def progress(self, nonce: str) -> Progress:
        """Return how far the sign-in with a state came in this process."""
        load = self._loads.get(nonce)
        return Progress() if load is None else load.progress

    def after_fork(self) -> Callbacks:
        """Return what a forked process knows: the states that were used, none as under way."""
        twin = Callbacks(self._lifetime)
        for nonce, load in self._loads.items():
            twin._loads[nonce] = replace(load, over=threading.Event(), has_waiter=False)
            twin._loads[nonce].over.set()
        return twin

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._loads:
            nonce, load = next(iter(self._loads.items()))
            if load.forget_at >= now and len(self._loads) < _CALLBACKS:
                return
            del self._loads[nonce]


class Refreshes:
    """What became of each refresh token that this process sent to DingTalk.

    Only refusals and successes are remembered. A refresh that failed in another way may be tried
    again: if it was carried out after all, DingTalk refuses the next one, which costs nothing.
    """

    def __init__(self) -> None:
        self._flights: SingleFlight[DingTalkToken] = SingleFlight()
        self._successors: BoundedDict[str, DingTalkToken] = BoundedDict(_REFRESHES)
        #: When DingTalk first refused a refresh token, in Unix time.
        self._refused: BoundedDict[str, float] = BoundedDict(_REFRESHES)

    def refresh(
        self,
        token: DingTalkToken,
        refresh: Callable[[DingTalkToken], DingTalkToken],
        patience: float,
    ) -> Refreshed:
        """Return the pair that follows ``token``; call ``refresh`` only if nobody did or does.

        It may have been renewed several times: then it is the newest of these pairs, or what
        follows that one if it has ended, too. Those who come while a refresh is under way wait for
        ``patience`` seconds at most. Raises what ``refresh`` raises, and ``LoginRequired`` for a
        refresh token that DingTalk refused before.
        """
        if token.refresh_token is None:
            # Without a refresh token there is no key to remember the pair by.
            return Refreshed(refresh(token), is_new=True, follows=token)
        newest = self._newest(token)
        if newest is not token and not newest.is_expired():
            return Refreshed(newest, is_new=False, follows=token)
        key = _digest(newest.refresh_token or "")
        is_new = False

        def work() -> DingTalkToken:
            nonlocal is_new
            known = self._successors.get(key)
            if known is not None:
                return known
            if self._refused.get(key) is not None:
                raise LoginRequired(
                    "DingTalk refused this refresh token before", hint="the user has to sign in"
                )
            try:
                renewed = refresh(newest)
            except LoginRequired:
                self._refused.put(key, time.time())
                raise
            if renewed.refresh_token != newest.refresh_token:
                # The new pair ends the chain, also if DingTalk should give one out twice.
                self._successors.forget(_digest(renewed.refresh_token or ""))
                self._successors.put(key, renewed)
            is_new = True
            return renewed

        return Refreshed(self._flights.run(key, work, patience), is_new, follows=newest)

    def _newest(self, token: DingTalkToken) -> DingTalkToken:
        """Return the last pair that is known to follow ``token``, or ``token`` itself."""
        seen: set[str] = set()
        key = _digest(token.refresh_token or "")
        while key not in seen and (successor := self._successors.get(key)) is not None:
            seen.add(key)
            token, key = successor, _digest(successor.refresh_token or "")
        return token

    def refused_for(self, token: DingTalkToken, now: float) -> float | None:
        """Return for how many seconds DingTalk has refused a refresh token, ``None`` for never."""
        refused_at = self._refused.get(_digest(token.refresh_token or ""))
        return None if refused_at is None else abs(now - refused_at)

    def after_fork(self) -> Refreshes:
        """Return what a forked process knows, with nothing under way."""
        twin = Refreshes()
        twin._successors = self._successors.copy()
        twin._refused = self._refused.copy()
        return twin


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A pair of tokens, whether this very call fetched it, and the pair that it follows."""

    token: DingTalkToken
    is_new: bool
    follows: DingTalkToken


class Pauses:
    """What not to try again, and until when; all times are Unix times."""

    def __init__(self) -> None:
        self._pauses: BoundedDict[Hashable, tuple[float, float]] = BoundedDict(_NEWEST)

    def pause(self, what: Hashable, seconds: float) -> None:
        """Leave ``what`` alone for so many seconds."""
        now = time.time()
        self._pauses.put(what, (now, now + seconds))

    def is_paused(self, what: Hashable) -> bool:
        """Tell whether ``what`` is to be left alone. A clock that was set back ends a pause."""
        pause = self._pauses.get(what)
        if pause is None:
            return False
        begun, ends = pause
        return begun <= time.time() < ends

    def after_fork(self) -> Pauses:
        """Return the same pauses for a forked process."""
        twin = Pauses()
        twin._pauses = self._pauses.copy()
        return twin


class FailureBudget:
    """How many failed exchanges each client address may cause.

    Made-up codes would otherwise use up the calls that DingTalk allows to everybody.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: BoundedDict[str, deque[float]] = BoundedDict(_ADDRESSES)

    def seconds_to_wait(self, address: str | None) -> float:
        """Return 0 while ``address`` may exchange a code, else the seconds until it may again."""
        if not address:
            # A Unix socket without ProxyFix: all clients share this address.
            return 0.0
        failures = self._failures.get(_network(address))
        if failures is None or len(failures) < _MAX_FAILURES:
            return 0.0
        return max(0.0, failures[0] + _FAILURE_WINDOW - time.monotonic())

    def note_failure(self, address: str | None) -> None:
        """Note that DingTalk did not know a code that came from ``address``."""
        network = _network(address)
        with self._lock:
            failures = self._failures.get(network) or deque(maxlen=_MAX_FAILURES)
            failures.append(time.monotonic())
            self._failures.put(network, failures)

    def after_fork(self) -> FailureBudget:
        """Return the same budgets for a forked process."""
        twin = FailureBudget()
        twin._failures = self._failures.copy()
        return twin


class Memory:
    """Everything that one process of one app remembers."""

    def __init__(self, state_lifetime: float) -> None:
        self.logins = Logins()
        self.callbacks = Callbacks(state_lifetime)
        self.refreshes = Refreshes()
        self.checks: SingleFlight[Outcome] = SingleFlight()
        self.pauses = Pauses()
        self.failures = FailureBudget()
        self.pace = Pace()
        #: Each process fetches the application's own token itself.
        self.app_token: Shelf | None = None
        self._state_lifetime = state_lifetime

    def after_fork(self) -> Memory:
        """Return the memory of a forked process: what is known, with no work under way."""
        twin = Memory(self._state_lifetime)
        twin.logins = self.logins.after_fork()
        twin.callbacks = self.callbacks.after_fork()
        twin.refreshes = self.refreshes.after_fork()
        twin.pauses = self.pauses.after_fork()
        twin.failures = self.failures.after_fork()
        return twin


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _network(address: str | None) -> str:
    """Return what stands for one client: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        # What a socket for both protocols calls an IPv4 client (RFC 4291, section 2.5.5.2).
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
