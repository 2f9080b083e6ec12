"""The old API's calls about members."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from .helpers import TOKEN, Http


def test_union_id_leads_to_the_userid(http: Http, own: str) -> None:
    """Getbyunionid returns the userid in the application's own organisation."""
    zhang = http.simulator.users["zhang"]
    answer = http.oapi("/topapi/user/getbyunionid", unionid=zhang.union_id)
    assert re.fullmatch(r"[a-z0-9]{13}", answer.pop("request_id"))
    assert answer == {
        "errcode": 0,
        "errmsg": "ok",
        "result": {"contact_type": 0, "userid": zhang.memberships[own].user_id},
    }


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda token, body: {"params": token, "data": body}, id="form"),
        pytest.param(lambda token, body: {"params": token, "json": body}, id="json"),
        pytest.param(lambda token, body: {"data": {**token, **body}}, id="token-in-form"),
        pytest.param(lambda token, body: {"params": {**token, **body}}, id="query"),
    ],
)
def test_forms_and_json_are_accepted(
    http: Http, send: Callable[[dict[str, str], dict[str, str]], dict[str, Any]]
) -> None:
    """Token and parameters may come in each of the ways that clients use."""
    token = {"access_token": http.app_token().json()["accessToken"]}
    body = {"unionid": http.simulator.users["li"].union_id}
    answer = http.post("/topapi/user/getbyunionid", **send(token, body))
    assert answer.json()["errcode"] == 0


def test_external_contact_is_not_an_employee(http: Http) -> None:
    """An external contact has contact_type 1 and no employee record."""
    contact = http.simulator.join("wang", external=True, user_id="contact1")
    union_id = http.simulator.users["wang"].union_id
    result = http.oapi("/topapi/user/getbyunionid", unionid=union_id)["result"]
    assert result == {"contact_type": 1, "userid": "contact1"}
    answer = http.oapi("/topapi/v2/user/get", userid=contact.user_id)
    assert answer["errcode"] == 60121


def test_a_record_outside_the_visible_range_is_refused(http: Http, own: str) -> None:
    """The userid is told all the same."""
    zhang = http.simulator.users["zhang"]
    http.simulator.application.visible_to = {"li"}
    assert http.oapi("/topapi/user/getbyunionid", unionid=zhang.union_id)["errcode"] == 0
    answer = http.oapi("/topapi/v2/user/get", userid=zhang.memberships[own].user_id)
    assert (answer["errcode"], answer["errmsg"]) == (50002, "请求的员工userid不在授权范围内")


def test_people_of_other_organisations_are_not_found(http: Http) -> None:
    """A person of another organisation gets 60121."""
    union_id = http.simulator.users["wang"].union_id
    answer = http.oapi("/topapi/user/getbyunionid", unionid=union_id)
    del answer["request_id"]
    assert answer == {"errcode": 60121, "errmsg": "找不到该用户"}


def test_people_who_left_are_not_found(http: Http, other: str) -> None:
    """A person who left gets 60121, but stays in other organisations."""
    http.simulator.leave("zhang")
    zhang = http.simulator.users["zhang"]
    answer = http.oapi("/topapi/user/getbyunionid", unionid=zhang.union_id)
    assert answer["errcode"] == 60121
    assert zhang.corp_ids == (other,)


@pytest.mark.parametrize(
    ("path", "field", "errcode"),
    [
        pytest.param("/topapi/user/getbyunionid", "unionid", 400002, id="unionid"),
        pytest.param("/topapi/v2/user/get", "userid", 33012, id="userid"),
    ],
)
def test_empty_id_is_refused(http: Http, path: str, field: str, errcode: int) -> None:
    """An empty id is refused before the search."""
    assert http.oapi(path, **{field: ""})["errcode"] == errcode


@pytest.mark.parametrize(
    ("token", "sub_code", "sub_msg"),
    [
        pytest.param(None, "40000", "access_token is blank", id="none"),
        pytest.param("wrong", "40014", "不合法的access_token", id="wrong"),
    ],
)
def test_token_errors_are_wrapped(
    http: Http, token: str | None, sub_code: str, sub_msg: str
) -> None:
    """Errors about the token come as errcode 88; the new API's header is not read."""
    headers = {TOKEN: http.app_token().json()["accessToken"]}
    query = {"access_token": token} if token else {}
    answer = http.post("/topapi/user/getbyunionid", params=query, headers=headers).json()
    del answer["request_id"]
    assert answer == {
        "errcode": 88,
        "sub_code": sub_code,
        "sub_msg": sub_msg,
        "errmsg": f"ding talk error[subcode={sub_code},submsg={sub_msg}]",
    }


def test_permission_is_required(http: Http) -> None:
    """The refusal has DingTalk's long text with the link to apply for the permission."""
    application = http.simulator.application
    application.permissions.remove("qyapi_get_member")
    answer = http.oapi("/topapi/user/getbyunionid", unionid="x")
    assert (answer["errcode"], answer["sub_code"]) == (88, "60011")
    assert answer["errmsg"] == (
        "ding talk error[subcode=60011,submsg=应用尚未开通所需的权限：[qyapi_get_member]，"
        "点击链接申请并开通即可：https://open-dev.dingtalk.com/appscope/apply?content="
        f"{application.client_id}%23qyapi_get_member, {{requiredScopes=[qyapi_get_member]}}]"
    )


def test_egress_addresses_are_checked(http: Http) -> None:
    """A server that is not on the list gets sub_code 60020."""
    token = http.app_token().json()["accessToken"]
    http.simulator.application.allowed_ips = ["10.0.0.1"]
    answer = http.post("/topapi/v2/user/get", params={"access_token": token}).json()
    assert answer["sub_code"] == "60020"


def test_employee_record_has_live_types(http: Http, own: str) -> None:
    """Numbers, booleans and arrays come as such, as in live answers."""
    simulator = http.simulator
    zhang, li = simulator.users["zhang"], simulator.users["li"]
    answer = http.oapi("/topapi/v2/user/get", userid=li.memberships[own].user_id)
    assert answer["errcode"] == 0
    assert answer["result"] == {
        "userid": li.memberships[own].user_id,
        "unionid": li.union_id,
        "name": "李四",
        "avatar": li.avatar_url,
        "state_code": "86",
        "mobile": li.mobile,
        "manager_userid": zhang.memberships[own].user_id,
        "hide_mobile": False,
        "job_number": "0042",
        "title": "工程师",
        "work_place": "杭州",
        "extension": '{"爱好":"骑行"}',
        "exclusive_account": False,
        "dept_id_list": [2],
        "dept_order_list": [{"dept_id": 2, "order": 176292000000000512}],
        "leader_in_dept": [{"dept_id": 2, "leader": False}],
        "hired_date": 1625443200000,
        "active": True,
        "real_authed": True,
        "senior": False,
        "admin": False,
        "boss": False,
        "union_emp_ext": {},
    }


@pytest.mark.parametrize(
    ("permission", "fields"),
    [
        pytest.param("fieldMobile", {"mobile"}, id="mobile"),
        pytest.param("fieldEmail", {"email", "work_place", "extension"}, id="email"),
    ],
)
def test_fields_without_permission_are_left_out(
    http: Http, own: str, permission: str, fields: set[str]
) -> None:
    """A missing field permission leaves fields out without an error."""
    li = http.simulator.users["li"].memberships[own]
    li.email = "li@example.com"
    before = http.oapi("/topapi/v2/user/get", userid=li.user_id)["result"]
    http.simulator.application.permissions.remove(permission)
    after = http.oapi("/topapi/v2/user/get", userid=li.user_id)["result"]
    assert set(before) - set(after) == fields


def test_third_parties_see_fewer_fields(http: Http, own: str) -> None:
    """A third-party application does not receive contact data."""
    zhang = http.simulator.users["zhang"].memberships[own]
    http.simulator.application.third_party = True
    result = http.oapi("/topapi/v2/user/get", userid=zhang.user_id)["result"]
    assert not {"mobile", "state_code", "org_email", "email", "hired_date"} & set(result)
    assert result["role_list"] == [{"id": 1, "name": "主管理员", "group_name": "默认"}]
