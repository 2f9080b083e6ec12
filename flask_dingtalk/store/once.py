"""What must be done once, on however many machines: callbacks, refreshes, checks, the app token.

Whoever does it claims it, under a random name: redis-py may send a claim twice, and the answer to
the second one is yes as well. A claim ends by itself, since its owner may have been killed. The
others look in until there is an outcome, and give up soon.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..bounded_dict import BoundedDict
from ..codec import pack_token, unpack_token
from ..errors import DingTalkUnavailable, LoginRequired, StoreUnavailable
from ..memory import Claim, Progress, Refreshed
from ..secret import Secret
from ..single_flight import SingleFlight

if TYPE_CHECKING:
    from ..api.directory import Fetched
    from ..api.models import DingTalkToken
    from ..login import Outcome
    from .keys import Keys
    from .link import Link

Result = TypeVar("Result")

#: Seconds between two looks at what somebody else is doing.
_LOOK_AGAIN: Final = 0.05
#: Seconds for which one request waits for another one, in another process.
_PATIENCE: Final = 4.0
#: Claims of others that a process gave up on.
_GIVEN_UP: Final = 1024

# --- Claims --------------------------------------------------------------------------------------

_MINE: Final = b"mine"
_CLAIM: Final = """
local found = redis.call('GET', KEYS[1])
if found ~= false and found ~= ARGV[1] and found ~= ARGV[3] then
  return {found, redis.call('PTTL', KEYS[1])}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'mine', 0}
"""
#: Puts a value where a claim is, if it still is there.
_SETTLE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_CLAIMED: Final = b"claimed:"


class Claims:
    """Claims on names in the store; next to a claim, a name may hold an outcome."""

    def __init__(self, link: Link) -> None:
        self._link = link
        #: Claims that took too long: whoever finds one of them need not wait as long again.
        self._given_up: BoundedDict[bytes, bool] = BoundedDict(_GIVEN_UP)

    def claim(
        self, name: str, seconds: float, over: bytes = b""
    ) -> tuple[str, bytes | None, float]:
        """Claim a name for so many seconds; wait for a moment if somebody else has.

        ``over`` is an outcome that is of no use any more.

        Returns the claim, and ``None`` if it holds; otherwise the outcome that is there and for how
        many seconds it will be. Raises ``TimeoutError`` if the other claim stays.
        """
        mine = _CLAIMED.decode() + secrets.token_hex(8)
        give_up_at = time.monotonic() + _PATIENCE
        while True:
            found, milliseconds = self._link.evaluate(_CLAIM, name, mine, _ms(seconds), over)
            if found == _MINE:
                return mine, None, 0.0
            if not found.startswith(_CLAIMED):
                return mine, found, max(milliseconds, 0) / 1000
            if self._given_up.get(found) or time.monotonic() > give_up_at:
                self._given_up.put(found, True)
                raise TimeoutError
            time.sleep(_LOOK_AGAIN)

    def settle(self, name: str, mine: str, outcome: str, seconds: float) -> None:
        """Put an outcome in the place of a claim, if that still holds."""
        self._link.evaluate(_SETTLE, name, mine, outcome, _ms(seconds))

    def release(self, name: str, mine: str) -> None:
        """Give a claim up; it ends by itself if the store cannot be reached."""
        with suppress(StoreUnavailable):
            self._link.evaluate(_RELEASE, name, mine)


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


# --- Callbacks -----------------------------------------------------------------------------------

#: Seconds for a claim until ``hold``: the answer to it may have got lost.
_FIRST_LEASE: Final = 5.0
#: Seconds for which a used state is remembered beyond its life: clocks may differ.
_LONGER: Final = 3600
#: Seconds for which a second load waits.
_CALLBACK_PATIENCE: Final = 2.0
_MOST_UNSURE: Final = 10_000

#: ``d`` digest of the code, ``s`` status, ``o`` owner, ``e`` end of the claim, ``p`` progress,
#: ``w`` until when somebody waits; by the clock of Redis, in milliseconds.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owner, digest, lease, patience, life = unpack(ARGV)
local found = redis.call('HMGET', KEYS[1], 'd', 's', 'o', 'e', 'p', 'w')
local function first()
  redis.call('HSET', KEYS[1], 'd', digest, 's', 'busy', 'o', owner, 'e', now + lease)
  return {'first', found[5] or ''}
end
if not found[1] then
  local answer = first()
  redis.call('PEXPIRE', KEYS[1], life)
  return answer
end
if found[2] == 'busy' and found[3] == owner then return first() end
if digest == '' or found[1] ~= digest then return {'used', ''} end
if found[2] == 'free' then return first() end
if found[2] ~= 'busy' then return {found[2], ''} end
if now >= tonumber(found[4]) then return first() end
if found[6] and now < tonumber(found[6]) then return {'busy', ''} end
redis.call('HSET', KEYS[1], 'w', now + patience)
return {'wait', ''}
"""
_HOLD: Final = """
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'e', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
return 1
"""
_LEAVE: Final = """
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 's', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'p', ARGV[3]) end
return 1
"""
_FREE: Final = "free"
#: In the place of an owner, for a claim that another load of this process took over.
_NOT_HELD: Final = ("", Progress())
_CLAIMS: Final = {"succeeded": Claim.SUCCEEDED, "used": Claim.USED}


class StoredCallbacks:
    """The states that were used, in whatever process."""

    def __init__(self, link: Link, keys: Keys, lifetime: float, lease: float) -> None:
        self._link = link
        self._keys = keys
        self._lifetime = lifetime
        #: Seconds that a sign-in may take from one ``hold`` to the next.
        self._lease = lease
        #: The claims that this process holds, with the progress of their sign-ins.
        self._held: dict[str, tuple[str, Progress]] = {}
        #: Claims of this process of which nobody knows whether they came to the store, or left it.
        self._unsure: dict[str, str] = {}

    def claim(self, nonce: str, code_digest: str | None) -> Claim:
        """Claim a state for a code.

        One further load at a time waits for the first one, for two seconds at most.
        """
        owner = self._unsure.pop(nonce, None) or secrets.token_hex(8)
        key = self._key(nonce)
        try:
            status, progress = self._link.evaluate(
                _TAKE,
                key,
                *(owner, code_digest or "", _ms(_FIRST_LEASE), _ms(_CALLBACK_PATIENCE)),
                _ms(self._lifetime + _LONGER),
            )
        except StoreUnavailable:
            self._be_unsure(nonce, owner)
            raise
        answer = status.decode()
        if answer == "first":
            self._held[nonce] = (owner, self._opened(key, progress))
            return Claim.FIRST
        if answer == "wait":
            answer = self._outcome(key)
        return _CLAIMS.get(answer, Claim.BUSY)

    def hold(self, nonce: str) -> bool:
        """Keep a claim for the next step of a sign-in; false if another load has it by now."""
        owner, _ = self._held.get(nonce, _NOT_HELD)
        return bool(self._link.evaluate(_HOLD, self._key(nonce), owner, _ms(self._lease)))

    def finish(self, nonce: str, *, succeeded: bool) -> None:
        """Record how the sign-in with a claimed state ended."""
        owner, _ = self._held.pop(nonce, _NOT_HELD)
        outcome = "succeeded" if succeeded else "used"
        # It is what it is, also if the store cannot be told: the claim ends, and the code is spent.
        with suppress(StoreUnavailable):
            self._link.evaluate(_LEAVE, self._key(nonce), owner, outcome, "")

    def give_back(self, nonce: str, progress: Progress) -> None:
        """Release a claimed state, for the same code only."""
        owner, _ = self._held.pop(nonce, _NOT_HELD)
        key = self._key(nonce)
        data = json.dumps(progress.turn).encode() + b"\n"
        if progress.token is not None:
            data += pack_token(progress.token)
        sealed = self._keys.ring.sealer.seal(data, key.encode())
        try:
            self._link.evaluate(_LEAVE, key, owner, _FREE, sealed)
        except StoreUnavailable:
            self._be_unsure(nonce, owner)

    def progress(self, nonce: str) -> Progress:
        """Return how far the sign-in with a state that this process claimed came."""
        return self._held.get(nonce, _NOT_HELD)[1]

    def _outcome(self, key: str) -> str:
        give_up_at = time.monotonic() + _CALLBACK_PATIENCE
        while time.monotonic() < give_up_at:
            time.sleep(_LOOK_AGAIN)
            status = self._link.run("HGET", key, "s")
            if status != b"busy":
                return "" if status is None else str(status.decode())
        return "busy"

    def _opened(self, key: str, sealed: bytes) -> Progress:
        data = self._keys.ring.sealer.open(sealed.decode("ascii", "replace"), key.encode())
        if data is None:
            return Progress()
        turn, _, token = data.partition(b"\n")
        return Progress(unpack_token(token), json.loads(turn))

    def _be_unsure(self, nonce: str, owner: str) -> None:
        if len(self._unsure) >= _MOST_UNSURE:
            self._unsure.clear()
        self._unsure[nonce] = owner

    def _key(self, nonce: str) -> str:
        return self._keys.random("state", nonce)


# --- Refreshes -----------------------------------------------------------------------------------

_NEXT: Final = b"next:"
_REFUSED: Final = b"refused:"
#: Seconds for which the pair that follows a refresh token is kept for those who still have the old
#: one: the newest one is in the record of the sign-in.
_NEXT_LASTS: Final = 3600
#: Seconds for which a refusal is remembered.
_REFUSED_LASTS: Final = 86_400
_UNSAVED: Final = 2048


class StoredRefreshes:
    """What became of each refresh token that any process sent to DingTalk.

    Only refusals and successes are remembered, as in one process alone.
    """

    def __init__(self, link: Link, keys: Keys, claims: Claims) -> None:
        self._link = link
        self._keys = keys
        self._claims = claims
        self._flights: SingleFlight[Refreshed] = SingleFlight()
        #: Pairs that came when the store could not be told, by the name of the one before.
        self._unsaved: BoundedDict[str, DingTalkToken] = BoundedDict(_UNSAVED)

    def refresh(
        self,
        token: DingTalkToken,
        refresh: Callable[[DingTalkToken], DingTalkToken],
        patience: float,
    ) -> Refreshed:
        """Return the pair that follows ``token``; call ``refresh`` only if nobody did or does.

        If that pair has ended, too, it is what follows that one. Raises what ``refresh`` raises,
        ``LoginRequired`` for a refresh token that DingTalk refused before, and
        ``StoreUnavailable`` if another process began and does not come to an end.
        """
        if token.refresh_token is None:
            # Without a refresh token there is no name to remember the pair by.
            return Refreshed(refresh(token), is_new=True, follows=token)
        mine: list[Refreshed] = []

        def work() -> Refreshed:
            mine.append(self._follow(token, refresh, patience))
            return mine[0]

        refreshed = self._flights.run(self._key(token), work, patience)
        if mine:
            return refreshed
        return Refreshed(refreshed.token, is_new=False, follows=refreshed.follows)

    def refused_for(self, token: DingTalkToken, now: float) -> float | None:
        """Return for how many seconds DingTalk has refused a refresh token, ``None`` for never."""
        found = self._link.run("GET", self._key(token))
        if found is None or not found.startswith(_REFUSED):
            return None
        return abs(now - float(found.removeprefix(_REFUSED)))

    def _follow(
        self,
        token: DingTalkToken,
        refresh: Callable[[DingTalkToken], DingTalkToken],
        patience: float,
    ) -> Refreshed:
        seen: set[str] = set()
        while (name := self._key(token)) not in seen:
            seen.add(name)
            follower = self._follower(token, name, refresh, patience)
            if follower.is_new or not follower.token.is_expired():
                return follower
            token = follower.token
        return Refreshed(refresh(token), is_new=True, follows=token)

    def _follower(
        self,
        token: DingTalkToken,
        name: str,
        refresh: Callable[[DingTalkToken], DingTalkToken],
        patience: float,
    ) -> Refreshed:
        unsaved = self._unsaved.get(name)
        if unsaved is not None and _is_newer(unsaved, token):
            self._save(name, unsaved)
            return Refreshed(unsaved, is_new=False, follows=token)
        mine, outcome = self._claim(name, patience)
        if outcome is not None:
            if outcome.startswith(_REFUSED):
                raise LoginRequired(
                    "DingTalk refused this refresh token before", hint="the user has to sign in"
                )
            known = self._opened(name, outcome)
            if known is not None and _is_newer(known, token):
                return Refreshed(known, is_new=False, follows=token)
            mine, outcome = self._claim(name, patience, outcome)
            if outcome is not None:
                # Somebody else was faster by a moment.
                known = self._opened(name, outcome)
                if known is not None:
                    return Refreshed(known, is_new=False, follows=token)
        try:
            renewed = refresh(token)
        except LoginRequired:
            refused = f"{_REFUSED.decode()}{time.time():.0f}"
            with suppress(StoreUnavailable):
                self._claims.settle(name, mine, refused, _REFUSED_LASTS)
            raise
        except BaseException:
            self._claims.release(name, mine)
            raise
        self._unsaved.put(name, renewed)
        with suppress(StoreUnavailable):
            self._save(name, renewed)
        return Refreshed(renewed, is_new=True, follows=token)

    def _claim(self, name: str, patience: float, over: bytes = b"") -> tuple[str, bytes | None]:
        try:
            # A little longer than the call can take.
            mine, outcome, _ = self._claims.claim(name, patience + 5, over)
        except TimeoutError:
            raise StoreUnavailable(
                "another process has been renewing these tokens for some seconds"
            ) from None
        return mine, outcome

    def _save(self, name: str, renewed: DingTalkToken) -> None:
        # Whatever is there: no other pair can follow this refresh token.
        sealed = self._keys.ring.sealer.seal(pack_token(renewed), name.encode())
        self._link.run("SET", name, _NEXT.decode() + sealed, "EX", _NEXT_LASTS)
        self._unsaved.forget(name)

    def _opened(self, name: str, outcome: bytes) -> DingTalkToken | None:
        sealed = outcome.removeprefix(_NEXT).decode("ascii", "replace")
        data = self._keys.ring.sealer.open(sealed, name.encode())
        return None if data is None else unpack_token(data)

    def _key(self, token: DingTalkToken) -> str:
        return self._keys.random("refresh", token.refresh_token or "")


def _is_newer(known: DingTalkToken, token: DingTalkToken) -> bool:
    """Tell whether a pair that was fetched for this refresh token is of use instead of ``token``.

    A refresh may leave the refresh token in force: then it can be sent again (RFC 6749, section 6).
    """
    if known.refresh_token != token.refresh_token:
        return True
    return known.expires_at > token.expires_at and not known.is_expired()


# --- Checks --------------------------------------------------------------------------------------


class StoredChecks:
    """One check of a login at a time; the work finds out itself if another one has just ended."""

    def __init__(self, keys: Keys, claims: Claims) -> None:
        self._keys = keys
        self._claims = claims
        self._flights: SingleFlight[Outcome] = SingleFlight()

    def run(self, key: tuple[Any, ...], work: Callable[[], Outcome], patience: float) -> Outcome:
        """Return what ``work`` returns; the first of ``key`` is the id of the login.

        Raises what ``work`` raises, and ``DingTalkUnavailable`` if another process takes too long.
        """
        return self._flights.run(key, lambda: self._alone(key[0], work, patience), patience)

    def _alone(self, login_id: str, work: Callable[[], Outcome], patience: float) -> Outcome:
        name = self._keys.random("check", login_id)
        try:
            # Membership, record, tokens and profile, one after the other.
            mine, _, _ = self._claims.claim(name, 4 * patience + 5)
        except TimeoutError:
            raise DingTalkUnavailable(
                "another process is checking this user, and got no answer in time", timed_out=True
            ) from None
        try:
            return work()
        finally:
            self._claims.release(name, mine)


class StoredPauses:
    """What not to try again, and for how long."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    def pause(self, what: Hashable, seconds: float) -> None:
        """Leave ``what`` alone for so many seconds."""
        self._link.run("SET", self._keys.random("pause", repr(what)), "1", "PX", _ms(seconds))

    def is_paused(self, what: Hashable) -> bool:
        """Tell whether ``what`` is to be left alone."""
        return bool(self._link.run("EXISTS", self._keys.random("pause", repr(what))))


# --- The application's own token -----------------------------------------------------------------


class StoredAppToken:
    """The application's own token, fetched by one process for all of them."""

    def __init__(self, keys: Keys, claims: Claims, link: Link, patience: float) -> None:
        self._keys = keys
        self._claims = claims
        self._link = link
        self._patience = patience
        self._name = f"{keys.prefix}app-token"

    def once(self, fetch: Callable[[], Fetched]) -> Fetched:
        """Return the token that is there, or what ``fetch`` returns and keep that.

        Without an answer of the store in time, ``fetch`` is called all the same: DingTalk gives
        everybody the same token. Raises what ``fetch`` raises.
        """
        try:
            mine, outcome, seconds = self._claims.claim(self._name, self._patience + 5)
        except (StoreUnavailable, TimeoutError):
            return fetch()
        if outcome is not None:
            known = self._opened(outcome, seconds)
            if known is not None:
                return known
        try:
            fetched = fetch()
        except BaseException:
            self._claims.release(self._name, mine)
            raise
        content = json.dumps([fetched.token.reveal(), fetched.ends_in - fetched.renew_in])
        sealed = self._keys.ring.sealer.seal(content.encode(), self._name.encode())
        with suppress(StoreUnavailable):
            self._link.run("SET", self._name, sealed, "PX", _ms(fetched.renew_in))
        return fetched

    def drop(self, token: Secret) -> None:
        """Forget ``token``, which DingTalk refused, unless another one is there already."""
        with suppress(StoreUnavailable):
            found = self._link.run("GET", self._name)
            known = None if found is None else self._opened(found, 1.0)
            if known is not None and known.token.reveal() == token.reveal():
                self._link.evaluate(_RELEASE, self._name, found)

    def _opened(self, sealed: bytes, seconds: float) -> Fetched | None:
        from ..api.directory import Fetched

        data = self._keys.ring.sealer.open(sealed.decode("ascii", "replace"), self._name.encode())
        if data is None:
            return None
        text, longer = json.loads(data)
        return Fetched(Secret(text), renew_in=seconds, ends_in=seconds + longer)
