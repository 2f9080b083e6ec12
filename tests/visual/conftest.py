"""The sites and the windows of these tests: one of each for all tests of a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from .gallery import Gallery, View

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

#: Opens a window in a language, with or without scripts.
OpenView = Callable[..., View]


@pytest.fixture(scope="module")
def gallery() -> Iterator[Gallery]:
    """Serve the sites, whatever settings this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("FLASK_"):
                patch.delenv(name)
        with Gallery().open() as opened:
            yield opened


@pytest.fixture(scope="module")
def browsers(chromium: Browser) -> Iterator[Callable[[str, bool], BrowserContext]]:
    """Keep one browser for each language, with scripts and without."""
    opened: dict[tuple[str, bool], BrowserContext] = {}

    def browser(language: str, scripts: bool) -> BrowserContext:
        if (language, scripts) not in opened:
            opened[language, scripts] = chromium.new_context(
                locale=language, java_script_enabled=scripts, reduced_motion="reduce"
            )
        return opened[language, scripts]

    yield browser
    for context in opened.values():
        context.close()


@pytest.fixture
def open_view(
    gallery: Gallery, browsers: Callable[[str, bool], BrowserContext]
) -> Iterator[OpenView]:
    """Open windows, in which nobody is signed in to anything."""

    @contextmanager
    def window(language: str, scripts: bool) -> Iterator[View]:
        context = browsers(language, scripts)
        context.clear_cookies()
        # A window is used again: a new one costs as much as a page.
        page = context.pages[0] if context.pages else context.new_page()
        yield View(page, gallery, language)
        page.unroute_all(behavior="ignoreErrors")
        page.set_extra_http_headers({})
        page.goto("about:blank")

    with ExitStack() as windows:
        yield lambda language="en-US", *, scripts=True: windows.enter_context(
            window(language, scripts)
        )
