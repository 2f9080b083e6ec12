"""The extension object: it connects the parts and contains no other logic."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Flask

from . import guard, log_output, mistakes, session, signin
from .api.models import DingTalkToken
from .app_state import EXTENSION_KEY, AppState, app_state
from .cli import dingtalk as dingtalk_commands
from .errors import ConfigurationError
from .settings import Settings
from .template_globals import install
from .user_api import ApiCalls, AsApp, AsUser, call
from .views import build_blueprint

if TYPE_CHECKING:
    from flask import Response as FlaskResponse
    from redis import Redis, RedisCluster
    from requests import Response

    from .store.link import Link

    RedisClient = Redis | RedisCluster

Hook = TypeVar("Hook", bound=signin.LoginHook)
View = TypeVar("View", bound=Callable[..., Any])

_SECRET_KEY_HINT = (
    "set it to a long random text that all processes share: "
    "python -c 'import secrets; print(secrets.token_hex())'"
)


class DingTalk(ApiCalls):
    """Sign-in with DingTalk for Flask apps.

    ``url_prefix`` is where the routes are mounted; with ``register_blueprint=False`` the site
    mounts ``blueprint`` itself. One object may serve several apps: call ``init_app`` for each.
    ``store`` is a synchronous client of redis-py for what several processes have to share, instead
    of ``DINGTALK_STORE``: where it leads and its credentials are used, with time-outs of ours.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        url_prefix: str = "/dingtalk",
        register_blueprint: bool = True,
        store: RedisClient | None = None,
    ) -> None:
        self._url_prefix = url_prefix
        self._register_blueprint = register_blueprint
        self._store = store
        self._login_hooks: list[signin.LoginHook] = []
        #: The routes, named ``dingtalk``: login, callback, logout, in_app, renew_state,
        #: events, static.
        self.blueprint: Blueprint = build_blueprint(self._login_hooks)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Bind an app: read its settings, add the routes and the template globals.

        Raises ``ConfigurationError`` for a setting that is missing or malformed; the app is
        untouched then. Settings are read here, once. Opens no connection.
        """
        if "dingtalk" in app.extensions:
            raise RuntimeError("init_app() was called on this app before; once is enough")
        settings = Settings.from_config(app.config)
        _check_secret_keys(app)
        link = _link(settings, self._store)
        if settings.event_token is not None and link is None:
            raise ConfigurationError(
                "DINGTALK_EVENT_TOKEN is set, but there is no store that knows whose sign-ins an "
                "event ends",
                hint="set DINGTALK_STORE, or give DingTalk(app, store=client)",
            )
        log_output.prepare(app)
        mistakes.warn_of_settings(app, settings)
        app.extensions["dingtalk"] = self
        app.extensions[EXTENSION_KEY] = AppState(settings, app.config, link)
        if self._register_blueprint:
            app.register_blueprint(self.blueprint, url_prefix=self._url_prefix)
        elif self.blueprint in app.blueprints.values():
            mistakes.warn_of_redirect_uri(app)
        mistakes.look_at_first_request(app)
        install(app)
        # `flask` finds the entry point; app.test_cli_runner() only sees app.cli.
        app.cli.add_command(dingtalk_commands)

    @property
    def token(self) -> DingTalkToken | None:
        """The tokens of the user signed in on this request, or ``None``."""
        login = session.current_login()
        return login.token if login is not None else None

    @property
    def next_url(self) -> str | None:
        """In a function registered with ``on_login``: where the sign-in is to end.

        A path of this site, or a URL of ``DINGTALK_TRUSTED_ORIGINS``; ``None`` anywhere else. Pass
        it as ``next`` to the sign-in when the visitor comes back from a page of yours.
        """
        return signin.present_target()

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Call a DingTalk API as the signed-in user and return the ``requests.Response``.

        ``path`` is relative to the API host, ``/v1.0/…``; ``kwargs`` are ``params``, ``data``,
        ``json``, ``headers``, ``files`` and ``timeout`` (seconds) of ``requests.request``. An
        access token that has expired, or that DingTalk refuses, is refreshed once and the new pair
        kept in the session. The answer is read up to 2 MiB; redirects are not followed.

        Raises ``LoginRequired`` if nobody is signed in, or if DingTalk does not take the user's
        tokens any more; ``DingTalkAPIError`` or another ``DingTalkError`` for an error that
        DingTalk answers, and where a new pair of tokens could not be kept (a response that streams,
        a websocket); ``DingTalkUnavailable`` if DingTalk cannot be reached; ``ValueError`` for a
        path that leads to another host. [server-api-calling-guide]
        """
        return call(method, path, **kwargs)

    def as_user(self, token: DingTalkToken) -> AsUser:
        """Return an object whose ``request``, ``get``, ``post``, … call as the user of ``token``.

        For a job or a thread, in an application context. Its ``token`` is the pair in force: a call
        refreshes an access token that has ended, and the new pair is the caller's to keep. No
        signal is sent. Its calls raise what ``request`` raises; ``LoginRequired`` means that
        DingTalk does not take the refresh token any more.
        """
        return AsUser(token)

    @property
    def as_app(self) -> AsApp:
        """An object with ``request``, ``get``, ``post``, … that calls as the application itself.

        In an application context. Any method for paths of the new API (``/v1.0/…``); for the old
        one, ``as_app.post("/topapi/…", data={…})`` alone, as its token travels in the form:
        anything else is a ``TypeError``. [server-api-calling-guide]
        """
        return AsApp()

    def logout(self) -> None:
        """Forget the signed-in user and tokens; the app's own session data stays."""
        signin.sign_out()

    def logout_everywhere(self, union_id: str) -> int:
        """End every sign-in of a person, in all browsers and on all machines; return how many.

        In an application context. Raises ``ConfigurationError`` without a store, and
        ``StoreUnavailable`` if the store cannot be reached: call it again then. No signal is sent.
        """
        return app_state().people.end_all(union_id)

    def on_login(self, function: Hook) -> Hook:
        """Register a function ``(user, token)`` to be called at each sign-in (a decorator).

        It is called after DingTalk vouched for the user and the settings admitted them, before the
        session is opened. ``token`` is ``None`` for a sign-in inside the DingTalk client. It may
        return a response to send instead of the redirect. It refuses the sign-in by raising,
        aborting, or returning a response of status 400 or more; then the session, ``g`` and the
        functions given to ``after_this_request`` are again as they were before the first hook. It
        is not called when a callback URL is merely loaded again. ``next_url`` tells it where the
        visitor wanted to go.
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

        Static files, this extension's own routes and exempt views stay open. To be called while the
        app is set up.
        """
        guard.protect(app_or_blueprint, self.blueprint, corp_ids, check)

    def exempt(self, view: View) -> View:
        """Leave a view open that ``protect`` would guard (a decorator).

        On a class-based view it counts for that class, and not for those that inherit from it.
        """
        return guard.exempt(view)

    def refusal(
        self, *, corp_ids: Collection[str] | None = None, check: guard.Rule | None = None
    ) -> FlaskResponse | None:
        """Return the response for a visitor who may not go on, or ``None`` for one who may.

        The guard as a function, for a Flask-Login loader, Flask-Admin's ``is_accessible`` and the
        like: it checks with DingTalk again where that is due. It does not raise for a 401, 403 or
        failure of DingTalk's, but returns their response; a ``check`` that answers anything but
        ``True`` or ``False`` is a ``TypeError``.
        """
        return guard.refusal(corp_ids=corp_ids, check=check)


def _link(settings: Settings, client: RedisClient | None) -> Link | None:
    """Return the way to the store, if there is one; raise ``ConfigurationError`` for two."""
    if settings.store is None and client is None:
        return None
    if settings.store is not None and client is not None:
        raise ConfigurationError(
            "DINGTALK_STORE is set, and DingTalk() was given a store as well",
            hint="remove one of the two",
        )
    from .store.link import link_by, link_to

    return link_by(client) if settings.store is None else link_to(settings.store)


def _check_secret_keys(app: Flask) -> None:
    fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or ()
    if isinstance(fallbacks, str | bytes):
        raise ConfigurationError("SECRET_KEY_FALLBACKS is not a list of texts", hint="use a list")
    for name, secret in (
        ("SECRET_KEY", app.config.get("SECRET_KEY")),
        *(("SECRET_KEY_FALLBACKS", secret) for secret in fallbacks),
    ):
        if not secret or not isinstance(secret, str | bytes):
            problem = "is a number, not a text" if isinstance(secret, int) else "is not set"
            raise ConfigurationError(f"{name} {problem}", hint=_SECRET_KEY_HINT)
