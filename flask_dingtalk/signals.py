"""What a site can listen to; the sender is always the Flask app."""

from blinker import Namespace

_signals = Namespace()

#: Somebody signed in: ``user``, ``token``. The session is open already.
user_logged_in = _signals.signal("dingtalk-user-logged-in")

#: Somebody signed out: ``user``. The session is closed already.
user_logged_out = _signals.signal("dingtalk-user-logged-out")

#: A sign-in came to nothing: ``error``, the exception that the browser gets as a page.
login_failed = _signals.signal("dingtalk-login-failed")

#: A call as the user renewed the tokens: ``user``, ``token`` (the new one).
token_refreshed = _signals.signal("dingtalk-token-refreshed")
