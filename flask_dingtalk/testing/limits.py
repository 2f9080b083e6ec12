"""Limits on how often an endpoint may be called, as DingTalk sets them for each application."""

import time
from collections import defaultdict, deque
from typing import Final

#: Seconds over which calls are counted, by the computer's clock. [call-frequency-limit]
WINDOW: Final = 1.0


class Limits:
    """Counts calls by endpoint, and lets through as many per second as its limit says."""

    def __init__(self) -> None:
        self._per_second: dict[str, int] = {}
        self._let_through: defaultdict[str, deque[float]] = defaultdict(deque)

    def set(self, endpoint: str, per_second: int | None) -> None:
        """Limit an endpoint, ``None`` for no limit; `ValueError` if the number is less than one."""
        if per_second is not None and per_second < 1:
            raise ValueError("per_second must be a positive number, or None for no limit.")
        self._let_through.pop(endpoint, None)
        if per_second is None:
            self._per_second.pop(endpoint, None)
        else:
            self._per_second[endpoint] = per_second

    def clear(self) -> None:
        """Remove all limits."""
        self._per_second.clear()
        self._let_through.clear()

    def lets_through(self, endpoint: str) -> bool:
        """Tell whether a call is within the limit; calls over the limit do not count."""
        per_second = self._per_second.get(endpoint)
        if per_second is None:
            return True
        # Real time, not the simulator's clock: a client that is throttled waits in real time.
        now = time.monotonic()
        recent = self._let_through[endpoint]
        while recent and recent[0] <= now - WINDOW:
            recent.popleft()
        if len(recent) >= per_second:
            return False
        recent.append(now)
        return True
