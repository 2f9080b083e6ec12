"""How many examples Hypothesis makes up, and which.

They are the same in each run: a change is not to blame for what another example would have shown
before. ``EXAMPLES=50`` makes up fifty times as many, and others each time.
"""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import HealthCheck, settings

_TIMES: Final = os.environ.get("EXAMPLES")


def examples(number: int, **more: Any) -> settings:
    """Return the settings for so many examples, each of which may take any time."""
    return settings(
        max_examples=number * int(_TIMES or 1),
        derandomize=_TIMES is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )
