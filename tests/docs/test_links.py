"""The links in the texts lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import LINK, PAGES, anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_image_leads_somewhere(page: Path) -> None:
    """Each relative link of a text names a file, and each anchor a heading."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
