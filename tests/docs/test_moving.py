"""The pages on moving to Flask-DingTalk: their old and their new sites work, with one table."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from flask_dingtalk import InvalidState
from flask_dingtalk.testing import DingTalkSimulator

from .pages import MOVING, file_of, load

_HOSTS: Final = ("https://login.dingtalk.com", "https://api.dingtalk.com")


class _Moving:
    """The sites of one page, in a folder with their table."""

    def __init__(self, page: Path, folder: Path, simulator: DingTalkSimulator) -> None:
        self.page = page
        self._folder = folder
        self._simulator = simulator
        self._write("accounts.py")

    def _write(self, name: str) -> Path:
        text = file_of(self.page, name)
        for host in _HOSTS:
            text = text.replace(host, self._simulator.url)
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def visit(self, name: str) -> FlaskClient:
        """Return a browser that looks at the site of this file."""
        client: FlaskClient = load(self._write(name)).app.test_client()
        return client

    def sign_in(self, browser: FlaskClient, name: str) -> str:
        """Sign in where the front page sends a visitor, and return what it then says."""
        login = urlsplit(browser.get("/").location).path
        back = self._simulator.sign_in(browser, name, next="/", login_path=login)
        assert (back.status_code, back.location) == (302, "/")
        return browser.get("/").text

    def begin(self, browser: FlaskClient) -> tuple[str, str]:
        """Begin a sign-in; return the path to which it comes back, and its state."""
        at_dingtalk = browser.get(browser.get("/").location).location
        query = parse_qs(urlsplit(at_dingtalk).query)
        return urlsplit(query["redirect_uri"][0]).path, query["state"][0]

    def accounts(self) -> list[tuple[str, str]]:
        """Return the rows of the table."""
        with closing(sqlite3.connect(self._folder / "accounts.db")) as db:
            return db.execute("SELECT union_id, nick FROM account").fetchall()


@pytest.fixture(params=MOVING, ids=lambda page: page.stem)
def moving(
    request: pytest.FixtureRequest,
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> _Moving:
    """Take the sites of one page."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "accounts", raising=False)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    return _Moving(request.param, tmp_path, documented_dingtalk)


def test_the_old_site_works(moving: _Moving, documented_dingtalk: DingTalkSimulator) -> None:
    """What is called plausible does sign people in."""
    assert moving.sign_in(moving.visit("before.py"), "zhang") == "Hello, 张三"
    assert moving.accounts() == [(documented_dingtalk.users["zhang"].union_id, "张三")]


def test_people_sign_in_once_more_and_are_the_same(moving: _Moving) -> None:
    """The session of the old site does not count at the new one, and the table stays."""
    old = moving.visit("before.py")
    moving.sign_in(old, "zhang")
    accounts = moving.accounts()
    new = moving.visit("after.py")
    kept = old.get_cookie("session")
    assert kept is not None
    new.set_cookie("session", kept.value)
    assert new.get("/").status_code == 302
    assert moving.sign_in(new, "zhang") == "Hello, 张三"
    assert moving.accounts() == accounts
    with new.session_transaction() as session:
        assert "union_id" not in session


def test_the_redirect_url_is_the_one_that_the_page_says(moving: _Moving) -> None:
    """It stays, but for Flask-Dance, whose page says that there are two."""
    old, new = (moving.begin(moving.visit(name))[0] for name in ("before.py", "after.py"))
    text = moving.page.read_text(encoding="utf-8")
    assert f"`{new}`" in text
    assert (old == new) == (f"The callback stays {new}." in text)
    assert old == new or f"`{old}`" in text


def test_a_sign_in_that_the_old_site_began_fails_and_the_next_one_works(
    moving: _Moving, documented_dingtalk: DingTalkSimulator
) -> None:
    """The new site does not know its state, or has no such redirect URL."""
    callback, state = moving.begin(moving.visit("before.py"))
    new = moving.visit("after.py")
    code = documented_dingtalk.authorization_code("zhang")
    back = new.get(callback, query_string={"code": code, "authCode": code, "state": state})
    assert back.status_code in (400, 404)
    assert (back.status_code == 400) == (InvalidState().title in back.text)
    assert moving.sign_in(new, "zhang") == "Hello, 张三"
