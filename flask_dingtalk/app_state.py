"""What belongs to one app: its settings and keys, and per process its memory and connections."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, current_app

from .bounded_dict import BoundedDict
from .errors import ConfigurationError
from .memory import Memory
from .patience import Patience
from .settings import Settings

if TYPE_CHECKING:
    from .api.client import Client
    from .api.directory import Directory, Shelf
    from .api.transport import Transport
    from .login import Login
    from .seal import Sealer
    from .store.events import Events
    from .store.link import Link
    from .store.people import People
    from .store.shared import Store

#: Where in ``app.extensions`` an app's state is found.
EXTENSION_KEY: Final = "_dingtalk_state"
#: Opened logins remembered in one process.
_OPENED: Final = 1024
#: Seconds after an event came in, for which its answer waits for the receivers of the signal.
#: DingTalk wants it within 2.5 (HTTP) or 3 (Stream) seconds; the receivers go on without it.
_FOR_RECEIVERS: Final = 1.5


class KeyRing:
    """The seals that follow from one value of ``SECRET_KEY`` and its fallbacks."""

    def __init__(self, secrets: tuple[str | bytes, ...], client_id: str) -> None:
        # cryptography takes 10 ms to load: at the first sign-in, not at the start of the process.
        from .seal import Sealer

        self.secrets = secrets
        self.session: Sealer = Sealer(secrets, purpose="session", context=client_id)
        self.state: Sealer = Sealer(secrets, purpose="state", context=client_id)
        self.progress: Sealer = Sealer(secrets, purpose="progress", context=client_id)
        self.target: Sealer = Sealer(secrets, purpose="target", context=client_id)
        self.proof: Sealer = Sealer(secrets, purpose="proof", context=client_id)
        #: Logins by their sealed text, so that most requests neither decrypt nor parse anything.
        self.opened: BoundedDict[str, Login] = BoundedDict(_OPENED)


@dataclass(frozen=True, slots=True)
class Connections:
    """The HTTP client of one process."""

    transport: Transport
    #: The calls of a sign-in and as a user.
    client: Client
    #: The calls that take the application's own token.
    directory: Directory


class ProcessState:
    """What one process must not share with another: locks, connections, work under way."""

    def __init__(self, settings: Settings, memory: Memory | Store) -> None:
        self.memory = memory
        #: The seals for the present ``SECRET_KEY``, once they were needed.
        self.key_ring: KeyRing | None = None
        #: Until an event is answered, for the receivers of its signal.
        self.for_receivers = Patience(_FOR_RECEIVERS)
        self._settings = settings
        self._connections: Connections | None = None
        self._lock = threading.Lock()

    def after_fork(self) -> ProcessState:
        """Return what a forked process begins with: the same knowledge and no connection."""
        return ProcessState(self._settings, self.memory.after_fork())

    @property
    def is_warm(self) -> bool:
        """Whether the HTTP client is ready."""
        return self._connections is not None

    @property
    def connections(self) -> Connections:
        """The HTTP client, made when it is first needed."""
        if self._connections is None:
            with self._lock:
                if self._connections is None:
                    self._connections = _connect(self._settings, self.memory.app_token)
        return self._connections


class AppState:
    """One app's part of the extension, kept in ``app.extensions``."""

    def __init__(self, settings: Settings, config: dict[str, Any], link: Link | None) -> None:
        self.settings = settings
        #: Whether all processes share what one of them remembers.
        self.has_store = link is not None
        first = ProcessState(settings, _remembering(settings, config, link))
        #: By process id. A forked process adds its own entry and keeps its parent's unchanged.
        self._processes: dict[int, ProcessState] = {os.getpid(): first}
        self._said: dict[str, object] = {}

    @property
    def process(self) -> ProcessState:
        """The state of this very process; a forked one starts with what its parent knew."""
        process_id = os.getpid()
        process = self._processes.get(process_id)
        if process is None:
            parent = [*self._processes.values()][-1]
            # Atomic, so that threads agree on one without a lock, which a fork could leave locked.
            process = self._processes.setdefault(process_id, parent.after_fork())
            # Process ids are used again one day.
            self._processes = {process_id: process}
        return process

    @property
    def memory(self) -> Memory | Store:
        """What this process remembers, or what all of them do where there is a store."""
        return self.process.memory

    @property
    def store(self) -> Store | None:
        """What all processes share, where there is a store."""
        # As cheap as can be: every guarded request comes by here.
        memory: Any = self.process.memory if self.has_store else None
        return memory  # type: ignore[no-any-return]

    @property
    def people(self) -> People:
        """The sign-ins of each person; raises ``ConfigurationError`` without a store."""
        store = self.store
        if store is None:
            raise ConfigurationError(
                "the sign-ins of a person are known only to a store",
                hint="set DINGTALK_STORE, or give DingTalk(app, store=client)",
            )
        return store.people

    @property
    def events(self) -> Events:
        """Which events were acted on; raises ``ConfigurationError`` without a store."""
        store = self.store
        if store is None:
            raise ConfigurationError(
                "events need a store, which knows whose sign-ins there are",
                hint="set DINGTALK_STORE, or give DingTalk(app, store=client)",
            )
        return store.events

    @property
    def client(self) -> Client:
        """The calls of a sign-in and as a user."""
        return self.process.connections.client

    @property
    def directory(self) -> Directory:
        """The calls that take the application's own token."""
        return self.process.connections.directory

    @property
    def patience(self) -> float:
        """For how many seconds one request waits for the same call of another one."""
        return sum(self.settings.timeout)

    def warm_up(self) -> None:
        """Make the HTTP client ready, so that no callback has to wait for it."""
        process = self.process
        if not process.is_warm:
            try:
                process.connections.transport.load_certificates()
            except OSError:
                # The callback will report an unreadable CA bundle, in the log and on its page.
                return

    def is_first(self, what: str) -> bool:
        """Tell whether this is the first time that the process asks this: to warn once."""
        is_first = object()
        return self._said.setdefault(what, is_first) is is_first

    def key_ring(self, app: Flask) -> KeyRing:
        """Return the seals for the present ``SECRET_KEY``, derived again only if it changed."""
        secrets = secret_keys(app.config)
        process = self.process
        ring = process.key_ring
        if ring is None or ring.secrets != secrets:
            ring = process.key_ring = KeyRing(secrets, self.settings.client_id)
        return ring


def secret_keys(config: dict[str, Any]) -> tuple[str | bytes, ...]:
    """Return the app's secret and its fallbacks, newest first."""
    return (config["SECRET_KEY"], *(config.get("SECRET_KEY_FALLBACKS") or ()))


def this_app() -> Flask:
    """Return the app that handles this request, and not the proxy for it.

    Signals and memories want the app itself, and on a guarded page each look through the proxy
    counts.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def app_state() -> AppState:
    """Return the state of the app that handles this request."""
    return app_state_of(this_app())


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


def _remembering(settings: Settings, config: dict[str, Any], link: Link | None) -> Memory | Store:
    if link is None:
        return Memory(settings.state_lifetime)
    from .store.shared import Store

    return Store.begin(link, settings, lambda: secret_keys(config))


def _connect(settings: Settings, shelf: Shelf | None) -> Connections:
    # requests and Authlib take 90 ms to load: not at the start of the process.
    from .api.client import Client
    from .api.directory import Directory
    from .api.transport import Transport

    transport = Transport(settings)
    return Connections(transport, Client(transport), Directory(settings, transport, shelf))
