"""The central noun: one sign-in of one person in one browser."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import Final, Self

from .api.models import DingTalkToken, DingTalkUser

_ID_BYTES: Final = 12
#: Seconds by which the clocks of several servers may differ.
_CLOCK_TOLERANCE: Final = 60


@dataclass(frozen=True, slots=True)
class Login:
    """Who is signed in, since when, and the tokens to act as them, if there are any.

    A login begins with a random ``id`` that it keeps while user, tokens and time of the check
    change. Once that id has ended, no copy of the login is accepted any more.
    """

    id: str
    user: DingTalkUser
    token: DingTalkToken | None
    #: When the person signed in, in whole seconds of Unix time.
    since: int
    #: When DingTalk last vouched for the user, in whole seconds of Unix time.
    checked_at: int
    #: What says that an event of DingTalk's makes a check due, whenever the last one was. It is
    #: kept beside the login, not in it.
    mark: str | None = field(default=None, compare=False)

    @classmethod
    def begin(cls, user: DingTalkUser, token: DingTalkToken | None) -> Self:
        """Return a new login of ``user``, for whom DingTalk has just vouched."""
        now = int(time.time())
        new_id = urlsafe_b64encode(os.urandom(_ID_BYTES)).decode("ascii")
        return cls(new_id, user, token, since=now, checked_at=now)

    def last_check(self, now: float) -> float:
        """Return when the user was last checked; a time in the future counts as never (0)."""
        return self.checked_at if self.checked_at <= now + _CLOCK_TOLERANCE else 0.0

    def updated_by(self, newer: Login, now: float) -> Login:
        """Combine two versions of this login, neither of which has to be newer in everything.

        The user comes from the later check and the tokens from the later refresh; ``newer`` wins a
        draw.
        """
        latest = newer if newer.last_check(now) >= self.last_check(now) else self
        tokens = [login.token for login in (self, newer) if login.token is not None]
        token = max(reversed(tokens), key=lambda each: each.expires_at) if tokens else None
        return latest if latest.token is token else replace(latest, token=token)


@dataclass(frozen=True, slots=True)
class Stays:
    """The outcome of a check in which everything was answered, and the user may stay."""

    login: Login


@dataclass(frozen=True, slots=True)
class MustLeave:
    """The outcome of a check in which DingTalk said no."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The outcome of a check that left something open; ``login`` has what was learned."""

    login: Login
    #: DingTalk has refused the tokens for less than a minute: another process may have renewed
    #: them, and the user stays for that long, whatever the grace period.
    may_still_renew: bool = False


Outcome = Stays | MustLeave | Unknown
