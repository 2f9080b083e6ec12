"""Hear DingTalk's events by Stream mode: the process behind ``flask dingtalk listen``.

DingTalk's own SDK knows the frames and their answers. What is done here instead: its request for a
connection has no time-out and is repeated for ever, whatever the answer; it answers nothing when
handling an event fails; it logs tickets; and it swallows the cancellation that Ctrl-C brings.

Only this module loads the SDK, and only that command loads this module.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, urlsplit

import websockets
from dingtalk_stream import AckMessage, Credential, DingTalkStreamClient, EventHandler
from dingtalk_stream.frames import EventMessage, Headers
from dingtalk_stream.version import VERSION_STRING
from flask import Flask
from websockets.exceptions import ConnectionClosed, WebSocketException

from .api import wire
from .api.error_codes import NONSENSE
from .api.events import Effect, Event
from .app_state import app_state_of
from .errors import ConfigurationError, DingTalkError, DingTalkUnavailable
from .events import handle
from .logs import facts
from .settings import is_loopback

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: Seconds between attempts to connect: twice as many after each, up to the longest, and a chance
#: more, so that those who were cut off together do not come back together.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
#: Seconds after which a connection counts as a good one.
_GOOD_AFTER: Final = 60.0
#: Seconds for which events that are being handled may hold up a change of connections.
_ANSWER_WITHIN: Final = 3.0
#: Events that are handled at a time. Each has a thread and a connection to the store; more of them
#: would only be in each other's way.
_AT_ONCE: Final = 8
#: The same of events that mean everybody: most of them wait for one that marks all, for all of
#: them, and a leaver must not wait behind them.
_WAITING_AT_ONCE: Final = 16
#: Seconds between signs of life, and for which the answer to one may take.
_PING_EVERY: Final = 20.0
_CLOSE_WITHIN: Final = 1.0
_EVENTS: Final = {
    wire.STREAM_TYPE: wire.STREAM_TYPE_EVENT,
    wire.STREAM_TOPIC: wire.STREAM_TOPIC_ALL,
}
_USER_AGENT: Final = f"Flask-DingTalk dingtalk-sdk-python/v{VERSION_STRING}"


def listen(app: Flask, say: Callable[[str], None]) -> None:
    """Hear events until Ctrl-C or SIGTERM; connect again whenever a connection ends.

    ``say`` gets a line for whoever looks on. Raises ``ConfigurationError`` if DingTalk refuses the
    application.
    """
    client = _Client(app, say)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_until_terminated(client.start()))


async def _until_terminated(listening: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(listening)
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


class _Client(DingTalkStreamClient):  # type: ignore[misc]
    """DingTalk's client, with time-outs, an end, and nothing secret in the log."""

    def __init__(self, app: Flask, say: Callable[[str], None]) -> None:
        self._app = app
        self._say = say
        self._state = app_state_of(app)
        settings = self._state.settings
        # The transport knows the secret; the SDK has no need for it.
        super().__init__(Credential(settings.client_id, ""), _silent())
        self.register_all_event_handler(_Handler(app))
        #: How often nobody may have listened, and the check of everybody that follows.
        self._gaps = 0
        self._recheck: asyncio.Task[None] | None = None

    def open_connection(self) -> dict[str, str]:
        """Return address and ticket of a new connection; takes no longer than any other call."""
        transport = self._state.process.connections.transport
        connection = transport.open_stream([_EVENTS], _USER_AGENT)
        endpoint = connection.get(wire.STREAM_ENDPOINT)
        ticket = connection.get(wire.STREAM_TICKET)
        if not (isinstance(endpoint, str) and _is_safe(endpoint) and isinstance(ticket, str)):
            raise DingTalkUnavailable("DingTalk gave no address to connect to", hint=NONSENSE)
        return {wire.STREAM_ENDPOINT: endpoint, wire.STREAM_TICKET: ticket}

    async def start(self) -> None:
        """Hear events until this is cancelled."""
        pause, is_gap, previous = _FIRST_PAUSE, True, None
        try:
            while True:
                try:
                    websocket = await self._connect()
                except ConfigurationError:
                    raise
                except (DingTalkError, OSError, TimeoutError, WebSocketException) as error:
                    is_gap = True
                    await self._rest(pause, _described(error))
                    pause = min(pause * 2, _LONGEST_PAUSE)
                    continue
                if previous is not None:
                    await previous.close()
                previous, self.websocket = websocket, websocket
                self._say("Listening to DingTalk's events, until Ctrl-C.")
                if is_gap:
                    self._check_everybody()
                begun = asyncio.get_running_loop().time()
                is_gap = not await self._hear(websocket)
                if asyncio.get_running_loop().time() - begun >= _GOOD_AFTER:
                    pause = _FIRST_PAUSE
                if is_gap:
                    previous = None
                    await self._rest(pause, "the connection was lost")
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if self._recheck is not None:
                self._recheck.cancel()
            if self.websocket is not None:
                with suppress(OSError, TimeoutError, WebSocketException):
                    await self.websocket.close()

    async def background_task(self, json_message: Any) -> None:
        """Answer one frame; what is not a frame gets no answer."""
        try:
            await self.route_message(json_message)
        except ConnectionClosed:
            # DingTalk sends the event again.
            return
        except Exception as error:
            _log.warning(
                "DingTalk sent a frame that cannot be read (%s)",
                type(error).__name__,
                extra=facts("event_refused"),
            )

    async def _connect(self) -> Any:
        connection = await _in_thread(self.open_connection)
        ticket = quote_plus(connection[wire.STREAM_TICKET])
        return await websockets.connect(
            f"{connection[wire.STREAM_ENDPOINT]}?{wire.STREAM_TICKET}={ticket}",
            open_timeout=sum(self._state.settings.timeout),
            ping_interval=_PING_EVERY,
            ping_timeout=_PING_EVERY,
            close_timeout=_CLOSE_WITHIN,
            logger=_silent(),
        )

    async def _hear(self, websocket: Any) -> bool:
        """Answer frames until the connection ends; tell whether DingTalk announced the end.

        It is open then, for some seconds: time enough to open another one without a gap.
        """
        tasks: set[asyncio.Task[None]] = set()
        is_announced = False
        with suppress(ConnectionClosed):
            async for text in websocket:
                frame = _frame(text)
                if _is_announcement(frame):
                    is_announced = True
                    break
                task = asyncio.create_task(self.background_task(frame))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        if tasks:
            # Their answers belong to this connection.
            await asyncio.wait(tasks, timeout=_ANSWER_WITHIN)
        return is_announced

    async def _rest(self, pause: float, problem: str) -> None:
        seconds = pause + random.random()  # noqa: S311
        self._say(f"Not listening: {problem}. Trying again in {seconds:.0f} s.")
        await asyncio.sleep(seconds)

    def _check_everybody(self) -> None:
        """Have everybody checked: events may have been missed while nobody listened."""
        self._gaps += 1
        if self._recheck is None or self._recheck.done():
            self._recheck = asyncio.create_task(self._check_until_done())

    async def _check_until_done(self) -> None:
        pause, done = _FIRST_PAUSE, 0
        # Once more for a gap that came meanwhile.
        while done < (begun := self._gaps):
            try:
                await _in_thread(self._mark_everybody)
            except DingTalkError as error:
                _log.error(
                    "DingTalk events: %s", error.log_message, extra=facts("event_put_off", error)
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                done = begun

    def _mark_everybody(self) -> None:
        self._state.people.mark_everybody()


class _Handler(EventHandler):  # type: ignore[misc]
    """Acts on events, and has those sent again with which that failed."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._app = app
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._room_for_waiting = asyncio.Semaphore(_WAITING_AT_ONCE)

    async def raw_process(self, event_message: EventMessage) -> Any:
        """Return the answer to an event, once it was acted on."""
        status = await self._status(event_message)
        # The SDK has no types: its values are declared by what they are at first.
        answer: Any = AckMessage()
        answer.code = AckMessage.STATUS_OK
        answer.headers.message_id = event_message.headers.message_id
        answer.headers.content_type = Headers.CONTENT_TYPE_APPLICATION_JSON
        answer.message = "OK"
        answer.data = {wire.STREAM_STATUS: status}
        return answer

    async def _status(self, message: EventMessage) -> str:
        headers = {
            wire.STREAM_EVENT_TYPE: message.headers.event_type,
            wire.STREAM_EVENT_ID: message.headers.event_id,
            wire.STREAM_EVENT_CORP_ID: message.headers.event_corp_id,
            wire.STREAM_EVENT_TIME: message.headers.event_born_time,
        }
        try:
            event = Event.from_frame(headers, json.dumps(message.data, sort_keys=True))
        except ValueError as error:
            # It would not get better by being sent again.
            _log.warning("DingTalk event refused: %s", error, extra=facts("event_refused"))
            return wire.STREAM_STATUS_SUCCESS
        waits = event.effect in (Effect.CHECK_ALL, Effect.ALL_LEAVE)
        async with self._room_for_waiting if waits else self._room:
            return await _in_thread(lambda: self._take(event))

    def _take(self, event: Event) -> str:
        try:
            with self._app.app_context():
                handle(event)
        except DingTalkError as error:
            _log.error(
                "DingTalk event put off: %s", error.log_message, extra=facts("event_put_off", error)
            )
        except Exception:
            _log.exception("DingTalk event put off: %r", event.type, extra=facts("event_put_off"))
        else:
            return wire.STREAM_STATUS_SUCCESS
        return wire.STREAM_STATUS_LATER


async def _in_thread(function: Callable[[], Answer]) -> Answer:
    """Run what blocks in a thread for which Ctrl-C does not wait."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # type: ignore[arg-type]

    def run() -> None:
        outcome: tuple[Answer | None, Exception | None]
        try:
            outcome = (function(), None)
        except Exception as error:
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="dingtalk-listen", daemon=True).start()
    return await future


def _frame(text: str | bytes) -> Any:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None


def _is_announcement(frame: Any) -> bool:
    if frame is None or frame.get(wire.STREAM_TYPE) != wire.STREAM_TYPE_SYSTEM:
        return False
    headers = frame.get(wire.STREAM_HEADERS)
    return (
        isinstance(headers, dict) and headers.get(wire.STREAM_TOPIC) == wire.STREAM_TOPIC_DISCONNECT
    )


def _is_safe(endpoint: str) -> bool:
    """Tell whether a ticket may be sent there: encrypted, or to this machine."""
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return False
    return parts.scheme == "wss" or (parts.scheme == "ws" and is_loopback(parts.hostname or ""))


def _described(error: Exception) -> str:
    # Others than ours may quote the address, with the ticket in it.
    return error.log_message if isinstance(error, DingTalkError) else type(error).__name__


def _silent() -> logging.Logger:
    """Return a logger that logs nothing, out of reach of any configuration."""
    return logging.Logger("dingtalk-stream", logging.CRITICAL + 1)  # noqa: LOG001
