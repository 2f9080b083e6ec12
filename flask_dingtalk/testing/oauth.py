"""login.dingtalk.com: who are you, do you agree, in the name of which organisation.

[obtain-identity-credentials]
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPMethod
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from .. import wire
from .authorization import AUTHORIZE_PATH, AuthorizationRequest, Refused, redirect_url_known
from .avatars import draw
from .grants import Grants
from .openapi import masked
from .people import Organisation, Person
from .texts import LANGUAGES, text
from .world import World

#: Browsers send a cookie of 127.0.0.1 to every port there, so the name ends with the port.
COOKIE: Final = "dingtalk_simulator_{port}"


@cache
def _templates() -> Environment:
    # Once per process: compiling them takes longer than everything else on a page.
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


class Pages:
    """The pages. The caller holds the world's lock."""

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants
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
        people = self._people(asked)
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
            choices=self._choices(asked, person),
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
        if person is None or person not in self._people(asked):
            raise Refused("form", status=403)
        if request.form.get("decision") != "agree":
            error = self._world.application.decline_error
            return redirect(asked.callback({wire.CALLBACK_ERROR: error}), 302)
        choices = self._choices(asked, person)
        corp_id = asked.corp_id or request.form.get("organisation")
        if asked.wants_corp and corp_id not in [choice.corp_id for choice in choices]:
            raise Refused("form", status=403)
        code = self._grants.issue_code(person, corp_id if asked.wants_corp else None)
        return redirect(
            asked.callback({wire.CALLBACK_CODE: code, wire.CALLBACK_AUTH_CODE: code}), 302
        )

    def _people(self, asked: AuthorizationRequest) -> list[Person]:
        """List those who have an account of the kind that the sign-in link wants."""
        corp_id = asked.exclusive_corp_id
        people = self._world.users.values()
        return [person for person in people if corp_id is None or corp_id in person.corp_ids]

    def _choices(self, asked: AuthorizationRequest, person: Person) -> list[Organisation]:
        """List the organisations that the person may act for; `Refused` if that cannot be."""
        world = self._world
        owner = world.application.corp_id
        name = person.nick or person.name
        if owner not in person.corp_ids and not world.application.admits_outsiders:
            organisation = world.organisations[owner].name
            raise Refused("outsider", status=403, name=name, organisation=organisation)
        if not asked.wants_corp:
            return []
        choices = [
            world.organisations[corp_id]
            for corp_id in person.corp_ids
            if person.memberships[corp_id].admin or not asked.managed_only
        ]
        if asked.corp_id is not None:
            choices = [choice for choice in choices if choice.corp_id == asked.corp_id]
            if not choices:
                raise Refused("not_member", status=403, sent=asked.corp_id, name=name)
        if not choices:
            raise Refused("no_organisation", status=403, name=name)
        return choices

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
        return self._page(request, "index.html")

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

    def _page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        *,
        sends_away: bool = False,
        **context: Any,
    ) -> Response:
        language = request.accept_languages.best_match(LANGUAGES, "en")
        browser = self._browser(request) or secrets.token_urlsafe(24)
        nonce = secrets.token_urlsafe(16)

        def say(key: str, **values: str) -> str:
            return text(key, language, app=self._world.application.name, **values)

        markup = (
            _templates()
            .get_template(template)
            .render(
                say=say,
                language=language,
                nonce=nonce,
                world=self._world,
                query=request.query_string.decode("latin-1"),
                form_token=self._form_token(browser),
                **context,
            )
        )
        response = Response(markup, status, content_type="text/html; charset=utf-8")
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self' data: http: https:;"
            " base-uri 'none'; frame-ancestors 'none'"
        )
        if not sends_away:
            # Chromium applies this to every redirect that follows, those of the site included.
            policy += "; form-action 'self'"
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Vary"] = "Accept-Language, Cookie"
        if browser != self._browser(request):
            self._set_cookie(response, request, browser)
        return response
