"""The simulator's QR code and its ``dd`` in a page of a site, in Chromium."""

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

from ..chromium import DESKTOP, PHONE, SIZES, OpenWindow
from ..helpers import IN_CLIENT
from ..server import serving

#: Runs the test's call and writes its outcome into a list, under a strict
#: Content-Security-Policy.
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
    """A site with one page, on another port than the simulator."""

    simulator: DingTalkSimulator
    #: Address of the page.
    address: str = ""
    page: str = ""
    #: Changes to what the page passes to DTFrameLogin; ``None`` leaves a parameter out.
    login: dict[str, str | None] = field(default_factory=dict)
    frame: dict[str, Any] = field(default_factory=lambda: {"id": "container"})

    def __call__(self, request: Request) -> Response:
        """Answer with the page, under a policy that allows only what it needs."""
        response = Response(self.page, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'nonce-n'; img-src data:; base-uri 'none';"
            f" frame-src {self.simulator.url}; connect-src {self.simulator.url}"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def show_qr(self) -> None:
        """Let the page show the QR code."""
        login = {
            "redirect_uri": quote(f"{self.address}/callback", safe=""),
            "client_id": self.simulator.application.client_id,
            "response_type": "code",
            "scope": "openid",
            "prompt": "consent",
            "state": "s.t_~-",
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
    """A person with the page open in a browser."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site

    def open(self, host: str = "127.0.0.1") -> None:
        """Load the page."""
        self.page.goto(self.site.address.replace("127.0.0.1", host))

    @property
    def frame(self) -> FrameLocator:
        """The content of the frame."""
        return self.page.frame_locator("iframe")

    def scan(self, name: str = "张三") -> None:
        """Scan the code with a person's phone."""
        self.button(f"Scan with the phone of {name}").click()

    def button(self, name: str) -> Locator:
        """Find a button in the frame."""
        return self.frame.get_by_role("button", name=name)

    def outcomes(self, count: int = 1) -> list[tuple[str, Any]]:
        """Wait for this many calls of the page's callbacks; return name and argument of each."""
        lines = self.page.locator("#log li")
        expect(lines).to_have_count(count)
        return [tuple(json.loads(text)) for text in lines.all_text_contents()]


@pytest.fixture
def site(simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """Serve the page."""
    # The tests send tokens in addresses, as DingTalk documents it, and urllib3 logs addresses.
    caplog.set_level(logging.WARNING, "urllib3")
    site = Site(simulator)
    with serving(Request.application(site)) as site.address:
        yield site


@pytest.fixture
def visitor_with(site: Site, open_window: OpenWindow) -> Callable[..., Visitor]:
    """Return a function that opens a window on the page."""

    def visit(
        size: tuple[int, int] = DESKTOP, language: str = "en-US", user_agent: str | None = None
    ) -> Visitor:
        return Visitor(open_window(size, language, user_agent=user_agent), site)

    return visit


@pytest.fixture
def visitor(visitor_with: Callable[..., Visitor]) -> Visitor:
    """Open a desktop window in English."""
    return visitor_with()


def nick_of(simulator: DingTalkSimulator, code: str) -> str:
    """Exchange a browser code; return the nick in the profile."""
    application = simulator.application
    body = {
        "clientId": application.client_id,
        "clientSecret": application.client_secret,
        "code": code,
        "grantType": "authorization_code",
    }
    url = f"{simulator.url}/v1.0/oauth2/userAccessToken"
    token = requests.post(url, json=body, timeout=60).json()["accessToken"]
    headers = {"x-acs-dingtalk-access-token": token}
    me = requests.get(f"{simulator.url}/v1.0/contact/users/me", headers=headers, timeout=60)
    return str(me.json()["nick"])


# --- The QR code ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_scan_calls_the_success_callback(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """The callback receives redirectUrl, authCode and state, once."""
    visitor = visitor_with(size)
    visitor.site.show_qr()
    visitor.open()
    visitor.scan("李四")
    visitor.button("Agree").click()
    ((name, result),) = visitor.outcomes()
    assert name == "success"
    assert set(result) == {"redirectUrl", "authCode", "state"}
    assert result["state"] == "s.t_~-"
    address, _, query = result["redirectUrl"].partition("?")
    assert address == f"{visitor.site.address}/callback"
    code = result["authCode"]
    assert parse_qs(query) == {"code": [code], "authCode": [code], "state": ["s.t_~-"]}
    assert nick_of(visitor.site.simulator, code) == "李四"
    expect(visitor.frame.get_by_role("heading")).to_have_text("Confirmed on the phone")


def test_values_are_neither_encoded_nor_decoded(visitor: Visitor) -> None:
    """A state goes into the frame's address as it is, and comes back as it is in the address."""
    visitor.site.login = {"state": "a%20b"}
    visitor.site.show_qr()
    visitor.open()
    visitor.scan()
    visitor.button("Agree").click()
    ((_, result),) = visitor.outcomes()
    assert result["state"] == "a%20b"


def test_scan_works_from_a_page_of_another_site_than_the_frame(visitor: Visitor) -> None:
    """The page is on localhost and the frame on 127.0.0.1, where browsers send no cookie."""
    port = urlsplit(visitor.site.address).port
    callback = quote(f"http://localhost:{port}/callback", safe="")
    visitor.site.login = {"redirect_uri": callback, "state": None}
    visitor.site.show_qr()
    visitor.open("localhost")
    visitor.scan()
    visitor.button("Agree").click()
    ((name, result),) = visitor.outcomes()
    assert (name, set(result)) == ("success", {"redirectUrl", "authCode"})


def test_scan_logs_in_for_an_organisation(visitor: Visitor) -> None:
    """The phone shows the organisation of the page; a plus in the scope is a space."""
    other = list(visitor.site.simulator.organisations)[1]
    visitor.site.login = {"scope": "openid+corpid", "org_type": "management", "corpId": other}
    visitor.site.simulator.users["wang"].memberships[other].admin = True
    visitor.site.show_qr()
    visitor.open()
    visitor.scan("王五")
    expect(visitor.frame.get_by_text("On behalf of 样板贸易")).to_be_visible()
    visitor.button("Agree").click()
    assert visitor.outcomes()[0][0] == "success"


def test_success_callback_may_be_called_twice(visitor: Visitor) -> None:
    """With qr_fires_twice, both calls have the same code."""
    visitor.site.simulator.application.qr_fires_twice = True
    visitor.site.show_qr()
    visitor.open()
    visitor.scan()
    visitor.button("Agree").click()
    first, second = visitor.outcomes(2)
    assert first == second
    assert first[0] == "success"


def test_declining_calls_the_error_callback(visitor: Visitor) -> None:
    """The callback receives a text, and the frame leads back to a code that works."""
    visitor.site.show_qr()
    visitor.open()
    visitor.scan()
    visitor.button("Decline").click()
    assert visitor.outcomes() == [("error", "access_denied")]
    visitor.frame.get_by_role("link", name="Back to the code").click()
    visitor.scan()
    visitor.button("Agree").click()
    assert [name for name, _ in visitor.outcomes(2)] == ["error", "success"]


def test_outsider_calls_the_error_callback(visitor: Visitor) -> None:
    """The callback receives DingTalk's text without its code, as from DingTalk's script."""
    visitor.site.simulator.application.admits_outsiders = False
    visitor.site.show_qr()
    visitor.open()
    visitor.scan("王五")
    assert visitor.outcomes() == [("error", "操作失败，你不在组织内")]


@pytest.mark.parametrize(
    ("encode", "error"),
    [
        pytest.param(
            lambda url: url,
            "DTFrameLogin expects an encoded redirect_uri: call encodeURIComponent once.",
            id="not",
        ),
        pytest.param(
            lambda url: quote(quote(url, safe=""), safe=""),
            "redirect_uri未授权",
            id="twice",
        ),
    ],
)
def test_redirect_uri_must_be_encoded_once(
    visitor: Visitor, encode: Callable[[str], str], error: str
) -> None:
    """An unencoded redirect_uri is an error, and so is one encoded twice."""
    visitor.site.login = {"redirect_uri": encode(f"{visitor.site.address}/callback?x=1")}
    visitor.site.show_qr()
    visitor.open()
    assert visitor.outcomes() == [("error", error)]


def test_scan_at_another_origin_has_no_effect(visitor: Visitor) -> None:
    """Neither agreeing nor declining calls a callback, and the frame says why."""
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
    assert visitor.outcomes(0) == []


def test_page_that_lies_about_its_origin_gets_no_code(chromium: Browser, visitor: Visitor) -> None:
    """A page that opens the frame with a false origin receives no message."""
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
    """An expired code can be neither scanned nor confirmed; a new one works."""
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
    assert [name for name, _ in visitor.outcomes()] == ["success"]


def test_frame_has_the_size_asked_for(visitor: Visitor) -> None:
    """The default is 300 pixels each way; smaller sizes than 280 are not prevented."""
    visitor.site.show_qr()
    visitor.open()
    frame = visitor.page.locator("iframe")
    for asked, width, height in (
        ("", "300", "300"),
        (", width: 100, height: 279", "100", "279"),
        (", width: 360, height: 400", "360", "400"),
    ):
        visitor.page.evaluate(f"show({{id: 'container'{asked}}})")
        expect(frame).to_have_attribute("width", width)
        expect(frame).to_have_attribute("height", height)
        expect(frame).to_have_css("width", f"{width}px")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_everything_fits_into_the_smallest_frame(
    visitor_with: Callable[..., Visitor], language: str
) -> None:
    """On a phone, 280 pixels show the code and the buttons without scrolling."""
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


def test_second_call_adds_a_listener_that_stays(visitor: Visitor) -> None:
    """The new frame replaces the old one, and calls back once for each call so far."""
    visitor.site.show_qr()
    visitor.open()
    expect(visitor.button("Scan with the phone of 张三")).to_be_visible()
    visitor.page.evaluate("show({id: 'container'})")
    expect(visitor.page.locator("iframe")).to_have_count(1)
    visitor.scan()
    visitor.button("Agree").click()
    first, second = visitor.outcomes(2)
    assert first == second
    assert first[0] == "success"


def test_missing_parameters_call_the_error_callback(visitor: Visitor) -> None:
    """A frame without an id is refused with the text of DingTalk's script."""
    visitor.site.frame = {}
    visitor.site.show_qr()
    visitor.open()
    assert visitor.outcomes() == [("error", "Missing parameters")]


def test_missing_container_calls_the_error_callback(visitor: Visitor) -> None:
    """The callback receives the text of DingTalk's script."""
    visitor.site.frame = {"id": "nowhere"}
    visitor.site.show_qr()
    visitor.open()
    assert visitor.outcomes() == [("error", "Element not found")]


# --- Inside the DingTalk client ------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_client_returns_a_code_without_a_tap(
    size: tuple[int, int], visitor_with: Callable[..., Visitor]
) -> None:
    """The callback and the promise receive the same code."""
    visitor = visitor_with(size, user_agent=IN_CLIENT)
    simulator = visitor.site.simulator
    simulator.in_app_user = "li"
    visitor.site.ask_for_a_code()
    visitor.open()
    (first, result), (second, promised) = visitor.outcomes(2)
    assert (first, second) == ("success", "then")
    assert result == promised == {"code": result["code"]}
    assert result["code"] in simulator.secrets


def test_other_browsers_are_not_in_dingtalk(visitor: Visitor) -> None:
    """Only the promise fails; as in DingTalk's library, no callback is called."""
    visitor.site.ask_for_a_code()
    visitor.open()
    ((name, error),) = visitor.outcomes()
    assert name == "catch"
    assert error.startswith("[DINGTALK-JSAPI] ERROR 4040: ")


def test_client_refuses_a_wrong_organisation(visitor_with: Callable[..., Visitor]) -> None:
    """The callback and the promise receive the error."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    visitor.site.ask_for_a_code(corpId="dingx")
    visitor.open()
    error = {"errorCode": 3, "errorMessage": "1002,corpId不合法"}
    assert visitor.outcomes(2) == [("fail", error), ("catch", error)]


def test_client_refuses_a_page_of_another_domain(visitor_with: Callable[..., Visitor]) -> None:
    """The error names the domain."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    visitor.site.simulator.application.redirect_urls = ["https://app.example.com/callback"]
    visitor.site.ask_for_a_code()
    visitor.open()
    error = {"errorCode": 3, "errorMessage": "对应企业没有127.0.0.1域名微应用"}
    assert visitor.outcomes(2)[0] == ("fail", error)


def test_nonsense_from_the_client_is_a_failure(visitor_with: Callable[..., Visitor]) -> None:
    """The callback receives an error with a text."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    headers = {"Access-Control-Allow-Origin": "*"}
    visitor.site.simulator.fail("requestAuthCode", body="nonsense", headers=headers)
    visitor.site.ask_for_a_code()
    visitor.open()
    name, error = visitor.outcomes(2)[0]
    assert name == "fail"
    assert set(error) == {"errorMessage"}


def test_client_may_stay_silent(visitor_with: Callable[..., Visitor]) -> None:
    """With an injected timeout no callback is called."""
    visitor = visitor_with(PHONE, user_agent=IN_CLIENT)
    visitor.site.simulator.fail("requestAuthCode", timeout=True)
    visitor.site.ask_for_a_code()
    with visitor.page.expect_request("**/in-app/code"):
        visitor.open()
    assert visitor.outcomes(0) == []
