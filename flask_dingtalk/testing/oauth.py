"""login.dingtalk.com: who are you, do you agree, in the name of which organisation.

[obtain-identity-credentials]
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from http import HTTPMethod
from typing import Any, Final

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from ..api import wire
from .authorization import AUTHORIZE_PATH, AuthorizationRequest, Refused, redirect_url_known
from .avatars import draw
from .grants import Grants
from .in_client import InClient
from .openapi import masked
from .people import Person
from .qr import QrCode
from .rendering import Renderer
from .world import World

#: Browsers send a cookie of 127.0.0.1 to every port there, so the name ends with the port.
COOKIE: Final = "dingtalk_simulator_{port}"


class Pages:
    """The pages. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants
        self._renderer = Renderer(world)
        #: Who is signed in, by the value of the browser's cookie.
        self._browsers: dict[str, Person] = {}
        self._form_key = secrets.token_bytes(32)
        #: By name: method, path, and who answers.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Response]]] = {
            "authorize": (HTTPMethod.GET, AUTHORIZE_PATH, self._authorize),
            "login": (HTTPMethod.POST, "/oauth2/login", self._login),
            "consent": (HTTPMethod.POST, "/oauth2/consent", self._consent),
            "logout": (HTTPMethod.GET, "/oauth2/logout", self._logout),
            "avatar": (HTTPMethod.GET, "/media/<name>", self._avatar),
            "index": (HTTPMethod.GET, "/", self._index),
            "phone": (HTTPMethod.GET, "/oauth2/phone", self._phone),
            "phone/pass": (HTTPMethod.POST, "/oauth2/phone", self._pass_phone),
            **QrCode(world, grants, self._renderer).endpoints,
            **InClient(world, grants).endpoints,
        }

    def answer(self, name: str, request: Request, arguments: Mapping[str, Any]) -> Response:
        """Answer with a page, or with the one that refuses."""
        try:
            response = self.endpoints[name][2](request, **arguments)
        except Refused as refused:
            response = self.refusal(request, refused)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def call_back(self, request: Request, error: str) -> Response:
        """Send the browser back with an error instead of showing the page."""
        try:
            asked = AuthorizationRequest.parse(request.args, self._world)
        except Refused as refused:
            return self.refusal(request, refused)
        return redirect(asked.callback({wire.CALLBACK_ERROR: error}), 302)

    def refusal(self, request: Request, refused: Refused) -> Response:
        """Show why it does not go on."""
        return self._page(request, "refused.html", refused.status, refused=refused)

    # --- The way in ---

    def _authorize(self, request: Request) -> Response:
        asked = AuthorizationRequest.parse(request.args, self._world)
        if asked.exclusive and asked.exclusive_corp_id is None:
            return self._page(request, "code.html")
        people = asked.people(self._world)
        person = self._signed_in(request)
        if person not in people:
            return self._page(
                request,
                "login.html",
                people=people,
                exclusive=self._world.organisations.get(asked.exclusive_corp_id or ""),
            )
        return self._page(
            request,
            "consent.html",
            sends_away=True,
            person=person,
            profile=wire.PERMISSION_USER_READ in self._world.application.permissions,
            choices=asked.choices(self._world, person),
            mobile=self._visible_mobile(person),
        )

    def _login(self, request: Request) -> Response:
        """Take the account chosen, or forget the one before; then start over."""
        AuthorizationRequest.parse(request.args, self._world)
        browser = self._checked_form(request)
        query = request.query_string.decode("latin-1")
        if "organisation_code" in request.form:
            code = request.form["organisation_code"].strip().upper()
            for organisation in self._world.organisations.values():
                if organisation.code == code:
                    query += f"&{wire.EXCLUSIVE_CORP_ID}={organisation.corp_id}"
                    return redirect(f"{AUTHORIZE_PATH}?{query}", 303)
            return self._page(request, "code.html", unknown=True)
        self._browsers.pop(browser, None)
        response = redirect(f"{AUTHORIZE_PATH}?{query}", 303)
        person = self._world.users.get(request.form.get("person", ""))
        if person is not None:
            browser = secrets.token_urlsafe(24)
            self._browsers[browser] = person
            self._set_cookie(response, request, browser)
        return response

    def _consent(self, request: Request) -> Response:
        asked = AuthorizationRequest.parse(request.args, self._world)
        self._checked_form(request)
        person = self._signed_in(request)
        if person is None or person not in asked.people(self._world):
            raise Refused("form", status=403)
        if request.form.get("decision") != "agree":
            error = self._world.application.decline_error
            return redirect(asked.callback({wire.CALLBACK_ERROR: error}), 302)
        choices = asked.choices(self._world, person)
        corp_id = asked.corp_id or request.form.get("organisation")
        if asked.wants_corp and corp_id not in [choice.corp_id for choice in choices]:
            raise Refused("form", status=403)
        code = self._grants.issue_code(person, corp_id if asked.wants_corp else None)
        return redirect(
            asked.callback({wire.CALLBACK_CODE: code, wire.CALLBACK_AUTH_CODE: code}), 302
        )

    def _visible_mobile(self, person: Person) -> str | None:
        permitted = wire.PERMISSION_USER_MOBILE in self._world.application.permissions
        if not permitted or person.mobile is None:
            return None
        country = f"+{person.state_code} " if person.state_code else ""
        return f"{country}{masked(person.mobile)}"

    # --- The way out, and the rest ---

    def _logout(self, request: Request) -> Response:
        """Sign out of DingTalk. Used by DingTalk's own command line, but not documented."""
        application = self._world.application
        target = request.args.get("continue")
        client_id = request.args.get(wire.CLIENT_ID, "")
        if client_id != application.client_id:
            raise Refused("application", sent=client_id, registered=application.client_id)
        self._browsers.pop(self._browser(request) or "", None)
        if target is None:
            response = self._page(request, "signed_out.html")
        elif redirect_url_known(target, application.redirect_urls):
            response = redirect(target, 302)
        else:
            response = self.refusal(request, Refused("continue", sent=target))
        response.delete_cookie(self._cookie(request), path="/oauth2")
        return response

    def _avatar(self, request: Request, name: str) -> Response:
        for person in self._world.users.values():
            if person.avatar_path == f"/media/{name}":
                return Response(
                    draw(person.name),
                    content_type="image/svg+xml",
                    headers={"Cache-Control": "public, max-age=86400"},
                )
        raise Refused("page", status=404)

    def _index(self, request: Request) -> Response:
        # Without the cookie: it is not sent here, and a new one would sign the browser out.
        return self._renderer.page(request, "index.html")

    def _phone(self, request: Request) -> Response:
        return self._page(request, "phone.html")

    def _pass_phone(self, request: Request) -> Response:
        """Let somebody else be the one inside the DingTalk client, for every page from now on."""
        self._checked_form(request)
        name = request.form.get("person", "")
        if name not in self._world.users:
            raise Refused("form", status=403)
        self._world.in_client_user = name
        return redirect("/oauth2/phone", 303)

    # --- Browsers, forms, pages ---

    def _cookie(self, request: Request) -> str:
        return COOKIE.format(port=request.environ["SERVER_PORT"])

    def _browser(self, request: Request) -> str | None:
        return request.cookies.get(self._cookie(request))

    def _signed_in(self, request: Request) -> Person | None:
        return self._browsers.get(self._browser(request) or "")

    def _set_cookie(self, response: Response, request: Request, browser: str) -> None:
        response.set_cookie(
            self._cookie(request), browser, path="/oauth2", httponly=True, samesite="Lax"
        )

    def _form_token(self, browser: str) -> str:
        return hmac.digest(self._form_key, browser.encode(), "sha256").hex()

    def _checked_form(self, request: Request) -> str:
        """Return the browser's cookie if the form was shown to it by this simulator."""
        browser = self._browser(request)
        token = request.form.get("form_token", "")
        if browser and hmac.compare_digest(self._form_token(browser).encode(), token.encode()):
            return browser
        raise Refused("form", status=403)

    def _page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        browser = self._browser(request) or secrets.token_urlsafe(24)
        response = self._renderer.page(
            request, template, status, form_token=self._form_token(browser), **context
        )
        if browser != self._browser(request):
            self._set_cookie(response, request, browser)
        return response
