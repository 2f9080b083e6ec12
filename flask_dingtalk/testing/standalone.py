"""The simulator for people at a terminal: settings to paste, and a site that runs beside it."""

import math
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

import click

from .people import text_from_seed
from .simulator import DingTalkSimulator

#: What a setting's name begins with in the environment, for ``app.config.from_prefixed_env()``.
_PREFIX: Final = "FLASK_"
_SECRET_KEY: Final = "FLASK_SECRET_KEY"
#: Flask's command line sets it; an ``app.run()`` that sees it does nothing.
_RUN_FROM_CLI: Final = "FLASK_RUN_FROM_CLI"
#: Seconds that a command has to end by itself before it is told to again, less gently.
_PATIENCE: Final = 5.0
#: Windows does not wake a thread that waits when Ctrl-C is pressed. Seconds.
_LOOK_AGAIN: Final = 0.5 if sys.platform == "win32" else None
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
_INTERRUPTIONS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")

#: By name, how a variable is written.
FORMATS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "env": lambda name, value: f"{name}={value}",
    "dotenv": lambda name, value: f"{name}='{value}'",
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "powershell": lambda name, value: f"$env:{name} = '{value}'",
}


def lasting_simulator(port: int) -> DingTalkSimulator:
    """Return a simulator whose ids and secrets are the same at each start, not started yet.

    They are known to everybody, and good for nothing but a simulator on the loopback interface.
    """
    simulator = DingTalkSimulator(port)
    simulator.application.client_id = f"ding{text_from_seed('client id', length=16).lower()}"
    simulator.application.client_secret = text_from_seed("client secret", length=64)
    simulator.application.event_token = text_from_seed("event token", length=16)
    simulator.application.event_aes_key = text_from_seed("event key", length=43)
    return simulator


def environment_of(simulator: DingTalkSimulator) -> dict[str, str]:
    """Return the variables that point a site at a running simulator, ``SECRET_KEY`` included."""
    settings = {f"{_PREFIX}{name}": str(value) for name, value in simulator.settings.items()}
    return {_SECRET_KEY: _secret_key(), **settings}


def _secret_key() -> str:
    """Return a key that is the same at each start, and that nobody but this person has.

    Unlike the simulator's secrets it may end up in production, in a file that somebody copies.
    """
    path = Path(click.get_app_dir("Flask-DingTalk")) / "simulator-seed"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(token_hex())
        seed = path.read_bytes()
        if seed:
            return sha256(b"SECRET_KEY" + seed).hexdigest()
    return token_hex()


# --- A command beside it -------------------------------------------------------------------------


def run_beside(simulator: DingTalkSimulator, command: Sequence[str]) -> int:
    """Run a command with the settings of a running simulator, and return its exit status.

    Ctrl-C, SIGTERM and SIGHUP end the command and its children. Says in one line, on standard
    error, if it cannot be started or ends by itself.
    """
    with _interruptions() as news:
        try:
            child = _Child(command, _environment(simulator))
        except OSError as error:
            click.echo(f"{command[0]} cannot be started: {error.strerror}.", err=True)
            return 127 if isinstance(error, FileNotFoundError) else 126
        threading.Thread(target=child.tell_end, args=[news], daemon=True).start()
        was_interrupted = _wait(child, news)
        child.end_group()
    if not was_interrupted:
        click.echo(f"{command[0]} ended with status {child.status}.", err=True)
    return child.status


def _environment(simulator: DingTalkSimulator) -> dict[str, str]:
    variables = environment_of(simulator)
    own = {name: value for name, value in os.environ.items() if name != _RUN_FROM_CLI}
    if own.get(_SECRET_KEY):
        del variables[_SECRET_KEY]
    if sys.prefix != sys.base_prefix:
        # As an activated environment has it: its `flask` is the one that is meant.
        scripts = sysconfig.get_path("scripts")
        own["PATH"] = os.pathsep.join([scripts, own.get("PATH", os.defpath)])
    return {**own, **variables}


class _Child:
    """The command that runs beside the simulator."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        # In the foreground of a terminal, Ctrl-C and standard input have to reach it. Elsewhere, a
        # separate group tells its children from everybody else's.
        self.shares_terminal = sys.platform == "win32" or _is_in_foreground()
        group = None if self.shares_terminal else 0
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        self._process = subprocess.Popen(  # noqa: S603 - what the person at the terminal typed
            [program, *command[1:]], env=environment, process_group=group
        )

    @property
    def status(self) -> int:
        """The exit status, a signal as shells report it; only once it has ended."""
        status: int = self._process.returncode
        return status if status >= 0 else 128 - status

    def tell_end(self, news: "queue.SimpleQueue[int | None]") -> None:
        """Wait until it has ended, and put ``None`` then."""
        self._process.wait()
        news.put(None)

    def signal(self, number: int) -> None:
        """Send it a signal, and its children where they can be told from others."""
        with suppress(OSError):  # it ended meanwhile
            if self.shares_terminal:
                self._process.send_signal(number)
            elif sys.platform != "win32":
                os.killpg(self._process.pid, number)

    def end_group(self) -> None:
        """End the children that it left behind, once it has ended itself."""
        if self.shares_terminal:
            _end_own_group()
            return
        deadline = time.monotonic() + _PATIENCE
        number = signal.SIGTERM
        with suppress(OSError):  # nobody is left
            while sys.platform != "win32":
                os.killpg(self._process.pid, number)
                time.sleep(0.05)
                if time.monotonic() > deadline:
                    number = signal.SIGKILL
                    deadline = math.inf
                elif number == signal.SIGKILL:
                    return


@contextmanager
def _interruptions() -> "Iterator[queue.SimpleQueue[int | None]]":
    """Give a queue that each interruption goes into, instead of striking wherever it can."""
    news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    before = {}
    for name in _INTERRUPTIONS:
        number = getattr(signal, name, None)
        if number is not None:
            # Putting into this kind of queue is safe in a signal handler.
            before[number] = signal.signal(number, lambda received, _: news.put(received))
    try:
        yield news
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(child: _Child, news: "queue.SimpleQueue[int | None]") -> bool:
    """Wait for the end of a command, which puts ``None``; return whether it was interrupted."""
    step = 0
    while True:
        try:
            received = news.get(timeout=_PATIENCE if step else _LOOK_AGAIN)
        except queue.Empty:
            if step == 0:
                continue
            # It was told to end and did not: less gently.
            received = signal.SIGTERM
        if received is None:
            return step > 0
        step += 1
        if step > 2:
            child.signal(_KILL)
        elif step == 2:
            child.signal(signal.SIGTERM)
        elif received != signal.SIGINT or not child.shares_terminal:
            # Ctrl-C on a terminal has reached the command already.
            child.signal(received)


def _end_own_group() -> None:
    """End everybody else of this process's group, if that can only be what a command left."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        # In a pipe there are others.
        if all(os.isatty(descriptor) for descriptor in (0, 1, 2)):
            before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(os.getpgrp(), signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)


def _is_in_foreground() -> bool:
    """Tell whether this process is in the foreground of a terminal."""
    if sys.platform != "win32":
        for descriptor in (0, 1, 2):
            with suppress(OSError):
                if os.tcgetpgrp(descriptor) == os.getpgrp():
                    return True
    return False
