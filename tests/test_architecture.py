"""The architecture page describes the package as it is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.docs

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "flask_dingtalk"
TEXT: Final = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
#: Where a file that the page names without its folder may be.
FOLDERS: Final = (PACKAGE, PACKAGE / "api", ROOT)


def test_the_rooms_are_drawn_as_they_are_checked() -> None:
    """The rows of the drawing are the layers that import-linter enforces."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (layers,) = [
        contract["layers"]
        for contract in tools["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    rows = re.findall(r"^\| [0-9]+ \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [
        set(layer.split(" : ")) for layer in layers
    ]


def test_every_module_and_function_of_the_page_exists() -> None:
    """Each file that the page names is there, and has the functions named after it."""
    named = re.findall(r"`([\w/]+\.py)`((?:, `[\w.]+`(?<!\.py`))*)", TEXT)
    assert named
    for path, functions in named:
        files = [folder / path for folder in FOLDERS if (folder / path).exists()]
        assert files, path
        code = files[0].read_text(encoding="utf-8")
        for name in re.findall(r"[\w.]+", functions):
            last = name.rpartition(".")[2]
            assert re.search(rf"\b(def|class) {last}\b", code), (path, name)
