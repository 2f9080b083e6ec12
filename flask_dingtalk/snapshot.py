"""The session and the request as they were, to undo what a refused sign-in left behind."""

from __future__ import annotations

import copy
from typing import Any

from flask import g, session
from flask import globals as flask_globals


class Snapshot:
    """The state that hooks of the site may have changed before a sign-in is refused.

    That is the whole session, the names in ``g`` (Flask-Login keeps its user there), and the
    functions that ``after_this_request`` is to call, through which extensions set their cookies.
    """

    def __init__(self) -> None:
        self._session = {key: _copied(value) for key, value in session.items()}
        self._modified = session.modified
        self._g = {name: g.get(name) for name in g}
        self._deferred = len(_deferred_functions())

    def restore(self) -> None:
        """Put everything back."""
        session.clear()
        session.update(self._session)
        session.modified = self._modified
        for name in list(g):
            if name not in self._g:
                g.pop(name)
        for name, value in self._g.items():
            setattr(g, name, value)
        del _deferred_functions()[self._deferred :]


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        # A server-side session may hold what cannot be copied. Then at least the reference stays.
        return value


def _deferred_functions() -> list[Any]:
    """Return the list behind ``after_this_request``, which is private to Flask."""
    context: Any = flask_globals.app_ctx._get_current_object()  # type: ignore[attr-defined]
    if not hasattr(context, "_after_request_functions"):
        # Before Flask 3.2, a separate context holds what belongs to the request.
        context = flask_globals.request_ctx._get_current_object()  # type: ignore[attr-defined]
    functions: list[Any] = context._after_request_functions
    return functions
