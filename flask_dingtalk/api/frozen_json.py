"""JSON data that cannot be changed and can always be encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn, Self

#: Nothing of DingTalk's comes near it; far deeper, and Python itself gives up.
MAX_DEPTH: Final = 32


class FrozenDict(dict[str, Any]):
    """A ``dict`` that cannot be changed: requests can share it, and JSON can hold it."""

    __slots__ = ()

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("what DingTalk sent cannot be changed; make a copy with dict()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        # The default would rebuild a copy item by item, which is refused.
        return type(self), (dict(self),)


def frozen(value: Mapping[str, Any], depth: int = MAX_DEPTH) -> FrozenDict:
    """Copy JSON data so that it cannot be changed and every text in it can be encoded.

    Raises ``ValueError`` for what is nested deeper than ``depth``.
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
    # JSON can spell half of a surrogate pair, which no page and no cookie can be encoded with.
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
