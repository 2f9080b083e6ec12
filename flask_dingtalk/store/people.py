"""The sign-ins of a person: to end them all, or to have them checked.

Sorted sets of names of sign-ins, scored by the moment they expire; all moments are by the clock of
Redis. DingTalk's events name people by their user id. An event also leaves news about its person
for ten minutes: a sign-in that is just being finished finds them, since it may be too early for the
index and too late for the answer that DingTalk gave it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final

from ..errors import StoreUnavailable

if TYPE_CHECKING:
    from ..login import Login
    from .keys import Keys
    from .link import Link

#: Seconds for which a sign-in under way finds what an event told.
_NEWS_LAST: Final = 600
#: So many sign-ins are treated in one round trip.
_AT_ONCE: Final = 500
#: Milliseconds after which somebody else marks everybody: whoever began may have been killed.
_LEASE: Final = 5000
#: Milliseconds for which it is known who asked for that; a day.
_MARKING_LASTS: Final = 86_400_000
#: Seconds for which one process waits while another one marks everybody.
_PATIENCE: Final = 2.0
#: Seconds between two looks.
_LOOK_AGAIN: Final = 0.05
_PERSON: Final = "person"
_MEMBER: Final = "member"
_NEWS: Final = "news"

#: Adds a name that expires after so many milliseconds, and drops those that have.
_ADD: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
#: As a script, since redis-py's Cluster would rewrite the answer to the plain command.
_PAGE: Final = "return redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])"
#: Leaves news, unless it is a change: that must not hide that the same people left.
_TELL: Final = """
if ARGV[1] == 'changed' and redis.call('GET', KEYS[1]) == 'left' then
  return redis.call('EXPIRE', KEYS[1], ARGV[2])
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
_MARK: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'c', ARGV[1])
return 1
"""

#: Of marking everybody: ``asked`` counts who asked for it, ``done`` is how many of them have had
#: it, and ``marked`` how many sign-ins that were; ``owner`` does it, until ``ends``.
_TURN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local asked, done, marked, owner, ends =
  unpack(redis.call('HMGET', KEYS[1], 'asked', 'done', 'marked', 'owner', 'ends'))
if tonumber(done or 0) >= tonumber(ARGV[1]) then return {'done', marked} end
if owner and owner ~= ARGV[2] and now < tonumber(ends) then return {'wait', 0} end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'ends', now + ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'mine', asked or ARGV[1]}
"""
_DONE: Final = """
if tonumber(redis.call('HGET', KEYS[1], 'done') or 0) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'done', ARGV[2], 'marked', ARGV[3])
end
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HDEL', KEYS[1], 'owner') end
return 1
"""


class News(Enum):
    """What an event said about somebody in the last ten minutes."""

    #: They left the organisation, or were changed so that they have to be asked about.
    LEFT = "left"
    #: Something about them was changed.
    CHANGED = "changed"


class People:
    """Whose sign-ins there are, by person (union id) and by member (user id)."""

    def __init__(self, link: Link, keys: Keys, lifetime: float) -> None:
        self._link = link
        self._keys = keys
        self._lifetime = lifetime
        self._everybody = f"{keys.prefix}everybody"

    def add(self, login: Login, key: str) -> None:
        """Add the sign-in with this name to the index, before it begins."""
        user = login.user
        indexes = [self._everybody, self._keys.known(_PERSON, user.union_id)[0]]
        if user.user_id is not None:
            indexes.append(self._keys.known(_MEMBER, user.user_id)[0])
        milliseconds = round(self._lifetime * 1000)
        self._link.run_all([("EVAL", _ADD, 1, index, key, milliseconds) for index in indexes])

    def end(self, login: Login, key: str) -> bool:
        """End the sign-in with this name; return false if it had ended before."""
        user = login.user
        indexes = [self._everybody, *self._keys.known(_PERSON, user.union_id)]
        if user.user_id is not None:
            indexes += self._keys.known(_MEMBER, user.user_id)
        removals = [("ZREM", index, key) for index in indexes]
        return bool(self._link.run_all([("DEL", key), *removals])[0])

    def end_all(self, union_id: str) -> int:
        """End every sign-in of a person; return how many there were."""
        return sum(self._end(index) for index in self._keys.known(_PERSON, union_id))

    def end_member(self, user_id: str) -> int:
        """End every sign-in of somebody who left the organisation; return how many there were.

        A sign-in that is just being finished asks DingTalk about the membership once more, and is
        refused if that is over: for ten minutes from now. To be called again after a failure; it
        does no harm twice.
        """
        self._tell(self._keys.known(_NEWS, user_id)[0], News.LEFT)
        return sum(self._end(index) for index in self._keys.known(_MEMBER, user_id))

    def end_everybody(self) -> int:
        """End every sign-in of this site; return how many there were.

        For ten minutes from now, whoever signs in is asked about twice, as after ``end_member``.
        """
        self._tell(f"{self._everybody}:{_NEWS}", News.LEFT)
        return self._end(self._everybody)

    def mark_member(self, user_id: str) -> int:
        """Have every sign-in of a member checked; return how many there were.

        The next guarded request of each asks DingTalk, whatever ``DINGTALK_REVALIDATE_AFTER`` says.
        ``DINGTALK_REVALIDATE_GRACE`` counts from now. A mark goes once DingTalk has answered a
        check that began after it.
        """
        self._tell(self._keys.known(_NEWS, user_id)[0], News.CHANGED)
        return sum(self._mark(index) for index in self._keys.known(_MEMBER, user_id))

    def mark_everybody(self) -> int:
        """Have every sign-in of this site checked, as ``mark_member`` does; return how many.

        Takes some 20 ms for a thousand sign-ins. Of many who ask at once, in whatever process, one
        does it for all who asked before it began. Raises ``StoreUnavailable`` if another process
        takes too long.
        """
        self._tell(f"{self._everybody}:{_NEWS}", News.CHANGED)
        marking, mine = f"{self._everybody}:marking", secrets.token_hex(8)
        number = self._link.run("HINCRBY", marking, "asked", 1)
        give_up_at = time.monotonic() + _PATIENCE
        while True:
            turn, found = self._link.evaluate(_TURN, marking, number, mine, _LEASE, _MARKING_LASTS)
            if turn == b"done":
                return int(found)
            if turn == b"mine":
                return self._mark_for_all_who_asked(marking, mine, found)
            if time.monotonic() > give_up_at:
                raise StoreUnavailable("another process has been marking sign-ins for some seconds")
            time.sleep(_LOOK_AGAIN)

    def _mark_for_all_who_asked(self, marking: str, mine: str, asked: bytes) -> int:
        try:
            marked = self._mark(self._everybody)
        except BaseException:
            with suppress(StoreUnavailable):
                # Nobody has had it: the next one need not wait for an end that will not come.
                self._link.evaluate(_DONE, marking, mine, 0, 0)
            raise
        self._link.evaluate(_DONE, marking, mine, asked, marked)
        return marked

    def news_of(self, user_id: str) -> News | None:
        """Return what events said about a member lately; to be asked once a sign-in is open."""
        names = [*self._keys.known(_NEWS, user_id), f"{self._everybody}:{_NEWS}"]
        found = self._link.run_all([("GET", name) for name in names])
        for news in News:
            if news.value.encode() in found:
                return news
        return None

    def mark(self, login: Login) -> None:
        """Have one sign-in checked at its next guarded request."""
        self._link.evaluate(_MARK, self._keys.random("login", login.id), _new_mark())

    def _tell(self, name: str, news: News) -> None:
        self._link.evaluate(_TELL, name, news.value, _NEWS_LAST)

    def _end(self, index: str) -> int:
        ended = 0
        for names in self._names(index):
            answers = self._link.run_all([("DEL", name) for name in names])
            gone = [name for name, answer in zip(names, answers, strict=True) if answer]
            ended += len(gone)
            # The others stay in the index until they expire: their records may be about to come.
            if gone:
                self._link.run("ZREM", index, *gone)
        return ended

    def _mark(self, index: str) -> int:
        marked = 0
        for names in self._names(index):
            mark = _new_mark()
            marked += sum(self._link.run_all([("EVAL", _MARK, 1, name, mark) for name in names]))
        return marked

    def _names(self, index: str) -> Iterator[list[bytes]]:
        # Page by page: everybody may be many. Some may come twice, which does no harm.
        cursor = b"0"
        while True:
            cursor, found = self._link.evaluate(_PAGE, index, cursor, _AT_ONCE)
            if names := found[::2]:
                yield names
            if cursor == b"0":
                return


def _new_mark() -> str:
    """Return a mark: when it was made, in Unix time, and something that no other mark has."""
    return f"{time.time():.0f}.{secrets.token_hex(8)}"


def marked_at(mark: str) -> float:
    """Return when a mark was made, in Unix time; 0 for anything else."""
    seconds = mark.partition(".")[0]
    return float(seconds) if seconds.isdecimal() and len(seconds) < 16 else 0.0
