"""Check that the description of a wheel has no link or image that leads nowhere on PyPI.

Usage: ``python .ci/check_description.py WHEEL``. Prints each, and exits with 1 if there are any.
"""

import re
import sys
from email import message_from_bytes
from zipfile import ZipFile

from readme_renderer import markdown


def main(wheel: str) -> int:
    """Render the description as PyPI does, and look at each target in it."""
    with ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    payload = metadata.get_payload(decode=True)
    assert isinstance(payload, bytes)
    page = markdown.render(payload.decode())
    assert page, "the description is not Markdown that PyPI can show"
    ids = {f"#{one}" for one in re.findall(r' id="([^"]+)"', page)}
    targets = re.findall(r' (?:href|src)="([^"]*)"', page)
    wrong = [one for one in targets if one not in ids and not re.match("https?:", one)]
    print(*(f"leads nowhere on PyPI: {one}" for one in wrong), sep="\n", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
