"""What a site gets from a sign-in: a user and a token, both immutable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from werkzeug.local import LocalProxy

from . import wire
from .employee import Employee
from .frozen_json import FrozenDict, frozen

#: E.164 allows fifteen digits in all; one to three of them are the country code.
_COUNTRY_CODE = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_NATIONAL_NUMBER = re.compile(r"[0-9]{4,14}", re.ASCII)
#: What a header may contain; DingTalk's tokens are 32 hexadecimal digits.
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)
_ONE_YEAR: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class DingTalkUser:
    """A person whom DingTalk identified at the sign-in.

    Identify people by ``union_id`` and never by ``mobile`` or ``email``: these belong to the
    person's DingTalk account, not to an organisation, and can change hands. Fields that DingTalk
    did not send are ``None``. [dingtalk-retrieve-user-information]
    """

    #: The person's id in all applications of one developer; other developers see another one.
    union_id: str
    #: The person's id in this application only.
    open_id: str | None = None
    #: The name that the person chose in DingTalk, not the one in an organisation's directory.
    nick: str | None = None
    #: The address of a picture.
    avatar_url: str | None = None
    #: The phone number: digits without country code; masked for third-party applications.
    mobile: str | None = field(default=None, repr=False)
    #: Country code without plus, ``"86"``.
    state_code: str | None = field(default=None, repr=False)
    #: The e-mail address of the DingTalk account.
    email: str | None = field(default=None, repr=False)
    #: The organisation chosen at the sign-in. Sent only with the scope ``openid corpid``.
    corp_id: str | None = None
    #: The member's id in the application's own organisation.
    user_id: str | None = None
    #: The member's record in that organisation, if ``DINGTALK_EMPLOYEE_PROFILE`` is set.
    employee: Employee | None = None
    #: The profile as DingTalk sent it.
    raw: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.union_id:
            raise ValueError("union_id is empty, but people are identified by it")
        if not isinstance(self.raw, FrozenDict):
            object.__setattr__(self, "raw", frozen(self.raw))

    @classmethod
    def from_wire(cls, profile: Mapping[str, Any], *, corp_id: str | None = None) -> Self:
        """Build a user from the answer of ``contact/users/me``.

        A field counts as not sent if it does not have the documented type. Raises ``ValueError`` if
        there is no union id.
        """
        profile = frozen(profile)
        union_id = _text(profile.get(wire.PROFILE_UNION_ID))
        if union_id is None:
            raise ValueError(f"the profile has no {wire.PROFILE_UNION_ID}")
        return cls(
            union_id=union_id,
            open_id=_text(profile.get(wire.PROFILE_OPEN_ID)),
            nick=_text(profile.get(wire.PROFILE_NICK)),
            avatar_url=_text(profile.get(wire.PROFILE_AVATAR_URL)),
            mobile=_text(profile.get(wire.PROFILE_MOBILE)),
            state_code=_text(profile.get(wire.PROFILE_STATE_CODE)),
            email=_text(profile.get(wire.PROFILE_EMAIL)),
            corp_id=corp_id,
            raw=profile,
        )

    @classmethod
    def from_user_info(cls, result: Mapping[str, Any], *, corp_id: str | None) -> Self:
        """Build a user from the answer of ``getuserinfo`` for a member of ``corp_id``.

        Raises ``ValueError`` if there is no union id.
        [obtain-the-userid-of-a-user-by-using-the-log-free]
        """
        result = frozen(result)
        union_id = _text(result.get(wire.UNION_ID))
        if union_id is None:
            raise ValueError(f"the answer has no {wire.UNION_ID}")
        return cls(
            union_id=union_id,
            user_id=_text(result.get(wire.USER_ID)),
            nick=_text(result.get(wire.USER_INFO_NAME)),
            corp_id=corp_id,
            raw=result,
        )

    @property
    def phone_number(self) -> str | None:
        """The number in E.164, as in ``+8615012349144``; ``None`` if masked or not sent."""
        if not _COUNTRY_CODE.fullmatch(self.state_code or ""):
            return None
        if not _NATIONAL_NUMBER.fullmatch(self.mobile or ""):
            return None
        number = f"+{self.state_code}{self.mobile}"
        return number if len(number) <= 16 else None

    @property
    def is_authenticated(self) -> bool:
        """Always ``True``."""
        return True

    @property
    def is_active(self) -> bool:
        """Always ``True``; for Flask-Login."""
        return True

    @property
    def is_anonymous(self) -> bool:
        """Always ``False``."""
        return False

    def __bool__(self) -> bool:
        return True

    def get_id(self) -> str:
        """Return the ``union_id``; for Flask-Login."""
        return self.union_id


class AnonymousUser:
    """The user of a request without a sign-in: false, with ``None`` in every field."""

    __slots__ = ()

    union_id = open_id = nick = avatar_url = mobile = state_code = email = None
    corp_id = user_id = employee = phone_number = None
    raw: Mapping[str, Any] = FrozenDict()
    is_authenticated = is_active = False
    is_anonymous = True

    def get_id(self) -> None:
        """Return ``None``; for Flask-Login."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<AnonymousUser>"


class UserProxy(LocalProxy[DingTalkUser | AnonymousUser]):
    """A proxy for the user of the current request, which ``jsonify`` accepts as well.

    Flask's JSON provider looks for dataclass fields on the object's class, where a proxy does not
    forward. With the fields on this class it encodes the user; an anonymous one has only ``null``.
    """

    __slots__ = ()
    __dataclass_fields__ = DingTalkUser.__dataclass_fields__


@dataclass(frozen=True, slots=True)
class DingTalkToken:
    """The tokens of a signed-in user; ``repr`` does not show them. [obtain-user-token]"""

    #: What calls as the user carry, for two hours.
    access_token: str = field(repr=False)
    #: Valid for thirty days and one refresh.
    refresh_token: str | None = field(repr=False)
    #: When the access token expires, as an aware UTC ``datetime``.
    expires_at: datetime
    #: The organisation chosen at the sign-in. Sent only with the scope ``openid corpid``.
    corp_id: str | None = None

    def __post_init__(self) -> None:
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at has to be an aware datetime")

    @classmethod
    def from_wire(cls, answer: Mapping[str, Any], *, corp_id: str | None = None) -> Self:
        """Build a token from the answer of ``userAccessToken``.

        ``corp_id`` is used if the answer names no organisation, as after a refresh. Raises
        ``ValueError`` if the answer is not as documented.
        """
        access_token = answer.get(wire.TOKEN_ACCESS_TOKEN)
        refresh_token = answer.get(wire.TOKEN_REFRESH_TOKEN)
        if not isinstance(access_token, str) or not _TOKEN.fullmatch(access_token):
            raise ValueError(f"{wire.TOKEN_ACCESS_TOKEN} is not a token")
        if refresh_token is not None and not (
            isinstance(refresh_token, str) and _TOKEN.fullmatch(refresh_token)
        ):
            raise ValueError(f"{wire.TOKEN_REFRESH_TOKEN} is not a token")
        lifetime = _seconds(answer.get(wire.TOKEN_EXPIRE_IN))
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(
            access_token=access_token,
            refresh_token=refresh_token,
            expires_at=now + timedelta(seconds=lifetime),
            corp_id=_text(frozen(answer).get(wire.TOKEN_CORP_ID)) or corp_id,
        )

    def is_expired(self, leeway: float = 60) -> bool:
        """Tell whether the access token has expired, or will within ``leeway`` seconds."""
        return datetime.now(UTC) + timedelta(seconds=leeway) >= self.expires_at


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _seconds(value: object) -> int:
    """Read a lifetime in seconds; some of DingTalk's samples have it in quotes."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(f"{wire.TOKEN_EXPIRE_IN} is not a number of seconds")
    return min(value, _ONE_YEAR)


#: The fields of a user that a session keeps by name; the other two are stored apart.
USER_FIELDS: Final = tuple(
    item.name for item in fields(DingTalkUser) if item.name not in ("raw", "employee")
)
