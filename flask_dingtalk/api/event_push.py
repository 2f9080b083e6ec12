"""Open what DingTalk pushes by HTTP, and seal what it wants to hear.

AES-256-CBC below a SHA-1 signature, as DingTalk prescribes. The signature is checked before
anything is decrypted, so that the padding tells nothing to anybody who does not know the token.
[callback-event-message-body-encryption-and-decryption]
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import string
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ..errors import NotPermitted
from . import wire
from .events import Event

#: Bytes of a body. An event that names a thousand people has a tenth of this.
MAX_BODY: Final = 1024 * 1024
#: Seconds by which the time of a push may differ from ours: later, it may be a replay.
MAX_AGE: Final = 3600
_RANDOM_BYTES: Final = 16
_LENGTH_BYTES: Final = 4
#: Of the padding. Twice as long as those of AES.
_BLOCK: Final = 32
_AES_BLOCK: Final = 16
_NONCE_LENGTH: Final = 16
#: Digits; a time in milliseconds has 13.
_MAX_TIMESTAMP: Final = 16
_ALPHANUMERIC: Final = string.ascii_letters + string.digits
_TOKEN_HINT: Final = (
    "DINGTALK_EVENT_TOKEN has to be the 签名 token of 开发配置 > 事件订阅 in DingTalk's console. "
    "If it is, somebody else sent this"
)
_CLOCK_HINT: Final = "set the clock of this machine; if it is right, this was a replay"
_KEY_HINT: Final = (
    "DINGTALK_EVENT_AES_KEY has to be the 加密 aes_key of 开发配置 > 事件订阅 in DingTalk's console"
)
_OWNER_HINT: Final = (
    "DINGTALK_CLIENT_ID has to be the Client ID of the application whose events are pushed here"
)


class MalformedPush(ValueError):
    """A request that is not a push of DingTalk's; the text says why, and repeats nothing of it."""


class EventCipher:
    """Encrypts and signs messages between DingTalk and one application.

    ``token`` and ``aes_key`` are those of the console, and ``owner`` is the Client ID.
    """

    __slots__ = ("_key", "_owner", "_token")

    def __init__(self, token: str, aes_key: str, owner: str) -> None:
        self._token = token
        # The last of its 43 characters has two bits too many, which this decoder ignores.
        self._key = b64decode(aes_key + "=")
        self._owner = owner.encode()

    def sign(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """Return the signature of an encrypted message."""
        text = "".join(sorted((self._token, timestamp, nonce, encrypted)))
        content = text.encode("utf-8", "surrogatepass")
        # SHA-1 is what DingTalk signs with.
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()

    def encrypt(self, message: bytes, random: bytes | None = None) -> str:
        """Encrypt a message, after 16 random bytes."""
        random = os.urandom(_RANDOM_BYTES) if random is None else random
        plain = random + len(message).to_bytes(_LENGTH_BYTES) + message + self._owner
        padding = _BLOCK - len(plain) % _BLOCK
        encryptor = self._cipher().encryptor()
        data = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
        return b64encode(data).decode("ascii")

    def decrypt(self, encrypted: str) -> bytes:
        """Decrypt a message whose signature was checked.

        Raises ``MalformedPush`` if it is not even a cipher text, and ``NotPermitted`` if the key
        does not fit or it was meant for another application.
        """
        try:
            data = b64decode("".join(encrypted.split()), validate=True)
        except ValueError:
            raise MalformedPush("the encrypted message is not in Base64") from None
        if not data or len(data) % (_AES_BLOCK):
            raise MalformedPush("the encrypted message is cut off")
        decryptor = self._cipher().decryptor()
        plain = _without_padding(decryptor.update(data) + decryptor.finalize())
        begin = _RANDOM_BYTES + _LENGTH_BYTES
        if plain is None or len(plain) < begin:
            raise NotPermitted("an event that does not decrypt with the aes_key", hint=_KEY_HINT)
        end = begin + int.from_bytes(plain[_RANDOM_BYTES:begin])
        message, owner = plain[begin:end], plain[end:]
        if end > len(plain) or not hmac.compare_digest(owner, self._owner):
            raise NotPermitted("an event for another application", hint=_OWNER_HINT)
        return message

    def open(self, query: Mapping[str, str], body: bytes, now: float) -> Event:
        """Return the event of a push; ``now`` is the Unix time in seconds.

        Raises ``NotPermitted`` for a wrong signature, a time more than an hour off, a message that
        does not decrypt, or one for another application; ``MalformedPush`` for anything else that
        is not an event.
        """
        encrypted = _encrypted(body)
        timestamp, nonce = query.get(wire.PUSH_TIMESTAMP, ""), query.get(wire.PUSH_NONCE, "")
        expected = self.sign(timestamp, nonce, encrypted).encode()
        given = [query[name] for name in wire.PUSH_SIGNATURES if name in query]
        # All of those that came: two that differ are not from DingTalk.
        if not given or not all(
            hmac.compare_digest(each.encode("utf-8", "surrogatepass"), expected) for each in given
        ):
            raise NotPermitted("an event with a wrong signature", hint=_TOKEN_HINT)
        if not _is_near(timestamp, now):
            raise NotPermitted(
                "an event that was sent more than an hour before or after the time here",
                hint=_CLOCK_HINT,
            )
        try:
            return Event.from_message(self.decrypt(encrypted))
        except MalformedPush:
            raise
        except ValueError:
            raise MalformedPush("the message is not an event") from None

    def success(self, now: float) -> dict[str, str]:
        """Return the answer with which DingTalk knows that an event has arrived."""
        encrypted = self.encrypt(wire.PUSH_SUCCESS.encode())
        timestamp = str(int(now * 1000))
        nonce = "".join(secrets.choice(_ALPHANUMERIC) for _ in range(_NONCE_LENGTH))
        return {
            wire.PUSH_REPLY_SIGNATURE: self.sign(timestamp, nonce, encrypted),
            wire.PUSH_REPLY_TIMESTAMP: timestamp,
            wire.PUSH_REPLY_NONCE: nonce,
            wire.PUSH_ENCRYPTED: encrypted,
        }

    def _cipher(self) -> Cipher[CBC]:
        # The initialisation vector is DingTalk's choice; the random bytes in front make up for it.
        return Cipher(AES(self._key), CBC(self._key[:_AES_BLOCK]))


def _encrypted(body: bytes) -> str:
    """Return the encrypted message of a body, as it was signed."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedPush("the body is not JSON") from None
    encrypted = content.get(wire.PUSH_ENCRYPTED) if isinstance(content, dict) else None
    if not isinstance(encrypted, str):
        raise MalformedPush(f"the body has no text {wire.PUSH_ENCRYPTED!r}")
    return encrypted


def _without_padding(data: bytes) -> bytes | None:
    """Remove the padding (PKCS #7, RFC 5652 section 6.3, to blocks of 32 bytes)."""
    length = data[-1]
    if not 1 <= length <= min(_BLOCK, len(data)) or set(data[-length:]) != {length}:
        return None
    return data[:-length]


def _is_near(timestamp: str, now: float) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_TIMESTAMP):
        return False
    return abs(int(timestamp) / 1000 - now) <= MAX_AGE
