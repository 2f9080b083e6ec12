"""The templates in the texts, and what they say about those of the package, are correct."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask, render_template_string
from jinja2 import meta

import flask_dingtalk
from flask_dingtalk.testing import signed_in

from .pages import GUARDING, QR_CODE, TEMPLATES, snippets


def test_every_documented_template_renders() -> None:
    """The template works with and without a sign-in."""
    (snippet,) = snippets(GUARDING, "jinja")
    app = Flask("documented")
    app.config.update(SECRET_KEY="x", DINGTALK_CLIENT_ID="x", DINGTALK_CLIENT_SECRET="x")
    flask_dingtalk.DingTalk(app)
    app.add_url_rule("/", view_func=lambda: render_template_string(snippet.text))
    browser = app.test_client()
    assert "/dingtalk/login?next=/reports" in browser.get("/").text
    user = flask_dingtalk.DingTalkUser(union_id="u", nick="小明")
    page = signed_in(browser, user).get("/").text
    assert 'action="/dingtalk/logout"' in page
    assert "小明" in page


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
