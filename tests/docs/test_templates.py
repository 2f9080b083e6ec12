"""The templates in the texts, and what they say about those of the package, are correct."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from flask import Flask, render_template_string
from jinja2 import meta

import flask_dingtalk
from flask_dingtalk.testing import signed_in

from .pages import GUARDING, PAGES, QR_CODE, TEMPLATES, TUTORIAL, Snippet, snippets


def _render(text: str) -> tuple[str, str]:
    """Render a template for somebody who is not signed in, and for somebody who is."""
    app = Flask("documented")
    app.config.update(SECRET_KEY="x", DINGTALK_CLIENT_ID="x", DINGTALK_CLIENT_SECRET="x")
    flask_dingtalk.DingTalk(app)
    app.add_url_rule("/", view_func=lambda: render_template_string(text))
    browser = app.test_client()
    stranger = browser.get("/").text
    user = flask_dingtalk.DingTalkUser(union_id="u", nick="小明")
    return stranger, signed_in(browser, user).get("/").text


#: What a call in a template puts into the page.
SHOWN: Final = {
    "dingtalk_button(": 'class="dingtalk-button',
    "dingtalk_logout_button(": 'action="/dingtalk/logout"',
    "dingtalk_qr(": "data-dingtalk-qr=",
    "url_for('dingtalk.logout')": 'action="/dingtalk/logout"',
    "current_dingtalk_user.nick": "小明",
}
TEMPLATE_BLOCKS: Final = [
    pytest.param(snippet, id=snippet.id)
    for page in PAGES
    if page != TUTORIAL  # test_tutorial.py
    for snippet in snippets(page, "jinja")
]


@pytest.mark.parametrize("snippet", TEMPLATE_BLOCKS)
def test_every_documented_template_shows_what_it_calls(snippet: Snippet) -> None:
    """With the texts, classes and targets that it names."""
    page = "".join(_render(snippet.text))
    expected = {shown for call, shown in SHOWN.items() if call in snippet.text}
    expected |= set(re.findall(r'(?:text|class_)="([^"]+)"', snippet.text))
    expected |= {
        f'value="{path}"' for path in re.findall(r'_logout_button\(next="([^"]+)"', snippet.text)
    }
    expected |= {
        f"?next={path}" for path in re.findall(r'gtalk_button\(next="([^"]+)"', snippet.text)
    }
    assert expected
    assert [piece for piece in expected if piece not in page] == []


def test_the_documented_template_greets_or_invites() -> None:
    """A sign-in link for strangers, a sign-out button with the name for the others."""
    (snippet,) = snippets(GUARDING, "jinja")
    stranger, member = _render(snippet.text)
    assert "/dingtalk/login?next=/reports" in stranger
    assert 'action="/dingtalk/logout"' in member
    assert "小明" in member


def test_the_variables_of_every_template_are_documented(bare: Flask) -> None:
    """The table has each template, and what it is given, nothing else."""
    text = TEMPLATES.read_text(encoding="utf-8")
    documented = {
        name: set(re.findall(r"`(\w+)`", names))
        for name, names in re.findall(
            r"^\| `(dingtalk/\w+\.html)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE
        )
    }
    folder = Path(flask_dingtalk.__file__).parent / "templates"
    known = set(bare.jinja_env.globals) | {"url_for"}
    assert documented == {
        f"dingtalk/{path.name}": meta.find_undeclared_variables(
            bare.jinja_env.parse(path.read_text(encoding="utf-8"))
        )
        - known
        for path in folder.glob("dingtalk/*.html")
    }


def test_the_smallest_code_has_the_documented_size(bare: Flask) -> None:
    """However small a one was asked for."""
    documented = re.search("([0-9]+) or more", QR_CODE.read_text(encoding="utf-8"))
    assert documented is not None
    with bare.test_request_context():
        code = render_template_string("{{ dingtalk_qr(size=1) }}")
    assert documented[1] in re.findall(r'<svg[^>]* width="?([0-9]+)', code)
