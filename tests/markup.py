"""Helpers that read the HTML of a page."""

from __future__ import annotations

from html.parser import HTMLParser


class _Tags(HTMLParser):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the attributes of a tag with that name."""
        if tag == self.name:
            self.found.append({name: value or "" for name, value in attrs})


def tags(markup: str, name: str) -> list[dict[str, str]]:
    """Return the attributes of each tag with that name, in the order of the page."""
    parser = _Tags(name)
    parser.feed(markup)
    return parser.found


def with_attribute(markup: str, name: str, attribute: str) -> dict[str, str]:
    """Return the attributes of the only tag with that name and that attribute."""
    (found,) = (each for each in tags(markup, name) if attribute in each)
    return found


def links(markup: str) -> list[str]:
    """Return where the links of a page lead."""
    return [each["href"] for each in tags(markup, "a")]
