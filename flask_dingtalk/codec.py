"""A login in as few bytes as possible: JSON, deflated with a preset dictionary.

A cookie has little room, and the login in it is base64-encoded twice. With the dictionary,
DingTalk's names and the usual beginnings of values cost almost nothing. It is part of the format:
if you change it, increase ``seal.VERSION``.
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

#: The most frequent text comes last (zlib manual, deflateSetDictionary).
_DICTIONARY: Final = (
    b'"loginEmail":"null,"_left_out":["extension","remark"],"employee":{"userid":"","unionid":"'
    b'"user_id":"corp_id":"state_code":"avatar_url":"union_id":"open_id":"'
    b"@163.com@outlook.com@qq.com.png.jpg.com.cn0123456789abcdef"
    b"https://static.dingtalk.com/media/https://static-legacy.dingtalk.com/media/lQDPDhI"
    b'"more":{"corp_id":"ding"},"checked":0,"token":["{"raw":{"nick":"","unionId":"iEiE","avatarUrl":'
    b'"https://static-legacy.dingtalk.com/media/","openId":"iEiE","mobile":"1","stateCode":"86",'
    b'"email":"","visitor":false},"more":{},"id":"","since":17,"checked":0,"token":["",7200,null]}'
)
_RAW_DEFLATE: Final = -zlib.MAX_WBITS  # without header and checksum: the seal detects changes


def pack(login: Login) -> bytes:
    """Return ``login`` as bytes; raise ``TypeError`` if JSON cannot encode its raw profile."""
    user = login.user
    content: dict[str, Any] = {
        "raw": user.raw,
        "more": _fields_beyond_raw(user),
        "id": login.id,
        "since": login.since,
        # Shorter than an absolute time.
        "checked": login.checked_at - login.since,
    }
    if login.token is not None:
        content["token"] = _pack_token(login.token, login.since)
    if user.employee is not None:
        content["employee"] = user.employee.raw
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return deflate(text.encode(), _DICTIONARY)


def unpack(data: bytes) -> Login | None:
    """Return the login that ``pack`` packed, or ``None`` for anything else."""
    try:
        content = json.loads(inflate(data, _DICTIONARY))
        since = int(content["since"])
        token = content.get("token")
        return Login(
            id=str(content["id"]),
            user=_unpack_user(content),
            token=None if token is None else _unpack_token(token, since),
            since=since,
            checked_at=since + int(content["checked"]),
        )
    except (LookupError, ValueError, TypeError, OverflowError, RecursionError, zlib.error):
        return None


def pack_token(token: DingTalkToken) -> bytes:
    """Return ``token`` alone as bytes."""
    return deflate(json.dumps(_pack_token(token, 0), separators=(",", ":")).encode())


def unpack_token(data: bytes) -> DingTalkToken | None:
    """Return the token that ``pack_token`` packed, or ``None`` for anything else."""
    try:
        return _unpack_token(json.loads(inflate(data)), 0)
    except (ValueError, TypeError, OverflowError, RecursionError, zlib.error):
        return None


def _fields_beyond_raw(user: DingTalkUser) -> dict[str, Any]:
    """Return the fields that cannot be read from the raw profile."""
    from_raw = _user_from_raw(user.raw)
    fields = {name: getattr(user, name) for name in USER_FIELDS}
    if from_raw is None:
        return fields
    return {name: value for name, value in fields.items() if value != getattr(from_raw, name)}


def _unpack_user(content: dict[str, Any]) -> DingTalkUser:
    fields = dict(content["more"])
    if "employee" in content:
        fields["employee"] = Employee(content["employee"])
    from_raw = _user_from_raw(content["raw"])
    if from_raw is None:
        return DingTalkUser(**fields, raw=content["raw"])
    return replace(from_raw, **fields) if fields else from_raw


def _pack_token(token: DingTalkToken, since: int) -> list[Any]:
    expires_at = int(token.expires_at.timestamp()) - since
    return [token.access_token, token.refresh_token, expires_at, token.corp_id]


def _unpack_token(packed: list[Any], since: int) -> DingTalkToken:
    access_token, refresh_token, expires_at, corp_id = packed
    ends = datetime.fromtimestamp(since + expires_at, UTC)
    return DingTalkToken(access_token, refresh_token, ends, corp_id)


def deflate(data: bytes, dictionary: bytes = b"") -> bytes:
    """Compress ``data``; ``dictionary`` is text that it probably contains."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, zdict=dictionary)
    return compressor.compress(data) + compressor.flush()


def inflate(data: bytes, dictionary: bytes = b"") -> bytes:
    """Undo ``deflate``; raise ``zlib.error`` if ``data`` did not come from it."""
    return zlib.decompressobj(_RAW_DEFLATE, zdict=dictionary).decompress(data)


def _user_from_raw(raw: Any) -> DingTalkUser | None:
    try:
        return DingTalkUser.from_wire(raw)
    except (ValueError, AttributeError):
        return None
