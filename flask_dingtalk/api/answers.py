"""What DingTalk answered: the JSON object that it should be, or the error that it reports."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ..errors import DingTalkUnavailable
from .error_codes import error_in

if TYPE_CHECKING:
    from requests import Response

NONSENSE: Final = (
    "something else than DingTalk answered (a proxy, a wrong DINGTALK_API_BASE_URL), or DingTalk "
    "banned this server's address for five minutes"
)


def json_object(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer; raise ``DingTalkUnavailable`` if it is none."""
    content = _json(response)
    if not isinstance(content, dict):
        raise DingTalkUnavailable("DingTalk did not answer with a JSON object", hint=NONSENSE)
    return content


def raise_for_error(response: Response, client_id: str, secrets: Iterable[str]) -> None:
    """Raise the error that an answer reports; no text in it quotes one of the ``secrets``."""
    if 300 <= response.status_code < 400:
        raise DingTalkUnavailable(
            f"DingTalk answered HTTP {response.status_code}, a redirect", hint=NONSENSE
        )
    error = error_in(response.status_code, _json(response), client_id=client_id, secrets=secrets)
    if error is None:
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            # No API answers with a page; a ban of this address may, with status 200.
            raise DingTalkUnavailable("DingTalk answered with a web page", hint=NONSENSE)
        return
    raise error


def _json(response: Response) -> object:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None
