"""Render ``docs/reference/dingtalk-codes.md``: ``python docs/dingtalk_codes.py > …``."""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from flask_dingtalk.api.error_codes import NEW_API, OLD_API, Row
from flask_dingtalk.api.wire import PERMISSION_APPLY_URL
from flask_dingtalk.errors import RateLimited

_INTRODUCTION: Final = """\
<!-- Written by docs/dingtalk_codes.py from flask_dingtalk/api/error_codes.py; do not edit. -->

# DingTalk's error codes

What an error code of DingTalk becomes in a site that uses Flask-DingTalk, and what cures it. The
code stands in the site's log after "DingTalk answered", and in the error's `dingtalk_code`. The
[table of errors](errors.md) says what the visitor sees of each.

Of codes that the tables do not list, HTTP 429 becomes `rate_limited`, 500 and more
`dingtalk_unavailable` (`system.busy` comes with either), anything else `api_error`. An error
without a code is `dingtalk_unavailable`. A ban of the server's address is `rate_limited` with 300
seconds where DingTalk says so in JSON; where it sends a web page instead, a sign-in ends in
`dingtalk_unavailable`. A `Retry-After` header (DingTalk documents none) takes the place of the
seconds that the tables list.
"""
_NEW: Final = """
## The new API, `api.dingtalk.com`

It answers HTTP 4xx or 5xx and a JSON object with `code`. Where a refresh token was sent, what is
listed as `invalid_code`, and what comes with HTTP 400 and is listed as `api_error`, becomes
`login_required`: that token is of no use any more, and the user has to sign in again.
"""
_OLD: Final = """
## The old API, `oapi.dingtalk.com`

It answers HTTP 200 and a JSON object with `errcode`; where that is 88, the code is in `sub_code`.
The new API answers some wrong calls in this way too.
"""
_HEADER: Final = """
| code | error | seconds in `Retry-After` | cure |
|---|---|---|---|
"""


def render() -> str:
    """Return the page."""
    return "".join(
        (_INTRODUCTION, _NEW, _HEADER, *_lines(NEW_API), _OLD, _HEADER, *_lines(OLD_API))
    )


def _lines(table: Mapping[str, Row] | Mapping[int, Row]) -> Iterable[str]:
    """Yield one line for each cure, with all the codes that it belongs to."""
    codes: dict[Row, list[str]] = {}
    for code, row in table.items():
        codes.setdefault(row, []).append(f"`{code}`")
    apply = PERMISSION_APPLY_URL.format(client_id="<Client ID>", permission="<permission>")
    for row, names in codes.items():
        cure = row.hint.format(
            permissions="that DingTalk's message names", apply=f"`{apply}`", request_message=""
        )
        wait = row.retry_after if issubclass(row.error, RateLimited) else "–"
        yield f"| {', '.join(names)} | `{row.error.error_code}` | {wait} | {cure} |\n"


if __name__ == "__main__":
    sys.stdout.write(render())
