"""Test a site against a simulated DingTalk that runs on the same machine.

`DingTalkSimulator` is that DingTalk. `signed_in` logs a user in on a test client without any
server. The pytest fixture ``dingtalk_simulator`` is in `flask_dingtalk.testing.fixtures`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .session_login import signed_in
    from .simulator import Attempt, Call, Delivery, DingTalkSimulator, PageVisit

__all__ = [
    "Attempt",
    "Call",
    "Delivery",
    "DingTalkSimulator",
    "PageVisit",
    "SimulatorError",
    "signed_in",
]


class SimulatorError(Exception):
    """A login ended before its callback; the text says why, and what to do about it."""


def __getattr__(name: str) -> Any:
    # Imported on first use: `signed_in` needs no web server, and the simulator no extension.
    if name == "signed_in":
        from .session_login import signed_in

        return signed_in
    if name in __all__:
        from . import simulator

        return getattr(simulator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
