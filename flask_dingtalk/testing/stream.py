"""The gateway of Stream mode: sites connect to it by WebSocket and hear events.

The package ``websockets`` is needed, which DingTalk's own SDK brings along. [configure-stream-push]
"""

import json
import logging
import random
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from ..api import wire
from . import wire as testing_wire
from .events import Attempt, Happening
from .world import World

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.sync.server import Server, ServerConnection

#: Seconds for which a ticket is good, by the simulator's clock.
TICKET_LIFETIME: Final = 90
#: Seconds, by the simulator's clock, for which the answer to a frame is awaited. DingTalk asks for
#: three, and sends an event again after some ten. [configure-stream-push]
ANSWER_WITHIN: Final = 10.0
#: Seconds of real time from the announcement of an end to the end.
CLOSE_AFTER: Final = 10.0
_PATH: Final = "/connect"
_MIMETYPE: Final = "application/json"


@dataclass(eq=False)
class _Listener:
    """One connection of somebody who listens."""

    websocket: "ServerConnection"
    world: World
    #: An end was announced: it gets no more events.
    retiring: bool = False
    #: What it has not answered yet, by the id of the message.
    unanswered: dict[str, "_Answer"] = field(default_factory=dict)

    def ask(self, frame: dict[str, Any]) -> "_Answer":
        """Send a frame and wait for its answer."""
        answer = _Answer()
        message_id = frame[wire.STREAM_HEADERS][testing_wire.STREAM_MESSAGE_ID]
        self.unanswered[message_id] = answer
        due = self.world.now() + ANSWER_WITHIN
        if self.tell(frame):
            self.world.wait_until(due, lambda: answer.is_over)
        self.unanswered.pop(message_id, None)
        return answer

    def tell(self, frame: dict[str, Any]) -> bool:
        """Send a frame; return false if the connection has ended."""
        from websockets.exceptions import ConnectionClosed

        try:
            self.websocket.send(json.dumps(frame, ensure_ascii=False))
        except (ConnectionClosed, OSError):
            return False
        return True

    def hear(self, text: str | bytes) -> None:
        """Take an answer in."""
        try:
            content = json.loads(text)
            message_id = content[wire.STREAM_HEADERS][testing_wire.STREAM_MESSAGE_ID]
            answer = self.unanswered[message_id]
        except (ValueError, KeyError, TypeError):
            return
        answer.content, answer.is_over = content, True
        self.world.tell_news()

    def end(self) -> None:
        """Let nobody wait for an answer any more."""
        for answer in list(self.unanswered.values()):
            answer.is_over = True
        self.world.tell_news()


@dataclass
class _Answer:
    """What somebody who listens answered to a frame."""

    content: Any = None
    #: It has come, or cannot come any more.
    is_over: bool = False

    def attempt(self) -> Attempt:
        """Tell what it means for an event.

        200 and no status counts as a success: DingTalk's SDK for Python answers like that.
        """
        if self.content is None:
            return Attempt(None, accepted=False)
        code = self.content.get(testing_wire.STREAM_CODE)
        accepted = code == 200 and self._status() in (None, wire.STREAM_STATUS_SUCCESS)
        return Attempt(code if isinstance(code, int) else None, accepted=accepted)

    def _status(self) -> object:
        try:
            data = json.loads(self.content.get(testing_wire.STREAM_DATA) or "{}")
        except (ValueError, TypeError):
            data = None
        return data.get(wire.STREAM_STATUS) if isinstance(data, dict) else "unreadable"


class Gateway:
    """Gives out tickets, and sends each event to one of those who connected with one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = threading.Condition()
        self._listeners: list[_Listener] = []
        #: When each unused ticket ends, by the simulator's clock.
        self._tickets: dict[str, float] = {}
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        #: Every ticket so far, used or not.
        self.issued: set[str] = set()

    @property
    def listeners(self) -> int:
        """How many connections hear events."""
        return len(self._listening())

    def open(self, host: str) -> dict[str, str]:
        """Return the address and the ticket for a new connection."""
        ticket = str(uuid.uuid4())
        with self._changed:
            server = self._serve(host)
            self._tickets[ticket] = self._world.now() + TICKET_LIFETIME
            self.issued.add(ticket)
        port = server.socket.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        return {
            wire.STREAM_ENDPOINT: f"ws://{name}:{port}{_PATH}",
            wire.STREAM_TICKET: ticket,
        }

    def send(self, happening: Happening) -> Attempt:
        """Send an event to one of those who listen, and wait for the answer."""
        listening = self._listening()
        if not listening:
            return Attempt(None, accepted=False)
        # DingTalk chooses at random, too.
        listener = random.choice(listening)  # noqa: S311
        headers = happening.headers() | {
            testing_wire.STREAM_EVENT_APP_ID: self._world.application.unified_app_id
        }
        frame = self._frame(
            wire.STREAM_TYPE_EVENT,
            wire.STREAM_TOPIC_ALL,
            happening.data(),
            headers,
        )
        return listener.ask(frame).attempt()

    def ping(self) -> bool:
        """Ping all connections; tell whether all of them answer."""
        return all(self._is_pinged(each) for each in self._listening())

    def _is_pinged(self, listener: _Listener) -> bool:
        opaque = {testing_wire.STREAM_PING_OPAQUE: uuid.uuid4().hex}
        kind, topic = wire.STREAM_TYPE_SYSTEM, testing_wire.STREAM_PING
        content = listener.ask(self._frame(kind, topic, json.dumps(opaque))).content
        try:
            echo = json.loads(content[testing_wire.STREAM_DATA])
            return bool(content[testing_wire.STREAM_CODE] == 200 and echo == opaque)
        except (ValueError, KeyError, TypeError):
            return False

    def disconnect(self, reason: str) -> None:
        """Announce the end of all connections, and close them ten seconds later."""
        data = json.dumps({testing_wire.STREAM_DISCONNECT_REASON: reason})
        for listener in self._listening():
            listener.retiring = True
            listener.tell(self._frame(wire.STREAM_TYPE_SYSTEM, wire.STREAM_TOPIC_DISCONNECT, data))
            timer = threading.Timer(CLOSE_AFTER, listener.websocket.close)
            timer.daemon = True
            timer.start()

    def drop(self) -> None:
        """Cut all connections off, without a word."""
        for listener in list(self._listeners):
            with suppress(OSError):  # it has just ended by itself
                listener.websocket.socket.shutdown(socket.SHUT_RDWR)

    def tell(self, text: str) -> None:
        """Send any text as a frame to all connections."""
        for listener in self._listening():
            listener.websocket.send(text)

    def wait_for_listener(self, stopped: threading.Event) -> bool:
        """Wait until somebody listens; return false if everything was stopped meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: stopped.is_set() or bool(self._listening()))
        return not stopped.is_set()

    def wait_for_listeners(self, number: int, timeout: float) -> bool:
        """Wait until so many listen; tell whether they do."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._listening()) == number, timeout)

    def stop(self) -> None:
        """Close everything."""
        with self._changed:
            server, self._server = self._server, None
            self._changed.notify_all()
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        self.drop()
        with self._changed:
            self._changed.wait_for(lambda: not self._listeners, CLOSE_AFTER)

    def _listening(self) -> list[_Listener]:
        return [each for each in list(self._listeners) if not each.retiring]

    def _serve(self, host: str) -> "Server":
        if self._server is not None:
            return self._server
        from websockets.sync.server import serve

        # Its usual logger would write the tickets. This one is out of reach of any configuration.
        silent = logging.Logger("dingtalk-simulator", logging.CRITICAL + 1)  # noqa: LOG001
        self._server = serve(
            self._listen, host, 0, process_request=self._check_ticket, logger=silent
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="dingtalk-gateway", daemon=True
        )
        self._thread.start()
        return self._server

    def _check_ticket(self, websocket: "ServerConnection", request: "Request") -> "Response | None":
        """Let a ticket in, once."""
        address = urlsplit(request.path)
        ticket = parse_qs(address.query).get(wire.STREAM_TICKET, [""])[0]
        with self._changed:
            ends_at = self._tickets.pop(ticket, 0.0)
        if address.path != _PATH or ends_at < self._world.now():
            return websocket.respond(HTTPStatus.UNAUTHORIZED, "no such ticket\n")
        return None

    def _listen(self, websocket: "ServerConnection") -> None:
        listener = _Listener(websocket, self._world)
        with self._changed:
            self._listeners.append(listener)
            self._changed.notify_all()
        try:
            for text in websocket:
                listener.hear(text)
        finally:
            with self._changed:
                self._listeners.remove(listener)
                listener.end()
                self._changed.notify_all()

    def _frame(
        self, kind: str, topic: str, data: str, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        return {
            testing_wire.STREAM_SPEC_VERSION: testing_wire.STREAM_SPEC_VERSION_VALUE,
            wire.STREAM_TYPE: kind,
            wire.STREAM_HEADERS: {
                wire.STREAM_TOPIC: topic,
                testing_wire.STREAM_MESSAGE_ID: f"{uuid.uuid4().hex[:8]}_{uuid.uuid4().hex[:8]}",
                testing_wire.STREAM_CONTENT_TYPE: _MIMETYPE,
                testing_wire.STREAM_TIME: str(int(self._world.now() * 1000)),
                **(headers or {}),
            },
            testing_wire.STREAM_DATA: data,
        }
