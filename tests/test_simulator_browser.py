"""The simulator's QR code and its ``dd``, in a site's own page, in a real browser, Chromium."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect
from werkzeug.wrappers import Request, Response

from flask_dingtalk.testing import DingTalkSimulator

from .chromium import DESKTOP, PHONE, SIZES, OpenWindow
from .helpers import IN_CLIENT
from .server import serving

#: Calls what the test asks for and writes down how it ends, without anything that a strict
#: Content-Security-Policy forbids.
PAGE = """<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Site</title><link rel="icon" href="data:,">
<div id="container"></div><ol id="log"></ol>
<script nonce="n" src="{script}"></script>
<script nonce="n">
"use strict";
const note = (name) => (value) => {{
  const line = document.createElement("li");
  line.textContent = JSON.stringify([name, value instanceof Error ? value.message : value]);
  document.getElementById("log").append(line);
}};
{call}
</script>
"""
QR = """const show = (frame) =>
  window.DTFrameLogin(frame, {login}, note("success"), note("error"));
show({frame});"""
IN_APP = """const options = {options};
for (const name of ["onSuccess", "onFail", "success", "fail", "complete"]) {{
  options[name] = note(name);
}}
dd.requestAuthCode(options).then(note("then"), note("catch"));"""


@dataclass
class Site:
    """A site of one page, on another port than the simulator."""

    simulator: DingTalkSimulator
    #: Where the page is.
    address: str = ""
    page: str = ""
    #: Changes of what the page hands to DTFrameLogin; ``None`` leaves a parameter out.
    login: dict[str, str | None] = field(default_factory=dict)
    frame: dict[str, Any] = field(default_factory=lambda: {"id": "container"})

    def __call__(self, request: Request) -> Response:
        """Answer with the page, under a policy that names what it needs and nothing else."""
        response = Response(self.page, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'nonce-n'; img-src data:; base-uri 'none';"
            f" frame-src {self.simulator.url}; connect-src {self.simulator.url}"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def show_qr(self) -> None:
        """Put the QR code into the page."""
        login = {
            "redirect_uri": quote(f"{self.address}/callback", safe=""),
            "client_id": self.simulator.application.client_id,
            "response_type": "code",
            "scope": "openid",
            "prompt": "consent",
            "state": "s +/&ä",
            **self.login,
        }
        sent = {name: value for name, value in login.items() if value is not None}
        call = QR.format(login=json.dumps(sent), frame=json.dumps(self.frame))
        self.page = PAGE.format(script=self.simulator.settings["DINGTALK_QR_SCRIPT_URL"], call=call)

    def ask_for_a_code(self, **options: str) -> None:
        """Let the page call dd.requestAuthCode."""
        application = self.simulator.application
        asked = {"corpId": application.corp_id, "clientId": application.client_id, **options}
        call = IN_APP.format(options=json.dumps(asked))
        self.page = PAGE.format(script=self.simulator.settings["DINGTALK_JSAPI_URL"], call=call)


class Visitor:
    """Somebody who looks at the page."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site

    def open(self, host: str = "127.0.0.1") -> None:
        """Load the page."""
        self.page.goto(self.site.address.replace("127.0.0.1", host))

    @property
    def frame(self) -> FrameLocator:
        """What stands in the frame."""
        return self.page.frame_locator("iframe")

    def scan(self, name: str = "张三") -> None:
        """Hold somebody's phone before the code."""
        self.button(f"Scan with the phone of {name}").click()

    def button(self, name: str) -> Locator:
        """Find a button in the frame."""
        return self.frame.get_by_role("button", name=name)

    def told(self, count: int = 1) -> list[tuple[str, Any]]:
        """Wait until the page has been called back so often, and return how."""
        lines = self.page.locator("#log li")
        expect(lines).to_have_count(count)
        return [tuple(json.loads(text)) for text in lines.all_text_contents()]


@pytest.fixture
def site(simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """Serve the page."""
    # This client sends tokens in addresses, as DingTalk documents it, and urllib3 logs addresses.
    caplog.set_level(logging.WARNING, "urllib3")
    site = Site(simulator)
    with serving(Request.application(site)) as site.address:
        yield site


@pytest.fixture
def visitor_with(site: Site, open_window: OpenWindow) -> Callable[..., Visitor]:
    """Open windows on the page."""

    def visit(
        size: tuple[int, int] = DESKTOP, language: str = "en-US", user_agent: str | None = None
    ) -> Visitor:
        return Visitor(open_window(size, language, user_agent=user_agent), site)

    return visit


@pytest.fixture
def visitor(visitor_with: Callable[..., Visitor]) -> Visitor:
    """Open a window of a desktop browser, in English."""
    return visitor_with()


def nick_of(simulator: DingTalkSimulator, code: str) -> str:
    """Exchange a browser's code and return whose it was."""
    application = simulator.application
    body = {
        "clientId": application.client_id,
        "clientSecret": application.client_secret,
        "code": code,
        "grantType": "authorization_code",
    }
    url = f"{simulator.url}/v1.0/oauth2/userAccessToken"
    token = requests.post(url, json=body, timeout=10).json()["accessToken"]
    headers = {"x-acs-dingtalk-access-token": token}
    me = requests.get(f"{simulator.url}/v1.0/contact/users/me", headers=headers, timeout=10)
    return str(me.json()["nick"])


# --- The QR code ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_scan_ends_in_the_success_function(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """It gets the callback's address, the code and the state, once."""
    visitor = visitor_with(size)
    visitor.site.show_qr()
    visitor.open()
    visitor.scan("李四")
    visitor.button("Agree").click()
    ((name, result),) = visitor.told()
    assert name == "success"
    assert set(result) == {"redirectUrl", "authCode", "state"}
    assert result["state"] == "s +/&ä"
    address, _, query = result["redirectUrl"].partition("?")
    assert address == f"{visitor.site.address}/callback"
    code = result["authCode"]
    assert parse_qs(query) == {"code": [code], "authCode": [code], "state": ["s +/&ä"]}
    assert nick_of(visitor.site.simulator, code) == "李四"
    expect(visitor.frame.get_by_role("heading")).to_have_text("Confirmed on the phone")


def test_scan_works_from_a_page_of_another_site_than_the_frame(visitor: Visitor) -> None:
    """With localhost around and 127.0.0.1 inside, no cookie of the frame would be sent."""
    port = urlsplit(visitor.site.address).port
    callback = quote(f"http://localhost:{port}/callback", safe="")
    visitor.site.login = {"redirect_uri": callback, "state": None}
    visitor.site.show_qr()
    visitor.open("localhost")
    visitor.scan()
    visitor.button("Agree").click()
    ((name, result),) = visitor.told()
    assert (name, set(result)) == ("success", {"redirectUrl", "authCode"})


def test_scan_for_an_organisation(visitor: Visitor) -> None:
    """The phone shows the one that the page names; its plus in the scope is a space."""
    other = list(visitor.site.simulator.organisations)[1]
    visitor.site.login = {"scope": "openid+corpid", "org_type": "management", "corpId": other}
    visitor.site.simulator.users["wang"].memberships[other].admin = True
    visitor.site.show_qr()
    visitor.open()
    visitor.scan("王五")
    expect(visitor.frame.get_by_text("On behalf of 样板贸易")).to_be_visible()
    visitor.button("Agree").click()
    assert visitor.told()[0][0] == "success"


def test_success_function_may_be_called_twice(visitor: Visitor) -> None:
    """As DingTalk has been seen to do, with the same code both times."""
    visitor.site.simulator.application.qr_fires_twice = True
    visitor.site.show_qr()
    visitor.open()
    visitor.scan()
    visitor.button("Agree").click()
    first, second = visitor.told(2)
    assert first == second
    assert first[0] == "success"


def test_declining_ends_in_the_error_function(visitor: Visitor) -> None:
    """With a text; the frame leads back to a code that works."""
    visitor.site.show_qr()
    visitor.open()
    visitor.scan()
    visitor.button("Decline").click()
    assert visitor.told() == [("error", "access_denied")]
    visitor.frame.get_by_role("link", name="Back to the code").click()
    visitor.scan()
    visitor.button("Agree").click()
    assert [name for name, _ in visitor.told(2)] == ["error", "success"]


def test_outsider_ends_in_the_error_function(visitor: Visitor) -> None:
    """With an object of DingTalk's code and text."""
    visitor.site.simulator.application.admits_outsiders = False
    visitor.site.show_qr()
    visitor.open()
    visitor.scan("王五")
    error = {"errorCode": 11055, "errorMsg": "操作失败，你不在组织内"}
    assert visitor.told() == [("error", error)]


@pytest.mark.parametrize(
    ("encode", "error"),
    [
        pytest.param(
            lambda url: url,
            "DTFrameLogin wants redirect_uri encoded: pass it through encodeURIComponent, once.",
            id="not",
        ),
        pytest.param(
            lambda url: quote(quote(url, safe=""), safe=""),
            {"errorCode": 50001, "errorMsg": "redirect_uri未授权"},
            id="twice",
        ),
    ],
)
def test_redirect_uri_is_encoded_once(
    visitor: Visitor, encode: Callable[[str], str], error: Any
) -> None:
    """Neither as it is nor twice encoded does it work."""
    visitor.site.login = {"redirect_uri": encode(f"{visitor.site.address}/callback?x=1")}
    visitor.site.show_qr()
    visitor.open()
    assert visitor.told() == [("error", error)]


def test_scan_at_another_origin_has_no_effect(visitor: Visitor) -> None:
    """Nobody is called, neither after an agreement nor after a decline; the frame says why."""
    visitor.site.show_qr()
    visitor.open("localhost")
    hint = visitor.frame.locator("[data-hint=origin]")
    expect(hint).to_contain_text(visitor.site.address.replace("127.0.0.1", "localhost"))
    visitor.scan()
    visitor.button("Agree").click()
    visitor.frame.get_by_role("link", name="Back to the code").click()
    visitor.scan()
    visitor.button("Decline").click()
    expect(visitor.frame.get_by_role("heading")).to_have_text("Declined on the phone")
    assert visitor.told(0) == []


def test_success_is_told_to_nobody_who_claims_another_origin(
    chromium: Browser, visitor: Visitor
) -> None:
    """A page that opens the frame itself, and lies, does not get the code."""
    visitor.site.show_qr()
    visitor.open()
    source = visitor.page.locator("iframe").get_attribute("src")
    context = chromium.new_context(locale="en-US")
    thief = Visitor(context.new_page(), visitor.site)
    visitor.site.page = (
        f'<iframe src="{str(source).replace("&", "&amp;")}"></iframe><ol id="log"></ol>'
        '<script nonce="n">addEventListener("message", (event) => log.append(event.data));</script>'
    )
    thief.open("localhost")
    thief.scan()
    thief.button("Agree").click()
    expect(thief.frame.get_by_role("heading")).to_have_text("Confirmed on the phone")
    thief.page.evaluate("postMessage('a message that does arrive', '*')")
    expect(thief.page.locator("#log")).to_have_text("a message that does arrive")
    context.close()


def test_expired_code_is_renewed_in_the_frame(visitor: Visitor) -> None:
    """Too late is too late, for scanning and for confirming; a new code works."""
    visitor.site.show_qr()
    visitor.open()
    for late in ("scan", "confirm"):
        if late == "confirm":
            visitor.scan()
            expect(visitor.button("Agree")).to_be_visible()
        visitor.site.simulator.advance(180)
        if late == "scan":
            visitor.scan()
        else:
            visitor.button("Agree").click()
        expect(visitor.frame.get_by_text("This code has expired")).to_be_visible()
        visitor.frame.get_by_role("link", name="Show a new one").click()
    visitor.scan()
    visitor.button("Agree").click()
    assert [name for name, _ in visitor.told()] == ["success"]


def test_frame_has_the_size_asked_for(visitor: Visitor) -> None:
    """It has 300 pixels each way unless asked for, and 280 at least."""
    visitor.site.show_qr()
    visitor.open()
    frame = visitor.page.locator("iframe")
    for asked, width, height in (
        ("", "300", "300"),
        (", width: 100, height: 279", "280", "280"),
        (", width: 360, height: '400px'", "360", "300"),
    ):
        visitor.page.evaluate(f"show({{id: 'container'{asked}}})")
        expect(frame).to_have_attribute("width", width)
        expect(frame).to_have_attribute("height", height)
        expect(frame).to_have_css("width", f"{width}px")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_everything_fits_into_the_smallest_frame(
    visitor_with: Callable[..., Visitor], language: str
) -> None:
    """Code and phones are seen without scrolling, at 280 pixels, on a phone."""
    visitor = visitor_with(PHONE, language)
    visitor.site.frame = {"id": "container", "width": 280, "height": 280}
    visitor.site.show_qr()
    visitor.open()
    root = visitor.frame.locator("html")
    scrolled = "root => [root.scrollWidth, root.scrollHeight]"
    assert root.evaluate(scrolled) == [280, 280]
    visitor.frame.get_by_role("button").first.click()
    expect(visitor.frame.locator("[value=agree]")).to_be_visible()
    assert root.evaluate(scrolled) == [280, 280]


def test_second_call_replaces_the_frame(visitor: Visitor) -> None:
    """A page that renews the code is called back once."""
    visitor.site.show_qr()
    visitor.open()
    expect(visitor.button("Scan with the phone of 张三")).to_be_visible()
    visitor.page.evaluate("show({id: 'container'})")
    expect(visitor.page.locator("iframe")).to_have_count(1)
    visitor.scan()
    visitor.button("Agree").click()
    assert [name for name, _ in visitor.told()] == ["success"]


def test_missing_container_ends_in_the_error_function(visitor: Visitor) -> None:
    """With a text that names it."""
    visitor.site.frame = {"id": "nowhere"}
    visitor.site.show_qr()
    visitor.open()
    assert visitor.told() == [("error", 'There is no element with the id "nowhere".')]


# --- Inside the client ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_client_gives_a_code_without_a_tap(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """The function and the promise are told, and the code is that person's."""
    visitor = visitor_with(size, user_agent=IN_CLIENT)
    simulator = visitor.site.simulator
    simulator.in_client_user = "li"
    visitor.site.ask_for_a_code()
    visitor.open()
    (first, result), (second, promised) = visitor.told(2)
    assert (first, second) == ("success", "then")
    assert result == promised == {"code": result["code"]}
    assert result["code"] in simulator.secrets


def test_other_browsers_are_not_in_dingtalk(visitor: Visitor) -> None:
    """The promise alone is broken: DingTalk's library does not get as far as the callbacks."""
    visitor.site.ask_for_a_code()
    visitor.open()
    ((name, error),) = visitor.told()
    assert name == "catch"
    assert error.startswith("[DINGTALK-JSAPI] ERROR 4040: ")


def test_client_refuses_a_wrong_organisation(visitor_with: Callable[..., Visitor]) -> None:
    """The function and the promise are told."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    visitor.site.ask_for_a_code(corpId="dingx")
    visitor.open()
    error = {"errorMessage": "invalid corpid"}
    assert visitor.told(2) == [("fail", error), ("catch", error)]


def test_client_refuses_a_page_of_another_domain(visitor_with: Callable[..., Visitor]) -> None:
    """The error names the domain."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    visitor.site.simulator.application.redirect_urls = ["https://app.example.com/callback"]
    visitor.site.ask_for_a_code()
    visitor.open()
    error = {"errorCode": 3, "errorMessage": "对应企业没有127.0.0.1域名微应用"}
    assert visitor.told(2)[0] == ("fail", error)


def test_client_that_breaks_down_fails(visitor_with: Callable[..., Visitor]) -> None:
    """A bridge that answers nonsense is a failure with a text."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    headers = {"Access-Control-Allow-Origin": "*"}
    visitor.site.simulator.fail("requestAuthCode", body="nonsense", headers=headers)
    visitor.site.ask_for_a_code()
    visitor.open()
    name, error = visitor.told(2)[0]
    assert name == "fail"
    assert set(error) == {"errorMessage"}


def test_client_may_stay_silent(visitor_with: Callable[..., Visitor]) -> None:
    """With a timeout asked for, no function is called, not even when the page is done waiting."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    visitor.site.simulator.fail("requestAuthCode", timeout=True)
    visitor.site.ask_for_a_code()
    with visitor.page.expect_request("**/in-client/code"):
        visitor.open()
    assert visitor.told(0) == []
