"""Commands to Redis: on separate connections, with short time-outs, failing fast.

redis-py does the talking. Its pools look at each connection before each command, which costs a
guarded page more than the rest of this extension does. So a plain list keeps the idle connections
here, and a command whose idle connection turns out to be closed is sent once more on a new one:
every command has to bear being carried out twice.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import ConfigurationError, StoreUnavailable
from ..logs import facts
from ..secret import without_inner_frames

_log = logging.getLogger(__name__)

#: Seconds for a connection, and for an answer; a client of the site's may have shorter ones.
_CONNECT_TIMEOUT: Final = 0.5
_ANSWER_TIMEOUT: Final = 1.2
#: Of a Cluster, a second node may have to be asked where a key is.
_CLUSTER_TIMEOUT: Final = 0.5
#: Seconds after which an idle connection is not used any more: something on the way may have
#: dropped it without a word, and the next command would wait for an answer in vain.
_IDLE_FOR: Final = 60.0
#: Seconds for which nobody asks a store that did not answer.
_FAIL_FAST: Final = 1.0
#: Seconds after which a failure that goes on is logged again.
_LOG_AGAIN: Final = 60.0
_EXTRA: Final = "pip install 'Flask-DingTalk[redis]'"

Command = tuple[Any, ...]
#: A connection of redis-py, whose methods have no types.
Connection = Any
#: Opens a connection that is not connected yet.
Opener = Callable[[], Connection]


class Prepared:
    """A command, and what is to be sent for it."""

    __slots__ = ("command", "packed")

    def __init__(self, command: Command, packed: bytes = b"") -> None:
        self.command = command
        self.packed = [packed]


class Link(ABC):
    """The way to Redis of one process. Whatever goes wrong on it is ``StoreUnavailable``."""

    def __init__(self) -> None:
        self._health = _Health()

    def run(self, *command: Any) -> Any:
        """Run one command; return its answer, texts as bytes."""
        return self.run_all([command])[0]

    def evaluate(self, script: str, key: str, *arguments: Any) -> Any:
        """Run a Lua script on one key; return what it returns."""
        return self.run("EVAL", script, 1, key, *arguments)

    def prepared(self, *command: Any) -> Prepared:
        """Return a command for ``ask``, which is to be run many times."""
        return Prepared(command)

    def ask(self, prepared: Prepared) -> Any:
        """Run a prepared command; return its answer, texts as bytes."""
        return self.run(*prepared.command)

    @without_inner_frames
    def run_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run several commands in one round trip where that can be; return their answers.

        They are not a transaction: some may be carried out, and others not.
        """
        self._health.enter()
        try:
            answers = self._send(commands)
        except BaseException as error:
            raise self._health.failed(error) from None
        self._health.worked()
        return answers

    @abstractmethod
    def _send(self, commands: Sequence[Command]) -> list[Any]:
        """Run the commands; raise what redis-py raises."""

    @abstractmethod
    def after_fork(self) -> Link:
        """Return a link for a forked process, which shares no connection with its parent."""


class ServerLink(Link):
    """A link to one server: a plain one, or whichever Sentinel names as the master."""

    def __init__(self, opener: Opener) -> None:
        from redis import exceptions

        super().__init__()
        self._opener = opener
        self._disconnected = exceptions.ConnectionError
        self._timed_out = exceptions.TimeoutError
        self._refused = exceptions.ResponseError
        self._is_a_replica = exceptions.ReadOnlyError
        #: Each with the moment since which it is idle, by the monotonic clock.
        self._idle: list[tuple[Connection, float]] = []

    def after_fork(self) -> ServerLink:
        """Return a link without connections."""
        return ServerLink(self._opener)

    def prepared(self, *command: Any) -> Prepared:
        """Return a command for ``ask``, which is to be run many times."""
        return Prepared(command, b"".join(self._opener().pack_command(*command)))

    @without_inner_frames
    def ask(self, prepared: Prepared) -> Any:
        """Run a prepared command; return its answer, texts as bytes.

        Every guarded request comes by here: the shortest way, while all is well.
        """
        if not self._health.down_until and self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return self.run(*prepared.command)
            now = time.monotonic()
            if 0 <= now - since < _IDLE_FOR:
                try:
                    connection.send_packed_command(prepared.packed, check_health=False)
                    answer = connection.read_response(disable_decoding=True)
                except self._disconnected:
                    connection.disconnect()
                    self._forget_idle()
                except BaseException as error:
                    # Also if this thread is killed in the middle: nobody must read its answer.
                    connection.disconnect()
                    raise self._health.failed(error) from None
                else:
                    self._idle.append((connection, now))
                    return answer
            else:
                connection.disconnect()
        return self.run(*prepared.command)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        while True:
            try:
                connection, since = self._idle.pop()
                is_new = not 0 <= time.monotonic() - since < _IDLE_FOR
            except IndexError:
                connection, is_new = self._opener(), True
            else:
                if is_new:
                    connection.disconnect()
            try:
                if is_new:
                    self._greet(connection)
                return self._talk(connection, commands)
            except self._timed_out:
                raise
            except self._disconnected:
                if is_new:
                    raise
                # The server went away, and with it everything that is idle.
                self._forget_idle()

    def _greet(self, connection: Connection) -> None:
        """Connect; raise ``ReadOnlyError`` for a replica.

        It would go on to show sign-ins that the master has ended.
        """
        connection.connect()
        try:
            (role,) = self._talk(connection, [("ROLE",)], keep=False)
        except self._is_a_replica:
            raise
        except self._refused as error:
            if not str(error).startswith(("NOPERM", "ERR unknown command", "unknown command")):
                raise
            # Who may not ask has to find out by writing.
            return
        if role[0] == b"slave":
            connection.disconnect()
            raise self._is_a_replica("READONLY: this is a replica")

    def _talk(
        self, connection: Connection, commands: Sequence[Command], *, keep: bool = True
    ) -> list[Any]:
        is_usable = False
        try:
            packed = [part for command in commands for part in connection.pack_command(*command)]
            connection.send_packed_command([b"".join(packed)], check_health=False)
            answers: list[Any] = []
            refusal: Exception | None = None
            for _ in commands:
                try:
                    answers.append(connection.read_response(disable_decoding=True))
                except self._refused as error:
                    refusal = refusal or error
            is_usable = True
        finally:
            # Also if this thread is killed in the middle: nobody must read its answer.
            if not is_usable:
                connection.disconnect()
        if refusal is not None:
            if _is_no_master(refusal):
                # A new connection may lead to the new master.
                connection.disconnect()
                self._forget_idle()
            elif keep:
                self._idle.append((connection, time.monotonic()))
            raise refusal
        if keep:
            self._idle.append((connection, time.monotonic()))
        return answers

    def _forget_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.disconnect()


class ClusterLink(Link):
    """A link to a Cluster, by redis-py's own client, which knows where each key is."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        super().__init__()
        self._connect = connect
        self._client: Any = None

    def after_fork(self) -> ClusterLink:
        """Return a link without connections."""
        return ClusterLink(self._connect)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        client = self._client
        if client is None:
            # It asks the Cluster at once.
            client = self._client = self._connect()
        return [client.execute_command(*command) for command in commands]


class _Health:
    """Whether the store answers: one thread finds out, and the others need not wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By the monotonic clock; 0 while the store answers.
        self.down_until = 0.0
        self._logged_at = float("-inf")

    def enter(self) -> None:
        """Raise ``StoreUnavailable`` if the store did not answer a moment ago."""
        if not self.down_until:
            return
        with self._lock:
            now = time.monotonic()
            if now < self.down_until:
                raise StoreUnavailable("the store did not answer a moment ago")
            # This thread tries; the next one does if nothing has come of that by then.
            self.down_until = now + _CONNECT_TIMEOUT + _ANSWER_TIMEOUT + _FAIL_FAST

    def worked(self) -> None:
        """Note an answer."""
        if self.down_until:
            self.down_until = 0.0
            self._logged_at = float("-inf")
            _log.info("DingTalk: the store answers again", extra=facts("store_answers"))

    def failed(self, error: BaseException) -> BaseException:
        """Note a failure; return what to raise."""
        from redis.exceptions import ResponseError

        # Anything else: the errors of redis-py's Cluster have no class in common.
        if not isinstance(error, Exception):
            return error
        if not isinstance(error, ResponseError):
            self.down_until = time.monotonic() + _FAIL_FAST
        elif self.down_until:
            # It answers, if with a refusal.
            self.down_until = 0.0
        problem = StoreUnavailable(f"the store: {type(error).__name__}: {error}", hint=_hint(error))
        now = time.monotonic()
        if not 0 <= now - self._logged_at < _LOG_AGAIN:
            self._logged_at = now
            _log.error(
                "DingTalk: %s", problem.log_message, extra=facts("store_unavailable", problem)
            )
        return problem


def _is_no_master(error: BaseException) -> bool:
    return type(error).__name__ == "ReadOnlyError" or str(error).startswith("READONLY")


def _hint(error: BaseException) -> str | None:
    name, text = type(error).__name__, str(error)
    if "Auth" in name or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        return "look at user and password of the store"
    if text.startswith(("OOM", "command not allowed when used memory")):
        return "the store is full: raise its maxmemory"
    if _is_no_master(error):
        return "the store is a read-only replica: give the address of the master, or use Sentinel"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "nobody whom Python trusts vouches for the certificate of the store, or it is for "
            "another host: add ?ssl_ca_certs=/path/to/authority.pem to the address, or correct it"
        )
    if text.startswith("MOVED"):
        return "this is a node of a Cluster: give DingTalk(app, store=RedisCluster(…))"
    return None


@without_inner_frames
def link_to(url: str) -> Link:
    """Return a link to the server at ``url``; opens no connection.

    Raises ``ConfigurationError`` if redis-py is not installed or does not understand the URL.
    """
    try:
        import redis.connection as redis_connection
    except ImportError:
        raise ConfigurationError("DINGTALK_STORE needs redis-py", hint=_EXTRA) from None
    try:
        parse_url: Any = redis_connection.parse_url
        options = parse_url(url)
    except ValueError:
        raise ConfigurationError(
            "DINGTALK_STORE is not the address of a Redis server",
            hint="write redis://host:6379/0, rediss://… for TLS, or unix:///path/to/socket",
        ) from None
    return ServerLink(
        _opener(options.pop("connection_class", redis_connection.Connection), options)
    )


@without_inner_frames
def link_by(client: Any) -> Link:
    """Return a link to where a synchronous client of redis-py leads; opens no connection.

    Raises ``ConfigurationError`` for anything else.
    """
    try:
        import redis
        import redis.sentinel
    except ImportError:
        raise ConfigurationError("a store needs redis-py", hint=_EXTRA) from None
    if isinstance(client, redis.RedisCluster):
        return ClusterLink(lambda: _cluster_like(client))
    if not isinstance(client, redis.Redis):
        raise ConfigurationError(
            f"store is {type(client)!r}, which is not a synchronous client of redis-py",
            hint="give redis.Redis(…), Sentinel(…).master_for(…) or redis.RedisCluster(…)",
        )
    pool = client.connection_pool
    if isinstance(pool, redis.sentinel.SentinelConnectionPool):
        pool = _sentinel_like(pool)
    return ServerLink(_opener(pool.connection_class, pool.connection_kwargs))


def _opener(connection_class: Any, options: dict[str, Any]) -> Opener:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = _impatient(options) | {
        # No greeting that an old server does not know, and no decoding that we would undo.
        "protocol": 2,
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }
    for name in _POOL_OPTIONS:
        options.pop(name, None)
    return lambda: connection_class(**options)


#: What redis-py puts among the options of a connection, and does not concern us.
_POOL_OPTIONS: Final = (
    "max_connections",
    "timeout",
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "oss_cluster_maint_notifications_handler",
    "orig_host_address",
    "orig_socket_timeout",
    "orig_socket_connect_timeout",
    "event_dispatcher",
)


def _impatient(options: dict[str, Any], longest: float = _ANSWER_TIMEOUT) -> dict[str, Any]:
    """Return options of a connection with time-outs that are short enough for a visitor."""
    return options | {
        "socket_connect_timeout": _shorter(options, "socket_connect_timeout", _CONNECT_TIMEOUT),
        "socket_timeout": _shorter(options, "socket_timeout", longest),
    }


def _shorter(options: dict[str, Any], name: str, limit: float) -> float:
    own = options.get(name)
    return min(own, limit) if isinstance(own, int | float) and own > 0 else limit


def _sentinel_like(pool: Any) -> Any:
    """Return a pool for the same master, whose Sentinels do not keep a visitor waiting either."""
    import redis.sentinel

    sentinel: Any = redis.sentinel.Sentinel
    theirs = pool.sentinel_manager
    sentinels = [each.connection_pool.connection_kwargs for each in theirs.sentinels]
    ours = sentinel(
        [(each["host"], each["port"]) for each in sentinels],
        min_other_sentinels=theirs.min_other_sentinels,
        sentinel_kwargs=_impatient(theirs.sentinel_kwargs) | {"retry": None},
        **theirs.connection_kwargs,
    )
    master = ours.master_for(pool.service_name)
    options = {
        name: value for name, value in pool.connection_kwargs.items() if name != "connection_pool"
    }
    master.connection_pool.connection_class = pool.connection_class
    master.connection_pool.connection_kwargs.update(options)
    return master.connection_pool


def _cluster_like(client: Any) -> Any:
    """Return a client of the same Cluster that does not keep a visitor waiting; it asks at once."""
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import ClusterNode
    from redis.retry import Retry

    cluster: Any = redis.RedisCluster
    node: Any = ClusterNode
    options = _impatient(client.nodes_manager.connection_kwargs, _CLUSTER_TIMEOUT)
    for name in (*_POOL_OPTIONS, "redis_connect_func", "host", "port", "retry"):
        options.pop(name, None)
    return cluster(
        startup_nodes=[node(each.host, each.port) for each in client.get_nodes()],
        # Half a Cluster keeps half of the people in.
        require_full_coverage=False,
        address_remap=getattr(client.nodes_manager, "address_remap", None),
        # Slots that have moved are looked for all the same.
        retry=Retry(NoBackoff(), 0),
        **options | {"decode_responses": False},
    )
