"""Who is signed in, one hash each: ``u`` user and time of the check, ``t`` tokens, ``c`` a mark.

Whoever changes something says what was there before, and finds out if that is not so any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..bounded_dict import BoundedDict
from ..codec import pack, pack_token, unpack, unpack_token
from ..errors import StoreUnavailable
from ..login import Login

if TYPE_CHECKING:
    from ..api.models import DingTalkToken
    from .keys import Keys
    from .link import Link, Prepared
    from .people import People

#: What the session keeps: this, and the id of a sign-in. A sealed login never begins so.
_SIGN: Final = "@"
_ID: Final = re.compile(r"@[\w-]{16}", re.ASCII)
_USER: Final = "u"
_TOKENS: Final = "t"
_MARK: Final = "c"
#: In the order in which ``_opened`` takes them.
_FIELDS: Final = (_USER, _TOKENS, _MARK)
#: Commands for the sign-ins that were read last.
_COMMANDS: Final = 1024
#: So often a change is tried while others change the same sign-in.
_TRIES: Final = 20

_CREATE: Final = """
redis.call('HSET', KEYS[1], 'u', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
#: For each three arguments: a field, what was read from it, and what it is to be.
_SWAP: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
for i = 1, #ARGV, 3 do
  local found = redis.call('HGET', KEYS[1], ARGV[i]) or ''
  if found ~= ARGV[i + 1] and found ~= ARGV[i + 2] then return 0 end
end
for i = 1, #ARGV, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return 1
"""
_CLEAR_MARK: Final = """
if redis.call('HGET', KEYS[1], 'c') == ARGV[1] then redis.call('HDEL', KEYS[1], 'c') end
return 1
"""


class StoredLogins:
    """The sign-ins of all processes."""

    def __init__(self, link: Link, keys: Keys, people: People, lifetime: float) -> None:
        self._link = link
        self._keys = keys
        self._people = people
        self._lifetime = lifetime
        self._commands: BoundedDict[str, tuple[str, Prepared]] = BoundedDict(_COMMANDS)

    def text(self, login: Login) -> str:
        """Return what the session keeps of a login."""
        return _SIGN + login.id

    def create(self, login: Login) -> None:
        """Keep a new login for as long as a sign-in may last."""
        key = self._key(login.id)
        # First the index: whoever ends this person's sign-ins has to find this one.
        self._people.add(login, key)
        token = "" if login.token is None else self._sealed_token(key, login.token)
        milliseconds = round(self._lifetime * 1000)
        self._link.evaluate(_CREATE, key, milliseconds, self._sealed_user(key, login), token)

    def find(self, text: str) -> Login | None:
        """Return the login for what a session keeps; ``None`` if it has ended or is unreadable."""
        cached = self._commands.get(text)
        if cached is None:
            if not _ID.fullmatch(text):
                return None
            key = self._key(text[1:])
            cached = (key, self._link.prepared("HMGET", key, *_FIELDS))
            self._commands.put(text, cached)
        key, command = cached
        return self._opened(key, *self._link.ask(command))

    def is_unreadable(self, text: str) -> bool:
        """Tell whether a session keeps anything but an id, or one whose login cannot be opened."""
        if not _ID.fullmatch(text):
            return True
        key = self._key(text[1:])
        found = self._link.run("HMGET", key, *_FIELDS)
        return found[0] is not None and self._opened(key, *found) is None

    def read(self, login: Login, now: float) -> Login | None:
        """Return what ``login`` is now, or ``None`` if it has ended."""
        return self.find(_SIGN + login.id)

    def update(self, base: Login, login: Login, now: float) -> Login | None:
        """Keep how ``login`` differs from ``base``; return it with what others changed meanwhile.

        What others changed since ``base`` was read stays as they left it. Returns ``None`` if the
        login has ended: it stays so.
        """

        def merged(known: Login) -> Login:
            if _user(known) == _user(base):
                known = replace(known, user=login.user, checked_at=login.checked_at)
            if known.token == base.token:
                known = replace(known, token=login.token)
            return known

        return self._change(login.id, merged)

    def update_token(self, base: Login, token: DingTalkToken, now: float) -> Login | None:
        """Keep the pair of tokens that follows the one of ``base``, and change nothing else.

        Returns what the login is then, or ``None`` if it has ended.
        """

        def merged(known: Login) -> Login:
            return replace(known, token=token) if known.token == base.token else known

        return self._change(base.id, merged)

    def clear_mark(self, login: Login) -> None:
        """Take away the mark that ``login`` had when it was read, if no other came since."""
        if login.mark is not None:
            self._link.evaluate(_CLEAR_MARK, self._key(login.id), login.mark)

    def end(self, login: Login) -> bool:
        """End a login for good; return false if it had ended before."""
        return self._people.end(login, self._key(login.id))

    def _change(self, login_id: str, merged: Callable[[Login], Login]) -> Login | None:
        key = self._key(login_id)
        for _ in range(_TRIES):
            user, tokens, mark = self._link.run("HMGET", key, *_FIELDS)
            known = self._opened(key, user, tokens, mark)
            if known is None:
                return None
            wanted = merged(known)
            changes: list[bytes | str] = []
            if _user(wanted) != _user(known):
                changes += [_USER, user, self._sealed_user(key, wanted)]
                if wanted.user.user_id != known.user.user_id:
                    self._people.add(wanted, key)
            if wanted.token != known.token and wanted.token is not None:
                changes += [_TOKENS, tokens or b"", self._sealed_token(key, wanted.token)]
            if not changes:
                return wanted
            answer = self._link.evaluate(_SWAP, key, *changes)
            if answer != 0:
                return wanted if answer == 1 else None
        raise StoreUnavailable("too many requests change one sign-in at once")

    def _opened(
        self, key: str, user: bytes | None, tokens: bytes | None, mark: bytes | None
    ) -> Login | None:
        if user is None:
            return None
        ring = self._keys.ring
        login = ring.opened.get((key, user, tokens))
        if login is None:
            login = self._open(key, user, tokens)
            if login is None:
                return None
            ring.opened.put((key, user, tokens), login)
        return login if mark is None else replace(login, mark=mark.decode("utf-8", "replace"))

    def _open(self, key: str, user: bytes, tokens: bytes | None) -> Login | None:
        sealer = self._keys.ring.sealer
        data = sealer.open(user.decode("ascii", "replace"), _place(key, _USER))
        login = None if data is None else unpack(data)
        if login is None or self._key(login.id) != key:
            return None
        if tokens is None:
            return login
        data = sealer.open(tokens.decode("ascii", "replace"), _place(key, _TOKENS))
        token = None if data is None else unpack_token(data)
        return None if token is None else replace(login, token=token)

    def _key(self, login_id: str) -> str:
        return self._keys.random("login", login_id)

    def _sealed_user(self, key: str, login: Login) -> str:
        data = pack(replace(login, token=None))
        return self._keys.ring.sealer.seal(data, _place(key, _USER))

    def _sealed_token(self, key: str, token: DingTalkToken) -> str:
        return self._keys.ring.sealer.seal(pack_token(token), _place(key, _TOKENS))


def _user(login: Login) -> tuple[object, ...]:
    # The raw profile does not take part in comparing users.
    return login.user, login.user.raw, login.checked_at


def _place(key: str, field: str) -> bytes:
    return f"{key}\x00{field}".encode()
