"""What the tests of the documentation share."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sentry_sdk
from flask import Flask

import flask_dingtalk
from flask_dingtalk.testing import DingTalkSimulator

from .pages import DOCS


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


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site in both languages, once for all processes of the run; return its folder."""
    return _once(tmp_path_factory, "site", lambda folder: _run(DOCS / "build.py", folder))


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have Sphinx write the English sentences of all pages, once; return their folder."""
    builder = ("-m", "sphinx", "-q", "-b", "gettext", DOCS)
    return _once(tmp_path_factory, "sentences", lambda folder: _run(*builder, folder))


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Have the first process that comes make a folder, and the others wait for it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(folder)
            done.touch()
    return folder


def _run(*arguments: str | Path) -> None:
    # Without its coverage: nothing of the package runs there but its imports.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    result = subprocess.run(
        (sys.executable, *arguments), env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
