"""The simulator keeps DingTalk's rules: plain HTTP, literals as DingTalk's documents spell them."""

import hashlib
import html
import json
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests
from flask import Flask, redirect, request

from flask_dingtalk import testing
from flask_dingtalk.testing import DingTalkSimulator, SimulatorError
from flask_dingtalk.testing.fixtures import dingtalk_simulator
from flask_dingtalk.testing.qr_symbol import draw

__all__ = ["dingtalk_simulator"]

CALLBACK = "http://localhost/dingtalk/callback"
TOKEN = "x-acs-dingtalk-access-token"
JSON = "application/json;charset=utf-8"


@dataclass
class Http:
    """Speaks plain HTTP with a simulator, as a site and as a browser."""

    simulator: DingTalkSimulator
    session: requests.Session

    def get(self, path: str, **how: Any) -> requests.Response:
        how = {"timeout": 10, "allow_redirects": False, **how}
        return self.session.get(self.simulator.url + path, **how)

    def post(self, path: str, **how: Any) -> requests.Response:
        how = {"timeout": 10, "allow_redirects": False, **how}
        return self.session.post(self.simulator.url + path, **how)

    # --- As a site ---

    def user_token(self, **changes: Any) -> requests.Response:
        """Call userAccessToken; a field that is None is left out."""
        application = self.simulator.application
        body = {
            "clientId": application.client_id,
            "clientSecret": application.client_secret,
            "grantType": "refresh_token" if "refreshToken" in changes else "authorization_code",
            **changes,
        }
        body = {key: value for key, value in body.items() if value is not None}
        return self.post("/v1.0/oauth2/userAccessToken", json=body)

    def tokens(self, user: str = "zhang", corp_id: str | None = None) -> Any:
        """Sign `user` in and return the token answer."""
        code = self.simulator.authorization_code(user, corp_id=corp_id)
        return self.user_token(code=code).json()

    def me(self, token: str, union_id: str = "me") -> requests.Response:
        return self.get(f"/v1.0/contact/users/{union_id}", headers={TOKEN: token})

    def profile(self, user: str = "zhang") -> Any:
        return self.me(self.tokens(user)["accessToken"]).json()

    def app_token(self, **changes: str) -> requests.Response:
        application = self.simulator.application
        body = {"appKey": application.client_id, "appSecret": application.client_secret}
        return self.post("/v1.0/oauth2/accessToken", json={**body, **changes})

    def oapi(self, path: str, **data: str) -> Any:
        """Call the old API as documented: token in the query, form body."""
        query = {"access_token": self.app_token().json()["accessToken"]}
        return self.post(path, params=query, data=data).json()

    # --- As a browser ---

    def query(self, **changes: str | None) -> str:
        """Build the query of a sign-in link; a parameter that is None is left out."""
        parameters: dict[str, str | None] = {
            "client_id": self.simulator.application.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "s t/ä",
            "prompt": "consent",
            **changes,
        }
        sent = {key: value for key, value in parameters.items() if value is not None}
        return urlencode(sent, quote_via=quote)

    def authorize(self, **changes: str | None) -> requests.Response:
        return self.get("/oauth2/auth?" + self.query(**changes))

    def submit(self, page: requests.Response, path: str, **fields: str) -> requests.Response:
        """Send the form of a page that goes to `path`."""
        form = re.search(rf'action="({path}[^"]*)">\s*<input[^>]*value="([^"]*)"', page.text)
        assert form is not None, page.text
        action = form[1].replace("&amp;", "&")
        return self.post(action, data={"form_token": form[2], **fields})

    def choose(self, user: str, **changes: str | None) -> requests.Response:
        """Sign in as someone; return the page after that."""
        chosen = self.submit(self.authorize(**changes), "/oauth2/login", person=user)
        assert chosen.status_code == 303
        return self.get(chosen.headers["Location"])

    def consent(self, user: str, decision: str = "agree", **changes: str | None) -> Any:
        """Go the whole way; return the query of the callback."""
        page = self.choose(user, **changes)
        offered = re.findall(r'name="organisation" value="([^"]*)" checked', page.text)
        fields = {"organisation": offered[0]} if offered else {}
        answer = self.submit(page, "/oauth2/consent", decision=decision, **fields)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(CALLBACK)
        return parse_qs(urlsplit(answer.headers["Location"]).query)


@pytest.fixture
def simulator() -> Iterator[DingTalkSimulator]:
    """Run a simulator."""
    with DingTalkSimulator() as running:
        yield running


@pytest.fixture
def http(simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture) -> Iterator[Http]:
    """Open a browser, or a site's connection pool."""
    # This client sends tokens in addresses, as DingTalk documents it, and urllib3 logs addresses.
    caplog.set_level(logging.WARNING, "urllib3")
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept-Language"] = "en"
        yield Http(simulator, session)


@pytest.fixture
def own(simulator: DingTalkSimulator) -> str:
    """Return the corpId of the organisation that owns the application."""
    return next(iter(simulator.organisations))


@pytest.fixture
def other(simulator: DingTalkSimulator) -> str:
    """Return the corpId of the other organisation."""
    return list(simulator.organisations)[1]


def refused(answer: requests.Response) -> tuple[int, str]:
    """Return status and code of a refusal by the new API, after checking its form."""
    body = answer.json()
    assert answer.headers["Content-Type"] == JSON
    assert set(body) - {"accessdenieddetail"} == {"code", "message", "requestid"}
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", body["requestid"])
    return answer.status_code, body["code"]


def reason(page: requests.Response) -> str:
    """Return why a page refuses, after checking that it is one that does."""
    found = re.search(r'data-refused="(\w+)"', page.text)
    assert found is not None, page.text
    assert page.status_code in (400, 403, 404)
    return found[1]


class TestUserAccessToken:
    """POST /v1.0/oauth2/userAccessToken."""

    def test_exchanges_a_code(self, http: Http) -> None:
        """The answer has exactly the documented fields, spelled as documented."""
        answer = http.user_token(code=http.simulator.authorization_code("zhang"))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == JSON
        body = answer.json()
        assert set(body) == {"accessToken", "refreshToken", "expireIn"}
        assert body["expireIn"] == 7200
        assert re.fullmatch(r"[0-9a-f]{32}", body["accessToken"])

    def test_names_the_organisation_chosen(self, http: Http, other: str) -> None:
        """A code for an organisation yields its corpId."""
        assert http.tokens("zhang", other)["corpId"] == other

    @pytest.mark.parametrize("age", [pytest.param(0, id="used"), pytest.param(300, id="expired")])
    def test_refuses_a_code_that_is_no_good(self, http: Http, age: int) -> None:
        """A code works once, for five minutes."""
        code = http.simulator.authorization_code("zhang")
        if age:
            http.simulator.advance(age)
        else:
            http.user_token(code=code)
        assert refused(http.user_token(code=code)) == (400, "invalidParameter.authCode.notFound")

    def test_refuses_a_made_up_code(self, http: Http) -> None:
        """A code that was never issued is not found."""
        assert refused(http.user_token(code="x")) == (400, "invalidParameter.authCode.notFound")

    def test_refuses_the_code_of_another_application(self, http: Http) -> None:
        """A code belongs to the application that it was issued for."""
        code = http.simulator.authorization_code("zhang")
        http.simulator.application.client_id = "dinganother"
        assert refused(http.user_token(code=code))[1] == "invalidParameter.authCode.notFound"

    def test_keeps_a_code_alive_until_just_before_its_end(self, http: Http) -> None:
        """Four minutes and fifty seconds later the code still works."""
        code = http.simulator.authorization_code("zhang")
        http.simulator.advance(290)
        assert http.user_token(code=code).status_code == 200

    @pytest.mark.parametrize("field", ["clientId", "clientSecret", "grantType", "code"])
    def test_names_the_field_that_is_missing(self, http: Http, field: str) -> None:
        """Each mandatory field is asked for by name."""
        answer = http.user_token(**{"code": "x", field: None})
        assert refused(answer) == (400, f"Missing{field}")
        assert answer.json()["message"] == f"{field} is mandatory for this action."

    def test_wants_the_refresh_token_for_a_refresh(self, http: Http) -> None:
        """The other grant has a mandatory field of its own."""
        answer = http.user_token(grantType="refresh_token")
        assert refused(answer) == (400, "MissingrefreshToken")

    def test_refuses_an_unknown_grant(self, http: Http) -> None:
        """There are two grants."""
        answer = http.user_token(grantType="password", code="x")
        assert refused(answer) == (400, "unsupported.grant.type")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param({"data": {"clientId": "x"}}, id="form"),
            pytest.param({"json": ["x"]}, id="list"),
            pytest.param(
                {"data": b"{", "headers": {"Content-Type": "application/json"}}, id="broken"
            ),
            pytest.param({}, id="nothing"),
        ],
    )
    def test_reads_json_objects_alone(self, http: Http, body: dict[str, Any]) -> None:
        """Anything else counts as no body at all."""
        answer = http.post("/v1.0/oauth2/userAccessToken", **body)
        assert refused(answer) == (400, "Missingbody")
        assert answer.json()["message"] == "body is mandatory for this action."

    @pytest.mark.parametrize("field", ["clientId", "clientSecret"])
    def test_refuses_wrong_credentials_and_leaves_the_code(self, http: Http, field: str) -> None:
        """A wrong secret does not spend the code."""
        code = http.simulator.authorization_code("zhang")
        answer = http.user_token(**{"code": code, field: "wrong"})
        assert refused(answer) == (400, "invalidClientIdOrSecret")
        assert http.user_token(code=code).status_code == 200

    def test_refuses_an_unreleased_application(self, http: Http) -> None:
        """Without a release the credentials are not good."""
        http.simulator.application.released = False
        assert refused(http.user_token(code="x")) == (400, "invalidClientIdOrSecret")

    def test_wants_its_permission(self, http: Http) -> None:
        """The permission that every new application has can be taken away."""
        http.simulator.application.permissions.remove("open_app_api_base")
        answer = http.user_token(code="x")
        assert refused(answer)[0] == 403
        assert answer.json()["accessdenieddetail"] == {"requiredScopes": ["open_app_api_base"]}

    def test_gives_the_same_token_while_it_is_valid(self, http: Http) -> None:
        """A second code yields the same pair, good for another two hours."""
        first = http.tokens()
        http.simulator.advance(7000)
        assert http.tokens() == first
        http.simulator.advance(7000)
        assert http.me(first["accessToken"]).status_code == 200

    def test_gives_a_new_token_after_the_old_one(self, http: Http) -> None:
        """Once expired, a token is not given again."""
        first = http.tokens()
        http.simulator.advance(7200)
        assert http.tokens()["accessToken"] != first["accessToken"]

    def test_keeps_organisations_apart(self, http: Http, own: str, other: str) -> None:
        """Each organisation of a person has tokens of its own."""
        tokens = [http.tokens("zhang", corp_id)["accessToken"] for corp_id in (None, own, other)]
        assert len(set(tokens)) == 3

    def test_refreshes(self, http: Http, own: str) -> None:
        """A refresh yields a new pair; the corpId is not repeated."""
        first = http.tokens("zhang", own)
        second = http.user_token(refreshToken=first["refreshToken"]).json()
        assert set(second) == {"accessToken", "refreshToken", "expireIn"}
        assert second["accessToken"] != first["accessToken"]
        assert http.me(second["accessToken"]).status_code == 200

    def test_kills_the_old_pair_at_a_refresh(self, http: Http) -> None:
        """Both old tokens are dead as soon as there are new ones."""
        first = http.tokens()
        http.user_token(refreshToken=first["refreshToken"])
        again = http.user_token(refreshToken=first["refreshToken"])
        assert refused(again) == (400, "invalidParameter.authCode.notFound")
        assert refused(http.me(first["accessToken"])) == (400, "InvalidAuthentication")

    @pytest.mark.parametrize(
        ("days", "status"), [pytest.param(29, 200, id="alive"), pytest.param(30, 400, id="expired")]
    )
    def test_lets_a_refresh_token_live_for_thirty_days(
        self, http: Http, days: int, status: int
    ) -> None:
        """The refresh token outlives the access token by far, but not for ever."""
        tokens = http.tokens()
        http.simulator.advance(days * 86400)
        assert http.user_token(refreshToken=tokens["refreshToken"]).status_code == status

    def test_refuses_the_refresh_token_of_another_application(self, http: Http) -> None:
        """A refresh token belongs to one application."""
        tokens = http.tokens()
        http.simulator.application.client_id = "dinganother"
        answer = http.user_token(refreshToken=tokens["refreshToken"])
        assert refused(answer) == (400, "invalidParameter.authCode.notFound")


class TestProfile:
    """GET /v1.0/contact/users/me."""

    def test_holds_what_dingtalk_sends(self, http: Http) -> None:
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

    def test_serves_the_avatar(self, http: Http) -> None:
        """The avatar's address leads to a picture."""
        answer = requests.get(http.profile()["avatarUrl"], timeout=10)
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.text.startswith("<svg ")

    def test_can_be_asked_for_by_union_id(self, http: Http) -> None:
        """The path holds a unionId, for which ``me`` stands in."""
        token = http.tokens()["accessToken"]
        union_ids = [http.simulator.users[name].union_id for name in ("zhang", "li")]
        assert http.me(token, union_ids[0]).status_code == 200
        assert refused(http.me(token, union_ids[1])) == (404, "invalidParameter.user.notFound")

    @pytest.mark.parametrize(
        "how",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"headers": {"Authorization": "Bearer {token}"}}, id="bearer"),
            pytest.param({"params": {"access_token": "{token}"}}, id="query"),
        ],
    )
    def test_takes_the_token_from_one_header_only(
        self, http: Http, how: dict[str, dict[str, str]]
    ) -> None:
        """A token in another place is no token."""
        token = http.tokens()["accessToken"]
        how = {
            place: {key: value.format(token=token) for key, value in pairs.items()}
            for place, pairs in how.items()
        }
        answer = http.get("/v1.0/contact/users/me", **how)
        assert refused(answer) == (400, "AuthenticationFailed.MissingParameter")

    def test_refuses_a_made_up_token(self, http: Http) -> None:
        """A token that was never issued is not valid."""
        assert refused(http.me("0" * 32)) == (400, "InvalidAuthentication")

    def test_refuses_an_expired_token(self, http: Http) -> None:
        """A token ends after two hours."""
        token = http.tokens()["accessToken"]
        http.simulator.advance(7200)
        assert refused(http.me(token)) == (400, "InvalidAuthentication")

    def test_refuses_the_applications_own_token(self, http: Http) -> None:
        """An app token stands for nobody."""
        answer = http.me(http.app_token().json()["accessToken"])
        assert refused(answer) == (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied")
        assert "accessdenieddetail" not in answer.json()

    def test_wants_its_permission(self, http: Http) -> None:
        """The refusal names the permission in both places."""
        http.simulator.application.permissions.remove("Contact.User.Read")
        answer = http.me(http.tokens()["accessToken"])
        assert refused(answer) == (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied")
        assert answer.json()["message"] == "应用尚未开通所需的权限：[Contact.User.Read]"
        assert answer.json()["accessdenieddetail"] == {"requiredScopes": ["Contact.User.Read"]}

    def test_leaves_the_mobile_number_out_without_permission(self, http: Http) -> None:
        """A missing field permission shows as missing fields, not as an error."""
        http.simulator.application.permissions.remove("Contact.User.mobile")
        assert not {"mobile", "stateCode"} & set(http.profile())

    def test_masks_the_mobile_number_for_third_parties(self, http: Http) -> None:
        """An application of the market sees the ends of a number."""
        http.simulator.application.third_party = True
        http.simulator.users["zhang"].mobile = "15512343240"
        assert http.profile()["mobile"] == "155****3240"

    def test_never_shows_dingtalks_own_mailbox(self, http: Http) -> None:
        """Addresses at dingtalk.com are withheld."""
        http.simulator.users["zhang"].email = "zhang@DingTalk.com"
        assert "email" not in http.profile()

    def test_leaves_out_what_an_account_has_not(self, http: Http) -> None:
        """No avatar, no nick, no number: no field."""
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
    def test_grants_can_be_listed(
        self, http: Http, permissions: set[str], result: list[dict[str, Any]]
    ) -> None:
        """GET /v1.0/oauth2/authRules/user tells what was consented to."""
        token = http.tokens()["accessToken"]
        http.simulator.application.permissions = permissions
        answer = http.get("/v1.0/oauth2/authRules/user", headers={TOKEN: token})
        assert answer.json() == {"result": result}


class TestAppToken:
    """The application's own access token, in its three spellings."""

    def test_is_the_same_while_valid(self, http: Http) -> None:
        """A second fetch returns the same token and extends it."""
        first = http.app_token().json()
        assert set(first) == {"accessToken", "expireIn"}
        http.simulator.advance(7000)
        assert http.app_token().json() == first
        http.simulator.advance(7000)
        assert http.app_token().json() == first
        http.simulator.advance(7200)
        assert http.app_token().json() != first

    @pytest.mark.parametrize("field", ["appKey", "appSecret"])
    def test_wants_the_right_credentials(self, http: Http, field: str) -> None:
        """Either one wrong is refused."""
        answer = http.app_token(**{field: "wrong"})
        assert refused(answer) == (400, "invalidClientIdOrSecret")

    def test_comes_in_the_unified_spelling(self, http: Http, own: str) -> None:
        """POST /v1.0/oauth2/{corpId}/token is OAuth's own spelling."""
        application = http.simulator.application
        body = {"client_id": application.client_id, "client_secret": application.client_secret}
        answer = http.post(
            f"/v1.0/oauth2/{own}/token", json={**body, "grant_type": "client_credentials"}
        )
        token = http.app_token().json()["accessToken"]
        assert answer.json() == {"access_token": token, "expires_in": 7200}

    @pytest.mark.parametrize(
        ("corp", "changes", "refusal"),
        [
            pytest.param("own", {"grant_type": "x"}, (400, "unsupported.grant.type"), id="grant"),
            pytest.param("own", {"client_secret": "x"}, (400, "invalid.client"), id="secret"),
            pytest.param("made-up", {}, (500, "unknownError"), id="corp-unknown"),
            pytest.param("other", {}, (401, "unauthorized.client"), id="corp-of-others"),
        ],
    )
    def test_in_the_unified_spelling_has_refusals_of_its_own(
        self, http: Http, other: str, own: str, corp: str, changes: dict[str, str], refusal: Any
    ) -> None:
        """Each mistake has its code."""
        application = http.simulator.application
        body = {
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "grant_type": "client_credentials",
            **changes,
        }
        corp_id = {"own": own, "other": other}.get(corp, corp)
        assert refused(http.post(f"/v1.0/oauth2/{corp_id}/token", json=body)) == refusal

    def test_comes_from_the_old_api(self, http: Http) -> None:
        """GET /gettoken answers in the old envelope, without a request id."""
        application = http.simulator.application
        query = {"appkey": application.client_id, "appsecret": application.client_secret}
        token = http.app_token().json()["accessToken"]
        answer = http.get("/gettoken", params=query)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == {
            "errcode": 0,
            "errmsg": "ok",
            "access_token": token,
            "expires_in": 7200,
        }

    @pytest.mark.parametrize(
        ("query", "body"),
        [
            pytest.param(
                "?appkey=x&appsecret=y",
                {"errcode": 40096, "errmsg": "不合法的appKey或appSecret"},
                id="wrong",
            ),
            pytest.param(
                "", {"errcode": 40035, "errmsg": "缺少参数 corpid or appkey"}, id="missing"
            ),
        ],
    )
    def test_from_the_old_api_is_refused_unwrapped(
        self, http: Http, query: str, body: dict[str, Any]
    ) -> None:
        """Refusals of /gettoken are HTTP 200 and not wrapped in 88."""
        answer = http.get(f"/gettoken{query}")
        assert (answer.status_code, answer.json()) == (200, body)


class TestBothApis:
    """What holds for every call."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            pytest.param("GET", "/v1.0/oauth2/userAccessToken", id="method"),
            pytest.param("POST", "/v1.0/contact/users/me", id="other-method"),
            pytest.param("POST", "/v1.0/oauth2/x/y/z", id="path"),
            pytest.param("GET", "/v1.0/contact/users/", id="no-user"),
            pytest.param("HEAD", "/v2.0/nothing", id="head"),
        ],
    )
    def test_new_api_does_not_know_other_paths(self, http: Http, method: str, path: str) -> None:
        """A wrong path or method is an unknown action."""
        answer = http.session.request(method, http.simulator.url + path, timeout=10)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == JSON
        assert http.simulator.calls[-1].code == "InvalidAction.NotFound"
        if method != "HEAD":
            assert refused(answer) == (404, "InvalidAction.NotFound")

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            pytest.param(
                "POST",
                "/topapi/user/nothing",
                {
                    "errcode": 22,
                    "sub_msg": "不合法ApiName，ApiName = dingtalk.oapi.user.nothing",
                    "errmsg": "Invalid method[submsg=不合法ApiName，"
                    "ApiName = dingtalk.oapi.user.nothing]",
                },
                id="method",
            ),
            pytest.param(
                "POST",
                "/gettokens",
                {"errcode": 404, "errmsg": "请求的URI地址不存在"},
                id="path",
            ),
            pytest.param(
                "POST", "/gettoken", {"errcode": 43001, "errmsg": "需要GET请求"}, id="get"
            ),
        ],
    )
    def test_old_api_does_not_know_other_paths(
        self, http: Http, method: str, path: str, body: dict[str, Any]
    ) -> None:
        """The old API answers 200 to that as well."""
        answer = http.session.request(method, http.simulator.url + path, timeout=10)
        assert (answer.status_code, answer.json()) == (200, body)

    def test_old_api_wants_a_post(self, http: Http) -> None:
        """The calls of /topapi are POSTs."""
        assert http.get("/topapi/v2/user/get").json()["errcode"] == 43002

    @pytest.mark.parametrize(
        ("allowed", "status"),
        [
            pytest.param(["10.0.0.1"], 403, id="other"),
            pytest.param(["10.0.0.1", "127.0.*"], 200, id="wildcard"),
        ],
    )
    def test_egress_addresses_are_checked(
        self, http: Http, allowed: list[str], status: int
    ) -> None:
        """A filled list of server addresses keeps every other server out."""
        http.simulator.application.allowed_ips = allowed
        answer = http.app_token()
        assert answer.status_code == status
        if status == 403:
            assert refused(answer)[1] == "Forbidden.AccessDenied.IpNotInWhiteList"
            assert "request ip=127.0.0.1" in answer.json()["message"]

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param({"Content-Length": "9999999"}, 413, id="too-long"),
            pytest.param({"Content-Length": "many"}, 411, id="no-number"),
            pytest.param({"Transfer-Encoding": "chunked"}, 411, id="chunked"),
        ],
    )
    def test_bodies_are_bounded(
        self, simulator: DingTalkSimulator, headers: dict[str, str], status: int
    ) -> None:
        """A body without a sensible length is not read."""
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        answer = speak(simulator, f"POST /gettoken HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def speak(simulator: DingTalkSimulator, data: bytes) -> bytes:
    """Send raw bytes and return what comes until the connection is closed."""
    parts = urlsplit(simulator.url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


class TestMembers:
    """The old API's calls about members."""

    def test_finds_the_userid_of_a_member(self, http: Http, own: str) -> None:
        """A member's unionId leads to the userid in the application's own organisation."""
        zhang = http.simulator.users["zhang"]
        answer = http.oapi("/topapi/user/getbyunionid", unionid=zhang.union_id)
        assert re.fullmatch(r"[0-9a-f]{12}", answer.pop("request_id"))
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
    def test_takes_forms_and_json(
        self, http: Http, send: Callable[[dict[str, str], dict[str, str]], dict[str, Any]]
    ) -> None:
        """Documented or not, all of these are in use."""
        token = {"access_token": http.app_token().json()["accessToken"]}
        body = {"unionid": http.simulator.users["li"].union_id}
        answer = http.post("/topapi/user/getbyunionid", **send(token, body))
        assert answer.json()["errcode"] == 0

    def test_tells_external_contacts_from_members(self, http: Http) -> None:
        """An external contact has a userid, but of another kind, and no employee record."""
        contact = http.simulator.join("wang", external=True, user_id="contact1")
        union_id = http.simulator.users["wang"].union_id
        result = http.oapi("/topapi/user/getbyunionid", unionid=union_id)["result"]
        assert result == {"contact_type": 1, "userid": "contact1"}
        answer = http.oapi("/topapi/v2/user/get", userid=contact.user_id)
        assert answer["errcode"] == 60121

    def test_does_not_find_others(self, http: Http) -> None:
        """A person of another organisation is not found."""
        union_id = http.simulator.users["wang"].union_id
        answer = http.oapi("/topapi/user/getbyunionid", unionid=union_id)
        del answer["request_id"]
        assert answer == {"errcode": 60121, "errmsg": "找不到该用户"}

    def test_does_not_find_those_who_left(self, http: Http, other: str) -> None:
        """Who leaves is gone at once, but stays in other organisations."""
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
    def test_wants_an_id(self, http: Http, path: str, field: str, errcode: int) -> None:
        """An empty id is refused before anybody is looked for."""
        assert http.oapi(path, **{field: ""})["errcode"] == errcode

    @pytest.mark.parametrize(
        ("token", "sub_code", "sub_msg"),
        [
            pytest.param(None, "40000", "access_token is blank", id="none"),
            pytest.param("wrong", "40014", "不合法的access_token", id="wrong"),
        ],
    )
    def test_wraps_token_trouble(
        self, http: Http, token: str | None, sub_code: str, sub_msg: str
    ) -> None:
        """The gateway's refusals come as errcode 88; the header of the new API is not read."""
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

    def test_wants_its_permission(self, http: Http) -> None:
        """The refusal has DingTalk's long text with the link that applies for it."""
        application = http.simulator.application
        application.permissions.remove("qyapi_get_member")
        answer = http.oapi("/topapi/user/getbyunionid", unionid="x")
        assert (answer["errcode"], answer["sub_code"]) == (88, "60011")
        assert answer["errmsg"] == (
            "ding talk error[subcode=60011,submsg=应用尚未开通所需的权限：[qyapi_get_member]，"
            "点击链接申请并开通即可：https://open-dev.dingtalk.com/appscope/apply?content="
            f"{application.client_id}%23qyapi_get_member, {{requiredScopes=[qyapi_get_member]}}]"
        )

    def test_checks_egress_addresses(self, http: Http) -> None:
        """The old API has a code of its own for that."""
        token = http.app_token().json()["accessToken"]
        http.simulator.application.allowed_ips = ["10.0.0.1"]
        answer = http.post("/topapi/v2/user/get", params={"access_token": token}).json()
        assert answer["sub_code"] == "60020"

    def test_shows_the_employee_record(self, http: Http, own: str) -> None:
        """Real numbers, booleans and arrays, as live answers have them."""
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
    def test_hides_fields_without_their_permission(
        self, http: Http, own: str, permission: str, fields: set[str]
    ) -> None:
        """A missing field permission leaves fields out, without an error."""
        li = http.simulator.users["li"].memberships[own]
        li.email = "li@example.com"
        before = http.oapi("/topapi/v2/user/get", userid=li.user_id)["result"]
        http.simulator.application.permissions.remove(permission)
        after = http.oapi("/topapi/v2/user/get", userid=li.user_id)["result"]
        assert set(before) - set(after) == fields

    def test_hides_fields_from_third_parties(self, http: Http, own: str) -> None:
        """An application of the market sees less."""
        zhang = http.simulator.users["zhang"].memberships[own]
        http.simulator.application.third_party = True
        result = http.oapi("/topapi/v2/user/get", userid=zhang.user_id)["result"]
        assert not {"mobile", "state_code", "org_email", "email", "hired_date"} & set(result)
        assert result["role_list"] == [{"id": 1, "name": "主管理员", "group_name": "默认"}]


class TestAuthorizationPage:
    """GET /oauth2/auth: what a sign-in link may say."""

    @pytest.mark.parametrize(
        "scope", [pytest.param("openid", id="openid"), pytest.param("openid corpid", id="corpid")]
    )
    def test_takes_two_clicks(self, http: Http, own: str, scope: str) -> None:
        """Person, agree: the browser is back with code, authCode and state."""
        callback = http.consent("zhang", scope=scope)
        assert set(callback) == {"code", "authCode", "state"}
        assert callback["code"] == callback["authCode"]
        assert callback["state"] == ["s t/ä"]
        token = http.user_token(code=callback["code"][0]).json()
        assert token.get("corpId") == (own if scope == "openid corpid" else None)
        assert http.me(token["accessToken"]).json()["nick"] == "张三"

    def test_takes_a_plus_for_the_space(self, http: Http) -> None:
        """The scope may be form-encoded."""
        query = http.query(scope=None) + "&scope=openid+corpid"
        assert http.get(f"/oauth2/auth?{query}").status_code == 200

    @pytest.mark.parametrize(
        "name", ["client_id", "redirect_uri", "response_type", "scope", "prompt"]
    )
    @pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
    def test_wants_its_parameters(self, http: Http, name: str, value: str | None) -> None:
        """What is required must be there."""
        page = http.authorize(**{name: value})
        assert reason(page) == "missing"
        assert name in page.text

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            pytest.param("response_type", "token", id="response-type"),
            pytest.param("scope", "openid profile", id="scope"),
            pytest.param("scope", "corpid openid", id="scope-order"),
            pytest.param("scope", "openid+corpid", id="scope-literal-plus"),
            pytest.param("prompt", "none", id="prompt"),
            pytest.param("org_type", "all", id="org-type"),
        ],
    )
    def test_knows_few_values(self, http: Http, name: str, value: str) -> None:
        """Any other value of a known parameter is refused, with those that would do."""
        page = http.authorize(**{name: value})
        assert reason(page) == "value"
        assert value in page.text

    def test_refuses_a_repeated_parameter(self, http: Http) -> None:
        """A parameter with two values has none."""
        assert reason(http.get(f"/oauth2/auth?{http.query()}&state=x")) == "repeated"

    def test_need_not_want_a_prompt(self, http: Http) -> None:
        """How strict DingTalk is about the prompt is open; both can be had."""
        http.simulator.application.requires_prompt = False
        assert http.authorize(prompt=None).status_code == 200
        assert http.authorize(prompt="login consent").status_code == 200

    def test_returns_no_state_where_none_came(self, http: Http) -> None:
        """A state is optional."""
        assert set(http.consent("li", state=None)) == {"code", "authCode"}

    @pytest.mark.parametrize(
        ("length", "status"), [pytest.param(1024, 200, id="1K"), pytest.param(1025, 400, id="more")]
    )
    def test_takes_a_state_of_one_kilobyte(self, http: Http, length: int, status: int) -> None:
        """Longer ones are refused."""
        page = http.authorize(state="x" * length)
        assert page.status_code == status
        if status == 400:
            assert reason(page) == "state"

    def test_does_not_know_other_applications(self, http: Http) -> None:
        """An unknown Client ID ends on a page and calls nobody back."""
        page = http.authorize(client_id="dingother")
        assert reason(page) == "application"
        assert "900103" in page.text

    def test_wants_a_release(self, http: Http) -> None:
        """An unreleased application ends on a page."""
        http.simulator.application.released = False
        assert reason(http.authorize()) == "unreleased"

    @pytest.mark.parametrize(
        ("registered", "sent"),
        [
            pytest.param("https://app.example.com/a", "https://app.example.com/b", id="path"),
            pytest.param("https://app.example.com", "https://app.example.com:443/b", id="default"),
            pytest.param("http://127.0.0.1", "http://127.0.0.1:49152/callback", id="loopback"),
            pytest.param("http://[::1]/", "http://[::1]:5000/callback", id="loopback-v6"),
            pytest.param("http://localhost:5000/", "http://localhost:5000/x?y=z", id="port"),
        ],
    )
    def test_admits_a_registered_redirect_url(self, http: Http, registered: str, sent: str) -> None:
        """Scheme, host and port count; a registered loopback host admits any port."""
        http.simulator.application.redirect_urls = [registered]
        assert http.authorize(redirect_uri=sent).status_code == 200

    @pytest.mark.parametrize(
        ("registered", "sent"),
        [
            pytest.param("https://app.example.com/", "http://app.example.com/", id="scheme"),
            pytest.param("https://app.example.com/", "https://example.com/", id="host"),
            pytest.param("https://app.example.com/", "https://app.example.com:8443/", id="port"),
            pytest.param("http://localhost:5000/", "http://localhost:5001/", id="loopback-port"),
            pytest.param("http://localhost/", "http://127.0.0.1/", id="loopback-name"),
            pytest.param("http://localhost/", "http://localhost@example.com/", id="user"),
            pytest.param("http://localhost/", "http://localhost/#x", id="fragment"),
            pytest.param("http://localhost/", "http://localhost\\@example.com/", id="backslash"),
            pytest.param("http://localhost/", "http://localhost:x/", id="no-port"),
            pytest.param("http://localhost/", "http://[localhost/", id="no-host"),
            pytest.param("http://localhost/", "/dingtalk/callback", id="relative"),
            pytest.param("javascript:alert(1)", "javascript:alert(1)", id="script"),
        ],
    )
    def test_never_redirects_elsewhere(self, http: Http, registered: str, sent: str) -> None:
        """Anything else ends on a page that shows what was sent and what is registered."""
        http.simulator.application.redirect_urls = [registered]
        page = http.authorize(redirect_uri=sent)
        assert reason(page) == "redirect_uri"
        assert "Location" not in page.headers
        assert sent in page.text
        assert registered in page.text

    def test_keeps_the_query_of_the_redirect_url(self, http: Http) -> None:
        """The callback may have a query of its own."""
        callback = http.consent("li", redirect_uri=f"{CALLBACK}?tenant=1")
        assert callback["tenant"] == ["1"]
        assert "code" in callback

    def test_calls_back_when_declined(self, http: Http) -> None:
        """Who declines goes back with an error and the state."""
        callback = http.consent("li", decision="decline")
        assert callback == {"error": ["access_denied"], "state": ["s t/ä"]}


class TestOrganisations:
    """Which organisation a sign-in is for, and who is let in."""

    def test_are_offered_on_the_consent_page(self, http: Http, own: str, other: str) -> None:
        """The first one is chosen already."""
        page = http.choose("zhang", scope="openid corpid")
        assert f'value="{own}" checked' in page.text
        assert f'value="{other}">' in page.text

    def test_are_not_offered_for_openid_alone(self, http: Http, own: str) -> None:
        """Without corpid in the scope no organisation matters, not even a preselected one."""
        assert "consent" in http.choose("zhang", corpId="nonsense", org_type="management").text
        assert own not in http.choose("li").text

    def test_can_be_preselected(self, http: Http, own: str, other: str) -> None:
        """With a corpId there is no other choice."""
        page = http.choose("zhang", scope="openid corpid", corpId=other)
        assert own not in page.text.partition("<fieldset>")[2]
        callback = http.consent("zhang", scope="openid corpid", corpId=other)
        assert http.user_token(code=callback["code"][0]).json()["corpId"] == other

    def test_must_be_ones_own(self, http: Http, own: str) -> None:
        """A preselected organisation of others ends on a page that offers another account."""
        page = http.choose("wang", scope="openid corpid", corpId=own)
        assert reason(page) == "not_member"
        assert "Use another account" in page.text

    def test_can_be_limited_to_those_managed(self, http: Http, own: str, other: str) -> None:
        """org_type=management lists what the person manages, if anything."""
        page = http.choose("zhang", scope="openid corpid", org_type="management")
        assert own in page.text
        assert f'value="{other}"' not in page.text
        page = http.choose("li", scope="openid corpid", org_type="management")
        assert reason(page) == "no_organisation"

    def test_cannot_be_made_up_in_the_form(self, http: Http) -> None:
        """A form that names an organisation that was not offered is refused."""
        page = http.choose("li", scope="openid corpid")
        answer = http.submit(page, "/oauth2/consent", decision="agree", organisation="dingx")
        assert reason(answer) == "form"

    def test_of_others_can_be_kept_out(self, http: Http) -> None:
        """An application may refuse outsiders on the page."""
        assert "consent" in http.choose("wang").text
        http.simulator.application.admits_outsiders = False
        page = http.choose("wang")
        assert reason(page) == "outsider"
        assert "11055" in page.text
        assert page.status_code == 403

    def test_have_codes_for_exclusive_accounts(self, http: Http, other: str) -> None:
        """An exclusive login asks for the code, and then shows that organisation's people alone."""
        page = http.authorize(exclusiveLogin="true")
        assert "Organisation code" in page.text
        wrong = http.submit(page, "/oauth2/login", organisation_code="--------")
        assert "There is no organisation with this code." in wrong.text
        code = http.simulator.organisations[other].code
        right = http.submit(page, "/oauth2/login", organisation_code=code.lower())
        people = http.get(right.headers["Location"]).text
        assert ("王五" in people, "李四" in people) == (True, False)

    def test_can_be_named_for_exclusive_accounts(self, http: Http, own: str) -> None:
        """With exclusiveLogin, exclusiveCorpId goes straight to the people."""
        page = http.authorize(exclusiveLogin="true", exclusiveCorpId=own)
        assert ("王五" in page.text, "李四" in page.text) == (False, True)
        assert "王五" in http.authorize(exclusiveCorpId=own).text
        page = http.authorize(exclusiveLogin="true", exclusiveCorpId="dingx")
        assert reason(page) == "organisation"

    def test_exclude_other_accounts_to_the_end(self, http: Http, other: str) -> None:
        """Who has no exclusive account there cannot consent to such a sign-in either."""
        token = re.search(r'name="form_token" value="(\w+)"', http.choose("li").text)
        assert token is not None
        query = http.query(exclusiveLogin="true", exclusiveCorpId=other)
        data = {"form_token": token[1], "decision": "agree"}
        assert reason(http.post(f"/oauth2/consent?{query}", data=data)) == "form"


class TestPages:
    """What holds for every page."""

    def test_remember_who_is_signed_in(self, http: Http) -> None:
        """The second sign-in of a browser goes straight to consent."""
        http.choose("zhang")
        assert "/oauth2/consent" in http.authorize().text

    def test_let_one_use_another_account(self, http: Http) -> None:
        """The consent page leads back to the choice of people."""
        page = http.choose("zhang")
        answer = http.submit(page, "/oauth2/login", person="")
        assert "李四" in http.get(answer.headers["Location"]).text

    def test_set_a_narrow_cookie(self, http: Http) -> None:
        """The cookie is named for the port, out of reach of scripts and other sites."""
        cookie = http.authorize().headers["Set-Cookie"]
        port = urlsplit(http.simulator.url).port
        name, _, attributes = cookie.partition("=")
        assert name == f"dingtalk_simulator_{port}"
        assert attributes.partition("; ")[2] == "HttpOnly; Path=/oauth2; SameSite=Lax"

    @pytest.mark.parametrize("path", ["/oauth2/login", "/oauth2/consent"])
    def test_accept_their_own_forms_only(self, http: Http, path: str) -> None:
        """A form from elsewhere has no token that fits the browser's cookie."""
        assert reason(http.post(f"{path}?{http.query()}", data={"person": "li"})) == "form"
        http.authorize()
        forged = {"person": "li", "form_token": "0" * 64}
        assert reason(http.post(f"{path}?{http.query()}", data=forged)) == "form"

    def test_do_not_consent_for_nobody(self, http: Http) -> None:
        """A form token alone does not make anybody signed in."""
        token = re.search(r'name="form_token" value="(\w+)"', http.authorize().text)
        assert token is not None
        data = {"form_token": token[1], "decision": "agree"}
        assert reason(http.post(f"/oauth2/consent?{http.query()}", data=data)) == "form"

    def test_sign_out(self, http: Http) -> None:
        """After that the browser is asked who it is again."""
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
    def test_sign_out_goes_on_to_registered_hosts_only(
        self, http: Http, target: str, status: int
    ) -> None:
        """Signing out is no open redirect."""
        client_id = http.simulator.application.client_id
        answer = http.get("/oauth2/logout", params={"client_id": client_id, "continue": target})
        assert answer.status_code == status
        if status == 302:
            assert answer.headers["Location"] == target
        else:
            assert reason(answer) == "continue"

    def test_sign_out_wants_an_application(self, http: Http) -> None:
        """The Client ID must be known."""
        assert reason(http.get("/oauth2/logout?client_id=x")) == "application"

    @pytest.mark.parametrize(
        "path",
        ["/oauth2/nothing", "/media/nothing.svg", "/favicon.ico", "/v110/oauth2/authRules/user"],
    )
    def test_say_where_there_is_none(self, http: Http, path: str) -> None:
        """An unknown address gets a page with status 404."""
        page = http.get(path)
        assert page.status_code == 404
        assert reason(page) == "page"

    def test_explain_the_simulator_at_its_root(self, http: Http, own: str) -> None:
        """The base address shows who and what there is, and no secret."""
        page = http.get("/").text
        assert own in page
        assert "张三" in page
        assert http.simulator.application.client_secret not in page

    @pytest.mark.parametrize(
        ("languages", "words"),
        [
            pytest.param("zh-CN,zh;q=0.9,en;q=0.8", "请选择一个演示账号", id="zh"),
            pytest.param("en-GB,en;q=0.9", "Choose who you are today", id="en"),
            pytest.param("fr", "Choose who you are today", id="other"),
        ],
    )
    def test_speak_chinese_and_english(self, http: Http, languages: str, words: str) -> None:
        """The language is the browser's."""
        page = http.get(f"/oauth2/auth?{http.query()}", headers={"Accept-Language": languages})
        assert words in page.text
        assert page.headers["Vary"] == "Accept-Language, Cookie"

    def test_are_closed_to_scripts_caches_and_frames(self, http: Http) -> None:
        """The headers allow what the pages need and nothing more."""
        headers = http.authorize().headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'nonce-")
        assert policy.endswith("frame-ancestors 'none'; form-action 'self'")
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"

    def test_escape_what_they_show(self, http: Http) -> None:
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
    def test_tell_what_the_site_will_learn(
        self, http: Http, permissions: set[str], shown: set[str]
    ) -> None:
        """The permissions decide, not the scope."""
        http.simulator.application.permissions = permissions
        page = http.choose("zhang").text
        words = {"no permission", "Nickname", "E-mail", "Mobile"}
        assert {word for word in words if word in page} == shown

    def test_show_a_number_without_country(self, http: Http) -> None:
        """The country code is left out where the account has none."""
        http.simulator.add_user("chen", nick="陈", mobile="15512343240", state_code=None)
        assert ">155****3240<" in http.choose("chen").text

    def test_show_who_belongs_nowhere(self, http: Http) -> None:
        """A person without an organisation can still be chosen."""
        http.simulator.add_user("free", nick="自由人", corp_ids=())
        assert "no organisation" in http.authorize().text
        assert "consent" in http.choose("free").text


class TestQrCode:
    """The frame that DTFrameLogin opens."""

    SCRIPT = "/dingding/h5-dingtalk-login/0.21.0/ddlogin.js"

    def open(
        self, http: Http, embedder: str = "http://localhost", **changes: str | None
    ) -> requests.Response:
        """Load the frame as the script does."""
        return http.get(f"/oauth2/qr?origin={quote(embedder, safe='')}&{http.query(**changes)}")

    def scan(self, http: Http, page: requests.Response, user: str) -> requests.Response:
        """Scan the code that a page shows, or send the form again that a scan led to."""
        ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
        assert ticket is not None, page.text
        action = re.search(r'action="([^"]+)"', page.text)
        assert action is not None
        return http.post(
            html.unescape(action[1]),
            data={"ticket": ticket[1], "person": user, "decision": "agree"},
        )

    def told(self, page: requests.Response) -> tuple[dict[str, Any], str, str] | None:
        """Return what a page tells the one around it: message, whom, and how often."""
        found = re.search(r'data-message="(.*?)" data-target="(.*?)" data-times="(\d)"', page.text)
        return found and (json.loads(html.unescape(found[1])), found[2], found[3])

    def test_has_a_script(self, http: Http) -> None:
        """It comes for any site, at the path that it has at DingTalk."""
        answer = http.get(self.SCRIPT)
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "window.DTFrameLogin = " in answer.text

    def test_may_be_framed(self, http: Http) -> None:
        """Other pages may not; a script runs in it, but only its own; and no cookie is set."""
        answer = self.open(http)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'nonce-")
        assert re.search(r"base-uri 'none'; script-src 'nonce-[\w-]+'; form-action 'self'$", policy)
        assert "Set-Cookie" not in answer.headers

    def test_tells_the_page_the_result(self, http: Http) -> None:
        """Callback, code and state go to the origin of the callback alone."""
        done = self.scan(http, self.scan(http, self.open(http, state="s t"), "li"), "li")
        told = self.told(done)
        assert told is not None
        message, target, times = told
        code = message["authCode"]
        assert message == {
            "success": True,
            "redirectUrl": f"{CALLBACK}?code={code}&authCode={code}&state=s%20t",
            "authCode": code,
            "state": "s t",
        }
        assert (target, times) == ("http://localhost", "1")
        token = http.user_token(code=code).json()
        assert "corpId" not in token
        assert http.me(token["accessToken"]).json()["nick"] == "李四"

    def test_yields_the_organisation_asked_for(self, http: Http, own: str) -> None:
        """The code is for the organisation that the page named."""
        page = self.open(http, scope="openid corpid", org_type="management", corpId=own, state=None)
        told = self.told(self.scan(http, self.scan(http, page, "zhang"), "zhang"))
        assert told is not None
        assert set(told[0]) == {"success", "redirectUrl", "authCode"}
        assert http.user_token(code=told[0]["authCode"]).json()["corpId"] == own

    @pytest.mark.parametrize(
        "name", ["client_id", "redirect_uri", "response_type", "scope", "prompt"]
    )
    def test_wants_its_parameters(self, http: Http, name: str) -> None:
        """What is missing is named, in a text."""
        changes: dict[str, Any] = {name: None}
        page = self.open(http, **changes)
        assert reason(page) == "missing"
        told = self.told(page)
        assert told is not None
        assert told[0] == {"success": False, "errorMsg": f"The sign-in link has no {name}."}

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            pytest.param(
                "org_type", {"scope": "openid corpid", "corpId": "dingx"}, id="without-org-type"
            ),
            pytest.param(
                "corpId",
                {"scope": "openid corpid", "org_type": "management"},
                id="without-corp-id",
            ),
            pytest.param("exclusiveCorpId", {"exclusiveLogin": "true"}, id="without-exclusive"),
        ],
    )
    def test_wants_more_than_a_link(self, http: Http, name: str, changes: dict[str, str]) -> None:
        """For an organisation both parameters are needed, where a link needs none."""
        page = self.open(http, **changes)
        assert reason(page) == "missing"
        assert f"The sign-in link has no {name}." in page.text

    def test_wants_an_encoded_redirect_uri(self, http: Http) -> None:
        """What is not encoded is refused, what is twice is not registered."""
        query = http.query(redirect_uri=None)
        page = http.get(f"/oauth2/qr?origin=http%3A%2F%2Flocalhost&{query}&redirect_uri={CALLBACK}")
        assert reason(page) == "unencoded"
        assert reason(self.open(http, redirect_uri=quote(CALLBACK, safe=""))) == "redirect_uri"

    @pytest.mark.parametrize(
        ("changes", "code", "text"),
        [
            pytest.param({"client_id": "x"}, 900103, "应用不存在", id="application"),
            pytest.param(
                {"redirect_uri": "http://localhost:0/"},
                50001,
                "redirect_uri未授权",
                id="redirect-uri",
            ),
        ],
    )
    def test_has_dingtalks_codes(
        self, http: Http, changes: dict[str, Any], code: int, text: str
    ) -> None:
        """Where one is known, the page is told an object."""
        told = self.told(self.open(http, **changes))
        assert told is not None
        assert told[0] == {"success": False, "errorCode": code, "errorMsg": text}

    @pytest.mark.parametrize("preselected", [False, True], ids=["owner", "preselected"])
    def test_stops_who_is_not_in_the_organisation(
        self, http: Http, own: str, preselected: bool
    ) -> None:
        """Where it is the application's own, or the one that the page named."""
        http.simulator.application.admits_outsiders = preselected
        changes = {"scope": "openid corpid", "org_type": "management", "corpId": own}
        page = self.scan(http, self.open(http, **(changes if preselected else {})), "wang")
        told = self.told(page)
        assert told is not None
        assert told[0] == {
            "success": False,
            "errorCode": 11055,
            "errorMsg": "操作失败，你不在组织内",
        }

    @pytest.mark.parametrize(
        "embedder",
        [
            pytest.param("https://localhost", id="scheme"),
            pytest.param("http://127.0.0.1", id="host"),
            pytest.param("http://localhost:5000", id="port"),
            pytest.param("nonsense", id="none"),
            pytest.param("", id="empty"),
        ],
    )
    def test_has_no_effect_at_another_origin(self, http: Http, embedder: str) -> None:
        """A hint says why; no page is told anything, not even about an error."""
        page = self.open(http, embedder)
        assert 'data-hint="origin"' in page.text
        issued = http.simulator.secrets
        done = self.scan(http, self.scan(http, page, "li"), "li")
        assert self.told(done) is None
        assert http.simulator.secrets == issued
        assert self.told(self.open(http, embedder, client_id="dingother")) is None

    @pytest.mark.parametrize(
        ("callback", "embedder"),
        [
            pytest.param("http://LOCALHOST:80/x", "http://localhost", id="normal"),
            pytest.param("https://localhost:443/x", "https://localhost", id="tls"),
            pytest.param("http://[::1]:5000/x", "http://[::1]:5000", id="v6"),
        ],
    )
    def test_compares_origins_as_browsers_write_them(
        self, http: Http, callback: str, embedder: str
    ) -> None:
        """Without the scheme's own port, in small letters."""
        http.simulator.application.redirect_urls = [callback]
        page = self.open(http, embedder, redirect_uri=callback)
        assert "data-hint" not in page.text

    def test_expires(self, http: Http) -> None:
        """After three minutes of the simulator's time; the page notices by itself as well."""
        page = self.open(http)
        refresh = re.search(r'http-equiv="refresh" content="180; url=([^"]+)"', page.text)
        assert refresh is not None
        assert "data-expired" in http.get(html.unescape(refresh[1])).text
        http.simulator.advance(179)
        confirm = self.scan(http, page, "li")
        assert "data-expired" not in confirm.text
        http.simulator.advance(1)
        assert "data-expired" in self.scan(http, confirm, "li").text
        assert "data-expired" in self.scan(http, page, "li").text

    def test_is_good_for_one_sign_in(self, http: Http) -> None:
        """A code that has been confirmed cannot be confirmed again."""
        confirm = self.scan(http, self.open(http), "li")
        self.scan(http, confirm, "li")
        assert "data-expired" in self.scan(http, confirm, "li").text

    def test_offers_the_phones_of_those_who_may(self, http: Http, other: str) -> None:
        """With exclusive accounts, those of that organisation; others are not taken either."""
        page = self.open(http, exclusiveLogin="true", exclusiveCorpId=other)
        assert ("王五" in page.text, "李四" in page.text) == (True, False)
        assert reason(self.scan(http, page, "li")) == "form"
        assert reason(self.scan(http, self.open(http), "nobody")) == "form"

    def test_says_that_nobody_is_there(self, http: Http) -> None:
        """An organisation may have no accounts of its own."""
        http.simulator.add_organisation("dingnew", "新公司")
        page = self.open(http, exclusiveLogin="true", exclusiveCorpId="dingnew")
        assert "Nobody here has an account." in page.text

    def test_is_drawn_anew_each_time(self, http: Http) -> None:
        """No two codes look alike."""
        codes = {re.findall(r'class="qr".*?</svg>', self.open(http).text)[0] for _ in range(3)}
        assert len(codes) == 3

    @pytest.mark.parametrize(
        ("content", "digest"),
        [
            pytest.param("http://127.0.0.1:8765/?qr=Aa-_09", "812b8d1da3246fd8", id="address"),
            pytest.param("钉" * 35 + "!", "8e8d4f0d45a1e089", id="longest"),
        ],
    )
    def test_is_a_real_one(self, content: str, digest: str) -> None:
        """The pictures are the ones that OpenCV's reader has read."""
        assert hashlib.sha256(draw(content).encode()).hexdigest()[:16] == digest

    def test_has_no_room_for_more(self) -> None:
        """A text that does not fit is an error, not a code that cannot be read."""
        with pytest.raises(ValueError, match="107 bytes do not fit, only 106"):
            draw("x" * 107)


class TestInClient:
    """dd.requestAuthCode, as far as the simulator stands in for the client."""

    def ask(self, http: Http, origin: str | None = "http://localhost:5000", **changes: str) -> Any:
        """Ask for a code as the script does in a page of that origin."""
        application = http.simulator.application
        body = {"corpId": application.corp_id, "clientId": application.client_id, **changes}
        headers = {"Origin": origin} if origin else {}
        answer = http.post("/in-client/code", data=body, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == (origin or "null")
        assert answer.headers["Vary"] == "Origin"
        return answer.json()

    def test_has_a_script(self, http: Http) -> None:
        """It comes for any site, at the path that it has at DingTalk."""
        answer = http.get("/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js")
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "window.dd = " in answer.text

    def test_gives_a_code_of_who_holds_the_phone(self, http: Http) -> None:
        """It is zhang's until it is passed on."""
        names = []
        for user in (None, "li"):
            if user:
                http.simulator.in_client_user = user
            answer = self.ask(http)
            assert set(answer) == {"code"}
            assert answer["code"] in http.simulator.secrets
            info = http.oapi("/topapi/v2/user/getuserinfo", code=answer["code"])
            names.append(info["result"]["name"])
        assert names == ["张三", "李四"]

    @pytest.mark.parametrize("corp_id", ["", "dingx", "other"])
    def test_wants_an_organisation_of_the_person(
        self, http: Http, other: str, corp_id: str
    ) -> None:
        """An empty, an unknown, and somebody else's corpId are invalid."""
        http.simulator.in_client_user = "li"
        answer = self.ask(http, corpId=other if corp_id == "other" else corp_id)
        assert answer == {"errorMessage": "invalid corpid"}

    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            pytest.param("https://app.example.com:8443", "app.example.com", id="domain"),
            pytest.param("null", "", id="null"),
            pytest.param(None, "", id="none"),
        ],
    )
    def test_wants_a_page_of_the_applications_domain(
        self, http: Http, origin: str | None, host: str
    ) -> None:
        """The error names the domain; scheme and port do not matter."""
        assert "code" in self.ask(http, "https://localhost:8443")
        http.simulator.application.redirect_urls.append("http://[broken")
        error = {"errorCode": 3, "errorMessage": f"对应企业没有{host}域名微应用"}
        assert self.ask(http, origin) == error

    @pytest.mark.parametrize("mistake", ["release", "client", "organisation"])
    def test_wants_an_application_of_that_organisation(
        self, http: Http, other: str, mistake: str
    ) -> None:
        """Unreleased, of another Client ID, not in that organisation: there is none."""
        changes = {"client": {"clientId": "dingx"}, "organisation": {"corpId": other}}
        http.simulator.application.released = mistake != "release"
        assert self.ask(http, **changes.get(mistake, {}))["errorCode"] == 3

    def test_phone_can_be_passed_on(self, http: Http) -> None:
        """A page shows who holds it; the base address leads there and sets no cookie."""
        index = http.get("/")
        assert 'href="/oauth2/phone"' in index.text
        assert "Set-Cookie" not in index.headers
        page = http.get("/oauth2/phone")
        assert page.text.count('value="zhang" aria-current="true"') == 1
        answer = http.submit(page, "/oauth2/phone", person="wang")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/oauth2/phone")
        assert http.simulator.in_client_user == "wang"
        assert 'value="wang" aria-current="true"' in http.get("/oauth2/phone").text

    def test_phone_is_passed_to_nobody_else(self, http: Http) -> None:
        """Neither to an unknown person nor by another site."""
        page = http.get("/oauth2/phone")
        assert reason(http.submit(page, "/oauth2/phone", person="nobody")) == "form"
        assert reason(http.post("/oauth2/phone", data={"person": "li"})) == "form"
        assert http.simulator.in_client_user == "zhang"


class TestUserInfo:
    """POST /topapi/v2/user/getuserinfo."""

    PATH = "/topapi/v2/user/getuserinfo"

    def errcode(self, http: Http, code: str) -> Any:
        """Spend a code; return the error code and its text."""
        answer = http.oapi(self.PATH, code=code)
        return answer["errcode"], answer["errmsg"]

    def test_tells_whose_code_it_was(self, http: Http, own: str) -> None:
        """Every field has its documented name and type."""
        simulator = http.simulator
        li = simulator.users["li"]
        answer = http.oapi(self.PATH, code=simulator.in_client_code("li"))
        assert re.fullmatch(r"[0-9a-f]{12}", answer.pop("request_id"))
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
    def test_tells_who_is_an_admin(
        self, http: Http, own: str, is_admin: bool, is_boss: bool, level: int
    ) -> None:
        """The main admin is 1, the boss 100."""
        membership = http.simulator.users["li"].memberships[own]
        membership.admin, membership.boss, membership.name = is_admin, is_boss, "李工"
        result = http.oapi(self.PATH, code=http.simulator.in_client_code("li"))["result"]
        assert (result["sys"], result["sys_level"]) == (is_admin, level)
        assert result["name"] == "李工"

    def test_takes_json(self, http: Http) -> None:
        """Not documented, but in use."""
        query = {"access_token": http.app_token().json()["accessToken"]}
        body = {"code": http.simulator.in_client_code("li")}
        assert http.post(self.PATH, params=query, json=body).json()["errcode"] == 0

    def test_takes_a_code_once(self, http: Http) -> None:
        """The second time it does not exist."""
        code = http.simulator.in_client_code("li")
        assert self.errcode(http, code)[0] == 0
        assert self.errcode(http, code) == (40078, "不存在的临时授权码")

    def test_takes_a_code_for_five_minutes(self, http: Http) -> None:
        """Until just before, not from then on."""
        codes = [http.simulator.in_client_code("li") for _ in range(2)]
        http.simulator.advance(290)
        assert self.errcode(http, codes[0])[0] == 0
        http.simulator.advance(10)
        assert self.errcode(http, codes[1])[0] == 40078

    def test_takes_no_other_code(self, http: Http) -> None:
        """Neither a made up one, nor a browser's, nor another application's."""
        simulator = http.simulator
        browsers = simulator.authorization_code("li")
        code = simulator.in_client_code("li")
        assert [self.errcode(http, each)[0] for each in ("x", browsers)] == [40078, 40078]
        assert http.user_token(code=browsers).status_code == 200
        simulator.application.client_id = "dinganother"
        assert self.errcode(http, code)[0] == 40078

    def test_alone_takes_the_code(self, http: Http) -> None:
        """A browser's endpoint does not know it, and does not spend it."""
        code = http.simulator.in_client_code("li")
        assert refused(http.user_token(code=code)) == (400, "invalidParameter.authCode.notFound")
        assert self.errcode(http, code)[0] == 0

    def test_wants_a_code(self, http: Http) -> None:
        """Without one it says which parameter is missing, by its old name."""
        assert self.errcode(http, "") == (41026, "缺少tmp_auth_code")

    def test_wants_the_person_in_the_visible_range(self, http: Http) -> None:
        """Those outside are as good as unknown."""
        http.simulator.application.visible_to = {"li"}
        assert self.errcode(http, http.simulator.in_client_code("li"))[0] == 0
        code = http.simulator.in_client_code("zhang")
        assert self.errcode(http, code) == (40079, "不存在的授权信息")

    def test_wants_a_code_of_the_applications_organisation(self, http: Http, other: str) -> None:
        """Another organisation has not authorised it; who left is in none."""
        foreign = http.simulator.in_client_code("zhang", corp_id=other)
        former = http.simulator.in_client_code("li")
        http.simulator.leave("li")
        assert [self.errcode(http, each)[0] for each in (foreign, former)] == [40079, 40079]

    def test_wants_a_token_and_its_permission(self, http: Http) -> None:
        """Both refusals come wrapped in 88; the code is not spent by them."""
        code = http.simulator.in_client_code("li")
        answer = http.post(self.PATH, params={"access_token": "x"}, data={"code": code}).json()
        assert (answer["errcode"], answer["sub_code"]) == (88, "40014")
        http.simulator.application.permissions.remove("qyapi_base")
        answer = http.oapi(self.PATH, code=code)
        assert (answer["errcode"], answer["sub_code"]) == (88, "60011")
        assert "[qyapi_base]" in answer["sub_msg"]
        http.simulator.application.permissions.add("qyapi_base")
        assert self.errcode(http, code)[0] == 0


def site(simulator: DingTalkSimulator, **changes: str) -> Flask:
    """Build the smallest site that signs in; its callback answers with its query."""
    app = Flask("site")

    @app.get("/dingtalk/login")
    def login() -> Any:
        parameters = {
            "client_id": simulator.application.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": request.args.get("next", ""),
            "prompt": "consent",
            **changes,
        }
        return redirect(f"{simulator.url}/oauth2/auth?{urlencode(parameters)}")

    @app.get("/dingtalk/callback")
    def callback() -> Any:
        return {"host": request.host, **request.args}

    @app.get("/plain")
    def plain() -> str:
        return "no redirect"

    return app


class TestSignIn:
    """`DingTalkSimulator.sign_in` walks a test client through everything."""

    def test_returns_the_callbacks_response(self, http: Http) -> None:
        """The callback got a code of that person, and what the login made of ``next``."""
        simulator = http.simulator
        response = simulator.sign_in(site(simulator).test_client(), "li", next="/report")
        assert response.status_code == 200
        answer = response.get_json()
        assert (answer["host"], answer["state"]) == ("localhost", "/report")
        token = http.user_token(code=answer["authCode"]).json()["accessToken"]
        assert http.me(token).json()["nick"] == "李四"

    def test_keeps_the_apis_record_clean(self, http: Http) -> None:
        """Pages are recorded apart from calls."""
        http.simulator.sign_in(site(http.simulator).test_client(), "li")
        assert http.simulator.calls == []
        visits = [(each.endpoint, each.status) for each in http.simulator.page_visits]
        expected = [("authorize", 200), ("login", 303), ("authorize", 200), ("consent", 302)]
        assert visits == expected

    @pytest.mark.parametrize("chosen", [None, 0, 1], ids=["default", "first", "second"])
    def test_chooses_an_organisation(self, http: Http, chosen: int | None) -> None:
        """It is the first one unless asked for."""
        simulator = http.simulator
        corp_ids = list(simulator.organisations)
        client = site(simulator, scope="openid corpid").test_client()
        corp_id = None if chosen is None else corp_ids[chosen]
        code = simulator.sign_in(client, "zhang", corp_id=corp_id).get_json()["code"]
        assert http.user_token(code=code).json()["corpId"] == corp_ids[chosen or 0]

    def test_follows_a_preselected_organisation(self, http: Http, other: str) -> None:
        """What the site preselects is chosen."""
        simulator = http.simulator
        client = site(simulator, scope="openid corpid", corpId=other).test_client()
        code = simulator.sign_in(client, simulator.users["zhang"]).get_json()["code"]
        assert http.user_token(code=code).json()["corpId"] == other

    def test_knows_the_code_of_an_organisation(self, simulator: DingTalkSimulator) -> None:
        """The exclusive login is walked through as well, by those who belong somewhere."""
        client = site(simulator, exclusiveLogin="true").test_client()
        assert "code" in simulator.sign_in(client, "wang").get_json()
        simulator.add_user("free", nick="自由人", corp_ids=())
        with pytest.raises(SimulatorError, match="'free' is in no organisation"):
            simulator.sign_in(client, "free")

    def test_can_decline(self, simulator: DingTalkSimulator) -> None:
        """The callback then gets an error."""
        response = simulator.sign_in(site(simulator).test_client(), "li", decline=True)
        assert response.get_json()["error"] == "access_denied"

    def test_delivers_an_error_asked_for(self, simulator: DingTalkSimulator) -> None:
        """fail("authorize", code=...) sends the browser back at once."""
        simulator.fail("authorize", code="temporarily_unavailable")
        response = simulator.sign_in(site(simulator).test_client(), "li", next="/x")
        answer = response.get_json()
        assert (answer["error"], answer["state"]) == ("temporarily_unavailable", "/x")

    def test_calls_back_below_an_application_root(self, simulator: DingTalkSimulator) -> None:
        """A site below a path gets its callback there."""
        app = site(simulator, redirect_uri="http://localhost/app/dingtalk/callback")
        app.config["APPLICATION_ROOT"] = "/app"
        assert "code" in simulator.sign_in(app.test_client(), "li").get_json()

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            pytest.param(
                lambda application: setattr(application, "redirect_urls", []),
                "redirect URL is not registered.*redirect_urls.*http://localhost/dingtalk",
                id="redirect-url",
            ),
            pytest.param(
                lambda application: setattr(application, "released", False),
                "not released",
                id="unreleased",
            ),
            pytest.param(
                lambda application: setattr(application, "admits_outsiders", False),
                "王五 is no member of 示例科技",
                id="outsider",
            ),
        ],
    )
    def test_says_what_the_simulator_refused(
        self, simulator: DingTalkSimulator, spoil: Callable[[Any], None], words: str
    ) -> None:
        """The exception has the words of the page."""
        spoil(simulator.application)
        with pytest.raises(SimulatorError, match=words):
            simulator.sign_in(site(simulator).test_client(), "wang")

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            pytest.param("/plain", "answered 200 OK", id="no-redirect"),
            pytest.param("/dingtalk/callback", "simulator.settings", id="other-page"),
            pytest.param("/nothing", "answered 404 NOT FOUND", id="no-page"),
        ],
    )
    def test_says_that_the_site_does_not_redirect(
        self, simulator: DingTalkSimulator, path: str, words: str
    ) -> None:
        """A login that leads elsewhere is named with its answer."""
        with pytest.raises(SimulatorError, match=words):
            simulator.sign_in(site(simulator).test_client(), "li", login_path=path)

    def test_says_that_no_organisation_can_be_chosen(
        self, simulator: DingTalkSimulator, own: str
    ) -> None:
        """An organisation without corpid in the scope is a mistake of the test."""
        with pytest.raises(SimulatorError, match="openid corpid"):
            simulator.sign_in(site(simulator).test_client(), "li", corp_id=own)

    def test_says_that_a_person_is_not_offered(
        self, simulator: DingTalkSimulator, other: str
    ) -> None:
        """Who has no exclusive account cannot sign in with one."""
        client = site(simulator, exclusiveLogin="true", exclusiveCorpId=other).test_client()
        with pytest.raises(SimulatorError, match="does not offer 'li'"):
            simulator.sign_in(client, "li")

    def test_says_that_a_page_makes_no_sense(self, simulator: DingTalkSimulator) -> None:
        """A page that fails as asked for is no form."""
        simulator.fail("authorize", status=502)
        with pytest.raises(SimulatorError, match="answered 502 and no form"):
            simulator.sign_in(site(simulator).test_client(), "li")


class TestFail:
    """`DingTalkSimulator.fail`, at each host."""

    @pytest.mark.parametrize("endpoint", ["users/me", "/v1.0/contact/users/me"])
    def test_takes_names_and_paths(self, http: Http, endpoint: str) -> None:
        """An endpoint has a short name and an address."""
        http.simulator.fail(endpoint, status=503)
        assert refused(http.me("x")) == (503, "unknownError")

    def test_names_the_endpoints_there_are(self, simulator: DingTalkSimulator) -> None:
        """A typing error does not pass for a failure that never comes."""
        with pytest.raises(ValueError, match=r"userAccessToken, users/me, .*getbyunionid"):
            simulator.fail("user_access_token", timeout=True)

    @pytest.mark.parametrize(
        ("how", "refusal"),
        [
            pytest.param({"status": 500}, (500, "unknownError"), id="status"),
            pytest.param({"status": 429}, (429, "system.busy"), id="busy"),
            pytest.param({"code": "invalidCode"}, (400, "invalidCode"), id="code"),
            pytest.param(
                {"status": 409, "code": "invalidCode", "message": "x"},
                (409, "invalidCode"),
                id="all",
            ),
            pytest.param(
                {"throttled": True},
                (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
                id="throttled",
            ),
        ],
    )
    def test_refuses_in_the_style_of_the_new_api(
        self, http: Http, how: dict[str, Any], refusal: tuple[int, str]
    ) -> None:
        """The envelope is the new one."""
        http.simulator.fail("userAccessToken", **how)
        answer = http.user_token(code="x")
        assert refused(answer) == refusal
        assert answer.json()["message"] == how.get("message", answer.json()["message"])

    @pytest.mark.parametrize(
        ("how", "codes"),
        [
            pytest.param({"code": -1}, (-1, None), id="plain"),
            pytest.param({"message": "x"}, (-1, None), id="message"),
            pytest.param({"code": 60011}, (88, "60011"), id="wrapped"),
            pytest.param({"throttled": True}, (88, "90018"), id="throttled"),
        ],
    )
    def test_refuses_in_the_style_of_the_old_api(
        self, http: Http, how: dict[str, Any], codes: tuple[int, str | None]
    ) -> None:
        """The gateway's codes are wrapped, others are not."""
        http.simulator.fail("getbyunionid", **how)
        answer = http.oapi("/topapi/user/getbyunionid", unionid="x")
        assert (answer["errcode"], answer.get("sub_code")) == codes
        assert http.simulator.calls[-1].code == str(codes[1] or codes[0])

    def test_never_wraps_at_gettoken(self, http: Http) -> None:
        """The token call of the old API is no /topapi call."""
        http.simulator.fail("gettoken", code=60020, message="x")
        assert http.get("/gettoken").json() == {"errcode": 60020, "errmsg": "x"}

    def test_can_stand_in_front_of_the_old_api(self, http: Http) -> None:
        """Another status than 200 does not come from the old API itself."""
        http.simulator.fail("gettoken", status=502)
        answer = http.get("/gettoken")
        assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")

    @pytest.mark.parametrize(
        ("how", "status", "content_type", "start"),
        [
            pytest.param({"nonsense": True}, 200, "text/html", "<!doctype html>", id="page"),
            pytest.param({"nonsense": "json"}, 200, JSON, "{", id="json"),
            pytest.param({"nonsense": "empty"}, 200, JSON, "", id="empty"),
            pytest.param({"body": b"\xff\xfe"}, 200, JSON, "", id="bytes"),
            pytest.param({"body": "[]", "status": 418}, 418, JSON, "[]", id="text"),
            pytest.param(
                {"body": "", "status": 302, "headers": {"Content-Type": "text/x"}},
                302,
                "text/x",
                "",
                id="headers",
            ),
            pytest.param(
                {"throttled": "ban"}, 200, "application/json", '{"status": 1111', id="ban"
            ),
            pytest.param(
                {"throttled": "ban-page"},
                200,
                "text/html; charset=utf-8",
                "<!doctype html>",
                id="ban-page",
            ),
        ],
    )
    def test_answers_what_makes_no_sense(
        self, http: Http, how: dict[str, Any], status: int, content_type: str, start: str
    ) -> None:
        """Anything can stand where JSON was expected."""
        http.simulator.fail("users/me", **how)
        answer = http.me("x")
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, content_type)
        assert answer.text.startswith(start)

    def test_leaves_the_client_waiting(self, http: Http) -> None:
        """A timeout lasts until the client gives up; the call is on record without a status."""
        http.simulator.fail("users/me", timeout=True)
        with pytest.raises(requests.ReadTimeout):
            http.get("/v1.0/contact/users/me", timeout=0.05)
        assert http.simulator.calls[-1].status is None
        assert http.me("x").status_code == 400

    def test_resets_the_connection(self, http: Http) -> None:
        """The client sees a reset, not a farewell."""
        http.me("x")
        http.simulator.fail("users/me", reset=True)
        with pytest.raises(requests.ConnectionError, match="reset"):
            http.me("x")

    def test_can_lose_the_answer_alone(self, http: Http) -> None:
        """With after=True the code is spent although its answer never came."""
        code = http.simulator.authorization_code("li")
        http.simulator.fail("userAccessToken", reset=True, after=True)
        with pytest.raises(requests.ConnectionError):
            http.user_token(code=code)
        assert refused(http.user_token(code=code))[1] == "invalidParameter.authCode.notFound"

    def test_happens_as_often_as_asked(self, http: Http) -> None:
        """Failures come in order, each as many times as it says."""
        http.simulator.fail("users/me", status=500, times=2)
        http.simulator.fail("users/me", status=502)
        statuses = [http.me("x").status_code for _ in range(4)]
        assert statuses == [500, 500, 502, 400]

    def test_can_last(self, http: Http) -> None:
        """times=None lasts until the failures are cleared."""
        http.simulator.fail("users/me", status=500, times=None)
        assert [http.me("x").status_code for _ in range(3)] == [500, 500, 500]
        http.simulator.clear_failures()
        assert http.me("x").status_code == 400

    def test_of_the_page_still_wants_a_good_link(self, http: Http) -> None:
        """Nobody is called back at an unregistered address."""
        http.simulator.fail("authorize", code="oops")
        assert reason(http.authorize(redirect_uri="https://example.com/")) == "redirect_uri"

    @pytest.mark.parametrize(
        "how",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"timeout": True, "reset": True}, id="two"),
            pytest.param({"code": "x", "body": "y"}, id="code-and-body"),
            pytest.param({"timeout": True, "times": 0}, id="never"),
        ],
    )
    def test_wants_one_clear_failure(
        self, simulator: DingTalkSimulator, how: dict[str, Any]
    ) -> None:
        """What cannot be meant is an error in the test."""
        with pytest.raises(ValueError, match=r"^(Ask for one kind|times is a positive)"):
            simulator.fail("users/me", **how)


class TestLimit:
    """`DingTalkSimulator.limit`."""

    def test_refuses_calls_over_the_limit_as_the_new_api_does(self, http: Http) -> None:
        """Calls over the limit get HTTP 403 and DingTalk's code and text for it."""
        http.simulator.limit("users/me", per_second=2)
        answers = [http.me("x") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 403]
        assert refused(answers[2]) == (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi")
        text = "您的企业应用调用钉钉开放平台当前接口的所有请求都被暂时禁用了"
        assert answers[2].json()["message"] == text
        assert http.simulator.calls[-1].code == "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"

    def test_refuses_calls_over_the_limit_as_the_old_api_does(self, http: Http) -> None:
        """Calls over the limit get errcode 88 around 90018."""
        http.simulator.limit("/topapi/v2/user/get", per_second=1)
        token = {"access_token": http.app_token().json()["accessToken"]}
        codes = []
        for _ in range(2):
            answer = http.post("/topapi/v2/user/get", params=token, data={"userid": "x"}).json()
            codes.append((answer["errcode"], answer.get("sub_code")))
        assert codes == [(60121, None), (88, "90018")]

    def test_uses_no_code_up(self, http: Http) -> None:
        """A code that came over the limit is still good afterwards."""
        http.simulator.limit("userAccessToken", per_second=1)
        http.user_token(code="x")
        code = http.simulator.authorization_code("li")
        assert http.user_token(code=code).status_code == 403
        http.simulator.limit("userAccessToken", per_second=None)
        assert http.user_token(code=code).status_code == 200

    def test_uses_no_failure_up(self, http: Http) -> None:
        """A failure asked for waits for a call that is let through."""
        http.simulator.limit("users/me", per_second=1)
        http.me("x")
        http.simulator.fail("users/me", status=500)
        assert http.me("x").status_code == 403
        http.simulator.limit("users/me", per_second=None)
        assert http.me("x").status_code == 500

    def test_ends_after_a_second(self, http: Http) -> None:
        """A second after the first call there is room for another one."""
        http.simulator.limit("users/me", per_second=1)
        began = time.monotonic()
        http.me("x")
        while (status := http.me("x").status_code) == 403:
            time.sleep(0.02)
        assert status == 400
        assert time.monotonic() - began >= 1

    def test_is_for_one_endpoint(self, http: Http) -> None:
        """Other endpoints are not limited."""
        http.simulator.limit("users/me", per_second=1)
        assert [http.app_token().status_code for _ in range(3)] == [200, 200, 200]

    def test_can_be_changed(self, http: Http) -> None:
        """A new limit replaces the one before, and its count."""
        http.simulator.limit("users/me", per_second=1)
        statuses = [http.me("x").status_code for _ in range(2)]
        http.simulator.limit("users/me", per_second=2)
        statuses += [http.me("x").status_code for _ in range(3)]
        assert statuses == [400, 403, 400, 400, 403]

    @pytest.mark.parametrize(
        ("endpoint", "per_second", "words"),
        [
            pytest.param("users/me", 0, "per_second must be a positive number", id="zero"),
            pytest.param("authorize", 20, "'authorize' is a page", id="page"),
            pytest.param("nothing", 20, "There is no endpoint 'nothing'", id="unknown"),
        ],
    )
    def test_refuses_what_cannot_be_limited(
        self, simulator: DingTalkSimulator, endpoint: str, per_second: int, words: str
    ) -> None:
        """A mistake in a test is an error at once."""
        with pytest.raises(ValueError, match=words):
            simulator.limit(endpoint, per_second=per_second)


class TestRecord:
    """`calls` and `connections`."""

    def test_shows_each_call(self, http: Http) -> None:
        """A sign-in is two calls over one connection."""
        tokens = http.tokens()
        http.me(tokens["accessToken"])
        http.user_token(refreshToken="x")
        calls = http.simulator.calls
        assert [each.endpoint for each in calls] == [
            "userAccessToken",
            "users/me",
            "userAccessToken",
        ]
        assert [each.status for each in calls] == [200, 200, 400]
        assert [each.code for each in calls] == [None, None, "invalidParameter.authCode.notFound"]
        assert [each.grant_type for each in calls] == ["authorization_code", None, "refresh_token"]
        assert [each.connection for each in calls] == [1, 1, 1]
        assert http.simulator.connections == 1
        assert (calls[1].method, calls[1].path) == ("GET", "/v1.0/contact/users/me")

    def test_goes_by_the_simulators_clock(self, http: Http) -> None:
        """A call knows when it happened."""
        http.me("x")
        http.simulator.advance(3600)
        http.me("x")
        first, second = http.simulator.calls
        assert 3600 <= (second.at - first.at).total_seconds() < 3660

    def test_holds_no_secret(self, http: Http) -> None:
        """Neither secret nor code nor token is in it."""
        code = http.simulator.authorization_code("li")
        tokens = http.user_token(code=code).json()
        http.me(tokens["accessToken"])
        http.oapi("/topapi/v2/user/get", userid="x")
        record = repr(http.simulator.calls) + repr(http.simulator.application)
        secrets = http.simulator.secrets
        assert secrets > {code, tokens["accessToken"], tokens["refreshToken"]}
        assert secrets > {http.simulator.application.client_secret}
        assert http.app_token().json()["accessToken"] in secrets
        assert not [secret for secret in secrets if secret in record]

    def test_counts_connections_of_the_apis_alone(self, http: Http) -> None:
        """Browsers do not count, and a closed connection is replaced by another one."""
        http.authorize()
        assert http.simulator.connections == 0
        http.me("x")
        http.simulator.close_connections()
        http.me("x")
        assert [each.connection for each in http.simulator.calls] == [1, 2]

    def test_leaves_busy_connections_open(self, http: Http) -> None:
        """Only idle connections are closed; a call under way is answered."""
        simulator = http.simulator
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(http.me("x").status_code))
        with simulator.lock:  # holds the answer back
            thread.start()
            while not any(each.busy for each in simulator._running().open_connections()):
                pass
            simulator.close_connections()
        thread.join()
        assert answers == [400]

    @pytest.mark.parametrize(
        "body", [pytest.param("[1]", id="list"), pytest.param('{"errcode":0}', id="no-error")]
    )
    def test_takes_any_answer(self, http: Http, body: str) -> None:
        """An answer without a code has none on record."""
        http.simulator.fail("users/me", body=body)
        http.me("x")
        assert http.simulator.calls[-1].code is None


class TestServer:
    """Starting, stopping, and what clients may do to it."""

    def test_points_settings_at_itself(self, simulator: DingTalkSimulator) -> None:
        """The settings name every address and the credentials, and are the caller's to change."""
        application = simulator.application
        assert simulator.settings == {
            "DINGTALK_CLIENT_ID": application.client_id,
            "DINGTALK_CLIENT_SECRET": application.client_secret,
            "DINGTALK_AUTHORIZE_URL": f"{simulator.url}/oauth2/auth",
            "DINGTALK_API_BASE_URL": simulator.url,
            "DINGTALK_OAPI_BASE_URL": simulator.url,
            "DINGTALK_QR_SCRIPT_URL": (
                f"{simulator.url}/dingding/h5-dingtalk-login/0.21.0/ddlogin.js"
            ),
            "DINGTALK_JSAPI_URL": (
                f"{simulator.url}/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js"
            ),
        }
        simulator.settings.clear()
        assert simulator.settings

    def test_can_be_started_again(self) -> None:
        """People and their ids survive; drawn avatars follow the address."""
        simulator = DingTalkSimulator()
        with simulator:
            union_id = simulator.users["li"].union_id
        with simulator:
            assert simulator.users["li"].union_id == union_id
            assert str(simulator.users["li"].avatar_url).startswith(f"{simulator.url}/media/")

    def test_makes_the_same_people_every_time(self, simulator: DingTalkSimulator) -> None:
        """Ids do not change from run to run, credentials do."""
        another = DingTalkSimulator()
        assert another.users["wang"].union_id == simulator.users["wang"].union_id
        assert another.application.client_secret != simulator.application.client_secret

    def test_is_started_once(self, simulator: DingTalkSimulator) -> None:
        """A second start is a mistake; a second stop is not."""
        with pytest.raises(RuntimeError, match="running already"):
            simulator.start()
        simulator.stop()
        simulator.stop()
        with pytest.raises(RuntimeError, match="not running"):
            _ = simulator.url

    def test_takes_a_given_port(self, simulator: DingTalkSimulator) -> None:
        """A port that is free again can be taken, one that is taken cannot."""
        port = urlsplit(simulator.url).port or 0
        with pytest.raises(OSError, match="in use"):
            DingTalkSimulator(port).start()
        simulator.stop()
        with DingTalkSimulator(port) as second:
            assert urlsplit(second.url).port == port

    def test_serves_ipv6(self) -> None:
        """The loopback interface has another address."""
        with DingTalkSimulator(host="::1") as simulator:
            assert simulator.url.startswith("http://[::1]:")
            assert requests.get(simulator.url, timeout=10).status_code == 200

    def test_stops_at_once_with_clients_hanging(self, simulator: DingTalkSimulator) -> None:
        """Half a request, an idle connection and an injected timeout do not hold it up."""
        parts = urlsplit(simulator.url)
        address = (str(parts.hostname), parts.port or 0)
        simulator.fail("users/me", timeout=True)
        requests_ = [b"", b"GET /v1.0/con", b"GET /v1.0/contact/users/me HTTP/1.1\r\n\r\n"]
        connections = [socket.create_connection(address, timeout=10) for _ in requests_]
        for connection, data in zip(connections, requests_, strict=True):
            connection.sendall(data)
        while not simulator.calls:
            pass
        simulator.stop()
        for connection in connections:
            assert connection.recv(1) == b""
            connection.close()
        left = [each.name for each in threading.enumerate() if "dingtalk" in each.name]
        assert left == []

    def test_is_quiet(self, http: Http, capfd: pytest.CaptureFixture[str]) -> None:
        """Nothing is written anywhere, not even for a client that vanishes."""
        http.consent("li")
        parts = urlsplit(http.simulator.url)
        rude = socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10)
        rude.sendall(b"GET /")
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        rude.close()
        http.simulator.stop()
        assert capfd.readouterr() == ("", "")

    def test_reports_its_own_mistakes(self, http: Http, capfd: pytest.CaptureFixture[str]) -> None:
        """An error inside the simulator is shown, and the connection closed."""
        http.simulator.users["li"].union_id = object()  # type: ignore[assignment] # a mistake
        token = http.tokens("li")["accessToken"]
        with pytest.raises(requests.ConnectionError):
            http.me(token)
        http.simulator.stop()
        assert "not JSON serializable" in capfd.readouterr().err

    def test_serves_forty_people_at_once(self, simulator: DingTalkSimulator) -> None:
        """Everybody gets his own profile."""
        names = [f"user{number}" for number in range(40)]
        for name in names:
            simulator.add_user(name, nick=name)
        nicks: dict[str, str] = {}

        def sign_in(name: str) -> None:
            with requests.Session() as session:
                http = Http(simulator, session)
                nicks[name] = http.profile(name)["nick"]

        threads = [threading.Thread(target=sign_in, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert nicks == {name: name for name in names}

    def test_comes_as_a_fixture(self, dingtalk_simulator: DingTalkSimulator) -> None:
        """The plugin's fixture is a running simulator."""
        assert dingtalk_simulator.url


class TestWorld:
    """Who and what there is."""

    def test_has_three_people_in_two_organisations(
        self, simulator: DingTalkSimulator, own: str, other: str
    ) -> None:
        """One in both, one in each."""
        belongings = {name: person.corp_ids for name, person in simulator.users.items()}
        assert belongings == {"zhang": (own, other), "li": (own,), "wang": (other,)}
        assert re.fullmatch(r"ding[0-9a-f]{32}", own)
        assert simulator.application.corp_id == own
        assert re.fullmatch(r"ding[a-z0-9]{16}", simulator.application.client_id)

    def test_grows(self, http: Http) -> None:
        """New people have the ids they are given."""
        http.simulator.add_organisation("dingnew", "新公司")
        person = http.simulator.add_user(
            "zhao",
            nick="赵六",
            avatar_url="https://example.com/a.png",
            mobile="5550100",
            state_code="1",
            union_id="u1",
            open_id="o1",
            corp_ids=["dingnew"],
            user_ids={"dingnew": "manager01"},
        )
        assert person.memberships["dingnew"].user_id == "manager01"
        assert http.tokens("zhao", "dingnew")["corpId"] == "dingnew"
        assert http.profile("zhao") == {
            "nick": "赵六",
            "unionId": "u1",
            "openId": "o1",
            "avatarUrl": "https://example.com/a.png",
            "mobile": "5550100",
            "stateCode": "1",
            "visitor": False,
        }

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param(lambda it: it.add_user("li", nick="x"), "already a user", id="user"),
            pytest.param(
                lambda it: it.add_organisation(it.application.corp_id, "x"),
                "already an organisation",
                id="organisation",
            ),
            pytest.param(
                lambda it: it.add_user("x", nick="x", corp_ids=["dingx"]),
                "no organisation 'dingx'",
                id="member-of-nothing",
            ),
            pytest.param(lambda it: it.leave("wang"), "not in the organisation", id="leave"),
            pytest.param(
                lambda it: it.authorization_code("nobody"), "only zhang, li, wang", id="nobody"
            ),
            pytest.param(
                lambda it: it.authorization_code("li", corp_id="dingx"), "no member", id="code"
            ),
            pytest.param(lambda it: it.in_client_code("wang"), "no member", id="in-client-code"),
            pytest.param(
                lambda it: setattr(it, "in_client_user", "nobody"), "no user 'nobody'", id="phone"
            ),
            pytest.param(lambda it: it.advance(-1), "only moves forward", id="clock"),
        ],
    )
    def test_refuses_what_cannot_be(
        self,
        simulator: DingTalkSimulator,
        change: Callable[[DingTalkSimulator], object],
        words: str,
    ) -> None:
        """A mistake in a test is said in words."""
        with pytest.raises(ValueError, match=words):
            change(simulator)

    def test_can_be_joined(self, simulator: DingTalkSimulator, own: str) -> None:
        """Membership changes at any time."""
        simulator.join("wang")
        assert own in simulator.users["wang"].corp_ids


class TestPackage:
    """What `flask_dingtalk.testing` exports."""

    def test_exports_what_it_promises(self) -> None:
        """Every promised name is there, and loaded when asked for."""
        assert testing.DingTalkSimulator is DingTalkSimulator
        assert {"DingTalkSimulator", "SimulatorError", "signed_in"} <= set(testing.__all__)
        assert all(callable(getattr(testing, name)) for name in testing.__all__)

    def test_does_not_have_other_names(self) -> None:
        """A misspelt name is an AttributeError like anywhere."""
        with pytest.raises(AttributeError, match="no attribute 'Simulator'"):
            _ = testing.Simulator
