"""Count what there is: ``python docs/count.py``."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

from catalogues import CATALOGUES, read

SOURCE: Final = Path(__file__).parent
#: What no reader of the site sees.
_OTHERS: Final = {"architecture.md"}
_BLOCK: Final = re.compile(r"^ *```([a-z]+)$", re.MULTILINE)


def main() -> None:
    """Print the numbers of pages, of sentences in both languages and of blocks of code."""
    pages = [page for page in SOURCE.rglob("*.md") if page.name not in _OTHERS]
    messages = [each for path in CATALOGUES.rglob("*.po") for each in read(path) if each.id]
    done = sum(bool(each.string) and not each.fuzzy for each in messages)
    blocks = Counter(
        language for page in pages for language in _BLOCK.findall(page.read_text(encoding="utf-8"))
    )
    print(f"{len(pages)} pages, each in English and Chinese")
    print(f"{len(messages)} messages, {done} of them translated")
    kinds = ", ".join(f"{number} {name}" for name, number in blocks.most_common())
    print(f"{blocks.total()} blocks: {kinds}")


if __name__ == "__main__":
    main()
