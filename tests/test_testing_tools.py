"""What `flask_dingtalk.testing` gives to the tests of other people's sites."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import Role, current_dingtalk_user
from flask_dingtalk.testing import (
    DingTalkSimulator,
    SimulatorError,
    make_employee,
    make_user,
    signed_in,
)

from .helpers import AppFactory, endpoints
from .server import serving

if TYPE_CHECKING:
    from .chromium import OpenWindow

# --- Users that are made up ----------------------------------------------------------------------


def test_a_made_user_is_believable() -> None:
    """With everything that a member has, the same in every run, and another one by another name."""
    user, again, other = make_user(), make_user(), make_user(nick="李四")
    assert user == again
    assert user.nick == "张三"
    assert user.phone_number is not None
    assert user.raw["unionId"] == user.union_id
    assert user.employee is not None
    assert (user.employee.union_id, user.employee.user_id) == (user.union_id, user.user_id)
    assert user.employee.name == "张三"
    assert len({user.union_id, other.union_id}) == len({user.user_id, other.user_id}) == 2


def test_fields_can_be_given() -> None:
    """Any of them, ``None`` included; a record that is given tells who it is."""
    user = make_user(nick=None, email="a@example.com", employee=make_employee(user_id="boss1"))
    assert (user.nick, user.email, user.user_id) == (None, "a@example.com", "boss1")
    assert user.employee is not None
    assert user.union_id == user.employee.union_id


def test_a_made_record_takes_python_values() -> None:
    """Roles by name, a date, a mapping."""
    employee = make_employee(
        title="总监",
        roles=["审批人", Role(7, "组长", "职务")],
        hired_date=datetime(2020, 2, 29, tzinfo=UTC),
        extension={"爱好": "骑行"},
        department_ids=(2, 3),
        admin=True,
        mobile=None,
    )
    assert employee.title == "总监"
    assert employee.roles == (Role(1, "审批人", "默认"), Role(7, "组长", "职务"))
    assert employee.hired_date == datetime(2020, 2, 29, tzinfo=UTC)
    assert employee.extension == {"爱好": "骑行"}
    assert employee.department_ids == (2, 3)
    assert employee.admin is True
    assert employee.mobile is None


@pytest.mark.parametrize("make", [make_user, make_employee])
def test_a_field_that_does_not_exist_is_refused(make: Any) -> None:
    """With a list of those that do."""
    with pytest.raises(TypeError, match=r"no colour.*user_id"):
        make(colour="red")


SITES = [
    pytest.param({}, {"user_id": None, "employee": None, "corp_id": None}, id="anybody"),
    pytest.param({"DINGTALK_MEMBERS_ONLY": True}, {"employee": None}, id="members"),
    pytest.param(
        {"DINGTALK_ALLOWED_CORP_IDS": ["ding2", "ding1"]}, {"corp_id": "ding1"}, id="organisations"
    ),
]


@pytest.mark.parametrize(("settings", "fields"), SITES)
def test_a_user_is_made_for_the_site(
    make_app: AppFactory, settings: dict[str, Any], fields: dict[str, Any]
) -> None:
    """With what its settings ask for, and nothing that it would not get."""
    app = make_app(**settings)
    with app.app_context():
        user = make_user()
    assert {name: getattr(user, name) for name in fields} == fields
    assert (user.user_id is not None) == ("DINGTALK_MEMBERS_ONLY" in settings)
    assert signed_in(app.test_client()).get("/report").text == "Report for 张三"
    assert signed_in(app.test_client(), user).get("/report").text == "Report for 张三"


def test_a_member_is_made_for_a_site_that_wants_records(make_app: AppFactory) -> None:
    """With a record."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_EMPLOYEE_PROFILE=True)
    with signed_in(app.test_client(), make_user(employee=make_employee(title="总监"))) as client:
        client.get("/report")
        assert current_dingtalk_user.employee is not None
        assert current_dingtalk_user.employee.title == "总监"


@pytest.mark.parametrize(
    ("settings", "user", "said"),
    [
        ({"DINGTALK_MEMBERS_ONLY": True}, {"user_id": None}, "DINGTALK_MEMBERS_ONLY"),
        (
            {"DINGTALK_ALLOWED_CORP_IDS": ["ding1"]},
            {"corp_id": "ding2"},
            r"DINGTALK_ALLOWED_CORP_IDS.*'ding2'",
        ),
        ({"DINGTALK_ALLOWED_CORP_IDS": ["ding1"]}, {}, "DINGTALK_ALLOWED_CORP_IDS"),
    ],
)
def test_a_user_whom_the_site_refuses_is_an_error(
    make_app: AppFactory, settings: dict[str, Any], user: dict[str, Any], said: str
) -> None:
    """Otherwise each view would redirect, and nobody would know why."""
    client = make_app(**settings).test_client()
    with pytest.raises(ValueError, match=said):
        signed_in(client, make_user(**user))
    assert client.get("/report").status_code == 302


# --- The simulator -------------------------------------------------------------------------------


def test_new_calls_are_told_from_old_ones(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Since the last time that it was asked; a cleared record begins anew."""
    simulator.sign_in(client, "zhang")
    assert [call.endpoint for call in simulator.calls.since()] == ["userAccessToken", "users/me"]
    assert simulator.calls.since() == []
    client.get("/call")
    assert [call.endpoint for call in simulator.calls.since()] == ["users/me"]
    simulator.calls.clear()
    client.get("/call")
    assert len(simulator.calls.since()) == 1


def test_one_clock_for_simulator_and_site(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """The site checks again, and with a refreshed token."""
    client = make_app(DINGTALK_REVALIDATE_AFTER=3600).test_client()
    simulator.sign_in(client, "zhang")
    before = datetime.now(UTC)
    simulator.calls.clear()
    simulator.advance(3000, site=True)
    assert client.get("/report").status_code == 200
    assert not simulator.calls
    simulator.advance(5000, site=True)
    assert (datetime.now(UTC) - before).total_seconds() >= 8000
    assert client.get("/report").status_code == 200
    assert [call.grant_type for call in simulator.calls] == ["refresh_token", None]
    with pytest.raises(ValueError, match="forward"):
        simulator.advance(-1, site=True)
    simulator.stop()
    assert (datetime.now(UTC) - before).total_seconds() < 8000


def test_a_reset_begins_anew_for_the_same_site(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Address, ids and secrets stay; people, mistakes, failures, clock and calls do not."""
    settings = simulator.settings
    simulator.sign_in(client, "zhang")
    code = simulator.authorization_code("zhang")
    simulator.add_user("zhao", nick="赵六")
    simulator.leave("li")
    simulator.application.released = False
    simulator.fail("userAccessToken", status=500, times=None)
    simulator.limit("users/me", per_second=1)
    simulator.advance(9999)
    simulator.reset()
    assert simulator.settings == settings
    assert "zhao" not in simulator.users
    assert simulator.users["li"].memberships
    assert abs(simulator.now() - datetime.now(UTC).timestamp()) < 5000
    assert not simulator.calls
    for _ in range(2):
        assert simulator.sign_in(client, "li").status_code == 302
    assert code in simulator.secrets
    simulator.application.released = False
    with pytest.raises(SimulatorError, match="not released"):
        simulator.sign_in(client, "li")


# --- Other clients -------------------------------------------------------------------------------


def test_an_async_client_signs_in(app: Flask, simulator: DingTalkSimulator) -> None:
    """While the event loop goes on."""
    import httpx
    from asgiref.wsgi import WsgiToAsgi

    async def visit() -> str:
        transport = httpx.ASGITransport(WsgiToAsgi(app))  # type: ignore[no-untyped-call]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            back = await simulator.sign_in_async(client, "li", next="/report")
            assert (back.status_code, back.headers["location"]) == (302, "/report")
            with pytest.raises(SimulatorError, match=r"simulator\.settings"):
                await simulator.sign_in_async(client, "li", login_path="/report")
            return (await client.get("/report")).text

    # httpx logs addresses, and the callback's holds a code; it is the test's client, not the site.
    import logging

    logging.getLogger("httpx").setLevel(logging.WARNING)
    assert asyncio.run(visit()) == "Report for 李四"


@pytest.mark.parametrize("with_page", [False, True], ids=["redirect", "sign-in page"])
def test_a_real_browser_signs_in(
    make_app: AppFactory, simulator: DingTalkSimulator, open_window: OpenWindow, with_page: bool
) -> None:
    """A page of Playwright, also where the site shows its own page first, or asks for more."""
    ours = simulator.application.corp_id
    app = make_app(
        DINGTALK_LOGIN_PAGE=with_page, DINGTALK_SCOPE="openid corpid", DINGTALK_CORP_ID=ours
    )
    with serving(app) as address:
        window = open_window()
        simulator.sign_in_page(window, "zhang", f"{address}/report")
        assert window.url == f"{address}/report"
        assert window.get_by_text("Report for 张三").is_visible()
        with pytest.raises(SimulatorError, match="guarded"):
            simulator.sign_in_page(window, "zhang", f"{address}/basket")


# --- Other people's plugins ----------------------------------------------------------------------

SITE = """
import pytest
from flask import Flask
from flask_dingtalk import DingTalk, current_dingtalk_user, login_required


def create_app(settings):
    app = Flask(__name__)
    app.config.update(settings, SECRET_KEY="only for tests", TESTING=True)
    app.config.setdefault("DINGTALK_MEMBERS_ONLY", True)
    DingTalk(app)

    @app.get("/")
    @login_required
    def home():
        return current_dingtalk_user.nick

    return app
"""
CONFTEST = """
import pytest
from site_of_mine import create_app

pytest_plugins = ["flask_dingtalk.testing.fixtures"]


@pytest.fixture(scope="session")
def site(lasting_dingtalk_simulator):
    return create_app(lasting_dingtalk_simulator.settings)


@pytest.fixture
def app(site):
    return site


@pytest.fixture
def dingtalk(lasting_dingtalk_simulator):
    yield lasting_dingtalk_simulator
    lasting_dingtalk_simulator.reset()
"""
TESTS = {
    "pytest-flask": """
from flask_dingtalk.testing import make_user, signed_in


def test_its_client(client, dingtalk):
    assert dingtalk.sign_in(client, "li").status_code == 302
    assert client.get("/").text == "李四"


def test_nobody_is_left_over(client):
    assert client.get("/").status_code == 302


def test_its_context(client):
    assert make_user().employee is None
    assert signed_in(client).get("/").text == "张三"
""",
    "pytest-xdist": """
import pytest


@pytest.mark.parametrize("name", ["zhang", "li"])
def test_each_worker_has_a_simulator(app, dingtalk, name):
    dingtalk.leave(name)
    assert dingtalk.sign_in(app.test_client(), name).status_code == 403
    dingtalk.join(name)
    assert dingtalk.sign_in(app.test_client(), name).status_code == 302
""",
    "responses": """
import requests
import responses


@responses.activate
def test_beside_other_apis(app, dingtalk):
    responses.add_passthru(dingtalk.url)
    responses.get("https://api.example.com/", json={"ok": True})
    assert dingtalk.sign_in(app.test_client(), "zhang").status_code == 302
    assert requests.get("https://api.example.com/", timeout=5).json() == {"ok": True}
""",
}
PLUGINS = {"pytest-flask": ["-p", "pytest_flask.plugin"], "pytest-xdist": ["-p", "xdist", "-n2"]}


@pytest.mark.slow
@pytest.mark.parametrize("beside", TESTS)
def test_beside_what_others_use(beside: str, tmp_path: Path) -> None:
    """With the session-wide fixture, and what each test did undone."""
    (tmp_path / "site_of_mine.py").write_text(SITE, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(TESTS[beside], encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGINS.get(beside, [])],
        cwd=tmp_path,
        env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_without_time_machine_the_site_has_no_clock_to_move(
    simulator: DingTalkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text says what to install."""
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(RuntimeError, match="pip install time-machine"):
        simulator.advance(1, site=True)
    assert endpoints(simulator) == []
