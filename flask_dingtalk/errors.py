"""What can go wrong, named by what one can do about it.

Each class is also the HTTP answer: nothing needs to be registered, and a site's own
``@app.errorhandler(DingTalkError)`` takes over the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypedDict, Unpack
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.urls import iri_to_uri

from .messages import CONTINUE, DECLINED, SIGNED_IN_ALREADY, ErrorText, Text, text_of
from .responses import (
    Site,
    error_page,
    json_response,
    waiting_page,
    wants_page,
    whole_seconds,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.wrappers import Response

#: Characters of a text from outside that go into a log line.
_MAX_TEXT: Final = 200


class Facts(TypedDict, total=False):
    """What every error can be made with, by keyword: the attributes of that name."""

    hint: str | None
    dingtalk_code: str | None
    dingtalk_message: str | None
    request_id: str | None
    retry_url: str | None


#: How somebody who is signed in already goes on from a callback with a state of this application:
#: by the page of the error, where this browser had that state, which was used or has expired; by a
#: redirect, where the state may be another browser's.
GoesOn = Literal["page", "redirect"]


class DingTalkError(HTTPException):
    """The base of every error of this extension; renders itself as a page or as JSON.

    ``detail`` says what happened, for developers. ``log_message`` shows it with everything else
    that they need and never reaches a visitor. ``title`` and ``message`` are for visitors, in the
    visitor's language. So is ``description``, which handlers for ``HTTPException`` like to show.

    ``str()`` is ``title`` and ``message`` while a request is being served, since frameworks send
    it to clients. Anywhere else (at start, in a job, in a shell) it is ``log_message``: there only
    developers read it, in tracebacks.
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
    #: The target of the page's link for another try; ``None`` is the page itself.
    retry_url: str | None

    #: Whom errors ask about the request that is being served; the same for all of them.
    _site: ClassVar[Site] = Site()

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
        super().__init__()
        if self.code is None:
            # Flask answers 200 for an exception without a status.
            self.code = 500
        #: What happened, for developers.
        self.detail = detail
        self.hint = hint
        self.dingtalk_code = dingtalk_code
        self.dingtalk_message = dingtalk_message
        self.request_id = request_id
        self.retry_url = retry_url

    @property
    def title(self) -> str:
        """What happened, in some words, for the visitor; English outside of a request."""
        return self._text().title.in_(self._site.language())

    @property
    def message(self) -> str:
        """What it means and what to do, for the visitor; English outside of a request."""
        return self._text().message.in_(self._site.language())

    @property
    def description(self) -> str:  # type: ignore[override]  # only read, by handlers
        """The ``message``, under the name that Werkzeug has for it."""
        return self.message

    @property
    def data(self) -> dict[str, Any]:
        """The JSON answer, under the name by which Flask-RESTX and Flask-RESTful look for it."""
        return {"error": self.error_code, "message": self.message}

    @property
    def log_message(self) -> str:
        """What the log says: what happened, what DingTalk said, and what to do about it."""
        said = [self.detail or text_of(self.error_code).title.en]
        if self.dingtalk_code is not None:
            said.append(f"DingTalk answered {self.dingtalk_code}: {self.dingtalk_message}")
        if self.request_id is not None:
            said.append(f"request id {self.request_id}")
        if self.hint is not None:
            said.append(f"Hint: {self.hint}")
        return f"{self.error_code}: " + " | ".join(said)

    def __str__(self) -> str:
        if self._site.serves_request():
            return f"{self.title}: {self.message}"
        return self.log_message

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.log_message}>"

    def _text(self) -> ErrorText:
        return text_of(self.error_code)

    def get_response(
        self, environ: Any = None, scope: dict[str, Any] | None = None
    ) -> Response | Any:
        """Build the page or JSON for the client of this WSGI environment or request."""
        environ = getattr(environ, "environ", environ) or {"REQUEST_METHOD": "GET"}
        if wants_page(environ):
            return self._page(environ)
        response = json_response(self.data, self.code or 500)
        response.headers["Vary"] = "Accept, Accept-Language"
        response.headers["Cache-Control"] = "no-store"
        return response

    def _page(self, environ: WSGIEnvironment) -> Response:
        return error_page(
            self._site,
            environ,
            self.code or 500,
            error_code=self.error_code,
            title=self.title,
            message=self.message,
            retry_url=self.retry_url,
            retry=self._retry(),
            log_message=self.log_message,
        )

    def _retry(self) -> Text | None:
        """Return what the page's link says; ``None`` leaves that to the page."""
        return None


class InvalidState(DingTalkError):
    """The state is missing, unknown, expired, used, or from another browser.

    ``target`` is where the sign-in would have led, for another try. ``continue_url`` is set for a
    visitor who is signed in already: the page says so and goes on there by itself. ``goes_on`` says
    how such a visitor may go on, if at all.
    """

    code = 400
    error_code = "invalid_state"
    #: Where a visitor who is signed in already goes on.
    continue_url: str | None = None

    def __init__(
        self,
        detail: str = "",
        *,
        target: str | None = None,
        goes_on: GoesOn | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(detail, **facts)
        #: Where the sign-in would have led.
        self.target = target
        #: ``"page"``, ``"redirect"`` or ``None``: how a visitor who is signed in may go on.
        self.goes_on = goes_on

    def _text(self) -> ErrorText:
        return super()._text() if self.continue_url is None else SIGNED_IN_ALREADY

    def _retry(self) -> Text | None:
        return None if self.continue_url is None else CONTINUE

    def _page(self, environ: WSGIEnvironment) -> Response:
        response = super()._page(environ)
        if self.continue_url is not None:
            # HTML Standard, section 7.4.6 (the Refresh header).
            response.headers["Refresh"] = f"0; url={iri_to_uri(self.continue_url)}"
        return response


class AccessDenied(DingTalkError):
    """The user declined, or DingTalk called back with another ``error``.

    ``declined`` says which, for the text that the visitor gets.
    """

    code = 403
    error_code = "access_denied"

    def __init__(self, detail: str = "", *, declined: bool = False, **facts: Unpack[Facts]) -> None:
        super().__init__(detail, **facts)
        #: Whether the visitor declined, or something else went wrong at DingTalk.
        self.declined = declined

    def _text(self) -> ErrorText:
        return DECLINED if self.declined else super()._text()


class InvalidCode(DingTalkError):
    """DingTalk does not know the code (used, expired or made up), or there was none."""

    code = 400
    error_code = "invalid_code"


class LoginRequired(DingTalkError):
    """Nobody is signed in, and the call has to be made as a user.

    ``login_url`` is where a script sends the visitor, for the JSON answer; a page has
    ``retry_url``, which may lead back to that page.
    """

    code = 401
    error_code = "login_required"

    def __init__(
        self, detail: str = "", *, login_url: str | None = None, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(detail, **facts)
        #: Where a script sends the visitor.
        self.login_url = login_url

    @property
    def data(self) -> dict[str, Any]:
        """The JSON answer, with ``login_url``."""
        login_url = self.login_url or self.retry_url
        return super().data | ({"login_url": login_url} if login_url else {})


class OrganisationNotAllowed(DingTalkError):
    """The settings do not admit the user's organisation."""

    code = 403
    error_code = "organisation_not_allowed"


class NotPermitted(DingTalkError):
    """A guard's own rule said no."""

    code = 403
    error_code = "not_permitted"


class ConfigurationError(DingTalkError):
    """A setting, or the application's set-up in DingTalk's console, is wrong."""

    code = 500
    error_code = "configuration_error"


class FieldNotKept(ConfigurationError):
    """A field was read that did not fit into the session cookie."""


class _RetryAfter(HTTPException):
    """What may be asked for again; ``retry_after`` is the number of seconds to wait."""

    retry_after: float

    def get_response(
        self, environ: Any = None, scope: dict[str, Any] | None = None
    ) -> Response | Any:
        """Build the page or JSON, with ``Retry-After`` (RFC 9110, section 10.2.3)."""
        response = super().get_response(environ, scope)
        response.headers["Retry-After"] = str(whole_seconds(self.retry_after))
        return response


class RateLimited(_RetryAfter, DingTalkError):
    """DingTalk throttles; ``retry_after`` is the number of seconds to wait.

    With ``reload_after``, in seconds, waiting is all that the visitor has to do: a browser gets a
    page that loads itself again after that time, or ``reload_url`` if there is one.
    """

    code = 503
    error_code = "rate_limited"

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float = 1,
        reload_after: float | None = None,
        reload_url: str | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(detail, **facts)
        #: Seconds until it is worth another try.
        self.retry_after = retry_after
        #: Seconds until the page loads itself again; ``None``: it does not.
        self.reload_after = reload_after
        #: What it loads then; ``None`` is the page itself.
        self.reload_url = reload_url

    def _page(self, environ: WSGIEnvironment) -> Response:
        # What a form posted cannot be loaded again.
        reloadable = self.reload_url is not None or environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if self.reload_after is None or not reloadable:
            return super()._page(environ)
        return waiting_page(
            self._site,
            self.code or 503,
            error_code=self.error_code,
            seconds=self.reload_after,
            url=self.reload_url,
            start_over_url=self.retry_url,
            log_message=self.log_message,
        )


class StoreUnavailable(_RetryAfter, DingTalkError):
    """The store of sign-ins cannot be reached; ``retry_after`` is the number of seconds to wait.

    Nobody is let in, and nothing is lost: the session stays as it is, and no code is spent.
    """

    code = 503
    error_code = "store_unavailable"

    def __init__(self, detail: str = "", *, retry_after: float = 1, **facts: Unpack[Facts]) -> None:
        super().__init__(detail, **facts)
        #: Seconds until it is worth another try.
        self.retry_after = retry_after


class DingTalkUnavailable(DingTalkError):
    """DingTalk cannot be reached, or what it sent makes no sense; 504 for a timeout."""

    code = 502
    error_code = "dingtalk_unavailable"

    def __init__(
        self, detail: str = "", *, timed_out: bool = False, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(detail, **facts)
        if timed_out:
            self.code = 504


class DingTalkAPIError(DingTalkError):
    """Any other error that a call of a DingTalk API answered."""

    code = 502
    error_code = "api_error"


def serve_errors_of(site: Site) -> None:
    """Let errors ask ``site`` about the request that is being served; ``flask_site`` calls it."""
    DingTalkError._site = site


def describe(error: BaseException) -> str:
    """Return one line for the log about any exception, a site's own included.

    Of an exception that is not from here it says what kind it is, and nothing that may be private.
    """
    if isinstance(error, DingTalkError):
        return error.log_message
    if not isinstance(error, HTTPException):
        return f"{type(error).__module__}.{type(error).__qualname__}"
    if error.response is not None:
        location = error.response.headers.get("Location")
        where = "" if location is None else f" to {_path(location)}"
        return f"the site answered {error.response.status_code}{where}"
    line = f"{type(error).__name__}, HTTP {error.code}"
    # What the site wrote itself, and not Werkzeug's usual words for this status.
    if error.description and error.description != type(error).description:
        line += f": {_printable(error.description)}"
    return line


def _path(location: str) -> str:
    # Without the query, in which a site may carry whatever it likes.
    try:
        return _printable(urlsplit(location).path or "/")
    except ValueError:
        return "another address"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT])
