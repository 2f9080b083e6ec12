"""JSON data that cannot be changed, and whose texts can always be encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn, Self

#: Levels of nesting. DingTalk sends only a few, and Python itself gives up at about a thousand.
MAX_DEPTH: Final = 32


class FrozenDict(dict[str, Any]):
    """A ``dict`` that cannot be changed, so that requests can share it and ``json`` accepts it."""

    __slots__ = ()

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("what DingTalk sent cannot be changed; make a copy with dict()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        # By default, pickle and copy would set items one by one, which is refused.
        return type(self), (dict(self),)


def frozen(value: Mapping[str, Any], depth: int = MAX_DEPTH) -> FrozenDict:
    """Return an immutable copy of JSON data; texts that UTF-8 cannot encode are repaired.

    Raises ``ValueError`` if it is nested deeper than ``depth`` levels.
    """
    return FrozenDict({_encodable(str(key)): _frozen(item, depth) for key, item in value.items()})


def _frozen(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, Mapping | list | tuple) and depth <= 0:
        raise ValueError("nested too deeply")
    if isinstance(value, Mapping):
        return frozen(value, depth - 1)
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, depth - 1) for item in value)
    return value


def _encodable(text: str) -> str:
    # JSON can contain half of a surrogate pair; a page or cookie with it could not be encoded.
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
