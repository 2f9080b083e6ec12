"""Act on DingTalk's events, by whatever way they come, and tell the site.

An event is acted on first, then handed to those who listen to the signal, and remembered last: what
fails half-way comes again. Acting twice does no harm. Nothing that an event says of a person is
applied: it ends sign-ins, or has them checked, and the check asks DingTalk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, abort, current_app, request
from werkzeug.exceptions import BadRequest, MethodNotAllowed, RequestEntityTooLarge

from . import signals
from .api import wire
from .api.events import Effect, Event
from .app_state import AppState, app_state, this_app
from .errors import DingTalkError
from .logs import facts
from .patience import Patience
from .responses import json_response

_log = logging.getLogger(__name__)


def answer_push() -> Response:
    """Take the event that DingTalk pushes with this request, and return its answer.

    Raises 404 where the site has not subscribed, 405, 413 and 400 for what is not a push,
    ``NotPermitted`` for one that is not DingTalk's or not for this site, and ``StoreUnavailable``.
    """
    settings = app_state().settings
    if settings.event_token is None or settings.event_aes_key is None:
        abort(404)
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])
    # cryptography takes 10 ms to load: not at the start of the process.
    from .api.event_push import MAX_BODY, EventCipher, MalformedPush

    cipher = EventCipher(settings.event_token, settings.event_aes_key, settings.client_id)
    try:
        event = cipher.open(request.args.to_dict(), _body(MAX_BODY), time.time())
        if event.type != wire.EVENT_CHECK_URL:
            handle(event)
    except MalformedPush as error:
        _log.warning("DingTalk event refused: %s", error, extra=facts("event_refused"))
        raise BadRequest(f"This is not an event of DingTalk: {error}.") from None
    except DingTalkError as error:
        _log.warning(
            "DingTalk event refused: %s", error.log_message, extra=facts("event_refused", error)
        )
        raise
    return json_response(cipher.success(time.time()), 200, current_app.response_class)


def _body(limit: int) -> bytes:
    """Read the body of this request; raise 413 if it has more bytes than ``limit``."""
    if (request.content_length or 0) > limit:
        raise RequestEntityTooLarge
    if request.content_length is not None:
        return request.get_data()
    # Sent in chunks. Only a server that marks its end hands any of it over (PEP 3333).
    body: bytes = request.stream.read(limit + 1)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def handle(event: Event) -> None:
    """Act on an event, unless it came before, and send the signal; in an application context.

    Raises ``StoreUnavailable`` if the store cannot be reached. The event has to come again then.
    Receivers of the signal get a second and a half of this time and go on by themselves after that;
    in a burst of events they get none of it. What they raise is logged.
    """
    begun = time.monotonic()
    state = app_state()
    if state.events.seen(event.id):
        _log.debug("DingTalk event %r came again", event.type, extra=facts("event_repeated"))
        return
    _act(state, event)
    receivers = _tell(this_app(), event)
    state.events.remember(event.id)
    if receivers is not None:
        _wait(receivers, state.process.for_receivers, begun)


def _act(state: AppState, event: Event) -> None:
    """End the sign-ins of those who left, or have those checked whom the event may concern."""
    people, effect = state.people, event.effect
    if not state.settings.members_only:
        # Whoever left may stay, as anybody may; a check takes the record of the member away.
        effect = {Effect.LEAVE: Effect.CHECK, Effect.ALL_LEAVE: Effect.CHECK_ALL}.get(
            effect, effect
        )
    number, what = 0, "concern nobody"
    if effect is Effect.LEAVE:
        number, what = sum(map(people.end_member, event.user_ids)), "ended"
    elif effect is Effect.ALL_LEAVE:
        number, what = people.end_everybody(), "ended"
    elif effect is Effect.CHECK:
        number, what = sum(map(people.mark_member, event.user_ids)), "to be checked"
    elif effect is Effect.CHECK_ALL:
        number, what = people.mark_everybody(), "to be checked"
    _log.info("DingTalk event %r: %d sign-ins %s", event.type, number, what, extra=facts("event"))


def _tell(app: Flask, event: Event) -> threading.Thread | None:
    """Send the signal in a thread; return it, or ``None`` if nobody listens.

    A site's receiver may take its time, which DingTalk does not give us. It may fail, and that is
    not cured if DingTalk sends the event again.
    """
    if not signals.event_received.receivers:
        return None
    receivers = list(signals.event_received.receivers_for(app))
    thread = threading.Thread(
        target=_send, args=(app, receivers, event), name="dingtalk-event", daemon=True
    )
    thread.start()
    return thread


def _wait(receivers: threading.Thread, patience: Patience, begun: float) -> None:
    """Wait for receivers as long as DingTalk and the next events leave time for that."""
    deadline = begun + patience.take(time.monotonic())
    receivers.join(max(0.0, deadline - time.monotonic()))
    patience.give_back(deadline - time.monotonic())


def _send(app: Flask, receivers: list[Callable[..., Any]], event: Event) -> None:
    with app.app_context():
        for receiver in receivers:
            try:
                app.ensure_sync(receiver)(app, event=event)
            except Exception:
                _log.exception(
                    "A receiver of event_received failed with DingTalk's event %r",
                    event.type,
                    extra=facts("event_receiver_failed"),
                )
