"""The signals that a site can connect to; the sender is always the Flask app."""

from blinker import Namespace

_signals = Namespace()

#: Somebody signed in: ``user``, ``token``. Sent after the session was opened.
user_logged_in = _signals.signal("dingtalk-user-logged-in")

#: Somebody signed out: ``user``. Sent after the session was closed.
user_logged_out = _signals.signal("dingtalk-user-logged-out")

#: A sign-in failed: ``error``, the exception that the browser gets as a page.
login_failed = _signals.signal("dingtalk-login-failed")

#: A call as the user refreshed their tokens: ``user``, ``token`` (the new one).
token_refreshed = _signals.signal("dingtalk-token-refreshed")
