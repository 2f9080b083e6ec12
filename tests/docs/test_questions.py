"""The page of questions has those that newcomers ask, and leads to the rest of each answer."""

from __future__ import annotations

import re
from typing import Final

import pytest

from .pages import DOCS, LINK

_TEXT: Final = (DOCS / "questions.md").read_text(encoding="utf-8")
_PARTS: Final = re.split(r"^## (.+)$", _TEXT, flags=re.MULTILINE)[1:]
ANSWERS: Final = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))
#: A word of the question, and where the rest of the answer stands.
ASKED: Final = {
    "corp id": "how-to/console.md#find-the-corp-id",
    "phone while I develop": "how-to/development.md#a-phone-in-development",
    "environments": "how-to/development.md#several-environments",
    "https": "how-to/development.md#http-or-https",
    "mobile number": "how-to/console.md#without-the-mobile-permission",
    "sign out of DingTalk": "how-to/signing-out.md#of-dingtalk-too",
    "gunicorn": "how-to/deployment.md#logs-under-gunicorn",
    "code that I have": "how-to/moving-from-requests.md",
    "departments": "how-to/calling-dingtalk.md#names-of-departments",
    "mark": "reference/templates.md",
}


@pytest.mark.parametrize("word", ASKED)
def test_what_newcomers_ask_is_answered(word: str) -> None:
    """One question has the word, and its answer leads to the page with the rest."""
    (answer,) = [answer for question, answer in ANSWERS.items() if word in question]
    assert ASKED[word] in LINK.findall(answer)


@pytest.mark.parametrize("question", ANSWERS)
def test_each_answer_leads_on(question: str) -> None:
    """None of them is the last word."""
    assert LINK.findall(ANSWERS[question])
