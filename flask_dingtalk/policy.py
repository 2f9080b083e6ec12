"""Decide who may sign in, by what DingTalk says; an unanswered question does not admit anyone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from .api.models import DingTalkUser
from .errors import OrganisationNotAllowed
from .settings import Settings

if TYPE_CHECKING:
    from .api.directory import Directory


def admit(user: DingTalkUser, settings: Settings, directory: Directory) -> DingTalkUser:
    """Return ``user`` with ``user_id`` and ``employee``, if the settings ask for them.

    Raises ``OrganisationNotAllowed`` if the settings do not admit the user, and the errors of
    ``directory``.
    """
    check_allowed(user, settings)
    if not (settings.members_only or settings.employee_profile):
        return without_membership(user)
    try:
        user_id = directory.user_id(user.union_id)
        employee = None
        if settings.employee_profile:
            employee = directory.employee(user_id, user.union_id)
    except OrganisationNotAllowed:
        if settings.members_only:
            raise
        return replace(user, user_id=None, employee=None)
    return replace(user, user_id=user_id, employee=employee)


def without_membership(user: DingTalkUser) -> DingTalkUser:
    """Return ``user`` without ``employee``: with these settings it would never be updated."""
    return user if user.employee is None else replace(user, employee=None)


def fits(user: DingTalkUser, settings: Settings) -> bool:
    """Tell whether the settings admit a signed-in user, going by the session alone.

    They may have been admitted before a setting was changed.
    """
    if settings.members_only and user.user_id is None:
        return False
    return settings.allowed_corp_ids is None or user.corp_id in settings.allowed_corp_ids


def check_allowed(user: DingTalkUser, settings: Settings) -> None:
    """Raise ``OrganisationNotAllowed`` unless the settings admit the organisation of ``user``."""
    if settings.allowed_corp_ids is not None:
        check_organisation(user, settings.allowed_corp_ids)


def check_organisation(user: DingTalkUser, corp_ids: Collection[str]) -> None:
    """Raise ``OrganisationNotAllowed`` unless ``user`` chose one of these organisations.

    A user whose organisation is unknown is refused.
    """
    if user.corp_id is None:
        raise OrganisationNotAllowed(
            "DingTalk did not say which organisation the user chose",
            hint="set DINGTALK_SCOPE = 'openid corpid'; then everybody has to sign in again",
        )
    if user.corp_id not in corp_ids:
        raise OrganisationNotAllowed(
            f"the user chose the organisation {user.corp_id!r}",
            hint="to admit its members, add this corp id to the list",
        )
