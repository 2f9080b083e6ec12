"""The shell commands in the texts do what they say."""

from __future__ import annotations

import re

from .pages import PAGES, ROOT, snippets


def test_every_documented_make_target_exists() -> None:
    """Each ``make`` target that a document names exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for snippet in snippets(page, "sh"):
            for target in re.findall(r"^make (\w+)", snippet.text, re.MULTILINE):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
