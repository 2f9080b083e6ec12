"""Check that the description of a wheel has no link or image that leads nowhere on PyPI.

Usage: ``python .ci/check_description.py WHEEL``. Prints each, and exits with 1 if there are any.
"""

import re
import sys
from email import message_from_bytes
from html.parser import HTMLParser
from zipfile import ZipFile

from readme_renderer import markdown


class _Targets(HTMLParser):
    """Collects where links and images lead, and what can be led to; text is not markup."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the targets and the id of one element."""
        for name, value in attrs:
            if name == "id":
                self.ids.add(f"#{value}")
            elif name in ("href", "src"):
                self.targets.append(value or "")


def main(wheel: str) -> int:
    """Render the description as PyPI does, and look at each target in it."""
    with ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    payload = metadata.get_payload(decode=True)
    assert isinstance(payload, bytes)
    page = markdown.render(payload.decode())
    assert page, "the description is not Markdown that PyPI can show"
    found = _Targets()
    found.feed(page)
    wrong = [one for one in found.targets if one not in found.ids and not re.match("https?:", one)]
    print(*(f"leads nowhere on PyPI: {one}" for one in wrong), sep="\n", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
