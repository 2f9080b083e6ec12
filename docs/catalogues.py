"""Bring the Chinese catalogues up to date with the English pages: ``python docs/catalogues.py``.

New sentences come with an empty translation, and sentences that are gone leave with theirs. A
sentence that was changed keeps the place and, marked as fuzzy, the translation of the old one.
Code and numbers alone are the same in both languages.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

SOURCE: Final = Path(__file__).parent
CATALOGUES: Final = SOURCE / "locales" / "zh_CN" / "LC_MESSAGES"
#: Written by hand: what the theme says around each page.
THEME: Final = CATALOGUES / "sphinx.po"
_CODE: Final = re.compile(r"(`+).+?\1")
_WORD: Final = re.compile(r"[^\W\d_]")
_HEADER: Final = """\
msgid ""
msgstr ""
"Language: zh_CN\\n"
"Content-Type: text/plain; charset=utf-8\\n"

"""


def read(path: Path) -> Catalog:
    """Return the catalogue in a file; an empty one if there is no such file."""
    if not path.exists():
        return Catalog(locale="zh_CN")
    with path.open("rb") as file:
        return read_po(file, locale="zh_CN")


def extract(folder: Path) -> dict[Path, Catalog]:
    """Have Sphinx write the sentences of every page into ``folder``; return them by page."""
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "gettext", SOURCE, folder], check=True
    )
    return extracted(folder)


def extracted(folder: Path) -> dict[Path, Catalog]:
    """Return the sentences in a folder that Sphinx wrote, by the file that translates them."""
    # Not what our own templates ask for: that stands in the catalogue for the theme.
    templates = sorted(set(folder.rglob("*.pot")) - {folder / f"{THEME.stem}.pot"})
    return {
        CATALOGUES / path.relative_to(folder).with_suffix(".po"): read(path) for path in templates
    }


def _write(path: Path, catalogue: Catalog) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(_HEADER.encode())
        write_po(file, catalogue, width=0, omit_header=True, ignore_obsolete=True)


def main() -> None:
    """Update every catalogue and say how much there is to translate."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = extract(Path(folder))
    for path in set(CATALOGUES.rglob("*.po")) - wanted.keys() - {THEME}:
        path.unlink()
    for path, template in wanted.items():
        catalogue = read(path)
        catalogue.update(template)
        for message in catalogue:
            is_done = message.string and not message.fuzzy
            if not is_done and not _WORD.search(_CODE.sub("", str(message.id))):
                message.string = message.id
                message.flags.discard("fuzzy")
        _write(path, catalogue)
        missing = [each for each in catalogue if each.id and (each.fuzzy or not each.string)]
        if missing:
            print(f"{path.relative_to(SOURCE)}: {len(missing)} to translate")


if __name__ == "__main__":
    main()
