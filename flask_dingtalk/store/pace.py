"""How fast all processes together may exchange codes: ``pace`` in one script, by Redis's clock.

DingTalk allows an application 20 calls of one API per second in the standard edition. All calls are
seen here, so no second has more of them, wherever it begins: from its permission until a second
after its answer, a call takes one of 20 places. Whatever holds it up on its way to DingTalk, it
arrives while it has the place. Within that, calls are spaced, slower than that if DingTalk refuses
some, and faster only after half a minute without a refusal, as in an edition that allows more.
[how-to-process-api-throttling-on-the-dingtalk-server]
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from ..errors import StoreUnavailable
from ..pace import Reservation

if TYPE_CHECKING:
    from .keys import Keys
    from .link import Link

#: Times are in milliseconds, rates in calls per second. ``rate`` is missing while there is nothing
#: to space; ``seen`` is when that began or DingTalk last refused a call, ``next`` when the next
#: call may be sent, ``turn`` the next turn to be given, ``air`` the calls that have no answer yet,
#: ``over`` those that had one in the last second, and ``lag`` how long an answer takes; ``asking``
#: and ``told`` are those of the profile. Some numbers are those of ``pace.py``.
_COMMON: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call(
  'HMGET', KEYS[1], 'rate', 'seen', 'next', 'turn', 'air', 'over', 'lag', 'asking', 'told'
)
local rate = tonumber(found[1] or '')
local seen = tonumber(found[2] or '') or 0
local next_call = tonumber(found[3] or '') or 0
local next_turn = tonumber(found[4] or '') or 0
local lag = tonumber(found[7] or '') or 0
local function within(text, milliseconds)
  local list = {}
  for each in string.gmatch(text or '', '%d+') do
    local moment = tonumber(each)
    if math.abs(now - moment) < milliseconds then list[#list + 1] = moment end
  end
  return list
end
-- Whoever was killed in the middle of a call does not keep its place.
local air, over = within(found[5], 20000), within(found[6], 1000)
local function keep(...)
  redis.call('HSET', KEYS[1], ...)
  redis.call('PEXPIRE', KEYS[1], 120000)
end
local function text(number) return string.format('%.0f', number) end
local function joined(list)
  local texts = {}
  for i, each in ipairs(list) do texts[i] = text(each) end
  return table.concat(texts, ' ')
end
local function add(name, list, moment)
  list[#list + 1] = moment
  keep(name, joined(list))
end
-- Which call has its answer does not matter: the places are all alike.
local function land()
  local sent = table.remove(air, 1)
  if sent then
    keep('air', joined(air), 'lag', lag + 0.1 * (math.max(now - sent, 0) - lag))
  end
end
"""
_RESERVE: Final = (
    _COMMON
    + """
local turn = tonumber(ARGV[1])
if rate and now - seen >= 60000 and next_turn <= now then
  redis.call('HDEL', KEYS[1], 'rate', 'next', 'turn')
  rate, next_call, next_turn = nil, 0, 0
end
local places = math.max(20, math.floor(rate or 0))
local too_many = #air + #over + 1 - places
if not rate then
  if too_many <= 0 then
    add('air', air, now)
    return {0, -1, -1}
  end
  rate = 19
  keep('rate', rate, 'seen', text(now))
end
local interval = math.max(1000 / rate, (1000 + math.min(lag, 1000)) / places)
-- People come back in bunches: two calls that nobody used may be made up for.
local due = math.max(next_call, now - 2 * interval)
local call_at = math.max(now, due)
if too_many > 0 then
  -- Nobody knows when a call in the air will be over.
  call_at = math.max(call_at, (over[too_many] or now + 1000) + 1000)
end
local may_call = next_turn <= now or (turn >= 0 and turn <= now) or next_call + interval <= now
-- In all processes, some four threads may sleep until their call.
if may_call and call_at - now <= math.min(4 * interval, 500) then
  add('air', air, call_at)
  keep('next', text(due + interval))
  -- A turn less to give: otherwise more people come back than there are places.
  if turn < 0 and next_turn > now then keep('turn', text(next_turn + interval)) end
  return {math.ceil(call_at - now), -1, -1}
end
if turn < 0 then
  turn = math.max(next_turn, math.max(now, due))
  -- A little closer than there is room: some come back later than their turn, or never.
  next_turn = math.min(turn + 0.97 * interval, now + 60000)
end
keep('next', text(next_call), 'turn', text(next_turn))
turn = math.min(turn, now + 60000)
return {-1, math.floor(turn), math.floor(turn - now)}
"""
)
#: The profile is another API, with a separate limit; who has tokens need not go away again.
_ASK: Final = (
    _COMMON
    + """
local asking, told = within(found[8], 20000), within(found[9], 1000)
local too_many = #asking + #told + 1 - math.max(20, math.floor(rate or 0))
local call_at = now
if too_many > 0 then call_at = math.max(now, (told[too_many] or now) + 1000) end
add('asking', asking, call_at)
return call_at - now
"""
)
_TOLD: Final = (
    _COMMON
    + """
local asking, told = within(found[8], 20000), within(found[9], 1000)
table.remove(asking, 1)
keep('asking', joined(asking))
add('told', told, now)
return 1
"""
)
_OVER: Final = (
    _COMMON
    + """
land()
add('over', over, now)
if ARGV[1] == 'taken' and rate then
  -- Beyond what is documented, no further than one call a second more than were taken.
  local may_try = next_turn > now and now - seen > 30000 and rate < #over + 1
  if rate < 19.5 then keep('rate', rate + 0.04) elseif may_try then keep('rate', rate + 0.02) end
end
return 1
"""
)
_REFUSED: Final = (
    _COMMON
    + """
local measured = 0.95 * #over
land()
add('over', over, now)
if rate then
  rate = math.max(0.5, math.min(rate, math.max(0.7 * rate, measured)))
else
  rate = math.max(5, measured)
end
keep('rate', rate, 'seen', text(now), 'next', text(math.max(next_call, now + 500 / rate)))
return text(now + ARGV[1])
"""
)


class StoredPace:
    """Spaces the calls of all processes. Moments are by the clock of Redis, in Unix time."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._name = f"{keys.prefix}pace"

    def reserve(self, now: float, turn: float | None) -> Reservation:
        """Reserve a call; ``turn`` is the turn that the visitor was given before, or ``None``."""
        asked = -1 if turn is None else round(turn * 1000)
        call_in, given, wait = self._link.evaluate(_RESERVE, self._name, asked)
        if given < 0:
            return Reservation(call_in=call_in / 1000)
        return Reservation(turn=given / 1000, wait=wait / 1000)

    def accepted(self, now: float) -> None:
        """Note that DingTalk took a call, whatever it answered."""
        # The tokens that came of it must not be lost for this.
        with suppress(StoreUnavailable):
            self._link.evaluate(_OVER, self._name, "taken")

    def lost(self, now: float) -> None:
        """Note that a call is over, and that nobody knows whether it came to DingTalk."""
        with suppress(StoreUnavailable):
            self._link.evaluate(_OVER, self._name, "lost")

    @contextmanager
    def profile(self) -> Iterator[None]:
        """Wait for up to a second until there is room to ask for a profile, and ask within this."""
        seconds = 0.0
        with suppress(StoreUnavailable):
            seconds = self._link.evaluate(_ASK, self._name) / 1000
        try:
            time.sleep(seconds)
            yield
        finally:
            with suppress(StoreUnavailable):
                self._link.evaluate(_TOLD, self._name)

    def refused(self, now: float, retry_after: float) -> float:
        """Note that DingTalk refused a call for its limit; return a turn to try again at."""
        try:
            turn = self._link.evaluate(_REFUSED, self._name, round(retry_after * 1000))
        except StoreUnavailable:
            return time.time() + retry_after
        return int(turn) / 1000
