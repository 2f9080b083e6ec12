"""The documents are correct: their code runs, and their tables agree with the code."""

from __future__ import annotations

import ast
import importlib.util
import json
import logging
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Final

import pytest
import sentry_sdk
from flask import Flask, render_template_string, url_for
from flask.testing import FlaskClient
from jinja2 import meta

import flask_dingtalk
from examples.site import create_app
from flask_dingtalk import (
    DingTalkError,
    DingTalkUnavailable,
    RateLimited,
    current_dingtalk_user,
)
from flask_dingtalk.api.employee import Employee, Role
from flask_dingtalk.messages import ERRORS, QR, TRY_AGAIN
from flask_dingtalk.settings import Settings
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import come_back, sign_in_with, site_on, start
from .stub import PROFILE, TOKEN, Answer, StubDingTalk

pytestmark = pytest.mark.docs

ROOT: Final = Path(__file__).parents[1]
ENGLISH: Final = ROOT / "README.md"
CHINESE: Final = ROOT / "README.zh-CN.md"
READMES: Final = [pytest.param(ENGLISH, id="en"), pytest.param(CHINESE, id="zh")]
DOCS: Final = ROOT / "docs"
GUARDING: Final = DOCS / "how-to" / "guarding.md"
MEMBERS: Final = DOCS / "how-to" / "members.md"
MISTAKES: Final = DOCS / "how-to" / "mistakes.md"
WAYS_IN: Final = DOCS / "how-to" / "ways-in.md"
IN_DINGTALK: Final = DOCS / "how-to" / "in-dingtalk.md"
QR_CODE: Final = DOCS / "how-to" / "qr-code.md"
POLICY: Final = DOCS / "how-to" / "content-security-policy.md"
CONSOLE: Final = DOCS / "how-to" / "console.md"
DEPLOYMENT: Final = DOCS / "how-to" / "deployment.md"
FACTORY: Final = DOCS / "how-to" / "factory.md"
CALLING: Final = DOCS / "how-to" / "calling-dingtalk.md"
STORAGE: Final = DOCS / "explanation" / "storage.md"
SETTINGS_PAGE: Final = DOCS / "reference" / "settings.md"
TEMPLATES: Final = DOCS / "reference" / "templates.md"
ERRORS_PAGE: Final = DOCS / "reference" / "errors.md"
CODES: Final = DOCS / "reference" / "dingtalk-codes.md"
#: Its code is run by tests/ecosystem.
ECOSYSTEM: Final = DOCS / "how-to" / "ecosystem.md"
#: Pages of documented sites that show a QR code without a sign-in.
OPEN_PAGES: Final = ("/welcome", "/with-nonce")
#: Views of documented sites that are exempt from a guard.
EXEMPT_VIEWS: Final = ("/admin/help",)
IN_APP_LOGIN: Final = "DINGTALK_IN_APP_LOGIN"
PAGES: Final = [ENGLISH, CHINESE, ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
#: The settings of this version, with their defaults; a required one has none.
SETTINGS: Final = {f"DINGTALK_{field.name.upper()}": field.default for field in fields(Settings)}
ERROR_CLASSES: Final = DingTalkError.__subclasses__()

_FENCE = re.compile(r"^( *)```([a-z]+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Snippet:
    """One block of code in one of the texts."""

    page: Path
    number: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the first line names, if it names one."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named[1] if named else None

    @property
    def id(self) -> str:
        """A short name for the test."""
        return f"{self.page.name}-{self.number}"


def _snippets(page: Path, language: str) -> list[Snippet]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [
        Snippet(page, number, name, dedent(text))
        for number, (_, name, text) in enumerate(found, 1)
        if name == language
    ]


def _file(page: Path, name: str) -> str:
    (snippet,) = [each for each in _snippets(page, "python") if each.file == name]
    return snippet.text


def _beginning(page: Path) -> str:
    """Return what the code of a page goes on from: its own ``app.py``, or the one of the README."""
    own = [each for each in _snippets(page, "python") if each.file == "app.py"]
    return own[0].text if own else _file(ENGLISH, "app.py")


def _parameters(chosen: Callable[[Snippet], bool]) -> list[object]:
    return [
        pytest.param(snippet, id=snippet.id)
        for page in PAGES
        if page != ECOSYSTEM
        for snippet in _snippets(page, "python")
        if chosen(snippet)
    ]


def _rows(page: Path, cells: int) -> dict[str, list[str]]:
    """Return the rows of the tables with so many columns, by the first name in each."""
    rows = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip().strip("|").split("|")]
        name = re.match(r"`(\w+)`", row[0])
        if line.lstrip().startswith("|") and len(row) == cells and name:
            rows[name[1]] = row
    return rows


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"documented_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def documented_dingtalk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[DingTalkSimulator]:
    """Run a simulator, and name it in the environment as the texts say."""
    root, ours = logging.getLogger(), logging.getLogger("flask_dingtalk")
    levels, handlers = (root.level, ours.level), list(root.handlers)
    with DingTalkSimulator() as running:
        monkeypatch.setenv("FLASK_SECRET_KEY", "the key of a documented site")
        for name, value in running.settings.items():
            monkeypatch.setenv(f"FLASK_{name}", value)
        monkeypatch.chdir(tmp_path)
        yield running
    # What a documented site may have set for its whole process.
    for logger, level in zip((root, ours), levels, strict=True):
        logger.setLevel(level)
    root.handlers[:] = handlers
    sentry_sdk.get_global_scope().set_client(None)


# --- Code ----------------------------------------------------------------------------------------


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
    before = "" if snippet.file else _beginning(snippet.page)
    (tmp_path / "app.py").write_text(f"{before}\n{snippet.text}", encoding="utf-8")
    module = _load(tmp_path / "app.py")
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
    signed_in = documented_dingtalk.sign_in(browser, "zhang", next="/here", login_path=login)
    assert (signed_in.status_code, signed_in.location) == (302, "/here")
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


def test_the_documented_error_handler_loses_nothing(
    documented_dingtalk: DingTalkSimulator, tmp_path: Path
) -> None:
    """Scripts get JSON, and everybody learns when to come back."""
    (handler,) = [
        each
        for each in _snippets(ERRORS_PAGE, "python")
        if "errorhandler(DingTalkError)" in each.text
    ]
    first = _beginning(ERRORS_PAGE)
    (tmp_path / "app.py").write_text(f"{first}\n{handler.text}", encoding="utf-8")
    app = _load(tmp_path / "app.py").app

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


@pytest.mark.parametrize("readme", READMES)
def test_the_first_snippet_greets_whoever_is_signed_in(
    readme: Path, documented_dingtalk: DingTalkSimulator, tmp_path: Path
) -> None:
    """The first lines of the README do what they promise."""
    first = _snippets(readme, "python")[0]
    (tmp_path / "app.py").write_text(first.text, encoding="utf-8")
    browser = _load(tmp_path / "app.py").app.test_client()
    documented_dingtalk.sign_in(browser, "zhang")
    assert browser.get("/").text == "Hello, 张三"


@pytest.mark.parametrize("snippet", _parameters(lambda snippet: "def test_" in snippet.text))
def test_every_documented_test_passes(snippet: Snippet, tmp_path: Path) -> None:
    """A snippet with tests passes beside the site that the README shows."""
    assert snippet.file is not None
    (tmp_path / "my_site.py").write_text(_file(FACTORY, "my_site.py"), encoding="utf-8")
    (tmp_path / snippet.file).write_text(snippet.text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if "FLASK" not in name}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a reader may have pytest alone
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
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
    (snippet,) = [each for each in _snippets(DEPLOYMENT, "python") if "sentry_sdk" in each.text]
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
    sent = str(_load(tmp_path / "filter.py").hide(event))
    assert "hidden" not in sent
    assert sent.count("shown") == 3


def test_every_documented_template_renders() -> None:
    """The template works with and without a sign-in."""
    snippets = _snippets(GUARDING, "jinja")
    assert snippets
    app = Flask("documented")
    app.config.update(SECRET_KEY="x", DINGTALK_CLIENT_ID="x", DINGTALK_CLIENT_SECRET="x")
    flask_dingtalk.DingTalk(app)
    app.add_url_rule("/", view_func=lambda: render_template_string(snippets[0].text))
    browser = app.test_client()
    assert "/dingtalk/login?next=/reports" in browser.get("/").text
    user = flask_dingtalk.DingTalkUser(union_id="u", nick="小明")
    page = flask_dingtalk.testing.signed_in(browser, user).get("/").text
    assert 'action="/dingtalk/logout"' in page
    assert "小明" in page


def test_the_quoted_log_line_is_what_is_logged(
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A missing permission is logged as the page shows."""
    (tmp_path / "app.py").write_text(_beginning(ERRORS_PAGE), encoding="utf-8")
    browser = _load(tmp_path / "app.py").app.test_client()
    documented_dingtalk.application.permissions.remove("Contact.User.Read")
    documented_dingtalk.sign_in(browser, "zhang")
    (quoted,) = _snippets(ERRORS_PAGE, "text")
    pattern = re.sub("[0-9A-F]*…", r"\\S+", re.escape(quoted.text.strip()))
    assert [text for text in caplog.messages if re.fullmatch(pattern, text)]


def test_every_documented_make_target_exists() -> None:
    """Each ``make`` target that a document names exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for snippet in _snippets(page, "sh"):
            for target in re.findall(r"^make (\w+)", snippet.text, re.MULTILINE):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# --- Tables --------------------------------------------------------------------------------------


def test_every_setting_is_documented_with_its_default() -> None:
    """The table of settings holds those of this version, no others, and their defaults."""
    rows = _rows(SETTINGS_PAGE, 5)
    documented = {name: rows[name][1] for name in rows if name.startswith("DINGTALK_")}
    assert documented.keys() == SETTINGS.keys()
    for name, default in SETTINGS.items():
        if default is MISSING:
            assert documented[name] == "required", name
        else:
            assert ast.literal_eval(documented[name].strip("`")) == default, name


def test_every_duration_is_documented_in_seconds() -> None:
    """A setting that is a number says of what."""
    rows = _rows(SETTINGS_PAGE, 5)
    for name, default in SETTINGS.items():
        if isinstance(default, float | int | tuple) and default not in (False, ()):
            assert "seconds" in rows[name][2], name


def test_every_example_of_a_setting_is_accepted() -> None:
    """The examples in the table of settings are values that the settings take, all together."""
    rows = _rows(SETTINGS_PAGE, 5)
    examples = {name: ast.literal_eval(rows[name][4].strip("`")) for name in SETTINGS}
    settings = Settings.from_config(examples)
    assert settings.allowed_corp_ids == frozenset(examples["DINGTALK_ALLOWED_CORP_IDS"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_text_names_a_setting_that_does_not_exist(page: Path) -> None:
    """Each ``DINGTALK_…`` in a text is a setting of this version."""
    named = set(re.findall(r"DINGTALK_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert named <= SETTINGS.keys()


def test_every_error_is_documented() -> None:
    """The table of errors has each code with its class, its status and the title of its page."""
    rows = _rows(ERRORS_PAGE, 5)
    assert {error.error_code for error in ERROR_CLASSES} == ERRORS.keys() - {"dingtalk_error"}
    for error in ERROR_CLASSES:
        name, status, title, *_ = rows[error.error_code]
        assert f"`{error.__name__}`" in name
        assert status.startswith(str(error.code)), error
        assert title == ERRORS[error.error_code].title.en
    assert str(DingTalkUnavailable(timed_out=True).code) in rows["dingtalk_unavailable"][1]


def test_every_export_is_documented() -> None:
    """Each public name of the package occurs in the documentation."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    for name in flask_dingtalk.__all__:
        assert re.search(rf"\b{name}\b", text), name


def limit(page: Path, pattern: str) -> int:
    """Read a number out of a page, which has it once or says it twice alike."""
    (number,) = set(re.findall(pattern, page.read_text(encoding="utf-8")))
    return int(number.replace(",", ""))


def test_a_cookie_over_the_documented_size_is_refused(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """And one below it is not."""
    most = limit(STORAGE, r"(?:over|exceed) ([0-9],[0-9]{3}) bytes")
    outcomes = {}
    for size in range(1900, 2500, 40):
        client = app.test_client()
        with client.session_transaction() as session:
            session["basket"] = random.Random(1).randbytes(size).hex()
        status = simulator.sign_in(client, "zhang").status_code
        cookie = client.get_cookie("session")
        assert cookie is not None
        outcomes[status] = len(f"{cookie.key}={cookie.value}")
    # The largest that was let in, with what is kept free for sign-ins under way.
    assert outcomes.keys() == {302, 500}
    assert most - 400 < outcomes[302] <= most


def test_as_many_sign_ins_as_documented_are_under_way_in_one_browser(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The oldest make room."""
    states = [start(client) for _ in range(9)]
    cookie = client.get_cookie("session")
    assert cookie is not None
    statuses = []
    for state in states:
        client.set_cookie("session", cookie.value)
        code = simulator.authorization_code("zhang")
        statuses.append(come_back(client, state, code).status_code)
    most = limit(STORAGE, r"up to ([0-9]) ")
    assert statuses == [400] * (9 - most) + [302] * most


def test_an_answer_over_the_documented_size_is_refused(stub: StubDingTalk) -> None:
    """One of just that size is read."""
    most = limit(CALLING, "([0-9]) MiB") * 2**20
    rest = len(json.dumps(TOKEN | {"filler": ""}))
    statuses = []
    for size in (most, most + 1):
        stub.token = Answer(TOKEN | {"filler": "x" * (size - rest)})
        statuses.append(sign_in_with(site_on(stub).test_client()).status_code)
    assert statuses == [302, 502]


def test_every_permission_is_documented(simulator: DingTalkSimulator) -> None:
    """The steps in the console name each one that DingTalk checks and not every application has."""
    text = CONSOLE.read_text(encoding="utf-8")
    documented = set(re.findall(r"^   \| `([A-Za-z_.]+)` \|", text, re.MULTILINE))
    had_by_all = {"open_app_api_base", "qyapi_base"}
    assert documented - had_by_all == simulator.application.permissions - had_by_all


def test_every_field_of_an_employee_is_documented() -> None:
    """The table of fields has each field of a record, no other, and those of a role."""
    text = MEMBERS.read_text(encoding="utf-8")
    table = re.findall(r"^\| (.*?) \| .*(?:`|tuple|mapping).* \| .* \|$", text, re.MULTILINE)
    documented = [name for cell in table for name in re.findall(r"`([a-z_]+)`", cell)]
    assert set(documented) == {name for name in dir(Employee) if not name.startswith("_")}
    for each in fields(Role):
        assert f"`{each.name}`" in text


def test_what_goes_from_a_cookie_first_is_documented() -> None:
    """In four steps."""
    steps = re.findall(r"^[1-4]\. (.*)$", MEMBERS.read_text(encoding="utf-8"), re.MULTILINE)[:4]
    named = ("`employee.raw`", "`extension`", "`roles`", "`user.raw`")
    assert all(name in step for name, step in zip(named, steps, strict=True))


def test_a_cookie_is_emptied_in_the_documented_steps(stub: StubDingTalk) -> None:
    """One after the other, as the site's own part of the cookie grows."""
    noise = random.Random(1)
    record = {
        "userid": "zhang-1",
        "unionid": PROFILE["unionId"],
        "undocumented": noise.randbytes(150).hex(),
        "extension": noise.randbytes(150).hex(),
        "role_list": [{"id": 1, "name": noise.randbytes(150).hex(), "group_name": "g"}],
    }
    results = {
        "/topapi/user/getbyunionid": {"contact_type": 0, "userid": "zhang-1"},
        "/topapi/v2/user/get": record,
    }
    stub.token = lambda asked: Answer(
        {"errcode": 0, "result": results[asked.path]} if asked.path in results else TOKEN
    )
    stub.user = Answer(PROFILE | {"new": noise.randbytes(150).hex()})
    app = site_on(stub, DINGTALK_MEMBERS_ONLY=True, DINGTALK_EMPLOYEE_PROFILE=True)

    @app.get("/kept")
    def kept() -> list[str]:
        user = current_dingtalk_user
        assert user.employee is not None
        return [*user.employee.raw, *user.raw]

    seen = []
    for size in range(1000, 2000, 40):
        client = app.test_client()
        with client.session_transaction() as site:
            site["basket"] = random.Random(size).randbytes(size).hex()
        if sign_in_with(client).status_code == 302:
            left = set(client.get("/kept").json or ())
            gone = [name for name in (*record, "new") if name not in left]
            seen.append(sorted(gone))
    in_order = ("undocumented", "extension", "role_list", "new")
    assert [gone for gone, _ in groupby(seen)] == [sorted(in_order[:n]) for n in range(5)]


def test_the_log_lines_of_the_mistakes_are_those_of_the_code() -> None:
    """Each piece of a quoted line, between its ellipses, is in a text of the package."""
    texts = [
        node.value
        for path in (ROOT / "flask_dingtalk").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    cells = re.findall(
        r"^\| [^|]+ \| ([^|]+) \|", MISTAKES.read_text(encoding="utf-8"), re.MULTILINE
    )
    quoted = [quote for cell in cells for quote in re.findall("`([^`]+)`", cell)]
    assert len(quoted) > 20
    missing = [
        piece
        for quote in quoted
        for piece in quote.split("…")
        if not any(piece in text for text in texts)
    ]
    assert missing == []


# --- Ways in -------------------------------------------------------------------------------------


@pytest.fixture
def bare() -> Flask:
    """Build a site with nothing but the extension."""
    app = Flask("documented")
    app.config.update(SECRET_KEY="x", DINGTALK_CLIENT_ID="x", DINGTALK_CLIENT_SECRET="x")
    flask_dingtalk.DingTalk(app)
    return app


#: Routes that only a setting switches on.
SWITCHED_OFF: Final = ("/dingtalk/in-app", "/dingtalk/events")


def test_every_route_is_documented(bare: Flask) -> None:
    """The table of routes has those of the extension, no others, each with its method."""
    table = re.findall(
        r"^\| `(/dingtalk/[^`]+)` \| ([A-Z]+) \|", WAYS_IN.read_text(encoding="utf-8"), re.MULTILINE
    )
    browser = bare.test_client()
    rules = {
        rule.rule.replace("<path:filename>", "…")
        for rule in bare.url_map.iter_rules()
        if rule.endpoint.startswith("dingtalk.")
    }
    assert {path for path, _ in table} == rules
    for path, method in table:
        refused = browser.get(path).status_code == 405
        # A route that is switched off does not exist for any method.
        assert refused == (method == "POST") or path in SWITCHED_OFF, path


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


def test_the_documented_policy_is_that_of_the_example(
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which the browser tests walk through; there, the simulator stands in DingTalk's place."""
    (policy,) = [each for each in _snippets(POLICY, "python") if each.text.startswith("SCRIPTS")]
    (tmp_path / "app.py").write_text(f"{_beginning(POLICY)}\n{policy.text}", encoding="utf-8")
    documented = _load(tmp_path / "app.py").app.test_client().get("/").headers
    for name in documented_dingtalk.settings:
        monkeypatch.delenv(f"FLASK_{name}")
    example = create_app({"DINGTALK_CLIENT_ID": "x", "DINGTALK_CLIENT_SECRET": "x"})
    sent = example.test_client().get("/").headers
    assert documented["Content-Security-Policy"] == sent["Content-Security-Policy"]


def test_the_smallest_code_has_the_documented_size(bare: Flask) -> None:
    """However small a one was asked for."""
    documented = re.search("([0-9]+) or more", QR_CODE.read_text(encoding="utf-8"))
    assert documented is not None
    with bare.test_request_context():
        code = render_template_string("{{ dingtalk_qr(size=1) }}")
    assert documented[1] in re.findall(r'<svg[^>]* width="?([0-9]+)', code)


def test_the_table_of_troubles_agrees_with_the_page_of_error_codes() -> None:
    """A code of DingTalk's that leads to one of our error pages leads to the same one in both."""
    known = {}
    for row in CODES.read_text(encoding="utf-8").splitlines():
        cells = row.split("|")
        if len(cells) > 3:
            known.update(dict.fromkeys(re.findall("`([0-9]+)`", cells[1]), cells[2].strip(" `")))
    troubles = re.findall(
        r"^\| `([0-9]+)` [^|]*\| page: `(\w+)`",
        WAYS_IN.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(troubles) >= 2
    assert troubles == [(code, known[code]) for code, _ in troubles]


def test_what_visitors_may_read_is_quoted_from_the_pages() -> None:
    """The quoted texts are the beginnings of what the extension says."""
    text = WAYS_IN.read_text(encoding="utf-8")
    for name in ("unavailable", "not_in_organisation"):
        said = re.split("(?<=[.])", QR[name].en)[0]
        assert said in text
    assert ERRORS["invalid_state"].title.en in text
    assert TRY_AGAIN.en in text


def test_the_page_of_error_codes_is_up_to_date() -> None:
    """It is what ``docs/dingtalk_codes.py`` writes."""
    assert CODES.read_text(encoding="utf-8") == _load(DOCS / "dingtalk_codes.py").render()


# --- Links ---------------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_image_leads_somewhere(page: Path) -> None:
    """Each relative link of a text names a file, and each anchor a heading."""
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_event_settings_of_the_simulator_are_documented() -> None:
    """Its console page does not show them, as they would be secrets."""
    from flask_dingtalk.testing.standalone import lasting_simulator

    text = (DOCS / "how-to" / "testing.md").read_text(encoding="utf-8")
    for name, value in lasting_simulator(0).event_settings.items():
        assert f"`{name}={value}`" in text
