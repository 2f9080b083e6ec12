"""Events as DingTalk words them, and what became of their delivery."""

import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..api import wire
from . import wire as testing_wire

#: Fields that an event has besides the people.
_FURTHER: Final[dict[str, dict[str, Any]]] = {
    testing_wire.EVENT_ROLE_CHANGE: {
        testing_wire.EVENT_ROLE_IDS: [1],
        testing_wire.EVENT_ROLE_ACTION: testing_wire.EVENT_ROLE_ACTION_ADD,
    },
    testing_wire.EVENT_HR_CHANGE: {
        testing_wire.EVENT_CHANGE_TYPE: testing_wire.EVENT_CHANGE_TYPE_LEFT
    },
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, before it is worded for a way of delivery."""

    type: str
    corp_id: str
    #: Milliseconds of Unix time, by the simulator's clock.
    time: int
    #: Its own fields, as Stream spells them.
    fields: Mapping[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def body(self, *, new: bool) -> bytes:
        """Return the message that is pushed by HTTP, in the new or the old spelling."""
        content: dict[str, Any] = {
            wire.EVENT_CORP_ID: self.corp_id,
            wire.EVENT_TYPE: self.type,
        }
        if new:
            content[wire.EVENT_TIMES[0]] = self.time
            content[testing_wire.EVENT_BIZ_ID] = self.id[:16]
            content[wire.EVENT_ID] = self.id
            content[testing_wire.EVENT_TIMESTAMP] = str(self.time)
            content |= self.fields
        else:
            content |= {name[0].upper() + name[1:]: each for name, each in self.fields.items()}
            content[wire.EVENT_TIMES[1]] = str(self.time)
        return _json(content).encode()

    def as_failed(self) -> dict[str, Any]:
        """Return what stands in the list of events that were given up: a third spelling."""
        if self.type.startswith("label_"):
            key = testing_wire.FAILED_EVENT_ROLES
        elif self.type.startswith(("user_", "org_dept_", "org_admin_")):
            key = self.type
        else:
            key = testing_wire.FAILED_EVENT_OTHER
        content = {name.lower(): each for name, each in self.fields.items()}
        return {
            key: content | {testing_wire.FAILED_EVENT_CORP_ID: self.corp_id},
            testing_wire.FAILED_EVENT_TYPE: self.type,
            testing_wire.FAILED_EVENT_TIME: self.time,
        }

    def headers(self) -> dict[str, str]:
        """Return what stands in the headers of a frame of Stream mode."""
        return {
            wire.STREAM_EVENT_TYPE: self.type,
            wire.STREAM_EVENT_ID: self.id,
            wire.STREAM_EVENT_CORP_ID: self.corp_id,
            wire.STREAM_EVENT_TIME: str(self.time),
        }

    def data(self) -> str:
        """Return the data of a frame of Stream mode, as JSON."""
        if not self.fields:
            return "{}"
        content = {testing_wire.EVENT_TIMESTAMP: str(self.time), wire.EVENT_ID: self.id}
        return _json(content | dict(self.fields))


def fields_of(
    event: str, user_ids: Sequence[str], data: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the own fields of an event about these people; `data` replaces or adds fields."""
    fields: dict[str, Any] = {}
    if user_ids:
        user_id, user_id_list, staff_id = wire.EVENT_USER_IDS
        if event == testing_wire.EVENT_ROLE_CHANGE:
            fields[user_id_list] = list(user_ids)
        elif event == testing_wire.EVENT_HR_CHANGE:
            fields[staff_id] = user_ids[0]
        else:
            fields[user_id] = list(user_ids)
        fields |= _FURTHER.get(event, {})
    return fields | dict(data or {})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver an event."""

    #: HTTP status, or the code in an answer of Stream mode; ``None`` if there was no answer.
    status: int | None
    #: Whether the answer was the right one, in time.
    accepted: bool


class Delivery:
    """An event on its way to a site; returned by `DingTalkSimulator.push`."""

    def __init__(self, happening: Happening, send: Callable[[], Attempt]) -> None:
        #: DingTalk's name of the event, such as ``user_leave_org``.
        self.event: str = happening.type
        #: Its id, the same in every attempt.
        self.id: str = happening.id
        #: What was tried so far.
        self.attempts: list[Attempt] = []
        self._send = send
        self._settled = threading.Event()

    def __repr__(self) -> str:
        return f"<Delivery {self.event} {self.attempts}>"

    @property
    def arrived(self) -> bool:
        """Whether the site has given the right answer to any attempt."""
        return any(attempt.accepted for attempt in self.attempts)

    def again(self) -> Attempt:
        """Deliver the same event once more, now: a retry, or a duplicate."""
        attempt = self._send()
        self.attempts.append(attempt)
        return attempt

    def wait(self, timeout: float = 30) -> bool:
        """Wait, in seconds of real time, until it arrived or was given up; tell whether it did."""
        self._settled.wait(timeout)
        return self.arrived

    def settle(self) -> None:
        """Note that there will be no further attempt by itself."""
        self._settled.set()


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
