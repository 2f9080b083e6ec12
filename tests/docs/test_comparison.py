"""The comparison in the READMEs is the one that was tried."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from .pages import CHINESE, ENGLISH, ROOT, load

COMPARISON: Final = ROOT / "benchmarks" / "comparison"


@pytest.fixture(scope="module")
def table() -> ModuleType:
    """Load what makes the tables."""
    return load(COMPARISON / "table.py")


@pytest.mark.parametrize(("readme", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_the_table_is_the_recorded_one(table: ModuleType, readme: Path, language: str) -> None:
    """Word by word, and with the day of the trial."""
    text = readme.read_text(encoding="utf-8")
    assert table.render(language) in text
    assert table.read()["date"] in text


def test_each_library_was_tried_in_the_pinned_version(table: ModuleType) -> None:
    """Those that `make comparison` installs."""
    pinned = re.findall(
        r"^([\w-]+)[^=]*==(.+)$", (COMPARISON / "requirements.txt").read_text(), re.MULTILINE
    )
    versions = table.read()["versions"]
    assert {name: version for name, version in pinned if name in versions} == {
        name: version for name, version in versions.items() if name != "Flask-DingTalk"
    }


@pytest.mark.redis
@pytest.mark.slow
def test_our_own_column_is_still_true(table: ModuleType) -> None:
    """The trials of this package end as they did."""
    run = subprocess.run(
        [sys.executable, "trials.py", "with_flask_dingtalk"],
        cwd=COMPARISON,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    outcomes = json.loads(run.stdout.splitlines()[-1])
    assert outcomes == table.read()["outcomes"]["with_flask_dingtalk"]
    assert outcomes.keys() == table.ROWS.keys()
