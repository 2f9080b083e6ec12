"""``DINGTALK_LOGIN_PAGE``, the site's own templates, and callbacks in another browser."""

from __future__ import annotations

import random
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient
from jinja2 import DictLoader

from flask_dingtalk import DingTalk
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import IN_CLIENT, AppFactory, come_back, query_of, start
from .markup import links, tags, with_attribute


@pytest.fixture
def site(make_app: AppFactory) -> Flask:
    """Build a site with a sign-in page."""
    return make_app(DINGTALK_LOGIN_PAGE=True)


@pytest.fixture
def browser(site: Flask) -> FlaskClient:
    """Open a browser on it."""
    return site.test_client()


# --- The page ------------------------------------------------------------------------------------


def test_the_sign_in_page_has_the_code_and_the_button(browser: FlaskClient) -> None:
    """Both lead to where the sign-in was asked to; the button goes on to DingTalk at once."""
    response = browser.get("/dingtalk/login?next=/report")
    assert response.status_code == 200
    assert with_attribute(response.text, "div", "data-dingtalk-qr")
    for href in links(response.text):
        assert query_of(href) == {"next": "/report", "via": "redirect"}
        redirected = browser.get(href)
        assert (redirected.status_code, "/oauth2/auth?" in redirected.headers["Location"]) == (
            302,
            True,
        )


def test_a_guard_leads_to_the_sign_in_page(
    browser: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """And from there to the guarded page."""
    response = browser.get("/report?month=5", follow_redirects=True)
    state = query_of(browser.get(links(response.text)[0]).headers["Location"])["state"]
    landed = come_back(browser, state, simulator.authorization_code("li"))
    assert landed.location == "/report?month=5"


@pytest.mark.parametrize(
    ("language", "lang", "title"),
    [
        ("en-GB,en;q=0.9", "en", "Sign in"),
        ("zh-CN,zh;q=0.9,en;q=0.5", "zh-CN", "登录"),
        ("de", "en", "Sign in"),
    ],
    ids=["English", "Chinese", "another"],
)
def test_the_sign_in_page_speaks_the_visitors_language(
    browser: FlaskClient, language: str, lang: str, title: str
) -> None:
    """For screen readers, too."""
    page = browser.get("/dingtalk/login", headers={"Accept-Language": language}).text
    assert f'<html lang="{lang}">' in page
    assert f"<h1>{title}</h1>" in page


def test_the_sign_in_page_is_kept_out_of_caches(browser: FlaskClient) -> None:
    """It holds a sign-in of this browser."""
    assert browser.get("/dingtalk/login").headers["Cache-Control"] == "no-store"


def test_the_sign_in_page_tells_no_other_site_its_address(browser: FlaskClient) -> None:
    """Referrers contain only the origin, without ``next``."""
    response = browser.get("/dingtalk/login?next=/salaries")
    assert response.headers["Referrer-Policy"] == "strict-origin"


def test_the_sign_in_page_admits_scripts_and_frames_of_dingtalk_alone(
    browser: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Its policy names DingTalk's two origins and no others."""
    page = browser.get("/dingtalk/login").text
    metas = [each for each in tags(page, "meta") if "http-equiv" in each]
    (policy,) = (each["content"] for each in metas)
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'self' {simulator.url};" in policy
    assert f"frame-src {simulator.url};" in policy
    assert "unsafe" not in policy


def test_the_sign_in_page_stays_out_of_other_sites_frames(browser: FlaskClient) -> None:
    """In a frame, another site could show its visitors this code."""
    assert browser.get("/dingtalk/login").headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("user_agent", ["Mozilla/5.0", IN_CLIENT], ids=["sign-in", "client"])
def test_pages_of_ours_carry_the_nonce_of_the_sites_own_policy(
    make_app: AppFactory, simulator: DingTalkSimulator, user_agent: str
) -> None:
    """By the name that Flask-Talisman gives to it."""
    app = make_app(
        DINGTALK_LOGIN_PAGE=True,
        DINGTALK_IN_APP_LOGIN=True,
        DINGTALK_CORP_ID=simulator.application.corp_id,
    )
    app.jinja_env.globals["csp_nonce"] = lambda: "n0nce"
    page = app.test_client().get("/dingtalk/login", headers={"User-Agent": user_agent}).text
    styles = [each for each in tags(page, "link") if each["rel"] == "stylesheet"]
    scripts = tags(page, "script")
    assert len(scripts) == 2
    assert {each.get("nonce") for each in (*styles, *scripts)} == {"n0nce"}


@pytest.mark.parametrize("query", ["?next=/report&via=redirect", "?via=redirect"])
def test_a_link_can_pass_the_sign_in_page_by(browser: FlaskClient, query: str) -> None:
    """To DingTalk at once."""
    response = browser.get(f"/dingtalk/login{query}")
    assert response.status_code == 302
    assert "/oauth2/auth?" in response.headers["Location"]


def test_a_button_on_the_sites_own_page_leads_to_dingtalk_at_once(
    browser: FlaskClient, site: Flask
) -> None:
    """People who clicked to sign in do not see the sign-in page."""

    @site.get("/welcome")
    def welcome() -> str:
        return render_template_string("{{ dingtalk_button('/report') }}")

    (href,) = links(browser.get("/welcome").text)
    assert query_of(href) == {"next": "/report", "via": "redirect"}


def test_a_nonce_stands_on_the_style_of_a_button(app: Flask) -> None:
    """The site's policy may require it."""

    @app.get("/welcome")
    def welcome() -> str:
        return render_template_string("{{ dingtalk_button('/report', nonce='n0nce') }}")

    page = app.test_client().get("/welcome").text
    assert {each.get("nonce") for each in tags(page, "link")} == {"n0nce"}


def test_a_sign_in_page_that_no_sign_in_could_come_back_to_is_reported_once(
    browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The site's own data leaves its cookie no room for the state."""
    with browser.session_transaction() as session:
        session["basket"] = random.Random(1).randbytes(2590).hex()
    response = browser.get("/dingtalk/login")
    assert (response.status_code, "configuration_error" in response.text) == (500, True)
    assert len([text for text in caplog.messages if "Flask-Session" in text]) == 1


def test_without_the_setting_there_is_no_sign_in_page(client: FlaskClient) -> None:
    """The sign-in redirects at once."""
    assert client.get("/dingtalk/login").status_code == 302


def test_the_walk_of_the_simulator_gets_through_the_sign_in_page(
    browser: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A site with one is tested like any other."""
    assert simulator.sign_in(browser, "zhang", next="/report").location == "/report"
    assert browser.get("/").text == "张三"


@pytest.mark.parametrize("prefix", ["/dingtalk", "/auth", ""], ids=["usual", "other", "root"])
def test_scripts_and_styles_of_the_page_are_served_wherever_the_routes_are(
    simulator: DingTalkSimulator, prefix: str
) -> None:
    """At the root of a site, too, where its own static files are."""
    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k", DINGTALK_LOGIN_PAGE=True)
    DingTalk(app, url_prefix=prefix)
    client = app.test_client()
    page = client.get(f"{prefix}/login").text
    addresses = {each["href"] for each in tags(page, "link")}
    addresses |= {each["src"] for each in tags(page, "script") if each["src"].startswith("/")}
    assert len(addresses) == 3
    for address in addresses:
        with client.get(address) as response:
            assert response.status_code == 200


# --- The site's own templates --------------------------------------------------------------------


def bring(app: Flask, **templates: str) -> FlaskClient:
    """Give a site its own templates, by their names in the folder ``dingtalk``."""
    app.jinja_loader = DictLoader(
        {f"dingtalk/{name}.html": text for name, text in templates.items()}
    )

    @app.get("/shown")
    def shown() -> str:
        return render_template_string("{{ dingtalk_button('/x') }} {{ dingtalk_qr('/x') }}")

    return app.test_client()


def test_a_button_of_the_sites_own_replaces_ours_everywhere(site: Flask) -> None:
    """On its pages, beside the code and on the sign-in page."""
    client = bring(site, button='<a class="own" href="{{ url }}">{{ text }}!</a>')
    assert client.get("/shown").text.count("Sign in with DingTalk!") == 2
    assert client.get("/dingtalk/login").text.count('class="own"') == 2


def test_a_code_of_the_sites_own_replaces_ours(site: Flask) -> None:
    """It has what the script needs."""
    client = bring(
        site, qr="<b data-own='{{ options|tojson }}'>{{ label }} {{ size }}</b>{{ button }}"
    )
    page = client.get("/shown").text
    assert "DingTalk&#39;s QR code 300" in page
    assert '"client_id"' in with_attribute(page, "b", "data-own")["data-own"]
    assert client.get("/shown").headers["Cache-Control"] == "no-store"


def test_a_template_gets_no_next_that_leads_off_the_site(site: Flask) -> None:
    """It may put it into a link."""
    client = bring(site, login='<a href="{{ next }}">back</a>')
    for asked, given in (("javascript:alert(1)", "None"), ("/report", "/report")):
        page = client.get("/dingtalk/login", query_string={"next": asked}).text
        assert links(page) == [given]


def test_a_sign_in_page_of_the_sites_own_replaces_ours(site: Flask) -> None:
    """It uses the two globals, and our policy does not apply to it."""
    client = bring(site, login="<h2>{{ title }} here</h2>{{ dingtalk_qr(next) }}")
    response = client.get("/dingtalk/login?next=/report")
    assert "<h2>Sign in here</h2>" in response.text
    assert all(query_of(href)["next"] == "/report" for href in links(response.text))
    assert "Content-Security-Policy" not in response.headers


def test_a_page_inside_the_client_of_the_sites_own_replaces_ours(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """It has the fields of the form."""
    app = make_app(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID=simulator.application.corp_id)
    client = bring(
        app, in_app="<h2>{{ title }}</h2>{% for name in fields %}<i>{{ name }}</i>{% endfor %}"
    )
    page = client.get("/dingtalk/login", headers={"User-Agent": IN_CLIENT}).text
    assert "<h2>Signing you in…</h2>" in page
    assert "<i>state</i>" in page


def test_an_error_page_of_the_sites_own_replaces_ours(app: Flask) -> None:
    """In the site's own frame, with its context processors and under its own policy."""

    @app.context_processor
    def brand() -> dict[str, str]:
        return {"brand": "示例科技"}

    client = bring(
        app,
        error='<html lang="{{ lang }}">{{ brand }}: {{ title }} ({{ error_code }}) '
        '<a href="{{ retry_url }}">{{ retry }}</a>',
    )
    response = client.get("/dingtalk/callback", headers={"Accept-Language": "zh-CN"})
    assert response.status_code == 400
    assert response.content_type == "text/html; charset=utf-8"
    assert "示例科技" in response.text
    assert "(invalid_state)" in response.text
    assert links(response.text) == ["/dingtalk/login"]
    assert "Content-Security-Policy" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"


def test_an_error_page_of_the_sites_own_serves_guarded_pages_too(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Every error of this extension has it."""
    client = bring(app, error="<h2>own: {{ error_code }}</h2>")
    simulator.fail("users/me", status=500, times=None)
    assert simulator.sign_in(client, "zhang").text == "<h2>own: dingtalk_unavailable</h2>"


def test_a_client_that_prefers_json_gets_json_whatever_the_site_brings(app: Flask) -> None:
    """A template is for people."""
    client = bring(app, error="<h2>own</h2>")
    response = client.get("/dingtalk/callback", headers={"Accept": "application/json"})
    assert response.json is not None
    assert response.json["error"] == "invalid_state"


def test_templates_of_other_names_leave_ours_in_place(app: Flask) -> None:
    """Each is replaced by itself."""
    client = bring(app, button="own")
    page = client.get("/dingtalk/callback").text
    assert "This sign-in is no longer valid" in page
    assert "own" in client.get("/shown").text


def test_our_error_page_does_without_the_site(app: Flask) -> None:
    """It works even if the site's context processor fails."""

    @app.context_processor
    def broken() -> dict[str, Any]:
        raise ZeroDivisionError

    response = app.test_client().get("/dingtalk/callback")
    assert response.status_code == 400
    assert "This sign-in is no longer valid" in response.text
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ nothing.at_all }}", id="undefined"),
        pytest.param("{% if %}", id="syntax"),
        pytest.param("{% extends 'nowhere.html' %}", id="missing"),
        pytest.param("{{ 1 // 0 }}", id="division"),
    ],
)
def test_an_error_page_of_the_sites_own_that_fails_gives_way_to_ours(
    app: Flask, caplog: pytest.LogCaptureFixture, template: str
) -> None:
    """The error is not lost behind another one, which the log tells of."""
    response = bring(app, error=template).get("/dingtalk/callback")
    assert response.status_code == 400
    assert "This sign-in is no longer valid" in response.text
    assert "The site's own dingtalk/error.html failed" in caplog.text


# --- The trap of phones --------------------------------------------------------------------------


def test_coming_back_in_another_browser_offers_to_start_over_there(
    app: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """DingTalk's client opens the callback in its own web view, which has no session.

    The page speaks the visitor's language, its link begins a sign-in that leads to the same place,
    and the log tells the developer what happened.
    """
    state, code = start(app.test_client(), next="/report"), simulator.authorization_code("li")
    web_view = app.test_client()
    web_view.environ_base.update(HTTP_USER_AGENT=IN_CLIENT, HTTP_ACCEPT_LANGUAGE="zh-CN,zh;q=0.9")
    response = come_back(web_view, state, code)
    assert response.status_code == 400
    assert "登录已失效" in response.text
    assert links(response.text) == ["/dingtalk/login?next=/report"]
    assert "began in one browser and ended in another (DingTalk's own web view" in caplog.text
    state = query_of(web_view.get(links(response.text)[0]).headers["Location"])["state"]
    again = come_back(web_view, state, simulator.authorization_code("li"))
    assert again.location == "/report"
