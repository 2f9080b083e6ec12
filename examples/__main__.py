"""Run the example site: ``python -m examples [PORT]``. Takes another port if that one is taken."""

from __future__ import annotations

import socket
import sys

from flask.cli import main

#: Where other programs of this machine may answer under the site's address.
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


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
    sys.argv = ["flask", "--app", "examples.site", "run", "--port", port]
    main()
