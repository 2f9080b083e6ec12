"""Keep secrets away from error trackers, which show the variables of every frame on a traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: Of the frames left out, so many are named: the innermost ones.
_NAMED_FRAMES: Final = 20


class Secret:
    """A text that shows itself to nobody but to those who call ``reveal``.

    For client secrets, codes and tokens in variables and arguments. Call ``reveal`` where the text
    is used, and keep no variable of it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"


def without_inner_frames(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Cut what ``function`` raises off from the frames below it, and from what caused it.

    Those frames (requests, Authlib, json) and the exceptions in them hold secrets in the open: the
    body of a request, its headers, an answer. So do the arguments of a request that hang off them.
    Whatever is raised is treated so, a worker's time-out in mid-call included. Where it was raised
    stands in a note of the exception.
    """

    @wraps(function)
    def outermost(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            _cut(error)
            leaving = error
        # This frame stays on the traceback, and what it was given may hold a secret.
        del args, kwargs
        # Out here, so that Python does not make it its own context again.
        try:
            raise leaving
        finally:
            # The exception holds this frame; this frame must not hold the exception.
            del leaving

    return outermost


def _cut(error: BaseException) -> None:
    places = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f'  File "{code.co_filename}", line {step.tb_lineno}, in {code.co_name}')
        step = step.tb_next
    error.add_note("\n".join(["Raised at, frames left out:", *places[-_NAMED_FRAMES:]]))
    error.__traceback__ = error.__cause__ = error.__context__ = None
    for name in ("request", "response"):
        # Of an error of requests. Both would show the headers.
        if getattr(error, name, None) is not None:
            setattr(error, name, None)
