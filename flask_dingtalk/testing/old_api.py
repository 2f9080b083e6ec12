"""oapi.dingtalk.com: the old API, snake_case, always HTTP 200 with ``errcode`` in the body.

[download-the-server-side-sdk, server-api-error-codes-1]
"""

import json
import secrets
import string
from collections.abc import Callable, Mapping
from http import HTTPMethod
from typing import Any, Final

from werkzeug.wrappers import Request, Response

from ..api import wire
from . import wire as testing_wire
from .deliveries import FailedPushes
from .employees import employee_record
from .grants import ACCESS_TOKEN_LIFETIME, Grants
from .new_api import ip_allowed
from .people import Application, Membership, Person, text_from_seed
from .world import World

_METHODS: Final = "/topapi/"
#: Seen in live answers, not documented.
_REQUEST_ID_ALPHABET: Final = string.ascii_lowercase + string.digits
_REQUEST_ID_LENGTH: Final = 13
#: Codes of the gateway, which checks token, permission, address and call rate first.
_GATEWAY: Final = frozenset(
    {33001, 40000, 40001, 40014, 41001, 42001, 60011, 60020, *range(90001, 90021)}
)
#: DingTalk's text for a missing permission.
_NOT_PERMITTED: Final = (
    "应用尚未开通所需的权限：[{permission}]，点击链接申请并开通即可："
    f"{wire.PERMISSION_APPLY_URL}, {{{{requiredScopes=[{{permission}}]}}}}"
)


class OldApiError(Exception):
    """A refusal, as the old API words it."""

    def __init__(self, errcode: int, message: str) -> None:
        super().__init__(errcode)
        self.errcode = errcode
        self.message = message


def _bare_answer(body: Mapping[str, Any]) -> Response:
    """Build an answer as it comes from outside ``/topapi/``, without a request id."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, content_type="application/json")


def _topapi_answer(body: Mapping[str, Any]) -> Response:
    """Build an answer as it comes from ``/topapi/``, with a request id at its end."""
    response = _bare_answer({**body, wire.OAPI_REQUEST_ID: _request_id()})
    response.headers["Content-Type"] = "application/json;charset=UTF-8"
    return response


def refusal(endpoint: str, errcode: int, message: str) -> Response:
    """Build a refusal; on ``/topapi/`` the gateway's own codes come wrapped in 88."""
    body: dict[str, Any] = {wire.ERRCODE: errcode, wire.ERRMSG: message}
    if endpoint == "gettoken":
        return _bare_answer(body)
    if errcode in _GATEWAY:
        body = {
            wire.ERRCODE: wire.ERRCODE_WRAPPED,
            wire.SUB_CODE: str(errcode),
            wire.SUB_MSG: message,
            wire.ERRMSG: f"ding talk error[subcode={errcode},submsg={message}]",
        }
    return _topapi_answer(body)


class OldApi:
    """The calls of the old API. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants, failed_pushes: FailedPushes) -> None:
        self._world = world
        self._grants = grants
        self._failed_pushes = failed_pushes
        #: By name: method, path and handler.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[[Request], dict[str, Any]]]] = {
            "gettoken": (HTTPMethod.GET, testing_wire.GETTOKEN_PATH, self._gettoken),
            "getbyunionid": (HTTPMethod.POST, wire.GET_BY_UNION_ID_PATH, self._get_by_union_id),
            "user/get": (HTTPMethod.POST, wire.USER_GET_PATH, self._user_get),
            "getuserinfo": (HTTPMethod.POST, wire.GET_USER_INFO_PATH, self._get_user_info),
            "get_call_back_failed_result": (
                HTTPMethod.GET,
                testing_wire.FAILED_EVENTS_PATH,
                self._failed_events,
            ),
        }

    def answer(self, name: str, request: Request) -> Response:
        """Answer a call or refuse it; the name is empty if there is no such call."""
        if not name:
            return self._unknown(request.path)
        try:
            answer = self.endpoints[name][2](request)
        except OldApiError as error:
            return refusal(name, error.errcode, error.message)
        body = {wire.ERRCODE: wire.ERRCODE_OK, wire.ERRMSG: "ok", **answer}
        return _topapi_answer(body) if self._is_topapi(name) else _bare_answer(body)

    def _is_topapi(self, name: str) -> bool:
        return self.endpoints[name][1].startswith(_METHODS)

    def _unknown(self, path: str) -> Response:
        for name, (method, known, _) in self.endpoints.items():
            if path == known:
                get = method == HTTPMethod.GET
                errcode = testing_wire.ERRCODE_WANTS_GET if get else testing_wire.ERRCODE_WANTS_POST
                return refusal(name, errcode, f"需要{method}请求")
        if not path.startswith(_METHODS):
            return _bare_answer(
                {
                    wire.ERRCODE: testing_wire.ERRCODE_UNKNOWN_PATH,
                    wire.ERRMSG: "请求的URI地址不存在",
                }
            )
        text = f"不合法ApiName，ApiName = dingtalk.oapi.{path[len(_METHODS) :].replace('/', '.')}"
        body = {
            wire.ERRCODE: testing_wire.ERRCODE_UNKNOWN_METHOD,
            wire.SUB_MSG: text,
            wire.ERRMSG: f"Invalid method[submsg={text}]",
        }
        return _topapi_answer(body)

    def _gettoken(self, request: Request) -> dict[str, Any]:
        """Return an app token; a body is ignored. [obtain-orgapp-token]"""
        key, secret = (
            request.args.get(testing_wire.GETTOKEN_APP_KEY),
            request.args.get(testing_wire.GETTOKEN_APP_SECRET),
        )
        if not key:
            raise OldApiError(testing_wire.ERRCODE_CREDENTIALS_MISSING, "缺少参数 corpid or appkey")
        if not self._world.application.accepts(key, secret):
            raise OldApiError(testing_wire.ERRCODE_CREDENTIALS_WRONG, "不合法的appKey或appSecret")
        self._check_address(request)
        return {
            wire.OAPI_ACCESS_TOKEN: self._grants.app_token(),
            testing_wire.OAPI_EXPIRES_IN: ACCESS_TOKEN_LIFETIME,
        }

    def _get_by_union_id(self, request: Request) -> dict[str, Any]:
        """Return the userid that belongs to a unionId. [query-a-user-by-the-union-id]"""
        union_id = self._parameters(request, wire.PERMISSION_GET_MEMBER).get(wire.UNION_ID)
        if not isinstance(union_id, str) or not union_id:
            raise OldApiError(testing_wire.ERRCODE_WRONG_PARAMETER, "无效的参数")
        _, membership = self._find(lambda person, _: person.union_id == union_id)
        return {
            wire.RESULT: {
                wire.CONTACT_TYPE: int(membership.external),
                wire.USER_ID: membership.user_id,
            },
        }

    def _user_get(self, request: Request) -> dict[str, Any]:
        """Return an employee record. [query-user-details]"""
        user_id = self._parameters(request, wire.PERMISSION_GET_MEMBER).get(wire.USER_ID)
        if not isinstance(user_id, str) or not user_id:
            raise OldApiError(testing_wire.ERRCODE_WRONG_USER_ID, "无效的USERID")
        person, membership = self._find(
            lambda _, membership: membership.user_id == user_id and not membership.external
        )
        application = self._world.application
        if not _is_visible(person, application):
            text = "请求的员工userid不在授权范围内"
            raise OldApiError(testing_wire.ERRCODE_OUT_OF_RANGE, text)
        return {
            wire.RESULT: employee_record(person, membership, application),
        }

    def _get_user_info(self, request: Request) -> dict[str, Any]:
        """Use an in-app code up. [obtain-the-userid-of-a-user-by-using-the-log-free]"""
        code = self._parameters(request, wire.PERMISSION_BASE).get(wire.USER_INFO_CODE)
        if not isinstance(code, str) or not code:
            raise OldApiError(testing_wire.ERRCODE_CODE_MISSING, "缺少tmp_auth_code")
        spent = self._grants.spend(code, in_app=True)
        if spent is None:
            raise OldApiError(testing_wire.ERRCODE_UNKNOWN_CODE, "不存在的临时授权码")
        application, person = self._world.application, spent.person
        # Nothing documents the answer for a person who has left since the code was issued.
        is_member = spent.corp_id == application.corp_id and spent.corp_id in person.corp_ids
        if not is_member or not _is_visible(person, application):
            raise OldApiError(testing_wire.ERRCODE_NOT_AUTHORISED, "不存在的授权信息")
        membership = person.memberships[application.corp_id]
        return {
            wire.RESULT: {
                wire.USER_ID: membership.user_id,
                wire.UNION_ID: person.union_id,
                wire.USER_INFO_ASSOCIATED_UNION_ID: text_from_seed(
                    "associated", person.name, length=24
                ),
                wire.USER_INFO_NAME: membership.name or person.nick or person.name,
                wire.USER_INFO_DEVICE_ID: text_from_seed("device", person.name, length=32),
                wire.USER_INFO_ADMIN: membership.admin,
                wire.USER_INFO_ADMIN_LEVEL: 100 if membership.boss else int(membership.admin),
            },
        }

    def _failed_events(self, request: Request) -> dict[str, Any]:
        """List the events that were given up. [obtain-the-event-list-of-failed-push-messages]"""
        self._parameters(request, wire.PERMISSION_BASE)
        happenings, has_more = self._failed_pushes.hand_out()
        return {
            testing_wire.FAILED_EVENTS: [each.as_failed() for each in happenings],
            testing_wire.FAILED_EVENTS_MORE: has_more,
        }

    def _parameters(self, request: Request, permission: str) -> Mapping[str, object]:
        """Do the gateway's checks; return the parameters of a JSON body, or of form and query."""
        application = self._world.application
        token = request.args.get(wire.OAPI_ACCESS_TOKEN) or request.form.get(wire.OAPI_ACCESS_TOKEN)
        if not token:
            raise OldApiError(testing_wire.ERRCODE_TOKEN_BLANK, "access_token is blank")
        if not self._grants.is_app_token(token):
            raise OldApiError(testing_wire.ERRCODE_TOKEN_INVALID, "不合法的access_token")
        self._check_address(request)
        if permission not in application.permissions:
            text = _NOT_PERMITTED.format(permission=permission, client_id=application.client_id)
            raise OldApiError(testing_wire.ERRCODE_PERMISSION_MISSING, text)
        body = request.get_json(silent=True)
        return body if isinstance(body, dict) else {**request.args, **request.form}

    def _check_address(self, request: Request) -> None:
        application = self._world.application
        if not ip_allowed(request.remote_addr, application.allowed_ips):
            text = f"访问ip不在白名单之中,request ip={request.remote_addr}"
            raise OldApiError(
                testing_wire.ERRCODE_IP_NOT_ALLOWED, f"{text} appKey({application.client_id})"
            )

    def _find(self, matches: Callable[[Person, Membership], bool]) -> tuple[Person, Membership]:
        """Return the first person of the application's own organisation that matches."""
        for person in self._world.users.values():
            membership = person.memberships.get(self._world.application.corp_id)
            if membership is not None and matches(person, membership):
                return person, membership
        raise OldApiError(testing_wire.ERRCODE_NOT_A_MEMBER, "找不到该用户")


def _is_visible(person: Person, application: Application) -> bool:
    return application.visible_to is None or person.name in application.visible_to


def _request_id() -> str:
    return "".join(secrets.choice(_REQUEST_ID_ALPHABET) for _ in range(_REQUEST_ID_LENGTH))
