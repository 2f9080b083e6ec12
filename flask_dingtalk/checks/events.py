"""Whether the site answers events as DingTalk wants it, asked as DingTalk's console asks."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from flask import Flask

from ..api import wire
from ..errors import NotPermitted
from ..settings import Settings
from .findings import Console, Finding, Verdict

if TYPE_CHECKING:
    from ..api.event_push import EventCipher

_finding = partial(Finding, "events", "events by HTTP push")
#: Seconds; DingTalk waits as long. [event-subscription-and-data-push]
_PATIENCE = 2.5


def events_findings(
    app: Flask, settings: Settings, callback: str | None, base_url: str | None
) -> Iterator[Finding]:
    """Yield whether the route for events answers.

    With ``base_url`` it is asked over HTTP at that address, as DingTalk would; without one, within
    this process.
    """
    if settings.event_token is None or settings.event_aes_key is None:
        yield _finding(Verdict.OK, value="not set up")
        return
    if callback is None:
        # The routes are not registered, which is a finding already.
        return
    from ..api.event_push import EventCipher

    cipher = EventCipher(settings.event_token, settings.event_aes_key, settings.client_id)
    with app.test_request_context(base_url=_root(callback)):
        url = app.url_for("dingtalk.events", _external=True)
    try:
        status, body = _asked(app, cipher, url, over_http=base_url is not None)
    except Exception as error:  # whatever a site's own functions raise, or a connection
        yield _finding(
            Verdict.FAILED,
            value=url,
            problem=f"The site does not answer there: {type(error).__name__}.",
            cure="Open the address for DingTalk's servers, or use flask dingtalk listen.",
            console=Console.EVENTS,
        )
        return
    if status == 200 and _says_success(cipher, body):
        yield _finding(Verdict.OK, value=f"answered; register {url}")
        return
    yield _finding(
        Verdict.FAILED,
        value=url,
        problem=f"The site answers HTTP {status} and not what DingTalk wants to hear.",
        cure="Let nothing stand before that route: no sign-in, no check of forms, no redirect.",
        console=Console.EVENTS,
    )


def _asked(app: Flask, cipher: EventCipher, url: str, *, over_http: bool) -> tuple[int, bytes]:
    """Send the event with which DingTalk's console tries an address; return status and body."""
    message = json.dumps({wire.EVENT_TYPE: wire.EVENT_CHECK_URL}).encode()
    encrypted = cipher.encrypt(message)
    timestamp, nonce = str(int(time.time() * 1000)), secrets.token_hex(4)
    signature = cipher.sign(timestamp, nonce, encrypted)
    query = dict.fromkeys(wire.PUSH_SIGNATURES, signature)
    query |= {wire.PUSH_TIMESTAMP: timestamp, wire.PUSH_NONCE: nonce}
    content = {wire.PUSH_ENCRYPTED: encrypted}
    if over_http:
        import requests

        response = requests.post(
            f"{url}?{urlencode(query)}", json=content, timeout=_PATIENCE, allow_redirects=False
        )
        return response.status_code, response.content
    parts = urlsplit(url)
    answer = app.test_client().post(
        parts.path, query_string=query, json=content, base_url=f"{parts.scheme}://{parts.netloc}"
    )
    return answer.status_code, answer.data


def _root(callback: str) -> str:
    parts = urlsplit(callback)
    return f"{parts.scheme}://{parts.netloc}"


def _says_success(cipher: EventCipher, body: bytes) -> bool:
    try:
        content = json.loads(body)
        encrypted = content[wire.PUSH_ENCRYPTED]
        signature = cipher.sign(
            content[wire.PUSH_REPLY_TIMESTAMP], content[wire.PUSH_REPLY_NONCE], encrypted
        )
        decrypted = cipher.decrypt(encrypted)
    except (ValueError, KeyError, TypeError, AttributeError, NotPermitted):
        return False
    return bool(
        signature == content[wire.PUSH_REPLY_SIGNATURE] and decrypted == wire.PUSH_SUCCESS.encode()
    )
