"""The central noun: one sign-in of one person in one browser."""

from __future__ import annotations

from dataclasses import dataclass

from .api.models import DingTalkToken, DingTalkUser


@dataclass(frozen=True, slots=True)
class Login:
    """Who is signed in, and the tokens to act as them, if there are any."""

    user: DingTalkUser
    token: DingTalkToken | None
    #: When DingTalk last vouched for the user: Unix time in seconds, or ``None`` for never.
    checked_at: float | None = None
