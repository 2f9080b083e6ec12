"""Renew a pair of tokens once, however many requests find it expired at the same time.

DingTalk replaces the refresh token at each refresh and forgets the old one. Requests that still
carry the old pair (another tab, a cookie that was on its way) find its successor here instead of
spending a token that is dead. Within one process; another process gets an error for that one call.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .errors import DingTalkAPIError, DingTalkError
from .models import DingTalkToken

#: Pairs remembered in one process; the oldest is forgotten first.
_REMEMBERED: Final = 2048


@dataclass(slots=True)
class _Rotation:
    lock: threading.Lock = field(default_factory=threading.Lock)
    successor: DingTalkToken | None = None
    attempts: int = 0
    error: DingTalkError | None = None


class Rotations:
    """Which pair came after which."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rotations: dict[str, _Rotation] = {}

    def latest(self, token: DingTalkToken) -> DingTalkToken:
        """Return the newest pair known to descend from ``token``, or ``token`` itself."""
        while token.refresh_token is not None:
            rotation = self._rotations.get(token.refresh_token)
            if rotation is None or rotation.successor is None:
                break
            token = rotation.successor
        return token

    def renew(
        self, token: DingTalkToken, refresh: Callable[[DingTalkToken], DingTalkToken]
    ) -> DingTalkToken:
        """Return a pair newer than ``token``, calling ``refresh`` only if nobody else did or does.

        Raises what ``refresh`` raises; those who waited meanwhile get the same error, so that a
        DingTalk that does not answer is waited for once and not once for each of them.
        """
        if token.refresh_token is None:
            raise DingTalkAPIError(
                "the access token has ended and there is no refresh token",
                hint="the user has to sign in again",
            )
        rotation = self._rotation(token.refresh_token)
        attempts = rotation.attempts
        with rotation.lock:
            if rotation.successor is not None:
                return self.latest(rotation.successor)
            if rotation.error is not None and (
                rotation.attempts != attempts or isinstance(rotation.error, DingTalkAPIError)
            ):
                # A refresh token that DingTalk does not know stays unknown.
                raise copy.copy(rotation.error)
            rotation.attempts += 1
            try:
                rotation.successor = refresh(token)
            except DingTalkError as error:
                rotation.error = error
                raise
            return rotation.successor

    def _rotation(self, refresh_token: str) -> _Rotation:
        with self._lock:
            rotation = self._rotations.get(refresh_token)
            if rotation is None:
                if len(self._rotations) >= _REMEMBERED:
                    del self._rotations[next(iter(self._rotations))]
                rotation = self._rotations[refresh_token] = _Rotation()
            return rotation
