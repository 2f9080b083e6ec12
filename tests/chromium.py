"""Windows of a real browser, Chromium, for the tests that look at pages as visitors see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

Size = tuple[int, int]
DESKTOP, PHONE, SMALL_PHONE = (1280, 800), (390, 844), (320, 640)
SIZES = [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")]
#: A host name that is neither localhost nor https, as sites in an organisation's own network have:
#: browsers tell them less (https://w3c.github.io/webappsec-secure-contexts/). It is this machine.
INTRANET = "portal.intranet"
#: Debian's.
PROGRAM = "/usr/bin/chromium"
#: Switch off Chromium's own requests, since the tests have no network.
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {INTRANET} 127.0.0.1",
]
#: Some tests want a page to be refused, but none wants the browser to refuse something.
_REFUSED_BY_US = r"server responded with a status of 40[0-9]"


class OpenWindow(Protocol):
    """Opens a window; see the fixture `open_window`."""

    def __call__(
        self,
        size: Size = ...,
        language: str = ...,
        *,
        colors: Literal["light", "dark"] = ...,
        user_agent: str | None = ...,
        headers: dict[str, str] | None = ...,
        expected: str | None = ...,
        touch: bool | None = ...,
    ) -> Page:
        """Return the page of a new window."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Chromium, once.

    For each module and not for the whole run: Playwright keeps an event loop running in this thread
    as long as it lives, and then no other test could run one.
    """
    from playwright.sync_api import expect, sync_playwright

    # Only a failure takes so long; a busy machine may take a while.
    expect.set_options(timeout=60_000)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROGRAM,
            args=CHROMIUM,
            # Visitors' browsers keep pages for the back button, so this one has to as well.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[OpenWindow]:
    """Open windows, each in a separate browser.

    After the test, their consoles must be empty (a violated policy would be there), and no request
    may have left this machine. ``expected`` is a pattern for console messages that a test wants.
    Without ``touch``, narrow windows are those of phones.
    """
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def note_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "file") and parts.hostname not in (
            "127.0.0.1",
            "localhost",
            INTRANET,
        ):
            problems.append(f"a request to {request.url}")

    def open_window(
        size: Size = DESKTOP,
        language: str = "en-US",
        *,
        colors: Literal["light", "dark"] = "light",
        user_agent: str | None = None,
        headers: dict[str, str] | None = None,
        expected: str | None = None,
        touch: bool | None = None,
    ) -> Page:
        allowed = re.compile(f"{_REFUSED_BY_US}|{expected}" if expected else _REFUSED_BY_US)

        def note_message(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not allowed.search(message.text):
                problems.append(message.text)

        width, height = size
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            locale=language,
            color_scheme=colors,
            user_agent=user_agent,
            extra_http_headers=headers,
            has_touch=width < 500 if touch is None else touch,
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        # Of every page of the context, those that a test opens later included.
        context.on("console", note_message)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.on("request", note_request)
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert problems == []
