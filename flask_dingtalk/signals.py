"""What a site can listen to; the sender is always the Flask app."""

from blinker import Namespace

_signals = Namespace()

#: Somebody signed in: ``user``, ``token``. The session is open already.
user_logged_in = _signals.signal("dingtalk-user-logged-in")

#: A request ended a sign-in: ``user``, or ``None`` if the session could not be read. Sent for a
#: sign-out, for a check to which DingTalk says no, and for somebody else who signs in over it.
user_logged_out = _signals.signal("dingtalk-user-logged-out")

#: A sign-in came to nothing: ``error``, the exception that the browser gets as a page.
login_failed = _signals.signal("dingtalk-login-failed")

#: A call as the user, or a check, renewed the tokens: ``user``, ``token`` (the new one).
token_refreshed = _signals.signal("dingtalk-token-refreshed")

#: DingTalk sent an event: ``event``, with ``type``, ``corp_id``, ``time`` and ``data``. The
#: extension has acted on it already. Sent in a thread, without a request; it may come twice.
event_received = _signals.signal("dingtalk-event-received")
