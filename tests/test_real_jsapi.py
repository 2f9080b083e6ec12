"""DingTalk's own JSAPI library, as published, between a page and a stub of its client, in Chromium.

What a page gets from the library it gets from the script that the simulator has in its place: these
tests run with both.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import requests
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
)
from werkzeug.wrappers import Request, Response

from flask_dingtalk.testing import DingTalkSimulator

from .chromium import PHONE
from .helpers import IN_CLIENT, AppFactory
from .server import serving
from .simulator.test_in_browser import PAGE

pytestmark = pytest.mark.npm

LIBRARY: Final = Path(__file__).parents[1] / "build" / "jsapi" / "dingtalk.open.js"
CLIENT: Final = Path(__file__).with_name("jsapi") / "client.js"

#: What the library tells the platforms apart by.
USER_AGENTS: Final = {
    "android": IN_CLIENT,
    "ios": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AliApp(DingTalk/7.6.50)",
    "harmony": "Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb/4.1 AliApp(DingTalk/7.6.50)",
    "pc": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) DingTalk(7.6.50)",
}
CLIENTS: Final = list(USER_AGENTS)
WITH_EVENTS: Final = [name for name in CLIENTS if name != "pc"]
UNKNOWN_DOMAIN: Final = {"errorCode": "3", "errorMessage": "对应企业没有127.0.0.1域名微应用"}
CANCELLED: Final = {"errorCode": "-1", "errorMessage": "cancelled"}

#: The library with each bridge, and the simulator's script, which has none.
BOTH: Final = pytest.mark.parametrize(
    ("script", "client"),
    [*(("library", client) for client in CLIENTS), ("simulator", "android")],
    indirect=["script"],
)

#: Notes every way in which a call may end.
CALL = """const options = {options};
for (const name of {listeners}) {{
  options[name] = note(name);
}}
dd.requestAuthCode(options).then(note("then"), note("catch"));"""

#: Chromium is silent about a policy that kept a script from evaluating text and was coped with.
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`${event.effectiveDirective} forbids ${event.blockedURI}`));"""


@dataclass
class Site:
    """A page, and as one script the library and its client, on another port than the simulator."""

    simulator: DingTalkSimulator
    #: Where the page is.
    address: str = ""
    page: str = ""

    def jsapi_url(self, client: str | None = None, **order: str) -> str:
        """Return the address of the script; `order` is explained in the stub of the client."""
        query = {"client": client or "", "ask": f"{self.simulator.url}/in-app/code", **order}
        return f"{self.address}/dingtalk.open.js?{urlencode(query)}"

    def __call__(self, request: Request) -> Response:
        """Answer with the script, or with the page under a strict policy."""
        if request.path == "/dingtalk.open.js":
            script = CLIENT.read_bytes() + LIBRARY.read_bytes()
            return Response(script, content_type="text/javascript; charset=utf-8")
        response = Response(self.page, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'nonce-n'; img-src data:; base-uri 'none';"
            f" connect-src {self.simulator.url}"
        )
        return response

    def ask_for_a_code(
        self, script: str, listeners: tuple[str, ...] = ("onSuccess", "onFail"), **options: str
    ) -> None:
        """Let the page call dd.requestAuthCode."""
        application = self.simulator.application
        asked = {"corpId": application.corp_id, "clientId": application.client_id, **options}
        call = CALL.format(options=json.dumps(asked), listeners=json.dumps(listeners))
        self.page = PAGE.format(script=script.replace("&", "&amp;"), call=call)


@dataclass
class Window:
    """A window with the page."""

    page: Page
    site: Site
    #: Whatever the page asked for, and whatever went wrong in it.
    requested: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        """Note what the browser says, but for an icon that a site does not have."""
        if not message.location["url"].endswith("/favicon.ico"):
            self.problems.append(message.text)

    def open(self) -> None:
        """Load the page."""
        self.page.goto(self.site.address)

    def told(self, count: int) -> list[tuple[str, Any]]:
        """Wait until the page has been told so often how its call ended, and return it."""
        lines = self.page.locator("#log li")
        expect(lines).to_have_count(count)
        return [tuple(json.loads(text)) for text in lines.all_text_contents()]


OpenWindow = Callable[..., Window]


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Insist on the library: without it these tests would prove nothing."""
    if not LIBRARY.exists():
        pytest.fail(f"{LIBRARY} is missing: run make test, which fetches it.", pytrace=False)


@pytest.fixture
def site(simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """Serve the page."""
    # This client sends tokens in addresses, as DingTalk documents it, and urllib3 logs addresses.
    caplog.set_level(logging.WARNING, "urllib3")
    site = Site(simulator)
    with serving(Request.application(site)) as site.address:
        yield site


@pytest.fixture
def portal(make_app: AppFactory) -> Iterator[Callable[[str], str]]:
    """Serve a site with sign-in inside the client, given the address of the library."""
    with ExitStack() as servers:
        yield lambda jsapi_url: servers.enter_context(
            serving(
                make_app(
                    DINGTALK_IN_APP_LOGIN=True,
                    DINGTALK_CORP_ID="ding491e8549b8861c7043b624cbf6cb256f",
                    DINGTALK_JSAPI_URL=jsapi_url,
                )
            )
        )


@pytest.fixture
def window_of(chromium: Browser, site: Site) -> Iterator[OpenWindow]:
    """Open windows of clients, or of an ordinary browser; nothing may go wrong in them."""
    contexts: list[BrowserContext] = []
    windows: list[Window] = []

    def open_window(client: str | None = None) -> Window:
        context = chromium.new_context(
            viewport={"width": PHONE[0], "height": PHONE[1]},
            user_agent=USER_AGENTS[client] if client else None,
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        window = Window(context.new_page(), site)
        windows.append(window)
        window.page.on("request", lambda request: window.requested.append(request.url))
        window.page.add_init_script(REPORT_VIOLATIONS)
        window.page.on("console", window.note)
        # A broken promise that nobody handles is reported here too.
        window.page.on("pageerror", lambda error: window.problems.append(str(error)))
        return window

    yield open_window
    for context in contexts:
        context.close()
    assert [problem for window in windows for problem in window.problems] == []


@pytest.fixture
def script(request: pytest.FixtureRequest, site: Site) -> Callable[..., str]:
    """Choose between the library and what the simulator has in its place."""

    def choose(client: str | None = None) -> str:
        if request.param == "library":
            return site.jsapi_url(client)
        return str(site.simulator.settings["DINGTALK_JSAPI_URL"])

    return choose


def name_of(simulator: DingTalkSimulator, code: str) -> str:
    """Spend a code of the client as a site does, and return whose it was."""
    application = simulator.application
    body = {"appKey": application.client_id, "appSecret": application.client_secret}
    token = requests.post(f"{simulator.url}/v1.0/oauth2/accessToken", json=body, timeout=60).json()
    info = requests.post(
        f"{simulator.url}/topapi/v2/user/getuserinfo",
        params={"access_token": token["accessToken"]},
        data={"code": code},
        timeout=60,
    )
    return str(info.json()["result"]["name"])


# --- What a page gets, from the library and from the simulator -----------------------------------


@BOTH
def test_page_gets_a_code_that_the_server_can_spend(
    client: str, window_of: OpenWindow, script: Callable[..., str]
) -> None:
    """Function and promise get the same object."""
    window = window_of(client)
    window.site.simulator.in_app_user = "li"
    window.site.ask_for_a_code(script(client))
    window.open()
    (first, result), (second, promised) = window.told(2)
    assert (first, second) == ("onSuccess", "then")
    assert result == promised
    assert set(result) == {"code"}
    assert name_of(window.site.simulator, result["code"]) == "李四"


@BOTH
def test_page_is_told_why_there_is_no_code(
    client: str, window_of: OpenWindow, script: Callable[..., str]
) -> None:
    """The function is called, and the promise is broken besides: a page has to handle both."""
    window = window_of(client)
    window.site.ask_for_a_code(script(client), corpId="dingx")
    window.open()
    error = {"errorCode": 3, "errorMessage": "1002,corpId不合法"}
    assert window.told(2) == [("onFail", error), ("catch", error)]


@BOTH
def test_short_names_go_before_the_long_ones(
    client: str, window_of: OpenWindow, script: Callable[..., str]
) -> None:
    """Of success and onSuccess one is called, of fail and onFail too, and complete is not."""
    window = window_of(client)
    listeners = ("onSuccess", "success", "onFail", "fail", "complete", "onComplete")
    for options, told in (({}, ["success", "then"]), ({"corpId": "dingx"}, ["fail", "catch"])):
        window.site.ask_for_a_code(script(client), listeners, **options)
        window.open()
        assert [name for name, _ in window.told(2)] == told


@pytest.mark.parametrize("script", ["library", "simulator"], indirect=True)
def test_mistake_in_the_page_does_not_break_the_promise(
    window_of: OpenWindow, script: Callable[..., str]
) -> None:
    """The code has been given, and what the page's own function throws is reported as usual."""
    window = window_of("android")
    window.site.ask_for_a_code(script("android"), ("onFail",))
    throws = "options.onSuccess = () => { throw new Error('mine'); };\ndd."
    window.site.page = window.site.page.replace("dd.", throws)
    window.open()
    assert [name for name, _ in window.told(1)] == ["then"]
    assert window.problems == ["mine"]
    window.problems.clear()


@pytest.mark.parametrize("script", ["library", "simulator"], indirect=True)
def test_browser_that_is_no_client_breaks_the_promise_alone(
    window_of: OpenWindow, script: Callable[..., str]
) -> None:
    """A page that passes onFail and does not look at the promise would never know."""
    window = window_of()
    window.site.ask_for_a_code(script())
    window.open()
    error = "[DINGTALK-JSAPI] ERROR 4040: Do not support the current environment：'notInDingTalk'"
    assert window.told(1) == [("catch", error)]


# --- What the library does with the bridge -------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_bridge_gets_the_two_identifiers(client: str, window_of: OpenWindow) -> None:
    """The native side gets them unchanged, under another name."""
    window = window_of(client)
    window.site.ask_for_a_code(window.site.jsapi_url(client))
    window.open()
    window.told(2)
    (call,) = window.page.evaluate("nativeCalls")
    assert call["method"] == "runtime.permission.requestAuthCodeV2"
    application = window.site.simulator.application
    asked = {"corpId": application.corp_id, "clientId": application.client_id}
    assert call["parameters"] == asked


@pytest.mark.parametrize("client", CLIENTS)
def test_error_of_the_client_arrives_as_it_is(client: str, window_of: OpenWindow) -> None:
    """Its code and its text are the page's to read."""
    window = window_of(client)
    answer = json.dumps(UNKNOWN_DOMAIN)
    window.site.ask_for_a_code(window.site.jsapi_url(client, answer=answer))
    window.open()
    assert window.told(2) == [("onFail", UNKNOWN_DOMAIN), ("catch", UNKNOWN_DOMAIN)]


def test_cancelling_on_ios_breaks_the_promise_alone(window_of: OpenWindow) -> None:
    """The other platforms call onFail for it; here that is another function's."""
    window = window_of("ios")
    script = window.site.jsapi_url("ios", answer=json.dumps(CANCELLED))
    window.site.ask_for_a_code(script)
    window.open()
    assert window.told(1) == [("catch", CANCELLED)]
    window.site.ask_for_a_code(script, ("onFail", "onCancel"))
    window.open()
    assert window.told(2) == [("onCancel", CANCELLED), ("catch", CANCELLED)]


@pytest.mark.parametrize("client", WITH_EVENTS)
def test_call_waits_for_the_bridge(client: str, window_of: OpenWindow) -> None:
    """No dd.ready is needed, and without a bridge nothing ever happens: there is no time limit."""
    window = window_of(client)
    window.site.ask_for_a_code(window.site.jsapi_url(client, late=""))
    window.page.clock.install()
    window.open()
    # An hour, as far as timers of the page are concerned.
    window.page.clock.run_for(3_600_000)
    assert window.told(0) == []
    window.page.evaluate("bridgeArrives()")
    assert [name for name, _ in window.told(2)] == ["onSuccess", "then"]


def test_bridge_that_fails_to_start_breaks_the_promise_alone(window_of: OpenWindow) -> None:
    """Android's tells why."""
    window = window_of("android")
    script = window.site.jsapi_url("android", answer='"refuse"', late="")
    window.site.ask_for_a_code(script)
    window.open()
    window.page.evaluate("bridgeArrives()")
    error = {"errorCode": "2", "errorMessage": "no runtime"}
    assert window.told(1) == [("catch", error)]


@pytest.mark.parametrize("client", CLIENTS)
def test_library_loads_nothing_and_tells_nobody(client: str, window_of: OpenWindow) -> None:
    """Besides page, script and code nothing is asked for, whoever the host."""
    window = window_of(client)
    script = window.site.jsapi_url(client)
    window.site.ask_for_a_code(script)
    window.open()
    window.told(2)
    code = f"{window.site.simulator.url}/in-app/code"
    network = [url for url in window.requested if not url.startswith("data:")]
    assert network == [f"{window.site.address}/", script, code]


# --- The library in the page of the extension ----------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_site_signs_in_without_a_tap(
    client: str, window_of: OpenWindow, portal: Callable[[str], str]
) -> None:
    """Whatever the platform, a guarded page opens as it was asked for."""
    window = window_of(client)
    window.site.simulator.in_app_user = "li"
    report = portal(window.site.jsapi_url(client)) + "/report?month=11"
    window.page.goto(report)
    expect(window.page.locator("body")).to_have_text("Report for 李四")
    assert window.page.url == report


@pytest.mark.parametrize("client", CLIENTS)
def test_refusal_of_the_client_leads_to_dingtalks_page(
    client: str,
    window_of: OpenWindow,
    portal: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And the site's log says why, as nobody can read the console of a phone."""
    window = window_of(client)
    answer = json.dumps(UNKNOWN_DOMAIN)
    window.page.goto(portal(window.site.jsapi_url(client, answer=answer)) + "/report")
    window.page.wait_for_url(f"{window.site.simulator.url}/oauth2/**")
    assert "The DingTalk client gave no code: '3 对应企业没有127.0.0.1域名微应用'" in caplog.text
    assert "端内免登地址" in caplog.text
