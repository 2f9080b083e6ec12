"""What belongs to one app: settings, keys, HTTP client, and what this process remembers for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, current_app

from .rotation import Rotations
from .settings import Settings

if TYPE_CHECKING:
    from .client import Client
    from .payload import SignedIn
    from .seal import Sealer

#: Where in ``app.extensions`` an app's state is found.
EXTENSION_KEY: Final = "_dingtalk_state"
#: Opened users remembered in one process; the oldest is forgotten first.
_REMEMBERED_USERS: Final = 1024
#: Used states remembered in one process.
_REMEMBERED_STATES: Final = 10_000


class KeyRing:
    """The seals that follow from one value of ``SECRET_KEY`` and its fallbacks."""

    def __init__(self, secrets: tuple[str | bytes, ...], client_id: str) -> None:
        # cryptography takes 10 ms to load: at the first sign-in, not at the start of the process.
        from .seal import Sealer

        self.secrets = secrets
        self.session: Sealer = Sealer(secrets, purpose="session", context=client_id)
        self.state: Sealer = Sealer(secrets, purpose="state", context=client_id)
        #: Users by their sealed text, so that most requests neither decrypt nor parse anything.
        self.opened: dict[str, SignedIn] = {}
        self._lock = threading.Lock()

    def remember(self, text: str, signed_in: SignedIn) -> None:
        """Keep an opened user for the next request with the same session."""
        with self._lock:
            if len(self.opened) >= _REMEMBERED_USERS:
                del self.opened[next(iter(self.opened))]
            self.opened[text] = signed_in


class UsedStates:
    """States used in this process, since a cookie can be brought back to what it was before."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._used: dict[str, tuple[str | None, float]] = {}
        self._lock = threading.Lock()

    def use(self, nonce: str, code_digest: str | None) -> bool:
        """Mark a state as used for a code; return false if it was used already."""
        now = time.monotonic()
        with self._lock:
            while self._used and (
                len(self._used) >= _REMEMBERED_STATES or next(iter(self._used.values()))[1] < now
            ):
                del self._used[next(iter(self._used))]
            if nonce in self._used:
                return False
            self._used[nonce] = (code_digest, now + self._lifetime)
            return True

    def was_used_for(self, nonce: str, code_digest: str | None) -> bool:
        """Tell whether the state was used for this very code, without an error since."""
        used = self._used.get(nonce)
        return used is not None and code_digest is not None and used[0] == code_digest

    def failed(self, nonce: str) -> None:
        """Remember that the sign-in with this state came to nothing."""
        with self._lock:
            if nonce in self._used:
                self._used[nonce] = (None, self._used[nonce][1])


class AppState:
    """One app's part of the extension, kept in ``app.extensions``."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rotations = Rotations()
        self.used_states = UsedStates(settings.state_lifetime)
        self._client: Client | None = None
        self._client_lock = threading.Lock()
        self._key_ring: KeyRing | None = None

    @property
    def client(self) -> Client:
        """The HTTP client, made when first asked for."""
        if self._client is None:
            with self._client_lock:
                if self._client is None:
                    # requests and Authlib take 90 ms to load: not at the start of the process.
                    from .client import Client

                    self._client = Client(self.settings)
        return self._client

    def warm_up(self) -> None:
        """Make the client ready, so that no callback has to wait for it."""
        if self._client is None:
            self.client.warm_up()

    def key_ring(self, app: Flask) -> KeyRing:
        """Return the seals for the present ``SECRET_KEY``, derived again only if it changed."""
        secrets = secret_keys(app.config)
        ring = self._key_ring
        if ring is None or ring.secrets != secrets:
            ring = self._key_ring = KeyRing(secrets, self.settings.client_id)
        return ring


def secret_keys(config: dict[str, Any]) -> tuple[str | bytes, ...]:
    """Return the app's secret and its fallbacks, newest first."""
    return (config["SECRET_KEY"], *(config.get("SECRET_KEY_FALLBACKS") or ()))


def current() -> AppState:
    """Return the state of the app that handles this request."""
    return state_of(current_app)


def state_of(app: Flask) -> AppState:
    """Return the state of ``app``."""
    try:
        state: AppState = app.extensions[EXTENSION_KEY]
    except KeyError:
        raise RuntimeError(
            "This Flask app was not initialised with Flask-DingTalk. "
            "Call dingtalk.init_app(app), or create DingTalk(app)."
        ) from None
    return state
