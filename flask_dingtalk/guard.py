"""Who is signed in, and may they: ``current_dingtalk_user``, ``login_required``, ``protect``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, overload

from flask import Blueprint, Flask, Response, current_app, has_request_context, request

from . import page_cache, policy, session
from .api.models import AnonymousUser, DingTalkUser, UserProxy
from .errors import DingTalkError, FieldNotKept, NotPermitted, OrganisationNotAllowed
from .logs import facts, level_of
from .mistakes import note_guarded
from .responses import is_navigation, json_response
from .revalidation import still_signed_in
from .signin import warming_up
from .urls import current_url, is_in_app, login_url, login_url_for_scripts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_log = logging.getLogger(__name__)

Rule = Callable[[DingTalkUser], bool]
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
View = TypeVar("View", bound=Callable[..., Any])

_NOBODY: Final = AnonymousUser()
#: The attribute that marks a view as exempt. ``functools.wraps`` copies it to decorated views.
_EXEMPT: Final = "_dingtalk_exempt"
_ANSWERING_KEY: Final = "flask_dingtalk.answering"


def _current_user() -> DingTalkUser | AnonymousUser:
    login = session.current_login() if has_request_context() else None
    return login.user if login is not None else _NOBODY


#: The user signed in on this request; false, with every field ``None``, when nobody is. Typed as
#: the user, since that is what a guarded view finds.
current_dingtalk_user = cast(DingTalkUser, UserProxy(_current_user))


@overload
def login_required(view: View, /) -> View: ...


@overload
def login_required(
    *, corp_ids: Collection[str] | None = None, check: Rule | None = None
) -> Callable[[View], View]: ...


def login_required(
    view: Callable[..., Any] | None = None,
    /,
    *,
    corp_ids: Collection[str] | None = None,
    check: Rule | None = None,
) -> Callable[..., Any]:
    """Guard a view: only somebody who is signed in gets to it.

    ``corp_ids`` admits only users who signed in as one of these organisations (needs the scope
    ``openid corpid``). ``check`` is a function of the user that returns ``True`` to admit them and
    ``False`` not to; any other answer is a ``TypeError``. Users whom one of the two does not admit
    get 403. Works for plain and ``async`` views, and for class-based ones through ``decorators``.
    Stands between the route and the view: ``@app.get("/")`` first.
    """
    guard = Guard(corp_ids, check)
    if view is None:
        return guard.wrap
    if not callable(view):
        raise TypeError(
            "login_required takes corp_ids and check by name: login_required(corp_ids=…)"
        )
    return guard.wrap(view)


class Guard:
    """One rule, checked before the view is called."""

    __slots__ = ("_check", "_corp_ids")

    def __init__(self, corp_ids: Collection[str] | None, check: Rule | None) -> None:
        if isinstance(corp_ids, str):
            raise TypeError("corp_ids takes a list of corp ids, not one text")
        if corp_ids is not None and not corp_ids:
            raise ValueError("corp_ids is empty, which would admit nobody")
        if inspect.iscoroutinefunction(check):
            raise TypeError("check has to be a plain function, not an async one")
        self._corp_ids = None if corp_ids is None else frozenset(corp_ids)
        self._check = check

    def wrap(self, view: View) -> View:
        """Return ``view`` behind this guard."""
        if inspect.iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                if page_cache.EXTENSION_KEY in current_app.extensions:
                    page_cache.refuse_to_keep_an_async_view(guarded_async)
                refused = self._refused()
                return await view(*args, **kwargs) if refused is None else refused

            note_guarded(view, guarded_async)
            return cast(View, guarded_async)

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            refused = self._refused()
            return view(*args, **kwargs) if refused is None else refused

        note_guarded(view, guarded)
        return cast(View, guarded)

    def _refused(self) -> Any:
        """Return what the guarded function returns instead of calling the view, or ``None``."""
        environ = request.environ
        # Flask-SocketIO leaves the app in there, and its events have a namespace.
        if "flask.app" in environ and hasattr(request, "namespace"):
            return self._refusal_of_event(environ)
        return self.refusal(environ)

    def _refusal_of_event(self, environ: WSGIEnvironment) -> dict[str, Any] | bool | None:
        """Return what Flask-SocketIO sends to the client's callback, or ``None`` to go on.

        ``False`` refuses a connection. Anything else would be a yes, and an exception would leave
        it half open.
        """
        try:
            if self.refusal(environ) is None:
                return None
            content = _login_required()
        except DingTalkError as error:
            content = error.data
        event: dict[str, Any] = getattr(request, "event", {})
        return content if event.get("message") != "connect" else False

    def refusal(self, environ: WSGIEnvironment | None = None) -> Response | None:
        """Return the response for an anonymous visitor, or ``None`` to let the request through.

        Raises ``OrganisationNotAllowed`` or ``NotPermitted`` for somebody who is signed in but not
        admitted.
        """
        login = session.login_for_guard(request.environ if environ is None else environ)
        if login is not None:
            login = still_signed_in(login)
        if login is None:
            return _sign_in_first()
        if self._corp_ids is None and self._check is None:
            return None
        try:
            self._admit(login.user)
        except DingTalkError as error:
            _log.log(
                level_of(error),
                "DingTalk user refused at %r: %s",
                request.path,
                error.log_message,
                extra=facts("refused", error),
            )
            if isinstance(error, OrganisationNotAllowed | NotPermitted):
                # Retry on DingTalk's pages: the client always uses the same account.
                error.retry_url = login_url(current_url(), redirects=is_in_app())
            raise
        return None

    def refusal_without_raising(self) -> Response | None:
        """Return what ``refusal`` returns, and the response for what it raises."""
        try:
            return self.refusal()
        except DingTalkError as error:
            return _response_to(error)

    def _admit(self, user: DingTalkUser) -> None:
        if self._corp_ids is not None:
            policy.check_organisation(user, self._corp_ids)
        if self._check is None:
            return
        try:
            verdict: object = self._check(user)
        except FieldNotKept as error:
            raise NotPermitted(f"the rule of this view: {error.detail}", hint=error.hint) from None
        if verdict is False:
            raise NotPermitted(
                "the rule of this view does not admit the user",
                hint="look at the check of its guard; the user may sign in as somebody else",
            )
        if verdict is not True:
            # A tuple, a response or an awaitable is truthy and would admit everybody.
            if inspect.iscoroutine(verdict):
                verdict.close()
            found = "something to await" if inspect.isawaitable(verdict) else repr(type(verdict))
            raise TypeError(f"check has to return True or False, not {found}")


def _response_to(error: DingTalkError) -> Response:
    """Return what the site's own error handler makes of an error, or its usual page."""
    environ = request.environ
    if _ANSWERING_KEY in environ:
        # The error page itself may ask again, if its base template shows the user.
        return current_app.response_class(status=error.code)
    environ[_ANSWERING_KEY] = True
    try:
        return current_app.make_response(current_app.handle_http_exception(error))
    finally:
        del environ[_ANSWERING_KEY]


def refusal(
    *, corp_ids: Collection[str] | None = None, check: Rule | None = None
) -> Response | None:
    """Return the guard's answer as a function does; see ``DingTalk.refusal``."""
    return Guard(corp_ids, check).refusal_without_raising()


def exempt(view: View) -> View:
    """Mark a view that ``protect`` leaves open; see ``DingTalk.exempt``."""
    setattr(view, _EXEMPT, True)
    return view


def protect(
    scaffold: Flask | Blueprint,
    own: Blueprint,
    corp_ids: Collection[str] | None,
    check: Rule | None,
) -> None:
    """Guard every view of ``scaffold``, except static files, exempt views and those of ``own``."""
    guard = Guard(corp_ids, check)

    @scaffold.before_request
    def guard_every_view() -> Response | None:
        return None if _is_open(own) else guard.refusal()


def _is_open(own: Blueprint) -> bool:
    rule = request.url_rule
    if rule is None:
        # No view: Flask answers 404 or 405.
        return True
    if request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
        # Answered without calling the view; a browser asks it without cookies (CORS).
        return True
    view = current_app.view_functions.get(rule.endpoint)
    # A class's own mark: one that inherits from an open view is guarded unless it says so itself.
    if getattr(view, _EXEMPT, False) or _EXEMPT in vars(getattr(view, "view_class", object)):
        return True
    blueprints = [current_app.blueprints[name] for name in request.blueprints]
    if any(blueprint is own for blueprint in blueprints):
        return True
    if blueprints:
        return blueprints[0].has_static_folder and rule.endpoint == f"{request.blueprint}.static"
    return current_app.has_static_folder and rule.endpoint == "static"


def _sign_in_first() -> Response:
    if not is_navigation(request.environ):
        return sign_in_by_navigation()
    location = login_url(current_url())
    # With several workers the callback may hit a process that never served /login: warm up here
    # too. Some servers send no answer without a chunk of body.
    answer = current_app.response_class("Please sign in", 302, {"Location": location})
    return warming_up(answer)


def sign_in_by_navigation() -> Response:
    """Return the 401 that tells a script where to send its visitor to sign in."""
    answer = json_response(_login_required(), 401, current_app.response_class)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _login_required() -> dict[str, Any]:
    return {"error": "login_required", "login_url": login_url_for_scripts()}
