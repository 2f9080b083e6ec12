"""The calls of a sign-in and as a user: code to token, refresh, profile, any call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import DingTalkUnavailable, InvalidCode, LoginRequired
from ..secret import Secret, without_inner_frames
from . import wire
from .arguments import check_arguments
from .error_codes import NONSENSE
from .models import DingTalkToken, DingTalkUser
from .transport import Transport

if TYPE_CHECKING:
    from requests import Response

_SIGN_IN_AGAIN = "the user has to sign in again"


class Client:
    """DingTalk's new API for one application; shared by all threads, keeps nothing of any user.

    Besides the errors that are named, every method raises those of the table in ``error_codes``:
    ``ConfigurationError``, ``RateLimited`` (DingTalk did not process the request),
    ``DingTalkUnavailable``, ``DingTalkAPIError``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @without_inner_frames
    def exchange(self, code: Secret) -> DingTalkToken:
        """Spend a code for a user's tokens; raise ``InvalidCode`` if DingTalk does not know it.

        Not sent again once DingTalk may have seen it, as a code works once. [obtain-user-token]
        """
        try:
            return DingTalkToken.from_wire(self._transport.exchange_code(code))
        except ValueError as error:
            raise _nonsense("token", error) from None

    @without_inner_frames
    def refresh(self, token: DingTalkToken) -> DingTalkToken:
        """Spend a refresh token for a new pair; the old one no longer works. [obtain-user-token]

        Raises ``LoginRequired`` if there is no refresh token or DingTalk refuses it. Not sent again
        within this call; after any other error another call may try again, as a refresh token that
        was used up in spite of the error is only refused once more.
        """
        if token.refresh_token is None:
            raise LoginRequired(
                "the access token has expired and there is no refresh token", hint=_SIGN_IN_AGAIN
            )
        try:
            renewed = DingTalkToken.from_wire(
                self._transport.refresh(Secret(token.refresh_token)), corp_id=token.corp_id
            )
        except InvalidCode as error:
            raise LoginRequired(
                "DingTalk refused the refresh token: it was used elsewhere, or ended after 30 days",
                hint=_SIGN_IN_AGAIN,
                dingtalk_code=error.dingtalk_code,
                dingtalk_message=error.dingtalk_message,
                request_id=error.request_id,
            ) from None
        except ValueError as error:
            raise _nonsense("token", error) from None
        # An answer without a refresh token leaves the old one in force (RFC 6749, section 6).
        return replace(renewed, refresh_token=renewed.refresh_token or token.refresh_token)

    @without_inner_frames
    def user(self, token: DingTalkToken) -> DingTalkUser:
        """Ask who the user of ``token`` is. [dingtalk-retrieve-user-information]"""
        access_token = Secret(token.access_token)
        profile = self._transport.read_new_api(wire.USERS_ME_PATH, access_token)
        if not profile.get(wire.PROFILE_UNION_ID):
            raise DingTalkUnavailable(
                f"the profile has no {wire.PROFILE_UNION_ID}",
                hint="nobody can be identified without it; one application got it once "
                "DINGTALK_SCOPE was 'openid corpid'",
            )
        try:
            return DingTalkUser.from_wire(profile, corp_id=token.corp_id)
        except ValueError as error:
            raise _nonsense("profile", error) from None

    @without_inner_frames
    def request(self, method: str, path: str, token: DingTalkToken, **kwargs: Any) -> Response:
        """Call the new API with the user's token; the answer is complete and reports no error.

        ``kwargs`` and the errors for wrong ones are those of ``check_arguments``. ``timeout``
        (seconds; a number for both, or a pair: connect, read) replaces ``DINGTALK_TIMEOUT``.
        """
        check_arguments(path, kwargs)
        return self._transport.call_new_api(method, path, Secret(token.access_token), **kwargs)


def _nonsense(what: str, error: ValueError) -> DingTalkUnavailable:
    return DingTalkUnavailable(f"the {what} makes no sense: {error}", hint=NONSENSE)
