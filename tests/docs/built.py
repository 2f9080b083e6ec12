"""What Sphinx built: its pages, and the inventory of what they describe."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path


class Reader(HTMLParser):
    """The elements of a page, with their attributes and texts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        #: What stands in an element, up to the first one in it, by its place in `elements`.
        self.texts: dict[int, str] = {}
        self._is_in_element = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._is_in_element = True

    def handle_endtag(self, tag: str) -> None:
        """Note the end of an element."""
        self._is_in_element = False

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if self._is_in_element:
            at = len(self.elements) - 1
            self.texts[at] = self.texts.get(at, "") + data

    def all(self, tag: str) -> Iterator[tuple[dict[str, str], str]]:
        """Yield the elements of a kind."""
        for at, (name, attributes) in enumerate(self.elements):
            if name == tag:
                yield attributes, self.texts.get(at, "").strip()

    @property
    def code(self) -> set[str]:
        """What stands as code on the page."""
        return {
            text
            for tag in ("code", "span")
            for attributes, text in self.all(tag)
            if tag == "code" or attributes.get("class") == "pre"
        }


@cache
def read_page(path: Path) -> Reader:
    """Read a page, once for all tests of a process."""
    return Reader(path)


def inventory(language: Path) -> dict[str, set[str]]:
    """Return the names that the site of one language describes, by their kind."""
    content = (language / "objects.inv").read_bytes().split(b"\n", 4)[4]
    names: dict[str, set[str]] = {}
    for line in zlib.decompress(content).decode().splitlines():
        entry = re.match(r"(.+?) (\S+:\S+) -?\d+ ", line)
        assert entry is not None, line
        names.setdefault(entry[2], set()).add(entry[1])
    return names
