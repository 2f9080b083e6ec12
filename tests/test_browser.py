"""The example site in a real browser, Chromium, as its visitors see it."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from playwright.sync_api import Locator, Page, Request, expect

from examples.site import create_app
from flask_dingtalk.testing import DingTalkSimulator

from .chromium import DESKTOP, PHONE, SIZES, SMALL_PHONE, OpenWindow
from .server import serving

ROOT = Path(__file__).parents[1]


@dataclass
class Portal:
    """The example site on a server, and its simulator."""

    address: str
    simulator: DingTalkSimulator

    def url(self, path: str) -> str:
        """Return the address of a page."""
        return self.address + path


class Visitor:
    """A person with a browser window; counts their clicks."""

    def __init__(self, page: Page, portal: Portal) -> None:
        self.page = page
        self.portal = portal
        self.clicks = 0

    def open(self, path: str) -> None:
        """Open a page by its address."""
        self.page.goto(self.portal.url(path))

    def click(self, name: str) -> None:
        """Click the link, button or choice of that name."""
        self.find(name).click()
        self.clicks += 1

    def find(self, name: str) -> Locator:
        """Find a link, button or choice by the beginning of its name."""
        named = re.compile(f"^{name}")
        found = self.page.get_by_role("link", name=named)
        for role in ("button", "radio"):
            found = found.or_(self.page.get_by_role(role, name=named))
        return found

    def tab_to(self, name: str) -> None:
        """Move on to something with the Tab key."""
        expect(self.find(name)).to_be_visible()
        for _ in range(20):
            self.page.keyboard.press("Tab")
            if self.find(name).evaluate("element => element === document.activeElement"):
                return
        pytest.fail(f"the Tab key does not lead to {name!r}")

    def sign_in(self, person: str = "张三") -> None:
        """Use the button of the sign-in page, and answer the simulator's pages."""
        self.click("Sign in with DingTalk")
        self.click(person)
        self.click("Agree")

    def scan(self, person: str) -> None:
        """Scan the QR code with somebody's phone, and agree there."""
        frame = self.page.frame_locator(".dingtalk-qr iframe")
        for name in (f"Scan with the phone of {person}", "Agree"):
            frame.get_by_role("button", name=re.compile(f"^{name}")).click()

    def be_inside_dingtalk(self) -> None:
        """Look like DingTalk's client, by the browser's developer tools."""
        tools = self.page.context.new_cdp_session(self.page)
        tools.send("Network.setUserAgentOverride", {"userAgent": "DingTalk"})

    def is_at(self, path: str) -> None:
        """Wait for a page of the site."""
        expect(self.page).to_have_url(self.portal.url(path))

    def sees(self, text: str) -> None:
        """Wait for a text in the page's content."""
        expect(self.page.get_by_role("main")).to_contain_text(text)


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """Serve the example site without any setting."""
    for name in os.environ:
        if name.startswith("FLASK_"):
            monkeypatch.delenv(name)
    app = create_app()
    with serving(app) as address:
        yield Portal(address, app.extensions["simulator"])
    app.extensions["simulator"].stop()


@pytest.fixture
def visitor_with(portal: Portal, open_window: OpenWindow) -> Callable[..., Visitor]:
    """Open windows of a given size and language."""

    def visit(size: tuple[int, int] = DESKTOP, language: str = "en-US") -> Visitor:
        return Visitor(open_window(size, language), portal)

    return visit


@pytest.fixture
def visitor(visitor_with: Callable[..., Visitor]) -> Visitor:
    """Open a window of a desktop browser, in English."""
    return visitor_with()


# --- Ways in and out -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_four_clicks_lead_in_and_out_again(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """Sign-in button, person, agreement: signed in; one more click: signed out."""
    visitor = visitor_with(size)
    visitor.open("/")
    visitor.click("Sign in with DingTalk")
    visitor.click("张三")
    visitor.click("Agree")
    visitor.is_at("/profile")
    visitor.sees("zhang.san@example.com")
    visitor.click("Sign out")
    visitor.is_at("/")
    visitor.sees("You are signed out.")
    assert visitor.clicks == 4


def test_four_clicks_lead_in_and_out_in_chinese(visitor_with: Callable[..., Visitor]) -> None:
    """A Chinese browser gets Chinese pages on the whole way."""
    visitor = visitor_with(language="zh-CN")
    visitor.open("/")
    for name in ("使用钉钉登录", "张三", "同意", "退出登录"):
        visitor.click(name)
    visitor.sees("已退出登录。")


def test_keyboard_alone_leads_in_and_out_again(visitor: Visitor) -> None:
    """The whole way works without a mouse."""
    visitor.open("/")
    for name in ("Sign in with DingTalk", "张三", "Agree", "Sign out"):
        visitor.tab_to(name)
        visitor.page.keyboard.press("Enter")
    visitor.sees("You are signed out.")


def test_keyboard_skips_to_the_content(visitor: Visitor) -> None:
    """The first stop of the Tab key is a link that skips the navigation."""
    visitor.open("/")
    visitor.page.keyboard.press("Tab")
    expect(visitor.find("Skip to content")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("main")).to_be_focused()


def test_deep_link_lands_where_it_was_asked_for(visitor: Visitor) -> None:
    """After the sign-in, a guarded page comes up with its query."""
    visitor.open("/company?from=mail&to=%E5%BC%A0")
    visitor.sign_in()
    visitor.is_at("/company?from=mail&to=%E5%BC%A0")
    visitor.sees("Notices of 示例科技")


def test_scanned_code_lands_where_the_page_was_asked_for(visitor: Visitor) -> None:
    """A guarded page leads to the QR code, and comes up once somebody has scanned it."""
    visitor.open("/company?from=mail&to=%E5%BC%A0")
    visitor.scan("李四")
    visitor.is_at("/company?from=mail&to=%E5%BC%A0")
    visitor.sees("Hello Li Si 李四, you are signed in.")


def test_phone_is_offered_no_code_to_scan(visitor_with: Callable[..., Visitor]) -> None:
    """People cannot scan the phone that they are holding."""
    visitor = visitor_with(PHONE)
    visitor.open("/company")
    expect(visitor.find("Sign in with DingTalk")).to_be_visible()
    expect(visitor.page.locator(".dingtalk-qr")).to_be_hidden()


def test_nobody_taps_anything_inside_dingtalk(visitor: Visitor) -> None:
    """Inside DingTalk, a guarded page opens without a tap."""
    visitor.portal.simulator.in_app_user = "li"
    visitor.be_inside_dingtalk()
    visitor.open("/record")
    visitor.is_at("/record")
    visitor.sees("工程师 · 示例科技")
    visitor.open("/profile")
    visitor.sees("none: the DingTalk client only says who you are")
    assert visitor.clicks == 0


def test_button_inside_dingtalk_asks_no_questions(visitor: Visitor) -> None:
    """The home page's button signs in through the client as well, without DingTalk's pages."""
    visitor.be_inside_dingtalk()
    visitor.open("/")
    visitor.click("Sign in with DingTalk")
    visitor.is_at("/profile")
    visitor.sees("Hello Zhang San 张三, you are signed in.")


def test_declining_leads_to_another_try_that_works(visitor: Visitor) -> None:
    """After declining, a second try leads to the page that was asked for."""
    visitor.open("/company")
    visitor.click("Sign in with DingTalk")
    visitor.click("张三")
    visitor.click("Decline")
    visitor.sees("You cancelled the sign-in")
    visitor.click("Try again")
    visitor.click("Sign in with DingTalk")
    visitor.click("Agree")
    visitor.is_at("/company")


def test_two_tabs_sign_in_at_the_same_time(visitor: Visitor) -> None:
    """A sign-in in one tab survives another that starts and ends in a second tab."""
    second = Visitor(visitor.page.context.new_page(), visitor.portal)
    visitor.open("/profile")
    visitor.click("Sign in with DingTalk")
    visitor.click("张三")
    expect(visitor.find("Agree")).to_be_visible()
    second.open("/company")
    second.click("Sign in with DingTalk")
    second.click("Agree")
    second.is_at("/company")
    visitor.click("Agree")
    visitor.is_at("/profile")


# --- Who may come in -----------------------------------------------------------------------------


def test_person_of_another_organisation_may_try_again_as_somebody_else(visitor: Visitor) -> None:
    """After a refusal, another account can sign in."""
    visitor.open("/company")
    visitor.sign_in("王五")
    visitor.sees("Your organisation has no access")
    visitor.click("Use another account")
    visitor.click("Sign in with DingTalk")
    visitor.click("Use another account")
    visitor.click("李四")
    visitor.click("Agree")
    visitor.sees("Notices of 示例科技")


def test_person_of_another_organisation_gets_nowhere_with_the_code(visitor: Visitor) -> None:
    """The same rule applies to the QR code."""
    visitor.open("/company")
    visitor.scan("王五")
    visitor.sees("Your organisation has no access")


def test_member_reads_the_record_outsider_is_refused_and_leaver_is_signed_out(
    visitor_with: Callable[..., Visitor],
) -> None:
    """After the revalidation time, a leaver's next click ends on the sign-in page."""
    member, outsider = visitor_with(), visitor_with()
    member.open("/record")
    member.sign_in()
    member.is_at("/record")
    member.sees("总经理 · 示例科技")

    outsider.open("/record")
    outsider.sign_in("王五")
    outsider.sees("Your organisation has no access")
    outsider.open("/record")
    expect(outsider.find("Sign in with DingTalk")).to_be_visible()

    member.click("Leave the company")
    member.sees("You have left 示例科技.")
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=11)):
        member.click("See my profile")
        member.is_at("/dingtalk/login?next=/profile")


def test_leaver_who_is_taken_back_signs_in_again(visitor: Visitor) -> None:
    """The site shows who has left, and one click undoes it."""
    visitor.open("/record")
    visitor.sign_in()
    visitor.click("Leave the company")
    visitor.click("Rehire")
    visitor.sees("Zhang San 张三 is back at 示例科技")


# --- Back, again, and what stays behind ----------------------------------------------------------


def test_loading_the_callback_again_does_no_harm(visitor: Visitor) -> None:
    """The callback leads to the same page again, without a call to DingTalk."""
    requested: list[str] = []
    visitor.page.on("request", lambda request: requested.append(request.url))
    visitor.open("/profile")
    visitor.sign_in()
    visitor.is_at("/profile")
    calls = list(visitor.portal.simulator.calls)
    (callback,) = (url for url in requested if urlsplit(url).path == "/dingtalk/callback")
    visitor.page.goto(callback)
    visitor.is_at("/profile")
    assert visitor.portal.simulator.calls == calls


def test_agreeing_again_after_going_back_leaves_the_user_signed_in(visitor: Visitor) -> None:
    """The sign-in was used before, and the person is led on to where they wanted to go."""
    visitor.open("/profile")
    visitor.sign_in()
    visitor.is_at("/profile")
    visitor.page.go_back()
    visitor.click("Agree")
    visitor.is_at("/profile")


def test_going_back_after_signing_out_shows_no_profile(visitor: Visitor) -> None:
    """The browser does not show the profile to the next person."""
    visitor.open("/profile")
    visitor.sign_in()
    visitor.is_at("/profile")
    visitor.click("Sign out")
    visitor.is_at("/")
    visitor.page.go_back()
    visitor.is_at("/dingtalk/login?next=/profile")


def test_no_page_tells_another_site_where_its_visitors_come_from(visitor: Visitor) -> None:
    """No Referer header contains an address of the site, in particular none with a code."""
    requests: list[Request] = []
    visitor.page.on("request", lambda request: requests.append(request))
    visitor.open("/")
    visitor.sign_in()
    visitor.is_at("/profile")
    visitor.click("Notices")
    visitor.is_at("/company")
    sent = [(request.url, request.all_headers().get("referer", "")) for request in requests]
    assert any(referrer for _, referrer in sent)
    for url, referrer in sent:
        assert not referrer or urlsplit(referrer)[:2] == urlsplit(url)[:2]
        assert "code=" not in referrer.lower()


# --- What the texts show --------------------------------------------------------------------------


def test_documented_page_with_a_nonce_shows_the_code(
    portal: Portal, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented policy allows what the page needs, and the code can be scanned."""
    first, with_nonce = (
        next(
            block
            for block in re.findall(
                r"^```python\n(.*?)^```$",
                (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8"),
                re.MULTILINE | re.DOTALL,
            )
            if marker in block
        )
        for page, marker in (
            ("qr-code.md", "# app.py"),
            ("content-security-policy.md", "add_nonce_policy"),
        )
    )
    for name, value in {**portal.simulator.settings, "SECRET_KEY": "k"}.items():
        monkeypatch.setenv(f"FLASK_{name}", value)
    names: dict[str, Any] = {"__name__": "documented"}
    code = f"{first}\n{with_nonce}".replace("https://login.dingtalk.com", portal.simulator.url)
    exec(code, names)
    with serving(names["app"]) as address:
        visitor.page.goto(f"{address}/with-nonce")
        visitor.scan("李四")
        expect(visitor.page.locator("body")).to_have_text("The report for 李四")


# --- The pages -----------------------------------------------------------------------------------


def test_avatar_is_shown(visitor: Visitor) -> None:
    """The security policy allows the picture."""
    visitor.open("/profile")
    visitor.sign_in()
    avatar = visitor.page.locator(".person .avatar img")
    expect(avatar).to_have_js_property("complete", True)
    assert avatar.evaluate("image => image.naturalWidth") > 0


def test_script_of_the_page_gets_the_profile(visitor: Visitor) -> None:
    """The button shows the answer of the guarded endpoint."""
    visitor.open("/profile")
    visitor.sign_in()
    visitor.click("Fetch")
    expect(visitor.page.get_by_role("status").last).to_contain_text('"nick": "张三"')


def test_script_that_finds_nobody_signed_in_offers_the_way_back(visitor: Visitor) -> None:
    """After the session ended in another tab, the script's link leads back to its page."""
    visitor.open("/profile")
    visitor.sign_in()
    visitor.is_at("/profile")
    visitor.page.context.clear_cookies(name="session")
    visitor.click("Fetch")
    visitor.sees("You are no longer signed in.")
    visitor.click("Sign in again")
    visitor.click("Sign in with DingTalk")
    visitor.click("Agree")
    visitor.is_at("/profile")


@pytest.mark.parametrize(
    "size", [pytest.param(PHONE, id="390"), pytest.param(SMALL_PHONE, id="320")]
)
def test_no_page_is_wider_than_a_phone(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """No page needs sideways scrolling."""
    visitor = visitor_with(size)

    def fits() -> bool:
        width: int = visitor.page.evaluate("document.documentElement.scrollWidth")
        return width <= size[0]

    visitor.open("/")
    assert fits()
    visitor.open("/profile")
    visitor.click("Sign in with DingTalk")
    assert fits()
    visitor.page.go_back()
    assert fits()
    visitor.sign_in()
    visitor.page.get_by_text("What DingTalk sent").click()
    visitor.click("Fetch")
    expect(visitor.page.get_by_role("status").last).to_contain_text('"nick"')
    assert fits()
    visitor.open("/record")
    visitor.page.get_by_text("The record as DingTalk sent it").click()
    assert fits()
    visitor.click("Leave the company")
    visitor.sees("You have left 示例科技.")
    assert fits()
    visitor.page.context.clear_cookies()
    visitor.open("/approvals")
    visitor.sign_in("李四")
    visitor.sees("You do not have access")
    assert fits()
