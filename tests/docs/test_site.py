"""The built site: both languages of every page, in a browser, from files alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import pytest

from tests.chromium import OpenWindow

from .built import read_page
from .pages import DOCS

LANGUAGES: Final = {"en": ("en", "English"), "zh_CN": ("zh-CN", "简体中文")}
OTHER: Final = {"en": "zh_CN", "zh_CN": "en"}
IMAGES: Final = DOCS / "images"
PHONE: Final = (360, 780)
AXE: Final = DOCS.parent / "build" / "axe" / "axe.min.js"
#: Rules that the markup of the theme and of Sphinx does not keep: two asides without a name, and
#: field lists. Of the contrast of its colours the theme takes care.
FUROS_OWN: Final = ("landmark-unique", "definition-list", "color-contrast")
_RUN_AXE: Final = """async (rules) => {
  const off = Object.fromEntries(rules.map((rule) => [rule, {enabled: false}]));
  const options = {preload: false, resultTypes: ["violations"], rules: off};
  const {violations} = await axe.run(document, options);
  return violations.map((each) => [each.id, each.nodes[0].html.slice(0, 120)]);
}"""
#: What brings something along, and the attribute that says from where.
_BRINGS: Final = {"script": "src", "img": "src", "source": "srcset", "iframe": "src"}
_BROUGHT_BY_LINK: Final = {"stylesheet", "icon", "shortcut icon", "prefetch", "preload"}


def _pages(site: Path, language: str) -> list[Path]:
    return sorted(path for path in (site / language).rglob("*.html") if "_static" not in path.parts)


def test_every_page_leads_to_itself_in_the_other_language(site: Path) -> None:
    """A page has two links, for narrow and wide windows, to its twin, in the twin's own words."""
    for language, other in OTHER.items():
        tag, name = LANGUAGES[other]
        for path in _pages(site, language):
            twin = site / other / path.relative_to(site / language)
            switches = [
                (attributes, text)
                for attributes, text in read_page(path).all("a")
                if attributes.get("class") == "other-language"
            ]
            assert len(switches) == 2, path
            for attributes, text in switches:
                assert (path.parent / attributes["href"]).resolve() == twin.resolve()
                assert twin.exists()
                assert (attributes["lang"], attributes["hreflang"], text) == (tag, tag, name)


def test_every_page_has_a_title_a_description_and_an_icon(site: Path) -> None:
    """A page says what it is, in its language, to search engines and in the browser's tab."""
    for language, (tag, _) in LANGUAGES.items():
        for path in _pages(site, language):
            page = read_page(path)
            assert next(page.all("html"))[0]["lang"] == tag
            assert next(page.all("title"))[1], path
            icons = [link["href"] for link, _ in page.all("link") if "icon" in link["rel"]]
            assert [(path.parent / icon).exists() for icon in icons] == [True], path
            descriptions = [
                meta["content"] for meta, _ in page.all("meta") if meta.get("name") == "description"
            ]
            if path.stem not in ("genindex", "py-modindex", "search"):
                assert len(descriptions) == 1, path


def test_no_page_brings_anything_from_another_host(site: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own, under any prefix."""
    foreign = []
    for path in sorted(site.rglob("*.html")):
        page = read_page(path)
        brought = [
            attributes.get(name, "")
            for tag, name in _BRINGS.items()
            for attributes, _ in page.all(tag)
        ]
        brought += [link["href"] for link, _ in page.all("link") if link["rel"] in _BROUGHT_BY_LINK]
        foreign += [(path, url) for url in brought if urlsplit(url).scheme or url.startswith("/")]
    for path in sorted(site.rglob("*.css")):
        for url in re.findall(r"url\(['\"]?([^'\")]+)|@import", path.read_text(encoding="utf-8")):
            if not url.startswith(("data:", "#")) and (urlsplit(url).scheme or url[:1] in "/"):
                foreign.append((path, url))
    assert foreign == []


def test_each_page_shows_the_pictures_of_its_language(site: Path) -> None:
    """The Chinese pages show the pictures with Chinese texts in them, where there are such."""
    names = {
        language: {
            Path(image["src"]).name
            for path in _pages(site, language)
            for image, _ in read_page(path).all("img")
        }
        for language in LANGUAGES
    }
    chinese = {each.name.replace(".zh-CN.", "."): each.name for each in IMAGES.glob("*.zh-CN.*")}
    assert "signing-in.webp" in names["en"] & chinese.keys()
    assert names["zh_CN"] == {chinese.get(name, name) for name in names["en"]}


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    """A link to another page or to an anchor finds it."""
    anchors = {
        path.resolve(): {
            attributes["id"] for _, attributes in read_page(path).elements if "id" in attributes
        }
        for path in site.rglob("*.html")
    }
    broken = []
    for path in anchors:
        for attributes, _ in read_page(path).all("a"):
            url = urlsplit(attributes.get("href", ""))
            if url.scheme or url.netloc or not (url.path or url.fragment):
                continue
            target = (path.parent / url.path).resolve() if url.path else path
            if target.suffix == ".html" and (
                target not in anchors or url.fragment not in {"", *anchors[target]}
            ):
                broken.append((path.relative_to(site), attributes["href"]))
    assert broken == []


def test_both_languages_of_a_page_lead_to_the_same_places_elsewhere(site: Path) -> None:
    """No link is lost in a translation."""
    lead = {
        language: {
            path.relative_to(site / language): {
                attributes["href"]
                for attributes, _ in read_page(path).all("a")
                if attributes.get("href", "").startswith("http")
            }
            for path in _pages(site, language)
        }
        for language in LANGUAGES
    }
    assert sum(map(len, lead["en"].values())) > 30
    assert lead["zh_CN"] == lead["en"]


def test_the_chinese_pages_have_no_english_around_their_text(site: Path) -> None:
    """Labels, titles of links and buttons of the theme are Chinese."""
    english = set()
    for path in _pages(site, "zh_CN"):
        for tag, attributes in read_page(path).elements:
            for name in ("aria-label", "title", "placeholder", "alt"):
                text = attributes.get(name, "")
                # The title of a link to a class is its name.
                is_name = tag == "link" or re.fullmatch(r"[\w.]+\.\w+", text)
                if not is_name and re.fullmatch(
                    r"[^\u3400-\u9fff]*[A-Za-z]{3}[^\u3400-\u9fff]*", text
                ):
                    english.add((tag, name, text))
    assert english == set()


@pytest.mark.parametrize(
    ("browser_language", "folder"),
    [("zh-CN", "zh_CN"), ("zh-TW", "zh_CN"), ("en-GB", "en"), ("de-DE", "en")],
)
def test_the_start_page_picks_the_language_of_the_browser(
    site: Path, open_window: OpenWindow, browser_language: str, folder: str
) -> None:
    """A visitor of the front page lands in their language, in English if it is neither."""
    page = open_window(language=browser_language)
    page.goto((site / "index.html").as_uri())
    page.wait_for_url(f"**/{folder}/index.html")


def test_the_start_page_works_without_scripts(site: Path) -> None:
    """The front page has a link for each language."""
    page = read_page(site / "index.html")
    links = {link["href"]: link["hreflang"] for link, _ in page.all("a")}
    assert links == {"en/index.html": "en", "zh_CN/index.html": "zh-CN"}


#: What people look for, and the page that has it.
SEARCHES: Final = {
    "zh_CN": {
        "扫码登录": "how-to/qr-code.html",
        "离职": "how-to/members.html",
        "端内免登": "how-to/in-dingtalk.html",
        "重定向地址": "how-to/console.html",
        "DingTalkUnavailable": "reference/errors.html",
        "40078": "reference/dingtalk-codes.html",
    },
    "en": {
        "leavers": "how-to/members.html",
        "QR code": "how-to/qr-code.html",
        "nginx": "how-to/deployment.html",
        "端内免登": "how-to/in-dingtalk.html",
        "60121": "reference/dingtalk-codes.html",
    },
}


@pytest.mark.parametrize("language", SEARCHES)
def test_a_search_finds_the_page(site: Path, open_window: OpenWindow, language: str) -> None:
    """Typed into the search field, a word or a number leads to the page about it."""
    page = open_window()
    for query, wanted in SEARCHES[language].items():
        page.goto((site / language / "index.html").as_uri())
        field = page.get_by_role("search").get_by_role("textbox")
        field.fill(query)
        field.press("Enter")
        page.wait_for_url("**/search.html?*")
        # Sphinx says how many it found after it has shown all of them.
        page.locator(".search-summary:not(:empty)").wait_for()
        found = page.locator("#search-results .search li a").all()
        addresses = [str(each.get_attribute("href")).partition("#")[0] for each in found]
        assert wanted in list(dict.fromkeys(addresses))[:8], query


#: What reaches beyond the window, and is not in a part that scrolls by itself.
_TOO_WIDE: Final = """() => {
  const scrolls = (element) =>
    element && element !== document.body &&
    (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  const wide = [...document.querySelectorAll(".mobile-header *, article, article *, footer *")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each));
  if (document.documentElement.scrollWidth > innerWidth) wide.push(document.documentElement);
  return wide.map((each) => `${each.tagName}.${each.className} ${each.textContent.slice(0, 40)}`);
}"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_scrolls_sideways_on_a_phone(
    site: Path, open_window: OpenWindow, language: str
) -> None:
    """What is wider than a phone scrolls within itself."""
    page = open_window(PHONE)
    too_wide = []
    for path in _pages(site, language):
        page.goto(path.as_uri())
        found = cast("list[str]", page.evaluate(_TOO_WIDE))
        too_wide += [(str(path.relative_to(site)), each) for each in found]
    assert too_wide == []


@pytest.mark.npm
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_no_barriers(site: Path, open_window: OpenWindow, language: str) -> None:
    """Axe finds nothing that keeps people out, on a page of text and one of the reference."""
    script = AXE.read_text(encoding="utf-8")
    problems = []
    for name in ("index", "reference/commands"):
        page = open_window(PHONE)
        page.goto((site / language / f"{name}.html").as_uri())
        page.evaluate(script)
        found = cast("list[list[str]]", page.evaluate(_RUN_AXE, list(FUROS_OWN)))
        problems += [(name, *each) for each in found]
    assert problems == []
