"""login.dingtalk.com: the pages for login, consent and the choice of an organisation.

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
from .authorization import (
    AUTHORIZE_PATH,
    AuthorizationRequest,
    Refused,
    is_registered_redirect_url,
)
from .avatars import draw_avatar
from .grants import Grants
from .in_app import InApp
from .new_api import masked
from .people import Person
from .qr import QrCode
from .rendering import Renderer
from .world import World

#: Browsers send a cookie of 127.0.0.1 to all its ports, so the name includes the port.
COOKIE: Final = "dingtalk_simulator_{port}"


class LoginPages:
    """Answers with pages. The caller holds the world's lock."""

    def __init__(
        self,
        world: World,
        grants: Grants,
        further: Mapping[str, tuple[HTTPMethod, str, Callable[..., Response]]],
    ) -> None:
        self._world = world
        self._grants = grants
        self._renderer = Renderer(world)
        #: The person logged in, by the value of the browser's cookie.
        self._logins: dict[str, Person] = {}
        #: The people who agreed, by the Client ID of the application to which they did.
        self._agreed: set[tuple[str, Person]] = set()
        self._form_key = secrets.token_bytes(32)
        #: By name: method, path and handler.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Response]]] = {
            "authorize": (HTTPMethod.GET, AUTHORIZE_PATH, self._authorize),
            "login": (HTTPMethod.POST, "/oauth2/login", self._login),
            "consent": (HTTPMethod.POST, "/oauth2/consent", self._consent),
            "logout": (HTTPMethod.GET, "/oauth2/logout", self._logout),
            "avatar": (HTTPMethod.GET, "/media/<name>", self._avatar),
            "phone": (HTTPMethod.GET, "/oauth2/phone", self._phone),
            "phone/choose": (HTTPMethod.POST, "/oauth2/phone", self._choose_phone),
            **QrCode(world, grants, self._renderer).endpoints,
            **InApp(world, grants).endpoints,
            **further,
        }

    def forget(self) -> None:
        """Log everybody out."""
        self._logins.clear()

    def answer(self, name: str, request: Request, arguments: Mapping[str, Any]) -> Response:
        """Answer with a page, or with the page that says why not."""
        try:
            response = self.endpoints[name][2](request, **arguments)
        except Refused as refused:
            response = self.refusal(request, refused)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def call_back_with_error(self, request: Request, error: str) -> Response:
        """Send the browser back to the site with an error instead of showing a page."""
        try:
            auth_request = AuthorizationRequest.parse(request.args, self._world)
        except Refused as refused:
            return self.refusal(request, refused)
        return redirect(auth_request.callback_url({wire.CALLBACK_ERROR: error}), 302)

    def refusal(self, request: Request, refused: Refused) -> Response:
        """Return the page that says why the login ends here."""
        return self._page(request, "refused.html", refused.status, refused=refused)

    # --- Login and consent ---

    def _authorize(self, request: Request) -> Response:
        auth_request = AuthorizationRequest.parse(request.args, self._world)
        if auth_request.exclusive and auth_request.exclusive_corp_id is None:
            return self._page(request, "code.html")
        people = auth_request.eligible_people(self._world)
        person = self._person_logged_in(request)
        if person not in people:
            return self._page(
                request,
                "login.html",
                people=people,
                exclusive=self._world.organisations.get(auth_request.exclusive_corp_id or ""),
            )
        choices = auth_request.offered_organisations(self._world, person)
        application = self._world.application
        agreed = (application.client_id, person) in self._agreed
        if application.asks_for_consent_once and agreed and len(choices) < 2:
            corp_id = choices[0].corp_id if choices else None
            return self._call_back(auth_request, person, corp_id)
        return self._page(
            request,
            "consent.html",
            redirects_to_site=True,
            person=person,
            profile=wire.PERMISSION_USER_READ in application.permissions,
            choices=choices,
            mobile=self._visible_mobile(person),
        )

    def _login(self, request: Request) -> Response:
        """Log in with the account chosen, or log out if none was chosen; then start over."""
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
        self._logins.pop(browser, None)
        response = redirect(f"{AUTHORIZE_PATH}?{query}", 303)
        person = self._world.users.get(request.form.get("person", ""))
        if person is not None:
            browser = secrets.token_urlsafe(24)
            self._logins[browser] = person
            self._set_cookie(response, request, browser)
        return response

    def _consent(self, request: Request) -> Response:
        auth_request = AuthorizationRequest.parse(request.args, self._world)
        self._checked_form(request)
        person = self._person_logged_in(request)
        if person is None or person not in auth_request.eligible_people(self._world):
            raise Refused("form", status=403)
        if request.form.get("decision") != "agree":
            error = self._world.application.decline_error
            return redirect(auth_request.callback_url({wire.CALLBACK_ERROR: error}), 302)
        choices = auth_request.offered_organisations(self._world, person)
        corp_id = auth_request.corp_id or request.form.get("organisation")
        if auth_request.wants_corp and corp_id not in [choice.corp_id for choice in choices]:
            raise Refused("form", status=403)
        self._agreed.add((self._world.application.client_id, person))
        return self._call_back(auth_request, person, corp_id if auth_request.wants_corp else None)

    def _call_back(
        self, auth_request: AuthorizationRequest, person: Person, corp_id: str | None
    ) -> Response:
        """Send the browser back to the site with a new code."""
        code = self._grants.issue_code(person, corp_id)
        return redirect(
            auth_request.callback_url({wire.CALLBACK_CODE: code, wire.CALLBACK_AUTH_CODE: code}),
            302,
        )

    def _visible_mobile(self, person: Person) -> str | None:
        permitted = wire.PERMISSION_USER_MOBILE in self._world.application.permissions
        if not permitted or person.mobile is None:
            return None
        country = f"+{person.state_code} " if person.state_code else ""
        return f"{country}{masked(person.mobile)}"

    # --- Other pages ---

    def _logout(self, request: Request) -> Response:
        """Log out of DingTalk. DingTalk's command-line tool uses this; it is not documented."""
        application = self._world.application
        target = request.args.get("continue")
        client_id = request.args.get(wire.CLIENT_ID, "")
        if client_id != application.client_id:
            raise Refused("application", sent=client_id, registered=application.client_id)
        self._logins.pop(self._cookie_value(request) or "", None)
        if target is None:
            response = self._page(request, "logged_out.html")
        elif is_registered_redirect_url(target, application.redirect_urls):
            response = redirect(target, 302)
        else:
            response = self.refusal(request, Refused("continue", sent=target))
        response.delete_cookie(self._cookie_name(request), path="/oauth2")
        return response

    def _avatar(self, request: Request, name: str) -> Response:
        for person in self._world.users.values():
            if person.avatar_path == f"/media/{name}":
                return Response(
                    draw_avatar(person.name),
                    content_type="image/svg+xml",
                    headers={"Cache-Control": "public, max-age=86400"},
                )
        raise Refused("page", status=404)

    def _phone(self, request: Request) -> Response:
        return self._page(request, "phone.html")

    def _choose_phone(self, request: Request) -> Response:
        """Choose whose DingTalk client it is, for all pages from now on."""
        self._checked_form(request)
        name = request.form.get("person", "")
        if name not in self._world.users:
            raise Refused("form", status=403)
        self._world.in_app_user = name
        return redirect("/oauth2/phone", 303)

    # --- Cookies, forms, pages ---

    def _cookie_name(self, request: Request) -> str:
        return COOKIE.format(port=request.environ["SERVER_PORT"])

    def _cookie_value(self, request: Request) -> str | None:
        return request.cookies.get(self._cookie_name(request))

    def _person_logged_in(self, request: Request) -> Person | None:
        return self._logins.get(self._cookie_value(request) or "")

    def _set_cookie(self, response: Response, request: Request, browser: str) -> None:
        response.set_cookie(
            self._cookie_name(request), browser, path="/oauth2", httponly=True, samesite="Lax"
        )

    def _form_token(self, browser: str) -> str:
        return hmac.digest(self._form_key, browser.encode(), "sha256").hex()

    def _checked_form(self, request: Request) -> str:
        """Return the browser's cookie; `Refused` if the form is not one that it was shown."""
        browser = self._cookie_value(request)
        token = request.form.get("form_token", "")
        if browser and hmac.compare_digest(self._form_token(browser).encode(), token.encode()):
            return browser
        raise Refused("form", status=403)

    def _page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        browser = self._cookie_value(request) or secrets.token_urlsafe(24)
        response = self._renderer.page(
            request, template, status, form_token=self._form_token(browser), **context
        )
        if browser != self._cookie_value(request):
            self._set_cookie(response, request, browser)
        return response
