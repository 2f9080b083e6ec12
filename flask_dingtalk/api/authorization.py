"""The request that begins a sign-in, as a URL or as arguments of the embedded QR code.

[obtain-identity-credentials]
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from . import wire

if TYPE_CHECKING:
    from ..settings import Settings


def authorize_url(settings: Settings, *, state: str, redirect_uri: str) -> str:
    """Return the URL of DingTalk's sign-in page for this ``state``.

    Each value is percent-encoded once, a space as ``%20``.
    """
    parameters = _parameters(settings, state, redirect_uri)
    separator = "&" if "?" in settings.authorize_url else "?"
    return settings.authorize_url + separator + urlencode(parameters, safe="", quote_via=quote)


def qr_parameters(settings: Settings, *, state: str, redirect_uri: str) -> dict[str, str]:
    """Return the second argument of ``window.DTFrameLogin``.

    Its script builds a URL from the values and encodes none of them, hence the encoded
    ``redirect_uri``.
    """
    return _parameters(settings, state, quote(redirect_uri, safe=""))


def _parameters(settings: Settings, state: str, redirect_uri: str) -> dict[str, str]:
    parameters = {
        wire.CLIENT_ID: settings.client_id,
        wire.REDIRECT_URI: redirect_uri,
        wire.RESPONSE_TYPE: wire.RESPONSE_TYPE_CODE,
        wire.SCOPE: settings.scope,
        wire.STATE: state,
        wire.PROMPT: wire.PROMPT_CONSENT,
    }
    if settings.corp_id:
        parameters[wire.CORP_ID] = settings.corp_id
    if settings.org_type:
        parameters[wire.ORG_TYPE] = settings.org_type
    if settings.exclusive_login:
        parameters[wire.EXCLUSIVE_LOGIN] = "true"
    if settings.exclusive_corp_id:
        parameters[wire.EXCLUSIVE_CORP_ID] = settings.exclusive_corp_id
    return parameters
