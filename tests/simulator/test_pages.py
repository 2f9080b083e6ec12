"""Rules that hold for every page."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from .helpers import Http, page_refusal


def test_login_is_remembered(http: Http) -> None:
    """The second login of a browser goes straight to consent."""
    http.choose("zhang")
    assert "/oauth2/consent" in http.authorize().text


def test_another_account_can_be_chosen(http: Http) -> None:
    """The consent page leads back to the list of people."""
    page = http.choose("zhang")
    answer = http.submit(page, "/oauth2/login", person="")
    assert "李四" in http.get(answer.headers["Location"]).text


def test_cookie_is_narrow(http: Http) -> None:
    """The cookie has the port in its name and is hidden from scripts and other sites."""
    cookie = http.authorize().headers["Set-Cookie"]
    port = urlsplit(http.simulator.url).port
    name, _, attributes = cookie.partition("=")
    assert name == f"dingtalk_simulator_{port}"
    assert attributes.partition("; ")[2] == "HttpOnly; Path=/oauth2; SameSite=Lax"


@pytest.mark.parametrize("path", ["/oauth2/login", "/oauth2/consent"])
def test_only_own_forms_are_accepted(http: Http, path: str) -> None:
    """A form without the token that belongs to the browser's cookie is refused."""
    assert page_refusal(http.post(f"{path}?{http.query()}", data={"person": "li"})) == "form"
    http.authorize()
    forged = {"person": "li", "form_token": "0" * 64}
    assert page_refusal(http.post(f"{path}?{http.query()}", data=forged)) == "form"


def test_form_token_is_not_a_login(http: Http) -> None:
    """A browser in which nobody is logged in cannot consent."""
    token = re.search(r'name="form_token" value="(\w+)"', http.authorize().text)
    assert token is not None
    data = {"form_token": token[1], "decision": "agree"}
    assert page_refusal(http.post(f"/oauth2/consent?{http.query()}", data=data)) == "form"


def test_logout_forgets_the_person(http: Http) -> None:
    """After a logout the browser has to choose a person again."""
    http.choose("zhang")
    page = http.get(f"/oauth2/logout?client_id={http.simulator.application.client_id}")
    assert page.status_code == 200
    assert "Signed out" in page.text
    assert "李四" in http.authorize().text


@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param("http://localhost/bye", 302, id="registered"),
        pytest.param("https://example.com/", 400, id="elsewhere"),
    ],
)
def test_logout_redirects_to_registered_hosts_only(http: Http, target: str, status: int) -> None:
    """The logout page is not an open redirect."""
    client_id = http.simulator.application.client_id
    answer = http.get("/oauth2/logout", params={"client_id": client_id, "continue": target})
    assert answer.status_code == status
    if status == 302:
        assert answer.headers["Location"] == target
    else:
        assert page_refusal(answer) == "continue"


def test_logout_needs_the_client_id(http: Http) -> None:
    """An unknown Client ID is refused."""
    assert page_refusal(http.get("/oauth2/logout?client_id=x")) == "application"


@pytest.mark.parametrize(
    "path",
    ["/oauth2/nothing", "/media/nothing.svg", "/favicon.ico", "/v110/oauth2/authRules/user"],
)
def test_unknown_path_is_a_page_not_found(http: Http, path: str) -> None:
    """An unknown address gets a page with status 404."""
    page = http.get(path)
    assert page.status_code == 404
    assert page_refusal(page) == "page"


def test_index_shows_people_and_ids(http: Http, own: str) -> None:
    """The base address shows people and ids, but no secret."""
    page = http.get("/").text
    assert own in page
    assert "张三" in page
    assert http.simulator.application.client_secret not in page


@pytest.mark.parametrize(
    ("languages", "words"),
    [
        pytest.param("zh-CN,zh;q=0.9,en;q=0.8", "请选择演示账号", id="zh"),
        pytest.param("en-GB,en;q=0.9", "Choose a demo account", id="en"),
        pytest.param("fr", "Choose a demo account", id="other"),
    ],
)
def test_pages_speak_chinese_and_english(http: Http, languages: str, words: str) -> None:
    """The language is the one that the browser prefers."""
    page = http.get(f"/oauth2/auth?{http.query()}", headers={"Accept-Language": languages})
    assert words in page.text
    assert page.headers["Vary"] == "Accept-Language, Cookie"


def test_pages_have_a_strict_policy(http: Http) -> None:
    """The headers allow what the pages need and nothing more."""
    headers = http.authorize().headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert policy.endswith("frame-ancestors 'none'; form-action 'self'")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_pages_escape_what_they_show(http: Http) -> None:
    """Neither a name nor a parameter becomes markup."""
    http.simulator.add_user("eve", nick="<b>Eve</b>")
    assert "&lt;b&gt;Eve" in http.authorize().text
    assert "<script" not in http.authorize(scope="<script>").text


@pytest.mark.parametrize(
    ("permissions", "shown"),
    [
        pytest.param(set(), {"no permission"}, id="none"),
        pytest.param({"Contact.User.Read"}, {"Nickname", "E-mail"}, id="profile"),
        pytest.param(
            {"Contact.User.Read", "Contact.User.mobile"},
            {"Nickname", "E-mail", "Mobile"},
            id="mobile",
        ),
    ],
)
def test_consent_page_lists_what_the_site_receives(
    http: Http, permissions: set[str], shown: set[str]
) -> None:
    """The permissions decide what is listed, not the scope."""
    http.simulator.application.permissions = permissions
    page = http.choose("zhang").text
    words = {"no permission", "Nickname", "E-mail", "Mobile"}
    assert {word for word in words if word in page} == shown


def test_number_without_country_code_is_shown(http: Http) -> None:
    """The country code is left out if the account has none."""
    http.simulator.add_user("chen", nick="陈", mobile="15512343240", state_code=None)
    assert ">155****3240<" in http.choose("chen").text


def test_person_without_organisation_can_log_in(http: Http) -> None:
    """A person in no organisation is offered and may consent."""
    http.simulator.add_user("free", nick="自由人", corp_ids=())
    assert "no organisation" in http.authorize().text
    assert "consent" in http.choose("free").text


@pytest.mark.parametrize("name", ["Flask Demo", "演示", "</title><b>A & B</b>"])
def test_the_title_of_the_window_is_plain_text(http: Http, name: str) -> None:
    """A browser shows markup in it as it is; what is an application's name cannot end it either."""
    http.simulator.application.name = name
    title = re.search("<title>(.*?)</title>", http.authorize().text)
    assert title is not None
    assert "<" not in title[1]
    assert "bdi" not in title[1]
