"""A bounded memory that threads share: what does not fit pushes out what came first."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedDict(Generic[Key, Value]):
    """A dictionary of at most ``size`` entries."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: dict[Key, Value] = {}
        #: Look a key up, ``None`` if it is not there; the dictionary's own method, as pages wait.
        self.get = self._entries.get

    def put(self, key: Key, value: Value) -> None:
        """Keep ``value`` under ``key``, forgetting the oldest entry where there is no room."""
        with self._lock:
            if key not in self._entries and len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = value

    def forget(self, key: Key) -> None:
        """Forget one entry, if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
