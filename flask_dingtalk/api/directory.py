"""What takes the application's own token: members, their records, and calls as the application.

[obtain-the-access-token-of-an-internal-app, query-a-user-by-the-union-id, query-user-details]
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard, TypeVar
from urllib.parse import quote

from ..errors import DingTalkError, DingTalkUnavailable, OrganisationNotAllowed
from ..logs import facts
from ..secret import Secret, without_inner_frames
from ..single_flight import SingleFlight
from . import wire
from .arguments import check_arguments, is_repeatable
from .employee import Employee
from .error_codes import (
    APP_TOKEN_REFUSED,
    NONSENSE,
    NOT_A_MEMBER,
    PERMISSION_MISSING,
    TOKEN_REFUSED,
    UNKNOWN_ORGANISATION,
)
from .models import DingTalkToken, DingTalkUser
from .transport import Transport

if TYPE_CHECKING:
    from requests import Response

    from ..settings import Settings

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)

#: Seconds before its end at which an app token is renewed; DingTalk extends the same one.
_RENEW_EARLY: Final = 600
#: Seconds until a renewal that failed is tried again, while the token at hand is good; and until
#: a check of ``DINGTALK_CORP_ID`` that could not be completed is.
_TRY_AGAIN_AFTER: Final = 30
#: A userid has 1 to 64 characters. [user-information-creation]
_MAX_USER_ID: Final = 64
#: Beside the form, what a call of the old API may be given.
_FORM_ARGUMENTS: Final = frozenset({"data", "timeout"})


@dataclass(frozen=True, slots=True)
class Fetched:
    """An app token, and in how many seconds it is to be renewed and ends."""

    token: Secret
    renew_in: float
    ends_in: float


class Shelf(Protocol):
    """Where all processes keep the app token, so that one of them fetches it."""

    def once(self, fetch: Callable[[], Fetched]) -> Fetched:
        """Return the token that is there, or keep and return what ``fetch`` returns."""
        ...

    def drop(self, token: Secret) -> None:
        """Forget ``token``, which DingTalk refused, unless another one is there already."""


@dataclass(frozen=True, slots=True)
class _Held:
    """An app token at hand; both moments are Unix time."""

    token: Secret
    renew_at: float
    ends_at: float


class AppToken:
    """The application's own access token: one for each process and app, shared by all threads.

    Where there is a ``shelf``, all processes share it.
    """

    def __init__(self, settings: Settings, transport: Transport, shelf: Shelf | None) -> None:
        self._shelf = shelf
        self._transport = transport
        self._credentials: Mapping[str, str | Secret] = {
            wire.APP_KEY: settings.client_id,
            wire.APP_SECRET: Secret(settings.client_secret),
        }
        self._patience = sum(settings.timeout)
        self._single_flight: SingleFlight[Secret] = SingleFlight()
        self._held: _Held | None = None

    def get(self) -> Secret:
        """Return a token that is good for some minutes, fetched once however many ask for it.

        A thread waits for another's fetch no longer than its own fetch may take.
        """
        return self._fresh() or self._single_flight.run("app token", self._fetch, self._patience)

    def drop(self, token: Secret) -> None:
        """Forget ``token``, which DingTalk refused, unless another one is here already."""
        held = self._held
        if held is not None and held.token is token:
            self._held = None
        if self._shelf is not None:
            self._shelf.drop(token)

    def _fresh(self) -> Secret | None:
        held = self._held
        return held.token if held is not None and time.time() < held.renew_at else None

    def _fetch(self) -> Secret:
        fresh = self._fresh()
        if fresh is not None:
            # Another thread has fetched one meanwhile.
            return fresh
        try:
            fetched = self._ask() if self._shelf is None else self._shelf.once(self._ask)
        except DingTalkError:
            held = self._held
            if held is None or time.time() >= held.ends_at:
                raise
            # The renewal was early; the old token still works.
            again = min(time.time() + _TRY_AGAIN_AFTER, held.ends_at)
            self._held = replace(held, renew_at=again)
            return held.token
        now = time.time()
        self._held = _Held(fetched.token, now + fetched.renew_in, now + fetched.ends_in)
        return fetched.token

    def _ask(self) -> Fetched:
        try:
            # The same names and rules as those of a user's token.
            token = DingTalkToken.from_wire(
                self._transport.fetch_app_token(wire.APP_ACCESS_TOKEN_PATH, self._credentials)
            )
        except ValueError as error:
            raise _nonsense("app token", error) from None
        lifetime = (token.expires_at - datetime.now(UTC)).total_seconds()
        early = min(_RENEW_EARLY, lifetime / 2)
        return Fetched(Secret(token.access_token), lifetime - early, lifetime)


class Directory:
    """The people of the application's own organisation, and calls as the application.

    Besides the errors that are named, every method raises those of the table in ``error_codes``.
    """

    def __init__(
        self, settings: Settings, transport: Transport, shelf: Shelf | None = None
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._app_token = AppToken(settings, transport, shelf)
        #: Until when ``DINGTALK_CORP_ID`` need not be checked again, in Unix time.
        self._corp_id_known_until = -math.inf

    @without_inner_frames
    def user_id(self, union_id: str) -> str:
        """Return the userid of a member.

        Raises ``OrganisationNotAllowed`` for anybody else: somebody whom the organisation does not
        know, an external contact, somebody outside the application's range, and anybody whom the
        answer does not prove to be a member.
        """
        result = self._read(wire.GET_BY_UNION_ID_PATH, {wire.UNION_ID: union_id})
        # The sample in the documents has quotes around the number.
        if str(result.get(wire.CONTACT_TYPE)) != "0":
            raise _no_member("an external contact is not a member")
        user_id = result.get(wire.USER_ID)
        if not _is_user_id(user_id):
            raise _no_member("DingTalk named no userid")
        return user_id

    @without_inner_frames
    def member_by_code(self, code: Secret) -> DingTalkUser:
        """Spend a code that the DingTalk client gave; return whose it is.

        Not sent again once DingTalk may have seen it, as a code works once. Raises ``InvalidCode``
        for one that DingTalk does not know. [obtain-the-userid-of-a-user-by-using-the-log-free]
        """
        self._check_corp_id()
        result = self._read(wire.GET_USER_INFO_PATH, {wire.USER_INFO_CODE: code}, works_once=True)
        try:
            user = DingTalkUser.from_user_info(result, corp_id=self._settings.corp_id)
        except ValueError as error:
            raise _nonsense("answer for the code", error) from None
        if not _is_user_id(user.user_id):
            raise _no_member("DingTalk named no userid")
        return user

    @without_inner_frames
    def employee(self, user_id: str, union_id: str) -> Employee:
        """Return a member's record.

        Raises ``OrganisationNotAllowed`` if there is none, or if it is somebody else's.
        """
        try:
            record = Employee(self._read(wire.USER_GET_PATH, {wire.USER_ID: user_id}))
        except ValueError as error:
            raise _nonsense("record", error) from None
        if (record.user_id, record.union_id) != (user_id, union_id):
            raise _no_member("the record that DingTalk sent is another person's")
        return record

    @without_inner_frames
    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Call a DingTalk API with the application's own token; return the ``requests.Response``.

        Any method for paths of the new API (``/v1.0/…``), with the arguments that
        ``check_arguments`` allows; for the old one (``/topapi/…``) POST with ``data`` (a mapping)
        and ``timeout`` alone, as the token travels in that form: ``TypeError`` for anything else.
        A token that DingTalk refuses is renewed once. The answer is complete and reports no error.
        ``timeout`` (seconds; a number for both, or a pair: connect, read) replaces
        ``DINGTALK_TIMEOUT``.
        """
        check_arguments(path, kwargs)
        if path.startswith(wire.OLD_API_PREFIX):
            _check_form(method, kwargs)
        return self._with_app_token(
            lambda token: self._send(method, path, token, kwargs), repeatable=is_repeatable(kwargs)
        )

    def _send(self, method: str, path: str, token: Secret, kwargs: dict[str, Any]) -> Response:
        if path.startswith(wire.OLD_API_PREFIX):
            fields = {wire.OAPI_ACCESS_TOKEN: token, **kwargs["data"]}
            return self._transport.call_old_api(path, fields, timeout=kwargs.get("timeout"))
        return self._transport.call_new_api(method, path, token, **kwargs)

    def _with_app_token(self, call: Callable[[Secret], Answer], *, repeatable: bool) -> Answer:
        """Make a call with the app token, and once more with a new one if DingTalk refuses it.

        DingTalk did not carry out a call whose token it refused: a code in it is still unused.
        """
        token = self._app_token.get()
        try:
            return call(token)
        except DingTalkError as error:
            self._drop_if_curable(token, error)
            if not (repeatable and _token_refused(error)):
                raise
        token = self._app_token.get()
        try:
            return call(token)
        except DingTalkError as error:
            self._drop_if_curable(token, error)
            raise

    def _drop_if_curable(self, token: Secret, error: DingTalkError) -> None:
        # Permissions can be bound to a token: the next one may have what was enabled.
        if _token_refused(error) or error.dingtalk_code in PERMISSION_MISSING:
            self._app_token.drop(token)

    def _check_corp_id(self) -> None:
        """Raise ``ConfigurationError`` if the application is not ``DINGTALK_CORP_ID``'s own.

        A code tells of a member of the application's own organisation, and of no other: let in as
        one of another, they would be past every rule on organisations. Asked until DingTalk says
        yes. What is neither yes nor no lets people in, as no visitor can make DingTalk fail at this
        call alone; but what an organisation that does not exist gets raises
        ``DingTalkUnavailable``, since DingTalk answers the same to its own failures.
        [api-gettoken]
        """
        if time.time() < self._corp_id_known_until:
            return
        settings = self._settings
        path = wire.CORP_TOKEN_PATH.format(corpId=quote(settings.corp_id or "", safe=""))
        try:
            self._transport.fetch_app_token(
                path,
                {
                    wire.CORP_TOKEN_CLIENT_ID: settings.client_id,
                    wire.CORP_TOKEN_CLIENT_SECRET: Secret(settings.client_secret),
                    wire.CORP_TOKEN_GRANT_TYPE: wire.GRANT_CLIENT_CREDENTIALS,
                },
            )
        except DingTalkError as error:
            refusal = UNKNOWN_ORGANISATION.get(error.dingtalk_code or "")
            if refusal is not None:
                raise refusal(
                    "DINGTALK_CORP_ID does not seem to be an organisation that has this "
                    "application",
                    hint="sign-in inside the client is for the organisation that owns the "
                    "application; the console's home page (open-dev.dingtalk.com) shows its corpId",
                    dingtalk_code=error.dingtalk_code,
                    dingtalk_message=error.dingtalk_message,
                    request_id=error.request_id,
                ) from None
            _log.warning(
                "DINGTALK_CORP_ID could not be checked: %s",
                error.log_message,
                extra=facts("corp_id_unchecked", error),
            )
            self._corp_id_known_until = time.time() + _TRY_AGAIN_AFTER
        else:
            self._corp_id_known_until = math.inf

    def _read(
        self, path: str, fields: Mapping[str, str | Secret], *, works_once: bool = False
    ) -> dict[str, Any]:
        """Return the ``result`` of a call; ``works_once`` if something in ``fields`` does."""
        send = self._transport.spend_on_old_api if works_once else self._transport.read_old_api
        try:
            # In the body, which the old API reads as well: what stands in a URL is logged.
            answer = self._with_app_token(
                lambda token: send(path, {wire.OAPI_ACCESS_TOKEN: token, **fields}), repeatable=True
            )
        except DingTalkError as error:
            if error.dingtalk_code in NOT_A_MEMBER:
                raise _no_member(
                    "DingTalk does not find this person there",
                    dingtalk_code=error.dingtalk_code,
                    dingtalk_message=error.dingtalk_message,
                    request_id=error.request_id,
                ) from None
            raise
        result = answer.get(wire.RESULT)
        if str(answer.get(wire.ERRCODE)) != str(wire.ERRCODE_OK) or not isinstance(result, dict):
            raise DingTalkUnavailable("DingTalk's answer has no result", hint=NONSENSE)
        return result


def _check_form(method: str, kwargs: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` for a call of the old API that has no room for the token in its form."""
    data = kwargs.get("data")
    if method.upper() != "POST" or not isinstance(data, Mapping) or kwargs.keys() - _FORM_ARGUMENTS:
        raise TypeError(
            f"{wire.OLD_API_PREFIX}… takes POST with data={{…}} and nothing else but a timeout: "
            "the application's token travels in the form"
        )
    if wire.OAPI_ACCESS_TOKEN in data:
        raise TypeError(f"{wire.OAPI_ACCESS_TOKEN} is added to the form; leave it out of data")


def _token_refused(error: DingTalkError) -> bool:
    return error.dingtalk_code in APP_TOKEN_REFUSED or error.dingtalk_code in TOKEN_REFUSED


def _nonsense(what: str, error: ValueError) -> DingTalkUnavailable:
    return DingTalkUnavailable(f"the {what} makes no sense: {error}", hint=NONSENSE)


def _is_user_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MAX_USER_ID and value.isprintable()


def _no_member(reason: str, **said: str | None) -> OrganisationNotAllowed:
    return OrganisationNotAllowed(
        f"the user is not a member of the application's own organisation: {reason}",
        hint=(
            "an administrator can add them: 管理后台 (oa.dingtalk.com) > 通讯录; or look at "
            "DINGTALK_MEMBERS_ONLY"
        ),
        **said,
    )
