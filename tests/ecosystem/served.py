"""A site in a separate process, under one of the servers of docs/how-to/ecosystem.md."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..helpers import SECRET_KEY
from .documented import PAGE, PARTS, blocks, complete

ROOT: Final = Path(__file__).parents[2]
_ADD_VIEWS: Final = "\nfrom tests.ecosystem.sites import add_views\n\nadd_views(app)\n"
#: Seconds that a server may take to stop.
_PATIENCE: Final = 30


@dataclass(frozen=True)
class Served:
    """A site that a server serves."""

    address: str
    #: The file with all that the server has printed.
    printed: Path


def commands() -> list[str]:
    """Return the commands of the page that start a server."""
    page = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(gunicorn .*?)^```$", page, re.MULTILINE | re.DOTALL)
    return block.splitlines()


@contextmanager
def serving(command: str, settings: Mapping[str, Any], folder: Path) -> Iterator[Served]:
    """Run a command in ``folder``, with the files of the page in it, on a free port."""
    for file in blocks():
        ending = "" if file in PARTS else _ADD_VIEWS
        (folder / file).write_text(complete(file) + ending, encoding="utf-8")
    printed = folder / "printed"
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, printed.open("w") as out:
        # Connections wait in the listener until the server takes them.
        number = str(listener.fileno())
        bound = {
            "gunicorn": ["--bind", f"fd://{number}", "--log-level", "warning"],
            "uvicorn": ["--fd", number],
            "hypercorn": ["--bind", f"fd://{number}"],
            # It takes no open socket, but tells which port it chose.
            "waitress-serve": ["--listen", "127.0.0.1:0"],
        }
        name, *arguments = command.split()
        process = subprocess.Popen(
            [Path(sys.executable).with_name(name), *bound[name], *arguments],
            cwd=folder,
            env=_environment(settings),
            pass_fds=[listener.fileno()],
            stdout=out,
            stderr=out,
        )
        try:
            port = listener.getsockname()[1] if name != "waitress-serve" else _port_in(printed)
            yield Served(f"http://127.0.0.1:{port}", printed)
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _port_in(printed: Path) -> int:
    """Wait until the server has told its address."""
    deadline = time.monotonic() + _PATIENCE
    while not (told := re.search(r"Serving on http://127\.0\.0\.1:(\d+)", printed.read_text())):
        assert time.monotonic() < deadline, printed.read_text()
        time.sleep(0.02)
    return int(told[1])


def _environment(settings: Mapping[str, Any]) -> dict[str, str]:
    complete = {"SECRET_KEY": SECRET_KEY, "DINGTALK_MEMBERS_ONLY": False, **settings}
    given = {f"FLASK_{name}": str(value) for name, value in complete.items()}
    return {**os.environ, **given, "PYTHONPATH": str(ROOT)}
