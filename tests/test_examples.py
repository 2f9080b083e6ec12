"""The examples run as they stand, over real HTTP against the simulator."""

import ast
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from examples.site import create_app
from flask_dingtalk import ConfigurationError
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import SECRET_KEY

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
    """Hide the ``FLASK_…`` variables of whoever runs the tests."""
    for name in os.environ:
        if name.startswith("FLASK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def portal_app(simulator: DingTalkSimulator) -> Flask:
    """Build the example site for given credentials and a company."""
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
    """Return a browser that nobody has signed in with."""
    return portal_app.test_client()


@pytest.fixture
def zhang(visitor: FlaskClient, simulator: DingTalkSimulator) -> FlaskClient:
    """Return a browser that 张三 signed in with, for the company."""
    simulator.sign_in(visitor, "zhang")
    return visitor


@pytest.fixture
def simulated() -> Iterator[Flask]:
    """Build the example site without credentials."""
    app = create_app()
    yield app
    app.extensions["simulator"].stop()


@pytest.fixture
def people(simulated: Flask) -> DingTalkSimulator:
    """Return the simulator that the site without credentials brought along."""
    brought: DingTalkSimulator = simulated.extensions["simulator"]
    return brought


@pytest.fixture
def boss(simulated: Flask, people: DingTalkSimulator) -> FlaskClient:
    """Return a browser that 张三 signed in with, on the site without credentials."""
    client = simulated.test_client()
    people.sign_in(client, "zhang")
    return client


def page(client: FlaskClient, path: str, language: str = "en") -> str:
    """Return the text of a page that is there."""
    response = client.get(path, headers=HTML | {"Accept-Language": language})
    assert response.status_code == 200
    return response.text


def set_environment(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    """Set settings as a developer does, by environment variables."""
    for name, value in settings.items():
        monkeypatch.setenv(f"FLASK_{name}", value)


# --- The fifteen lines ---------------------------------------------------------------------------


def test_quickstart_is_the_documented_fifteen_lines() -> None:
    """Below its docstring, the quickstart is the code that people are shown."""
    module = ast.parse((ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8"))
    assert ast.unparse(ast.Module(module.body[1:], [])) == ast.unparse(ast.parse(FIFTEEN_LINES))


@pytest.fixture
def quickstart(monkeypatch: pytest.MonkeyPatch, simulator: DingTalkSimulator) -> FlaskClient:
    """Run the quickstart with its settings in the environment."""
    set_environment(monkeypatch, simulator.settings | {"SECRET_KEY": SECRET_KEY})
    app: Flask = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))["app"]
    return app.test_client()


def test_quickstart_asks_visitors_to_sign_in(quickstart: FlaskClient) -> None:
    """Nobody gets to the page without signing in."""
    response = quickstart.get("/", headers=HTML)
    assert (response.status_code, response.location) == (302, "/dingtalk/login?next=/")


def test_quickstart_greets_who_signed_in(
    quickstart: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Whoever signed in reads their name."""
    simulator.sign_in(quickstart, "li")
    assert quickstart.get("/").text == "Hello, 李四"


# --- The site: pages -----------------------------------------------------------------------------


def test_home_is_open_and_offers_to_sign_in(visitor: FlaskClient) -> None:
    """A visitor finds the sign-in button, which leads to the profile."""
    assert 'href="/dingtalk/login?next=/profile&amp;via=redirect"' in page(visitor, "/")


def test_home_says_who_is_signed_in(boss: FlaskClient) -> None:
    """Home greets by name and company."""
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
    """Each page is there in Chinese and in English."""
    assert f'<html lang="{lang}">' in page(boss, path, language)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("张三", id="nick"),
        pytest.param("zhang.san@example.com", id="email"),
        pytest.param("Access token ends", id="token"),
    ],
)
def test_profile_shows_what_dingtalk_told(value: str, zhang: FlaskClient) -> None:
    """The profile page shows the profile."""
    assert value in page(zhang, "/profile")


def test_profile_shows_the_phone_number_in_e164(
    zhang: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A phone number can be dialled from anywhere."""
    assert f"+86{simulator.users['zhang'].mobile}" in page(zhang, "/profile")


def test_profile_shows_who_it_is_by_union_id(
    zhang: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The identity stands on the page."""
    assert simulator.users["zhang"].union_id in page(zhang, "/profile")


def test_profile_says_what_dingtalk_did_not_send(
    visitor: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A field that DingTalk withheld is named as such."""
    simulator.sign_in(visitor, "li")
    assert "not sent" in page(visitor, "/profile")


def test_profile_shows_no_token(
    zhang: FlaskClient, portal_app: Flask, simulator: DingTalkSimulator
) -> None:
    """A token is nothing for a page."""
    with zhang:
        text = page(zhang, "/profile")
        token = portal_app.extensions["dingtalk"].token
    assert token.access_token not in text
    assert token.refresh_token not in text


def test_company_is_claimed_for_nobody_of_whom_it_is_not_known(zhang: FlaskClient) -> None:
    """Without DINGTALK_MEMBERS_ONLY the site did not ask, and says so."""
    text = page(zhang, "/profile")
    assert "示例科技" not in text
    assert "not asked for" in text


def test_first_page_after_the_sign_in_says_hello_once(zhang: FlaskClient) -> None:
    """The greeting is not repeated."""
    greeting = "Hello 张三, you are signed in."
    assert greeting in page(zhang, "/profile")
    assert greeting not in page(zhang, "/profile")


# --- The site: its own records -------------------------------------------------------------------


def test_site_counts_the_sign_ins_of_a_person(
    zhang: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The site's own record is linked by union id, so that a second sign-in finds it."""
    simulator.sign_in(zhang, "zhang")
    assert "<dt>Sign-ins</dt><dd>2</dd>" in page(zhang, "/profile")


def test_people_have_records_of_their_own(portal_app: Flask, simulator: DingTalkSimulator) -> None:
    """Another person's sign-in does not count."""
    for name in ("li", "zhang"):
        client = portal_app.test_client()
        simulator.sign_in(client, name)
    assert "<dt>Sign-ins</dt><dd>1</dd>" in page(client, "/profile")


def test_profile_works_after_the_site_forgot_its_records(
    zhang: FlaskClient, portal_app: Flask
) -> None:
    """A restart empties the table, and nobody is signed out by that."""
    portal_app.extensions["accounts"].clear()
    assert "the site was restarted" in page(zhang, "/profile")


# --- The site: for scripts -----------------------------------------------------------------------


def test_api_tells_a_script_where_to_sign_in(visitor: FlaskClient) -> None:
    """A script gets 401 and JSON in the place of a redirect."""
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


# --- The site: ways in ---------------------------------------------------------------------------


def test_guarded_page_leads_to_a_page_of_the_site_with_code_and_button(
    visitor: FlaskClient,
) -> None:
    """The sign-in page has the look of the site, and both ways lead back."""
    text = visitor.get("/company", headers=HTML, follow_redirects=True).text
    assert "site.css" in text
    assert "data-dingtalk-qr=" in text
    assert 'href="/dingtalk/login?next=/company&amp;via=redirect"' in text


@pytest.mark.parametrize(("language", "lang"), [("zh-CN,zh;q=0.9", "zh-CN"), ("en", "en")])
def test_sign_in_page_speaks_the_language_of_the_visitor(
    language: str, lang: str, visitor: FlaskClient
) -> None:
    """The page is there in Chinese and in English."""
    assert f'<html lang="{lang}">' in page(visitor, "/dingtalk/login", language)


def test_sign_in_page_can_be_left_out(simulator: DingTalkSimulator) -> None:
    """The setting of the environment is stronger than that of the example."""
    settings = simulator.settings | {"SECRET_KEY": SECRET_KEY, "DINGTALK_LOGIN_PAGE": False}
    response = create_app(settings).test_client().get("/dingtalk/login")
    assert response.location.startswith(simulator.url)


def test_site_with_credentials_asks_the_client_for_nothing_unless_told_to(
    visitor: FlaskClient,
) -> None:
    """Sign-in inside the client takes more steps in DingTalk's console than the others."""
    inside = {"User-Agent": "DingTalk"}
    assert "data-dingtalk-qr=" in visitor.get("/dingtalk/login", headers=inside).text
    assert visitor.post("/dingtalk/in-app").status_code == 404


def test_site_with_credentials_signs_in_inside_the_client_where_told_to(
    monkeypatch: pytest.MonkeyPatch, simulator: DingTalkSimulator
) -> None:
    """Two settings of the environment switch it on."""
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
    """Who is inside the client is chosen on a page of the simulator, which is there."""
    address = f"{people.url}/oauth2/phone"
    assert address in page(simulated.test_client(), "/")
    assert requests.get(address, timeout=10).status_code == 200


# --- The site: refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "title"),
    [
        pytest.param({"code": "access_denied"}, "You did not sign in", id="declined"),
        pytest.param({"code": "invalid_request"}, "You did not sign in", id="another-error"),
    ],
)
def test_sign_in_that_comes_back_with_an_error_gets_a_page_of_the_site(
    failure: dict[str, str],
    title: str,
    visitor: FlaskClient,
    simulator: DingTalkSimulator,
) -> None:
    """A failed sign-in ends on a page of the site that says so."""
    simulator.fail("authorize", code=failure["code"])
    assert title in simulator.sign_in(visitor, "zhang").text


def test_error_without_a_text_of_its_own_gets_the_general_one(
    visitor: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Every error of a sign-in ends on a page of the site."""
    simulator.fail("userAccessToken", status=500)
    assert "That did not work" in simulator.sign_in(visitor, "zhang").text


# --- The site: members and their records --------------------------------------------------------


def test_person_of_another_organisation_reads_that_the_site_is_not_for_them(
    simulated: Flask, people: DingTalkSimulator
) -> None:
    """The sign-in of who is no member ends on a page of the site that says why."""
    response = people.sign_in(simulated.test_client(), "wang")
    assert response.status_code == 403
    assert "This site is for our own people" in response.text
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
    """The page of the employee shows the record."""
    assert value in page(boss, "/record")


def test_record_shows_the_manager_by_user_id(simulated: Flask, people: DingTalkSimulator) -> None:
    """The record of 李四 names 张三."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    manager = people.users["zhang"].memberships[people.application.corp_id].user_id
    assert f"<code>{manager}</code>" in page(client, "/record")


def test_record_shows_the_three_ids(boss: FlaskClient, people: DingTalkSimulator) -> None:
    """User id, union id and open id stand side by side."""
    person = people.users["zhang"]
    text = page(boss, "/record")
    for value in (
        person.memberships[people.application.corp_id].user_id,
        person.union_id,
        person.open_id,
    ):
        assert f"<code>{value}</code>" in text


def test_record_says_so_where_the_site_did_not_ask_for_it(zhang: FlaskClient) -> None:
    """Without DINGTALK_EMPLOYEE_PROFILE the page is there and has nothing to show."""
    assert "did not ask the company" in page(zhang, "/record")


def test_department_without_a_name_is_shown_by_its_number(
    boss: FlaskClient, simulated: Flask
) -> None:
    """A department that the site was not told the name of has its number."""
    simulated.config["DEPARTMENT_NAMES"] = {}
    assert "<dd>1, 3</dd>" in page(boss, "/record")


def test_approvals_open_to_the_role(boss: FlaskClient) -> None:
    """Who has the role gets the page, and the link to it."""
    assert "Two days off" in page(boss, "/approvals")
    assert 'href="/approvals" aria-current="page"' in page(boss, "/approvals")


def test_approvals_refuse_a_member_without_the_role(
    simulated: Flask, people: DingTalkSimulator
) -> None:
    """A member without the role gets 403 on a page of the site, which offers another try."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    response = client.get("/approvals", headers=HTML)
    assert response.status_code == 403
    assert "This page is not open to you" in response.text
    assert 'href="/dingtalk/login?next=/approvals"' in response.text


def test_approvals_refuse_a_script_in_json(simulated: Flask, people: DingTalkSimulator) -> None:
    """A script reads the code of the refusal."""
    client = simulated.test_client()
    people.sign_in(client, "li")
    response = client.get("/approvals", headers=JSON)
    assert response.json is not None
    assert response.json["error"] == "not_permitted"


def test_no_approver_role_means_no_approvals(visitor: FlaskClient) -> None:
    """Without APPROVER_ROLE there is neither the page nor a link to it."""
    assert "/approvals" not in page(visitor, "/")
    assert visitor.get("/approvals").status_code == 404


# --- The site: leaving the company ---------------------------------------------------------------


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Move the time of the site and of its simulator alike."""
    with time_machine.travel(datetime.now(UTC), tick=False) as moved:
        yield moved


def test_leaver_stays_signed_in_until_the_site_asks_again(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """The site does not ask DingTalk at each click."""
    boss.post("/simulator/leave")
    clock.shift(9)
    assert "总经理" in page(boss, "/record")


def test_leaver_has_to_sign_in_once_the_site_asks_again(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """Ten seconds after the last check, the next page behind the door is the sign-in."""
    boss.post("/simulator/leave")
    clock.shift(11)
    assert boss.get("/record", headers=HTML).location == "/dingtalk/login?next=/record"


def test_leaver_cannot_sign_in_again(
    boss: FlaskClient, simulated: Flask, people: DingTalkSimulator
) -> None:
    """DingTalk still knows the person, the company does not."""
    boss.post("/simulator/leave")
    assert people.sign_in(simulated.test_client(), "zhang").status_code == 403


def test_member_who_stays_keeps_being_signed_in(
    clock: time_machine.Traveller, boss: FlaskClient
) -> None:
    """A check of who is still a member is not noticed."""
    clock.shift(11)
    assert "总经理" in page(boss, "/record")


def test_record_is_renewed_with_each_check(
    clock: time_machine.Traveller, boss: FlaskClient, people: DingTalkSimulator
) -> None:
    """A new position shows without a new sign-in."""
    people.users["zhang"].memberships[people.application.corp_id].title = "董事长"
    clock.shift(11)
    assert "董事长" in page(boss, "/record")


def test_leaving_is_confirmed_on_the_home_page(boss: FlaskClient) -> None:
    """The page after the button tells what happened and what to do next."""
    response = boss.post("/simulator/leave", follow_redirects=True)
    assert response.request.path == "/"
    assert "You have left 示例科技." in response.text


def test_leaver_can_be_taken_back(boss: FlaskClient, people: DingTalkSimulator) -> None:
    """Each page has the way back, which leads to the record as it was."""
    boss.post("/simulator/leave")
    assert 'name="person" value="zhang"' in page(boss, "/")
    boss.post("/simulator/return", data={"person": "zhang"})
    assert people.sign_in(boss, "zhang", next="/company").location == "/company"
    assert "审批人" in page(boss, "/record")
    assert "示例科技公告" in page(boss, "/company", "zh")


def test_nobody_signed_in_lets_nobody_leave(simulated: Flask, people: DingTalkSimulator) -> None:
    """The button is that of the person who is signed in."""
    assert simulated.test_client().post("/simulator/leave").status_code == 303
    assert people.application.corp_id in people.users["zhang"].memberships


@pytest.mark.parametrize("path", ["/simulator/leave", "/simulator/return"])
def test_form_of_another_site_moves_nobody(path: str, boss: FlaskClient) -> None:
    """A browser says where a form came from."""
    response = boss.post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["/simulator/leave", "/simulator/return"])
def test_site_with_credentials_lets_nobody_leave(path: str, zhang: FlaskClient) -> None:
    """Nothing of the simulator is there when the real DingTalk is used."""
    assert zhang.post(path).status_code == 404
    for at in ("/", "/record"):
        assert "/simulator/" not in page(zhang, at)


def test_site_with_credentials_loads_no_simulator() -> None:
    """What runs the simulator is not even imported."""
    code = (
        "import sys; from examples.site import create_app;"
        "create_app({'SECRET_KEY': 'x', 'DINGTALK_CLIENT_ID': 'x', 'DINGTALK_CLIENT_SECRET': 'x'});"
        "sys.exit('flask_dingtalk.testing' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- The site: signing out, headers --------------------------------------------------------------


def test_sign_out_forgets_the_person_and_says_so(zhang: FlaskClient) -> None:
    """After signing out, home offers to sign in."""
    response = zhang.post("/dingtalk/logout", follow_redirects=True)
    assert "You are signed out." in response.text
    assert "dingtalk-button" in response.text


@pytest.mark.parametrize("path", ["/", "/profile", "/api/me", "/dingtalk/callback"])
def test_no_page_is_kept_by_the_browser(path: str, zhang: FlaskClient) -> None:
    """Whoever uses the browser next does not find a page in its cache."""
    assert zhang.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/profile", "/record", "/company", "/dingtalk/login", "/dingtalk/callback"]
)
def test_every_page_has_a_strict_security_policy(path: str, zhang: FlaskClient) -> None:
    """Neither inline scripts nor inline styles are allowed, nor anything from elsewhere."""
    policy = zhang.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    visitor: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The cookie has the flags that a site without HTTPS can give it."""
    response = simulator.sign_in(visitor, "zhang")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


# --- The site: with and without credentials ------------------------------------------------------


def test_site_with_credentials_starts_no_simulator(portal_app: Flask, visitor: FlaskClient) -> None:
    """Given credentials are used, and no page speaks of a simulator."""
    assert "simulator" not in portal_app.extensions
    assert "This is a simulator" not in page(visitor, "/")


def test_site_takes_its_credentials_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is enough to run the site with the real DingTalk."""
    credentials = {"DINGTALK_CLIENT_ID": "dingabc", "DINGTALK_CLIENT_SECRET": "secret"}
    set_environment(monkeypatch, credentials | {"SECRET_KEY": SECRET_KEY})
    response = create_app().test_client().get("/dingtalk/login?via=redirect")
    assert response.location.startswith("https://login.dingtalk.com/oauth2/auth?client_id=dingabc&")


def test_site_with_credentials_needs_a_secret_key(simulator: DingTalkSimulator) -> None:
    """A key is made up for the simulator alone."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY is not set"):
        create_app(simulator.settings)


def test_site_without_credentials_signs_people_in_with_a_simulator(simulated: Flask) -> None:
    """The site works without any setting."""
    client = simulated.test_client()
    simulated.extensions["simulator"].sign_in(client, "li")
    assert "李四" in page(client, "/profile")


@pytest.mark.parametrize("path", ["/", "/profile", "/company", "/dingtalk/callback"])
def test_site_without_credentials_says_so_on_each_page(path: str, simulated: Flask) -> None:
    """Nobody takes the simulator for DingTalk."""
    client = simulated.test_client()
    simulated.extensions["simulator"].sign_in(client, "zhang")
    assert "This is a simulator, no credentials were given." in client.get(path).text


def test_sites_without_credentials_have_keys_of_their_own(simulated: Flask) -> None:
    """A made-up key is made up anew at each start."""
    another = create_app()
    another.extensions["simulator"].stop()
    assert another.config["SECRET_KEY"] != simulated.config["SECRET_KEY"]


# --- The command of the demo ---------------------------------------------------------------------


@pytest.fixture
def demo() -> Iterator["subprocess.Popen[str]"]:
    """Run what ``make demo`` runs, on a free port."""
    command = [sys.executable, "-m", "flask", "--app", "examples.site", "run", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


def console(process: "subprocess.Popen[str]", until: str) -> str:
    """Read the console up to the line with a text in it, or to its end."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if until in line:
            break
    return "".join(lines)


def test_demo_runs_without_any_setting_and_says_how(demo: "subprocess.Popen[str]") -> None:
    """The console tells that a simulator is used, and where the site is."""
    said = console(demo, "Running on")
    assert "No FLASK_DINGTALK_CLIENT_ID: signing in with a simulator at http://127.0.0.1:" in said
    assert requests.get(said.split()[-1], timeout=10).status_code == 200


@pytest.mark.parametrize("name", ["code", "authCode"])
def test_demo_prints_no_codes(name: str, demo: "subprocess.Popen[str]") -> None:
    """The development server prints the address of the callback without its query."""
    address = console(demo, "Running on").split()[-1]
    query = {name: "0123456789abcdef", "state": "x"}
    requests.get(f"{address}/dingtalk/callback", params=query, timeout=10)
    said = console(demo, "GET /dingtalk/callback?…")
    demo.terminate()
    assert "0123456789abcdef" not in said + console(demo, "no such line")
