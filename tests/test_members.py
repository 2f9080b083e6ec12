"""``DINGTALK_MEMBERS_ONLY`` and ``DINGTALK_EMPLOYEE_PROFILE``."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from flask import Flask, jsonify
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from flask_dingtalk import DingTalkUser, current_dingtalk_user, login_required
from flask_dingtalk.api.employee import Employee, Role
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import (
    AppFactory,
    come_back,
    endpoints,
    in_time,
    patience_for,
    sign_in,
    sign_in_with,
    site_on,
    start,
)
from .stub import PROFILE, TOKEN, Answer, Asked, StubDingTalk

RECORD = {
    "userid": "zhang-1",
    "unionid": PROFILE["unionId"],
    "name": "张三",
    "title": "工程师",
    "job_number": "A-17",
    "org_email": "zhang@corp.example",
    "email": "z@corp.example",
    "mobile": "15012349144",
    "telephone": "8017",
    "work_place": "杭州",
    "remark": "",
    "manager_userid": "boss-1",
    "hired_date": 1597573616828,
    "dept_id_list": [1, 42],
    "role_list": [{"id": 7, "name": "主管", "group_name": "默认"}],
    "active": True,
    "admin": False,
    "boss": False,
    "senior": True,
    "extension": '{"爱好":"围棋"}',
    "real_authed": True,
    "dept_order_list": [{"dept_id": 1, "order": 176292000000000512}],
}


def show_employee(app: Flask) -> Flask:
    """Add a view that shows the user's ids and record."""

    @app.get("/record")
    @login_required
    def record() -> ResponseReturnValue:
        employee = current_dingtalk_user.employee
        return jsonify(
            user_id=current_dingtalk_user.user_id,
            name=employee and employee.name,
            raw=employee and employee.raw,
        )

    return app


# --- Members only --------------------------------------------------------------------------------


@pytest.fixture
def members(make_app: AppFactory) -> FlaskClient:
    """Open a browser on a site that only members may enter."""
    return show_employee(make_app(DINGTALK_MEMBERS_ONLY=True)).test_client()


def test_a_member_gets_in_and_has_the_organisations_user_id(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The scope openid promises it, but DingTalk's sign-in does not deliver it."""
    assert sign_in(members, simulator).status_code == 302
    own = simulator.application.corp_id
    expected = simulator.users["zhang"].memberships[own].user_id
    assert members.get("/record").json == {"user_id": expected, "name": None, "raw": None}


def test_somebody_of_another_organisation_stays_out(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk lets them through, but they are not members here."""
    response = sign_in(members, simulator, "wang")
    assert (response.status_code, "organisation_not_allowed" in response.text) == (403, True)
    assert members.get("/").text == "nobody"


def test_an_external_contact_stays_out(members: FlaskClient, simulator: DingTalkSimulator) -> None:
    """They have a userid but are not members."""
    simulator.join("wang", external=True)
    assert sign_in(members, simulator, "wang").status_code == 403


def test_a_leaver_stays_out(members: FlaskClient, simulator: DingTalkSimulator) -> None:
    """They are refused at once."""
    simulator.leave("zhang")
    assert sign_in(members, simulator).status_code == 403


def test_a_member_of_two_organisations_gets_in_whichever_they_chose(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """The site checks membership in the application's own organisation."""
    client = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_SCOPE="openid corpid").test_client()
    other = list(simulator.organisations)[1]
    assert simulator.sign_in(client, "zhang", corp_id=other).status_code == 302


def test_without_it_nobody_is_asked_for_membership(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A sign-in stays two calls."""
    sign_in(client, simulator, "wang")
    assert endpoints(simulator) == ["userAccessToken", "users/me"]


def test_a_refusal_leaves_the_browser_as_it_was(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The previous user stays signed in."""
    sign_in(members, simulator)
    sign_in(members, simulator, "wang")
    assert members.get("/").text == "张三"


FAILURES: list[tuple[str, dict[str, Any], int, str]] = [
    ("timeout", {"timeout": True}, 504, "dingtalk_unavailable"),
    ("reset", {"reset": True}, 502, "dingtalk_unavailable"),
    ("web page", {"nonsense": True}, 502, "dingtalk_unavailable"),
    ("other JSON", {"nonsense": "json"}, 502, "dingtalk_unavailable"),
    ("no JSON", {"nonsense": "empty"}, 502, "dingtalk_unavailable"),
    ("busy", {"code": -1}, 502, "dingtalk_unavailable"),
    ("per second", {"throttled": True}, 503, "rate_limited"),
    ("ban", {"throttled": "ban"}, 503, "rate_limited"),
    ("IP", {"code": 60020}, 500, "configuration_error"),
    ("permission", {"code": 60011}, 500, "configuration_error"),
    ("range", {"code": 50002}, 403, "organisation_not_allowed"),
    ("unknown code", {"code": 424242}, 502, "api_error"),
]


@pytest.mark.parametrize(
    ("endpoint", "extra"),
    [("accessToken", {}), ("getbyunionid", {}), ("user/get", {"DINGTALK_EMPLOYEE_PROFILE": True})],
)
@pytest.mark.parametrize(
    ("failure", "status", "error_code"),
    [pytest.param(*case[1:], id=case[0]) for case in FAILURES],
)
def test_a_failure_is_an_error_of_its_own_and_never_a_silent_yes(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    endpoint: str,
    extra: dict[str, Any],
    failure: dict[str, Any],
    status: int,
    error_code: str,
) -> None:
    """At each call that membership takes; the second try works."""
    if endpoint == "accessToken" and "code" in failure:
        failure = {"status": 400, "code": "invalidClientIdOrSecret"}
        status, error_code = 500, "configuration_error"
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_TIMEOUT=patience_for(failure), **extra)
    client = app.test_client()
    simulator.fail(endpoint, times=None, **failure)
    response = sign_in(client, simulator)
    assert (response.status_code, error_code in response.text) == (status, True)
    assert client.get("/").text == "nobody"
    simulator.clear_failures()
    assert in_time(lambda: sign_in(client, simulator)).status_code == 302


def test_a_missing_permission_is_named_with_its_cure(
    members: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """As DingTalk names it, and where to enable it."""
    simulator.application.permissions.discard("qyapi_get_member")
    assert sign_in(members, simulator).status_code == 500
    assert "qyapi_get_member" in caplog.text
    assert "权限管理" in caplog.text


# --- What proves nothing is a no -----------------------------------------------------------------


def directory(member: Any = None, record: Any = None) -> Callable[[Asked], Answer]:
    """Answer the three calls of the directory, membership and record as given."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/topapi/user/getbyunionid":
            result = {"contact_type": 0, "userid": "zhang-1"} if member is None else member
            return Answer({"errcode": 0, "errmsg": "ok", "result": result})
        if asked.path == "/topapi/v2/user/get":
            return Answer({"errcode": 0, "result": RECORD if record is None else record})
        return Answer(TOKEN)

    return answer


def sign_in_on(stub: StubDingTalk, **settings: Any) -> tuple[FlaskClient, Any]:
    """Sign in on a site that talks to the stub; return browser and answer."""
    app = site_on(stub, **{"DINGTALK_MEMBERS_ONLY": True} | settings)
    client = show_employee(app).test_client()
    return client, sign_in_with(client)


def test_the_requests_are_dingtalks(stub: StubDingTalk) -> None:
    """App token as JSON; then forms, with the token in the body and never in an address."""
    stub.token = directory()
    sign_in_on(stub, DINGTALK_EMPLOYEE_PROFILE=True)
    app_token, member, record = stub.asked[2:]
    assert (app_token.method, app_token.path) == ("POST", "/v1.0/oauth2/accessToken")
    assert json.loads(app_token.body) == {
        "appKey": "dingstub",
        "appSecret": "the-secret-of-the-stub",
    }
    assert (member.method, member.path) == ("POST", "/topapi/user/getbyunionid")
    assert member.headers["content-type"] == "application/x-www-form-urlencoded"
    token = "access_token=0123456789abcdef0123456789abcdef"
    assert member.body.decode() == f"{token}&unionid=zYxWvUtSrQpOnMlKjIhGfEdCiEiE"
    assert (record.method, record.path) == ("POST", "/topapi/v2/user/get")
    assert record.body.decode() == f"{token}&userid=zhang-1"


@pytest.mark.parametrize(
    "member",
    [
        {"contact_type": 1, "userid": "x"},
        {"contact_type": "1", "userid": "x"},
        {"contact_type": None, "userid": "x"},
        {"contact_type": False, "userid": "x"},
        {"contact_type": 2, "userid": "x"},
        {"userid": "x"},
        {"contact_type": 0},
        {"contact_type": 0, "userid": ""},
        {"contact_type": 0, "userid": None},
        {"contact_type": 0, "userid": 7},
        {"contact_type": 0, "userid": ["x"]},
        {"contact_type": 0, "userid": "x" * 65},
        {"contact_type": 0, "userid": "x\ud800"},
        {"contact_type": 0, "userid": "x\ny"},
        {},
    ],
    ids=ascii,
)
def test_an_answer_that_proves_nothing_is_a_no(stub: StubDingTalk, member: Any) -> None:
    """An errcode of 0 is not enough."""
    stub.token = directory(member)
    client, response = sign_in_on(stub)
    assert (response.status_code, "organisation_not_allowed" in response.text) == (403, True)
    assert client.get("/").text == "nobody"


@pytest.mark.parametrize("member", [None, [], "x", 7], ids=ascii)
def test_an_answer_of_another_shape_is_no_yes_either(stub: StubDingTalk, member: Any) -> None:
    """It is DingTalk's mistake."""
    stub.token = lambda asked: Answer(
        {"errcode": 0, "result": member} if "topapi" in asked.path else TOKEN
    )
    _, response = sign_in_on(stub)
    assert response.status_code == 502


@pytest.mark.parametrize(
    "errcode", ["E60121", None, [60121], {"code": 60121}, 0.5, True, ...], ids=ascii
)
def test_a_result_beside_an_unreadable_errcode_is_no_yes(stub: StubDingTalk, errcode: Any) -> None:
    """Only 0 is."""
    content = {"errcode": errcode, "result": {"contact_type": 0, "userid": "zhang-1"}}
    if errcode is ...:
        del content["errcode"]
    stub.token = lambda asked: Answer(content if "topapi" in asked.path else TOKEN)
    _, response = sign_in_on(stub)
    assert response.status_code == 502


def test_quoted_numbers_as_in_the_documents_are_understood(stub: StubDingTalk) -> None:
    """The sample there has them."""
    member = {"contact_type": "0", "userid": "zhang-1"}
    stub.token = lambda asked: Answer(
        {"errcode": "0", "result": member} if "topapi" in asked.path else TOKEN
    )
    _, response = sign_in_on(stub)
    assert response.status_code == 302


def test_a_refusal_carries_what_dingtalk_said(
    members: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Code, message and request id, for the log."""
    sign_in(members, simulator, "wang")
    assert "60121" in caplog.text
    assert "找不到该用户" in caplog.text


def test_a_disabled_account_stays_out(members: FlaskClient, simulator: DingTalkSimulator) -> None:
    """用户已禁用 is how DingTalk says so."""
    simulator.fail("getbyunionid", code=60120)
    assert sign_in(members, simulator).status_code == 403


def test_who_signed_in_before_the_rule_was_set_is_signed_out(
    make_app: AppFactory, members: FlaskClient, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The session shows no membership."""
    sign_in(client, simulator, "wang")
    cookie = client.get_cookie("session")
    assert cookie is not None
    members.set_cookie("session", cookie.value)
    assert members.get("/report").status_code == 302
    assert members.get("/").text == "nobody"


@pytest.mark.parametrize(
    "change",
    [{"unionid": "somebody-else"}, {"userid": "somebody-else"}, {"unionid": None}],
    ids=ascii,
)
def test_a_record_of_somebody_else_is_a_no(stub: StubDingTalk, change: Any) -> None:
    """A foreign userid proves nothing."""
    stub.token = directory(record=RECORD | change)
    _, response = sign_in_on(stub, DINGTALK_EMPLOYEE_PROFILE=True)
    assert response.status_code == 403


# --- The application's own token -----------------------------------------------------------------


def test_the_app_token_is_fetched_once_and_kept(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The process keeps it; no session does."""
    for _ in range(3):
        sign_in(members, simulator)
    assert endpoints(simulator).count("accessToken") == 1
    assert endpoints(simulator).count("getbyunionid") == 3


def test_fifty_people_signing_in_at_once_take_one_app_token(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """Against a cold process."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True)
    for number in range(50):
        simulator.add_user(f"user{number}", nick=f"同事{number}")

    def sign_in_as(number: int) -> str:
        client = app.test_client()
        come_back(client, start(client), simulator.authorization_code(f"user{number}"))
        return client.get("/").text

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(sign_in_as, range(50))) == [f"同事{number}" for number in range(50)]
    assert endpoints(simulator).count("accessToken") == 1


def test_an_app_token_that_dingtalk_refuses_is_replaced_once(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk refused it although it had not expired."""
    sign_in(members, simulator)
    simulator.advance(7200)
    simulator.calls.clear()
    assert sign_in(members, simulator, "li").status_code == 302
    assert endpoints(simulator)[2:] == ["getbyunionid", "accessToken", "getbyunionid"]


def test_an_app_token_refused_twice_is_an_error(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """One repetition, not a loop."""
    simulator.fail("getbyunionid", code=40014, times=None)
    assert sign_in(members, simulator).status_code == 502
    assert endpoints(simulator).count("getbyunionid") == 2


def test_after_a_missing_permission_the_next_try_has_a_fresh_app_token(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Permissions can be bound to the token."""
    simulator.fail("getbyunionid", code=60011)
    assert sign_in(members, simulator).status_code == 500
    simulator.calls.clear()
    assert sign_in(members, simulator).status_code == 302
    assert "accessToken" in endpoints(simulator)


def test_a_busy_dingtalk_is_asked_again_after_a_pause(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """What only reads may be repeated."""
    simulator.fail("getbyunionid", code=-1, times=2)
    assert sign_in(members, simulator).status_code == 302
    times = [call.at for call in simulator.calls if call.endpoint == "getbyunionid"]
    assert len(times) == 3
    assert all((b - a).total_seconds() >= 0.05 for a, b in pairwise(times))


def test_a_throttled_call_is_made_again_once_after_a_second(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As DingTalk advises for its limits per second."""
    simulator.fail("getbyunionid", throttled=True)
    assert sign_in(members, simulator).status_code == 302
    first, second = (call.at for call in simulator.calls if call.endpoint == "getbyunionid")
    assert (second - first).total_seconds() >= 1


def test_an_app_token_is_renewed_before_it_ends(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Ten minutes ahead; DingTalk extends the same one."""
    with time_machine.travel(datetime.now(UTC)) as clock:
        sign_in(members, simulator)
        clock.shift(7200 - 660)
        sign_in(members, simulator)
        assert endpoints(simulator).count("accessToken") == 1
        clock.shift(120)
        sign_in(members, simulator)
        assert endpoints(simulator).count("accessToken") == 2


def test_an_app_token_that_cannot_be_renewed_yet_is_used_while_it_is_good(
    members: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It is not used after it has expired."""
    simulator.fail("accessToken", throttled="ban", times=None)
    assert sign_in(members, simulator).status_code == 503
    simulator.clear_failures()
    with time_machine.travel(datetime.now(UTC)) as clock:
        sign_in(members, simulator)
        simulator.fail("accessToken", throttled="ban", times=None)
        clock.shift(7200 - 300)
        assert sign_in(members, simulator).status_code == 302
        clock.shift(600)
        assert sign_in(members, simulator).status_code == 503


@pytest.mark.parametrize("lifetime", [1, 10**9])
def test_an_app_token_of_a_strange_lifetime_is_used(stub: StubDingTalk, lifetime: int) -> None:
    """Whatever DingTalk says."""

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/accessToken"):
            return Answer({"accessToken": "app", "expireIn": lifetime})
        return directory()(asked)

    stub.token = answer
    _, response = sign_in_on(stub)
    assert response.status_code == 302


# --- The employee record -------------------------------------------------------------------------


@pytest.fixture
def records(make_app: AppFactory) -> FlaskClient:
    """Open a browser on a site that wants to know its members' records."""
    return show_employee(make_app(DINGTALK_EMPLOYEE_PROFILE=True)).test_client()


def test_a_members_record_is_there(records: FlaskClient, simulator: DingTalkSimulator) -> None:
    """As DingTalk sent it, and by name."""
    membership = simulator.users["li"].memberships[simulator.application.corp_id]
    membership.name, membership.title = "李四（研发）", "工程师"
    sign_in(records, simulator, "li")
    record = records.get("/record").json
    assert record is not None
    assert record["name"] == "李四（研发）"
    assert record["raw"]["title"] == "工程师"
    assert record["user_id"] == membership.user_id


def test_who_is_no_member_gets_in_without_a_record(
    records: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Where DINGTALK_MEMBERS_ONLY does not keep them out."""
    assert sign_in(records, simulator, "wang").status_code == 302
    assert records.get("/record").json == {"user_id": None, "name": None, "raw": None}


def test_fields_without_permission_are_none(
    records: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk leaves them out without an error."""
    simulator.application.permissions -= {"fieldMobile", "fieldEmail"}
    sign_in(records, simulator)
    record = records.get("/record").json
    assert record is not None
    employee = Employee(record["raw"])
    assert (employee.mobile, employee.email, employee.work_place) == (None, None, None)


def test_every_documented_field_has_a_name() -> None:
    """Each field has its name and type."""
    employee = Employee(RECORD)
    assert (employee.user_id, employee.union_id) == ("zhang-1", PROFILE["unionId"])
    assert (employee.name, employee.title, employee.job_number) == ("张三", "工程师", "A-17")
    assert (employee.org_email, employee.email) == ("zhang@corp.example", "z@corp.example")
    assert (employee.mobile, employee.telephone) == ("15012349144", "8017")
    assert (employee.work_place, employee.remark) == ("杭州", None)
    assert employee.manager_user_id == "boss-1"
    assert employee.hired_date == datetime(2020, 8, 16, 10, 26, 56, 828000, tzinfo=UTC)
    assert employee.department_ids == (1, 42)
    assert employee.roles == (Role(7, "主管", "默认"),)
    assert (employee.active, employee.admin, employee.boss, employee.senior) == (
        True, False, False, True,
    )  # fmt: skip
    assert employee.extension == {"爱好": "围棋"}
    assert json.loads(json.dumps(employee.raw)) == RECORD


def test_an_empty_record_has_nothing_but_none() -> None:
    """Whatever DingTalk leaves out."""
    names = [name for name in dir(Employee) if not name.startswith("_") and name != "raw"]
    assert len(names) == 20
    assert [getattr(Employee(), name) for name in names] == [None] * 20


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("boss", "true", "boss", True),
        ("boss", "maybe", "boss", None),
        ("admin", 1, "admin", None),
        ("hired_date", "1597573616828", "hired_date",
         datetime(2020, 8, 16, 10, 26, 56, 828000, tzinfo=UTC)),
        ("hired_date", 10**25, "hired_date", None),
        ("hired_date", "soon", "hired_date", None),
        ("hired_date", True, "hired_date", None),
        ("dept_id_list", "[2,3,4]", "department_ids", None),
        ("dept_id_list", [1, "x", None, True], "department_ids", (1,)),
        ("role_list", [{"id": 1}, {"name": "x"}, 7], "roles", (Role(1, None, None),)),
        ("role_list", {"id": 1}, "roles", None),
        ("extension", "no JSON", "extension", None),
        ("extension", "[1]", "extension", None),
        ("extension", {"a": 1}, "extension", None),
        ("name", 7, "name", None),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_field_of_another_shape_is_read_with_care(
    name: str, value: Any, attribute: str, expected: Any
) -> None:
    """The sample in DingTalk's documents is not what arrives, but may be one day."""
    assert getattr(Employee({name: value}), attribute) == expected


def test_a_record_cannot_be_changed() -> None:
    """Neither itself nor what DingTalk sent."""
    employee = Employee(RECORD)
    with pytest.raises(FrozenInstanceError):
        employee.raw = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        employee.raw["name"] = "x"  # type: ignore[index]
    assert pickle.loads(pickle.dumps(employee)) == employee
    assert len({employee, Employee(RECORD)}) == 1


def test_the_repr_of_a_record_shows_no_private_data() -> None:
    """A ``repr`` may be logged."""
    assert repr(Employee(RECORD)) == "Employee(user_id='zhang-1', name='张三')"


def test_a_check_may_ask_about_the_record(app: Flask) -> None:
    """A department, say."""
    only_department_42 = login_required(
        check=lambda user: user.employee is not None and 42 in (user.employee.department_ids or ())
    )
    app.add_url_rule("/dept", "dept", only_department_42(lambda: "inside"))
    user = DingTalkUser(union_id="u", employee=Employee(RECORD))
    assert signed_in(app.test_client(), user).get("/dept").text == "inside"
    other = DingTalkUser(union_id="u", employee=Employee({"dept_id_list": [1]}))
    assert signed_in(app.test_client(), other).get("/dept").status_code == 403


# --- How much of it a session holds --------------------------------------------------------------


def long_record() -> dict[str, Any]:
    """Make a record as large as they come."""
    noise = random.Random(5)
    return RECORD | {
        "extension": json.dumps({"a": noise.randbytes(950).hex()}),
        "role_list": [
            {"id": n, "name": noise.randbytes(4).hex(), "group_name": "g"} for n in range(9)
        ],
        "undocumented": noise.randbytes(900).hex(),
    }


def kept(client: FlaskClient) -> dict[str, Any]:
    """Return the record that the session holds."""
    answer = client.get("/record").json
    assert answer is not None
    raw: dict[str, Any] = answer["raw"]
    return raw


def cookie_size(client: FlaskClient) -> int:
    """Measure the session cookie."""
    cookie = client.get_cookie("session")
    assert cookie is not None
    return len(cookie.value)


def test_an_ordinary_record_is_kept_whole_in_a_cookie(stub: StubDingTalk) -> None:
    """With everything that DingTalk sent."""
    stub.token = directory()
    client, _ = sign_in_on(stub, DINGTALK_EMPLOYEE_PROFILE=True)
    assert kept(client) == RECORD
    assert cookie_size(client) < 1500


def test_of_a_long_record_a_cookie_keeps_the_fields_with_names_first(stub: StubDingTalk) -> None:
    """Entries that are not fields of ``Employee`` go first."""
    stub.token = directory(record=RECORD | {"undocumented": long_record()["undocumented"] * 2})
    client, response = sign_in_on(stub, DINGTALK_EMPLOYEE_PROFILE=True)
    assert response.status_code == 302
    assert "undocumented" not in kept(client)
    assert kept(client)["extension"] == RECORD["extension"]
    assert cookie_size(client) < 2600


def test_then_the_organisations_own_fields_go(stub: StubDingTalk) -> None:
    """They can have two thousand characters."""
    stub.token = directory(record=long_record())
    client, _ = sign_in_on(stub, DINGTALK_EMPLOYEE_PROFILE=True)
    assert "extension" not in kept(client)
    assert len(kept(client)["role_list"]) == 9
    assert cookie_size(client) < 2600


def test_then_the_roles_go(stub: StubDingTalk) -> None:
    """Name, title and departments stay."""
    noise = random.Random(6)
    roles = [{"id": n, "name": noise.randbytes(30).hex()} for n in range(60)]
    stub.token = directory(record=RECORD | {"role_list": roles})
    client, _ = sign_in_on(stub, DINGTALK_EMPLOYEE_PROFILE=True)
    assert "role_list" not in kept(client)
    assert kept(client)["dept_id_list"] == [1, 42]


@pytest.mark.parametrize("session_settings", ["files", "redis"], indirect=True)
def test_a_server_side_session_keeps_everything(
    stub: StubDingTalk, session_settings: Callable[[Flask], Flask]
) -> None:
    """Only a cookie is short of room."""
    stub.token = directory(record=long_record())
    app = site_on(stub, DINGTALK_MEMBERS_ONLY=True, DINGTALK_EMPLOYEE_PROFILE=True)
    client = session_settings(show_employee(app)).test_client()
    sign_in_with(client)
    assert kept(client) == long_record()
