"""POST /topapi/v2/user/getuserinfo uses an in-app code up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .helpers import Http, api_error

PATH = "/topapi/v2/user/getuserinfo"


def errcode_of(http: Http, code: str) -> Any:
    """Use a code up; return the error code and its text."""
    answer = http.oapi(PATH, code=code)
    return answer["errcode"], answer["errmsg"]


def test_code_yields_the_person(http: Http, own: str) -> None:
    """Every field has its documented name and type."""
    simulator = http.simulator
    li = simulator.users["li"]
    answer = http.oapi(PATH, code=simulator.in_app_code("li"))
    assert re.fullmatch(r"[a-z0-9]{13}", answer.pop("request_id"))
    result = answer["result"]
    assert re.fullmatch(r"\w{24}", result.pop("associated_unionid"))
    assert re.fullmatch(r"\w{32}", result.pop("device_id"))
    assert answer == {
        "errcode": 0,
        "errmsg": "ok",
        "result": {
            "userid": li.memberships[own].user_id,
            "unionid": li.union_id,
            "name": "李四",
            "sys": False,
            "sys_level": 0,
        },
    }


@pytest.mark.parametrize(
    ("is_admin", "is_boss", "level"),
    [
        pytest.param(True, False, 1, id="admin"),
        pytest.param(True, True, 100, id="boss"),
        pytest.param(False, True, 100, id="boss-alone"),
    ],
)
def test_admins_are_marked(http: Http, own: str, is_admin: bool, is_boss: bool, level: int) -> None:
    """The main admin has level 1, the boss 100."""
    membership = http.simulator.users["li"].memberships[own]
    membership.admin, membership.boss, membership.name = is_admin, is_boss, "李工"
    result = http.oapi(PATH, code=http.simulator.in_app_code("li"))["result"]
    assert (result["sys"], result["sys_level"]) == (is_admin, level)
    assert result["name"] == "李工"


def test_json_is_accepted(http: Http) -> None:
    """JSON is not documented, but in use."""
    query = {"access_token": http.app_token().json()["accessToken"]}
    body = {"code": http.simulator.in_app_code("li")}
    assert http.post(PATH, params=query, json=body).json()["errcode"] == 0


def test_code_works_once(http: Http) -> None:
    """The second time the code does not exist."""
    code = http.simulator.in_app_code("li")
    assert errcode_of(http, code)[0] == 0
    assert errcode_of(http, code) == (40078, "不存在的临时授权码")


def test_code_expires_after_five_minutes(http: Http) -> None:
    """A code works after 290 seconds but not after 300."""
    codes = [http.simulator.in_app_code("li") for _ in range(2)]
    http.simulator.advance(290)
    assert errcode_of(http, codes[0])[0] == 0
    http.simulator.advance(10)
    assert errcode_of(http, codes[1])[0] == 40078


def test_other_codes_are_refused(http: Http) -> None:
    """Made-up codes, browser codes and codes of other applications do not exist."""
    simulator = http.simulator
    browsers = simulator.authorization_code("li")
    code = simulator.in_app_code("li")
    assert [errcode_of(http, each)[0] for each in ("x", browsers)] == [40078, 40078]
    assert http.user_token(code=browsers).status_code == 200
    simulator.application.client_id = "dinganother"
    assert errcode_of(http, code)[0] == 40078


def test_in_app_code_does_not_work_for_browsers(http: Http) -> None:
    """UserAccessToken refuses an in-app code and does not use it up."""
    code = http.simulator.in_app_code("li")
    assert api_error(http.user_token(code=code)) == (400, "invalidParameter.authCode.notFound")
    assert errcode_of(http, code)[0] == 0


def test_missing_code_is_refused(http: Http) -> None:
    """The error names the missing parameter by its old name."""
    assert errcode_of(http, "") == (41026, "缺少tmp_auth_code")


def test_person_must_be_in_the_visible_range(http: Http) -> None:
    """A person outside the visible range gets 40079."""
    http.simulator.application.visible_to = {"li"}
    assert errcode_of(http, http.simulator.in_app_code("li"))[0] == 0
    code = http.simulator.in_app_code("zhang")
    assert errcode_of(http, code) == (40079, "不存在的授权信息")


def test_person_must_be_in_the_applications_organisation(http: Http, other: str) -> None:
    """Codes of other organisations and of people who left get 40079."""
    foreign = http.simulator.in_app_code("zhang", corp_id=other)
    former = http.simulator.in_app_code("li")
    http.simulator.leave("li")
    assert [errcode_of(http, each)[0] for each in (foreign, former)] == [40079, 40079]


def test_token_and_permission_are_required(http: Http) -> None:
    """Both refusals are wrapped in 88, and neither uses the code up."""
    code = http.simulator.in_app_code("li")
    answer = http.post(PATH, params={"access_token": "x"}, data={"code": code}).json()
    assert (answer["errcode"], answer["sub_code"]) == (88, "40014")
    http.simulator.application.permissions.remove("qyapi_base")
    answer = http.oapi(PATH, code=code)
    assert (answer["errcode"], answer["sub_code"]) == (88, "60011")
    assert "[qyapi_base]" in answer["sub_msg"]
    http.simulator.application.permissions.add("qyapi_base")
    assert errcode_of(http, code)[0] == 0
