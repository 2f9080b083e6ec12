"""Test a site against a simulated DingTalk that runs on the same machine.

`DingTalkSimulator` is that DingTalk. `signed_in` logs a user in on a test client without any
server; `make_user` and `make_employee` make one. The pytest fixtures are in
`flask_dingtalk.testing.fixtures`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .made import make_employee, make_user
    from .session_login import signed_in
    from .simulator import Attempt, Call, Delivery, DingTalkSimulator, PageVisit

__all__ = [
    "Attempt",
    "Call",
    "Delivery",
    "DingTalkSimulator",
    "PageVisit",
    "SimulatorError",
    "make_employee",
    "make_user",
    "signed_in",
]


class SimulatorError(Exception):
    """A login ended before its callback; the text says why, and what to do about it."""


def __getattr__(name: str) -> Any:
    # Imported on first use: `signed_in` needs no web server, and the simulator no extension.
    if name == "signed_in":
        from .session_login import signed_in

        return signed_in
    if name in ("make_employee", "make_user"):
        from . import made

        return getattr(made, name)
    if name in __all__:
        from . import simulator

        return getattr(simulator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
