"""What the tests of the documentation share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentry_sdk
from flask import Flask

import flask_dingtalk
from flask_dingtalk.testing import DingTalkSimulator


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docs)


@pytest.fixture
def documented_dingtalk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[DingTalkSimulator]:
    """Run a simulator, and name it in the environment as the texts say."""
    root, ours = logging.getLogger(), logging.getLogger("flask_dingtalk")
    levels, handlers = (root.level, ours.level), list(root.handlers)
    with DingTalkSimulator() as running:
        monkeypatch.setenv("FLASK_SECRET_KEY", "the key of a documented site")
        for name, value in running.settings.items():
            monkeypatch.setenv(f"FLASK_{name}", value)
        monkeypatch.chdir(tmp_path)
        yield running
    # What a documented site may have set for its whole process.
    for logger, level in zip((root, ours), levels, strict=True):
        logger.setLevel(level)
    root.handlers[:] = handlers
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def bare() -> Flask:
    """Build a site with nothing but the extension."""
    app = Flask("documented")
    app.config.update(SECRET_KEY="x", DINGTALK_CLIENT_ID="x", DINGTALK_CLIENT_SECRET="x")
    flask_dingtalk.DingTalk(app)
    return app
