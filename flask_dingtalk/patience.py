"""For how long one process may keep callers waiting for something that they can do without."""

from __future__ import annotations

import threading
from typing import Final

#: Of any time, the share that may be spent on waiting.
_SHARE: Final = 0.1


class Patience:
    """Some seconds, which only one waits at a time, and which come back slowly.

    Whoever waits while nothing else happens has all of them. In a crowd, hardly anybody waits: each
    would hold a thread that the next one needs.
    """

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._most = self._left = seconds
        self._since = float("-inf")

    def take(self, now: float) -> float:
        """Return for how many seconds to wait; ``now`` is of a clock that is never set back."""
        with self._lock:
            seconds = min(self._most, self._left + _SHARE * max(now - self._since, 0.0))
            self._left, self._since = 0.0, now
            return seconds

    def give_back(self, seconds: float) -> None:
        """Give back what was not needed of what was taken."""
        with self._lock:
            self._left = min(self._most, self._left + max(seconds, 0.0))
