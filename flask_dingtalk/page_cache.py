"""What Flask-Caching keeps for everybody must not be one person's.

It keeps what a view returned under a key, and answers the next visitor with it, whoever that is.
Nothing of a request tells whether that is about to happen, but the stack does. Sites without
Flask-Caching never get here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, Final

from flask import Flask, current_app, request

#: Where Flask-Caching keeps itself in ``app.extensions``.
EXTENSION_KEY: Final = "cache"
_DOCUMENTED: Final = "see docs/how-to/ecosystem.md, Flask-Caching"
#: Its functions that call a view or a part of a template and keep what comes of it.
_KEEPERS: Final = {("flask_caching", "decorated_function"), ("flask_caching.jinja2ext", "_cache")}
#: Their variables that the key is made of.
_KEY_PARTS: Final = ("cache_key", "vary_on")
_ARGUMENTS: Final = ("args", "kwargs")


def refuse_to_keep_a_guard() -> None:
    """Raise ``RuntimeError`` if what a guard answers would be kept: it would not be asked again."""
    for _ in _keeping():
        raise _guard_is_kept()


def refuse_to_keep_an_async_view(guarded: object) -> None:
    """Raise ``RuntimeError`` if Flask-Caching stands above ``guarded``, an async function.

    That runs in another thread, whose stack does not tell. Its decorators do.
    """
    view: Any = current_app.view_functions.get(request.endpoint or "")
    while view is not None and view is not guarded:
        inner = getattr(view, "__wrapped__", None)
        # Decorators copy the attributes of what they wrap: only Flask-Caching's own wraps this.
        if inner is not None and getattr(view, "uncached", None) is inner:
            raise _guard_is_kept()
        view = inner


def _guard_is_kept() -> RuntimeError:
    return RuntimeError(
        "Flask-Caching would keep the answer of a guard and give it to the next visitor, without "
        "asking the guard. Put @login_required above @cache.cached; " + _DOCUMENTED
    )


def refuse_to_keep(union_id: str) -> None:
    """Raise ``RuntimeError`` if what depends on this person would be kept for others, too."""
    for variables in _keeping():
        if not _is_for(union_id, variables):
            raise RuntimeError(
                "Flask-Caching would keep what this person sees and show it to others. Let the "
                "cache key hold current_dingtalk_user.union_id; " + _DOCUMENTED
            )


def _keeping() -> Iterator[Mapping[str, Any]]:
    """Return the variables of each function on the stack that will keep what comes of this."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not Flask.wsgi_app.__code__:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _KEEPERS:
            variables = frame.f_locals
            # Not yet where it asks for the key or whether to keep anything, nor where it does not.
            if variables.get("found", variables.get("rv", "unknown")) in (False, None):
                yield variables
        frame = frame.f_back


def _is_for(union_id: str, variables: Mapping[str, Any]) -> bool:
    """Tell whether a key is this person's alone."""
    key = [variables.get(name) for name in _KEY_PARTS]
    if "forced_update_result" in variables:
        # Of a function that is not a view, the key is a hash of its arguments.
        key += [variables.get(name) for name in _ARGUMENTS]
    text = repr(key)
    if union_id in request.path:
        # A page about this person is seen by others.
        text = text.replace(request.path, "")
    return union_id in text
