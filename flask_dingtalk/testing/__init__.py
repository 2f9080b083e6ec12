"""Test a site against a DingTalk that runs on the same machine.

`DingTalkSimulator` is that DingTalk; `signed_in` puts a user into a test client's session without
any. The pytest fixture ``dingtalk_simulator`` stands in `flask_dingtalk.testing.fixtures`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sessions import signed_in
    from .simulator import Call, DingTalkSimulator, PageVisit

__all__ = ["Call", "DingTalkSimulator", "PageVisit", "SimulatorError", "signed_in"]


class SimulatorError(Exception):
    """A sign-in ended before its callback; the text says why, and what would help."""


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `signed_in` needs no web server, and the simulator no extension.
    if name == "signed_in":
        from .sessions import signed_in

        return signed_in
    if name in __all__:
        from . import simulator

        return getattr(simulator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
