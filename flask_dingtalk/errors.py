"""What can go wrong, named by what one can do about it.

Each class is also the HTTP answer: nothing needs to be registered, and a site's own
``@app.errorhandler(DingTalkError)`` takes over the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.exceptions import HTTPException

from .messages import text_of
from .responses import error_response

if TYPE_CHECKING:
    from werkzeug.wrappers import Response


class DingTalkError(HTTPException):
    """The base of every error of this extension; renders itself as a page or as JSON.

    ``detail`` says what happened, for developers: it is what ``str()`` shows, with the ``hint``,
    and never reaches a visitor. ``description``, which handlers for ``HTTPException`` like to show,
    is the text for visitors.
    """

    # None here, so that a handler for this class reaches subclasses of every status.
    code: int | None = None
    #: The short name of this error in JSON and on pages.
    error_code: ClassVar[str] = "dingtalk_error"

    #: What the developer should do, for the log.
    hint: str | None
    #: The code that DingTalk answered, where it did; a code of the old API as text.
    dingtalk_code: str | None
    #: What DingTalk said to it.
    dingtalk_message: str | None
    #: DingTalk's id of the request, for a question to its support.
    request_id: str | None
    #: Whether a code or refresh token that was sent may have been used up.
    spent: bool
    #: Where the page's "try again" leads; ``None`` is the page itself.
    retry_url: str | None

    def __init__(
        self,
        detail: str = "",
        *,
        hint: str | None = None,
        dingtalk_code: str | None = None,
        dingtalk_message: str | None = None,
        request_id: str | None = None,
        retry_url: str | None = None,
    ) -> None:
        super().__init__(text_of(self.error_code).message.en)
        if self.code is None:
            # Flask answers 200 for an exception without a status.
            self.code = 500
        self.detail = detail
        self.hint = hint
        self.dingtalk_code = dingtalk_code
        self.dingtalk_message = dingtalk_message
        self.request_id = request_id
        self.spent = False
        self.retry_url = retry_url

    def __str__(self) -> str:
        said = [self.detail or text_of(self.error_code).title.en]
        if self.dingtalk_code is not None:
            said.append(f"DingTalk answered {self.dingtalk_code}: {self.dingtalk_message}")
        if self.request_id is not None:
            said.append(f"request id {self.request_id}")
        if self.hint is not None:
            said.append(f"Hint: {self.hint}")
        return f"{self.error_code}: " + " | ".join(said)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def get_response(
        self, environ: Any = None, scope: dict[str, Any] | None = None
    ) -> Response | Any:
        """Build the page or JSON for the client of this WSGI environment or request."""
        environ = getattr(environ, "environ", environ) or {"REQUEST_METHOD": "GET"}
        return error_response(environ, self.code or 500, self.error_code, self.retry_url)


class InvalidState(DingTalkError):
    """The state is missing, unknown, expired, used, or from another browser."""

    code = 400
    error_code = "invalid_state"

    #: Where the sign-in would have led, for another try.
    target: str | None = None


class AccessDenied(DingTalkError):
    """The user declined, or DingTalk called back with ``error``."""

    code = 403
    error_code = "access_denied"


class InvalidCode(DingTalkError):
    """DingTalk does not know the code: used, expired or made up; or there was none."""

    code = 400
    error_code = "invalid_code"


class LoginRequired(DingTalkError):
    """Nobody is signed in, and what was asked for is done as the signed-in user."""

    code = 401
    error_code = "login_required"


class OrganisationNotAllowed(DingTalkError):
    """The user's organisation is not among those that may come in."""

    code = 403
    error_code = "organisation_not_allowed"


class NotPermitted(DingTalkError):
    """A guard's own rule said no."""

    code = 403
    error_code = "not_permitted"


class ConfigurationError(DingTalkError):
    """A setting, or the application in DingTalk's console, is not as it has to be."""

    code = 500
    error_code = "configuration_error"


class FieldNotKept(ConfigurationError):
    """A field of the record was left out of the session cookie, and is asked for."""


class RateLimited(DingTalkError):
    """DingTalk throttles; ``retry_after`` is the number of seconds to wait."""

    code = 503
    error_code = "rate_limited"

    def __init__(self, detail: str = "", *, retry_after: int = 1, **facts: Any) -> None:
        super().__init__(detail, **facts)
        self.retry_after = retry_after
        self.reload_after: int | None = None
        self.reload_url: str | None = None

    def get_response(
        self, environ: Any = None, scope: dict[str, Any] | None = None
    ) -> Response | Any:
        """Build the page or JSON, with ``Retry-After`` (RFC 9110, section 10.2.3)."""
        response = super().get_response(environ, scope)
        response.headers["Retry-After"] = str(self.retry_after)
        if self.reload_after is not None and response.mimetype == "text/html":
            where = "" if self.reload_url is None else f"; url={self.reload_url}"
            response.headers["Refresh"] = f"{self.reload_after}{where}"
        return response


class DingTalkUnavailable(DingTalkError):
    """DingTalk cannot be reached, or what it sent makes no sense; 504 for a timeout."""

    code = 502
    error_code = "dingtalk_unavailable"

    def __init__(self, detail: str = "", *, timed_out: bool = False, **facts: Any) -> None:
        super().__init__(detail, **facts)
        if timed_out:
            self.code = 504


class DingTalkAPIError(DingTalkError):
    """Any other error that a call of a DingTalk API answered."""

    code = 502
    error_code = "api_error"
