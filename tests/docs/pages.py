"""The texts for users, and what tests want from them: code, tables and headings."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
ENGLISH: Final = ROOT / "README.md"
CHINESE: Final = ROOT / "README.zh-CN.md"
SECURITY: Final = ROOT / "SECURITY.md"
CONTRIBUTING: Final = ROOT / "CONTRIBUTING.md"
INDEX: Final = DOCS / "index.md"
TUTORIAL: Final = DOCS / "tutorial.md"
GUARDING: Final = DOCS / "how-to" / "guarding.md"
MEMBERS: Final = DOCS / "how-to" / "members.md"
MISTAKES: Final = DOCS / "how-to" / "mistakes.md"
WAYS_IN: Final = DOCS / "how-to" / "ways-in.md"
QR_CODE: Final = DOCS / "how-to" / "qr-code.md"
POLICY: Final = DOCS / "how-to" / "content-security-policy.md"
CHECK: Final = DOCS / "how-to" / "check.md"
CONSOLE: Final = DOCS / "how-to" / "console.md"
DEVELOPMENT: Final = DOCS / "how-to" / "development.md"
DEPLOYMENT: Final = DOCS / "how-to" / "deployment.md"
FACTORY: Final = DOCS / "how-to" / "factory.md"
CALLING: Final = DOCS / "how-to" / "calling-dingtalk.md"
TESTING: Final = DOCS / "how-to" / "testing.md"
STORAGE: Final = DOCS / "explanation" / "storage.md"
SETTINGS_PAGE: Final = DOCS / "reference" / "settings.md"
TEMPLATES: Final = DOCS / "reference" / "templates.md"
ROUTES: Final = DOCS / "reference" / "routes.md"
ERRORS_PAGE: Final = DOCS / "reference" / "errors.md"
CODES: Final = DOCS / "reference" / "dingtalk-codes.md"
#: Its code is run by tests/ecosystem.
ECOSYSTEM: Final = DOCS / "how-to" / "ecosystem.md"
#: Their code is run by test_moving.py.
MOVING: Final = sorted((DOCS / "how-to").glob("moving-from-*.md"))
PAGES: Final = [ENGLISH, CHINESE, SECURITY, CONTRIBUTING, *sorted(DOCS.rglob("*.md"))]

FENCE: Final = re.compile(r"^( *)```([a-z]+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Snippet:
    """One block of code in one of the texts."""

    page: Path
    number: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the first line names, if it names one."""
        named = re.match(r"(?:# |\{# )(\S*[./]\S*)(?: #\})?\n", self.text)
        return named[1] if named else None

    @property
    def id(self) -> str:
        """A short name for the test."""
        return f"{self.page.name}-{self.number}"


def snippets(page: Path, language: str) -> list[Snippet]:
    """Return the blocks of a page in one language."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [
        Snippet(page, number, name, dedent(text))
        for number, (_, name, text) in enumerate(found, 1)
        if name == language
    ]


def file_of(page: Path, name: str) -> str:
    """Return the block of a page that is the file of this name."""
    (snippet,) = [each for each in snippets(page, "python") if each.file == name]
    return snippet.text


def named_files(page: Path) -> dict[str, str]:
    """Return the files that a page shows, by their names."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    blocks = [Snippet(page, 0, language, dedent(text)) for _, language, text in found]
    return {each.file: each.text for each in blocks if each.file is not None}


def beginning(page: Path) -> str:
    """Return what the code of a page goes on from: its own ``app.py``, or the one of the README."""
    own = [each for each in snippets(page, "python") if each.file == "app.py"]
    return own[0].text if own else file_of(ENGLISH, "app.py")


def rows_of(page: Path, cells: int) -> dict[str, list[str]]:
    """Return the rows of the tables with so many columns, by the first name in each."""
    rows = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip().strip("|").split("|")]
        name = re.match(r"`(\w+)`", row[0])
        if line.lstrip().startswith("|") and len(row) == cells and name:
            rows[name[1]] = row
    return rows


@dataclass(frozen=True)
class Setting:
    """What the page of settings says of one of them in its first line."""

    kind: str
    #: As it is written; ``None`` where the setting is required.
    default: str | None
    example: str


def documented_settings() -> dict[str, Setting]:
    """Return what the page of settings says, by name."""
    found = re.findall(
        r"^### `(\w+)`\n\n(.+?)\.\s(?:Required|Default:\s`(.+?)`)\.\sExample:\s`(.+?)`\.$",
        SETTINGS_PAGE.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return {name: Setting(kind, default or None, example) for name, kind, default, example in found}


def load(path: Path) -> ModuleType:
    """Run a file as a new module."""
    spec = importlib.util.spec_from_file_location(f"documented_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
