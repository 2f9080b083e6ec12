"""Which hosts count as this machine: the simulator listens on them and answers to them only."""

import re
from typing import Final

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_HOST_HEADER: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d*)?", re.IGNORECASE)


def is_loopback_host_header(value: str) -> bool:
    """Tell whether a ``Host`` header names this machine, with any port.

    A website can point its own name at 127.0.0.1 (DNS rebinding) and then read what is served
    there. The browser still sends that name as ``Host``.
    """
    return _HOST_HEADER.fullmatch(value) is not None
