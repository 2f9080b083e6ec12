"""A dictionary of limited size that threads share: when it is full, the oldest entry goes."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, Self, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedDict(Generic[Key, Value]):
    """A dictionary of at most ``size`` entries, ordered by their last ``put``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: dict[Key, Value] = {}
        #: Return the value for a key, or ``None``. The dictionary's own method, for speed.
        self.get = self._entries.get

    def put(self, key: Key, value: Value) -> None:
        """Store ``value`` under ``key`` as the newest entry; drop the oldest if it is full."""
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = value
            if len(self._entries) > self._size:
                del self._entries[next(iter(self._entries))]

    def forget(self, key: Key) -> None:
        """Drop an entry, if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def copy(self) -> Self:
        """Return a copy with its own lock, for a forked process: its parent's may stay locked."""
        twin = type(self)(self._size)
        twin._entries.update(self._entries)
        return twin
