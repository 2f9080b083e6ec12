"""The examples work, over real HTTP against the simulator."""

import ast
import html
import os
import re
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from examples.__main__ import choose_port, choose_store
from examples.site import create_app
from flask_dingtalk import ConfigurationError
from flask_dingtalk.messages import ERRORS, WAITING
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import SECRET_KEY, free_port, sign_in

ROOT = Path(__file__).parents[1]
HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
FIFTEEN_LINES = """
from flask import Flask
from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

app = Flask(__name__)
app.config.from_prefixed_env()
dingtalk = DingTalk(app)

@app.get("/")
@login_required
def index():
    return f"Hello, {current_dingtalk_user.nick}"
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the ``FLASK_…`` variables of the machine that runs the tests."""
    for name in os.environ:
        if name.startswith("FLASK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def portal_app(simulator: DingTalkSimulator) -> Flask:
    """Build the example site with credentials and the name of a company."""
    own, *_ = simulator.organisations.values()
    return create_app(
        simulator.settings
        | {
            "SECRET_KEY": SECRET_KEY,
            "COMPANY_NAME": own.name,
        },
    )


@pytest.fixture
def visitor(portal_app: Flask) -> FlaskClient:
    """Return a browser without a sign-in."""
    return portal_app.test_client()


@pytest.fixture
def zhang(visitor: FlaskClient, simulator: DingTalkSimulator) -> FlaskClient:
    """Return a browser in which 张三 is signed in."""
    sign_in(visitor, simulator)
    return visitor


@pytest.fixture
def simulated() -> Iterator[Flask]:
    """Build the example site without credentials."""
    app = create_app()
    yield app
    app.extensions["simulator"].stop()


@pytest.fixture
def people(simulated: Flask) -> DingTalkSimulator:
    """Return the simulator that the site without credentials started."""
    brought: DingTalkSimulator = simulated.extensions["simulator"]
    return brought


@pytest.fixture
def boss(simulated: Flask, people: DingTalkSimulator) -> FlaskClient:
    """Return a browser in which 张三 is signed in, on the site without credentials."""
    client = simulated.test_client()
    sign_in(client, people)
    return client


def page(client: FlaskClient, path: str, language: str = "en") -> str:
    """Return the text of a page, which must answer 200."""
    response = client.get(path, headers=HTML | {"Accept-Language": language})
    assert response.status_code == 200
    return response.text


def words(markup: str) -> str:
    """Return what is left of a page without its tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def set_environment(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    """Put settings into environment variables, as a developer does."""
    for name, value in settings.items():
        monkeypatch.setenv(f"FLASK_{name}", value)


# --- The fifteen lines ---------------------------------------------------------------------------


def test_quickstart_is_the_documented_fifteen_lines() -> None:
    """Below its docstring, the quickstart is the code in the README."""
    module = ast.parse((ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8"))
    assert ast.unparse(ast.Module(module.body[1:], [])) == ast.unparse(ast.parse(FIFTEEN_LINES))


@pytest.fixture
def quickstart(monkeypatch: pytest.MonkeyPatch, simulator: DingTalkSimulator) -> FlaskClient:
    """Run the quickstart with its settings in the environment."""
    set_environment(monkeypatch, simulator.settings | {"SECRET_KEY": SECRET_KEY})
    app: Flask = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))["app"]
    return app.test_client()


def test_quickstart_asks_visitors_to_sign_in(quickstart: FlaskClient) -> None:
    """The page redirects to the sign-in."""
    response = quickstart.get("/", headers=HTML)
    assert (response.status_code, response.location) == (302, "/dingtalk/login?next=/")


def test_quickstart_greets_people_by_name(
    quickstart: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """After the sign-in, the page shows the nick."""
    simulator.sign_in(quickstart, "li")
    assert quickstart.get("/").text == "Hello, 李四"


# --- The site: pages -----------------------------------------------------------------------------


def test_home_is_open_and_offers_to_sign_in(visitor: FlaskClient) -> None:
    """The home page has a sign-in button that leads to the profile."""
    assert 'href="/dingtalk/login?next=/profile&amp;via=redirect"' in page(visitor, "/")


def test_home_shows_the_signed_in_person(boss: FlaskClient) -> None:
    """The home page shows name and company."""
    text = page(boss, "/")
    assert "张三" in text
    assert "示例科技" in text


@pytest.mark.parametrize("path", ["/profile", "/record", "/company"])
def test_guarded_page_comes_back_after_the_sign_in(
    path: str, visitor: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A guarded page sends visitors to sign in, and the sign-in leads back to it."""
    assert visitor.get(path, headers=HTML).location == f"/dingtalk/login?next={path}"
    assert simulator.sign_in(visitor, "zhang", next=path).location == path


@pytest.mark.parametrize("path", ["/", "/profile", "/record", "/company", "/approvals"])
@pytest.mark.parametrize(("language", "lang"), [("zh-CN,zh;q=0.9", "zh-CN"), ("en", "en")])
def test_page_speaks_the_language_of_the_visitor(
    path: str, language: str, lang: str, boss: FlaskClient
) -> None:
    """Each page exists in Chinese and in English."""
    assert f'<html lang="{lang}">' in page(boss, path, language)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("张三", id="nick"),
        pytest.param("zhang.san@example.com", id="email"),
        pytest.param("Access token expires", id="token"),
    ],
)
def test_profile_shows_what_dingtalk_sent(value: str, zhang: FlaskClient) -> None:
    """The page shows the fields of the profile."""
    assert value in page(zhang, "/profile")


def test_profile_shows_the_phone_number_in_e164(
    zhang: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The phone number has its country code."""
    assert f"+86{simulator.users['zhang'].mobile}" in page(zhang, "/profile")


def test_profile_shows_the_union_id(zhang: FlaskClient, simulator: DingTalkSimulator) -> None:
    """The page shows the id that identifies the person."""
    assert simulator.users["zhang"].union_id in page(zhang, "/profile")


def test_profile_says_what_dingtalk_did_not_send(
    visitor: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The page marks fields that are missing."""
    simulator.sign_in(visitor, "li")
    assert "not sent" in page(visitor, "/profile")


def test_profile_shows_no_token(
    zhang: FlaskClient, portal_app: Flask, simulator: DingTalkSimulator
) -> None:
    """Neither the access token nor the refresh token is on the page."""
    with zhang:
        text = page(zhang, "/profile")
        token = portal_app.extensions["dingtalk"].token
    assert token.access_token not in text
    assert token.refresh_token not in text


def test_company_is_not_shown_if_membership_was_not_checked(zhang: FlaskClient) -> None:
    """Without DINGTALK_MEMBERS_ONLY, the page says that the site did not ask."""
    text = page(zhang, "/profile")
    assert "示例科技" not in text
    assert "not asked for" in text


def test_first_page_after_the_sign_in_says_hello_once(zhang: FlaskClient) -> None:
    """The greeting does not appear on the second page."""
    greeting = "Hello 张三, you are signed in."
    assert greeting in words(page(zhang, "/profile"))
    assert greeting not in words(page(zhang, "/profile"))


# --- The site: its own records -------------------------------------------------------------------


def test_site_counts_the_sign_ins_of_a_person(
    zhang: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The second sign-in finds the record of the first by the union id."""
    simulator.sign_in(zhang, "zhang")
    assert "<dt>Sign-ins</dt><dd>2</dd>" in page(zhang, "/profile")


def test_each_person_has_a_separate_record(portal_app: Flask, simulator: DingTalkSimulator) -> None:
    """Another person's sign-in does not count."""
    for name in ("li", "zhang"):
        client = portal_app.test_client()
        simulator.sign_in(client, name)
    assert "<dt>Sign-ins</dt><dd>1</dd>" in page(client, "/profile")


def test_profile_works_after_the_site_forgot_its_records(
    zhang: FlaskClient, portal_app: Flask
) -> None:
    """A restart empties the table of people and signs nobody out."""
    portal_app.extensions["accounts"].clear()
    assert "the site has restarted" in page(zhang, "/profile")


# --- The site: for scripts -----------------------------------------------------------------------


def test_api_tells_a_script_where_to_sign_in(visitor: FlaskClient) -> None:
    """A script gets 401 and JSON instead of a redirect."""
    response = visitor.get("/api/me", headers=JSON)
    assert response.status_code == 401
    assert response.json == {"error": "login_required", "login_url": "/dingtalk/login"}


def test_api_answers_who_is_signed_in(zhang: FlaskClient, simulator: DingTalkSimulator) -> None:
    """A script gets the profile as JSON."""
    person = simulator.users["zhang"]
    assert zhang.get("/api/me", headers=JSON).json == {
        "nick": "张三",
        "union_id": person.union_id,
        "user_id": None,
        "phone_number": f"+86{person.mobile}",
        "email": "zhang.san@example.com",
    }


def test_api_answers_readable_chinese(zhang: FlaskClient) -> None:
    """The JSON contains 张三 and not its escape sequences."""
    assert "张三" in zhang.get("/api/me", headers=JSON).text


# --- The site: ways in ---------------------------------------------------------------------------


def test_guarded_page_leads_to_a_page_of_the_site_with_code_and_button(
    visitor: FlaskClient,
) -> None:
    """The sign-in page has the site's style, and its button leads back."""
    text = visitor.get("/company", headers=HTML, follow_redirects=True).text
    assert "site.css" in text
    assert "data-dingtalk-qr=" in text
    assert 'href="/dingtalk/login?next=/company&amp;via=redirect"' in text


@pytest.mark.parametrize(("language", "lang"), [("zh-CN,zh;q=0.9", "zh-CN"), ("en", "en")])
def test_sign_in_page_speaks_the_language_of_the_visitor(
    language: str, lang: str, visitor: FlaskClient
) -> None:
    """The page exists in Chinese and in English."""
    assert f'<html lang="{lang}">' in page(visitor, "/dingtalk/login", language)


def test_sign_in_page_can_be_left_out(simulator: DingTalkSimulator) -> None:
    """A setting from outside wins over the example's own."""
    settings = simulator.settings | {"SECRET_KEY": SECRET_KEY, "DINGTALK_LOGIN_PAGE": False}
    response = create_app(settings).test_client().get("/dingtalk/login")
    assert response.location.startswith(simulator.url)


def test_site_with_credentials_has_no_in_app_sign_in_by_default(
    visitor: FlaskClient,
) -> None:
    """It needs more steps in DingTalk's console than the other ways in."""
    inside = {"User-Agent": "DingTalk"}
    assert "data-dingtalk-qr=" in visitor.get("/dingtalk/login", headers=inside).text
    assert visitor.post("/dingtalk/in-app").status_code == 404


def test_in_app_sign_in_can_be_switched_on_with_credentials(
    monkeypatch: pytest.MonkeyPatch, simulator: DingTalkSimulator
) -> None:
    """Two environment variables switch it on."""
    switch = {
        "DINGTALK_IN_APP_LOGIN": "true",
        "DINGTALK_CORP_ID": simulator.application.corp_id,
        "SECRET_KEY": SECRET_KEY,
    }
    set_environment(monkeypatch, simulator.settings | switch)
    client = create_app().test_client()
    text = client.get("/dingtalk/login", headers={"User-Agent": "DingTalk"}).text
    assert "data-dingtalk-in-app=" in text


def test_simulated_site_says_whose_phone_it_is(simulated: Flask, people: DingTalkSimulator) -> None:
    """The home page links to the simulator's page for choosing the person in the client."""
    address = f"{people.url}/oauth2/phone"
    assert address in page(simulated.test_client(), "/")
    assert requests.get(address, timeout=60).status_code == 200


# --- The site: refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "failure", "error_code"),
    [
        pytest.param("authorize", {"code": "no"}, "access_denied", id="not confirmed"),
        pytest.param("userAccessToken", {"status": 500}, "dingtalk_unavailable", id="unavailable"),
    ],
)
def test_failed_sign_in_ends_on_a_page_of_the_site(
    endpoint: str,
    failure: dict[str, Any],
    error_code: str,
    visitor: FlaskClient,
    simulator: DingTalkSimulator,
) -> None:
    """The page has the site's style and the extension's texts for this error."""
    simulator.fail(endpoint, **failure)
    text = simulator.sign_in(visitor, "zhang").text
    assert "site.css" in text
    assert ERRORS[error_code].title.en in text
    assert ERRORS[error_code].message.en in words(text)


@pytest.mark.parametrize(
    ("path", "language", "title"),
    [
        pytest.param("/company/nowhere", "zh-CN", "页面不存在", id="404-deeper"),
        pytest.param("/nowhere", "en", "Page not found", id="404-en"),
        pytest.param("/nowhere", "zh-CN", "页面不存在", id="404-zh"),
        pytest.param("/dingtalk/logout", "en", "This address works differently", id="405"),
        pytest.param("/broken", "en", "Something went wrong", id="500"),
    ],
)
def test_other_errors_have_a_page_of_the_site(
    path: str, language: str, title: str, portal_app: Flask
) -> None:
    """An unknown address, a wrong method and an exception end on a page in the site's style."""

    @portal_app.get("/broken")
    def broken() -> str:
        raise RuntimeError

    headers = HTML | {"Accept-Language": language}
    response = portal_app.test_client().get(path, headers=headers)
    assert response.status_code in (404, 405, 500)
    assert title in response.text
    assert "site.css" in response.text


@pytest.mark.parametrize(
    ("path", "error"), [("/nowhere", "not_found"), ("/dingtalk/logout", "method_not_allowed")]
)
def test_script_gets_other_errors_as_json(visitor: FlaskClient, path: str, error: str) -> None:
    """A page would be of no use to it."""
    answer = visitor.get(path, headers=JSON).json
    assert answer is not None
    assert answer["error"] == error


def test_waiting_page_reloads_itself(visitor: FlaskClient, simulator: DingTalkSimulator) -> None:
    """While DingTalk throttles a sign-in, the visitor waits on a page in the site's style."""
    simulator.fail("userAccessToken", throttled=True, times=None)
    response = simulator.sign_in(visitor, "zhang")
    assert "Refresh" in response.headers
    assert WAITING["message"].en in response.text
    assert WAITING["start_over"].en in response.text
    assert "site.css" in response.text


def test_developer_reads_the_reason_on_the_page(portal_app: Flask, visitor: FlaskClient) -> None:
    """In debug mode, the page shows what the log says."""
    portal_app.debug = True
    response = visitor.get("/dingtalk/callback", headers=HTML)
    assert "invalid_state: the callback was opened by itself" in response.text


# --- The site: members and their records --------------------------------------------------------


def test_person_of_another_organisation_reads_that_the_site_is_not_for_them(
    simulated: Flask, people: DingTalkSimulator
) -> None:
    """An outsider's sign-in ends on a page of the site that says why and offers another account."""
    response = people.sign_in(simulated.test_client(), "wang")
    assert response.status_code == 403
    assert ERRORS["organisation_not_allowed"].title.en in response.text
    assert "Use another account" in response.text
    assert "site.css" in response.text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("总经理", id="title"),
        pytest.param("0001", id="job-number"),
        pytest.param("全公司, 市场部", id="departments"),
        pytest.param("主管理员, 审批人", id="roles"),
        pytest.param("2015-03-02", id="hired"),
        pytest.param("zhang.san@org.example.com", id="org-email"),
        pytest.param("<dt>Administrator</dt><dd>yes</dd>", id="flags"),
        pytest.param("<dt>Manager</dt><dd><span", id="not-filled-in"),
    ],
)
def test_record_shows_what_the_directory_says(value: str, boss: FlaskClient) -> None:
    """The page shows the fields of the record."""
    assert value in page(boss, "/record")


def test_record_shows_the_name_of_a_manager(simulated: Flask, people: DingTalkSimulator) -> None:
    """The directory tells the name, whether or not the manager ever signed in here, once."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    people.calls.clear()
    for _ in range(2):
        assert "<dt>直属主管</dt><dd>张三</dd>" in page(client, "/record", "zh")
    assert [call.endpoint for call in people.calls] == ["user/get"]


def test_record_shows_the_user_id_of_a_manager_whom_the_directory_does_not_name(
    simulated: Flask, people: DingTalkSimulator
) -> None:
    """The rest of the record is there all the same."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    people.fail("user/get", status=500, times=None)
    manager = people.users["zhang"].memberships[people.application.corp_id].user_id
    assert f"<dt>Manager</dt><dd><code>{manager}</code></dd>" in page(client, "/record")


@pytest.mark.parametrize(
    ("language", "name"),
    [
        pytest.param("en", 'Li Si <bdi lang="zh-CN">李四</bdi>', id="en"),
        pytest.param("zh-CN", "李四", id="zh"),
    ],
)
def test_visitors_who_read_english_get_names_in_latin_letters_as_well(
    simulated: Flask, people: DingTalkSimulator, language: str, name: str
) -> None:
    """They come from a field that the company added to its directory."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    for path in ("/", "/profile", "/record"):
        assert f"{name}</" in page(client, path, language)


@pytest.mark.parametrize(
    ("nick", "shown"),
    [
        pytest.param("<b>", "&lt;b&gt;", id="markup"),
        pytest.param("سارة", "<bdi>سارة</bdi>", id="from right to left"),
        pytest.param(None, "Colleague", id="none at all"),
    ],
)
def test_any_nick_is_shown(
    visitor: FlaskClient, simulator: DingTalkSimulator, nick: str | None, shown: str
) -> None:
    """Whatever people call themselves in DingTalk."""
    simulator.add_user("chen", nick=nick)
    simulator.sign_in(visitor, "chen")
    assert f"<h1>{shown}</h1>" in page(visitor, "/profile")


def test_record_shows_the_three_ids(boss: FlaskClient, people: DingTalkSimulator) -> None:
    """The page shows user id, union id and open id."""
    person = people.users["zhang"]
    text = page(boss, "/record")
    for value in (
        person.memberships[people.application.corp_id].user_id,
        person.union_id,
        person.open_id,
    ):
        assert f"<code>{value}</code>" in text


def test_record_says_so_where_the_site_did_not_ask_for_it(zhang: FlaskClient) -> None:
    """Without DINGTALK_EMPLOYEE_PROFILE, the page says that the site did not ask."""
    assert "did not ask the company" in page(zhang, "/record")


def test_department_without_a_name_is_shown_by_its_number(
    boss: FlaskClient, simulated: Flask
) -> None:
    """Without a configured name, the page shows the number."""
    simulated.config["DEPARTMENT_NAMES"] = {}
    assert "<dd>1, 3</dd>" in page(boss, "/record")


def test_approvals_open_to_the_role(boss: FlaskClient) -> None:
    """People with the role get the page and a link to it."""
    assert "Two days off" in page(boss, "/approvals")
    assert 'href="/approvals" aria-current="page"' in page(boss, "/approvals")


def test_approvals_refuse_a_member_without_the_role(
    simulated: Flask, people: DingTalkSimulator
) -> None:
    """A member without the role gets 403 on a page that offers to use another account."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    response = client.get("/approvals", headers=HTML)
    assert response.status_code == 403
    assert ERRORS["not_permitted"].title.en in response.text
    assert 'href="/dingtalk/login?next=/approvals"' in response.text


def test_approvals_refuse_a_script_in_json(simulated: Flask, people: DingTalkSimulator) -> None:
    """A script gets the code of the refusal."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    response = client.get("/approvals", headers=JSON)
    assert response.json is not None
    assert response.json["error"] == "not_permitted"


def test_no_approver_role_means_no_approvals(visitor: FlaskClient) -> None:
    """Without APPROVER_ROLE, neither the page nor a link to it exists."""
    assert "/approvals" not in page(visitor, "/")
    assert visitor.get("/approvals").status_code == 404


# --- The site: devices ---------------------------------------------------------------------------

CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) AppleWebKit/605.1 AliApp(DingTalk/8.0)"


def browser_of(app: Flask, simulator: DingTalkSimulator, name: str, agent: str) -> FlaskClient:
    """Sign somebody in, in a browser of this kind."""
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = agent
    simulator.sign_in(client, name)
    return client


def test_devices_lists_where_somebody_is_signed_in(
    portal_app: Flask, simulator: DingTalkSimulator
) -> None:
    """Each browser once, this one marked, and nobody else's."""
    computer = browser_of(portal_app, simulator, "zhang", CHROME)
    browser_of(portal_app, simulator, "zhang", PHONE)
    browser_of(portal_app, simulator, "li", "curl/8")
    text = words(page(computer, "/devices/"))
    assert "Chrome, Windows" in text
    assert "DingTalk, iOS" in text
    assert text.count("This browser") == 1
    assert "Unknown browser" not in text


def test_device_is_forgotten_with_the_sign_out(
    portal_app: Flask, simulator: DingTalkSimulator
) -> None:
    """And with another sign-in in the same browser."""
    computer = browser_of(portal_app, simulator, "zhang", CHROME)
    phone = browser_of(portal_app, simulator, "zhang", PHONE)
    phone.post("/dingtalk/logout")
    assert "DingTalk, iOS" not in page(computer, "/devices/")
    simulator.sign_in(computer, "zhang")
    assert words(page(computer, "/devices/")).count("Chrome, Windows") == 1


def test_device_shows_when_it_was_last_seen(
    portal_app: Flask, simulator: DingTalkSimulator
) -> None:
    """Any page counts."""
    start = datetime(2026, 1, 1, 10, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as moved:
        computer = browser_of(portal_app, simulator, "zhang", CHROME)
        moved.shift(3600)
        page(computer, "/")
        text = page(computer, "/devices/")
    assert 'datetime="2026-01-01T10:00:00+00:00"' in text
    assert 'datetime="2026-01-01T11:00:00+00:00"' in text


def test_without_a_store_nobody_can_sign_out_everywhere(zhang: FlaskClient) -> None:
    """The page says what is missing."""
    text = page(zhang, "/devices/")
    assert "FLASK_DINGTALK_STORE" in text
    assert "/devices/sign-out" not in text


@pytest.fixture
def stored_app(simulator: DingTalkSimulator, store_url: str) -> Flask:
    """Build the example site with a store."""
    return create_app(simulator.settings | {"SECRET_KEY": SECRET_KEY, "DINGTALK_STORE": store_url})


def test_signing_out_everywhere_ends_all_sign_ins(
    stored_app: Flask, simulator: DingTalkSimulator
) -> None:
    """In every browser of this person, and of nobody else."""
    computer = browser_of(stored_app, simulator, "zhang", CHROME)
    phone = browser_of(stored_app, simulator, "zhang", PHONE)
    other = browser_of(stored_app, simulator, "li", CHROME)
    response = computer.post("/devices/sign-out", follow_redirects=True)
    assert "You are signed out in every browser." in response.text
    for browser in (computer, phone):
        assert browser.get("/profile", headers=HTML).status_code == 302
    assert other.get("/profile", headers=HTML).status_code == 200
    simulator.sign_in(computer, "zhang")
    assert "DingTalk, iOS" not in page(computer, "/devices/")


def test_another_site_cannot_sign_anybody_out_everywhere(
    stored_app: Flask, simulator: DingTalkSimulator
) -> None:
    """A browser says where the form came from."""
    computer = browser_of(stored_app, simulator, "zhang", CHROME)
    answer = computer.post("/devices/sign-out", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert computer.get("/profile", headers=HTML).status_code == 200


@pytest.fixture
def simulated_with_store(store_url: str) -> Iterator[Flask]:
    """Build the example site without credentials and with a store."""
    app = create_app({"DINGTALK_STORE": store_url})
    yield app
    app.extensions["simulator"].stop()


def test_with_a_store_a_leaver_is_out_at_once(simulated_with_store: Flask) -> None:
    """In every browser, without a check."""
    people = simulated_with_store.extensions["simulator"]
    computer = browser_of(simulated_with_store, people, "zhang", CHROME)
    phone = browser_of(simulated_with_store, people, "zhang", PHONE)
    people.calls.clear()
    response = computer.post("/simulator/leave", follow_redirects=True)
    assert "you are signed out in every browser" in words(response.text)
    for browser in (computer, phone):
        assert browser.get("/profile", headers=HTML).status_code == 302
    assert not people.calls
    assert not simulated_with_store.extensions["devices"]


def test_the_demo_takes_the_redis_that_answers(
    redis_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so."""
    url = choose_store(port=redis_port)
    assert url == f"redis://127.0.0.1:{redis_port}"
    assert url in capsys.readouterr().err


def test_the_demo_does_without_a_redis(capsys: pytest.CaptureFixture[str]) -> None:
    """And says so."""
    assert choose_store(port=free_port()) is None
    assert "No Redis" in capsys.readouterr().err


def test_the_demo_takes_the_store_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its address, which may hold a password, is not shown."""
    monkeypatch.setenv("FLASK_DINGTALK_STORE", "redis://:secret@redis.example")
    assert choose_store() == "redis://:secret@redis.example"
    assert "secret" not in capsys.readouterr().err


# --- The site: leaving the company ---------------------------------------------------------------


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Move the time of the site and of its simulator."""
    with time_machine.travel(datetime.now(UTC), tick=False) as moved:
        yield moved


def test_leaver_stays_signed_in_until_the_site_asks_again(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """The site does not ask DingTalk on every request."""
    boss.post("/simulator/leave")
    clock.shift(9)
    assert "总经理" in page(boss, "/record")


def test_leaver_has_to_sign_in_once_the_site_asks_again(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """Ten seconds after the last check, the next guarded page leads to the sign-in."""
    boss.post("/simulator/leave")
    clock.shift(11)
    assert boss.get("/record", headers=HTML).location == "/dingtalk/login?next=/record"


def test_leaver_is_told_why_they_are_signed_out(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """The sign-in page gives the reason, and does not pretend that they signed out."""
    boss.post("/simulator/leave")
    boss.get("/")
    clock.shift(11)
    text = boss.get("/record", headers=HTML, follow_redirects=True).text
    assert "DingTalk did not confirm that you may still use this site" in text
    assert "You are signed out." not in text


def test_person_who_signs_in_over_another_is_only_greeted(
    zhang: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The sign-out of the previous person is not reported to the next."""
    zhang.get("/")
    simulator.sign_in(zhang, "li")
    text = words(page(zhang, "/"))
    assert "Hello 李四" in text
    assert "signed out" not in text


def test_leaver_cannot_sign_in_again(
    boss: FlaskClient, simulated: Flask, people: DingTalkSimulator
) -> None:
    """They still have a DingTalk account, but are not in the company's directory."""
    boss.post("/simulator/leave")
    assert people.sign_in(simulated.test_client(), "zhang").status_code == 403


def test_member_who_stays_keeps_being_signed_in(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """A member does not notice the check."""
    clock.shift(11)
    assert "总经理" in page(boss, "/record")


def test_record_is_renewed_with_each_check(
    clock: time_machine.Traveller, boss: FlaskClient, people: DingTalkSimulator
) -> None:
    """A new title appears without a new sign-in."""
    people.users["zhang"].memberships[people.application.corp_id].title = "董事长"
    clock.shift(11)
    assert "董事长" in page(boss, "/record")


def test_leaving_is_confirmed_on_the_home_page(boss: FlaskClient) -> None:
    """After the button, the home page says what happened."""
    response = boss.post("/simulator/leave", follow_redirects=True)
    assert response.request.path == "/"
    assert "You have left 示例科技." in words(response.text)


def test_leaver_can_be_taken_back(boss: FlaskClient, people: DingTalkSimulator) -> None:
    """Every page has a button for that, and the record is as it was."""
    boss.post("/simulator/leave")
    assert 'name="person" value="zhang"' in page(boss, "/")
    boss.post("/simulator/return", data={"person": "zhang"})
    assert people.sign_in(boss, "zhang", next="/company").location == "/company"
    assert "审批人" in page(boss, "/record")
    assert "示例科技公告" in page(boss, "/company", "zh")


def test_leaving_without_a_sign_in_does_nothing(
    simulated: Flask, people: DingTalkSimulator
) -> None:
    """The button acts for the signed-in person only."""
    assert simulated.test_client().post("/simulator/leave").status_code == 303
    assert people.application.corp_id in people.users["zhang"].memberships


@pytest.mark.parametrize("path", ["/simulator/leave", "/simulator/return"])
def test_form_of_another_site_is_refused(path: str, boss: FlaskClient) -> None:
    """The browser says that the form came from another site."""
    response = boss.post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["/simulator/leave", "/simulator/return"])
def test_site_with_credentials_has_no_simulator_controls(path: str, zhang: FlaskClient) -> None:
    """With the real DingTalk, the routes and buttons of the simulator do not exist."""
    assert zhang.post(path).status_code == 404
    for at in ("/", "/record"):
        assert "/simulator/" not in page(zhang, at)


def test_site_with_credentials_loads_no_simulator() -> None:
    """The site does not import the simulator."""
    code = (
        "import sys; from examples.site import create_app;"
        "create_app({'SECRET_KEY': 'x', 'DINGTALK_CLIENT_ID': 'x', 'DINGTALK_CLIENT_SECRET': 'x'});"
        "sys.exit('flask_dingtalk.testing' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- The site: signing out, headers --------------------------------------------------------------


def test_sign_out_is_confirmed(zhang: FlaskClient) -> None:
    """After signing out, the home page confirms it and offers to sign in."""
    response = zhang.post("/dingtalk/logout", follow_redirects=True)
    assert "You are signed out." in response.text
    assert "dingtalk-button" in response.text


@pytest.mark.parametrize("path", ["/", "/profile", "/api/me", "/dingtalk/callback"])
def test_browser_must_not_store_pages(path: str, zhang: FlaskClient) -> None:
    """The next person at the browser finds no page in its cache."""
    assert zhang.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/profile", "/record", "/company", "/dingtalk/login", "/dingtalk/callback"]
)
def test_every_page_has_a_strict_security_policy(path: str, zhang: FlaskClient) -> None:
    """The policy allows neither inline scripts and styles nor unlisted origins."""
    policy = zhang.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    visitor: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The cookie is HttpOnly and SameSite=Lax."""
    response = simulator.sign_in(visitor, "zhang")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


# --- The site: with and without credentials ------------------------------------------------------


def test_site_with_credentials_starts_no_simulator(portal_app: Flask, visitor: FlaskClient) -> None:
    """The site uses its credentials, and no page mentions a simulator."""
    assert "simulator" not in portal_app.extensions
    assert "DingTalk is simulated" not in page(visitor, "/")


def test_site_takes_its_credentials_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment variables are enough to run the site with the real DingTalk."""
    credentials = {"DINGTALK_CLIENT_ID": "dingabc", "DINGTALK_CLIENT_SECRET": "secret"}
    set_environment(monkeypatch, credentials | {"SECRET_KEY": SECRET_KEY})
    response = create_app().test_client().get("/dingtalk/login?via=redirect")
    assert response.location.startswith("https://login.dingtalk.com/oauth2/auth?client_id=dingabc&")


def test_site_with_credentials_needs_a_secret_key(simulator: DingTalkSimulator) -> None:
    """The site generates a key only for the simulator."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY is not set"):
        create_app(simulator.settings)


def test_site_without_credentials_signs_people_in_with_a_simulator(simulated: Flask) -> None:
    """The site works without any setting."""
    client = simulated.test_client()
    simulated.extensions["simulator"].sign_in(client, "li")
    assert "李四" in page(client, "/profile")


@pytest.mark.parametrize("path", ["/", "/profile", "/company", "/dingtalk/callback"])
def test_site_without_credentials_says_so_on_every_page(path: str, simulated: Flask) -> None:
    """Every page says that DingTalk is simulated."""
    client = simulated.test_client()
    simulated.extensions["simulator"].sign_in(client, "zhang")
    assert "DingTalk is simulated, since no credentials are set." in client.get(path).text


def test_each_site_without_credentials_has_a_new_key(simulated: Flask) -> None:
    """The site generates a key at each start."""
    another = create_app()
    another.extensions["simulator"].stop()
    assert another.config["SECRET_KEY"] != simulated.config["SECRET_KEY"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        pytest.param({"DINGTALK_CLIENT_SECRET": "secret"}, "DINGTALK_CLIENT_ID", id="no id"),
        pytest.param({"DINGTALK_CLIENT_ID": "dingabc"}, "DINGTALK_CLIENT_SECRET", id="no secret"),
        pytest.param({"DINGTALK_CLIENT_ID": ""}, "DINGTALK_CLIENT_ID", id="an empty id"),
        pytest.param(
            {"DINGTALK_CLIENT_ID": "", "DINGTALK_CLIENT_SECRET": "secret"},
            "DINGTALK_CLIENT_ID",
            id="an empty id with a secret",
        ),
    ],
)
def test_site_with_half_of_its_credentials_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str
) -> None:
    """A simulator would sign anybody in to a site that was meant to be real."""
    set_environment(monkeypatch, given | {"SECRET_KEY": SECRET_KEY})
    with pytest.raises(ConfigurationError, match=f"{missing} is not set"):
        create_app()


def test_site_without_credentials_keeps_the_key_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only where there is none, the site makes one."""
    set_environment(monkeypatch, {"SECRET_KEY": SECRET_KEY})
    app = create_app()
    app.extensions["simulator"].stop()
    assert app.config["SECRET_KEY"] == SECRET_KEY


# --- The command of the demo ---------------------------------------------------------------------


CODE = "0123456789abcdef"


@pytest.fixture(scope="module")
def console_of_the_demo() -> str:
    """Run what ``make demo`` runs, on a free port; call back with two codes; return what it says.

    Its home page is loaded first, at the address that it shows.
    """
    command = [sys.executable, "-m", "flask", "--app", "examples.site", "run", "--port", "0"]
    usual = {name: value for name, value in os.environ.items() if not name.startswith("FLASK_")}
    with subprocess.Popen(
        command, cwd=ROOT, env=usual, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "Running on" in line:
                break
        address = said.split()[-1]
        requests.get(address, timeout=60).raise_for_status()
        for name in ("code", "authCode"):
            query = {name: CODE, "state": "x"}
            requests.get(f"{address}/dingtalk/callback", params=query, timeout=60)
        process.terminate()
        return said + process.stderr.read()


def test_demo_runs_without_any_setting(console_of_the_demo: str) -> None:
    """The console says that the site uses a simulator."""
    without = "No FLASK_DINGTALK_CLIENT_ID: signing in with a simulator at http://127.0.0.1:"
    assert without in console_of_the_demo


def test_demo_prints_no_codes(console_of_the_demo: str) -> None:
    """The development server prints the URL of the callback without its query."""
    assert console_of_the_demo.count("GET /dingtalk/callback?…") == 2
    assert CODE not in console_of_the_demo


def test_demo_takes_another_port_if_its_own_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """And says so."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        chosen = choose_port(taken)
    assert chosen != taken
    said = capsys.readouterr().err
    assert taken in said
    assert chosen in said


def test_demo_takes_the_port_that_it_is_told_to() -> None:
    """If nobody is there."""
    port = str(free_port())
    assert choose_port(port) == port


@pytest.mark.parametrize("text", ["99999", "0", "http", "-1", ""])
def test_demo_says_what_is_no_port(text: str) -> None:
    """In one line."""
    with pytest.raises(SystemExit, match="is not a port: choose one"):
        choose_port(text)


# --- The tests that a site has for itself --------------------------------------------------------


def test_the_tests_of_the_example_pass() -> None:
    """They show how to test a site; run as its developers run them."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "examples/test_site.py"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
