"""A terminal that runs the commands of a page, one after the other, and its servers beside it."""

from __future__ import annotations

import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from ..helpers import free_port
from . import stand_in
from .pages import ROOT

#: Commands that go on until Ctrl-C, and what they print when they are ready.
SERVERS: Final = {
    r"flask dingtalk simulator --(?= )": r" \* Running on (http://127\.0\.0\.1:\d+)",
    r"flask dingtalk simulator": r"Settings for your site's environment",
    r"flask.* run": r" \* Running on (http://127\.0\.0\.1:\d+)",
    r"flask.* dingtalk check .*--sign-in": r"(http://\S+/oauth2/auth\S+)",
    r"\S*gunicorn ": r"Listening at: (http://127\.0\.0\.1:\d+)",
}
#: Programs of the environment in which the tests run.
_MODULES: Final = ("flask", "gunicorn", "pytest")
#: Seconds; far more than anything takes.
_PATIENCE: Final = 120
_DONE: Final = "--- that was it:"


class Running:
    """A server that a page started; it prints into ``lines``."""

    def __init__(self, command: str, directory: str, environment: Mapping[str, str]) -> None:
        self.command = command
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}" if "&" not in command else command],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._arriving: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as printed:
            for line in printed:
                self._arriving.put(line)
        self._arriving.put(None)

    def wait_for(self, pattern: str, *, again: bool = False) -> re.Match[str]:
        """Wait until a line with the pattern has been printed; ``again``: since the last look."""
        for line in () if again else self.lines:
            if found := re.search(pattern, line):
                return found
        while (arrived := self._arriving.get(timeout=_PATIENCE)) is not None:
            self.lines.append(arrived)
            if found := re.search(pattern, arrived):
                return found
        raise AssertionError(f"{self.command} ended:\n{''.join(self.lines)}")

    def end(self) -> str:
        """Press Ctrl-C; return all that was printed."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        while (arrived := self._arriving.get(timeout=_PATIENCE)) is not None:
            self.lines.append(arrived)
        self._reader.join()
        self._process.wait(_PATIENCE)
        return "".join(self.lines)


class Terminal:
    """A shell in an empty folder. What stands for ``/etc`` and ``/srv`` is in it, too.

    ``addresses`` says which ports take the place of those in the texts.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.ports = {number: free_port() for number in ("5000", "8000", "8765")}
        self.running: list[Running] = []
        self.output = ""
        programs = folder / "programs"
        programs.mkdir()
        for name in (*_MODULES, *stand_in.NAMES, "python", "python3"):
            self._install(programs, name)
        usual = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FLASK_", "PYTEST_", "VIRTUAL_ENV"))
        }
        self.environment = {
            **usual,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PATH": f"{programs}:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "FLASK_RUN_PORT": str(self.ports["5000"]),
            "FLASK_DINGTALK_SIMULATOR_PORT": str(self.ports["8765"]),
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{self.ports['8000']}",
            "STAND_IN_FOLDER": str(folder),
            **(environment or {}),
        }
        self._shell = subprocess.Popen(
            ["/bin/sh"],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _install(self, programs: Path, name: str) -> None:
        python = shlex.quote(sys.executable)
        own = shlex.quote(str(stand_in.__file__))
        if name in _MODULES:
            script = f'exec {python} -m {name} "$@"'
        elif name in stand_in.NAMES:
            script = f'exec {python} {own} {name} "$@"'
        else:
            # An environment without a copy of pip: there, the stand-in is it.
            script = (
                f'[ "$1 $2" = "-m venv" ] || exec {python} "$@"\n'
                f'{python} -m venv --without-pip "$3" && cp {programs}/pip "$3/bin"\n'
                f'for each in {" ".join(_MODULES)}; do cp {programs}/$each "$3/bin"; done'
            )
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def close(self) -> None:
        """End the servers and the shell."""
        self.end_servers()
        self._shell.communicate(timeout=_PATIENCE)

    def here(self, text: str) -> str:
        """Return a text with the folders and the ports of this test."""
        for number, port in self.ports.items():
            text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{port}")
        return re.sub(r"(?<![\w.])/(etc|srv|var)/", rf"{self.folder}/\1/", text)

    def write(self, name: str, text: str) -> None:
        """Write a file of a page, where the page has it."""
        path = Path(self.here(name)) if name.startswith("/") else self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # At once: a server may be looking at it.
        draft = path.with_name(f"{path.name}~")
        draft.write_text(self.here(text), encoding="utf-8")
        draft.replace(path)

    @property
    def directory(self) -> Path:
        """Where the shell is."""
        return Path(self._ask("pwd").strip())

    def run(self, block: str) -> None:
        """Run a block. Each command has to succeed; servers are started and stay."""
        for line in block.replace("\\\n", " ").splitlines():
            command = self.here(line.split("  #")[0].strip())
            if not command or command.startswith("#"):
                continue
            for pattern, ready in SERVERS.items():
                if re.match(pattern, command):
                    self._serve(command, ready)
                    break
            else:
                self.output = self._ask(command)

    def _serve(self, command: str, ready: str) -> None:
        variables = self._ask("env -0").rstrip("\n\0").split("\0")
        environment = dict(each.split("=", 1) for each in variables)
        server = Running(command, str(self.directory), environment)
        self.running.append(server)
        server.wait_for(ready)

    def end_servers(self) -> str:
        """Press Ctrl-C in each terminal; return all that was printed."""
        printed = "".join(each.end() for each in reversed(self.running))
        self.running.clear()
        return printed

    def _ask(self, command: str) -> str:
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{command}\nprintf '\\n{_DONE} %s\\n' $?\n")
        stdin.flush()
        printed = "".join(iter_until(stdout, _DONE))
        text, _, status = printed.rpartition(f"\n{_DONE} ")
        assert status.strip() == "0", f"{command}: status {status}\n{text}"
        return text


def iter_until(stream: IO[str], ending: str) -> Iterator[str]:
    """Give lines up to and with the one that begins with ``ending``."""
    for line in stream:
        yield line
        if line.startswith(ending):
            return


@contextmanager
def terminal(folder: Path, **environment: str) -> Iterator[Terminal]:
    """Open a terminal in an empty folder; servers end with it."""
    opened = Terminal(folder, environment)
    try:
        yield opened
    finally:
        opened.close()
