"""Sites beside other extensions, as docs/how-to/ecosystem.md has them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask

from flask_dingtalk.testing import DingTalkSimulator

from ..helpers import SECRET_KEY
from .documented import blocks, build

# OpenTelemetry's present conventions, with the query in spans; read once in a process.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"

Build = Callable[[str], tuple[Flask, ModuleType]]


@pytest.fixture
def documented(
    simulator: DingTalkSimulator,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Build]:
    """Build a site of the page, with settings from the environment and its own directory."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET_KEY)
    for name, value in simulator.settings.items():
        monkeypatch.setenv(f"FLASK_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    # Its records hold rows of a database session, which nobody can read any more after the test.
    caplog.set_level(logging.WARNING, "flask_appbuilder")
    before = set(sys.modules)

    def build_it(name: str) -> tuple[Flask, ModuleType]:
        if "REDIS_URL" in blocks()[name]:
            port = request.getfixturevalue("redis_port")
            monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
        return build(name, tmp_path)

    yield build_it
    for name in {each.removesuffix(".py") for each in blocks()} - before:
        sys.modules.pop(name, None)
