"""``dingtalk_qr()`` in a page of the site, and ``POST …/state``, which keeps such a page usable."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from flask import Flask, Response, make_response, render_template_string, request
from flask.testing import FlaskClient

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import FROM_ELSEWHERE, NO_STATES, AppFactory, build_site, come_back, query_of, start
from .markup import links, tags, with_attribute

NOON = "2030-01-01 12:00:00"
JSON = {"Accept": "application/json"}


def with_qr(app: Flask) -> Flask:
    """Add a page with the code; its arguments come from the query."""

    @app.get("/scan")
    def scan() -> Response:
        given: dict[str, Any] = request.args.to_dict()
        template = "<!doctype html><title>Site</title>{{ dingtalk_qr(**given) }}"
        response = make_response(render_template_string(template, given=given))
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    return app


@pytest.fixture
def site(make_app: AppFactory) -> Flask:
    """Build a site with default settings and a page with the code."""
    return with_qr(make_app())


@pytest.fixture
def browser(site: Flask) -> FlaskClient:
    """Open a browser on it."""
    return site.test_client()


def options_of(page: str) -> dict[str, Any]:
    """Return what a page hands to its script."""
    options: dict[str, Any] = json.loads(
        with_attribute(page, "div", "data-dingtalk-qr")["data-dingtalk-qr"]
    )
    return options


def show(client: FlaskClient, **arguments: str) -> dict[str, Any]:
    """Load the page with the code; return what it hands to its script."""
    response = client.get("/scan", query_string=arguments)
    assert response.status_code == 200
    return options_of(response.text)


def state_for(client: FlaskClient, next: str) -> str:
    """Load the page with the code and return its state."""
    return str(show(client, next=next)["login"]["state"])


def renew(client: FlaskClient, state: str | None, **headers: str) -> Any:
    """Ask for a state that will last, as the page does."""
    data = {} if state is None else {"state": state}
    return client.post("/dingtalk/state", data=data, headers=JSON | headers)


# --- The page ------------------------------------------------------------------------------------


def test_the_code_gets_what_dingtalks_script_requires(
    browser: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Six parameters; the callback alone is percent-encoded by the page, once."""
    login = show(browser)["login"]
    assert login.pop("state")
    assert login == {
        "client_id": simulator.application.client_id,
        "redirect_uri": "http%3A%2F%2Flocalhost%2Fdingtalk%2Fcallback",
        "response_type": "code",
        "scope": "openid",
        "prompt": "consent",
    }


def test_a_configured_redirect_uri_is_the_one_that_is_encoded(make_app: AppFactory) -> None:
    """With its query."""
    registered = "http://localhost/dingtalk/callback?from=ding%20talk"
    app = with_qr(make_app(DINGTALK_REDIRECT_URI=registered))
    login = show(app.test_client())["login"]
    assert login["redirect_uri"] == (
        "http%3A%2F%2Flocalhost%2Fdingtalk%2Fcallback%3Ffrom%3Dding%2520talk"
    )


def test_optional_settings_become_parameters_of_the_code(make_app: AppFactory) -> None:
    """The spelling is DingTalk's, mixed as it is."""
    app = with_qr(
        make_app(
            DINGTALK_SCOPE="openid corpid",
            DINGTALK_CORP_ID="ding1",
            DINGTALK_ORG_TYPE="management",
            DINGTALK_EXCLUSIVE_LOGIN=True,
            DINGTALK_EXCLUSIVE_CORP_ID="ding2",
        )
    )
    login = show(app.test_client())["login"]
    assert login["scope"] == "openid corpid"
    assert login["corpId"] == "ding1"
    assert login["org_type"] == "management"
    assert login["exclusiveLogin"] == "true"
    assert login["exclusiveCorpId"] == "ding2"


def test_the_code_needs_no_org_type(make_app: AppFactory) -> None:
    """The organisation to preselect is enough for the scope with corpid."""
    app = with_qr(make_app(DINGTALK_SCOPE="openid corpid", DINGTALK_CORP_ID="ding1"))
    login = show(app.test_client())["login"]
    assert login["corpId"] == "ding1"
    assert "org_type" not in login


@pytest.mark.parametrize(
    ("arguments", "pixels"),
    [
        pytest.param({}, 300, id="unless asked for"),
        pytest.param({"size": "360"}, 360, id="larger"),
        pytest.param({"size": "100"}, 280, id="smaller than DingTalk knows"),
        pytest.param({"size": "333.3"}, 333, id="not a whole number"),
    ],
)
def test_the_code_has_the_size_asked_for(
    browser: FlaskClient, arguments: dict[str, str], pixels: int
) -> None:
    """The container keeps the room from the start, so that nothing jumps."""
    page = browser.get("/scan", query_string=arguments).text
    frame = options_of(page)["frame"]
    assert (frame["width"], frame["height"]) == (pixels, pixels)
    place = page.partition(f'id="{frame["id"]}"')[2]
    room = tags(place, "svg")[0]
    assert (room["width"], room["height"]) == (str(pixels), str(pixels))


@pytest.mark.parametrize("size", ["large", "nan", "inf"])
def test_a_size_that_is_no_number_is_the_templates_mistake(browser: FlaskClient, size: str) -> None:
    """It raises at once, instead of leaving a script that does nothing."""
    with pytest.raises((ValueError, OverflowError)):
        browser.get("/scan", query_string={"size": size})


def test_a_nonce_stands_on_every_script_and_style(browser: FlaskClient) -> None:
    """And on no page that was not given one."""
    page = browser.get("/scan?nonce=n0nce").text
    styles, scripts = tags(page, "link"), tags(page, "script")
    assert styles
    assert len(scripts) == 2
    assert {each.get("nonce") for each in (*styles, *scripts)} == {"n0nce"}
    assert "nonce" not in browser.get("/scan").text


def test_the_script_comes_from_the_configured_address(make_app: AppFactory) -> None:
    """A copy on the site's own host, say."""
    app = with_qr(make_app(DINGTALK_QR_SCRIPT_URL="https://cdn.example.com/ddlogin.js"))
    page = app.test_client().get("/scan").text
    assert "https://cdn.example.com/ddlogin.js" in [each["src"] for each in tags(page, "script")]


def test_our_own_script_and_style_are_served_and_may_be_cached(browser: FlaskClient) -> None:
    """They contain nothing personal."""
    page = browser.get("/scan").text
    ours = [each["src"] for each in tags(page, "script")] + [
        each["href"] for each in tags(page, "link")
    ]
    for address in (each for each in ours if each.startswith("/")):
        with browser.get(address) as response:
            assert response.status_code == 200
            # After an update, an old script must not be left beside a new page.
            assert response.headers["Cache-Control"] == "no-cache"


def test_a_page_with_a_code_says_that_it_depends_on_the_language(browser: FlaskClient) -> None:
    """Caches must know that."""
    assert "Accept-Language" in browser.get("/scan").headers["Vary"]


def test_a_page_with_a_code_is_kept_out_of_caches(browser: FlaskClient) -> None:
    """Whatever the view said: it holds a sign-in of this browser."""
    assert browser.get("/scan").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("language", "label", "message", "button"),
    [
        ("en-GB,en;q=0.9", "DingTalk&#39;s QR code", "cannot be shown here", "Sign in with"),
        ("zh-CN,zh;q=0.9,en;q=0.5", "钉钉二维码", "无法显示二维码", "使用钉钉登录"),
    ],
    ids=["English", "Chinese"],
)
def test_every_text_of_the_code_is_in_the_visitors_language(
    browser: FlaskClient, language: str, label: str, message: str, button: str
) -> None:
    """The label for screen readers, the messages, the button."""
    page = browser.get("/scan", headers={"Accept-Language": language}).text
    assert label in page
    assert message in page
    assert button in page


def test_the_button_beside_the_code_leads_to_the_same_place(browser: FlaskClient) -> None:
    """It is for browsers that cannot show the code."""
    page = browser.get("/scan", query_string={"next": "/report?a=1"}).text
    assert links(page) == ["/dingtalk/login?next=/report?a%3D1"]


def test_two_codes_on_one_page_have_places_of_their_own(browser: FlaskClient, site: Flask) -> None:
    """They also have separate states."""

    @site.get("/two")
    def two() -> str:
        return render_template_string("{{ dingtalk_qr() }}{{ dingtalk_qr() }}")

    page = browser.get("/two").text
    options = [
        json.loads(each["data-dingtalk-qr"])
        for each in tags(page, "div")
        if "data-dingtalk-qr" in each
    ]
    assert len({each["frame"]["id"] for each in options}) == 2
    assert len({each["login"]["state"] for each in options}) == 2


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        pytest.param(
            {"DINGTALK_SCOPE": "openid corpid"}, "DINGTALK_CORP_ID", id="scope with corpid"
        ),
        pytest.param(
            {"DINGTALK_ALLOWED_CORP_IDS": ["ding1"]}, "DINGTALK_CORP_ID", id="organisations"
        ),
        pytest.param(
            {"DINGTALK_EXCLUSIVE_LOGIN": True}, "DINGTALK_EXCLUSIVE_CORP_ID", id="exclusive"
        ),
    ],
)
def test_settings_that_no_code_works_with_are_a_configuration_error(
    make_app: AppFactory,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    missing: str,
) -> None:
    """The log names what is missing."""
    response = with_qr(make_app(**settings)).test_client().get("/scan", headers=JSON)
    assert (response.status_code, response.json and response.json["error"]) == (
        500,
        "configuration_error",
    )
    assert f"wants {missing}" in caplog.text


# --- The way in ----------------------------------------------------------------------------------


def test_the_state_of_the_page_works_at_the_callback_once(
    browser: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Whoever scanned lands on next; the state is used up then."""
    state = state_for(browser, "/report?month=5")
    response = come_back(browser, state, simulator.authorization_code("li"))
    assert (response.status_code, response.location) == (302, "/report?month=5")
    assert browser.get("/").text == "李四"
    assert come_back(browser, state, simulator.authorization_code("wang")).status_code == 400


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("https://evil.example.com/", id="another site"),
        pytest.param("//evil.example.com/", id="without scheme"),
        pytest.param("/\\evil.example.com/", id="backslash"),
        pytest.param("/dingtalk/state", id="a route of ours"),
        pytest.param("/dingtalk/in-app", id="the other route of ours"),
    ],
)
def test_a_code_leads_nowhere_but_to_a_page_of_this_site(
    browser: FlaskClient, simulator: DingTalkSimulator, target: str
) -> None:
    """Anything else counts as not asked for."""
    state = state_for(browser, target)
    assert come_back(browser, state, simulator.authorization_code("li")).location == "/"


def test_a_code_on_another_host_than_its_callback_is_reported_in_the_log(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Scanning has no effect there, and DingTalk says nothing."""
    show(with_qr(make_app(DINGTALK_REDIRECT_URI="https://portal.example.com/cb")).test_client())
    assert "DINGTALK_REDIRECT_URI" in caplog.text


# --- Renewal -------------------------------------------------------------------------------------


@pytest.fixture
def anywhere(make_app: AppFactory, session_settings: Callable[[Flask], Flask]) -> FlaskClient:
    """Open a browser on a site with a code, with each session interface in turn."""
    return with_qr(session_settings(make_app())).test_client()


def test_a_young_state_is_answered_as_it_is(anywhere: FlaskClient) -> None:
    """A person who is about to scan is not disturbed."""
    with time_machine.travel(NOON, tick=False) as clock:
        state = state_for(anywhere, "/report")
        clock.shift(300)
        answer = renew(anywhere, state)
    assert answer.status_code == 200
    assert answer.json == {"state": state, "renew_after": 240}


def test_an_older_state_is_replaced_by_one_that_leads_to_the_same_place(
    anywhere: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """After half of its life; the new one lives as long as any."""
    with time_machine.travel(NOON, tick=False) as clock:
        state = state_for(anywhere, "/report")
        clock.shift(301)
        answer = renew(anywhere, state)
        assert answer.json["state"] != state
        assert answer.json["renew_after"] == 540
        clock.shift(599)
        response = come_back(anywhere, answer.json["state"], simulator.authorization_code("li"))
    assert (response.status_code, response.location) == (302, "/report")


def test_a_replaced_state_works_no_more(
    anywhere: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Each page has one sign-in; a renewal does not add another."""
    with time_machine.travel(NOON, tick=False) as clock:
        state = state_for(anywhere, "/report")
        clock.shift(301)
        renew(anywhere, state)
        assert come_back(anywhere, state, simulator.authorization_code("li")).status_code == 400


def test_a_state_renewed_after_its_end_still_leads_to_next(
    anywhere: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A laptop was closed over lunch."""
    with time_machine.travel(NOON, tick=False) as clock:
        state = state_for(anywhere, "/report")
        clock.shift(7200)
        fresh = renew(anywhere, state).json["state"]
        response = come_back(anywhere, fresh, simulator.authorization_code("li"))
    assert (response.status_code, response.location) == (302, "/report")


def test_renewing_one_page_again_and_again_costs_no_other_page_its_sign_in(
    anywhere: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It stays one of the five that a browser may have under way."""
    with time_machine.travel(NOON, tick=False) as clock:
        state = state_for(anywhere, "/watched")
        clock.shift(1200)
        others = {target: start(anywhere, target) for target in ("/a", "/b", "/c", "/d")}
        for _ in range(3):
            state = renew(anywhere, state).json["state"]
            clock.shift(301)
            others = {
                target: renew(anywhere, other).json["state"] for target, other in others.items()
            }
        for target, other in {**others, "/watched": state}.items():
            response = come_back(anywhere, other, simulator.authorization_code("li"))
            assert (response.status_code, response.location) == (302, target)


def test_of_more_pages_than_are_remembered_the_one_looked_at_works(
    anywhere: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It gets a new state when it comes into view; its target is forgotten with the old one."""
    states = [state_for(anywhere, f"/page/{number}") for number in range(7)]
    fresh = renew(anywhere, states[0]).json["state"]
    assert fresh != states[0]
    response = come_back(anywhere, fresh, simulator.authorization_code("li"))
    assert (response.status_code, response.location) == (302, "/")


def test_a_state_that_was_used_is_replaced(
    anywhere: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Somebody signed in, went back to the page, and wants to sign in as somebody else."""
    state = state_for(anywhere, "/report")
    come_back(anywhere, state, simulator.authorization_code("li"))
    fresh = renew(anywhere, state).json["state"]
    assert fresh != state
    assert come_back(anywhere, fresh, simulator.authorization_code("zhang")).status_code == 302
    assert anywhere.get("/").text == "张三"


def test_how_long_a_state_lasts_is_a_setting_of_the_site(make_app: AppFactory) -> None:
    """DINGTALK_STATE_LIFETIME; the page comes for another one before the end."""
    browser = with_qr(make_app(DINGTALK_STATE_LIFETIME=20)).test_client()
    with time_machine.travel(NOON, tick=False) as clock:
        options = show(browser)
        assert options["renewal"] == {"url": "/dingtalk/state", "after": 15}
        clock.shift(11)
        assert renew(browser, options["login"]["state"]).json["renew_after"] == 15


def test_a_state_of_another_browser_stays_of_no_use_there(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """Renewing it yields a new state for this browser and does not affect the other."""
    victim, thief = site.test_client(), site.test_client()
    state = state_for(victim, "/report")
    own = renew(thief, state).json["state"]
    assert own != state
    assert come_back(victim, own, simulator.authorization_code("wang")).status_code == 400
    assert come_back(victim, state, simulator.authorization_code("li")).status_code == 302


@pytest.mark.parametrize("state", NO_STATES)
def test_a_state_that_was_never_given_out_is_not_renewed(
    browser: FlaskClient, state: str | None
) -> None:
    """The script of the page learns why."""
    answer = renew(browser, state)
    assert answer.status_code == 400
    assert answer.json["error"] == "invalid_state"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_renewal_that_is_refused_is_in_the_log(
    browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """With the usual causes."""
    assert renew(browser, "made-up").status_code == 400
    assert "DingTalk's QR code cannot be renewed" in caplog.text
    assert "SECRET_KEY" in caplog.text


def test_a_renewal_is_never_cached(browser: FlaskClient) -> None:
    """It belongs to one browser and one moment."""
    assert renew(browser, state_for(browser, "/")).headers["Cache-Control"] == "no-store"


def test_a_renewal_cannot_be_asked_for_by_an_address(browser: FlaskClient) -> None:
    """GET is refused, and the refusal not cached."""
    response = browser.get("/dingtalk/state")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
def test_a_renewal_for_a_page_of_another_origin_is_refused(
    browser: FlaskClient, headers: dict[str, str]
) -> None:
    """It would push this browser's own sign-ins out."""
    answer = renew(browser, state_for(browser, "/"), **headers)
    assert answer.status_code == 403
    assert answer.json["error"] == "not_permitted"


def test_a_site_all_of_whose_views_are_guarded_can_still_show_a_code(
    simulator: DingTalkSimulator,
) -> None:
    """The sign-in page works for anonymous visitors."""
    app = build_site({"SECRET_KEY": "k", "DINGTALK_LOGIN_PAGE": True, **simulator.settings})
    app.extensions["dingtalk"].protect(app)
    client = app.test_client()
    page = client.get("/dingtalk/login?next=/report").text
    for each in tags(page, "link"):
        with client.get(each["href"]) as response:
            assert response.status_code == 200
    state = options_of(page)["login"]["state"]
    assert renew(client, state).json["state"] == state


def test_a_page_without_room_in_its_cookie_for_a_sign_in_says_so(
    browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Browsers would drop the cookie without a word."""
    with browser.session_transaction() as session:
        session["basket"] = random.Random(1).randbytes(2590).hex()
    assert browser.get("/scan").status_code == 500
    assert "Flask-Session" in caplog.text


def test_the_sign_in_link_and_the_code_ask_for_the_same(
    browser: FlaskClient,
) -> None:
    """Only the state and the encoding of the callback differ."""
    link = query_of(browser.get("/dingtalk/login").headers["Location"])
    code = show(browser)["login"]
    assert link.keys() == code.keys()
    for name in link.keys() - {"state", "redirect_uri"}:
        assert link[name] == code[name]
