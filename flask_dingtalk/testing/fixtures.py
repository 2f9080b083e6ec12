"""A pytest plugin: ``pytest_plugins = ["flask_dingtalk.testing.fixtures"]``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .simulator import DingTalkSimulator


@pytest.fixture
def dingtalk_simulator() -> "Iterator[DingTalkSimulator]":
    """Run a fresh `DingTalkSimulator` for one test."""
    # Imported on first use: pytest loads plugins in every run, before coverage starts.
    from .simulator import DingTalkSimulator

    with DingTalkSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def lasting_dingtalk_simulator() -> "Iterator[DingTalkSimulator]":
    """Run one `DingTalkSimulator` for all tests, or for each worker of pytest-xdist.

    For a site that is built once: its address, ids and secrets stay. Call `reset` between tests.
    """
    from .simulator import DingTalkSimulator

    with DingTalkSimulator() as simulator:
        yield simulator
