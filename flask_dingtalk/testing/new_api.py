"""api.dingtalk.com: the new API, JSON, the token in a header, HTTP status and ``code`` on failure.

[server-api-calling-guide, server-api-error-codes-1]
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from http import HTTPMethod
from typing import Any, Final
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from ..api import wire
from . import wire as testing_wire
from .grants import ACCESS_TOKEN_LIFETIME, Grants, UserGrant
from .people import Person
from .stream import Gateway
from .world import World

MIMETYPE: Final = "application/json;charset=utf-8"


class ApiError(Exception):
    """A refusal, as the new API words it."""

    def __init__(
        self, status: int, code: str, message: str, required_scopes: Iterable[str] = ()
    ) -> None:
        super().__init__(code)
        self.status = status
        self.body: dict[str, Any] = {
            wire.ERROR_REQUEST_ID: str(uuid.uuid4()).upper(),
            wire.ERROR_CODE: code,
            wire.ERROR_MESSAGE: message,
        }
        if required_scopes:
            self.body[wire.ERROR_ACCESS_DENIED_DETAIL] = {
                wire.ERROR_REQUIRED_SCOPES: list(required_scopes)
            }

    def response(self) -> Response:
        """Build the HTTP response."""
        return json_response(self.body, self.status)


def json_response(body: object, status: int = 200) -> Response:
    """Build an answer of the new API."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, content_type=MIMETYPE)


def unknown_action() -> ApiError:
    """Build the refusal for a wrong path or method."""
    text = "Specified api is not found, please check your url and method."
    return ApiError(404, testing_wire.CODE_UNKNOWN_ACTION, text)


def ip_allowed(address: str | None, allowed: Iterable[str]) -> bool:
    """Check an address against the console's list of egress addresses; an empty list allows all."""
    patterns = list(allowed)
    return not patterns or any(fnmatchcase(address or "", pattern) for pattern in patterns)


class NewApi:
    """The calls of the new API. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants, gateway: Gateway) -> None:
        self._world = world
        self._grants = grants
        self._gateway = gateway
        #: By name: method, path and handler.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Mapping[str, Any]]]] = {
            "userAccessToken": (
                HTTPMethod.POST,
                wire.USER_ACCESS_TOKEN_PATH,
                self._user_access_token,
            ),
            "users/me": (
                HTTPMethod.GET,
                wire.USERS_ME_PATH.removesuffix("me") + "<union_id>",
                self._user,
            ),
            "authRules/user": (HTTPMethod.GET, testing_wire.AUTH_RULES_PATH, self._auth_rules),
            "accessToken": (
                HTTPMethod.POST,
                wire.APP_ACCESS_TOKEN_PATH,
                self._app_access_token,
            ),
            "token": (
                HTTPMethod.POST,
                wire.CORP_TOKEN_PATH.replace("{corpId}", "<corp_id>"),
                self._corp_token,
            ),
            "connections/open": (HTTPMethod.POST, wire.STREAM_OPEN_PATH, self._open_connection),
        }

    def answer(self, name: str, request: Request, arguments: Mapping[str, Any]) -> Response:
        """Answer a call or refuse it."""
        try:
            if not ip_allowed(request.remote_addr, self._world.application.allowed_ips):
                raise ApiError(
                    403,
                    testing_wire.CODE_IP_NOT_ALLOWED,
                    f"访问ip不在白名单之中,request ip={request.remote_addr}",
                )
            handle = self.endpoints[name][2]
            return json_response(handle(request, **arguments))
        except ApiError as error:
            return error.response()

    # --- Tokens ---

    def _user_access_token(self, request: Request) -> dict[str, Any]:
        """Exchange a code or a refresh token for a pair of tokens. [obtain-user-token]"""
        body = _json_body(request)
        client_id = _mandatory(body, wire.TOKEN_CLIENT_ID)
        client_secret = _mandatory(body, wire.TOKEN_CLIENT_SECRET)
        grant_type = _mandatory(body, wire.TOKEN_GRANT_TYPE)
        redeem: Callable[[str], UserGrant | None]
        if grant_type == wire.GRANT_AUTHORIZATION_CODE:
            redeem, credential = self._grants.redeem, _mandatory(body, wire.TOKEN_CODE)
        elif grant_type == wire.GRANT_REFRESH_TOKEN:
            redeem = self._grants.refresh
            credential = _mandatory(body, wire.TOKEN_REFRESH_TOKEN)
        else:
            # Documented for {corpId}/token only; this call's page lists no errors. [api-gettoken]
            raise ApiError(
                400, testing_wire.CODE_UNSUPPORTED_GRANT, testing_wire.CODE_UNSUPPORTED_GRANT
            )
        if not self._world.application.accepts(client_id, client_secret):
            text = "clientId或者clientSecret错误"
            raise ApiError(400, testing_wire.CODE_ID_OR_SECRET_NOT_FOUND, text)
        self._require_permission(wire.PERMISSION_APP_BASE)
        grant = redeem(credential)
        if grant is None:
            raise ApiError(400, testing_wire.CODE_UNKNOWN_CODE, "不合法的临时授权码")
        answer: dict[str, Any] = {
            wire.TOKEN_ACCESS_TOKEN: grant.access_token,
            wire.TOKEN_REFRESH_TOKEN: grant.refresh_token,
            wire.TOKEN_EXPIRE_IN: ACCESS_TOKEN_LIFETIME,
        }
        # Nothing says whether a refresh repeats the corpId, so clients must not rely on it.
        if grant.corp_id is not None and grant_type == wire.GRANT_AUTHORIZATION_CODE:
            answer[wire.TOKEN_CORP_ID] = grant.corp_id
        return answer

    def _app_access_token(self, request: Request) -> dict[str, Any]:
        """Return an app token. [obtain-the-access-token-of-an-internal-app]"""
        body = _json_body(request)
        key, secret = _mandatory(body, wire.APP_KEY), _mandatory(body, wire.APP_SECRET)
        if not self._world.application.accepts(key, secret):
            text = "无效的clientId或者clientSecret"
            raise ApiError(400, testing_wire.CODE_WRONG_CREDENTIALS, text)
        return {
            wire.TOKEN_ACCESS_TOKEN: self._grants.app_token(),
            wire.TOKEN_EXPIRE_IN: ACCESS_TOKEN_LIFETIME,
        }

    def _corp_token(self, request: Request, corp_id: str) -> dict[str, Any]:
        """Return an app token, in OAuth's spelling. [api-gettoken]"""
        body = _json_body(request)
        application = self._world.application
        if body.get(wire.CORP_TOKEN_GRANT_TYPE) != wire.GRANT_CLIENT_CREDENTIALS:
            raise ApiError(
                400, testing_wire.CODE_UNSUPPORTED_GRANT, testing_wire.CODE_UNSUPPORTED_GRANT
            )
        client_id = body.get(wire.CORP_TOKEN_CLIENT_ID)
        if not application.accepts(client_id, body.get(wire.CORP_TOKEN_CLIENT_SECRET)):
            raise ApiError(400, testing_wire.CODE_INVALID_CLIENT, testing_wire.CODE_INVALID_CLIENT)
        if corp_id not in self._world.organisations:
            raise ApiError(500, testing_wire.CODE_UNKNOWN_ERROR, "未知错误")
        if corp_id != application.corp_id:
            raise ApiError(
                401, testing_wire.CODE_UNAUTHORIZED_CLIENT, testing_wire.CODE_UNAUTHORIZED_CLIENT
            )
        return {
            wire.OAPI_ACCESS_TOKEN: self._grants.app_token(),
            testing_wire.OAPI_EXPIRES_IN: ACCESS_TOKEN_LIFETIME,
        }

    # --- Stream mode ---

    def _open_connection(self, request: Request) -> dict[str, str]:
        """Return address and ticket for somebody who listens. [configure-stream-push]"""
        body = _json_body(request)
        client_id = _mandatory(body, wire.TOKEN_CLIENT_ID)
        client_secret = _mandatory(body, wire.TOKEN_CLIENT_SECRET)
        if not self._world.application.accepts(client_id, client_secret):
            raise ApiError(401, testing_wire.CODE_AUTH_FAILED, "鉴权失败")
        events = {
            wire.STREAM_TYPE: wire.STREAM_TYPE_EVENT,
            wire.STREAM_TOPIC: wire.STREAM_TOPIC_ALL,
        }
        subscriptions = body.get(wire.STREAM_SUBSCRIPTIONS)
        if not isinstance(subscriptions, list) or events not in subscriptions:
            # For events, DingTalk knows no other topic; this simulator has nothing else to send.
            raise ApiError(400, testing_wire.CODE_INVALID_SUBSCRIPTION, "订阅类型不支持")
        return self._gateway.open(urlsplit(request.host_url).hostname or "127.0.0.1")

    # --- As the user ---

    def _user(self, request: Request, union_id: str) -> dict[str, Any]:
        """Return the profile of the token's user. [dingtalk-retrieve-user-information]"""
        person = self._user_grant(request).person
        self._require_permission(wire.PERMISSION_USER_READ)
        if union_id not in ("me", person.union_id):
            raise ApiError(404, testing_wire.CODE_USER_NOT_FOUND, "找不到该用户")
        return self._profile(person)

    def _profile(self, person: Person) -> dict[str, Any]:
        application = self._world.application
        profile: dict[str, Any] = {
            wire.PROFILE_NICK: person.nick,
            wire.PROFILE_UNION_ID: person.union_id,
            wire.PROFILE_OPEN_ID: person.open_id,
            wire.PROFILE_AVATAR_URL: person.avatar_url,
            testing_wire.PROFILE_VISITOR: False,
        }
        if wire.PERMISSION_USER_MOBILE in application.permissions:
            profile[wire.PROFILE_MOBILE] = (
                masked(person.mobile) if application.third_party else person.mobile
            )
            profile[wire.PROFILE_STATE_CODE] = person.state_code
        if person.email is not None and not person.email.lower().endswith("@dingtalk.com"):
            # Addresses of DingTalk's own mail service are never returned. [common-errors]
            profile[wire.PROFILE_EMAIL] = person.email
        return {key: value for key, value in profile.items() if value is not None}

    def _auth_rules(self, request: Request) -> dict[str, Any]:
        """List what the user has granted. [query-personal-authorization-records]"""
        self._user_grant(request)
        permissions = self._world.application.permissions
        rules = []
        if wire.PERMISSION_USER_READ in permissions:
            rules.append({"resource": "rpc_auth", "authItems": [wire.PERMISSION_USER_READ]})
        if wire.PERMISSION_USER_MOBILE in permissions:
            resource, _, item = wire.PERMISSION_USER_MOBILE.rpartition(".")
            rules.append({"resource": resource, "authItems": [item]})
        return {"result": rules}

    # --- Checks ---

    def _require_permission(self, permission: str) -> None:
        if permission not in self._world.application.permissions:
            text = f"应用尚未开通所需的权限：[{permission}]"
            raise ApiError(403, testing_wire.CODE_PERMISSION_MISSING, text, [permission])

    def _user_grant(self, request: Request) -> UserGrant:
        token = request.headers.get(wire.ACCESS_TOKEN_HEADER)
        if not token:
            text = f"缺少参数：{wire.ACCESS_TOKEN_HEADER}"
            raise ApiError(400, testing_wire.CODE_MISSING_PARAMETER, text)
        if self._grants.is_app_token(token):
            raise ApiError(403, testing_wire.CODE_PERMISSION_MISSING, "没有调用该接口的权限")
        grant = self._grants.user_grant(token)
        if grant is None:
            raise ApiError(400, testing_wire.CODE_INVALID_TOKEN, "不合法的access_token")
        return grant


def masked(mobile: str | None) -> str | None:
    """Hide the middle of a mobile number, as DingTalk does for third-party applications."""
    return mobile and f"{mobile[:3]}****{mobile[7:]}"


def _json_body(request: Request) -> dict[str, Any]:
    if request.mimetype == "application/json":
        body = request.get_json(silent=True)
        if isinstance(body, dict):
            return body
    raise ApiError(400, testing_wire.CODE_MISSING_BODY, "body is mandatory for this action.")


def _mandatory(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if isinstance(value, str) and value:
        return value
    raise ApiError(400, f"Missing{name}", f"{name} is mandatory for this action.")
