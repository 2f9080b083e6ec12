"""How fast all processes together may exchange codes: ``pace`` in one script, by Redis's clock.

DingTalk allows an application 20 calls of one API per second in the standard edition. All calls are
seen here, so this begins to space them at that rate, before DingTalk refuses any; what it refuses
slows them down, and what it takes speeds them up: beyond 20 only after ten seconds without a
refusal, as in an edition that allows more.
[how-to-process-api-throttling-on-the-dingtalk-server]
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..errors import StoreUnavailable
from ..pace import Reservation

if TYPE_CHECKING:
    from .keys import Keys
    from .link import Link

#: Times are in milliseconds, rates in calls per second. ``rate`` is missing while there is nothing
#: to space; ``seen`` is when that began or DingTalk last refused a call, ``next`` when the next
#: call may be sent, ``turn`` the next turn to be given, ``sent`` and ``taken`` the calls of the
#: last second. The numbers are those of ``pace.py``.
_COMMON: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'rate', 'seen', 'next', 'turn', 'sent', 'taken')
local rate = tonumber(found[1] or '')
local seen = tonumber(found[2] or '') or 0
local next_call = tonumber(found[3] or '') or 0
local next_turn = tonumber(found[4] or '') or 0
local function within(text)
  local list = {}
  for each in string.gmatch(text or '', '%d+') do
    local moment = tonumber(each)
    if math.abs(now - moment) < 1000 then list[#list + 1] = moment end
  end
  return list
end
local function keep(...)
  redis.call('HSET', KEYS[1], ...)
  redis.call('PEXPIRE', KEYS[1], 120000)
end
local function text(number) return string.format('%.0f', number) end
"""
_RESERVE: Final = (
    _COMMON
    + """
local turn = tonumber(ARGV[1])
local sent = within(found[5])
local function send(moment)
  sent[#sent + 1] = text(moment)
  keep('sent', table.concat(sent, ' '))
end
if rate and now - seen >= 60000 then
  redis.call('HDEL', KEYS[1], 'rate', 'next', 'turn')
  rate, next_call, next_turn = nil, 0, 0
end
if not rate then
  if #sent < 20 then
    send(now)
    return {0, -1, -1}
  end
  rate = 19
  next_call = sent[#sent - 19] + 1000
  keep('rate', rate, 'seen', text(now))
end
local interval = 1000 / rate
-- People come back in bunches: two calls that nobody used may be made up for.
local due = math.max(next_call, now - 2 * interval)
local call_at = math.max(now, due)
local may_call = next_turn <= now or (turn >= 0 and turn <= now) or next_call + interval <= now
if may_call and call_at - now <= math.min(interval, 500) then
  send(call_at)
  keep('next', text(due + interval))
  return {call_at - now, -1, -1}
end
if turn < 0 then
  turn = math.max(next_turn, call_at)
  next_turn = math.min(turn + interval, now + 60000)
end
keep('next', text(next_call), 'turn', text(next_turn))
turn = math.min(turn, now + 60000)
return {-1, math.floor(turn), math.floor(turn - now)}
"""
)
_TAKEN: Final = (
    _COMMON
    + """
local taken = within(found[6])
taken[#taken + 1] = text(now)
keep('taken', table.concat(taken, ' '))
if rate and (rate < 19.5 or now - seen > 10000) then keep('rate', rate + 0.04) end
return 1
"""
)
_REFUSED: Final = (
    _COMMON
    + """
local measured = 0.95 * #within(found[6])
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
            self._link.evaluate(_TAKEN, self._name)

    def refused(self, now: float, retry_after: float) -> float:
        """Note that DingTalk refused a call for its limit; return a turn to try again at."""
        try:
            turn = self._link.evaluate(_REFUSED, self._name, round(retry_after * 1000))
        except StoreUnavailable:
            return time.time() + retry_after
        return int(turn) / 1000
