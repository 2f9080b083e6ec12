"""Believable users and records for tests that need no server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from flask import current_app, has_app_context

from ..api import wire
from ..api.employee import Employee, Role
from ..api.models import DingTalkUser
from ..app_state import EXTENSION_KEY
from ..settings import Settings
from .people import digits_from_seed, text_from_seed

#: Whoever is made without a name.
_NICK: Final = "张三"
#: By attribute of `Employee`: DingTalk's name of the field.
_WIRE_NAMES: Final = {
    "user_id": wire.USER_ID,
    "union_id": wire.UNION_ID,
    "name": wire.EMPLOYEE_NAME,
    "title": wire.EMPLOYEE_TITLE,
    "job_number": wire.EMPLOYEE_JOB_NUMBER,
    "org_email": wire.EMPLOYEE_ORG_EMAIL,
    "email": wire.EMPLOYEE_EMAIL,
    "mobile": wire.EMPLOYEE_MOBILE,
    "telephone": wire.EMPLOYEE_TELEPHONE,
    "work_place": wire.EMPLOYEE_WORK_PLACE,
    "remark": wire.EMPLOYEE_REMARK,
    "extension": wire.EMPLOYEE_EXTENSION,
    "manager_user_id": wire.EMPLOYEE_MANAGER_USER_ID,
    "hired_date": wire.EMPLOYEE_HIRED_DATE,
    "department_ids": wire.EMPLOYEE_DEPARTMENT_IDS,
    "roles": wire.EMPLOYEE_ROLES,
    "active": wire.EMPLOYEE_ACTIVE,
    "admin": wire.EMPLOYEE_ADMIN,
    "boss": wire.EMPLOYEE_BOSS,
    "senior": wire.EMPLOYEE_SENIOR,
}


def make_user(**given: Any) -> DingTalkUser:
    """Return a user with believable values; ``given`` are fields of ``DingTalkUser``.

    The same ``nick`` gets the same ids in every run, another one gets others. Within an app
    context, the user has what the settings of that site ask for: ``user_id`` and ``employee``
    where it asks for members, ``corp_id`` where it asks for an organisation. Outside of one the
    user is a member with a record. ``TypeError`` for a field that there is not.
    """
    known = {each.name for each in fields(DingTalkUser)}
    if not given.keys() <= known:
        unknown = ", ".join(sorted(given.keys() - known))
        raise TypeError(f"A user has no {unknown}. There are {', '.join(sorted(known))}.")
    settings = _settings()
    name = str(given.get("nick") or given.get("union_id") or _NICK)
    employee: Employee | None = given.get("employee")
    ids = {
        "union_id": (employee and employee.union_id) or f"{_from(name, 'union')}iEiE",
        "user_id": (employee and employee.user_id) or _user_id(name),
    }
    ids |= {key: given[key] for key in ids if given.get(key) is not None}
    usual: dict[str, Any] = {
        **ids,
        "open_id": f"{_from(name, 'open')}iEiE",
        "nick": name,
        "avatar_url": f"https://static-legacy.dingtalk.com/media/l{_from(name, 'avatar')}.jpg",
        "mobile": _mobile(name),
        "state_code": "86",
        "employee": None,
    }
    if settings is None or settings.employee_profile:
        usual["employee"] = make_employee(**ids, name=usual["nick"], mobile=usual["mobile"])
    elif not settings.members_only:
        usual["user_id"] = None
    if settings is not None and settings.scope == wire.SCOPE_OPENID_CORPID:
        usual["corp_id"] = settings.corp_id or _first(settings.allowed_corp_ids)
    user = DingTalkUser(**usual | given)
    if user.raw:
        return user
    raw = {
        wire.PROFILE_UNION_ID: user.union_id,
        wire.PROFILE_OPEN_ID: user.open_id,
        wire.PROFILE_NICK: user.nick,
        wire.PROFILE_AVATAR_URL: user.avatar_url,
        wire.PROFILE_MOBILE: user.mobile,
        wire.PROFILE_STATE_CODE: user.state_code,
        wire.PROFILE_EMAIL: user.email,
    }
    return replace(user, raw={key: value for key, value in raw.items() if value is not None})


def make_employee(**given: Any) -> Employee:
    """Return the record of a member; ``given`` are attributes of ``Employee``.

    ``roles`` are ``Role`` objects or names, ``hired_date`` is a ``datetime``, ``extension`` a
    mapping. ``None`` is a field that DingTalk did not send. ``TypeError`` for a field that there
    is not.
    """
    if not given.keys() <= _WIRE_NAMES.keys():
        unknown = ", ".join(sorted(given.keys() - _WIRE_NAMES.keys()))
        raise TypeError(f"A record has no {unknown}. There are {', '.join(_WIRE_NAMES)}.")
    name = str(given.get("name") or _NICK)
    usual = {
        "user_id": _user_id(name),
        "union_id": f"{_from(name, 'union')}iEiE",
        "name": name,
        "title": "工程师",
        "job_number": digits_from_seed(f"number {name}", 4),
        "mobile": _mobile(name),
        "department_ids": (1,),
        "roles": (),
        "hired_date": datetime(2021, 7, 5, tzinfo=UTC),
        "active": True,
        "admin": False,
        "boss": False,
        "senior": False,
    }
    record = {
        _WIRE_NAMES[key]: _as_sent(key, value)
        for key, value in (usual | given).items()
        if value is not None
    }
    return Employee(record)


def _as_sent(key: str, value: Any) -> Any:
    """Return a value in the form in which DingTalk sends it."""
    if key == "roles":
        return [_role(number, role) for number, role in enumerate(value, 1)]
    if key == "department_ids":
        return list(value)
    if key == "hired_date" and isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if key == "extension" and isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False)
    return value


def _role(number: int, role: Role | str) -> dict[str, Any]:
    if isinstance(role, str):
        role = Role(number, role, "默认")
    return {wire.ROLE_ID: role.id, wire.ROLE_NAME: role.name, wire.ROLE_GROUP_NAME: role.group_name}


def _settings() -> Settings | None:
    """Return the settings of the site whose app context this is."""
    if not has_app_context():
        return None
    state = current_app.extensions.get(EXTENSION_KEY)
    settings: Settings | None = None if state is None else state.settings
    return settings


def _first(corp_ids: frozenset[str] | None) -> str:
    return min(corp_ids) if corp_ids else f"ding{_from('organisation', 'own').lower()}"


def _from(name: str, kind: str) -> str:
    return text_from_seed(kind, name, length=24)


def _user_id(name: str) -> str:
    return f"01{digits_from_seed(f'user {name}', 14)}"


def _mobile(name: str) -> str:
    return f"1501234{digits_from_seed(name, 4)}"
