"""Login inside the DingTalk client: the script with ``dd.requestAuthCode``, and what it calls.

[jsapi-request-auth-code, webapp-read-before-development]

In the real client the script calls a native bridge. A laptop has none, so the simulator's script
sends a cross-origin request instead: a page with a Content-Security-Policy needs the simulator in
``connect-src`` as well as in ``script-src``. `World.in_app_user` is the person who is logged in to
the client.
"""

from collections.abc import Callable
from http import HTTPMethod
from typing import Any, Final
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from ..api import wire
from . import wire as testing_wire
from .authorization import is_registered_host
from .grants import Grants
from .new_api import json_response
from .rendering import script
from .world import World

JSAPI_PATH: Final = urlsplit(wire.JSAPI_URL).path


class InApp:
    """Hands out in-app codes. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants
        #: By name: method, path and handler.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Response]]] = {
            "dingtalk.open.js": (HTTPMethod.GET, JSAPI_PATH, self._script),
            "requestAuthCode": (HTTPMethod.POST, "/in-app/code", self._request_auth_code),
        }

    def _script(self, _: Request) -> Response:
        return script("dingtalk.open.js")

    def _request_auth_code(self, request: Request) -> Response:
        """Stand in for the native bridge; HTTP 200 even if there is no code."""
        origin = request.headers.get("Origin", "")
        response = json_response(self._code_or_error(request.form, origin))
        # Safe for any origin: a page of another domain than the application's gets no code.
        response.headers["Access-Control-Allow-Origin"] = origin or "null"
        response.headers["Vary"] = "Origin"
        return response

    def _code_or_error(self, arguments: Any, origin: str) -> dict[str, Any]:
        """Return what the page's callback receives."""
        application = self._world.application
        person = self._world.person(self._world.in_app_user)
        corp_id = arguments.get(wire.JSAPI_CORP_ID)
        if corp_id not in person.corp_ids:
            # As seen live; the documents have "invalid corpid" instead. [web-applications-h5]
            return {
                testing_wire.JSAPI_ERROR_CODE: testing_wire.JSAPI_UNKNOWN_DOMAIN,
                testing_wire.JSAPI_ERROR_MESSAGE: "1002,corpId不合法",
            }
        if (
            not application.released
            or corp_id != application.corp_id
            or arguments.get(wire.JSAPI_CLIENT_ID) != application.client_id
            or not is_registered_host(origin, application.redirect_urls)
        ):
            host = urlsplit(origin).hostname or ""
            return {
                testing_wire.JSAPI_ERROR_CODE: testing_wire.JSAPI_UNKNOWN_DOMAIN,
                testing_wire.JSAPI_ERROR_MESSAGE: f"对应企业没有{host}域名微应用",
            }
        code = self._grants.issue_code(person, corp_id, in_app=True)
        return {testing_wire.JSAPI_CODE: code}
