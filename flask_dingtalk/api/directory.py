"""What takes the application's own token: who is a member, and the member's record.

[obtain-the-access-token-of-an-internal-app, query-a-user-by-the-union-id, query-user-details]
"""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import quote

from ..errors import (
    DingTalkError,
    DingTalkUnavailable,
    OrganisationNotAllowed,
)
from ..single_flight import SingleFlight
from . import wire
from .answers import NONSENSE
from .employee import Employee
from .error_codes import (
    APP_TOKEN_REFUSED,
    NOT_A_MEMBER,
    PERMISSION_MISSING,
    UNKNOWN_ORGANISATION,
)
from .models import DingTalkToken, DingTalkUser
from .transport import Transport

if TYPE_CHECKING:
    from ..settings import Settings

_log = logging.getLogger(__name__)

#: Seconds before its end at which an app token is renewed; DingTalk extends the same one.
_RENEW_EARLY: Final = 600
#: Seconds until a renewal that failed is tried again, while the token at hand is good; and until
#: a check of ``DINGTALK_CORP_ID`` that could not be completed is.
_TRY_AGAIN_AFTER: Final = 30
#: A userid has 1 to 64 characters. [user-information-creation]
_MAX_USER_ID: Final = 64


class AppToken:
    """The application's own access token: one for each process and app, shared by all threads."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._single_flight: SingleFlight[str] = SingleFlight()
        #: Token, the moment to renew it and the moment at which it ends, in Unix time.
        self._held: tuple[str, float, float] | None = None

    def get(self) -> str:
        """Return a token that is good for some minutes, fetched once however many ask for it."""
        return self._fresh() or self._single_flight.run("app token", self._fetch)

    def drop(self, token: str) -> None:
        """Forget ``token``, which DingTalk refused, unless another one is here already."""
        held = self._held
        if held is not None and held[0] == token:
            self._held = None

    def _fresh(self) -> str | None:
        held = self._held
        return held[0] if held is not None and time.time() < held[1] else None

    def _fetch(self) -> str:
        fresh = self._fresh()
        if fresh is not None:
            # Somebody was quicker between the question and this moment.
            return fresh
        settings = self._settings
        try:
            answer = self._transport.read(
                settings.api_base_url + wire.APP_ACCESS_TOKEN_PATH,
                json={wire.APP_KEY: settings.client_id, wire.APP_SECRET: settings.client_secret},
                secrets=[settings.client_secret],
            )
        except DingTalkError:
            held = self._held
            if held is None or time.time() >= held[2]:
                raise
            # It was early: the one at hand is still good.
            self._held = (held[0], min(time.time() + _TRY_AGAIN_AFTER, held[2]), held[2])
            return held[0]
        try:
            # The same names and rules as those of a user's token.
            token = DingTalkToken.from_wire(answer)
        except ValueError as error:
            raise DingTalkUnavailable(
                f"the app token makes no sense: {error}", hint=NONSENSE
            ) from None
        lifetime = (token.expires_at - datetime.now(UTC)).total_seconds()
        early = min(_RENEW_EARLY, lifetime / 2)
        ends = time.time() + lifetime
        self._held = (token.access_token, ends - early, ends)
        return token.access_token


class Directory:
    """The people of the application's own organisation."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._app_token = AppToken(settings, transport)
        #: Until when ``DINGTALK_CORP_ID`` need not be checked again, in Unix time.
        self._corp_id_known_until = -math.inf

    def user_id(self, union_id: str) -> str:
        """Return the userid of a member.

        Raises ``OrganisationNotAllowed`` for who is none: unknown to the organisation, an external
        contact of it, or anybody for whom the answer does not prove the contrary.
        """
        result = self._read(wire.GET_BY_UNION_ID_PATH, {wire.UNION_ID: union_id})
        # The sample in the documents has quotes around the number.
        if str(result.get(wire.CONTACT_TYPE)) != "0":
            raise _no_member("an external contact is no member")
        user_id = result.get(wire.USER_ID)
        if not _is_user_id(user_id):
            raise _no_member("DingTalk named no userid")
        return user_id

    def member_by_code(self, code: str) -> DingTalkUser:
        """Spend a code that the DingTalk client gave; return whose it is.

        Never repeated once DingTalk may have seen it, as a code works once. Raises ``InvalidCode``
        for one that DingTalk does not know. [obtain-the-userid-of-a-user-by-using-the-log-free]
        """
        self._check_corp_id()
        result = self._read(wire.GET_USER_INFO_PATH, {wire.USER_INFO_CODE: code}, spends=code)
        try:
            user = DingTalkUser.from_user_info(result, corp_id=self._settings.corp_id)
        except ValueError as error:
            raise DingTalkUnavailable(
                f"the answer for the code makes no sense: {error}", hint=NONSENSE
            ) from None
        if not _is_user_id(user.user_id):
            raise _no_member("DingTalk named no userid")
        return user

    def employee(self, user_id: str, union_id: str) -> Employee:
        """Return a member's record.

        Raises ``OrganisationNotAllowed`` if there is none, or if it is somebody else's.
        """
        try:
            record = Employee(self._read(wire.USER_GET_PATH, {wire.USER_ID: user_id}))
        except ValueError as error:
            raise DingTalkUnavailable(
                f"the record makes no sense: {error}", hint=NONSENSE
            ) from None
        if (record.user_id, record.union_id) != (user_id, union_id):
            raise _no_member("the record that DingTalk sent is another person's")
        return record

    def _check_corp_id(self) -> None:
        """Raise ``ConfigurationError`` if the application is not ``DINGTALK_CORP_ID``'s own.

        A code tells of a member of the application's own organisation, and of no other: let in as
        one of another, they would be past every rule on organisations. Asked until DingTalk says
        yes. What is neither yes nor no lets people in, as no visitor can make DingTalk fail at this
        call alone; but what an organisation that does not exist gets raises
        ``DingTalkUnavailable``, since DingTalk answers that to failures of its own, too.
        [api-gettoken]
        """
        if time.time() < self._corp_id_known_until:
            return
        settings = self._settings
        path = wire.CORP_TOKEN_PATH.format(corpId=quote(settings.corp_id or "", safe=""))
        try:
            self._transport.read(
                settings.api_base_url + path,
                json={
                    wire.CORP_TOKEN_CLIENT_ID: settings.client_id,
                    wire.CORP_TOKEN_CLIENT_SECRET: settings.client_secret,
                    wire.CORP_TOKEN_GRANT_TYPE: wire.GRANT_CLIENT_CREDENTIALS,
                },
                secrets=[settings.client_secret],
            )
        except DingTalkError as error:
            refusal = UNKNOWN_ORGANISATION.get(error.dingtalk_code or "")
            if refusal is not None:
                raise refusal(
                    "DINGTALK_CORP_ID is no organisation that has this application, as it seems",
                    hint="sign-in inside the client is for the organisation that owns the "
                    "application; the console's home page (open-dev.dingtalk.com) shows its corpId",
                    dingtalk_code=error.dingtalk_code,
                    dingtalk_message=error.dingtalk_message,
                    request_id=error.request_id,
                ) from error
            _log.warning("DINGTALK_CORP_ID could not be checked: %s", error.log_message)
            self._corp_id_known_until = time.time() + _TRY_AGAIN_AFTER
        else:
            self._corp_id_known_until = math.inf

    def _read(
        self, path: str, form: dict[str, str], *, spends: str | None = None
    ) -> dict[str, Any]:
        """Return the ``result`` of a call, renewing an app token that DingTalk refuses once.

        Refused for its token, the call was not carried out, and what it ``spends`` is still good.
        """
        token = self._app_token.get()
        try:
            try:
                return self._read_with(token, path, form, spends)
            except DingTalkError as error:
                if error.dingtalk_code not in APP_TOKEN_REFUSED:
                    raise
            self._app_token.drop(token)
            token = self._app_token.get()
            return self._read_with(token, path, form, spends)
        except DingTalkError as error:
            if error.dingtalk_code == PERMISSION_MISSING:
                # Permissions can be bound to a token: the next one may have what was enabled.
                self._app_token.drop(token)
            if error.dingtalk_code in NOT_A_MEMBER:
                raise _no_member(
                    "DingTalk does not find this person there",
                    dingtalk_code=error.dingtalk_code,
                    dingtalk_message=error.dingtalk_message,
                    request_id=error.request_id,
                ) from error
            raise

    def _read_with(
        self, token: str, path: str, form: dict[str, str], spends: str | None
    ) -> dict[str, Any]:
        send = self._transport.read if spends is None else self._transport.spend
        # In the body, which the old API reads as well: what stands in a URL is logged.
        answer = send(
            self._settings.oapi_base_url + path,
            data={wire.OAPI_ACCESS_TOKEN: token, **form},
            secrets=[token] if spends is None else [token, spends],
        )
        result = answer.get(wire.RESULT)
        if str(answer.get(wire.ERRCODE)) != str(wire.ERRCODE_OK) or not isinstance(result, dict):
            raise DingTalkUnavailable("DingTalk's answer has no result", hint=NONSENSE)
        return result


def _is_user_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MAX_USER_ID and value.isprintable()


def _no_member(reason: str, **said: Any) -> OrganisationNotAllowed:
    return OrganisationNotAllowed(
        f"the user is no member of the application's own organisation: {reason}",
        hint=(
            "an administrator can add them: 管理后台 (oa.dingtalk.com) > 通讯录; or look at "
            "DINGTALK_MEMBERS_ONLY"
        ),
        **said,
    )
