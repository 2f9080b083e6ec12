"""Names and seals of what is in the store: names tell of nobody, and seals hold in one place.

A name is a SHA-256 of something random, or, of what could be guessed, an HMAC with a key that
follows from ``SECRET_KEY`` (RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..bounded_dict import BoundedDict

if TYPE_CHECKING:
    from ..login import Login
    from ..seal import Sealer

Secrets = tuple[str | bytes, ...]
#: Opened sign-ins remembered in one process.
_OPENED: Final = 1024
_DIGEST_BYTES: Final = 24


class Keys:
    """The names and seals of one application."""

    def __init__(self, client_id: str, secrets: Callable[[], Secrets]) -> None:
        self._client_id = client_id
        self._secrets = secrets
        self._ring: _Ring | None = None
        #: What all names begin with. Several applications may share one Redis.
        self.prefix = f"dingtalk:{_digest(client_id.encode())[:11]}:"

    def random(self, kind: str, text: str) -> str:
        """Return the name for a random text, such as the id of a sign-in."""
        return f"{self.prefix}{kind}:{_digest(text.encode('utf-8', 'surrogatepass'))}"

    def known(self, kind: str, text: str) -> list[str]:
        """Return the names for a text that others know, such as a union id.

        The first is to be written to; what an older ``SECRET_KEY`` named is found under the others.
        """
        data = f"{kind}\x00{text}".encode("utf-8", "surrogatepass")
        return [
            f"{self.prefix}{kind}:{_text(hmac.digest(key, data, 'sha256'))}"
            for key in self.ring.names
        ]

    @property
    def ring(self) -> _Ring:
        """The seals for the present ``SECRET_KEY``, derived again only if it changed."""
        secrets = self._secrets()
        ring = self._ring
        if ring is None or ring.secrets != secrets:
            ring = self._ring = _Ring(secrets, self._client_id)
        return ring

    def after_fork(self) -> Keys:
        """Return the same names and seals for a forked process."""
        return Keys(self._client_id, self._secrets)


class _Ring:
    """What follows from one value of ``SECRET_KEY`` and its fallbacks."""

    def __init__(self, secrets: Secrets, client_id: str) -> None:
        # cryptography takes 10 ms to load: not at the start of the process.
        from ..seal import Sealer, derive_keys

        self.secrets = secrets
        self.sealer: Sealer = Sealer(secrets, purpose="store", context=client_id)
        self.names = derive_keys(secrets, "store names", client_id)
        #: Sign-ins by their name and sealed texts: most requests neither decrypt nor parse.
        self.opened: BoundedDict[tuple[str, bytes, bytes | None], Login] = BoundedDict(_OPENED)


def _digest(data: bytes) -> str:
    return _text(hashlib.sha256(data).digest())


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode("ascii")
