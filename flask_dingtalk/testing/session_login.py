"""Log a user in on a test client by writing its session; for unit tests that need no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import policy
from ..app_state import app_state
from ..codec import pack
from ..errors import OrganisationNotAllowed
from ..login import Login
from ..session import LOGIN_KEY
from .made import make_user

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from ..api.models import DingTalkToken, DingTalkUser
    from ..settings import Settings


def signed_in(
    client: FlaskClient, user: DingTalkUser | None = None, token: DingTalkToken | None = None
) -> FlaskClient:
    """Sign ``user`` in on a Flask test client, as if they had come back from DingTalk.

    Without ``user`` it is whoever ``make_user`` makes for that site. Without ``token``,
    ``dingtalk.token`` is ``None``. Returns the client. ``ValueError`` for a user whom the settings
    of the site do not admit: its views would only redirect.
    """
    app = client.application
    with app.app_context():
        state = app_state()
        user = make_user() if user is None else user
        reason = _why_refused(user, state.settings)
        if reason is not None:
            raise ValueError(
                f"The site would not let this user in: {reason}. Build the user with make_user() in"
                " the app's context, or leave it out: signed_in(client)."
            )
        login = Login.begin(user, token)
        if state.store is None:
            text = state.key_ring(app).session.seal(pack(login))
        else:
            state.store.logins.create(login)
            text = state.store.logins.text(login)
    with client.session_transaction() as session:
        session[LOGIN_KEY] = text
    return client


def _why_refused(user: DingTalkUser, settings: Settings) -> str | None:
    if settings.members_only and user.user_id is None:
        return "DINGTALK_MEMBERS_ONLY is set, and user.user_id is None, as of somebody else"
    try:
        policy.check_allowed(user, settings)
    except OrganisationNotAllowed as error:
        return f"DINGTALK_ALLOWED_CORP_IDS is set, and {error.detail}"
    return None
