"""The embedded QR code: the script, the frame that it opens, and phones that scan the code.

[obtain-identity-credentials, tutorial-obtaining-user-personal-information]

The code is only a picture: a real phone cannot reach this machine, so the frame offers a button for
each person's phone. The frame sets no cookie, because browsers block third-party cookies.
"""

import json
import re
import secrets
from collections.abc import Callable
from functools import partial
from http import HTTPMethod
from typing import Any, Final
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from ..api import wire
from . import wire as testing_wire
from .authorization import AuthorizationRequest, Refused, origin_of
from .grants import Grants
from .people import Person
from .rendering import Renderer, script
from .world import World

QR_SCRIPT_PATH: Final = urlsplit(wire.QR_SCRIPT_URL).path
#: Seconds until a code expires. DingTalk's own value is not documented.
QR_LIFETIME: Final = 180
#: Query parameter with the origin of the page around the frame; only the simulator has it.
_EMBEDDING_ORIGIN: Final = "origin"
_RAW_REDIRECT_URI: Final = re.compile(rf"(?:^|&){wire.REDIRECT_URI}=([^&]*)".encode())
#: The error codes and texts of DingTalk that are known; other errors are a text without a code.
_NOT_IN_ORGANISATION: Final = (testing_wire.QR_NOT_IN_ORGANISATION, "操作失败，你不在组织内")
_ERRORS: Final = {
    "application": (testing_wire.QR_UNKNOWN_APPLICATION, "应用不存在"),
    "redirect_uri": (testing_wire.QR_REDIRECT_URI_NOT_REGISTERED, "redirect_uri未授权"),
    "outsider": _NOT_IN_ORGANISATION,
    "not_member": _NOT_IN_ORGANISATION,
}

Handler = Callable[[Request, AuthorizationRequest], Response]


class QrCode:
    """Answers with the pages of the frame. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants, renderer: Renderer) -> None:
        self._world = world
        self._grants = grants
        self._renderer = renderer
        #: When each unused code expires, by its ticket.
        self._tickets: dict[str, float] = {}
        #: By name: method, path and handler.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Response]]] = {
            "ddlogin.js": (HTTPMethod.GET, QR_SCRIPT_PATH, self._script),
            "qr": (HTTPMethod.GET, "/oauth2/qr", partial(self._answer, self._show)),
            "qr/expired": (
                HTTPMethod.GET,
                "/oauth2/qr/expired",
                partial(self._answer, self._expired),
            ),
            "qr/scan": (HTTPMethod.POST, "/oauth2/qr/scan", partial(self._answer, self._scan)),
            "qr/confirm": (
                HTTPMethod.POST,
                "/oauth2/qr/confirm",
                partial(self._answer, self._confirm),
            ),
        }

    def _script(self, _: Request) -> Response:
        return script("ddlogin.js")

    def _answer(self, handle: Handler, request: Request) -> Response:
        try:
            return handle(request, self._parse(request))
        except Refused as refused:
            return self._refusal(request, refused)

    def _parse(self, request: Request) -> AuthorizationRequest:
        """Check the query that the script sent; it needs more than a login link does."""
        raw = _RAW_REDIRECT_URI.search(request.query_string)
        if raw and re.search(rb"[:/?]", raw[1]):
            raise Refused("unencoded", sent=raw[1].decode("latin-1"))
        auth_request = AuthorizationRequest.parse(request.args, self._world)
        required = {
            wire.CORP_ID: auth_request.wants_corp,
            wire.EXCLUSIVE_CORP_ID: auth_request.exclusive,
        }
        for name, is_required in required.items():
            if is_required and not request.args.get(name):
                raise Refused("missing", name=name)
        return auth_request

    # --- Code, scan and confirmation ---

    def _show(self, request: Request, auth_request: AuthorizationRequest) -> Response:
        now = self._world.now()
        self._tickets = {each: until for each, until in self._tickets.items() if until > now}
        ticket = secrets.token_urlsafe(12)
        self._tickets[ticket] = now + QR_LIFETIME
        return self._frame(
            request,
            "qr.html",
            auth_request,
            ticket=ticket,
            people=auth_request.eligible_people(self._world),
            lifetime=QR_LIFETIME,
        )

    def _expired(self, request: Request, auth_request: AuthorizationRequest) -> Response:
        return self._frame(request, "qr.html", auth_request)

    def _scan(self, request: Request, auth_request: AuthorizationRequest) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            return self._expired(request, auth_request)
        person = self._person(request, auth_request)
        return self._frame(
            request,
            "qr_confirm.html",
            auth_request,
            ticket=ticket,
            person=person,
            choices=auth_request.offered_organisations(self._world, person),
        )

    def _confirm(self, request: Request, auth_request: AuthorizationRequest) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            return self._expired(request, auth_request)
        person = self._person(request, auth_request)
        auth_request.offered_organisations(self._world, person)
        del self._tickets[ticket]
        application = self._world.application
        wrong_origin = self._has_wrong_origin(request, auth_request)
        if request.form.get("decision") != "agree":
            # DingTalk's script looks for error= in a redirectUrl, so that is how a decline comes.
            error = {wire.CALLBACK_ERROR: application.decline_error}
            message: dict[str, Any] = {
                testing_wire.QR_SUCCESS: True,
                testing_wire.QR_REDIRECT_URL: auth_request.callback_url(error),
            }
            posted = _post_message_context(message, None if wrong_origin else auth_request.origin)
            return self._frame(request, "qr_done.html", auth_request, declined=True, **posted)
        posted = {}
        if not wrong_origin:
            message = self._success(auth_request, person)
            times = 2 if application.qr_fires_twice else 1
            posted = _post_message_context(message, auth_request.origin, times=times)
        return self._frame(request, "qr_done.html", auth_request, **posted)

    def _success(self, auth_request: AuthorizationRequest, person: Person) -> dict[str, Any]:
        code = self._grants.issue_code(person, auth_request.corp_id)
        callback = {wire.CALLBACK_CODE: code, wire.CALLBACK_AUTH_CODE: code}
        message: dict[str, Any] = {
            testing_wire.QR_SUCCESS: True,
            testing_wire.QR_REDIRECT_URL: auth_request.callback_url(callback),
            testing_wire.QR_AUTH_CODE: code,
        }
        if auth_request.state is not None:
            message[wire.STATE] = auth_request.state
        return message

    def _ticket(self, request: Request) -> str | None:
        ticket = request.form.get("ticket", "")
        return ticket if self._tickets.get(ticket, 0) > self._world.now() else None

    def _person(self, request: Request, auth_request: AuthorizationRequest) -> Person:
        person = self._world.users.get(request.form.get("person", ""))
        if person is None or person not in auth_request.eligible_people(self._world):
            raise Refused("form", status=403)
        return person

    # --- The frame ---

    def _has_wrong_origin(self, request: Request, auth_request: AuthorizationRequest) -> bool:
        """Tell whether the page around the frame has another origin than the redirect URL."""
        return request.args.get(_EMBEDDING_ORIGIN) != auth_request.origin

    def _frame(
        self, request: Request, template: str, auth_request: AuthorizationRequest, **context: Any
    ) -> Response:
        wrong_origin = None
        if self._has_wrong_origin(request, auth_request):
            wrong_origin = {
                "sent": request.args.get(_EMBEDDING_ORIGIN) or "–",
                "expected": auth_request.origin,
            }
        return self._renderer.page(
            request, template, framed=True, wrong_origin=wrong_origin, **context
        )

    def _refusal(self, request: Request, refused: Refused) -> Response:
        """Say why the login ends here, and post the error unless the page has the wrong origin."""
        translate = self._renderer.translator(request)
        if refused.reason in _ERRORS:
            code, text = _ERRORS[refused.reason]
            message = {testing_wire.QR_ERROR_CODE: code, testing_wire.QR_ERROR_MESSAGE: text}
        else:
            why = translate(f"refused.{refused.reason}.why", **refused.details)
            message = {testing_wire.QR_ERROR_MESSAGE: why}
        # The redirect URL may be invalid here. Errors are not secret: any page may receive them.
        embedding_origin = origin_of(request.args.get(_EMBEDDING_ORIGIN, ""))
        callback_origin = origin_of(request.args.get(wire.REDIRECT_URI, ""))
        target = embedding_origin if callback_origin in (None, embedding_origin) else None
        posted = _post_message_context({testing_wire.QR_SUCCESS: False, **message}, target)
        return self._renderer.page(
            request, "qr_refused.html", refused.status, framed=True, refused=refused, **posted
        )


def _post_message_context(
    message: dict[str, Any], target: str | None, *, times: int = 1
) -> dict[str, Any]:
    """Return what the template needs to post a message to an origin; nothing without one."""
    if target is None:
        return {}
    return {"message": json.dumps(message), "target": target, "times": times}
