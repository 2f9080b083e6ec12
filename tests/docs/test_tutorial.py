"""The tutorial: its files grow as the reader's do, and each step shows what it says."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Final
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk.testing import DingTalkSimulator
from flask_dingtalk.testing.browser_walk import BrowserWalk

from ..ecosystem.walk import OverHttp
from .pages import FENCE, TUTORIAL, Snippet, load
from .shell import Terminal, terminal

#: What Flask's development server prints each time it has started.
_STARTED: Final = "Debugger is active!"


@dataclass
class Reader:
    """Somebody who does what the tutorial says."""

    terminal: Terminal
    #: Stands in for DingTalk where the reader's browser is a test client, and in the end.
    simulator: DingTalkSimulator
    #: Texts of pages that the browser has shown.
    seen: list[str] = field(default_factory=list)
    #: The browser in which 王五 is signed in.
    wang: FlaskClient | None = None

    def site(self) -> Flask:
        """Return the site as its files are now."""
        module = load(self.terminal.directory / "app.py")
        app: Flask = module.create_app() if hasattr(module, "create_app") else module.app
        return app

    def address(self) -> str:
        """Return where the reader's own server answers."""
        pattern = r"(?:Running on|Listening at:) (http://127\.0\.0\.1:\d+)"
        return self.terminal.running[-1].wait_for(pattern)[1]


def _sections() -> Iterator[tuple[str, list[Snippet]]]:
    """Give each section with its blocks."""
    parts = re.split(r"^## (.+)\n", TUTORIAL.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        yield (
            heading,
            [
                Snippet(TUTORIAL, number, language, dedent(block))
                for number, (_, language, block) in enumerate(FENCE.findall(text))
            ],
        )


def _greets_whoever_signs_in(reader: Reader) -> None:
    browser = OverHttp(reader.address())
    asked = browser.get("/")
    assert urlsplit(asked.location).path == "/dingtalk/login"
    to_dingtalk = browser.get(asked.location).headers["Location"]
    url = f"http://{urlsplit(to_dingtalk).netloc}"
    zhang = reader.simulator.users["zhang"]
    walk = BrowserWalk(url, zhang, corp_id=None, organisation_codes={}, decline=False)
    back = urlsplit(walk.visit_pages(to_dingtalk))
    came = browser.get(f"{back.path}?{back.query}")
    reader.seen.append(browser.get(came.location).text)


def _has_an_open_page(reader: Reader) -> None:
    browser = reader.site().test_client()
    page = browser.get("/").text
    assert 'class="dingtalk-button' in page
    assert "/dingtalk/login?next=/me" in page
    assert reader.simulator.sign_in(browser, "zhang", next="/me").location == "/me"
    page = browser.get("/").text
    assert "Hello, 张三" in page
    assert 'action="/dingtalk/logout"' in page
    # What the next section says of it.
    reader.wang = reader.site().test_client()
    assert reader.simulator.sign_in(reader.wang, "wang", next="/me").status_code == 302
    assert reader.wang.get("/me").text == "This is 王五"


def _admits_members_alone(reader: Reader) -> None:
    app = reader.site()
    assert reader.wang is not None
    cookie = reader.wang.get_cookie("session")
    assert cookie is not None
    wang, li = app.test_client(), app.test_client()
    wang.set_cookie("session", cookie.value)
    assert wang.get("/me").location == "/dingtalk/login?next=/me"
    wang.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    refused = reader.simulator.sign_in(wang, "wang", next="/me")
    assert refused.status_code == 403
    assert "Your organisation has no access" in refused.text
    assert "Use another account" in refused.text
    reader.simulator.sign_in(li, "li", next="/me")
    record = li.get("/me").text
    assert "<h1>李四</h1>" in record
    assert "<p>工程师, departments 2</p>" in record


def _signs_leavers_out(reader: Reader) -> None:
    simulator, li = reader.simulator, reader.site().test_client()
    simulator.sign_in(li, "li", next="/me")
    simulator.leave("li")
    simulator.advance(50, site=True)
    assert li.get("/me").status_code == 200
    simulator.advance(20, site=True)
    assert li.get("/me").location == "/dingtalk/login?next=/me"
    simulator.reset()


def _passes_its_tests(reader: Reader) -> None:
    reader.seen.append(reader.terminal.output)
    for name in ("MEMBERS_ONLY", "REVALIDATE_AFTER"):
        assert f"DINGTALK_{name}" in (reader.terminal.directory / "app.py").read_text("utf-8")


def _runs_with_dingtalk(reader: Reader) -> None:
    browser = OverHttp(reader.address())
    sent = browser.get(browser.get("/me").location).headers["Location"]
    assert sent.startswith(reader.simulator.settings["DINGTALK_AUTHORIZE_URL"])
    reader.terminal.end_servers()


def _runs_under_gunicorn(reader: Reader) -> None:
    browser = OverHttp(reader.address())
    assert browser.get("/").status == 200
    assert urlsplit(browser.get("/me").location).path == "/dingtalk/login"


#: By section, what the reader then sees.
SHOWS: Final[dict[str, Callable[[Reader], None]]] = {
    "An empty folder": lambda reader: None,
    "Fifteen lines": _greets_whoever_signs_in,
    "A front page for everybody": _has_an_open_page,
    "Only your own people": _admits_members_alone,
    "People who leave": _signs_leavers_out,
    "A test": _passes_its_tests,
    "The real DingTalk": _runs_with_dingtalk,
    "Into production": _runs_under_gunicorn,
    "Where to go on": lambda reader: None,
}


def _follow(reader: Reader, blocks: list[Snippet]) -> None:
    """Save the files of a section and run its commands, in order."""
    for block in blocks:
        if block.file == ".env":
            settings = reader.simulator.settings | {"SESSION_COOKIE_SECURE": "false"}
            lines = [f"FLASK_{name}='{value}'" for name, value in settings.items()]
            lines.append(f"FLASK_SECRET_KEY='{secrets.token_hex()}'")
            # Each setting that the block has, and what points at the simulator.
            for name in re.findall(r"^(FLASK_\w+)=", block.text, re.MULTILINE):
                assert any(line.startswith(name) for line in lines)
            reader.terminal.write(block.file, "\n".join(lines))
        elif block.file is not None:
            reader.terminal.write(block.file, block.text)
            if block.file == "app.py" and reader.terminal.running:
                reader.terminal.running[-1].wait_for(_STARTED, again=True)
                # Only a server that answers notices the next change.
                OverHttp(reader.address()).get("/")
        elif block.language == "sh":
            reader.terminal.run(block.text)
            if "--debug" in block.text:
                reader.terminal.running[-1].wait_for(_STARTED)
            reader.seen.append(reader.terminal.output)


def test_the_tutorial_leads_from_nothing_to_production(
    simulator: DingTalkSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step does what it says, and prints or shows the texts that it quotes."""
    sections = list(_sections())
    assert [heading for heading, _ in sections] == list(SHOWS)
    with terminal(tmp_path) as opened:
        reader = Reader(opened, simulator)
        for heading, blocks in sections:
            if heading == "The real DingTalk":
                opened.end_servers()
            _follow(reader, blocks)
            monkeypatch.chdir(opened.directory)
            monkeypatch.setenv("FLASK_SECRET_KEY", "the key of the reader")
            for name, value in simulator.settings.items():
                monkeypatch.setenv(f"FLASK_{name}", value)
            SHOWS[heading](reader)
            printed = [line for server in opened.running for line in server.lines]
            seen = "\n".join([*reader.seen, *printed])
            for block in blocks:
                if block.language in ("text", "json"):
                    for line in opened.here(block.text).splitlines():
                        assert line in seen, line
