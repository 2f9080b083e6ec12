"""Every way in, in a real browser, Chromium: scanning, the keyboard, the DingTalk client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask, Response, make_response, render_template_string, request
from playwright.sync_api import FrameLocator, Locator, Page, Route, expect

from flask_dingtalk.testing import DingTalkSimulator

from .chromium import DESKTOP, PHONE, SIZES, SMALL_PHONE, OpenWindow
from .helpers import IN_CLIENT, SECRET_KEY, build_site, endpoints
from .server import serving

#: What the page's own script writes into the console where the code is of no use.
TOLD = "DingTalk's QR code:"
BLOCKED = "net::ERR_FAILED"

PAGE = """<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Site</title>
<main>{{ dingtalk_qr(next, nonce=nonce) }}{{ dingtalk_button(next, nonce=nonce) if both }}</main>
"""


@dataclass
class Site:
    """A site whose address is known before it is built."""

    simulator: DingTalkSimulator
    #: Where it is.
    address: str = ""
    app: Flask | None = None

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        assert self.app is not None, "build it first"
        return self.app(environ, start_response)

    def build(self, **settings: Any) -> None:
        """Build it, with a page that holds a code; settings by name."""
        config = {"SECRET_KEY": SECRET_KEY, **self.simulator.settings, **settings}
        app = self.app = build_site(config)

        @app.get("/scan")
        def scan() -> Response:
            nonce = request.args.get("nonce")
            markup = render_template_string(
                PAGE, next=request.args.get("next"), nonce=nonce, both=nonce is not None
            )
            response = make_response(markup)
            if nonce is not None:
                response.headers["Content-Security-Policy"] = (
                    f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
                    f" connect-src 'self'; frame-src {self.simulator.url}"
                )
            return response


class Visitor:
    """Somebody with a browser window."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        #: How often the callback was loaded.
        self.callbacks = 0
        page.on("request", self._count)

    def _count(self, asked: Any) -> None:
        self.callbacks += urlsplit(asked.url).path == "/dingtalk/callback"

    def open(self, path: str = "/dingtalk/login?next=/report", host: str = "127.0.0.1") -> None:
        """Type in an address of the site."""
        self.page.goto(self.site.address.replace("127.0.0.1", host) + path)

    @property
    def frame(self) -> FrameLocator:
        """What stands in DingTalk's frame."""
        return self.page.frame_locator("iframe")

    @property
    def button(self) -> Locator:
        """The link that leads to DingTalk's pages."""
        return self.page.locator("a.dingtalk-button:visible")

    @property
    def renew(self) -> Locator:
        """What shows a new code."""
        return self.page.locator("button.dingtalk-qr-renew")

    def scan(self, person: str = "zhang") -> None:
        """Hold somebody's phone before the code."""
        self.frame.locator(f"button[value={person}]").click()

    def decide(self, decision: Literal["agree", "decline"] = "agree") -> None:
        """Answer the question on the phone."""
        self.frame.locator(f"button[value={decision}]").click()

    def let_the_style_wait(self) -> None:
        """Let the five seconds pass after which a style sheet shows what no script hid."""
        waited = self.page.evaluate(
            "document.getAnimations().filter((each) => each.animationName === 'dingtalk-wait')"
            ".map((each) => { each.finish(); return each.effect.getTiming().duration; })"
        )
        assert waited == [5000]

    def go_through_dingtalks_pages(self) -> None:
        """Answer what the simulator asks there."""
        self.page.locator("button[value=zhang]").click()
        self.page.locator("button[value=agree]").click()

    def is_at(self, path: str) -> None:
        """Wait for a page of the site."""
        expect(self.page).to_have_url(self.site.address + path)

    def is_at_dingtalk(self) -> None:
        """Wait for a page of the simulator."""
        expect(self.page).to_have_url(re.compile(f"^{re.escape(self.site.simulator.url)}/oauth2/"))

    def is_signed_in(self, nick: str = "张三", path: str = "/report") -> None:
        """Wait for the guarded page that the sign-in led to."""
        self.is_at(path)
        expect(self.page.locator("body")).to_have_text(f"Report for {nick}")


@pytest.fixture
def site(simulator: DingTalkSimulator) -> Iterator[Site]:
    """Serve a site, with a sign-in page unless the test builds it otherwise."""
    site = Site(simulator)
    with serving(site) as site.address:
        site.build(DINGTALK_LOGIN_PAGE=True)
        yield site


@pytest.fixture
def visitor_with(site: Site, open_window: OpenWindow) -> Callable[..., Visitor]:
    """Open windows on the site."""
    return lambda *args, **kwargs: Visitor(open_window(*args, **kwargs), site)


@pytest.fixture
def visitor(visitor_with: Callable[..., Visitor]) -> Visitor:
    """Open a window of a desktop browser, in English."""
    return visitor_with()


# --- Scanning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*SIZES, pytest.param(SMALL_PHONE, id="small phone")])
def test_scanning_leads_to_next(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """After scanning and agreeing on the phone, the browser is signed in and at ``next``."""
    visitor = visitor_with(size)
    visitor.open("/scan?next=/report")
    expect(visitor.page.locator("iframe")).to_have_count(1)
    width = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert width <= size[0]
    assert visitor.page.evaluate("document.querySelector('iframe').clientWidth") >= 280
    visitor.scan("li")
    visitor.decide()
    visitor.is_signed_in("李四")


def test_a_script_that_calls_back_twice_signs_in_once(site: Site, visitor: Visitor) -> None:
    """The callback is loaded once, and the code sent once."""
    site.simulator.application.qr_fires_twice = True
    visitor.open()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()
    assert visitor.callbacks == 1
    calls = endpoints(site.simulator)
    assert calls == ["userAccessToken", "users/me"]


@pytest.mark.parametrize(
    ("language", "message", "renew"),
    [
        pytest.param("en-US", "Nobody was signed in", "Show a new code", id="English"),
        pytest.param("zh-CN", "扫码登录未成功", "刷新二维码", id="Chinese"),
    ],
)
def test_declining_is_told_in_place_and_a_new_code_works(
    visitor_with: Callable[..., Visitor], language: str, message: str, renew: str
) -> None:
    """After declining, people can try again without leaving the page."""
    visitor = visitor_with(DESKTOP, language, expected=TOLD)
    visitor.open()
    visitor.scan()
    visitor.decide("decline")
    expect(visitor.page.get_by_text(message)).to_be_visible()
    expect(visitor.page.locator("iframe")).to_have_count(0)
    visitor.page.get_by_role("button", name=renew).click()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()


def test_a_page_left_open_renews_its_code_and_scanning_still_works(visitor: Visitor) -> None:
    """It renews the code before its state expires."""
    visitor.page.clock.install()
    visitor.open()
    frame = visitor.page.locator("iframe")
    first = str(frame.get_attribute("src"))
    now = datetime.now(UTC)
    with time_machine.travel(now + timedelta(seconds=541)):
        with visitor.page.expect_response("**/dingtalk/state") as renewal:
            visitor.page.clock.fast_forward(541_000)
        assert renewal.value.ok
        expect(frame).not_to_have_attribute("src", first)
    with time_machine.travel(now + timedelta(seconds=650)):
        visitor.scan()
        visitor.decide()
        visitor.is_signed_in()


def test_a_page_that_was_cut_off_renews_its_code_when_it_can(
    visitor_with: Callable[..., Visitor],
) -> None:
    """The network may be away for a moment; a code that is still good stays."""
    visitor = visitor_with(expected="net::ERR_INTERNET_DISCONNECTED")
    visitor.page.clock.install()
    visitor.open()
    frame = visitor.page.locator("iframe")
    first = str(frame.get_attribute("src"))
    visitor.page.context.set_offline(True)
    with visitor.page.expect_event("requestfailed"):
        visitor.page.clock.fast_forward(541_000)
    expect(frame).to_have_attribute("src", first)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=541)):
        visitor.page.context.set_offline(False)
        expect(frame).not_to_have_attribute("src", first)
        visitor.scan()
        visitor.decide()
        visitor.is_signed_in()


def test_a_page_that_the_site_knows_nothing_of_any_more_is_loaded_again(
    site: Site, visitor_with: Callable[..., Visitor]
) -> None:
    """As after a change of the secret key."""
    visitor = visitor_with(expected=TOLD)
    visitor.page.clock.install()
    visitor.open()
    expect(visitor.page.locator("iframe")).to_have_count(1)
    site.build(DINGTALK_LOGIN_PAGE=True, SECRET_KEY="another key of the site under test")
    visitor.page.clock.fast_forward(541_000)
    expect(visitor.page.get_by_text("Nobody was signed in")).to_be_visible()
    with visitor.page.expect_event("load"):
        visitor.renew.click()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()


def test_looking_at_the_page_again_does_not_disturb_who_is_about_to_agree(
    site: Site, visitor: Visitor
) -> None:
    """The page has a new state, but still shows the code that was scanned."""
    site.build(DINGTALK_LOGIN_PAGE=True, DINGTALK_STATE_LIFETIME=100)
    visitor.page.clock.install()
    visitor.open()
    visitor.scan()
    now = datetime.now(UTC)
    with time_machine.travel(now + timedelta(seconds=60)):
        visitor.page.clock.fast_forward(60_000)
        with visitor.page.expect_response("**/dingtalk/state") as renewal:
            visitor.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert renewal.value.ok
        visitor.decide()
        visitor.is_signed_in()


#: DingTalk's script has been seen to believe messages of any window whose address begins in the
#: right way, and to hand on all of them.
CREDULOUS = """window.DTFrameLogin = (frame, login, success, error) => {
  window.addEventListener("message", ({data}) => (data.success ? success : error)(data));
  document.getElementById(frame.id).textContent = `code ${login.state}`;
};"""


def test_a_code_that_another_window_sends_signs_nobody_in(site: Site, visitor: Visitor) -> None:
    """It could be an attacker's account; the page's own code still works."""
    visitor.page.route("**/ddlogin.js", lambda route: route.fulfill(body=CREDULOUS))
    visitor.open()
    place = visitor.page.locator(".dingtalk-qr-frame")
    expect(place).to_contain_text("code ")
    state = str(place.text_content()).removeprefix("code ")

    def send(user: str, **more: str) -> None:
        code = site.simulator.authorization_code(user)
        query = "&".join(f"{name}={value}" for name, value in more.items())
        url = f"https://site.example/?authCode={code}&{query}"
        message = {"success": True, "redirectUrl": url, "authCode": code}
        visitor.page.evaluate("message => window.postMessage(message, '*')", message)

    send("li")
    send("li", state="made-up")
    visitor.page.evaluate("window.postMessage({success: false}, '*')")
    visitor.page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert visitor.callbacks == 0
    expect(place).to_contain_text("code ")
    send("zhang", state=state)
    visitor.is_signed_in()


def test_a_script_of_dingtalks_that_breaks_leaves_the_button(
    visitor_with: Callable[..., Visitor],
) -> None:
    """A version of it, say, that this page does not know."""
    visitor = visitor_with(expected=TOLD)
    script = "window.DTFrameLogin = () => { throw new Error('another version'); };"
    visitor.page.route("**/ddlogin.js", lambda route: route.fulfill(body=script))
    visitor.open()
    expect(visitor.page.get_by_text("The QR code cannot be shown here")).to_be_visible()
    expect(visitor.button).to_have_count(1)


def test_everything_that_wants_another_state_at_once_asks_once(visitor: Visitor) -> None:
    """When a computer wakes up, several events ask for a new state at once."""
    visitor.page.clock.install()
    visitor.open()
    frame = visitor.page.locator("iframe")
    first = str(frame.get_attribute("src"))
    renewals: list[str] = []
    visitor.page.on("request", lambda asked: renewals.append(asked.url.rpartition("/")[2]))
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=541)):
        visitor.page.clock.fast_forward(541_000)
        visitor.page.evaluate(
            "for (const name of ['online', 'online']) { window.dispatchEvent(new Event(name)); }"
            "document.dispatchEvent(new Event('visibilitychange'));"
        )
        expect(frame).not_to_have_attribute("src", first)
        visitor.scan()
        visitor.decide()
        visitor.is_signed_in()
    assert renewals.count("state") <= 2


def test_a_site_that_is_busy_for_a_moment_costs_nobody_a_good_code(
    visitor_with: Callable[..., Visitor],
) -> None:
    """Another try may fare better."""
    visitor = visitor_with(expected="status of 429")
    visitor.page.clock.install()
    visitor.page.route("**/dingtalk/state", lambda route: route.fulfill(status=429))
    visitor.open()
    expect(visitor.page.locator("iframe")).to_have_count(1)
    with visitor.page.expect_response("**/dingtalk/state"):
        visitor.page.clock.fast_forward(541_000)
    # DingTalk's frame has let the picture expire meanwhile; what it stands for is still good.
    visitor.frame.get_by_role("link", name="Show a new one").click()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("操作失败，你不在组织内", id="text"),
        pytest.param({"errorCode": 11055, "errorMsg": "操作失败，你不在组织内"}, id="object"),
    ],
)
def test_whoever_is_not_in_the_organisation_is_told_so(
    visitor_with: Callable[..., Visitor], said: Any
) -> None:
    """In each of the two ways in which DingTalk's script has been seen to put it."""
    visitor = visitor_with(expected=TOLD)
    script = "window.DTFrameLogin = (frame, login, success, error) => error({});"
    body = script.format(json.dumps(said)).replace("{{", "{")
    visitor.page.route("**/ddlogin.js", lambda route: route.fulfill(body=body))
    visitor.open()
    expect(visitor.page.get_by_text("You are not in the organisation")).to_be_visible()
    expect(visitor.button).to_have_count(1)


def test_a_page_out_of_sight_renews_its_code_when_it_is_looked_at(visitor: Visitor) -> None:
    """Other pages of the browser may have taken its place among the sign-ins under way."""
    visitor.page.clock.install()
    visitor.open()
    frame = visitor.page.locator("iframe")
    first = str(frame.get_attribute("src"))
    renewals: list[str] = []
    visitor.page.on("request", lambda asked: renewals.append(asked.url.rpartition("/")[2]))
    look = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    visitor.page.evaluate(look, True)
    visitor.page.clock.fast_forward(599_000)
    for _ in range(5):
        visitor.page.request.get(
            f"{visitor.site.address}/dingtalk/login?via=redirect", headers={"Accept": "text/html"}
        )
    assert "state" not in renewals
    visitor.page.evaluate(look, False)
    expect(frame).not_to_have_attribute("src", first)
    visitor.scan()
    visitor.decide()
    # Where it was to lead went with the old state.
    visitor.is_at("/")
    expect(visitor.page.locator("body")).to_have_text("张三")


def test_a_code_that_dingtalk_let_expire_is_renewed_by_dingtalk(
    site: Site, visitor: Visitor
) -> None:
    """In its own frame; the page need not know."""
    visitor.open()
    expect(visitor.frame.locator("button").first).to_be_visible()
    site.simulator.advance(180)
    visitor.scan()
    visitor.frame.get_by_role("link", name="Show a new one").click()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()


def test_two_pages_with_codes_work_in_one_browser(visitor: Visitor) -> None:
    """Each leads where it was asked to."""
    second = Visitor(visitor.page.context.new_page(), visitor.site)
    visitor.open("/dingtalk/login?next=/report?n=1")
    second.open("/scan?next=/report?n=2")
    second.scan()
    second.decide()
    second.is_signed_in(path="/report?n=2")
    visitor.page.bring_to_front()
    visitor.scan("li")
    visitor.decide()
    visitor.is_signed_in("李四", path="/report?n=1")


def test_a_visitor_who_comes_back_to_the_page_gets_a_code_that_works(visitor: Visitor) -> None:
    """After a sign-in, with the way back of the browser."""
    visitor.open()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()
    visitor.page.go_back()
    visitor.scan("li")
    visitor.decide()
    visitor.is_signed_in("李四")


def test_a_strict_policy_with_nonces_lets_code_and_button_work(visitor: Visitor) -> None:
    """No inline script or style, and nothing from anywhere that the policy does not name."""
    visitor.open("/scan?next=/report&nonce=bm9uY2U")
    expect(visitor.button).to_have_css("border-radius", "9.6px")
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()


# --- The sign-in page, around the code ----------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        pytest.param(DESKTOP, True, id="desktop"),
        pytest.param(PHONE, False, id="phone"),
        pytest.param((844, 390), False, id="phone on its side"),
    ],
)
def test_the_sign_in_page_has_the_code_where_it_can_be_scanned(
    visitor_with: Callable[..., Visitor], size: tuple[int, int], shown: bool
) -> None:
    """People cannot scan the phone that they hold; the button is everywhere."""
    visitor = visitor_with(size, touch=not shown)
    visitor.open()
    expect(visitor.button).to_have_count(1)
    expect(visitor.page.locator("iframe")).to_be_visible(visible=shown)
    expect(visitor.page.get_by_text("or", exact=True)).to_be_visible(visible=shown)


def test_a_page_at_200_percent_keeps_the_code(visitor_with: Callable[..., Visitor]) -> None:
    """The window of a desktop is as narrow then, in pixels of the page, as that of a tablet."""
    visitor = visitor_with((640, 400))
    visitor.open()
    expect(visitor.page.locator("iframe")).to_be_visible()


@pytest.mark.parametrize(
    ("language", "word"),
    [
        pytest.param("en-US", "Loading the QR code…", id="English"),
        pytest.param("zh-CN", "正在加载二维码…", id="Chinese"),
    ],
)
def test_a_word_stands_there_until_the_code_does(
    visitor_with: Callable[..., Visitor], language: str, word: str
) -> None:
    """While DingTalk's script loads, and then its frame."""
    visitor = visitor_with(language=language)
    held: list[Route] = []

    def let_go(number: int) -> None:
        while len(held) <= number:
            # Playwright hands over what it holds meanwhile.
            visitor.page.wait_for_timeout(10)
        held[number].continue_()

    for address in ("**/ddlogin.js", "**/oauth2/qr?*"):
        visitor.page.route(address, lambda route: held.append(route))
    visitor.page.goto(f"{visitor.site.address}/dingtalk/login", wait_until="commit")
    loading = visitor.page.get_by_text(word)
    expect(loading).to_be_visible()
    with visitor.page.expect_request("**/oauth2/qr?*"):
        let_go(0)
    expect(loading).to_be_visible()
    let_go(1)
    expect(loading).to_be_hidden()
    expect(visitor.frame.locator("button").first).to_be_visible()


def test_after_a_decline_the_focus_is_on_what_shows_a_new_code(
    visitor_with: Callable[..., Visitor],
) -> None:
    """It was in the frame, which is gone."""
    visitor = visitor_with(expected=TOLD)
    visitor.open()
    visitor.scan()
    visitor.decide("decline")
    expect(visitor.renew).to_be_focused()


# --- Where no code can be shown ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "message"),
    [
        pytest.param("en-US", "The QR code cannot be shown here", id="English"),
        pytest.param("zh-CN", "无法显示二维码", id="Chinese"),
    ],
)
def test_without_dingtalks_script_a_message_and_the_button_stand_there(
    visitor_with: Callable[..., Visitor], language: str, message: str
) -> None:
    """A company's network may block it; the button works."""
    visitor = visitor_with(DESKTOP, language, expected=f"{TOLD}|{BLOCKED}")
    visitor.page.route("**/ddlogin.js", lambda route: route.abort())
    visitor.open("/scan?next=/report")
    expect(visitor.page.get_by_text(message)).to_be_visible()
    expect(visitor.renew).to_be_hidden()
    visitor.button.click()
    visitor.go_through_dingtalks_pages()
    visitor.is_signed_in()


def test_a_script_that_never_comes_is_given_up(visitor_with: Callable[..., Visitor]) -> None:
    """After ten seconds at most, without an error to hear of."""
    visitor = visitor_with(expected=TOLD)
    visitor.page.clock.install()
    visitor.page.route("**/ddlogin.js", lambda route: None)
    visitor.page.goto(f"{visitor.site.address}/scan", wait_until="commit")
    expect(visitor.page.locator("[data-state=waiting]")).to_have_count(1)
    visitor.page.clock.fast_forward(10_000)
    expect(visitor.page.get_by_text("The QR code cannot be shown here")).to_be_visible()


def test_another_script_in_the_place_of_dingtalks_is_no_code(
    visitor_with: Callable[..., Visitor],
) -> None:
    """As a captive portal would send."""
    visitor = visitor_with(expected=TOLD)
    visitor.page.route(
        "**/ddlogin.js", lambda route: route.fulfill(body="", content_type="text/javascript")
    )
    visitor.open("/scan")
    expect(visitor.page.get_by_text("The QR code cannot be shown here")).to_be_visible()


def test_without_any_script_message_and_button_come_by_themselves(
    visitor_with: Callable[..., Visitor],
) -> None:
    """After five seconds, by style alone."""
    visitor = visitor_with(expected=BLOCKED)
    visitor.page.route("**/*.js", lambda route: route.abort())
    visitor.open("/scan?next=/report")
    message = visitor.page.get_by_text("The QR code cannot be shown here")
    expect(message).to_be_hidden()
    visitor.let_the_style_wait()
    expect(message).to_be_visible()
    visitor.button.click()
    visitor.go_through_dingtalks_pages()
    visitor.is_signed_in()


def test_at_another_origin_than_the_callbacks_a_message_stands_in_place_of_the_code(
    site: Site, visitor_with: Callable[..., Visitor]
) -> None:
    """Scanning would have no effect there; the console names the right one."""
    site.build(DINGTALK_REDIRECT_URI=f"{site.address}/dingtalk/callback")
    visitor = visitor_with(expected=f"{TOLD} it works on {re.escape(site.address)} alone")
    visitor.open("/scan", host="localhost")
    expect(visitor.page.get_by_text("The QR code cannot be shown here")).to_be_visible()
    expect(visitor.page.locator("iframe")).to_have_count(0)


def test_a_wrong_client_id_is_told(site: Site, visitor_with: Callable[..., Visitor]) -> None:
    """DingTalk's text for it is in the console, for the developer."""
    site.build(DINGTALK_CLIENT_ID="dingmistyped")
    visitor = visitor_with(expected=TOLD)
    with visitor.page.expect_console_message(lambda message: TOLD in message.text) as told:
        visitor.open("/scan")
    assert told.value.args[1].json_value() == "应用不存在"
    expect(visitor.page.get_by_text("Nobody was signed in")).to_be_visible()
    expect(visitor.renew).to_be_visible()


@pytest.mark.parametrize(
    ("language", "message"),
    [
        pytest.param("en-US", "You are not in the organisation", id="English"),
        pytest.param("zh-CN", "您不在可使用本站的组织内", id="Chinese"),
    ],
)
def test_who_is_not_in_the_organisation_is_told_so(
    site: Site, visitor_with: Callable[..., Visitor], language: str, message: str
) -> None:
    """And somebody who is may scan a new code."""
    site.simulator.application.admits_outsiders = False
    visitor = visitor_with(PHONE, language, expected=TOLD)
    visitor.open("/scan?next=/report")
    visitor.scan("wang")
    expect(visitor.page.get_by_text(message)).to_be_visible()
    visitor.renew.click()
    visitor.scan()
    visitor.decide()
    visitor.is_signed_in()


# --- By keyboard ---------------------------------------------------------------------------------


def tab_to(visitor: Visitor, target: Locator) -> None:
    """Move on with the Tab key until something has the focus, and shows it."""
    expect(target).to_be_visible()
    for _ in range(20):
        visitor.page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            style, width = target.evaluate(
                "element => [getComputedStyle(element).outlineStyle,"
                " getComputedStyle(element).outlineWidth]"
            )
            assert (style, width) == ("solid", "3px")
            return
    pytest.fail("the Tab key does not lead there")


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_the_keyboard_alone_leads_in(
    visitor_with: Callable[..., Visitor], colors: Literal["light", "dark"]
) -> None:
    """The Tab key reaches the button, and the focus is visible."""
    visitor = visitor_with(colors=colors)
    visitor.open()
    expect(visitor.frame.locator("button").first).to_be_visible()
    tab_to(visitor, visitor.button)
    visitor.page.keyboard.press("Enter")
    visitor.go_through_dingtalks_pages()
    visitor.is_signed_in()


def test_the_keyboard_alone_shows_a_new_code(visitor_with: Callable[..., Visitor]) -> None:
    """After a failure."""
    visitor = visitor_with(expected=TOLD)
    visitor.open()
    visitor.scan()
    visitor.decide("decline")
    tab_to(visitor, visitor.renew)
    visitor.page.keyboard.press("Enter")
    expect(visitor.frame.locator("button").first).to_be_visible()


# --- Inside the DingTalk client ------------------------------------------------------------------


@pytest.fixture
def in_app(site: Site) -> Site:
    """Build a site that signs people in inside the client."""
    site.build(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID=site.simulator.application.corp_id)
    return site


@pytest.fixture
def phone(in_app: Site, open_window: OpenWindow) -> Visitor:
    """Open the site inside the client, on a phone."""
    return Visitor(open_window(PHONE, "zh-CN", user_agent=IN_CLIENT), in_app)


def test_inside_the_client_nobody_has_to_tap(in_app: Site, phone: Visitor) -> None:
    """A guarded page comes up by itself."""
    in_app.simulator.in_app_user = "li"
    phone.open("/report?month=5")
    phone.is_signed_in("李四", path="/report?month=5")
    calls = endpoints(in_app.simulator)
    assert calls == ["token", "accessToken", "getuserinfo"]


def test_the_way_back_does_not_sign_in_again_and_again(in_app: Site, phone: Visitor) -> None:
    """The page that asked for the code is not in it: it would send the visitor forward again."""
    phone.open("/")
    phone.open("/report")
    phone.is_signed_in()
    in_app.simulator.calls.clear()
    phone.page.go_back()
    phone.is_signed_in()
    # Straight from the browser's memory, without loading it.
    phone.page.go_back(wait_until="commit")
    phone.is_at("/")
    assert in_app.simulator.calls == []


def test_a_sign_in_may_end_on_another_site(in_app: Site, phone: Visitor) -> None:
    """Where nothing was asked for, and DINGTALK_LOGIN_REDIRECT says so."""
    elsewhere = in_app.address.replace("127.0.0.1", "localhost") + "/"
    own = in_app.simulator.application.corp_id
    in_app.build(
        DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID=own, DINGTALK_LOGIN_REDIRECT=elsewhere
    )
    phone.open("/dingtalk/login")
    expect(phone.page).to_have_url(elsewhere)


def test_a_client_that_stays_silent_is_given_up_after_three_seconds(
    in_app: Site, phone: Visitor
) -> None:
    """The sign-in goes on with DingTalk's pages."""
    in_app.simulator.fail("requestAuthCode", timeout=True)
    phone.page.clock.install(time=0)
    phone.page.clock.pause_at(1000)
    with phone.page.expect_request("**/in-app/code"):
        phone.open()
    phone.page.clock.fast_forward(2000)
    phone.is_at("/dingtalk/login?next=/report")
    phone.page.clock.fast_forward(1000)
    phone.is_at_dingtalk()
    phone.page.clock.resume()
    phone.go_through_dingtalks_pages()
    phone.is_signed_in()


def test_a_client_that_refuses_is_followed_by_dingtalks_pages(
    in_app: Site, phone: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """And the site's log says why it did: nobody can look into the console of a phone."""
    in_app.simulator.in_app_user = "wang"
    phone.open()
    phone.go_through_dingtalks_pages()
    phone.is_signed_in()
    assert "1002,corpId不合法" in caplog.text


def test_without_the_clients_script_dingtalks_pages_follow(
    in_app: Site, open_window: OpenWindow
) -> None:
    """At once: that it cannot be loaded is known."""
    page = open_window(PHONE, user_agent=IN_CLIENT, expected=BLOCKED)
    phone = Visitor(page, in_app)
    page.route("**/dingtalk.open.js", lambda route: route.abort())
    phone.open()
    phone.go_through_dingtalks_pages()
    phone.is_signed_in()


def test_without_any_script_the_clients_page_has_a_button(
    in_app: Site, open_window: OpenWindow
) -> None:
    """After five seconds; it leads to DingTalk's pages and not round in circles."""
    page = open_window(PHONE, user_agent=IN_CLIENT, expected=BLOCKED)
    phone = Visitor(page, in_app)
    page.route("**/*.js", lambda route: route.abort())
    phone.open()
    expect(phone.button).to_have_count(0)
    phone.let_the_style_wait()
    phone.button.click()
    phone.go_through_dingtalks_pages()
    phone.is_signed_in()


def test_a_browser_that_only_claims_to_be_the_client_goes_to_dingtalks_pages(
    in_app: Site, open_window: OpenWindow
) -> None:
    """Anybody can send such a header."""
    page = open_window(headers={"User-Agent": IN_CLIENT})
    visitor = Visitor(page, in_app)
    visitor.open()
    visitor.go_through_dingtalks_pages()
    visitor.is_signed_in()


def test_who_is_no_member_is_refused_inside_the_client_and_may_be_somebody_else(
    site: Site, open_window: OpenWindow
) -> None:
    """The page says so; its link leads through DingTalk's pages, not to the same answer again."""
    own = site.simulator.application.corp_id
    site.build(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID=own, DINGTALK_MEMBERS_ONLY=True)
    site.simulator.fail("getbyunionid", code=60121)
    phone = Visitor(open_window(PHONE, "zh-CN", user_agent=IN_CLIENT), site)
    phone.open()
    expect(phone.page.locator("small")).to_have_text("organisation_not_allowed")
    assert phone.page.request.get(f"{site.address}/").text() == "nobody"
    phone.page.get_by_role("link", name="更换账号登录").click()
    phone.is_at_dingtalk()
    phone.go_through_dingtalks_pages()
    phone.is_signed_in()
