"""The calls of a sign-in and as a user: code to token, refresh, profile, any call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import DingTalkUnavailable, InvalidCode, LoginRequired
from . import wire
from .answers import NONSENSE
from .models import DingTalkToken, DingTalkUser
from .transport import Transport

if TYPE_CHECKING:
    from requests import Response


class Client:
    """DingTalk's new API for one application; shared by all threads, keeps nothing of any user."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def exchange(self, code: str) -> DingTalkToken:
        """Spend a code for a user's tokens. [obtain-user-token]

        Never repeated once DingTalk may have seen it, as a code works once. Raises ``InvalidCode``
        and the other errors of the table.
        """
        return self._token(None, grant_type=wire.GRANT_AUTHORIZATION_CODE, code=code)

    def refresh(self, token: DingTalkToken) -> DingTalkToken:
        """Spend a refresh token for a new pair; the old one is dead then. [obtain-user-token]

        Raises ``DingTalkAPIError`` if DingTalk does not know the refresh token any more.
        """
        try:
            renewed = self._token(
                token.corp_id,
                grant_type=wire.GRANT_REFRESH_TOKEN,
                refresh_token=token.refresh_token,
            )
        except InvalidCode as error:
            refusal = LoginRequired(
                "DingTalk does not know the refresh token any more",
                hint="it was used elsewhere or ended after 30 days; sign in again",
                dingtalk_code=error.dingtalk_code,
                dingtalk_message=error.dingtalk_message,
                request_id=error.request_id,
            )
            refusal.spent = True
            raise refusal from error
        # An answer without a refresh token leaves the old one in force (RFC 6749, section 6).
        return replace(renewed, refresh_token=renewed.refresh_token or token.refresh_token)

    def user(self, token: DingTalkToken) -> DingTalkUser:
        """Ask who the user of ``token`` is. [dingtalk-retrieve-user-information]"""
        profile = self._transport.read_as_user(wire.USERS_ME_PATH, token.access_token)
        try:
            return DingTalkUser.from_wire(profile, corp_id=token.corp_id)
        except ValueError as error:
            raise DingTalkUnavailable(
                f"the profile makes no sense: {error}", hint=NONSENSE
            ) from None

    def request(self, method: str, path: str, token: DingTalkToken, **kwargs: Any) -> Response:
        """Call the API host with the user's token; the answer is complete and reports no error."""
        return self._transport.as_user(method, path, token.access_token, **kwargs)

    def _token(self, corp_id: str | None, **grant: str | None) -> DingTalkToken:
        answer = self._transport.fetch_token(**grant)
        try:
            return DingTalkToken.from_wire(answer, corp_id=corp_id)
        except ValueError as error:
            nonsense = DingTalkUnavailable(f"the token makes no sense: {error}", hint=NONSENSE)
            nonsense.spent = True
            raise nonsense from None
