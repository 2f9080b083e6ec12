"""Log a user in on a test client by writing its session; for unit tests that need no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..app_state import app_state
from ..codec import pack
from ..login import Login
from ..session import LOGIN_KEY

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from ..api.models import DingTalkToken, DingTalkUser


def signed_in(
    client: FlaskClient, user: DingTalkUser, token: DingTalkToken | None = None
) -> FlaskClient:
    """Sign ``user`` in on a Flask test client, as if they had come back from DingTalk.

    Without ``token``, ``dingtalk.token`` is ``None``. Returns the client.
    """
    app = client.application
    login = Login.begin(user, token)
    with app.app_context():
        store = app_state().store
        if store is None:
            text = app_state().key_ring(app).session.seal(pack(login))
        else:
            store.logins.create(login)
            text = store.logins.text(login)
    with client.session_transaction() as session:
        session[LOGIN_KEY] = text
    return client
