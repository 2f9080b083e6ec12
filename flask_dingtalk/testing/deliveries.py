"""Deliver events to a site: by HTTP to an address or a test client, or to those who listen.

An event that is not answered rightly is sent again after 10 seconds, and after 30 more, by the
simulator's clock. [obtain-the-event-list-of-failed-push-messages]
"""

import json
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from ..api import wire
from ..api.event_push import EventCipher
from ..errors import NotPermitted
from .events import Attempt, Delivery, Happening
from .people import random_text
from .stream import Gateway
from .world import World

if TYPE_CHECKING:
    from flask.testing import FlaskClient

#: Seconds between the attempts, by the simulator's clock.
RETRY_AFTER: Final = (10, 30)
#: Seconds, by the simulator's clock, from giving an event up to its place in the list of those; the
#: document says three to five minutes. [obtain-the-event-list-of-failed-push-messages]
LISTED_AFTER: Final = 180
#: So many are listed at a time. [obtain-the-event-list-of-failed-push-messages]
MOST_LISTED: Final = 200
#: Seconds of real time within which a site has to answer a push. [configure-stream-push]
ANSWER_WITHIN: Final = 2.5
#: Bytes of an answer that are read.
_MAX_ANSWER: Final = 64 * 1024
_JSON: Final = "application/json"

#: Sends a body to an address with a query, and returns status and body of the answer.
Post = Callable[[str, bytes], tuple[int, bytes]]


class FailedPushes:
    """The events that were pushed to an address and given up, for whoever asks for them.

    The caller holds the world's lock.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        #: With the moment, by the simulator's clock, from which they are listed.
        self._waiting: list[tuple[float, Happening]] = []
        self._handed_out = 0

    def add(self, happening: Happening) -> None:
        """Take in an event that was given up now."""
        self._waiting.append((self._world.now() + LISTED_AFTER, happening))

    def hand_out(self) -> tuple[list[Happening], bool]:
        """Return the oldest ones, and whether there are more; forget those of the call before."""
        del self._waiting[: self._handed_out]
        now = self._world.now()
        listed = [happening for since, happening in self._waiting if since <= now]
        self._handed_out = min(len(listed), MOST_LISTED)
        return listed[:MOST_LISTED], len(listed) > MOST_LISTED

    def forget(self) -> None:
        """Forget all of them."""
        self._waiting.clear()
        self._handed_out = 0


class Deliveries:
    """The events that were sent, and those that are still on their way."""

    def __init__(self, world: World, gateway: Gateway, failed: FailedPushes) -> None:
        self._world = world
        self._gateway = gateway
        self._failed = failed
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self.sent: list[Delivery] = []

    def to_client(self, happening: Happening, client: "FlaskClient", path: str) -> Delivery:
        """Push an event to the route of a test client, once and now."""

        def post(query: str, body: bytes) -> tuple[int, bytes]:
            response = client.post(path, query_string=query, data=body, content_type=_JSON)
            try:
                return response.status_code, response.get_data()
            finally:
                response.close()

        delivery = self._note(Delivery(happening, lambda: self._push(happening, post)))
        delivery.again()
        delivery.settle()
        return delivery

    def to_url(self, happening: Happening, url: str, *, retries: bool = True) -> Delivery:
        """Push an event by HTTP; with `retries` in the background, otherwise once and now."""

        def post(query: str, body: bytes) -> tuple[int, bytes]:
            return _post(url, query, body)

        delivery = self._note(Delivery(happening, lambda: self._push(happening, post)))
        if retries:
            self._begin(delivery, lambda: True, happening)
        else:
            delivery.again()
            delivery.settle()
        return delivery

    def to_listeners(self, happening: Happening) -> Delivery:
        """Send an event to one of those who listen, in the background."""
        delivery = self._note(Delivery(happening, lambda: self._gateway.send(happening)))
        self._begin(delivery, self._may_be_heard)
        return delivery

    def stop(self) -> None:
        """Give up what is on its way."""
        self._stopped.set()
        self._world.tell_news()
        self._gateway.stop()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._stopped.clear()

    def _note(self, delivery: Delivery) -> Delivery:
        self.sent.append(delivery)
        return delivery

    def _begin(
        self,
        delivery: Delivery,
        may_begin: Callable[[], bool],
        pushed: Happening | None = None,
    ) -> None:
        """Deliver in the background; ``pushed`` is what to list if that is given up."""

        def run() -> None:
            try:
                if may_begin():
                    is_over = self._send_until_accepted(delivery)
                    if is_over and pushed is not None and not delivery.arrived:
                        with self._world.lock:
                            self._failed.add(pushed)
            finally:
                delivery.settle()

        thread = threading.Thread(target=run, name="dingtalk-events", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _send_until_accepted(self, delivery: Delivery) -> bool:
        """Try as often as DingTalk does; return false if everything was stopped meanwhile."""
        due = self._world.now()
        for delay in (0, *RETRY_AFTER):
            due += delay
            self._world.wait_until(due, self._stopped.is_set)
            due = self._world.now()
            if self._stopped.is_set():
                return False
            if delivery.again().accepted:
                break
        return True

    def _may_be_heard(self) -> bool:
        if self._world.application.keeps_events:
            return self._gateway.wait_for_listener(self._stopped)
        return self._gateway.listeners > 0

    def _push(self, happening: Happening, post: Post) -> Attempt:
        application = self._world.application
        cipher = EventCipher(
            application.event_token, application.event_aes_key, application.client_id
        )
        message = happening.body(new=application.new_event_bodies)
        encrypted = cipher.encrypt(message)
        timestamp, nonce = str(int(self._world.now() * 1000)), random_text(8)
        signature = cipher.sign(timestamp, nonce, encrypted)
        query = dict.fromkeys(wire.PUSH_SIGNATURES, signature)
        query |= {wire.PUSH_TIMESTAMP: timestamp, wire.PUSH_NONCE: nonce}
        body = json.dumps({wire.PUSH_ENCRYPTED: encrypted}).encode()
        try:
            status, answer = post(urlencode(query), body)
        except (OSError, HTTPException):
            return Attempt(None, accepted=False)
        return Attempt(status, accepted=status == 200 and _says_success(cipher, answer))


def _post(url: str, query: str, body: bytes) -> tuple[int, bytes]:
    """POST as DingTalk does: redirects are not followed."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_WITHIN)
    target = f"{parts.path or '/'}?{parts.query + '&' if parts.query else ''}{query}"
    try:
        connection.request("POST", target, body, {"Content-Type": _JSON})
        response = connection.getresponse()
        return response.status, response.read(_MAX_ANSWER)
    finally:
        connection.close()


def _says_success(cipher: EventCipher, answer: bytes) -> bool:
    """Check an answer as DingTalk does: its four fields, and what is in them."""
    try:
        content = json.loads(answer)
        signature = content[wire.PUSH_REPLY_SIGNATURE]
        encrypted = content[wire.PUSH_ENCRYPTED]
        signed = content[wire.PUSH_REPLY_TIMESTAMP], content[wire.PUSH_REPLY_NONCE], encrypted
        if signature != cipher.sign(*signed):
            return False
        return cipher.decrypt(encrypted) == wire.PUSH_SUCCESS.encode()
    except (ValueError, KeyError, TypeError, AttributeError, NotPermitted):
        return False
