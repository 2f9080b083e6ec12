"""The pages that visitors see, and each state in which they are looked at.

Two sites and one simulator are behind them: the extension's own pages on a bare site, and the
example site, whose simulator both use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import time_machine
from flask import Flask

from examples.site import create_app
from flask_dingtalk import DingTalk, DingTalkError, RateLimited
from flask_dingtalk.testing import DingTalkSimulator

from ..chromium import DESKTOP, PHONE, Size
from ..helpers import IN_CLIENT, SECRET_KEY
from ..server import serving

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Page

#: Widths at which a page is looked at.
SIZES: Final = (DESKTOP, PHONE)
#: The size of the frame with the QR code, which has no other.
FRAME: Final[tuple[Size, ...]] = ((300, 300),)
ERRORS: Final = {error.error_code: error for error in DingTalkError.__subclasses__()}


class Gallery:
    """Both sites, on servers, and their simulator."""

    def __init__(self) -> None:
        self.example = create_app()
        self.simulator: DingTalkSimulator = self.example.extensions["simulator"]
        self.own = _bare_site(self.simulator)
        self.own_url = self.example_url = ""

    @contextmanager
    def open(self) -> Iterator[Gallery]:
        """Serve both sites."""
        with serving(self.own) as self.own_url, serving(self.example) as self.example_url:
            yield self
        self.simulator.stop()


def _bare_site(simulator: DingTalkSimulator) -> Flask:
    app = Flask("own")
    app.config.update(
        simulator.settings,
        SECRET_KEY=SECRET_KEY,
        DINGTALK_LOGIN_PAGE=True,
        DINGTALK_MEMBERS_ONLY=True,
        DINGTALK_IN_APP_LOGIN=True,
        DINGTALK_CORP_ID=simulator.application.corp_id,
    )
    DingTalk(app)

    @app.get("/error/<code>")
    def error(code: str) -> str:
        hint = "set DINGTALK_CLIENT_ID to the Client ID"
        raise ERRORS[code]("for a look at it", hint=hint, retry_url="/dingtalk/login")

    @app.get("/waiting")
    def waiting() -> str:
        raise RateLimited("for a look at it", reload_after=600, retry_url="/dingtalk/login")

    return app


@dataclass
class View:
    """A window on the gallery, in one language."""

    page: Page
    gallery: Gallery
    language: str

    @property
    def simulator(self) -> DingTalkSimulator:
        """The DingTalk behind both sites."""
        return self.gallery.simulator

    @property
    def frame(self) -> FrameLocator:
        """What DingTalk shows within a page."""
        return self.page.frame_locator("iframe")

    # --- Opening a page ---

    def own(self, path: str) -> None:
        """Open a page of the bare site."""
        self.page.goto(self.gallery.own_url + path)

    def example(self, path: str) -> None:
        """Open a page of the example site."""
        self.page.goto(self.gallery.example_url + path)

    def authorize(self, **changes: str) -> None:
        """Follow a sign-in link to the simulator, with changes."""
        self.page.goto(f"{self.simulator.url}/oauth2/auth?{self._query(changes)}")

    def code(self, **changes: str) -> None:
        """Open the frame with the QR code by itself, with changes."""
        query = self._query({"origin": self.gallery.own_url} | changes)
        self.page.goto(f"{self.simulator.url}/oauth2/qr?{query}")

    def _query(self, changes: dict[str, str]) -> str:
        query = {
            "client_id": self.simulator.application.client_id,
            "redirect_uri": f"{self.gallery.own_url}/dingtalk/callback",
            "response_type": "code",
            "scope": "openid",
            "state": "s",
            "prompt": "consent",
        }
        return urlencode(query | changes, quote_via=quote)

    # --- Getting there ---

    def member(self, person: str = "zhang") -> None:
        """Sign somebody in to the example site; the window gets the cookie."""
        client = self.gallery.example.test_client()
        # The greeting is in the language of the browser that signed in.
        client.environ_base["HTTP_ACCEPT_LANGUAGE"] = self.language
        self.simulator.sign_in(client, person)
        cookie = client.get_cookie("session")
        assert cookie is not None
        url = self.gallery.example_url
        self.page.context.add_cookies([{"name": "session", "value": cookie.value, "url": url}])

    def click(self, selector: str) -> None:
        """Click what a selector finds."""
        self.page.locator(selector).click()

    def follow(self, selector: str) -> None:
        """Click what leads to another page, and wait for that page."""
        with self.page.expect_navigation():
            self.page.locator(selector).click()

    def await_code(self) -> None:
        """Wait for the QR code in its frame."""
        self.frame.locator("button").first.wait_for()

    def answer_script(self, name: str, body: str | None) -> None:
        """Answer one of DingTalk's scripts with other code; ``None`` never answers."""
        self.page.route(
            f"**/{name}",
            lambda route: (
                None if body is None else route.fulfill(body=body, content_type="text/javascript")
            ),
        )

    def inside(self) -> None:
        """Look like the DingTalk client."""
        self.page.set_extra_http_headers({"User-Agent": IN_CLIENT})


Open = Callable[[View], None]


@dataclass(frozen=True)
class State:
    """A page in one state, and how to get there."""

    name: str
    open: Open
    sizes: tuple[Size, ...] = SIZES
    #: Without the browser's JavaScript.
    scripts: bool = True


STATES: list[State] = []


def state(name: str, **how: Any) -> Callable[[Open], Open]:
    """Add a state to the list; the function gets a window there."""

    def add(opened: Open) -> Open:
        STATES.append(State(name, opened, **how))
        return opened

    return add


# --- The extension's own pages -------------------------------------------------------------------


@state("own sign-in")
def _own_sign_in(view: View) -> None:
    view.own("/dingtalk/login?next=/report")
    view.await_code()


@state("own sign-in, loading")
def _own_loading(view: View) -> None:
    view.answer_script("ddlogin.js", None)
    view.page.goto(view.gallery.own_url + "/dingtalk/login", wait_until="commit")
    view.page.locator("[data-state=waiting]").wait_for(state="attached")


@state("own sign-in, no code")
def _own_no_code(view: View) -> None:
    view.answer_script("ddlogin.js", "")
    view.own("/dingtalk/login")
    view.page.locator("[data-state=failed]").wait_for()


@state("own sign-in, declined")
def _own_declined(view: View) -> None:
    view.answer_script("ddlogin.js", _failing("access_denied"))
    view.own("/dingtalk/login")
    view.page.locator("[data-state=failed]").wait_for()


@state("own sign-in, not in the organisation")
def _own_outside(view: View) -> None:
    view.answer_script("ddlogin.js", _failing("操作失败，你不在组织内"))
    view.own("/dingtalk/login")
    view.page.locator("[data-state=failed]").wait_for()


@state("own sign-in, no scripts", scripts=False)
def _own_without_scripts(view: View) -> None:
    view.own("/dingtalk/login")


@state("own page inside the client")
def _own_in_app(view: View) -> None:
    view.inside()
    # It would go on to DingTalk's pages after three seconds.
    view.answer_script("in_app.js", "")
    view.own("/dingtalk/login")


@state("own page inside the client, no scripts", scripts=False)
def _own_in_app_without_scripts(view: View) -> None:
    view.inside()
    view.own("/dingtalk/login")


@state("own error with the longest text")
def _own_error(view: View) -> None:
    view.own("/error/organisation_not_allowed")


@state("own error with a note")
def _own_error_with_note(view: View) -> None:
    view.own("/error/configuration_error")


@state("own error, in debug mode")
def _own_debug(view: View) -> None:
    view.gallery.own.debug = True
    try:
        view.own("/error/configuration_error")
    finally:
        view.gallery.own.debug = False


@state("own waiting page")
def _own_waiting(view: View) -> None:
    view.own("/waiting")


def _failing(said: str) -> str:
    return f"window.DTFrameLogin = (f, l, s, error) => error({json.dumps(said)});"


# --- The example site ----------------------------------------------------------------------------


@state("example home")
def _home(view: View) -> None:
    view.example("/")


@state("example home, signed in")
def _home_member(view: View) -> None:
    view.member()
    view.example("/")


@state("example sign-in")
def _sign_in(view: View) -> None:
    view.example("/company")
    view.await_code()


@state("example sign-in, loading")
def _loading(view: View) -> None:
    view.answer_script("ddlogin.js", None)
    view.page.goto(view.gallery.example_url + "/dingtalk/login", wait_until="commit")
    view.page.locator("[data-state=waiting]").wait_for(state="attached")


@state("example sign-in, no code")
def _no_code(view: View) -> None:
    view.answer_script("ddlogin.js", "")
    view.example("/dingtalk/login")
    view.page.locator("[data-state=failed]").wait_for(state="attached")


@state("example sign-in, declined")
def _declined(view: View) -> None:
    view.answer_script("ddlogin.js", _failing("access_denied"))
    view.example("/dingtalk/login")
    view.page.locator("[data-state=failed]").wait_for(state="attached")


@state("example sign-in, no scripts", scripts=False)
def _without_scripts(view: View) -> None:
    view.example("/dingtalk/login")


@state("example profile")
def _profile(view: View) -> None:
    view.member()
    view.example("/profile")
    view.click("summary")
    view.click("#fetch")
    view.page.locator("#answer pre").wait_for()


@state("example profile, signed out meanwhile")
def _profile_expired(view: View) -> None:
    view.member()
    view.example("/profile")
    view.page.context.clear_cookies()
    view.click("#fetch")
    view.page.locator("#answer a").wait_for()


@state("example record, manager")
def _record(view: View) -> None:
    view.member()
    view.example("/record")
    view.click("summary")


@state("example record, engineer")
def _record_li(view: View) -> None:
    view.member("li")
    view.example("/record")


@state("example notices")
def _company(view: View) -> None:
    view.member()
    view.example("/company")


@state("example devices")
def _devices(view: View) -> None:
    view.member()
    view.example("/devices")


@state("example approvals")
def _approvals(view: View) -> None:
    view.member()
    view.example("/approvals")


@state("example signed out")
def _signed_out(view: View) -> None:
    view.member()
    view.example("/company")
    view.follow(".account button")
    view.page.locator(".flash").wait_for()


@state("example leaver")
def _leaver(view: View) -> None:
    view.member("li")
    memberships = dict(view.simulator.users["li"].memberships)
    view.simulator.leave("li")
    try:
        with time_machine.travel(datetime.now(UTC) + timedelta(seconds=11)):
            view.example("/company")
    finally:
        view.simulator.users["li"].memberships.update(memberships)


@state("example, not a member")
def _not_a_member(view: View) -> None:
    view.example("/dingtalk/login?via=redirect")
    view.follow("button[value=wang]")
    view.follow("button[value=agree]")
    view.page.locator("h1").wait_for()


@state("example, not permitted")
def _not_permitted(view: View) -> None:
    view.member("li")
    view.example("/approvals")


@state("example, declined")
def _example_declined(view: View) -> None:
    view.example("/dingtalk/login?via=redirect")
    view.follow("button[value=zhang]")
    view.follow("button[value=decline]")


@state("example 404")
def _not_found(view: View) -> None:
    view.example("/nowhere")


@state("example 405")
def _not_allowed(view: View) -> None:
    view.example("/dingtalk/logout")


# --- The simulator -------------------------------------------------------------------------------


@state("simulator index")
def _index(view: View) -> None:
    view.page.goto(view.simulator.url)


@state("simulator sign-in")
def _people(view: View) -> None:
    view.authorize()


@state("simulator consent")
def _consent(view: View) -> None:
    view.authorize(scope="openid corpid")
    view.follow("button[value=zhang]")


@state("simulator organisation code")
def _organisation_code(view: View) -> None:
    view.authorize(exclusiveLogin="true")
    view.page.locator("input[name=organisation_code]").fill("ABCDEFGH")
    view.follow("button.primary")


@state("simulator, redirect URL not registered")
def _unregistered(view: View) -> None:
    view.authorize(redirect_uri="https://portal.example.com/dingtalk/callback")


@state("simulator, not a member of the organisation")
def _outsider(view: View) -> None:
    view.simulator.application.admits_outsiders = False
    try:
        view.authorize()
        view.click("button[value=wang]")
        view.page.locator("[data-refused]").wait_for()
    finally:
        view.simulator.application.admits_outsiders = True


@state("simulator signed out")
def _logged_out(view: View) -> None:
    client_id = view.simulator.application.client_id
    view.page.goto(f"{view.simulator.url}/oauth2/logout?client_id={client_id}")


@state("simulator phone")
def _phone(view: View) -> None:
    view.page.goto(f"{view.simulator.url}/oauth2/phone")


@state("simulator 404")
def _simulator_not_found(view: View) -> None:
    view.page.goto(f"{view.simulator.url}/nowhere")


@state("simulator code", sizes=FRAME)
def _code(view: View) -> None:
    view.code()


@state("simulator code, expired", sizes=FRAME)
def _code_expired(view: View) -> None:
    view.code()
    view.page.goto(view.page.url.replace("/qr?", "/qr/expired?"))


@state("simulator code, confirm", sizes=FRAME)
def _code_confirm(view: View) -> None:
    view.code(scope="openid corpid", corpId=view.simulator.application.corp_id)
    view.follow("button[value=zhang]")


@state("simulator code, confirmed", sizes=FRAME)
def _code_confirmed(view: View) -> None:
    view.code()
    view.follow("button[value=zhang]")
    view.follow("button[value=agree]")
    view.page.locator(".sign").wait_for()


@state("simulator code, declined", sizes=FRAME)
def _code_declined(view: View) -> None:
    view.code()
    view.follow("button[value=zhang]")
    view.follow("button[value=decline]")
    view.page.locator(".sign").wait_for()


@state("simulator code, refused", sizes=FRAME)
def _code_refused(view: View) -> None:
    view.code(redirect_uri="https://portal.example.com/dingtalk/callback")


@state("simulator code, at another origin", sizes=FRAME)
def _code_elsewhere(view: View) -> None:
    view.code(origin="http://localhost:1")
