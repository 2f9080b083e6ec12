"""Ways of coming back that used to fail, in Chromium: another name, a second try, several tabs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flask import Flask

from .chromium import OpenWindow
from .helpers import AppFactory
from .server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_dingtalk.testing import DingTalkSimulator


@contextmanager
def served(make_app: Callable[[str], Flask]) -> Iterator[str]:
    """Serve a site that has to know its address when it is made; the value is that address."""
    made: list[Flask] = []

    def application(environ: Any, start_response: Any) -> Any:
        return made[0](environ, start_response)

    with serving(application) as address:
        made.append(make_app(address))
        yield address


def agree(page: Page, name: str = "张三") -> None:
    """Choose an account on the simulator's pages, and agree."""
    page.get_by_role("button", name=re.compile(f"^{name}")).click()
    page.get_by_role("button", name="Agree").click()


def test_localhost_ends_signed_in_where_the_redirect_url_says_127_0_0_1(
    make_app: AppFactory, simulator: DingTalkSimulator, open_window: OpenWindow
) -> None:
    """The visitor only sees another name in the address bar."""
    with served(
        lambda address: make_app(DINGTALK_REDIRECT_URI=f"{address}/dingtalk/callback")
    ) as address:
        page = open_window()
        page.goto(address.replace("127.0.0.1", "localhost") + "/report")
        agree(page)
        page.wait_for_url(f"{address}/report")
        assert page.text_content("body") == "Report for 张三"


def test_going_back_and_agreeing_again_ends_where_the_sign_in_led(
    make_app: AppFactory, simulator: DingTalkSimulator, open_window: OpenWindow
) -> None:
    """The second code is refused, and the page goes on by itself."""
    with served(lambda _: make_app()) as address:
        page = open_window()
        page.goto(f"{address}/report")
        agree(page)
        page.wait_for_url(f"{address}/report")
        page.go_back()
        page.get_by_role("button", name="Agree").click()
        page.wait_for_url(f"{address}/report")
        assert page.text_content("body") == "Report for 张三"
    assert [call.endpoint for call in simulator.calls].count("userAccessToken") == 1


def test_tabs_that_come_back_together_all_end_where_they_were_going(
    make_app: AppFactory, simulator: DingTalkSimulator, open_window: OpenWindow
) -> None:
    """The browser has forgotten the sign-in of one of them, as a lost cookie does."""
    with served(lambda _: make_app()) as address:
        first = open_window()
        first.goto(f"{address}/report")
        first.get_by_role("button", name=re.compile("^张三")).click()
        context = first.context
        context.clear_cookies(domain="127.0.0.1", name="session")
        second = context.new_page()
        second.goto(f"{address}/whoami")
        second.goto(f"{address}/dingtalk/login?next=/whoami")
        second.get_by_role("button", name="Agree").click()
        second.wait_for_url(f"{address}/whoami")
        first.get_by_role("button", name="Agree").click()
        first.wait_for_url(f"{address}/report")
        assert first.text_content("body") == "Report for 张三"
