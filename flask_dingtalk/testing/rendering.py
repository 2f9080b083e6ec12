"""Renders pages in the browser's language under a strict policy, and serves scripts."""

import re
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from werkzeug.wrappers import Request, Response

from ..messages import Language
from ..responses import accepted_language
from .texts import text
from .world import World

_CHINESE: Final = re.compile("[\u3400-\u9fff]")
_LATIN: Final = re.compile("[A-Za-z]")


@cache
def _templates() -> Environment:
    # Once per process: compiling templates takes longer than everything else.
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


@cache
def _static(name: str) -> bytes:
    return Path(__file__).with_name("static").joinpath(name).read_bytes()


def script(name: str) -> Response:
    """Return a script that any site may load, as from DingTalk's CDN."""
    response = Response(_static(name), content_type="text/javascript; charset=utf-8")
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


class Texts:
    """What templates call ``say``: the texts of a page, in one language."""

    def __init__(self, language: Language, app: str) -> None:
        self._language: Language = language
        self._app = app

    def __call__(self, key: str, **values: str) -> Markup:
        """Return a text; names in it are marked with their language."""
        names = {name: self.named(value) for name, value in ({"app": self._app} | values).items()}
        # Our own text; the names in it are escaped.
        return Markup(text(key, self._language)).format(**names)  # noqa: S704

    def named(self, name: str) -> Markup:
        """Return a name as markup, which says where it is in another language than the page.

        It may also be written from right to left, so it is kept apart from what is around it.
        """
        if isinstance(name, Markup):
            return name
        markup = Markup("<bdi>{}</bdi>")
        if self._language == "en" and _CHINESE.search(name):
            markup = Markup('<bdi lang="zh-CN">{}</bdi>')
        elif self._language == "zh" and _LATIN.search(name) and not _CHINESE.search(name):
            markup = Markup('<bdi lang="en">{}</bdi>')
        return markup.format(name)


class Renderer:
    """Fills in the templates. The caller holds the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world

    def language(self, request: Request) -> Language:
        """Return the language that the browser prefers."""
        return accepted_language(request.environ)

    def translator(self, request: Request) -> Callable[..., str]:
        """Return a function that looks up a text in the browser's language."""
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
        redirects_to_site: bool = False,
        framed: bool = False,
        scripted: bool = False,
        **context: Any,
    ) -> Response:
        """Render a template.

        `redirects_to_site` is for a page whose form leads back to the site, `framed` for a page in
        a frame of the site, `scripted` for one whose script asks the simulator.
        """
        nonce = secrets.token_urlsafe(16)
        markup = (
            _templates()
            .get_template(template)
            .render(
                say=Texts(self.language(request), self._world.application.name),
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
        # Any site may frame the QR code, so that a page at the wrong origin gets to see the hint.
        policy += f"script-src 'nonce-{nonce}'" if framed else "frame-ancestors 'none'"
        if scripted:
            policy += f"; script-src 'nonce-{nonce}'; connect-src 'self'"
        if not redirects_to_site:
            # Chromium applies form-action to all redirects that follow, also to those of the site.
            policy += "; form-action 'self'"
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Vary"] = "Accept-Language, Cookie"
        return response
