"""The texts are true: their code runs, and their tables agree with the code and each other."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Final

import pytest
from flask import Flask, render_template_string, url_for
from jinja2 import meta

import flask_dingtalk
from examples.site import create_app
from flask_dingtalk import (
    DingTalkError,
    DingTalkUnavailable,
    app_state,
    revalidation,
    session,
    template_globals,
    token_rotations,
)
from flask_dingtalk.api import directory, http, transport, wire
from flask_dingtalk.api.employee import Employee, Role
from flask_dingtalk.api.error_codes import OLD_API
from flask_dingtalk.api.models import DingTalkUser
from flask_dingtalk.messages import ERRORS, QR, TRY_AGAIN
from flask_dingtalk.settings import Settings
from flask_dingtalk.testing import DingTalkSimulator

ROOT: Final = Path(__file__).parents[1]
ENGLISH: Final = ROOT / "README.md"
CHINESE: Final = ROOT / "README.zh-CN.md"
READMES: Final = [pytest.param(ENGLISH, id="en"), pytest.param(CHINESE, id="zh")]
MEMBERS: Final = ROOT / "docs" / "members.md"
MEMBERS_CHINESE: Final = ROOT / "docs" / "members.zh-CN.md"
MEMBERS_PAGES: Final = [pytest.param(MEMBERS, id="en"), pytest.param(MEMBERS_CHINESE, id="zh")]
WAYS_IN: Final = ROOT / "docs" / "ways-in.md"
WAYS_IN_CHINESE: Final = ROOT / "docs" / "ways-in.zh-CN.md"
WAYS_IN_PAGES: Final = [pytest.param(WAYS_IN, id="en"), pytest.param(WAYS_IN_CHINESE, id="zh")]
#: Pages of documented sites that show a QR code to whoever comes.
OPEN_PAGES: Final = ("/welcome", "/with-nonce")
IN_APP_LOGIN: Final = "DINGTALK_IN_APP_LOGIN"
#: The permissions of the console that an application of this extension can need.
PERMISSIONS: Final = (
    wire.PERMISSION_USER_READ,
    wire.PERMISSION_USER_MOBILE,
    wire.PERMISSION_GET_MEMBER,
    wire.PERMISSION_FIELD_MOBILE,
    wire.PERMISSION_FIELD_EMAIL,
)
PAGES: Final = [ENGLISH, CHINESE, ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
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


def _parameters(chosen: Callable[[Snippet], bool]) -> list[object]:
    return [
        pytest.param(snippet, id=snippet.id)
        for page in PAGES
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
    with DingTalkSimulator() as running:
        monkeypatch.setenv("FLASK_SECRET_KEY", "the key of a documented site")
        for name, value in running.settings.items():
            monkeypatch.setenv(f"FLASK_{name}", value)
        monkeypatch.chdir(tmp_path)
        yield running


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
    before = "" if snippet.file else _file(snippet.page, "app.py")
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
        # The organisation of the example is not the simulator's.
        expected = 403 if rule.rule == "/finance" else 200
        assert browser.get(rule.rule).status_code == expected, rule.rule
        if rule.rule in OPEN_PAGES:
            page = site.test_client().get(rule.rule).text
            assert "data-dingtalk-qr=" in page
            assert f'href="{login}?' in page
            continue
        assert site.test_client().get(rule.rule).location.startswith(login), rule.rule
    assert browser.post(logout).status_code == 303


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
    (tmp_path / "my_site.py").write_text(_file(ENGLISH, "my_site.py"), encoding="utf-8")
    (tmp_path / snippet.file).write_text(snippet.text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if "FLASK" not in name}
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


@pytest.mark.parametrize("readme", READMES)
def test_every_documented_template_renders(readme: Path) -> None:
    """What the README puts into a template works for who is signed in and who is not."""
    snippets = _snippets(readme, "jinja")
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


@pytest.mark.parametrize("readme", READMES)
def test_the_quoted_log_line_is_what_is_logged(
    readme: Path,
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A missing permission is logged as the README shows."""
    (tmp_path / "app.py").write_text(_file(readme, "app.py"), encoding="utf-8")
    browser = _load(tmp_path / "app.py").app.test_client()
    documented_dingtalk.application.permissions.remove("Contact.User.Read")
    documented_dingtalk.sign_in(browser, "zhang")
    (quoted,) = _snippets(readme, "text")
    pattern = re.sub("[0-9A-F]*…", r"\\S+", re.escape(quoted.text.strip()))
    assert [text for text in caplog.messages if re.fullmatch(pattern, text)]


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param((ENGLISH, CHINESE), id="readme"),
        pytest.param((WAYS_IN, WAYS_IN_CHINESE), id="ways-in"),
    ],
)
def test_both_languages_show_the_same_code(pages: tuple[Path, Path]) -> None:
    """The Python of the two languages differs in comments alone."""
    english, chinese = (
        [ast.dump(ast.parse(snippet.text)) for snippet in _snippets(page, "python")]
        for page in pages
    )
    assert english == chinese


def test_every_documented_make_target_exists() -> None:
    """What the texts tell people to make can be made."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for snippet in _snippets(page, "sh"):
            for target in re.findall(r"^make (\w+)", snippet.text, re.MULTILINE):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# --- Tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("readme", READMES)
def test_every_setting_is_documented_with_its_default(readme: Path) -> None:
    """The table of settings holds those of this version, no others, and their defaults."""
    rows = _rows(readme, 5)
    documented = {name: rows[name][1] for name in rows if name.startswith("DINGTALK_")}
    assert documented.keys() == SETTINGS.keys()
    for name, default in SETTINGS.items():
        if default is MISSING:
            assert documented[name] in ("required", "必填"), name
        else:
            assert ast.literal_eval(documented[name].strip("`")) == default, name


@pytest.mark.parametrize("readme", READMES)
def test_every_duration_is_documented_in_seconds(readme: Path) -> None:
    """A setting that is a number says of what."""
    rows = _rows(readme, 5)
    for name, default in SETTINGS.items():
        if isinstance(default, float | int | tuple) and not isinstance(default, bool):
            assert re.search("seconds|秒", rows[name][2]), name


@pytest.mark.parametrize("readme", READMES)
def test_every_example_of_a_setting_is_accepted(readme: Path) -> None:
    """The examples in the table of settings are values that the settings take, all together."""
    rows = _rows(readme, 5)
    examples = {name: ast.literal_eval(rows[name][4].strip("`")) for name in SETTINGS}
    settings = Settings.from_config(examples)
    assert settings.allowed_corp_ids == frozenset(examples["DINGTALK_ALLOWED_CORP_IDS"])


def test_both_readmes_have_the_same_settings() -> None:
    """Order and examples of the settings are the same in both languages."""
    english, chinese = (
        [(name, row[4]) for name, row in _rows(readme, 5).items() if name in SETTINGS]
        for readme in (ENGLISH, CHINESE)
    )
    assert english == chinese


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_text_names_a_setting_that_does_not_exist(page: Path) -> None:
    """Each ``DINGTALK_…`` in a text is a setting of this version."""
    named = set(re.findall(r"DINGTALK_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert named <= SETTINGS.keys()


@pytest.mark.parametrize(("readme", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_every_error_is_documented(readme: Path, language: str) -> None:
    """The table of errors has each code with its class, its status and the title of its page."""
    rows = _rows(readme, 5)
    assert {error.error_code for error in ERROR_CLASSES} == ERRORS.keys() - {"dingtalk_error"}
    for error in ERROR_CLASSES:
        name, status, title, *_ = rows[error.error_code]
        assert f"`{error.__name__}`" in name
        assert status.startswith(str(error.code)), error
        assert title == getattr(ERRORS[error.error_code].title, language)
    assert str(DingTalkUnavailable(timed_out=True).code) in rows["dingtalk_unavailable"][1]


@pytest.mark.parametrize("readme", READMES)
def test_every_export_is_documented(readme: Path) -> None:
    """Each public name of the package occurs in the README."""
    text = readme.read_text(encoding="utf-8")
    for name in flask_dingtalk.__all__:
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("readme", READMES)
def test_the_documented_limits_are_those_of_the_code(readme: Path) -> None:
    """The numbers under "what is stored where" are right."""
    text = readme.read_text(encoding="utf-8")
    for limit in (
        session._MAX_COOKIE_BYTES,
        session._MAX_SEALED_BYTES,
        app_state._REMEMBERED_USERS,
        app_state._REMEMBERED_STATES,
        token_rotations._REMEMBERED,
    ):
        assert f"{limit:,}" in text
    assert re.search(rf"(up to|最多) {session._MAX_STATES} ", text)
    assert f"{http.MAX_RESPONSE_BYTES // 2**20} MiB" in text


@pytest.mark.parametrize("readme", READMES)
def test_every_permission_is_documented(readme: Path) -> None:
    """The steps in the console name each permission that some setting or field needs."""
    text = readme.read_text(encoding="utf-8")
    for permission in PERMISSIONS:
        assert f"   | `{permission}` |" in text


@pytest.mark.parametrize("page", MEMBERS_PAGES)
def test_every_field_of_an_employee_is_documented(page: Path) -> None:
    """The table of fields has each field of a record, no other, and those of a role."""
    text = page.read_text(encoding="utf-8")
    table = re.findall(
        r"^\| (.*?) \| .*(?:`|tuple|mapping|映射|元组).* \| .* \|$", text, re.MULTILINE
    )
    documented = [name for cell in table for name in re.findall(r"`([a-z_]+)`", cell)]
    assert set(documented) == {
        name for name, value in vars(Employee).items() if isinstance(value, property)
    } | {"raw"}
    for each in fields(Role):
        assert f"`{each.name}`" in text


@pytest.mark.parametrize("page", MEMBERS_PAGES)
def test_what_goes_from_a_cookie_first_is_documented_in_order(page: Path) -> None:
    """The four steps are those of the code."""
    steps = re.findall(r"^[1-4]\. (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[:4]
    record = dict.fromkeys((*wire.EMPLOYEE_FIELDS, "undocumented"), "x")
    profile = {wire.PROFILE_UNION_ID: "u", "undocumented": "x"}
    user = DingTalkUser(union_id="u", raw=profile, employee=Employee(record))
    slimmer = list(session._slimmer(user))
    dropped = []
    for more, less in pairwise(slimmer):
        assert more.employee is not None
        assert less.employee is not None
        dropped.append(
            (more.employee.raw.keys() - less.employee.raw.keys(), more.raw.keys() - less.raw.keys())
        )
    assert dropped == [
        ({"undocumented"}, set()),
        ({wire.EMPLOYEE_EXTENSION, wire.EMPLOYEE_REMARK}, set()),
        ({wire.EMPLOYEE_ROLES}, set()),
        (set(), {"undocumented"}),
    ]
    named = ("`employee.raw`", "`extension`", "`roles`", "`user.raw`")
    assert all(name in step for name, step in zip(named, steps, strict=True))


@pytest.mark.parametrize("page", MEMBERS_PAGES)
def test_the_documented_numbers_of_a_check_are_those_of_the_code(page: Path) -> None:
    """Limits, pauses and attempts are right."""
    text = page.read_text(encoding="utf-8")
    for number in (session._MAX_SEALED_BYTES, session._MAX_COOKIE_BYTES):
        assert f"{number:,}" in text
    assert re.search(rf"{revalidation._TRY_AGAIN_AFTER} (seconds|秒)", text)
    assert directory._RENEW_EARLY == 600
    assert re.search("ten minutes|十分钟", text)
    assert transport._READ_ATTEMPTS == 3
    assert re.search("three times|三次", text)
    assert f"{transport._FIRST_PAUSE}" in text
    assert f"{transport._FIRST_PAUSE * 2}" in text


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param((MEMBERS, MEMBERS_CHINESE), id="members"),
        pytest.param((WAYS_IN, WAYS_IN_CHINESE), id="ways-in"),
    ],
)
def test_both_languages_of_a_page_have_the_same_names(pages: tuple[Path, Path]) -> None:
    """What is code in one language is code in the other."""
    english, chinese = (
        re.findall(r"`[A-Za-z_.=]+`", page.read_text(encoding="utf-8")) for page in pages
    )
    assert sorted(english) == sorted(chinese)


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param((ENGLISH, CHINESE), id="readme"),
        pytest.param((MEMBERS, MEMBERS_CHINESE), id="members"),
        pytest.param((WAYS_IN, WAYS_IN_CHINESE), id="ways-in"),
    ],
)
def test_both_languages_of_a_page_are_built_alike(pages: tuple[Path, Path]) -> None:
    """Headings, table rows, blocks of code, pictures and steps come in the same order."""
    outlines = (
        re.findall(r"^(#+ |\||!\[| *```[a-z]*|[0-9]\. )", page.read_text(encoding="utf-8"), re.M)
        for page in pages
    )
    english, chinese = outlines
    assert english == chinese


# --- Ways in -------------------------------------------------------------------------------------


@pytest.fixture
def bare() -> Flask:
    """Build a site with nothing but the extension."""
    app = Flask("documented")
    app.config.update(SECRET_KEY="x", DINGTALK_CLIENT_ID="x", DINGTALK_CLIENT_SECRET="x")
    flask_dingtalk.DingTalk(app)
    return app


@pytest.mark.parametrize("readme", READMES)
def test_every_route_is_documented(readme: Path, bare: Flask) -> None:
    """The table of routes has those of the extension, no others, each with its method."""
    table = re.findall(
        r"^\| `(/dingtalk/[^`]+)` \| ([A-Z]+) \|", readme.read_text(encoding="utf-8"), re.MULTILINE
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
        assert refused == (method == "POST") or path == "/dingtalk/in-app", path


@pytest.mark.parametrize("page", WAYS_IN_PAGES)
def test_the_variables_of_every_template_are_documented(page: Path, bare: Flask) -> None:
    """The table has each template, and what it is given, nothing else."""
    text = page.read_text(encoding="utf-8")
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


@pytest.mark.parametrize("page", WAYS_IN_PAGES)
def test_the_documented_policy_is_that_of_the_example(
    page: Path,
    documented_dingtalk: DingTalkSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which the browser tests walk through; there, the simulator stands in DingTalk's place."""
    (policy,) = [each for each in _snippets(page, "python") if each.text.startswith("SCRIPTS")]
    (tmp_path / "app.py").write_text(f"{_file(page, 'app.py')}\n{policy.text}", encoding="utf-8")
    documented = _load(tmp_path / "app.py").app.test_client().get("/").headers
    for name in documented_dingtalk.settings:
        monkeypatch.delenv(f"FLASK_{name}")
    example = create_app({"DINGTALK_CLIENT_ID": "x", "DINGTALK_CLIENT_SECRET": "x"})
    sent = example.test_client().get("/").headers
    assert documented["Content-Security-Policy"] == sent["Content-Security-Policy"]


@pytest.mark.parametrize("page", WAYS_IN_PAGES)
def test_the_documented_numbers_of_the_ways_in_are_those_of_the_code(page: Path) -> None:
    """Pixels, patience and the codes of DingTalk are right."""
    text = page.read_text(encoding="utf-8")
    assert re.search(rf"{template_globals._CLIENT_PATIENCE} (seconds|秒)", text)
    assert re.search(rf"({wire.QR_MIN_SIZE} or more|至少 {wire.QR_MIN_SIZE})", text)
    assert "size=300" in text
    for code in (wire.QR_NOT_IN_ORGANISATION, wire.QR_UNKNOWN_APPLICATION):
        assert f"`{code}`" in text
    for code in (wire.ERRCODE_UNKNOWN_CODE, wire.ERRCODE_NOT_AUTHORISED):
        row = next(row for row in text.splitlines() if row.startswith(f"| `{code}`"))
        assert f"`{OLD_API[code].error.error_code}`" in row


@pytest.mark.parametrize(("page", "language"), [(WAYS_IN, "en"), (WAYS_IN_CHINESE, "zh")])
def test_what_visitors_may_read_is_quoted_from_the_pages(page: Path, language: str) -> None:
    """The quoted texts are the beginnings of what the extension says."""
    text = page.read_text(encoding="utf-8")
    for name in ("unavailable", "not_in_organisation"):
        said = re.split("(?<=[.])|[，。]", getattr(QR[name], language))[0]
        assert said in text
    assert getattr(ERRORS["invalid_state"].title, language) in text
    assert getattr(TRY_AGAIN, language) in text


def test_the_page_of_error_codes_is_up_to_date() -> None:
    """docs/errors.md is what ``python docs/errors.py > docs/errors.md`` writes."""
    written = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert written == _load(ROOT / "docs" / "errors.py").render()


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
