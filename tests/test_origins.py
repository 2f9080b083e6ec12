"""Whose form is it, where may it lead, and who begins a sign-in: this site and trusted origins."""

from __future__ import annotations

import re

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from flask_dingtalk import ConfigurationError, DingTalk
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import (
    IN_CLIENT,
    SECRET_KEY,
    AppFactory,
    come_back,
    sign_in,
    start,
)
from .markup import with_attribute

FRONT_END = "https://app.example.com"
SECOND = "http://localhost:5173"
#: As the DingTalk client, a browser or a script names what it wants.
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
#: What a browser says of a form on plain http whose site has ``Referrer-Policy: no-referrer``.
HIDDEN = {"Origin": "null"}


@pytest.fixture
def site(make_app: AppFactory, simulator: DingTalkSimulator) -> Flask:
    """Build a site with two trusted origins and a page with a sign-out button."""
    app = make_app(
        DINGTALK_TRUSTED_ORIGINS=[FRONT_END, SECOND],
        DINGTALK_IN_APP_LOGIN=True,
        DINGTALK_CORP_ID=simulator.application.corp_id,
    )

    @app.get("/bye")
    def bye() -> str:
        return render_template_string("{{ dingtalk_logout_button() }}")

    return app


@pytest.fixture
def browser(site: Flask) -> FlaskClient:
    """Open a browser on that site."""
    return site.test_client()


@pytest.fixture
def signed_in(browser: FlaskClient, simulator: DingTalkSimulator) -> FlaskClient:
    """Sign somebody in."""
    sign_in(browser, simulator)
    return browser


def proof_on(client: FlaskClient) -> str:
    """Return the proof in the sign-out button of a page."""
    return with_attribute(client.get("/bye").text, "input", "value")["value"]


def sign_out(client: FlaskClient, headers: dict[str, str], **form: str) -> int:
    """Post a sign-out and return its status."""
    return client.post("/dingtalk/logout", data=form, headers=headers).status_code


def in_app_state(phone: FlaskClient) -> str:
    """Begin a sign-in inside the DingTalk client and return its state."""
    page = phone.get("/dingtalk/login", headers={"User-Agent": IN_CLIENT}).text
    found = re.search('name="state" value="([^"]+)"', page)
    assert found is not None
    return found[1]


# --- Only a navigation begins a sign-in ----------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Accept": "*/*"}, id="fetch, a script or a style"),
        pytest.param({"Accept": "application/json, text/plain, */*"}, id="axios"),
        pytest.param({"Accept": "image/avif,image/webp,*/*;q=0.8"}, id="an image"),
        pytest.param({"Accept": "text/event-stream"}, id="an event stream"),
        pytest.param({**PAGE, "Sec-Fetch-Mode": "cors"}, id="fetch of a page"),
        pytest.param({**PAGE, "X-Requested-With": "XMLHttpRequest"}, id="jQuery"),
    ],
)
def test_only_a_navigation_begins_a_sign_in(
    client: FlaskClient, simulator: DingTalkSimulator, headers: dict[str, str]
) -> None:
    """Anything else is told where to begin one, and no sign-in under way is forgotten for it."""
    state = start(client)
    for _ in range(6):
        answer = client.get("/dingtalk/login?next=/report", headers=headers)
        assert answer.status_code == 401
        assert answer.json == {"error": "login_required", "login_url": "/dingtalk/login"}
        assert answer.headers["Cache-Control"] == "no-store"
    assert come_back(client, state, simulator.authorization_code("zhang")).status_code == 302


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no header at all"),
        pytest.param(PAGE, id="on plain http"),
        pytest.param({**PAGE, "Sec-Fetch-Mode": "navigate"}, id="on https"),
        pytest.param({**PAGE, "X-Requested-With": "com.alibaba.android.rimet"}, id="a web view"),
    ],
)
def test_a_navigation_begins_a_sign_in(client: FlaskClient, headers: dict[str, str]) -> None:
    """In each browser."""
    assert client.get("/dingtalk/login", headers=headers).status_code == 302


# --- Whose form it is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["", "null ", "about:blank", "http://", "http://[", "https://localhost:x", "file://", "中"],
)
def test_an_origin_that_cannot_be_read_is_foreign(client: FlaskClient, origin: str) -> None:
    """Nobody knows who that is."""
    headers = {"Origin": origin.encode().decode("latin-1")}
    assert sign_out(client, headers) == 403


def test_an_origin_that_cannot_be_read_is_foreign_where_our_own_cannot_either(
    client: FlaskClient,
) -> None:
    """Two unknowns are not the same thing."""
    response = client.post(
        "/dingtalk/logout", headers={"Origin": "http://[", "Host": "my_app:8000"}
    )
    assert response.status_code == 403


def test_a_form_whose_origin_is_hidden_needs_a_proof(signed_in: FlaskClient) -> None:
    """A sandboxed frame of somebody else's looks just the same."""
    assert sign_out(signed_in, HIDDEN) == 403
    assert signed_in.get("/").text == "张三"


def test_the_sign_out_button_brings_the_proof_along(signed_in: FlaskClient) -> None:
    """For sites with ``Referrer-Policy: no-referrer`` on plain http."""
    assert sign_out(signed_in, HIDDEN, proof=proof_on(signed_in)) == 303
    assert signed_in.get("/").text == "nobody"


def test_the_proof_works_as_long_as_the_sign_in_lasts(signed_in: FlaskClient) -> None:
    """A page may stay open, and be older than other pages."""
    proof = proof_on(signed_in)
    proof_on(signed_in)
    signed_in.post("/basket")
    assert sign_out(signed_in, HIDDEN, proof=proof) == 303


def test_nobody_elses_proof_will_do(signed_in: FlaskClient, simulator: DingTalkSimulator) -> None:
    """An attacker may have another sign-in and its proof, or none."""
    attacker = signed_in.application.test_client()
    anonymous = proof_on(attacker)
    sign_in(attacker, simulator, "li")
    for proof in (anonymous, proof_on(attacker)):
        assert sign_out(signed_in, HIDDEN, proof=proof) == 403
    assert signed_in.get("/").text == "张三"


def test_the_proof_of_an_earlier_sign_in_will_not_do(
    signed_in: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Also not of one of the same person."""
    proof = proof_on(signed_in)
    sign_in(signed_in, simulator)
    assert sign_out(signed_in, HIDDEN, proof=proof) == 403


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param("", id="empty"),
        pytest.param("made-up", id="made up"),
        pytest.param("A" * 5000, id="long"),
        pytest.param("中文\x00", id="not even ASCII"),
    ],
)
def test_what_was_never_given_out_proves_nothing(signed_in: FlaskClient, proof: str) -> None:
    """Nor is it an error of ours."""
    assert sign_out(signed_in, HIDDEN, proof=proof) == 403


def test_what_is_sealed_for_another_purpose_proves_nothing(signed_in: FlaskClient) -> None:
    """A state is sealed by this application too, and anybody can have one."""
    assert sign_out(signed_in, HIDDEN, proof=start(signed_in)) == 403


def test_a_proof_is_not_a_state(browser: FlaskClient) -> None:
    """The other way round."""
    answer = browser.post("/dingtalk/state", data={"state": proof_on(browser)})
    assert answer.status_code == 400


def test_the_proof_lets_nobody_in_where_the_browser_says_whose_form_it_is(
    signed_in: FlaskClient,
) -> None:
    """The browser knows better."""
    proof = proof_on(signed_in)
    assert sign_out(signed_in, {"Sec-Fetch-Site": "cross-site"} | HIDDEN, proof=proof) == 403
    assert sign_out(signed_in, {"Origin": "https://evil.example"}, proof=proof) == 403


def test_the_sign_out_button_works_with_nobody_signed_in(
    signed_in: FlaskClient, browser: FlaskClient
) -> None:
    """On an open page, and on one that is older than a sign-out in another tab."""
    stale = proof_on(signed_in)
    signed_in.post("/dingtalk/logout")
    assert sign_out(signed_in, HIDDEN, proof=stale) == 303
    assert sign_out(browser, HIDDEN, proof=proof_on(browser)) == 303


def test_the_proof_survives_a_new_secret_key(
    signed_in: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As the sign-in does."""
    proof = proof_on(signed_in)
    signed_in.application.config.update(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[SECRET_KEY])
    assert sign_out(signed_in, HIDDEN, proof=proof) == 303


def test_the_proof_keeps_nothing_in_the_session(browser: FlaskClient) -> None:
    """A page with the button sets no cookie for a visitor who is not signed in."""
    assert "Set-Cookie" not in browser.get("/bye").headers


def test_a_form_whose_origin_is_hidden_signs_in_with_its_state(
    browser: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Inside the DingTalk client: the state is the proof."""
    form = {"state": in_app_state(browser), "code": simulator.in_app_code("zhang")}
    other = browser.application.test_client()
    # Of another browser, it is no use.
    assert other.post("/dingtalk/in-app", data=form, headers=HIDDEN).status_code == 400
    assert browser.post("/dingtalk/in-app", data=form, headers=HIDDEN).status_code == 303


def test_a_form_whose_origin_is_hidden_renews_a_state(browser: FlaskClient) -> None:
    """With one that opens, as there is nothing else to prove."""
    answer = browser.post("/dingtalk/state", data={"state": start(browser)}, headers=HIDDEN)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/dingtalk/in-app", "/dingtalk/state"])
def test_without_a_state_a_form_whose_origin_is_hidden_is_refused(
    browser: FlaskClient, path: str
) -> None:
    """As if it came from elsewhere."""
    for form in ({}, {"state": "made-up"}):
        assert browser.post(path, data=form, headers=HIDDEN).status_code == 403


def test_the_log_says_what_to_do_about_a_hidden_origin(
    browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The proxy is not at fault."""
    sign_out(browser, HIDDEN)
    assert "dingtalk_logout_button" in caplog.text
    assert "ProxyFix" not in caplog.text


# --- Trusted origins -----------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [FRONT_END, SECOND])
@pytest.mark.parametrize(
    "said", [{}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_trusted_origin_may_post_a_sign_out(
    signed_in: FlaskClient, origin: str, said: dict[str, str]
) -> None:
    """Whatever the browser calls the relation of the two."""
    assert sign_out(signed_in, {"Origin": origin, **said}) == 303
    assert signed_in.get("/").text == "nobody"


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil.app.example.com",
        "https://example.com",
        "http://localhost:5174",
    ],
)
def test_what_resembles_a_trusted_origin_is_foreign(signed_in: FlaskClient, origin: str) -> None:
    """Scheme, host and port have to be the same."""
    assert sign_out(signed_in, {"Origin": origin}) == 403
    assert sign_out(signed_in, {"Origin": origin, "Sec-Fetch-Site": "same-site"}) == 403


@pytest.mark.parametrize(
    ("asked", "landing"),
    [
        (f"{FRONT_END}/report?a=1#row", f"{FRONT_END}/report?a=1#row"),
        (FRONT_END, f"{FRONT_END}/"),
        (f"{FRONT_END}?a=1", f"{FRONT_END}/?a=1"),
        (f"{SECOND}/report", f"{SECOND}/report"),
        ("/report", "/report"),
        ("http://localhost/report", "/report"),
    ],
)
def test_next_may_lead_to_a_trusted_origin(
    browser: FlaskClient, simulator: DingTalkSimulator, asked: str, landing: str
) -> None:
    """Both of a sign-in and of a sign-out; the address stays absolute."""
    state = start(browser, next=asked)
    response = come_back(browser, state, simulator.authorization_code("zhang"))
    assert response.location == landing
    assert browser.post("/dingtalk/logout", data={"next": asked}).location == landing


@pytest.mark.parametrize(
    "asked",
    [
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "https://app.example.com:8443/",
        "http://app.example.com/",
        "//app.example.com/report",
        "https:app.example.com/",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com\t.evil.example/",
        "https://app.example.com//evil.example",
        "https://evil.example/https://app.example.com/",
        pytest.param("https://app.example.com/" + "x" * 9000, id="too long"),
    ],
    ids=ascii,
)
def test_next_does_not_lead_to_what_resembles_a_trusted_origin(
    browser: FlaskClient, asked: str
) -> None:
    """Under all tricks of browsers and proxies."""
    assert browser.post("/dingtalk/logout", data={"next": asked}).location == "/"


def test_without_the_setting_next_does_not_lead_there(client: FlaskClient) -> None:
    """No origin is trusted by default."""
    assert client.post("/dingtalk/logout", data={"next": f"{FRONT_END}/"}).location == "/"


@pytest.mark.parametrize("path", ["/report", "/call", "/dingtalk/login"])
def test_a_script_of_a_trusted_origin_gets_an_absolute_login_url(
    browser: FlaskClient, path: str
) -> None:
    """A path would lead to its own origin."""
    url = {"base_url": "https://auth.example.com"}
    script = {"Accept": "application/json"}
    own = browser.get(path, headers=script, **url)
    assert (own.status_code, own.json) == (
        401,
        {"error": "login_required", "login_url": "/dingtalk/login"},
    )
    answer = browser.get(path, headers=script | {"Origin": FRONT_END}, **url)
    assert answer.json is not None
    assert answer.json["login_url"] == "https://auth.example.com/dingtalk/login"
    other = browser.get(path, headers=script | {"Origin": "https://evil.example"}, **url)
    assert other.json == own.json


def test_a_call_as_nobody_tells_a_script_of_a_trusted_origin_the_same(site: Flask) -> None:
    """In a view without a guard."""
    dingtalk: DingTalk = site.extensions["dingtalk"]

    @site.get("/unguarded")
    def unguarded() -> str:
        return dingtalk.get("/v1.0/contact/users/me").text

    headers = {"Accept": "application/json", "Origin": FRONT_END}
    answer = site.test_client().get("/unguarded", headers=headers)
    assert answer.json is not None
    assert answer.json["login_url"] == "http://localhost/dingtalk/login"


# --- The setting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([FRONT_END, SECOND], id="a list"),
        pytest.param((FRONT_END, SECOND), id="a tuple"),
        pytest.param({FRONT_END, SECOND}, id="a set"),
        pytest.param(f"{FRONT_END}, {SECOND}", id="a text"),
        pytest.param(["HTTPS://App.Example.COM:443", SECOND], id="as nobody writes it"),
    ],
)
def test_trusted_origins_may_be_written_in_several_ways(
    make_app: AppFactory, value: object
) -> None:
    """As other lists may."""
    client = make_app(DINGTALK_TRUSTED_ORIGINS=value).test_client()
    for origin in (FRONT_END, SECOND):
        assert sign_out(client, {"Origin": origin}) == 303
    assert sign_out(client, {"Origin": "https://evil.example"}) == 403


@pytest.mark.parametrize("value", [(), [], "", None])
def test_there_need_not_be_any(make_app: AppFactory, value: object) -> None:
    """Then this site trusts itself alone."""
    client = make_app(DINGTALK_TRUSTED_ORIGINS=value).test_client()
    assert sign_out(client, {"Origin": "http://localhost"}) == 303
    assert sign_out(client, {"Origin": FRONT_END}) == 403


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "null",
        "app.example.com",
        "//app.example.com",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?a=1",
        "https://app.example.com#a",
        "https://user@app.example.com",
        "https://app.example.com:port",
        "https://app.example.com:70000",
        "https://",
        "ftp://app.example.com",
        "https://app .example.com",
        "https://app.example.com\\x",
        "https://例子.example",
        5,
        [5],
        True,
        {"https://app.example.com": True},
    ],
    ids=ascii,
)
def test_what_is_not_an_origin_is_refused_by_name(make_app: AppFactory, value: object) -> None:
    """A wildcard or a path would promise what no browser tells."""
    with pytest.raises(ConfigurationError, match="DINGTALK_TRUSTED_ORIGINS"):
        make_app(DINGTALK_TRUSTED_ORIGINS=value)


# --- Where a sign-out leads ----------------------------------------------------------------------


def test_a_landing_path_is_below_the_mount_of_the_site(make_app: AppFactory) -> None:
    """And a ``next`` is taken as it was asked for."""
    client = make_app(DINGTALK_LOGOUT_REDIRECT="/goodbye").test_client()
    base = {"base_url": "http://localhost/portal/"}
    assert client.post("/dingtalk/logout", **base).location == "/portal/goodbye"
    answer = client.post("/dingtalk/logout", data={"next": "/portal/x"}, **base)
    assert answer.location == "/portal/x"
