"""The record of a member in the application's own organisation. [query-user-details]"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, Self, TypeGuard, TypeVar, overload

from ..errors import FieldNotKept
from . import wire
from .frozen_json import FrozenDict, frozen

Value = TypeVar("Value", covariant=True)

#: In ``raw``: the names of the fields for which a cookie had no room. A rule of the site must not
#: mistake "left out" for "empty", so reading such a field raises ``ConfigurationError``.
LEFT_OUT: Final = "_left_out"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Role:
    """One role of a member, such as "Manager" in the group "Posts"."""

    #: DingTalk's number of the role.
    id: int
    #: What the organisation calls it.
    name: str | None
    #: The group of roles that it is in.
    group_name: str | None


class _Field(Generic[Value]):
    """A field of a record: reads one entry of ``raw``, and is ``None`` if that is missing.

    Raises ``ConfigurationError`` if the session cookie had no room for the entry.
    """

    def __init__(self, name: str, read: Callable[[object], Value | None]) -> None:
        self.name = name
        self._read = read

    @overload
    def __get__(self, employee: None, owner: type[Employee]) -> Self: ...
    @overload
    def __get__(self, employee: Employee, owner: type[Employee]) -> Value | None: ...
    def __get__(self, employee: Employee | None, owner: type[Employee]) -> Self | Value | None:
        if employee is None:
            return self
        if self.name in employee.raw.get(LEFT_OUT, ()):
            raise FieldNotKept(
                f"{self.name!r} of the employee record did not fit into the session cookie",
                hint="use server-side sessions (Flask-Session) to keep the whole record",
            )
        return self._read(employee.raw.get(self.name))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _flag(value: object) -> bool | None:
    if isinstance(value, str):
        # DingTalk's sample has each of them in quotes.
        return {"true": True, "false": False}.get(value)
    return value if isinstance(value, bool) else None


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, tuple):
        return None
    return tuple(number for number in value if _is_number(number))


def _moment(value: object) -> datetime | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if not _is_number(value):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        return None


def _roles(value: object) -> tuple[Role, ...] | None:
    if not isinstance(value, tuple):
        return None
    return tuple(
        Role(
            role[wire.ROLE_ID],
            _text(role.get(wire.ROLE_NAME)),
            _text(role.get(wire.ROLE_GROUP_NAME)),
        )
        for role in value
        if isinstance(role, Mapping) and _is_number(role.get(wire.ROLE_ID))
    )


def _json_object(value: object) -> Mapping[str, Any] | None:
    try:
        content = json.loads(_text(value) or "null")
        return frozen(content) if isinstance(content, dict) else None
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True, repr=False)
class Employee:
    """What the organisation's directory says about a member.

    A field that DingTalk did not send is ``None``: nobody has filled it in, or the application
    lacks the permission for it (``mobile``: 企业员工手机号信息; ``email``, ``work_place``,
    ``remark`` and ``extension``: 邮箱等个人信息). Reading a field that did not fit into the session
    cookie raises ``ConfigurationError``. [query-user-details]
    """

    #: The record as DingTalk sent it, or the part of it that fits into a cookie.
    raw: Mapping[str, Any] = field(default_factory=FrozenDict)

    #: The member's id within the organisation.
    user_id = _Field(wire.USER_ID, _text)
    #: The person's id for the developer, as in ``DingTalkUser``.
    union_id = _Field(wire.UNION_ID, _text)
    #: The name in the organisation's directory.
    name = _Field(wire.EMPLOYEE_NAME, _text)
    #: The position.
    title = _Field(wire.EMPLOYEE_TITLE, _text)
    #: The staff number.
    job_number = _Field(wire.EMPLOYEE_JOB_NUMBER, _text)
    #: The e-mail address that the organisation gave the member.
    org_email = _Field(wire.EMPLOYEE_ORG_EMAIL, _text)
    #: The e-mail address in the directory.
    email = _Field(wire.EMPLOYEE_EMAIL, _text)
    #: The phone number in the directory: digits without country code.
    mobile = _Field(wire.EMPLOYEE_MOBILE, _text)
    #: The extension in the office.
    telephone = _Field(wire.EMPLOYEE_TELEPHONE, _text)
    #: Where the member works.
    work_place = _Field(wire.EMPLOYEE_WORK_PLACE, _text)
    #: A note by the organisation.
    remark = _Field(wire.EMPLOYEE_REMARK, _text)
    #: The organisation's own fields. DingTalk sends them as a text that contains JSON.
    extension = _Field(wire.EMPLOYEE_EXTENSION, _json_object)
    #: The ``user_id`` of the direct manager.
    manager_user_id = _Field(wire.EMPLOYEE_MANAGER_USER_ID, _text)
    #: When the member joined, as an aware UTC ``datetime``.
    hired_date = _Field(wire.EMPLOYEE_HIRED_DATE, _moment)
    #: The ids of the member's departments; 1 is the whole organisation.
    department_ids = _Field(wire.EMPLOYEE_DEPARTMENT_IDS, _numbers)
    #: The member's roles.
    roles = _Field(wire.EMPLOYEE_ROLES, _roles)
    #: Whether the member has activated DingTalk.
    active = _Field(wire.EMPLOYEE_ACTIVE, _flag)
    #: Whether the member is an administrator of the organisation.
    admin = _Field(wire.EMPLOYEE_ADMIN, _flag)
    #: Whether the member is a boss of the organisation.
    boss = _Field(wire.EMPLOYEE_BOSS, _flag)
    #: Whether the member is in senior manager mode.
    senior = _Field(wire.EMPLOYEE_SENIOR, _flag)

    def __post_init__(self) -> None:
        if not isinstance(self.raw, FrozenDict):
            object.__setattr__(self, "raw", frozen(self.raw))

    def __hash__(self) -> int:
        return hash((self.user_id, self.name))

    def __repr__(self) -> str:
        return f"Employee(user_id={self.user_id!r}, name={self.name!r})"


#: The names that DingTalk gives to the fields above, in this order.
FIELD_NAMES: Final = tuple(
    each.name for each in vars(Employee).values() if isinstance(each, _Field)
)
