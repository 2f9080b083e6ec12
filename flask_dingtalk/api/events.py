"""An event of DingTalk: who left, who was changed, and whom it means.

The same event comes in several spellings: by HTTP push in an older and a newer one, by Stream in a
third. So fields are read in any case, lists may be single values, and numbers may be texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, Final, Self

from . import wire
from .frozen_json import FrozenDict, frozen

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Digits of a time in milliseconds: enough until the year 5138.
_MAX_TIME_DIGITS: Final = 14
#: Characters; anything longer is not a user id. [user-information-creation]
_MAX_USER_ID: Final = 64
#: Characters of an event's name or id that are kept. DingTalk's have some thirty.
_MAX_NAME: Final = 200


class Effect(Enum):
    """What an event means for the people who are signed in."""

    #: The people named have left.
    LEAVE = auto()
    #: Nobody may use the application any more.
    ALL_LEAVE = auto()
    #: The people named have to be checked again.
    CHECK = auto()
    #: Anybody may be concerned: everybody has to be checked again.
    CHECK_ALL = auto()
    #: Nothing.
    NONE = auto()


class EventData(FrozenDict):
    """The fields of an event as DingTalk spelled them, which are found in any case.

    ``data["userId"]`` also finds ``UserId`` and ``userid``.
    """

    __slots__ = ()

    def __missing__(self, key: str) -> Any:
        found = self._found(key)
        if found is None:
            raise KeyError(key)
        return self[found]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._found(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the field of that name in any case, or ``default``."""
        found = self._found(key)
        return default if found is None else self[found]

    def _found(self, key: str) -> str | None:
        if super().__contains__(key):
            return key
        folded = key.lower()
        return next((each for each in self if each.lower() == folded), None)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of DingTalk's event subscription."""

    #: DingTalk's name for it, such as ``user_leave_org``.
    type: str
    #: The organisation in which it happened, if DingTalk says so.
    corp_id: str | None
    #: When it happened, an aware time in UTC, if DingTalk says so.
    time: datetime | None
    #: What DingTalk sent with it; names are found in any case.
    data: Mapping[str, Any]
    #: The same for every delivery of this event, and for no other event.
    id: str = field(repr=False)

    @classmethod
    def from_message(cls, message: bytes) -> Self:
        """Read what DingTalk pushes by HTTP, decrypted; raise ``ValueError`` if it is none."""
        data = read_data(message)
        kind = _name(data.get(wire.EVENT_TYPE))
        if kind is None:
            raise ValueError("the message does not say which event it is")
        times = (_moment(data.get(name)) for name in wire.EVENT_TIMES)
        return cls(
            type=kind,
            corp_id=_name(data.get(wire.EVENT_CORP_ID)),
            time=next((time for time in times if time is not None), None),
            data=data,
            id=_identity(kind, data.get(wire.EVENT_ID), message),
        )

    @classmethod
    def from_frame(cls, headers: Mapping[str, object], text: str) -> Self:
        """Read the headers and the data of a frame of Stream mode.

        Raises ``ValueError`` if it is not an event.
        """
        data = read_data(text)
        kind = _name(headers.get(wire.STREAM_EVENT_TYPE))
        if kind is None:
            raise ValueError("the frame does not say which event it is")
        corp_id, born = headers.get(wire.STREAM_EVENT_CORP_ID), headers.get(wire.STREAM_EVENT_TIME)
        event_id = headers.get(wire.STREAM_EVENT_ID) or data.get(wire.EVENT_ID)
        content = (str(corp_id).encode(), str(born).encode(), text.encode("utf-8", "surrogatepass"))
        return cls(
            type=kind,
            corp_id=_name(corp_id),
            time=_moment(born),
            data=data,
            id=_identity(kind, event_id, *content),
        )

    @property
    def user_ids(self) -> tuple[str, ...]:
        """The user ids of the people whom this event names, each once."""
        for name in wire.EVENT_USER_IDS:
            value = self.data.get(name)
            values = value if isinstance(value, list | tuple) else (value,)
            found = [user_id for each in values if (user_id := _user_id(each)) is not None]
            if found:
                return tuple(dict.fromkeys(found))
        return ()

    @property
    def effect(self) -> Effect:
        """What it means for the people who are signed in.

        Of an event that ought to name people and does not, anybody may be meant.
        """
        if self.type == wire.EVENT_USER_LEAVE:
            return Effect.LEAVE if self.user_ids else Effect.CHECK_ALL
        if self.type == wire.EVENT_ORG_REMOVE:
            return Effect.ALL_LEAVE
        if self.type == wire.EVENT_APP_STATUS:
            is_off = self.data.get(wire.EVENT_STATUS) in wire.EVENT_APP_STATUSES_OFF
            return Effect.ALL_LEAVE if is_off else Effect.NONE
        if self.type in wire.EVENTS_OF_MEMBERS:
            return Effect.CHECK if self.user_ids else Effect.CHECK_ALL
        return Effect.CHECK_ALL if self.type in wire.EVENTS_OF_GROUPS else Effect.NONE


def read_data(text: bytes | str) -> EventData:
    """Read a JSON object; raise ``ValueError`` if it is none, or one nested too deeply."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    return EventData(frozen(content))


def _identity(kind: str, event_id: object, *content: bytes) -> str:
    """Return what tells an event from others: DingTalk's id of it, else a digest of its content.

    One change of a person can cause several events, so the kind belongs to it.
    """
    known = _name(event_id)
    return f"{kind}:{known or _digest(content)}"


def _digest(content: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in content:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def _name(value: object) -> str | None:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_NAME:
        return None
    return value or None


def _user_id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_USER_ID else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= _MAX_TIME_DIGITS):
            return None
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if not 0 <= value < 10**_MAX_TIME_DIGITS:
        return None
    return _EPOCH + timedelta(milliseconds=value)
