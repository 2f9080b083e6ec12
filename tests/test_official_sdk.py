"""DingTalk's own SDK works with the simulator, and was written without this project."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alibabacloud_dingtalk.contact_1_0.client import Client as ContactClient
from alibabacloud_dingtalk.contact_1_0.models import GetUserHeaders
from alibabacloud_dingtalk.oauth2_1_0.client import Client as OAuthClient
from alibabacloud_dingtalk.oauth2_1_0.models import (
    GetAccessTokenRequest,
    GetPersonalAuthRuleHeaders,
    GetTokenRequest,
    GetUserTokenRequest,
)
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from alibabacloud_tea_util.models import RuntimeOptions
from Tea.exceptions import TeaException

from flask_dingtalk.testing import DingTalkSimulator

# The SDK still calls what Python 3.12 and later warn of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning:alibabacloud_tea_openapi.utils"
)


class Sdk:
    """The two clients of the SDK that a sign-in needs, pointed at a simulator."""

    def __init__(self, simulator: DingTalkSimulator) -> None:
        self.simulator = simulator
        endpoint = simulator.url.removeprefix("http://")
        self.oauth = OAuthClient(Config(endpoint=endpoint, protocol="HTTP"))
        self.contact = ContactClient(Config(endpoint=endpoint, protocol="HTTP"))

    def user_token(self, **grant: str) -> Any:
        """Exchange a code or a refresh token."""
        application = self.simulator.application
        credentials = {
            "client_id": application.client_id,
            "client_secret": application.client_secret,
        }
        kind = "refresh_token" if "refresh_token" in grant else "authorization_code"
        arguments = {"grant_type": kind, **credentials, **grant}
        return self.oauth.get_user_token(GetUserTokenRequest(**arguments)).body

    def sign_in(self, user: str, corp_id: str | None = None) -> Any:
        """Exchange a fresh code of `user`."""
        return self.user_token(code=self.simulator.authorization_code(user, corp_id=corp_id))

    def old_api(self, path: str, **form: str) -> dict[str, Any]:
        """Call the old API by the SDK's general call; it has no methods for that host."""
        application = self.simulator.application
        request = GetAccessTokenRequest(
            app_key=application.client_id, app_secret=application.client_secret
        )
        token = self.oauth.get_access_token(request).body.access_token
        call = Params(
            action="call",
            version="topapi",
            protocol="HTTP",
            pathname=path,
            method="POST",
            auth_type="Anonymous",
            style="ROA",
            req_body_type="formData",
            body_type="json",
        )
        request = OpenApiRequest(query={"access_token": token}, body=form)
        answer: dict[str, Any] = self.oauth.call_api(call, request, RuntimeOptions())["body"]
        return answer

    def profile(self, token: str | None) -> Any:
        """Read the profile of the token's user."""
        headers = GetUserHeaders(x_acs_dingtalk_access_token=token)
        return self.contact.get_user_with_options("me", headers, RuntimeOptions()).body


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    """Run a simulator with the SDK's clients."""
    with DingTalkSimulator() as simulator:
        yield Sdk(simulator)


def test_gets_user_tokens(sdk: Sdk) -> None:
    """Both tokens, the lifetime and the organisation arrive in the SDK's model."""
    corp_id = sdk.simulator.users["zhang"].corp_ids[1]
    body = sdk.sign_in("zhang", corp_id)
    assert (len(body.access_token), len(body.refresh_token)) == (32, 32)
    assert (body.expire_in, body.corp_id) == (7200, corp_id)


def test_gets_no_organisation_without_asking(sdk: Sdk) -> None:
    """Without corpid in the scope, the answer has none."""
    assert sdk.sign_in("zhang").corp_id is None


def test_reads_the_profile(sdk: Sdk) -> None:
    """Every field of the profile arrives in the SDK's model."""
    zhang = sdk.simulator.users["zhang"]
    body = sdk.profile(sdk.sign_in("zhang").access_token)
    assert (body.nick, body.avatar_url) == ("张三", zhang.avatar_url)
    assert (body.union_id, body.open_id) == (zhang.union_id, zhang.open_id)
    assert (body.mobile, body.state_code) == (zhang.mobile, "86")
    assert (body.email, body.visitor) == ("zhang.san@example.com", False)


def test_refreshes(sdk: Sdk) -> None:
    """A refresh yields a pair that works."""
    first = sdk.sign_in("li")
    second = sdk.user_token(refresh_token=first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert sdk.profile(second.access_token).nick == "李四"


def test_lists_grants(sdk: Sdk) -> None:
    """What the person granted arrives in the SDK's model."""
    headers = GetPersonalAuthRuleHeaders(x_acs_dingtalk_access_token=sdk.sign_in("li").access_token)
    body = sdk.oauth.get_personal_auth_rule_with_options(headers, RuntimeOptions()).body
    assert [(rule.resource, rule.auth_items) for rule in body.result] == [
        ("rpc_auth", ["Contact.User.Read"]),
        ("Contact.User", ["mobile"]),
    ]


def test_gets_the_applications_token_in_two_ways(sdk: Sdk) -> None:
    """Both calls yield the same token."""
    application = sdk.simulator.application
    plain = sdk.oauth.get_access_token(
        GetAccessTokenRequest(app_key=application.client_id, app_secret=application.client_secret)
    ).body
    unified = sdk.oauth.get_token(
        application.corp_id,
        GetTokenRequest(
            client_id=application.client_id,
            client_secret=application.client_secret,
            grant_type="client_credentials",
        ),
    ).body
    assert (plain.expire_in, unified.expires_in) == (7200, 7200)
    assert plain.access_token == unified.access_token


def _with_a_used_code(sdk: Sdk) -> None:
    code = sdk.simulator.authorization_code("li")
    sdk.user_token(code=code)
    sdk.user_token(code=code)


def _with_a_used_refresh_token(sdk: Sdk) -> None:
    token = sdk.sign_in("li").refresh_token
    sdk.user_token(refresh_token=token)
    sdk.user_token(refresh_token=token)


def _with_an_expired_token(sdk: Sdk) -> None:
    token = sdk.sign_in("li").access_token
    sdk.simulator.advance(7200)
    sdk.profile(token)


def _while_throttled(sdk: Sdk) -> None:
    sdk.simulator.fail("users/me", throttled=True)
    sdk.profile("x")


@pytest.mark.parametrize(
    ("provoke", "status", "code"),
    [
        pytest.param(
            lambda sdk: sdk.user_token(code="x", client_secret="wrong"),
            400,
            "invalidParameter.idOrSecret.notFound",
            id="secret",
        ),
        pytest.param(_with_a_used_code, 400, "invalidParameter.authCode.notFound", id="code"),
        pytest.param(
            _with_a_used_refresh_token, 400, "invalidParameter.authCode.notFound", id="refresh"
        ),
        pytest.param(lambda sdk: sdk.user_token(), 400, "Missingcode", id="no-code"),
        pytest.param(_with_an_expired_token, 400, "InvalidAuthentication", id="expired"),
        pytest.param(
            lambda sdk: sdk.profile(None), 400, "AuthenticationFailed.MissingParameter", id="none"
        ),
        pytest.param(
            _while_throttled,
            403,
            "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
            id="throttled",
        ),
    ],
)
def test_receives_the_documented_error(
    sdk: Sdk, provoke: Callable[[Sdk], object], status: int, code: str
) -> None:
    """Status, code and request id are where the SDK looks for them."""
    with pytest.raises(TeaException) as caught:
        provoke(sdk)
    assert (caught.value.statusCode, caught.value.code) == (status, code)
    assert caught.value.data["requestid"] in caught.value.message


def test_is_told_the_permission_that_is_missing(sdk: Sdk) -> None:
    """The SDK finds requiredScopes in the refusal."""
    sdk.simulator.application.permissions.remove("Contact.User.Read")
    token = sdk.sign_in("li").access_token
    with pytest.raises(TeaException) as caught:
        sdk.profile(token)
    assert caught.value.code == "Forbidden.AccessDenied.AccessTokenPermissionDenied"
    detail = caught.value.data["accessdenieddetail"]
    assert detail == {"requiredScopes": ["Contact.User.Read"]}


def test_finds_the_user_id_of_a_member(sdk: Sdk) -> None:
    """By union id, as the application itself."""
    zhang = sdk.simulator.users["zhang"]
    answer = sdk.old_api("/topapi/user/getbyunionid", unionid=zhang.union_id)
    user_id = zhang.memberships[sdk.simulator.application.corp_id].user_id
    assert (answer["errcode"], answer["errmsg"]) == (0, "ok")
    assert answer["result"] == {"contact_type": 0, "userid": user_id}


def test_reads_the_record_of_a_member(sdk: Sdk) -> None:
    """By user id, with DingTalk's field names."""
    li = sdk.simulator.users["li"]
    membership = li.memberships[sdk.simulator.application.corp_id]
    result = sdk.old_api("/topapi/v2/user/get", userid=membership.user_id)["result"]
    assert (result["userid"], result["unionid"]) == (membership.user_id, li.union_id)
    assert result["name"] == "李四"
    assert result["dept_id_list"] == list(membership.department_ids)


def test_finds_no_user_id_of_a_stranger(sdk: Sdk) -> None:
    """The old API answers HTTP 200 and says no in the body."""
    wang = sdk.simulator.users["wang"]
    answer = sdk.old_api("/topapi/user/getbyunionid", unionid=wang.union_id)
    assert answer["errcode"] == 60121
