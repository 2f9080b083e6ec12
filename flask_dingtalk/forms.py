"""Whose form is it? The check that a POST comes from this site, and the proof of a sign-out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from flask import request
from werkzeug.exceptions import LengthRequired, MethodNotAllowed, RequestEntityTooLarge

from . import session
from .app_state import KeyRing, app_state, this_app
from .errors import NotPermitted
from .logs import facts
from .redirects import origin_of
from .signin import printable
from .urls import comes_from_trusted_origin

_log = logging.getLogger(__name__)

# The fields of our forms.
#: A state: from the page inside the DingTalk client, and from the QR code.
STATE: Final = "state"
#: The code that the DingTalk client gave.
CODE: Final = "code"
#: The session's own proof, for a sign-out.
PROOF: Final = "proof"

#: A form of this extension has a state and a code; nothing of it comes near this.
_MAX_BODY_BYTES: Final = 16 * 1024
#: What ``Origin`` says of a form whose site wants no referrer, and of one in a sandbox.
_OPAQUE: Final = "null"
_FOREIGN_HINT: Final = (
    "let a form of this site send it, or add the origin to DINGTALK_TRUSTED_ORIGINS if it is yours "
    "too; if this site did send it, a proxy in between hides the site's address: use "
    "werkzeug.middleware.proxy_fix.ProxyFix"
)
_OPAQUE_HINT: Final = (
    "on plain http, a browser hides the origin of a form where the site's Referrer-Policy is "
    "no-referrer: use the policy same-origin, or dingtalk_logout_button for the sign-out"
)


def require_own_post(is_proven: Callable[[], bool]) -> None:
    """Refuse anything but a POST (405), a large one (413) and one of another origin (403).

    The origin is told by Fetch Metadata (W3C), else by ``Origin`` (RFC 6454). Where a browser hides
    it, ``is_proven`` says whether the form itself shows that it is from here. A client that sends
    neither header is not a browser of these days, and has no cookie to misuse.
    """
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        # No browser sends a form in chunks, and its size would be known too late.
        raise LengthRequired
    if (request.content_length or 0) > _MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    if not _is_own(is_proven):
        origin = request.headers.get("Origin")
        error = NotPermitted(
            f"a POST from {printable(origin or 'another origin')!r}; this is {request.host_url}",
            hint=_OPAQUE_HINT if origin == _OPAQUE else _FOREIGN_HINT,
        )
        _log.warning("DingTalk: %s", error.log_message, extra=facts("form_refused", error))
        raise error


def _is_own(is_proven: Callable[[], bool]) -> bool:
    if comes_from_trusted_origin():
        return True
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    if origin == _OPAQUE:
        return is_proven()
    known = origin_of(origin)
    return known is not None and known == origin_of(request.host_url)


def has_state() -> bool:
    """Tell whether the form carries a state of this application.

    Whether it is one of this browser is for those to say who make use of it.
    """
    return _ring().state.open(request.form.get(STATE, "")) is not None


def has_proof() -> bool:
    """Tell whether the form carries a proof that a page of this session gave out."""
    proven = _ring().proof.open(request.form.get(PROOF, ""))
    if proven is None:
        return False
    login = session.current_login()
    # With nobody signed in there is nothing to lose, and the page may be older than a sign-out in
    # another tab.
    return login is None or compare_digest(proven, login.id.encode())


def sign_out_proof() -> str:
    """Return the proof for a sign-out form of this session: who is signed in, sealed."""
    login = session.current_login()
    return _ring().proof.seal(b"" if login is None else login.id.encode())


def _ring() -> KeyRing:
    return app_state().key_ring(this_app())
