"""GET /v1.0/contact/users/me returns the profile of a token's user."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from .helpers import TOKEN, Http, api_error


def test_profile_has_the_documented_fields(http: Http) -> None:
    """Every field has its documented name and form."""
    profile = http.profile()
    avatar = profile.pop("avatarUrl")
    mobile = profile.pop("mobile")
    zhang = http.simulator.users["zhang"]
    assert profile == {
        "nick": "张三",
        "unionId": zhang.union_id,
        "openId": zhang.open_id,
        "stateCode": "86",
        "email": "zhang.san@example.com",
        "visitor": False,
    }
    assert re.fullmatch(r"\d{11}", mobile)
    assert re.fullmatch(rf"{http.simulator.url}/media/\w{{65}}_640_640\.svg", avatar)
    assert re.fullmatch(r"\w{24}iEiE", zhang.union_id)


def test_avatar_is_a_picture(http: Http) -> None:
    """The address in avatarUrl serves an SVG picture."""
    answer = requests.get(http.profile()["avatarUrl"], timeout=60)
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.text.startswith("<svg ")


def test_profile_can_be_requested_by_union_id(http: Http) -> None:
    """The path takes the user's own unionId as well as ``me``, but nobody else's."""
    token = http.tokens()["accessToken"]
    union_ids = [http.simulator.users[name].union_id for name in ("zhang", "li")]
    assert http.me(token, union_ids[0]).status_code == 200
    assert api_error(http.me(token, union_ids[1])) == (404, "invalidParameter.user.notFound")


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"headers": {"Authorization": "Bearer {token}"}}, id="bearer"),
        pytest.param({"params": {"access_token": "{token}"}}, id="query"),
    ],
)
def test_token_is_read_from_one_header_only(http: Http, how: dict[str, dict[str, str]]) -> None:
    """A token sent in any other place counts as missing."""
    token = http.tokens()["accessToken"]
    how = {
        place: {key: value.format(token=token) for key, value in pairs.items()}
        for place, pairs in how.items()
    }
    answer = http.get("/v1.0/contact/users/me", **how)
    assert api_error(answer) == (400, "AuthenticationFailed.MissingParameter")


def test_made_up_token_is_refused(http: Http) -> None:
    """A token that was never issued is not valid."""
    assert api_error(http.me("0" * 32)) == (400, "InvalidAuthentication")


def test_expired_token_is_refused(http: Http) -> None:
    """A token expires after two hours."""
    token = http.tokens()["accessToken"]
    http.simulator.advance(7200)
    assert api_error(http.me(token)) == (400, "InvalidAuthentication")


def test_app_token_is_refused(http: Http) -> None:
    """An app token does not belong to a user."""
    answer = http.me(http.app_token().json()["accessToken"])
    assert api_error(answer) == (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied")
    assert "accessdenieddetail" not in answer.json()


def test_permission_is_required(http: Http) -> None:
    """The refusal names the missing permission in its text and in its details."""
    http.simulator.application.permissions.remove("Contact.User.Read")
    answer = http.me(http.tokens()["accessToken"])
    assert api_error(answer) == (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied")
    assert answer.json()["message"] == "应用尚未开通所需的权限：[Contact.User.Read]"
    assert answer.json()["accessdenieddetail"] == {"requiredScopes": ["Contact.User.Read"]}


def test_mobile_number_needs_its_permission(http: Http) -> None:
    """Without the permission the fields are left out, and there is no error."""
    http.simulator.application.permissions.remove("Contact.User.mobile")
    assert not {"mobile", "stateCode"} & set(http.profile())


def test_mobile_number_is_masked_for_third_parties(http: Http) -> None:
    """A third-party application sees only the ends of a mobile number."""
    http.simulator.application.third_party = True
    http.simulator.users["zhang"].mobile = "15512343240"
    assert http.profile()["mobile"] == "155****3240"


def test_mailbox_at_dingtalk_is_never_returned(http: Http) -> None:
    """Addresses at dingtalk.com are left out."""
    http.simulator.users["zhang"].email = "zhang@DingTalk.com"
    assert "email" not in http.profile()


def test_missing_values_are_left_out(http: Http) -> None:
    """An account without avatar, nick and number has no such fields."""
    http.simulator.add_user("bare", nick=None, avatar_url=None, mobile=None)
    assert set(http.profile("bare")) == {"unionId", "openId", "visitor"}


@pytest.mark.parametrize(
    ("permissions", "result"),
    [
        pytest.param(set(), [], id="none"),
        pytest.param(
            {"Contact.User.Read", "Contact.User.mobile"},
            [
                {"resource": "rpc_auth", "authItems": ["Contact.User.Read"]},
                {"resource": "Contact.User", "authItems": ["mobile"]},
            ],
            id="both",
        ),
    ],
)
def test_granted_permissions_are_listed(
    http: Http, permissions: set[str], result: list[dict[str, Any]]
) -> None:
    """GET /v1.0/oauth2/authRules/user lists what the user has granted."""
    token = http.tokens()["accessToken"]
    http.simulator.application.permissions = permissions
    answer = http.get("/v1.0/oauth2/authRules/user", headers={TOKEN: token})
    assert answer.json() == {"result": result}
