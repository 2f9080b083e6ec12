"""Encrypt bytes so that only this application can read them and any change is noticed.

AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D). The key is derived from the application's
secret, a purpose and a context with HKDF-SHA256 (RFC 5869): what was sealed for another purpose or
by another application does not open.
"""

import binascii
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: The first byte of every sealed text. Increase it whenever the format changes.
VERSION: Final = b"\x02"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Sealer:
    """Seals with the first of several secrets and opens with any of them.

    ``secrets`` are the application's secret and its fallbacks, newest first. ``purpose`` and
    ``context`` take part in deriving the keys.
    """

    __slots__ = ("_ciphers",)

    def __init__(self, secrets: Iterable[str | bytes], *, purpose: str, context: str) -> None:
        self._ciphers = [AESGCM(key) for key in derive_keys(secrets, purpose, context)]

    def seal(self, data: bytes, place: bytes = b"") -> str:
        """Return ``data`` sealed, as URL-safe text without padding.

        It opens for the same ``place`` only: nobody can put it anywhere else.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = VERSION + nonce + self._ciphers[0].encrypt(nonce, data, VERSION + place)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, text: str, place: bytes = b"") -> bytes | None:
        """Return what was sealed for ``place``, or ``None`` if ``text`` cannot be read."""
        try:
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (UnicodeEncodeError, binascii.Error):
            return None
        if not sealed.startswith(VERSION) or len(sealed) <= 1 + _NONCE_BYTES:
            return None
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, ciphertext, VERSION + place)
            except InvalidTag:
                continue
        return None


def derive_keys(secrets: Iterable[str | bytes], purpose: str, context: str) -> list[bytes]:
    """Return a key for each of several secrets that is good for one purpose and context alone."""
    info = b"flask-dingtalk\x00" + VERSION + f"{purpose}\x00{context}".encode()
    return [_derive(secret, info) for secret in secrets]


def _derive(secret: str | bytes, info: bytes) -> bytes:
    material = secret.encode() if isinstance(secret, str) else secret
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(material)
