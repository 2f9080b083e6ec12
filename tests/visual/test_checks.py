"""The checks see what is wrong with a page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from .test_pages import Look

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.npm

SOUND: Final = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>Page</title><style>:focus { outline: 2px solid }</style>
<main><h1>Heading</h1><p>Some words here, and a <a href="#">link</a>.</p>%s</main>"""


@pytest.fixture(scope="module")
def looks(chromium: Browser) -> Any:
    """Return a function that looks at a page with some markup, for one aspect or by axe."""
    page = chromium.new_page(viewport={"width": 400, "height": 400})

    def problems(markup: str, aspect: str) -> list[str]:
        page.set_content(SOUND % markup)
        page.keyboard.press("Tab")
        look = Look(SimpleNamespace(page=page))  # type: ignore[arg-type]  # all that it needs
        if aspect == "axe":
            look.check_with_axe()
        else:
            look.check("", aspect)
        return look.problems

    yield problems
    page.close()


DEFECTS: Final = [
    ("width", '<p style="width: 500px">Wide</p>', "508 px wide"),
    ("width", '<p style="position: absolute; left: -90px">Outside</p>', "outside of the window"),
    ("width", '<p style="width: 20px; overflow: hidden">Cut</p>', "cut off"),
    ("overlaps", '<p style="margin-top: -2.2em">Too high above</p>', "overlap"),
    ("contrast", '<p style="color: #999">Pale</p>', "contrast of 2.8"),
    ("contrast", '<p style="color: #fff; background: linear-gradient(#000, #eee)">x</p>', "1.16"),
    ("targets", '<p><a href="#" style="font-size: 9px">x</a></p>', "px"),
    ("language", "<p>张三</p>", 'said to be in "en"'),
    ("language", '<p lang="zh-CN">Two words</p>', 'said to be in "zh-CN"'),
    ("language", '<input aria-label="姓名">', 'said to be in "en"'),
    ("focus", '<a href="#" style="outline: none">x</a>', "does not show its focus"),
    ("focus", '<div inert><button>x</button></div>', "takes no focus"),
    ("structure", "<h1>Another</h1>", "2 main headings"),
    ("motion", "<style>@keyframes a { to { top: 0 } } b { animation: a 1s infinite }</style><b>x",
     "moves"),
    ("axe", '<img src="data:,">', "image-alt"),
]  # fmt: skip


@pytest.mark.parametrize(("aspect", "markup", "problem"), DEFECTS)
def test_defect_is_seen(looks: Any, aspect: str, markup: str, problem: str) -> None:
    """One problem of each kind, and none without the defect."""
    assert looks("", aspect) == []
    assert any(problem in each for each in looks(markup, aspect)), looks(markup, aspect)
