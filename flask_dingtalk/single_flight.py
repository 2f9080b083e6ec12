"""Do a piece of work once for all who ask for it at the same time, within one process."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

from .errors import DingTalkError, DingTalkUnavailable

Outcome = TypeVar("Outcome")


class SingleFlight(Generic[Outcome]):
    """Those who come while a piece of work is under way share its outcome, error included.

    So a DingTalk that does not answer is waited for once, and not once for each of them in turn.
    Who comes later starts it again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[Outcome]] = {}

    def run(self, key: Hashable, work: Callable[[], Outcome], patience: float = 13) -> Outcome:
        """Return what ``work`` returns, or raise what it raises."""
        with self._lock:
            future = self._under_way.get(key)
            first = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if not first:
            try:
                return future.result(patience)
            except DingTalkError as error:
                # Each request has an exception of its own: it will be given a page of its own.
                raise copy.copy(error) from error
            except TimeoutError:
                raise DingTalkUnavailable("waited too long", timed_out=True) from None
            except CancelledError:
                return self.run(key, work, patience)
        try:
            outcome = work()
        except Exception as error:
            self._end(key)
            future.set_exception(error)
            raise
        except BaseException:
            # This request was killed (KeyboardInterrupt, GreenletExit); those who wait were not.
            self._end(key)
            future.cancel()
            raise
        self._end(key)
        future.set_result(outcome)
        return outcome

    def _end(self, key: Hashable) -> None:
        with self._lock:
            del self._under_way[key]
