"""What belongs to one app: settings, keys, HTTP client, and what this process remembers for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, current_app

from .bounded_dict import BoundedDict
from .settings import Settings
from .single_flight import SingleFlight
from .token_rotations import TokenRotations

if TYPE_CHECKING:
    from .api.client import Client
    from .api.directory import Directory
    from .api.transport import Transport
    from .login import Login
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
        self.opened: BoundedDict[str, Login] = BoundedDict(_REMEMBERED_USERS)


@dataclass(slots=True)
class _Use:
    code_digest: str | None
    #: By the monotonic clock.
    forget_at: float
    over: threading.Event = field(default_factory=threading.Event)
    succeeded: bool = False


class UsedStates:
    """States used in this process, since a cookie can be brought back to what it was before.

    A state is remembered for ``lifetime`` seconds; a second load of a callback waits for the first
    one for ``patience`` seconds.
    """

    def __init__(self, lifetime: float, patience: float) -> None:
        self._lifetime = lifetime
        self._patience = patience
        self._used: dict[str, _Use] = {}
        self._lock = threading.Lock()

    def use(self, nonce: str, code_digest: str | None) -> bool:
        """Mark a state as used for a code; return false if it was used already."""
        now = time.monotonic()
        with self._lock:
            while self._used and (
                len(self._used) >= _REMEMBERED_STATES
                or next(iter(self._used.values())).forget_at < now
            ):
                del self._used[next(iter(self._used))]
            if nonce in self._used:
                return False
            self._used[nonce] = _Use(code_digest, now + self._lifetime)
            return True

    def succeeded_with(self, nonce: str, code_digest: str) -> bool:
        """Tell whether the sign-in with this state and this very code succeeded.

        Waits for one that is under way: somebody loads the callback a second time.
        """
        use = self._used.get(nonce)
        if use is None or use.code_digest != code_digest:
            return False
        use.over.wait(self._patience)
        return use.succeeded

    def finish(self, nonce: str, *, succeeded: bool) -> None:
        """Remember how the sign-in with this state ended."""
        use = self._used.get(nonce)
        if use is not None:
            use.succeeded = succeeded
            use.over.set()


class Revalidations:
    """Users checked again in this process, by what they were before: user and time of check.

    Requests that still carry the old session find the outcome here.
    """

    def __init__(self) -> None:
        self.single_flight: SingleFlight[Login | None] = SingleFlight()
        #: Who became of them; ``None`` for somebody who may not stay.
        self.outcomes: BoundedDict[Hashable, tuple[Login | None]] = BoundedDict(_REMEMBERED_USERS)
        #: Moments, in Unix time, before which a failed check is not tried again.
        self.not_before: BoundedDict[Hashable, float] = BoundedDict(_REMEMBERED_USERS)


class AppState:
    """One app's part of the extension, kept in ``app.extensions``."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rotations = TokenRotations()
        # Token and profile, app token and membership, record: each with a connection and an answer.
        calls = 2 + 2 * (settings.members_only or settings.employee_profile)
        calls += settings.employee_profile
        self.used_states = UsedStates(settings.state_lifetime, calls * sum(settings.timeout))
        self.revalidations = Revalidations()
        self._calls: tuple[Transport, Client, Directory] | None = None
        self._calls_lock = threading.Lock()
        self._key_ring: KeyRing | None = None

    @property
    def client(self) -> Client:
        """The calls of a sign-in and as a user."""
        return self._made()[1]

    @property
    def directory(self) -> Directory:
        """The calls that take the application's own token."""
        return self._made()[2]

    def warm_up(self) -> None:
        """Make the HTTP client ready, so that no callback has to wait for it."""
        if self._calls is None:
            try:
                self._made()[0].load_certificates()
            except OSError:
                # A CA bundle that cannot be read is the callback's to report, to log and page.
                return

    def _made(self) -> tuple[Transport, Client, Directory]:
        if self._calls is None:
            with self._calls_lock:
                if self._calls is None:
                    # requests and Authlib take 90 ms to load: not at the start of the process.
                    from .api.client import Client
                    from .api.directory import Directory
                    from .api.transport import Transport

                    transport = Transport(self.settings)
                    directory = Directory(self.settings, transport)
                    self._calls = transport, Client(transport), directory
        return self._calls

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


def this_app() -> Flask:
    """Return the app that handles this request, and not the proxy for it.

    Signals and memories want the app itself, and on each guarded page every look through the proxy
    counts.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def app_state() -> AppState:
    """Return the state of the app that handles this request."""
    return app_state_of(current_app)


def app_state_of(app: Flask) -> AppState:
    """Return the state of ``app``."""
    try:
        state: AppState = app.extensions[EXTENSION_KEY]
    except KeyError:
        raise RuntimeError(
            "This Flask app was not initialised with Flask-DingTalk. "
            "Call dingtalk.init_app(app), or create DingTalk(app)."
        ) from None
    return state
