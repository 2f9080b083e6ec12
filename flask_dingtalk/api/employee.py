"""The record of a member in the application's own organisation. [query-user-details]"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard

from ..errors import FieldNotKept
from . import wire
from .frozen_json import FrozenDict, frozen

#: In ``raw``: the names that a cookie had no room for. "Left out" must not pass for "empty" in a
#: rule of the site, so reading such a field raises ``ConfigurationError``.
LEFT_OUT: Final = "_left_out"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Role:
    """One role of a member, such as "Manager" of the group "Posts"."""

    id: int
    name: str | None
    group_name: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Employee:
    """What the organisation keeps about a member, read from ``raw`` when asked for.

    A field that DingTalk did not send is ``None``: it is not filled in, or the application lacks
    the permission for it (``mobile``: 企业员工手机号信息; ``email``, ``work_place``, ``remark`` and
    ``extension``: 邮箱等个人信息).
    """

    #: The record as DingTalk sent it; less of it where a cookie has no room for all.
    raw: Mapping[str, Any] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        if not isinstance(self.raw, FrozenDict):
            object.__setattr__(self, "raw", frozen(self.raw))

    def __hash__(self) -> int:
        return hash((self.user_id, self.name))

    def __repr__(self) -> str:
        return f"Employee(user_id={self.user_id!r}, name={self.name!r})"

    @property
    def user_id(self) -> str | None:
        """The member's id within the organisation."""
        return self._text(wire.USER_ID)

    @property
    def union_id(self) -> str | None:
        """The person's id for the developer, as in ``DingTalkUser``."""
        return self._text(wire.UNION_ID)

    @property
    def name(self) -> str | None:
        """The name in the organisation's directory."""
        return self._text(wire.EMPLOYEE_NAME)

    @property
    def title(self) -> str | None:
        """The position."""
        return self._text(wire.EMPLOYEE_TITLE)

    @property
    def job_number(self) -> str | None:
        """The staff number."""
        return self._text(wire.EMPLOYEE_JOB_NUMBER)

    @property
    def org_email(self) -> str | None:
        """The mailbox that the organisation gave the member."""
        return self._text(wire.EMPLOYEE_ORG_EMAIL)

    @property
    def email(self) -> str | None:
        """The mailbox that stands in the directory."""
        return self._text(wire.EMPLOYEE_EMAIL)

    @property
    def mobile(self) -> str | None:
        """The number in the directory: digits without country code."""
        return self._text(wire.EMPLOYEE_MOBILE)

    @property
    def telephone(self) -> str | None:
        """The extension in the office."""
        return self._text(wire.EMPLOYEE_TELEPHONE)

    @property
    def work_place(self) -> str | None:
        """Where the member works."""
        return self._text(wire.EMPLOYEE_WORK_PLACE)

    @property
    def remark(self) -> str | None:
        """What the organisation noted."""
        return self._text(wire.EMPLOYEE_REMARK)

    @property
    def manager_user_id(self) -> str | None:
        """The ``user_id`` of the direct manager."""
        return self._text(wire.EMPLOYEE_MANAGER_USER_ID)

    @property
    def hired_date(self) -> datetime | None:
        """When the member joined, as an aware UTC ``datetime``."""
        milliseconds = self._number(wire.EMPLOYEE_HIRED_DATE)
        if milliseconds is None:
            return None
        try:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            return None

    @property
    def department_ids(self) -> tuple[int, ...] | None:
        """The departments that the member belongs to; 1 is the whole organisation."""
        departments = self._present(wire.EMPLOYEE_DEPARTMENT_IDS).get(wire.EMPLOYEE_DEPARTMENT_IDS)
        if not isinstance(departments, tuple):
            return None
        return tuple(number for number in departments if _is_number(number))

    @property
    def active(self) -> bool | None:
        """Whether the member has activated DingTalk."""
        return self._flag(wire.EMPLOYEE_ACTIVE)

    @property
    def admin(self) -> bool | None:
        """Whether the member administers the organisation."""
        return self._flag(wire.EMPLOYEE_ADMIN)

    @property
    def boss(self) -> bool | None:
        """Whether the member is a boss of the organisation."""
        return self._flag(wire.EMPLOYEE_BOSS)

    @property
    def senior(self) -> bool | None:
        """Whether the member is in senior manager mode."""
        return self._flag(wire.EMPLOYEE_SENIOR)

    @property
    def roles(self) -> tuple[Role, ...] | None:
        """The member's roles."""
        roles = self._present(wire.EMPLOYEE_ROLES).get(wire.EMPLOYEE_ROLES)
        if not isinstance(roles, tuple):
            return None
        return tuple(
            Role(role[wire.ROLE_ID], _text(role, wire.ROLE_NAME), _text(role, wire.ROLE_GROUP_NAME))
            for role in roles
            if isinstance(role, Mapping) and _is_number(role.get(wire.ROLE_ID))
        )

    @property
    def extension(self) -> Mapping[str, Any] | None:
        """The organisation's own fields; DingTalk sends them as a text that holds JSON."""
        try:
            fields = json.loads(self._text(wire.EMPLOYEE_EXTENSION) or "null")
            return frozen(fields) if isinstance(fields, dict) else None
        except (ValueError, RecursionError):
            return None

    def _text(self, name: str) -> str | None:
        return _text(self._present(name), name)

    def _present(self, name: str) -> Mapping[str, Any]:
        """Return the record; raise ``ConfigurationError`` if a cookie had no room for ``name``."""
        if name in self.raw.get(LEFT_OUT, ()):
            raise FieldNotKept(
                f"{name!r} of the employee record did not fit into the session cookie",
                hint="use server-side sessions (Flask-Session) to keep the whole record",
            )
        return self.raw

    def _flag(self, name: str) -> bool | None:
        value = self._present(name).get(name)
        # The sample in the documents has quotes around each of them.
        value = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        return value if isinstance(value, bool) else None

    def _number(self, name: str) -> int | None:
        value = self._present(name).get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:20])
        return value if _is_number(value) else None


def _text(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return value if isinstance(value, str) and value else None


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
