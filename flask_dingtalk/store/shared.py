"""Everything that the processes of one app share, with the face of ``Memory``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..memory import Memory
from .events import Events
from .keys import Keys, Secrets
from .logins import StoredLogins
from .once import (
    Claims,
    StoredAppToken,
    StoredCallbacks,
    StoredChecks,
    StoredPauses,
    StoredRefreshes,
)
from .pace import StoredPace
from .people import People

if TYPE_CHECKING:
    from ..settings import Settings
    from .link import Link


class Store:
    """The store of one app, as one process sees it.

    What only saves work within one process (failures of an address) stays in that process.
    """

    def __init__(self, link: Link, keys: Keys, settings: Settings, local: Memory) -> None:
        #: The way to the server.
        self.link = link
        self._keys = keys
        self._settings = settings
        self._local = local
        self.people = People(link, keys, settings.sign_in_lifetime)
        self.events = Events(link, keys)
        self.logins = StoredLogins(link, keys, self.people, settings.sign_in_lifetime)
        claims = Claims(link)
        patience = sum(settings.timeout)
        # From one step of a sign-in to the next, DingTalk is called up to three times.
        lease = 3 * patience + 5
        self.callbacks = StoredCallbacks(link, keys, settings.state_lifetime, lease)
        self.refreshes = StoredRefreshes(link, keys, claims)
        self.checks = StoredChecks(keys, claims)
        self.pauses = StoredPauses(link, keys)
        self.pace = StoredPace(link, keys)
        self.app_token = StoredAppToken(keys, claims, link, patience)
        self.failures = local.failures

    @classmethod
    def begin(cls, link: Link, settings: Settings, secrets: Callable[[], Secrets]) -> Store:
        """Return the store behind ``link``; opens no connection."""
        keys = Keys(settings.client_id, secrets)
        return cls(link, keys, settings, Memory(settings.state_lifetime))

    def after_fork(self) -> Store:
        """Return the store of a forked process, with separate connections."""
        return Store(
            self.link.after_fork(),
            self._keys.after_fork(),
            self._settings,
            self._local.after_fork(),
        )
