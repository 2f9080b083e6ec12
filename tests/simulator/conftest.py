"""Fixtures of the simulator's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import requests

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import Http


@pytest.fixture
def http(simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture) -> Iterator[Http]:
    """Open a browser on the simulator, which is also a site's connection pool."""
    # The tests send tokens in addresses, as DingTalk documents it, and urllib3 logs addresses.
    caplog.set_level(logging.WARNING, "urllib3")
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept-Language"] = "en"
        yield Http(simulator, session)


@pytest.fixture
def own(simulator: DingTalkSimulator) -> str:
    """Return the corpId of the organisation that owns the application."""
    return next(iter(simulator.organisations))


@pytest.fixture
def other(simulator: DingTalkSimulator) -> str:
    """Return the corpId of the other organisation."""
    return list(simulator.organisations)[1]
