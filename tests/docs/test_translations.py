"""The Chinese site says everything that the English one says, in Chinese as it is written."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest

from .pages import DOCS, load

CATALOGUES: Final = sorted((DOCS / "locales" / "zh_CN" / "LC_MESSAGES").rglob("*.po"))
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]*(?:\([^()]*\))?[^()\s]*)\)")
#: In a docstring. Its translation is read as a page is, so that only the other form works there.
_DOCSTRING_LINK = re.compile(r"`([^`<>]+) <([^<>]+)>`__")
_HAN = "\u3400-\u9fff"
_MARKS = "，。；：？！（）、“”《》"
#: What Chinese text does not look like, with a name for the report.
_SLIPS: Final = {
    "a space between two Chinese characters": rf"[{_HAN}] +[{_HAN}]",
    "a space beside Chinese punctuation": rf"[{_MARKS}] +\w|(?<!\*) +[{_MARKS}]",
    "ASCII punctuation beside a Chinese character": rf"[{_HAN}][,:;?!]|[,:;?!] ?[{_HAN}]",
    "ASCII brackets around Chinese": rf"(?<!\])\([^)]*[{_HAN}]",
    "a full stop of another alphabet": rf"[{_HAN}]\.(?!\w)",
    "no space between Chinese and code": rf"[{_HAN}]`|`[{_HAN}]",
    "no space between Chinese and a Latin word": rf"[{_HAN}][A-Za-z0-9]|[A-Za-z0-9%][{_HAN}]",
    "two Chinese marks in a row": r"[，。；：、][，。；：、]",
    "ASCII quotation marks": r'"',
    "你 in the place of 您": "你",
}
#: DingTalk's own words, which stay as its console and its pages have them.
_DINGTALKS: Final = re.compile(
    r"重定向URL(（回调域名）)?|服务器出口IP|PC端首页地址|URL地址|url地址|HTTP请求|操作失败，你不在组织内"
)


@cache
def _tool() -> ModuleType:
    return load(DOCS / "catalogues.py")


class Message(NamedTuple):
    """One sentence in both languages."""

    page: str
    english: str
    chinese: str


@cache
def _messages() -> list[Message]:
    return [
        Message(path.stem, _DOCSTRING_LINK.sub(r"[\1](\2)", each.id), each.string)
        for path in CATALOGUES
        for each in _tool().read(path)
        if each.id and each.string
    ]


def test_every_sentence_is_translated(sentences: Path) -> None:
    """Each sentence of the pages has a translation that nobody has to look at again."""
    missing = [
        f"{path.stem}: {each.id}"
        for path, wanted in _tool().extracted(sentences).items()
        for ours in [_tool().read(path)]
        for each in wanted
        if each.id and not _is_done(ours.get(each.id))
    ]
    assert missing == []


def _is_done(message: Any) -> bool:
    return message is not None and bool(message.string) and not message.fuzzy


def test_no_translation_is_left_of_a_sentence_that_is_gone(sentences: Path) -> None:
    """Each translation is of a sentence that stands on its page."""
    wanted = _tool().extracted(sentences)
    assert set(CATALOGUES) - {_tool().THEME} == wanted.keys()
    left = [
        f"{path.stem}: {each.id}"
        for path, page in wanted.items()
        for each in (*_tool().read(path), *_tool().read(path).obsolete.values())
        if each.id and page.get(each.id) is None
    ]
    assert left == []


def test_the_code_in_a_sentence_stays() -> None:
    """What stands as code in an English sentence stands in the Chinese one."""
    assert [each for each in _messages() if not _codes(each.english) <= _codes(each.chinese)] == []


def test_the_numbers_in_a_sentence_stay() -> None:
    """Each number of an English sentence stands in the Chinese one."""
    assert [each for each in _messages() if _numbers(each.english) - _numbers(each.chinese)] == []


def test_the_links_in_a_sentence_stay() -> None:
    """The links of a sentence lead to the same places in both languages."""
    assert [each for each in _messages() if _links(each.english) != _links(each.chinese)] == []


@pytest.mark.parametrize("slip", _SLIPS)
def test_the_chinese_is_written_as_chinese_is(slip: str) -> None:
    """Spaces and punctuation are those of Chinese texts."""
    pattern = re.compile(_SLIPS[slip])
    found = [
        (each.page, match[0], each.chinese)
        for each in _messages()
        if each.chinese != each.english
        for match in pattern.finditer(_prose(each.chinese))
    ]
    assert found == []


def _codes(text: str) -> set[str]:
    """Return the code in a sentence, without what people read: ``<a path>``, ``>Sign out<``."""
    people_read = r"(?<=>)[^<>]+(?=<)|(?<=<)[^<>]*[ \u3400-\u9fff][^<>]*(?=>)"
    found = {re.sub(people_read, "", match[2]) for match in _CODE.finditer(text)}
    return {code.replace("README.zh-CN.md", "README.md") for code in found}


def _links(text: str) -> list[str]:
    return sorted(_LINK.findall(text))


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)*", re.sub(r"(?<=\d),(?=\d{3})", "", _without_code(text))))


def _without_code(text: str) -> str:
    return _LINK.sub("]", _CODE.sub("`", text))


def _prose(text: str) -> str:
    return _DINGTALKS.sub("X", _without_code(text))
