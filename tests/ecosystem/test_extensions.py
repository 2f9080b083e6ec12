"""Each site of docs/how-to/ecosystem.md manages the four steps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from flask_restx import Resource

from flask_dingtalk import login_required
from flask_dingtalk.messages import ERRORS
from flask_dingtalk.testing import DingTalkSimulator

from .conftest import Build
from .documented import PARTS, blocks
from .walk import PAGE, SCRIPT, InProcess, nobody_gets_in, sign_in, walk

#: What is different on some.
PAGES = {"with_flask_admin.py": "/report/", "with_appbuilder.py": "/report/"}
#: They send scripts away as they send people.
NOT_FOR_SCRIPTS = {"with_appbuilder.py"}
ADDRESSES = {"with_flask_talisman.py": "https://localhost"}
#: What extensions themselves do that newer versions of Python or of others advise against.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SITES = [pytest.param(name, id=name.removesuffix(".py")) for name in blocks() if name not in PARTS]


@pytest.mark.parametrize("name", SITES)
def test_every_site_signs_in_fails_and_signs_out(
    documented: Build, simulator: DingTalkSimulator, name: str
) -> None:
    """A guarded page, a failure, a sign-in, a sign-out."""
    app, _ = documented(name)
    browser = InProcess(app.test_client(), ADDRESSES.get(name))
    walk(browser, simulator, PAGES.get(name, "/report"), script=name not in NOT_FOR_SCRIPTS)


# --- Flask-Login ---------------------------------------------------------------------------------


def test_somebody_without_an_account_is_not_sent_round_in_circles(
    documented: Build, simulator: DingTalkSimulator
) -> None:
    """They are signed in; Flask-Login does not know them."""
    app, module = documented("with_flask_login_asks.py")
    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    module.accounts.clear()
    assert browser.get("/report").status_code == 403


def test_both_sign_ins_end_at_once(documented: Build, simulator: DingTalkSimulator) -> None:
    """With Flask-Login's own sign-in beside ours, nothing of it is left, whoever comes next."""
    app, module = documented("with_flask_login_beside.py")

    @app.get("/who")
    def who() -> str:
        return str(getattr(module.current_user, "name", "nobody"))

    browser = app.test_client()
    simulator.sign_in(browser, "zhang")
    assert browser.get("/who").text == "张三"
    browser.post("/dingtalk/logout")
    assert browser.get("/who").text == "nobody"
    simulator.sign_in(browser, "zhang")
    simulator.sign_in(browser, "li")
    assert browser.get("/who").text == "李四"


# --- Flask-Session -------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["redis", "cachelib", "sqlalchemy"])
def test_a_session_on_the_server_gets_another_id_at_a_sign_in(
    documented: Build, simulator: DingTalkSimulator, store: str
) -> None:
    """One that somebody planted before is of no use."""
    app, _ = documented(f"with_flask_session_{store}.py")
    browser = app.test_client()
    browser.get("/dingtalk/login", headers=PAGE)
    planted = browser.get_cookie("session")
    simulator.sign_in(browser, "zhang")
    assert planted is not None
    attacker = app.test_client()
    attacker.set_cookie("session", planted.value)
    assert attacker.get("/report").status_code == 302
    assert browser.get("/report").status_code == 200


# --- Flask-Babel ---------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_error_page_is_in_the_language_of_flask_babel(documented: Build, language: str) -> None:
    """Whatever the browser says."""
    app, _ = documented("with_flask_babel.py")
    page = app.test_client().get(f"/dingtalk/callback?lang={language}", headers=PAGE)
    assert getattr(ERRORS["invalid_state"].title, language) in page.text


# --- Flask-Limiter -------------------------------------------------------------------------------


def test_everybody_has_a_limit_of_their_own(
    documented: Build, simulator: DingTalkSimulator
) -> None:
    """All come from one address; and a sign-in is never over a limit."""
    app, _ = documented("with_flask_limiter.py")
    zhang, li = app.test_client(), app.test_client()
    simulator.sign_in(zhang, "zhang")
    simulator.sign_in(li, "li")
    # The limit is one of a minute, which may not be over before it is reached.
    with time_machine.travel(datetime.now(UTC), tick=False):
        signed_in = [zhang.get("/report").status_code for _ in range(101)]
        assert signed_in == [200] * 100 + [429]
        assert li.get("/report").status_code == 200
        strangers = [app.test_client().get("/report", headers=PAGE) for _ in range(101)]
        assert [answer.status_code for answer in strangers] == [302] * 100 + [429]
        for _ in range(101):
            app.test_client().get("/dingtalk/login", headers=PAGE)
        assert simulator.sign_in(app.test_client(), "wang").status_code == 302


# --- Flask-CORS ----------------------------------------------------------------------------------

FRONT_END = "https://app.example.com"


def test_a_script_on_another_origin_learns_where_to_sign_in(
    documented: Build, simulator: DingTalkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may read the refusal, is let in afterwards, and signs out."""
    monkeypatch.setenv("FLASK_DINGTALK_TRUSTED_ORIGINS", FRONT_END)
    app, module = documented("with_flask_cors.py")
    module.dingtalk.protect(app)
    browser = app.test_client()
    headers = {**SCRIPT, "Origin": FRONT_END}
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "accept"}

    preflight = browser.options("/report", headers=headers | asked)
    assert preflight.status_code == 200
    refused = browser.get("/report", headers=headers)
    assert refused.status_code == 401
    assert refused.json == {
        "error": "login_required",
        "login_url": "http://localhost/dingtalk/login",
    }
    signed_in = simulator.sign_in(browser, "zhang", next=f"{FRONT_END}/home")
    assert signed_in.location == f"{FRONT_END}/home"
    assert browser.get("/report", headers=headers).status_code == 200
    signed_out = browser.post("/dingtalk/logout", headers=headers)
    assert signed_out.status_code == 303
    for answer in (preflight, refused, signed_out):
        assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_a_script_on_a_foreign_origin_may_read_nothing(
    documented: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who is signed in, nor that nobody is."""
    monkeypatch.setenv("FLASK_DINGTALK_TRUSTED_ORIGINS", FRONT_END)
    app, _ = documented("with_flask_cors.py")
    answer = app.test_client().get("/report", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


# --- Flask-RESTX ---------------------------------------------------------------------------------


def test_a_resource_tells_a_script_where_to_sign_in(
    documented: Build, simulator: DingTalkSimulator
) -> None:
    """Flask-RESTX sends our JSON for our errors, a code and an address to go to."""
    app, module = documented("with_flask_restx.py")

    @module.api.route("/call")
    class Call(Resource):
        def get(self) -> object:
            return module.dingtalk.get("/v1.0/contact/users/me").json()

    @module.api.route("/finance")
    class Finance(Resource):
        @login_required(check=lambda user: False)
        def get(self) -> object:
            return {}

    browser = app.test_client()
    refused = browser.get("/call", headers=SCRIPT)
    assert (refused.status_code, refused.mimetype) == (401, "application/json")
    assert refused.json is not None
    assert refused.json["error"] == "login_required"
    assert refused.json["login_url"].startswith("/dingtalk/login")
    simulator.sign_in(browser, "zhang")
    refused = browser.get("/finance", headers=SCRIPT)
    assert refused.status_code == 403
    assert refused.json is not None
    assert refused.json["error"] == "not_permitted"


# --- flask-openapi3 ------------------------------------------------------------------------------


def test_protect_asks_before_a_query_is_looked_at(documented: Build) -> None:
    """The decorator asks after it: a stranger's bad query is refused as such."""
    statuses = []
    for protected in (False, True):
        app, module = documented("with_flask_openapi3.py")
        if protected:
            module.dingtalk.protect(app)
        statuses.append(app.test_client().get("/report?year=x", headers=SCRIPT).status_code)
    assert statuses == [422, 401]


# --- Flask-AppBuilder ----------------------------------------------------------------------------


def test_appbuilder_keeps_who_may_what(documented: Build, simulator: DingTalkSimulator) -> None:
    """Who is signed in without the role gets 403, is not sent round in circles, and signs out."""
    app, module = documented("with_appbuilder.py")
    browser = InProcess(app.test_client())
    sign_in(browser, simulator, page="/report/")
    with app.app_context():
        person = module.appbuilder.sm.find_user(username=simulator.users["zhang"].union_id)
        person.roles = []
        module.db.session.commit()
    assert browser.get("/report/").status == 403
    assert browser.get("/login/?next=/somewhere").location == "/somewhere"
    # The sign-out in its menu is ours.
    browser.get("/logout/")
    nobody_gets_in(browser, "/report/", script=False)
