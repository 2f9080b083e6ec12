"""Inside the DingTalk client: the script that gives ``dd.requestAuthCode``, and what it asks.

[jsapi-request-auth-code, webapp-read-before-development]

In the real client the script calls a native bridge. There is none on a laptop, so the simulator's
script sends a request across origins instead: a page with a Content-Security-Policy needs the
simulator in ``connect-src`` as well as in ``script-src``. Who is inside the client is
`World.in_client_user`.
"""

from collections.abc import Callable
from http import HTTPMethod
from typing import Any, Final
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from ..api import wire
from .authorization import host_known
from .grants import Grants
from .openapi import json_response
from .rendering import script
from .world import World

JSAPI_PATH: Final = urlsplit(wire.JSAPI_URL).path


class InClient:
    """The client's side of a sign-in without a tap. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants
        #: By name: method, path, and who answers.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Response]]] = {
            "dingtalk.open.js": (HTTPMethod.GET, JSAPI_PATH, self._script),
            "requestAuthCode": (HTTPMethod.POST, "/in-client/code", self._request_auth_code),
        }

    def _script(self, _: Request) -> Response:
        return script("dingtalk.open.js")

    def _request_auth_code(self, request: Request) -> Response:
        """Stand in for the native bridge; HTTP 200 whatever it has to say."""
        origin = request.headers.get("Origin", "")
        response = json_response(self._code_for(request.form, origin))
        # Safe for any origin: one that is not the application's gets no code.
        response.headers["Access-Control-Allow-Origin"] = origin or "null"
        response.headers["Vary"] = "Origin"
        return response

    def _code_for(self, arguments: Any, origin: str) -> dict[str, Any]:
        """Return what the callback of the page gets."""
        application = self._world.application
        person = self._world.person(self._world.in_client_user)
        corp_id = arguments.get(wire.JSAPI_CORP_ID)
        if corp_id not in person.corp_ids:
            # No code is documented for it. [web-applications-h5]
            return {wire.JSAPI_ERROR_MESSAGE: "invalid corpid"}
        if (
            not application.released
            or corp_id != application.corp_id
            or arguments.get(wire.JSAPI_CLIENT_ID) != application.client_id
            or not host_known(origin, application.redirect_urls)
        ):
            host = urlsplit(origin).hostname or ""
            return {
                wire.JSAPI_ERROR_CODE: wire.JSAPI_UNKNOWN_DOMAIN,
                wire.JSAPI_ERROR_MESSAGE: f"对应企业没有{host}域名微应用",
            }
        return {wire.JSAPI_CODE: self._grants.issue_code(person, corp_id, in_client=True)}
