"""Which of DingTalk's events came before: it sends one again if our answer was late or got lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .keys import Keys
    from .link import Link

#: Seconds for which an event is remembered.
_REMEMBERED: Final = 86_400


class Events:
    """The ids of events that were acted on, by whatever process.

    Act first and remember afterwards: an event is lost if what remembers it fails half-way.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    def seen(self, event_id: str) -> bool:
        """Tell whether an event was acted on within the last day."""
        return bool(self._link.run("EXISTS", self._keys.random("event", event_id)))

    def remember(self, event_id: str) -> None:
        """Note that an event was acted on."""
        self._link.run("SET", self._keys.random("event", event_id), "1", "EX", _REMEMBERED)
