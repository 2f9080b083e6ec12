"""dd.requestAuthCode, as far as the simulator replaces the client."""

from __future__ import annotations

from typing import Any

import pytest

from .helpers import Http, page_refusal


def request_code(http: Http, origin: str | None = "http://localhost:5000", **changes: str) -> Any:
    """Request a code as the script does on a page of this origin."""
    application = http.simulator.application
    body = {"corpId": application.corp_id, "clientId": application.client_id, **changes}
    headers = {"Origin": origin} if origin else {}
    answer = http.post("/in-app/code", data=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == (origin or "null")
    assert answer.headers["Vary"] == "Origin"
    return answer.json()


def test_script_is_served_to_any_site(http: Http) -> None:
    """The script has the same path as at DingTalk."""
    answer = http.get("/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "window.dd = " in answer.text


def test_code_belongs_to_the_person_with_the_phone(http: Http) -> None:
    """It is zhang until another person is chosen."""
    names = []
    for user in (None, "li"):
        if user:
            http.simulator.in_app_user = user
        answer = request_code(http)
        assert set(answer) == {"code"}
        assert answer["code"] in http.simulator.secrets
        info = http.oapi("/topapi/v2/user/getuserinfo", code=answer["code"])
        names.append(info["result"]["name"])
    assert names == ["张三", "李四"]


@pytest.mark.parametrize("corp_id", ["", "dingx", "other"])
def test_organisation_must_be_the_persons_own(http: Http, other: str, corp_id: str) -> None:
    """An empty, unknown or foreign corpId is invalid."""
    http.simulator.in_app_user = "li"
    answer = request_code(http, corpId=other if corp_id == "other" else corp_id)
    assert answer == {"errorCode": 3, "errorMessage": "1002,corpId不合法"}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        pytest.param("https://app.example.com:8443", "app.example.com", id="domain"),
        pytest.param("null", "", id="null"),
        pytest.param(None, "", id="none"),
    ],
)
def test_page_must_have_the_applications_domain(http: Http, origin: str | None, host: str) -> None:
    """The error names the domain; scheme and port do not matter."""
    assert "code" in request_code(http, "https://localhost:8443")
    http.simulator.application.redirect_urls.append("http://[broken")
    error = {"errorCode": 3, "errorMessage": f"对应企业没有{host}域名微应用"}
    assert request_code(http, origin) == error


@pytest.mark.parametrize("mistake", ["release", "client", "organisation"])
def test_application_must_belong_to_the_organisation(http: Http, other: str, mistake: str) -> None:
    """An unreleased or unknown application or another organisation gets error 3."""
    changes = {"client": {"clientId": "dingx"}, "organisation": {"corpId": other}}
    http.simulator.application.released = mistake != "release"
    assert request_code(http, **changes.get(mistake, {}))["errorCode"] == 3


def test_phone_can_be_handed_to_another_person(http: Http) -> None:
    """A page shows whose phone it is and lets a person choose another one."""
    index = http.get("/")
    assert 'href="/oauth2/phone"' in index.text
    assert "Set-Cookie" not in index.headers
    page = http.get("/oauth2/phone")
    assert page.text.count('value="zhang" aria-current="true"') == 1
    answer = http.submit(page, "/oauth2/phone", person="wang")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/oauth2/phone")
    assert http.simulator.in_app_user == "wang"
    assert 'value="wang" aria-current="true"' in http.get("/oauth2/phone").text


def test_phone_cannot_be_handed_to_strangers(http: Http) -> None:
    """Unknown people and forms of other sites are refused."""
    page = http.get("/oauth2/phone")
    assert page_refusal(http.submit(page, "/oauth2/phone", person="nobody")) == "form"
    assert page_refusal(http.post("/oauth2/phone", data={"person": "li"})) == "form"
    assert http.simulator.in_app_user == "zhang"
