"""The Python code in the texts does what they say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import pytest
from flask import Flask, url_for

from examples.site import create_app
from flask_dingtalk import RateLimited
from flask_dingtalk.testing import DingTalkSimulator, make_employee, make_user, signed_in

from ..chromium import CHROMIUM, PROGRAM
from ..helpers import Later
from ..stub import TOKEN, Answer, Asked, StubDingTalk
from .pages import (
    CALLING,
    CHINESE,
    DEPLOYMENT,
    ECOSYSTEM,
    ENGLISH,
    ERRORS_PAGE,
    FACTORY,
    INDEX,
    MOVING,
    PAGES,
    POLICY,
    TUTORIAL,
    Snippet,
    beginning,
    file_of,
    load,
    snippets,
)

READMES: Final = [pytest.param(ENGLISH, id="en"), pytest.param(CHINESE, id="zh")]
#: Pages of documented sites that show a QR code without a sign-in.
OPEN_PAGES: Final = ("/welcome", "/with-nonce")
#: Views of documented sites that are exempt from a guard.
EXEMPT_VIEWS: Final = ("/admin/help",)
IN_APP_LOGIN: Final = "DINGTALK_IN_APP_LOGIN"
#: Their code is run by tests/ecosystem, test_tutorial.py and test_moving.py.
RUN_ELSEWHERE: Final = (ECOSYSTEM, TUTORIAL, *MOVING)
#: Files that serve nothing, with where they are run.
NO_SITES: Final = {"gunicorn.conf.py": "test_shell.py"}


def _parameters(chosen: Callable[[Snippet], bool]) -> list[object]:
    return [
        pytest.param(snippet, id=snippet.id)
        for page in PAGES
        if page not in RUN_ELSEWHERE
        for snippet in snippets(page, "python")
        if snippet.file not in NO_SITES and chosen(snippet)
    ]


@pytest.mark.parametrize("snippet", _parameters(lambda snippet: "def test_" not in snippet.text))
def test_every_documented_site_signs_people_in_and_out(
    snippet: Snippet,
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """A snippet, on top of the first one unless it names a file, is a site that works."""
    if "REDIS_URL" in snippet.text:
        port = request.getfixturevalue("redis_port")
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
    before = "" if snippet.file else beginning(snippet.page)
    (tmp_path / "app.py").write_text(f"{before}\n{snippet.text}", encoding="utf-8")
    module = load(tmp_path / "app.py")
    site: Flask = module.create_app() if hasattr(module, "create_app") else module.app
    browser = site.test_client()
    with site.test_request_context():
        login, callback, logout, in_app, renew_state = (
            url_for(f"dingtalk.{name}")
            for name in ("login", "callback", "logout", "in_app", "renew_state")
        )

    assert browser.get(callback).status_code == 400
    assert browser.get(in_app).status_code == (405 if site.config.get(IN_APP_LOGIN) else 404)
    assert browser.get(renew_state).status_code == 405
    answer = documented_dingtalk.sign_in(browser, "zhang", next="/here", login_path=login)
    assert (answer.status_code, answer.location) == (302, "/here")
    for rule in site.url_map.iter_rules():
        if rule.arguments or rule.endpoint.startswith("dingtalk."):
            continue
        if "GET" not in (rule.methods or ()):
            continue
        # The organisation of the example is not the simulator's.
        expected = 403 if rule.rule == "/finance" else 200
        assert browser.get(rule.rule).status_code == expected, rule.rule
        if rule.rule in OPEN_PAGES:
            page = site.test_client().get(rule.rule).text
            assert "data-dingtalk-qr=" in page
            assert f'href="{login}?' in page
            continue
        if rule.rule in EXEMPT_VIEWS:
            assert site.test_client().get(rule.rule).status_code == 200, rule.rule
            continue
        assert site.test_client().get(rule.rule).location.startswith(login), rule.rule
    assert browser.post(logout).status_code == 303


def test_names_of_departments_are_kept_for_a_while(
    stub: StubDingTalk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, later: Later
) -> None:
    """DingTalk is asked for each once, and again after that time."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/topapi/v2/department/get":
            dept_id = parse_qs(asked.body.decode())["dept_id"][0]
            return Answer({"errcode": 0, "result": {"name": f"部门{dept_id}"}})
        return Answer(TOKEN)

    stub.token = answer
    monkeypatch.setenv("FLASK_SECRET_KEY", "k")
    for name, value in stub.settings.items():
        monkeypatch.setenv(f"FLASK_{name}", value)
    (snippet,) = [each for each in snippets(CALLING, "python") if "department" in each.text]
    (tmp_path / "app.py").write_text(f"{beginning(CALLING)}\n{snippet.text}", encoding="utf-8")
    app = load(tmp_path / "app.py").app
    user = make_user(employee=make_employee(department_ids=[1, 7]))
    browser = signed_in(app.test_client(), user)
    asked = []
    for seconds in (0, 1800, 1801):
        later(seconds)
        assert browser.get("/my-departments").json == ["部门1", "部门7"]
        asked.append(sum("department" in each.path for each in stub.asked))
    assert asked == [2, 2, 4]


def test_the_documented_error_handler_loses_nothing(
    documented_dingtalk: DingTalkSimulator, tmp_path: Path
) -> None:
    """Scripts get JSON, and everybody learns when to come back."""
    (handler,) = [
        each
        for each in snippets(ERRORS_PAGE, "python")
        if "errorhandler(DingTalkError)" in each.text
    ]
    first = beginning(ERRORS_PAGE)
    (tmp_path / "app.py").write_text(f"{first}\n{handler.text}", encoding="utf-8")
    app = load(tmp_path / "app.py").app

    @app.get("/busy")  # type: ignore[untyped-decorator]
    def busy() -> None:
        raise RateLimited("DingTalk throttles", retry_after=7)

    page, script = (
        app.test_client().get("/busy", headers={"Accept": accept})
        for accept in ("text/html", "application/json")
    )
    assert f"<h1>{RateLimited().title}</h1>" in page.text
    assert script.json["error"] == "rate_limited"
    for answer in (page, script):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_the_first_lines_are_the_same_on_every_page() -> None:
    """Both READMEs, the front page and the tutorial begin alike, but for the comments."""
    first = {
        ast.dump(ast.parse(snippets(page, "python")[0].text))
        for page in (ENGLISH, CHINESE, INDEX, TUTORIAL)
    }
    assert len(first) == 1


@pytest.mark.parametrize("readme", READMES)
def test_the_first_snippet_greets_whoever_is_signed_in(
    readme: Path, documented_dingtalk: DingTalkSimulator, tmp_path: Path
) -> None:
    """The first lines of the README do what they promise."""
    first = snippets(readme, "python")[0]
    (tmp_path / "app.py").write_text(first.text, encoding="utf-8")
    browser = load(tmp_path / "app.py").app.test_client()
    documented_dingtalk.sign_in(browser, "zhang")
    assert browser.get("/").text == "Hello, 张三"


def _tests(*, in_browser: bool) -> list[object]:
    return _parameters(
        lambda snippet: "def test_" in snippet.text and ("playwright" in snippet.text) == in_browser
    )


@pytest.mark.parametrize("snippet", _tests(in_browser=False))
def test_every_documented_test_passes(snippet: Snippet, tmp_path: Path) -> None:
    """A snippet with tests passes beside the site of the page on factories."""
    _pass(snippet, tmp_path)


@pytest.mark.browser
@pytest.mark.parametrize("snippet", _tests(in_browser=True))
def test_every_documented_test_in_a_browser_passes(snippet: Snippet, tmp_path: Path) -> None:
    """With pytest-playwright, and the browser of this machine."""
    options = {"executable_path": PROGRAM, "args": CHROMIUM}
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(scope='session')\n"
        f"def browser_type_launch_args():\n    return {options!r}\n",
        encoding="utf-8",
    )
    # The plugin uses what pytest advises against.
    plugin = ("-p", "pytest_playwright.pytest_playwright", "-W", "ignore::pytest.PytestWarning")
    _pass(snippet, tmp_path, *plugin)


def _pass(snippet: Snippet, tmp_path: Path, *options: str) -> None:
    assert snippet.file is not None
    (tmp_path / "my_site.py").write_text(file_of(FACTORY, "my_site.py"), encoding="utf-8")
    (tmp_path / snippet.file).write_text(snippet.text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if "FLASK" not in name}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a reader may have pytest alone
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_filter_for_sentry_hides_what_a_browser_brings(
    documented_dingtalk: DingTalkSimulator, tmp_path: Path
) -> None:
    """Addresses, forms and cookies lose codes, states and the session; the rest stays."""
    (snippet,) = [each for each in snippets(DEPLOYMENT, "python") if "sentry_sdk" in each.text]
    (tmp_path / "filter.py").write_text(snippet.text, encoding="utf-8")
    event = {
        "request": {
            "url": "http://localhost/dingtalk/callback",
            "query_string": "authCode=hidden&state=hidden&x=shown",
            "cookies": {"session": "hidden", "theme": "shown"},
            "data": {"code": "hidden"},
        },
        "frames": [{"vars": {"environ": {"HTTP_COOKIE": "'session=hidden; theme=shown'"}}}],
    }
    sent = str(load(tmp_path / "filter.py").hide(event))
    assert "hidden" not in sent
    assert sent.count("shown") == 3


def test_the_quoted_log_line_is_what_is_logged(
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A missing permission is logged as the page shows."""
    (tmp_path / "app.py").write_text(beginning(ERRORS_PAGE), encoding="utf-8")
    browser = load(tmp_path / "app.py").app.test_client()
    documented_dingtalk.application.permissions.remove("Contact.User.Read")
    documented_dingtalk.sign_in(browser, "zhang")
    (quoted,) = snippets(ERRORS_PAGE, "text")
    pattern = re.sub("[0-9A-F]*…", r"\\S+", re.escape(quoted.text.strip()))
    assert [text for text in caplog.messages if re.fullmatch(pattern, text)]


def test_the_documented_policy_is_that_of_the_example(
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which the browser tests walk through; there, the simulator stands in DingTalk's place."""
    (policy,) = [each for each in snippets(POLICY, "python") if each.text.startswith("SCRIPTS")]
    (tmp_path / "app.py").write_text(f"{beginning(POLICY)}\n{policy.text}", encoding="utf-8")
    documented = load(tmp_path / "app.py").app.test_client().get("/").headers
    for name in documented_dingtalk.settings:
        monkeypatch.delenv(f"FLASK_{name}")
    example = create_app({"DINGTALK_CLIENT_ID": "x", "DINGTALK_CLIENT_SECRET": "x"})
    sent = example.test_client().get("/").headers
    assert documented["Content-Security-Policy"] == sent["Content-Security-Policy"]
