"""Beside other extensions: Flask-WTF's CSRFProtect, and frameworks that handle every error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from flask import Flask, render_template_string, request
from flask.testing import FlaskClient
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from flask_dingtalk import DingTalk, DingTalkError, InvalidState, current_dingtalk_user
from flask_dingtalk import login_required as guarded
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import (
    IN_CLIENT,
    SECRET_KEY,
    sign_in,
    start,
)
from .markup import tags, with_attribute

#: The frameworks for the oldest Flask define their schemas as newer versions advise against.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en"}
SCRIPT = {"Accept": "application/json"}
#: The forms that a site may sign out with: the button, and that of the README.
SIGN_OUT_FORMS = [
    pytest.param("{{ dingtalk_logout_button() }}", id="the button"),
    pytest.param(
        """<form method="post" action="{{ url_for('dingtalk.logout') }}"><button>x</button>""",
        id="a form of the site's own",
    ),
]

Order = Literal["before", "after"]

# --- Flask-WTF -----------------------------------------------------------------------------------


@pytest.fixture(params=["before", "after"])
def protected(request: pytest.FixtureRequest, simulator: DingTalkSimulator) -> Flask:
    """Build a site with ``CSRFProtect``, initialised before this extension or after it."""
    app = Flask("site")
    app.config.update(
        simulator.settings,
        SECRET_KEY=SECRET_KEY,
        DINGTALK_IN_APP_LOGIN=True,
        DINGTALK_CORP_ID=simulator.application.corp_id,
    )
    dingtalk, csrf = DingTalk(), CSRFProtect()
    steps = [csrf.init_app, dingtalk.init_app]
    for step in steps if request.param == "before" else reversed(steps):
        step(app)

    @app.get("/")
    def home() -> str:
        return current_dingtalk_user.nick or "nobody"

    @app.post("/order")
    def order() -> str:
        return "ordered"

    return app


def test_flask_wtf_goes_on_protecting_the_sites_own_forms(protected: Flask) -> None:
    """Also after somebody used a route of ours."""
    client = protected.test_client()
    client.post("/dingtalk/logout")
    assert client.post("/order").status_code == 400


@pytest.mark.parametrize("form", SIGN_OUT_FORMS)
def test_signing_out_needs_no_token_of_flask_wtf(
    protected: Flask, simulator: DingTalkSimulator, form: str
) -> None:
    """With the very form that the page holds, from the very first request on."""

    @protected.get("/page")
    def page() -> str:
        return render_template_string(form)

    browser = protected.test_client()
    sign_in(browser, simulator)
    markup = browser.get("/page").text
    fields = {each["name"]: each["value"] for each in tags(markup, "input")}
    action = with_attribute(markup, "form", "method")["action"]
    assert browser.post(action, data=fields).status_code == 303
    assert browser.get("/").text == "nobody"


def test_signing_out_is_the_first_request_of_a_process(protected: Flask) -> None:
    """Nothing had to happen before."""
    assert protected.test_client().post("/dingtalk/logout").status_code == 303


def test_signing_in_inside_the_client_needs_no_token_of_flask_wtf(
    protected: Flask, simulator: DingTalkSimulator
) -> None:
    """With the fields of the page inside the client."""
    phone = protected.test_client()
    page = phone.get("/dingtalk/login", headers={"User-Agent": IN_CLIENT}).text
    fields = {each["name"]: each["value"] for each in tags(page, "input")}
    fields["code"] = simulator.in_app_code("zhang")
    assert phone.post("/dingtalk/in-app", data=fields).status_code == 303
    assert phone.get("/").text == "张三"


def test_renewing_a_state_needs_no_token_of_flask_wtf(protected: Flask) -> None:
    """The page with the QR code has none."""
    browser = protected.test_client()
    answer = browser.post("/dingtalk/state", data={"state": start(browser)})
    assert answer.status_code == 200


def test_beside_flask_wtf_a_form_of_another_site_is_still_refused(protected: Flask) -> None:
    """By this extension's own check."""
    headers = {"Origin": "https://evil.example"}
    assert protected.test_client().post("/dingtalk/logout", headers=headers).status_code == 403


# --- Frameworks that handle every error ----------------------------------------------------------


def _apiflask(config: dict[str, Any], order: Order) -> Flask:
    from apiflask import APIFlask

    app: Flask = APIFlask("site")
    app.config.update(config)
    DingTalk(app)
    return app


def _smorest(config: dict[str, Any], order: Order) -> Flask:
    from flask_smorest import Api

    app = Flask("site")
    app.config.update(config, API_TITLE="t", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    if order == "before":
        Api(app)
    DingTalk(app)
    if order == "after":
        Api(app)
    return app


def _by_hand(config: dict[str, Any], order: Order) -> Flask:
    app = Flask("site")
    app.config.update(config)

    def say(error: HTTPException) -> tuple[dict[str, Any], int]:
        return {"status": error.name}, error.code or 500

    if order == "before":
        app.register_error_handler(HTTPException, say)
    DingTalk(app)
    if order == "after":
        app.register_error_handler(HTTPException, say)
    return app


@pytest.fixture(
    params=[
        pytest.param((_apiflask, "before"), id="APIFlask"),
        pytest.param((_smorest, "before"), id="flask-smorest before"),
        pytest.param((_smorest, "after"), id="flask-smorest after"),
        pytest.param((_by_hand, "before"), id="a handler before"),
        pytest.param((_by_hand, "after"), id="a handler after"),
    ]
)
def framed(request: pytest.FixtureRequest, simulator: DingTalkSimulator) -> Flask:
    """Build a site with something that handles every ``HTTPException``."""
    build: Callable[[dict[str, Any], Order], Flask]
    build, order = request.param
    app = build({**simulator.settings, "SECRET_KEY": SECRET_KEY}, order)

    @app.get("/report")
    @guarded
    def report() -> str:
        return "Report"

    @app.get("/finance")
    @guarded(check=lambda user: False)
    def finance() -> str:
        return "Finance"

    return app


def test_a_person_gets_a_page_on_our_own_routes(framed: Flask) -> None:
    """With a way on, and what the page wants in its headers."""
    answer = framed.test_client().get("/dingtalk/callback", headers=PAGE)
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "This sign-in is no longer valid" in answer.text
    assert 'href="/dingtalk/login"' in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_refused_form_gets_a_page(framed: Flask) -> None:
    """On a route that is posted to."""
    headers = PAGE | {"Origin": "https://evil.example"}
    answer = framed.test_client().post("/dingtalk/logout", headers=headers)
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "You do not have access" in answer.text


def test_a_page_that_waits_keeps_its_headers(framed: Flask, simulator: DingTalkSimulator) -> None:
    """Or it would not load itself again."""
    browser = framed.test_client()
    state, code = start(browser), simulator.authorization_code("zhang")
    simulator.fail("userAccessToken", throttled=True)
    answer = browser.get(f"/dingtalk/callback?state={state}&code={code}", headers=PAGE)
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert {"Retry-After", "Refresh"} <= set(answer.headers.keys())


def test_a_script_gets_our_json_on_our_own_routes(framed: Flask) -> None:
    """As everywhere else without a framework."""
    answer = framed.test_client().get("/dingtalk/callback", headers=SCRIPT)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"] == "invalid_state"


def test_on_the_sites_own_views_the_framework_speaks(
    framed: Flask, simulator: DingTalkSimulator
) -> None:
    """The site has chosen it."""
    browser = framed.test_client()
    sign_in(browser, simulator)
    answer = browser.get("/finance", headers=PAGE)
    assert (answer.status_code, answer.mimetype) == (403, "application/json")


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("handled", [DingTalkError, InvalidState])
def test_the_sites_own_handler_for_our_errors_wins(
    simulator: DingTalkSimulator, order: Order, handled: type[DingTalkError]
) -> None:
    """Whenever it is registered, for the base class or for one error, on all routes."""
    app = Flask("site")
    app.config.update(simulator.settings, SECRET_KEY=SECRET_KEY)

    def say(error: DingTalkError) -> tuple[str, int]:
        return f"the site: {error.error_code}", 418

    if order == "before":
        app.register_error_handler(handled, say)
    app.register_error_handler(HTTPException, lambda error: ("every error", 500))
    DingTalk(app)
    if order == "after":
        app.register_error_handler(handled, say)

    answer = app.test_client().get("/dingtalk/callback", headers=PAGE)
    assert (answer.status_code, answer.text) == (418, "the site: invalid_state")


def test_the_handler_of_an_error_of_the_sites_own_wins(simulator: DingTalkSimulator) -> None:
    """A hook may refuse with a class that the site derived from ours."""

    class NotOnPayday(DingTalkError):
        """Nobody comes in then."""

    app = Flask("site")
    app.config.update(simulator.settings, SECRET_KEY=SECRET_KEY)
    dingtalk = DingTalk(app)
    app.register_error_handler(DingTalkError, lambda error: ("any", 500))
    app.register_error_handler(NotOnPayday, lambda error: ("not on payday", 403))

    @dingtalk.on_login
    def refuse(user: object, token: object) -> None:
        raise NotOnPayday

    assert sign_in(app.test_client(), simulator).text == "not on payday"


def test_an_async_handler_of_the_site_wins(simulator: DingTalkSimulator) -> None:
    """Flask has ways to call it."""
    app = Flask("site")
    app.config.update(simulator.settings, SECRET_KEY=SECRET_KEY)
    DingTalk(app)

    @app.errorhandler(DingTalkError)
    async def say(error: DingTalkError) -> tuple[str, int]:
        return f"the site: {request.path}", 418

    answer = app.test_client().get("/dingtalk/callback", headers=PAGE)
    assert (answer.status_code, answer.text) == (418, "the site: /dingtalk/callback")


def test_the_guards_401_goes_through_a_view_that_describes_its_output(
    simulator: DingTalkSimulator,
) -> None:
    """APIFlask serialises whatever is not an answer of the app's own kind."""
    from apiflask import APIFlask, Schema
    from apiflask.fields import String

    class Profile(Schema):  # type: ignore[misc]  # untyped base class
        nick = String()

    app = APIFlask("site")
    app.config.update(simulator.settings, SECRET_KEY=SECRET_KEY)
    DingTalk(app)

    @app.get("/me")  # type: ignore[untyped-decorator]
    @app.output(Profile)  # type: ignore[untyped-decorator]
    @guarded
    def me() -> Any:
        return {"nick": current_dingtalk_user.nick}

    browser: FlaskClient = app.test_client()
    answer = browser.get("/me", headers=SCRIPT)
    assert answer.status_code == 401
    assert answer.json == {"error": "login_required", "login_url": "/dingtalk/login"}
    sign_in(browser, simulator)
    assert browser.get("/me", headers=SCRIPT).json == {"nick": "张三"}
