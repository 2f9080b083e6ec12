"""The page for errors in a real browser: its style, its frame, and how it reloads."""

from __future__ import annotations

from itertools import count

import pytest
from flask import Flask, Response
from playwright.sync_api import Page, expect

from flask_dingtalk import DingTalk, NotPermitted, RateLimited
from flask_dingtalk.testing import DingTalkSimulator

from .chromium import OpenWindow
from .helpers import AppFactory
from .server import serving

#: The background of the card.
CARD = "rgb(255, 255, 255)"


def style_of(page: Page) -> str:
    """Return the background of the page's card."""
    background: str = page.evaluate("getComputedStyle(document.querySelector('main')).background")
    return background.partition(")")[0] + ")"


@pytest.mark.parametrize("mounted", [True, False], ids=["from a file", "in the page"])
def test_the_page_has_its_style(
    simulator: DingTalkSimulator, open_window: OpenWindow, mounted: bool
) -> None:
    """Its own policy admits it, where the routes are mounted and where they are not."""
    app = Flask("site")
    app.config.update(simulator.settings, SECRET_KEY="of this site")
    DingTalk(app, register_blueprint=mounted)

    @app.get("/refused")
    def refused() -> str:
        raise NotPermitted("for a test")

    with serving(app) as url:
        page = open_window()
        page.goto(f"{url}/refused")
        expect(page.get_by_role("heading", name="You do not have access")).to_be_visible()
        assert style_of(page) == CARD


def test_the_policy_that_the_documents_recommend_lets_the_style_in(
    app: Flask, open_window: OpenWindow
) -> None:
    """A site may send it with every page."""

    @app.after_request
    def add_policy(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response

    with serving(app) as url:
        page = open_window()
        page.goto(f"{url}/dingtalk/callback")
        assert style_of(page) == CARD


def test_the_page_shows_in_a_frame_of_the_site(app: Flask, open_window: OpenWindow) -> None:
    """As the DingTalk client on a desktop has one."""

    @app.get("/frame")
    def frame() -> str:
        return '<link rel="icon" href="data:,"><iframe src="/dingtalk/callback"></iframe>'

    with serving(app) as url:
        page = open_window()
        page.goto(f"{url}/frame")
        heading = page.frame_locator("iframe").get_by_role("heading")
        expect(heading).to_have_text("This sign-in is no longer valid")


def test_a_throttled_page_reloads_until_it_gets_through(
    make_app: AppFactory, open_window: OpenWindow
) -> None:
    """The address keeps its query; nobody has to do anything."""
    app = make_app()
    loads = count(1)

    @app.get("/busy")
    def busy() -> str:
        if next(loads) < 3:
            raise RateLimited("for a test", reload_after=1)
        return '<link rel="icon" href="data:,"><h1>Through</h1>'

    with serving(app) as url:
        page = open_window(expected="status of 503")
        page.goto(f"{url}/busy?code=abc")
        expect(page.get_by_role("heading")).to_have_text("One moment, please")
        expect(page.get_by_role("heading")).to_have_text("Through")
        assert page.url == f"{url}/busy?code=abc"
