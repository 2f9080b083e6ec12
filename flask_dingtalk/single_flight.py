"""Do a piece of work once for everybody who asks for it at the same time, within one process."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .errors import DingTalkError, DingTalkUnavailable

Outcome = TypeVar("Outcome")


class _Flight(Generic[Outcome]):
    """One piece of work under way, and later what came of it."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.over = threading.Event()
        #: At most one of the two. Neither: the thread that did the work was killed, or it has a
        #: bug, which is nobody else's.
        self.outcome: tuple[Outcome] | None = None
        self.error: DingTalkError | None = None


class SingleFlight(Generic[Outcome]):
    """The first to ask for something does the work; those who ask meanwhile wait for its outcome.

    So a DingTalk that does not answer is waited for once, not once for each of them in turn. When
    the work is over, the next to ask starts it again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, _Flight[Outcome]] = {}

    def run(self, key: Hashable, work: Callable[[], Outcome], patience: float) -> Outcome:
        """Return what ``work`` returns, or raise what it raises.

        Those who wait get a copy of a ``DingTalkError``, which shows nothing of the request that
        did the work. They wait ``patience`` seconds at most, then ``DingTalkUnavailable`` is raised
        (timed out). If the thread that did the work was killed or failed with anything else, one of
        them does it anew. Work that asks for itself again is a ``RuntimeError``.
        """
        give_up_at = time.monotonic() + patience
        mine: _Flight[Outcome] = _Flight()
        try:
            while (flight := self._join(key, mine)) is not mine:
                _wait(flight, give_up_at)
                if flight.outcome is not None:
                    return flight.outcome[0]
                if flight.error is not None:
                    raise copy_of(flight.error)
            outcome = work()
            mine.outcome = (outcome,)
            return outcome
        except DingTalkError as error:
            mine.error = copy_of(error)
            raise
        finally:
            self._end(key, mine)

    def _join(self, key: Hashable, mine: _Flight[Outcome]) -> _Flight[Outcome]:
        """Return the work under way for ``key``, which is ``mine`` if there was none."""
        with self._lock:
            return self._under_way.setdefault(key, mine)

    def _end(self, key: Hashable, mine: _Flight[Outcome]) -> None:
        with self._lock:
            if self._under_way.get(key) is mine:
                del self._under_way[key]
        mine.over.set()


def copy_of(error: DingTalkError) -> DingTalkError:
    """Copy an error for another request, without the traceback and causes of this one."""
    copied = copy.copy(error)
    copied.__dict__.pop("__notes__", None)
    return copied


def _wait(flight: _Flight[Outcome], give_up_at: float) -> None:
    if flight.thread == threading.get_ident():
        raise RuntimeError("this work asks for itself again: it would wait for itself for ever")
    if not flight.over.wait(max(give_up_at - time.monotonic(), 0)):
        raise DingTalkUnavailable(
            "another request asks DingTalk the same, and got no answer in time", timed_out=True
        )
