"""The log: who writes it, where it can be seen, and what is in it beside the text."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest
from flask.testing import FlaskClient

import flask_dingtalk

from .helpers import AppFactory

if TYPE_CHECKING:
    from flask_dingtalk.testing import DingTalkSimulator

    from .helpers import Later

PACKAGE: Final = Path(flask_dingtalk.__file__).parent
PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "logging.md"
#: A site whose callback is opened by hand, which is logged as a WARNING.
SITE: Final = """
import logging
import flask_dingtalk.signin  # before anything is configured, as an import at the top is
{before}
from flask import Flask
app = Flask("site")
app.debug = {debug}
app.config.update(SECRET_KEY="k", DINGTALK_CLIENT_ID="dingx", DINGTALK_CLIENT_SECRET="y",
                  DINGTALK_MEMBERS_ONLY=False, DINGTALK_REDIRECT_URI="http://h.example/dingtalk/callback")
flask_dingtalk.DingTalk(app)
{after}
app.test_client().get("/dingtalk/callback")
logging.getLogger("flask_dingtalk.signin").info("a line for the curious")
"""


def written(before: str = "", after: str = "", *, debug: bool = False) -> list[str]:
    """Return what such a site writes to standard error, in a separate process."""
    code = SITE.format(before=dedent(before), after=dedent(after), debug=debug)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return [line for line in done.stderr.splitlines() if "failed" in line or "curious" in line]


# --- Where it can be seen ------------------------------------------------------------------------


def test_warnings_are_seen_without_any_configuration() -> None:
    """In Flask's form; what is below WARNING is not."""
    (line,) = written()
    assert re.fullmatch(r"\[.+\] WARNING in signin: DingTalk sign-in failed: invalid_state.*", line)


def test_everything_is_seen_in_debug_mode() -> None:
    """As of the app's own logger."""
    failed, curious = written(debug=True)
    assert "WARNING in signin" in failed
    assert re.search("INFO in .*: a line for the curious", curious)


DICT_CONFIG: Final = """
from logging.config import dictConfig
dictConfig({"version": 1, "formatters": {"mine": {"format": "MINE %(name)s %(message)s"}},
            "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "mine"}},
            "root": {"level": "INFO", "handlers": ["h"]}})
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_configuration_of_the_site_is_used_and_nothing_is_doubled(when: str) -> None:
    """Also one that disables loggers which exist already, as dictConfig does by default."""
    if when == "before":
        lines = written(before=DICT_CONFIG)
    else:
        lines = written(after=DICT_CONFIG.replace('"version": 1', '"version": 1, '
                                                  '"disable_existing_loggers": False'))  # fmt: skip
    assert [line.split()[:2] for line in lines] == [["MINE", "flask_dingtalk.signin"]] * 2


def test_one_parent_rules_them_all() -> None:
    """A level and a handler for ``flask_dingtalk`` count for every module."""
    lines = written(
        before="""
        logging.basicConfig(format="%(name)s|%(message)s")
        logging.getLogger("flask_dingtalk").setLevel(logging.INFO)
        """
    )
    assert {line.split("|")[0] for line in lines} == {"flask_dingtalk.signin"}
    assert len(lines) == 2


# --- What is in it -------------------------------------------------------------------------------


def records(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    """Return the lines that tell of an event."""
    return [record for record in caplog.records if vars(record).get("dingtalk_event") == event]


def test_a_failed_sign_in_has_fields(
    client: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """For those who search the log by machine."""
    simulator.application.permissions.remove("Contact.User.Read")
    simulator.sign_in(client, "zhang")
    (record,) = records(caplog, "sign_in_failed")
    assert record.levelno == logging.ERROR
    assert record.name == "flask_dingtalk.signin"
    fields = vars(record)
    assert fields["dingtalk_error"] == "configuration_error"
    assert fields["dingtalk_code"] == "Forbidden.AccessDenied.AccessTokenPermissionDenied"
    assert fields["dingtalk_request_id"] in record.getMessage()


def test_a_refused_sign_in_is_a_warning_with_code_and_request_id(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the visitor's matter, not the developer's."""
    simulator.sign_in(make_app(DINGTALK_MEMBERS_ONLY=True).test_client(), "wang")
    (record,) = records(caplog, "sign_in_failed")
    assert record.levelno == logging.WARNING
    assert vars(record)["dingtalk_code"] == "60121"
    assert vars(record)["dingtalk_request_id"]


def _leaves(simulator: DingTalkSimulator) -> None:
    simulator.leave("zhang")


def _fails(simulator: DingTalkSimulator) -> None:
    simulator.fail("getbyunionid", status=500, times=None)


def _tokens_end(simulator: DingTalkSimulator) -> None:
    simulator.advance(40 * 86_400)


@pytest.mark.parametrize("happens", [_leaves, _fails, _tokens_end])
def test_nothing_personal_above_debug(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[DingTalkSimulator], None],
) -> None:
    """Neither name nor ids, number or address, of somebody who signs in, stays, or has to leave."""
    app = make_app(
        DINGTALK_MEMBERS_ONLY=True, DINGTALK_EMPLOYEE_PROFILE=True, DINGTALK_REVALIDATE_AFTER=60
    )
    client = app.test_client()
    simulator.sign_in(client, "zhang")
    happens(simulator)
    later(61)
    client.get("/report")
    client.get("/call")
    person = simulator.users["zhang"]
    ids = [member.user_id for member in person.memberships.values()] + [person.union_id]
    private = [*ids, person.open_id, person.nick, person.mobile, person.email, "127.0.0.1:"]
    for record in caplog.records:
        if record.levelno > logging.DEBUG:
            said = f"{record.getMessage()} {vars(record)}"
            # The simulator's own address is not a person's.
            said = said.replace(simulator.url, "")
            assert not [each for each in private if each and each in said]


def test_a_leaver_is_named_in_debug_lines_alone(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A normal event, so INFO."""
    client = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=60).test_client()
    simulator.sign_in(client, "zhang")
    simulator.leave("zhang")
    later(61)
    client.get("/report")
    lines = records(caplog, "signed_out_by_check")
    assert [line.levelno for line in lines] == [logging.INFO, logging.DEBUG]
    assert simulator.users["zhang"].union_id in lines[1].getMessage()


# --- The table in the documentation --------------------------------------------------------------


def _events_in_code() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "facts":
                found.add(ast.literal_eval(node.args[0]))
    return found


@pytest.mark.docs
def test_every_line_of_the_log_is_documented() -> None:
    """The table has each event, and no other."""
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| [A-Z]{4}", text, re.MULTILINE)) == _events_in_code()


@pytest.mark.docs
def test_every_line_of_the_log_tells_its_event() -> None:
    """No module logs without ``facts``, and none by the app's own logger."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "testing" in path.parts or path.name == "log_output.py":
            continue
        assert ".logger." not in text, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and re.match(r"_log\.(?!handle)", ast.unparse(node.func)):
                assert "extra=facts(" in ast.unparse(node), (path, node.lineno)
