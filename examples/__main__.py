"""Run the example site: ``python -m examples [PORT]``. Takes another port if that one is taken.

Keeps sign-ins in the Redis of this machine if one answers, and says so.
"""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec

from flask.cli import main

#: Where other programs of this machine may answer under the site's address.
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


_STORE = "FLASK_DINGTALK_STORE"


def is_taken(port: int) -> bool:
    """Tell whether somebody answers on a port of this machine."""
    for family, host in _HOSTS:
        try:
            with socket.socket(family) as client:
                if client.connect_ex((host, port)) == 0:
                    return True
        except OSError:  # a machine without IPv6
            continue
    return False


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def answers_as_redis(host: str, port: int) -> bool:
    """Tell whether a Redis that wants no password answers there."""
    try:
        with socket.create_connection((host, port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(5) == b"+PONG"
    except OSError:
        return False


def choose_store(host: str = "127.0.0.1", port: int = 6379) -> str | None:
    """Return the address of the store to use, if there is one, and say on standard error which."""
    url = os.environ.get(_STORE)
    if url is None and find_spec("redis") is not None and answers_as_redis(host, port):
        url = f"redis://{host}:{port}"
        sys.stderr.write(f"Redis answers at {url}: sign-ins are kept there.\n")
    elif url is not None:
        # Without its value: it may hold a password.
        sys.stderr.write(f"{_STORE} is set: sign-ins are kept there.\n")
    else:
        sys.stderr.write(
            f"No Redis at {host}:{port}: sign-ins are kept in the browser's session, and leavers"
            " are noticed at the next check.\n"
        )
    return url


def choose_port(wanted: str) -> str:
    """Return the port that was asked for, or another one, and say why on standard error."""
    if not wanted.isascii() or not wanted.isdigit() or not 0 < int(wanted) < 65_536:
        sys.exit(f"{wanted} is not a port: choose one from 1 to 65535.")
    if not is_taken(int(wanted)):
        return wanted
    other = str(free_port())
    sys.stderr.write(f"Port {wanted} is taken by another program: using {other} instead.\n")
    return other


if __name__ == "__main__":
    port = choose_port(sys.argv[1] if len(sys.argv) > 1 else "5000")
    store = choose_store()
    if store is not None:
        os.environ[_STORE] = store
    sys.argv = ["flask", "--app", "examples.site", "run", "--port", port]
    main()
