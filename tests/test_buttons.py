"""The two buttons of a site's pages: what they hold, and how they look in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest
from flask import Flask, Response, render_template_string, request
from flask.testing import FlaskClient
from jinja2 import DictLoader

from flask_dingtalk.testing import DingTalkSimulator

from .chromium import INTRANET, OpenWindow
from .helpers import IN_CLIENT, AppFactory
from .markup import tags, with_attribute
from .server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

#: What a page of the tests is made of: a style sheet, a color scheme and a template.
PAGE = """<!doctype html>
<html lang="en"><link rel="icon" href="data:,"><title>Site</title>
<style>{{ css }}</style>
<div id="main" class="prose">%s</div>
"""
ShowPage = Callable[[str], str]


@pytest.fixture
def show(app: Flask, client: FlaskClient) -> ShowPage:
    """Return what a template becomes on a page of the site, for whoever opened ``client``."""

    @app.get("/page")
    def page() -> str:
        return render_template_string(request.args["template"])

    return lambda template: client.get("/page", query_string={"template": template}).text


# --- What they hold ------------------------------------------------------------------------------


def test_the_sign_in_button_takes_a_text_and_classes(show: ShowPage) -> None:
    """Beside its own class, by which its style finds it."""
    page = show("{{ dingtalk_button('/report', text='<Staff> only', class_='wide big') }}")
    link = with_attribute(page, "a", "href")
    assert link["class"] == "dingtalk-button wide big"
    assert link["href"] == "/dingtalk/login?next=/report"
    assert "&lt;Staff&gt; only" in page
    assert "Sign in" not in page


def test_a_text_may_be_markup(show: ShowPage) -> None:
    """As anywhere in a template, if the site says that it is safe."""
    assert "<b>Staff</b>" in show("{{ dingtalk_button(text='<b>Staff</b>'|safe) }}")


def test_without_classes_the_sign_in_button_has_its_own(show: ShowPage) -> None:
    """And nothing else."""
    assert with_attribute(show("{{ dingtalk_button() }}"), "a", "href")["class"] == (
        "dingtalk-button"
    )


@pytest.mark.parametrize(("language", "text"), [("en", "Sign out"), ("zh-CN", "退出登录")])
def test_the_sign_out_button_speaks_the_visitors_language(
    app: Flask, language: str, text: str
) -> None:
    """And caches are told that it does."""
    app.add_url_rule(
        "/page", view_func=lambda: render_template_string("{{ dingtalk_logout_button() }}")
    )
    answer = app.test_client().get("/page", headers={"Accept-Language": language})
    assert f"<button>{text}</button>" in answer.text
    assert "Accept-Language" in answer.headers["Vary"]


def test_the_sign_out_button_takes_a_target_a_text_and_classes(show: ShowPage) -> None:
    """The classes are the button's."""
    page = show("{{ dingtalk_logout_button('/bye?a=1&b=2', text='<Bye>', class_='btn quiet') }}")
    assert with_attribute(page, "form", "method")["action"] == "/dingtalk/logout"
    fields = {each["name"]: each["value"] for each in tags(page, "input")}
    assert fields["next"] == "/bye?a=1&b=2"
    assert tags(page, "button") == [{"class": "btn quiet"}]
    assert "&lt;Bye&gt;" in page


def test_the_sign_out_button_signs_out(
    show: ShowPage, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """And leads to its target."""
    simulator.sign_in(client, "zhang")
    page = show("{{ dingtalk_logout_button('/bye') }}")
    fields = {each["name"]: each["value"] for each in tags(page, "input")}
    answer = client.post(with_attribute(page, "form", "method")["action"], data=fields)
    assert (answer.status_code, answer.location) == (303, "/bye")
    assert client.get("/").text == "nobody"


def test_below_a_mount_the_sign_out_button_stays_below_it(app: Flask) -> None:
    """Where a proxy or a dispatcher puts the site."""
    app.add_url_rule(
        "/page", view_func=lambda: render_template_string("{{ dingtalk_logout_button() }}")
    )
    page = app.test_client().get("/page", base_url="http://localhost/portal/").text
    assert with_attribute(page, "form", "method")["action"] == "/portal/dingtalk/logout"


def test_a_template_of_the_sites_own_replaces_the_sign_out_button(
    app: Flask, show: ShowPage
) -> None:
    """With the same variables."""
    own = "{{ url }} {{ text }} {{ class_ }} {{ fields|list|join(',') }}"
    app.jinja_loader = DictLoader({"dingtalk/logout.html": own})
    page = show("{{ dingtalk_logout_button('/bye', class_='btn') }}")
    assert page == "/dingtalk/logout Sign out btn proof,next"


def test_the_proof_shows_nothing_of_the_sign_in(
    show: ShowPage, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It is sealed, and another one on each page."""
    simulator.sign_in(client, "zhang")
    template = "{{ dingtalk_logout_button() }}"
    proofs = {with_attribute(show(template), "input", "value")["value"] for _ in range(3)}
    assert len(proofs) == 3
    assert all(re.fullmatch(r"[\w-]{40,80}", proof) for proof in proofs)


# --- How they look -------------------------------------------------------------------------------

#: What sites say of links, by name.
LINK_STYLES = {
    "no style": "",
    "link": "a:link { color: #0366d6 }",
    "visited": "a:visited, a:any-link { color: #551a8b }",
    "hover": "a:hover { color: #c00; background: #ff0; text-decoration: underline }",
    "prose": ".prose a:not(.x) { color: #0f62d6; background: none; font-weight: 400 }",
    "by id": "#main a:link, #main a:hover { color: #0f62d6; background: #0f62d6 }",
    "important": "#main a:link { color: #0f62d6 !important }",
    "light on dark": "body { background: #000; color: #fff } a { color: #9cf; border: 0 }",
    "Tailwind's reset": """*, ::after, ::before { box-sizing: border-box; margin: 0; padding: 0;
        border: 0 solid } a { color: inherit; text-decoration: inherit } svg { display: block }""",
    "Pico": """a:not([role=button]) { color: #0172ad; text-decoration: underline;
        background-color: transparent } a:not([role=button]):is([aria-current], :hover, :active)
        { color: #015887 } :where(svg:not([fill])) { fill: #373c44 }""",
    "Bootstrap": """* { box-sizing: border-box } body { font: 400 1rem/1.5 sans-serif }
        a { color: #0d6efd; text-decoration: underline } a:hover { color: #0a58ca }
        svg { vertical-align: middle; display: block; max-width: 100%; height: auto }
        .btn { display: inline-block; padding: .375rem .75rem; border: 1px solid transparent;
               vertical-align: middle; line-height: 1.5; font-size: 1rem }
        .btn-lg { padding: .5rem 1rem; font-size: 1.25rem }""",
}
LIGHT, DARK = "rgb(15, 98, 214)", "rgb(110, 168, 255)"


@pytest.fixture
def open_page(app: Flask, open_window: OpenWindow) -> Iterator[Callable[..., Page]]:
    """Open a page with a style sheet and a template in a window whose system likes a scheme."""

    @app.get("/page")
    def page() -> str:
        return render_template_string(PAGE % request.args["template"], css=request.args["css"])

    with serving(app) as url:

        def open_page(
            css: str, template: str, colors: Literal["light", "dark"] = "light", **more: Any
        ) -> Page:
            window = open_window(colors=colors, **more)
            with app.test_request_context():
                query = app.url_for("page", css=css, template=template)
            window.goto(url + query)
            return window

        yield open_page


def style_of(locator: Locator, name: str) -> str:
    """Return one computed property of an element."""
    value: str = locator.evaluate("(each, name) => getComputedStyle(each)[name]", name)
    return value


def luminance(color: str) -> float:
    """Return the relative luminance of a computed colour (WCAG 2.2)."""
    channels = [int(number) / 255 for number in re.findall(r"\d+", color)[:3]]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two computed colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("css", LINK_STYLES.values(), ids=LINK_STYLES.keys())
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_can_be_read_whatever_a_site_says_of_links(
    open_page: Callable[..., Page], css: str, scheme: str
) -> None:
    """Its text and its mark, also under the pointer; on a page of either color scheme."""
    css += f" :root {{ color-scheme: {scheme} }}"
    button = open_page(css, "<p>Text <a href='#'>link</a> {{ dingtalk_button() }}</p>").locator(
        ".dingtalk-button"
    )
    for _ in range(2):
        ground = style_of(button, "backgroundColor")
        assert ground == (LIGHT if scheme == "light" else DARK)
        assert contrast(style_of(button.locator("span"), "color"), ground) >= 4.5
        assert contrast(style_of(button.locator("svg"), "fill"), ground) >= 4.5
        assert style_of(button, "textDecorationLine") == "none"
        button.hover()


@pytest.mark.parametrize(
    ("css", "colors", "ground"),
    [
        pytest.param("", "dark", LIGHT, id="a page that knows light alone"),
        pytest.param(":root { color-scheme: dark }", "light", DARK, id="a dark page"),
        pytest.param(":root { color-scheme: light dark }", "dark", DARK, id="either, dark"),
        pytest.param(":root { color-scheme: light dark }", "light", LIGHT, id="either, light"),
        pytest.param("#main { color-scheme: dark }", "light", DARK, id="a dark part of a page"),
    ],
)
def test_the_button_follows_the_page_and_not_the_system(
    open_page: Callable[..., Page], css: str, colors: str, ground: str
) -> None:
    """A page that does without a dark scheme stays light on a dark system."""
    page = open_page(css, "{{ dingtalk_button() }}", colors)
    assert style_of(page.locator(".dingtalk-button"), "backgroundColor") == ground


def test_a_site_may_set_the_buttons_colours(open_page: Callable[..., Page]) -> None:
    """By the documented variables."""
    css = "body .dingtalk-button { --dingtalk-accent: #0a7d4f; --dingtalk-on-accent: #ff0; }"
    button = open_page(css, "{{ dingtalk_button() }}").locator(".dingtalk-button")
    assert style_of(button, "backgroundColor") == "rgb(10, 125, 79)"
    assert style_of(button.locator("span"), "color") == "rgb(255, 255, 0)"


@pytest.mark.parametrize("size", ["", " btn-lg"])
def test_the_button_is_as_tall_as_its_neighbours(open_page: Callable[..., Page], size: str) -> None:
    """In Bootstrap, and on one line with them."""
    template = (
        f"<a class='btn{size}' href='#'>x</a> {{{{ dingtalk_button(class_='own{size}') }}}}"
        f"<style>.own.btn-lg {{ font-size: 1.25rem }}</style>"
    )
    page = open_page(LINK_STYLES["Bootstrap"], template)
    neighbour = page.locator("a.btn").bounding_box()
    button = page.locator(".dingtalk-button").bounding_box()
    assert neighbour is not None
    assert button is not None
    assert abs(button["height"] - neighbour["height"]) <= 2
    assert abs(button["y"] - neighbour["y"]) <= 2


def test_font_size_alone_decides_how_large_the_button_is(open_page: Callable[..., Page]) -> None:
    """Twice the size is twice as wide and as tall, its mark included."""
    template = (
        "<div style='font-size: 16px'>{{ dingtalk_button() }}</div>"
        "<div style='font-size: 32px'>{{ dingtalk_button() }}</div>"
    )
    page = open_page("", template)
    for selector in (".dingtalk-button", ".dingtalk-button svg"):
        small, large = (page.locator(selector).nth(index).bounding_box() for index in range(2))
        assert small is not None
        assert large is not None
        assert large["height"] == pytest.approx(2 * small["height"], abs=3)
        assert large["width"] == pytest.approx(2 * small["width"], rel=0.03)


def test_a_class_of_the_sites_own_may_widen_the_button(open_page: Callable[..., Page]) -> None:
    """The text stays in its middle."""
    page = open_page(".wide { width: 100% }", "{{ dingtalk_button(class_='wide') }}")
    button, text = (
        page.locator(selector).bounding_box()
        for selector in (".dingtalk-button", ".dingtalk-button span")
    )
    main = page.locator("#main").bounding_box()
    assert button is not None
    assert text is not None
    assert main is not None
    assert button["width"] == main["width"]
    assert abs(text["x"] + text["width"] / 2 - main["width"] / 2) < 40


# --- Plain http, and a site that wants no referrer -----------------------------------------------


@pytest.fixture
def portal(
    make_app: AppFactory, simulator: DingTalkSimulator, chromium: Browser
) -> Iterator[Callable[[str], Page]]:
    """Open a window on a site on plain http that wants no referrer; ask by its user agent.

    Not at an address of this machine: there, browsers send what they send over https.
    """
    contexts: list[BrowserContext] = []
    app = make_app(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID=simulator.application.corp_id)
    seen: list[str] = []

    @app.before_request
    def note_headers() -> None:
        if request.method == "POST":
            seen.append(request.headers.get("Origin", ""))
            assert "Sec-Fetch-Site" not in request.headers

    @app.get("/page")
    def page() -> str:
        plain = """<form method="post" action="/dingtalk/logout"><button>Plain</button></form>"""
        return render_template_string("{{ dingtalk_logout_button() }}" + plain)

    @app.after_request
    def want_no_referrer(response: Response) -> Response:
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    with serving(app) as url:
        address = f"http://{INTRANET}:{urlsplit(url).port}"
        simulator.application.redirect_urls.append(f"{address}/dingtalk/callback")

        def open_portal(user_agent: str) -> Page:
            context = chromium.new_context(base_url=address, user_agent=user_agent)
            contexts.append(context)
            return context.new_page()

        yield open_portal
        for context in contexts:
            context.close()
    assert set(seen) == {"null"}


def test_a_site_that_wants_no_referrer_signs_people_in_and_out(
    portal: Callable[[str], Page], simulator: DingTalkSimulator
) -> None:
    """The browser hides whose form it is; state and proof show it."""
    simulator.in_app_user = "zhang"
    page = portal(IN_CLIENT)
    page.goto("/dingtalk/login?next=/page")
    # Its address is that of the landing page before it is left.
    page.get_by_role("button", name="Plain").wait_for()
    page.goto("/")
    assert page.inner_text("body") == "张三"

    page.goto("/page")
    page.get_by_role("button", name="Plain").click()
    page.get_by_text("not_permitted").wait_for()
    page.goto("/page")
    page.get_by_role("button", name=re.compile("Sign out|退出登录")).click()
    page.get_by_text("nobody").wait_for()
