"""How fast one process may exchange codes, learned from what DingTalk refuses.

DingTalk allows an application so many calls of one API per second (20 in the standard edition) and
refuses the rest. The limit is shared by all processes and known to none of them. So each process
measures how many of its calls got through in the second before a refusal, keeps to a little less,
and speeds up slowly again. Visitors who have to wait get a turn: the moment at which there will be
room for them. They come back then, on whatever process, and need not queue again.
[how-to-process-api-throttling-on-the-dingtalk-server]
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import Final

#: Calls per second; the slowest pace.
_SLOWEST: Final = 0.5
#: After a first refusal, at least so many: a quiet process has nothing to measure.
_FIRST: Final = 5.0
#: After a refusal, the share of the measured rate to go on with.
_CAUTION: Final = 0.95
#: A further refusal slows down to this share of the rate at most.
_BRAKE: Final = 0.7
#: How much faster each call that DingTalk accepts makes the next ones, in calls per second.
_SPEED_UP: Final = 0.04
#: Seconds without a refusal after which the pace is forgotten.
_FORGET_AFTER: Final = 60.0
#: Seconds after which the last turn is given; everybody later gets the same one.
_LAST_TURN: Final = 60.0
#: Seconds for which a thread waits until a call may be sent, at most.
_PATIENCE: Final = 0.5
#: Seconds over which accepted calls are counted.
_WINDOW: Final = 1.0


class Pace:
    """Spaces the calls of one process; all times are Unix times in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Calls per second, or ``None`` while DingTalk has refused nothing lately.
        self._rate: float | None = None
        self._refused_at = 0.0
        self._accepted: deque[float] = deque()
        #: When the next call may be sent.
        self._next_call = 0.0
        #: The next turn to be given to somebody who has to wait.
        self._next_turn = 0.0

    def reserve(self, now: float, turn: float | None) -> Reservation:
        """Reserve a call.

        ``turn`` is the turn that the visitor was given before, or ``None``. Returns when to call,
        in less than a second from now, or a turn to come back at.
        """
        with self._lock:
            if self._rate is None or not 0 <= now - self._refused_at < _FORGET_AFTER:
                # Also after a clock was set back.
                self._rate = None
                self._next_call = self._next_turn = 0.0
                return Reservation(call_in=0.0)
            interval = 1 / self._rate
            call_at = max(now, self._next_call)
            may_call = (
                # Nobody waits for a turn.
                self._next_turn <= now
                or (turn is not None and turn <= now)
                # A call was left unused: the queue of another process may be longer than ours.
                or self._next_call + interval <= now
            )
            # For one interval: then no more than one thread sleeps, however fast the pace.
            if may_call and call_at - now <= min(interval, _PATIENCE):
                self._next_call = call_at + interval
                return Reservation(call_in=call_at - now)
            if turn is None:
                turn = max(self._next_turn, call_at)
                # People who never come back must not delay everybody else.
                self._next_turn = min(turn + interval, now + _LAST_TURN)
            turn = min(turn, now + _LAST_TURN)
            return Reservation(turn=turn, wait=turn - now)

    def accepted(self, now: float) -> None:
        """Note that DingTalk took a call, whatever it answered."""
        with self._lock:
            self._accepted.append(now)
            self._forget_old(now)
            if self._rate is not None:
                self._rate += _SPEED_UP

    def profile(self) -> AbstractContextManager[None]:
        """Ask for a profile within this: one process knows too little to wait before."""
        return nullcontext()

    def lost(self, now: float) -> None:
        """Note that a call is over, and that nobody knows whether it came to DingTalk."""

    def refused(self, now: float, retry_after: float) -> float:
        """Note that DingTalk refused a call for its limit; return a turn to try again at."""
        with self._lock:
            self._forget_old(now)
            measured = _CAUTION * len(self._accepted) / _WINDOW
            if self._rate is None:
                self._rate = max(_FIRST, measured)
            else:
                self._rate = max(_SLOWEST, min(self._rate, max(_BRAKE * self._rate, measured)))
            self._refused_at = now
            # This second is used up. Do not spend the next one all at once either.
            self._next_call = max(self._next_call, now + 0.5 / self._rate)
            return now + retry_after

    def _forget_old(self, now: float) -> None:
        while self._accepted and not 0 <= now - self._accepted[0] <= _WINDOW:
            self._accepted.popleft()


class Reservation:
    """Either the seconds until a call (``call_in``), or a turn to come back at.

    ``turn`` is a moment by the clock of whoever gives it, and ``wait`` the seconds until then.
    """

    __slots__ = ("call_in", "turn", "wait")

    def __init__(
        self, *, call_in: float = 0.0, turn: float | None = None, wait: float = 0.0
    ) -> None:
        self.call_in = call_in
        self.turn = turn
        self.wait = wait
