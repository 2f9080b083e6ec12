"""Sequence diagrams of the documentation are lists with a form."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final

import pytest

from .pages import DOCS

_SETTINGS: Final = f"""\
import sys

sys.path.insert(0, {str(DOCS / "_extensions")!r})
extensions = ["myst_parser", "sequence"]
myst_enable_extensions = ["colon_fence"]
language = "zh_CN"
locale_dirs = ["locales"]
"""
_PAGE: Final = """\
# A call

:::{sequence}
1. browser → site: asks for `/report`
2. site: looks
3. site ⇢ browser: answers
:::
"""
_TRANSLATION: Final = """\
msgid "browser → site: asks for `/report`"
msgstr "浏览器 → 网站：打开 `/report`"

msgid "site: looks"
msgstr "网站：查看"

msgid "site ⇢ browser: answers"
msgstr "网站 ⇢ 浏览器：应答"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """Build two Chinese pages, one of them wrong; return them by name, and the warnings."""
    folder = tmp_path_factory.mktemp("diagrams")
    texts = {
        "conf.py": _SETTINGS,
        "index.md": _PAGE,
        "wrong.md": ":::{sequence}\n1. somebody asks for a page\n:::\n",
        "locales/zh_CN/LC_MESSAGES/index.po": _TRANSLATION,
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", folder, folder / "html"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    pages = {
        path.stem: path.read_text(encoding="utf-8") for path in (folder / "html").glob("*.html")
    }
    return pages, run.stderr


def test_a_diagram_is_a_list_in_the_language_of_the_page(
    built: tuple[dict[str, str], str],
) -> None:
    """Its lanes have their names, and each step says where it begins and ends."""
    page = built[0]["index"]
    heads = re.search('class="sequence-lanes.*?</div>', page, re.DOTALL)
    assert heads is not None
    assert re.findall("<p>(.*?)</p>", heads[0]) == ["浏览器", "网站"]
    assert re.findall('<li class="sequence-step (.*?)">', page) == [
        "request from-1 to-2",
        "note from-2 to-2",
        "answer from-2 to-1",
    ]
    assert '<span class="sequence-who">浏览器 → 网站：</span>打开' in page


def test_a_step_without_a_name_is_a_warning(built: tuple[dict[str, str], str]) -> None:
    """A translation that lost its names does not go unnoticed."""
    assert re.search("wrong.md.*: a step has to begin with", built[1])
    assert "index.md" not in built[1].replace("wrong", "")
