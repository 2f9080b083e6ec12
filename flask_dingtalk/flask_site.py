"""What an error has to know about the Flask app that serves a request: language, debug mode, pages.

Errors know no Flask, so that what raises them can be read, typed and tested without it. They ask a
``Site``, one object without any state, which this module puts in place when it is imported.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flask import current_app, has_request_context, render_template, request, url_for
from jinja2 import TemplateNotFound

from .api import wire
from .errors import serve_errors_of
from .logs import facts
from .messages import LANGUAGES, Language
from .responses import Site, accepted_language

_log = logging.getLogger(__name__)

_TEMPLATES: Final = Path(__file__).with_name("templates")
#: Where the language by ``Accept-Language`` is kept: one page asks for it several times.
_LANGUAGE_KEY: Final = "flask_dingtalk.language"


class FlaskSite(Site):
    """The app that serves the present request, if one is being served."""

    # The DingTalk client on a desktop shows sites in a frame.
    frame_ancestors = f"'self' {wire.CLIENT_FRAME_ANCESTORS}"

    def serves_request(self) -> bool:
        """Tell whether there is a visitor who may get to see a text."""
        return has_request_context()

    def language(self) -> Language:
        """Return Flask-Babel's locale where the site uses it, else what the browser asks for."""
        return visitor_language()

    def debug(self) -> bool:
        """Tell whether the visitor is the developer: in debug mode."""
        return bool(current_app) and current_app.debug

    def stylesheet(self) -> str | None:
        """Return the address of our style sheet, or ``None`` where the routes are not mounted."""
        if not has_request_context():
            return None
        try:
            return url_for("dingtalk.static", filename="dingtalk.css")
        except Exception:  # a BuildError, or anything that the site's own url_defaults raise
            return None

    def nonce(self) -> str | None:
        """Return the nonce of the site's own Content-Security-Policy."""
        if not has_request_context():
            return None
        try:
            return nonce_of_the_site()
        except Exception:  # the site's own function; the page can be read without any style
            return None

    def own_page(self, name: str, context: Mapping[str, Any]) -> str | None:
        """Render the site's own template of that name; ``None`` if there is none, or if it fails.

        Ours is rendered without the site, whose context processors may be what failed.
        """
        if not has_request_context():
            return None
        try:
            template = current_app.jinja_env.get_template(name)
            if template.filename == str(_TEMPLATES / name):
                return None
            return render_template(template, **context)
        except Exception as error:
            # Where the routes are not registered, the folder that comes with them is not either.
            if not (isinstance(error, TemplateNotFound) and error.name == name):
                # The error that is to be shown must not be lost behind one of its page.
                _log.exception("The site's own %s failed", name, extra=facts("site_code_failed"))
            return None


def visitor_language() -> Language:
    """Return the language of the visitor of this request, English outside of one."""
    if not has_request_context():
        return LANGUAGES[0]
    locale = _babel_locale()
    if locale is not None:
        return "zh" if locale == "zh" else "en"
    environ = request.environ
    if _LANGUAGE_KEY not in environ:
        environ[_LANGUAGE_KEY] = accepted_language(environ)
    language: Language = environ[_LANGUAGE_KEY]
    return language


def nonce_of_the_site() -> str | None:
    """Return the nonce of the site's own Content-Security-Policy, as Flask-Talisman offers it."""
    nonce = current_app.jinja_env.globals.get("csp_nonce")
    return str(nonce()) or None if callable(nonce) else None


def _babel_locale() -> str | None:
    """Return the language of Flask-Babel's locale, ``None`` where the site does not use it."""
    flask_babel = sys.modules.get("flask_babel")
    if flask_babel is None or "babel" not in current_app.extensions:
        return None
    try:
        locale = flask_babel.get_locale()
    except Exception:
        # The site's own function, which may be what failed in the first place.
        _log.exception(
            "The site's own choice of a language failed", extra=facts("site_code_failed")
        )
        return None
    return None if locale is None else str(locale.language)


serve_errors_of(FlaskSite())
