"""The tables in the texts agree with the code."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Final

import pytest
from flask import Flask

import flask_dingtalk
from flask_dingtalk import DingTalkError, DingTalkUnavailable
from flask_dingtalk.api.employee import Employee, Role
from flask_dingtalk.messages import ERRORS, QR, TRY_AGAIN
from flask_dingtalk.settings import Settings
from flask_dingtalk.testing import DingTalkSimulator

from .pages import (
    CODES,
    CONSOLE,
    DOCS,
    ERRORS_PAGE,
    MEMBERS,
    MISTAKES,
    PAGES,
    ROOT,
    ROUTES,
    TESTING,
    WAYS_IN,
    documented_settings,
    load,
    rows_of,
)

#: The settings of this version, with their defaults; a required one has none.
SETTINGS: Final = {f"DINGTALK_{field.name.upper()}": field.default for field in fields(Settings)}
ERROR_CLASSES: Final = DingTalkError.__subclasses__()
#: Routes that only a setting switches on.
SWITCHED_OFF: Final = ("/dingtalk/in-app", "/dingtalk/events")


def test_every_setting_is_documented_with_its_default() -> None:
    """The page has the settings of this version, no others, and their defaults."""
    documented = documented_settings()
    assert documented.keys() == SETTINGS.keys()
    for name, default in SETTINGS.items():
        written = documented[name].default
        if default is MISSING:
            assert written is None, name
        else:
            assert written is not None, name
            assert ast.literal_eval(written) == default, name


def test_every_duration_is_documented_in_seconds() -> None:
    """A setting that is a number says of what."""
    documented = documented_settings()
    for name, default in SETTINGS.items():
        if isinstance(default, float | int | tuple) and default not in (False, ()):
            assert "seconds" in documented[name].kind.lower(), name


def test_every_example_of_a_setting_is_accepted() -> None:
    """The examples are values that the settings take, all together."""
    documented = documented_settings()
    examples = {name: ast.literal_eval(documented[name].example) for name in SETTINGS}
    settings = Settings.from_config(examples)
    assert settings.allowed_corp_ids == frozenset(examples["DINGTALK_ALLOWED_CORP_IDS"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_text_names_a_setting_that_does_not_exist(page: Path) -> None:
    """Each ``DINGTALK_…`` in a text is a setting of this version."""
    named = set(re.findall(r"DINGTALK_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert named <= SETTINGS.keys()


def test_every_error_is_documented() -> None:
    """The table of errors has each code with its class, its status and the title of its page."""
    rows = rows_of(ERRORS_PAGE, 5)
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


def test_every_route_is_documented(bare: Flask) -> None:
    """The table of routes has those of the extension, no others, each with its method."""
    table = re.findall(
        r"^\| `(/dingtalk/[^`]+)` \| `[\w.]+` \| ([A-Z]+) \|",
        ROUTES.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    browser = bare.test_client()
    rules = {
        rule.rule for rule in bare.url_map.iter_rules() if rule.endpoint.startswith("dingtalk.")
    }
    assert {path for path, _ in table} == rules
    for path, method in table:
        refused = browser.get(path).status_code == 405
        # A route that is switched off does not exist for any method.
        assert refused == (method == "POST") or path in SWITCHED_OFF, path


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
    assert CODES.read_text(encoding="utf-8") == load(DOCS / "dingtalk_codes.py").render()


def test_the_event_settings_of_the_simulator_are_documented() -> None:
    """Its console page does not show them, as they would be secrets."""
    from flask_dingtalk.testing.standalone import lasting_simulator

    text = TESTING.read_text(encoding="utf-8")
    for name, value in lasting_simulator(0).event_settings.items():
        assert f"`{name}={value}`" in text
