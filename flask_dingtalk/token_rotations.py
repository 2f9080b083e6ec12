"""Which pair of tokens came after which, so that each is renewed once.

DingTalk replaces the refresh token at each refresh and forgets the old one. Requests that still
carry the old pair (another tab, a cookie that was on its way) find its successor here instead of
spending a token that is dead. Within one process; another process gets an error for that one call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .api.models import DingTalkToken
from .bounded_dict import BoundedDict
from .single_flight import SingleFlight

#: Seconds to wait for a refresh that another request makes.
_PATIENCE: Final = 30
#: Pairs remembered in one process; the oldest is forgotten first.
_REMEMBERED: Final = 2048


class TokenRotations:
    """What became of each pair that was refreshed in this process."""

    def __init__(self) -> None:
        self._single_flight: SingleFlight[DingTalkToken] = SingleFlight()
        self._successors: BoundedDict[DingTalkToken, DingTalkToken] = BoundedDict(_REMEMBERED)

    def latest(self, token: DingTalkToken) -> DingTalkToken:
        """Return the newest pair known to descend from ``token``, or ``token`` itself."""
        while (successor := self._successors.get(token)) is not None:
            token = successor
        return token

    def renew(
        self, token: DingTalkToken, refresh: Callable[[DingTalkToken], DingTalkToken]
    ) -> DingTalkToken:
        """Return a pair newer than ``token``, calling ``refresh`` only if nobody else did or does.

        Raises what ``refresh`` raises.
        """

        def work() -> DingTalkToken:
            # Somebody may have been quicker between the question and this moment.
            newest = self.latest(token)
            if newest != token:
                return newest
            renewed = refresh(token)
            if renewed != token:
                # The newest has no successor: one from before would close a circle.
                self._successors.forget(renewed)
                self._successors.put(token, renewed)
            return renewed

        return self._single_flight.run(token, work, _PATIENCE)
