"""The arguments that a site may pass to its own calls; imports nothing heavy, for early checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: What is passed on to requests; everything else would loosen what the transport ensures.
_ARGUMENTS: Final = frozenset({"params", "data", "json", "headers", "files", "timeout"})


def check_arguments(path: str, kwargs: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for a path that may lead to another host, ``TypeError`` for an argument.

    Allowed are ``params``, ``data``, ``json``, ``headers``, ``files`` and ``timeout`` of
    ``requests.request``.
    """
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ValueError("path has to start with one slash: it is relative to the API host")
    unknown = kwargs.keys() - _ARGUMENTS
    if unknown:
        raise TypeError(f"unexpected arguments: {', '.join(sorted(unknown))}")


def is_repeatable(kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the body can be sent twice; a file or a generator is used up."""
    return not kwargs.get("files") and isinstance(
        kwargs.get("data"), str | bytes | dict | list | tuple | None
    )
