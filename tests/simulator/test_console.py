"""The page at the simulator's address: what a person can change there, and what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_dingtalk.testing.texts import text

from .helpers import Http, api_error, page_refusal

if TYPE_CHECKING:
    from tests.chromium import OpenWindow


def do(http: Http, what: str, **fields: str) -> str:
    """Submit a form of the page; return the part of the page that it leads back to."""
    answer = http.submit(http.get("/"), f"/console/{what}", **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def problem(http: Http, what: str, **fields: str) -> str:
    """Submit a form that cannot be carried out; return the page that says so."""
    answer = http.submit(http.get("/"), f"/console/{what}", **fields)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    return answer.text


# --- What can be changed -------------------------------------------------------------------------


def test_application_can_be_changed(http: Http) -> None:
    """Release, permissions, redirect URLs and egress IPs, all in one form."""
    application = http.simulator.application
    assert do(
        http,
        "application",
        permission="Contact.User.Read",
        redirect_urls="https://a.example/cb\r\nhttps://b.example/cb",
        allowed_ips="203.0.113.*",
    ) == "/#application"  # fmt: skip
    assert application.permissions == {"Contact.User.Read"}
    assert application.redirect_urls == ["https://a.example/cb", "https://b.example/cb"]
    assert application.allowed_ips == ["203.0.113.*"]
    assert not application.released
    assert not application.admits_outsiders
    assert api_error(http.app_token())[0] == 403


def test_saving_the_application_as_it_is_changes_nothing(http: Http) -> None:
    """A browser sends what the page shows."""
    before = http.simulator.application.permissions.copy()
    page = http.get("/").text
    for permission in before:
        assert f'name="permission" value="{permission}" checked' in page
    assert 'name="released" value="1" checked' in page
    assert "http://127.0.0.1/dingtalk/callback</textarea>" in page


def test_people_join_change_and_leave(http: Http, own: str) -> None:
    """With everything that a record holds."""
    world = http.simulator
    do(http, "add", name="zhao", nick="赵六", corp_id=own)
    assert world.users["zhao"].corp_ids == (own,)
    do(
        http,
        "record",
        person="zhao",
        corp_id=own,
        title="设计师",
        job_number="0100",
        departments="2, 3",
        roles="7 岗位 前端 开发\n\n8 职务 组长",
        admin="1",
    )
    record = world.users["zhao"].memberships[own]
    assert (record.title, record.department_ids) == ("设计师", (2, 3))
    assert [(role.id, role.group_name, role.name) for role in record.roles] == [
        (7, "岗位", "前端 开发"),
        (8, "职务", "组长"),
    ]
    assert (record.admin, record.boss, record.active) == (True, False, False)
    do(http, "leave", person="zhao", corp_id=own)
    assert not world.users["zhao"].memberships
    do(http, "join", person="zhao", corp_id=own, external="1")
    assert world.users["zhao"].memberships[own].external


def test_calls_can_be_made_to_fail(http: Http) -> None:
    """So often, or until everything works again."""
    do(http, "fail", endpoint="accessToken", how="throttled", times="1")
    assert "accessToken</code>" in http.get("/").text
    assert http.app_token().status_code == 403
    assert http.app_token().status_code == 200
    do(http, "fail", endpoint="accessToken", how="status", times="0")
    assert [http.app_token().status_code for _ in range(4)] == [500] * 4
    do(http, "mend")
    assert http.app_token().status_code == 200


def test_clock_can_be_moved(http: Http) -> None:
    """Codes age."""
    code = http.simulator.authorization_code("zhang")
    do(http, "clock", seconds="300")
    assert api_error(http.user_token(code=code))[0] == 400


def test_events_can_be_sent(http: Http) -> None:
    """The page says what became of them."""
    do(http, "push", event="user_leave_org", person="li")
    (delivery,) = http.simulator.deliveries
    assert delivery.event == "user_leave_org"
    assert "user_leave_org</code>: not arrived" in http.get("/").text
    assert "That did not work" in problem(http, "subscribe", url="http://127.0.0.1:9/events")


# --- What cannot be done -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "fields", "key"),
    [
        ("add", {"name": " "}, "name"),
        ("add", {"name": "zhang"}, "taken"),
        ("fail", {"endpoint": "accessToken", "how": "magic"}, "failure"),
        ("fail", {"endpoint": "accessToken", "how": "status", "times": "-1"}, "times"),
        ("push", {"event": "made_up"}, "event"),
        ("clock", {"seconds": "-5"}, "seconds"),
        ("clock", {"seconds": "nan"}, "seconds"),
        ("clock", {"seconds": "1e300"}, "seconds"),
        ("record", {"person": "li", "departments": "x"}, "departments"),
        ("record", {"person": "li", "roles": "boss"}, "roles"),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_wrong_input_is_explained(
    http: Http, own: str, what: str, fields: dict[str, str], key: str, language: str
) -> None:
    """In the browser's language, on the same page."""
    http.session.headers["Accept-Language"] = language
    fields = {"corp_id": own, **fields}
    assert text(f"console.wrong.{key}", language) in problem(http, what, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("fail", {"endpoint": "nothing", "how": "status"}),
        ("join", {"person": "nobody"}),
        ("leave", {"person": "wang"}),
        ("add", {"name": "zhao", "corp_id": "dingnowhere"}),
    ],
)
def test_what_does_not_exist_is_explained(
    http: Http, own: str, what: str, fields: dict[str, str]
) -> None:
    """With the simulator's own words; no half of it is done."""
    assert "That did not work" in problem(http, what, **{"corp_id": own, **fields})
    assert "zhao" not in http.simulator.users


@pytest.mark.parametrize("token", ["", "made-up", "密"])
def test_forms_of_other_sites_are_refused(http: Http, token: str) -> None:
    """They do not know what is in the forms of this page."""
    answer = http.post("/console/clock", data={"seconds": "300", "form_token": token})
    assert answer.status_code == 403
    assert page_refusal(answer) == "form"
    answer = http.post("/console/clock", data={"seconds": "300"}, headers={"Host": "evil.example"})
    assert answer.status_code == 421


# --- What is shown -------------------------------------------------------------------------------


def test_calls_are_shown_without_secrets(http: Http) -> None:
    """The latest first, and only new ones for a page that is open."""
    http.app_token(appSecret="wrong")
    http.tokens()
    http.profile()
    page = http.get("/").text
    assert "invalidClientIdOrSecret" in page
    assert page.index("/v1.0/contact/users/me") < page.index("/v1.0/oauth2/accessToken")
    answer = http.get("/console/calls?known=1")
    assert answer.json()["total"] == len(http.simulator.calls)
    assert [call["status"] for call in answer.json()["new"]] == ["200"] * (
        len(http.simulator.calls) - 1
    )
    for secret in http.simulator.secrets:
        assert secret not in page
        assert secret not in answer.text


@pytest.mark.parametrize("known", ["-1", "99", "x", ""])
def test_a_page_that_knows_too_much_gets_all_calls(http: Http, known: str) -> None:
    """For instance after the record was cleared."""
    http.app_token()
    assert len(http.get(f"/console/calls?known={known}").json()["new"]) == 1


def test_looking_at_the_page_is_not_recorded(http: Http) -> None:
    """An open page asks once a second."""
    for _ in range(3):
        http.get("/console/calls")
    assert not http.simulator.calls
    assert not http.simulator.page_visits


def test_page_has_a_strict_policy(http: Http) -> None:
    """It may run its own script, ask the simulator, and be in no frame."""
    policy = http.get("/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    for part in ("frame-ancestors 'none'", "connect-src 'self'", "form-action 'self'"):
        assert part in policy


def test_calls_appear_while_the_page_is_open(http: Http, open_window: OpenWindow) -> None:
    """And nothing is wider than a phone."""
    window = open_window((390, 844))
    window.goto(http.simulator.url)
    http.app_token(appSecret="wrong")
    window.get_by_text("invalidClientIdOrSecret").wait_for()
    assert window.evaluate("document.documentElement.scrollWidth") <= 390
