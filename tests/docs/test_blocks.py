"""Every block of the texts is looked at by a test."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from dotenv import dotenv_values
from flask import Flask

from flask_dingtalk import DingTalk

from .pages import (
    DEPLOYMENT,
    DEVELOPMENT,
    ERRORS_PAGE,
    PAGES,
    ROOT,
    TUTORIAL,
    named_files,
    snippets,
)

#: By language, what runs its blocks.
RUNNERS: Final = {
    "python": "test_code.py, test_tutorial.py, tests/ecosystem",
    "sh": "test_shell.py, test_tutorial.py, tests/ecosystem",
    "jinja": "test_templates.py, test_tutorial.py",
    "json": "here, test_tutorial.py",
    "css": "here",
}
#: Languages that are run on these pages alone.
ON_PAGES: Final = {
    "ini": {DEPLOYMENT: "test_shell.py", DEVELOPMENT: "here", TUTORIAL: "test_tutorial.py"},
    "nginx": {DEPLOYMENT: "test_shell.py"},
    "text": {TUTORIAL: "test_tutorial.py", ERRORS_PAGE: "test_code.py"},
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_in_a_language_that_nobody_runs(page: Path) -> None:
    """A new kind of block, or one on another page, needs a test."""
    text = page.read_text(encoding="utf-8")
    opened = re.findall(r"^ *```(\S.*)$", text, re.MULTILINE)
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(opened), "without a language"
    directives = [each for each in opened if each.startswith("{")]
    run = [each for each in opened if each in RUNNERS or page in ON_PAGES.get(each, ())]
    assert sorted(run + directives) == sorted(opened)


def test_the_documented_files_with_settings_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the one who reads the file, and by the extension."""
    for page in (DEVELOPMENT, DEPLOYMENT):
        (text,) = [text for name, text in named_files(page).items() if name.endswith(".env")]
        (tmp_path / ".env").write_text(text, encoding="utf-8")
        app = Flask("documented")
        for name, value in dotenv_values(tmp_path / ".env").items():
            monkeypatch.setenv(name, str(value))
        app.config.from_prefixed_env()
        DingTalk(app)
        assert app.secret_key


def test_the_documented_json_can_be_read() -> None:
    """Also where no command prints it."""
    for page in PAGES:
        for snippet in snippets(page, "json"):
            json.loads(snippet.text)


def test_the_documented_style_uses_variables_of_the_style_sheet() -> None:
    """And classes of the templates."""
    sheet = (ROOT / "flask_dingtalk" / "static" / "dingtalk.css").read_text(encoding="utf-8")
    for page in PAGES:
        for snippet in snippets(page, "css"):
            names = re.findall(r"--[\w-]+|\.dingtalk[\w-]*", snippet.text)
            assert names
            assert [name for name in names if name not in sheet] == []
