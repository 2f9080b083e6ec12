"""Sites under gunicorn, and the processors that they run on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: How many connections may wait for a worker to accept them, as with gunicorn itself.
_BACKLOG: Final = 2048
#: Seconds that a site gets to end.
_PATIENCE: Final = 10


@contextmanager
def gunicorn(
    factory: str,
    environment: Mapping[str, str],
    *,
    workers: int = 1,
    threads: int,
    processors: set[int] | None = None,
    keep_alive: int = 2,
) -> Iterator[int]:
    """Run a site of ``_sites.py`` under gunicorn; yield its port.

    With ``processors`` it runs on these alone. An idle connection is kept for ``keep_alive``
    seconds, by default as gunicorn does. No process is left behind.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        # Answers go out as they come, in however many pieces, with no 40 ms between two of them.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{descriptor}"]
        command += ["--workers", str(workers), "--threads", str(threads)]
        command += ["--log-level", "warning", "--graceful-timeout", "5"]
        command += ["--keep-alive", str(keep_alive)]
        with on(processors or set()):
            process = subprocess.Popen(
                [*command, f"_sites:{factory}()"],
                cwd=Path(__file__).parent,
                # The site imports the extension from where this process does.
                env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
                pass_fds=[descriptor],
                start_new_session=True,
            )
        try:
            # The listener is open already: the first request waits for a worker.
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def redis_server() -> Iterator[str | None]:
    """Run a Redis; yield its address, or ``None`` where it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            give_up_at = time.monotonic() + _PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


@contextmanager
def on(processors: set[int]) -> Iterator[None]:
    """Keep what this thread does and starts on some processors, where the system can do that."""
    if not processors:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def all_processors() -> set[int]:
    """Return the processors that this process may use; none where the system cannot tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
