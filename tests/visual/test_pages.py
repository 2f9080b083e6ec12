"""Every page in every state: nothing is cut off, covered, illegible or out of reach.

With SCREENSHOTS=DIRECTORY in the environment, each is also saved there, for ``make screenshots``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..chromium import DESKTOP, PHONE, SMALL_PHONE, Size
from .conftest import OpenView
from .gallery import FRAME, STATES, Gallery, State, View

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

pytestmark = pytest.mark.npm

ROOT: Final = Path(__file__).parents[2]
AXE: Final = ROOT / "build" / "axe" / "axe.min.js"
CHECKS: Final = Path(__file__).with_name("checks.js")
#: A desktop whose page is enlarged to 200 %.
ENLARGED: Final = (640, 400)
#: Sizes of windows; the last two are phones.
SIZES: Final = (DESKTOP, ENLARGED, PHONE, SMALL_PHONE)
LANGUAGES: Final = [pytest.param("en-US", id="en"), pytest.param("zh-CN", id="zh")]


class Look:
    """Looks at the page in a window, and collects what is wrong with it."""

    def __init__(self, view: View) -> None:
        self.page = view.page
        self.problems: list[str] = []
        self._session: CDPSession = view.page.context.new_cdp_session(view.page)
        self.page.evaluate(CHECKS.read_text(encoding="utf-8"))

    def at(self, size: Size) -> None:
        """Change the size of the window; narrow ones are phones."""
        width, height = size
        self.page.set_viewport_size({"width": width, "height": height})
        touch = {"enabled": size in (PHONE, SMALL_PHONE)}
        self._session.send("Emulation.setTouchEmulationEnabled", touch)

    def check(self, how: str, *aspects: str) -> None:
        """Look at some aspects; see ``checks.js``."""
        for problem in self.page.evaluate("aspects => lookAt(aspects)", list(aspects)):
            self.problems.append(f"{how}: {problem}")

    def check_with_axe(self) -> None:
        """Let axe look for what keeps people out."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        # The contrast is ours to check: axe does not look at gradients.
        found: list[dict[str, Any]] = self.page.evaluate(
            "async () => (await axe.run(document, {iframes: false, resultTypes: ['violations'],"
            " preload: false, selectors: false, rules: {'color-contrast': {enabled: false}}}"
            ")).violations"
        )
        for violation in found:
            places = [node["html"][:100] for node in violation["nodes"]]
            self.problems.append(f"axe, {violation['id']}: {places}")

    def save(self, name: str) -> None:
        """Save a picture where somebody asked for them."""
        if directory := os.environ.get("SCREENSHOTS"):
            self.page.evaluate("document.activeElement.blur()")
            self.page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_page_can_be_read_and_used(state: State, language: str, open_view: OpenView) -> None:
    """In each size, both colour schemes, high contrast, and by axe's rules."""
    view = open_view(language, scripts=state.scripts)
    desktop, *others = state.sizes
    view.page.set_viewport_size({"width": desktop[0], "height": desktop[1]})
    view.page.emulate_media(color_scheme="light", forced_colors="none")
    state.open(view)
    # From now on, browsers show which element has the focus.
    view.page.keyboard.press("Tab")

    look = Look(view)
    look.check("light", "language", "contrast")
    if language == "en-US":
        # What does not depend on the language.
        look.check("light", "structure", "focus", "motion")
        if state.scripts:
            look.check_with_axe()
    sizes = SIZES if language == "en-US" else (DESKTOP, PHONE, SMALL_PHONE)
    for size in FRAME if state.sizes is FRAME else sizes:
        look.at(size)
        look.check(f"{size[0]} px", "width", "overlaps", "targets")
    view.page.emulate_media(color_scheme="dark")
    look.check("dark", "contrast")
    if language == "en-US":
        view.page.emulate_media(forced_colors="active")
        look.check("high contrast", "contrast")
        view.page.emulate_media(forced_colors="none")

    for size in (desktop, *others):
        look.at(size)
        for scheme in ("light", "dark"):
            view.page.emulate_media(color_scheme=scheme)
            look.save(f"{state.name}, {language[:2]}, {size[0]}, {scheme}")
    assert not look.problems, "\n".join(look.problems)


#: Nicks of as many characters as DingTalk takes, and none at all.
NICKS: Final = [
    pytest.param("赢" * 64, id="Chinese"),
    pytest.param("شمس الدين " * 6 + "شمس", id="Arabic"),
    pytest.param("🦉" * 64, id="emoji"),
    pytest.param("W" * 64, id="Latin, in one word"),
    pytest.param(None, id="none"),
]


@pytest.mark.parametrize("nick", NICKS)
def test_pages_have_room_for_any_name(
    nick: str | None, gallery: Gallery, open_view: OpenView
) -> None:
    """With the name of an organisation to match, and an avatar that does not load."""
    simulator = gallery.simulator
    own = simulator.organisations[simulator.application.corp_id]
    name, gallery.example.config["COMPANY_NAME"] = own.name, "示例科技有限公司" * 8
    own.name = gallery.example.config["COMPANY_NAME"]
    person = simulator.add_user("odd", nick=nick, avatar_url=f"{simulator.url}/nowhere.png")
    person.memberships[own.corp_id].name = nick
    try:
        view = open_view()
        view.member("odd")
        pages: dict[str, Callable[[], None]] = {
            "home": lambda: view.example("/"),
            "profile": lambda: view.example("/profile"),
            "record": lambda: view.example("/record"),
            "notices": lambda: view.example("/company"),
            "the simulator's people": view.authorize,
            "the code": view.code,
        }
        for place, show in pages.items():
            show()
            look = Look(view)
            for size in FRAME if place == "the code" else (DESKTOP, SMALL_PHONE):
                look.at(size)
                look.check(f"{place}, {size[0]} px", "width", "overlaps")
            assert not look.problems, "\n".join(look.problems)
    finally:
        del simulator.users["odd"]
        own.name = gallery.example.config["COMPANY_NAME"] = name
