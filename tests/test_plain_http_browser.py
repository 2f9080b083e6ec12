"""Scripts and images on plain http, in Chromium: no browser says there what a request is for.

`Sec-Fetch-*` is sent over https and to localhost only. So the site has another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, request, session

from flask_dingtalk import login_required

from .chromium import INTRANET, OpenWindow
from .helpers import IN_CLIENT, AppFactory
from .server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_dingtalk.testing import DingTalkSimulator

AXIOS = Path(__file__).parents[1] / "build" / "jsapi" / "axios.js"

#: Each asks for the guarded view, and returns what it was told.
ASKING = {
    "fetch": """async () => {
        const response = await fetch("/numbers");
        return [response.status, (await response.json()).error];
    }""",
    "fetch for JSON": """async () => {
        const response = await fetch("/numbers", {headers: {Accept: "application/json"}});
        return [response.status, (await response.json()).error];
    }""",
    "XMLHttpRequest": """() => new Promise((resolve) => {
        const asking = new XMLHttpRequest();
        asking.onload = () => resolve([asking.status, JSON.parse(asking.response).error]);
        asking.open("GET", "/numbers");
        asking.send();
    })""",
}
AXIOS_ASKING = """async () => {
    try {
        await axios.get("/numbers");
    } catch (error) {
        return [error.response.status, error.response.data.error];
    }
}"""
#: Each puts something into the page that loads the guarded view, and waits until that has failed.
LOADING = {
    "image": """() => new Promise((resolve) => {
        const image = document.createElement("img");
        image.onerror = resolve;
        image.src = "/numbers";
        document.body.append(image);
    })""",
    "event stream": """() => new Promise((resolve) => {
        const stream = new EventSource("/numbers");
        stream.onerror = () => { stream.close(); resolve(); };
    })""",
}


@pytest.fixture
def seen() -> list[tuple[str, int, bool]]:
    """Collect path, status and whether the browser said what it was for, of each request."""
    return []


@pytest.fixture
def app(make_app: AppFactory, seen: list[tuple[str, int, bool]]) -> Flask:
    """Build a site with a page to run scripts on, and a guarded view that they ask for."""
    app = make_app()

    @app.get("/page")
    def page() -> str:
        return '<!doctype html><title>Page</title><link rel="icon" href="data:,"><p>Page'

    @app.get("/numbers")
    @login_required
    def numbers() -> dict[str, list[int]]:
        return {"numbers": [1, 2, 3]}

    @app.get("/axios.js")
    def axios() -> Response:
        return Response(AXIOS.read_bytes(), mimetype="text/javascript")

    @app.get("/states")
    def states() -> str:
        return str(session.get("_dingtalk_states", "none"))

    @app.after_request
    def note(response: Response) -> Response:
        seen.append((request.path, response.status_code, "Sec-Fetch-Mode" in request.headers))
        return response

    return app


@contextmanager
def on_intranet(
    app: Flask, simulator: DingTalkSimulator, open_window: OpenWindow, **window: Any
) -> Iterator[Page]:
    """Open a window at the site under a name that only this browser knows."""
    with serving(app) as address:
        base = address.replace("127.0.0.1", INTRANET)
        simulator.application.redirect_urls.append(f"{base}/dingtalk/callback")
        page = open_window(**window)
        page.goto(f"{base}/page")
        yield page


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING)
def test_a_script_gets_401_and_json_and_begins_no_sign_in(
    app: Flask,
    simulator: DingTalkSimulator,
    open_window: OpenWindow,
    seen: list[tuple[str, int, bool]],
    asking: str,
) -> None:
    """A redirect to DingTalk would only be a failed fetch to it."""
    with on_intranet(app, simulator, open_window) as page:
        assert page.evaluate(asking) == [401, "login_required"]
        assert page.evaluate('async () => (await fetch("/states")).text()') == "none"
    # The browser really left out what it would say on localhost.
    assert ("/numbers", 401, False) in seen
    assert not [path for path, _, _ in seen if path.startswith("/dingtalk/")]


@pytest.mark.npm
def test_axios_gets_401_and_json_and_begins_no_sign_in(
    app: Flask,
    simulator: DingTalkSimulator,
    open_window: OpenWindow,
    seen: list[tuple[str, int, bool]],
) -> None:
    """It asks for "application/json, text/plain, */*"."""
    with on_intranet(app, simulator, open_window) as page:
        page.add_script_tag(url="/axios.js")
        assert page.evaluate(AXIOS_ASKING) == [401, "login_required"]
        assert page.evaluate('async () => (await fetch("/states")).text()') == "none"
    assert ("/numbers", 401, False) in seen


@pytest.mark.parametrize("loading", LOADING.values(), ids=LOADING)
def test_what_a_page_loads_begins_no_sign_in(
    app: Flask,
    simulator: DingTalkSimulator,
    open_window: OpenWindow,
    seen: list[tuple[str, int, bool]],
    loading: str,
) -> None:
    """It would push out one that the visitor began in another tab."""
    with on_intranet(app, simulator, open_window) as page:
        page.evaluate(loading)
        assert page.evaluate('async () => (await fetch("/states")).text()') == "none"
    assert ("/numbers", 401, False) in seen
    assert not [path for path, _, _ in seen if path.startswith("/dingtalk/")]


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING)
def test_a_script_that_asks_for_the_sign_in_itself_begins_none(
    app: Flask,
    simulator: DingTalkSimulator,
    open_window: OpenWindow,
    asking: str,
) -> None:
    """Only a page that is opened begins one."""
    with on_intranet(app, simulator, open_window) as page:
        told = page.evaluate(asking.replace("/numbers", "/dingtalk/login"))
        assert told == [401, "login_required"]
        assert page.evaluate('async () => (await fetch("/states")).text()') == "none"


@pytest.mark.parametrize(
    "window",
    [
        pytest.param({}, id="a browser"),
        pytest.param(
            {"user_agent": IN_CLIENT, "headers": {"X-Requested-With": "com.alibaba.android.rimet"}},
            id="the web view of DingTalk on Android",
        ),
    ],
)
def test_a_page_that_is_opened_signs_in_and_then_its_scripts_get_in(
    app: Flask, simulator: DingTalkSimulator, open_window: OpenWindow, window: dict[str, Any]
) -> None:
    """The same guard, and the same browser."""
    with on_intranet(app, simulator, open_window, **window) as page:
        assert page.evaluate(ASKING["fetch"]) == [401, "login_required"]
        page.goto(page.url.replace("/page", "/report"))
        page.get_by_text("张三").click()
        page.get_by_role("button", name="Agree").click()
        page.wait_for_url("**/report")
        assert page.text_content("body") == "Report for 张三"
        assert page.evaluate('async () => (await fetch("/numbers")).json()') == {
            "numbers": [1, 2, 3]
        }
