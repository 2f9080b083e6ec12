"""The embedded QR code: DingTalk's script, the frame that it opens, and a phone to scan it with.

[obtain-identity-credentials, tutorial-obtaining-user-personal-information]

Nobody can scan a code of this machine, so the frame offers the phones of the people that there are.
It uses no cookie: browsers keep those of another site out of frames.
"""

import json
import re
import secrets
from collections.abc import Callable
from functools import partial
from http import HTTPMethod
from typing import Any, Final
from urllib.parse import urlsplit

from markupsafe import Markup
from werkzeug.wrappers import Request, Response

from ..api import wire
from .authorization import AuthorizationRequest, Refused, origin_of
from .grants import Grants
from .people import Person
from .qr_symbol import draw
from .rendering import Renderer, script
from .world import World

QR_SCRIPT_PATH: Final = urlsplit(wire.QR_SCRIPT_URL).path
#: Seconds until the code has to be renewed. DingTalk's own value is not documented.
QR_LIFETIME: Final = 180
#: Where the script tells the frame's page which page it stands in.
_EMBEDDER: Final = "origin"
_RAW_REDIRECT_URI: Final = re.compile(rf"(?:^|&){wire.REDIRECT_URI}=([^&]*)".encode())
#: What DingTalk says where a code of it is known; anything else fails with a text alone.
_NOT_IN_ORGANISATION: Final = (wire.QR_NOT_IN_ORGANISATION, "操作失败，你不在组织内")
_ERRORS: Final = {
    "application": (wire.QR_UNKNOWN_APPLICATION, "应用不存在"),
    "redirect_uri": (wire.QR_REDIRECT_URI_NOT_REGISTERED, "redirect_uri未授权"),
    "outsider": _NOT_IN_ORGANISATION,
    "not_member": _NOT_IN_ORGANISATION,
}

Handler = Callable[[Request, AuthorizationRequest], Response]


class QrCode:
    """The pages of the frame. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants, renderer: Renderer) -> None:
        self._world = world
        self._grants = grants
        self._renderer = renderer
        #: The codes shown and not used up, and until when each is good.
        self._tickets: dict[str, float] = {}
        #: By name: method, path, and who answers.
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
            return handle(request, self._asked(request))
        except Refused as refused:
            return self._refusal(request, refused)

    def _asked(self, request: Request) -> AuthorizationRequest:
        """Check what the script sent, which is stricter than a sign-in link."""
        raw = _RAW_REDIRECT_URI.search(request.query_string)
        if raw and re.search(rb"[:/?]", raw[1]):
            raise Refused("unencoded", sent=raw[1].decode("latin-1"))
        asked = AuthorizationRequest.parse(request.args, self._world)
        required = {
            wire.ORG_TYPE: asked.wants_corp,
            wire.CORP_ID: asked.wants_corp,
            wire.EXCLUSIVE_CORP_ID: asked.exclusive,
        }
        for name, is_required in required.items():
            if is_required and not request.args.get(name):
                raise Refused("missing", name=name)
        return asked

    # --- The code, the phone, and what comes of it ---

    def _show(self, request: Request, asked: AuthorizationRequest) -> Response:
        now = self._world.now()
        self._tickets = {each: until for each, until in self._tickets.items() if until > now}
        ticket = secrets.token_urlsafe(12)
        self._tickets[ticket] = now + QR_LIFETIME
        return self._frame(
            request,
            "qr.html",
            asked,
            ticket=ticket,
            code=Markup(draw(f"{self._world.base_url}/?qr={ticket}")),  # noqa: S704 - drawn here
            people=asked.people(self._world),
            lifetime=QR_LIFETIME,
        )

    def _expired(self, request: Request, asked: AuthorizationRequest) -> Response:
        code = Markup(draw(self._world.base_url))  # noqa: S704 - drawn here
        return self._frame(request, "qr.html", asked, code=code)

    def _scan(self, request: Request, asked: AuthorizationRequest) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            return self._expired(request, asked)
        person = self._person(request, asked)
        return self._frame(
            request,
            "qr_confirm.html",
            asked,
            ticket=ticket,
            person=person,
            choices=asked.choices(self._world, person),
        )

    def _confirm(self, request: Request, asked: AuthorizationRequest) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            return self._expired(request, asked)
        person = self._person(request, asked)
        asked.choices(self._world, person)
        del self._tickets[ticket]
        application = self._world.application
        foreign = self._is_foreign(request, asked)
        if request.form.get("decision") != "agree":
            message = {wire.QR_SUCCESS: False, wire.QR_ERROR_MESSAGE: application.decline_error}
            posted = _message(message, None if foreign else asked.origin)
            return self._frame(request, "qr_done.html", asked, declined=True, **posted)
        posted = {}
        if not foreign:
            message = self._success(asked, person)
            posted = _message(message, asked.origin, times=1 + application.qr_fires_twice)
        return self._frame(request, "qr_done.html", asked, **posted)

    def _success(self, asked: AuthorizationRequest, person: Person) -> dict[str, Any]:
        code = self._grants.issue_code(person, asked.corp_id)
        callback = {wire.CALLBACK_CODE: code, wire.CALLBACK_AUTH_CODE: code}
        message = {
            wire.QR_SUCCESS: True,
            wire.QR_REDIRECT_URL: asked.callback(callback),
            wire.QR_AUTH_CODE: code,
        }
        return message if asked.state is None else {**message, wire.STATE: asked.state}

    def _ticket(self, request: Request) -> str | None:
        ticket = request.form.get("ticket", "")
        return ticket if self._tickets.get(ticket, 0) > self._world.now() else None

    def _person(self, request: Request, asked: AuthorizationRequest) -> Person:
        person = self._world.users.get(request.form.get("person", ""))
        if person is None or person not in asked.people(self._world):
            raise Refused("form", status=403)
        return person

    # --- The frame ---

    def _is_foreign(self, request: Request, asked: AuthorizationRequest) -> bool:
        """Tell whether the page around the frame has another origin than the callback."""
        return request.args.get(_EMBEDDER) != asked.origin

    def _frame(
        self, request: Request, template: str, asked: AuthorizationRequest, **context: Any
    ) -> Response:
        wrong_origin = None
        if self._is_foreign(request, asked):
            wrong_origin = {"sent": request.args.get(_EMBEDDER) or "–", "expected": asked.origin}
        return self._renderer.page(
            request, template, framed=True, wrong_origin=wrong_origin, **context
        )

    def _refusal(self, request: Request, refused: Refused) -> Response:
        """Show why it does not go on, and tell the page unless it is at a wrong origin."""
        say = self._renderer.wording(request)
        if refused.reason in _ERRORS:
            code, text = _ERRORS[refused.reason]
            message = {wire.QR_ERROR_CODE: code, wire.QR_ERROR_MESSAGE: text}
        else:
            why = say(f"refused.{refused.reason}.why", **refused.facts)
            message = {wire.QR_ERROR_MESSAGE: why}
        # The callback need not be a good one yet. An error is no secret: any embedder may know it.
        embedder = origin_of(request.args.get(_EMBEDDER, ""))
        callback = origin_of(request.args.get(wire.REDIRECT_URI, ""))
        target = embedder if callback in (None, embedder) else None
        posted = _message({wire.QR_SUCCESS: False, **message}, target)
        return self._renderer.page(
            request, "qr_refused.html", refused.status, framed=True, refused=refused, **posted
        )


def _message(message: dict[str, Any], target: str | None, *, times: int = 1) -> dict[str, Any]:
    """Return what the page's script posts, for a page at `target` alone; nothing without one."""
    if target is None:
        return {}
    return {"message": json.dumps(message), "target": target, "times": times}
