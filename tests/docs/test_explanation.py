"""What the explanations say of the simulator is so."""

from __future__ import annotations

import re
from typing import Final

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from .pages import DOCS

DINGTALK: Final = DOCS / "explanation" / "dingtalk.md"
_TEXT: Final = DINGTALK.read_text(encoding="utf-8")
PATHS: Final = [
    path
    for row in re.findall(r"^\| (?:new|old), `[\w.]+` \| (.*) \|$", _TEXT, re.MULTILINE)
    for path in re.findall(r"`(/[^`]+)`", row)
]


@pytest.mark.parametrize("path", PATHS)
def test_the_simulator_has_each_api_that_the_page_lists(
    simulator: DingTalkSimulator, path: str
) -> None:
    """None of them is answered as an unknown one."""
    simulator.fail(path.replace("{corpId}", simulator.application.corp_id), status=500)


def test_the_page_lists_each_api_of_the_simulator(simulator: DingTalkSimulator) -> None:
    """None is left out. Pages cannot be limited, APIs can."""
    apis = []
    for name in simulator.endpoints:
        try:
            simulator.limit(name)
        except ValueError:
            continue
        apis.append(name)
    # Their names are the ends of their paths.
    missing = [name for name in apis if not any(path.endswith(f"/{name}") for path in PATHS)]
    assert missing == []
    assert len(apis) == len(PATHS)


def test_what_the_page_says_of_an_application_exists(simulator: DingTalkSimulator) -> None:
    """Each field that it names is one of the simulator's application."""
    named = set(re.findall(r"`application\.(\w+)`", _TEXT))
    assert named
    assert [name for name in named if not hasattr(simulator.application, name)] == []
