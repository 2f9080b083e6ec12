"""Log a user in on a test client by writing its session; for unit tests that need no server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..payload import SignedIn, pack
from ..session import USER_KEY
from ..state import current

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from ..models import DingTalkToken, DingTalkUser


def signed_in(
    client: FlaskClient, user: DingTalkUser, token: DingTalkToken | None = None
) -> FlaskClient:
    """Sign ``user`` in on a Flask test client, as if they had come back from DingTalk.

    Without ``token``, ``dingtalk.token`` is ``None``. Returns the client.
    """
    app = client.application
    with app.app_context():
        text = current().key_ring(app).session.seal(pack(SignedIn(user, token, time.time())))
    with client.session_transaction() as session:
        session[USER_KEY] = text
    return client
