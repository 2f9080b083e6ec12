"""May this person in? Decisions on plain values, and no way to answer a silent yes."""

from collections.abc import Collection

from .errors import OrganisationNotAllowed
from .models import DingTalkUser
from .settings import Settings


def admit(user: DingTalkUser, settings: Settings) -> None:
    """Raise ``OrganisationNotAllowed`` unless the settings let ``user`` sign in."""
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
            f"the user chose the organisation {user.corp_id}",
            hint="if it should be let in, add this corp id to the list",
        )
