"""The extension object: it puts the parts together and has no logic of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Flask

from . import guard, session, signin, user_api
from .api.models import DingTalkToken
from .app_state import EXTENSION_KEY, AppState
from .cli import dingtalk as dingtalk_commands
from .errors import ConfigurationError
from .settings import Settings, unknown_settings
from .template_globals import install
from .views import build_blueprint

if TYPE_CHECKING:
    from requests import Response

Hook = TypeVar("Hook", bound=signin.LoginHook)

_SECRET_KEY_HINT = (
    "set it to a long random text that all processes share: "
    "python -c 'import secrets; print(secrets.token_hex())'"
)


class DingTalk:
    """Sign-in with DingTalk for Flask apps.

    ``url_prefix`` is where the routes are mounted; with ``register_blueprint=False`` the site
    mounts ``blueprint`` itself. One object may serve several apps: call ``init_app`` for each.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        url_prefix: str = "/dingtalk",
        register_blueprint: bool = True,
    ) -> None:
        self._url_prefix = url_prefix
        self._register_blueprint = register_blueprint
        self._login_hooks: list[signin.LoginHook] = []
        #: The routes, named ``dingtalk``: login, callback, logout, in_app, renew_state, static.
        self.blueprint: Blueprint = build_blueprint(self._login_hooks)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Bind an app: read its settings, add the routes and the template globals.

        Raises ``ConfigurationError`` for a setting that is missing or malformed; the app is
        untouched then. Settings are read here, once.
        """
        if "dingtalk" in app.extensions:
            raise RuntimeError("init_app() was called on this app before; once is enough")
        settings = Settings.from_config(app.config)
        _check_secret_keys(app)
        for name, meant in unknown_settings(app.config).items():
            app.logger.warning("%s is no setting of Flask-DingTalk; did you mean %s?", name, meant)
        if self._register_blueprint:
            app.register_blueprint(self.blueprint, url_prefix=self._url_prefix)
        install(app)
        # Installed, the commands are found by their entry point; a test runner looks here alone.
        app.cli.add_command(dingtalk_commands)
        app.extensions["dingtalk"] = self
        app.extensions[EXTENSION_KEY] = AppState(settings)

    @property
    def token(self) -> DingTalkToken | None:
        """The tokens of the user signed in on this request, or ``None``."""
        present = session.signed_in()
        return present.token if present is not None else None

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Call a DingTalk API as the signed-in user and return the ``requests.Response``.

        ``path`` is relative to the API host, ``/v1.0/…``; ``kwargs`` are ``params``, ``data``,
        ``json``, ``headers``, ``files`` and ``timeout`` (seconds) of ``requests.request``. An
        access token that has expired, or that DingTalk refuses, is refreshed once and the new pair
        kept in the session. The answer is read up to 2 MiB; redirects are not followed.

        Raises ``LoginRequired`` if nobody is signed in, ``DingTalkAPIError`` or another
        ``DingTalkError`` for an error that DingTalk answers, ``DingTalkUnavailable`` if it cannot
        be reached, ``ValueError`` for a path that leads to another host. [server-api-calling-guide]
        """
        return user_api.call(method, path, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Response:
        """``request("GET", …)``."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Response:
        """``request("POST", …)``."""
        return self.request("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> Response:
        """``request("PUT", …)``."""
        return self.request("PUT", path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> Response:
        """``request("PATCH", …)``."""
        return self.request("PATCH", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Response:
        """``request("DELETE", …)``."""
        return self.request("DELETE", path, **kwargs)

    def logout(self) -> None:
        """Forget the signed-in user and tokens; the app's own session data stays."""
        signin.sign_out()

    def on_login(self, function: Hook) -> Hook:
        """Register a function ``(user, token)`` to be called at each sign-in (a decorator).

        It is called after DingTalk vouched for the user and the settings admitted them, before the
        session is opened. ``token`` is ``None`` for a sign-in inside the DingTalk client. It may
        return a response to send instead of the redirect, or abort or raise to refuse the sign-in.
        It is not called when a callback URL is merely loaded again.
        """
        self._login_hooks.append(function)
        return function

    def protect(
        self,
        app_or_blueprint: Flask | Blueprint,
        *,
        corp_ids: Collection[str] | None = None,
        check: guard.Rule | None = None,
    ) -> None:
        """Guard every view of an app or blueprint as ``login_required`` does.

        Static files and this extension's own routes stay open. To be called while the app is set
        up.
        """
        guard.protect(app_or_blueprint, self.blueprint, corp_ids, check)


def _check_secret_keys(app: Flask) -> None:
    fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or ()
    if isinstance(fallbacks, str | bytes):
        raise ConfigurationError("SECRET_KEY_FALLBACKS is no list of texts", hint="use a list")
    for name, secret in (
        ("SECRET_KEY", app.config.get("SECRET_KEY")),
        *(("SECRET_KEY_FALLBACKS", secret) for secret in fallbacks),
    ):
        if not secret or not isinstance(secret, str | bytes):
            problem = "is a number, not a text" if isinstance(secret, int) else "is not set"
            raise ConfigurationError(f"{name} {problem}", hint=_SECRET_KEY_HINT)
