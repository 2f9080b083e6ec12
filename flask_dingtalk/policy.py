"""May this person in? Decisions on what DingTalk says; what could not be found out is no yes."""

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
    """Return ``user``, with what the organisation's directory says where the settings ask for it.

    Raises ``OrganisationNotAllowed`` for people whom the settings keep out, and the errors of the
    directory.
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
    """Return ``user`` without a record, which nobody keeps up to date."""
    return user if user.employee is None else replace(user, employee=None)


def fits(user: DingTalkUser, settings: Settings) -> bool:
    """Tell whether a signed-in user is within the rules as far as the session shows.

    Somebody who signed in before a rule was set, or before the process was started with it, is not.
    """
    if settings.members_only and user.user_id is None:
        return False
    return settings.allowed_corp_ids is None or user.corp_id in settings.allowed_corp_ids


def check_allowed(user: DingTalkUser, settings: Settings) -> None:
    """Raise ``OrganisationNotAllowed`` unless the settings admit the organisation of ``user``."""
    if settings.allowed_corp_ids is not None:
        check_organisation(user, settings.allowed_corp_ids)


def check_organisation(user: DingTalkUser, corp_ids: Collection[str]) -> None:
    """Raise ``OrganisationNotAllowed`` unless ``user`` signed in as one of these organisations.

    A user whose organisation is unknown is in none of them.
    """
    if user.corp_id is None:
        raise OrganisationNotAllowed(
            "DingTalk did not say which organisation the user chose",
            hint="set DINGTALK_SCOPE = 'openid corpid'; then everybody has to sign in again",
        )
    if user.corp_id not in corp_ids:
        raise OrganisationNotAllowed(
            f"the user chose the organisation {user.corp_id!r}",
            hint="if it should be let in, add this corp id to the list",
        )
