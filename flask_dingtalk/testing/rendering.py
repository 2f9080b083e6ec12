"""Pages in the browser's language, closed to everything that they do not need; and scripts."""

import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from werkzeug.wrappers import Request, Response

from .texts import LANGUAGES, text
from .world import World


@cache
def _templates() -> Environment:
    # Once per process: compiling them takes longer than everything else on a page.
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


@cache
def _static(name: str) -> bytes:
    return Path(__file__).with_name("static").joinpath(name).read_bytes()


def script(name: str) -> Response:
    """Serve a script to any site, as DingTalk's CDN does."""
    response = Response(_static(name), content_type="text/javascript; charset=utf-8")
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


class Renderer:
    """Fills in the templates. The caller holds the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world

    def language(self, request: Request) -> str:
        """Return ``en`` or ``zh``, whichever the browser likes better."""
        return request.accept_languages.best_match(LANGUAGES, "en")

    def wording(self, request: Request) -> Callable[..., str]:
        """Return a function that says a text in the browser's language."""
        language = self.language(request)

        def say(key: str, **values: str) -> str:
            return text(key, language, app=self._world.application.name, **values)

        return say

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        *,
        sends_away: bool = False,
        framed: bool = False,
        **context: Any,
    ) -> Response:
        """Build a page: one whose form `sends_away` to the site, one that the site has `framed`."""
        nonce = secrets.token_urlsafe(16)
        markup = (
            _templates()
            .get_template(template)
            .render(
                say=self.wording(request),
                language=self.language(request),
                nonce=nonce,
                world=self._world,
                query=request.query_string.decode("latin-1"),
                **context,
            )
        )
        response = Response(markup, status, content_type="text/html; charset=utf-8")
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self' data: http: https:;"
            " base-uri 'none'; "
        )
        # Any site may frame the QR code: one at a wrong origin shall see the hint that says so.
        policy += f"script-src 'nonce-{nonce}'" if framed else "frame-ancestors 'none'"
        if not sends_away:
            # Chromium applies this to every redirect that follows, those of the site included.
            policy += "; form-action 'self'"
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Vary"] = "Accept-Language, Cookie"
        return response
