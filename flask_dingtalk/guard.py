"""Who is here, and may they: ``current_dingtalk_user``, ``login_required``, ``protect``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from flask import Blueprint, Flask, Response, current_app, has_request_context, request

from . import policy, session
from .api.models import AnonymousUser, DingTalkUser, UserProxy
from .errors import DingTalkError, NotPermitted
from .responses import is_navigation, json_response
from .revalidation import still_signed_in
from .signin import here, inside_client, login_url, warming_up

Rule = Callable[[DingTalkUser], bool]
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
View = TypeVar("View", bound=Callable[..., Any])

_NOBODY: Final = AnonymousUser()


def _current_user() -> DingTalkUser | AnonymousUser:
    present = session.signed_in() if has_request_context() else None
    return present.user if present is not None else _NOBODY


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
    ``openid corpid``); ``check`` is a function of the user that says whether to admit them. Whom
    one of the two does not admit gets 403. Plain and ``async`` views, and class-based ones through
    ``decorators``. Stands between the route and the view: ``@app.get("/")`` first.
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
            # Its coroutine would be true for everybody.
            raise TypeError("check has to be a plain function, not an async one")
        self._corp_ids = None if corp_ids is None else frozenset(corp_ids)
        self._check = check

    def wrap(self, view: View) -> View:
        """Return ``view`` behind this guard."""
        if inspect.iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                refusal = self.refusal()
                return await view(*args, **kwargs) if refusal is None else refusal

            return cast(View, guarded_async)

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            refusal = self.refusal()
            return view(*args, **kwargs) if refusal is None else refusal

        return cast(View, guarded)

    def refusal(self) -> Response | None:
        """Return the answer for who is not signed in, ``None`` for who may go on.

        Raises ``OrganisationNotAllowed`` or ``NotPermitted`` for who is signed in but not admitted.
        """
        present = session.signed_in()
        if present is not None:
            present = still_signed_in(present)
        if present is None:
            return _sign_in_first()
        try:
            if self._corp_ids is not None:
                policy.check_organisation(present.user, self._corp_ids)
            verdict: object = True if self._check is None else self._check(present.user)
            if inspect.isawaitable(verdict):
                # It would be true for everybody: an async method, or a function that returns one's.
                raise TypeError("check has to answer true or false, not something to await")
            if not verdict:
                raise NotPermitted(
                    "the rule of this view does not admit the user",
                    hint="look at the check of its guard; the user may sign in as somebody else",
                )
        except DingTalkError as error:
            current_app.logger.warning(
                "DingTalk user refused at %r: %s", request.path, error.log_message
            )
            # Another try is another organisation or account, which the client does not ask for.
            error.retry_url = login_url(here(), redirects=inside_client())
            raise
        return None


def protect(
    scaffold: Flask | Blueprint,
    own: Blueprint,
    corp_ids: Collection[str] | None,
    check: Rule | None,
) -> None:
    """Guard every view of ``scaffold``, except static files and the blueprint ``own``."""
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
    blueprints = [current_app.blueprints[name] for name in request.blueprints]
    if any(blueprint is own for blueprint in blueprints):
        return True
    if blueprints:
        return blueprints[0].has_static_folder and rule.endpoint == f"{request.blueprint}.static"
    return current_app.has_static_folder and rule.endpoint == "static"


def _sign_in_first() -> Response:
    if is_navigation(request.environ):
        # The callback may come to this process without the login having made it ready.
        return warming_up(Response(status=302, headers={"Location": login_url(here())}))
    content = {"error": "login_required", "login_url": login_url(None)}
    answer = json_response(content, 401, current_app.response_class)
    answer.headers["Cache-Control"] = "no-store"
    return answer
