"""What a release says of itself agrees: version, changelog, upgrade notes, and the page on PyPI."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final

import pytest

from .pages import DOCS, ENGLISH, ROOT, anchors

CHANGELOG: Final = ROOT / "CHANGELOG.md"
UPGRADING: Final = DOCS / "how-to" / "upgrading.md"


def _metadata(name: str) -> str:
    """Return what setup.py gives for one field."""
    command = [sys.executable, "setup.py", "--quiet", f"--{name}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return run.stdout


@pytest.fixture(scope="module")
def description() -> str:
    """Return the page on PyPI, in Markdown."""
    return _metadata("long-description")


def test_the_changelog_has_the_version_and_its_day() -> None:
    """Below what is to come."""
    titles = re.findall("^## (.*)$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert titles[0] == "[Unreleased]"
    newest = re.fullmatch(r"\[([0-9.]+)\] - [0-9]{4}-[0-9]{2}-[0-9]{2}", titles[1])
    assert newest is not None
    assert newest[1] == _metadata("version").strip()


def test_the_changelog_leads_to_the_upgrade_notes() -> None:
    """Each link of it into the documentation leads to a page and a heading."""
    links = re.findall(r"\]\((docs/[^)#]+)#?([^)]*)\)", CHANGELOG.read_text(encoding="utf-8"))
    assert "docs/how-to/upgrading.md" in dict(links)
    for path, anchor in links:
        assert (ROOT / path).exists(), path
        assert not anchor or anchor in anchors(ROOT / path), (path, anchor)


def test_the_page_on_pypi_does_without_a_checkout(description: str) -> None:
    """No picture, no link to a file, and commands that work in an empty folder."""
    assert "pip install Flask-DingTalk\n" in description
    assert not re.findall(r"!\[|\]\((?!https?:)", description)


def test_the_page_on_pypi_says_what_the_readme_says(description: str) -> None:
    """Its sections and its code, and no line that only held a link."""
    readme = ENGLISH.read_text(encoding="utf-8")
    headings = "(?m)^#+ .*$"
    assert re.findall(headings, description) == re.findall(headings, readme)
    blocks = "(?ms)^```python.*?^```$"
    assert re.findall(blocks, description) == re.findall(blocks, readme)
    prose = re.sub("(?ms)^```.*?^```$", "", description)
    assert not re.search(r"\s[.,;:]\s|\(\s*\)", prose)
