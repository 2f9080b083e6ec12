"""A signed-in user as few bytes: JSON, deflated with a dictionary of what all of them share.

A cookie pays for each byte twice (it is base64 in base64), hence the dictionary: DingTalk's names
and the usual beginnings cost next to nothing. It is part of the format: a change of it needs
another ``seal.VERSION``.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from .api.employee import Employee
from .api.models import USER_FIELDS, DingTalkToken, DingTalkUser
from .login import Login

#: What occurs most stands last (zlib manual, deflateSetDictionary).
_DICTIONARY: Final = (
    b'"loginEmail":"null,"employee":"user_id":"corp_id":"state_code":"avatar_url":"union_id":"open_id":"'
    b"@163.com@outlook.com@qq.com.png.jpg.com.cn0123456789abcdef"
    b"https://static.dingtalk.com/media/https://static-legacy.dingtalk.com/media/lQDPDhI"
    b'],{},[{"corp_id":"ding"],{"corp_id":"ding[{"nick":"","unionId":"iEiE","avatarUrl":"https://'
    b'static-legacy.dingtalk.com/media/","openId":"iEiE","mobile":"1","stateCode":"86","email":"'
    b'","visitor":false},{},["'
)
_RAW_DEFLATE: Final = -zlib.MAX_WBITS  # no header and no checksum: the seal has its own


def pack(signed_in: Login) -> bytes:
    """Return ``signed_in`` as bytes; raise ``TypeError`` if ``raw`` holds what JSON cannot."""
    user, token = signed_in.user, signed_in.token
    # Most fields stand in the raw profile already.
    derived = _from_raw(user.raw)
    others = {
        name: value
        for name in USER_FIELDS
        if (value := getattr(user, name)) != (derived and getattr(derived, name))
    }
    tokens = token and [
        token.access_token,
        token.refresh_token,
        int(token.expires_at.timestamp()),
        token.corp_id,
    ]
    content = [user.raw, others, tokens, signed_in.checked_at]
    if user.employee is not None:
        content.append(user.employee.raw)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return deflate(text.encode(), _DICTIONARY)


def unpack(data: bytes) -> Login | None:
    """Return what ``pack`` packed, or ``None`` for anything else."""
    try:
        raw, others, tokens, checked_at, *employee = json.loads(inflate(data, _DICTIONARY))
        if employee:
            others["employee"] = Employee(employee[0])
        derived = _from_raw(raw)
        if derived is None:
            user = DingTalkUser(**others, raw=raw)
        else:
            user = replace(derived, **others) if others else derived
        token = None
        if tokens is not None:
            access_token, refresh_token, expires_at, corp_id = tokens
            token = DingTalkToken(
                access_token, refresh_token, datetime.fromtimestamp(expires_at, UTC), corp_id
            )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error):
        return None
    return Login(user, token, checked_at)


def deflate(data: bytes, dictionary: bytes = b"") -> bytes:
    """Compress, given what the data is likely to hold."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, zdict=dictionary)
    return compressor.compress(data) + compressor.flush()


def inflate(data: bytes, dictionary: bytes = b"") -> bytes:
    """Undo ``deflate``; raise ``zlib.error`` if that is not what ``data`` is."""
    return zlib.decompressobj(_RAW_DEFLATE, zdict=dictionary).decompress(data)


def _from_raw(raw: Any) -> DingTalkUser | None:
    try:
        return DingTalkUser.from_wire(raw)
    except ValueError:
        return None
